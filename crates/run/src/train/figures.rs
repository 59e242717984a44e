//! The figure of a training.

use std::path::Path;

use cei_report::{EpochLoss, LearningCurve, learning_curve as draw_learning_curve};
use cei_train::TrainingReport;

use crate::figures::{folder, name_of};
use crate::folder::layout::figure;
use crate::{Experiment, RunError};

/// Draws training and validation loss of every epoch into the run folder.
///
/// # Errors
/// The figure cannot be written.
pub(super) fn learning_curve(
    path: &Path,
    experiment: &Experiment,
    report: &TrainingReport,
) -> Result<(), RunError> {
    let history: Vec<EpochLoss> = report
        .history
        .epochs
        .iter()
        .map(|epoch| EpochLoss {
            epoch: epoch.epoch,
            train: epoch.training_loss,
            validation: epoch.validation_loss,
        })
        .collect();
    let title = format!("{} ({})", experiment.model.architecture().name(), name_of(path));
    let curve = LearningCurve {
        title: &title,
        history: &history,
        best_epoch: report.best.map(|(epoch, _)| epoch),
    };
    let stem = folder(path)?.join(figure::LEARNING_CURVE);
    draw_learning_curve(&stem, &curve, experiment.model.architecture().loss_label())?;
    Ok(())
}
