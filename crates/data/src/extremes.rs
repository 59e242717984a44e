//! Cells that are no measured numbers although they are numbers: an overflow flag of 1e20, a slipped decimal point.
//!
//! Deviations are from the median, in standard deviations told from the quartiles (`(median - q25) / 0.6745` or the
//! other half, whichever is smaller): neither moves with such cells. Being far is not enough, because delays, counts and
//! heavy tails are far too: an absurd cell also stands alone, many times as far as the next one before it.

use cei_metrics::number;
use cei_physics::Molecule;
use ndarray::{ArrayView1, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{FarCell, LoadError, Reason, ScratchError};
use crate::kinds::kinds;
use crate::load::{DropCause, Selection, Table};
use crate::parts::Part;
use crate::table_rows::{TableRows, part_of};

/// Standard deviations beyond which a cell that stands alone is no measurement.
const ABSURD: f64 = 1e3;
/// How many times as far as the next one it then is at least.
const ABSURD_GAP: f64 = 30.0;
/// The same for a cell that is only remarked.
const EXTREME: f64 = 50.0;
const EXTREME_GAP: f64 = 5.0;
/// Fewer rows have no quartiles.
const LEAST_ROWS: usize = 10;
/// More rows tell no more about quartiles.
const CENTRE_ROWS: usize = 1 << 16;
/// What part of the spread of its kind a column of round-off has; what is smaller has a unit of its own.
const ROUND_OFF: std::ops::Range<f64> = 1e-20..1e-9;
/// Levels below and above, and the normal quantile of the upper one.
const LEVELS: [(f64, f64, f64); 3] =
    [(0.25, 0.75, 0.674_490), (0.05, 0.95, 1.644_854), (0.01, 0.99, 2.326_348)];

/// Where the values of a column lie, absurd ones left out; in internal units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Median.
    #[serde(with = "number")]
    pub median: f64,
    /// Robust standard deviation; zero where nothing can be compared.
    #[serde(with = "number")]
    pub sd: f64,
    /// Largest deviation from the median.
    #[serde(with = "number")]
    pub reach: f64,
}

impl Spread {
    /// Whether a later value is so far from all of these that it is no measurement.
    #[must_use]
    pub fn is_absurd(&self, value: f64) -> bool {
        let deviation = (value - self.median).abs();
        self.sd > 0.0 && deviation > ABSURD * self.sd && deviation > ABSURD_GAP * self.reach
    }

    /// Its deviation in standard deviations.
    #[must_use]
    pub fn deviations(&self, value: f64) -> f64 {
        (value - self.median).abs() / self.sd
    }
}

/// The spreads of all columns of a table, or of a part of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spreads {
    /// Of the position columns.
    pub x: Vec<Spread>,
    /// Of the momentum columns.
    pub y: Vec<Spread>,
}

impl Spreads {
    /// The spreads of these rows of a table, of this molecule if it is known.
    ///
    /// # Errors
    /// Rows that cannot be read again.
    pub fn of(part: Part<'_>, molecule: Option<&Molecule>) -> Result<Self, ScratchError> {
        let [x, y] = judged(part, molecule)?
            .map(|side| side.into_iter().map(|column| column.spread).collect());
        Ok(Self { x, y })
    }

    /// The absurd cells of a later table of the same columns, or of its momenta alone: by row, the first of each row.
    #[must_use]
    pub fn absurd(&self, table: &Table, selection: &Selection) -> Vec<FarCell> {
        let momenta = self.y.iter().zip(table.y.columns()).zip(&table.y_names);
        let positions = self.x.iter().zip(table.x.columns()).zip(&table.x_names);
        let sides = momenta.enumerate().map(|(index, column)| (column, selection.y_factor(index)));
        let positions = positions.enumerate();
        let sides =
            sides.chain(positions.map(|(index, column)| (column, selection.x_factor(index))));
        let mut cells: Vec<FarCell> = sides
            .flat_map(|(((spread, values), name), factor)| {
                let far =
                    values.into_iter().enumerate().filter(|(_, value)| spread.is_absurd(**value));
                far.map(move |(row, value)| {
                    far_cell(table, row, name, value / factor, spread.deviations(*value))
                })
            })
            .collect();
        cells.sort_by_key(|cell| cell.row);
        cells.dedup_by_key(|cell| cell.row);
        cells
    }
}

/// Finds the absurd cells of a table, of this molecule if it is known: an error, or with `drop_invalid` rows to be left out.
/// What is only extreme is returned.
///
/// # Errors
/// [`LoadError::FarOut`] names the first absurd cell.
pub fn screen(
    table: &mut dyn TableRows,
    drop_invalid: bool,
    selection: &Selection,
    molecule: Option<&Molecule>,
) -> Result<Vec<FarCell>, LoadError> {
    let mut absurd: Vec<FarCell> = Vec::new();
    let mut extreme: Vec<FarCell> = Vec::new();
    let y_factor = |column| selection.y_factor(column);
    let x_factor = |column| selection.x_factor(column);
    let [x, y] = judged(Part::all(&*table), molecule)?;
    let head = table.head();
    let sides: [(_, _, &dyn Fn(usize) -> f64); 2] =
        [(y, &head.y_names, &y_factor), (x, &head.x_names, &x_factor)];
    for (judged, names, factor) in sides {
        for (index, (column, name)) in judged.iter().zip(names).enumerate() {
            let factor = factor(index);
            let cell = |&(row, value): &(usize, f64)| {
                far_cell(head, row, name, value / factor, column.spread.deviations(value))
            };
            absurd.extend(column.absurd.iter().map(cell));
            extreme.extend(column.extreme.iter().map(cell));
        }
    }
    absurd.sort_by_key(|cell| cell.row);
    if !drop_invalid && let Some(first) = absurd.first() {
        return Err(LoadError::FarOut { cell: Box::new(first.clone()), more: absurd.len() - 1 });
    }
    let left_out = leave_out(table, &absurd);
    extreme.retain(|cell| left_out.binary_search(&cell.row).is_err());
    extreme.sort_by_key(|cell| cell.row);
    for cell in &mut extreme {
        cell.row -= left_out.partition_point(|row| *row < cell.row);
    }
    Ok(extreme)
}

/// Leaves out the rows of these cells and counts them as dropped; returns the rows, rising.
pub fn leave_out(table: &mut dyn TableRows, cells: &[FarCell]) -> Vec<usize> {
    let mut rows: Vec<usize> = cells.iter().map(|cell| cell.row).collect();
    rows.sort_unstable();
    rows.dedup();
    if rows.is_empty() {
        return rows;
    }
    table.leave_out(&rows);
    let dropped = &mut table.head_mut().dropped;
    for cell in cells {
        let known = dropped.causes.iter_mut();
        let same = |cause: &&mut DropCause| {
            cause.reason == Reason::FarOut && cause.column == cell.at.column
        };
        match known.into_iter().find(same) {
            Some(cause) => cause.count += 1,
            None => {
                let column = cell.at.column.clone();
                dropped.causes.push(DropCause { reason: Reason::FarOut, column, count: 1 });
            }
        }
    }
    rows
}

fn far_cell(table: &Table, row: usize, column: &str, value: f64, deviations: f64) -> FarCell {
    FarCell { row, at: table.location(row, Some(column)), value, deviations }
}

/// What is known of a column: where it lies, and its far cells as row and value, rows rising.
#[derive(Default)]
pub(crate) struct Judged {
    pub(crate) spread: Spread,
    pub(crate) absurd: Vec<(usize, f64)>,
    pub(crate) extreme: Vec<(usize, f64)>,
}

/// Judges the columns of these rows of a table: those of `x`, and of `y`. Far cells have the places of their rows in the part.
fn judged(part: Part<'_>, molecule: Option<&Molecule>) -> Result<[Vec<Judged>; 2], ScratchError> {
    let head = part.head();
    let names = [&head.x_names, &head.y_names];
    let count = part.count();
    if count < LEAST_ROWS {
        return Ok(names.map(|names| names.iter().map(|_| Judged::default()).collect()));
    }
    let (x, y) = part_of(part.table(), &part.numbers(&spread_out(count)))?;
    let components = head.components(molecule);
    let mut sides = [(x, names[0], components[0]), (y, names[1], components[1])].map(
        |(spread_out, names, components)| {
            let columns: Vec<ArrayView1<'_, f64>> = spread_out.columns().into_iter().collect();
            let centre = |cells: &ArrayView1<'_, f64>| {
                median_and_sd(cells.iter().copied().filter(|cell| !cell.is_nan()).collect())
            };
            let centres: Vec<(f64, f64)> = columns.par_iter().map(centre).collect();
            let sds = sds(&centres, names, components);
            centres.iter().zip(sds).map(|((median, _), sd)| Cells::new(*median, sd)).collect()
        },
    );
    part.each(&mut |places, x, y| {
        for (columns, values) in sides.iter_mut().zip([x, y]) {
            let columns: &mut Vec<Cells> = columns;
            columns.par_iter_mut().zip(values.axis_iter(Axis(1))).for_each(|(cells, values)| {
                places.iter().zip(values).for_each(|(row, value)| cells.add(*row, *value));
            });
        }
    })?;
    Ok(sides.map(|columns| columns.into_iter().map(Cells::judge).collect()))
}

/// The places of as many of `count` rows as tell where a column lies, rising: spread by the golden ratio, so that no period of
/// the table is met.
fn spread_out(count: usize) -> Vec<usize> {
    const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
    if count <= CENTRE_ROWS {
        return (0..count).collect();
    }
    let part = |place: u64| (u128::from(place.wrapping_mul(GOLDEN)) * count as u128) >> 64;
    let mut places: Vec<usize> =
        (0..CENTRE_ROWS as u64).map(|place| part(place) as usize).collect();
    places.sort_unstable();
    places
}

/// The same of columns of which only some cells are known, as row and value: evenly spaced ones, which tell where the
/// column lies, and the most extreme ones.
pub(crate) fn judge_columns(
    columns: Vec<[Vec<(usize, f64)>; 2]>,
    names: &[String],
    components: usize,
) -> Vec<Judged> {
    let centre = |[spaced, _]: &[Vec<(usize, f64)>; 2]| match spaced.len() {
        0..LEAST_ROWS => (0.0, 0.0),
        _ => median_and_sd(spaced.iter().map(|cell| cell.1).collect()),
    };
    let centres: Vec<(f64, f64)> = columns.par_iter().map(centre).collect();
    let sds = sds(&centres, names, components);
    let judged = columns.into_par_iter().zip(&centres).zip(&sds);
    let judged = judged.map(|(([mut cells, ends], (median, _)), sd)| {
        if cells.len() < LEAST_ROWS {
            return Judged::default();
        }
        cells.extend(ends);
        cells.sort_unstable_by_key(|cell| cell.0);
        cells.dedup_by_key(|cell| cell.0);
        let mut known = Cells::new(*median, *sd);
        cells.into_iter().for_each(|(row, value)| known.add(row, value));
        known.judge()
    });
    judged.collect()
}

/// The standard deviation with which each column is judged. Where nearly all values are one, or round-off, the other
/// columns of the kind say what is far. Components of a molecule have one unit, so that any part of their spread, however
/// small, is round-off: that of a zero rotated once is 1e-16 of it, rotated again 1e-32.
fn sds(centres: &[(f64, f64)], names: &[String], components: usize) -> Vec<f64> {
    let kinds = kinds(names, components);
    let mut widest = vec![0.0; names.len()];
    for (kind, (_, sd)) in kinds.iter().zip(centres) {
        widest[*kind] = f64::max(widest[*kind], *sd);
    }
    let sd_of = |((_, own), kind): (&(f64, f64), &usize)| {
        let of_kind = widest[*kind];
        let part = own / of_kind;
        let is_round_off = ROUND_OFF.contains(&part) || components > 0 && part < ROUND_OFF.end;
        if *own == 0.0 || is_round_off { of_kind } else { *own }
    };
    centres.iter().zip(&kinds).map(sd_of).collect()
}

/// The median, and the smaller of the two halves of the first range of quantiles that has a width.
fn median_and_sd(mut values: Vec<f64>) -> (f64, f64) {
    if values.is_empty() {
        return (0.0, 0.0);
    }
    let mut at = |level: f64| {
        let place = (level * (values.len() - 1) as f64).round() as usize;
        *values.select_nth_unstable_by(place, f64::total_cmp).1
    };
    let median = at(0.5);
    for (low, high, deviations) in LEVELS {
        let halves = [median - at(low), at(high) - median];
        // Round-off about a constant is no width.
        let widths = halves.into_iter().filter(|half| *half > 1e-12 * median.abs());
        if let Some(width) = widths.reduce(f64::min) {
            return (median, width / deviations);
        }
    }
    (median, 0.0)
}

/// Cells of a column while they come in.
struct Cells {
    /// The reach is that of the cells that are not far.
    spread: Spread,
    /// Deviation, row and value of the others.
    far: Vec<(f64, usize, f64)>,
}

impl Cells {
    fn new(median: f64, sd: f64) -> Self {
        Self { spread: Spread { median, sd, reach: 0.0 }, far: Vec::new() }
    }

    fn add(&mut self, row: usize, value: f64) {
        let Spread { median, sd, reach } = &mut self.spread;
        let deviation = (value - *median).abs();
        if *sd > 0.0 && deviation > EXTREME * *sd {
            self.far.push((deviation, row, value));
        } else {
            *reach = reach.max(deviation);
        }
    }

    fn judge(self) -> Judged {
        let Self { spread, mut far } = self;
        let sd = spread.sd;
        let mut judged = Judged { spread, ..Judged::default() };
        far.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let (mut is_absurd, mut is_extreme) = (false, false);
        for (deviation, row, value) in far {
            let gap = deviation / judged.spread.reach.max(sd);
            is_absurd |= deviation > ABSURD * sd && gap > ABSURD_GAP;
            is_extreme |= gap > EXTREME_GAP;
            if is_absurd {
                judged.absurd.push((row, value));
                continue;
            }
            judged.spread.reach = deviation;
            if is_extreme {
                judged.extreme.push((row, value));
            }
        }
        judged.absurd.sort_unstable_by_key(|cell| cell.0);
        judged.extreme.sort_unstable_by_key(|cell| cell.0);
        judged
    }
}
