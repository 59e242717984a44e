//! Training momenta that others are compared with, in a file beside the model.

use std::path::Path;

use ndarray::Array2;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::companions;
use super::layout::SUPPORT;
use super::record::ModelRecord;
use crate::RunError;

/// Name of the tensor.
const TENSOR: &str = "momenta";

/// Writes momenta (rows x columns, scaled) into the folder of a model.
///
/// # Errors
/// The folder cannot be written.
pub(crate) fn write(momenta: &Array2<f32>, folder: &Path) -> Result<(), RunError> {
    let path = folder.join(SUPPORT);
    let bytes: Vec<u8> = momenta.iter().flat_map(|value| value.to_le_bytes()).collect();
    let shape = momenta.shape().to_vec();
    let written = TensorView::new(Dtype::F32, shape, &bytes)
        .and_then(|view| safetensors::serialize([(TENSOR, view)], None))
        .map_err(|error| RunError::io("write", &path)(std::io::Error::other(error)))?;
    Ok(cei_files::write(&path, &written)?)
}

/// The momenta in the folder of the model of `record`.
///
/// # Errors
/// A file that is missing or damaged.
pub(crate) fn read(folder: &Path, record: &ModelRecord) -> Result<Array2<f32>, RunError> {
    let bytes = companions::read(folder, record, SUPPORT)?;
    from_bytes(&bytes, record.preprocessing.y_dim()).map_err(|reason| RunError::BadModel {
        path: folder.to_owned(),
        reason: format!("`{SUPPORT}` {reason}"),
    })
}

fn from_bytes(bytes: &[u8], width: usize) -> Result<Array2<f32>, String> {
    let damaged = |error| format!("is damaged: {error}");
    let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
    let tensor = tensors.tensor(TENSOR).map_err(damaged)?;
    let &[rows, columns] = tensor.shape() else { return Err("holds no matrix".to_owned()) };
    if tensor.dtype() != Dtype::F32 || columns != width {
        return Err(format!("holds {columns} columns, but the model has {width}"));
    }
    let (numbers, _) = tensor.data().as_chunks::<4>();
    let values = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    Array2::from_shape_vec((rows, columns), values).map_err(|error| format!("is damaged: {error}"))
}
