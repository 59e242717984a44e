//! The benchmark problems of simulation-based inference (`docs/spec.md#benchmark-problems`): a prior of `x`, a
//! simulator of `y` given `x`, ten observations, and exact draws of `p(x | y)` to compare a model's draws with.
//!
//! The formulae are those of sbibm (Lueckmann et al., AISTATS 2021, version 1.1 for `gaussian_mixture`) and,
//! for `inverse_kinematics`, of Kruse et al., arXiv:2101.10763.

mod command;
mod gaussian;
mod kinematics;
mod score;
mod slcp;
mod two_moons;

use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

pub(crate) use command::run;

/// A problem by its prior, its simulator and its exact posterior.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Problem {
    /// Its name in the benchmark.
    pub(crate) name: &'static str,
    /// Number of `x` and of `y` columns.
    pub(crate) dimensions: (usize, usize),
    /// Edges of the prior's box, the same for every column; none for a normal prior.
    pub(crate) bounds: Option<[f64; 2]>,
    /// The benchmark's ten observations, as CSV; none where it draws them anew.
    observations: Option<&'static str>,
    /// Fills `x` from the prior and `y` from the simulator.
    pair: fn(&mut ChaCha8Rng, &mut [f64], &mut [f64]),
    /// Exact draws given `y`, one a row.
    posterior: fn(&mut ChaCha8Rng, &[f64], usize) -> Array2<f64>,
}

/// All problems, those of sbibm first.
pub(crate) const PROBLEMS: [Problem; 5] = [
    Problem {
        name: "two_moons",
        dimensions: (2, 2),
        bounds: Some([-1.0, 1.0]),
        observations: Some(include_str!("../../observations/two_moons.csv")),
        pair: two_moons::pair,
        posterior: two_moons::posterior,
    },
    Problem {
        name: "slcp",
        dimensions: (5, 8),
        bounds: Some([-3.0, 3.0]),
        observations: Some(include_str!("../../observations/slcp.csv")),
        pair: slcp::pair,
        posterior: slcp::posterior,
    },
    Problem {
        name: "gaussian_linear",
        dimensions: (10, 10),
        bounds: None,
        observations: Some(include_str!("../../observations/gaussian_linear.csv")),
        pair: gaussian::linear_pair,
        posterior: gaussian::linear_posterior,
    },
    Problem {
        name: "gaussian_mixture",
        dimensions: (2, 2),
        bounds: Some([-10.0, 10.0]),
        observations: Some(include_str!("../../observations/gaussian_mixture.csv")),
        pair: gaussian::mixture_pair,
        posterior: gaussian::mixture_posterior,
    },
    Problem {
        name: "inverse_kinematics",
        dimensions: (4, 2),
        bounds: None,
        observations: None,
        pair: kinematics::pair,
        posterior: kinematics::posterior,
    },
];

/// Seed of observations that the benchmark does not give; the pairs of training have others.
const OBSERVATION_SEED: u64 = u64::MAX;

impl Problem {
    /// `(x, y)` of `pairs` draws from prior and simulator, one a row.
    pub(crate) fn pairs(&self, pairs: usize, seed: u64) -> (Array2<f64>, Array2<f64>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut x = Array2::zeros((pairs, self.dimensions.0));
        let mut y = Array2::zeros((pairs, self.dimensions.1));
        let (mut x_row, mut y_row) = (vec![0.0; self.dimensions.0], vec![0.0; self.dimensions.1]);
        for (mut x, mut y) in x.rows_mut().into_iter().zip(y.rows_mut()) {
            (self.pair)(&mut rng, &mut x_row, &mut y_row);
            x.iter_mut().zip(&x_row).for_each(|(place, value)| *place = *value);
            y.iter_mut().zip(&y_row).for_each(|(place, value)| *place = *value);
        }
        (x, y)
    }

    /// The first `count` observations, one a row: the benchmark's own ten, or fixed draws.
    pub(crate) fn observations(&self, count: usize) -> Array2<f64> {
        let Some(text) = self.observations else {
            return self.pairs(count, OBSERVATION_SEED).1;
        };
        let values: Vec<f64> = text
            .lines()
            .skip(1)
            .take(count)
            .flat_map(|line| line.split(','))
            .filter_map(|cell| cell.parse().ok())
            .collect();
        let width = self.dimensions.1;
        Array2::from_shape_fn((values.len() / width, width), |(row, column)| {
            values[row * width + column]
        })
    }

    /// `draws` exact draws of `p(x | y)` for observation number `observation`, one a row.
    pub(crate) fn reference(&self, y: &[f64], observation: usize, draws: usize) -> Array2<f64> {
        self.reference_again(y, observation, draws, 0)
    }

    /// The same from another stream: what independent exact draws would score.
    pub(crate) fn reference_again(
        &self,
        y: &[f64],
        observation: usize,
        draws: usize,
        again: u64,
    ) -> Array2<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(again);
        rng.set_stream(1 + observation as u64);
        (self.posterior)(&mut rng, y, draws)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Means of `f` under the draws, and their standard error if the draws are independent.
    pub(super) fn mean(draws: &Array2<f64>, f: impl Fn(&[f64]) -> f64) -> (f64, f64) {
        let values: Vec<f64> = draws.rows().into_iter().map(|row| f(&row.to_vec())).collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        (mean, (variance / count).sqrt())
    }

    /// The mean of `f` in a 2-D box by the midpoint rule with `cells` cells a side.
    pub(super) fn quadrature(
        bounds: [f64; 2],
        cells: usize,
        density: impl Fn(&[f64; 2]) -> f64,
        f: impl Fn(&[f64]) -> f64,
    ) -> f64 {
        let at =
            |cell: usize| bounds[0] + (bounds[1] - bounds[0]) * (cell as f64 + 0.5) / cells as f64;
        let (mut mass, mut sum) = (0.0, 0.0);
        for row in 0..cells {
            for column in 0..cells {
                let x = [at(row), at(column)];
                let density = density(&x);
                mass += density;
                if density > 0.0 {
                    sum += density * f(&x);
                }
            }
        }
        sum / mass
    }

    #[test]
    fn every_problem_has_ten_observations_that_its_simulator_could_make() {
        for problem in PROBLEMS {
            let observations = problem.observations(10);
            assert_eq!(observations.dim(), (10, problem.dimensions.1), "{}", problem.name);
            let (x, y) = problem.pairs(4000, 1);
            if let Some([low, high]) = problem.bounds {
                assert!(x.iter().all(|x| (low..=high).contains(x)), "{}", problem.name);
            }
            for column in 0..problem.dimensions.1 {
                let seen = y.column(column);
                let [low, high] =
                    [f64::min, f64::max].map(|extreme| seen.iter().copied().fold(0.0, extreme));
                // slcp's noise has standard deviations of up to 9.
                let column = observations.column(column);
                assert!(column.iter().all(|y| (low..=high).contains(y)), "{}", problem.name);
            }
        }
    }

    /// What every exact posterior owes to Bayes: over pairs `(x, y)`, the rank of `x` among exact draws given
    /// `y` is uniform (simulation-based calibration). Ranks 0..9 of 400 pairs, chi-squared with 9 degrees
    /// of freedom: 33.7 is its quantile at 1 - 1e-4; 18 columns are tested.
    #[test]
    fn ranks_among_exact_draws_are_uniform() {
        for problem in PROBLEMS.iter().filter(|problem| problem.name != "slcp") {
            let (x, y) = problem.pairs(400, 11);
            let mut counts = vec![[0.0_f64; 10]; problem.dimensions.0];
            for (row, (x, y)) in x.rows().into_iter().zip(y.rows()).enumerate() {
                let draws = problem.reference(&y.to_vec(), row, 9);
                for (column, counts) in counts.iter_mut().enumerate() {
                    let drawn = draws.column(column);
                    counts[drawn.iter().filter(|draw| **draw < x[column]).count()] += 1.0;
                }
            }
            for (column, counts) in counts.iter().enumerate() {
                let chi_squared: f64 =
                    counts.iter().map(|count| (count - 40.0).powi(2) / 40.0).sum();
                assert!(chi_squared < 33.7, "{} x{}: {counts:?}", problem.name, column + 1);
            }
        }
    }
}
