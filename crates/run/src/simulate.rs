//! Simulating a data set into a file, with the configuration that made it beside it.

mod numbers;
mod origin;
mod prepared;
mod trial;

use std::path::{Path, PathBuf};

use cei_data::{ColumnData, TableWriter};
use cei_files::{AtomicFile, Lock};
use cei_model::Team;
use cei_physics::{InitialMomenta, Simulation};

use crate::RunError;
use crate::dataset::{sidecar_path, sidecar_text};
use crate::shard::{Shard, ShardRecord, rows_of};
use prepared::{CHUNK, Given, Prepared, columns, events_of, prepare};

pub use prepared::{Geometries, SimulateOptions};
pub use trial::estimate_simulation;

/// What was simulated.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct SimulatedTable {
    /// The file.
    pub path: PathBuf,
    /// The configuration that made it, complete, with its events and seed; of a shard that of the whole.
    pub configuration: PathBuf,
    /// Rows written.
    pub events: usize,
    /// Which part of the events these are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
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
    progress: impl FnMut(usize, usize),
) -> Result<SimulatedTable, RunError> {
    let options = SimulateOptions { initial_momenta: initial, shard: None };
    simulate_with(simulation, geometries, &options, path, progress)
}

/// The same with all options. A shard has the very rows of the whole table, and beside it stands what it is a part of.
///
/// # Errors
/// As [`simulate_to_file`].
pub fn simulate_with(
    simulation: &Simulation,
    geometries: &Geometries,
    options: &SimulateOptions,
    path: &Path,
    progress: impl FnMut(usize, usize),
) -> Result<SimulatedTable, RunError> {
    write(simulation, geometries, options, &Team::default(), path, progress)
}

/// The same by the processes of a team, which share the events. Only the first one writes, and knows what.
///
/// # Errors
/// As [`simulate_to_file`].
pub fn simulate_in_team(
    simulation: &Simulation,
    geometries: &Geometries,
    options: &SimulateOptions,
    team: &Team,
    path: &Path,
    progress: impl FnMut(usize, usize),
) -> Result<Option<SimulatedTable>, RunError> {
    if team.leads() {
        return write(simulation, geometries, options, team, path, progress).map(Some);
    }
    let initial = options.initial_momenta;
    let Prepared { given, events, .. } = prepare(simulation, geometries, initial, path)?;
    let rows = rows_of(options.shard, events);
    for start in rows.clone().step_by(CHUNK) {
        let own = team.share(CHUNK.min(rows.end - start));
        let made = events_of(simulation, given.as_ref(), start + own.start..start + own.end)?;
        for (_, column) in columns(simulation, &made, initial) {
            team.send(0, &numbers(column));
        }
    }
    Ok(None)
}

/// The numbers of a simulated column.
fn numbers(column: ColumnData) -> Vec<f64> {
    match column {
        ColumnData::F64(numbers) => numbers,
        _ => unreachable!("what is simulated are numbers"),
    }
}

fn write(
    simulation: &Simulation,
    geometries: &Geometries,
    options: &SimulateOptions,
    team: &Team,
    path: &Path,
    mut progress: impl FnMut(usize, usize),
) -> Result<SimulatedTable, RunError> {
    let SimulateOptions { initial_momenta: initial, shard } = *options;
    let Prepared { mut header, given, further, remarks, events } =
        prepare(simulation, geometries, initial, path)?;
    let rows = rows_of(shard, events);
    let configuration = sidecar_path(path);
    header.extend(cei_data::header(&further));
    // Table and configuration are of one simulation, whoever else writes here.
    let _lock = Lock::acquire(path)?;
    let mut writer = TableWriter::create(path, &header)?;
    let mut sidecar = AtomicFile::create(&configuration)?;
    for start in rows.clone().step_by(CHUNK) {
        let end = (start + CHUNK).min(rows.end);
        let own = team.share(end - start);
        let made = events_of(simulation, given.as_ref(), start + own.start..start + own.end)?;
        let made = columns(simulation, &made, initial).into_iter();
        let mut made: Vec<Vec<f64>> = made.map(|(_, column)| numbers(column)).collect();
        for other in 1..team.size() {
            let count = team.share_of(other, end - start).len();
            for column in &mut made {
                let begin = column.len();
                column.resize(begin + count, 0.0);
                team.receive(other, &mut column[begin..]);
            }
        }
        let passed_on = further.iter().map(|(_, data)| data.select(start..end));
        writer.write(made.into_iter().map(ColumnData::F64).chain(passed_on).collect())?;
        progress(end - rows.start, rows.len());
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
    match shard {
        None => table.commit()?,
        Some(shard) => {
            let origin = origin::of(&simulation, geometries, initial)?;
            ShardRecord::new(shard, "simulate", "events", events, origin).commit(path, table)?;
        }
    }
    let columns = header.into_iter().map(|(name, _)| name).collect();
    let (path, events) = (path.to_owned(), rows.len());
    Ok(SimulatedTable { path, configuration, events, shard, columns, remarks })
}
