//! The log-likelihood of a mixture with its slope, over all events.
//!
//! With `R = r (1 + r - sum r^2)` of each draw, shared among the laws as their densities are there, kernels of covariance `T` and
//! `V = S + T`, the slopes are
//! ```text
//! N = sum R      g = d l / d mu = sum V^-1 R (q - mu)      G = 2 d l / d S = sum V^-1 (R (q - mu)(q - mu)^T V^-1 - R)
//! d l / d alpha = N - a n      d l / d A = G A
//! ```
//! and a step of expectation and maximisation moves a law by `S g / N`, to the covariance `S + S G S / N` about its old mean.
//! With `V = L L^T` and `z = L^-1 (q - mu)`, `g` is the sum of `L^-T R z` and `G` that of `L^-T R (z z^T - 1) L^-1`.

use ndarray::{Array1, Array2};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::block::{Block, LANES, added, exp, larger, plus, plus_product, plus_step, times};
use crate::laws::{Law, Seen, laws_of};
use crate::points::Points;

/// Parts of the events that are added up at once, whatever the threads.
const PARTS: usize = 64;

/// `N`, `g` (m) and `G` (m, m) of each law.
#[derive(Debug, Clone)]
pub(crate) struct Slopes {
    pub(crate) of_laws: Vec<(f64, Array1<f64>, Array2<f64>)>,
}

/// What a mixture is worth.
#[derive(Debug, Clone)]
pub(crate) struct Worth {
    /// `l`.
    pub(crate) value: f64,
    /// Its slope along the parameters.
    pub(crate) slope: Array1<f64>,
    pub(crate) slopes: Slopes,
    /// Sum over the events of the product of their slope with itself (p, p), where it is asked for.
    pub(crate) information: Option<Array2<f64>>,
    /// Sum over the events of `1 / sum r^2`, the draws that hold their weight.
    pub(crate) effective: f64,
}

/// `l` at some parameters, with events counted `counts` times.
pub(crate) fn worth(
    points: &Points,
    counts: &[f64],
    parameters: &[f64],
    floor: &[f64],
    with_information: bool,
) -> Worth {
    let laws = laws_of(parameters, floor);
    let zero = || Worth {
        value: 0.0,
        slope: Array1::zeros(parameters.len()),
        slopes: Slopes::zero(laws.len(), points.m),
        information: with_information.then(|| Array2::zeros((parameters.len(), parameters.len()))),
        effective: 0.0,
    };
    let events: Vec<usize> = (0..points.events()).filter(|event| counts[*event] > 0.0).collect();
    let of_part = |events: &[usize]| {
        let (view, part) = (View::new(points, &laws), zero());
        Arch::new().dispatch(Part { events, counts, view, part })
    };
    let size = events.len().div_ceil(PARTS).max(1);
    let parts: Vec<Worth> = events.par_chunks(size).map(of_part).collect();
    let mut all = zero();
    for part in parts {
        all.value += part.value;
        all.effective += part.effective;
        all.slopes.add(&part.slopes, 1.0);
        if let (Some(all), Some(part)) = (&mut all.information, part.information) {
            *all += &part;
        }
    }
    all.slope = all.slopes.along(&laws, events.iter().map(|event| counts[*event]).sum());
    all
}

/// Some of the events, about to be added up in the instructions of this machine.
struct Part<'a> {
    events: &'a [usize],
    counts: &'a [f64],
    view: View<'a>,
    part: Worth,
}

impl WithSimd for Part<'_> {
    type Output = Worth;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> Worth {
        let Self { events, counts, mut view, mut part } = self;
        for &event in events {
            let count = counts[event];
            view.look(event);
            part.value += count * view.log_likelihood();
            part.effective += 1.0 / view.squares;
            if let Some(information) = &mut part.information {
                let mut own = Slopes::zero(view.laws.len(), view.points.m);
                view.add_slopes(1.0, &mut own);
                add_square(information, &own.along(view.laws, 1.0), count);
                part.slopes.add(&own, count);
            } else {
                view.add_slopes(count, &mut part.slopes);
            }
        }
        part
    }
}

/// `log L` of each event.
pub(crate) fn log_likelihoods(points: &Points, laws: &[Law]) -> Vec<f64> {
    let view = || View::new(points, laws);
    let of_event = |view: &mut View<'_>, event| {
        view.look(event);
        view.log_likelihood()
    };
    (0..points.events()).into_par_iter().map_init(view, of_event).collect()
}

/// Of each draw in the blocks of an event, its part of the event's likelihood.
pub(crate) fn parts(points: &Points, event: usize, laws: &[Law]) -> Vec<f64> {
    let mut view = View::new(points, laws);
    view.look(event);
    view.totals.iter().flatten().map(|total| total / view.sum).collect()
}

/// The draws of one event after another in the light of a mixture.
struct View<'a> {
    points: &'a Points,
    laws: &'a [Law],
    event: usize,
    /// Laws as each cloud of the event sees them.
    seen: Vec<Seen>,
    /// For each block of the event, of each law the densities at its draws, over the largest of all.
    densities: Vec<Block>,
    /// Of each block their sums over the laws.
    totals: Vec<Block>,
    /// `z` of a block.
    z: Vec<Block>,
    /// Sums of `R`, `R z` and, in the lower triangle, `R z z^T`.
    sums: Vec<Block>,
    /// Log of the largest density.
    most: f64,
    /// Sum of all densities.
    sum: f64,
    /// `sum r^2`.
    squares: f64,
}

impl<'a> View<'a> {
    fn new(points: &'a Points, laws: &'a [Law]) -> Self {
        let m = points.m;
        Self {
            points,
            laws,
            event: 0,
            seen: Vec::new(),
            densities: Vec::new(),
            totals: Vec::new(),
            z: vec![[0.0; LANES]; m],
            sums: vec![[0.0; LANES]; 1 + m + m * (m + 1) / 2],
            most: 0.0,
            sum: 0.0,
            squares: 0.0,
        }
    }

    /// Turns to an event.
    #[inline(always)]
    fn look(&mut self, event: usize) {
        let (points, laws, m) = (self.points, self.laws, self.points.m);
        let clouds = points.clouds(event);
        self.event = event;
        if self.seen.len() < clouds.len() * laws.len() {
            self.seen.resize(clouds.len() * laws.len(), Seen::of_nothing(m));
        }
        self.densities.clear();
        let mut most = [f64::NEG_INFINITY; LANES];
        for (cloud, seen) in clouds.zip(self.seen.chunks_exact_mut(laws.len())) {
            let (rows, logs, kernel) = points.of(cloud);
            for (seen, law) in seen.iter_mut().zip(laws) {
                seen.look(law, kernel);
            }
            for (rows, logs) in rows.chunks_exact(m).zip(logs) {
                for law in &*seen {
                    whiten(law, rows, &mut self.z);
                    let mut density = plus(*logs, [law.log_height; LANES]);
                    for z in &self.z {
                        density = plus_product(density, times(*z, [-0.5; LANES]), *z);
                    }
                    most = larger(density, most);
                    self.densities.push(density);
                }
            }
        }
        self.most = most.into_iter().fold(f64::NEG_INFINITY, f64::max);
        self.totals.clear();
        let mut sum = [0.0; LANES];
        for block in self.densities.chunks_exact_mut(laws.len()) {
            let mut total = [0.0; LANES];
            for density in block {
                *density = exp(plus_step([0.0; LANES], 1.0, *density, self.most));
                total = plus(total, *density);
            }
            sum = plus(sum, total);
            self.totals.push(total);
        }
        self.sum = added(sum);
        let mut squares = [0.0; LANES];
        for total in &self.totals {
            squares = plus_product(squares, *total, *total);
        }
        self.squares = added(squares) / (self.sum * self.sum);
    }

    /// `log L` of the event with its correction.
    #[inline(always)]
    fn log_likelihood(&self) -> f64 {
        let draws = self.points.draws;
        self.most + (self.sum / draws).ln() + 0.5 * (self.squares - 1.0 / draws)
    }

    /// Adds the slopes of the event, counted `count` times; once after a look, since the totals become the factors of the draws.
    #[inline(always)]
    fn add_slopes(&mut self, count: f64, slopes: &mut Slopes) {
        let (points, laws, m) = (self.points, self.laws, self.points.m);
        for total in &mut self.totals {
            let factor = [count * (1.0 - self.squares) / self.sum; LANES];
            *total = plus_step(factor, count / (self.sum * self.sum), *total, 0.0);
        }
        let mut first = 0;
        let clouds = points.clouds(self.event);
        for (cloud, seen) in clouds.zip(self.seen.chunks_exact(laws.len())) {
            let (rows, logs, _) = points.of(cloud);
            for (number, (law, slopes)) in seen.iter().zip(&mut slopes.of_laws).enumerate() {
                self.sums.fill([0.0; LANES]);
                for (block, rows) in rows.chunks_exact(m).enumerate() {
                    let density = self.densities[(first + block) * laws.len() + number];
                    whiten(law, rows, &mut self.z);
                    add_draws(&mut self.sums, times(self.totals[first + block], density), &self.z);
                }
                carry(&self.sums, &law.whitener, slopes);
            }
            first += logs.len();
        }
    }
}

/// `z` of the draws of a block.
#[inline(always)]
fn whiten(law: &Seen, rows: &[Block], z: &mut [Block]) {
    let m = rows.len();
    for (i, (z, whitener)) in z.iter_mut().zip(law.whitener.chunks_exact(m)).enumerate() {
        let mut own = [0.0; LANES];
        for ((row, w), mean) in rows[..=i].iter().zip(whitener).zip(&law.mean) {
            own = plus_step(own, *w, *row, *mean);
        }
        *z = own;
    }
}

/// Adds draws of some weights.
#[inline(always)]
fn add_draws(sums: &mut [Block], weight: Block, z: &[Block]) {
    let (first, mut squares) = sums.split_at_mut(1 + z.len());
    first[0] = plus(first[0], weight);
    for (i, (own, sum)) in z.iter().zip(&mut first[1..]).enumerate() {
        let step = times(weight, *own);
        *sum = plus(*sum, step);
        let (row, rest) = squares.split_at_mut(i + 1);
        for (z, square) in z.iter().zip(row) {
            *square = plus_product(*square, step, *z);
        }
        squares = rest;
    }
}

/// Adds sums over draws to the slopes of a law, with the whitener `L^-1` of those.
#[inline(always)]
fn carry(sums: &[Block], whitener: &[f64], slopes: &mut (f64, Array1<f64>, Array2<f64>)) {
    let (n, g, big_g) = slopes;
    let m = g.len();
    let all = added(sums[0]);
    *n += all;
    for i in 0..m {
        let sum = added(sums[1 + i]);
        for j in 0..=i {
            g[j] += whitener[i * m + j] * sum;
        }
    }
    // Row by row of the lower triangle, each off the diagonal twice.
    let mut place = 1 + m;
    for i in 0..m {
        for j in 0..=i {
            let sum = added(sums[place]);
            place += 1;
            let (a, b) = (&whitener[i * m..=i * m + i], &whitener[j * m..=j * m + j]);
            if i == j {
                let sum = sum - all;
                for (k, a) in a.iter().enumerate() {
                    for (l, b) in b.iter().enumerate() {
                        big_g[[k, l]] += sum * a * b;
                    }
                }
                continue;
            }
            for (k, a) in a.iter().enumerate() {
                for (l, b) in b.iter().enumerate() {
                    big_g[[k, l]] += sum * a * b;
                    big_g[[l, k]] += sum * a * b;
                }
            }
        }
    }
}

impl Slopes {
    fn zero(laws: usize, m: usize) -> Self {
        let zero = || (0.0, Array1::zeros(m), Array2::zeros((m, m)));
        Self { of_laws: (0..laws).map(|_| zero()).collect() }
    }

    fn add(&mut self, other: &Self, times: f64) {
        for ((n, g, big_g), (own_n, own_g, own_big_g)) in
            self.of_laws.iter_mut().zip(&other.of_laws)
        {
            *n += times * own_n;
            g.scaled_add(times, own_g);
            big_g.scaled_add(times, own_big_g);
        }
    }

    /// The slope along the parameters of laws, of `total` events.
    fn along(&self, laws: &[Law], total: f64) -> Array1<f64> {
        let mut slope = Vec::new();
        for ((n, g, big_g), law) in self.of_laws.iter().zip(laws) {
            slope.push(n - law.weight * total);
            slope.extend(g);
            let of_factor = big_g.dot(&law.factor);
            for i in 0..g.len() {
                slope.extend((0..=i).map(|j| of_factor[[i, j]]));
            }
        }
        Array1::from(slope)
    }
}

fn add_square(matrix: &mut Array2<f64>, vector: &Array1<f64>, times: f64) {
    for (mut row, value) in matrix.rows_mut().into_iter().zip(vector) {
        row.scaled_add(times * value, vector);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laws::size;
    use ndarray::array;

    /// Three events of a few draws in four clouds, two laws: slopes are the differences of values.
    #[test]
    fn the_slope_is_that_of_the_value() {
        let m = 2;
        let numbers = |count: usize, seed: f64| -> Vec<f64> {
            (0..count).map(|i| ((i as f64 + seed) * 1.7).sin()).collect()
        };
        let mut points = Points::of_nothing(m, 8.0);
        for (cloud, count) in [7, 8, 4, 5].into_iter().enumerate() {
            let seed = cloud as f64;
            let kernel = array![[0.1 + 0.1 * seed, 0.05], [0.05, 0.2]];
            let (rows, logs) = (numbers(m * count, seed), numbers(count, 3.0 * seed));
            points.push(&rows, &logs, kernel.iter());
            if cloud != 2 {
                points.end_event();
            }
        }
        let counts = [1.0, 2.0, 0.5];
        let floor = [0.1, 0.2];
        let theta = numbers(2 * size(m), 9.0);
        let here = worth(&points, &counts, &theta, &floor, false);
        for place in 0..theta.len() {
            let at = |step: f64| {
                let mut moved = theta.clone();
                moved[place] += step;
                worth(&points, &counts, &moved, &floor, false).value
            };
            let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
            let slope = here.slope[place];
            assert!((difference - slope).abs() < 1e-6 * (1.0 + slope.abs()), "{place}");
        }
    }

    /// One draw at each event and one law: `l` is the sum of log densities, by hand.
    #[test]
    fn single_draws_by_hand() {
        let mut points = Points::of_nothing(1, 1.0);
        for (row, log) in [(0.5, 0.2), (-1.0, 0.0)] {
            points.push(&[row], &[log], [0.11].iter());
            points.end_event();
        }
        // Mean 0.25, variance 0.3^2 + 0.4^2 + 0.11 = 0.36.
        let worth = worth(&points, &[1.0, 1.0], &[0.0, 0.25, 0.4], &[0.3], false);
        let log = |q: f64| {
            -0.5 * (q - 0.25_f64).powi(2) / 0.36 - 0.5 * (std::f64::consts::TAU * 0.36).ln()
        };
        assert!((worth.value - (log(0.5) + 0.2 + log(-1.0))).abs() < 1e-12);
        assert!((worth.effective - 2.0).abs() < 1e-12);
    }
}
