//! To how many digits the numbers of a file were rounded, and how much of their variation that is.

use ndarray::Axis;
use rayon::prelude::*;

use crate::error::ScratchError;
use crate::table_rows::TableRows;

/// Along a direction of rounding alone rows vary by at most this many times the largest rounding of a column.
pub const ROUNDING_MARGIN: f64 = 2.0;
/// Most decimals, and significant digits, that are looked for; more are no rounding.
const MOST_DECIMALS: i32 = 7;
const MOST_DIGITS: usize = 8;
/// Rows that are looked at.
const ROWS: usize = 200;
/// A column of which a step is a greater part of its standard deviation has few values; it is not rounded.
const LARGEST: f64 = 0.01;

/// The largest rounding of a column of `x`, and of `y`, in its standard deviations; `factors` are those by which the numbers of
/// the files were multiplied.
///
/// # Errors
/// Rows that cannot be read again.
pub fn largest_rounding(
    table: &dyn TableRows,
    factors: [&dyn Fn(usize) -> f64; 2],
) -> Result<[f64; 2], ScratchError> {
    let head = table.head();
    let mut sides = [head.x.ncols(), head.y.ncols()].map(|width| vec![Column::default(); width]);
    table.each_block(&mut |_, x, y| {
        for (columns, values) in sides.iter_mut().zip([x, y]) {
            columns.par_iter_mut().zip(values.axis_iter(Axis(1))).for_each(|(column, values)| {
                // Without what is missing.
                values.iter().filter(|value| !value.is_nan()).for_each(|value| column.add(*value));
            });
        }
    })?;
    let mut largest = [0.0; 2];
    for ((largest, columns), factor) in largest.iter_mut().zip(&sides).zip(factors) {
        let parts = columns.iter().enumerate().filter_map(
            |(index, Column { first, count, sum_of_squares, .. })| {
                rounding(first, factor(index), (sum_of_squares / count).sqrt())
            },
        );
        *largest = parts.fold(0.0, f64::max);
    }
    Ok(largest)
}

/// Cells of a column while they come in: the first ones, and the moments by Welford's recurrence.
#[derive(Clone, Default)]
struct Column {
    first: Vec<f64>,
    count: f64,
    mean: f64,
    /// Of the deviations from the mean.
    sum_of_squares: f64,
}

impl Column {
    fn add(&mut self, value: f64) {
        if self.first.len() < ROWS {
            self.first.push(value);
        }
        self.count += 1.0;
        let deviation = value - self.mean;
        self.mean += deviation / self.count;
        self.sum_of_squares = (value - self.mean).mul_add(deviation, self.sum_of_squares);
    }
}

/// Standard deviation of the rounding of a column, to decimals or to significant digits, in its own standard deviations;
/// none where it has all its digits or does not vary. `factor` is that by which the numbers of the file were multiplied.
#[must_use]
pub(crate) fn rounding(values: &[f64], factor: f64, sd: f64) -> Option<f64> {
    let rows: Vec<f64> = values.iter().take(ROWS).map(|value| value / factor).collect();
    let is_rounded = |step: &f64| {
        rows.iter().all(|value| {
            let steps = value / step;
            (steps - steps.round()).abs() < 1e-3
        })
    };
    let decimals = (0..=MOST_DECIMALS).map(|decimals| 10_f64.powi(-decimals)).find(is_rounded);
    let step = decimals.or_else(|| {
        let digits =
            (1..=MOST_DIGITS).find(|digits| rows.iter().all(|v| has_digits(*v, *digits)))?;
        let steps = rows.iter().map(|value| last_digit(*value, digits).powi(2));
        Some((steps.sum::<f64>() / rows.len() as f64).sqrt())
    })?;
    let part = (factor * step).abs() / 12_f64.sqrt() / sd;
    (sd > 0.0 && part < LARGEST).then_some(part)
}

/// What one of the last of so many significant digits stands for.
fn last_digit(value: f64, digits: usize) -> f64 {
    if value == 0.0 {
        return 0.0;
    }
    10_f64.powi(value.abs().log10().floor() as i32 + 1 - digits as i32)
}

/// Whether a number is one of so many significant digits, but for the last bits of its conversion.
fn has_digits(value: f64, digits: usize) -> bool {
    let steps = value / last_digit(value, digits);
    value == 0.0 || (steps - steps.round()).abs() < 1e-3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_and_significant_digits_are_told_from_all_digits() {
        let all: Vec<f64> =
            (1..300).map(|k| 3.0 * (f64::from(k) * 0.618_033_988_75).fract() - 1.0).collect();
        for factor in [1.0, 50.1793, 1e-22] {
            let scaled = |values: Vec<f64>| values.iter().map(|v| v * factor).collect::<Vec<_>>();
            assert_eq!(rounding(&scaled(all.clone()), factor, factor), None);
            let decimals = all.iter().map(|v| (v * 1e4).round() / 1e4).collect();
            let part = rounding(&scaled(decimals), factor, factor).unwrap();
            assert!((part / (1e-4 / 12_f64.sqrt()) - 1.0).abs() < 1e-9, "{part}");
            let digits = all.iter().map(|v| format!("{v:.5e}").parse::<f64>().unwrap()).collect();
            let part = rounding(&scaled(digits), factor, factor).unwrap();
            assert!((1e-6..4e-6).contains(&part), "{part}");
        }
    }
}
