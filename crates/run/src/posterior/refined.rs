//! Draws corrected by the simulator, event by event: what `cei predict --refine` writes.

use ndarray::{Array2, s};

use super::loaded::Posterior;
use super::measured::Measured;
use crate::plausibility::LawEdges;
use crate::refine::{RefinedEvent, Refiner};
use crate::trained::draws::{check_refined, draw_positions};
use crate::{RunError, TrainedRun};

/// Events that are refined at once for each thread: progress is told in between.
const EVENTS_A_THREAD: usize = 4;

/// Refined events.
pub struct RefinedEvents {
    /// Whether the momenta have noise; without it the draws are the modes.
    pub noise: bool,
    /// The charges of the ions in each state that an event may be in, where that is not known; empty otherwise.
    pub states: Vec<Vec<f64>>,
    /// One entry an event.
    pub events: Vec<RefinedDraws>,
}

/// The refined posterior of one event. What needs noise is NaN without.
pub struct RefinedDraws {
    /// Draws (any number x columns): positions (bohr) in the frame of the run, then nuisances. Those of the network for
    /// an event that is outside the model.
    pub draws: Array2<f64>,
    /// The momenta (draws x 3N, a.u.) with which the ions of each draw start, in the orientation of the measured ones; no
    /// columns where they are not asked for, NaN of draws of the network.
    pub initial_momenta: Array2<f64>,
    /// Posterior probability of each of [`RefinedEvents::states`].
    pub probabilities: Vec<f64>,
    /// Of each draw the place of its state among these; empty where the charges are known.
    pub state_of_draws: Vec<usize>,
    /// Geometries that explain the momenta (any number x columns), the most probable first.
    pub modes: Array2<f64>,
    /// Of each mode the place of its charge state.
    pub state_of_modes: Vec<usize>,
    /// Posterior probability of what is nearest to each mode.
    pub weights: Vec<f64>,
    /// Root mean square difference between the momenta of each mode and the measured ones, in units of the noise, or in
    /// a.u. without noise.
    pub misfits: Vec<f64>,
    /// Whether the geometry law excludes each mode.
    pub outside_law: Vec<bool>,
    /// Shape of the tail of the weights.
    pub k_hat: f64,
    /// Effective number of independent draws.
    pub effective_sample_size: f64,
    /// `log p(y)` per unit volume of the momenta (a.u.).
    pub log_evidence: f64,
    /// Why it is not what the model describes, in words (`docs/spec.md`); empty if it is.
    pub outside_model: String,
    /// The limits of the geometry law that it is pinned to, in words; empty if to none.
    pub law_edge: String,
}

impl Posterior {
    /// Refines `draws` of every event, with `initial_momenta` if these are asked for; `progress` is told how many events of
    /// all are done.
    ///
    /// # Errors
    /// No draws or too many, a run that cannot be refined, ions that start at rest where their momenta are asked for.
    pub fn refine(
        &self,
        measured: &Measured,
        draws: usize,
        seed: u64,
        initial_momenta: bool,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<RefinedEvents, RunError> {
        check_refined(draws)?;
        let mut run = TrainedRun::load(&self.run.path, self.device.clone())?;
        run.draw_from_prior();
        let refiner = Refiner::new(&run, draws, draws, seed, measured.charges_known)?;
        let refiner = if initial_momenta { refiner.with_initial_momenta()? } else { refiner };
        let states = refiner.unknown_states().unwrap_or_default().iter();
        let states: Vec<_> = states.map(|state| state.molecule.charges().to_vec()).collect();
        let edges = LawEdges::of_run(&run);
        let mut found = Vec::with_capacity(measured.y.nrows());
        let columns = run.record.preprocessing.x_names().len();
        progress(0, measured.y.nrows());
        let take = |refined: Option<RefinedEvent>| {
            found.push(match refined {
                Some(refined) => RefinedDraws::of(refined, columns, edges.as_ref()),
                None => RefinedDraws::of(RefinedEvent::of_nothing(columns), columns, None),
            });
        };
        refine_each(&run, &refiner, measured, seed, take, progress)?;
        Ok(RefinedEvents { noise: refiner.has_noise(), states, events: found })
    }
}

/// Refines one event after another for `take`, which is given none for an event whose momenta are no measurements.
pub(crate) fn refine_each(
    run: &TrainedRun,
    refiner: &Refiner<'_>,
    measured: &Measured,
    seed: u64,
    mut take: impl FnMut(Option<RefinedEvent>),
    mut progress: impl FnMut(usize, usize),
) -> Result<(), RunError> {
    let events = measured.y.nrows();
    let chunk = EVENTS_A_THREAD * rayon::current_num_threads();
    for start in (0..events).step_by(chunk) {
        let end = (start + chunk).min(events);
        let y = measured.y.slice(s![start..end, ..]);
        let network = draw_positions(run, y, refiner.network_draws(), seed, start);
        for (event, refined) in (start..end).zip(refiner.refine(y, network.view(), seed, start)?) {
            take((!measured.is_far_out(event)).then_some(refined));
        }
        progress(end, events);
    }
    Ok(())
}

impl RefinedDraws {
    fn of(mut event: RefinedEvent, columns: usize, edges: Option<&LawEdges>) -> Self {
        let law_edge = edges.and_then(|edges| edges.in_words(&event.contacts));
        event.outside.law_edge |= law_edge.is_some();
        let modes = &event.modes;
        let (probabilities, state_of_draws) = match event.states {
            Some(states) => (states.probabilities, states.of_draws),
            None => (Vec::new(), Vec::new()),
        };
        Self {
            initial_momenta: event.initial_momenta,
            probabilities,
            state_of_draws,
            state_of_modes: modes.iter().map(|mode| mode.state).collect(),
            modes: Array2::from_shape_fn((modes.len(), columns), |(mode, column)| {
                modes[mode].inferred[column]
            }),
            weights: modes.iter().map(|mode| mode.weight.unwrap_or(f64::NAN)).collect(),
            misfits: modes.iter().map(|mode| mode.misfit).collect(),
            outside_law: modes.iter().map(|mode| mode.outside_law).collect(),
            k_hat: event.k_hat.unwrap_or(f64::NAN),
            effective_sample_size: event.effective_sample_size.unwrap_or(f64::NAN),
            log_evidence: event.log_evidence.unwrap_or(f64::NAN),
            outside_model: event.outside.to_string(),
            law_edge: law_edge.unwrap_or_default(),
            draws: event.draws,
        }
    }
}
