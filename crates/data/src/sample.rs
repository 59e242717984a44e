//! Rows of a table that is too large to be held: evenly spaced ones, as many as there is room for.

use ndarray::Array2;

use crate::error::LoadError;
use crate::load::{DropCounter, scan};
use crate::missing::MayMiss;
use crate::number::limit;
use crate::source::{ColumnRef, Source};

/// Cells of a sample at most (32 MB).
const MOST_CELLS: usize = 4_000_000;

/// Every `stride`-th of the rows that come one after another; all of them while there is room.
pub(crate) struct Sample {
    width: usize,
    most: usize,
    stride: u64,
    seen: u64,
    /// The rows, one after another.
    pub(crate) values: Vec<f64>,
}

impl Sample {
    /// For rows of so many cells.
    pub(crate) fn new(width: usize) -> Self {
        let most = (MOST_CELLS / width.max(1)).max(1);
        Self { width, most, stride: 1, seen: 0, values: Vec::new() }
    }

    pub(crate) fn push(&mut self, row: &[f64]) {
        if self.width == 0 {
            return;
        }
        if self.seen.is_multiple_of(self.stride) && self.rows() == self.most {
            let width = self.width;
            // Those of twice the stride stay.
            let kept = self.values.chunks_exact(width).step_by(2).flatten().copied();
            self.values = kept.collect();
            self.stride *= 2;
        }
        if self.seen.is_multiple_of(self.stride) {
            self.values.extend_from_slice(row);
        }
        self.seen += 1;
    }

    fn rows(&self) -> usize {
        self.values.len() / self.width
    }

    /// Numbers, from 0, of the rows that are held.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> + use<> {
        let (rows, stride) = (self.rows() as u64, self.stride);
        (0..rows).map(move |row| row * stride)
    }
}

/// These columns, times `factor`, of evenly spaced valid rows: of all, unless they are more than four million cells. Ions,
/// three columns each, of which `may_miss` says so may be missing, NaN; none may where it is empty.
///
/// # Errors
/// As [`crate::load()`], but for invalid cells, whose rows are left out.
pub fn load_sample(
    source: &Source,
    columns: &[ColumnRef],
    factor: f64,
    may_miss: &[bool],
) -> Result<Array2<f64>, LoadError> {
    if columns.is_empty() {
        return Err(LoadError::NoColumns);
    }
    let width = columns.len();
    let limits = vec![limit(factor); width];
    let mut sample = Sample::new(width);
    let mut dropped = DropCounter::default();
    let places: Vec<usize> = (0..width).collect();
    let may_miss = MayMiss::new(&places, may_miss);
    let scanned = scan(source, Some(columns), &limits, &mut |mut part| {
        may_miss.resolve(&mut part.block);
        let valid = part.block.valid_rows();
        dropped.add(&part.block, &valid, part.names);
        let rows = part.block.values.chunks_exact(width).zip(&valid);
        rows.filter(|(_, valid)| **valid).for_each(|(row, _)| sample.push(row));
        Ok(())
    })?;
    let rows = sample.rows();
    if rows == 0 {
        let (dropped, files) = (dropped.finish(), scanned.files);
        return Err(LoadError::AllDropped {
            files,
            rows: dropped.of,
            dropped: dropped.to_string(),
        });
    }
    let values = sample.values.into_iter().map(|value| value * factor).collect();
    Ok(Array2::from_shape_vec((rows, width), values)
        .unwrap_or_else(|_| unreachable!("every row has one cell a column")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_even_and_never_larger_than_its_room() {
        let width = 1000;
        for count in [10, 4000, 4001, 25_000] {
            let mut sample = Sample::new(width);
            for row in 0..count {
                sample.push(&vec![f64::from(row); width]);
                assert!(sample.values.len() <= MOST_CELLS);
            }
            let numbers: Vec<u64> = sample.numbers().collect();
            let held = sample.values.iter().step_by(width).map(|value| *value as u64);
            assert!(held.eq(numbers.iter().copied()), "{count}");
            let stride = numbers[1];
            assert!(numbers.len() as u64 == u64::from(count as u32).div_ceil(stride), "{count}");
        }
    }
}
