//! The record of a search: what it is over, and what its trials tried and found. `sweep.json`.

use std::cmp::Ordering;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::space::Values;
use super::stopping::Curve;
use crate::RunError;
use crate::config::{Experiment, ExperimentError};
use crate::folder::layout::SWEEP;
use crate::folder::sealed::{read_json, write_json};

/// What to do about a record that is damaged.
const HINT: &str = "restore the file from a copy, or search anew into another folder";

/// An experiment as it was given, from which the trials are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// Its TOML.
    pub configuration: String,
    /// What messages call it.
    pub origin: String,
    /// `key=value`, in this order.
    pub overrides: Vec<String>,
}

impl Given {
    /// The experiment, with its `[sweep]`.
    ///
    /// # Errors
    /// As [`Experiment::parse`].
    pub fn experiment(&self) -> Result<Experiment, ExperimentError> {
        Experiment::parse(&self.configuration, &self.origin, &self.overrides)
    }

    /// The experiment of a trial, as if `--set KEY=VALUE` were given for each of its values.
    ///
    /// # Errors
    /// Values that the configuration refuses, each or together.
    pub(super) fn trial(&self, values: &Values) -> Result<Experiment, ExperimentError> {
        let mut overrides = self.overrides.clone();
        overrides.extend(values.iter().map(|(key, value)| format!("{key}={value}")));
        let experiment = Experiment::parse(&self.configuration, &self.origin, &overrides)?;
        Ok(Experiment { sweep: None, ..experiment })
    }
}

/// A search, as far as it went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Study {
    /// Version of the program that began it.
    pub program: String,
    /// What is searched.
    pub given: Given,
    /// SHA-256 of the table, once a trial has read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_fingerprint: Option<String>,
    /// The trials in the order in which they were chosen.
    pub trials: Vec<Trial>,
}

/// One choice of values, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// Counted from 1; its run folder is `trial-NNN`.
    pub number: usize,
    /// The values by key. Those of the first trial are the experiment's own.
    pub values: Values,
    /// How it ended; none while it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// How a trial ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// To its end or not.
    pub state: State,
    /// Why, in words.
    pub reason: String,
    /// Validation loss of every epoch.
    pub validation_losses: Vec<f64>,
    /// Seconds of training.
    pub seconds: f64,
}

/// Whether a trial was trained to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// To its last epoch, or until patience ran out.
    Complete,
    /// Ended early, as others were better; it can be resumed.
    Stopped,
    /// It diverged, or its configuration was refused.
    Failed,
}

impl State {
    /// The word for it, as in the files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

impl Outcome {
    /// Epoch (from 1) and value of the lowest validation loss.
    pub fn lowest(&self) -> Option<(usize, f64)> {
        let losses = self.validation_losses.iter().copied().enumerate();
        let lowest = losses.min_by(|one, other| one.1.total_cmp(&other.1));
        lowest.map(|(at, loss)| (at + 1, loss))
    }

    pub(super) fn curve(&self) -> Option<Curve<'_>> {
        let complete = self.state == State::Complete;
        let counts = self.state != State::Failed;
        counts.then_some(Curve { losses: &self.validation_losses, complete })
    }

    /// The better one first: complete trials by their loss; then those that were ended early, the later the better;
    /// then those that failed.
    fn compare(&self, other: &Self) -> Ordering {
        let [one, another] = [self, other].map(|outcome| {
            let loss = outcome.lowest().map_or(f64::INFINITY, |(_, loss)| loss);
            match outcome.state {
                State::Complete => (0, 0, loss),
                State::Stopped => (1, usize::MAX - outcome.validation_losses.len(), loss),
                State::Failed => (2, 0, 0.0),
            }
        });
        (one.0, one.1).cmp(&(another.0, another.1)).then(one.2.total_cmp(&another.2))
    }
}

impl Study {
    /// One without trials.
    pub(super) fn new(given: Given) -> Self {
        let program = env!("CARGO_PKG_VERSION").to_owned();
        Self { program, given, data_fingerprint: None, trials: Vec::new() }
    }

    /// Reads the record in a folder; none if there is none.
    ///
    /// # Errors
    /// A file that is damaged.
    pub fn read(folder: &Path) -> Result<Option<Self>, RunError> {
        let path = folder.join(SWEEP);
        if !path.exists() {
            return Ok(None);
        }
        let damaged = |reason: String| RunError::Damaged { path: path.clone(), reason, hint: HINT };
        let (value, sealed) = read_json(&path, HINT)?;
        if !sealed {
            return Err(damaged("it has no `sha256`".to_owned()));
        }
        serde_json::from_value(value).map(Some).map_err(|error| damaged(error.to_string()))
    }

    /// Writes the record in the place of an earlier one.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn write(&self, folder: &Path) -> Result<(), RunError> {
        write_json(&folder.join(SWEEP), self)
    }

    /// The trials that have ended, the best first.
    pub fn ranked(&self) -> Vec<(&Trial, &Outcome)> {
        ranked(&self.trials)
    }

    /// The best of those that were trained to their end, with its lowest validation loss.
    pub fn best(&self) -> Option<(&Trial, f64)> {
        let (trial, outcome) = self.ranked().into_iter().next()?;
        let (_, loss) = outcome.lowest()?;
        (outcome.state == State::Complete).then_some((trial, loss))
    }
}

/// Those of `trials` that have ended, the best first; of equal ones the earlier.
pub(super) fn ranked(trials: &[Trial]) -> Vec<(&Trial, &Outcome)> {
    let ended = trials.iter().filter_map(|trial| Some((trial, trial.outcome.as_ref()?)));
    let mut ended: Vec<_> = ended.collect();
    ended.sort_by(|one, other| one.1.compare(other.1));
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(number: usize, state: State, losses: &[f64]) -> Trial {
        let outcome = Outcome {
            state,
            reason: String::new(),
            validation_losses: losses.to_vec(),
            seconds: 1.5,
        };
        let rate: toml::Value = (1e-3 * number as f64).into();
        let values = [("training.learning_rate".to_owned(), rate)].into();
        Trial { number, values, outcome: Some(outcome) }
    }

    fn study() -> Study {
        let given = Given {
            configuration: "model.kind = 'cinn'\n".to_owned(),
            origin: "`x.toml`".to_owned(),
            overrides: vec!["training.max_epochs=3".to_owned()],
        };
        let mut study = Study::new(given);
        study.trials = vec![
            trial(1, State::Complete, &[3.0, 2.0, 2.5]),
            trial(2, State::Failed, &[-9.0]),
            trial(3, State::Stopped, &[1.0]),
            trial(4, State::Complete, &[3.0, 1.5]),
            trial(5, State::Stopped, &[4.0, 4.0]),
            trial(6, State::Complete, &[2.0]),
            Trial { outcome: None, ..trial(7, State::Complete, &[]) },
        ];
        study
    }

    #[test]
    fn complete_trials_come_before_stopped_before_failed_ones() {
        let study = study();
        let order: Vec<usize> = study.ranked().iter().map(|(trial, _)| trial.number).collect();
        assert_eq!(order, [4, 1, 6, 5, 3, 2]);
        assert_eq!(study.best().map(|(trial, loss)| (trial.number, loss)), Some((4, 1.5)));
    }

    #[test]
    fn the_record_reads_back_and_damage_is_noticed() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        assert_eq!(Study::read(folder.path())?, None);
        let mut study = study();
        let choices: toml::Value = vec![8, 16].into();
        study.trials[0].values.insert("model.hidden".to_owned(), choices);
        study.write(folder.path())?;
        assert_eq!(Study::read(folder.path())?, Some(study));
        let path = folder.path().join(SWEEP);
        let text = std::fs::read_to_string(&path)?.replace("2.5", "2.4");
        std::fs::write(&path, text)?;
        let error = Study::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("sweep.json` is damaged or was edited"), "{error}");
        Ok(())
    }

    #[test]
    fn a_trial_is_the_experiment_with_its_values_set() -> Result<(), Box<dyn std::error::Error>> {
        let given = study().given;
        let values: Values = [
            ("training.learning_rate".to_owned(), 0.000_123_4.into()),
            ("model.hidden".to_owned(), vec![8, 16].into()),
            ("model.activation".to_owned(), "tanh".into()),
        ]
        .into();
        let trial = given.trial(&values)?;
        assert_eq!(trial.training.learning_rate, 0.000_123_4);
        assert_eq!(trial.training.max_epochs, 3);
        let set = [
            "training.max_epochs=3",
            "training.learning_rate=0.0001234",
            "model.hidden=[8, 16]",
            "model.activation=tanh",
        ];
        let by_hand = Experiment::parse(&given.configuration, "by hand", &set.map(str::to_owned))?;
        assert_eq!(trial, by_hand);
        Ok(())
    }
}
