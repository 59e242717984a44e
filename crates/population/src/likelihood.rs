//! The log-likelihood of a mixture with its slope, over all events.
//!
//! With `R = r (1 + r - sum r^2)` of each draw, shared among the laws as their densities are there, kernels of covariance `T` and
//! `V = S + T`, the slopes are
//! ```text
//! N = sum R      g = d l / d mu = sum V^-1 R (q - mu)      G = 2 d l / d S = sum V^-1 (R (q - mu)(q - mu)^T V^-1 - R)
//! d l / d alpha = N - a n      d l / d A = G A
//! ```
//! and a step of expectation and maximisation moves a law by `S g / N`, to the covariance `S + S G S / N` about its old mean.

use ndarray::{Array1, Array2};
use rayon::prelude::*;

use crate::laws::{Law, Seen, laws_of, size};
use crate::points::Points;

/// Events that are added up at once, whatever the threads.
const CHUNK: usize = 32;
/// Nats below the largest at which a draw of an event counts for nothing.
const FAR: f64 = 36.0;

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
    let m = points.m;
    let zero = || Worth {
        value: 0.0,
        slope: Array1::zeros(parameters.len()),
        slopes: Slopes::zero(laws.len(), m),
        information: with_information.then(|| Array2::zeros((parameters.len(), parameters.len()))),
        effective: 0.0,
    };
    let events: Vec<usize> = (0..points.events()).filter(|event| counts[*event] > 0.0).collect();
    let parts: Vec<Worth> = events
        .par_chunks(CHUNK)
        .map(|events| {
            let mut part = zero();
            for &event in events {
                let own = Event::new(points, event, &laws);
                let slopes = own.slopes(points);
                let count = counts[event];
                part.value += count * own.log_likelihood(points);
                part.effective += 1.0 / own.squares;
                if let Some(information) = &mut part.information {
                    add_square(information, &slopes.along(&laws, 1.0), count);
                }
                part.slopes.add(&slopes, count);
            }
            part
        })
        .collect();
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

/// `log L` of each event.
pub(crate) fn log_likelihoods(points: &Points, laws: &[Law]) -> Vec<f64> {
    let of_event = |event| Event::new(points, event, laws).log_likelihood(points);
    (0..points.events()).into_par_iter().map(of_event).collect()
}

/// Of each draw of an event, its part of the event's likelihood.
pub(crate) fn parts(points: &Points, event: usize, laws: &[Law]) -> Vec<f64> {
    let own = Event::new(points, event, laws);
    own.densities.chunks_exact(laws.len()).map(|row| row.iter().sum::<f64>() / own.sum).collect()
}

/// The draws of one event in the light of a mixture.
struct Event<'a> {
    number: usize,
    laws: &'a [Law],
    /// Laws as each cloud sees them.
    seen: Vec<Vec<Seen>>,
    /// Of each draw the densities by law, over the largest of all.
    densities: Vec<f64>,
    /// Log of the largest.
    most: f64,
    sum: f64,
    /// `sum r^2`.
    squares: f64,
}

impl<'a> Event<'a> {
    fn new(points: &Points, number: usize, laws: &'a [Law]) -> Self {
        let (mut seen, mut densities) = (Vec::new(), Vec::new());
        let mut most = f64::NEG_INFINITY;
        for cloud in points.clouds(number) {
            let own: Vec<Seen> = laws.iter().map(|law| Seen::new(law, &cloud.kernel)).collect();
            let (rows, logs) = points.of(cloud);
            for (row, log) in rows.chunks_exact(points.m).zip(logs) {
                for law in &own {
                    let value = law.log_density(row) + log;
                    most = most.max(value);
                    densities.push(value);
                }
            }
            seen.push(own);
        }
        for value in &mut densities {
            let below = *value - most;
            *value = if below < -FAR { 0.0 } else { below.exp() };
        }
        let sum: f64 = densities.iter().sum();
        let rows = densities.chunks_exact(laws.len());
        let squares = rows.map(|row| (row.iter().sum::<f64>() / sum).powi(2)).sum();
        Self { number, laws, seen, densities, most, sum, squares }
    }

    /// `log L` with its correction.
    fn log_likelihood(&self, points: &Points) -> f64 {
        self.most + (self.sum / points.draws).ln() + 0.5 * (self.squares - 1.0 / points.draws)
    }

    fn slopes(&self, points: &Points) -> Slopes {
        let m = points.m;
        let mut slopes = Slopes::zero(self.laws.len(), m);
        let mut densities = self.densities.chunks_exact(self.laws.len());
        for (cloud, seen) in points.clouds(self.number).iter().zip(&self.seen) {
            // Sums of `R`, `R (q - mu)` and, in the lower triangle, `R (q - mu)(q - mu)^T`.
            let width = size(m);
            let mut sums = vec![0.0; self.laws.len() * width];
            let (rows, _) = points.of(cloud);
            for (row, own) in rows.chunks_exact(m).zip(densities.by_ref()) {
                let all: f64 = own.iter().sum();
                if all == 0.0 {
                    continue;
                }
                let factor = (1.0 + all / self.sum - self.squares) / self.sum;
                for ((density, law), sums) in
                    own.iter().zip(self.laws).zip(sums.chunks_exact_mut(width))
                {
                    if *density > 0.0 {
                        add(sums, factor * density, row, &law.mean);
                    }
                }
            }
            let of_laws = slopes.of_laws.iter_mut().zip(sums.chunks_exact(width)).zip(seen);
            for (((n, g, big_g), sums), seen) in of_laws {
                let inverse = seen.inverse();
                *n += sums[0];
                *g += &inverse.dot(&Array1::from(sums[1..=m].to_vec()));
                let mut squares = Array2::zeros((m, m));
                let mut place = 1 + m;
                for i in 0..m {
                    for j in 0..=i {
                        squares[[i, j]] = sums[place];
                        squares[[j, i]] = sums[place];
                        place += 1;
                    }
                }
                *big_g += &(inverse.dot(&squares).dot(&inverse) - &(inverse * sums[0]));
            }
        }
        slopes
    }
}

/// Adds a draw of some weight.
#[inline]
fn add(sums: &mut [f64], weight: f64, row: &[f64], mean: &[f64]) {
    let m = row.len();
    sums[0] += weight;
    let mut place = 1 + m;
    for i in 0..m {
        let step = weight * (row[i] - mean[i]);
        sums[1 + i] += step;
        for j in 0..=i {
            sums[place] += step * (row[j] - mean[j]);
            place += 1;
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
            points.push(rows.into_iter(), logs.into_iter(), kernel);
            if cloud != 2 {
                points.starts.push(points.clouds.len());
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
            points.push(std::iter::once(row), std::iter::once(log), array![[0.11]]);
            points.starts.push(points.clouds.len());
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
