//! One plain function a command: checked arguments in, exit code out.

pub(crate) mod c2st;
pub(crate) mod calibrate;
pub(crate) mod check;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod devices;
pub(crate) mod evaluate;
pub(crate) mod inspect;
pub(crate) mod log_prob;
pub(crate) mod man;
pub(crate) mod merge;
pub(crate) mod population;
pub(crate) mod predict;
pub(crate) mod report;
pub(crate) mod simulate;
pub(crate) mod sweep;
pub(crate) mod train;

use std::path::Path;
use std::process::ExitCode;

use cei_data::remarks;
use cei_run::RunError;
use cei_run::predict::PredictStep;
use cei_run::shard::Shard;

use crate::output::to_stderr;
use crate::progress::{RowProgress, about};

/// Ends a command whose results were printed: a failure if they could not be kept where they were asked to be, a warning
/// where that is only the run folder.
pub(crate) fn told(not_kept: Option<&String>, asked: bool) -> anyhow::Result<ExitCode> {
    match not_kept {
        Some(reason) if asked => anyhow::bail!("the results are not kept: {reason}"),
        Some(reason) => {
            to_stderr(&format!("warning: the results are not kept in the run folder: {reason}"));
        }
        None => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Behind a number of rows: that they are those of a shard.
pub(crate) fn of_shard(shard: Option<Shard>) -> String {
    shard.map_or_else(String::new, |shard| format!(" of shard {shard}"))
}

/// Tells what a command that draws for the events of a file has reached.
pub(crate) fn show_step(progress: &RowProgress, quiet: bool, step: PredictStep<'_>) {
    match step {
        PredictStep::Read(readings) => {
            remarks(readings).iter().for_each(|said| progress.aside(said));
        }
        PredictStep::Judged(plausibility) => {
            if let Some(warning) = plausibility.warning() {
                progress.aside(&warning);
            }
        }
        PredictStep::Refining { events, seconds, is_kept } if !quiet => {
            let kept = if is_kept {
                "; it may be interrupted: the same command goes on where it ended"
            } else {
                ""
            };
            let takes = about(seconds);
            progress.aside(&format!("refining {events} more events will take {takes}{kept}"));
        }
        PredictStep::Resumed { events, of, folder } if !quiet => {
            let folder = folder.display();
            progress.aside(&format!("{events} of {of} events are refined already, in `{folder}`"));
        }
        PredictStep::Inferring { samples } if !quiet => progress.aside(&format!(
            "inferring the distribution of these events, and of {samples} samples of them drawn anew"
        )),
        PredictStep::Refining { .. }
        | PredictStep::Resumed { .. }
        | PredictStep::Inferring { .. } => {}
        PredictStep::Damaged(part) => progress.aside(&format!(
            "warning: `{}` is damaged: its events are refined again",
            part.display()
        )),
        PredictStep::Done { events, of } => progress.show(events, of),
    }
}

/// Tells what has to be said about a run before it is used: edits, files without digests.
pub(crate) fn tell_remarks(run: &Path) -> Result<(), RunError> {
    cei_run::folder::remarks(run)?.iter().for_each(|remark| to_stderr(remark));
    Ok(())
}
