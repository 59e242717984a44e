//! How a model is trained, and by whom.

use std::sync::atomic::AtomicBool;

use cei_model::Team;

/// How a model is trained.
#[derive(Debug, Clone, Copy)]
pub struct TrainOptions<'a> {
    /// Name of the device that computes.
    pub device: &'a str,
    /// Whether a training that was interrupted goes on.
    pub resume: bool,
    /// Ends the training after the batch under way.
    pub stop: &'a AtomicBool,
    /// The processes that train it, which all call with the same arguments.
    pub team: &'a Team,
}
