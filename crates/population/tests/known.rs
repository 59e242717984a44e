//! Populations whose posteriors are known in closed form.

use cei_population::{Marginal, Population, PopulationOptions, Sample, fit, stacked};
use ndarray::{Array2, Array3, Axis, s};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// Standard deviation of the training law, a normal one about 0.
const LAW: f64 = 25.0;

struct Case {
    draws: Array3<f64>,
    log_law: Array2<f64>,
    law: Array2<f64>,
}

fn log_law(q: f64) -> f64 {
    -0.5 * (q / LAW).powi(2) - (LAW * (2.0 * std::f64::consts::PI).sqrt()).ln()
}

/// Events measured with normal `noise`: their posteriors under the training law are normal.
fn case(truth: &[f64], noise: f64, draws: usize, seed: u64) -> Case {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = || rng.sample::<f64, _>(StandardNormal);
    let part = LAW * LAW / (LAW * LAW + noise * noise);
    let sd = noise * part.sqrt();
    let mut all = Array3::zeros((truth.len(), draws, 1));
    for (mut event, truth) in all.axis_iter_mut(Axis(0)).zip(truth) {
        let mean = part * (truth + noise * normal());
        event.mapv_inplace(|_| mean + sd * normal());
    }
    let log_law = all.index_axis(Axis(2), 0).mapv(log_law);
    Case { draws: all, log_law, law: Array2::from_shape_fn((100_000, 1), |_| LAW * normal()) }
}

fn normal(count: usize, mean: f64, sd: f64, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| mean + sd * rng.sample::<f64, _>(StandardNormal)).collect()
}

fn edges() -> Vec<f64> {
    (0..=200).map(|edge| -50.0 + 0.5 * f64::from(edge)).collect()
}

fn of(case: &Case, bootstraps: usize) -> (Population, Marginal) {
    let sample = Sample { draws: case.draws.view(), log_law: case.log_law.view() };
    let options = PopulationOptions { supports: 100, bootstraps, ..PopulationOptions::default() };
    let population = fit(&sample, &options).unwrap();
    let logs: Vec<f64> = case.law.iter().map(|q| log_law(*q)).collect();
    let law = case.law.view();
    let marginals = population.marginals(law, &logs, law, &[edges()], 0.9);
    let marginal = marginals.into_iter().next().unwrap();
    (population, marginal)
}

/// Area between two distribution functions, which is the first Wasserstein distance.
fn distance(a: &[f64], b: impl Fn(f64) -> f64) -> f64 {
    let edges = edges();
    let (mut sum, mut area) = (0.0, 0.0);
    for (bin, density) in a.iter().enumerate() {
        sum += 0.5 * density;
        area += 0.5 * (sum - b(edges[bin + 1])).abs();
    }
    area
}

fn normal_cdf(z: f64) -> f64 {
    // Abramowitz and Stegun 7.1.26.
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let poly = [0.254_829_592, -0.284_496_736, 1.421_413_741, -1.453_152_027, 1.061_405_429];
    let sum = poly.iter().rev().fold(0.0, |sum, c| (sum + c) * t);
    let upper = 0.5 * sum * (-x * x).exp();
    if z > 0.0 { 1.0 - upper } else { upper }
}

/// A sample three times as narrow as what single events tell: its width is found, where stacking gives that of the events.
#[test]
fn a_sample_narrower_than_its_events() {
    let case = case(&normal(5000, 3.0, 4.0, 1), 12.0, 400, 2);
    let (population, marginal) = of(&case, 40);
    assert!(
        (marginal.sd.value / 4.0 - 1.0).abs() < 0.15,
        "{:?} {:?}",
        marginal.sd,
        population.tried
    );
    assert!((marginal.mean.value - 3.0).abs() < 0.8, "{:?}", marginal.mean);
    for (moments, truth) in [(marginal.mean, 3.0), (marginal.sd, 4.0)] {
        assert!(moments.lower < truth + 0.3 && truth - 0.3 < moments.upper, "{moments:?}");
        assert!(moments.upper - moments.lower < 2.0, "{moments:?}");
    }
    let stack = stacked(case.draws.iter().copied(), &edges());
    let truth = |q: f64| normal_cdf((q - 3.0) / 4.0);
    let (own, of_stack) = (distance(&marginal.density, truth), distance(&stack, truth));
    assert!(own < 0.35 * of_stack, "{own} {of_stack}");
    let mass: f64 = marginal.density.iter().map(|d| 0.5 * d).sum();
    assert!((mass - 1.0).abs() < 1e-6, "{mass}");
}

/// Two components that single events do not tell apart.
#[test]
fn two_components() {
    let truth: Vec<f64> =
        normal(1500, -10.0, 3.0, 3).into_iter().chain(normal(1500, 10.0, 3.0, 4)).collect();
    let case = case(&truth, 8.0, 200, 5);
    let (_, marginal) = of(&case, 20);
    let at = |q: f64| marginal.density[((q + 50.0) / 0.5) as usize];
    assert!(
        at(0.0) < 0.3 * at(-10.0) && at(0.0) < 0.3 * at(10.0),
        "{} {} {}",
        at(-10.0),
        at(0.0),
        at(10.0)
    );
    let stack = stacked(case.draws.iter().copied(), &edges());
    assert!(stack[100] > 0.6 * stack[80], "the events alone would not show it");
    let share: f64 = marginal.density[..100].iter().map(|d| 0.5 * d).sum();
    assert!((share - 0.5).abs() < 0.03, "{share}");
}

/// A sample that is the training law itself stays what it is.
#[test]
fn the_training_law_is_found_again() {
    let case = case(&normal(600, 0.0, LAW, 6), 10.0, 100, 7);
    let (population, marginal) = of(&case, 20);
    assert!((marginal.sd.value / LAW - 1.0).abs() < 0.06, "{:?}", marginal.sd);
    assert!(population.gain.abs() < 0.02, "{}", population.gain);
}

#[test]
fn the_same_seed_gives_the_same_population_on_any_threads() {
    let case = case(&normal(60, 3.0, 4.0, 8), 12.0, 40, 9);
    let with_threads = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| of(&case, 10))
    };
    assert_eq!(with_threads(1), with_threads(3));
}

#[test]
fn what_does_not_fit_is_named() {
    let case = case(&normal(30, 3.0, 4.0, 10), 12.0, 40, 11);
    let error = |draws: &Array3<f64>, log_law: &Array2<f64>| {
        let sample = Sample { draws: draws.view(), log_law: log_law.view() };
        fit(&sample, &PopulationOptions::default()).unwrap_err().to_string()
    };
    let first = |count| case.log_law.slice(s![..count, ..]).to_owned();
    let few = case.draws.slice(s![..3, .., ..]).to_owned();
    assert_eq!(error(&few, &first(3)), "number of events: 3, at least 20 are needed");
    assert_eq!(error(&case.draws, &first(29)), "events of log_law: 29, expected 30");
    let mut broken = case.draws.clone();
    broken[[7, 3, 0]] = f64::NAN;
    let expected = "event 7: quantity 0 of a draw is not a finite number";
    assert_eq!(error(&broken, &case.log_law), expected);
    let mut outside = case.log_law.clone();
    outside[[4, 2]] = f64::NEG_INFINITY;
    let expected = "event 4: the training law has no density at a draw";
    assert_eq!(error(&case.draws, &outside), expected);
    assert!(error(&Array3::ones((30, 40, 1)), &case.log_law).contains("quantity 0 is the same"));
}
