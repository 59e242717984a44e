//! How a training began: its configuration, the digest of its table, and what was known of its origin, kept in
//! `training.json`. What `config.toml` says later is compared with it: some keys may be edited, which is told;
//! any other change is refused.

use std::path::Path;

use cei_physics::{Detector, Simulation};
use serde::{Deserialize, Serialize};

use super::layout::{self, BEGUN, CONFIG, FINGERPRINT, SIMULATION};
use super::origin::Origin;
use super::record::load_record;
use super::sealed::{read_json, write_json};
use crate::config::parse_with_overrides;
use crate::{Experiment, RunError};

/// What to do when it is damaged.
const HINT: &str = "restore the file from a copy, or train anew into another folder";

/// What a training began with.
#[derive(Debug)]
pub(crate) struct Begun {
    /// The configuration.
    pub(crate) experiment: Experiment,
    /// SHA-256 of the table; not known of every run of an earlier version.
    pub(crate) data_fingerprint: Option<String>,
    /// The origin of its events.
    pub(crate) origin: Origin,
    /// Whether all this stands in a file with a digest, as in runs of this version.
    pub(crate) sealed: bool,
}

/// The content of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    /// Version of the program that wrote it.
    program: String,
    /// The configuration as TOML.
    configuration: String,
    data_fingerprint: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    simulation: Option<Simulation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detector: Option<Detector>,
}

impl Begun {
    /// Writes `training.json` into the folder of a run.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(
        path: &Path,
        experiment: &Experiment,
        data_fingerprint: &str,
        origin: &Origin,
    ) -> Result<(), RunError> {
        let record = Record {
            program: env!("CARGO_PKG_VERSION").to_owned(),
            configuration: experiment.to_toml(),
            data_fingerprint: data_fingerprint.to_owned(),
            simulation: origin.simulation.clone(),
            detector: origin.detector.clone(),
        };
        write_json(&path.join(BEGUN), &record)
    }

    /// Reads it from the folder of a run; of one of an earlier version from `config.toml` and the files that
    /// there were.
    ///
    /// # Errors
    /// A file that is damaged.
    pub(crate) fn read(path: &Path) -> Result<Self, RunError> {
        let file = path.join(BEGUN);
        if !file.exists() {
            return Self::of_earlier_version(path);
        }
        let damaged = |reason: String| RunError::Damaged { path: file.clone(), reason, hint: HINT };
        let (value, sealed) = read_json(&file, HINT)?;
        let record: Record =
            serde_json::from_value(value).map_err(|error| damaged(error.to_string()))?;
        let origin = format!("`{}`", file.display());
        Ok(Self {
            experiment: Experiment::parse(&record.configuration, &origin, &[])?,
            data_fingerprint: Some(record.data_fingerprint),
            origin: Origin { simulation: record.simulation, detector: record.detector },
            sealed,
        })
    }

    fn of_earlier_version(path: &Path) -> Result<Self, RunError> {
        let read = |name: &str| {
            let file = path.join(name);
            let text = file.exists().then(|| std::fs::read_to_string(&file));
            text.transpose().map_err(RunError::io("read", &file))
        };
        let simulation = match read(SIMULATION)? {
            Some(text) => {
                let origin = format!("`{}`", path.join(SIMULATION).display());
                Some(parse_with_overrides(&text, &origin, &[])?)
            }
            None => None,
        };
        let data_fingerprint = read(FINGERPRINT)?.map(|text| text.trim().to_owned());
        // Where there is no such file a finished member knows.
        let records = [path.to_owned(), layout::member(path, 1)];
        let of_record =
            || records.iter().find_map(|path| Some(load_record(path).ok()?.data_fingerprint));
        Ok(Self {
            experiment: Experiment::read(&path.join(CONFIG), &[])?,
            data_fingerprint: data_fingerprint.or_else(of_record),
            origin: Origin { simulation, detector: None },
            sealed: false,
        })
    }

    /// The configuration in the folder of a run, and what has to be said about it: edits of what may be edited.
    ///
    /// # Errors
    /// A `config.toml` that cannot be read, or in which something else was changed.
    pub(crate) fn configuration(&self, path: &Path) -> Result<(Experiment, Vec<String>), RunError> {
        let file = path.join(CONFIG);
        let experiment = Experiment::read(&file, &[])?;
        if !self.sealed {
            let remark = format!(
                "remark: `{}` was made by an earlier version, whose files have no digests: damage to them would not be noticed",
                path.display()
            );
            return Ok((experiment, vec![remark]));
        }
        let mut remarks = Vec::new();
        for Difference { key, given, begun } in differences(&experiment, &self.experiment) {
            if !may_be_edited(&key) {
                return Err(RunError::ConfigEdited { path: file, key, given, begun });
            }
            remarks.push(format!(
                "remark: `{}` was edited: `{key}` is `{given}`, the training had `{begun}`",
                file.display()
            ));
        }
        Ok((experiment, remarks))
    }
}

/// A key that differs between two configurations, with both values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Difference {
    pub(crate) key: String,
    pub(crate) given: String,
    pub(crate) begun: String,
}

/// Whether a key may differ from that of the training when it is resumed: how long it goes on, how it is
/// evaluated, and where and how its table is read. That the table is the same is checked by its digest.
pub(crate) fn may_change_on_resume(key: &str) -> bool {
    match key.split_once('.') {
        Some(("evaluation", _)) => true,
        Some(("source", key)) => !["simulator", "events_per_epoch", "fresh_noise"].contains(&key),
        _ => ["training.max_epochs", "training.patience"].contains(&key),
    }
}

/// Whether a key of the `config.toml` of a run may be edited: also the names that its columns have in other files.
fn may_be_edited(key: &str) -> bool {
    may_change_on_resume(key) || ["columns.x", "columns.y", "columns.charges"].contains(&key)
}

/// The keys in which two configurations differ.
pub(crate) fn differences<T: Serialize>(given: &T, begun: &T) -> Vec<Difference> {
    let [given, begun] = [given, begun].map(|configuration| {
        let mut leaves = Vec::new();
        if let Ok(value) = toml::Value::try_from(configuration) {
            collect_leaves("", &value, &mut leaves);
        }
        leaves
    });
    let value_of = |leaves: &[(String, String)], key: &str| {
        let value = leaves.iter().find(|(other, _)| other == key).map(|(_, value)| value.clone());
        value.unwrap_or_else(|| "absent".to_owned())
    };
    let only_begun = begun.iter().filter(|(key, _)| !given.iter().any(|(other, _)| other == key));
    given
        .iter()
        .chain(only_begun)
        .map(|(key, _)| Difference {
            key: key.clone(),
            given: value_of(&given, key),
            begun: value_of(&begun, key),
        })
        .filter(|difference| difference.given != difference.begun)
        .collect()
}

fn collect_leaves(path: &str, value: &toml::Value, leaves: &mut Vec<(String, String)>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                let key = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                collect_leaves(&key, value, leaves);
            }
        }
        leaf => leaves.push((path.to_owned(), leaf.to_string())),
    }
}
