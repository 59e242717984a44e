//! Posterior draws of a trained run, corrected by the simulator itself: `cei predict --refine`.
//!
//! The mathematics is that of [`cei_posterior`]; here the run gives it the measured momenta, the declared
//! noise, the density of the geometry law, the network's draws and the network's density. Everything is
//! refined in the orientation of the momenta file, so that noise declared by laboratory axis keeps its
//! meaning there; positions come back in the frame of the run.

mod event;
mod in_state;
mod ingredients;
mod law;
mod matrix;
mod states;

use std::sync::OnceLock;

use cei_data::detected;
use cei_metrics::quantile;
use cei_model::random::{Purpose, derived_seed, stream};
use cei_physics::detector::{LEAST_DETECTED, is_uneven};
use cei_physics::{ChargeState, PositionDensity, simulate};
use cei_posterior::{ChainOptions, LAWS_ALONG_CURVES, RefineOptions, worst_k_hat};
use ndarray::{Array2, ArrayView1, ArrayView2, ArrayView3, Axis};
use rand::Rng as _;
use rayon::prelude::*;

use crate::dataset::{condition_of, for_training};
use crate::plausibility::{LawEdges, Support};
use crate::trained::draws::draw_positions;
use crate::{RunError, TrainedRun};

pub(crate) use event::{ChainDraws, EventStates, OutsideModel, PositionMode, RefinedEvent};
use in_state::{Found, Target, row};
pub(crate) use ingredients::Ingredients;
pub use ingredients::Obstacle;
use ingredients::Refinable;
use law::Law;
use states::States;

/// Fewest importance draws of an event, however few are asked for: fewer weights say little.
const LEAST_SAMPLES: usize = 500;
/// Without noise the modes are the whole answer: draws, as many as asked for and up to this many at a time, begin
/// searches for them.
const MOST_STARTS: usize = 200;
/// Fewer effective draws are those of searches that have missed the posterior: they begin again at draws of the law.
const LOST: f64 = 5.0;
/// Training events whose evidence others are compared with.
const EVIDENCE_EVENTS: usize = 100;
/// So many are looked through, where they are to have a given number of ions.
const MANY_EVIDENCE_EVENTS: usize = 10_000;
/// An evidence this many nats below the least of the training events' is far below.
const EVIDENCE_MARGIN: f64 = 5.0;
/// Steps of a Markov chain: enough for a ridge, along which it moves slowly.
const CHAIN_STEPS: usize = 32_000;
/// Root mean square misfit, in units of the noise, of a geometry that explains the momenta: noise alone gives nine
/// components more in one of 1e43 events.
const EXPLAINED: f64 = 5.0;
/// Momenta of a solution without noise agree with the measured ones to this part of the largest.
const SOLVED: f64 = 1e-5;

/// What refines the events of a run.
pub(crate) struct Refiner<'a> {
    target: Target<'a>,
    states: States,
    /// Whether the momenta at the start are told.
    tells_motion: bool,
    /// By the number of ions that were detected: evidences are densities of as many momenta.
    least_evidence: Vec<f64>,
    edges: Option<LawEdges>,
}

impl<'a> Refiner<'a> {
    /// Prepares the refinement of a run: with noise, `draws` of each event, resampled from as many importance
    /// draws, or from `samples` where that is more. Where the run is conditioned on charges, these are in their columns,
    /// unless they are not known.
    ///
    /// # Errors
    /// A table that is no molecule, frames that the momenta do not share with the positions, positions with bounds
    /// or with noise in empty directions, ions that do not start at rest, noise or a geometry law that is not
    /// declared, charges that are not known and a simulation without channels.
    pub(crate) fn new(
        run: &'a TrainedRun,
        samples: usize,
        draws: usize,
        seed: u64,
        charges_known: bool,
    ) -> Result<Self, RunError> {
        let record = &run.record;
        let ingredients = Ingredients {
            molecule: run.molecule(),
            simulation: record.simulation.as_ref(),
            preprocessing: &record.preprocessing,
            noise: record.noise(),
        };
        let Refinable { molecule, simulation, origin, basis, noise, density, nuisances, motion } =
            ingredients.check().map_err(|Obstacle { why, hint }| RunError::CannotRefine {
                path: run.path.clone(),
                why,
                hint,
            })?;
        let states = States::of(&record.preprocessing, molecule, simulation, charges_known)?;
        if states.unknown().is_some() && noise.is_empty() {
            return Err(RunError::CannotRefine {
                path: run.path.clone(),
                why: "momenta without noise do not tell how probable a charge state is".to_owned(),
                hint: "give the charges (`--charges`), or declare `detector.momentum_noise_au`",
            });
        }
        let mut options = RefineOptions {
            samples: samples.max(draws).max(LEAST_SAMPLES),
            resampled: draws,
            ..RefineOptions::default()
        };
        if !run.dynamics().break_up.nuisances().is_empty() {
            options.along_curves = LAWS_ALONG_CURVES;
        }
        if noise.is_empty() {
            options.modes.starts = draws.clamp(options.modes.starts, MOST_STARTS);
        }
        let target = Target {
            run,
            molecule,
            origin,
            basis,
            density,
            noise,
            nuisances,
            motion,
            dynamics: run.dynamics(),
            accuracy: simulation.map(|s| s.accuracy.clone()).unwrap_or_default(),
            options,
            chain: None,
            law: OnceLock::new(),
            seed,
        };
        let (least_evidence, edges) = (Vec::new(), LawEdges::of_run(run));
        let mut refiner = Self { target, states, tells_motion: false, least_evidence, edges };
        if !refiner.has_noise() {
            refiner.target.law()?;
        }
        refiner.least_evidence = refiner.evidence_of_training(seed)?;
        Ok(refiner)
    }

    /// From now on runs a Markov chain for every event too: slow, and an independent reference.
    ///
    /// # Errors
    /// Momenta without noise.
    pub(crate) fn with_chain(mut self) -> Result<Self, RunError> {
        if !self.has_noise() {
            return Err(RunError::CannotRefine {
                path: self.target.run.path.clone(),
                why: "its momenta have no noise, so that there is no law for a Markov chain"
                    .to_owned(),
                hint: "leave out `--chain`, or declare `detector.momentum_noise_au`",
            });
        }
        if self.states.unknown().is_some() {
            return Err(RunError::CannotRefine {
                path: self.target.run.path.clone(),
                why: "the charge state of its events is not known, and a Markov chain stays in one"
                    .to_owned(),
                hint: "leave out `--chain`, or give the charges (`--charges`)",
            });
        }
        let steps = CHAIN_STEPS;
        self.target.chain =
            Some(ChainOptions { steps, thinning: steps / 400, ..ChainOptions::default() });
        Ok(self)
    }

    /// From now on tells the momenta with which the ions start, too.
    ///
    /// # Errors
    /// Ions that start at rest.
    pub(crate) fn with_initial_momenta(mut self) -> Result<Self, RunError> {
        if self.target.motion.is_none() {
            return Err(RunError::CannotRefine {
                path: self.target.run.path.clone(),
                why: "its ions start at rest, so that there are no initial momenta to infer"
                    .to_owned(),
                hint: "leave out `--initial-momenta`",
            });
        }
        self.tells_motion = true;
        Ok(self)
    }

    /// Whether events have an evidence that can be compared with that of ions of two molecules.
    ///
    /// # Errors
    /// Momenta without noise; aligned molecules.
    pub(crate) fn check_coincidences(&self) -> Result<(), RunError> {
        let cannot = |why: &str, hint| RunError::NoCoincidences {
            path: self.target.run.path.clone(),
            why: why.to_owned(),
            hint,
        };
        if !self.has_noise() {
            return Err(cannot(
                "its momenta have no noise, so that events have no evidence",
                "leave out `--false-coincidences`, or declare `detector.momentum_noise_au`",
            ));
        }
        if self.target.density.as_ref().is_some_and(PositionDensity::is_aligned) {
            return Err(cannot(
                "its molecules are aligned, and ions are mixed as if they flew in all directions alike",
                "leave out `--false-coincidences`, and use `--sum-gate`",
            ));
        }
        Ok(())
    }

    /// Whether the momenta with which the ions start are told.
    pub(crate) fn tells_initial_momenta(&self) -> bool {
        self.tells_motion
    }

    /// How many of the network's draws each event needs: with noise, those among the importance draws at least.
    pub(crate) fn network_draws(&self) -> usize {
        self.target.network_draws()
    }

    /// Whether the momenta have noise, so that draws have weights.
    pub(crate) fn has_noise(&self) -> bool {
        self.target.has_noise()
    }

    /// The charge states that each event may be in, where that is not known.
    pub(crate) fn unknown_states(&self) -> Option<&[ChargeState]> {
        self.states.unknown()
    }

    /// Refines events: raw momenta (`n` x 3N, and charges behind them where the run is conditioned on these) and the
    /// network's draws for them (`n` x K x 3N, in the frame of the run). Event `first_event + i` has a random stream of its own.
    ///
    /// # Errors
    /// An event whose numbers do not fit; nothing depends on how well it is explained.
    pub(crate) fn refine(
        &self,
        y: ArrayView2<'_, f64>,
        draws: ArrayView3<'_, f64>,
        seed: u64,
        first_event: usize,
    ) -> Result<Vec<RefinedEvent>, RunError> {
        let found = |event: usize, lost: Option<&Law>| {
            let number = first_event + event;
            let of_event = stream(seed, Purpose::Refinement, number as u64).next_u64();
            let (y, draws) = (y.row(event).to_vec(), draws.index_axis(Axis(0), event));
            self.states.refine(&self.target, &y, draws, lost, (of_event, number))
        };
        // One at a time: events differ so much that a thread with several would keep the others waiting.
        let events = (0..y.nrows()).into_par_iter().with_max_len(1);
        let mut all: Vec<Found> =
            events.map(|event| found(event, None)).collect::<Result<_, _>>()?;
        let is_lost = |(event, found): &(usize, &mut Found)| {
            let is_complete = y.row(*event).iter().all(|p| !p.is_nan());
            is_complete && found.refined.effective_sample_size < LOST
        };
        let lost: Vec<(usize, &mut Found)> = all.iter_mut().enumerate().filter(is_lost).collect();
        if !lost.is_empty()
            && let Some(law) = self.target.law()?
        {
            lost.into_par_iter().try_for_each(|(event, before)| {
                let again = found(event, Some(law))?;
                if again.refined.effective_sample_size >= LOST {
                    *before = again;
                }
                Ok::<(), RunError>(())
            })?;
        }
        all.into_par_iter()
            .enumerate()
            .map(|(event, found)| {
                let number = first_event + event;
                let y = y.row(event).to_vec();
                let momenta = &y[..3 * self.target.molecule.atom_count()];
                let mut event = self.in_frame_of_run(found, momenta);
                if let Some(edges) = self.edges.as_ref().filter(|_| self.has_noise()) {
                    event.contacts = edges.contacts(event.draws.view());
                }
                if event.outside.any()
                    && let (Some(edges), [mode, ..]) = (&self.edges, &event.modes[..])
                    && mode.outside_law
                {
                    event.contacts = edges.beyond(&mode.inferred);
                }
                if (OutsideModel { law_edge: false, ..event.outside }).any() {
                    self.states.take_draws_of_network(&self.target, &mut event, &y, seed, number);
                    let momenta = (event.draws.nrows(), event.initial_momenta.ncols());
                    event.initial_momenta = Array2::from_elem(momenta, f64::NAN);
                }
                Ok(event)
            })
            .collect()
    }

    fn in_frame_of_run(&self, found: Found, y: &[f64]) -> RefinedEvent {
        let Found { refined, chain, outside_law, states, of_modes } = found;
        let ions = detected(ArrayView1::from(y)).into_iter().filter(|there| *there).count();
        let components = (3 * ions) as f64;
        let solved = SOLVED * y.iter().fold(0.0, |most: f64, p| most.max(p.abs()));
        let initial = |coordinates: ArrayView2<'_, f64>| match self.tells_motion {
            true => self.target.initial_momenta(coordinates, y),
            false => Array2::zeros((coordinates.nrows(), 0)),
        };
        let modes: Vec<PositionMode> = refined
            .modes
            .iter()
            .zip(outside_law.iter().zip(of_modes))
            .map(|(mode, (outside_law, state))| PositionMode {
                state,
                initial_momenta: initial(row(&mode.coordinates)).into_raw_vec_and_offset().0,
                outside_law: *outside_law,
                inferred: self.target.inferred(row(&mode.coordinates)).into_raw_vec_and_offset().0,
                weight: self.has_noise().then_some(mode.weight),
                misfit: (mode.misfit / components).sqrt(),
                searches: mode.starts,
            })
            .filter(|mode| mode.misfit <= if self.has_noise() { EXPLAINED } else { solved })
            .collect();
        let modes = self.without_relabelled(modes);
        // The infinities of k-hat are told: it has them at its best and its worst. An evidence of zero is that of draws none of
        // which the law knows, and no number of the event.
        let is_lost = refined.log_evidence == f64::NEG_INFINITY;
        let known = |value: f64| (self.has_noise() && !value.is_nan()).then_some(value);
        let outside = if self.has_noise() {
            // A NaN is no sound number either.
            let (k_hat, evidence) = (refined.k_hat, refined.log_evidence);
            let least_evidence = self.least_evidence.get(ions).copied();
            OutsideModel {
                k_hat: k_hat.is_nan() || k_hat > worst_k_hat(refined.log_weights.len()),
                evidence: evidence.is_nan() || least_evidence.is_some_and(|least| evidence < least),
                outside_law: is_lost,
                no_mode: modes.is_empty(),
                ..OutsideModel::default()
            }
        } else {
            OutsideModel {
                no_mode: modes.is_empty(),
                search: !modes.is_empty() && !refined.complete,
                law_edge: !modes.is_empty() && modes.iter().all(|mode| mode.outside_law),
                ..OutsideModel::default()
            }
        };
        let draws = if self.has_noise() {
            self.target.inferred(refined.draws.view())
        } else {
            let rows = modes.iter().flat_map(|mode| mode.inferred.iter().copied()).collect();
            match Array2::from_shape_vec((modes.len(), self.target.origin.len()), rows) {
                Ok(rows) => rows,
                Err(_) => unreachable!("a mode has all positions"),
            }
        };
        let chain = chain.as_ref().map(|chain| {
            let kept = chain.draws.nrows();
            let used = kept.min(self.target.options.resampled);
            let spaced: Vec<_> = (0..used).map(|draw| draw * kept / used).collect();
            ChainDraws {
                draws: self.target.inferred(chain.draws.select(Axis(0), &spaced).view()),
                r_hat: chain.r_hat.iter().copied().fold(1.0, f64::max),
            }
        });
        RefinedEvent {
            contacts: Vec::new(),
            initial_momenta: initial(refined.draws.view()),
            states,
            chain,
            draws,
            modes,
            k_hat: known(refined.k_hat),
            effective_sample_size: known(refined.effective_sample_size),
            log_evidence: known(refined.log_evidence).filter(|_| !is_lost),
            outside,
        }
    }

    /// Modes of which those that differ in what atoms are called alone are one.
    fn without_relabelled(&self, modes: Vec<PositionMode>) -> Vec<PositionMode> {
        let Some(alike) = self.target.run.record.preprocessing.alike() else { return modes };
        let positions = 3 * self.target.molecule.atom_count();
        let merge = self.target.options.modes.merge_bohr;
        let mut kept: Vec<PositionMode> = Vec::with_capacity(modes.len());
        for mode in modes {
            let is_same = |other: &&mut PositionMode| {
                let called = alike.called_as(&mode.inferred[..positions], &other.inferred);
                let squares = called.iter().zip(&other.inferred).map(|(a, b)| (a - b).powi(2));
                squares.sum::<f64>() <= merge * merge * positions as f64 / 3.0
            };
            match kept.iter_mut().find(is_same) {
                None => kept.push(mode),
                Some(same) => {
                    same.weight = same.weight.zip(mode.weight).map(|(a, b)| a + b);
                    same.searches += mode.searches;
                }
            }
        }
        kept
    }

    /// By the number of ions that were detected, the evidence below which momenta are far less probable than those of
    /// training events: the least of [`EVIDENCE_EVENTS`] of these, less [`EVIDENCE_MARGIN`].
    fn evidence_of_training(&self, seed: u64) -> Result<Vec<f64>, RunError> {
        let mut least = vec![f64::NEG_INFINITY; self.target.molecule.atom_count() + 1];
        if !self.has_noise() {
            return Ok(least);
        }
        let preprocessing = &self.target.run.record.preprocessing;
        if !preprocessing.may_miss_ions() {
            if let Some(y) = self.momenta_of_training(seed, EVIDENCE_EVENTS)?
                && let Some(of_all) = least.last_mut()
            {
                *of_all = self.evidence_of(y.view(), seed)?;
            }
            return Ok(least);
        }
        let Some(y) = self.momenta_of_training(seed, MANY_EVIDENCE_EVENTS)? else {
            return Ok(least);
        };
        let momenta = preprocessing.momenta_of(y.view());
        for (ions, least) in least.iter_mut().enumerate().skip(LEAST_DETECTED) {
            let has = |row: &usize| {
                detected(momenta.row(*row)).into_iter().filter(|there| *there).count() == ions
            };
            let rows: Vec<usize> = (0..y.nrows()).filter(has).take(EVIDENCE_EVENTS).collect();
            if !rows.is_empty() {
                *least = self.evidence_of(y.select(Axis(0), &rows).view(), seed)?;
            }
        }
        Ok(least)
    }

    /// The least evidence of some events, less [`EVIDENCE_MARGIN`].
    fn evidence_of(&self, y: ArrayView2<'_, f64>, seed: u64) -> Result<f64, RunError> {
        let draws = draw_positions(self.target.run, y, self.network_draws(), seed, 0);
        let evidence = self.refine(y, draws.view(), seed, 0)?;
        let known = evidence.iter().filter_map(|event| event.log_evidence);
        let mut values: Vec<f64> = known.collect();
        values.sort_by(f64::total_cmp);
        Ok(quantile(&values, 0.0).map_or(f64::NEG_INFINITY, |least| least - EVIDENCE_MARGIN))
    }

    /// Momenta of so many training events as they would stand in a file; none where they are not known.
    fn momenta_of_training(
        &self,
        seed: u64,
        count: usize,
    ) -> Result<Option<Array2<f64>>, RunError> {
        let record = &self.target.run.record;
        let is_aligned = self.target.density.as_ref().is_some_and(PositionDensity::is_aligned);
        // The support keeps momenta in the frame of the run; alignment and uneven noise are the laboratory's.
        if let Some(simulation) = record.simulation.as_ref().filter(|_| is_aligned) {
            let mut simulation = for_training(simulation);
            simulation.detector = record.detector.clone().unwrap_or_default();
            let seed = derived_seed(seed, Purpose::GeometryLaw, 0);
            let mut events = simulate(&simulation, count, seed)?;
            let mut condition = condition_of(&events, record.preprocessing.has_charges());
            if let Some(alike) = record.preprocessing.alike() {
                alike.order(events.positions.view_mut(), condition.view_mut());
            }
            return Ok(Some(condition));
        }
        if is_uneven(&self.target.noise) {
            return Ok(None);
        }
        let support = Support::load(self.target.run)?;
        Ok(support.map(|support| support.momenta(&record.preprocessing, count)))
    }
}

#[cfg(test)]
mod tests;
