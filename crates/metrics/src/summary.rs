//! Means with standard errors over events, and quantiles.
//!
//! The mean and the sum of squared deviations M2 are updated by Welford's recurrence and merged by
//! Chan's formula; the standard error of the mean is sqrt(M2 / (n - 1) / n).

use serde::{Deserialize, Serialize};

use crate::number;

/// A mean over events and its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Mean over events.
    #[serde(with = "number")]
    pub mean: f64,
    /// Standard error of the mean; absent for a single event, and where it is no finite number.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number")]
    pub standard_error: Option<f64>,
    /// Events.
    pub n: usize,
}

/// Running mean and variance of a number per event.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Accumulator {
    count: usize,
    mean: f64,
    squared_deviations: f64,
}

impl Summary {
    /// Summary of values, `None` if there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut accumulator = Accumulator::default();
        values.into_iter().for_each(|value| accumulator.add(value));
        accumulator.summary()
    }

    /// The root of a mean, with its standard error to first order (delta method):
    /// se(sqrt m) = se(m) / (2 sqrt m).
    #[must_use]
    pub fn root(self) -> Self {
        let root = self.mean.sqrt();
        let standard_error =
            self.standard_error.map(|error| if root > 0.0 { error / (2.0 * root) } else { 0.0 });
        Self { mean: root, standard_error, n: self.n }
    }
}

impl Accumulator {
    /// Takes one event's value.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        if !(value.is_finite() && self.mean.is_finite()) {
            // The recurrence would make NaN of an infinity.
            self.mean += value;
            self.squared_deviations = f64::NAN;
            return;
        }
        let before = value - self.mean;
        self.mean += before / self.count as f64;
        self.squared_deviations += before * (value - self.mean);
    }

    /// Takes the events of another accumulator.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        let (a, b) = (self.count as f64, other.count as f64);
        if !(self.mean.is_finite() && other.mean.is_finite()) {
            self.count += other.count;
            self.mean += other.mean;
            self.squared_deviations = f64::NAN;
            return;
        }
        let difference = other.mean - self.mean;
        self.count += other.count;
        self.mean += difference * b / (a + b);
        self.squared_deviations += other.squared_deviations + difference.powi(2) * a * b / (a + b);
    }

    /// Mean and standard error so far, `None` before the first event.
    pub fn summary(&self) -> Option<Summary> {
        let n = self.count;
        (n > 0).then(|| Summary {
            mean: self.mean,
            standard_error: (n > 1)
                .then(|| (self.squared_deviations / ((n - 1) as f64 * n as f64)).sqrt())
                .filter(|error| error.is_finite()),
            n,
        })
    }
}

/// Quantile `p` in [0, 1] of ascending values, linear between order statistics (type 7 of Hyndman
/// and Fan, the default of R and NumPy). `None` if there are no values.
pub fn quantile(sorted: &[f64], p: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let position = p.clamp(0.0, 1.0) * last as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(last);
    let fraction = position - below as f64;
    Some(sorted[below] + fraction * (sorted[above] - sorted[below]))
}

/// Median of values in any order.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    quantile(&values, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use proptest::prelude::*;

    /// One event of zero density makes the mean infinite, not NaN, in whatever order it comes.
    #[test]
    fn an_infinite_value_makes_the_mean_infinite() {
        for place in 0..3 {
            let mut values = [1.0, 2.0, 3.0];
            values[place] = f64::INFINITY;
            let summary = Summary::of(values).unwrap();
            assert_eq!((summary.mean, summary.standard_error), (f64::INFINITY, None));
            let mut merged = Accumulator::default();
            merged.add(1.0);
            let mut other = Accumulator::default();
            values.into_iter().for_each(|value| other.add(value));
            merged.merge(&other);
            assert_eq!(merged.summary().map(|summary| summary.mean), Some(f64::INFINITY));
        }
    }

    #[test]
    fn mean_and_standard_error_of_four_numbers() {
        // mean 2.5, deviations 1.5 0.5 0.5 1.5: variance 5 / 3, standard error sqrt(5 / 12)
        let summary = Summary::of([1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_relative_eq!(summary.mean, 2.5);
        assert_relative_eq!(summary.standard_error.unwrap(), (5.0_f64 / 12.0).sqrt());
        assert_eq!(summary.n, 4);
    }

    #[test]
    fn one_event_has_no_standard_error_and_none_has_no_summary() {
        assert_eq!(Summary::of([3.0]).unwrap().standard_error, None);
        assert_eq!(Summary::of([]), None);
    }

    #[test]
    fn root_of_a_mean_square() {
        // sqrt(4) = 2; 0.4 / (2 * 2) = 0.1
        let root = Summary { mean: 4.0, standard_error: Some(0.4), n: 9 }.root();
        assert_relative_eq!(root.mean, 2.0);
        assert_relative_eq!(root.standard_error.unwrap(), 0.1);
    }

    #[test]
    fn quantiles_interpolate_between_order_statistics() {
        // position 0.25 * 3 = 0.75 between 10 and 20
        let sorted = [10.0, 20.0, 30.0, 40.0];
        assert_relative_eq!(quantile(&sorted, 0.25).unwrap(), 17.5);
        assert_relative_eq!(quantile(&sorted, 1.0).unwrap(), 40.0);
        assert_eq!(quantile(&[], 0.5), None);
        assert_relative_eq!(median(vec![5.0, 1.0, 9.0]).unwrap(), 5.0);
    }

    proptest! {
        #[test]
        fn merging_parts_gives_the_whole(
            values in prop::collection::vec(-1e3_f64..1e3, 2..40),
            cut in 0_usize..40,
        ) {
            let cut = cut.min(values.len());
            let whole = Summary::of(values.iter().copied()).unwrap();
            let mut left = Accumulator::default();
            let mut right = Accumulator::default();
            values[..cut].iter().for_each(|&v| left.add(v));
            values[cut..].iter().for_each(|&v| right.add(v));
            left.merge(&right);
            let merged = left.summary().unwrap();
            prop_assert_eq!(merged.n, whole.n);
            prop_assert!((merged.mean - whole.mean).abs() < 1e-9);
            let (a, b) = (merged.standard_error.unwrap(), whole.standard_error.unwrap());
            prop_assert!((a - b).abs() < 1e-9);
        }
    }
}
