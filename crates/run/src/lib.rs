//! The run folder and the pipelines: from a table to a trained model, to its evaluation, to
//! predictions for measured momenta. The command line parses and prints around these functions;
//! whoever embeds `cei` calls them directly.
//!
//! | to | call |
//! | --- | --- |
//! | simulate a data set | [`simulate::simulate_to_file`] |
//! | train a model into a run folder | [`train::train_run`] |
//! | score it on rows it has not seen | [`evaluate::evaluate_run`] |
//! | infer positions from momenta | [`predict::predict_to_files`] |
//! | get the log-density of given positions | [`log_prob::log_prob_of_file`] |
//! | set runs side by side | [`compare::compare_runs`] |
//! | test whether its posterior is calibrated | [`calibrate::calibrate_run`] |
//! | tell two files of samples apart | [`c2st::compare_samples`] |
//!
//! **Nothing here prints, reads a terminal or catches a signal.**

mod begun;
pub mod c2st;
pub mod calibrate;
pub mod compare;
pub mod config;
mod config_file;
pub mod dataset;
pub mod draws;
pub mod error;
pub mod evaluate;
pub mod figures;
pub mod floor;
pub mod folder;
pub mod fresh;
pub mod inspect;
pub mod later;
pub mod law_edge;
pub mod log_prob;
pub mod plausibility;
pub mod predict;
pub mod presets;
pub mod refine;
#[cfg(test)]
mod reports;
mod sealed;
pub mod simulate;
pub mod support;
pub mod train;

mod rounding;
mod rows;

pub use config::Experiment;
pub use error::RunError;
pub use folder::{Member, ModelRecord, TrainedRun};
