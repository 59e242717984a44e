//! Simulating a data set into a file, with the configuration that made it beside it.

use std::path::{Path, PathBuf};

use cei_data::{
    ColumnData, ColumnType, LoadedPositions, PositionUnit, TableWriter, is_xyz, load_positions,
};
use cei_files::{AtomicFile, Lock, Seal, check_outputs, seal_of, sealed, sha256_of_file};
use cei_physics::{Simulation, simulate_positions, simulate_range};
use ndarray::{Array2, Axis};

use crate::RunError;
use crate::config::{parse_with_overrides, read_text, to_toml};
use crate::later::{ReadingOptions, is_laid_out_xyz};

/// Events that are simulated and written at once.
const CHUNK: usize = 50_000;

/// Events of one table at most: more are a slip of the finger, and a disk full of them.
const MOST_EVENTS: usize = 1_000_000_000;

/// The line beside a table that holds its digest.
const TABLE: &str = "# SHA-256 of the table: ";

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

/// Where the positions of a simulation come from.
#[derive(Debug, Clone)]
pub enum Geometries {
    /// `simulation.events` draws of the geometry law.
    Law,
    /// A file: columns named like the output, or multi-frame XYZ.
    File {
        /// The file.
        path: PathBuf,
        /// Unit of its columns, bohr by default; none for XYZ, which is in angstrom.
        unit: Option<PositionUnit>,
        /// How a table is read.
        reading: ReadingOptions,
    },
}

/// Where the configuration of a simulated table stands: `table.csv.simulation.toml` beside `table.csv`.
pub fn configuration_path(table: &Path) -> PathBuf {
    let mut name = table.as_os_str().to_owned();
    name.push(".simulation.toml");
    name.into()
}

/// Where the configuration of a table stands, if it does.
fn sidecar_of(table: &Path) -> Option<PathBuf> {
    // Earlier versions left the extension out, so that tables of two formats shared one.
    let paths = [configuration_path(table), table.with_extension("simulation.toml")];
    paths.into_iter().find(|path| path.exists())
}

/// Whether a simulation stands beside a table.
pub(crate) fn is_simulated(table: &Path) -> bool {
    sidecar_of(table).is_some()
}

/// The configuration of a table as it is written beside it, bound to it by its digest.
fn sidecar_text(simulation: &Simulation, table_sha256: &str) -> String {
    sealed(&format!("{}{TABLE}{table_sha256}\n", to_toml(simulation)))
}

/// The digest of the table that a sidecar belongs to; none in those of earlier versions.
fn bound_to(sidecar: &str) -> Option<&str> {
    sidecar.lines().find_map(|line| line.strip_prefix(TABLE)).map(str::trim)
}

/// The simulation that made a table, read from beside it; none if nothing stands there.
///
/// # Errors
/// A file beside the table that cannot be read as a simulation, was changed, or belongs to another table.
pub fn simulation_beside(table: &Path) -> Result<Option<Simulation>, RunError> {
    let Some(path) = sidecar_of(table) else { return Ok(None) };
    let text = read_text(&path)?;
    if seal_of(&text) == Seal::Broken {
        return Err(RunError::SidecarEdited { sidecar: path });
    }
    if let Some(digest) = bound_to(&text)
        && digest != sha256_of_file(table).map_err(RunError::io("read", table))?
    {
        return Err(RunError::SidecarOfAnother { table: table.to_owned(), sidecar: path });
    }
    Ok(Some(parse_with_overrides(&text, &format!("`{}`", path.display()), &[])?))
}

/// What has to be said about what stands beside tables: that nothing proves that it belongs to them.
pub fn sidecar_remarks(tables: &[PathBuf]) -> Vec<String> {
    let unbound = |table: &PathBuf| {
        let sidecar = sidecar_of(table)?;
        let text = std::fs::read_to_string(&sidecar).ok()?;
        bound_to(&text).is_none().then(|| {
            format!(
                "remark: `{}` is believed to tell how `{}` was simulated; it does not hold the table's digest",
                sidecar.display(),
                table.display()
            )
        })
    };
    tables.iter().filter_map(unbound).collect()
}

/// The one simulation that made all of these tables, apart from their numbers of events and seeds:
/// that of the first. None if one was not simulated, or differently.
///
/// # Errors
/// A file beside a table that cannot be read as a simulation.
pub fn simulation_of(tables: &[PathBuf]) -> Result<Option<Simulation>, RunError> {
    let mut common: Option<Simulation> = None;
    for table in tables {
        let Some(found) = simulation_beside(table)? else { return Ok(None) };
        match &common {
            None => common = Some(found),
            Some(first) => {
                if *first != (Simulation { events: first.events, seed: first.seed, ..found }) {
                    return Ok(None);
                }
            }
        }
    }
    Ok(common)
}

/// Simulates and writes a table, chunk by chunk; nothing appears if it fails.
///
/// # Errors
/// A configuration without geometry law (unless positions are given), positions that do not fit, too many events, a
/// file that cannot be written, or that another process is writing.
pub fn simulate_to_file(
    simulation: &Simulation,
    geometries: &Geometries,
    path: &Path,
    mut progress: impl FnMut(usize, usize),
) -> Result<SimulatedTable, RunError> {
    let molecule = &simulation.molecule;
    let given = match geometries {
        Geometries::Law if simulation.geometry.is_none() => return Err(RunError::NoGeometry),
        Geometries::Law => None,
        Geometries::File { path, reading, .. } if is_laid_out_xyz(path, reading) => {
            return Err(RunError::LayoutOfXyz { path: path.clone() });
        }
        Geometries::File { path, unit: Some(_), .. } if is_xyz(&path.to_string_lossy()) => {
            return Err(RunError::UnitOfXyz { path: path.clone() });
        }
        Geometries::File { path, unit, reading } => {
            let source = reading.source(&[path.to_string_lossy().into_owned()]);
            Some(load_positions(&source, molecule, unit.as_ref().unwrap_or(&PositionUnit::Bohr))?)
        }
    };
    let configuration = configuration_path(path);
    if let Geometries::File { path: positions, .. } = geometries {
        check_outputs(&[positions], &[path, &configuration])?;
    }
    let mut columns = [molecule.position_columns(), molecule.momentum_columns()].concat();
    let (given, further, remarks) = match given {
        None => (None, Vec::new(), Vec::new()),
        Some(LoadedPositions { positions, mut remarks, further }) => {
            let (further, said) = further.beside(&columns);
            remarks.extend(said);
            (Some(positions), further, remarks)
        }
    };
    let events = given.as_ref().map_or(simulation.events, Array2::nrows);
    if events == 0 {
        return Err(RunError::TooSmall { key: "--events", value: 0, least: 1 });
    }
    if events > MOST_EVENTS {
        return Err(RunError::TooLarge { key: "--events", value: events, most: MOST_EVENTS });
    }
    let mut typed: Vec<(String, ColumnType)> =
        columns.iter().map(|name| (name.clone(), ColumnType::F64)).collect();
    typed.extend(further.iter().map(|(name, data)| (name.clone(), data.column_type())));
    columns.extend(further.iter().map(|(name, _)| name.clone()));
    // Given positions are one chunk, which has them all.
    let mut further = Some(further);
    // Table and configuration are of one simulation, whoever else writes here.
    let _lock = Lock::acquire(path)?;
    let mut writer = TableWriter::create(path, &typed)?;
    let mut sidecar = AtomicFile::create(&configuration)?;
    // Given positions are one call, since their row number is their random stream.
    let chunk = if given.is_some() { events } else { CHUNK };
    for start in (0..events).step_by(chunk) {
        let end = (start + chunk).min(events);
        let made = match &given {
            Some(positions) => simulate_positions(simulation, positions.view(), simulation.seed)?,
            None => simulate_range(simulation, start..end, simulation.seed)?,
        };
        let data = [&made.positions, &made.momenta]
            .into_iter()
            .flat_map(|matrix| matrix.axis_iter(Axis(1)))
            .map(|column| ColumnData::F64(column.to_vec()));
        let further = further.take().into_iter().flatten().map(|(_, data)| data);
        writer.write(data.chain(further).collect())?;
        progress(end, events);
    }
    let table = writer.complete()?;
    let simulation = Simulation { events, ..simulation.clone() };
    sidecar.write_all(sidecar_text(&simulation, &table.sha256()?).as_bytes())?;
    // Whatever happens between the two, the older table is not believed to be of the new simulation.
    sidecar.commit()?;
    table.commit()?;
    Ok(SimulatedTable { path: path.to_owned(), configuration, events, columns, remarks })
}
