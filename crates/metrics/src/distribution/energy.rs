//! Energy score: the CRPS of a whole vector (T. Gneiting and A. E. Raftery, J. Am. Stat. Assoc.
//! 102, 359 (2007), eq. 22), in its fair form
//! (1/K) sum_i ||x_i - y|| - 1/(2 K (K - 1)) sum_ij ||x_i - x_j||,
//! whose expectation does not depend on the number K of draws.

use ndarray::{ArrayView2, ArrayView3};
use rayon::prelude::*;

use crate::Result;
use crate::matrix::check_draws;

/// Fair energy score of each event, in the common unit of the columns. Costs O(K^2 d) an event.
///
/// # Errors
/// Fewer than two draws, shapes that do not fit, values that are not finite.
pub fn energy_score_fair(
    truth: ArrayView2<'_, f64>,
    draws: ArrayView3<'_, f64>,
) -> Result<Vec<f64>> {
    check_draws(truth, draws, 2)?;
    let (n, count, d) = draws.dim();
    let (truth, draws) = (truth.as_standard_layout(), draws.as_standard_layout());
    Ok((0..n)
        .into_par_iter()
        .map(|event| {
            let y: Vec<f64> = truth.row(event).to_vec();
            let draws: Vec<f64> =
                draws.index_axis(ndarray::Axis(0), event).iter().copied().collect();
            let draws: Vec<&[f64]> = draws.chunks_exact(d).collect();
            let distance: f64 = draws.iter().map(|x| euclidean(x, &y)).sum();
            let mut pairs = 0.0;
            for (i, x) in draws.iter().enumerate() {
                pairs += draws[..i].iter().map(|other| euclidean(x, other)).sum::<f64>();
            }
            let count = count as f64;
            // each pair stands twice in the double sum
            distance / count - pairs / (count * (count - 1.0))
        })
        .collect())
}

fn euclidean(a: &[f64], b: &[f64]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b));
    squares.sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crps_fair;
    use approx::assert_relative_eq;
    use ndarray::{Array3, array};
    use proptest::prelude::*;

    #[test]
    fn two_draws_in_the_plane_by_hand() {
        // Truth (0, 0), draws (3, 4) and (0, 1): (5 + 1) / 2 - |(3, 3)| / 2 = 3 - 3 sqrt(2) / 2
        let truth = array![[0.0, 0.0]];
        let draws = array![[[3.0, 4.0], [0.0, 1.0]]];
        let score = energy_score_fair(truth.view(), draws.view()).unwrap();
        assert_relative_eq!(score[0], 3.0 - 1.5 * 2.0_f64.sqrt(), epsilon = 1e-14);
    }

    proptest! {
        #[test]
        fn in_one_dimension_it_is_the_crps(
            draws in prop::collection::vec(-9.0_f64..9.0, 2..20),
            y in -9.0_f64..9.0,
        ) {
            let draws = Array3::from_shape_vec((1, draws.len(), 1), draws).unwrap();
            let truth = array![[y]];
            let energy = energy_score_fair(truth.view(), draws.view()).unwrap()[0];
            let crps = crps_fair(truth.view(), draws.view()).unwrap()[[0, 0]];
            prop_assert!((energy - crps).abs() < 1e-12);
        }

        #[test]
        fn draws_in_one_point_score_their_distance(
            x in prop::array::uniform3(-9.0_f64..9.0),
            y in prop::array::uniform3(-9.0_f64..9.0),
        ) {
            let draws = Array3::from_shape_fn((1, 5, 3), |(_, _, column)| x[column]);
            let energy = energy_score_fair(array![y].view(), draws.view()).unwrap()[0];
            prop_assert!((energy - euclidean(&x, &y)).abs() < 1e-12);
        }
    }
}
