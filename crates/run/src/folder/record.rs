//! The record of a model: everything about it but its weights.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use cei_data::{Copies, Preprocessing, Spreads};
use cei_metrics::number;
use cei_model::LatentStatistics;
use cei_physics::{Detector, Molecule, Simulation};
use serde::{Deserialize, Serialize};

use super::layout::RECORD;
use super::origin::Origin;
use super::sealed::{read_json, write_json};
use crate::RunError;
use crate::config::ModelConfig;

/// What to do about a model that is damaged.
pub(super) const HINT: &str = "restore the file from a copy, finish the training with `--resume`, or train anew into another folder";

/// What `model.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRecord {
    /// Version of this file's format.
    pub format: u32,
    /// Version of the program that wrote it.
    pub program: String,
    /// Architecture.
    pub model: ModelConfig,
    /// Gauge, dead columns, subspace and scalers, fitted on the training rows.
    pub preprocessing: Preprocessing,
    /// The atoms, where the table is a molecule.
    pub molecule: Option<Molecule>,
    /// The simulation that made the table, with its geometry law; none for a measured table, and
    /// none in runs of version 0.1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub simulation: Option<Simulation>,
    /// The noise with which the momenta were measured: that of the experiment, or else of the
    /// simulation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detector: Option<Detector>,
    /// Moments of the latents of the training rows.
    pub latent: LatentStatistics,
    /// What momenta the training rows have; none in a run of an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub support: Option<SupportBounds>,
    /// How the training went.
    pub training: TrainingSummary,
    /// SHA-256 of the table that it was trained on.
    pub data_fingerprint: String,
    /// Rows of that table.
    pub data_rows: usize,
    /// Rows of the other parts that repeat training rows; none in a run of an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copies: Option<PartCopies>,
    /// Members, if this is an ensemble. They share all that stands here but the latent statistics, which
    /// here are those of the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ensemble: Option<usize>,
    /// SHA-256 of `model.safetensors`; of an ensemble, of these checksums of its members in hexadecimal,
    /// one after another.
    pub weights_sha256: String,
    /// SHA-256 of further files that belong to the model; none in runs of earlier versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
}

/// How a training went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSummary {
    /// Epochs that were finished.
    pub epochs: usize,
    /// Epoch of the lowest validation loss, whose parameters these are.
    pub best_epoch: usize,
    /// That loss.
    #[serde(with = "number")]
    pub best_validation_loss: f64,
    /// Why it ended, in words.
    pub stopped: String,
    /// Wall time of all epochs in seconds.
    #[serde(with = "number")]
    pub seconds: f64,
    /// Device it ran on.
    pub device: String,
    /// Trained numbers.
    pub parameters: usize,
    /// Latent dimensions that carry information, and how many there are (CVAE only).
    pub active_latent: Option<ActiveLatent>,
}

/// How much of a latent is used.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActiveLatent {
    /// Dimensions whose posterior mean varies over the training rows; with a prior `p(z | y)`, those
    /// whose posterior differs from it.
    pub active: usize,
    /// All dimensions.
    pub of: usize,
    /// With a prior `p(z | y)`: the mean KL divergence from it in nats, over all dimensions.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number")]
    pub kl_nats: Option<f64>,
    /// Whether the decoder declares its variance, which draws then have.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub declared_variance: bool,
}

/// Bounds of the training support, part of `model.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SupportBounds {
    /// Largest `|sum p|` in a.u.; none where the table is no molecule.
    #[serde(default, with = "number")]
    pub momentum_sum_au: Option<f64>,
    /// Least and largest kinetic energy release in eV; none where the table is no molecule.
    #[serde(default, with = "number")]
    pub kinetic_energy_ev: Option<[f64; 2]>,
    /// Largest distance to the nearest reference momenta, in scaled units.
    #[serde(with = "number")]
    pub distance: f64,
    /// Where the raw values of each column lie; none in a run of an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spreads: Option<Spreads>,
}

/// Rows of the other parts that repeat rows of the training part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartCopies {
    /// Of the validation part.
    pub validation: Copies,
    /// Of the test part.
    pub test: Copies,
    /// Rows of the test part that repeat rows of the validation part, which decide when a training ends; absent in runs
    /// of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_of_validation: Option<Copies>,
}

impl ModelRecord {
    /// Name of the model, or of the ensemble.
    pub fn name(&self) -> String {
        let name = self.model.architecture().name();
        self.ensemble.map_or_else(|| name.to_owned(), |k| format!("ensemble of {k} {name}s"))
    }

    /// Standard deviation of the measurement noise of each of the 3N momentum components in a.u.,
    /// along the axes of the laboratory, before any frame is fixed; none where it was not declared.
    pub fn noise(&self) -> Option<Vec<f64>> {
        let (detector, molecule) = (self.detector.as_ref()?, self.molecule.as_ref()?);
        // Training has checked that the detector fits the molecule.
        detector.standard_deviations(molecule).ok()
    }

    /// Version of the format that this program writes and reads.
    pub(crate) const FORMAT: u32 = 1;

    /// What was known of the origin of the table.
    pub(crate) fn origin(&self) -> Origin {
        Origin { simulation: self.simulation.clone(), detector: self.detector.clone() }
    }

    /// Writes the record into the folder of its model, where everything else stands already: it makes the folder a run.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), RunError> {
        write_json(&folder.join(RECORD), self)
    }
}

impl ActiveLatent {
    /// That of these statistics.
    pub fn of(latent: &LatentStatistics, declared_variance: bool) -> Self {
        Self {
            active: latent.active_dimensions(),
            of: latent.mean.len(),
            kl_nats: latent.kl_nats.as_ref().map(|kl| kl.iter().sum()),
            declared_variance,
        }
    }
}

impl fmt::Display for ActiveLatent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { active, of, kl_nats, declared_variance } = self;
        write!(f, "{active} of {of} latent dimensions are active")?;
        if let Some(nats) = kl_nats {
            write!(f, " ({nats:.2} nats beyond p(z | y))")?;
        }
        match (active, declared_variance) {
            (0, false) => f.write_str(
                ": the posterior has collapsed, so the spread of the draws is no uncertainty",
            ),
            (0, true) => f.write_str(
                ": the posterior has collapsed, so the draws know no shape but the decoder's Gaussian, \
                 which is equally wide for all events",
            ),
            _ => Ok(()),
        }
    }
}

/// Everything about a model but its weights.
///
/// # Errors
/// No model in the folder; a record that is damaged or of another version.
///
/// ```
/// # let (folder, run) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/tiny_run.in"));
/// let record = cei_run::folder::load_record(&run)?;
/// assert!(record.preprocessing.x_names().contains(&"cx".to_owned()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn load_record(folder: &Path) -> Result<ModelRecord, RunError> {
    read_record(folder).map(|(record, _)| record)
}

/// The same, and whether the record holds its own digest, as it does since there are any.
///
/// # Errors
/// As for [`load_record`].
pub(crate) fn read_record(folder: &Path) -> Result<(ModelRecord, bool), RunError> {
    let file = folder.join(RECORD);
    if !file.exists() {
        return Err(RunError::NotARun { path: folder.to_owned() });
    }
    let damaged = |reason: String| RunError::Damaged { path: file.clone(), reason, hint: HINT };
    let (value, sealed) = read_json(&file, HINT)?;
    let format = value.get("format").and_then(serde_json::Value::as_u64);
    if format != Some(u64::from(ModelRecord::FORMAT)) {
        let found = format.map_or("unknown".to_owned(), |format| format.to_string());
        let read = ModelRecord::FORMAT;
        return Err(damaged(format!("its format version is {found}, this program reads {read}")));
    }
    let record = serde_json::from_value(value).map_err(|error| damaged(error.to_string()))?;
    Ok((record, sealed))
}
