//! The posterior of one event in one charge state.

use std::sync::OnceLock;

use cei_model::random::{Purpose, standard_normal, stream};
use cei_model::{Batch, Density};
use cei_physics::{Accuracy, Dynamics, InitialMomentumLaw, Molecule, Nuisance, PositionDensity};
use cei_posterior::{
    Chain, ChainOptions, Chart, ChartPrior, Components, Event, Explorer, Explosion, Forward,
    LogProb, Mode, RefineOptions, Refined, find_solutions, refine, sample_chain,
};
use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate, s};

use super::event::EventStates;
use super::law::Law;
use crate::{RunError, TrainedRun};

/// Fewest draws of the network that searches and laws begin from.
const LEAST_NETWORK_DRAWS: usize = 128;
/// Without noise, so many draws of the geometry law of the most similar momenta may begin searches: not all at a time.
const NEAREST: usize = 600;
/// With noise, so many begin the searches of an event that the network's draws do not explain.
const NEAR_OF_LOST: usize = 400;

/// What the posteriors of all events of a run are made of.
pub(super) struct Target<'a> {
    pub(super) run: &'a TrainedRun,
    pub(super) molecule: &'a Molecule,
    pub(super) origin: Vec<f64>,
    pub(super) basis: Array2<f64>,
    /// The geometry law; without noise it only excludes solutions, and may be unknown.
    pub(super) density: Option<PositionDensity>,
    pub(super) noise: Vec<f64>,
    /// What the chart has beside the positions.
    pub(super) nuisances: Vec<Nuisance>,
    /// None for ions at rest.
    pub(super) motion: Option<InitialMomentumLaw>,
    pub(super) dynamics: Dynamics,
    pub(super) accuracy: Accuracy,
    pub(super) options: RefineOptions,
    pub(super) chain: Option<ChainOptions>,
    /// What is drawn when it is first needed; none where the law is not known.
    pub(super) law: OnceLock<Option<Law>>,
    /// Of the draws of the law.
    pub(super) seed: u64,
}

/// What was found for one event, in the coordinates of its chart.
pub(super) struct Found {
    pub(super) refined: Refined,
    pub(super) chain: Option<Chain>,
    /// Of each mode, whether the geometry law excludes it.
    pub(super) outside_law: Vec<bool>,
    /// Where several charge states are possible.
    pub(super) states: Option<EventStates>,
    /// Of each mode, the place of its charge state.
    pub(super) of_modes: Vec<usize>,
}

impl Target<'_> {
    /// Draws of the geometry law; none where it is not known. Not for many threads at once.
    pub(super) fn law(&self) -> Result<Option<&Law>, RunError> {
        if let Some(law) = self.law.get() {
            return Ok(law.as_ref());
        }
        let law = Law::draw(self.run, self.molecule, self.seed)?;
        Ok(self.law.get_or_init(|| law).as_ref())
    }

    /// How many of the network's draws each event needs: with noise, those among the importance draws at least.
    pub(super) fn network_draws(&self) -> usize {
        let samples = self.options.samples;
        if !self.has_noise() {
            return samples;
        }
        let proposed = (self.options.network_fraction * samples as f64).ceil() as usize;
        proposed.max(LEAST_NETWORK_DRAWS).min(samples)
    }

    /// Whether the momenta have noise, so that draws have weights.
    pub(super) fn has_noise(&self) -> bool {
        !self.noise.is_empty()
    }

    /// Refines an event in one charge state, that of `molecule`. `y` has the charges behind the momenta where the run is
    /// conditioned on them. Where searches from the network's draws were `lost`, draws of the law begin them.
    pub(super) fn refine_event(
        &self,
        molecule: &Molecule,
        y: &[f64],
        draws: ArrayView2<'_, f64>,
        lost: Option<&Law>,
        seed: u64,
    ) -> Result<Found, RunError> {
        let scaled_y = self.run.record.preprocessing.encode_y(row(y));
        let y = &y[..3 * molecule.atom_count()];
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
        let dynamics = &self.dynamics;
        let mut explosion = Explosion::new(molecule, dynamics, &chart, &accuracy)?;
        if let Some(law) = &self.motion {
            explosion = explosion.with_motion(law);
        }
        let new_prior = |density| ChartPrior::new(density, &self.nuisances, &chart);
        let prior = match &self.density {
            Some(density) if self.has_noise() => Some(new_prior(density)?),
            Some(density) => new_prior(density).ok(),
            None => None,
        };
        // Where the chart has not all dimensions of the law, as in a plane that momenta without noise fix, its limits are known all
        // the same.
        let is_drawn = |u: &[f64]| {
            let positions = &chart.positions_of(u)[..3 * molecule.atom_count()];
            let known = self.density.as_ref().map(|density| density.log_density(positions));
            known != Some(f64::NEG_INFINITY)
        };
        let log_density = |u: &[f64]| match &prior {
            Some(prior) => prior.log_density(u),
            None if is_drawn(u) => 0.0,
            None => f64::NEG_INFINITY,
        };
        let log_prior = |u: &[f64]| if self.has_noise() { log_density(u) } else { 0.0 };
        // Momenta at the start have their prior as measurements (`Explosion`).
        let kicks = self.motion.as_ref().map_or(0, InitialMomentumLaw::dimension);
        let measured = [y, &vec![0.0; kicks]].concat();
        let noise = [&self.noise[..], &vec![1.0; kicks]].concat();
        // The likelihood is that of what was measured: components of ions that are missing are none of it.
        let seen: Vec<usize> = (0..measured.len()).filter(|&at| !measured[at].is_nan()).collect();
        let is_complete = seen.len() == measured.len();
        let in_part = Components::new(&explosion, seen);
        let measured = in_part.of(&measured);
        let noise = if noise.is_empty() { noise } else { in_part.of(&noise) };
        let forward: &dyn Forward = if is_complete { &explosion } else { &in_part };
        let event = Event { forward, log_prior: &log_prior, measured: &measured, noise: &noise };
        let draws = self.coordinates(draws);
        let mut rng = stream(seed, Purpose::InitialMomenta, 0);
        let of_prior = standard_normal(draws.nrows(), kicks, &mut rng).mapv(f64::from);
        let draws = concatenate![Axis(1), draws, of_prior];
        let log_prob = |u: &Array2<f64>| self.network_log_prob(u, &scaled_y);
        // Draws of a model without a density start the search, but cannot be weighted.
        let has_density = self.run.record.model.architecture().density() == Density::Exact;
        let network: Option<&LogProb<'_>> = if has_density { Some(&log_prob) } else { None };
        let refined = match self.law.get() {
            Some(Some(law)) if !self.has_noise() => {
                let of = |accuracy| Explosion::new(molecule, dynamics, &chart, &accuracy);
                let (fast, rough) = (of(Accuracy::fast())?, of(Accuracy::rough())?);
                // Coordinates are those of the frame of the run too.
                let chart = &Chart::new(Array1::from(self.origin.clone()), self.basis.clone())?;
                let near = law.near(scaled_y.view(), NEAREST)?;
                let (near, law) =
                    (near.slice(s![.., ..law.positions.ncols()]), law.positions.view());
                let (fast, rough, log_density): (&dyn Forward, &dyn Forward, &_) =
                    (&fast, &rough, &log_density);
                let explorer = Explorer { fast, rough, chart, law, near, log_density };
                let modes = &self.options.modes;
                find_solutions(&event, draws.view(), &explorer, modes, seed)?.into()
            }
            _ => match lost {
                None => refine(&event, draws.view(), network, &self.options, seed)?,
                Some(law) => {
                    let near = law.near(scaled_y.view(), NEAR_OF_LOST)?;
                    let near = self.coordinates(near.view());
                    let of_prior = standard_normal(near.nrows(), kicks, &mut rng).mapv(f64::from);
                    let near = concatenate![Axis(1), near, of_prior];
                    refine(&event, near.view(), None, &self.options, seed)?
                }
            },
        };
        let chain = self
            .chain
            .as_ref()
            .map(|options| sample_chain(&event, draws.view(), &refined.modes, options, seed))
            .transpose()?
            .flatten();
        let excluded = |mode: &Mode| log_density(&mode.coordinates) == f64::NEG_INFINITY;
        let outside_law = refined.modes.iter().map(excluded).collect();
        let of_modes = vec![0; refined.modes.len()];
        Ok(Found { refined, chain, outside_law, states: None, of_modes })
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

    /// The momenta (rows x 3N, a.u.) with which ions that move start at coordinates, in the orientation of the file with the
    /// momenta `y`; no columns for ions at rest.
    pub(super) fn initial_momenta(
        &self,
        coordinates: ArrayView2<'_, f64>,
        y: &[f64],
    ) -> Array2<f64> {
        let Some(law) = &self.motion else { return Array2::zeros((coordinates.nrows(), 0)) };
        let gauge = self.run.record.preprocessing.gauge();
        let columns = 3 * self.molecule.atom_count();
        let inferred = self.inferred(coordinates);
        let kicks = coordinates.slice(s![.., self.basis.nrows()..]);
        let mut momenta = Array2::zeros((coordinates.nrows(), columns));
        let rows = inferred.rows().into_iter().zip(kicks.rows());
        for (mut momenta, (inferred, kicks)) in momenta.rows_mut().into_iter().zip(rows) {
            let mut positions = inferred.slice(s![..columns]).to_vec();
            gauge.rotate_back(&mut positions, y);
            momenta.assign(&law.factor(&positions).dot(&kicks));
        }
        momenta
    }

    /// Positions in the frame of the run, and nuisances, of coordinates (rows x d), behind which momenta at the start may
    /// stand.
    pub(super) fn inferred(&self, coordinates: ArrayView2<'_, f64>) -> Array2<f64> {
        coordinates.slice(s![.., ..self.basis.nrows()]).dot(&self.basis)
            + Array1::from(self.origin.clone())
    }
}

/// Numbers as one row.
pub(super) fn row(values: &[f64]) -> ArrayView2<'_, f64> {
    match ArrayView2::from_shape((1, values.len()), values) {
        Ok(row) => row,
        Err(_) => unreachable!("a slice is one row"),
    }
}
