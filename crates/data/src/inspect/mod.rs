//! What a table holds: columns, units, dead columns, rank, momentum sums, kinetic energy release,
//! duplicates. Invalid cells are counted, never an error. Rows are read once and not kept.

mod columns;
mod far;
mod moments;

use std::path::PathBuf;

use cei_metrics::number;
use cei_physics::Molecule;
use serde::Serialize;

use self::columns::Sides;
use self::far::{Far, far_cells};
use self::moments::{Duplicates, Running, Side};
use crate::error::LoadError;
use crate::extremes::FarCell;
use crate::kinds::{Varying, is_still};
use crate::load::{DropCause, DropCounter, Scanned, locate, scan};
use crate::reading::Reading;
use crate::source::{ColumnRef, Source};
use crate::units::{MomentumUnit, PositionUnit};

/// The levels of the quantiles of the kinetic energy release.
const LEVELS: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];

/// Far cells of a side that are named one by one.
const MOST_NAMED: usize = 5;

/// What is known about a table beforehand; everything may be left empty.
#[derive(Clone, Debug, Default)]
pub struct InspectOptions {
    /// Position columns; recognised by names such as `cx` if empty.
    pub x: Vec<ColumnRef>,
    /// Momentum columns; recognised by names such as `pcx` if empty.
    pub y: Vec<ColumnRef>,
    /// Whether a side of which the table has no column is left out: the names are those of a configuration, which may
    /// be of a larger table.
    pub either_side: bool,
    /// The molecule, for masses; otherwise elements are guessed from column names.
    pub molecule: Option<Molecule>,
    /// Unit of the positions; guessed from magnitudes if absent.
    pub x_unit: Option<PositionUnit>,
    /// Unit of the momenta; guessed from magnitudes if absent.
    pub y_unit: Option<MomentumUnit>,
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
    /// Standard deviation for x, y and z, in atomic units, of independent noise of the momenta that explains the spread
    /// of their sum, if it is the same for every ion and the ions leave from rest. Absent where the unit is not known
    /// or the sum does not vary.
    #[serde(skip_serializing_if = "Option::is_none", with = "number")]
    pub momentum_noise_au: Option<[f64; 3]>,
    /// Kinetic energy release, where masses can be told and the unit of the momenta is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kinetic_energy_release: Option<EnergySummary>,
    /// What a reader must know: what was taken for granted, and what is remarkable about the numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
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
    /// Whether it does not vary, by the rule of training: beside columns of its kind, or of its molecule; another column
    /// by itself.
    pub dead: bool,
    /// Absent where no cell is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
}

/// The valid values of a column.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Range {
    /// Least value.
    #[serde(with = "number")]
    pub min: f64,
    /// Greatest value.
    #[serde(with = "number")]
    pub max: f64,
    /// Mean.
    #[serde(with = "number")]
    pub mean: f64,
    /// Standard deviation.
    #[serde(with = "number")]
    pub sd: f64,
}

/// All position columns, or all momentum columns.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SideSummary {
    /// Names.
    pub columns: Vec<String>,
    /// Names of those that do not vary.
    pub dead: Vec<String>,
    /// Independent directions in which the others vary (relative tolerance 1e-6, or the rounding of the file); absent where there are more than 300
    /// columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<usize>,
    /// The unit as it was declared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The unit, guessed from magnitudes; absent where it is declared, and where nothing can be guessed from.
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
    #[serde(with = "number")]
    pub mean: f64,
    /// Standard deviation.
    #[serde(with = "number")]
    pub sd: f64,
}

/// The kinetic energy release, `sum of p^2 / 2m`, in eV.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EnergySummary {
    /// Mean.
    #[serde(with = "number")]
    pub mean_ev: f64,
    /// Standard deviation.
    #[serde(with = "number")]
    pub sd_ev: f64,
    /// Pairs of level and value.
    #[serde(with = "number")]
    pub quantiles_ev: Vec<(f64, f64)>,
    /// Where the masses come from.
    pub masses: String,
}

/// Looks at all columns of a table. The source's `drop_invalid` makes no difference.
///
/// # Errors
/// Files that are missing, empty, unreadable or of different layouts; given columns that do not exist.
pub fn inspect(source: &Source, options: &InspectOptions) -> Result<Inspection, LoadError> {
    let mut counter = DropCounter::default();
    let mut found: Option<Found> = None;
    let Scanned { files, names, readings } = scan(source, None, &[], &mut |part| {
        let found = match &mut found {
            Some(found) => found,
            None => found
                .insert(Found::new(Sides::find(part.file, part.names, options)?, part.names.len())),
        };
        counter.add(&part.block, &part.block.valid_rows(), part.names);
        found.add(&part.block.values, part.names.len());
        Ok(())
    })?;
    let invalid = counter.finish();
    let Some(found) = found else { return Err(LoadError::NoFiles) };
    let Found { each, duplicates, positions: mut x, momenta: mut y, sides } = found;
    let Sides { mut remarks, masses, own_names, .. } = sides;
    let atoms = options.molecule.as_ref().map(Molecule::atom_count);
    let columns = summaries(&names, &each, [&x.columns, &y.columns], atoms);

    let position_guess = guess_position_unit(x.shortest_distance(), own_names);
    let momentum_guess = guess_momentum_unit(y.size(), &mut remarks, options.y_unit.as_ref());
    let factor = match (&options.y_unit, &momentum_guess) {
        (Some(MomentumUnit::None), _) => None,
        (Some(unit), _) => Some(unit.factor()),
        (None, Some(guess)) if guess.unit == "si" => Some(MomentumUnit::Si.factor()),
        (None, guess) => guess.as_ref().map(|_| 1.0),
    };
    let momentum_sum = y.sum();
    let mut momentum_noise_au = None;
    if let Some(sums) = &momentum_sum {
        let noise = noise_of_sums(sums, &y, &mut remarks);
        momentum_noise_au = noise.zip(factor).map(|(noise, factor)| noise.map(|sd| sd * factor));
    }
    for (names, side) in [(names_of(&columns, &x), &x), (names_of(&columns, &y), &y)] {
        remarks.extend(remarks_on_far_cells(&far_cells(side, &names), &readings));
    }
    let said = masses.map(|(_, said)| said);
    let energy = factor.zip(said).and_then(|(factor, said)| y.energy(factor, said));
    let x_unit = options.x_unit.as_ref().map(ToString::to_string);
    let y_unit = options.y_unit.as_ref().map(ToString::to_string);
    let positions = side(&columns, &mut x, x_unit, position_guess, &mut remarks);
    let momenta = side(&columns, &mut y, y_unit, momentum_guess, &mut remarks);
    Ok(Inspection {
        files,
        readings,
        rows: invalid.of,
        invalid_rows: invalid.rows,
        invalid: invalid.causes,
        duplicate_rows: duplicates.count(),
        positions,
        momenta,
        momentum_sum,
        momentum_noise_au,
        kinetic_energy_release: energy,
        remarks,
        columns,
    })
}

/// What accumulates over the rows.
struct Found {
    each: Running,
    duplicates: Duplicates,
    positions: Side,
    momenta: Side,
    sides: Sides,
}

impl Found {
    fn new(sides: Sides, columns: usize) -> Self {
        let masses = sides.masses.as_ref().map(|(masses, _)| masses.clone());
        Self {
            each: Running::new(columns),
            duplicates: Duplicates::default(),
            positions: Side::new(sides.x.clone(), Vec::new()),
            momenta: Side::new(sides.y.clone(), masses.unwrap_or_default()),
            sides,
        }
    }

    fn add(&mut self, rows: &[f64], columns: usize) {
        self.each.add(rows);
        self.duplicates.add(rows, columns);
        self.positions.add(rows, columns);
        self.momenta.add(rows, columns);
    }
}

/// Whether a column varies is told as it is before a training, apart from the gauge.
fn summaries(
    names: &[String],
    each: &Running,
    sides: [&[usize]; 2],
    atoms: Option<usize>,
) -> Vec<ColumnSummary> {
    let mut columns: Vec<ColumnSummary> = (0..names.len())
        .map(|index| {
            let range = each.range(index);
            let magnitude = range.map_or(0.0, |range| range.min.abs().max(range.max.abs()));
            ColumnSummary {
                name: names[index].clone(),
                role: Role::Other,
                invalid: each.invalid(index),
                dead: range.is_some_and(|range| is_still(range.sd, magnitude)),
                range,
            }
        })
        .collect();
    for (indices, role) in sides.into_iter().zip([Role::Position, Role::Momentum]) {
        let names: Vec<String> = indices.iter().map(|&index| names[index].clone()).collect();
        let ranges = || indices.iter().map(|&index| columns[index].range);
        let moments = ranges().map(|range| range.map_or((0.0, 0.0), |r| (r.mean, r.sd))).collect();
        let largest: Vec<f64> = ranges()
            .map(|range| range.map_or(0.0, |range| range.min.abs().max(range.max.abs())))
            .collect();
        let is_molecule = atoms.is_some_and(|atoms| 3 * atoms == indices.len());
        let varying = Varying::judge(&names, moments, &largest, is_molecule);
        for (place, &index) in indices.iter().enumerate() {
            let column = &mut columns[index];
            column.role = role;
            column.dead = column.range.is_some() && !varying.alive.contains(&place);
        }
    }
    columns
}

fn names_of(columns: &[ColumnSummary], side: &Side) -> Vec<String> {
    side.columns.iter().map(|&index| columns[index].name.clone()).collect()
}

/// Cells far from all others, as a training names them.
fn remarks_on_far_cells(cells: &[Far], readings: &[Reading]) -> Vec<String> {
    let in_words = |cell: &Far| {
        let Far { column, row, value, deviations, absurd } = cell;
        let at = locate(readings, *row, Some(column));
        let cell = FarCell { row: *row as usize, at, value: *value, deviations: *deviations };
        let what = if *absurd {
            "no measurement: a training refuses it, or leaves its row out with `--drop-invalid`"
        } else {
            "several times as far as any other before it: is it a measurement?"
        };
        format!("{cell}, {what}")
    };
    let mut lines: Vec<String> = cells.iter().take(MOST_NAMED).map(in_words).collect();
    if cells.len() > MOST_NAMED {
        lines.push(format!("at least {} more cells are as far", cells.len() - MOST_NAMED));
    }
    lines
}

fn side(
    columns: &[ColumnSummary],
    side: &mut Side,
    unit: Option<String>,
    guess: Option<UnitGuess>,
    remarks: &mut Vec<String>,
) -> Option<SideSummary> {
    if side.columns.is_empty() {
        return None;
    }
    let indices = side.columns.clone();
    let alive: Vec<usize> = (0..indices.len())
        .filter(|&place| columns[indices[place]].range.is_some() && !columns[indices[place]].dead)
        .collect();
    let name = |&index: &usize| columns[index].name.clone();
    let ranks = side.ranks(&alive);
    if let Some([plain, rank]) = ranks
        && rank < plain
    {
        let role = columns[indices[0]].role;
        let which = if role == Role::Position { "positions" } else { "momenta" };
        remarks.push(format!(
            "{which} vary in {plain} directions, but in {} of them only by the rounding of the file: {rank} are independent",
            plain - rank
        ));
    }
    Some(SideSummary {
        columns: indices.iter().map(name).collect(),
        dead: indices.iter().filter(|&&index| columns[index].dead).map(name).collect(),
        rank: ranks.map(|[_, rank]| rank),
        unit_guess: if unit.is_some() { None } else { guess },
        unit,
    })
}

/// By the shortest mean distance between two atoms: chemical bonds have 1 to 3 angstrom, a little more in stretched
/// molecules. Columns named as `cei` names its own are in bohr, if that is possible.
fn guess_position_unit(shortest: Option<f64>, own_names: bool) -> Option<UnitGuess> {
    let shortest = shortest?;
    let unit = match shortest {
        d if d < 0.6 => "nm",
        d if d < 1.95 && !own_names => "angstrom",
        d if d < 40.0 => "bohr",
        _ => "pm",
    };
    let mut reason =
        format!("guess: the shortest mean distance between two atoms is {shortest:.4} {unit}");
    if own_names && (0.6..1.95).contains(&shortest) {
        reason.push_str(
            ", and the columns are named as `cei` writes its own, in bohr; it could be angstrom",
        );
    }
    Some(UnitGuess { unit, reason })
}

/// By magnitude: fragments carry tens to hundreds of atomic units, that is about 1e-22 kg m/s.
fn guess_momentum_unit(
    size: Option<f64>,
    remarks: &mut Vec<String>,
    declared: Option<&MomentumUnit>,
) -> Option<UnitGuess> {
    let size = size.filter(|size| *size > 0.0)?;
    let unit = match size {
        s if s < 1e-12 => "si",
        s if (2.0..1e5).contains(&s) => "au",
        _ if declared.is_some() => return None,
        _ => {
            remarks.push(format!(
                "the unit of the momenta cannot be guessed: the root mean square component is {size:.4}, but fragments carry tens to hundreds of atomic units; give it with `--unit` (in 1e-22 kg m/s it would be {:.4} a.u.)",
                size * 1e-22 * MomentumUnit::Si.factor()
            ));
            return None;
        }
    };
    Some(UnitGuess {
        unit,
        reason: format!("guess: the root mean square component is {size:.4e} in the file's unit"),
    })
}

/// Part of the momenta's size below which their sum counts as zero: no detector is as good.
const ZERO_SUM: f64 = 1e-3;

/// The sd, in the file's unit, of equal and independent noise on every ion that explains the spread of the momentum
/// sum. None, with a remark, where the sum is zero.
fn noise_of_sums(sums: &[Moments; 3], y: &Side, remarks: &mut Vec<String>) -> Option<[f64; 3]> {
    let ions = y.columns.len() / 3;
    if ions < 2 || y.rows < 3 {
        return None;
    }
    let size =
        |axis: usize| (0..ions).map(|ion| y.each.moments(3 * ion + axis).sd).fold(0.0, f64::max);
    let sizes = [size(0), size(1), size(2)];
    let zero: Vec<&str> = ["x", "y", "z"]
        .into_iter()
        .zip(sums.iter().zip(sizes))
        .filter(|(_, (sum, size))| *size > 0.0 && sum.sd < ZERO_SUM * size)
        .map(|(axis, _)| axis)
        .collect();
    if !zero.is_empty() {
        remarks.push(format!(
            "the momenta of every event add up to zero along {}: they were simulated without noise, or an analysis has imposed it. If it was imposed, the errors of the ions depend on one another: the noise cannot be told from the sum, one ion's momentum says nothing that the others do not say, and a `[detector]` with independent noise of the ions does not describe the table",
            zero.join(", ")
        ));
        return None;
    }
    Some([0, 1, 2].map(|axis| sums[axis].sd / (ions as f64).sqrt()))
}
