//! Eigenvectors of small symmetric matrices, by Jacobi rotations.

/// Sweeps at most; a matrix of this size needs fewer than ten.
const SWEEPS: usize = 60;

/// Eigenvalues and, as rows in the same order, orthonormal eigenvectors of a symmetric matrix.
pub(crate) fn eigen<const N: usize>(mut a: [[f64; N]; N]) -> ([f64; N], [[f64; N]; N]) {
    let mut vectors: [[f64; N]; N] =
        std::array::from_fn(|i| std::array::from_fn(|j| if i == j { 1.0 } else { 0.0 }));
    let scale: f64 = a.iter().flatten().map(|x| x * x).sum();
    for _ in 0..SWEEPS {
        let off: f64 =
            (0..N).flat_map(|p| (0..p).map(move |q| (p, q))).map(|(p, q)| a[p][q] * a[p][q]).sum();
        if off <= 1e-32 * scale {
            break;
        }
        for p in 0..N {
            for q in p + 1..N {
                if a[p][q] != 0.0 {
                    annihilate(&mut a, &mut vectors, p, q);
                }
            }
        }
    }
    (std::array::from_fn(|i| a[i][i]), vectors)
}

/// Turns the plane of `p` and `q` so that their element becomes zero (Golub and Van Loan, section 8.5).
fn annihilate<const N: usize>(
    a: &mut [[f64; N]; N],
    vectors: &mut [[f64; N]; N],
    p: usize,
    q: usize,
) {
    let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = t * c;
    for row in a.iter_mut() {
        (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
    }
    for k in 0..N {
        let (x, y) = (a[p][k], a[q][k]);
        (a[p][k], a[q][k]) = (c * x - s * y, s * x + c * y);
        let (x, y) = (vectors[p][k], vectors[q][k]);
        (vectors[p][k], vectors[q][k]) = (c * x - s * y, s * x + c * y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvectors_are_orthonormal_and_belong_to_their_values() {
        let a = [
            [4.0, -1.0, 0.5, 0.0],
            [-1.0, 2.0, 0.3, -0.7],
            [0.5, 0.3, -1.0, 0.2],
            [0.0, -0.7, 0.2, 2.0],
        ];
        let (values, vectors) = eigen(a);
        for (i, (value, v)) in values.iter().zip(&vectors).enumerate() {
            for (row, component) in a.iter().zip(v) {
                let product: f64 = row.iter().zip(v).map(|(x, y)| x * y).sum();
                approx::assert_abs_diff_eq!(product, value * component, epsilon = 1e-13);
            }
            for (j, w) in vectors.iter().enumerate() {
                let dot: f64 = v.iter().zip(w).map(|(x, y)| x * y).sum();
                approx::assert_abs_diff_eq!(dot, f64::from(u8::from(i == j)), epsilon = 1e-14);
            }
        }
        // Degenerate values, and a matrix that is diagonal already.
        assert_eq!(eigen([[2.0, 0.0], [0.0, 2.0]]), ([2.0, 2.0], [[1.0, 0.0], [0.0, 1.0]]));
        let (values, _) = eigen([[0.0, 1.0], [1.0, 0.0]]);
        approx::assert_abs_diff_eq!(values[0] * values[1], -1.0, epsilon = 1e-15);
    }
}
