//! Posterior draws of a trained run, corrected by the simulator itself: `cei predict --refine`.
//!
//! The mathematics is that of [`cei_posterior`]; here the run gives it the measured momenta, the declared
//! noise, the density of the geometry law, the network's draws and the network's density. Everything is
//! refined in the orientation of the momenta file, so that noise declared by laboratory axis keeps its
//! meaning there; positions come back in the frame of the run.

mod event;
mod ingredients;

use cei_metrics::{NearestNeighbours, quantile};
use cei_model::random::{Purpose, derived_seed, standard_normal, stream};
use cei_model::{Batch, Density};
use cei_physics::{
    Accuracy, Charging, InitialMomentumLaw, Molecule, Nuisance, PositionDensity, Simulation,
    simulate,
};
use cei_posterior::{
    Chain, ChainOptions, Chart, ChartPrior, Event, Explorer, Explosion, LogProb, Mode,
    RefineOptions, Refined, find_solutions, refine, sample_chain, worst_k_hat,
};
use ndarray::{Array1, Array2, Array3, ArrayView2, Axis, concatenate, s};
use rand::Rng as _;
use rayon::prelude::*;

use crate::dataset::for_training;
use crate::plausibility::{LawEdges, Support};
use crate::trained::draws::draw_positions;
use crate::{RunError, TrainedRun};

pub(crate) use event::{ChainDraws, OutsideModel, PositionMode, RefinedEvent};
pub(crate) use ingredients::Ingredients;
pub use ingredients::Obstacle;
use ingredients::{Refinable, is_uneven};

/// Fewest importance draws of an event, however few are asked for: fewer weights say little.
const LEAST_SAMPLES: usize = 500;
/// Fewest draws of the network that searches and laws begin from.
const LEAST_NETWORK_DRAWS: usize = 400;
/// Without noise the modes are the whole answer: draws, as many as asked for and up to this many at a time, begin
/// searches for them.
const MOST_STARTS: usize = 200;
/// Draws of the geometry law that further searches begin at.
const LAW_DRAWS: usize = 2000;
/// Draws of the geometry law among which those of the most similar momenta are looked up.
const LOOKED_UP: usize = 100_000;
/// So many of these may begin searches: as draws do, not all at a time.
const NEAREST: usize = 3 * MOST_STARTS;
/// Training events whose evidence others are compared with.
const EVIDENCE_EVENTS: usize = 100;
/// An evidence this many nats below the least of the training events' is far below.
const EVIDENCE_MARGIN: f64 = 5.0;
/// Steps of a Markov chain: enough for a ridge, along which it moves slowly.
const CHAIN_STEPS: usize = 32_000;
/// Root mean square misfit, in units of the noise, of a geometry that explains the momenta: noise alone gives nine
/// components more in one of 1e43 events.
const EXPLAINED: f64 = 5.0;
/// Momenta of a solution without noise agree with the measured ones to this part of the largest.
const SOLVED: f64 = 1e-5;

/// What all events of a run share.
pub(crate) struct Refiner<'a> {
    run: &'a TrainedRun,
    molecule: &'a Molecule,
    origin: Vec<f64>,
    basis: Array2<f64>,
    /// The geometry law; without noise it only excludes solutions, and may be unknown.
    density: Option<PositionDensity>,
    noise: Vec<f64>,
    /// What the chart has beside the positions.
    nuisances: Vec<Nuisance>,
    /// None for ions at rest.
    motion: Option<InitialMomentumLaw>,
    charging: Charging,
    accuracy: Accuracy,
    options: RefineOptions,
    chain: Option<ChainOptions>,
    least_evidence: f64,
    /// Without noise.
    law: Option<Law>,
    edges: Option<LawEdges>,
}

/// What was found for one event, in the coordinates of its chart.
struct Found {
    refined: Refined,
    chain: Option<Chain>,
    /// Of each mode, whether the geometry law excludes it.
    outside_law: Vec<bool>,
}

/// What the geometry law draws.
struct Law {
    /// Positions (rows x 3N, bohr) in the frame of the run.
    positions: Array2<f64>,
    /// Such positions by their momenta in the network's scaled units.
    by_momenta: NearestNeighbours,
}

impl<'a> Refiner<'a> {
    /// Prepares the refinement of a run: with noise, `draws` of each event, resampled from as many importance
    /// draws, or from `samples` where that is more.
    ///
    /// # Errors
    /// A table that is no molecule, frames that the momenta do not share with the positions, positions with bounds
    /// or with noise in empty directions, ions that do not start at rest, noise or a geometry law that is not
    /// declared.
    pub(crate) fn new(
        run: &'a TrainedRun,
        samples: usize,
        draws: usize,
        seed: u64,
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
        let accuracy = simulation.map(|s| s.accuracy.clone()).unwrap_or_default();
        let mut options = RefineOptions {
            samples: samples.max(draws).max(LEAST_SAMPLES),
            resampled: draws,
            ..RefineOptions::default()
        };
        if noise.is_empty() {
            options.modes.starts = draws.clamp(options.modes.starts, MOST_STARTS);
        }
        let mut refiner = Self {
            run,
            molecule,
            origin,
            basis,
            density,
            noise,
            nuisances,
            motion,
            charging: run.charging(),
            accuracy,
            options,
            chain: None,
            least_evidence: f64::NEG_INFINITY,
            law: None,
            edges: LawEdges::of_run(run),
        };
        refiner.law = refiner.draws_of_the_law(simulation, seed)?;
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
                path: self.run.path.clone(),
                why: "its momenta have no noise, so that there is no law for a Markov chain"
                    .to_owned(),
                hint: "leave out `--chain`, or declare `detector.momentum_noise_au`",
            });
        }
        let steps = CHAIN_STEPS;
        self.chain = Some(ChainOptions { steps, thinning: steps / 400, ..ChainOptions::default() });
        Ok(self)
    }

    /// How many of the network's draws each event needs: with noise, those among the importance draws at least.
    pub(crate) fn network_draws(&self) -> usize {
        let samples = self.options.samples;
        if !self.has_noise() {
            return samples;
        }
        let proposed = (self.options.network_fraction * samples as f64).ceil() as usize;
        proposed.max(LEAST_NETWORK_DRAWS).min(samples)
    }

    /// Whether the momenta have noise, so that draws have weights.
    pub(crate) fn has_noise(&self) -> bool {
        !self.noise.is_empty()
    }

    /// Refines events: raw momenta (`n` x 3N) and the network's draws for them (`n` x K x 3N, in the
    /// frame of the run). Event `first_event + i` has a random stream of its own.
    ///
    /// # Errors
    /// An event whose numbers do not fit; nothing depends on how well it is explained.
    pub(crate) fn refine(
        &self,
        y: ArrayView2<'_, f64>,
        draws: &Array3<f64>,
        seed: u64,
        first_event: usize,
    ) -> Result<Vec<RefinedEvent>, RunError> {
        (0..y.nrows())
            .into_par_iter()
            .map(|event| {
                let number = first_event + event;
                let of_event = stream(seed, Purpose::Refinement, number as u64).next_u64();
                let (y, draws) = (y.row(event).to_vec(), draws.index_axis(Axis(0), event));
                let found = self.refine_event(&y, draws, of_event)?;
                let mut event = self.in_frame_of_run(&found, &y);
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
                    let count = self.options.resampled;
                    let draws = draw_positions(self.run, row(&y), count, seed, number);
                    event.draws = draws.index_axis_move(Axis(0), 0);
                }
                Ok(event)
            })
            .collect()
    }

    fn refine_event(
        &self,
        y: &[f64],
        draws: ArrayView2<'_, f64>,
        seed: u64,
    ) -> Result<Found, RunError> {
        let gauge = self.run.record.preprocessing.gauge();
        let mut origin = self.origin.clone();
        gauge.rotate_back(&mut origin, y);
        let mut basis = self.basis.clone();
        for mut direction in basis.rows_mut() {
            if let Some(direction) = direction.as_slice_mut() {
                gauge.rotate_back(direction, y);
            }
        }
        let chart = Chart::new(Array1::from(origin), basis)?;
        let least_noise = self.noise.iter().copied().fold(f64::INFINITY, f64::min);
        let accuracy = if self.has_noise() {
            let largest = y.iter().fold(0.0, |most: f64, p| most.max(p.abs()));
            Explosion::accuracy_for(&self.accuracy, least_noise, largest)
        } else {
            self.accuracy.clone()
        };
        let charging = &self.charging;
        let mut explosion = Explosion::new(self.molecule, charging, &chart, &accuracy)?;
        if let Some(law) = &self.motion {
            explosion = explosion.with_motion(law);
        }
        let new_prior = |density| ChartPrior::new(density, &self.nuisances, &chart);
        let prior = match &self.density {
            Some(density) if self.has_noise() => Some(new_prior(density)?),
            Some(density) => new_prior(density).ok(),
            None => None,
        };
        let log_density = |u: &[f64]| prior.as_ref().map_or(0.0, |prior| prior.log_density(u));
        let log_prior = |u: &[f64]| if self.has_noise() { log_density(u) } else { 0.0 };
        // Momenta at the start have their prior as measurements (`Explosion`).
        let kicks = self.motion.as_ref().map_or(0, InitialMomentumLaw::dimension);
        let measured = [y, &vec![0.0; kicks]].concat();
        let noise = [&self.noise[..], &vec![1.0; kicks]].concat();
        let event = Event {
            forward: &explosion,
            log_prior: &log_prior,
            measured: &measured,
            noise: &noise,
        };
        let draws = self.coordinates(draws);
        let mut rng = stream(seed, Purpose::InitialMomenta, 0);
        let of_prior = standard_normal(draws.nrows(), kicks, &mut rng).mapv(f64::from);
        let draws = concatenate![Axis(1), draws, of_prior];
        let scaled_y = self.run.record.preprocessing.encode_y(row(y));
        let log_prob = |u: &Array2<f64>| self.network_log_prob(u, &scaled_y);
        // Draws of a model without a density start the search, but cannot be weighted.
        let has_density = self.run.record.model.architecture().density() == Density::Exact;
        let network: Option<&LogProb<'_>> = if has_density { Some(&log_prob) } else { None };
        let refined = match &self.law {
            Some(law) => {
                let fast = Explosion::new(self.molecule, charging, &chart, &Accuracy::fast())?;
                // Coordinates are those of the frame of the run too.
                let chart = &Chart::new(Array1::from(self.origin.clone()), self.basis.clone())?;
                let near = law.by_momenta.draws(scaled_y.mapv(f64::from).view(), NEAREST)?;
                let (near, law) = (near.index_axis(Axis(0), 0), law.positions.view());
                let explorer =
                    Explorer { fast: &fast, chart, law, near, log_density: &log_density };
                let modes = &self.options.modes;
                find_solutions(&event, draws.view(), &explorer, modes, seed)?.into()
            }
            None => refine(&event, draws.view(), network, &self.options, seed)?,
        };
        let chain = self
            .chain
            .as_ref()
            .map(|options| sample_chain(&event, draws.view(), &refined.modes, options, seed))
            .transpose()?
            .flatten();
        let excluded = |mode: &Mode| log_density(&mode.coordinates) == f64::NEG_INFINITY;
        let outside_law = refined.modes.iter().map(excluded).collect();
        Ok(Found { refined, chain, outside_law })
    }

    /// `log p(u | y)` of the network at coordinates of the chart (rows x d).
    /// Momenta at the start, behind these, are those of their prior.
    fn network_log_prob(&self, u: &Array2<f64>, scaled_y: &Array2<f32>) -> Vec<f64> {
        let kicks = u.slice(s![.., self.basis.nrows()..]);
        let of_kicks = kicks.rows().into_iter().map(|z| {
            let half_log = 0.5 * (2.0 * std::f64::consts::PI).ln();
            z.iter().map(|z| -0.5 * z * z - half_log).sum::<f64>()
        });
        let preprocessing = &self.run.record.preprocessing;
        let x = preprocessing.encode_gauged_x(self.inferred(u.view()).view());
        let y = scaled_y.broadcast((u.nrows(), scaled_y.ncols()));
        let y = y.map_or_else(|| Array2::zeros((0, 0)), |y| y.to_owned());
        let scale = preprocessing.log_abs_det_scale();
        match self.run.log_prob(Batch { x: x.view(), y: y.view() }) {
            Some(values) => values
                .into_iter()
                .zip(of_kicks)
                .map(|(value, kicks)| value - scale + kicks)
                .collect(),
            None => vec![f64::NEG_INFINITY; u.nrows()],
        }
    }

    /// Coordinates (rows x d) of positions in the frame of the run, and nuisances.
    fn coordinates(&self, inferred: ArrayView2<'_, f64>) -> Array2<f64> {
        let origin = Array1::from(self.origin.clone());
        (&inferred - &origin).dot(&self.basis.t())
    }

    /// Positions in the frame of the run, and nuisances, of coordinates (rows x d), behind which momenta at the start may
    /// stand.
    fn inferred(&self, coordinates: ArrayView2<'_, f64>) -> Array2<f64> {
        coordinates.slice(s![.., ..self.basis.nrows()]).dot(&self.basis)
            + Array1::from(self.origin.clone())
    }

    fn in_frame_of_run(&self, found: &Found, y: &[f64]) -> RefinedEvent {
        let Found { refined, chain, outside_law } = found;
        let components = y.len() as f64;
        let solved = SOLVED * y.iter().fold(0.0, |most: f64, p| most.max(p.abs()));
        let modes: Vec<PositionMode> = refined
            .modes
            .iter()
            .zip(outside_law)
            .map(|(mode, outside_law)| PositionMode {
                outside_law: *outside_law,
                inferred: self.inferred(row(&mode.coordinates)).into_raw_vec_and_offset().0,
                weight: self.has_noise().then_some(mode.weight),
                misfit: (mode.misfit / components).sqrt(),
                searches: mode.starts,
            })
            .filter(|mode| mode.misfit <= if self.has_noise() { EXPLAINED } else { solved })
            .collect();
        // Infinities are told: k-hat has them at its best and its worst, the evidence where nothing has a weight.
        let known = |value: f64| (self.has_noise() && !value.is_nan()).then_some(value);
        let outside = if self.has_noise() {
            // A NaN is no sound number either.
            let (k_hat, evidence) = (refined.k_hat, refined.log_evidence);
            OutsideModel {
                k_hat: k_hat.is_nan() || k_hat > worst_k_hat(refined.log_weights.len()),
                evidence: evidence.is_nan() || evidence < self.least_evidence,
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
            self.inferred(refined.draws.view())
        } else {
            let rows = modes.iter().flat_map(|mode| mode.inferred.iter().copied()).collect();
            match Array2::from_shape_vec((modes.len(), self.origin.len()), rows) {
                Ok(rows) => rows,
                Err(_) => unreachable!("a mode has all positions"),
            }
        };
        let chain = chain.as_ref().map(|chain| {
            let kept = chain.draws.nrows();
            let used = kept.min(self.options.resampled);
            let spaced: Vec<_> = (0..used).map(|draw| draw * kept / used).collect();
            ChainDraws {
                draws: self.inferred(chain.draws.select(Axis(0), &spaced).view()),
                r_hat: chain.r_hat.iter().copied().fold(1.0, f64::max),
            }
        });
        RefinedEvent {
            contacts: Vec::new(),
            chain,
            draws,
            modes,
            k_hat: known(refined.k_hat),
            effective_sample_size: known(refined.effective_sample_size),
            log_evidence: known(refined.log_evidence),
            outside,
        }
    }

    /// Draws of the geometry law, where the momenta have no noise and the law is known.
    fn draws_of_the_law(
        &self,
        simulation: Option<&Simulation>,
        seed: u64,
    ) -> Result<Option<Law>, RunError> {
        let same_atoms = |law: &Simulation| law.molecule.labels() == self.molecule.labels();
        let Some(simulation) =
            simulation.filter(|law| !self.has_noise() && law.geometry.is_some() && same_atoms(law))
        else {
            return Ok(None);
        };
        let seed = derived_seed(seed, Purpose::GeometryLaw, 0);
        let events = simulate(&for_training(simulation), LOOKED_UP, seed)?;
        let preprocessing = &self.run.record.preprocessing;
        let momenta = preprocessing.encode_y(events.momenta.view()).mapv(f64::from);
        let positions = preprocessing.gauge().positions(events.positions, events.momenta.view());
        Ok(Some(Law {
            by_momenta: NearestNeighbours::fit(momenta.view(), positions.view())?,
            positions: positions.slice_move(s![..LAW_DRAWS, ..]),
        }))
    }

    /// The evidence below which momenta are far less probable than those of training events: the least of
    /// [`EVIDENCE_EVENTS`] of these, less [`EVIDENCE_MARGIN`].
    fn evidence_of_training(&self, seed: u64) -> Result<f64, RunError> {
        if !self.has_noise() {
            return Ok(f64::NEG_INFINITY);
        }
        let Some(y) = self.momenta_of_training(seed)? else { return Ok(f64::NEG_INFINITY) };
        let draws = draw_positions(self.run, y.view(), self.network_draws(), seed, 0);
        let evidence = self.refine(y.view(), &draws, seed, 0)?;
        let known = evidence.iter().filter_map(|event| event.log_evidence);
        let mut values: Vec<f64> = known.filter(|evidence| evidence.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        Ok(quantile(&values, 0.0).map_or(f64::NEG_INFINITY, |least| least - EVIDENCE_MARGIN))
    }

    /// Momenta of training events as they would stand in a file; none where they are not known.
    fn momenta_of_training(&self, seed: u64) -> Result<Option<Array2<f64>>, RunError> {
        let record = &self.run.record;
        let is_aligned = self.density.as_ref().is_some_and(PositionDensity::is_aligned);
        // The support keeps momenta in the frame of the run; alignment and uneven noise are the laboratory's.
        if let Some(simulation) = record.simulation.as_ref().filter(|_| is_aligned) {
            let mut simulation = for_training(simulation);
            simulation.detector = record.detector.clone().unwrap_or_default();
            let seed = derived_seed(seed, Purpose::GeometryLaw, 0);
            return Ok(Some(simulate(&simulation, EVIDENCE_EVENTS, seed)?.momenta));
        }
        if is_uneven(&self.noise) {
            return Ok(None);
        }
        let support = Support::load(self.run)?;
        Ok(support.map(|support| support.momenta(&record.preprocessing, EVIDENCE_EVENTS)))
    }
}

fn row(values: &[f64]) -> ArrayView2<'_, f64> {
    match ArrayView2::from_shape((1, values.len()), values) {
        Ok(row) => row,
        Err(_) => unreachable!("a slice is one row"),
    }
}
