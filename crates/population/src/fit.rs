//! How many laws, where they begin, and how far the sample is from being all there is.

use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::ascent::{Problem, Top};
use crate::error::PopulationError;
use crate::laws::{NormalLaw, laws_of, longest, parameters};
use crate::likelihood::{log_likelihoods, parts};
use crate::points::{Points, Sample, Units};

/// Steps of expectation and maximisation before an ascent.
const FIRST_STEPS: usize = 10;
/// Steps of an ascent from a start, from the best one, and for a sample of the events drawn anew.
const TRIAL: usize = 12;
const MOST_STEPS: usize = 200;
const OF_BOOTSTRAP: usize = 40;
/// Events by which starts are compared, and by which an ascent is made ready for all, at most.
const COMPARED: usize = 1500;
const SOME: usize = 12_000;
/// Parts of an event's likelihood below which a draw is left out when events are drawn anew.
const LITTLE: f64 = 1e-8;
/// Laws are this part of the width of an event's posterior wide at least.
const NARROWEST: f64 = 0.05;

/// How a population is inferred.
#[derive(Debug, Clone, PartialEq)]
pub struct PopulationOptions {
    /// Normal laws at most.
    pub most_laws: usize,
    /// Samples of the events drawn anew.
    pub bootstraps: usize,
    /// Seed.
    pub seed: u64,
}

impl Default for PopulationOptions {
    fn default() -> Self {
        Self { most_laws: 6, bootstraps: 200, seed: 0 }
    }
}

/// A number of laws, and what it gains.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NumberTried {
    /// Number of laws.
    pub laws: usize,
    /// Log-likelihood against the training law, nats.
    pub log_likelihood: f64,
    /// `-2 l + p log n`, with `p` numbers that were fitted.
    pub bic: f64,
}

/// The distribution of the quantities in a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Population {
    /// Its normal laws, the heaviest first.
    pub laws: Vec<NormalLaw>,
    /// Those of samples of the events drawn anew, each in the place of the law that it began as.
    pub bootstraps: Vec<Vec<NormalLaw>>,
    /// Limits of the quantities, at which laws are folded back.
    pub limits: Vec<Option<[f64; 2]>>,
    /// Numbers of laws that were tried; that of the least BIC was taken.
    pub tried: Vec<NumberTried>,
    /// Median over the events of the standard deviation of each quantity (m).
    pub event_sd: Vec<f64>,
    /// Mean over the events of the number of draws that hold their weight in the population.
    pub effective_draws: f64,
    /// Of each event `log L`, with its correction: how much better than the training law the population explains it, nats.
    pub log_likelihoods: Vec<f64>,
}

/// Infers the distribution of the quantities in a sample. The same result for the same seed, whatever the threads.
///
/// No law is narrower than a twentieth of the posterior of a typical event.
///
/// # Errors
/// [`PopulationError`] for arrays that do not fit, too few events or draws, numbers that are not finite, quantities that do
/// not differ, and events where the training law has nothing.
pub fn fit(
    sample: &Sample<'_>,
    options: &PopulationOptions,
) -> Result<Population, PopulationError> {
    let units = sample.check()?;
    let points = sample.points(&units);
    // Unequal counts are worth as much as fewer events.
    let sum: f64 = sample.counts.iter().sum();
    let events = sum * sum / sample.counts.iter().map(|c| c * c).sum::<f64>();
    let counts: Vec<f64> = sample.counts.iter().map(|count| count * events / sum).collect();
    let floor: Vec<f64> = units
        .of_events
        .iter()
        .zip(&units.scales)
        .map(|(sd, scale)| NARROWEST * sd / scale)
        .collect();
    let problem = Problem { points: &points, counts: &counts, floor: &floor };
    let (theta, tried) = best(&problem, events, options.most_laws.max(1));
    let laws = laws_of(&theta, &floor);
    let log_likelihoods = log_likelihoods(&points, &laws);
    // Draws that hold nothing are not needed any more, nor is what they take.
    let n = points.events();
    let kept = points.kept(0..n, |event| {
        parts(&points, event, &laws).iter().map(|part| *part > LITTLE).collect()
    });
    drop(points);
    let problem = Problem { points: &kept, counts: &counts, floor: &floor };
    let (bootstraps, effective) = bootstrap(&problem, &theta, options);
    let mut order: Vec<usize> = (0..laws.len()).collect();
    order.sort_by(|a, b| laws[*b].weight.total_cmp(&laws[*a].weight));
    let in_units = |theta: &[f64]| in_units(theta, &floor, &units, &order);
    Ok(Population {
        laws: in_units(&theta),
        bootstraps: bootstraps.iter().map(|theta| in_units(theta)).collect(),
        limits: sample.limits.to_vec(),
        tried,
        event_sd: units.of_events.clone(),
        effective_draws: effective / n as f64,
        log_likelihoods,
    })
}

/// Some of the events of a problem, evenly spaced.
struct Part {
    points: Points,
    counts: Vec<f64>,
}

impl Part {
    fn of(problem: &Problem<'_>, most: usize) -> Self {
        let n = problem.points.events();
        let events: Vec<usize> = (0..n.min(most)).map(|place| place * n / n.min(most)).collect();
        let counts = events.iter().map(|event| problem.counts[*event]).collect();
        Self { points: problem.points.of_events(&events), counts }
    }

    fn problem<'a>(&'a self, floor: &'a [f64]) -> Problem<'a> {
        Problem { points: &self.points, counts: &self.counts, floor }
    }
}

/// The parameters of as many laws as the data ask for, and what was tried.
fn best(problem: &Problem<'_>, events: f64, most: usize) -> (Vec<f64>, Vec<NumberTried>) {
    let compared = Part::of(problem, COMPARED);
    let small = compared.problem(problem.floor);
    let some = (problem.points.events() > SOME).then(|| Part::of(problem, SOME));
    let mut best: Option<(Vec<f64>, f64)> = None;
    let mut tried = Vec::new();
    for laws in 1..=most {
        let starts = match &best {
            None => vec![first(problem.points.m, problem.floor)],
            Some((theta, _)) => split(theta, problem.floor),
        };
        let climbed = starts.into_iter().map(|start| {
            let start = small.steps(&start, FIRST_STEPS);
            small.climb(&start, &small.inverse_information(&start), TRIAL)
        });
        let Some(start) = climbed.max_by(|a, b| a.value.total_cmp(&b.value)) else { break };
        let top = to_the_top(problem, some.as_ref(), &start.theta);
        let free = (top.theta.len() - 1) as f64;
        let bic = free * events.ln() - 2.0 * top.value;
        tried.push(NumberTried { laws, log_likelihood: top.value, bic });
        if best.as_ref().is_some_and(|(_, least)| bic >= *least) {
            break;
        }
        best = Some((top.theta, bic));
    }
    (best.map(|(theta, _)| theta).unwrap_or_default(), tried)
}

/// The top for all events, by way of that for some of them where there are many: few steps are left then.
fn to_the_top(problem: &Problem<'_>, some: Option<&Part>, start: &[f64]) -> Top {
    let Some(some) = some else {
        return problem.climb(start, &problem.inverse_information(start), MOST_STEPS);
    };
    let part = some.problem(problem.floor);
    let top = part.climb(start, &part.inverse_information(start), MOST_STEPS);
    let share = some.counts.iter().sum::<f64>() / problem.counts.iter().sum::<f64>();
    problem.climb(&top.theta, &(share * top.inverse), MOST_STEPS)
}

/// One law as wide as all draws.
fn first(m: usize, floor: &[f64]) -> Vec<f64> {
    parameters(std::iter::once((1.0, &vec![0.0; m][..], &Array2::eye(m))), floor)
}

/// Starts with one law more: each law in two along its longest axis, and each beside a narrow and a wide copy of itself.
fn split(theta: &[f64], floor: &[f64]) -> Vec<Vec<f64>> {
    let laws = laws_of(theta, floor);
    let mut starts = Vec::new();
    for number in 0..laws.len() {
        let axis = longest(&laws[number].covariance);
        let outer =
            Array2::from_shape_fn(laws[number].covariance.dim(), |(i, j)| axis[i] * axis[j]);
        for (shift, widths) in [(0.8, [1.0; 2]), (0.0, [0.4, 2.5])] {
            let mut parts: Vec<(f64, Vec<f64>, Array2<f64>)> = Vec::new();
            for (place, law) in laws.iter().enumerate() {
                if place != number {
                    parts.push((law.weight, law.mean.clone(), law.covariance.clone()));
                    continue;
                }
                for (sign, width) in [-1.0, 1.0].into_iter().zip(widths) {
                    let mean = law
                        .mean
                        .iter()
                        .zip(&axis)
                        .map(|(mean, a)| mean + sign * shift * a)
                        .collect();
                    let covariance = (&law.covariance - &(&outer * (shift * shift))) * width;
                    parts.push((0.5 * law.weight, mean, covariance));
                }
            }
            starts.push(parameters(parts.iter().map(|(a, mean, s)| (*a, &mean[..], s)), floor));
        }
    }
    starts
}

/// Parameters of samples of the events drawn anew, and the sum over the events of the draws that hold their weight.
fn bootstrap(
    problem: &Problem<'_>,
    theta: &[f64],
    options: &PopulationOptions,
) -> (Vec<Vec<f64>>, f64) {
    let n = problem.points.events();
    if options.bootstraps == 0 {
        return (Vec::new(), problem.worth(theta, false).effective);
    }
    let guess = problem.inverse_curvature(theta);
    let effective = problem.worth(theta, false).effective;
    let of_sample = |number: usize| {
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        rng.set_stream(1 + number as u64);
        let mut counts = vec![0.0; n];
        (0..n).for_each(|_| {
            let event = rng.random_range(0..n);
            counts[event] += problem.counts[event];
        });
        let of_sample = Problem { counts: &counts, ..*problem };
        of_sample.climb(theta, &guess, OF_BOOTSTRAP).theta
    };
    ((0..options.bootstraps).into_par_iter().map(of_sample).collect(), effective)
}

/// Laws in the units of the quantities, in some order.
fn in_units(theta: &[f64], floor: &[f64], units: &Units, order: &[usize]) -> Vec<NormalLaw> {
    let Units { centres, scales, .. } = units;
    let laws = laws_of(theta, floor);
    let of_law = |place: &usize| {
        let law = &laws[*place];
        NormalLaw {
            weight: law.weight,
            mean: law
                .mean
                .iter()
                .zip(centres.iter().zip(scales))
                .map(|(q, (c, s))| c + s * q)
                .collect(),
            covariance: Array2::from_shape_fn(law.covariance.dim(), |(i, j)| {
                scales[i] * scales[j] * law.covariance[[i, j]]
            }),
        }
    };
    order.iter().map(of_law).collect()
}
