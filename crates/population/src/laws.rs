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
    pub(crate) mean: Vec<f64>,
    /// Inverse of the lower Cholesky factor of the sum (m, m).
    pub(crate) whitener: Vec<f64>,
    /// `log a - m / 2 log 2 pi - log det / 2`.
    pub(crate) log_height: f64,
}

impl Seen {
    pub(crate) fn of_nothing(m: usize) -> Self {
        Self { mean: vec![0.0; m], whitener: vec![0.0; m * m], log_height: f64::NEG_INFINITY }
    }

    /// Sees a law through kernels of this covariance (m, m).
    #[inline(always)]
    pub(crate) fn look(&mut self, law: &Law, kernel: &[f64]) {
        let m = self.mean.len();
        self.mean.copy_from_slice(&law.mean);
        for ((sum, own), kernel) in self.whitener.iter_mut().zip(&law.covariance).zip(kernel) {
            *sum = own + kernel;
        }
        cholesky(&mut self.whitener, m, 0.0);
        let determinant: f64 = (0..m).map(|i| self.whitener[i * m + i]).product();
        inverse_of_lower(&mut self.whitener, m);
        let unit = 0.5 * m as f64 * std::f64::consts::TAU.ln();
        self.log_height = (law.weight / determinant).ln() - unit;
    }

    /// Log of the law's part of the density at a row.
    pub(crate) fn log_density(&self, row: &[f64]) -> f64 {
        let of_row = |whitener: &[f64]| -> f64 {
            let steps = row.iter().zip(&self.mean).map(|(q, mean)| q - mean);
            whitener.iter().zip(steps).map(|(w, step)| w * step).sum()
        };
        let square: f64 = self.whitener.chunks_exact(row.len()).map(|w| of_row(w).powi(2)).sum();
        self.log_height - 0.5 * square
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
        let (m, mut factor) = (floor.len(), rest.into_iter().collect::<Vec<f64>>());
        cholesky(&mut factor, m, 0.3 * least);
        for row in 0..m {
            all.extend_from_slice(&factor[row * m..=row * m + row]);
        }
    }
    all
}

/// Puts in the place of a matrix (m, m) its lower Cholesky factor, with pivots of `least` at least.
#[inline(always)]
pub(crate) fn cholesky(matrix: &mut [f64], m: usize, least: f64) {
    for i in 0..m {
        for j in 0..=i {
            let mut rest = matrix[i * m + j];
            for k in 0..j {
                rest -= matrix[i * m + k] * matrix[j * m + k];
            }
            matrix[i * m + j] =
                if i == j { rest.max(least * least).sqrt() } else { rest / matrix[j * m + j] };
        }
        matrix[i * m + i + 1..(i + 1) * m].fill(0.0);
    }
}

/// Puts in the place of a lower triangular matrix (m, m) its inverse.
#[inline(always)]
pub(crate) fn inverse_of_lower(lower: &mut [f64], m: usize) {
    for column in 0..m {
        let inverse = 1.0 / lower[column * m + column];
        lower[column * m + column] = inverse;
        for row in column + 1..m {
            let mut sum = lower[row * m + column] * inverse;
            for k in column + 1..row {
                sum += lower[row * m + k] * lower[k * m + column];
            }
            // The pivot of this row is not inverted yet.
            lower[row * m + column] = -sum / lower[row * m + row];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// A factor times its transpose is the matrix, times its inverse one.
    #[test]
    fn factors_and_inverses() {
        let matrix = array![[4.0, 1.0, 0.5], [1.0, 3.0, -0.7], [0.5, -0.7, 2.0]];
        let mut lower = matrix.clone();
        cholesky(lower.as_slice_mut().unwrap(), 3, 0.0);
        let mut inverse = lower.clone();
        inverse_of_lower(inverse.as_slice_mut().unwrap(), 3);
        assert!((lower.dot(&lower.t()) - &matrix).iter().all(|d: &f64| d.abs() < 1e-14));
        assert!(
            (lower.dot(&inverse) - Array2::<f64>::eye(3)).iter().all(|d: &f64| d.abs() < 1e-14)
        );
        assert_eq!([lower[[0, 1]], lower[[0, 2]], lower[[1, 2]]], [0.0; 3]);
    }

    /// The density of two correlated quantities, by the inverse of their covariance.
    #[test]
    fn a_density_by_hand() {
        let law = Law {
            weight: 0.25,
            mean: vec![1.0, -1.0],
            factor: Array2::zeros((2, 2)),
            covariance: array![[1.5, 0.5], [0.5, 0.5]],
        };
        let mut seen = Seen::of_nothing(2);
        seen.look(&law, &[0.5, 0.0, 0.0, 0.5]);
        // Covariance [[2, 0.5], [0.5, 1]], of which the determinant is 1.75.
        let [a, b] = [0.3 - 1.0, 0.4 + 1.0];
        let square: f64 = (a * a - 2.0 * 0.5 * a * b + 2.0 * b * b) / 1.75;
        let by_hand = 0.25 / (std::f64::consts::TAU * 1.75_f64.sqrt()) * (-0.5 * square).exp();
        assert!((seen.log_density(&[0.3, 0.4]) - by_hand.ln()).abs() < 1e-14);
    }
}
