//! Training a model into a run folder.

mod figures;
mod member;
mod plan;
mod resume;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cei_data::{RowDigests, Rows as _};
use cei_files::Lock;
use cei_model::{HyperParameterError, open_device};
use cei_train::{Observer, TrainingConfig};

use crate::config::to_toml;
use crate::dataset::{Dataset, remembered};
use crate::folder::begun::Begun;
use crate::folder::layout::SIMULATION;
use crate::plausibility::Support;
use crate::trained::{build, internal_coordinates};
use crate::{Experiment, RunError};

use member::{Prepared, train_ensemble, train_member};
use plan::plan;
use resume::{check_content, check_folder, origin_and_remarks};

pub use member::TrainingOutcome;
pub use plan::TrainingPlan;

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
    experiment.check()?;
    check_seeds(&experiment.training)?;
    if !resume {
        experiment.model.architecture().check_used()?;
    }
    if let Some(molecule) = &experiment.molecule {
        // An unknown `evaluation.vertex` is better told now than after the training.
        internal_coordinates(experiment, molecule)?;
    }
    let device = open_device(device_name)?;
    let begun = check_folder(experiment, path, resume)?;
    let (origin, remarks) = origin_and_remarks(experiment, begun, path)?;
    let dataset = Dataset::load(experiment, &origin)
        .map_err(|error| if resume { error.of_table(path) } else { error })?;
    let source = remembered(&experiment.source, &dataset.table.readings);
    let experiment = &Experiment { source, ..experiment.clone() };
    let preprocessing = dataset.fit(experiment)?;
    let model = build(&experiment.model, &preprocessing, 0, device.clone())?;
    let digests = RowDigests::fit(&dataset.table, dataset.split.train.rows());
    let copies = dataset.copies(&digests);
    announce(&plan(
        experiment,
        &origin,
        &dataset,
        &copies,
        &preprocessing,
        model.as_ref(),
        remarks,
    ));
    drop(model);
    std::fs::create_dir_all(path).map_err(RunError::io("create", path))?;
    let _lock = Lock::acquire(path)?;
    // Another training may have begun while the table was loaded.
    if let Some(Begun { data_fingerprint: Some(begun), .. }) =
        check_content(experiment, path, resume)?
        && begun != dataset.fingerprint
    {
        return Err(RunError::ResumeTable { path: path.to_owned() });
    }
    if let (Some(_), Some(simulation)) = (&experiment.source.simulator, &origin.simulation) {
        // In the configuration it is only a name.
        cei_files::write(&path.join(SIMULATION), to_toml(simulation).as_bytes())?;
    }

    let rows = dataset.training_rows(&preprocessing);
    let molecule = experiment.molecule.as_ref();
    let support = Support::fit(&dataset.table, &dataset.split, &preprocessing, molecule)?;
    let Dataset { table, fingerprint, extremes, recipe, .. } = dataset;
    let data_rows = table.rows();
    drop(table);
    let recipe = recipe.map(Arc::new);
    let prepared = Prepared {
        device,
        device_name,
        origin,
        preprocessing,
        rows,
        recipe,
        support,
        fingerprint,
        data_rows,
        digests,
        copies,
        extremes,
    };
    if experiment.training.ensemble == 1 {
        train_member(&prepared, experiment, path, resume, stop, observer)
    } else {
        train_ensemble(&prepared, experiment, path, resume, stop, observer)
    }
}

/// Refuses seeds of members that TOML, in which they are kept, cannot hold.
fn check_seeds(training: &TrainingConfig) -> Result<(), RunError> {
    let last = training.seed.checked_add(training.ensemble as u64 - 1);
    if last.is_none_or(|last| i64::try_from(last).is_err()) {
        let allowed = "at most 2^63 - 1 for the last member of the ensemble";
        return Err(HyperParameterError::new("training.seed", training.seed, allowed).into());
    }
    Ok(())
}
