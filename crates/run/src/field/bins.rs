//! Counting of values in bins that hold the bulk of every sample.

use cei_report::BinCounts;

/// Share of the values of a sample, on either side, that may lie outside of an axis.
pub(super) const TAIL: f64 = 0.002;

/// Bins of equal width.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bins {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) count: usize,
}

impl Bins {
    /// Bins between given ends for this many values.
    pub(super) fn between(low: f64, high: f64, values: usize) -> Self {
        Self { low, high, count: (2.0 * (values as f64).cbrt()).clamp(18.0, 90.0) as usize }
    }

    /// The same for maps: fewer values in a bin.
    pub(super) fn of_map(low: f64, high: f64, values: usize) -> Self {
        Self { low, high, count: (1.2 * (values as f64).sqrt()).clamp(24.0, 100.0) as usize }
    }

    pub(super) fn edges(&self) -> Vec<f64> {
        let width = (self.high - self.low) / self.count as f64;
        (0..=self.count).map(|edge| self.low + width * edge as f64).collect()
    }

    /// The bin of a value; none beyond the ends.
    pub(super) fn of(&self, value: f64) -> Option<usize> {
        let place = (value - self.low) / (self.high - self.low) * self.count as f64;
        // The last bin has its upper end too.
        let last = (value == self.high).then_some(self.count - 1);
        last.or_else(|| {
            (place >= 0.0 && place < self.count as f64).then_some(place.floor() as usize)
        })
    }
}

/// Ends of an axis that holds every sample but for its tails, and a little more; of all of them where tails are short.
pub(super) fn bulk(samples: &mut [Vec<f64>], tail: f64) -> (f64, f64) {
    let mut ends = (f64::INFINITY, f64::NEG_INFINITY);
    for values in samples.iter_mut().filter(|values| !values.is_empty()) {
        let last = values.len() - 1;
        let mut at = |level: f64| {
            let place = (level * last as f64).round() as usize;
            *values.select_nth_unstable_by(place, f64::total_cmp).1
        };
        let (low, high) = (at(tail), at(1.0 - tail));
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let room = 0.1 * (high - low);
        ends = (ends.0.min(least.max(low - room)), ends.1.max(most.min(high + room)));
    }
    match ends.1 - ends.0 {
        span if !span.is_finite() => (0.0, 1.0),
        span if span > 0.0 => (ends.0 - 1e-9 * span, ends.1 + 1e-9 * span),
        _ => (ends.0 - 0.05 * ends.0.abs().max(1.0), ends.1 + 0.05 * ends.1.abs().max(1.0)),
    }
}

/// How many values are in each bin.
pub(super) fn counts(sample: &str, bins: Bins, values: impl Iterator<Item = f64>) -> BinCounts {
    let mut counted =
        BinCounts { sample: sample.to_owned(), counts: vec![0; bins.count], outside: 0 };
    for value in values {
        match bins.of(value) {
            Some(bin) => counted.counts[bin] += 1,
            None => counted.outside += 1,
        }
    }
    counted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_a_bin_or_outside() {
        let bins = Bins { low: 0.0, high: 3.0, count: 3 };
        let counted = counts("a", bins, [0.0, 0.5, 1.0, 2.9, 3.0, 3.1, -0.1].into_iter());
        assert_eq!((counted.counts, counted.outside), (vec![2, 1, 2], 2));
        assert_eq!(bins.edges(), [0.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn a_far_value_does_not_stretch_the_axis_and_equal_values_have_one() {
        let mut values: Vec<f64> = (0..=1000).map(f64::from).collect();
        values.push(1e9);
        let (low, high) = bulk(&mut [values], TAIL);
        assert!((low - 0.0).abs() < 1e-3 && (1000.0..1200.0).contains(&high), "{low} {high}");
        let (low, high) = bulk(&mut [vec![3.0; 5], Vec::new()], TAIL);
        assert!(low < 3.0 && high > 3.0);
        assert_eq!(bulk(&mut [Vec::new()], TAIL), (0.0, 1.0));
    }
}
