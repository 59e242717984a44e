//! Simulating a data set into a file, with the configuration that made it beside it.

mod numbers;

use std::ops::Range;
use std::path::{Path, PathBuf};

use cei_data::{
    ColumnData, FramesFormat, LoadedPositions, MotionOptions, PositionUnit, PositionsError,
    TableWriter, header, load_positions,
};
use cei_files::{AtomicFile, Lock, check_outputs};
use cei_physics::{
    Events, GivenRows, InitialMomenta, Molecule, Simulation, simulate_given, simulate_range,
};
use ndarray::Array2;

use crate::RunError;
use crate::dataset::{ReadingOptions, sidecar_path, sidecar_text};
use numbers::GivenNumbers;

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
    /// A file: columns named like the output, multi-frame XYZ, or initial conditions of a dynamics program.
    File {
        /// The file.
        path: PathBuf,
        /// Unit of its columns, bohr by default; none for a format that has one.
        unit: Option<PositionUnit>,
        /// What is said about the momenta or velocities of its atoms.
        motion: MotionOptions,
        /// How a table is read.
        reading: ReadingOptions,
    },
}

/// What is read of a file of geometries.
struct Given {
    positions: Array2<f64>,
    momenta: Option<Array2<f64>>,
    /// Of each nuisance, its value in each row, if the file has it.
    numbers: Vec<Option<Vec<f64>>>,
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
    let molecule = &simulation.molecule;
    if matches!(geometries, Geometries::Law) && simulation.geometry.is_none() {
        return Err(RunError::NoGeometry);
    }
    let loaded = load(molecule, geometries)?;
    let configuration = sidecar_path(path);
    if let Geometries::File { path: positions, .. } = geometries {
        check_outputs(&[positions], &[path, &configuration])?;
    }
    let none = |columns: usize| Array2::zeros((0, columns));
    let components = 3 * molecule.atom_count();
    let none = Events {
        positions: none(components),
        momenta: none(components),
        initial_momenta: None,
        nuisances: none(simulation.nuisances().len()),
        charges: none(if simulation.has_channels() { molecule.atom_count() } else { 0 }),
    };
    let mut header = header(&columns(simulation, &none, initial));
    let (given, further, remarks) = match (loaded, geometries) {
        (None, _) | (_, Geometries::Law) => (None, Vec::new(), simulation.remarks()?),
        (
            Some(LoadedPositions { positions, momenta, mut remarks, mut further }),
            Geometries::File { path, .. },
        ) => {
            remarks.extend(rest_remark(simulation, geometries, momenta.is_some()));
            remarks.extend(law_remark(simulation, geometries));
            let numbers = GivenNumbers::take(path, &simulation.nuisances(), &mut further)?;
            remarks.extend(numbers.remarks);
            let own: Vec<String> = header.iter().map(|(name, _)| name.clone()).collect();
            let (further, said) = further.beside(&own);
            remarks.extend(said);
            (Some(Given { positions, momenta, numbers: numbers.values }), further, remarks)
        }
    };
    let events = given.as_ref().map_or(simulation.events, |given| given.positions.nrows());
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

/// What a file gives of the geometries; none for those of the law.
fn load(molecule: &Molecule, geometries: &Geometries) -> Result<Option<LoadedPositions>, RunError> {
    let Geometries::File { path, unit, motion, reading } = geometries else { return Ok(None) };
    if let Some(format) = FramesFormat::of(path).map_err(PositionsError::from)? {
        if !reading.says_nothing() {
            return Err(RunError::LayoutOfFrames { path: path.clone(), format });
        }
        if unit.is_some() {
            return Err(RunError::UnitOfFrames { path: path.clone(), format });
        }
    }
    let source = reading.source(&[path.to_string_lossy().into_owned()]);
    let unit = unit.as_ref().unwrap_or(&PositionUnit::Bohr);
    Ok(Some(load_positions(&source, molecule, unit, motion)?))
}

/// That the geometry law has nothing to do with the table.
fn law_remark(simulation: &Simulation, geometries: &Geometries) -> Option<String> {
    let Geometries::File { path, .. } = geometries else { return None };
    let path = path.display();
    simulation.geometry.as_ref().map(|_| {
        format!("`{path}`: the positions are those of the file; `[geometry]` does not apply, and is not recorded beside the table")
    })
}

/// That ions start at rest though a file could have said otherwise.
fn rest_remark(simulation: &Simulation, geometries: &Geometries, moving: bool) -> Option<String> {
    let Geometries::File { path, motion, .. } = geometries else { return None };
    if moving || motion.at_rest {
        return None;
    }
    let path = path.display();
    Some(if simulation.temperature_k > 0.0 {
        format!(
            "`{path}`: the file has no velocities; the ions start with thermal momenta (`temperature_k`)"
        )
    } else {
        format!("`{path}`: ions start at rest: the file has no velocities")
    })
}

fn events_of(
    simulation: &Simulation,
    given: Option<&Given>,
    range: Range<usize>,
) -> Result<Events, RunError> {
    let seed = simulation.seed;
    Ok(match given {
        None => simulate_range(simulation, range, seed)?,
        Some(Given { positions, momenta, numbers }) => {
            let rows = GivenRows {
                positions: positions.view(),
                momenta: momenta.as_ref().map(|momenta| momenta.view()),
                nuisances: numbers.iter().map(Option::as_deref).collect(),
            };
            simulate_given(simulation, &rows, seed)?
        }
    })
}

/// The columns of simulated events: positions (bohr), momenta (a.u.), nuisances in the units of their names, charges
/// where these differ between events, and with
/// `initial` the momenta (a.u.) at the start, zero at rest.
fn columns(simulation: &Simulation, made: &Events, initial: bool) -> Vec<(String, ColumnData)> {
    let molecule = &simulation.molecule;
    let at_rest = Array2::zeros(if initial { made.momenta.dim() } else { (0, 0) });
    let nuisances = simulation.nuisances().into_iter().map(|nuisance| nuisance.name);
    let mut sides = vec![
        (molecule.position_columns(), &made.positions),
        (molecule.momentum_columns(), &made.momenta),
        (nuisances.collect(), &made.nuisances),
        (molecule.charge_columns(), &made.charges),
    ];
    if initial {
        let momenta = made.initial_momenta.as_ref().unwrap_or(&at_rest);
        sides.push((molecule.initial_momentum_columns(), momenta));
    }
    let named = sides.into_iter().flat_map(|(names, side)| names.into_iter().zip(side.columns()));
    named.map(|(name, column)| (name, ColumnData::F64(column.to_vec()))).collect()
}
