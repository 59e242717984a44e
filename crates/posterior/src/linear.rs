//! Small dense linear algebra: Cholesky factors of at most some thirty rows, and determinants.

use ndarray::Array2;

/// `log |det|` of a square matrix by elimination with row pivots; minus infinity if it is singular.
pub(crate) fn log_abs_determinant(mut matrix: Array2<f64>) -> f64 {
    let n = matrix.nrows();
    let mut log = 0.0;
    for k in 0..n {
        let pivot = (k..n).max_by(|a, b| matrix[[*a, k]].abs().total_cmp(&matrix[[*b, k]].abs()));
        let Some(pivot) = pivot else { continue };
        for column in 0..n {
            matrix.swap([k, column], [pivot, column]);
        }
        let value = matrix[[k, k]];
        log += value.abs().ln();
        if value == 0.0 {
            return f64::NEG_INFINITY;
        }
        for row in k + 1..n {
            let factor = matrix[[row, k]] / value;
            for column in k..n {
                matrix[[row, column]] -= factor * matrix[[k, column]];
            }
        }
    }
    log
}

/// The lower Cholesky factor of a symmetric positive definite matrix.
#[derive(Debug, Clone)]
pub(crate) struct Cholesky {
    /// Row by row, n x n; entries above the diagonal are zero.
    factor: Vec<f64>,
    n: usize,
}

impl Cholesky {
    /// `None` if the matrix (row by row, n x n) is not positive definite to working precision.
    pub(crate) fn new(matrix: &[f64], n: usize) -> Option<Self> {
        let mut factor = matrix.to_vec();
        for j in 0..n {
            for i in 0..j {
                factor[i * n + j] = 0.0;
            }
            let diagonal = matrix[j * n + j];
            let mut pivot = diagonal;
            for k in 0..j {
                pivot -= factor[j * n + k] * factor[j * n + k];
            }
            if pivot.is_nan() || pivot <= 1e-14 * diagonal.abs() {
                return None;
            }
            let root = pivot.sqrt();
            factor[j * n + j] = root;
            for i in j + 1..n {
                let mut sum = factor[i * n + j];
                for k in 0..j {
                    sum -= factor[i * n + k] * factor[j * n + k];
                }
                factor[i * n + j] = sum / root;
            }
        }
        Some(Self { factor, n })
    }

    /// `log det` of the matrix.
    pub(crate) fn log_determinant(&self) -> f64 {
        (0..self.n).map(|j| 2.0 * self.factor[j * self.n + j].ln()).sum()
    }

    /// Entries of a row of `L` before the diagonal, and the one on it.
    pub(crate) fn row(&self, i: usize) -> (&[f64], f64) {
        (&self.factor[i * self.n..i * self.n + i], self.factor[i * self.n + i])
    }

    /// `L z`.
    pub(crate) fn multiply(&self, z: &[f64]) -> Vec<f64> {
        (0..self.n).map(|i| (0..=i).map(|k| self.factor[i * self.n + k] * z[k]).sum()).collect()
    }

    /// Replaces `b` by `L^-1 b`.
    pub(crate) fn solve_lower(&self, b: &mut [f64]) {
        for i in 0..self.n {
            let (row, diagonal) = self.row(i);
            let sum: f64 = row.iter().zip(&*b).map(|(l, b)| l * b).sum();
            b[i] = (b[i] - sum) / diagonal;
        }
    }

    /// Replaces `b` by the solution of `A x = b`.
    pub(crate) fn solve(&self, b: &mut [f64]) {
        self.solve_lower(b);
        for i in (0..self.n).rev() {
            for k in i + 1..self.n {
                b[i] -= self.factor[k * self.n + i] * b[k];
            }
            b[i] /= self.factor[i * self.n + i];
        }
    }

    /// The inverse of the matrix, row by row.
    pub(crate) fn inverse(&self) -> Vec<f64> {
        let n = self.n;
        let mut inverse = vec![0.0; n * n];
        for (j, row) in inverse.chunks_exact_mut(n).enumerate() {
            row[j] = 1.0;
            self.solve(row);
        }
        inverse
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;
    use ndarray::array;

    #[test]
    fn determinant_and_inverse_by_hand() {
        // Rows swapped: the first pivot is zero. |det| = 2 * 3.
        assert_abs_diff_eq!(
            log_abs_determinant(array![[0.0, 2.0], [3.0, 1.0]]),
            6.0_f64.ln(),
            epsilon = 1e-15
        );
        assert_eq!(log_abs_determinant(array![[1.0, 1.0], [1.0, 1.0]]), f64::NEG_INFINITY);
        // [[4, 2], [2, 5]]: det 16, inverse [[5, -2], [-2, 4]] / 16.
        let factor = Cholesky::new(&[4.0, 2.0, 2.0, 5.0], 2).unwrap();
        assert_abs_diff_eq!(factor.log_determinant(), 16.0_f64.ln(), epsilon = 1e-15);
        let expected = [5.0, -2.0, -2.0, 4.0].map(|v| v / 16.0);
        assert_abs_diff_eq!(factor.inverse()[..], expected[..], epsilon = 1e-15);
        // L = [[2, 0], [1, 2]].
        assert_eq!(factor.multiply(&[1.0, 3.0]), [2.0, 7.0]);
        assert!(Cholesky::new(&[1.0, 2.0, 2.0, 1.0], 2).is_none());
        assert!(Cholesky::new(&[f64::NAN, 0.0, 0.0, 1.0], 2).is_none());
    }
}
