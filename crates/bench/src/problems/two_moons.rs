//! `two_moons`: `x ~ U(-1, 1)^2`; with `a ~ U(-pi/2, pi/2)`, `r ~ N(0.1, 0.01^2)` and the point of a crescent
//! `p = (r cos a + 0.25, r sin a)`, `y = (p1 - |x1 + x2| / sqrt 2, p2 + (x2 - x1) / sqrt 2)`.
//!
//! Given `y`, `x -> p` preserves areas and is two to one, and the prior is flat. So a crescent point and a
//! sign give a draw, `|x1 + x2| / sqrt 2 = p1 - y1`, `(x2 - x1) / sqrt 2 = y2 - p2`, unless the first
//! is negative or `x` is outside of the box: then both are drawn again.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_2};

use ndarray::Array2;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::gaussian::normal;

const RADIUS: f64 = 0.1;
const RADIUS_SD: f64 = 0.01;
const OFFSET: f64 = 0.25;

pub(super) fn pair(rng: &mut ChaCha8Rng, x: &mut [f64], y: &mut [f64]) {
    x.fill_with(|| rng.random_range(-1.0..1.0));
    let p = crescent(rng);
    y[0] = p[0] - (x[0] + x[1]).abs() * FRAC_1_SQRT_2;
    y[1] = p[1] + (x[1] - x[0]) * FRAC_1_SQRT_2;
}

pub(super) fn posterior(rng: &mut ChaCha8Rng, y: &[f64], draws: usize) -> Array2<f64> {
    let mut x = Array2::zeros((draws, 2));
    for mut row in x.rows_mut() {
        let accepted = loop {
            let p = crescent(rng);
            let (sum, difference) = (p[0] - y[0], y[1] - p[1]);
            let sum_signed = if rng.random() { sum } else { -sum };
            let x = [sum_signed - difference, sum_signed + difference].map(|x| x * FRAC_1_SQRT_2);
            if sum >= 0.0 && x.iter().all(|x| x.abs() <= 1.0) {
                break x;
            }
        };
        row[0] = accepted[0];
        row[1] = accepted[1];
    }
    x
}

fn crescent(rng: &mut ChaCha8Rng) -> [f64; 2] {
    let angle: f64 = rng.random_range(-FRAC_PI_2..FRAC_PI_2);
    let radius = RADIUS + RADIUS_SD * normal(rng);
    [radius * angle.cos() + OFFSET, radius * angle.sin()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problems::PROBLEMS;
    use crate::problems::tests::{mean, quadrature};

    /// Against the midpoint rule on `p(y | x) = N(r; 0.1, 0.01^2) / (pi r)`, at an observation near the edge of
    /// what can be seen, where the two crescents are cut, and at an ordinary one. A cell is 1e-3 wide,
    /// a crescent 1e-2 thick.
    #[test]
    fn the_posterior_agrees_with_quadrature() {
        for y in [[0.28, 0.3], [-0.6396706, 0.16234657]] {
            let draws = PROBLEMS[0].reference(&y, 0, 20_000);
            let density = |x: &[f64; 2]| {
                let u = y[0] + (x[0] + x[1]).abs() * FRAC_1_SQRT_2 - OFFSET;
                let v = y[1] - (x[1] - x[0]) * FRAC_1_SQRT_2;
                let radius = u.hypot(v);
                if u < 0.0 || radius == 0.0 {
                    return 0.0;
                }
                (-((radius - RADIUS) / RADIUS_SD).powi(2) / 2.0).exp() / radius
            };
            let moments: [fn(&[f64]) -> f64; 6] = [
                |x| x[0],
                |x| x[1],
                |x| x[0] * x[0],
                |x| x[0] * x[1],
                |x| (x[0] + x[1]).abs(),
                |x| f64::from(x[0] > x[1]),
            ];
            for (index, f) in moments.into_iter().enumerate() {
                let exact = quadrature([-1.0, 1.0], 2000, density, f);
                let (found, error) = mean(&draws, f);
                let close = (found - exact).abs() < 5.0 * error + 1e-4;
                assert!(close, "{index}: {found} +- {error}, {exact}");
            }
        }
    }
}
