//! Events whose charge state is not known: refined in each of them, and weighed by what each makes of the momenta.

use cei_data::Preprocessing;
use cei_model::random::{Purpose, derived_seed};
use cei_physics::{ChargeState, Molecule, Simulation};
use cei_posterior::{Combined, combine};
use ndarray::{Array2, ArrayView2, Axis, concatenate, s};

use super::event::{EventStates, RefinedEvent};
use super::in_state::{Found, Target, row};
use super::law::Law;
use crate::RunError;
use crate::trained::draws::draw_positions;

/// The charge states of the events of a run.
pub(super) struct States {
    /// Those of the simulation.
    all: Vec<ChargeState>,
    charges: Charges,
}

/// What is known of the charges of the ions of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Charges {
    /// They are the molecule's, for all events.
    Same,
    /// They stand behind the momenta.
    Given,
    /// Nothing but the weights of the channels.
    Unknown {
        /// Whether the network is conditioned on them all the same.
        conditioned: bool,
    },
}

impl States {
    /// Those of a run on `molecule`; `known` says whether charges that a network is conditioned on stand behind the momenta.
    ///
    /// # Errors
    /// Channels that are wrong.
    pub(super) fn of(
        preprocessing: &Preprocessing,
        molecule: &Molecule,
        simulation: Option<&Simulation>,
        known: bool,
    ) -> Result<Self, RunError> {
        let all = match simulation {
            Some(simulation) => simulation.charge_states()?,
            None => vec![ChargeState { molecule: molecule.clone(), probability: 1.0 }],
        };
        let conditioned = preprocessing.has_charges();
        let charges = match (conditioned, known, all.len()) {
            (true, true, _) => Charges::Given,
            (false, _, 1) => Charges::Same,
            _ => Charges::Unknown { conditioned },
        };
        Ok(Self { all, charges })
    }

    /// Those that each event may be in, where that is not known.
    pub(super) fn unknown(&self) -> Option<&[ChargeState]> {
        matches!(self.charges, Charges::Unknown { .. }).then_some(&self.all[..])
    }

    /// Refines an event: raw momenta and, where the run is conditioned on them, charges. `draws` are those of the network
    /// for this row, and the law is where searches begin that were `lost` from these.
    pub(super) fn refine(
        &self,
        target: &Target<'_>,
        y: &[f64],
        draws: ArrayView2<'_, f64>,
        lost: Option<&Law>,
        (seed, number): (u64, usize),
    ) -> Result<Found, RunError> {
        match self.charges {
            Charges::Same => target.refine_event(target.molecule, y, draws, lost, seed),
            Charges::Given => {
                let charges = &y[3 * target.molecule.atom_count()..];
                target.refine_event(&target.molecule.with_charges(charges), y, draws, lost, seed)
            }
            Charges::Unknown { .. } => self.refine_all(target, y, draws, lost, (seed, number)),
        }
    }

    /// Refines an event in every charge state. `draws` are those of a network that is not conditioned on charges.
    fn refine_all(
        &self,
        target: &Target<'_>,
        y: &[f64],
        draws: ArrayView2<'_, f64>,
        lost: Option<&Law>,
        (seed, number): (u64, usize),
    ) -> Result<Found, RunError> {
        let (mut parts, mut outside_law) = (Vec::new(), Vec::new());
        for (place, state) in self.all.iter().enumerate() {
            let seed = derived_seed(seed, Purpose::Draws, place as u64);
            let found = match self.in_state(target, y, place) {
                None => target.refine_event(&state.molecule, y, draws, lost, seed)?,
                Some(y) => {
                    let count = target.network_draws();
                    let draws = draw_positions(target.run, row(&y), count, seed, number);
                    let draws = draws.index_axis(Axis(0), 0);
                    target.refine_event(&state.molecule, &y, draws, lost, seed)?
                }
            };
            parts.push((state.probability, found.refined));
            outside_law.push(found.outside_law.into_iter());
        }
        let Combined { refined, probabilities, of_draws, of_modes } =
            combine(parts, target.options.resampled, seed)?;
        // The modes of each state keep their order.
        let outside_law = of_modes.iter().filter_map(|state| outside_law[*state].next()).collect();
        let states = Some(EventStates { probabilities, of_draws });
        Ok(Found { refined, chain: None, outside_law, states, of_modes })
    }

    /// Puts draws of the network in the place of those that an event has; of each charge state as many as it is probable.
    pub(super) fn take_draws_of_network(
        &self,
        target: &Target<'_>,
        event: &mut RefinedEvent,
        y: &[f64],
        seed: u64,
        number: usize,
    ) {
        let count = target.options.resampled;
        let draws_for = |y: &[f64]| {
            draw_positions(target.run, row(y), count, seed, number).index_axis_move(Axis(0), 0)
        };
        let Some(states) = &mut event.states else {
            event.draws = draws_for(y);
            return;
        };
        let mut below = 0.0;
        let ends: Vec<usize> = states
            .probabilities
            .iter()
            .map(|probability| {
                below += probability;
                ((below * count as f64).round() as usize).min(count)
            })
            .collect();
        let of_draw = |draw| ends.iter().position(|end| draw < *end).unwrap_or(ends.len() - 1);
        states.of_draws = (0..count).map(of_draw).collect();
        let draws: Vec<Array2<f64>> = (0..ends.len())
            .map(|place| {
                let own = states.of_draws.iter().filter(|of| **of == place).count();
                let in_state = self.in_state(target, y, place);
                draws_for(in_state.as_deref().unwrap_or(y)).slice_move(s![..own, ..])
            })
            .collect();
        let views: Vec<_> = draws.iter().map(|draws| draws.view()).collect();
        event.draws = match concatenate(Axis(0), &views) {
            Ok(draws) => draws,
            Err(_) => unreachable!("draws have the same columns"),
        };
    }

    /// The condition of the network for an event in this charge state; none if it is not conditioned on it.
    fn in_state(&self, target: &Target<'_>, y: &[f64], place: usize) -> Option<Vec<f64>> {
        let momenta = &y[..3 * target.molecule.atom_count()];
        (self.charges == Charges::Unknown { conditioned: true })
            .then(|| [momenta, self.all[place].molecule.charges()].concat())
    }
}
