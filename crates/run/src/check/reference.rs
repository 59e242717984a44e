//! The events that measured ones are compared with: simulated from the population of the first half of these.
//!
//! A draw of each event's posterior, with the population in the place of the training law, is exploded again and measured with the noise of
//! the run. If the simulation is right, the draws of all events have the law of the population, and the new momenta that of the
//! measured ones.

use cei_data::Preprocessing;
use cei_model::random::{Purpose, derived_seed, stream};
use cei_physics::{GivenRows, Simulation, detector::Efficiency, simulate, simulate_given};
use cei_population::{Population, PopulationDensity, Sample, fit};
use ndarray::{Array2, Array3, ArrayView2, Axis, s};
use rand::RngExt as _;

use super::report::CheckedPopulation;
use crate::dataset::{condition_of, for_training};
use crate::error::SampleError;
use crate::population::{Quantities, Reduced, reduce};
use crate::refine::RefinedEvent;
use crate::{RunError, TrainedRun};

/// Events that a population is inferred from, at least; of fewer the declared law is simulated.
const LEAST_EVENTS: usize = 20;

/// What is kept of a refined event.
pub(super) struct Described {
    /// Numbers of its draws, and log densities of the training law there; none of an event that the model does not describe.
    reduced: Reduced,
    /// Positions (bohr) and nuisances of the draws; empty where there is nothing else.
    draws: Array2<f64>,
    /// Charges of the ions of each draw; empty where these are known or the molecule's.
    charges: Vec<Vec<f64>>,
    log_evidence: f64,
}

impl Described {
    /// What is kept; `states` are the charges in each state that an event may be in, and with `draws` the draws are kept.
    pub(super) fn of(
        event: Option<RefinedEvent>,
        quantities: &Quantities,
        states: &[Vec<f64>],
        with_draws: bool,
    ) -> Self {
        let nothing = || Array2::zeros((0, 0));
        let Some(event) = event else {
            let log_evidence = f64::NEG_INFINITY;
            return Self { reduced: None, draws: nothing(), charges: Vec::new(), log_evidence };
        };
        let reduced = reduce(&event, quantities);
        let of_draws = event.states.as_ref().map(|states| &states.of_draws[..]).unwrap_or_default();
        let charges = match with_draws {
            true => of_draws.iter().map(|state| states[*state].clone()).collect(),
            false => Vec::new(),
        };
        Self {
            reduced,
            charges,
            log_evidence: event.log_evidence.unwrap_or(f64::NEG_INFINITY),
            draws: if with_draws { event.draws } else { nothing() },
        }
    }

    pub(super) fn is_described(&self) -> bool {
        self.reduced.is_some()
    }
}

/// The population, as weights of draws.
pub(super) struct Weights {
    /// None for the declared law.
    density: Option<PopulationDensity>,
    /// Where dihedrals are cut: opposite to these.
    means: Vec<Option<f64>>,
    pub(super) kind: CheckedPopulation,
}

impl Weights {
    /// The population of some events, unless the declared law explains them as well for its fewer numbers: by Akaike's criterion.
    pub(super) fn of(
        events: &[Described],
        quantities: &Quantities,
        seed: u64,
    ) -> Result<Self, RunError> {
        let declared = Self {
            density: None,
            means: vec![None; quantities.names.len()],
            kind: CheckedPopulation::Declared,
        };
        let known: Vec<_> = events.iter().filter_map(|event| event.reduced.as_ref()).collect();
        if known.len() < LEAST_EVENTS {
            return Ok(declared);
        }
        let (count, m) = (known[0].1.len(), quantities.names.len());
        let of_event = |event: usize, draw: usize| draw % known[event].1.len();
        let mut draws =
            Array3::from_shape_fn((known.len(), count, m), |(event, draw, quantity)| {
                known[event].0[of_event(event, draw)][quantity]
            });
        let log_law = Array2::from_shape_fn((known.len(), count), |(event, draw)| {
            known[event].1[of_event(event, draw)]
        });
        let means = quantities.dihedral_means(draws.view());
        for row in draws.rows_mut() {
            if let Some(row) = row.into_slice() {
                quantities.unwrap(row, &means);
            }
        }
        let counts = vec![1.0; known.len()];
        let sample = Sample {
            draws: draws.view(),
            log_law: log_law.view(),
            counts: &counts,
            limits: &quantities.limits,
        };
        let asked = cei_population::PopulationOptions { bootstraps: 0, seed, ..Default::default() };
        let population = fit(&sample, &asked).map_err(SampleError::from)?;
        if !explains_more(&population) {
            return Ok(declared);
        }
        let kind = CheckedPopulation::Inferred { laws: population.laws.len() };
        Ok(Self { density: Some(population.density()), means, kind })
    }

    pub(super) fn inferred(&self) -> bool {
        self.density.is_some()
    }

    /// Log of how much more there is of each draw than by the training law.
    fn of_draws(&self, event: &Described, quantities: &Quantities) -> Vec<f64> {
        let Some((values, logs)) = &event.reduced else { return Vec::new() };
        let Some(density) = &self.density else { return vec![0.0; logs.len()] };
        let of_draw = |(values, log): (&Vec<f64>, &f64)| {
            let mut values = values.clone();
            quantities.unwrap(&mut values, &self.means);
            density.log_density(&values) - log
        };
        values.iter().zip(logs).map(of_draw).collect()
    }

    /// Log-evidence of an event under the population; minus infinity of one that it does not explain at all.
    pub(super) fn log_evidence(&self, event: &Described, quantities: &Quantities) -> f64 {
        if self.density.is_none() {
            return event.log_evidence;
        }
        let logs = self.of_draws(event, quantities);
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if most == f64::NEG_INFINITY {
            return most;
        }
        let mean = logs.iter().map(|log| (log - most).exp()).sum::<f64>() / logs.len() as f64;
        event.log_evidence + most + mean.ln()
    }

    /// A draw of an event's posterior under the population; none of an event that it does not explain.
    fn draw(&self, event: &Described, quantities: &Quantities, uniform: f64) -> Option<usize> {
        let logs = self.of_draws(event, quantities);
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = logs.iter().map(|log| (log - most).exp()).collect();
        let mut left = uniform * weights.iter().sum::<f64>();
        let place = weights.iter().position(|weight| {
            left -= weight;
            left < 0.0
        });
        place.or(weights.len().checked_sub(1)).filter(|_| most > f64::NEG_INFINITY)
    }
}

/// Whether the laws of a population gain more than one nat for each number of theirs.
fn explains_more(population: &Population) -> bool {
    let least = population.tried.iter().min_by(|a, b| a.bic.total_cmp(&b.bic));
    let m = population.event_sd.len();
    least.is_some_and(|tried| {
        let numbers = tried.laws * (1 + m + m * (m + 1) / 2) - 1;
        tried.log_likelihood > numbers as f64
    })
}

/// New momenta (rows x columns of the condition, a.u.), one row for each event that is described: its draw under the population,
/// exploded and measured. `y` are the measured rows of the events. Where too few are described, events of the declared law.
pub(super) fn simulated(
    run: &TrainedRun,
    simulation: &Simulation,
    events: &[Described],
    y: ArrayView2<'_, f64>,
    weights: &Weights,
    quantities: &Quantities,
    seed: u64,
) -> Result<Array2<f64>, RunError> {
    let preprocessing = &run.record.preprocessing;
    let mut law = for_training(simulation);
    law.detector = run.record.detector.clone().unwrap_or_default();
    law.detector.efficiency = Efficiency::default();
    let of_events = derived_seed(seed, Purpose::Check, 10);
    let described: Vec<usize> = (0..events.len()).filter(|e| events[*e].is_described()).collect();
    if described.len() < LEAST_EVENTS {
        let made = simulate(&law, events.len(), of_events)?;
        return Ok(called(condition_of(&made, preprocessing.has_charges()), preprocessing));
    }
    let momenta = preprocessing.momenta();
    let (mut rows, mut charges): (Vec<f64>, Vec<Vec<f64>>) = (Vec::new(), Vec::new());
    for event in described {
        let mut rng = stream(seed, Purpose::Check, 100 + event as u64);
        let own = &events[event];
        let Some(draw) = weights.draw(own, quantities, rng.random::<f64>()) else { continue };
        rows.extend(own.draws.row(draw));
        charges.push(match own.charges.get(draw) {
            Some(charges) => charges.clone(),
            None => y.row(event).iter().skip(momenta).copied().collect(),
        });
    }
    let width = rows.len() / charges.len().max(1);
    let Ok(inferred) = Array2::from_shape_vec((charges.len(), width), rows) else {
        unreachable!("draws have equally many numbers")
    };
    let atoms = 3 * law.molecule.atom_count();
    let mut made = Array2::zeros((charges.len(), preprocessing.y_names().len()));
    let mut states: Vec<&Vec<f64>> = charges.iter().collect();
    states.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    states.dedup();
    for (place, state) in states.into_iter().enumerate() {
        let of_state: Vec<usize> =
            (0..charges.len()).filter(|event| charges[*event] == *state).collect();
        let mut law = law.clone();
        if !state.is_empty() {
            law.molecule = law.molecule.with_charges(state);
            law.channels.clear();
        }
        let own = inferred.select(Axis(0), &of_state);
        let nuisances: Vec<Vec<f64>> =
            own.columns().into_iter().skip(atoms).map(|column| column.to_vec()).collect();
        let positions = own.slice(s![.., ..atoms]);
        let given = GivenRows {
            positions,
            momenta: None,
            nuisances: nuisances.iter().map(|values| Some(&values[..])).collect(),
        };
        let of_state_seed = derived_seed(of_events, Purpose::Check, 1 + place as u64);
        let exploded = simulate_given(&law, &given, of_state_seed)?;
        let condition = condition_of(&exploded, preprocessing.has_charges());
        for (event, row) in of_state.into_iter().zip(condition.rows()) {
            made.row_mut(event).assign(&row);
        }
    }
    Ok(called(made, preprocessing))
}

/// Ions that are exchanged at will, called as those of a file are.
fn called(mut made: Array2<f64>, preprocessing: &Preprocessing) -> Array2<f64> {
    if let Some(alike) = preprocessing.alike() {
        alike.order(Array2::zeros((0, 0)).view_mut(), made.view_mut());
    }
    made
}
