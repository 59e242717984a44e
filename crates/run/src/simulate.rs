//! Simulating a data set into a file, with the configuration that made it beside it.

use std::path::{Path, PathBuf};

use cei_data::{
    ColumnData, LoadedPositions, PositionUnit, TableWriter, header, is_xyz, load_positions,
};
use cei_files::{AtomicFile, Lock, check_outputs};
use cei_physics::{Events, Molecule, Simulation, simulate_positions, simulate_range};
use ndarray::Array2;

use crate::RunError;
use crate::dataset::{ReadingOptions, is_laid_out_xyz, sidecar_path, sidecar_text};

/// Events that are simulated and written at once.
const CHUNK: usize = 50_000;

/// Events of one table at most: more are a slip of the finger, and a disk full of them.
const MOST_EVENTS: usize = 1_000_000_000;

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
    let configuration = sidecar_path(path);
    if let Geometries::File { path: positions, .. } = geometries {
        check_outputs(&[positions], &[path, &configuration])?;
    }
    let none = Array2::zeros((0, 3 * molecule.atom_count()));
    let none = Events { positions: none.clone(), momenta: none };
    let mut header = header(&columns(molecule, &none));
    let (given, further, remarks) = match given {
        None => (None, Vec::new(), Vec::new()),
        Some(LoadedPositions { positions, mut remarks, further }) => {
            let own: Vec<String> = header.iter().map(|(name, _)| name.clone()).collect();
            let (further, said) = further.beside(&own);
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
        let made = match &given {
            Some(positions) => simulate_positions(simulation, positions.view(), simulation.seed)?,
            None => simulate_range(simulation, start..end, simulation.seed)?,
        };
        let batch =
            columns(molecule, &made).into_iter().chain(further.take().into_iter().flatten());
        writer.write(batch.map(|(_, data)| data).collect())?;
        progress(end, events);
    }
    let table = writer.complete()?;
    let simulation = Simulation { events, ..simulation.clone() };
    sidecar.write_all(sidecar_text(&simulation, &table.sha256()?).as_bytes())?;
    // Whatever happens between the two, the older table is not believed to be of the new simulation.
    sidecar.commit()?;
    table.commit()?;
    let columns = header.into_iter().map(|(name, _)| name).collect();
    Ok(SimulatedTable { path: path.to_owned(), configuration, events, columns, remarks })
}

/// The columns of simulated events: positions (bohr) and momenta (a.u.).
fn columns(molecule: &Molecule, made: &Events) -> Vec<(String, ColumnData)> {
    let sides = [
        (molecule.position_columns(), &made.positions),
        (molecule.momentum_columns(), &made.momenta),
    ];
    let named = sides.into_iter().flat_map(|(names, side)| names.into_iter().zip(side.columns()));
    named.map(|(name, column)| (name, ColumnData::F64(column.to_vec()))).collect()
}
