//! Moments and limits of columns whose rows come in blocks.

use super::summary::{Moments, Range};

/// Count, mean, sum of squared deviations and limits of each column, NaN left out. Blocks are summed in two passes
/// and combined as Chan, Golub & LeVeque (1983) do, so that no digits are lost to large means.
#[derive(Clone, Debug, Default)]
pub(super) struct Running(Vec<Column>);

#[derive(Clone, Copy, Debug)]
struct Column {
    count: u64,
    invalid: u64,
    mean: f64,
    deviations: f64,
    min: f64,
    max: f64,
}

impl Running {
    pub(super) fn new(columns: usize) -> Self {
        let none = Column {
            count: 0,
            invalid: 0,
            mean: 0.0,
            deviations: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        };
        Self(vec![none; columns])
    }

    /// Takes rows, one after another in one slice.
    pub(super) fn add(&mut self, rows: &[f64]) {
        let columns = self.0.len();
        let block = if columns > 0 && rows.len() >= columns && !rows.iter().any(|v| v.is_nan()) {
            complete_block(rows, columns)
        } else {
            block_with_gaps(rows, columns)
        };
        self.0.iter_mut().zip(&block).for_each(|(whole, part)| whole.merge(part));
    }

    /// Whether there are no columns.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn invalid(&self, column: usize) -> u64 {
        self.0[column].invalid
    }

    pub(super) fn moments(&self, column: usize) -> Moments {
        let column = &self.0[column];
        let variance = column.deviations / column.count.max(1) as f64;
        Moments { mean: column.mean, sd: variance.sqrt() }
    }

    /// None where no value was valid.
    pub(super) fn range(&self, column: usize) -> Option<Range> {
        let Moments { mean, sd } = self.moments(column);
        let Column { count, min, max, .. } = self.0[column];
        (count > 0).then_some(Range { min, max, mean, sd })
    }
}

/// What there is of the columns of rows without NaN: that of [`block_with_gaps`], to the bit, column beside column.
fn complete_block(rows: &[f64], columns: usize) -> Vec<Column> {
    let first = &rows[..columns];
    let mut shift = vec![0.0; columns];
    let mut min = vec![f64::INFINITY; columns];
    let mut max = vec![f64::NEG_INFINITY; columns];
    for row in rows.chunks_exact(columns) {
        shift
            .iter_mut()
            .zip(row)
            .zip(first)
            .for_each(|((sum, value), first)| *sum += value - first);
        min.iter_mut().zip(row).for_each(|(min, value)| *min = min.min(*value));
        max.iter_mut().zip(row).for_each(|(max, value)| *max = max.max(*value));
    }
    let count = (rows.len() / columns) as u64;
    shift.iter_mut().for_each(|shift| *shift /= count as f64);
    let mut deviations = vec![0.0; columns];
    for row in rows.chunks_exact(columns) {
        let cells = deviations.iter_mut().zip(row).zip(first).zip(&shift);
        cells.for_each(|(((sum, value), first), shift)| *sum += (value - first - shift).powi(2));
    }
    let column = |at: usize| Column {
        count,
        invalid: 0,
        mean: first[at] + shift[at],
        deviations: deviations[at],
        min: min[at],
        max: max[at],
    };
    (0..columns).map(column).collect()
}

/// The same of rows in which values may be missing.
fn block_with_gaps(rows: &[f64], columns: usize) -> Vec<Column> {
    let mut block = Running::new(columns).0;
    // Sums of differences from the first valid value: exact for a column that never changes.
    let mut first = vec![f64::NAN; columns];
    let mut shift = vec![0.0; columns];
    for row in rows.chunks_exact(columns.max(1)) {
        for (at, &value) in row.iter().enumerate() {
            let column = &mut block[at];
            if value.is_nan() {
                column.invalid += 1;
                continue;
            }
            if first[at].is_nan() {
                first[at] = value;
            }
            column.count += 1;
            column.min = column.min.min(value);
            column.max = column.max.max(value);
            shift[at] += value - first[at];
        }
    }
    for (shift, column) in shift.iter_mut().zip(&block) {
        *shift /= column.count.max(1) as f64;
    }
    for row in rows.chunks_exact(columns.max(1)) {
        for (at, &value) in row.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
            block[at].deviations += (value - first[at] - shift[at]).powi(2);
        }
    }
    for (at, column) in block.iter_mut().enumerate() {
        column.mean = if column.count > 0 { first[at] + shift[at] } else { 0.0 };
    }
    block
}

impl Column {
    fn merge(&mut self, other: &Self) {
        self.invalid += other.invalid;
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = Self { invalid: self.invalid, ..*other };
            return;
        }
        let (a, b) = (self.count as f64, other.count as f64);
        let difference = other.mean - self.mean;
        self.mean += difference * b / (a + b);
        self.deviations += other.deviations + difference * difference * a * b / (a + b);
        self.count += other.count;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Columns are judged alike to the bit whether values are missing elsewhere or not.
    #[test]
    fn blocks_with_and_without_gaps_have_the_same_moments() {
        let value = |cell: usize| 1e3 + (cell as f64 * 0.37).sin() / 3.0 - (cell % 3) as f64;
        let rows: Vec<f64> = (0..3 * 1001).map(value).collect();
        let of = |columns: Vec<Column>| {
            let bits = |c: &Column| [c.mean, c.deviations, c.min, c.max].map(f64::to_bits);
            columns.iter().map(|c| (c.count, c.invalid, bits(c))).collect::<Vec<_>>()
        };
        assert_eq!(of(complete_block(&rows, 3)), of(block_with_gaps(&rows, 3)));
    }
}
