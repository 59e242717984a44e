//! Geometries and motion of a molecule from a file of any kind.

use std::fmt;
use std::path::Path;

use cei_physics::Molecule;
use cei_physics::units::{ELECTRON_MASSES_PER_U, HARTREE_EV};
use ndarray::Array2;

use super::atoms::check_atoms;
use super::error::PositionsError;
use super::frames::{FrameMotion, Frames};
use super::initconds::{Program, program_of, read_initconds};
use super::xyz::{is_xyz, read_xyz};
use crate::error::LoadError;
use crate::further::Further;
use crate::load::{Selection, column_names, load_scaled};
use crate::motion::{MotionOptions, MotionUnit, Quantity};
use crate::reading::remarks;
use crate::source::{ColumnRef, Source};
use crate::units::PositionUnit;

/// Relative difference of masses from which on something is said.
const OTHER_MASS: f64 = 1e-3;

/// Momenta of molecules as a whole, in a.u., up to which they are rounding.
const WHOLE_AU: f64 = 0.1;

/// Positions from a file, and momenta if it has them.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadedPositions {
    /// `rows x 3 atoms`, bohr.
    pub positions: Array2<f64>,
    /// `rows x 3 atoms`, a.u.; none if the file has none, or they are not wanted.
    pub momenta: Option<Array2<f64>>,
    /// How the file was read, where that was guessed or something was left out: for stderr.
    pub remarks: Vec<String>,
    /// What else a table has of each row.
    pub further: Further,
}

/// A format that holds named atoms, and no columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramesFormat {
    /// XYZ.
    Xyz,
    /// Initial conditions of SHARC or Newton-X.
    InitialConditions(Program),
}

impl FramesFormat {
    /// The format of a file; none for a table, and for a file that cannot be opened.
    ///
    /// # Errors
    /// A file that is no text.
    pub fn of(path: &Path) -> Result<Option<Self>, LoadError> {
        if is_xyz(&path.to_string_lossy()) {
            return Ok(Some(Self::Xyz));
        }
        let is_text = path.is_file()
            && !path.extension().is_some_and(|end| {
                ["parquet", "pq"].iter().any(|parquet| end.eq_ignore_ascii_case(parquet))
            });
        let program = if is_text { program_of(path)? } else { None };
        Ok(program.map(Self::InitialConditions))
    }

    /// The unit of its positions.
    #[must_use]
    pub fn position_unit(self) -> &'static str {
        match self {
            Self::Xyz => "angstrom",
            Self::InitialConditions(_) => "bohr",
        }
    }
}

impl fmt::Display for FramesFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Xyz => "XYZ",
            Self::InitialConditions(Program::Sharc) => "a file of SHARC's initial conditions",
            Self::InitialConditions(Program::NewtonX) => "a file of Newton-X's initial conditions",
        })
    }
}

/// Positions of `molecule`, and the momenta of its atoms: from XYZ (`.xyz`, `.xyz.gz`; angstrom), from initial conditions
/// of SHARC or Newton-X (told by their first lines; bohr), or from the columns [`Molecule::position_columns`] of a table in
/// `unit`. Velocities become momenta by the masses of the molecule.
///
/// # Errors
/// What is wrong with the file; atoms that are not the molecule's, in its order; motion whose unit nobody knows.
pub fn load_positions(
    source: &Source,
    molecule: &Molecule,
    unit: &PositionUnit,
    motion: &MotionOptions,
) -> Result<LoadedPositions, PositionsError> {
    let [path] = &source.files[..] else {
        return load_table(source, molecule, unit, motion);
    };
    let path = Path::new(path);
    let frames = match FramesFormat::of(path)? {
        None => return load_table(source, molecule, unit, motion),
        Some(FramesFormat::Xyz) => read_xyz(path, motion.unit.is_some() && !motion.at_rest)?,
        Some(FramesFormat::InitialConditions(program)) => read_initconds(path, program)?,
    };
    if !motion.columns.is_empty() {
        return Err(PositionsError::MotionColumnsOfFrames { file: path.to_path_buf() });
    }
    check_atoms(path, &frames.labels, molecule)?;
    let Frames { positions, motion: found, masses_u, mut remarks, .. } = frames;
    remarks.extend(masses_u.and_then(|masses| mass_remark(path, &masses, molecule)));
    let momenta = match found {
        _ if motion.at_rest => None,
        None if motion.unit.is_some() => {
            let hint = "leave it out; extended XYZ names velocities or momenta in `Properties`, plain XYZ has them in the three cells behind a position";
            return Err(PositionsError::NoMotion { file: path.to_path_buf(), hint });
        }
        None => None,
        Some(found) => {
            let (momenta, said) = momenta_of(path, found, motion.unit.as_ref(), molecule);
            remarks.push(said);
            Some(momenta)
        }
    };
    Ok(LoadedPositions { positions, momenta, remarks, further: Further::default() })
}

fn load_table(
    source: &Source,
    molecule: &Molecule,
    unit: &PositionUnit,
    motion: &MotionOptions,
) -> Result<LoadedPositions, PositionsError> {
    let file = || source.files.first().map(Into::into).unwrap_or_default();
    // Positions are loaded as the side that must be there.
    let positions: Vec<ColumnRef> =
        molecule.position_columns().into_iter().map(ColumnRef::Name).collect();
    let moving = motion_columns(source, molecule, motion)?;
    let motion_unit = match (&motion.unit, moving.is_empty()) {
        (Some(_), true) if !motion.at_rest => {
            let hint = "name them by `--motion-columns`";
            return Err(PositionsError::NoMotion { file: file(), hint });
        }
        (Some(unit), _) => unit.clone(),
        (None, _) if !motion.columns.is_empty() && !motion.at_rest => {
            return Err(PositionsError::MotionUnitUnknown { file: file() });
        }
        // The columns that `cei simulate` writes.
        (None, _) => MotionUnit::momentum_au(),
    };
    let selection = Selection { x: moving, y: positions, ..Selection::default() };
    let table = load_scaled(source, &selection, (1.0, unit.factor()))?;
    let mut said = remarks(&table.readings);
    let momenta = (!selection.x.is_empty()).then(|| {
        let found = FrameMotion {
            values: table.x.clone(),
            name: format!("`{}`, ...", table.x_names[0]),
            unit: motion_unit,
            is_guess: false,
        };
        let (momenta, remark) = momenta_of(&file(), found, None, molecule);
        said.push(remark);
        momenta
    });
    let taken: Vec<ColumnRef> = selection.y.iter().chain(&selection.x).cloned().collect();
    let further = Further::load(source, &taken, &table.dropped.kept(table.y.nrows()))?;
    Ok(LoadedPositions { positions: table.y, momenta, remarks: said, further })
}

/// The columns of motion that a table has: those that are named, or all of those that `cei simulate` writes.
fn motion_columns(
    source: &Source,
    molecule: &Molecule,
    motion: &MotionOptions,
) -> Result<Vec<ColumnRef>, PositionsError> {
    if motion.at_rest {
        return Ok(Vec::new());
    }
    if !motion.columns.is_empty() {
        let (found, atoms) = (motion.columns.len(), molecule.atom_count());
        if found != 3 * atoms {
            return Err(PositionsError::MotionColumns { found, atoms });
        }
        return Ok(motion.columns.clone());
    }
    let own = molecule.initial_momentum_columns();
    let known = column_names(source)?;
    let all = own.iter().all(|name| known.contains(name));
    Ok(if all { own.into_iter().map(ColumnRef::Name).collect() } else { Vec::new() })
}

/// Momenta in a.u., and what has to be said about how they were understood.
fn momenta_of(
    path: &Path,
    found: FrameMotion,
    said: Option<&MotionUnit>,
    molecule: &Molecule,
) -> (Array2<f64>, String) {
    let FrameMotion { mut values, name, unit, is_guess } = found;
    let is_guess = is_guess && said.is_none();
    let unit = said.unwrap_or(&unit);
    let (mut energy, rows) = (0.0, values.nrows());
    for mut row in values.rows_mut() {
        for (c, value) in row.iter_mut().enumerate() {
            let mass = molecule.masses()[c / 3];
            *value *= unit.momentum(mass);
            energy += *value * *value / (2.0 * mass);
        }
    }
    let what = match unit.quantity() {
        Quantity::Momentum => format!("momenta in {unit}"),
        Quantity::Velocity => {
            format!("velocities in {unit}, which the masses of the molecule make momenta")
        }
    };
    let guess = match is_guess {
        true => "; the unit is a guess, `--motion-unit` says another one, `--at-rest` none",
        false => "",
    };
    let mean = HARTREE_EV * energy / rows.max(1) as f64;
    let whole = match whole_momentum(&values) {
        Some(momentum) => format!(
            "; the molecule moves as a whole, by up to {momentum:.2} a.u., which stays in its momenta"
        ),
        None => String::new(),
    };
    let remark = format!(
        "`{}`: the ions start with {name}, taken as {what}{guess}; their kinetic energy is {mean:.4} eV on average{whole}",
        path.display()
    );
    (values, remark)
}

/// The largest momentum of a molecule as a whole, in a.u.; none where it is rounding.
fn whole_momentum(momenta: &Array2<f64>) -> Option<f64> {
    let of_row = |row: ndarray::ArrayView1<'_, f64>| {
        let sum = |axis: usize| row.iter().skip(axis).step_by(3).sum::<f64>();
        (0..3).map(|axis| sum(axis).powi(2)).sum::<f64>().sqrt()
    };
    let largest = momenta.rows().into_iter().map(of_row).fold(0.0, f64::max);
    (largest > WHOLE_AU).then_some(largest)
}

/// That a file has other masses than the molecule.
fn mass_remark(path: &Path, masses_u: &[f64], molecule: &Molecule) -> Option<String> {
    let differs = |atom: &usize| {
        let own = molecule.masses()[*atom] / ELECTRON_MASSES_PER_U;
        (masses_u[*atom] / own - 1.0).abs() > OTHER_MASS
    };
    let worst = (0..molecule.atom_count().min(masses_u.len())).find(differs)?;
    Some(format!(
        "`{}`: atom `{}` has {} u there, but {:.6} u in `molecule`, which counts (`mass_u`, `isotopes` of `molecule`)",
        path.display(),
        molecule.labels()[worst],
        masses_u[worst],
        molecule.masses()[worst] / ELECTRON_MASSES_PER_U
    ))
}
