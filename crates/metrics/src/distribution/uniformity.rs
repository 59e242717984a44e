//! Are ranks uniform? The tests behind simulation-based calibration (Talts et al. 2018), expected
//! coverage and TARP.
//!
//! For an exact posterior the rank of the truth among K draws is uniform on 0..=K, whatever scalar
//! is ranked. Of `n` ranks, cut into B bins, this module tests
//!
//! ```text
//! chi-square     sum_b (n_b - n p_b)^2 / (n p_b), B - 1 degrees of freedom
//! ECDF band      gamma = 2 min_j min(P(X_j <= c_j), P(X_j >= c_j)),  c_j = ranks below edge j
//! KS             max_j |c_j / n - z_j|
//! ```
//!
//! with `X_j ~ Bin(n, z_j)` the count below edge `z_j`. The counts of uniform ranks form a Markov
//! chain, `c_(j+1) - c_j ~ Bin(n - c_j, (z_(j+1) - z_j) / (1 - z_j))`, so the probability that they
//! stay within a band at all edges at once is a sum over its states, and both the p-value of `gamma`
//! and the width of the simultaneous band are exact for finite n and K (Säilynoja, Bürkner & Vehtari
//! 2022, appendix).

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::distribution::coverage::{Ranks, check_level};
use crate::special::{chi_square_survival, kolmogorov_survival};
use crate::{Error, Result, number};

/// Bins of a rank histogram at most.
pub const RANK_BINS: usize = 20;
/// Ranks that a bin should hold on average, so that chi-square is chi-square.
const RANKS_PER_BIN: usize = 5;
/// Fewest ranks that are tested.
const LEAST_RANKS: usize = 20;

/// How uniform the ranks of one quantity are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Uniformity {
    /// Ranks tested, one an event.
    pub events: usize,
    /// Draws of each event, K.
    pub draws: usize,
    /// Upper edges of the bins in (0, 1]: shares of the K + 1 places.
    #[serde(with = "number")]
    pub edges: Vec<f64>,
    /// Ranks in each bin.
    pub histogram: Vec<usize>,
    /// p-value of chi-square of the histogram.
    #[serde(with = "number")]
    pub chi_square_p: f64,
    /// p-value of the empirical distribution, exact and simultaneous over all edges.
    #[serde(with = "number")]
    pub ecdf_p: f64,
    /// p-value of the Kolmogorov distance at the edges; conservative, because ranks are discrete.
    #[serde(with = "number")]
    pub kolmogorov_p: f64,
    /// Mean of the ranks in units of the places, less one half: negative where the draws lie above
    /// the truth.
    #[serde(with = "number")]
    pub bias: f64,
    /// Deviation of the ranks over that of uniform ones: above 1 where draws are too narrow.
    #[serde(with = "number")]
    pub spread: f64,
}

impl Uniformity {
    /// Tests column `column` of `ranks`. A truth equal to `e` draws takes one of the `e + 1` places
    /// among them at random.
    ///
    /// # Errors
    /// Fewer than 20 events, no such column.
    pub fn of(ranks: &Ranks, column: usize, seed: u64) -> Result<Self> {
        let (events, columns) = ranks.below.dim();
        if column >= columns {
            return Err(Error::NoSuchColumn { column, columns });
        }
        if events < LEAST_RANKS {
            return Err(Error::TooFewRows {
                what: "the set of events",
                needed: LEAST_RANKS,
                found: events,
            });
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let places = ranks.draws + 1;
        let values: Vec<usize> = (0..events)
            .map(|event| {
                ranks.below[[event, column]] + rng.random_range(0..=ranks.equal[[event, column]])
            })
            .collect();
        let bins = RANK_BINS.min(places).min(events / RANKS_PER_BIN).max(2);
        let uppers: Vec<usize> = (1..=bins).map(|bin| bin * places / bins).collect();
        let mut histogram = vec![0; bins];
        for rank in &values {
            histogram[uppers.partition_point(|upper| upper <= rank)] += 1;
        }
        let edges: Vec<f64> = uppers.iter().map(|&upper| upper as f64 / places as f64).collect();
        let counts = cumulative(&histogram);
        let band = Band::new(events, &edges[..bins - 1]);
        let distance = (counts.iter().zip(&edges))
            .map(|(&count, edge)| (count as f64 / events as f64 - edge).abs())
            .fold(0.0, f64::max);
        let (n, k) = (events as f64, places as f64);
        let unit = values.iter().map(|&rank| (rank as f64 + 0.5) / k - 0.5);
        let bias = unit.clone().sum::<f64>() / n;
        let variance = unit.map(|u| u * u).sum::<f64>() / n;
        Ok(Self {
            events,
            draws: ranks.draws,
            chi_square_p: chi_square_p(&histogram, &edges),
            ecdf_p: band.p_value(&counts[..bins - 1]),
            kolmogorov_p: kolmogorov_survival(events, distance),
            bias,
            spread: (variance * 12.0 / (1.0 - 1.0 / (k * k))).sqrt(),
            edges,
            histogram,
        })
    }

    /// At each inner edge: the share of ranks below it less the edge, and the lower and upper end of
    /// the band in which ALL of these lie with probability `1 - level` for uniform ranks.
    ///
    /// # Errors
    /// A level outside (0, 1).
    pub fn ecdf_difference(&self, level: f64) -> Result<Vec<EcdfPoint>> {
        check_level(level)?;
        let inner = &self.edges[..self.edges.len() - 1];
        let limits = Band::new(self.events, inner).at_level(level);
        let n = self.events as f64;
        let counts = cumulative(&self.histogram);
        Ok((inner.iter().zip(counts).zip(limits))
            .map(|((&edge, count), (lower, upper))| EcdfPoint {
                edge,
                difference: count as f64 / n - edge,
                lower: lower as f64 / n - edge,
                upper: upper as f64 / n - edge,
            })
            .collect())
    }

    /// What the shape of the ranks says, in words.
    pub fn in_words(&self) -> &'static str {
        // standard errors of mean and (roughly) of the relative deviation of uniform numbers
        let n = (self.events as f64).sqrt();
        let (shift, width) = (self.bias * n * 12_f64.sqrt(), (self.spread - 1.0) * n * 2.24);
        if shift.abs() > width.abs() {
            if shift > 0.0 { "draws lie too low" } else { "draws lie too high" }
        } else if width > 0.0 {
            "draws are too narrow"
        } else {
            "draws are too wide"
        }
    }
}

/// One place of the difference between empirical and uniform distribution function.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EcdfPoint {
    /// The place in (0, 1).
    #[serde(with = "number")]
    pub edge: f64,
    /// Share of ranks below it, less the place.
    #[serde(with = "number")]
    pub difference: f64,
    /// Lower end of the simultaneous band.
    #[serde(with = "number")]
    pub lower: f64,
    /// Upper end of the simultaneous band.
    #[serde(with = "number")]
    pub upper: f64,
}

/// p-values adjusted for their number so that comparing each with a level keeps the probability of
/// ANY false alarm below it, however they depend on each other (Holm 1979).
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest = 0.0_f64;
    for (place, &index) in order.iter().enumerate() {
        largest = largest.max(((p_values.len() - place) as f64 * p_values[index]).min(1.0));
        adjusted[index] = largest;
    }
    adjusted
}

fn chi_square_p(histogram: &[usize], edges: &[f64]) -> f64 {
    let n = histogram.iter().sum::<usize>() as f64;
    let mut below = 0.0;
    let mut statistic = 0.0;
    for (&count, &edge) in histogram.iter().zip(edges) {
        let expected = n * (edge - below);
        statistic += (count as f64 - expected).powi(2) / expected;
        below = edge;
    }
    chi_square_survival(statistic, histogram.len() as f64 - 1.0)
}

fn cumulative(histogram: &[usize]) -> Vec<usize> {
    let mut sum = 0;
    let add = |count: &usize| {
        sum += count;
        sum
    };
    histogram.iter().map(add).collect()
}

/// The law of the counts of `n` uniform numbers below the edges `z`.
struct Band {
    n: usize,
    z: Vec<f64>,
    ln_factorial: Vec<f64>,
    /// For each edge and count, `2 min(P(X <= c), P(X >= c))`.
    gamma: Vec<Vec<f64>>,
}

impl Band {
    fn new(n: usize, z: &[f64]) -> Self {
        let ln_factorial: Vec<f64> = (0..=n).map(|k| libm::lgamma(k as f64 + 1.0)).collect();
        let mut band = Self { n, z: z.to_vec(), ln_factorial, gamma: Vec::new() };
        band.gamma = z
            .iter()
            .map(|&z| {
                let pmf: Vec<f64> = (0..=n).map(|k| band.pmf(n, z, k)).collect();
                // Both tails summed from their thin ends, so that neither loses digits.
                let mut gamma = vec![0.0; n + 1];
                let mut tail = 0.0;
                for (cell, p) in gamma.iter_mut().zip(&pmf) {
                    tail += p;
                    *cell = 2.0 * tail;
                }
                tail = 0.0;
                for (cell, p) in gamma.iter_mut().zip(&pmf).rev() {
                    tail += p;
                    *cell = cell.min(2.0 * tail);
                }
                gamma
            })
            .collect();
        band
    }

    fn pmf(&self, n: usize, p: f64, k: usize) -> f64 {
        let ln_choose = self.ln_factorial[n] - self.ln_factorial[k] - self.ln_factorial[n - k];
        (ln_choose + k as f64 * p.ln() + (n - k) as f64 * (-p).ln_1p()).exp()
    }

    /// Probability that uniform numbers give somewhere a `gamma` as small as the least of `counts`.
    fn p_value(&self, counts: &[usize]) -> f64 {
        let least =
            (counts.iter().zip(&self.gamma)).map(|(&c, gamma)| gamma[c]).fold(1.0, f64::min);
        // Sums differ in their last digits: what is equal must count as equal.
        self.outside(least * (1.0 + 1e-9))
    }

    /// Least and greatest counts of the widest band that is left with probability at most `level`.
    fn at_level(&self, level: f64) -> Vec<(usize, usize)> {
        let (mut narrow, mut wide) = (level, 0.0);
        for _ in 0..40 {
            let middle = 0.5 * (narrow + wide);
            if self.outside(middle) > level { narrow = middle } else { wide = middle }
        }
        self.gamma.iter().map(|gamma| limits(gamma, wide)).collect()
    }

    /// Probability that the count of some edge has a `gamma` of at most `threshold`.
    fn outside(&self, threshold: f64) -> f64 {
        let mut first = 0;
        let mut states = vec![1.0];
        let mut below = 0.0;
        for (&z, gamma) in self.z.iter().zip(&self.gamma) {
            let (lower, upper) = limits(gamma, threshold);
            if lower > upper {
                return 1.0;
            }
            let share = (z - below) / (1.0 - below);
            let mut next = vec![0.0; upper - lower + 1];
            for (offset, probability) in states.iter().enumerate() {
                let count = first + offset;
                for target in lower.max(count)..=upper {
                    next[target - lower] +=
                        probability * self.pmf(self.n - count, share, target - count);
                }
            }
            (first, states, below) = (lower, next, z);
        }
        (1.0 - states.iter().sum::<f64>()).clamp(0.0, 1.0)
    }
}

/// The counts whose `gamma` is above `threshold`: an interval, empty as `(1, 0)`.
fn limits(gamma: &[f64], threshold: f64) -> (usize, usize) {
    let inside = |gamma: &f64| *gamma > threshold;
    match (gamma.iter().position(inside), gamma.iter().rposition(inside)) {
        (Some(lower), Some(upper)) => (lower, upper),
        _ => (1, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use ndarray::Array2;

    fn ranks(events: usize, draws: usize, seed: u64, shape: impl Fn(f64) -> f64) -> Ranks {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let below = Array2::from_shape_simple_fn((events, 1), || {
            (shape(rng.random::<f64>()) * (draws + 1) as f64) as usize
        });
        Ranks { equal: Array2::zeros(below.dim()), below, draws }
    }

    #[test]
    fn p_values_of_uniform_ranks_are_uniform() {
        // 400 repetitions: the share below 0.1 has a standard error of 0.015. The statistics are
        // discrete, so the shares may lie below the level, but not above it.
        let (mut ecdf, mut chi) = (0, 0);
        for seed in 0..400 {
            let test = Uniformity::of(&ranks(200, 99, seed, |u| u), 0, seed).unwrap();
            ecdf += usize::from(test.ecdf_p <= 0.1);
            chi += usize::from(test.chi_square_p <= 0.1);
        }
        assert!((16..=62).contains(&ecdf), "{ecdf}");
        assert!((16..=64).contains(&chi), "{chi}");
    }

    #[test]
    fn skewed_and_narrow_and_wide_draws_fail() {
        let narrow =
            |u: f64| 0.5 + 0.5 * (2.0 * u - 1.0).signum() * (2.0 * u - 1.0).abs().powf(0.6);
        let wide = |u: f64| 0.5 + 0.5 * (2.0 * u - 1.0).signum() * (2.0 * u - 1.0).abs().powf(1.6);
        let cases: [(&dyn Fn(f64) -> f64, &str); 4] = [
            (&|u: f64| u.powf(1.3), "draws lie too high"),
            (&|u: f64| u.powf(0.75), "draws lie too low"),
            (&narrow, "draws are too narrow"),
            (&wide, "draws are too wide"),
        ];
        for (shape, words) in cases {
            let test = Uniformity::of(&ranks(1000, 199, 5, shape), 0, 5).unwrap();
            assert!(test.ecdf_p < 1e-4 && test.chi_square_p < 1e-4, "{words}: {test:?}");
            assert_eq!(test.in_words(), words);
        }
        let test = Uniformity::of(&ranks(1000, 199, 5, |u| u), 0, 5).unwrap();
        assert!(test.ecdf_p > 0.01 && test.chi_square_p > 0.01 && test.kolmogorov_p > 0.01);
    }

    #[test]
    fn the_band_of_one_edge_is_a_binomial_interval() {
        // ten numbers, edge 1/2: 0, 1, 9 or 10 of them below it have probability 22 / 1024
        let band = Band::new(10, &[0.5]);
        assert_relative_eq!(band.p_value(&[1]), 22.0 / 1024.0, epsilon = 1e-12);
        assert_eq!(band.at_level(0.05), [(2, 8)]);
    }

    #[test]
    fn the_band_of_two_edges_by_enumeration() {
        // Three numbers in three cells: 27 equal cases. Counts (c_1, c_2) with gamma below that of
        // (3, 3), all numbers in the first cell: P(c_1 = 3) = 1/27 = P(c_2 = 0); so p = 2 / 27.
        let band = Band::new(3, &[1.0 / 3.0, 2.0 / 3.0]);
        assert_relative_eq!(band.p_value(&[3, 3]), 2.0 / 27.0, epsilon = 1e-12);
    }

    #[test]
    fn band_and_p_value_agree() {
        let test = Uniformity::of(&ranks(500, 99, 8, |u| u.powf(1.1)), 0, 1).unwrap();
        let leaves = |level: f64| {
            let points = test.ecdf_difference(level).unwrap();
            points.iter().any(|p| p.difference < p.lower - 1e-12 || p.difference > p.upper + 1e-12)
        };
        assert!(leaves((test.ecdf_p * 1.2).min(0.99)), "{test:?}");
        assert!(!leaves(test.ecdf_p * 0.8), "{test:?}");
    }

    #[test]
    fn ties_are_spread_over_their_places() {
        let all_equal = Ranks {
            below: Array2::zeros((500, 1)),
            equal: Array2::from_elem((500, 1), 49),
            draws: 49,
        };
        assert!(Uniformity::of(&all_equal, 0, 3).unwrap().ecdf_p > 0.01);
    }

    #[test]
    fn holm_by_hand() {
        let adjusted = holm(&[0.01, 0.04, 0.03]);
        for (adjusted, expected) in adjusted.iter().zip([0.03, 0.06, 0.06]) {
            assert_relative_eq!(*adjusted, expected, epsilon = 1e-12);
        }
    }
}
