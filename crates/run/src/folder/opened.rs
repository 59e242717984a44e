//! A run as it is opened: finished, undamaged, and with the configuration of its training.

use std::path::Path;

use super::begun::Begun;
use super::layout::{self, BEGUN, CHECKPOINT, CONFIG, FIGURES, RECORD};
use super::record::{ModelRecord, read_record};
use crate::{Experiment, RunError};

/// What has to be said about a run before it is used: that its configuration was edited, or that its files have no
/// digests.
///
/// # Errors
/// No trained model in the folder, or one that is damaged.
pub fn remarks(path: &Path) -> Result<Vec<String>, RunError> {
    read(path).map(|(_, _, remarks)| remarks)
}

/// Record and configuration of a run, with what has to be said about them.
pub(crate) fn read(path: &Path) -> Result<(ModelRecord, Experiment, Vec<String>), RunError> {
    check_finished(path)?;
    let (record, sealed) = read_record(path)?;
    let begun = Begun::read(path)?;
    if sealed && !begun.sealed {
        let reason = format!("its `{BEGUN}` is missing or has lost its digest");
        return Err(RunError::BadModel { path: path.to_owned(), reason });
    }
    let (experiment, remarks) = begun.configuration(path)?;
    check_columns(path, &experiment, &record)?;
    Ok((record, experiment, remarks))
}

/// Removes what killed processes have left in the folder of a run.
pub(crate) fn sweep(path: &Path, members: Option<usize>) {
    let members = (1..=members.unwrap_or(0)).map(|number| layout::member(path, number));
    for folder in std::iter::once(path.to_owned()).chain(members) {
        cei_files::sweep(&folder);
        cei_files::sweep(&folder.join(FIGURES));
    }
}

/// Whether configuration and model are of the same columns, as after an edit they may not be.
fn check_columns(
    path: &Path,
    experiment: &Experiment,
    record: &ModelRecord,
) -> Result<(), RunError> {
    let (columns, preprocessing) = (&experiment.columns, &record.preprocessing);
    let sides = [
        ("x", columns.inferred().count(), preprocessing.x_names().len()),
        ("y", columns.condition().count(), preprocessing.y_names().len()),
    ];
    for (side, named, trained) in sides {
        if named != trained {
            let reason = format!(
                "`columns.{side}` of its `{CONFIG}` names {named} columns, but it was trained on {trained}\nhint: undo the change of `{CONFIG}`"
            );
            return Err(RunError::BadModel { path: path.to_owned(), reason });
        }
    }
    Ok(())
}

/// Refuses a run that is still in training, or whose training was interrupted.
fn check_finished(path: &Path) -> Result<(), RunError> {
    if let Some(holder) = cei_files::holder(path) {
        return Err(RunError::InTraining { path: path.to_owned(), holder });
    }
    if !path.join(RECORD).exists() && layout::holds(path, CHECKPOINT) {
        return Err(RunError::Unfinished { path: path.to_owned() });
    }
    Ok(())
}
