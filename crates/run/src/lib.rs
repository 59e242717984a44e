//! The run folder and the pipelines: from a table to a trained model, to its evaluation, to
//! predictions for measured momenta. The command line parses and prints around these functions;
//! whoever embeds `cei` calls them directly.
//!
//! | to | call |
//! | --- | --- |
//! | draft configurations for a file of momenta | [`draft::draft_to_folder`] |
//! | simulate a data set | [`simulate::simulate_to_file`] |
//! | say how long a simulation, a training or a prediction will take | [`simulate::estimate_simulation`], [`train::estimate_training`], [`predict::estimate_prediction`] |
//! | train a model into a run folder | [`train::train_run`] |
//! | search for better hyper-parameters | [`sweep::sweep`] |
//! | score it on rows it has not seen | [`evaluate::evaluate_run`] |
//! | infer positions from momenta | [`predict::predict_to_files`]; in memory, [`Posterior`] |
//! | get the log-density of given positions | [`log_prob::log_prob_of_file`] |
//! | set runs side by side | [`compare::compare_runs`] |
//! | test whether the declared simulation describes a file | [`check::check_momenta`] |
//! | infer the distribution of geometries in a sample | [`population::population_to_folder`] |
//! | write a page about runs | [`report::report_to_file`] |
//! | test whether its posterior is calibrated | [`calibrate::calibrate_run`] |
//! | draw momenta as the field does | [`field::field_figures`] |
//! | make one table of the shards of many processes | [`merge::merge_shards`] |
//! | find out how fast a device trains and draws | [`device_speed::time_device`] |
//! | tell two files of samples apart | [`c2st::compare_samples`] |
//!
//! **Nothing here prints, reads a terminal or catches a signal.**

pub mod c2st;
pub mod calibrate;
pub mod check;
pub mod compare;
pub mod config;
pub mod dataset;
pub mod device_speed;
pub mod draft;
pub mod error;
pub mod estimate;
pub mod evaluate;
pub mod evidence;
pub mod field;
mod figures;
pub mod folder;
pub mod instructions;
pub mod log_prob;
pub mod merge;
pub mod plausibility;
pub mod point_charges;
pub mod population;
pub mod posterior;
pub mod predict;
pub mod refine;
pub mod report;
#[cfg(test)]
mod reports;
pub mod shard;
pub mod simulate;
pub mod sweep;
pub mod train;
pub mod trained;

pub use config::{Experiment, presets};
pub use error::RunError;
pub use folder::ModelRecord;
pub use posterior::Posterior;
pub use trained::{Member, TrainedRun};
