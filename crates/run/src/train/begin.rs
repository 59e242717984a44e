//! What a training begins with: everything that is loaded, checked and fitted before the first step.

use std::path::Path;
use std::sync::Arc;

use cei_data::{Division, Preprocessing, RowDigests, TableRows};
use cei_model::{Device, HyperParameterError, open_device};
use cei_train::TrainingConfig;

use super::member::Prepared;
use super::plan::{TrainingPlan, plan};
use super::resume::{check_folder, origin_and_remarks};
use crate::dataset::{AsRows as _, Dataset, remembered};
use crate::folder::{Origin, PartCopies};
use crate::plausibility::Support;
use crate::trained::{build, internal_coordinates};
use crate::{Experiment, RunError};

/// What a training begins with.
pub(super) struct Loaded {
    device: Device,
    pub(super) origin: Origin,
    /// With how its files were read.
    pub(super) experiment: Experiment,
    pub(super) dataset: Dataset<Box<dyn TableRows>, Box<dyn Division>>,
    preprocessing: Preprocessing,
    copies: Option<(RowDigests, PartCopies)>,
}

/// Loads what is trained on, checks it, and tells the plan.
pub(super) fn load(
    experiment: &Experiment,
    path: &Path,
    device_name: &str,
    resume: bool,
    announce: impl FnOnce(&TrainingPlan),
) -> Result<Loaded, RunError> {
    // What a search is over is no part of a run.
    let experiment = &Experiment { sweep: None, ..experiment.clone() };
    experiment.check()?;
    check_seeds(&experiment.training)?;
    if !resume {
        experiment.model.architecture().check_used()?;
    }
    if let Some(molecule) = &experiment.molecule {
        // An unknown `evaluation.vertex` is better told now than after the training.
        internal_coordinates(experiment, molecule, None)?;
    }
    let device = open_device(device_name)?;
    let begun = check_folder(experiment, path, resume)?;
    let (origin, remarks) = origin_and_remarks(experiment, begun, path)?;
    let dataset = Dataset::for_training(experiment, &origin, path)
        .map_err(|error| if resume { error.of_table(path) } else { error })?;
    let source = remembered(&experiment.source, &dataset.table.head().readings);
    let experiment = Experiment { source, ..experiment.clone() };
    let preprocessing = dataset.fit(&experiment)?;
    let model = build(&experiment.model, &preprocessing, 0, device.clone())?;
    let molecule = experiment.molecule.as_ref();
    let copies = dataset.copies(molecule)?;
    announce(&plan(
        &experiment,
        &origin,
        &dataset,
        copies.as_ref().map(|(_, copies)| copies),
        &preprocessing,
        model.as_ref(),
        remarks,
    )?);
    Ok(Loaded { device, origin, experiment, dataset, preprocessing, copies })
}

/// Makes what all members train on; the table is not needed any more then.
pub(super) fn prepare(loaded: Loaded, device_name: &str) -> Result<Prepared<'_>, RunError> {
    let Loaded { device, origin, experiment, dataset, preprocessing, copies } = loaded;
    let molecule = experiment.molecule.as_ref();
    let (table, split) = (dataset.table.as_rows(), &dataset.split);
    let (training, validation) = (split.training(table).part(), split.validation(table));
    let support = Support::fit(training, validation, &preprocessing, molecule)?;
    let rows = dataset.training_rows(&preprocessing)?;
    let Dataset { table, fingerprint, extremes, recipe, .. } = dataset;
    let data_rows = table.count();
    drop(table);
    let recipe = recipe.map(Arc::new);
    Ok(Prepared {
        device,
        device_name,
        origin,
        preprocessing,
        rows,
        recipe,
        support,
        fingerprint,
        data_rows,
        copies,
        extremes,
    })
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
