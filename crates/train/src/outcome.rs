//! How a training ends: with a report, or with an error.

use std::io;
use std::ops::ControlFlow;

use cei_model::HyperParameterError;
use thiserror::Error;

use crate::checkpoint::State;
use crate::{CheckpointError, EpochRowsError, History};

/// Why a training ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StopReason {
    /// The validation loss did not improve for `patience` epochs.
    Patience,
    /// `max_epochs` were reached.
    MaxEpochs,
    /// It was asked to stop; a resumed training continues at this batch.
    Interrupted,
    /// The loss became no number: this is a failure, but the best parameters so far are kept.
    Diverged(Divergence),
}

/// A loss that is no number.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[error("the loss became {loss} in epoch {epoch}, {}{}\nhint: {}", place(*batch), kept(*best), cause(self))]
pub struct Divergence {
    /// Counted from 1.
    pub epoch: usize,
    /// Counted from 1; none for the validation rows.
    pub batch: Option<usize>,
    /// NaN or an infinity.
    pub loss: f64,
    /// Epoch of the parameters that are kept.
    pub best: Option<usize>,
}

fn place(batch: Option<usize>) -> String {
    batch.map_or_else(|| "on the validation rows".to_owned(), |batch| format!("batch {batch}"))
}

fn kept(best: Option<usize>) -> String {
    best.map_or_else(String::new, |epoch| format!("; the parameters of epoch {epoch} are kept"))
}

fn cause(divergence: &Divergence) -> &'static str {
    if divergence.epoch == 1 && divergence.batch == Some(1) {
        "the very first loss is no number already: look for extreme values with `cei inspect`"
    } else if divergence.batch.is_none() {
        "look for extreme values in the validation rows with `cei inspect`; otherwise the steps are likely too large: lower `training.learning_rate`"
    } else {
        "the steps are likely too large: lower `training.learning_rate` or set `training.gradient_clip`"
    }
}

/// The result of a training. The model then has the parameters of the lowest validation loss.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingReport {
    /// Why it ended.
    pub reason: StopReason,
    /// Epoch and value of the lowest validation loss; none if no epoch was finished.
    pub best: Option<(usize, f64)>,
    /// The finished epochs.
    pub history: History,
}

/// A training that failed.
#[derive(Debug, Error)]
pub enum TrainError {
    /// A value of the configuration is out of range.
    #[error(transparent)]
    Config(#[from] HyperParameterError),
    /// There is nothing to train or to validate on.
    #[error(
        "there are {training} training and {validation} validation rows; each part needs at least one"
    )]
    NoRows {
        /// Rows of the training part.
        training: usize,
        /// Rows of the validation part.
        validation: usize,
    },
    /// The rows of an epoch cannot be made.
    #[error("the rows of epoch {epoch} cannot be made: {source}")]
    Rows {
        /// The epoch, counted from 1.
        epoch: usize,
        /// Why.
        source: EpochRowsError,
    },
    /// An epoch has another number of rows than the first one.
    #[error("epoch {epoch} has {found} training rows, but the first one had {expected}")]
    OtherRows {
        /// The epoch, counted from 1.
        epoch: usize,
        /// Its rows.
        found: usize,
        /// Rows of the first epoch.
        expected: usize,
    },
    /// The file that the rows were put into cannot be read.
    #[error("the file that keeps the rows cannot be read: {0}\nhint: is its disk still there?")]
    Read(io::Error),
    /// The checkpoint cannot be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// A training that ends because of this loss.
pub(crate) fn diverged<T>(
    state: &State,
    batch: Option<usize>,
    loss: f64,
) -> ControlFlow<StopReason, T> {
    let best = state.early_stopping.best().map(|(epoch, _)| epoch);
    let divergence = Divergence { epoch: state.epoch, batch, loss, best };
    ControlFlow::Break(StopReason::Diverged(divergence))
}
