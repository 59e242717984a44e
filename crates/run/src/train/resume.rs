//! What a folder holds before a training begins in it, and what a run that is resumed goes on with.

use std::path::Path;

use cei_files::holder;

use crate::dataset::sidecar_remarks;
use crate::folder::Origin;
use crate::folder::begun::{Begun, Difference, differences, may_change_on_resume};
use crate::folder::layout::{self, CHECKPOINT, RECORD};
use crate::{Experiment, RunError};

/// Refuses to overwrite a run, to join another training in its folder, or to resume a run with another
/// configuration; gives what a run to be resumed began with.
pub(super) fn check_folder(
    experiment: &Experiment,
    path: &Path,
    resume: bool,
) -> Result<Option<Begun>, RunError> {
    match holder(path) {
        Some(holder) => Err(RunError::InTraining { path: path.to_owned(), holder }),
        None => check_content(experiment, path, resume),
    }
}

/// The same, whoever trains there.
pub(super) fn check_content(
    experiment: &Experiment,
    path: &Path,
    resume: bool,
) -> Result<Option<Begun>, RunError> {
    let (begun, trained) = (layout::holds(path, CHECKPOINT), layout::holds(path, RECORD));
    match (resume, begun) {
        (false, true) => Err(RunError::RunExists { path: path.to_owned() }),
        (_, false) if trained => Err(RunError::RunWithoutCheckpoint { path: path.to_owned() }),
        (true, false) => Err(RunError::NoCheckpoint { path: path.to_owned() }),
        (false, _) => Ok(None),
        (true, true) => {
            let begun = Begun::read(path)?;
            let differs = differences(experiment, &begun.experiment)
                .into_iter()
                .find(|difference| !may_change_on_resume(&difference.key));
            match differs {
                Some(Difference { key, given, begun }) => {
                    Err(RunError::ResumeDiffers { key, given, begun })
                }
                None => Ok(Some(begun)),
            }
        }
    }
}

/// What is known of the events, and what has to be said about it. A run that is resumed goes on with what it began
/// with, wherever its table lies now; a simulator must be the same as then.
pub(super) fn origin_and_remarks(
    experiment: &Experiment,
    begun: Option<Begun>,
    path: &Path,
) -> Result<(Origin, Vec<String>), RunError> {
    let simulator = experiment.source.simulator.is_some();
    let Some(begun) = begun else {
        let tables = if simulator { Vec::new() } else { experiment.source.resolve()? };
        let origin = Origin::of(experiment)?;
        let mut remarks = sidecar_remarks(&tables);
        if let (Some(simulation), Some(_)) = (&origin.simulation, &experiment.source.simulator) {
            remarks.extend(simulation.remarks()?);
        }
        return Ok((origin, remarks));
    };
    let (_, remarks) = begun.configuration(path)?;
    if begun.sealed && !simulator {
        return Ok((begun.origin, remarks));
    }
    let origin = Origin::of(experiment)?;
    if let (true, Some(now), Some(then)) = (simulator, &origin.simulation, &begun.origin.simulation)
        && let Some(Difference { key, given, begun }) = differences(now, then).into_iter().next()
    {
        let key = format!("{key}` of the simulation in `source.simulator");
        return Err(RunError::ResumeDiffers { key, given, begun });
    }
    Ok((origin, remarks))
}
