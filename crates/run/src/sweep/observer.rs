//! Observers watch a search; they cannot change it.

use cei_train::{EpochRecord, Progress};

use super::study::Trial;
use crate::train::TrainingPlan;

/// Watches a search.
pub trait SweepObserver: Send {
    /// A trial begins, or goes on where it was ended before.
    fn begins(&mut self, _trial: &Trial, _resumed: bool) {}

    /// What a trial is about to train.
    fn plan(&mut self, _trial: usize, _plan: &TrainingPlan) {}

    /// An epoch of a trial is done.
    fn epoch(&mut self, _trial: usize, _progress: &Progress, _record: &EpochRecord) {}

    /// A trial has ended.
    fn ended(&mut self, _trial: &Trial) {}
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl SweepObserver for Silent {}
