//! Supports, the width of the bumps, and how far the sample is from being all there is.

use ndarray::{Array1, Array2, Array3, ArrayView2, ArrayView3, Axis, s};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::bumps::{of_events, of_rows};
use crate::error::PopulationError;
use crate::likelihood::{log_likelihood, maximise};

/// Fewest events, and draws of each.
const LEAST_EVENTS: usize = 20;
const LEAST_DRAWS: usize = 20;
/// Part of the supports of the second round that posteriors give, as in the first; the others come from its population.
const AGAIN: f64 = 0.2;
/// The bumps are this part of the width that predicts best. That is as wide as the narrowest feature that the events show, and
/// bumps of its own width would broaden it.
const NARROWER: f64 = 0.5;
/// Draws of each event by which widths are compared, at most.
const COMPARED: usize = 256;
/// Nats that a likelihood may lack: of the population, of one that is only compared, and of samples drawn anew.
const LACK: f64 = 0.02;
const LACK_COMPARED: f64 = 0.5;
/// Weight of the training law itself when held-out events are predicted: an event far from all bumps is no proof
/// against a width.
const STRAY: f64 = 1e-3;

/// What a population is inferred from.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// Quantities of equally weighted posterior draws (events, draws, m).
    pub draws: ArrayView3<'a, f64>,
    /// Log density of the training law at these quantities, per unit volume of them (events, draws).
    pub log_law: ArrayView2<'a, f64>,
}

/// How a population is inferred.
#[derive(Debug, Clone, PartialEq)]
pub struct PopulationOptions {
    /// Supports, J.
    pub supports: usize,
    /// Widths that are tried, in units of the standard deviation of all draws of all events.
    pub widths: Vec<f64>,
    /// Parts of the cross-validation.
    pub folds: usize,
    /// Samples of the events drawn anew.
    pub bootstraps: usize,
    /// Seed.
    pub seed: u64,
}

impl Default for PopulationOptions {
    fn default() -> Self {
        let widths = vec![1.4, 1.0, 0.7, 0.5, 0.35, 0.25, 0.18, 0.125];
        Self { supports: 300, widths, folds: 5, bootstraps: 100, seed: 0 }
    }
}

/// A width, and how well it predicts events that it was not fitted to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WidthTried {
    /// In units of the standard deviation of all draws.
    pub width: f64,
    /// Mean over held-out events of `log p(y | f) - log p(y | p_0)`, nats.
    pub gain: f64,
    /// Standard error of its difference from the best width's.
    pub standard_error: f64,
}

/// The distribution of the quantities in a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Population {
    /// Supports (J, m).
    pub(crate) supports: Array2<f64>,
    /// Units of the width, one for each quantity.
    pub(crate) scales: Vec<f64>,
    /// Width of the bumps in these units.
    pub width: f64,
    /// Weights of the whole sample.
    pub(crate) weights: Array1<f64>,
    /// Weights of samples of the events drawn anew (B, J).
    pub(crate) bootstraps: Array2<f64>,
    /// All widths that were tried; the bumps have half of the best.
    pub tried: Vec<WidthTried>,
    /// Mean over the events of `log p(y | f) - log p(y | p_0)`, nats.
    pub gain: f64,
}

impl Population {
    /// Standard deviations of the bumps, in the units of the quantities (m): nothing narrower is seen.
    pub fn deviations(&self) -> Vec<f64> {
        self.scales.iter().map(|scale| scale * self.width).collect()
    }
}

/// Infers the distribution of the quantities in a sample. The same result for the same seed, whatever the threads.
///
/// # Errors
/// [`PopulationError`] for arrays that do not fit, too few events or draws, numbers that are not finite, quantities that do
/// not differ, and events where the training law has nothing.
pub fn fit(
    sample: &Sample<'_>,
    options: &PopulationOptions,
) -> Result<Population, PopulationError> {
    let scales = check(sample, options)?;
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let folds = folds(sample.draws.len_of(Axis(0)), options.folds, &mut rng);
    let first = supports_of_draws(sample, options.supports, &mut rng);
    let step = sample.draws.len_of(Axis(1)).div_ceil(COMPARED).max(1);
    let thinned = Sample {
        draws: sample.draws.slice(s![.., ..;step, ..]),
        log_law: sample.log_law.slice(s![.., ..;step]),
    };
    let rough = fit_with(&thinned, first, &scales, options, &folds);
    let again = (AGAIN * options.supports as f64) as usize;
    let own = supports_of_population(sample, &rough, options.supports - again, &mut rng);
    let supports = ndarray::concatenate![Axis(0), own, supports_of_draws(sample, again, &mut rng)];
    let one = PopulationOptions { widths: vec![NARROWER * rough.width], ..options.clone() };
    let mut population = fit_with(sample, supports, &scales, &one, &folds);
    population.tried = rough.tried;
    bootstrap(sample, &mut population, options);
    Ok(population)
}

/// The population with these supports, without bootstrap.
fn fit_with(
    sample: &Sample<'_>,
    supports: Array2<f64>,
    scales: &[f64],
    options: &PopulationOptions,
    folds: &[usize],
) -> Population {
    let widths = &options.widths;
    let c = of_events(sample.draws, sample.log_law, supports.view(), scales, widths);
    let of_width = |w: usize| held_out(c.index_axis(Axis(0), w), folds, options.folds);
    let gains: Vec<Vec<f64>> = (0..widths.len()).into_par_iter().map(of_width).collect();
    let (chosen, tried) = choose(widths, &gains);
    let c = c.index_axis(Axis(0), chosen);
    let counts = vec![1.0; c.nrows()];
    let weights = maximise(c, &counts, &uniform(supports.nrows()), LACK);
    let gain = log_likelihood(c, &counts, &weights) / c.nrows() as f64;
    Population {
        width: widths[chosen],
        scales: scales.to_vec(),
        bootstraps: Array2::zeros((0, supports.nrows())),
        supports,
        weights,
        tried,
        gain,
    }
}

/// Of each event, what a population fitted to the other parts gains for it.
fn held_out(c: ArrayView2<'_, f64>, folds: &[usize], count: usize) -> Vec<f64> {
    let mut gains = vec![0.0; c.nrows()];
    for fold in 0..count {
        let counts: Vec<f64> = folds.iter().map(|f| if *f == fold { 0.0 } else { 1.0 }).collect();
        let a = maximise(c, &counts, &uniform(c.ncols()), LACK_COMPARED);
        let likelihoods = c.dot(&a);
        let own = gains.iter_mut().zip(&likelihoods).zip(folds).filter(|(_, f)| **f == fold);
        own.for_each(|((gain, l), _)| *gain = ((1.0 - STRAY) * l + STRAY).ln());
    }
    gains
}

/// The width that predicts best, and what all of them gain.
fn choose(widths: &[f64], gains: &[Vec<f64>]) -> (usize, Vec<WidthTried>) {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let order = |a: &usize, b: &usize| mean(&gains[*a]).total_cmp(&mean(&gains[*b]));
    let best = (0..widths.len()).max_by(order).unwrap_or(0);
    let tried = widths.iter().zip(gains).map(|(width, own)| {
        let differences: Vec<f64> = gains[best].iter().zip(own).map(|(b, g)| b - g).collect();
        let lag = mean(&differences);
        let square = mean(&differences.iter().map(|d| (d - lag).powi(2)).collect::<Vec<_>>());
        let standard_error = (square / differences.len() as f64).sqrt();
        WidthTried { width: *width, gain: mean(own), standard_error }
    });
    (best, tried.collect())
}

/// Weights of samples of the events drawn anew.
fn bootstrap(sample: &Sample<'_>, population: &mut Population, options: &PopulationOptions) {
    let Population { supports, scales, width, weights, .. } = &*population;
    let c = of_events(sample.draws, sample.log_law, supports.view(), scales, &[*width]);
    let c = c.index_axis(Axis(0), 0);
    let start = 0.9 * weights + &(0.1 * uniform(weights.len()));
    let n = c.nrows();
    let drawn: Vec<Array1<f64>> = (0..options.bootstraps)
        .into_par_iter()
        .map(|number| {
            let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
            rng.set_stream(1 + number as u64);
            let mut counts = vec![0.0; n];
            (0..n).for_each(|_| counts[rng.random_range(0..n)] += 1.0);
            maximise(c, &counts, &start, LACK_COMPARED)
        })
        .collect();
    let mut bootstraps = Array2::zeros((drawn.len(), weights.len()));
    for (mut row, drawn) in bootstraps.rows_mut().into_iter().zip(&drawn) {
        row.assign(drawn);
    }
    population.bootstraps = bootstraps;
}

/// A part for each event, all of nearly the same size.
fn folds(events: usize, count: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    use rand::seq::SliceRandom;
    let mut folds: Vec<usize> = (0..events).map(|event| event % count).collect();
    folds.shuffle(rng);
    folds
}

/// Draws of events, each as likely.
fn supports_of_draws(sample: &Sample<'_>, count: usize, rng: &mut impl Rng) -> Array2<f64> {
    let (n, k, m) = sample.draws.dim();
    let mut supports = Array2::zeros((count, m));
    for mut support in supports.rows_mut() {
        let (event, draw) = (rng.random_range(0..n), rng.random_range(0..k));
        support.assign(&sample.draws.slice(s![event, draw, ..]));
    }
    supports
}

/// Draws of events as likely as the population makes them: of an event drawn anew, one by the ratio of the population to the training law.
fn supports_of_population(
    sample: &Sample<'_>,
    population: &Population,
    count: usize,
    rng: &mut impl Rng,
) -> Array2<f64> {
    let (n, _, m) = sample.draws.dim();
    let mut supports = Array2::zeros((count, m));
    for mut support in supports.rows_mut() {
        let event = rng.random_range(0..n);
        let draws = sample.draws.index_axis(Axis(0), event);
        let supports = population.supports.view();
        let mut weights =
            of_rows(draws, supports, &population.scales, population.width).dot(&population.weights);
        weights.zip_mut_with(&sample.log_law.row(event), |weight, log| *weight *= (-log).exp());
        let mut left = rng.random::<f64>() * weights.sum();
        let reached = weights.iter().position(|weight| {
            left -= weight;
            left < 0.0
        });
        support.assign(&draws.row(reached.unwrap_or(0)));
    }
    supports
}

fn uniform(count: usize) -> Array1<f64> {
    Array1::from_elem(count, 1.0 / count as f64)
}

/// The standard deviation of each quantity over all draws of all events.
fn check(sample: &Sample<'_>, options: &PopulationOptions) -> Result<Vec<f64>, PopulationError> {
    let (n, k, m) = sample.draws.dim();
    let (events, draws) = sample.log_law.dim();
    for (what, found, expected) in
        [("events of log_law", events, n), ("draws of log_law", draws, k)]
    {
        if found != expected {
            return Err(PopulationError::Size { what, found, expected });
        }
    }
    for (what, found, least) in [
        ("number of events", n, LEAST_EVENTS.max(options.folds)),
        ("number of draws of an event", k, LEAST_DRAWS),
        ("number of supports", options.supports, 10),
        ("number of folds", options.folds, 2),
        ("number of widths", options.widths.len(), 1),
        ("number of quantities", m, 1),
    ] {
        if found < least {
            return Err(PopulationError::TooFew { what, found, least });
        }
    }
    let events = sample.draws.axis_iter(Axis(0)).zip(sample.log_law.rows()).enumerate();
    for (event, (draws, log_law)) in events {
        let of_draws = draws.indexed_iter().find(|(_, q)| !q.is_finite());
        if let Some(((_, quantity), _)) = of_draws {
            return Err(PopulationError::NotFinite { event, quantity });
        }
        if log_law.iter().any(|log| !log.is_finite()) {
            return Err(PopulationError::OutsideLaw { event });
        }
    }
    let scales: Vec<f64> = pooled(sample.draws).columns().into_iter().map(|c| c.std(0.0)).collect();
    match scales.iter().position(|scale| *scale <= 0.0) {
        Some(quantity) => Err(PopulationError::Constant { quantity }),
        None => Ok(scales),
    }
}

/// All draws of all events, one under another.
fn pooled(draws: ArrayView3<'_, f64>) -> Array2<f64> {
    let (n, k, m) = draws.dim();
    let owned: Array3<f64> = draws.as_standard_layout().into_owned();
    match owned.into_shape_with_order((n * k, m)) {
        Ok(rows) => rows,
        Err(_) => unreachable!("as many numbers as before"),
    }
}
