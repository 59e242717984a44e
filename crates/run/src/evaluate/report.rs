//! The scores of a run as they are told and kept.

use std::fmt;

use cei_data::{Copies, Reading};
use cei_metrics::number;
use cei_metrics::results::{Distribution, Evaluation, GaugeFree, NegativeLogLikelihood};
use cei_model::latent::LatentSource;
use serde::{Deserialize, Serialize};

use super::floor::Floor;
use crate::folder::ActiveLatent;
use crate::plausibility::Plausibility;

/// The scores of a run, and what must be known to compare them with those of another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEvaluation {
    /// The scores (`docs/spec.md#results-json`).
    #[serde(flatten)]
    pub scores: Evaluation,
    /// The same scores of the events of which as many ions, or the same ones, were detected; empty where none is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_detected: Vec<DetectedScores>,
    /// Least errors that any method can reach on this table, where they can be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Floor>,
    /// Latent dimensions that carry information (CVAE only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_latent: Option<ActiveLatent>,
    /// How another table than the run's own compares with training as a set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plausibility: Option<Plausibility>,
    /// What was scored.
    pub scored: Scored,
    /// Why the scores are not in the folder of the run, where they should be.
    #[serde(skip)]
    pub not_kept: Option<String>,
    /// How each file of another table than the run's own was read.
    #[serde(skip)]
    pub readings: Vec<Reading>,
    /// What must be known before these scores are believed, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Scores of some events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DetectedScores {
    /// Ions that were detected.
    pub ions: usize,
    /// The others; absent where these are all events of as many ions, whichever they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Vec<String>>,
    /// Events.
    pub rows: usize,
    /// Negative log-likelihood, if the model has an exact density.
    #[serde(flatten)]
    pub likelihood: Option<NegativeLogLikelihood>,
    /// CRPS, energy score and coverage over the position columns that vary.
    #[serde(flatten)]
    pub distribution: Distribution,
    /// Bond lengths, angles and displacements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gauge_free: Option<GaugeFree>,
}

/// What was scored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// Name of the model.
    pub model: String,
    /// The files of the table.
    pub files: Vec<String>,
    /// Which of its rows.
    pub rows: ScoredRows,
    /// SHA-256 of the table.
    pub data_fingerprint: String,
    /// SHA-256 of the weights, as in `model.json`; absent in evaluations of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_sha256: Option<String>,
    /// How many of these rows repeat rows of training; absent for runs of older versions, which do not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained_on: Option<Copies>,
    /// Rows outside of `preprocessing.bounds`: their density is zero, so that the mean NLL is infinite.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub out_of_bounds: usize,
    /// The frame of the positions, in words.
    pub frame: String,
    /// Unit of the positions and of their errors; none where the table has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Where latents came from.
    pub latent: LatentSource,
    /// Noise on directions without variation, in scaled units: part of what the NLL is a density of.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number")]
    pub degenerate_noise_sd: Option<f64>,
    /// Seed of the draws.
    pub seed: u64,
}

/// Which rows were scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScoredRows {
    /// The test part of the run's own table.
    Test,
    /// Every row of it, those that the model was trained on included.
    All,
    /// Every row of another table.
    #[serde(rename = "other table")]
    OtherTable,
}

impl fmt::Display for ScoredRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Test => "test",
            Self::All => "all",
            Self::OtherTable => "other table",
        })
    }
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}
