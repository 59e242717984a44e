//! The state of a training in one file, from which it continues bit for bit.
//!
//! A safetensors file with the vectors `parameters`, `best`, `adam.first` and `adam.second`, and
//! `average` where the training keeps a moving average of the parameters; its metadata hold the rest as JSON, and the
//! SHA-256 of all of it. An interrupted write leaves the previous one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use cei_files::{FileError, Sha256};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::adam::Adam;
use crate::{EarlyStopping, History, Plateau};

/// Version of the file format.
const FORMAT: u32 = 1;

/// A training between two batches.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Everything but the long vectors.
    pub state: State,
    /// Present parameters.
    pub parameters: Vec<f32>,
    /// Parameters of the lowest validation loss.
    pub best: Vec<f32>,
    /// Moving average of the parameters, where the training keeps one.
    pub average: Option<Vec<f32>>,
    /// The optimiser.
    pub adam: Adam,
}

/// Where a training stands.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    /// The epoch under way, counted from 1.
    pub epoch: usize,
    /// Batches of it that are done.
    pub batch: usize,
    /// Sum over these of rows times loss.
    pub loss_sum: f64,
    /// The same for the terms of the loss.
    pub term_sums: Vec<f64>,
    /// Seconds spent in the epoch under way.
    pub seconds: f64,
    /// Early stopping.
    pub early_stopping: EarlyStopping,
    /// Decay of the step size.
    #[serde(default)]
    pub plateau: Plateau,
    /// The finished epochs.
    pub history: History,
}

impl State {
    /// Epochs of so many batches that are done, in fractions of one.
    pub(crate) fn epochs_done(&self, batches: usize) -> f64 {
        (self.epoch - 1) as f64 + self.batch as f64 / batches as f64
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    adam_step: u64,
    state: State,
    /// SHA-256 of all else; none in checkpoints of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

/// A checkpoint that cannot be read or written.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] FileError),
    /// It cannot be read.
    #[error("cannot read checkpoint `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no checkpoint, or damaged.
    #[error("`{}` is not a checkpoint of this program, or is damaged: {reason}\nhint: train anew into an empty folder", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The checkpoint and the configuration disagree on whether parameters are averaged.
    #[error("checkpoint `{}` and `training.ema_decay` disagree on whether parameters are averaged\nhint: resume with the configuration that the run began with", path.display())]
    OtherAverage {
        /// The file.
        path: PathBuf,
    },
    /// The checkpoint belongs to a network of another size.
    #[error("checkpoint `{}` holds {found} parameters, but the configured model has {expected}\nhint: resume with the configuration that the run began with", path.display())]
    OtherModel {
        /// The file.
        path: PathBuf,
        /// Parameters in the file.
        found: usize,
        /// Parameters of the model.
        expected: usize,
    },
}

impl Checkpoint {
    /// Writes the checkpoint in place of an earlier one.
    ///
    /// # Errors
    /// The folder does not exist or cannot be written; the earlier checkpoint is then untouched.
    pub fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        let bytes =
            self.to_bytes().map_err(|source| FileError::Io { path: path.to_owned(), source })?;
        Ok(cei_files::write(path, &bytes)?)
    }

    /// Reads a checkpoint of a model with `parameters` parameters.
    ///
    /// # Errors
    /// The file is missing, damaged, or belongs to a model of another size.
    pub fn load(path: &Path, parameters: usize) -> Result<Self, CheckpointError> {
        let bytes = std::fs::read(path)
            .map_err(|source| CheckpointError::Io { path: path.to_owned(), source })?;
        let damaged = |reason| CheckpointError::Damaged { path: path.to_owned(), reason };
        let mut header = read_header(&bytes).ok_or_else(|| damaged("its header is unreadable"))?;
        if header.format != FORMAT {
            return Err(damaged("it has another format version"));
        }
        let tensors =
            SafeTensors::deserialize(&bytes).map_err(|_| damaged("its vectors are unreadable"))?;
        let kept = header.sha256.take();
        let all = tensors.tensors();
        let vectors = all.iter().map(|(name, tensor)| (name.as_str(), tensor.data()));
        let found = serde_json::to_string(&header).map(|header| digest(&header, vectors));
        if kept.is_some_and(|kept| found.ok() != Some(kept)) {
            return Err(damaged("its content does not fit its digest"));
        }
        let vector = |name| {
            let tensor = tensors.tensor(name).map_err(|_| damaged("a vector is missing"))?;
            if tensor.dtype() != Dtype::F32 {
                return Err(damaged("a vector is of another type"));
            }
            let values = read_f32(tensor.data());
            if values.len() != parameters {
                return Err(CheckpointError::OtherModel {
                    path: path.to_owned(),
                    found: values.len(),
                    expected: parameters,
                });
            }
            Ok(values)
        };
        Ok(Self {
            state: header.state,
            parameters: vector("parameters")?,
            best: vector("best")?,
            average: match tensors.names().contains(&"average") {
                true => Some(vector("average")?),
                false => None,
            },
            adam: Adam {
                step: header.adam_step,
                first: vector("adam.first")?,
                second: vector("adam.second")?,
            },
        })
    }

    fn to_bytes(&self) -> std::io::Result<Vec<u8>> {
        let mut header = Header {
            format: FORMAT,
            adam_step: self.adam.step,
            state: self.state.clone(),
            sha256: None,
        };
        let always = [
            ("parameters", &self.parameters),
            ("best", &self.best),
            ("adam.first", &self.adam.first),
            ("adam.second", &self.adam.second),
        ];
        let average = self.average.as_ref().map(|average| ("average", average));
        let vectors: Vec<(&str, Vec<u8>)> = always
            .into_iter()
            .chain(average)
            .map(|(name, values)| (name, to_bytes(values)))
            .collect();
        let mut views = Vec::with_capacity(vectors.len());
        for (name, bytes) in &vectors {
            let view = TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes);
            views.push((*name, view.map_err(std::io::Error::other)?));
        }
        let bytes = vectors.iter().map(|(name, bytes)| (*name, bytes.as_slice()));
        header.sha256 = Some(digest(&serde_json::to_string(&header)?, bytes));
        let metadata = HashMap::from([("cei".to_owned(), serde_json::to_string(&header)?)]);
        safetensors::serialize(views, Some(metadata)).map_err(std::io::Error::other)
    }
}

fn read_header(bytes: &[u8]) -> Option<Header> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).ok()?;
    let text = metadata.metadata().as_ref()?.get("cei")?;
    serde_json::from_str(text).ok()
}

/// SHA-256 of the header and of names and values of all vectors, in alphabetical order.
fn digest<'a>(header: &str, vectors: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let mut vectors: Vec<_> = vectors.collect();
    vectors.sort_unstable_by_key(|(name, _)| *name);
    let mut hash = Sha256::default();
    for (name, bytes) in std::iter::once(("", header.as_bytes())).chain(vectors) {
        for part in [name.as_bytes(), bytes] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    hash.finish()
}

fn to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn read_f32(bytes: &[u8]) -> Vec<f32> {
    let (numbers, _) = bytes.as_chunks::<4>();
    numbers.iter().map(|number| f32::from_le_bytes(*number)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Checkpoint {
        Checkpoint {
            state: State { epoch: 3, batch: 2, loss_sum: 0.1 + 0.2, ..State::default() },
            parameters: vec![1.0, -0.1, f32::MIN_POSITIVE],
            best: vec![0.0, 1.0, 2.0],
            average: None,
            adam: Adam { step: 7, first: vec![0.5; 3], second: vec![0.25; 3] },
        }
    }

    #[test]
    fn reads_back_bit_for_bit() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("checkpoint.safetensors");
        example().save(&path)?;
        assert_eq!(Checkpoint::load(&path, 3)?, example());
        let averaged = Checkpoint { average: Some(vec![0.3, f32::MAX, -0.0]), ..example() };
        averaged.save(&path)?;
        assert_eq!(Checkpoint::load(&path, 3)?, averaged);
        assert_eq!(std::fs::read_dir(folder.path())?.count(), 1, "no temporary file is left");
        Ok(())
    }

    #[test]
    fn a_damaged_or_foreign_file_is_an_error() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("checkpoint.safetensors");
        example().save(&path)?;
        assert!(matches!(Checkpoint::load(&path, 4), Err(CheckpointError::OtherModel { .. })));
        let bytes = std::fs::read(&path)?;
        std::fs::write(&path, &bytes[..bytes.len() / 2])?;
        assert!(matches!(Checkpoint::load(&path, 3), Err(CheckpointError::Damaged { .. })));
        Ok(())
    }

    /// Whatever bit is changed: either the same state is read, or an error names the file.
    #[test]
    fn no_changed_bit_is_believed() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("checkpoint.safetensors");
        let checkpoint = Checkpoint { average: Some(vec![0.3, 2.0, -0.0]), ..example() };
        checkpoint.save(&path)?;
        let bytes = std::fs::read(&path)?;
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1 << (place % 8);
            std::fs::write(&path, changed)?;
            match Checkpoint::load(&path, 3) {
                Ok(read) => assert_eq!(read, checkpoint, "byte {place}"),
                Err(error) => assert!(error.to_string().contains("checkpoint.safetensors")),
            }
        }
        Ok(())
    }
}
