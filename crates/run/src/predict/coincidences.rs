//! False coincidences: how probable it is that the ions of an event come from one molecule.

use cei_data::{CentreOfMass, SumGate, SumOptions, is_incomplete};
use cei_model::random::{Purpose, stream};
use cei_posterior::{Background, FalseCoincidences, Selected};
use ndarray::{ArrayView2, s};
use rand_distr::{Distribution as _, StandardNormal};
use rayon::prelude::*;
use serde::Serialize;

use crate::dataset::LaterTable;
use crate::refine::Refiner;
use crate::{RunError, TrainedRun};

/// Sums of noise of which a gate accepts a part.
const NOISE_SUMS: usize = 100_000;
/// Thresholds of `p_true` that are told.
const THRESHOLDS: [f64; 4] = [0.1, 0.5, 0.9, 0.99];

/// What false coincidences are made of.
#[derive(Debug, Clone, PartialEq)]
pub enum Mixed {
    /// The ions of the events themselves.
    Events,
    /// Those of other events, with the same columns.
    Others(Box<LaterTable>),
}

/// What is known of the false coincidences of a file before its events are inferred.
pub(crate) struct Coincidences {
    background: Background,
    /// Whether the events themselves were mixed.
    is_own: bool,
    /// What the gate does to the ratio of the densities, nats.
    log_gate: f64,
}

/// What is said of the ions of one event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Coincidence {
    /// Log-density of the momenta of mixed ions, nats.
    pub(super) log_background: f64,
    /// What the event tells about the fraction, nats.
    log_ratio: f64,
    pub(super) p_true: f64,
}

impl Coincidence {
    /// Of an event whose momenta are no measurement.
    const NONE: Self = Self { log_background: f64::NAN, log_ratio: f64::NAN, p_true: f64::NAN };
}

impl Coincidences {
    /// Mixes the events; none where that is not asked for. `y` are the momenta of the file (a.u.), with charges behind them where
    /// the run is conditioned on these.
    ///
    /// # Errors
    /// Momenta without noise, aligned molecules, a motion of the centre of mass that was removed, too few events; another
    /// file of events that cannot be read.
    pub(super) fn of(
        run: &TrainedRun,
        refiner: Option<&Refiner<'_>>,
        mixed: Option<&Mixed>,
        sums: &SumOptions,
        y: ArrayView2<'_, f64>,
    ) -> Result<Option<Self>, RunError> {
        let (Some(mixed), Some(refiner)) = (mixed, refiner) else {
            return Ok(None);
        };
        refiner.check_coincidences()?;
        if sums.centre_of_mass == CentreOfMass::Removed {
            return Err(RunError::NoCoincidences {
                path: run.path.clone(),
                why: "the motion of the centre of mass is removed, by which they are told"
                    .to_owned(),
                hint: "leave out `--centre-of-mass removed`",
            });
        }
        let momenta = run.record.preprocessing.momenta();
        let others = match mixed {
            Mixed::Events => None,
            Mixed::Others(table) => Some(table.load(run, false)?.table.y),
        };
        let mixed_events = others.as_ref().map_or(y, |others| others.view());
        if y.rows().into_iter().chain(mixed_events.rows()).any(is_incomplete) {
            return Err(RunError::NoCoincidences {
                path: run.path.clone(),
                why: "ions are missing in some of its events, and only complete events are mixed"
                    .to_owned(),
                hint: "leave events with missing ions out of the file",
            });
        }
        if mixed_events.nrows() < Background::LEAST_EVENTS {
            return Err(RunError::NoCoincidences {
                path: run.path.clone(),
                why: format!(
                    "{} events are too few to mix their ions, of at least {}",
                    mixed_events.nrows(),
                    Background::LEAST_EVENTS
                ),
                hint: "name a file of more events, with the same columns, with `--background`",
            });
        }
        let mut mixed_momenta = mixed_events.slice(s![.., ..momenta]).to_owned();
        if let Some(alike) = run.record.preprocessing.alike() {
            // The evidence of an event is a density of ions that are called as may be: so must this be.
            alike.mix(mixed_momenta.view_mut());
        }
        let background = Background::mixed(mixed_momenta.view())?;
        let log_gate = match sums {
            SumOptions { gate: Some(gate), .. } => {
                let of_noise = accepted_noise(gate, &run.record.noise().unwrap_or_default());
                (background.accepted(|sum| gate.accepts(sum)) / of_noise).ln()
            }
            SumOptions { gate: None, .. } => 0.0,
        };
        Ok(Some(Self { background, is_own: *mixed == Mixed::Events, log_gate }))
    }

    /// What the momenta (a.u.) of an event, which stands in this row of the file, tell against false coincidences, but for its
    /// evidence, nats.
    pub(crate) fn against(&self, momenta: &[f64], row: usize) -> f64 {
        self.log_gate - self.log_background(momenta, row)
    }

    fn log_background(&self, momenta: &[f64], row: usize) -> f64 {
        let momenta = &momenta[..self.background.components()];
        self.background.log_density(momenta, self.is_own.then_some(row))
    }

    /// Judges an event, where this fraction is false.
    fn judge(
        &self,
        fraction: &FalseCoincidences,
        momenta: &[f64],
        row: usize,
        log_evidence: Option<f64>,
    ) -> Coincidence {
        let log_background = self.log_background(momenta, row);
        let log_ratio = log_evidence.unwrap_or(f64::NEG_INFINITY) - log_background + self.log_gate;
        Coincidence { log_background, log_ratio, p_true: fraction.p_true(log_ratio) }
    }
}

/// The part of true coincidences that a gate accepts: sums of noise of these standard deviations (3N, a.u.).
fn accepted_noise(gate: &SumGate, noise: &[f64]) -> f64 {
    let mut variances = [0.0; 3];
    noise.iter().enumerate().for_each(|(place, sd)| variances[place % 3] += sd * sd);
    let mut rng = stream(0, Purpose::DetectorNoise, 0);
    let accepted = (0..NOISE_SUMS).filter(|_| {
        gate.accepts(variances.map(|variance: f64| {
            let z: f64 = StandardNormal.sample(&mut rng);
            variance.sqrt() * z
        }))
    });
    accepted.count().max(1) as f64 / NOISE_SUMS as f64
}

/// The false coincidences of a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CoincidenceReport {
    /// The fraction of events whose ions come from two molecules, of largest likelihood.
    pub fraction: f64,
    /// Its standard deviation.
    pub fraction_sd: f64,
    /// The fraction that `p_true` was worked out with, from the first events.
    pub fraction_of_first: f64,
    /// Events from which that was learned, evenly spaced in the file.
    pub first_events: usize,
    /// What is left if events below a threshold of `p_true` are left out.
    pub selected: Vec<SelectedEvents>,
}

/// Events at or above a threshold of `p_true`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SelectedEvents {
    /// The threshold.
    pub p_true: f64,
    /// How many they are.
    pub events: usize,
    /// Expected part of true coincidences among them.
    pub purity: f64,
    /// Expected part of all true coincidences that they are.
    pub efficiency: f64,
}

/// What has been found so far.
#[derive(Default)]
pub(super) struct CoincidenceSums {
    log_ratios: Vec<f64>,
    p_true: Vec<f64>,
}

impl CoincidenceSums {
    /// Judges the events of a chunk, which begins with event `first`, by the fraction that is false; those that have no evidence because
    /// their momenta are no measurements are judged not to be anything.
    pub(super) fn add(
        &mut self,
        coincidences: &Coincidences,
        fraction: &FalseCoincidences,
        first: usize,
        y: ArrayView2<'_, f64>,
        log_evidence: &[Option<f64>],
        is_measured: impl Fn(usize) -> bool + Sync,
    ) -> Vec<Coincidence> {
        let judged: Vec<Coincidence> = log_evidence
            .par_iter()
            .enumerate()
            .map(|(event, evidence)| match is_measured(first + event) {
                true => {
                    coincidences.judge(fraction, &y.row(event).to_vec(), first + event, *evidence)
                }
                false => Coincidence::NONE,
            })
            .collect();
        let sound = judged.iter().filter(|event| !event.log_ratio.is_nan());
        sound.for_each(|event| {
            self.log_ratios.push(event.log_ratio);
            self.p_true.push(event.p_true);
        });
        judged
    }

    pub(super) fn report(&self, first: &FalseCoincidences) -> Result<CoincidenceReport, RunError> {
        let FalseCoincidences { fraction, sd, .. } = FalseCoincidences::of(&self.log_ratios)?;
        let selected = THRESHOLDS.map(|threshold| {
            let Selected { threshold, events, purity, efficiency } =
                Selected::above(threshold, &self.p_true);
            SelectedEvents { p_true: threshold, events, purity, efficiency }
        });
        Ok(CoincidenceReport {
            fraction,
            fraction_sd: sd,
            fraction_of_first: first.fraction,
            first_events: first.events,
            selected: selected.to_vec(),
        })
    }
}
