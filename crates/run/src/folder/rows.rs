//! Digests of the rows that a model was trained on, in a file beside it: 24 bytes a row.

use std::path::Path;

use cei_data::{Digests, RowDigests};
use cei_files::{AtomicFile, FileError};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use super::companions;
use super::layout::ROWS;
use super::record::ModelRecord;
use crate::RunError;

/// What the tensors of each kind of digests are called.
const PARTS: [&str; 3] = ["rows", "positions", "momenta"];

/// Numbers that are turned into bytes at a time.
const BLOCK: usize = 1 << 16;

/// Writes the digests of the training rows beside the model, a block at a time: there may be as many bytes as in the rows.
///
/// # Errors
/// The folder cannot be written.
pub(crate) fn write(digests: &RowDigests, folder: &Path) -> Result<(), RunError> {
    let path = folder.join(ROWS);
    let mut tensors: Vec<(String, Dtype, Words<'_>)> = Vec::new();
    for (part, digests) in PARTS.iter().zip([&digests.whole, &digests.positions, &digests.momenta])
    {
        tensors.push((format!("{part}.digests"), Dtype::U64, Words::Digests(&digests.sorted)));
        tensors.push((format!("{part}.offsets"), Dtype::F64, Words::Numbers(&digests.offsets)));
        tensors.push((format!("{part}.widths"), Dtype::F64, Words::Numbers(&digests.widths)));
    }
    // The order in which the format has them.
    tensors.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut end = 0;
    let info = |(name, dtype, words): &(String, Dtype, Words<'_>)| {
        let begin = end;
        end += 8 * words.len();
        let info =
            TensorInfo { dtype: *dtype, shape: vec![words.len()], data_offsets: (begin, end) };
        (name.clone(), info)
    };
    let infos = tensors.iter().map(info).collect();
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
        RunError::io("write", &path)(std::io::Error::other(error))
    };
    let metadata = Metadata::new(None, infos).map_err(|error| failed(error.into()))?;
    let mut header = serde_json::to_vec(&metadata).map_err(|error| failed(error.into()))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = AtomicFile::create(&path)?;
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    for (_, _, words) in &tensors {
        words.in_blocks(|bytes| file.write_all(bytes))?;
    }
    Ok(file.commit()?)
}

/// Numbers of 8 bytes.
enum Words<'a> {
    Digests(&'a [u64]),
    Numbers(&'a [f64]),
}

impl Words<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Digests(words) => words.len(),
            Self::Numbers(words) => words.len(),
        }
    }

    fn in_blocks(
        &self,
        mut take: impl FnMut(&[u8]) -> Result<(), FileError>,
    ) -> Result<(), FileError> {
        match self {
            Self::Digests(words) => words.chunks(BLOCK).try_for_each(|words| {
                take(&words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>())
            }),
            Self::Numbers(words) => words.chunks(BLOCK).try_for_each(|words| {
                take(&words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>())
            }),
        }
    }
}

/// The digests of the training rows of a run; none for one that was trained before runs had them.
///
/// # Errors
/// A file that cannot be read or is damaged.
pub(crate) fn read(folder: &Path, record: &ModelRecord) -> Result<Option<RowDigests>, RunError> {
    if !record.files.contains_key(ROWS) {
        return Ok(None);
    }
    let bytes = companions::read(folder, record, ROWS)?;
    let preprocessing = &record.preprocessing;
    let (x, y) = (preprocessing.x_names().len(), preprocessing.y_names().len());
    let bad = |reason| RunError::BadModel {
        path: folder.to_owned(),
        reason: format!("`{ROWS}` {reason}"),
    };
    let damaged = |error: safetensors::SafeTensorError| bad(format!("is damaged: {error}"));
    let tensors = SafeTensors::deserialize(&bytes).map_err(damaged)?;
    let part = |part: &str, columns: usize| {
        let words = |name: &str, kind: Dtype| {
            let tensor = tensors.tensor(&format!("{part}.{name}")).map_err(damaged)?;
            if tensor.dtype() != kind {
                return Err(bad(format!("holds `{part}.{name}` of another type")));
            }
            Ok(tensor.data().as_chunks::<8>().0.to_vec())
        };
        let numbers = |name: &str| {
            Ok::<Vec<f64>, RunError>(
                words(name, Dtype::F64)?.into_iter().map(f64::from_le_bytes).collect(),
            )
        };
        let digests = Digests {
            offsets: numbers("offsets")?,
            widths: numbers("widths")?,
            sorted: words("digests", Dtype::U64)?.into_iter().map(u64::from_le_bytes).collect(),
        };
        // A side that does not vary has no digests.
        let widths = digests.widths.len();
        if digests.offsets.len() != columns || (widths != columns && !digests.sorted.is_empty()) {
            return Err(bad(format!(
                "holds {widths} columns of `{part}`, the model has {columns}"
            )));
        }
        Ok(digests)
    };
    Ok(Some(RowDigests {
        whole: part(PARTS[0], x + y)?,
        positions: part(PARTS[1], x)?,
        momenta: part(PARTS[2], y)?,
    }))
}
