//! A search over keys of an experiment: `cei sweep`.
//!
//! The trials are chosen in batches of a fixed number, each from the results of those before, and stopped by these alone.
//! So what is tried and found follows from the experiment, its `[sweep]` and the table: not from how many trials run at a
//! time, which of them is faster, or whether the search was interrupted. The test part is never looked at.
//!
//! | in | is |
//! | --- | --- |
//! | `space` | values as places on an axis |
//! | `proposal` | what the next trial tries |
//! | `stopping` | which trials are ended early |
//! | `trial` | a training that may be ended |
//! | `study` | the record, `sweep.json` |
//! | `importance` | which keys mattered |
//! | `results` | `trials.csv`, `best.toml`, the figure |
//! | `check` | what is refused before anything is trained |
//! | `observer` | who watches |

mod check;
mod importance;
mod observer;
mod proposal;
mod results;
mod space;
mod stopping;
mod study;
mod trial;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use cei_files::Lock;
use cei_model::{Team, open_device};
use serde::Serialize;

use crate::RunError;
use crate::config::Experiment;
use crate::config::sweep::SweepConfig;
use crate::dataset::Dataset;
use crate::error::SweepError;
use crate::folder::Origin;

use check::{check_folder, check_same, checked, own_values};
use space::Values;
use stopping::Curve;
use trial::Shared;

pub use importance::Importance;
pub use observer::{Silent, SweepObserver};
pub use study::{Given, Outcome, State, Study, Trial};

/// Where and how a search is made; what it is over stands in the experiment.
#[derive(Debug, Clone)]
pub struct SweepOptions {
    /// The experiment; none to go on with that in the folder.
    pub given: Option<Given>,
    /// Overrides of the experiment in the folder, where none is given.
    pub overrides: Vec<String>,
    /// The folder of the search, which holds a run folder for each trial.
    pub folder: PathBuf,
    /// The device that trains.
    pub device: String,
    /// Trials that are trained at a time, each with its part of the threads; those of a batch at most.
    pub jobs: usize,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SweepReport {
    /// What the loss is.
    pub loss: &'static str,
    /// Number of the best trial, if one was trained to its end.
    pub best: Option<usize>,
    /// The trials that have ended, the best first.
    pub trials: Vec<TrialReport>,
    /// Which keys mattered, the most important one first; empty after less than 8 trials.
    pub importance: Vec<Importance>,
    /// Whether trials that were asked for have not ended yet.
    pub interrupted: bool,
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrialReport {
    /// Counted from 1.
    pub number: usize,
    /// To its end or not.
    pub state: State,
    /// The lowest validation loss; none if no epoch was finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_loss: Option<f64>,
    /// The epoch of that loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_epoch: Option<usize>,
    /// Epochs that were finished.
    pub epochs: usize,
    /// Seconds of training.
    pub seconds: f64,
    /// Why it ended, in words.
    pub reason: String,
    /// The values by key.
    pub values: Values,
}

/// Searches until all trials have ended, or goes on with a search. `stop` ends it after the batches of rows under way, and
/// it can then be continued.
///
/// # Errors
/// What is searched over cannot be: a key that does not exist, a value that is refused; another search in the folder; a
/// table that cannot be read; a file that cannot be written. A trial that diverges is no failure of the search.
///
/// ```
/// use std::sync::atomic::AtomicBool;
///
/// use cei_run::presets::{EXPERIMENTS, find};
/// use cei_run::sweep::{Given, Silent, SweepOptions, sweep};
///
/// // A preset, made small enough for an example, and two learning rates.
/// let over = "\n[sweep]\ntrials = 2\n[sweep.over]\ntraining.learning_rate = [1e-3, 2e-3]\n";
/// let small = ["source.events_per_epoch=300", "model.couplings=2", "model.hidden=[8]", "training.max_epochs=1"];
/// let folder = tempfile::tempdir()?;
/// let options = SweepOptions {
///     given: Some(Given {
///         configuration: find(EXPERIMENTS, "wide-spline")?.text.to_owned() + over,
///         origin: "the example".into(),
///         overrides: small.map(str::to_owned).into(),
///     }),
///     overrides: Vec::new(),
///     folder: folder.path().join("search"),
///     device: "cpu".to_owned(),
///     jobs: 1,
/// };
/// let found = sweep(&options, &AtomicBool::new(false), &mut Silent)?;
/// assert_eq!(found.trials.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sweep(
    options: &SweepOptions,
    stop: &AtomicBool,
    observer: &mut dyn SweepObserver,
) -> Result<SweepReport, RunError> {
    sweep_in_team(options, &Team::default(), stop, observer)
}

/// The same by the processes of a team, to which the trials of a batch are dealt in turn. The first one keeps the record; all know
/// what was found.
///
/// # Errors
/// As [`sweep`].
pub fn sweep_in_team(
    options: &SweepOptions,
    team: &Team,
    stop: &AtomicBool,
    observer: &mut dyn SweepObserver,
) -> Result<SweepReport, RunError> {
    let folder = &options.folder;
    check_folder(folder)?;
    let kept = Study::read(folder)?;
    let is_new = kept.is_none();
    let given = given(options, kept)?;
    let (experiment, sweep) = checked(&given)?;
    open_device(&options.device)?;
    if is_new && experiment.source.simulator.is_none() {
        // What no trial could read leaves no folder.
        Dataset::for_training(&experiment, &Origin::of(&experiment)?, folder)?;
    }
    // All have looked at the folder before the first one writes.
    team.meet();
    let mut lock = None;
    if team.leads() {
        std::fs::create_dir_all(folder).map_err(RunError::io("create", folder))?;
        lock = Some(Lock::acquire(folder)?);
    }
    team.meet();
    let mut study = match Study::read(folder)? {
        Some(study) => {
            check_same(folder, &experiment, &study.given.experiment()?)?;
            Study { given, ..study }
        }
        None => Study::new(given),
    };
    let given = study.given.clone();
    let halt = AtomicBool::new(false);
    let shared = Shared {
        given: &given,
        folder,
        device: &options.device,
        team,
        stop,
        halt: &halt,
        observer: Mutex::new(observer),
    };
    for begin in (0..sweep.trials).step_by(sweep.batch) {
        let end = sweep.trials.min(begin + sweep.batch);
        choose(&mut study, &experiment, &sweep, begin, end);
        if study.trials[begin..end].iter().any(|trial| trial.outcome.is_none()) {
            // All have read the record before it is another one.
            team.meet();
            if team.leads() {
                study.write(folder)?;
            }
            study = run_batch(&shared, study, &sweep, begin, end, options.jobs)?;
        }
        if team.any(shared.is_ending()) {
            break;
        }
    }
    let values: Vec<&Values> = study.ranked().iter().map(|(trial, _)| &trial.values).collect();
    let importance = importance::importance(&sweep, &values);
    if team.leads() {
        results::write_tables(folder, &study, &sweep)?;
        results::draw(folder, &study, &sweep, &experiment, &importance)?;
    }
    drop(lock);
    Ok(report(&study, &experiment, &sweep, importance))
}

/// The experiment that is searched.
fn given(options: &SweepOptions, kept: Option<Study>) -> Result<Given, SweepError> {
    match (&options.given, kept) {
        (Some(given), _) => Ok(given.clone()),
        (None, Some(Study { mut given, .. })) => {
            given.overrides.extend(options.overrides.iter().cloned());
            Ok(given)
        }
        (None, None) => Err(SweepError::NoSweep { path: options.folder.clone() }),
    }
}

/// Chooses the values of the trials from `begin` to `end`, where they are not chosen yet, by the results of those before
/// `begin`.
fn choose(
    study: &mut Study,
    experiment: &Experiment,
    sweep: &SweepConfig,
    begin: usize,
    end: usize,
) {
    for number in study.trials.len()..end {
        let values = if number == 0 {
            own_values(experiment, sweep)
        } else {
            let before = study::ranked(&study.trials[..begin]);
            let ranked: Vec<&Values> = before.iter().map(|(trial, _)| &trial.values).collect();
            let known: Vec<&Values> = study.trials.iter().map(|trial| &trial.values).collect();
            proposal::propose(sweep, number, &ranked, &known)
        };
        study.trials.push(Trial { number: number + 1, values, outcome: None });
    }
}

/// Runs the trials from `begin` to `end` that have not ended, and keeps the record after each.
fn run_batch(
    shared: &Shared<'_>,
    study: Study,
    sweep: &SweepConfig,
    begin: usize,
    end: usize,
    jobs: usize,
) -> Result<Study, RunError> {
    let before = study.trials[..begin].to_vec();
    let earlier: Vec<Curve<'_>> =
        before.iter().filter_map(|trial| trial.outcome.as_ref()?.curve()).collect();
    let team = shared.team;
    let all = study.trials[begin..end].iter().filter(|trial| trial.outcome.is_none());
    let all: Vec<Trial> = all.cloned().collect();
    let waiting: Vec<Trial> = all.iter().skip(team.rank()).step_by(team.size()).cloned().collect();
    let jobs = jobs.clamp(1, waiting.len().max(1));
    let waiting = Mutex::new(waiting.into_iter());
    let study = Mutex::new(study);
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || -> Result<(), RunError> {
        while let Some(trial) = next().filter(|_| !shared.is_ending()) {
            let number = trial.number;
            let outcome = trial::run(shared, sweep, &trial, &earlier)
                .map_err(|source| RunError::Trial { number, source: Box::new(source) })?;
            let Some(outcome) = outcome else { return Ok(()) };
            keep(shared, &study, sweep, Trial { outcome: Some(outcome), ..trial })?;
        }
        Ok(())
    };
    let work = || work().inspect_err(|_| shared.halt.store(true, Ordering::Relaxed));
    if jobs == 1 {
        work()?;
    } else {
        // Each has its own threads: one would otherwise wait for steps of another.
        let threads = (rayon::current_num_threads() / jobs).max(1);
        let pooled = || rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let results: Vec<Result<(), RunError>> = std::thread::scope(|scope| {
            let job = || match pooled() {
                Ok(pool) => pool.install(work),
                // Without threads of its own it shares those that there are.
                Err(_) => work(),
            };
            let running: Vec<_> = (0..jobs).map(|_| scope.spawn(job)).collect();
            let results = running.into_iter().map(|running| match running.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            results.collect()
        });
        results.into_iter().collect::<Result<(), RunError>>()?;
    }
    exchange(shared, &study, sweep, &all)?;
    Ok(study.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Tells all processes what became of the trials of each.
fn exchange(
    shared: &Shared<'_>,
    study: &Mutex<Study>,
    sweep: &SweepConfig,
    trials: &[Trial],
) -> Result<(), RunError> {
    let team = shared.team;
    for (index, trial) in trials.iter().enumerate() {
        let (owner, place) = (index % team.size(), trial.number - 1);
        let own = {
            let study = study.lock().unwrap_or_else(PoisonError::into_inner);
            let outcome = study.trials[place].outcome.clone();
            outcome.filter(|_| owner == team.rank() && team.size() > 1)
        };
        let own = own.map_or_else(String::new, |outcome| serde_json::json!(outcome).to_string());
        let told = team.text(owner, own);
        if owner != team.rank()
            && let Ok(outcome) = serde_json::from_str::<Outcome>(&told)
        {
            keep(shared, study, sweep, Trial { outcome: Some(outcome), ..trial.clone() })?;
        }
    }
    Ok(())
}

/// Keeps what became of a trial.
fn keep(
    shared: &Shared<'_>,
    study: &Mutex<Study>,
    sweep: &SweepConfig,
    ended: Trial,
) -> Result<(), RunError> {
    let mut study = study.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = trial::data_fingerprint(shared.folder, ended.number) {
        let known = study.data_fingerprint.get_or_insert_with(|| found.clone());
        if *known != found {
            return Err(SweepError::Table { path: shared.folder.to_owned() }.into());
        }
    }
    let place = ended.number - 1;
    study.trials[place] = ended;
    if shared.team.leads() {
        study.write(shared.folder)?;
        results::write_tables(shared.folder, &study, sweep)?;
    }
    shared.observer().ended(&study.trials[place]);
    Ok(())
}

fn report(
    study: &Study,
    experiment: &Experiment,
    sweep: &SweepConfig,
    importance: Vec<Importance>,
) -> SweepReport {
    let ranked = study.ranked();
    let trials = ranked.iter().map(|(trial, outcome)| {
        let lowest = outcome.lowest();
        TrialReport {
            number: trial.number,
            state: outcome.state,
            validation_loss: lowest.map(|(_, loss)| loss),
            best_epoch: lowest.map(|(epoch, _)| epoch),
            epochs: outcome.validation_losses.len(),
            seconds: outcome.seconds,
            reason: outcome.reason.clone(),
            values: trial.values.clone(),
        }
    });
    SweepReport {
        loss: experiment.model.architecture().loss_label(),
        best: study.best().map(|(trial, _)| trial.number),
        trials: trials.collect(),
        importance,
        interrupted: ranked.len() < sweep.trials,
    }
}
