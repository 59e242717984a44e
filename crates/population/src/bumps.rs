//! Bumps about supports, and what draws have of each.

use ndarray::{Array2, Array3, ArrayView1, ArrayView2, ArrayView3, ArrayViewMut1, Axis};
use rayon::prelude::*;

/// Squared distance in widths beyond which a bump is nothing.
const FAR: f64 = 40.0;

/// A normal law's density up to a factor, from a squared distance in standard deviations.
fn bump(distance_2: f64) -> f64 {
    if distance_2 > FAR { 0.0 } else { (-0.5 * distance_2).exp() }
}

/// Mean over the draws of each event (n, K, m) of bumps over the density of the training law, whose logs are given (n, K):
/// `C` of each width (widths, n, J).
///
/// A posterior is known by its draws, of which few are in a narrow bump. So it is smoothed, by normal laws of the part
/// `b^2` of its own covariance, `b = K^(-1 / (m + 4))` (Scott's rule), about draws that are pulled to their mean by `sqrt(1 - b^2)`,
/// which keeps mean and covariance (West, J. R. Stat. Soc. B 55, 409 (1993)).
pub(crate) fn of_events(
    draws: ArrayView3<'_, f64>,
    log_law: ArrayView2<'_, f64>,
    supports: ArrayView2<'_, f64>,
    scales: &[f64],
    widths: &[f64],
) -> Array3<f64> {
    let n = draws.len_of(Axis(0));
    let mut means = Array3::zeros((n, widths.len(), supports.nrows()));
    let events = draws.axis_iter(Axis(0)).into_par_iter().zip(log_law.axis_iter(Axis(0)));
    means.axis_iter_mut(Axis(0)).into_par_iter().zip(events).for_each(
        |(mut means, (draws, log_law))| {
            let smooth = Smooth::new(draws, log_law);
            for (mut means, width) in means.rows_mut().into_iter().zip(widths) {
                smooth.add_bumps(supports, scales, *width, &mut means);
            }
        },
    );
    means.permuted_axes([1, 0, 2]).as_standard_layout().into_owned()
}

/// Bumps at each row of quantities (rows, m): (rows, J).
pub(crate) fn of_rows(
    rows: ArrayView2<'_, f64>,
    supports: ArrayView2<'_, f64>,
    scales: &[f64],
    width: f64,
) -> Array2<f64> {
    let deviations: Vec<f64> = scales.iter().map(|scale| scale * width).collect();
    let volume: f64 = deviations.iter().map(|s| 1.0 / (s * NORMAL)).product();
    let mut bumps = Array2::zeros((rows.nrows(), supports.nrows()));
    let each = bumps.axis_iter_mut(Axis(0)).into_par_iter().zip(rows.axis_iter(Axis(0)));
    each.for_each(|(mut bumps, row)| {
        for (b, support) in bumps.iter_mut().zip(supports.rows()) {
            let steps = row.iter().zip(support).zip(&deviations);
            *b = volume * bump(steps.map(|((q, c), s)| ((q - c) / s).powi(2)).sum());
        }
    });
    bumps
}

/// `sqrt(2 pi)`.
const NORMAL: f64 = 2.506_628_274_631_000_2;

/// A posterior as a mean of normal laws.
struct Smooth {
    /// Their centres (K, m).
    centres: Array2<f64>,
    /// Their covariance (m, m).
    covariance: Array2<f64>,
    /// One over the density of the training law at each draw (K).
    weights: Vec<f64>,
}

impl Smooth {
    fn new(draws: ArrayView2<'_, f64>, log_law: ArrayView1<'_, f64>) -> Self {
        let (k, m) = draws.dim();
        let square = (k as f64).powf(-2.0 / (m + 4) as f64);
        let mean = draws.sum_axis(Axis(0)) / k as f64;
        let deviations = &draws - &mean;
        let covariance = deviations.t().dot(&deviations) * (square / k as f64);
        let weights = log_law.iter().map(|log| (-log).exp()).collect();
        Self { centres: deviations * (1.0 - square).sqrt() + &mean, covariance, weights }
    }

    fn add_bumps(
        &self,
        supports: ArrayView2<'_, f64>,
        scales: &[f64],
        width: f64,
        means: &mut ArrayViewMut1<'_, f64>,
    ) {
        let m = scales.len();
        let mut sum = self.covariance.clone();
        for (axis, scale) in scales.iter().enumerate() {
            sum[[axis, axis]] += (width * scale).powi(2);
        }
        let factor = lower_factor(&sum);
        let volume: f64 = (0..m).map(|axis| 1.0 / (NORMAL * factor[[axis, axis]])).product();
        let (centres, supports) =
            (whitened(&self.centres.view(), &factor), whitened(&supports, &factor));
        for (centre, weight) in centres.rows().into_iter().zip(&self.weights) {
            for (mean, support) in means.iter_mut().zip(supports.rows()) {
                let distance_2: f64 =
                    centre.iter().zip(support).map(|(x, c)| (x - c) * (x - c)).sum();
                *mean += weight * bump(distance_2);
            }
        }
        *means *= volume / centres.nrows() as f64;
    }
}

/// The lower Cholesky factor of a positive definite matrix.
fn lower_factor(matrix: &Array2<f64>) -> Array2<f64> {
    let m = matrix.nrows();
    let mut factor = Array2::zeros((m, m));
    for i in 0..m {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| factor[[i, k]] * factor[[j, k]]).sum();
            let rest: f64 = matrix[[i, j]] - sum;
            factor[[i, j]] = if i == j { rest.sqrt() } else { rest / factor[[j, j]] };
        }
    }
    factor
}

/// `L^-1 q` of every row.
fn whitened(rows: &ArrayView2<'_, f64>, factor: &Array2<f64>) -> Array2<f64> {
    let mut rows = rows.to_owned();
    for mut row in rows.rows_mut() {
        for i in 0..row.len() {
            let sum: f64 = (0..i).map(|k| factor[[i, k]] * row[k]).sum();
            row[i] = (row[i] - sum) / factor[[i, i]];
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::StandardNormal;

    /// A bump over a normal law has a closed form, the density of the sum of two normal numbers; over a flat law of density 1/2,
    /// twice that.
    #[test]
    fn bumps_over_a_normal_law() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut draws = Array2::from_shape_fn((100_000, 2), |_| rng.sample(StandardNormal));
        // Covariance [[4, 1], [1, 1.25]] about (1, -1).
        draws.rows_mut().into_iter().for_each(|mut row| {
            let z: [f64; 2] = [row[0], row[1]];
            row[0] = 1.0 + 2.0 * z[0];
            row[1] = -1.0 + 0.5 * z[0] + z[1];
        });
        let supports = array![[1.0, -1.0], [3.0, 0.0], [0.0, -0.5]];
        let (scales, widths) = ([2.0, 1.0], [1.0, 0.5]);
        let log_law = Array2::from_elem((1, 100_000), 0.5_f64.ln());
        let event = draws.view().insert_axis(Axis(0));
        let events = of_events(event, log_law.view(), supports.view(), &scales, &widths);
        for (w, width) in widths.iter().enumerate() {
            let of_rows = of_rows(draws.view(), supports.view(), &scales, *width);
            let (h, k): (f64, f64) = ((width * 2.0).powi(2), width * width);
            let det = (h + 4.0) * (k + 1.25) - 1.0;
            for (j, support) in supports.rows().into_iter().enumerate() {
                let (x, y) = (support[0] - 1.0, support[1] + 1.0);
                let form = (x * x * (k + 1.25) - 2.0 * x * y + y * y * (h + 4.0)) / det;
                let expected = (-0.5 * form).exp() / (std::f64::consts::TAU * det.sqrt());
                let found = [2.0 * of_rows.column(j).mean().unwrap(), events[[w, 0, j]]];
                for found in found {
                    let error = found / (2.0 * expected) - 1.0;
                    assert!(error.abs() < 0.02, "{width} {j}: {found} {expected}");
                }
            }
        }
    }
}
