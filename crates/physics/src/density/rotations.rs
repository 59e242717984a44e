//! Means over all rotations: the normalisation of the matrix Fisher distribution.
//!
//! With the singular values `s_1 >= s_2 >= |s_3|` of A, the last one of the sign of `det A`, and `I_0` the modified
//! Bessel function,
//! ```text
//! c(A) = mean over R of exp(tr(R^T A))
//!      = 1/2 int_-1^1 I_0((s_1 - s_2)(1 - u)/2) I_0((s_1 + s_2)(1 + u)/2) exp(s_3 u) du
//! ```
//! (T. Lee, IEEE Trans. Automat. Contr. 63, 3377 (2018), theorem 1; the hypergeometric function 0F1 of matrix argument in
//! K. V. Mardia and P. E. Jupp, Directional Statistics, section 13.2.3).

use crate::vector::{Vector, cross, dot, norm};

/// Step of the trapezoidal rule in `v`, `u = -tanh(v / 2)`: the integrand is analytic for `|Im v| < pi / 2`, so that its error
/// is about exp(-pi^2 / step).
const STEP: f64 = 0.4;
/// The ends of the rule lie where the integrand is this many nats below its greatest.
const TAIL: f64 = 26.0;

/// `ln c(A)`, to about 1e-9, of the matrix A whose columns these are.
pub(super) fn log_mean_over_rotations(columns: [Vector; 3]) -> f64 {
    let [s_1, s_2, s_3] = singular_values(columns);
    // All exponents with those of the integrand's factors: exp(s_1 + s_2 + s_3) is taken out.
    let (near, far, decay) = (0.5 * (s_1 - s_2), 0.5 * (s_1 + s_2), s_2 + s_3);
    let reach = TAIL + (1.0 + s_1 + s_2).ln();
    let steps = (reach / STEP).ceil() as i32;
    let mut sum = 0.0;
    for step in -steps..=steps {
        let v = STEP * f64::from(step);
        // 1 - u and 1 + u, without cancellation.
        let (minus, plus) = (2.0 / (1.0 + (-v).exp()), 2.0 / (1.0 + v.exp()));
        let exponential = (-decay * minus).exp();
        if exponential > 0.0 {
            let bessel = scaled_bessel_i0(near * minus) * scaled_bessel_i0(far * plus);
            sum += bessel * exponential * 0.5 * minus * plus;
        }
    }
    (0.5 * STEP * sum).ln() + s_1 + s_2 + s_3
}

/// Singular values in falling order, the last one of the determinant's sign: one-sided Jacobi rotations, which keep the
/// relative accuracy of small ones (Demmel and Veselic, SIAM J. Matrix Anal. Appl. 13, 1204 (1992)).
fn singular_values(mut columns: [Vector; 3]) -> Vector {
    let determinant = dot(columns[0], cross(columns[1], columns[2]));
    for _ in 0..30 {
        let mut largest = 0.0_f64;
        for (p, q) in [(0, 1), (0, 2), (1, 2)] {
            let (a, b) = (columns[p], columns[q]);
            let (aa, bb, ab) = (dot(a, a), dot(b, b), dot(a, b));
            if ab == 0.0 {
                continue;
            }
            largest = largest.max(ab.abs() / (aa * bb).sqrt());
            let zeta = (bb - aa) / (2.0 * ab);
            let tangent = zeta.signum() / (zeta.abs() + (1.0 + zeta * zeta).sqrt());
            let cosine = 1.0 / (1.0 + tangent * tangent).sqrt();
            let sine = cosine * tangent;
            for axis in 0..3 {
                columns[p][axis] = cosine * a[axis] - sine * b[axis];
                columns[q][axis] = sine * a[axis] + cosine * b[axis];
            }
        }
        if largest <= 1e-15 {
            break;
        }
    }
    let mut values = columns.map(norm);
    values.sort_by(|a, b| b.total_cmp(a));
    values[2] = values[2].copysign(determinant);
    values
}

/// `exp(-x) I_0(x)` for `x >= 0`, to a few units in the last place: the power series, and the asymptotic one from 20 on.
fn scaled_bessel_i0(x: f64) -> f64 {
    if x < 20.0 {
        let quarter = 0.25 * x * x;
        let (mut term, mut sum, mut k) = (1.0, 1.0, 1.0);
        while term > 1e-17 * sum {
            term *= quarter / (k * k);
            sum += term;
            k += 1.0;
        }
        return sum * (-x).exp();
    }
    let (mut term, mut sum, mut k) = (1.0, 1.0, 1.0);
    while term > 1e-17 && k < 30.0 {
        let odd = 2.0 * k - 1.0;
        term *= odd * odd / (8.0 * k * x);
        sum += term;
        k += 1.0;
    }
    sum / (2.0 * std::f64::consts::PI * x).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Rotation;

    /// The mean over rotations by a product rule in Euler angles: exact for polynomials of the matrix's entries below
    /// the degree of the rule.
    fn brute_force(columns: [Vector; 3]) -> f64 {
        const N: usize = 96;
        let (nodes, weights) = gauss_legendre(N);
        let mut mean = 0.0;
        for (cosine, weight) in nodes.iter().zip(&weights) {
            for a in 0..N {
                for c in 0..N {
                    let angle = |k: usize| std::f64::consts::TAU * k as f64 / N as f64;
                    let half = 0.5 * cosine.acos();
                    let (sum, difference) =
                        (0.5 * (angle(a) + angle(c)), 0.5 * (angle(a) - angle(c)));
                    let quaternion = [
                        half.cos() * sum.cos(),
                        half.sin() * difference.sin(),
                        half.sin() * difference.cos(),
                        half.cos() * sum.sin(),
                    ];
                    let mut turned = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]].concat();
                    Rotation::from_quaternion(quaternion).apply(&mut turned);
                    let trace: f64 = turned
                        .chunks(3)
                        .zip(&columns)
                        .map(|(r, a)| dot([r[0], r[1], r[2]], *a))
                        .sum();
                    mean += 0.5 * weight * trace.exp() / (N * N) as f64;
                }
            }
        }
        mean.ln()
    }

    fn gauss_legendre(n: usize) -> (Vec<f64>, Vec<f64>) {
        let of = |k: usize| {
            let mut x = (std::f64::consts::PI * (k as f64 + 0.75) / (n as f64 + 0.5)).cos();
            let mut slope = 1.0;
            for _ in 0..50 {
                let (mut before, mut here) = (1.0, x);
                for j in 2..=n {
                    let j = j as f64;
                    (before, here) = (here, ((2.0 * j - 1.0) * x * here - (j - 1.0) * before) / j);
                }
                slope = n as f64 * (x * here - before) / (x * x - 1.0);
                x -= here / slope;
            }
            (x, 2.0 / ((1.0 - x * x) * slope * slope))
        };
        (0..n).map(of).unzip()
    }

    #[test]
    fn means_are_those_of_brute_force() {
        let matrices = [
            [[0.3, -0.2, 0.1], [0.0, 0.5, 0.4], [0.2, 0.1, -0.7]],
            [[6.0, 1.0, -2.0], [0.5, 3.0, 0.0], [1.0, -1.0, 2.0]],
            // A reflection: the determinant is negative.
            [[9.0, 0.0, 1.0], [0.0, 7.0, 0.0], [0.0, 1.0, -6.0]],
            // A plane, and a line.
            [[8.0, 1.0, 0.0], [-3.0, 4.0, 0.0], [0.0, 0.0, 0.0]],
            [[5.0, 2.0, 1.0], [10.0, 4.0, 2.0], [0.0, 0.0, 0.0]],
            [[0.0; 3]; 3],
        ];
        for columns in matrices {
            let (found, expected) = (log_mean_over_rotations(columns), brute_force(columns));
            assert!((found - expected).abs() < 1e-8, "{columns:?}: {found} {expected}");
        }
    }

    /// Of one direction: sinh(s) / s. Of a sharp peak: Laplace's method, `c = exp(s_1 + s_2 + s_3) / sqrt(8 pi prod (s_i +
    /// s_j))` up to terms of order 1 / s.
    #[test]
    fn great_arguments_are_sound() {
        for s in [1e-8_f64, 1.0, 40.0, 1e3, 1e5, 1e7] {
            let columns = [[0.6 * s, 0.0, 0.8 * s], [0.0; 3], [0.0; 3]];
            let expected = s + (-(-2.0 * s).exp_m1() / (2.0 * s)).ln();
            let found = log_mean_over_rotations(columns);
            assert!((found - expected).abs() < 1e-8, "{s}: {found} {expected}");
        }
        for s in [1e3, 1e5, 1e7] {
            for sign in [1.0, -1.0] {
                let values = [3.0 * s, 2.0 * s, sign * s];
                let columns = [[values[0], 0.0, 0.0], [0.0, values[1], 0.0], [0.0, 0.0, values[2]]];
                let sums = [values[0] + values[1], values[0] + values[2], values[1] + values[2]];
                let volume = 8.0 * std::f64::consts::PI * sums.iter().product::<f64>();
                let expected = values.iter().sum::<f64>() - 0.5 * volume.ln();
                let found = log_mean_over_rotations(columns);
                assert!(
                    (found - expected).abs() < 1.0 / s + 1e-8,
                    "{s} {sign}: {found} {expected}"
                );
            }
        }
    }

    #[test]
    fn bessel_functions_of_both_series_and_by_quadrature() {
        for x in [0.0, 1e-3, 0.7, 5.0, 12.0, 19.999, 20.001, 60.0, 300.0] {
            // exp(-x) I_0(x) = 1 / pi int_0^pi exp(-x (1 - cos t)) dt, by a rule that is exact to round-off.
            let n = 400;
            let at = |k: i32| {
                (-x * (1.0 - (std::f64::consts::PI * f64::from(k) / f64::from(n)).cos())).exp()
            };
            let inner: f64 = (1..n).map(at).sum();
            let expected = (0.5 * (at(0) + at(n)) + inner) / f64::from(n);
            approx::assert_relative_eq!(scaled_bessel_i0(x), expected, max_relative = 1e-13);
        }
    }
}
