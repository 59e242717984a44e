//! The two scores of Kruse et al. 2021 for inverse kinematics, means over observations `y`: the re-simulation
//! error, mean `|f(x) - y|^2` over the draws, and the squared maximum mean discrepancy between the draws and
//! exact ones.
//!
//! `MMD^2 = mean k(x, x') + mean k(r, r') - 2 mean k(x, r)` without the terms `x = x'`, so that it is 0 on average
//! for draws of one law, with an inverse multiquadratic kernel. The paper names the kernel without its width.
//! Two are given: `k = 1 / (1 + d^2)`, and the sum over `a = 0.2, 1, 2` of `C^a ((C + d^2) / a)^-a`, `C = 1.1827`, with
//! which its authors trained on this problem.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use serde::Serialize;

use super::Problem;
use super::kinematics::forward;

/// Width and exponents of the multi-scale kernel.
const C: f64 = 1.182_700_936_446_453_7;
/// Observations on which two sets of exact draws are compared.
const EXACT_OBSERVATIONS: usize = 100;

/// The scores, and those of independent exact draws in place of the model's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Scores {
    /// Number of observations.
    pub(super) observations: usize,
    /// Draws of each.
    pub(super) draws: usize,
    /// Mean `|f(x) - y|^2`.
    pub(super) resimulation_error: f64,
    /// `MMD^2` with `1 / (1 + d^2)`.
    pub(super) mmd: f64,
    /// `MMD^2` with the sum over three scales.
    pub(super) mmd_multiscale: f64,
    /// `mmd` between two sets of exact draws, over the first 100 observations.
    pub(super) mmd_of_exact: f64,
    /// `mmd_multiscale` between two sets of exact draws.
    pub(super) mmd_multiscale_of_exact: f64,
}

/// Scores the draws of every observation; `draws` holds as many rows each, one observation after another.
pub(super) fn score(problem: &Problem, y: &Array2<f64>, draws: &Array2<f64>) -> Scores {
    let each = draws.nrows() / y.nrows();
    let sums = (0..y.nrows())
        .into_par_iter()
        .map(|observation| {
            let y = y.row(observation).to_vec();
            let own = draws.slice(ndarray::s![observation * each..(observation + 1) * each, ..]);
            let missed = |x: ndarray::ArrayView1<'_, f64>| {
                let [u, v] = forward(&x.to_vec());
                (u - y[0]).powi(2) + (v - y[1]).powi(2)
            };
            let error = own.rows().into_iter().map(missed).sum::<f64>() / each as f64;
            let exact = problem.reference(&y, observation, each);
            let [mmd, multiscale] = squared_mmd(own, exact.view());
            let [floor, multiscale_floor] = if observation < EXACT_OBSERVATIONS {
                let again = problem.reference_again(&y, observation, each, 1);
                squared_mmd(again.view(), exact.view())
            } else {
                [0.0; 2]
            };
            [error, mmd, multiscale, floor, multiscale_floor]
        })
        .collect::<Vec<[f64; 5]>>();
    let mean = |score: usize, count: usize| {
        sums.iter().map(|sums| sums[score]).sum::<f64>() / count as f64
    };
    let (all, few) = (y.nrows(), y.nrows().min(EXACT_OBSERVATIONS));
    Scores {
        observations: y.nrows(),
        draws: each,
        resimulation_error: mean(0, all),
        mmd: mean(1, all),
        mmd_multiscale: mean(2, all),
        mmd_of_exact: mean(3, few),
        mmd_multiscale_of_exact: mean(4, few),
    }
}

/// Unbiased `MMD^2` with both kernels.
fn squared_mmd(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>) -> [f64; 2] {
    let (own, other, between) =
        (mean_kernel(a, None), mean_kernel(b, None), mean_kernel(a, Some(b)));
    [0, 1].map(|kernel| own[kernel] + other[kernel] - 2.0 * between[kernel])
}

/// Means of both kernels over all pairs of two sets, or over the pairs of different rows of one.
fn mean_kernel(a: ArrayView2<'_, f64>, b: Option<ArrayView2<'_, f64>>) -> [f64; 2] {
    let (mut sums, mut pairs) = ([0.0; 2], 0.0);
    for (first, x) in a.rows().into_iter().enumerate() {
        let others = b.unwrap_or_else(|| a.slice_move(ndarray::s![first + 1.., ..]));
        for other in others.rows() {
            let squared = x.iter().zip(other).map(|(x, other)| (x - other).powi(2)).sum();
            let [plain, multiscale] = kernels(squared);
            sums[0] += plain;
            sums[1] += multiscale;
            pairs += 1.0;
        }
    }
    sums.map(|sum| sum / pairs)
}

/// Both kernels at the squared distance; `C^a ((C + d^2) / a)^-a = (a / t)^a` with `t = 1 + d^2 / C`.
fn kernels(squared: f64) -> [f64; 2] {
    let inverse = 1.0 / (1.0 + squared / C);
    let twice = 2.0 * inverse;
    [1.0 / (1.0 + squared), (0.2 * inverse).powf(0.2) + inverse + twice * twice]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problems::PROBLEMS;

    /// Two points against two others by hand: `1/2 + 1/2 - 2 (1 + 1/2 + 1/2 + 1/3) / 4`.
    #[test]
    fn the_discrepancy_is_that_of_the_formula() {
        let a = ndarray::array![[0.0, 0.0], [1.0, 0.0]];
        let b = ndarray::array![[0.0, 0.0], [0.0, 1.0]];
        let [plain, multiscale] = squared_mmd(a.view(), b.view());
        assert!((plain - (1.0 - 2.0 * (1.0 + 0.5 + 0.5 + 1.0 / 3.0) / 4.0)).abs() < 1e-12);
        let k = |squared| kernels(squared)[1];
        let expected = 2.0 * k(1.0) - (k(0.0) + 2.0 * k(1.0) + k(2.0)) / 2.0;
        assert!((multiscale - expected).abs() < 1e-12);
        let direct: f64 =
            [0.2_f64, 1.0, 2.0].iter().map(|a| C.powf(*a) * ((C + 3.0) / a).powf(-a)).sum();
        assert!((k(3.0) - direct).abs() < 1e-12);
        // At a distance of 0 every scale gives a^a.
        assert!((k(0.0) - (0.2_f64.powf(0.2) + 1.0 + 4.0)).abs() < 1e-12);
    }

    /// Exact draws score nothing, draws of the prior score a lot.
    #[test]
    fn exact_draws_score_as_exact_draws() {
        let problem = &PROBLEMS[4];
        let y = problem.observations(4);
        let mut exact = Array2::zeros((0, 4));
        for (observation, y) in y.rows().into_iter().enumerate() {
            let draws = problem.reference_again(&y.to_vec(), observation, 100, 2);
            exact.append(ndarray::Axis(0), draws.view()).unwrap();
        }
        let scores = score(problem, &y, &exact);
        assert!(scores.resimulation_error < 1e-20, "{scores:?}");
        assert!(scores.mmd.abs() < 0.02 && scores.mmd_of_exact.abs() < 0.02, "{scores:?}");
        let (prior, _) = problem.pairs(400, 4);
        let scores = score(problem, &y, &prior);
        assert!(scores.resimulation_error > 0.1 && scores.mmd > 0.05, "{scores:?}");
    }
}
