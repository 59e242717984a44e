//! One trial: an ordinary training into its run folder, which ends early where others were better.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cei_model::Team;
use cei_train::{EpochRecord, Observer, Progress, TrainError};

use super::observer::SweepObserver;
use super::stopping::{Curve, Limits};
use super::study::{Given, Outcome, State, Trial};
use crate::RunError;
use crate::config::sweep::{Stopping, SweepConfig};
use crate::folder::begun::Begun;
use crate::folder::history;
use crate::folder::layout::{self, CHECKPOINT};
use crate::train::train_run;

/// What all trials that run at a time share.
pub(super) struct Shared<'a> {
    pub(super) given: &'a Given,
    /// The folder of the search.
    pub(super) folder: &'a Path,
    pub(super) device: &'a str,
    /// The processes to which trials are dealt.
    pub(super) team: &'a Team,
    /// Set when the user ends the search.
    pub(super) stop: &'a AtomicBool,
    /// Set when another trial failed for a reason that all have.
    pub(super) halt: &'a AtomicBool,
    pub(super) observer: Mutex<&'a mut dyn SweepObserver>,
}

impl<'a> Shared<'a> {
    pub(super) fn observer(&self) -> MutexGuard<'_, &'a mut dyn SweepObserver> {
        // A panic elsewhere may spoil what is shown, but no result.
        self.observer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_ending(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.halt.load(Ordering::Relaxed)
    }
}

/// Trains a trial, or goes on with its training, until it ends; none if the search is ended before. `earlier` are those
/// by which it is ended early.
///
/// # Errors
/// What another trial would meet too: a table that cannot be read, a full disk.
pub(super) fn run(
    shared: &Shared<'_>,
    sweep: &SweepConfig,
    trial: &Trial,
    earlier: &[Curve<'_>],
) -> Result<Option<Outcome>, RunError> {
    let path = layout::trial(shared.folder, trial.number);
    let experiment = match shared.given.trial(&trial.values) {
        Ok(experiment) => experiment,
        Err(error) => return Ok(Some(refused(error.to_string()))),
    };
    let limits = match sweep.stopping {
        Stopping::Median => {
            let max_epochs = experiment.training.max_epochs;
            let grace_epochs = sweep.grace_epochs.unwrap_or(max_epochs.div_ceil(3));
            Limits::new(earlier, grace_epochs, max_epochs)
        }
        Stopping::Never => Limits::none(),
    };
    let resume = layout::holds(&path, CHECKPOINT);
    shared.observer().begins(trial, resume);
    let stop = AtomicBool::new(false);
    let mut watch = Watch { shared, number: trial.number, limits, stop: &stop, ended: None };
    let trained = train_run(
        &experiment,
        &path,
        shared.device,
        resume,
        &stop,
        |plan| shared.observer().plan(trial.number, plan),
        &mut watch,
    );
    let ended = watch.ended;
    let (state, reason) = match trained {
        Ok(outcome) => match (outcome.record, ended) {
            (Some(record), _) => (State::Complete, record.training.stopped),
            (None, Some(epoch)) => {
                (State::Stopped, format!("above the median of earlier trials after epoch {epoch}"))
            }
            (None, None) => return Ok(None),
        },
        Err(error) if is_of_the_trial(&error) => {
            let text = error.to_string();
            (State::Failed, text.lines().next().unwrap_or_default().to_owned())
        }
        Err(error) => return Err(error),
    };
    // A configuration that was refused has no history.
    let epochs = match state {
        State::Failed => history::read(&path).unwrap_or_default(),
        _ => history::read(&path).map_err(|reason| RunError::BadModel { path, reason })?,
    };
    Ok(Some(Outcome {
        state,
        reason,
        validation_losses: epochs.iter().map(|epoch| epoch.validation_loss).collect(),
        seconds: epochs.iter().map(|epoch| epoch.seconds).sum(),
    }))
}

/// The digest of the table that a trial was trained on; none if it was not.
pub(super) fn data_fingerprint(folder: &Path, number: usize) -> Option<String> {
    Begun::read(&layout::trial(folder, number)).ok()?.data_fingerprint
}

fn refused(reason: String) -> Outcome {
    let reason = reason.lines().next().unwrap_or_default().to_owned();
    Outcome { state: State::Failed, reason, validation_losses: Vec::new(), seconds: 0.0 }
}

/// Whether only these values are at fault.
fn is_of_the_trial(error: &RunError) -> bool {
    matches!(
        error,
        RunError::HyperParameter(_)
            | RunError::Diverged(_)
            | RunError::DivergedOnExtremes { .. }
            | RunError::Train(TrainError::Config(_))
    )
}

/// Watches a training, and ends it.
struct Watch<'a, 's> {
    shared: &'a Shared<'s>,
    number: usize,
    limits: Limits,
    stop: &'a AtomicBool,
    /// The epoch after which it was ended early.
    ended: Option<usize>,
}

impl Watch<'_, '_> {
    /// Judges the losses until `epoch`, which is done.
    fn judge(&mut self, epoch: usize, progress: &Progress) {
        let Some((_, lowest)) = progress.best else { return };
        if self.ended.is_none() && self.limits.end(epoch, lowest) {
            self.ended = Some(epoch);
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

impl Observer for Watch<'_, '_> {
    fn batch(&mut self, progress: &Progress) {
        // A training that is resumed may have been killed after the epoch that ends it.
        self.judge(progress.epoch - 1, progress);
        if self.shared.is_ending() {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    fn epoch(&mut self, progress: &Progress, record: &EpochRecord) {
        self.judge(progress.epoch, progress);
        self.shared.observer().epoch(self.number, progress, record);
    }
}
