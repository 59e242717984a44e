//! How well two files of samples are told apart.

use std::path::PathBuf;

use cei_data::Reading;
use cei_metrics::{C2st, number};
use serde::{Deserialize, Serialize};

/// How well the files are told apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct C2stReport {
    /// The sample.
    pub sample: PathBuf,
    /// The reference.
    pub reference: PathBuf,
    /// Columns compared.
    pub columns: Vec<String>,
    /// Mean accuracy over events.
    #[serde(with = "number")]
    pub accuracy: f64,
    /// Its standard error: over events, or for one event that of its rows.
    #[serde(with = "number")]
    pub standard_error: f64,
    /// Probability that guesses do at least as well on the best-told event, times the events
    /// (Bonferroni).
    #[serde(with = "number")]
    pub p_value: f64,
    /// Error rate of the statement.
    #[serde(with = "number")]
    pub level: f64,
    /// Whether the samples cannot be told apart at this level.
    pub pass: bool,
    /// Events of one file that the other lacks.
    pub left_out: usize,
    /// The events in their order; one without an `event` column.
    pub events: Vec<EventC2st>,
    /// How the files were read.
    #[serde(skip)]
    pub readings: Vec<Reading>,
    /// Why the results are not in the folder where they should be.
    #[serde(skip)]
    pub not_kept: Option<String>,
}

/// The test of one event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventC2st {
    /// Its number; absent where the files have no `event` column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<u64>,
    /// Its result.
    #[serde(flatten)]
    pub result: C2st,
}
