//! One plain function a command: checked arguments in, exit code out.

pub(crate) mod c2st;
pub(crate) mod calibrate;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod devices;
pub(crate) mod evaluate;
pub(crate) mod inspect;
pub(crate) mod log_prob;
pub(crate) mod predict;
pub(crate) mod simulate;
pub(crate) mod train;

use std::path::Path;

use cei_run::RunError;

use crate::output::to_stderr;

/// Tells what has to be said about a run before it is used: edits, files without digests.
pub(crate) fn tell_remarks(run: &Path) -> Result<(), RunError> {
    cei_run::folder::remarks(run)?.iter().for_each(|remark| to_stderr(remark));
    Ok(())
}
