//! Observers watch a training; they cannot change it.

use crate::EpochRecord;

/// Where a training stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The epoch under way or just finished, counted from 1.
    pub epoch: usize,
    /// Epochs at most.
    pub max_epochs: usize,
    /// Batches done in this epoch.
    pub batch: usize,
    /// Batches of an epoch.
    pub batches: usize,
    /// Training loss of this epoch so far.
    pub training_loss: f64,
    /// Training rows gone through since this process started, over the seconds it took.
    pub rows_per_second: f64,
    /// Epoch and value of the lowest validation loss.
    pub best: Option<(usize, f64)>,
    /// Epochs without improvement that are still allowed.
    pub patience_left: usize,
    /// Seconds until `max_epochs` at the present pace.
    pub seconds_left: f64,
}

/// Watches a training.
pub trait Observer: Send {
    /// The training of a member of an ensemble begins; members are counted from 1.
    fn member(&mut self, _member: usize, _members: usize) {}

    /// A batch is done.
    fn batch(&mut self, _progress: &Progress) {}

    /// An epoch is done.
    fn epoch(&mut self, _progress: &Progress, _record: &EpochRecord) {}
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}
