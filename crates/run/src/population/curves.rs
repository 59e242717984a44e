//! The distribution of each quantity in each group.

use std::collections::BTreeMap;

use cei_population::{Population, Sample, fit, stacked};
use cei_posterior::FalseCoincidences;
use ndarray::{Array3, ArrayView2, s};

use super::groups::Groups;
use super::options::PopulationOptions;
use super::parts::GroupDraws;
use super::quantities::Quantities;
use super::report::{Estimate, FalseShare, GroupPopulation, HiddenPeak, Law, QuantityPopulation};
use crate::RunError;
use crate::error::SampleError;

/// Events that a distribution is inferred from, at least.
const LEAST_EVENTS: usize = 20;
/// Places of a curve, and how far it goes beyond the laws, in standard deviations.
const PLACES: usize = 201;
const REACH: f64 = 4.0;

/// Rounds of inferring the population and which events are false coincidences.
const ROUNDS: usize = 4;
/// An event counts this much at least.
const LEAST_COUNT: f64 = 1e-6;

/// What is inferred of a group.
struct Fitted {
    group: usize,
    draws: Array3<f64>,
    population: Population,
    events: usize,
    fraction: Option<FalseCoincidences>,
}

/// That some group has enough events, before any of them is refined.
pub(super) fn check_enough(groups: &Groups) -> Result<(), RunError> {
    let most = (0..groups.labels.len()).map(|group| groups.count(group)).max().unwrap_or(0);
    if most < LEAST_EVENTS { Err(few("in the largest group", most).into()) } else { Ok(()) }
}

fn few(what: &'static str, found: usize) -> SampleError {
    SampleError::FewEvents { what, found, least: LEAST_EVENTS }
}

/// Infers the populations of all groups that have enough events.
pub(super) fn infer(
    sample: Vec<GroupDraws>,
    log_evidence: &BTreeMap<usize, f64>,
    groups: &Groups,
    quantities: &Quantities,
    options: &PopulationOptions,
    against: Option<&[f64]>,
) -> Result<Vec<GroupPopulation>, RunError> {
    let m = quantities.names.len();
    let mut fitted: Vec<Fitted> = Vec::new();
    let most = sample.iter().map(|group| group.events.len()).max().unwrap_or(0);
    for (group, GroupDraws { events: numbers, mut draws, log_law }) in
        sample.into_iter().enumerate()
    {
        if numbers.len() < LEAST_EVENTS {
            continue;
        }
        unwrap(&mut draws, quantities);
        let given: Vec<f64> = numbers.iter().map(|event| groups.counts[*event]).collect();
        let of_group = Sample {
            draws: draws.view(),
            log_law: log_law.view(),
            counts: &given,
            limits: &quantities.limits,
        };
        let found = match against {
            None => None,
            Some(against) => {
                let others = groups.count(group) - numbers.len();
                let ratios = numbers.iter().map(|event| {
                    against[*event] + log_evidence.get(event).copied().unwrap_or(f64::NAN)
                });
                Some(without_false(&of_group, &ratios.collect::<Vec<_>>(), others)?)
            }
        };
        let counts: Vec<f64> = match &found {
            None => given.clone(),
            Some((_, p_true)) => {
                let both = given.iter().zip(p_true);
                both.map(|(count, p)| count * p.max(LEAST_COUNT)).collect()
            }
        };
        let of_group = Sample { counts: &counts, ..of_group };
        let asked = cei_population::PopulationOptions {
            bootstraps: options.bootstraps,
            seed: options.seed,
            ..Default::default()
        };
        let population = fit(&of_group, &asked).map_err(SampleError::from)?;
        let fraction = found.map(|(found, _)| found);
        fitted.push(Fitted { group, draws, population, events: counts.len(), fraction });
    }
    if fitted.is_empty() {
        return Err(few("that the model describes", most).into());
    }
    let edges: Vec<Vec<f64>> = (0..m).map(|quantity| edges(&fitted, quantity)).collect();
    let of_group = |Fitted { group, draws, population, events, fraction }: &Fitted| {
        let quantity = |place: usize| {
            let own = draws.slice(s![.., .., place]);
            quantity(population, place, &quantities.names[place], own, &edges[place], options.level)
        };
        let hidden = population.hidden_peaks().into_iter();
        GroupPopulation {
            value: groups.labels[*group].clone(),
            events: *events,
            false_coincidences: fraction
                .map(|found| FalseShare { fraction: found.fraction, sd: found.sd }),
            quantities: (0..m).map(quantity).collect(),
            laws: population
                .laws
                .iter()
                .map(|law| Law {
                    weight: law.weight,
                    mean: law.mean.to_vec(),
                    sd: law.covariance.diag().iter().map(|v| v.sqrt()).collect(),
                })
                .collect(),
            hidden: hidden
                .map(|cei_population::HiddenPeak { law, quantity, width }| HiddenPeak {
                    quantity: quantities.names[quantity].clone(),
                    at: population.laws[law].mean[quantity],
                    weight: population.laws[law].weight,
                    width,
                })
                .collect(),
            effective_draws: population.effective_draws,
        }
    };
    Ok(fitted.iter().map(of_group).collect())
}

/// False coincidences as a part of the mixture, by expectation and maximisation: the fraction, and how probable it is of each event that it
/// is none. `ratios` are the log-evidences of the events under the training law against that of false coincidences; `others` events are not
/// explained at all.
fn without_false(
    sample: &Sample<'_>,
    ratios: &[f64],
    others: usize,
) -> Result<(FalseCoincidences, Vec<f64>), RunError> {
    let mut gains = vec![0.0; ratios.len()];
    let mut last = None;
    for _ in 0..ROUNDS {
        let own: Vec<f64> = ratios.iter().zip(&gains).map(|(ratio, gain)| ratio + gain).collect();
        let unexplained = std::iter::repeat_n(f64::NEG_INFINITY, others);
        let all: Vec<f64> = own.iter().copied().chain(unexplained).collect();
        let found = FalseCoincidences::of(&all)?;
        let p_true: Vec<f64> = own.iter().map(|ratio| found.p_true(*ratio)).collect();
        let counts: Vec<f64> = sample
            .counts
            .iter()
            .zip(&p_true)
            .map(|(count, p)| count * p.max(LEAST_COUNT))
            .collect();
        let asked = cei_population::PopulationOptions { bootstraps: 0, ..Default::default() };
        gains = fit(&Sample { counts: &counts, ..*sample }, &asked)
            .map_err(SampleError::from)?
            .log_likelihoods;
        last = Some((found, p_true));
    }
    let Some(last) = last else { unreachable!("there are rounds") };
    Ok(last)
}

/// Edges of places that all groups share.
fn edges(fitted: &[Fitted], quantity: usize) -> Vec<f64> {
    let ends = fitted.iter().map(|own| own.population.range(quantity, REACH));
    let [low, high] = ends
        .fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], [a, b]| [low.min(a), high.max(b)]);
    let step = (high - low) / PLACES as f64;
    (0..=PLACES).map(|place| low + step * place as f64).collect()
}

fn quantity(
    population: &Population,
    place: usize,
    name: &str,
    draws: ArrayView2<'_, f64>,
    edges: &[f64],
    level: f64,
) -> QuantityPopulation {
    let middles: Vec<f64> = edges.windows(2).map(|ends| 0.5 * (ends[0] + ends[1])).collect();
    let marginal = population.marginal(place, &middles, level);
    let estimate = |of: cei_population::Interval| Estimate {
        value: of.value,
        lower: of.lower,
        upper: of.upper,
    };
    QuantityPopulation {
        quantity: name.to_owned(),
        mean: estimate(marginal.mean),
        sd: estimate(marginal.sd),
        event_sd: population.event_sd[place],
        stacked_sd: draws.std(0.0),
        resolution: marginal.resolution,
        resolved: marginal.sd.lower >= marginal.resolution,
        stacked: stacked(draws.iter().copied(), edges),
        values: marginal.values,
        density: marginal.density,
        lower: marginal.lower,
        upper: marginal.upper,
    }
}

/// Cuts the dihedrals of draws opposite to their mean.
fn unwrap(draws: &mut Array3<f64>, quantities: &Quantities) {
    let means = quantities.dihedral_means(draws.view());
    for row in draws.rows_mut() {
        if let Some(row) = row.into_slice() {
            quantities.unwrap(row, &means);
        }
    }
}
