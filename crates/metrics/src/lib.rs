//! Point, gauge-free, distributional and calibration metrics on plain matrices (`docs/spec.md#evaluation`).
//!
//! Notation and shapes, everywhere in this crate:
//!
//! | symbol | meaning |
//! | --- | --- |
//! | `n`, `d`, `K` | events, columns, draws per event |
//! | truth, estimate | `n x d`, one row an event, in raw units (bohr for positions) |
//! | draws | `n x K x d`, draws of a posterior (or the neighbours of a query) |
//!
//! A test set is scored in chunks of events, so that `n x K x d` draws never have to be in memory
//! at once: [`PointErrors`], [`EnsembleScores`], [`GaugeFreeScores`] and [`ResimulationErrors`]
//! take one chunk after another (`add`), can be merged, and summarise at the end. They give the
//! same bits whatever the number of threads. [`results`] holds the JSON contract they fill.
//!
//! Inputs must be finite: a NaN from a diverged model is an error that names its event and column,
//! not a NaN in a results table. (Re-simulated momenta are the exception: failures are counted.)

#![allow(
    clippy::needless_pass_by_value,
    reason = "ndarray's views are pointers, made to be passed by value; the lint does not see it"
)]

mod baseline;
mod c2st;
mod distribution;
mod error;
mod geometry;
mod matrix;
pub mod number;
mod point;
mod resimulation;
pub mod results;
pub mod special;
mod summary;

pub use baseline::{
    KChoice, NEIGHBOUR_CANDIDATES, NearestNeighbours, TRAINING_ROWS_CAP, TrainingMean,
    VALIDATION_ROWS_CAP,
};
pub use c2st::{C2st, FOLDS as C2ST_FOLDS, c2st, c2st_watched};
pub use distribution::coverage::{COVERAGE_LEVELS, Ranks, ranks};
pub use distribution::crps::crps_fair;
pub use distribution::density::{density_ranks, tarp_ranks};
pub use distribution::energy::energy_score_fair;
pub use distribution::scores::EnsembleScores;
pub use distribution::uniformity::{EcdfPoint, RANK_BINS, Uniformity, holm};
pub use error::{Error, Result};
pub use geometry::internal::{InternalCoordinates, Relabel};
pub use geometry::procrustes::{aligned_mean, displacements};
pub use geometry::scores::{GaugeFreeScores, PM_PER_BOHR};
pub use point::{Estimator, PointErrors};
pub use resimulation::{ResimulationErrors, resimulation_rms};
pub use summary::{Accumulator, Summary, quantile};
