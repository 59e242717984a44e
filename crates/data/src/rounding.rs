//! To how many digits the numbers of a file were rounded, and how much of their variation that is.

/// Along a direction of rounding alone rows vary by at most this many times the largest rounding of a column.
pub const ROUNDING_MARGIN: f64 = 2.0;
/// Most decimals, and significant digits, that are looked for; more are no rounding.
const MOST_DECIMALS: i32 = 7;
const MOST_DIGITS: usize = 8;
/// Rows that are looked at.
const ROWS: usize = 200;
/// A column of which a step is a greater part of its standard deviation has few values; it is not rounded.
const LARGEST: f64 = 0.01;

/// Standard deviation of the rounding of a column, to decimals or to significant digits, in its own standard deviations;
/// none where it has all its digits or does not vary. `factor` is that by which the numbers of the file were multiplied.
#[must_use]
pub fn rounding(values: &[f64], factor: f64, sd: f64) -> Option<f64> {
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
