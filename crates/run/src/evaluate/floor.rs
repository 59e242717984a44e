//! The least error that any method can reach on a simulated table.
//!
//! Momenta know the shape of a molecule, but not where it was nor, when positions and momenta are
//! rotated apart, how it was turned. What shape leaves open is therefore lost to every method:
//!
//! ```text
//! floor = E[ Var(x | shape) ] <= E[ Var(x | y) ] <= E[ |x - estimate(y)|^2 ]
//! ```
//!
//! It is measured by placing the same shapes anew, many times, by the rules of the simulation that
//! made the table. An exact draw of the posterior has at least twice this error.

use cei_metrics::{Summary, number};
use cei_physics::{Detector, Frame, Simulation, simulate_positions};
use ndarray::{Array2, ArrayView2, Axis, s};
use serde::{Deserialize, Serialize};

use crate::{RunError, TrainedRun};

/// Shapes that are placed anew.
const SHAPES: usize = 400;
/// How often each is placed.
const PLACEMENTS: usize = 100;
/// Seed of the placements; any will do.
const SEED: u64 = 0;

/// The least error that any method can reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Floor {
    /// Least mean squared error of an estimate, in squared raw units.
    #[serde(with = "number")]
    pub mse: f64,
    /// Its standard error over shapes.
    #[serde(with = "number")]
    pub mse_standard_error: Option<f64>,
    /// Least expected mean squared error of an exact draw of the posterior: twice the floor.
    #[serde(with = "number")]
    pub exact_draw_mse: f64,
}

/// The floor for a table that `simulation` made, in the gauge of the run; none unless it was made and
/// measured without noise, in a frame that leaves the placement unknown. `x` are raw rows of the table.
///
/// # Errors
/// A simulation that does not fit the rows.
pub(super) fn floor(
    run: &TrainedRun,
    simulation: &Simulation,
    x: ArrayView2<'_, f64>,
) -> Result<Option<Floor>, RunError> {
    if run.experiment.source.fresh_noise || run.record.preprocessing.may_miss_ions() {
        return Ok(None);
    }
    if !simulation.nuisances().is_empty() {
        return Ok(None);
    }
    let quiet = simulation.detector == Detector::default() && simulation.starts_at_rest();
    let known = run.molecule().is_some_and(|molecule| *molecule == simulation.molecule);
    if !quiet || !known || simulation.frame == Frame::default() {
        return Ok(None);
    }
    let shapes = x.slice(s![..x.nrows().min(SHAPES), ..]);
    let repeated =
        Array2::from_shape_fn((shapes.nrows() * PLACEMENTS, x.ncols()), |(row, column)| {
            shapes[[row / PLACEMENTS, column]]
        });
    let placed = simulate_positions(simulation, repeated.view(), SEED)?;
    let (x, _) = run.record.preprocessing.gauged(placed.positions.view(), placed.momenta.view());
    let variances = x.axis_chunks_iter(Axis(0), PLACEMENTS).map(|placements| {
        let columns = placements.var_axis(Axis(0), 1.0);
        columns.mean().unwrap_or_default()
    });
    Ok(Summary::of(variances).map(|summary| Floor {
        mse: summary.mean,
        mse_standard_error: summary.standard_error,
        exact_draw_mse: 2.0 * summary.mean,
    }))
}
