//! What refined events on disk come from. Parts of a prediction are gone on with only where all of it is the same.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::prediction::Prediction;
use crate::RunError;
use crate::folder::layout::RECORD;
use crate::folder::sealed::write_json;

/// Why a folder of parts cannot be used.
const DAMAGED: &str = "what it says of itself cannot be read";

/// What refined events come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    version: String,
    /// Digest of the record of the run, which has those of its weights.
    run: String,
    /// Digest of the momenta as they are refined: of the files and of all that is said about how they are read.
    momenta: String,
    /// The options that change refined events, with their values.
    options: BTreeMap<String, String>,
}

impl Origin {
    /// What the refined events of a prediction come from, with further `options`.
    ///
    /// # Errors
    /// The record of the run cannot be read.
    pub(crate) fn of(
        prediction: &Prediction<'_>,
        options: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<Self, RunError> {
        let record = prediction.run.path.join(RECORD);
        let run = cei_files::sha256_of_file(&record).map_err(RunError::io("read", &record))?;
        let asked = prediction.options;
        let (reading, columns) = (&asked.momenta.reading, &asked.momenta.columns);
        let own = [
            ("--draws", asked.draws.to_string()),
            ("--seed", asked.seed.to_string()),
            ("--columns", format!("{:?}", columns.momenta)),
            ("--set", format!("{:?}", columns.overrides)),
            ("--charges", format!("{:?}", columns.charges)),
            ("--sum-gate", format!("{:?}", asked.sums.gate)),
            ("--centre-of-mass", format!("{:?}", asked.sums.centre_of_mass)),
            ("--header", format!("{:?}", reading.header)),
            ("--separator", format!("{:?}", reading.separator)),
            ("--comment", format!("{:?}", reading.comment)),
            ("--decimal", format!("{:?}", reading.decimal)),
            ("--drop-invalid", reading.drop_invalid.to_string()),
        ];
        let all = own.into_iter().chain(options);
        Ok(Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run,
            momenta: digest(prediction),
            options: all.map(|(name, value)| (name.to_owned(), value)).collect(),
        })
    }

    /// Whether the file at `path` is there; then it is of the same origin.
    ///
    /// # Errors
    /// In words, in what it differs.
    pub(crate) fn is_at(&self, path: &Path) -> Result<bool, String> {
        if !path.exists() {
            return Ok(false);
        }
        let text = std::fs::read_to_string(path).map_err(|_| DAMAGED.to_owned())?;
        match serde_json::from_str::<Self>(&text) {
            Ok(other) if other == *self => Ok(true),
            Ok(other) => Err(format!("it differs in {}", self.difference(&other))),
            Err(_) => Err(DAMAGED.to_owned()),
        }
    }

    /// All of it by name, as the record of a shard has it.
    pub(super) fn named(self) -> impl Iterator<Item = (String, String)> {
        let Self { version, run, momenta, options } = self;
        let own = [("the run", run), ("the momenta", momenta), ("the version of cei", version)];
        let own = own.map(|(name, value)| (name.to_owned(), value)).into_iter();
        own.chain(options.into_iter().map(|(name, value)| (format!("`{name}`"), value)))
    }

    /// Writes it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<(), RunError> {
        write_json(path, self)
    }

    /// The digest of all of it.
    pub(crate) fn sha256(&self) -> String {
        cei_files::sha256(format!("{self:?}").as_bytes())
    }

    fn difference(&self, other: &Self) -> String {
        let Self { version, run, momenta, options } = self;
        let mut all = Vec::new();
        let named = [
            ("the run", *run != other.run),
            ("the momenta", *momenta != other.momenta),
            ("the version of cei", *version != other.version),
        ];
        all.extend(named.into_iter().filter(|(_, differs)| *differs).map(|(is, _)| is.to_owned()));
        let names =
            options.keys().chain(other.options.keys().filter(|k| !options.contains_key(*k)));
        let differs = |name: &&String| options.get(*name) != other.options.get(*name);
        all.extend(names.filter(differs).map(|name| format!("`{name}`")));
        all.join(", ")
    }
}

/// The digest of the bits of the momenta, and of which of them are no measurements.
fn digest(prediction: &Prediction<'_>) -> String {
    let mut hash = cei_files::Sha256::default();
    for (event, row) in prediction.y.rows().into_iter().enumerate() {
        let bytes: Vec<u8> = row.iter().flat_map(|value| value.to_le_bytes()).collect();
        hash.update(&bytes);
        hash.update(&[u8::from(prediction.tables.is_far_out(event))]);
    }
    hash.finish()
}
