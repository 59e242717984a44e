//! A saved model is one folder:
//!
//! | file | content |
//! | --- | --- |
//! | `model.safetensors` | weights, `[inputs, outputs]`, named by their place in the network |
//! | `model.json` | architecture, columns, preprocessing, latent statistics, summary, checksum |
//! | `support.safetensors` | training momenta that those to be predicted are compared with |
//! | `rows.safetensors` | digests of the training rows, to tell them when they are scored |
//! | `config.toml` | the complete resolved configuration |
//! | `training.json` | what the training began with: configuration, digest of the table, origin of its events |
//! | `history.csv` | losses of every epoch |
//! | `checkpoint.safetensors` | the state of the training, for `--resume` |
//! | `simulation.toml` | the simulation, if the run trains on a simulator; for people |
//! | `evaluation.json`, `figures/` | what `cei evaluate` found |
//!
//! An ensemble of K models is one folder with the members in `member-1` to `member-K`, each of them such a
//! folder, and with all of these but weights, history and checkpoint; its `model.json` names K.
//!
//! Every file that is read again is known by a digest: `model.json`, `training.json` and `evaluation.json` hold
//! that of their own content, the checkpoint too, `model.json` that of weights and support; `config.toml` is
//! compared with `training.json` key by key, and what a user may edit there may differ. Reading checks version,
//! shapes and digests, and never executes anything. While a training is under way its process holds the lock of
//! the folder.

pub(crate) mod begun;
pub(crate) mod rows;
pub(crate) mod sealed;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cei_data::Preprocessing;
use cei_metrics::number;
use cei_model::Device;
use cei_model::latent::LatentSource;
use cei_model::{Batch, ConditionalModel, LatentStatistics, Parameters};
use cei_physics::{Detector, Molecule, Simulation};
use rand_chacha::ChaCha8Rng;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

use crate::config::ModelConfig;
use crate::dataset::PartCopies;
use crate::support::{self, Bounds};
use crate::{Experiment, RunError};
use begun::Begun;
use sealed::read_json;
pub use sealed::write_json;

/// The losses of every epoch, in the folder of a run.
pub const HISTORY: &str = "history.csv";

/// The configuration, in the folder of a run.
pub(crate) const CONFIG: &str = "config.toml";

/// The state of a training, in the folder of its model.
pub(crate) const CHECKPOINT: &str = "checkpoint.safetensors";

/// Further files that belong to a model, whose digests its record holds.
const COMPANIONS: [&str; 2] = [support::FILE, rows::ROWS];

const RECORD: &str = "model.json";
const WEIGHTS: &str = "model.safetensors";

/// What to do about a model that is damaged.
const HINT: &str = "restore the file from a copy, finish the training with `--resume`, or train anew into another folder";

/// Version of `model.json`.
const FORMAT: u32 = 1;

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
    pub support: Option<Bounds>,
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
    /// Whether the record holds its own digest, as it does since there are any.
    #[serde(skip)]
    pub sealed: bool,
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

impl std::fmt::Display for ActiveLatent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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

/// One trained model of a run.
pub struct Member {
    /// The model.
    pub model: Box<dyn ConditionalModel>,
    /// Moments of its latents over the training rows.
    pub latent: LatentStatistics,
}

/// A trained model, or an ensemble of such, with everything needed to use it.
///
/// ```text
/// p(x | y) = 1/K sum_k p_k(x | y)
/// ```
pub struct TrainedRun {
    /// The run folder.
    pub path: PathBuf,
    /// The configuration it was trained with.
    pub experiment: Experiment,
    /// Everything about the model but its weights.
    pub record: ModelRecord,
    /// The model, or the members of the ensemble, which count alike; at least one.
    pub members: Vec<Member>,
}

/// The folder of a member (from 1) of the ensemble in `path`.
pub fn member_path(path: &Path, member: usize) -> PathBuf {
    path.join(format!("member-{member}"))
}

impl TrainedRun {
    /// Reads a run folder and puts its model, or all members of its ensemble, on `device`.
    ///
    /// # Errors
    /// No model in the folder; a version, shape or checksum that does not fit; members that do not belong
    /// together.
    pub fn load(path: &Path, device: Device) -> Result<Self, RunError> {
        let (record, experiment, _) = read(path)?;
        sweep(path, record.ensemble);
        let Some(count) = record.ensemble else {
            let member = load_member(path, &record, device)?;
            return Ok(Self { path: path.to_owned(), experiment, record, members: vec![member] });
        };
        let mut members = Vec::new();
        let mut checksums = String::new();
        for number in 1..=count {
            let path = member_path(path, number);
            let record = load_record(&path)?;
            members.push(load_member(&path, &record, device.clone())?);
            checksums.push_str(&record.weights_sha256);
        }
        if members.is_empty() || cei_files::sha256(checksums.as_bytes()) != record.weights_sha256 {
            let reason = "its members are not those of its `model.json`\nhint: finish its training with `--resume`";
            return Err(RunError::BadModel { path: path.to_owned(), reason: reason.to_owned() });
        }
        Ok(Self { path: path.to_owned(), experiment, record, members })
    }

    /// `log p(x | y)` of every row in nats per scaled unit volume, of an ensemble that of the mixture; none
    /// for models without an exact density.
    pub fn log_prob(&self, batch: Batch<'_>) -> Option<Vec<f64>> {
        self.mixture(|model| model.log_prob(batch))
    }

    /// A lower bound of `log p(x | y)` by importance-weighted latents, as [`Self::log_prob`]; none for models
    /// without a declared decoder variance.
    pub fn log_prob_bound(
        &self,
        batch: Batch<'_>,
        samples: usize,
        rng: &mut ChaCha8Rng,
    ) -> Option<Vec<f64>> {
        self.mixture(|model| cei_model::log_prob_bound(model, batch, samples, rng))
    }

    /// `ln` of the mean over the members of `e` to what each gives for every row.
    fn mixture(
        &self,
        mut log_prob: impl FnMut(&dyn ConditionalModel) -> Option<Vec<f64>>,
    ) -> Option<Vec<f64>> {
        let mut members = self.members.iter().map(|member| log_prob(member.model.as_ref()));
        let mut sums = members.next()??;
        for log_prob in members {
            for (sum, value) in sums.iter_mut().zip(log_prob?) {
                *sum = log_sum(*sum, value);
            }
        }
        let log_count = (self.members.len() as f64).ln();
        Some(sums.into_iter().map(|sum| sum - log_count).collect())
    }

    /// From now on draws come from the latent's prior, so that they are draws of the model's density: what
    /// importance weights need.
    pub fn draw_from_prior(&mut self) {
        self.experiment.evaluation.latent = LatentSource::Prior;
    }

    /// The molecule, if the table is one: three position columns for each of its atoms.
    pub fn molecule(&self) -> Option<&Molecule> {
        let columns = self.record.preprocessing.x_names().len();
        self.record.molecule.as_ref().filter(|molecule| 3 * molecule.atom_count() == columns)
    }
}

/// Whether configuration and model are of the same columns, as after an edit they may not be.
fn check_columns(
    path: &Path,
    experiment: &Experiment,
    record: &ModelRecord,
) -> Result<(), RunError> {
    let (columns, preprocessing) = (&experiment.columns, &record.preprocessing);
    let sides = [
        ("x", columns.x.len(), preprocessing.x_names().len()),
        ("y", columns.y.len(), preprocessing.y_names().len()),
    ];
    for (side, named, trained) in sides {
        if named != trained {
            let reason = format!(
                "`columns.{side}` of its `config.toml` names {named} columns, but it was trained on {trained}\nhint: undo the change of `config.toml`"
            );
            return Err(RunError::BadModel { path: path.to_owned(), reason });
        }
    }
    Ok(())
}

/// `ln(e^a + e^b)`, without overflow; NaN where one is.
fn log_sum(a: f64, b: f64) -> f64 {
    let (high, low) = if a < b { (b, a) } else { (a, b) };
    // Two equal infinities have no difference.
    if high == low { high + std::f64::consts::LN_2 } else { high + (low - high).exp().ln_1p() }
}

/// What has to be said about a run before it is used: that its configuration was edited, or that its files have no
/// digests.
///
/// # Errors
/// No trained model in the folder, or one that is damaged.
pub fn remarks(path: &Path) -> Result<Vec<String>, RunError> {
    read(path).map(|(_, _, remarks)| remarks)
}

/// Record and configuration of a run, with what has to be said about them.
fn read(path: &Path) -> Result<(ModelRecord, Experiment, Vec<String>), RunError> {
    check_finished(path)?;
    let record = load_record(path)?;
    let begun = Begun::read(path)?;
    if record.sealed && !begun.sealed {
        let reason = "its `training.json` is missing or has lost its digest".to_owned();
        return Err(RunError::BadModel { path: path.to_owned(), reason });
    }
    let (experiment, remarks) = begun.configuration(path)?;
    check_columns(path, &experiment, &record)?;
    Ok((record, experiment, remarks))
}

/// Refuses a run that is still in training, or whose training was interrupted.
fn check_finished(path: &Path) -> Result<(), RunError> {
    if let Some(holder) = cei_files::holder(path) {
        return Err(RunError::InTraining { path: path.to_owned(), holder });
    }
    let begun = [path.to_owned(), member_path(path, 1)];
    if !path.join(RECORD).exists() && begun.iter().any(|path| path.join(CHECKPOINT).exists()) {
        return Err(RunError::Unfinished { path: path.to_owned() });
    }
    Ok(())
}

/// Removes what killed processes have left in the folder of a run.
fn sweep(path: &Path, members: Option<usize>) {
    let members = (1..=members.unwrap_or(0)).map(|number| member_path(path, number));
    for folder in std::iter::once(path.to_owned()).chain(members) {
        cei_files::sweep(&folder);
        cei_files::sweep(&folder.join("figures"));
    }
}

/// Everything about a model but its weights.
///
/// # Errors
/// No model in the folder; a record that is damaged or of another version.
pub fn load_record(path: &Path) -> Result<ModelRecord, RunError> {
    let file = path.join(RECORD);
    if !file.exists() {
        return Err(RunError::NotARun { path: path.to_owned() });
    }
    let damaged = |reason: String| RunError::Damaged { path: file.clone(), reason, hint: HINT };
    let (value, sealed) = read_json(&file, HINT)?;
    let format = value.get("format").and_then(serde_json::Value::as_u64);
    if format != Some(u64::from(FORMAT)) {
        let found = format.map_or("unknown".to_owned(), |format| format.to_string());
        return Err(damaged(format!("its format version is {found}, this program reads {FORMAT}")));
    }
    let record: ModelRecord =
        serde_json::from_value(value).map_err(|error| damaged(error.to_string()))?;
    Ok(ModelRecord { sealed, ..record })
}

/// The content of a further file that belongs to a model.
///
/// # Errors
/// The file cannot be read, or is not as it was written.
pub(crate) fn read_companion(
    path: &Path,
    record: &ModelRecord,
    name: &str,
) -> Result<Vec<u8>, RunError> {
    let file = path.join(name);
    let bytes = std::fs::read(&file).map_err(RunError::io("read", &file))?;
    if record.files.get(name).is_some_and(|digest| *digest != cei_files::sha256(&bytes)) {
        let reason = format!("its checksum is not that in `{RECORD}`");
        return Err(RunError::Damaged { path: file, reason, hint: HINT });
    }
    Ok(bytes)
}

/// The model of `record`, with the weights that lie in the folder `path`.
fn load_member(path: &Path, record: &ModelRecord, device: Device) -> Result<Member, RunError> {
    let file = path.join(WEIGHTS);
    let damaged = |reason: String| RunError::Damaged { path: file.clone(), reason, hint: HINT };
    let weights = std::fs::read(&file).map_err(RunError::io("read", &file))?;
    if cei_files::sha256(&weights) != record.weights_sha256 {
        return Err(damaged(format!("its checksum is not that in `{RECORD}`")));
    }
    let mut model = build(&record.model, &record.preprocessing, 0, device)?;
    let values = read_weights(&weights, model.parameters()).map_err(damaged)?;
    model.set_parameters(&values);
    Ok(Member { model, latent: record.latent.clone() })
}

/// Builds an untrained model for preprocessed rows.
///
/// # Errors
/// A hyper-parameter outside its range.
pub fn build(
    config: &ModelConfig,
    preprocessing: &Preprocessing,
    seed: u64,
    device: Device,
) -> Result<Box<dyn ConditionalModel>, RunError> {
    let (x, y) = (preprocessing.x_dim(), preprocessing.y_dim());
    Ok(config.architecture().build(x, y, seed, device)?)
}

/// Writes weights and record of a model, the record last: it makes the folder a run.
///
/// # Errors
/// The folder cannot be written.
pub fn save(
    path: &Path,
    mut record: ModelRecord,
    parameters: &Parameters,
) -> Result<ModelRecord, RunError> {
    let file = path.join(WEIGHTS);
    let weights = weights_to_bytes(parameters).map_err(RunError::io("write", &file))?;
    record.weights_sha256 = cei_files::sha256(&weights);
    cei_files::write(&file, &weights)?;
    save_record(path, record)
}

/// Writes the record, with the digests of the files that belong to it.
fn save_record(path: &Path, mut record: ModelRecord) -> Result<ModelRecord, RunError> {
    record.format = FORMAT;
    record.sealed = true;
    record.files.clear();
    for name in COMPANIONS {
        let file = path.join(name);
        if file.exists() {
            let digest = cei_files::sha256_of_file(&file).map_err(RunError::io("read", &file))?;
            record.files.insert(name.to_owned(), digest);
        }
    }
    write_json(&path.join(RECORD), &record)?;
    Ok(record)
}

/// Writes the record of an ensemble whose members are saved already; it makes the folder a run. `record` is
/// that of the first member, with the summary of all.
///
/// # Errors
/// The folder cannot be written.
pub fn save_ensemble(
    path: &Path,
    mut record: ModelRecord,
    members: &[ModelRecord],
) -> Result<ModelRecord, RunError> {
    let checksums: String = members.iter().map(|member| member.weights_sha256.as_str()).collect();
    record.ensemble = Some(members.len());
    record.weights_sha256 = cei_files::sha256(checksums.as_bytes());
    save_record(path, record)
}

fn weights_to_bytes(parameters: &Parameters) -> std::io::Result<Vec<u8>> {
    let bytes: Vec<u8> = parameters.values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut views = Vec::with_capacity(parameters.layout.len());
    for parameter in &parameters.layout {
        let range = 4 * parameter.offset..4 * (parameter.offset + parameter.len());
        let view = TensorView::new(Dtype::F32, parameter.shape.clone(), &bytes[range]);
        views.push((parameter.name.clone(), view.map_err(std::io::Error::other)?));
    }
    safetensors::serialize(views, None).map_err(std::io::Error::other)
}

fn read_weights(bytes: &[u8], expected: &Parameters) -> Result<Vec<f32>, String> {
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    if tensors.len() != expected.layout.len() {
        let (found, wanted) = (tensors.len(), expected.layout.len());
        return Err(format!("it has {found} tensors, the model of `model.json` needs {wanted}"));
    }
    let mut values = vec![0.0; expected.values.len()];
    for parameter in &expected.layout {
        let name = &parameter.name;
        let tensor = tensors.tensor(name).map_err(|_| format!("weight `{name}` is missing"))?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != parameter.shape {
            let (shape, wanted) = (tensor.shape(), &parameter.shape);
            return Err(format!("weight `{name}` has shape {shape:?}, the model needs {wanted:?}"));
        }
        let target = &mut values[parameter.offset..parameter.offset + parameter.len()];
        let (numbers, _) = tensor.data().as_chunks::<4>();
        for (value, bytes) in target.iter_mut().zip(numbers) {
            *value = f32::from_le_bytes(*bytes);
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::log_sum;

    #[test]
    fn sums_of_exponentials_keep_their_range() {
        assert!((log_sum(2f64.ln(), 3f64.ln()) - 5f64.ln()).abs() < 1e-15);
        assert_eq!(log_sum(-1e6, 0.0), 0.0);
        assert!((log_sum(1000.0, 1000.0) - (1000.0 + 2f64.ln())).abs() < 1e-12);
        assert_eq!(log_sum(f64::NEG_INFINITY, -3.0), -3.0);
        assert_eq!(log_sum(f64::NEG_INFINITY, f64::NEG_INFINITY), f64::NEG_INFINITY);
        assert!(log_sum(f64::NAN, 0.0).is_nan() && log_sum(0.0, f64::NAN).is_nan());
    }
}
