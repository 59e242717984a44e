//! What a table holds: columns, units, dead columns, rank, momentum sums, kinetic energy release,
//! duplicates. Invalid cells are counted, never an error.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use cei_physics::Molecule;
use cei_physics::elements::mass_u;
use cei_physics::units::{ELECTRON_MASSES_PER_U, HARTREE_EV};
use ndarray::{Array2, ArrayView2, Axis};
use serde::Serialize;

use crate::error::LoadError;
use crate::load::{DropCause, DropCounter, Scanned, scan};
use crate::reading::Reading;
use crate::scaler::{mean_and_sd, quantile};
use crate::source::{ColumnRef, Source};
use crate::subspace;
use crate::units::{MomentumUnit, PositionUnit};

/// The levels of the quantiles of the kinetic energy release.
const LEVELS: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

/// What is known about a table beforehand; everything may be left empty.
#[derive(Clone, Debug, Default)]
pub struct InspectOptions {
    /// Position columns; recognised by names such as `cx` if empty.
    pub x: Vec<ColumnRef>,
    /// Momentum columns; recognised by names such as `pcx` if empty.
    pub y: Vec<ColumnRef>,
    /// The molecule, for masses; otherwise elements are guessed from column names.
    pub molecule: Option<Molecule>,
}

/// What a table holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// The files, in row order.
    pub files: Vec<PathBuf>,
    /// How each file was read, in the same order.
    pub readings: Vec<Reading>,
    /// Rows, valid or not.
    pub rows: u64,
    /// Rows with at least one invalid cell.
    pub invalid_rows: u64,
    /// Invalid cells by reason and column.
    pub invalid: Vec<DropCause>,
    /// Rows that repeat an earlier row in every column, bit for bit.
    pub duplicate_rows: u64,
    /// Every column of the files.
    pub columns: Vec<ColumnSummary>,
    /// The position columns as a whole, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positions: Option<SideSummary>,
    /// The momentum columns as a whole, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momenta: Option<SideSummary>,
    /// Sum of the momenta over the atoms for x, y and z, in the file's unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum_sum: Option<[Moments; 3]>,
    /// Kinetic energy release, where masses can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kinetic_energy_release: Option<EnergySummary>,
}

/// What a column is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A position.
    Position,
    /// A momentum.
    Momentum,
    /// Anything else.
    Other,
}

/// One column; numbers are of its valid cells and in the file's unit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColumnSummary {
    /// Name, or `column 3` (0-based) without a header.
    pub name: String,
    /// What it is taken for.
    pub role: Role,
    /// Cells that are no finite number.
    pub invalid: u64,
    /// Whether its sd is below 1e-9 of the largest sd of its side; for other columns, zero.
    pub dead: bool,
    /// Absent where no cell is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
}

/// The valid values of a column.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Range {
    /// Least value.
    pub min: f64,
    /// Greatest value.
    pub max: f64,
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub sd: f64,
}

/// All position columns, or all momentum columns.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SideSummary {
    /// Names.
    pub columns: Vec<String>,
    /// Names of those that do not vary.
    pub dead: Vec<String>,
    /// Independent directions in which the others vary (relative tolerance 1e-6).
    pub rank: usize,
    /// The unit, guessed from magnitudes; absent where nothing can be guessed from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit_guess: Option<UnitGuess>,
}

/// A unit guessed from magnitudes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UnitGuess {
    /// As it is written in a configuration.
    pub unit: &'static str,
    /// What the guess rests on.
    pub reason: String,
}

/// Mean and standard deviation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Moments {
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub sd: f64,
}

/// The kinetic energy release, `sum of p^2 / 2m`, in eV.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EnergySummary {
    /// Mean.
    pub mean_ev: f64,
    /// Standard deviation.
    pub sd_ev: f64,
    /// Pairs of level and value.
    pub quantiles_ev: Vec<(f64, f64)>,
    /// Where the masses come from.
    pub masses: String,
}

/// Looks at all columns of a table. The source's `drop_invalid` makes no difference.
///
/// # Errors
/// Files that are missing, empty, unreadable or of different layouts; given columns that do not exist.
pub fn inspect(source: &Source, options: &InspectOptions) -> Result<Inspection, LoadError> {
    let mut values: Vec<f64> = Vec::new();
    let mut counter = DropCounter::default();
    let Scanned { files, names, readings } = scan(source, None, &[], &mut |part| {
        counter.add(&part.block, &part.block.valid_rows(), part.names);
        values.extend_from_slice(&part.block.values);
        Ok(())
    })?;
    let invalid = counter.finish();
    let table = Array2::from_shape_vec((values.len() / names.len(), names.len()), values)
        .unwrap_or_else(|_| Array2::zeros((0, names.len())));

    let guessed = atoms_by_name(&names);
    let given = |columns: &[ColumnRef]| given_columns(&files, &names, columns);
    let (x, y) = match &options.molecule {
        _ if !options.x.is_empty() || !options.y.is_empty() => {
            (given(&options.x)?, given(&options.y)?)
        }
        Some(molecule) => (
            present(&names, &molecule.position_columns()),
            present(&names, &molecule.momentum_columns()),
        ),
        None => guessed_columns(&guessed),
    };
    let role = |index: usize| {
        if x.contains(&index) {
            Role::Position
        } else if y.contains(&index) {
            Role::Momentum
        } else {
            Role::Other
        }
    };
    let ranges: Vec<Option<Range>> = (0..names.len()).map(|index| range(&table, index)).collect();
    let largest_sd = |role_wanted: Role| {
        let sds = ranges.iter().enumerate().filter(|(index, _)| role(*index) == role_wanted);
        sds.filter_map(|(_, range)| range.map(|range| range.sd)).fold(0.0, f64::max)
    };
    let largest = [largest_sd(Role::Position), largest_sd(Role::Momentum), 0.0];
    let columns: Vec<ColumnSummary> = (0..names.len())
        .map(|index| ColumnSummary {
            name: names[index].clone(),
            role: role(index),
            invalid: table.column(index).iter().filter(|value| value.is_nan()).count() as u64,
            dead: ranges[index]
                .is_some_and(|range| range.sd <= 1e-9 * largest[role(index) as usize]),
            range: ranges[index],
        })
        .collect();

    let momenta = complete_rows(&table, &y);
    let positions = complete_rows(&table, &x);
    let position_guess = guess_position_unit(positions.view());
    let momentum_guess = guess_momentum_unit(momenta.view());
    let masses = masses(options.molecule.as_ref(), &guessed, &names, &y);
    let energy = masses.map(|(masses, origin)| {
        let factor = match &momentum_guess {
            Some(guess) if guess.unit == "si" => MomentumUnit::Si.factor(),
            _ => 1.0,
        };
        energy_summary(momenta.view(), factor, &masses, origin)
    });
    Ok(Inspection {
        files,
        readings,
        rows: invalid.of,
        invalid_rows: invalid.rows,
        invalid: invalid.causes,
        duplicate_rows: duplicates(&table),
        positions: side(&columns, &x, positions.view(), position_guess),
        momentum_sum: momentum_sum(momenta.view()),
        kinetic_energy_release: energy.flatten(),
        momenta: side(&columns, &y, momenta.view(), momentum_guess),
        columns,
    })
}

/// What may stand between the parts of a column's name.
const SEPARATORS: [char; 4] = ['_', '.', '-', ' '];

/// An atom of which three columns of one kind were recognised.
struct NamedAtom {
    label: String,
    columns: [usize; 3],
    momentum: bool,
}

/// Atoms by names such as `cx cy cz` and `pcx pcy pcz`, or `C_x` and `p_C_x`. `pcx` is a momentum if there is a
/// position `cx` or an element C; so `px py pz` are positions of phosphorus.
fn atoms_by_name(names: &[String]) -> Vec<NamedAtom> {
    let find =
        |name: String| names.iter().position(|candidate| candidate.eq_ignore_ascii_case(&name));
    let triple = |label: &str| {
        Some([find(format!("{label}x"))?, find(format!("{label}y"))?, find(format!("{label}z"))?])
    };
    let mut atoms = Vec::new();
    for name in names {
        let Some(label) = name.strip_suffix(['x', 'X']).filter(|label| !label.is_empty()) else {
            continue;
        };
        let Some(columns) = triple(label) else {
            continue;
        };
        let of_momentum = label.strip_prefix(['p', 'P']).filter(|rest| {
            let rest = rest.trim_start_matches(SEPARATORS);
            let atom = rest.trim_end_matches(SEPARATORS);
            // `Pb_x` beside `p_Pb_x` is a position of lead and no momentum of boron.
            let is_position = ["p", "p_"].iter().any(|p| triple(&format!("{p}{label}")).is_some());
            !atom.is_empty()
                && !is_position
                && (triple(rest).is_some() || element_mass(atom).is_some())
        });
        atoms.push(NamedAtom {
            label: of_momentum.unwrap_or(label).trim_matches(SEPARATORS).to_owned(),
            columns,
            momentum: of_momentum.is_some(),
        });
    }
    atoms
}

fn guessed_columns(atoms: &[NamedAtom]) -> (Vec<usize>, Vec<usize>) {
    let of = |momentum| {
        let atoms = atoms.iter().filter(|atom| atom.momentum == momentum);
        atoms.flat_map(|atom| atom.columns).collect()
    };
    (of(false), of(true))
}

fn given_columns(
    files: &[PathBuf],
    names: &[String],
    columns: &[ColumnRef],
) -> Result<Vec<usize>, LoadError> {
    let known = crate::table_file::Columns::of_text(Some(names.to_vec()), names.len());
    columns.iter().map(|column| known.find(&files[0], column)).collect()
}

fn present(names: &[String], wanted: &[String]) -> Vec<usize> {
    let found: Vec<usize> = wanted
        .iter()
        .filter_map(|name| names.iter().position(|candidate| candidate == name))
        .collect();
    if found.len() == wanted.len() { found } else { Vec::new() }
}

/// Mass in u of an element named in any case, perhaps followed by a number: `br1`.
fn element_mass(label: &str) -> Option<f64> {
    let letters = label.trim_end_matches(|c: char| c.is_ascii_digit());
    let (first, rest) = letters.split_at_checked(1)?;
    mass_u(&format!("{}{}", first.to_uppercase(), rest.to_lowercase()))
}

/// Electron masses of the atoms of the momentum columns, and where they come from.
fn masses(
    molecule: Option<&Molecule>,
    guessed: &[NamedAtom],
    names: &[String],
    y: &[usize],
) -> Option<(Vec<f64>, String)> {
    if let Some(molecule) = molecule {
        let fits = y.len() == 3 * molecule.atom_count();
        return fits.then(|| (molecule.masses().to_vec(), "of the given molecule".to_owned()));
    }
    let atoms: Vec<&NamedAtom> = y
        .chunks(3)
        .map(|columns| guessed.iter().find(|atom| atom.momentum && atom.columns == columns))
        .collect::<Option<_>>()?;
    let masses: Vec<f64> = atoms
        .iter()
        .map(|atom| element_mass(&atom.label).map(|mass| mass * ELECTRON_MASSES_PER_U))
        .collect::<Option<_>>()?;
    let said: Vec<String> = atoms
        .iter()
        .zip(&masses)
        .map(|(atom, mass)| {
            format!("`{}` {:.3} u", names[atom.columns[0]], mass / ELECTRON_MASSES_PER_U)
        })
        .collect();
    (!masses.is_empty())
        .then(|| (masses, format!("guessed from column names: {}", said.join(", "))))
}

fn range(table: &Array2<f64>, index: usize) -> Option<Range> {
    let valid: ndarray::Array1<f64> =
        table.column(index).iter().copied().filter(|value| !value.is_nan()).collect();
    if valid.is_empty() {
        return None;
    }
    let (mean, sd) = mean_and_sd(&valid.view());
    Some(Range {
        min: valid.iter().copied().fold(f64::INFINITY, f64::min),
        max: valid.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        mean,
        sd,
    })
}

/// The columns `indices` of the rows in which all of them are valid.
fn complete_rows(table: &Array2<f64>, indices: &[usize]) -> Array2<f64> {
    let columns = table.select(Axis(1), indices);
    let complete: Vec<usize> = (0..columns.nrows())
        .filter(|&row| columns.row(row).iter().all(|value| !value.is_nan()))
        .collect();
    if complete.len() == columns.nrows() { columns } else { columns.select(Axis(0), &complete) }
}

fn side(
    columns: &[ColumnSummary],
    indices: &[usize],
    rows: ArrayView2<'_, f64>,
    unit_guess: Option<UnitGuess>,
) -> Option<SideSummary> {
    if indices.is_empty() {
        return None;
    }
    let alive: Vec<usize> = (0..indices.len())
        .filter(|&place| columns[indices[place]].range.is_some() && !columns[indices[place]].dead)
        .collect();
    let rows = rows.select(Axis(1), &alive);
    let (means, sds): (Vec<f64>, Vec<f64>) =
        rows.columns().into_iter().map(|column| mean_and_sd(&column)).unzip();
    // Among the complete rows a column may be constant that is not constant elsewhere.
    let varies = sds.iter().all(|&sd| sd > 0.0) && !sds.is_empty();
    let rank = if varies { subspace::rank(rows.view(), &means, &sds, 1e-6) } else { 0 };
    let name = |&index: &usize| columns[index].name.clone();
    Some(SideSummary {
        columns: indices.iter().map(name).collect(),
        dead: indices.iter().filter(|&&index| columns[index].dead).map(name).collect(),
        rank,
        unit_guess,
    })
}

/// By the shortest mean distance between two atoms: chemical bonds have 1 to 3 angstrom, a little
/// more in stretched molecules.
fn guess_position_unit(rows: ArrayView2<'_, f64>) -> Option<UnitGuess> {
    let atoms = rows.ncols() / 3;
    if atoms < 2 || !rows.ncols().is_multiple_of(3) || rows.nrows() == 0 {
        return None;
    }
    let mean_distance = |first: usize, second: usize| {
        let distance = |row: ndarray::ArrayView1<'_, f64>| {
            (0..3)
                .map(|axis| (row[3 * first + axis] - row[3 * second + axis]).powi(2))
                .sum::<f64>()
                .sqrt()
        };
        rows.rows().into_iter().map(distance).sum::<f64>() / rows.nrows() as f64
    };
    let shortest = (0..atoms)
        .flat_map(|first| (first + 1..atoms).map(move |second| (first, second)))
        .map(|(first, second)| mean_distance(first, second))
        .fold(f64::INFINITY, f64::min);
    let unit = match shortest {
        d if d < 0.6 => PositionUnit::Nm,
        d if d < 1.95 => PositionUnit::Angstrom,
        d if d < 40.0 => PositionUnit::Bohr,
        _ => PositionUnit::Pm,
    };
    let unit = match unit {
        PositionUnit::Nm => "nm",
        PositionUnit::Angstrom => "angstrom",
        PositionUnit::Bohr => "bohr",
        PositionUnit::Pm => "pm",
        PositionUnit::None => "none",
    };
    Some(UnitGuess {
        unit,
        reason: format!(
            "guess: the shortest mean distance between two atoms is {shortest:.4} {unit}"
        ),
    })
}

/// By magnitude: fragments carry tens to hundreds of atomic units, that is about 1e-22 kg m/s.
fn guess_momentum_unit(rows: ArrayView2<'_, f64>) -> Option<UnitGuess> {
    if rows.is_empty() {
        return None;
    }
    let mean_square = rows.iter().map(|value| value * value).sum::<f64>() / rows.len() as f64;
    let size = mean_square.sqrt();
    let unit = if size < 1e-12 { "si" } else { "au" };
    Some(UnitGuess {
        unit,
        reason: format!("guess: the root mean square component is {size:.4e} in the file's unit"),
    })
}

fn momentum_sum(rows: ArrayView2<'_, f64>) -> Option<[Moments; 3]> {
    if rows.is_empty() || !rows.ncols().is_multiple_of(3) {
        return None;
    }
    Some([0, 1, 2].map(|axis| {
        let sums: ndarray::Array1<f64> =
            rows.rows().into_iter().map(|row| row.iter().skip(axis).step_by(3).sum()).collect();
        let (mean, sd) = mean_and_sd(&sums.view());
        Moments { mean, sd }
    }))
}

fn energy_summary(
    rows: ArrayView2<'_, f64>,
    factor: f64,
    masses: &[f64],
    origin: String,
) -> Option<EnergySummary> {
    if rows.is_empty() {
        return None;
    }
    let mut energies: Vec<f64> = rows
        .rows()
        .into_iter()
        .map(|row| {
            let squares = row.iter().map(|p| (p * factor).powi(2)).collect::<Vec<_>>();
            let atoms = squares.chunks(3).zip(masses);
            atoms.map(|(p2, mass)| p2.iter().sum::<f64>() / (2.0 * mass)).sum::<f64>() * HARTREE_EV
        })
        .collect();
    energies.sort_unstable_by(f64::total_cmp);
    let (mean_ev, sd_ev) = mean_and_sd(&ndarray::ArrayView1::from(&energies));
    let quantiles_ev = LEVELS.map(|level| (level, quantile(&energies, level))).to_vec();
    Some(EnergySummary { mean_ev, sd_ev, quantiles_ev, masses: origin })
}

fn duplicates(table: &Array2<f64>) -> u64 {
    let mut seen = HashSet::with_capacity(table.nrows());
    let hash = |row: ndarray::ArrayView1<'_, f64>| {
        let mut hasher = DefaultHasher::new();
        row.iter().for_each(|value| value.to_bits().hash(&mut hasher));
        hasher.finish()
    };
    table.rows().into_iter().filter(|row| !seen.insert(hash(*row))).count() as u64
}
