//! Is a posterior as wide as it says, and where it says? Ranks of the truth of test events among
//! posterior draws, tested for uniformity: simulation-based calibration of every quantity,
//! highest-density coverage and TARP of the posterior as a whole.
//!
//! The tests see nothing but plain arrays of draws, so any source of draws can be tested: [`calibrate_run`] gives them
//! those of the network, or those that the simulator has refined.
//!
//! | in | is |
//! | --- | --- |
//! | `events` | test events, and draws for them |
//! | `uniformity` | the tests of ranks |
//! | `ranks` | ranks of many events as one |
//! | `report` | the outcome as it is told and kept |
//! | `figures` | ranks, ECDF differences, coverage |

mod events;
mod figures;
mod ranks;
mod report;
mod uniformity;

use std::ops::Range;
use std::path::{Path, PathBuf};

use cei_data::by_detected;
use cei_model::{Device, Team};
use ndarray::{Array2, Array3, ArrayView2, Axis, concatenate, s};

use crate::c2st::check_level;
use crate::config::MOST_DRAWS;
use crate::dataset::{Dataset, trained_on};
use crate::error::LaterError;
use crate::folder::layout::CALIBRATION;
use crate::folder::sealed::{not_kept, write_json};
use crate::refine::Refiner;
use crate::trained::draws::{check_draws, draw_positions};
use crate::trained::{DetectedSet, detected_sets, log_prob_of_draws, log_prob_of_truth};
use crate::{RunError, TrainedRun};

use events::{CalibrationEvents, EventDraws};
pub use report::{
    Calibration, CalibrationTests, DetectedTests, JointC2st, QuantityTest, RegionTest,
};
use uniformity::{AllRanks, chunks, ranks_of};

/// Fewest events: 20 truths and 20 draws for the classifier; of fewer, no test of ranks can fail anything.
const LEAST_EVENTS: usize = 40;

/// Fewest draws of an event.
const LEAST_DRAWS: usize = 9;

/// Importance draws from which refined draws are resampled.
const REFINED_SAMPLES: usize = 1000;

/// What to test, and at which error rate.
#[derive(Debug, Clone)]
pub struct CalibrateOptions {
    /// Test events at most.
    pub events: usize,
    /// Draws of each event, L. L + 1 divisible by 20 gives equal bins.
    pub draws: usize,
    /// Seed of draws, references and ties.
    pub seed: u64,
    /// Error rate of each of the three families of tests.
    pub level: f64,
    /// Whether the draws are those that the simulator has refined.
    pub refine: bool,
    /// Whether the refinement is told the charge states of the events, where the run is conditioned on them; if not, it is
    /// tested on them too.
    pub charges_known: bool,
    /// Where `calibration.json` and figures go; by default the run folder.
    pub folder: Option<PathBuf>,
}

/// Tests the network of a run on its test events and writes `calibration.json` and figures.
///
/// # Errors
/// No trained model, a table that is not that of the training, too few events or draws, a level
/// outside (0, 1), a folder that cannot be made. What cannot be kept there is told in the result.
///
/// ```
/// # let (folder, run) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/tiny_run.in"));
/// use cei_run::calibrate::{CalibrateOptions, calibrate_run};
///
/// let options = CalibrateOptions {
///     events: 60,
///     draws: 39,
///     seed: 0,
///     level: 0.01,
///     refine: false,
///     charges_known: true,
///     folder: None,
/// };
/// let calibration = calibrate_run(&run, &options, cei_model::open_device("cpu")?, |_, _| {})?;
/// // A network that has hardly been trained gives itself away, or not, with so few events.
/// println!("pass: {}", calibration.pass);
/// assert!(run.join("calibration.json").exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn calibrate_run(
    path: &Path,
    options: &CalibrateOptions,
    device: Device,
    progress: impl FnMut(usize, usize),
) -> Result<Calibration, RunError> {
    let calibration = calibrate_in_team(path, options, device, &Team::default(), progress)?;
    Ok(calibration.unwrap_or_else(|| unreachable!("one process leads itself")))
}

/// The same by the processes of a team, which share the events. Only the first one writes, and knows the outcome.
///
/// # Errors
/// As [`calibrate_run`].
pub fn calibrate_in_team(
    path: &Path,
    options: &CalibrateOptions,
    device: Device,
    team: &Team,
    progress: impl FnMut(usize, usize),
) -> Result<Option<Calibration>, RunError> {
    check_level(options.level)?;
    check_draws(options.draws, LEAST_DRAWS, MOST_DRAWS)?;
    if options.events < LEAST_EVENTS {
        let value = options.events;
        return Err(RunError::TooSmall { key: "--events", value, least: LEAST_EVENTS });
    }
    let mut run = TrainedRun::load(path, device)?;
    if options.refine {
        run.draw_from_prior();
    }
    let dataset = Dataset::of_run(&run)?;
    let (raw_x, raw_y) = test_rows(&run, &dataset, options.events)?;
    let refiner = refiner(&run, options)?;
    let states = refiner.as_ref().and_then(Refiner::unknown_states);
    let states = states.filter(|_| run.record.preprocessing.has_charges());
    let events = CalibrationEvents::of(&run, &dataset, &raw_x, &raw_y, options.seed, states)?;
    let (x, y) = (raw_x.view(), raw_y.view());
    let source = Source { run: &run, refiner: refiner.as_ref(), options, team, x, y };
    if !team.leads() {
        chunks(y.nrows()).try_for_each(|range| source.send(range))?;
        return Ok(None);
    }
    if let Some(folder) = &options.folder {
        std::fs::create_dir_all(folder).map_err(RunError::io("create", folder))?;
    }
    let mut seen = Seen { outside: 0, one_draw: Array2::zeros(raw_x.raw_dim()) };
    let draws = |range: Range<usize>| source.draws(range, &mut seen);
    let ranks = ranks_of(&events, draws, progress)?;
    let tests = ranks.tests(options.level, options.seed)?;
    let by_detected = tests_by_detected(&run, raw_y.view(), &ranks, options)?;
    let joint_c2st =
        joint_c2st(&run, raw_x.view(), seen.one_draw.view(), raw_y.view(), options.seed)?;
    let mut calibration = Calibration {
        not_kept: None,
        joint_c2st,
        model: run.record.name(),
        data_fingerprint: dataset.fingerprint,
        trained_on: trained_on(&run, raw_x.view(), raw_y.view())?,
        events: raw_y.nrows(),
        draws: options.draws,
        refined: options.refine,
        outside_model: options.refine.then_some(seen.outside),
        seed: options.seed,
        level: options.level,
        pass: tests.pass(),
        tests,
        by_detected,
    };
    let folder = options.folder.as_deref().unwrap_or(&run.path);
    let kept = write_json(&folder.join(CALIBRATION), &calibration)
        .and_then(|()| figures::draw(folder, &calibration));
    calibration.not_kept = not_kept(kept)?;
    Ok(Some(calibration))
}

/// The tests of the events of which as many ions, or the same ones, were detected; none where no ion may be missing.
fn tests_by_detected(
    run: &TrainedRun,
    raw_y: ArrayView2<'_, f64>,
    ranks: &AllRanks,
    options: &CalibrateOptions,
) -> Result<Vec<DetectedTests>, RunError> {
    let preprocessing = &run.record.preprocessing;
    let Some(molecule) = run.molecule().filter(|_| preprocessing.may_miss_ions()) else {
        return Ok(Vec::new());
    };
    let sets = detected_sets(molecule, by_detected(preprocessing.momenta_of(raw_y)));
    let of_set = |DetectedSet { ions, missing, rows }: DetectedSet| {
        let tests = (rows.len() >= LEAST_EVENTS)
            .then(|| ranks.of(&rows).tests(options.level, options.seed))
            .transpose()?;
        let pass = tests.as_ref().map(CalibrationTests::pass);
        Ok(DetectedTests { ions, missing, events: rows.len(), tests, pass })
    };
    sets.into_iter().map(of_set).collect()
}

/// The first test events of a run, raw, at most so many.
fn test_rows(
    run: &TrainedRun,
    dataset: &Dataset,
    most: usize,
) -> Result<(Array2<f64>, Array2<f64>), RunError> {
    let (x, y) = dataset.table.part(&dataset.split.test);
    let count = most.min(y.nrows());
    if count < LEAST_EVENTS {
        let (path, needed) = (run.path.clone(), LEAST_EVENTS);
        return Err(RunError::TooFewTestEvents { path, found: count, needed });
    }
    let first = s![..count, ..];
    Ok((x.slice(first).to_owned(), y.slice(first).to_owned()))
}

/// What refines the draws, where that is asked for.
fn refiner<'a>(
    run: &'a TrainedRun,
    options: &CalibrateOptions,
) -> Result<Option<Refiner<'a>>, RunError> {
    if !options.charges_known {
        let simulation = run.record.simulation.as_ref().filter(|law| law.has_channels());
        let channels = simulation.map_or(0, |law| law.channels.len());
        if !run.record.preprocessing.has_charges() {
            return Err(LaterError::ChargesNotAsked { channels }.into());
        }
        if channels == 0 {
            return Err(LaterError::NoChannels.into());
        }
    }
    if !options.refine {
        return Ok(None);
    }
    let refiner =
        Refiner::new(run, REFINED_SAMPLES, options.draws, options.seed, options.charges_known)?;
    if refiner.has_noise() {
        return Ok(Some(refiner));
    }
    Err(RunError::CannotRefine {
        path: run.path.clone(),
        why: "its momenta have no noise, so that its posterior is a set of points".to_owned(),
        hint: "calibrate the network alone, or see `cei predict --refine --modes FILE`",
    })
}

/// Where draws come from: the network, or its draws as the simulator has refined them.
struct Source<'a> {
    run: &'a TrainedRun,
    refiner: Option<&'a Refiner<'a>>,
    options: &'a CalibrateOptions,
    /// Who shares the events.
    team: &'a Team,
    /// Raw positions and momenta of the events.
    x: ArrayView2<'a, f64>,
    y: ArrayView2<'a, f64>,
}

/// What is kept of the draws beside their ranks.
struct Seen {
    /// Events outside the model.
    outside: usize,
    /// One draw of each event; any will do.
    one_draw: Array2<f64>,
}

impl Source<'_> {
    /// The draws of a range of events, those of the other processes among them.
    fn draws(&self, range: Range<usize>, seen: &mut Seen) -> Result<EventDraws, RunError> {
        let Self { options, team, .. } = *self;
        let (own, outside) = self.own_draws(self.share_of(0, &range))?;
        seen.outside += outside;
        let mut parts = vec![own];
        for other in 1..team.size() {
            let mut outside = [0_u64];
            team.receive(other, &mut outside);
            seen.outside += outside[0] as usize;
            let mut part = parts[0].like(self.share_of(other, &range).len());
            part.numbers_mut().into_iter().for_each(|numbers| team.receive(other, numbers));
            parts.push(part);
        }
        let draws = EventDraws::joined(parts);
        for (event, draws) in draws.positions.axis_iter(Axis(0)).enumerate() {
            let event = range.start + event;
            seen.one_draw.row_mut(event).assign(&draws.row(event % options.draws));
        }
        Ok(draws)
    }

    /// Sends the first process the draws of this one's events of a range.
    fn send(&self, range: Range<usize>) -> Result<(), RunError> {
        let (mut own, outside) = self.own_draws(self.share_of(self.team.rank(), &range))?;
        self.team.send(0, &[outside as u64]);
        own.numbers_mut().into_iter().for_each(|numbers| self.team.send(0, numbers));
        Ok(())
    }

    /// Which events of a range are those of a process.
    fn share_of(&self, rank: usize, range: &Range<usize>) -> Range<usize> {
        let share = self.team.share_of(rank, range.len());
        range.start + share.start..range.start + share.end
    }

    /// The draws of a range of events, and how many of these are outside the model.
    fn own_draws(&self, range: Range<usize>) -> Result<(EventDraws, usize), RunError> {
        let Self { run, options, .. } = *self;
        let (first, rows, seed) = (range.start, s![range, ..], options.seed);
        let mut outside = 0;
        let (x, y) = (self.x.slice(rows), self.y.slice(rows));
        let draws = match self.refiner {
            Some(refiner) => {
                let network = draw_positions(run, y, refiner.network_draws(), seed, first);
                let refined = refiner.refine(y, network.view(), seed, first)?;
                let mut positions = Array3::zeros((y.nrows(), options.draws, x.ncols()));
                for (event, mut target) in refined.iter().zip(positions.axis_iter_mut(Axis(0))) {
                    outside += usize::from(event.outside.any());
                    target.assign(&event.draws.slice(s![..options.draws, ..]));
                }
                let states = refiner.unknown_states().map(|_| {
                    Array2::from_shape_fn((y.nrows(), options.draws), |(event, draw)| {
                        let states = refined[event].states.as_ref();
                        states.map_or(0.0, |states| states.of_draws[draw] as f64)
                    })
                });
                EventDraws { positions, states, log_prob: None }
            }
            None => {
                let positions = draw_positions(run, y, options.draws, seed, first);
                let truth = log_prob_of_truth(run, x, y, seed, first);
                let of_draws = log_prob_of_draws(run, &positions, y, seed, first);
                EventDraws { positions, states: None, log_prob: truth.zip(of_draws) }
            }
        };
        Ok((draws, outside))
    }
}

/// Tells true positions with their momenta, of every other event, from drawn ones with theirs, of the events
/// between. Of one event both would stand beside the same momenta, and a classifier that has seen the one
/// would take the other for its opposite.
fn joint_c2st(
    run: &TrainedRun,
    truth: ArrayView2<'_, f64>,
    draws: ArrayView2<'_, f64>,
    y: ArrayView2<'_, f64>,
    seed: u64,
) -> Result<JointC2st, RunError> {
    let preprocessing = &run.record.preprocessing;
    let scaled_y = preprocessing.encode_y(y);
    let joint = |x: Array2<f32>| match concatenate(Axis(1), &[x.view(), scaled_y.view()]) {
        Ok(joint) => joint.mapv(f64::from),
        Err(_) => unreachable!("both have one row an event"),
    };
    let truth = joint(preprocessing.encode_x(truth, y));
    let draws = joint(preprocessing.encode_gauged_x(draws));
    let (truth, draws) = (truth.slice(s![..;2, ..]), draws.slice(s![1..;2, ..]));
    let c2st = cei_metrics::c2st(draws, truth, seed)?;
    Ok(JointC2st { accuracy: c2st.accuracy, standard_error: c2st.standard_error })
}
