//! Continuous ranked probability score of an ensemble (T. Gneiting and A. E. Raftery, J. Am. Stat.
//! Assoc. 102, 359 (2007), eq. 21), in O(K log K).
//!
//! With draws x_1..x_K and truth y: (1/K) sum_i |x_i - y| - 1/(2 K (K - 1)) sum_ij |x_i - x_j|, the fair score
//! (C. A. T. Ferro, Q. J. R. Meteorol. Soc. 140, 1917 (2014)). Its expectation is the score of the distribution the
//! draws come from, whatever K, so results with different numbers of draws compare; it may be slightly negative for a
//! single event. The score of the empirical distribution of the draws, with 2 K^2 in place of 2 K (K - 1), is biased
//! towards wide ensembles.
//!
//! The double sum over the ascending x_(0)..x_(K-1) is 2 sum_i (2 i + 1 - K) x_(i).

use ndarray::{Array2, ArrayView2, ArrayView3};

use crate::Result;
use crate::matrix::{check_draws, rows_in_parallel};

/// Fair CRPS of each event and column (`n x d`, in the unit of the column): the expectation does
/// not depend on the number of draws.
///
/// # Errors
/// Fewer than two draws, shapes that do not fit, values that are not finite.
///
/// ```
/// use ndarray::array;
///
/// // One event, two draws, one column: (3 + 1) / 2 from the truth, less half of 2 from each other.
/// let crps = cei_metrics::crps_fair(array![[3.0]].view(), array![[[0.0], [2.0]]].view())?;
/// assert_eq!(crps, array![[1.0]]);
/// # Ok::<(), cei_metrics::Error>(())
/// ```
pub fn crps_fair(truth: ArrayView2<'_, f64>, draws: ArrayView3<'_, f64>) -> Result<Array2<f64>> {
    check_draws(truth, draws, 2)?;
    let (n, count, d) = draws.dim();
    let count = count as f64;
    Ok(rows_in_parallel(n, d, |event, row| {
        for (column, score) in row.iter_mut().enumerate() {
            let y = truth[[event, column]];
            let ensemble = draws.slice(ndarray::s![event, .., column]);
            // Relative to the truth: the weighted sum below then cancels nothing large.
            let mut errors: Vec<f64> = ensemble.iter().map(|x| x - y).collect();
            errors.sort_unstable_by(f64::total_cmp);
            let distance: f64 = errors.iter().map(|error| error.abs()).sum();
            let double_sum: f64 = errors
                .iter()
                .enumerate()
                .map(|(i, error)| 2.0 * (2.0 * i as f64 + 1.0 - count) * error)
                .sum();
            *score = distance / count - double_sum / (2.0 * count * (count - 1.0));
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use ndarray::{Array3, array};
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_distr::{Distribution, StandardNormal};

    #[test]
    fn three_draws_by_hand() {
        // Draws 1, 4, 2 and truth 2: mean distance (1 + 2 + 0) / 3 = 1. Pairs |1-4| + |1-2| +
        // |4-2| = 6, double sum 12: 1 - 12/12 = 0.
        let truth = array![[2.0]];
        let draws = array![[[1.0], [4.0], [2.0]]];
        let fair = crps_fair(truth.view(), draws.view()).unwrap();
        assert_relative_eq!(fair[[0, 0]], 0.0, epsilon = 1e-14);
    }

    #[test]
    fn one_draw_is_too_few_for_the_fair_score() {
        let draws = array![[[1.0]]];
        assert_eq!(
            crps_fair(array![[2.0]].view(), draws.view()),
            Err(crate::Error::TooFewDraws { needed: 2, found: 1 })
        );
    }

    #[test]
    fn the_fair_score_of_normal_draws_is_that_of_the_normal_distribution() {
        // For N(0, 1) and y = 0 the CRPS is (sqrt 2 - 1) / sqrt(pi) = 0.23369, whatever K. With
        // K = 3 and 40,000 events the standard error of the mean is below 0.003 (sd about 0.5).
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        let draws = Array3::from_shape_fn((40_000, 3, 1), |_| StandardNormal.sample(&mut rng));
        let truth = Array2::zeros((40_000, 1));
        let expected = (2.0_f64.sqrt() - 1.0) / std::f64::consts::PI.sqrt();
        let fair = crps_fair(truth.view(), draws.view()).unwrap().mean().unwrap();
        assert!((fair - expected).abs() < 0.009, "{fair} against {expected}");
    }

    proptest! {
        #[test]
        fn the_sorted_sum_is_the_double_sum(
            draws in prop::collection::vec(-9.0_f64..9.0, 2..30),
            y in -9.0_f64..9.0,
        ) {
            let count = draws.len() as f64;
            let distance: f64 = draws.iter().map(|x| (x - y).abs()).sum::<f64>() / count;
            let double: f64 = draws.iter().flat_map(|a| draws.iter().map(move |b| (a - b).abs())).sum();
            let matrix = Array3::from_shape_vec((1, draws.len(), 1), draws).unwrap();
            let truth = array![[y]];
            let fair = crps_fair(truth.view(), matrix.view()).unwrap()[[0, 0]];
            prop_assert!((fair - (distance - double / (2.0 * count * (count - 1.0)))).abs() < 1e-12);
        }

        #[test]
        fn draws_in_one_point_score_their_distance(x in -9.0_f64..9.0, y in -9.0_f64..9.0, count in 2_usize..9) {
            let draws = Array3::from_elem((1, count, 1), x);
            let score = crps_fair(array![[y]].view(), draws.view()).unwrap()[[0, 0]];
            prop_assert!((score - (x - y).abs()).abs() < 1e-12);
        }
    }
}
