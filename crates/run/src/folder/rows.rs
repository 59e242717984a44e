//! Digests of the rows that a model was trained on, in a file beside it: 24 bytes a row.

use std::path::Path;

use cei_data::{Digests, RowDigests};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::companions;
use super::layout::ROWS;
use super::record::ModelRecord;
use crate::RunError;

/// What the tensors of each kind of digests are called.
const PARTS: [&str; 3] = ["rows", "positions", "momenta"];

/// Writes the digests of the training rows beside the model.
///
/// # Errors
/// The folder cannot be written.
pub(crate) fn write(digests: &RowDigests, folder: &Path) -> Result<(), RunError> {
    let path = folder.join(ROWS);
    let mut tensors: Vec<(String, Dtype, Vec<u8>)> = Vec::new();
    for (part, digests) in PARTS.iter().zip([&digests.whole, &digests.positions, &digests.momenta])
    {
        let numbers =
            |values: &[f64]| values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let sorted = digests.sorted.iter().flat_map(|value| value.to_le_bytes()).collect();
        tensors.push((format!("{part}.digests"), Dtype::U64, sorted));
        tensors.push((format!("{part}.offsets"), Dtype::F64, numbers(&digests.offsets)));
        tensors.push((format!("{part}.widths"), Dtype::F64, numbers(&digests.widths)));
    }
    let failed = |error| RunError::io("write", &path)(std::io::Error::other(error));
    let views: Vec<(&str, TensorView<'_>)> = tensors
        .iter()
        .map(|(name, kind, bytes)| {
            Ok((name.as_str(), TensorView::new(*kind, vec![bytes.len() / 8], bytes)?))
        })
        .collect::<Result<_, safetensors::SafeTensorError>>()
        .map_err(failed)?;
    let written = safetensors::serialize(views, None).map_err(failed)?;
    Ok(cei_files::write(&path, &written)?)
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
