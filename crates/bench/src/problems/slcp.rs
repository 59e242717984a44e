//! `slcp`: `x ~ U(-3, 3)^5`; `y` is four independent points of `N(m, S)`, `m = (x1, x2)`, standard deviations
//! `x3^2`, `x4^2`, correlation `rho = tanh x5`.
//!
//! The likelihood sees only `a = |x3|` and `b = |x4|`: four modes of equal weight. With the mean `c` and the
//! scatter matrix `W = sum (y - c)(y - c)^T` of the four points,
//! `p(y | x) = N(c; m, S / 4) h(a, b, x5)`, `h = |S|^(-3/2) exp(-tr(S^-1 W) / 2)`.
//! So `(a, b, x5)` is drawn from `h` in its box, `m` from `N(c, S / 4)`, and both are drawn again where `m` is
//! outside of its box: exact draws, independent of each other.

use ndarray::Array2;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::gaussian::normal;

/// Half a side of the box.
const BOX: f64 = 3.0;
/// Cells of the proposal along `ln a`, `ln b` and `x5`.
const CELLS: usize = 128;
/// Below this `|x3|` or `|x4|` nothing is drawn: standard deviations of 4e-4.
const LEAST: f64 = 0.02;
/// By how much `h` in a cell of any weight may exceed its largest value at the centre and the corners.
const ENVELOPE: f64 = 1.5;

pub(super) fn pair(rng: &mut ChaCha8Rng, x: &mut [f64], y: &mut [f64]) {
    x.fill_with(|| rng.random_range(-BOX..BOX));
    let covariance = Covariance::new(x[2], x[3], x[4]);
    for point in y.chunks_exact_mut(2) {
        let shift = covariance.draw(rng);
        point[0] = x[0] + shift[0];
        point[1] = x[1] + shift[1];
    }
}

pub(super) fn posterior(rng: &mut ChaCha8Rng, y: &[f64], draws: usize) -> Array2<f64> {
    let scatter = Scatter::of(y);
    let proposal = Proposal::new(&scatter);
    let mut x = Array2::zeros((draws, 5));
    for mut row in x.rows_mut() {
        let accepted = loop {
            let [a, b, x5] = proposal.draw(rng, &scatter);
            let shift = Covariance::new(a, b, x5).draw(rng);
            let m = [scatter.mean[0] + shift[0] / 2.0, scatter.mean[1] + shift[1] / 2.0];
            if m.iter().all(|m| m.abs() <= BOX) {
                let [a, b] = [a, b].map(|value| if rng.random() { value } else { -value });
                break [m[0], m[1], a, b, x5];
            }
        };
        row.iter_mut().zip(accepted).for_each(|(place, value)| *place = value);
    }
    x
}

/// Standard deviations, correlation and `sqrt(1 - rho^2)`.
#[derive(Clone, Copy, Debug)]
struct Covariance {
    sds: [f64; 2],
    rho: f64,
    rest: f64,
}

impl Covariance {
    fn new(x3: f64, x4: f64, x5: f64) -> Self {
        Self { sds: [x3 * x3, x4 * x4], rho: x5.tanh(), rest: 1.0 / x5.cosh() }
    }

    /// A point of `N(0, S)`.
    fn draw(self, rng: &mut ChaCha8Rng) -> [f64; 2] {
        let [u, v] = [normal(rng), normal(rng)];
        [self.sds[0] * u, self.sds[1] * (self.rho * u + self.rest * v)]
    }
}

/// Mean and scatter matrix of the four points.
#[derive(Clone, Copy, Debug)]
struct Scatter {
    mean: [f64; 2],
    xx: f64,
    xy: f64,
    yy: f64,
}

impl Scatter {
    fn of(y: &[f64]) -> Self {
        let count = (y.len() / 2) as f64;
        let mean = [0, 1].map(|axis| y.iter().skip(axis).step_by(2).sum::<f64>() / count);
        let mut scatter = Self { mean, xx: 0.0, xy: 0.0, yy: 0.0 };
        for point in y.chunks_exact(2) {
            let [u, v] = [point[0] - mean[0], point[1] - mean[1]];
            scatter.xx += u * u;
            scatter.xy += u * v;
            scatter.yy += v * v;
        }
        scatter
    }

    /// `ln h(a, b, x5)`.
    fn log_density(&self, covariance: Covariance) -> f64 {
        let Covariance { sds: [s, t], rho, rest } = covariance;
        let log_det = 2.0 * (s * t * rest).ln();
        let trace = self.xx / (s * s) - 2.0 * rho * self.xy / (s * t) + self.yy / (t * t);
        -1.5 * log_det - 0.5 * trace / (rest * rest)
    }
}

/// `h` in `ln a`, `ln b` and `x5`, as a step function on equal cells: a cell has the largest of the values at its
/// centre and corners. Where the points are strongly correlated `h` is a ridge as thin as a cell.
#[derive(Debug)]
struct Proposal {
    /// Running sums of the cells' masses, and the cells' densities.
    sums: Vec<f64>,
    log_densities: Vec<f64>,
}

impl Proposal {
    fn new(scatter: &Scatter) -> Self {
        let log_density = |place: [f64; 3]| log_density(scatter, place);
        let side = CELLS + 1;
        // Corner `(i, j, k)` is the point of cell `(i, j, k)` with all parts zero.
        let corners: Vec<f64> = (0..side.pow(3))
            .map(|corner| [corner / side / side, corner / side % side, corner % side])
            .map(|corner| log_density(Self::place(corner, [0.0; 3])))
            .collect();
        let log_densities: Vec<f64> = (0..CELLS.pow(3))
            .map(|cell| {
                let [i, j, k] = Self::cell(cell);
                let at = |corner: usize| {
                    let [di, dj, dk] = [corner >> 2, corner >> 1 & 1, corner & 1];
                    corners[((i + di) * side + j + dj) * side + k + dk]
                };
                let centre = log_density(Self::place([i, j, k], [0.5; 3]));
                (0..8).map(at).fold(centre, f64::max)
            })
            .collect();
        let most = log_densities.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut sum = 0.0;
        let sums = log_densities
            .iter()
            .map(|log_density| {
                sum += (log_density - most).exp();
                sum
            })
            .collect();
        Self { sums, log_densities }
    }

    fn cell(cell: usize) -> [usize; 3] {
        [cell / CELLS / CELLS, cell / CELLS % CELLS, cell % CELLS]
    }

    /// A point of a cell; `part` is its place along every edge.
    fn place(cells: [usize; 3], part: [f64; 3]) -> [f64; 3] {
        let along = |axis: usize| (cells[axis] as f64 + part[axis]) / CELLS as f64;
        let logarithmic = |axis: usize| LEAST * ((BOX / LEAST).ln() * along(axis)).exp();
        [logarithmic(0), logarithmic(1), BOX * (2.0 * along(2) - 1.0)]
    }

    /// A draw of `h`: a cell by its mass, a point in it, accepted in proportion to what `h` is there.
    fn draw(&self, rng: &mut ChaCha8Rng, scatter: &Scatter) -> [f64; 3] {
        let total = self.sums.last().copied().unwrap_or(0.0);
        loop {
            let level = rng.random::<f64>() * total;
            let cell = self.sums.partition_point(|sum| *sum <= level).min(self.sums.len() - 1);
            let part = [rng.random(), rng.random(), rng.random()];
            let place = Self::place(Self::cell(cell), part);
            let ratio = (log_density(scatter, place) - self.log_densities[cell]).exp();
            if rng.random::<f64>() * ENVELOPE < ratio {
                return place;
            }
        }
    }
}

/// `ln (h a b)`: the density in `ln a`, `ln b` and `x5`.
fn log_density(scatter: &Scatter, [a, b, x5]: [f64; 3]) -> f64 {
    scatter.log_density(Covariance::new(a, b, x5)) + (a * b).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problems::PROBLEMS;
    use crate::problems::tests::mean;

    /// Outside of cells that hold 1e-3 of the mass, `h` stays below the envelope on a grid of 5^3 points a cell,
    /// for all ten observations.
    #[test]
    fn the_envelope_covers_the_density() {
        for y in PROBLEMS[1].observations(10).rows() {
            let scatter = Scatter::of(&y.to_vec());
            let proposal = Proposal::new(&scatter);
            let total = proposal.sums[proposal.sums.len() - 1];
            let (mut before, mut uncovered) = (0.0, 0.0);
            for (cell, &sum) in proposal.sums.iter().enumerate() {
                let mass = sum - before;
                before = sum;
                if mass < 1e-7 * total {
                    continue;
                }
                let at = |point: usize| {
                    let part = [point / 25, point / 5 % 5, point % 5].map(|step| step as f64 / 4.0);
                    log_density(&scatter, Proposal::place(Proposal::cell(cell), part))
                };
                let most = (0..125).map(at).fold(f64::NEG_INFINITY, f64::max);
                if (most - proposal.log_densities[cell]).exp() > ENVELOPE {
                    uncovered += mass;
                }
            }
            assert!(uncovered < 1e-3 * total, "{uncovered} of {total}");
        }
    }

    /// Against importance sampling from the prior, with the likelihood of the four points as it is written in
    /// the benchmark. The tolerance is five standard errors of both.
    #[test]
    fn the_posterior_agrees_with_importance_sampling() {
        let moments: [fn(&[f64]) -> f64; 7] = [
            |x| x[0],
            |x| x[1],
            |x| x[2].abs(),
            |x| x[3].abs(),
            |x| x[4],
            |x| x[0] * x[1],
            |x| f64::from(x[2] > 0.0) * x[4],
        ];
        for observation in [2, 5] {
            let y = PROBLEMS[1].observations(10).row(observation).to_vec();
            let mut rng = <ChaCha8Rng as rand::SeedableRng>::seed_from_u64(3);
            let weighted: Vec<(f64, [f64; 5])> = (0..1_500_000)
                .map(|_| {
                    let x: [f64; 5] = std::array::from_fn(|_| rng.random_range(-BOX..BOX));
                    (likelihood(&x, &y), x)
                })
                .collect();
            let sum: f64 = weighted.iter().map(|(weight, _)| weight).sum();
            let draws = PROBLEMS[1].reference(&y, 0, 20_000);
            for (index, f) in moments.into_iter().enumerate() {
                let expected = weighted.iter().map(|(weight, x)| weight * f(x)).sum::<f64>() / sum;
                let variance: f64 = weighted
                    .iter()
                    .map(|(weight, x)| (weight * (f(x) - expected)).powi(2))
                    .sum::<f64>();
                let (found, error) = mean(&draws, f);
                let error = error.hypot(variance.sqrt() / sum);
                let close = (found - expected).abs() < 5.0 * error;
                assert!(close, "{index}: {found}, {expected} +- {error}");
            }
        }
    }

    /// The product of four bivariate normal densities, up to a factor.
    fn likelihood(x: &[f64; 5], y: &[f64]) -> f64 {
        let (s1, s2, rho) = (x[2] * x[2], x[3] * x[3], x[4].tanh());
        let one = |point: &[f64]| {
            let (u, v) = ((point[0] - x[0]) / s1, (point[1] - x[1]) / s2);
            let rest = 1.0 - rho * rho;
            (-(u * u - 2.0 * rho * u * v + v * v) / (2.0 * rest)).exp() / (s1 * s2 * rest.sqrt())
        };
        y.chunks_exact(2).map(one).product()
    }
}
