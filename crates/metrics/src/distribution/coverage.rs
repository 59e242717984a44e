//! Ranks of the truth among the draws, and central coverage with no error of finite K.
//!
//! For an exact posterior, the truth and its K draws are exchangeable, so the rank r (draws below
//! the truth) is uniform on 0..=K. Put v ~ U(0, 1): u = (r + v) / (K + 1) is then exactly uniform
//! on (0, 1), and the truth is in the central interval of level c where |u - 1/2| <= c / 2: with
//! probability exactly c, whatever K. (Quantiles interpolated among K draws cover less.) Averaging
//! over v instead of drawing it leaves the expectation and removes the noise, so that a hit is the
//! FRACTION of the interval [r, r + 1] / (K + 1) that lies within [(1 - c) / 2, (1 + c) / 2].
//! With e draws equal to the truth, the rank is uniform on r..=r + e and the interval is
//! [r, r + e + 1] / (K + 1) by the same argument.

use ndarray::{Array2, ArrayView2, ArrayView3};

use crate::matrix::{check_draws, rows_in_parallel};
use crate::{Error, Result};

/// The central coverage levels reported (`docs/spec.md#distributions`).
pub const COVERAGE_LEVELS: [f64; 4] = [0.5, 0.8, 0.9, 0.95];

/// The key of a coverage level: `0.5`, `0.95`.
pub fn level_key(level: f64) -> String {
    level.to_string()
}

/// Ranks of the truth among its draws, for each event and column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranks {
    /// Draws below the truth (`n x d`).
    pub below: Array2<usize>,
    /// Draws equal to the truth (`n x d`).
    pub equal: Array2<usize>,
    /// Draws per event, K.
    pub draws: usize,
}

/// Ranks the truth (`n x d`) among the draws (`n x K x d`), column by column.
///
/// # Errors
/// No draws, shapes that do not fit, values that are not finite.
pub fn ranks(truth: ArrayView2<'_, f64>, draws: ArrayView3<'_, f64>) -> Result<Ranks> {
    check_draws(truth, draws, 1)?;
    let count = |event: usize, column: usize, test: fn(&f64, &f64) -> bool| {
        let y = truth[[event, column]];
        let draws = draws.slice(ndarray::s![event, .., column]);
        draws.iter().filter(|x| test(x, &y)).count()
    };
    Ok(Ranks {
        below: Array2::from_shape_fn(truth.dim(), |(i, j)| count(i, j, f64::lt)),
        equal: Array2::from_shape_fn(truth.dim(), |(i, j)| count(i, j, f64::eq)),
        draws: draws.dim().1,
    })
}

impl Ranks {
    /// Hits of the central interval of level `level` for each event and column (`n x d`), in
    /// [0, 1]. Their expectation under the exact posterior is the level, whatever the number of
    /// draws.
    ///
    /// # Errors
    /// A level outside (0, 1).
    pub fn central_hits(&self, level: f64) -> Result<Array2<f64>> {
        check_level(level)?;
        let (lower, upper) = ((1.0 - level) / 2.0, (1.0 + level) / 2.0);
        let (n, d) = self.below.dim();
        let places = (self.draws + 1) as f64;
        Ok(rows_in_parallel(n, d, |event, row| {
            for (column, hit) in row.iter_mut().enumerate() {
                let below = self.below[[event, column]];
                let start = below as f64 / places;
                let end = (below + self.equal[[event, column]] + 1) as f64 / places;
                let overlap = (end.min(upper) - start.max(lower)).max(0.0);
                *hit = overlap / (end - start);
            }
        }))
    }
}

/// Checks that a level is in (0, 1).
pub(crate) fn check_level(level: f64) -> Result<()> {
    if level > 0.0 && level < 1.0 { Ok(()) } else { Err(Error::Level { level }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use ndarray::{Array3, array};
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    #[test]
    fn ranks_count_draws_below_and_equal() {
        let truth = array![[2.0, 7.0]];
        let draws = array![[[1.0, 7.0], [2.0, 7.0], [3.0, 8.0]]];
        let ranks = ranks(truth.view(), draws.view()).unwrap();
        assert_eq!(ranks.below, array![[1, 0]]);
        assert_eq!(ranks.equal, array![[1, 2]]);
        // middles of [1, 3] / 4 and [0, 3] / 4
    }

    #[test]
    fn fractional_hits_by_hand() {
        // K = 3: intervals [0, 1/4], [1/4, 1/2], ... Level 0.8 is [0.1, 0.9]: rank 0 has
        // (0.25 - 0.1) / 0.25 = 0.6 of a hit, rank 1 a whole one. Level 0.4 is [0.3, 0.7]: rank 0
        // none, rank 1 (0.5 - 0.3) / 0.25 = 0.8.
        let truth = array![[0.5], [1.5]];
        let draws = array![[[1.0], [2.0], [3.0]], [[1.0], [2.0], [3.0]]];
        let ranks = ranks(truth.view(), draws.view()).unwrap();
        let wide = ranks.central_hits(0.8).unwrap();
        assert_relative_eq!(wide[[0, 0]], 0.6, epsilon = 1e-12);
        assert_relative_eq!(wide[[1, 0]], 1.0, epsilon = 1e-12);
        let narrow = ranks.central_hits(0.4).unwrap();
        assert_relative_eq!(narrow[[0, 0]], 0.0);
        assert_relative_eq!(narrow[[1, 0]], 0.8, epsilon = 1e-12);
    }

    #[test]
    fn draws_all_equal_to_the_truth_say_nothing() {
        // the rank is uniform on 0..=K, the hit the level itself
        let ranks = ranks(array![[1.0]].view(), Array3::ones((1, 9, 1)).view()).unwrap();
        assert_relative_eq!(ranks.central_hits(0.9).unwrap()[[0, 0]], 0.9, epsilon = 1e-12);
    }

    #[test]
    fn an_exact_posterior_is_covered_nominally_even_with_few_draws() {
        // Truth and K = 7 draws from one N(0, 1): the mean of 40,000 hits in [0, 1] has a standard
        // error of at most 0.5 / sqrt(40,000) = 0.0025; 4 of them fail once in 16,000 runs.
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let all: Array2<f64> =
            Array2::from_shape_fn((40_000, 8), |_| StandardNormal.sample(&mut rng));
        let truth = all.slice(ndarray::s![.., ..1]);
        let draws = all.slice(ndarray::s![.., 1..]).insert_axis(ndarray::Axis(2));
        let ranks = ranks(truth, draws).unwrap();
        for level in COVERAGE_LEVELS {
            let covered = ranks.central_hits(level).unwrap().mean().unwrap();
            assert!((covered - level).abs() < 0.01, "{covered} at {level}");
        }
    }

    #[test]
    fn draws_half_as_wide_as_the_posterior_cover_too_little() {
        // Truth N(0, 1), draws N(0, 1/4): the 90 % interval is +- 0.822, which holds
        // erf(0.822 / sqrt 2) = 0.589 of the truth (a little more for finite K = 200).
        let mut rng = ChaCha8Rng::seed_from_u64(12);
        let mut normal = |scale: f64| -> f64 {
            let value: f64 = StandardNormal.sample(&mut rng);
            scale * value
        };
        let truth = Array2::from_shape_fn((2_000, 1), |_| normal(1.0));
        let draws = Array3::from_shape_fn((2_000, 200, 1), |_| normal(0.5));
        let ranks = ranks(truth.view(), draws.view()).unwrap();
        let covered = ranks.central_hits(0.9).unwrap().mean().unwrap();
        // standard error 0.011
        assert!((covered - 0.589).abs() < 0.045, "{covered}");
    }

    proptest! {
        #[test]
        fn hits_averaged_over_all_ranks_give_the_level(count in 1_usize..40, level in 0.01_f64..0.99) {
            let ranks = Ranks {
                below: Array2::from_shape_fn((count + 1, 1), |(rank, _)| rank),
                equal: Array2::zeros((count + 1, 1)),
                draws: count,
            };
            let mean = ranks.central_hits(level).unwrap().mean().unwrap();
            prop_assert!((mean - level).abs() < 1e-12);
        }

        #[test]
        fn ties_are_exchangeable_too(seed in 0_u64..500, level in 0.05_f64..0.95) {
            // every row takes its turn as the truth of the others, with many ties: the hits
            // average to the level exactly
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let pool: Vec<f64> = (0..9).map(|_| f64::from(rng.random_range(0..4_u32))).collect();
            let truth = Array2::from_shape_fn((9, 1), |(i, _)| pool[i]);
            let draws = Array3::from_shape_fn((9, 8, 1), |(i, k, _)| pool[if k < i { k } else { k + 1 }]);
            let ranks = ranks(truth.view(), draws.view()).unwrap();
            let mean = ranks.central_hits(level).unwrap().mean().unwrap();
            prop_assert!((mean - level).abs() < 1e-12);
        }

        #[test]
        fn levels_outside_the_unit_interval_are_refused(level in prop_oneof![-9.0_f64..=0.0, 1.0_f64..9.0]) {
            let ranks = Ranks { below: Array2::zeros((1, 1)), equal: Array2::zeros((1, 1)), draws: 3 };
            prop_assert_eq!(ranks.central_hits(level), Err(Error::Level { level }));
        }
    }
}
