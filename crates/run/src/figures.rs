//! Where the figures of a folder are, and what they call it.

use std::path::{Path, PathBuf};

use crate::RunError;
use crate::folder::layout::FIGURES;

/// The folder of the figures, made if it is not there.
///
/// # Errors
/// It cannot be made.
pub(crate) fn folder(path: &Path) -> Result<PathBuf, RunError> {
    let folder = path.join(FIGURES);
    std::fs::create_dir_all(&folder).map_err(RunError::io("create", &folder))?;
    Ok(folder)
}

/// The name of a folder or file.
pub(crate) fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
