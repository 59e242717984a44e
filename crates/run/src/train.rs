//! Training a model into a run folder.

mod begin;
mod figures;
mod member;
mod options;
mod plan;
mod resume;
mod trial;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use cei_files::Lock;
use cei_model::{Team, is_cpu, open_device};
use cei_train::Observer;

use crate::config::to_toml;
use crate::folder::begun::Begun;
use crate::folder::layout::SIMULATION;
use crate::{Experiment, RunError};

use begin::{Loaded, load, prepare};
use member::{train_ensemble, train_member};
use resume::check_content;

pub use member::TrainingOutcome;
pub use options::TrainOptions;
pub use plan::TrainingPlan;
pub use trial::estimate_training;

/// Trains the model of `experiment`, or its ensemble of models, into the folder `path`.
///
/// `announce` is told the plan before the first epoch. `stop` ends the training after the batch under
/// way; the checkpoint then allows to continue with `resume`.
///
/// # Errors
/// A folder that already holds a run (without `resume`) or no checkpoint (with it), or in which a training is
/// under way; another configuration or table than that of the run to be resumed; and all that loading and
/// training can meet.
///
/// ```
/// use std::sync::atomic::AtomicBool;
///
/// use cei_run::train::train_run;
/// use cei_run::{Experiment, TrainedRun};
/// use cei_train::Silent;
///
/// // A preset, made small enough for an example.
/// let small = ["source.events_per_epoch=300", "model.couplings=2", "model.hidden=[8]", "training.max_epochs=1"];
/// let preset = cei_run::presets::find(cei_run::presets::EXPERIMENTS, "wide-spline")?;
/// let experiment = Experiment::parse(preset.text, "wide-spline", &small.map(str::to_owned))?;
///
/// let folder = tempfile::tempdir()?;
/// let run = folder.path().join("run");
/// let stop = AtomicBool::new(false);
/// let told = |plan: &cei_run::train::TrainingPlan| assert_eq!(plan.rows[0], 300);
/// train_run(&experiment, &run, "cpu", false, &stop, told, &mut Silent)?;
///
/// assert_eq!(TrainedRun::load(&run, cei_model::open_device("cpu")?)?.members.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn train_run(
    experiment: &Experiment,
    path: &Path,
    device_name: &str,
    resume: bool,
    stop: &AtomicBool,
    announce: impl FnOnce(&TrainingPlan),
    observer: &mut dyn Observer,
) -> Result<TrainingOutcome, RunError> {
    let options = TrainOptions { device: device_name, resume, stop, team: &Team::default() };
    train_run_in_team(experiment, path, options, announce, observer)
}

/// [`train_run`] by the processes of a team: they share the rows of each batch, or the members of an ensemble, and the weights are
/// those of one process, to the bit. Only the first one writes, or the first of those that train a member; only it has the record.
///
/// # Errors
/// As [`train_run`]; several processes and a device that is not the processor.
pub fn train_run_in_team(
    experiment: &Experiment,
    path: &Path,
    options: TrainOptions<'_>,
    announce: impl FnOnce(&TrainingPlan),
    observer: &mut dyn Observer,
) -> Result<TrainingOutcome, RunError> {
    let TrainOptions { device, resume, team, .. } = options;
    if team.size() > 1 && !is_cpu(&open_device(device)?) {
        return Err(RunError::DeviceOfTeam { device: device.to_owned(), processes: team.size() });
    }
    let loaded = load(experiment, path, device, resume, announce)?;
    let experiment = &loaded.experiment.clone();
    // All have looked at the folder before the first one writes.
    team.meet();
    let lock = if team.leads() { Some(begin(&loaded, path, resume)?) } else { None };
    // Then the folder is there.
    team.meet();
    let prepared = prepare(loaded, device)?;
    let outcome = if experiment.training.ensemble == 1 {
        train_member(&prepared, experiment, path, options, observer)
    } else {
        train_ensemble(&prepared, experiment, path, options, observer)
    };
    drop(lock);
    outcome
}

/// Makes the folder, unless there is a run, and keeps other trainings out of it.
fn begin(loaded: &Loaded, path: &Path, resume: bool) -> Result<Lock, RunError> {
    let experiment = &loaded.experiment;
    std::fs::create_dir_all(path).map_err(RunError::io("create", path))?;
    let lock = Lock::acquire(path)?;
    // Another training may have begun while the table was loaded.
    if let Some(Begun { data_fingerprint: Some(begun), .. }) =
        check_content(experiment, path, resume)?
        && begun != loaded.dataset.fingerprint
    {
        return Err(RunError::ResumeTable { path: path.to_owned() });
    }
    if let (Some(_), Some(simulation)) = (&experiment.source.simulator, &loaded.origin.simulation) {
        // In the configuration it is only a name.
        cei_files::write(&path.join(SIMULATION), to_toml(simulation).as_bytes())?;
    }
    Ok(lock)
}
