//! What a table holds: columns, units, dead columns, rank, momentum sums, directions, kinetic energy release,
//! duplicates. Invalid cells are counted, never an error. Rows are read once and not kept, but for as many
//! of their energies, and of momenta that are asked for, as there is room for: memory does not follow the length.

mod columns;
mod detected;
mod directions;
mod energies;
mod far;
mod kept;
mod moments;
mod repeats;
mod running;
mod summary;

use std::path::Path;

use cei_physics::Molecule;

use self::columns::Sides;
use self::detected::Sets;
pub use self::directions::Directions;
use self::far::Far;
use self::kept::Kept;
use self::moments::{Side, Sums};
use self::repeats::Repeats;
use self::running::Running;
pub use self::summary::{
    ColumnSummary, DetectedIons, EnergySummary, InspectOptions, Inspection, IonMomenta, Moments,
    Range, Role, SideSummary, UnitGuess,
};
use crate::error::{FarCell, LoadError};
use crate::kinds::{Varying, is_still};
use crate::load::{DropCounter, Part, Scanned, locate, scan};
use crate::missing::MayMiss;
use crate::reading::Reading;
use crate::source::Source;
use crate::sum_gate::{CentreOfMass, Gated};
use crate::units::MomentumUnit;

/// Far cells of a side that are named one by one.
const MOST_NAMED: usize = 5;

/// Looks at all columns of a table. The source's `drop_invalid` makes no difference.
///
/// # Errors
/// Files that are missing, empty, unreadable or of different layouts; given columns that do not exist.
pub fn inspect(source: &Source, options: &InspectOptions) -> Result<Inspection, LoadError> {
    let mut counter = DropCounter::without_numbers();
    let mut found: Option<Found> = None;
    let Scanned { files, names, readings } = scan(source, None, &[], &mut |mut part| {
        let found = match &mut found {
            Some(found) => found,
            None => found.insert(Found::new(
                Sides::find(part.file, part.names, options)?,
                &part,
                options,
            )?),
        };
        found.may_miss.resolve(&mut part.block);
        counter.add(&part.block, &part.block.valid_rows(), part.names);
        found.add(&part.block.values, part.names.len());
        Ok(())
    })?;
    let invalid = counter.finish();
    let Some(found) = found else { return Err(LoadError::NoFiles) };
    let Found { each, repeats, positions: mut x, momenta: mut y, kept, sets, sides, .. } = found;
    let Sides { mut remarks, masses, own_names, ions, .. } = sides;
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
        let components = components(side.columns.len(), atoms);
        remarks.extend(remarks_on_far_cells(&side.far.found(&names, components), &readings));
    }
    let detected = sets.finish(options.molecule.as_ref(), &names_of(&columns, &y));
    remarks.extend(detected::remark(&detected, !options.may_miss.is_empty()));
    let gate = y.gated();
    if let Some(Gated { gate_au: gate, events, dropped }) = gate
        && dropped > 0
        && events == dropped
    {
        return Err(LoadError::Gate { files, gate, events, least: y.least_outside_au });
    }
    let directions = y.directions(&names_of(&columns, &y));
    let (duplicate_rows, duplicates_sought_in_one_of) = repeats.finish();
    let ion_momenta = factor.zip(kept).map(|(factor, kept)| kept.finish(ions, factor));
    let said = masses.map(|(_, said)| said);
    let energy = factor.zip(said).and_then(|(factor, said)| y.energy(factor, said));
    let of_all = [
        (duplicates_sought_in_one_of > 1).then(|| format!(
            "the number of rows that repeat an earlier one is an estimate: repetitions are sought among one of {duplicates_sought_in_one_of} rows"
        )),
        energy.as_ref().and_then(|it| Some(format!(
            "quantiles, histogram and shares of the kinetic energy release are those of {} events, drawn at random from {}; mean and sd are those of all",
            it.sorted_ev.len(),
            it.drawn_from?
        ))),
        ion_momenta.as_ref().and_then(|it: &IonMomenta| Some(format!(
            "figures show {} events, drawn at random from {}",
            it.momenta_au.nrows(),
            it.drawn_from?
        ))),
    ];
    remarks.extend(of_all.into_iter().flatten());
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
        detected,
        duplicate_rows,
        duplicates_sought_in_one_of,
        positions,
        momenta,
        gate,
        centre_of_mass: options.sums.centre_of_mass,
        momentum_sum,
        momentum_noise_au,
        directions,
        kinetic_energy_release: energy,
        ion_momenta,
        remarks,
        columns,
    })
}

/// What accumulates over the rows.
struct Found {
    each: Running,
    repeats: Repeats,
    positions: Side,
    momenta: Side,
    may_miss: MayMiss,
    sets: Sets,
    kept: Option<Kept>,
    sides: Sides,
}

impl Found {
    fn new(sides: Sides, part: &Part<'_>, options: &InspectOptions) -> Result<Self, LoadError> {
        let masses = sides.masses.as_ref().map(|(masses, _)| masses.clone());
        let sums = sums(&sides, part.file, options)?;
        let known = masses.clone().filter(|_| options.keep_momenta);
        Ok(Self {
            each: Running::new(part.names.len()),
            repeats: Repeats::default(),
            positions: Side::of_positions(sides.x.clone()),
            momenta: Side::of_momenta(sides.y.clone(), masses.unwrap_or_default(), sums),
            may_miss: MayMiss::new(&sides.y, &options.may_miss),
            sets: Sets::new(&sides.y),
            kept: known.map(|masses| Kept::new(sides.y.clone(), masses, sums)),
            sides,
        })
    }

    fn add(&mut self, rows: &[f64], columns: usize) {
        let Self { each, repeats, positions, momenta, sets, kept, .. } = self;
        rayon::scope(|scope| {
            scope.spawn(|_| momenta.add(rows, columns));
            scope.spawn(|_| positions.add(rows, columns));
            scope.spawn(|_| each.add(rows));
            scope.spawn(|_| repeats.add(rows, columns));
            scope.spawn(|_| sets.add(rows, columns));
            if let Some(kept) = kept {
                scope.spawn(|_| kept.add(rows, columns));
            }
        });
    }
}

/// What is made of the momentum sums, if these columns have any.
fn sums(sides: &Sides, file: &Path, options: &InspectOptions) -> Result<Sums, LoadError> {
    let sums = options.sums;
    let without = |missing: &'static str, hint: &'static str| {
        Err(LoadError::NoSums { file: file.to_owned(), missing, hint })
    };
    if sums.is_any() && (sides.y.is_empty() || !sides.y.len().is_multiple_of(3)) {
        return without(
            "momentum columns, three for each ion, are not known",
            "name them with `--columns`",
        );
    }
    if sums.centre_of_mass == CentreOfMass::Removed && sides.masses.is_none() {
        return without("the masses of the ions are not known", "name them with `--ions`");
    }
    let factor = match &options.y_unit {
        Some(MomentumUnit::None) | None if sums.gate.is_some() => {
            return without("the unit of the momenta is not known", "say it with `--unit`");
        }
        unit => unit.as_ref().map_or(1.0, MomentumUnit::factor),
    };
    Ok(Sums { options: sums, factor })
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
        let components = components(indices.len(), atoms);
        let varying = Varying::judge(&names, moments, &largest, components);
        for (place, &index) in indices.iter().enumerate() {
            let column = &mut columns[index];
            column.role = role;
            column.dead = column.range.is_some() && !varying.alive.contains(&place);
        }
    }
    columns
}

/// How many of so many columns of a side are the components of so many atoms.
fn components(columns: usize, atoms: Option<usize>) -> usize {
    if atoms.is_some_and(|atoms| 3 * atoms == columns) { columns } else { 0 }
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
