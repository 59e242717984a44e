//! Rows of a table that is too large to be held, as many as there is room for: evenly spaced ones, or some at random.

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
        // The stride is a power of two.
        let is_next = |stride: u64| self.seen & (stride - 1) == 0;
        if is_next(self.stride) && self.values.len() == self.most * self.width {
            // Those of twice the stride stay.
            let kept = self.values.chunks_exact(self.width).step_by(2).flatten().copied();
            self.values = kept.collect();
            self.stride *= 2;
        }
        if is_next(self.stride) {
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

/// As many of the rows that come one after another as there is room for, all with the same probability (reservoir sampling: R.
/// Waterman in Knuth, The Art of Computer Programming 2, 3.4.2); all of them while there is room. Which ones follows
/// from their numbers alone.
pub(crate) struct Reservoir {
    width: usize,
    most: usize,
    /// Rows that were offered.
    pub(crate) seen: u64,
    /// The rows, one after another.
    pub(crate) values: Vec<f64>,
}

impl Reservoir {
    /// For rows of so many cells, `most` cells of them at most.
    pub(crate) fn new(width: usize, most: usize) -> Self {
        Self { width, most: (most / width.max(1)).max(1), seen: 0, values: Vec::new() }
    }

    pub(crate) fn push(&mut self, row: &[f64]) {
        let held = self.most as u64;
        if self.seen < held {
            self.values.extend_from_slice(row);
        } else {
            // Uniform from 0 to `seen`.
            let place = (u128::from(scattered(self.seen)) * u128::from(self.seen + 1)) >> 64;
            let place = place as u64;
            if place < held {
                let start = place as usize * self.width;
                self.values[start..start + self.width].copy_from_slice(row);
            }
        }
        self.seen += 1;
    }

    /// Whether rows were offered that are not held.
    pub(crate) fn is_part(&self) -> bool {
        self.seen > self.most as u64
    }
}

/// A number as if drawn at random, the same for the same `index`: the output function of SplitMix64 (Steele, Lea & Flood 2014).
fn scattered(index: u64) -> u64 {
    let mut bits = (index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
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
    let mut dropped = DropCounter::without_numbers();
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

    /// Of 0, 1, ..., n - 1 in a reservoir of m, the mean is that of all within 4 standard errors of a sample without
    /// replacement (1 of 16,000 seeds would fail), and so it is for the first and the second half apart: a binomial count.
    #[test]
    fn a_reservoir_holds_rows_from_everywhere() {
        let (most, count) = (2000, 50_000_u32);
        let mut reservoir = Reservoir::new(2, 2 * most);
        for row in 0..count {
            let row = f64::from(row);
            reservoir.push(&[row, -row]);
            assert_eq!(reservoir.is_part(), row >= most as f64);
            assert!(reservoir.values.len() <= 2 * most);
        }
        assert_eq!(reservoir.seen, u64::from(count));
        let mut rows: Vec<u32> = Vec::new();
        for row in reservoir.values.chunks_exact(2) {
            assert_eq!(row[0], -row[1]);
            rows.push(row[0] as u32);
        }
        rows.sort_unstable();
        rows.dedup();
        assert_eq!(rows.len(), most);
        let (n, m) = (f64::from(count), most as f64);
        let mean = rows.iter().copied().map(f64::from).sum::<f64>() / m;
        let error = n / 12f64.sqrt() * ((1.0 - m / n) / m).sqrt();
        assert!((mean - 0.5 * n).abs() < 4.0 * error, "{mean}");
        let early = rows.iter().filter(|row| **row < count / 2).count() as f64;
        assert!((early - 0.5 * m).abs() < 4.0 * (0.25 * m).sqrt(), "{early}");
    }

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
