//! A trained run, and what it gives for momenta.
//!
//! | in | is |
//! | --- | --- |
//! | `run` | [`TrainedRun`]: a model, or an ensemble of such, on a device |
//! | `build` | untrained models for preprocessed rows |
//! | `draws` | posterior draws |
//! | `log_prob` | exact densities |
//! | `coordinates` | the bond lengths and angles in which molecules are scored |
//! | `detected` | events of which the same ions were detected |
//! | `resimulated` | momenta of drawn geometries |

mod build;
mod coordinates;
mod detected;
pub mod draws;
mod log_prob;
mod resimulated;
mod run;

pub(crate) use build::build;
pub(crate) use coordinates::internal_coordinates;
pub use detected::detected_in_words;
pub(crate) use detected::{DetectedSet, detected_sets};
pub(crate) use log_prob::{
    log_prob, log_prob_of_draws, log_prob_of_rows, log_prob_of_truth, scaled,
};
pub(crate) use resimulated::{Resimulator, initial_momentum_law};
pub use run::{Member, TrainedRun};
