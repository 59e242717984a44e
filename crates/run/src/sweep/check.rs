//! What is wrong with a search is found before anything is trained: every key is tried at both ends of its range, or at
//! every choice.

use std::path::Path;

use super::space::Values;
use super::study::Given;
use crate::RunError;
use crate::config::Experiment;
use crate::config::sweep::{Range, SweepConfig};
use crate::error::SweepError;
use crate::folder::begun::{Difference, differences, may_change_on_resume};
use crate::folder::layout::{self, CHECKPOINT, RECORD};

/// The experiment that is searched, with what it is searched over.
///
/// # Errors
/// No ranges; a key that does not exist or by which trials do not compare; a value that the configuration refuses.
pub(super) fn checked(given: &Given) -> Result<(Experiment, SweepConfig), RunError> {
    let experiment = given.experiment()?;
    let origin = || given.origin.clone();
    let sweep = experiment.sweep.clone().filter(|sweep| !sweep.over.is_empty());
    let sweep = sweep.ok_or_else(|| SweepError::NothingToSearch { origin: origin() })?;
    if experiment.training.ensemble != 1 {
        let members = experiment.training.ensemble;
        return Err(SweepError::Ensemble { origin: origin(), members }.into());
    }
    for (key, range) in &sweep.over {
        for value in &extremes(range) {
            check_value(given, key, value)?;
        }
        if let Some((why, hint)) = not_comparable(&experiment, key) {
            let key = key.clone();
            return Err(SweepError::NotComparable { origin: origin(), key, why, hint }.into());
        }
    }
    Ok((experiment, sweep))
}

/// The values of the keys in the experiment itself, where they have one.
pub(super) fn own_values(experiment: &Experiment, sweep: &SweepConfig) -> Values {
    let whole = toml::Value::try_from(experiment).ok();
    let own = |key: &String| {
        let value = key.split('.').try_fold(whole.as_ref()?, |place, part| place.get(part))?;
        Some((key.clone(), value.clone()))
    };
    sweep.over.keys().filter_map(own).collect()
}

/// Refuses to go on with a search by another experiment.
///
/// # Errors
/// Names the key that differs.
pub(super) fn check_same(
    folder: &Path,
    given: &Experiment,
    begun: &Experiment,
) -> Result<(), SweepError> {
    let may_change = |key: &str| {
        key == "sweep.trials" || (may_change_on_resume(key) && !key.starts_with("training."))
    };
    let differs = differences(given, begun).into_iter().find(|found| !may_change(&found.key));
    match differs {
        None => Ok(()),
        Some(Difference { key, given, begun }) => {
            Err(SweepError::Differs { path: folder.to_owned(), key, given, begun })
        }
    }
}

/// Refuses the folder of a run.
///
/// # Errors
/// There is one.
pub(super) fn check_folder(folder: &Path) -> Result<(), SweepError> {
    if layout::holds(folder, CHECKPOINT) || layout::holds(folder, RECORD) {
        return Err(SweepError::Run { path: folder.to_owned() });
    }
    Ok(())
}

/// Both ends of an interval, or every choice.
fn extremes(range: &Range) -> Vec<toml::Value> {
    match range {
        Range::Choices(choices) => choices.clone(),
        Range::Interval(interval) => vec![interval.low.into(), interval.high.into()],
    }
}

fn check_value(given: &Given, key: &str, value: &toml::Value) -> Result<(), SweepError> {
    let refused = |why: String| SweepError::Refused {
        origin: given.origin.clone(),
        key: key.to_owned(),
        value: value.clone(),
        why,
    };
    let values = [(key.to_owned(), value.clone())].into();
    let trial = given.trial(&values).map_err(|error| refused(SweepError::why(&error)))?;
    trial.model.architecture().check_used().map_err(|error| refused(error.to_string()))
}

/// Why trials that differ in a key do not compare, and what to do.
fn not_comparable(experiment: &Experiment, key: &str) -> Option<(&'static str, &'static str)> {
    let of_model = key.strip_prefix("model.").map(|key| key.split('.').next().unwrap_or(key));
    let loss_keys = experiment.model.architecture().loss_keys();
    match (key, of_model) {
        ("training.ensemble", _) => {
            Some(("a trial trains one model", "train an ensemble with what is found"))
        }
        ("model.kind", _) => Some((
            "the losses of different kinds of models do not compare",
            "search each kind by itself, and set the best runs side by side with `cei compare`",
        )),
        (_, Some(key)) if loss_keys.contains(&key) => Some((
            "the loss is made of it, so that the losses of trials do not compare",
            "leave it fixed; evaluated runs compare by CRPS and energy score",
        )),
        (_, None) if !key.starts_with("training.") => Some((
            "the losses of trials that differ in it do not compare",
            "keys of `[model]` and `[training]` can be searched over",
        )),
        _ => None,
    }
}
