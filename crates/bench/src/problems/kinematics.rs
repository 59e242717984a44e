//! `inverse_kinematics` (Kruse et al. 2021): an arm that slides by `x1` and has three joints,
//! `x ~ N(0, diag(0.25, 0.5, 0.5, 0.5)^2)`, `phi = (x2, x2 + x3, x2 + x3 + x4)`, links `l = (0.5, 0.5, 1)`,
//! `y1 = sum l_i cos phi_i`, `y2 = x1 + sum l_i sin phi_i`.
//!
//! Given `y` the draws lie on a surface. `y2` gives `x1`, with derivative 1; `y1` gives any one angle `phi_i`
//! from the other two, with derivative `l_i |sin phi_i|`. So by the coarea formula the posterior has the density
//! `p(x)` in `dnu = d phi_j d phi_k / (l_i |sin phi_i|)`, which is the same measure for every `i`. Two angles are
//! drawn from the prior and the third, `i` at random, is solved for; in `nu` the density of that is
//! `q = sum_i p(phi_j, phi_k) P(branch) l_i |sin phi_i| / 3`. The weights `p(x) / q` are bounded except where the
//! arm is stretched, and draws are resampled by them from a far larger pool.

use std::f64::consts::TAU;

use ndarray::Array2;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::gaussian::normal;

const LINKS: [f64; 3] = [0.5, 0.5, 1.0];
const SLIDE_SD: f64 = 0.25;
const JOINT_SD: f64 = 0.5;
/// Probability that the angle that is solved for lies within half a turn; the rest is shared by the turns
/// before and after. The prior has 3e-4 there, and 1e-9 farther out.
const FIRST_TURN: f64 = 0.9;
/// The effective size of the pool for one draw and the least at all, and the most proposals.
const POOL_PER_DRAW: f64 = 10.0;
const LEAST_POOL: f64 = 1000.0;
const MOST_PROPOSALS: usize = 4_000_000;
const CHUNK: usize = 4096;

pub(super) fn pair(rng: &mut ChaCha8Rng, x: &mut [f64], y: &mut [f64]) {
    x[0] = SLIDE_SD * normal(rng);
    x[1..].fill_with(|| JOINT_SD * normal(rng));
    y.copy_from_slice(&forward(x));
}

/// `f(x)`.
pub(super) fn forward(x: &[f64]) -> [f64; 2] {
    let (mut angle, mut y) = (0.0, [0.0, x[0]]);
    for (link, turn) in LINKS.iter().zip(&x[1..]) {
        angle += turn;
        y[0] += link * f64::cos(angle);
        y[1] += link * f64::sin(angle);
    }
    y
}

pub(super) fn posterior(rng: &mut ChaCha8Rng, y: &[f64], draws: usize) -> Array2<f64> {
    let wanted = LEAST_POOL.max(POOL_PER_DRAW * draws as f64);
    let mut pool: Vec<[f64; 4]> = Vec::new();
    let mut sums = Vec::new();
    let (mut sum, mut squares, mut proposals) = (0.0, 0.0, 0);
    // Effective size: (sum of weights)^2 / sum of squares.
    while proposals < MOST_PROPOSALS && (sum * sum < wanted * squares || sum == 0.0) {
        for _ in 0..CHUNK {
            if let Some((x, weight)) = propose(rng, y) {
                sum += weight;
                squares += weight * weight;
                pool.push(x);
                sums.push(sum);
            }
        }
        proposals += CHUNK;
    }
    let mut x = Array2::from_elem((draws, 4), f64::NAN);
    for mut row in x.rows_mut() {
        let level = rng.random::<f64>() * sum;
        let drawn = sums.partition_point(|sum| *sum <= level);
        if let Some(drawn) = pool.get(drawn.min(pool.len().saturating_sub(1))) {
            row.iter_mut().zip(drawn).for_each(|(place, value)| *place = *value);
        }
    }
    x
}

/// A point of the surface and its weight; none where the arm is too short for the two angles.
fn propose(rng: &mut ChaCha8Rng, y: &[f64]) -> Option<([f64; 4], f64)> {
    let mut phi = [0.0; 3];
    let mut angle = 0.0;
    for phi in &mut phi {
        angle += JOINT_SD * normal(rng);
        *phi = angle;
    }
    let solved = rng.random_range(0..3);
    let others: f64 = (0..3).filter(|&i| i != solved).map(|i| LINKS[i] * phi[i].cos()).sum();
    let cosine = (y[0] - others) / LINKS[solved];
    if cosine.abs() > 1.0 {
        return None;
    }
    let turn = match rng.random::<f64>() {
        first if first < FIRST_TURN => 0.0,
        first if first < (1.0 + FIRST_TURN) / 2.0 => 1.0,
        _ => -1.0,
    };
    let sign = if rng.random() { 1.0 } else { -1.0 };
    phi[solved] = sign * cosine.acos() + TAU * turn;
    let slide = y[1] - (0..3).map(|i| LINKS[i] * phi[i].sin()).sum::<f64>();
    let x = [slide, phi[0], phi[1] - phi[0], phi[2] - phi[1]];
    let joints: f64 = x[1..].iter().map(|turn| density(*turn, JOINT_SD * JOINT_SD)).product();
    let proposal: f64 = (0..3).map(|solved| proposal_density(&phi, solved)).sum::<f64>() / 3.0;
    let weight = density(slide, SLIDE_SD * SLIDE_SD) * joints / proposal;
    weight.is_finite().then_some((x, weight))
}

/// The density in `nu` of drawing the other two angles from the prior and solving for this one.
fn proposal_density(phi: &[f64; 3], solved: usize) -> f64 {
    let (j, k) = [(1, 2), (0, 2), (0, 1)][solved];
    let variance = JOINT_SD * JOINT_SD;
    let free = density(phi[j], variance * (j + 1) as f64)
        * density(phi[k] - phi[j], variance * (k - j) as f64);
    let turn = match (phi[solved] / TAU).round().abs() {
        0.0 => FIRST_TURN,
        1.0 => (1.0 - FIRST_TURN) / 2.0,
        _ => 0.0,
    };
    free * turn / 2.0 * LINKS[solved] * phi[solved].sin().abs()
}

/// `N(value; 0, variance)`.
fn density(value: f64, variance: f64) -> f64 {
    (-value * value / (2.0 * variance)).exp() / (TAU * variance).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problems::PROBLEMS;
    use crate::problems::tests::mean;

    /// Every draw reaches `y`, and the draws agree with rejection: draws of the prior that end within 0.05 of
    /// `y`. Five standard errors, and 0.01 for the width of that disc.
    #[test]
    fn the_posterior_agrees_with_rejection() {
        let problem = PROBLEMS[4];
        let moments: [fn(&[f64]) -> f64; 7] = [
            |x| x[0],
            |x| x[1],
            |x| x[2],
            |x| x[3],
            |x| x[0] * x[0],
            |x| x[1].abs(),
            |x| x[2] * x[3],
        ];
        let (x, reached) = problem.pairs(1_000_000, 21);
        for y in [[1.8, 0.4], [1.5, 1.0]] {
            let draws = problem.reference(&y, 0, 5000);
            for x in draws.rows() {
                let [u, v] = forward(&x.to_vec());
                assert!((u - y[0]).hypot(v - y[1]) < 1e-9);
            }
            let near: Vec<usize> = (0..x.nrows())
                .filter(|&row| (reached[[row, 0]] - y[0]).hypot(reached[[row, 1]] - y[1]) < 0.05)
                .collect();
            let accepted = x.select(ndarray::Axis(0), &near);
            assert!(near.len() > 300, "{}", near.len());
            for (index, f) in moments.into_iter().enumerate() {
                let (found, error) = mean(&draws, f);
                let (expected, other) = mean(&accepted, f);
                let close = (found - expected).abs() < 5.0 * error.hypot(other) + 0.01;
                assert!(close, "{y:?} {index}: {found}, {expected} +- {other}");
            }
        }
    }
}
