//! Refinement and Markov chain on posteriors that are known in closed form.

use cei_posterior::{
    ChainOptions, Components, Event, Forward, LogProb, ModeOptions, PosteriorError, RefineOptions,
    Refined, find_modes, refine, sample_chain, unseen, worst_k_hat,
};
use ndarray::{Array1, Array2, Array3, ArrayView2, Axis, array};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// `y = A x`.
struct Linear(Array2<f64>);

impl Forward for Linear {
    fn inputs(&self) -> usize {
        self.0.ncols()
    }

    fn outputs(&self) -> usize {
        self.0.nrows()
    }

    fn values(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        x.dot(&self.0.t())
    }

    fn linearised(&self, x: ArrayView2<'_, f64>) -> (Array2<f64>, Array3<f64>) {
        let jacobian = self.0.view().insert_axis(Axis(0));
        let shape = (x.nrows(), self.0.nrows(), self.0.ncols());
        (self.values(x), jacobian.broadcast(shape).unwrap().to_owned())
    }
}

/// `y = (x_1^2, x_2)`: two modes, `x_1 = +-sqrt(y_1)`.
struct Square;

impl Forward for Square {
    fn inputs(&self) -> usize {
        2
    }

    fn outputs(&self) -> usize {
        2
    }

    fn values(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        let mut y = x.to_owned();
        y.column_mut(0).mapv_inplace(|v| v * v);
        y
    }

    fn linearised(&self, x: ArrayView2<'_, f64>) -> (Array2<f64>, Array3<f64>) {
        let jacobian = Array3::from_shape_fn((x.nrows(), 2, 2), |(row, i, k)| match (i, k) {
            (0, 0) => 2.0 * x[[row, 0]],
            (1, 1) => 1.0,
            _ => 0.0,
        });
        (self.values(x), jacobian)
    }
}

fn normal_rows(rows: usize, columns: usize, sd: f64, seed: u64) -> Array2<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Array2::from_shape_fn((rows, columns), |_| sd * rng.sample::<f64, _>(StandardNormal))
}

fn log_normal(z: f64, sd: f64) -> f64 {
    -0.5 * (z / sd).powi(2) - (sd * (2.0 * std::f64::consts::PI).sqrt()).ln()
}

const A: [[f64; 2]; 3] = [[1.0, 0.5], [-0.3, 2.0], [0.8, 0.8]];
const NOISE: [f64; 3] = [0.1, 0.2, 0.3];
const MEASURED: [f64; 3] = [0.7, -0.4, 0.3];
const PRIOR_SD: f64 = 1.5;

/// Mean and covariance of the posterior of `y = A x + noise` under the prior N(0, sd^2), and the evidence
/// `N(y; 0, sd^2 A A^T + noise^2)` by the chain rule: `log p(y) = log p(y | x) + log p(x) - log p(x | y)` at any x.
fn exact() -> ([f64; 2], [[f64; 2]; 2], f64) {
    let mut precision = [[0.0; 2]; 2];
    let mut right = [0.0; 2];
    for (row, (sd, y)) in A.iter().zip(NOISE.iter().zip(MEASURED)) {
        for i in 0..2 {
            right[i] += row[i] * y / (sd * sd);
            for k in 0..2 {
                precision[i][k] += row[i] * row[k] / (sd * sd);
            }
        }
    }
    precision[0][0] += 1.0 / (PRIOR_SD * PRIOR_SD);
    precision[1][1] += 1.0 / (PRIOR_SD * PRIOR_SD);
    let [[a, b], [c, e]] = precision;
    let det = a * e - b * c;
    let covariance = [[e / det, -b / det], [-c / det, a / det]];
    let mean = covariance.map(|row| row[0] * right[0] + row[1] * right[1]);
    let mut evidence = mean.iter().map(|m| log_normal(*m, PRIOR_SD)).sum::<f64>();
    for (row, (sd, y)) in A.iter().zip(NOISE.iter().zip(MEASURED)) {
        evidence += log_normal(y - row[0] * mean[0] - row[1] * mean[1], *sd);
    }
    // log p(x | y) at its mean: -log(2 pi) + log(det precision) / 2.
    evidence -= 0.5 * det.ln() - (2.0 * std::f64::consts::PI).ln();
    (mean, covariance, evidence)
}

fn linear() -> Linear {
    Linear(Array2::from_shape_fn((3, 2), |(i, k)| A[i][k]))
}

fn gaussian_prior(x: &[f64]) -> f64 {
    x.iter().map(|x| log_normal(*x, PRIOR_SD)).sum()
}

/// A network that is wrong by a factor of two in width and off centre: the weights must put it right. Mean,
/// covariance and evidence are known; their errors are those of about 700 effective draws.
#[test]
fn a_linear_gaussian_posterior_is_exact() {
    let forward = linear();
    let (mean, covariance, evidence) = exact();
    let event =
        Event { forward: &forward, log_prior: &gaussian_prior, measured: &MEASURED, noise: &NOISE };
    let centre = array![mean[0] + 0.1, mean[1] - 0.1];
    let draws = normal_rows(1000, 2, 0.2, 1) + &centre;
    let network = move |x: &Array2<f64>| {
        let rows = x.rows().into_iter();
        rows.map(|row| row.iter().zip(&centre).map(|(x, c)| log_normal(x - c, 0.2)).sum()).collect()
    };
    let options = RefineOptions { samples: 20_000, ..RefineOptions::default() };
    for with_network in [true, false] {
        let network = with_network.then_some(&network as &dyn Fn(&Array2<f64>) -> Vec<f64>);
        let refined = refine(&event, draws.view(), network, &options, 5).unwrap();
        assert_eq!(refined.modes.len(), 1);
        assert!(refined.effective_sample_size > 12_000.0, "{}", refined.effective_sample_size);
        assert!(refined.k_hat < 0.5, "{}", refined.k_hat);
        assert!(
            (refined.log_evidence - evidence).abs() < 0.03,
            "{} {evidence}",
            refined.log_evidence
        );
        for i in 0..2 {
            let column = refined.draws.column(i);
            let sd = covariance[i][i].sqrt();
            assert!((column.sum() / 2e4 - mean[i]).abs() < 0.04 * sd);
            assert!((column.std(0.0) / sd - 1.0).abs() < 0.04);
        }
        let product = (0..20_000)
            .map(|row| (refined.draws[[row, 0]] - mean[0]) * (refined.draws[[row, 1]] - mean[1]));
        let scale = (covariance[0][0] * covariance[1][1]).sqrt();
        assert!((product.sum::<f64>() / 2e4 - covariance[0][1]).abs() < 0.05 * scale);
    }
}

/// One of the three components was measured, of two coordinates: the likelihood leaves a direction open, and the posterior
/// is that of one number `y ~ N(0, PRIOR_SD^2 a.a + NOISE^2)`.
#[test]
fn what_is_not_measured_leaves_the_prior() {
    let whole = linear();
    for kept in [0, 2] {
        let forward = Components::new(&whole, vec![kept]);
        let (measured, noise) = (forward.of(&MEASURED), forward.of(&NOISE));
        let (a, y, sd) = (A[kept], measured[0], noise[0]);
        let square = a[0] * a[0] + a[1] * a[1];
        let variance = PRIOR_SD * PRIOR_SD * square + sd * sd;
        let evidence = log_normal(y, variance.sqrt());
        let mean = a.map(|a| PRIOR_SD * PRIOR_SD * a * y / variance);
        let left = a.map(|a| PRIOR_SD * (1.0 - (PRIOR_SD * a).powi(2) / variance).sqrt());
        let event = Event {
            forward: &forward,
            log_prior: &gaussian_prior,
            measured: &measured,
            noise: &noise,
        };
        let draws = normal_rows(1000, 2, 2.0 * PRIOR_SD, 1);
        let options = RefineOptions { samples: 20_000, ..RefineOptions::default() };
        let refined = refine(&event, draws.view(), None, &options, 5).unwrap();
        assert!(refined.k_hat < 0.6, "{kept}: {}", refined.k_hat);
        assert!(
            (refined.log_evidence - evidence).abs() < 0.05,
            "{} {evidence}",
            refined.log_evidence
        );
        for i in 0..2 {
            let column = refined.draws.column(i);
            assert!((column.sum() / 2e4 - mean[i]).abs() < 0.06 * left[i], "{kept} {i}");
            assert!((column.std(0.0) / left[i] - 1.0).abs() < 0.06, "{kept} {i}");
        }
    }
}

#[test]
fn without_a_start_in_the_support_there_is_no_chain() {
    let (forward, nowhere) = (linear(), |_: &[f64]| f64::NEG_INFINITY);
    let event =
        Event { forward: &forward, log_prior: &nowhere, measured: &MEASURED, noise: &NOISE };
    let starts = normal_rows(48, 2, 1.0, 2);
    let chain = sample_chain(&event, starts.view(), &[], &ChainOptions::default(), 3);
    assert_eq!(chain, Ok(None));
}

#[test]
fn the_chain_samples_the_same_posterior() {
    let forward = linear();
    let (mean, covariance, _) = exact();
    let event =
        Event { forward: &forward, log_prior: &gaussian_prior, measured: &MEASURED, noise: &NOISE };
    let starts = normal_rows(48, 2, 1.0, 2);
    let options = ChainOptions { temperatures: 3, hottest: 10.0, ..ChainOptions::default() };
    let chain = sample_chain(&event, starts.view(), &[], &options, 3).unwrap().unwrap();
    assert!(chain.r_hat.iter().all(|r| *r < 1.02), "{:?}", chain.r_hat);
    assert!(chain.effective_sample_size.iter().all(|n| *n > 3000.0));
    for i in 0..2 {
        let (column, sd) = (chain.draws.column(i), covariance[i][i].sqrt());
        assert!((column.sum() / column.len() as f64 - mean[i]).abs() < 0.06 * sd);
        assert!((column.std(0.0) / sd - 1.0).abs() < 0.05);
    }
}

/// Two modes at +-2 with noise far below their distance; the prior N(0.5, 1) along x_1 weighs them as
/// exp(2 * 0.5 * 2) = e^2 to 1. (The Jacobians are equal, and curvature changes the ratio by less than 1e-3.)
#[test]
fn two_modes_have_their_known_weights() {
    let prior = |x: &[f64]| log_normal(x[0] - 0.5, 1.0) + log_normal(x[1], 1.0);
    let event =
        Event { forward: &Square, log_prior: &prior, measured: &[4.0, 0.3], noise: &[0.05, 0.05] };
    let draws = normal_rows(500, 2, 2.0, 7);
    let options = RefineOptions { samples: 4000, ..RefineOptions::default() };
    let refined = refine(&event, draws.view(), None, &options, 1).unwrap();
    assert_eq!(refined.modes.len(), 2);
    let expected = 2.0_f64.exp() / (1.0 + 2.0_f64.exp());
    assert!((refined.modes[0].coordinates[0] - 2.0).abs() < 0.01);
    assert!((refined.modes[0].weight - expected).abs() < 0.02, "{}", refined.modes[0].weight);
    let heavier = refined.draws.column(0).iter().filter(|x| **x > 0.0).count() as f64 / 4000.0;
    assert!((heavier - expected).abs() < 0.02, "{heavier}");
    let options = ChainOptions::default();
    let chain = sample_chain(&event, draws.view(), &refined.modes, &options, 1).unwrap().unwrap();
    let column = chain.draws.column(0);
    let heavier = column.iter().filter(|x| **x > 0.0).count() as f64 / column.len() as f64;
    assert!((heavier - expected).abs() < 0.03, "chain: {heavier}");

    // Without noise: two roots, with the weights of the limit.
    let exact = Event { noise: &[], ..event };
    let modes = find_modes(&exact, draws.view(), &ModeOptions::default()).unwrap();
    assert_eq!(modes.len(), 2);
    assert!((modes[0].coordinates[0] - 2.0).abs() < 1e-8 && modes[0].misfit < 1e-15);
    assert!((modes[0].weight - expected).abs() < 1e-6, "{}", modes[0].weight);
}

/// One search finds one of both modes. The network knows both, and is what keeps the other one: it is needed where the laws
/// of the mixture do not cover the posterior, and there alone its density is asked for.
#[test]
fn what_the_searches_miss_the_network_keeps() {
    let prior = |x: &[f64]| log_normal(x[0] - 0.5, 1.0) + log_normal(x[1], 1.0);
    let event =
        Event { forward: &Square, log_prior: &prior, measured: &[4.0, 0.3], noise: &[0.05, 0.05] };
    let around = |sign: f64| normal_rows(2000, 2, 0.05, 7) + &array![2.0 * sign, 0.3];
    let draws = ndarray::concatenate![Axis(0), around(1.0), around(-1.0)];
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let network = |x: &Array2<f64>| {
        asked.fetch_add(x.nrows(), std::sync::atomic::Ordering::Relaxed);
        let at = |row: &[f64], centre: f64| {
            log_normal(row[0] - centre, 0.05) + log_normal(row[1] - 0.3, 0.05) - 2.0_f64.ln()
        };
        let rows = x.rows().into_iter().map(|row| row.to_vec());
        rows.map(|row| (at(&row, 2.0).exp() + at(&row, -2.0).exp()).ln()).collect()
    };
    let modes = ModeOptions { starts: 1, ..ModeOptions::default() };
    let options = RefineOptions { samples: 20_000, modes, ..RefineOptions::default() };
    let expected = 2.0_f64.exp() / (1.0 + 2.0_f64.exp());
    let heavier = |network: Option<&LogProb<'_>>| {
        let refined = refine(&event, draws.view(), network, &options, 1).unwrap();
        assert_eq!(refined.modes.len(), 1, "the other one is missed");
        let draws = refined.draws.column(0);
        (draws.iter().filter(|x| **x > 0.0).count() as f64 / 20_000.0, refined.log_evidence)
    };
    let (with, evidence) = heavier(Some(&network));
    let asked = asked.into_inner();
    assert!((with - expected).abs() < 0.02, "{with} {expected}");
    assert!(asked > 500 && asked < 5000, "{asked} of 20,000");
    let (without, less) = heavier(None);
    assert!(without == 0.0 || without == 1.0, "{without}");
    let part = if without == 1.0 { expected } else { 1.0 - expected };
    assert!((less - evidence - part.ln()).abs() < 0.05, "{less} {evidence} {part}");
}

/// A support that ends between the modes leaves one of them, and the evidence knows it.
#[test]
fn the_prior_cuts_what_it_excludes() {
    let prior = |x: &[f64]| {
        if x[0] > 0.0 && x[0] < 4.0 && x[1].abs() < 1.0 {
            -(8.0_f64.ln())
        } else {
            f64::NEG_INFINITY
        }
    };
    let event =
        Event { forward: &Square, log_prior: &prior, measured: &[4.0, 0.3], noise: &[0.05, 0.05] };
    let draws = normal_rows(500, 2, 2.0, 8);
    let refined = refine(&event, draws.view(), None, &RefineOptions::default(), 1).unwrap();
    assert_eq!(refined.modes.len(), 1);
    assert!(refined.draws.column(0).iter().all(|x| *x > 0.0));
    // int p(y | x) p(x) dx = 1/8 * 1 / |dy/dx| = 1/32.
    assert!((refined.log_evidence + 32.0_f64.ln()).abs() < 0.03, "{}", refined.log_evidence);
    // Data that the prior excludes: nothing can be weighted, and that is said.
    let nowhere = Event { measured: &[4.0, 3.0], ..event };
    let refined = refine(&nowhere, draws.view(), None, &RefineOptions::default(), 1).unwrap();
    assert!(refined.k_hat > 0.7 || refined.log_evidence < -500.0, "{refined:?}");
}

/// `y = x_1^2 + x_2^2`: a thin ring.
struct Ring;

impl Forward for Ring {
    fn inputs(&self) -> usize {
        2
    }

    fn outputs(&self) -> usize {
        1
    }

    fn values(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
        Array2::from_shape_fn((x.nrows(), 1), |(row, _)| x.row(row).dot(&x.row(row)))
    }

    fn linearised(&self, x: ArrayView2<'_, f64>) -> (Array2<f64>, Array3<f64>) {
        let jacobian = Array3::from_shape_fn((x.nrows(), 1, 2), |(row, _, k)| 2.0 * x[[row, k]]);
        (self.values(x), jacobian)
    }
}

/// Straight laws reach off a thin ring; where the weights are largest the mixture is extended, until they
/// can be trusted. With standard normal `x`, `y` is exponential with mean 2.
///
/// Some 100 samples, since the mean of the estimates of an evidence is what is known: one may hold and all be wrong. Laws alone
/// whose weights seem to hold at once leave a part of the ring out, and `k_hat` cannot see it; so a network knows all of it.
#[test]
fn a_ridge_that_turns_is_covered_by_extensions() {
    let prior = |x: &[f64]| log_normal(x[0], 1.0) + log_normal(x[1], 1.0);
    let event = Event { forward: &Ring, log_prior: &prior, measured: &[1.0], noise: &[0.01] };
    let few = normal_rows(100, 2, 0.6, 9);
    // A ring ten times as broad.
    let radius = 0.05;
    let around = normal_rows(400, 2, 1.0, 10);
    let ring = Array2::from_shape_fn((400, 2), |(row, axis)| {
        let angle = std::f64::consts::TAU * (row as f64 + 0.5) / 400.0;
        (1.0 + radius * around[[row, 0]]) * if axis == 0 { angle.cos() } else { angle.sin() }
    });
    let network = |x: &Array2<f64>| -> Vec<f64> {
        let of_row = |row: ndarray::ArrayView1<'_, f64>| {
            let r = row.dot(&row).sqrt();
            log_normal(r - 1.0, radius) - (std::f64::consts::TAU * r).ln()
        };
        x.rows().into_iter().map(of_row).collect()
    };
    let refined = |extensions, seed, network: Option<&LogProb<'_>>| {
        let modes = ModeOptions { starts: 16, ..ModeOptions::default() };
        let options =
            RefineOptions { samples: 2000, extensions, modes, ..RefineOptions::default() };
        let draws = if network.is_some() { &ring } else { &few };
        refine(&event, draws.view(), network, &options, seed).unwrap()
    };
    let part = |of: &Refined| (of.log_evidence - 0.5_f64.ln() + 0.5).exp();
    let (mut extended, mut trusted, mut parts, mut with_network) = (0.0, 0.0, 0.0, 0.0);
    for seed in 0..100 {
        let (before, after) = (refined(0, seed, None), refined(4, seed, None));
        if before.k_hat <= worst_k_hat(2000) {
            assert_eq!(before, after, "no need");
        } else {
            extended += 1.0;
            trusted += f64::from(after.k_hat < worst_k_hat(2000));
            parts += part(&after);
        }
        let all = refined(4, seed, Some(&network));
        with_network += part(&all) / 100.0;
    }
    assert!(extended > 50.0 && trusted > 0.6 * extended, "{trusted} of {extended}");
    assert!((parts / extended - 1.0).abs() < 0.05, "{}", parts / extended);
    assert!((with_network - 1.0).abs() < 0.03, "{with_network}");
}

/// 60 numbers with a normal prior, 40 noisy sums of them, draws that are five times too few for their covariance and
/// too wide by half: the weights of a thousand draws hold, and evidence and means are those of linear algebra.
#[test]
fn many_dimensions_are_covered_from_the_most_probable_point() {
    const D: usize = 60;
    let forward = Linear(normal_rows(40, D, 1.0, 21));
    let prior = |x: &[f64]| x.iter().map(|x| log_normal(*x, 1.0)).sum();
    let noise = [3.0; 40];
    let truth = normal_rows(1, D, 1.0, 22);
    let measured: Vec<f64> =
        (forward.values(truth.view()) + normal_rows(1, 40, 3.0, 23)).into_raw_vec_and_offset().0;
    let event = Event { forward: &forward, log_prior: &prior, measured: &measured, noise: &noise };
    // The posterior: precision P = A^T A / 9 + 1, mean P^-1 A^T y / 9; and log p(y) by the chain rule at the mean.
    let a = &forward.0;
    let precision = a.t().dot(a) / 9.0 + Array2::<f64>::eye(D);
    let right = a.t().dot(&Array1::from(measured.clone())) / 9.0;
    let (mean, log_determinant) = solved(&precision, &right);
    let residuals = a.dot(&mean) - Array1::from(measured.clone());
    let evidence = mean.iter().map(|m| log_normal(*m, 1.0)).sum::<f64>()
        + residuals.iter().map(|r| log_normal(*r, 3.0)).sum::<f64>()
        + 0.5 * (D as f64 * (2.0 * std::f64::consts::PI).ln() - log_determinant);
    let draws = normal_rows(200, D, 1.5, 24);
    let refined = |extensions| {
        let options = RefineOptions { extensions, ..RefineOptions::default() };
        refine(&event, draws.view(), None, &options, 3).unwrap()
    };
    let (before, after) = (refined(0), refined(4));
    assert!(before.k_hat > worst_k_hat(1000), "{}", before.k_hat);
    assert!(after.k_hat < worst_k_hat(1000), "{}", after.k_hat);
    assert!(after.effective_sample_size > 100.0, "{}", after.effective_sample_size);
    let error = (after.log_evidence - evidence).abs();
    assert!(error < 4.0 / after.effective_sample_size.sqrt(), "{} {evidence}", after.log_evidence);
    // Each mean has an error of 1 / sqrt(n) posterior standard deviations, which are below 1; so has their mean square.
    let found = after.draws.mean_axis(Axis(0)).unwrap();
    let square = (&found - &mean).mapv(|e| e * e).mean().unwrap();
    assert!(square < 2.0 / after.effective_sample_size, "{square}");
}

/// The solution of `P x = b` and `log det P` of a symmetric positive matrix, by elimination.
fn solved(matrix: &Array2<f64>, right: &Array1<f64>) -> (Array1<f64>, f64) {
    let (mut m, mut b) = (matrix.clone(), right.clone());
    let n = b.len();
    for k in 0..n {
        for i in k + 1..n {
            let factor = m[[i, k]] / m[[k, k]];
            for j in k..n {
                m[[i, j]] -= factor * m[[k, j]];
            }
            b[i] -= factor * b[k];
        }
    }
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|j| m[[i, j]] * b[j]).sum();
        b[i] = (b[i] - known) / m[[i, i]];
    }
    (b, m.diag().iter().map(|pivot| pivot.ln()).sum())
}

#[test]
fn what_is_unseen_is_the_share_of_single_finds() {
    assert_eq!(unseen([].into_iter()), 1.0);
    assert_eq!(unseen([5, 1, 1, 3].into_iter()), 0.2);
    assert_eq!(unseen([2, 8].into_iter()), 0.0);
}

#[test]
fn inputs_that_do_not_fit_are_named() {
    let forward = linear();
    let event =
        Event { forward: &forward, log_prior: &gaussian_prior, measured: &MEASURED, noise: &NOISE };
    let draws = normal_rows(50, 2, 1.0, 1);
    let error = |event: &Event<'_>, draws: &Array2<f64>, options: &RefineOptions| {
        refine(event, draws.view(), None, options, 0).unwrap_err()
    };
    let options = RefineOptions::default();
    let partly = Event { noise: &[0.1, 0.0, 0.1], ..event };
    assert_eq!(error(&partly, &draws, &options), PosteriorError::PartlyNoiseFree { index: 1 });
    let negative = Event { noise: &[0.1, -1.0, 0.1], ..event };
    assert!(error(&negative, &draws, &options).to_string().contains("noise of component 1: `-1`"));
    let short = Event { measured: &[0.0], ..event };
    assert!(matches!(error(&short, &draws, &options), PosteriorError::Size { found: 1, .. }));
    let wide = normal_rows(50, 3, 1.0, 1);
    assert!(matches!(error(&event, &wide, &options), PosteriorError::Size { found: 3, .. }));
    let bad = RefineOptions { network_fraction: 2.0, ..options };
    assert!(error(&event, &draws, &bad).to_string().contains("network fraction"));
}
