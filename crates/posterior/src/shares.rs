//! What parts of a sample several hypotheses describe, if it is a mixture of them.
//!
//! ```text
//! log L(s) = sum_i log sum_k s_k p(y_i | k)        s_k >= 0, sum_k s_k = 1
//! ```
//! is concave; the parts of largest likelihood are found by expectation and maximisation, and their errors by
//! drawing the events anew (bootstrap).

use ndarray::{Array2, ArrayView2, Axis};
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::PosteriorError;

/// Steps of expectation and maximisation at most.
const STEPS: usize = 2_000;
/// Change of a part at which the steps end.
const PRECISION: f64 = 1e-7;
/// How often the events are drawn anew.
const RESAMPLED: usize = 200;

/// The parts of a sample that several hypotheses describe.
///
/// ```
/// use cei_posterior::Shares;
/// use ndarray::Array2;
///
/// // Of twenty events the first five are of the second hypothesis.
/// let log_densities = Array2::from_shape_fn((20, 2), |(event, hypothesis)| {
///     if (event < 5) == (hypothesis == 1) { -2.0 } else { -12.0 }
/// });
/// let shares = Shares::of(log_densities.view(), 0)?;
/// assert!((shares.shares[1] - 0.25).abs() < 0.01 && shares.sd[1] < 0.2);
/// assert!(shares.probabilities(&[-2.0, -12.0])[0] > 0.999);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Shares {
    /// The part of each hypothesis.
    pub shares: Vec<f64>,
    /// The standard deviation of each over samples of as many events.
    pub sd: Vec<f64>,
    /// 5 and 95 % of them.
    pub interval_90: Vec<[f64; 2]>,
}

impl Shares {
    /// Those of largest likelihood, from the log-densities (events x hypotheses) of the events under each; minus infinity
    /// where a hypothesis excludes an event.
    ///
    /// # Errors
    /// [`PosteriorError::Size`] without events or hypotheses; [`PosteriorError::Value`] for an event that no hypothesis
    /// allows, and for a density that is not a number.
    #[allow(clippy::needless_pass_by_value, reason = "a view is a reference already")]
    pub fn of(log_densities: ArrayView2<'_, f64>, seed: u64) -> Result<Self, PosteriorError> {
        let (events, hypotheses) = log_densities.dim();
        for (what, found) in [("events", events), ("hypotheses", hypotheses)] {
            if found == 0 {
                return Err(PosteriorError::Size { what, found, expected: 1 });
            }
        }
        let mut ratios = Array2::zeros((events, hypotheses));
        for (index, (row, mut ratios)) in
            log_densities.rows().into_iter().zip(ratios.rows_mut()).enumerate()
        {
            let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            if !most.is_finite() || row.iter().any(|log| log.is_nan()) {
                let (what, expected) = ("log-density of event", "one that a hypothesis allows");
                return Err(PosteriorError::Value { what, index, value: most, expected });
            }
            ratios.iter_mut().zip(row).for_each(|(ratio, log)| *ratio = (log - most).exp());
        }
        let even = 1.0 / hypotheses as f64;
        let shares = most_likely(&ratios, &vec![1.0; events], vec![even; hypotheses]);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut others: Vec<Vec<f64>> = vec![Vec::with_capacity(RESAMPLED); hypotheses];
        for _ in 0..RESAMPLED {
            let mut counts = vec![0.0; events];
            (0..events).for_each(|_| counts[rng.random_range(0..events)] += 1.0);
            // A part of zero would stay zero.
            let start = shares.iter().map(|share| 0.9 * share + 0.1 * even).collect();
            let found = most_likely(&ratios, &counts, start);
            others.iter_mut().zip(found).for_each(|(all, share)| all.push(share));
        }
        let sd = |all: &Vec<f64>| {
            let mean = all.iter().sum::<f64>() / RESAMPLED as f64;
            (all.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / (RESAMPLED - 1) as f64).sqrt()
        };
        let sds = others.iter().map(sd).collect();
        let interval_90 = others.into_iter().map(|mut all| {
            all.sort_by(f64::total_cmp);
            [all[RESAMPLED / 20], all[RESAMPLED - 1 - RESAMPLED / 20]]
        });
        Ok(Self { shares, sd: sds, interval_90: interval_90.collect() })
    }

    /// How probable each hypothesis is for an event with these log-densities: the shares themselves where all exclude it.
    #[must_use]
    pub fn probabilities(&self, log_densities: &[f64]) -> Vec<f64> {
        let most = log_densities.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if most == f64::NEG_INFINITY {
            return self.shares.clone();
        }
        let joint: Vec<f64> = self
            .shares
            .iter()
            .zip(log_densities)
            .map(|(share, log)| share * (log - most).exp())
            .collect();
        let sum: f64 = joint.iter().sum();
        joint.into_iter().map(|part| part / sum).collect()
    }
}

/// The shares of largest likelihood, of events that count so often.
fn most_likely(ratios: &Array2<f64>, counts: &[f64], mut shares: Vec<f64>) -> Vec<f64> {
    let all: f64 = counts.iter().sum();
    for _ in 0..STEPS {
        let mut next = vec![0.0; shares.len()];
        for (row, count) in ratios.axis_iter(Axis(0)).zip(counts) {
            let sum: f64 = row.iter().zip(&shares).map(|(ratio, share)| ratio * share).sum();
            if *count > 0.0 && sum > 0.0 {
                for ((next, ratio), share) in next.iter_mut().zip(row).zip(&shares) {
                    *next += count * ratio * share / (sum * all);
                }
            }
        }
        let change = shares.iter().zip(&next).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        shares = next;
        if change < PRECISION {
            break;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_distr::{Distribution as _, StandardNormal};

    const CENTRES: [f64; 3] = [0.0, 2.0, 4.0];

    /// Log-densities, a constant apart, of a sample of three normal laws.
    fn sample(events: usize, shares: [f64; 3], seed: u64) -> Array2<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut log_densities = Array2::zeros((events, 3));
        for mut row in log_densities.rows_mut() {
            let u: f64 = rng.random();
            let law = usize::from(u > shares[0]) + usize::from(u > shares[0] + shares[1]);
            let z: f64 = StandardNormal.sample(&mut rng);
            let y = CENTRES[law] + z;
            row.iter_mut().zip(CENTRES).for_each(|(log, c)| *log = -0.5 * (y - c) * (y - c));
        }
        log_densities
    }

    /// Over many samples: no bias, errors of the size that is told, and intervals of 90 % that hold the truth as often.
    #[test]
    fn shares_and_their_errors_are_those_of_many_samples() -> Result<(), PosteriorError> {
        let truth = [0.5, 0.2, 0.3];
        let (mut sums, mut squares, mut told, mut held) = ([0.0; 3], [0.0; 3], [0.0; 3], 0_u32);
        let samples = 100_u32;
        let n = f64::from(samples);
        for seed in 0..u64::from(samples) {
            let found = Shares::of(sample(500, truth, seed).view(), seed)?;
            for k in 0..3 {
                sums[k] += found.shares[k] / n;
                squares[k] += (found.shares[k] - truth[k]).powi(2) / n;
                told[k] += found.sd[k] / n;
                let [low, high] = found.interval_90[k];
                held += u32::from(low <= truth[k] && truth[k] <= high);
            }
        }
        for k in 0..3 {
            let sd = squares[k].sqrt();
            assert!((sums[k] - truth[k]).abs() < 4.0 * sd / n.sqrt(), "{sums:?}");
            assert!((told[k] / sd - 1.0).abs() < 0.25, "{told:?} {squares:?}");
        }
        let part = f64::from(held) / (3.0 * n);
        assert!((0.83..0.96).contains(&part), "{part}");
        Ok(())
    }

    /// What cannot be told apart is told as such, and what is excluded has no part.
    #[test]
    fn like_hypotheses_and_impossible_ones() -> Result<(), PosteriorError> {
        let never = f64::NEG_INFINITY;
        let alike = Array2::from_shape_fn((50, 3), |(_, k)| if k == 2 { never } else { -3.0 });
        let found = Shares::of(alike.view(), 0)?;
        assert_eq!(found.shares[2], 0.0);
        assert!((found.shares[0] - 0.5).abs() < 1e-9);
        assert_eq!(found.probabilities(&[never; 3]), found.shares);
        let lost = Array2::from_elem((5, 2), never);
        assert!(matches!(Shares::of(lost.view(), 0), Err(PosteriorError::Value { .. })));
        assert!(Shares::of(Array2::zeros((0, 2)).view(), 0).is_err());
        Ok(())
    }
}
