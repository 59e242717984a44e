//! Tables that a program has in memory become files: a run can be evaluated later, by whom ever, and its digest is that of
//! a table that is still there.

use std::path::Path;

use cei_data::{ColumnData, TableWriter, header};
use cei_files::AtomicFile;
use cei_physics::Simulation;

use super::sidecar::{sidecar_path, sidecar_text};
use crate::RunError;

/// Writes a table, and beside it the simulation that made it, where that is known.
///
/// # Errors
/// A file that cannot be written; no table appears then.
pub fn write_given(
    path: &Path,
    columns: Vec<(String, ColumnData)>,
    simulation: Option<&Simulation>,
) -> Result<(), RunError> {
    let mut writer = TableWriter::create(path, &header(&columns))?;
    writer.write(columns.into_iter().map(|(_, data)| data).collect())?;
    let table = writer.complete()?;
    if let Some(simulation) = simulation {
        let mut sidecar = AtomicFile::create(&sidecar_path(path))?;
        sidecar.write_all(sidecar_text(simulation, &table.sha256()?).as_bytes())?;
        sidecar.commit()?;
    }
    Ok(table.commit()?)
}
