//! Normal laws, and the numbers that an ascent moves.
//!
//! ```text
//! a_j = exp(alpha_j) / sum exp(alpha),   S_j = diag(h^2) + A_j A_j^T,  A_j lower triangular
//! ```
//! The parameters of a law stand one behind another: `alpha`, `mu`, the rows of `A`.

use ndarray::{Array1, Array2};

/// A normal law of a mixture, in the units of the quantities.
#[derive(Debug, Clone, PartialEq)]
pub struct NormalLaw {
    /// Its part of the mixture.
    pub weight: f64,
    /// Mean (m).
    pub mean: Array1<f64>,
    /// Covariance (m, m).
    pub covariance: Array2<f64>,
}

/// Numbers of a law with `m` quantities.
pub(crate) fn size(m: usize) -> usize {
    1 + m + m * (m + 1) / 2
}

/// A law of a mixture in the units of the draws.
#[derive(Debug, Clone)]
pub(crate) struct Law {
    pub(crate) weight: f64,
    pub(crate) mean: Vec<f64>,
    /// `A` (m, m).
    pub(crate) factor: Array2<f64>,
    pub(crate) covariance: Array2<f64>,
}

/// The laws of parameters; `floor` are the standard deviations `h` (m).
pub(crate) fn laws_of(parameters: &[f64], floor: &[f64]) -> Vec<Law> {
    let m = floor.len();
    let laws = parameters.chunks_exact(size(m));
    let most = laws.clone().map(|law| law[0]).fold(f64::NEG_INFINITY, f64::max);
    let all: f64 = laws.clone().map(|law| (law[0] - most).exp()).sum();
    laws.map(|law| {
        let weight = (law[0] - most).exp() / all;
        let mut factor = Array2::zeros((m, m));
        let mut place = 1 + m;
        for row in 0..m {
            for column in 0..=row {
                factor[[row, column]] = law[place];
                place += 1;
            }
        }
        let mut covariance = factor.dot(&factor.t());
        (0..m).for_each(|i| covariance[[i, i]] += floor[i] * floor[i]);
        Law { weight, mean: law[1..=m].to_vec(), factor, covariance }
    })
    .collect()
}

/// The longest axis of a covariance, as long as its standard deviation.
pub(crate) fn longest(covariance: &Array2<f64>) -> Array1<f64> {
    let m = covariance.nrows();
    let mut axis = Array1::from_shape_fn(m, |i| 1.0 + 0.1 * i as f64);
    for _ in 0..50 {
        axis = covariance.dot(&axis);
        let length = axis.dot(&axis).sqrt();
        axis /= length;
    }
    let variance = axis.dot(&covariance.dot(&axis));
    axis * variance.max(0.0).sqrt()
}

/// A law as the kernels of a cloud see it: its covariance and theirs added up.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    mean: Vec<f64>,
    /// Inverse of the lower Cholesky factor of the sum, rows of the lower triangle one behind another.
    whitener: Vec<f64>,
    /// `log a - m / 2 log 2 pi - log det / 2`.
    log_height: f64,
}

impl Seen {
    pub(crate) fn new(law: &Law, kernel: &Array2<f64>) -> Self {
        let m = law.mean.len();
        let lower = cholesky(&(&law.covariance + kernel), 0.0);
        let inverse = inverse_of_lower(&lower);
        let log_det: f64 = (0..m).map(|i| lower[[i, i]].ln()).sum();
        let places = (0..m).flat_map(|row| (0..=row).map(move |column| [row, column]));
        Self {
            mean: law.mean.clone(),
            whitener: places.map(|at| inverse[at]).collect(),
            log_height: law.weight.ln() - log_det - 0.5 * m as f64 * std::f64::consts::TAU.ln(),
        }
    }

    /// Log of the law's part of the density at a row.
    #[inline]
    pub(crate) fn log_density(&self, row: &[f64]) -> f64 {
        let mut square = 0.0;
        let mut place = 0;
        for i in 0..row.len() {
            let mut z = 0.0;
            for (q, mean) in row[..=i].iter().zip(&self.mean) {
                z += self.whitener[place] * (q - mean);
                place += 1;
            }
            square += z * z;
        }
        self.log_height - 0.5 * square
    }

    /// The inverse of the sum of covariances.
    pub(crate) fn inverse(&self) -> Array2<f64> {
        let m = self.mean.len();
        let mut whitener = Array2::zeros((m, m));
        let mut place = 0;
        for i in 0..m {
            for j in 0..=i {
                whitener[[i, j]] = self.whitener[place];
                place += 1;
            }
        }
        whitener.t().dot(&whitener)
    }
}

/// The parameters of laws with these weights, means and covariances, which are made no narrower than `floor`.
pub(crate) fn parameters<'a>(
    laws: impl Iterator<Item = (f64, &'a [f64], &'a Array2<f64>)>,
    floor: &[f64],
) -> Vec<f64> {
    let mut all = Vec::new();
    for (weight, mean, covariance) in laws {
        all.push(weight.max(1e-6).ln());
        all.extend_from_slice(mean);
        let mut rest = covariance.clone();
        floor.iter().enumerate().for_each(|(i, h)| rest[[i, i]] -= h * h);
        let least = floor.iter().copied().fold(f64::INFINITY, f64::min);
        let factor = cholesky(&rest, 0.3 * least);
        for row in 0..floor.len() {
            all.extend((0..=row).map(|column| factor[[row, column]]));
        }
    }
    all
}

/// The lower Cholesky factor of a matrix, with pivots of `least` at least.
pub(crate) fn cholesky(matrix: &Array2<f64>, least: f64) -> Array2<f64> {
    let m = matrix.nrows();
    let mut factor = Array2::zeros((m, m));
    for i in 0..m {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| factor[[i, k]] * factor[[j, k]]).sum();
            let rest: f64 = matrix[[i, j]] - sum;
            factor[[i, j]] =
                if i == j { rest.max(least * least).sqrt() } else { rest / factor[[j, j]] };
        }
    }
    factor
}

/// The inverse of a lower triangular matrix.
pub(crate) fn inverse_of_lower(lower: &Array2<f64>) -> Array2<f64> {
    let m = lower.nrows();
    let mut inverse = Array2::zeros((m, m));
    for column in 0..m {
        inverse[[column, column]] = 1.0 / lower[[column, column]];
        for row in column + 1..m {
            let sum: f64 = (column..row).map(|k| lower[[row, k]] * inverse[[k, column]]).sum();
            inverse[[row, column]] = -sum / lower[[row, row]];
        }
    }
    inverse
}
