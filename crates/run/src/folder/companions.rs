//! Further files that belong to a model: its record holds their digests.

use std::collections::BTreeMap;
use std::path::Path;

use super::layout::{COMPANIONS, RECORD};
use super::record::{HINT, ModelRecord};
use crate::RunError;

/// The SHA-256 of those in the folder of a model.
///
/// # Errors
/// One cannot be read.
pub(crate) fn digests(folder: &Path) -> Result<BTreeMap<String, String>, RunError> {
    let mut digests = BTreeMap::new();
    for name in COMPANIONS {
        let file = folder.join(name);
        if file.exists() {
            let digest = cei_files::sha256_of_file(&file).map_err(RunError::io("read", &file))?;
            digests.insert(name.to_owned(), digest);
        }
    }
    Ok(digests)
}

/// The content of one.
///
/// # Errors
/// The file cannot be read, or is not as it was written.
pub(super) fn read(folder: &Path, record: &ModelRecord, name: &str) -> Result<Vec<u8>, RunError> {
    let file = folder.join(name);
    let bytes = std::fs::read(&file).map_err(RunError::io("read", &file))?;
    if record.files.get(name).is_some_and(|digest| *digest != cei_files::sha256(&bytes)) {
        let reason = format!("its checksum is not that in `{RECORD}`");
        return Err(RunError::Damaged { path: file, reason, hint: HINT });
    }
    Ok(bytes)
}
