//! What parts of a sample several hypotheses describe, if it is a mixture of them.
//!
//! ```text
//! log L(s) = sum_i log sum_k s_k p(y_i | k)        s_k >= 0, sum_k s_k = 1
//! ```
//! is concave; the parts of largest likelihood are found by expectation and maximisation, and their errors are those of
//! their posterior under a flat prior. (Events drawn anew say nothing of a part of which no event is there: none of twenty
//! events does not mean none of all.)

use ndarray::{Array2, ArrayView2, Axis};
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::PosteriorError;

/// Steps of expectation and maximisation at most.
const STEPS: usize = 2_000;
/// Change of a part at which the steps end.
const PRECISION: f64 = 1e-7;
/// Draws of the posterior.
const DRAWS: usize = 400;

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
    /// The standard deviation of each under its posterior.
    pub sd: Vec<f64>,
    /// 5 and 95 % of it.
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
        let shares = most_likely(&ratios, vec![even; hypotheses]);
        // Slices begin inside: a part of zero would stay zero.
        let start = shares.iter().map(|share| 0.9 * share + 0.1 * even).collect();
        let drawn = drawn(&ratios, start, &mut ChaCha8Rng::seed_from_u64(seed));
        let sd = |all: &Vec<f64>| {
            let mean = all.iter().sum::<f64>() / DRAWS as f64;
            (all.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / (DRAWS - 1) as f64).sqrt()
        };
        let sds = drawn.iter().map(sd).collect();
        let interval_90 = drawn.into_iter().map(|mut all| {
            all.sort_by(f64::total_cmp);
            [all[DRAWS / 20], all[DRAWS - 1 - DRAWS / 20]]
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

/// Draws of the shares, those of one hypothesis after those of another, from `L(s)` as a density over all shares. One share at a
/// time is drawn by slices (Neal, Ann. Stat. 31, 705 (2003)), the others keep their ratios.
fn drawn(ratios: &Array2<f64>, mut shares: Vec<f64>, rng: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
    let hypotheses = shares.len();
    if hypotheses == 1 {
        return vec![vec![1.0; DRAWS]];
    }
    let mut all: Vec<Vec<f64>> = vec![Vec::with_capacity(DRAWS); hypotheses];
    for _ in 0..DRAWS {
        for one in 0..hypotheses {
            let old = shares[one];
            let parts: Vec<(f64, f64)> = ratios
                .axis_iter(Axis(0))
                .map(|row| {
                    let sum: f64 = row.iter().zip(&shares).map(|(ratio, s)| ratio * s).sum();
                    (row[one], ((sum - old * row[one]) / (1.0 - old)).max(0.0))
                })
                .collect();
            let log_density = |share: f64| {
                let mixed =
                    |(own, others): &(f64, f64)| (share * own + (1.0 - share) * others).ln();
                let of_others = (hypotheses - 2) as f64 * (1.0 - share).ln();
                parts.iter().map(mixed).sum::<f64>() + of_others
            };
            let level = log_density(old) + (1.0 - rng.random::<f64>()).ln();
            let (mut low, mut high) = (0.0, 1.0);
            let new = loop {
                let share = low + (high - low) * rng.random::<f64>();
                if log_density(share) >= level || high - low < PRECISION {
                    break share;
                }
                *(if share < old { &mut low } else { &mut high }) = share;
            };
            // Neither end, from which no slice leads away.
            let new = new.clamp(PRECISION, 1.0 - PRECISION);
            shares.iter_mut().for_each(|share| *share *= (1.0 - new) / (1.0 - old));
            shares[one] = new;
        }
        all.iter_mut().zip(&shares).for_each(|(all, share)| all.push(*share));
    }
    all
}

/// The shares of largest likelihood.
fn most_likely(ratios: &Array2<f64>, mut shares: Vec<f64>) -> Vec<f64> {
    let all = ratios.nrows() as f64;
    for _ in 0..STEPS {
        let mut next = vec![0.0; shares.len()];
        for row in ratios.axis_iter(Axis(0)) {
            let sum: f64 = row.iter().zip(&shares).map(|(ratio, share)| ratio * share).sum();
            if sum > 0.0 {
                for ((next, ratio), share) in next.iter_mut().zip(row).zip(&shares) {
                    *next += ratio * share / (sum * all);
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

    /// Of `n` events that one hypothesis describes alone, the other has a part with the density `(n + 1) (1 - s)^n`: 95 % of it lie
    /// below `1 - 0.05^(1 / (n + 1))`, and its variance is `(n + 1) / ((n + 2)^2 (n + 3))`. That of 400 draws is off by a tenth
    /// of the standard deviation.
    #[test]
    fn no_event_of_a_hypothesis_bounds_its_part() -> Result<(), PosteriorError> {
        for n in [1_usize, 20, 1000] {
            let clear = Array2::from_shape_fn((n, 2), |(_, k)| if k == 0 { -3.0 } else { -90.0 });
            let found = Shares::of(clear.view(), 1)?;
            let m = n as f64;
            let sd = ((m + 1.0) / ((m + 2.0).powi(2) * (m + 3.0))).sqrt();
            assert!(found.shares[1] < 1e-6, "{n}: {found:?}");
            let most = 1.0 - 0.05_f64.powf(1.0 / (m + 1.0));
            assert!((found.interval_90[1][1] - most).abs() < 0.6 * sd, "{n}: {found:?}");
            assert!((found.sd[1] / sd - 1.0).abs() < 0.3, "{n}: {found:?}");
            assert!((found.interval_90[0][0] + found.interval_90[1][1] - 1.0).abs() < 0.05 * sd);
        }
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
