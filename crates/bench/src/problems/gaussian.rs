//! `gaussian_linear`: `x ~ N(0, 0.1 I)`, `y | x ~ N(x, 0.1 I)`, so `x | y ~ N(y / 2, 0.05 I)`; variances.
//! `gaussian_mixture`: `x ~ U(-10, 10)^2`, `y | x` half `N(x, I)`, half `N(x, 0.01 I)`, so `x | y` is the
//! same mixture about `y`, cut off at the box. One component counts for both dimensions (sbibm 1.1).

use ndarray::{Array2, Axis};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// Variance of the prior and of the noise of `gaussian_linear`.
const VARIANCE: f64 = 0.1;
/// Half a side of the box, and the standard deviations of the components, of `gaussian_mixture`.
const BOX: f64 = 10.0;
const SCALES: [f64; 2] = [1.0, 0.1];

pub(super) fn linear_pair(rng: &mut ChaCha8Rng, x: &mut [f64], y: &mut [f64]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x = VARIANCE.sqrt() * normal(rng);
        *y = *x + VARIANCE.sqrt() * normal(rng);
    }
}

pub(super) fn linear_posterior(rng: &mut ChaCha8Rng, y: &[f64], draws: usize) -> Array2<f64> {
    Array2::from_shape_fn((draws, y.len()), |(_, column)| {
        y[column] / 2.0 + (VARIANCE / 2.0).sqrt() * normal(rng)
    })
}

pub(super) fn mixture_pair(rng: &mut ChaCha8Rng, x: &mut [f64], y: &mut [f64]) {
    x.fill_with(|| rng.random_range(-BOX..BOX));
    let scale = SCALES[usize::from(rng.random::<bool>())];
    y.iter_mut().zip(x).for_each(|(y, x)| *y = *x + scale * normal(rng));
}

/// Draws outside of the box are drawn again, the component included.
pub(super) fn mixture_posterior(rng: &mut ChaCha8Rng, y: &[f64], draws: usize) -> Array2<f64> {
    let mut x = Array2::zeros((draws, y.len()));
    for mut row in x.axis_iter_mut(Axis(0)) {
        loop {
            let scale = SCALES[usize::from(rng.random::<bool>())];
            row.iter_mut().zip(y).for_each(|(x, y)| *x = y + scale * normal(rng));
            if row.iter().all(|x| x.abs() <= BOX) {
                break;
            }
        }
    }
    x
}

pub(super) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    rng.sample(StandardNormal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problems::PROBLEMS;
    use crate::problems::tests::{mean, quadrature};

    #[test]
    fn the_linear_posterior_has_its_closed_moments() {
        let y = PROBLEMS[2].observations(1).row(0).to_vec();
        let draws = PROBLEMS[2].reference(&y, 0, 20_000);
        for column in 0..10 {
            let (found, error) = mean(&draws, |x| x[column]);
            assert!((found - y[column] / 2.0).abs() < 5.0 * error);
            let (variance, error) = mean(&draws, |x| (x[column] - y[column] / 2.0).powi(2));
            assert!((variance - 0.05).abs() < 5.0 * error);
        }
    }

    /// Against the midpoint rule on `p(y | x)` in the box, at an observation whose mixture the edges cut.
    #[test]
    fn the_mixture_posterior_agrees_with_quadrature() {
        let y = PROBLEMS[3].observations(1).row(0).to_vec();
        let draws = PROBLEMS[3].reference(&y, 0, 20_000);
        let density = |x: &[f64; 2]| {
            let squared = (x[0] - y[0]).powi(2) + (x[1] - y[1]).powi(2);
            SCALES.iter().map(|scale| (-squared / 2.0 / scale / scale).exp() / scale / scale).sum()
        };
        let moments: [fn(&[f64]) -> f64; 4] =
            [|x| x[0], |x| x[1], |x| x[0] * x[0], |x| f64::from((x[0] + 9.4).abs() < 0.2)];
        for (index, f) in moments.into_iter().enumerate() {
            let exact = quadrature([-BOX, BOX], 1000, density, f);
            let (found, error) = mean(&draws, f);
            assert!((found - exact).abs() < 5.0 * error, "{index}: {found} +- {error}, {exact}");
        }
    }
}
