//! What a simulation begins with, and how its events become columns.

use std::ops::Range;
use std::path::{Path, PathBuf};

use cei_data::{
    ColumnData, ColumnType, FramesFormat, LoadedPositions, MotionOptions, PositionUnit,
    PositionsError, header, load_positions,
};
use cei_files::check_outputs;
use cei_physics::{Events, GivenRows, Molecule, Simulation, simulate_given_range, simulate_range};
use ndarray::Array2;

use super::numbers::GivenNumbers;
use crate::RunError;
use crate::dataset::{ReadingOptions, sidecar_path};
use crate::shard::Shard;

/// Events that are simulated and written at once.
pub(super) const CHUNK: usize = 50_000;

/// Events of one table at most: more are a slip of the finger, and a disk full of them.
const MOST_EVENTS: usize = 1_000_000_000;

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

/// What is asked for beside the simulation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SimulateOptions {
    /// Whether the table has the momenta with which the ions start, too.
    pub initial_momenta: bool,
    /// Which part of the events; all if none.
    pub shard: Option<Shard>,
}

/// What is read of a file of geometries.
pub(super) struct Given {
    pub(super) positions: Array2<f64>,
    pub(super) momenta: Option<Array2<f64>>,
    /// Of each nuisance, its value in each row, if the file has it.
    pub(super) numbers: Vec<Option<Vec<f64>>>,
}

/// What is known before anything is simulated.
pub(super) struct Prepared {
    /// Of the columns that the simulation makes.
    pub(super) header: Vec<(String, ColumnType)>,
    pub(super) given: Option<Given>,
    /// Columns of a file that are passed on.
    pub(super) further: Vec<(String, ColumnData)>,
    pub(super) remarks: Vec<String>,
    pub(super) events: usize,
}

pub(super) fn prepare(
    simulation: &Simulation,
    geometries: &Geometries,
    initial: bool,
    path: &Path,
) -> Result<Prepared, RunError> {
    let molecule = &simulation.molecule;
    if matches!(geometries, Geometries::Law) && simulation.geometry.is_none() {
        return Err(RunError::NoGeometry);
    }
    let loaded = load(molecule, geometries)?;
    if let Geometries::File { path: positions, .. } = geometries {
        check_outputs(&[positions], &[path, &sidecar_path(path)])?;
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
    let header = header(&columns(simulation, &none, initial));
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
    Ok(Prepared { header, given, further, remarks, events })
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

pub(super) fn events_of(
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
            simulate_given_range(simulation, &rows, range, seed)?
        }
    })
}

/// The columns of simulated events: positions (bohr), momenta (a.u.), nuisances in the units of their names, charges
/// where these differ between events, and with
/// `initial` the momenta (a.u.) at the start, zero at rest.
pub(super) fn columns(
    simulation: &Simulation,
    made: &Events,
    initial: bool,
) -> Vec<(String, ColumnData)> {
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
