//! Simulating a data set into a file, with the configuration that made it beside it.

mod numbers;
mod prepared;
mod trial;

use std::path::{Path, PathBuf};

use cei_data::TableWriter;
use cei_files::{AtomicFile, Lock};
use cei_physics::{InitialMomenta, Simulation};

use crate::RunError;
use crate::dataset::{sidecar_path, sidecar_text};
use prepared::{CHUNK, Given, Prepared, columns, events_of, prepare};

pub use prepared::Geometries;
pub use trial::estimate_simulation;

/// What was simulated.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct SimulatedTable {
    /// The file.
    pub path: PathBuf,
    /// The configuration that made it, complete, with its events and seed.
    pub configuration: PathBuf,
    /// Rows written.
    pub events: usize,
    /// Column names.
    pub columns: Vec<String>,
    /// How given positions were read, where that was guessed or something was left out: for stderr.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// Simulates and writes a table, chunk by chunk; nothing appears if it fails. With `initial` it has the momenta with which
/// the ions start, too.
///
/// # Errors
/// A configuration without geometry law (unless positions are given), positions that do not fit, too many events, a
/// file that cannot be written, or that another process is writing.
///
/// ```
/// use cei_physics::Simulation;
/// use cei_run::config::preset_simulation;
/// use cei_run::simulate::{Geometries, simulate_to_file};
///
/// let simulation = Simulation { events: 100, seed: 1, ..preset_simulation("ocs-wide")? };
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("ocs.parquet");
/// let table = simulate_to_file(&simulation, &Geometries::Law, false, &path, |_, _| {})?;
/// assert_eq!((table.events, table.columns.len()), (100, 18));
/// // The configuration that made it stands beside it, and can be read again.
/// assert_eq!(cei_run::dataset::simulation_beside(&path)?, Some(simulation));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn simulate_to_file(
    simulation: &Simulation,
    geometries: &Geometries,
    initial: bool,
    path: &Path,
    mut progress: impl FnMut(usize, usize),
) -> Result<SimulatedTable, RunError> {
    let Prepared { mut header, given, further, remarks, events } =
        prepare(simulation, geometries, initial, path)?;
    let configuration = sidecar_path(path);
    header.extend(cei_data::header(&further));
    // Given positions are one chunk, which has them all.
    let mut further = Some(further);
    // Table and configuration are of one simulation, whoever else writes here.
    let _lock = Lock::acquire(path)?;
    let mut writer = TableWriter::create(path, &header)?;
    let mut sidecar = AtomicFile::create(&configuration)?;
    // Given positions are one call, since their row number is their random stream.
    let chunk = if given.is_some() { events } else { CHUNK };
    for start in (0..events).step_by(chunk) {
        let end = (start + chunk).min(events);
        let made = events_of(simulation, given.as_ref(), start..end)?;
        let own = columns(simulation, &made, initial);
        let batch = own.into_iter().chain(further.take().into_iter().flatten());
        writer.write(batch.map(|(_, data)| data).collect())?;
        progress(end, events);
    }
    let table = writer.complete()?;
    let initial_momenta = match &given {
        None => simulation.initial_momenta,
        Some(Given { momenta: Some(_), .. }) => InitialMomenta::Given,
        Some(Given { momenta: None, .. }) => InitialMomenta::Law,
    };
    let geometry = simulation.geometry.clone().filter(|_| given.is_none());
    let simulation = Simulation { events, initial_momenta, geometry, ..simulation.clone() };
    sidecar.write_all(sidecar_text(&simulation, &table.sha256()?).as_bytes())?;
    // Whatever happens between the two, the older table is not believed to be of the new simulation.
    sidecar.commit()?;
    table.commit()?;
    let columns = header.into_iter().map(|(name, _)| name).collect();
    Ok(SimulatedTable { path: path.to_owned(), configuration, events, columns, remarks })
}
