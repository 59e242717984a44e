//! Cells far from all others of their column, as before a training, found while rows pass by: a sample of the rows tells
//! where a column lies, and its most extreme cells are kept. For up to millions of cells the sample is all of them.

use crate::extremes::{Judged, judge_columns};
use crate::sample::Sample;

/// Most extreme cells that are kept: of a column at either end, and of all columns together.
const MOST_OF_COLUMN: usize = 500;
const MOST_OF_ALL: usize = 500_000;

/// What is kept of the columns of a side.
pub(super) struct FarCells {
    sample: Sample,
    ends: Vec<[End; 2]>,
    rows: u64,
}

/// The greatest values of a column, or of its negative, with their rows.
struct End {
    most: usize,
    least: f64,
    cells: Vec<(f64, u64)>,
}

impl FarCells {
    pub(super) fn new(columns: usize) -> Self {
        let most = (MOST_OF_ALL / columns.max(1)).clamp(1, MOST_OF_COLUMN);
        let end = || End { most, least: f64::NEG_INFINITY, cells: Vec::new() };
        let ends = (0..columns).map(|_| [end(), end()]).collect();
        Self { sample: Sample::new(columns), ends, rows: 0 }
    }

    /// Takes one row of the side, NaN where a cell is invalid.
    pub(super) fn add(&mut self, row: &[f64]) {
        self.sample.push(row);
        for (value, [low, high]) in row.iter().zip(&mut self.ends) {
            if !value.is_nan() {
                low.add(-value, self.rows);
                high.add(*value, self.rows);
            }
        }
        self.rows += 1;
    }

    /// The valid cells of a column that are in the sample.
    pub(super) fn column(&self, place: usize) -> Vec<f64> {
        let cells = self.sample.values.iter().skip(place).step_by(self.ends.len());
        cells.copied().filter(|value| !value.is_nan()).collect()
    }

    /// The cells far from all others of their columns, absurd ones first; the first `components` columns are those of a
    /// molecule.
    pub(super) fn found(&self, names: &[String], components: usize) -> Vec<Far> {
        let mut cells: Vec<Far> = Vec::new();
        for (name, judged) in names.iter().zip(self.judge(names, components)) {
            for (rows, absurd) in [(&judged.absurd, true), (&judged.extreme, false)] {
                cells.extend(rows.iter().map(|&(row, value)| Far {
                    column: name.clone(),
                    row: row as u64,
                    value,
                    deviations: judged.spread.deviations(value),
                    absurd,
                }));
            }
        }
        cells.sort_by_key(|cell| (!cell.absurd, cell.row));
        cells
    }

    /// What is known of each column; rows count from 0, invalid ones too.
    fn judge(&self, names: &[String], components: usize) -> Vec<Judged> {
        let width = names.len();
        let column = |(place, [low, high]): (usize, &[End; 2])| {
            let sampled = self.sample.values.iter().skip(place).step_by(width).copied();
            let sampled = self.sample.numbers().zip(sampled);
            let low = low.cells.iter().map(|(value, row)| (*row, -value));
            let high = high.cells.iter().map(|(value, row)| (*row, *value));
            let valid =
                |(row, value): (u64, f64)| (!value.is_nan()).then_some((row as usize, value));
            let ends: Vec<(usize, f64)> = low.chain(high).filter_map(valid).collect();
            [sampled.filter_map(valid).collect(), ends]
        };
        judge_columns(self.ends.iter().enumerate().map(column).collect(), names, components)
    }
}

impl End {
    fn add(&mut self, value: f64, row: u64) {
        if value <= self.least {
            return;
        }
        self.cells.push((value, row));
        if self.cells.len() >= 2 * self.most {
            let order = |a: &(f64, u64), b: &(f64, u64)| b.0.total_cmp(&a.0);
            self.cells.select_nth_unstable_by(self.most - 1, order);
            self.cells.truncate(self.most);
            self.least = self.cells[self.most - 1].0;
        }
    }
}

/// A cell far from all others of its column.
pub(super) struct Far {
    pub(super) column: String,
    pub(super) row: u64,
    /// In the file's unit.
    pub(super) value: f64,
    /// Robust standard deviations from the median.
    pub(super) deviations: f64,
    /// Whether it is no measurement.
    pub(super) absurd: bool,
}
