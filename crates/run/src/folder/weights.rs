//! The weights of a model: named tensors, known by their SHA-256.

use std::path::Path;

use cei_model::Parameters;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::layout::{RECORD, WEIGHTS};
use super::record::{HINT, ModelRecord};
use crate::RunError;

/// Writes the weights into the folder of a model, and gives their SHA-256.
///
/// # Errors
/// The folder cannot be written.
pub(crate) fn write(folder: &Path, parameters: &Parameters) -> Result<String, RunError> {
    let file = folder.join(WEIGHTS);
    let weights = to_bytes(parameters).map_err(RunError::io("write", &file))?;
    cei_files::write(&file, &weights)?;
    Ok(cei_files::sha256(&weights))
}

/// The weights in the folder of a model, in the order of `expected`, which is the model of `record`.
///
/// # Errors
/// A file that cannot be read, or is not as it was written.
pub(crate) fn read(
    folder: &Path,
    record: &ModelRecord,
    expected: &Parameters,
) -> Result<Vec<f32>, RunError> {
    let file = folder.join(WEIGHTS);
    let damaged = |reason: String| RunError::Damaged { path: file.clone(), reason, hint: HINT };
    let weights = std::fs::read(&file).map_err(RunError::io("read", &file))?;
    if cei_files::sha256(&weights) != record.weights_sha256 {
        return Err(damaged(format!("its checksum is not that in `{RECORD}`")));
    }
    from_bytes(&weights, expected).map_err(damaged)
}

/// What stands for the weights of an ensemble: the SHA-256 of those of its members in hexadecimal, one after another.
pub(crate) fn sha256_of_members(members: &[ModelRecord]) -> String {
    let checksums: String = members.iter().map(|member| member.weights_sha256.as_str()).collect();
    cei_files::sha256(checksums.as_bytes())
}

fn to_bytes(parameters: &Parameters) -> std::io::Result<Vec<u8>> {
    let bytes: Vec<u8> = parameters.values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut views = Vec::with_capacity(parameters.layout.len());
    for parameter in &parameters.layout {
        let range = 4 * parameter.offset..4 * (parameter.offset + parameter.len());
        let view = TensorView::new(Dtype::F32, parameter.shape.clone(), &bytes[range]);
        views.push((parameter.name.clone(), view.map_err(std::io::Error::other)?));
    }
    safetensors::serialize(views, None).map_err(std::io::Error::other)
}

fn from_bytes(bytes: &[u8], expected: &Parameters) -> Result<Vec<f32>, String> {
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    if tensors.len() != expected.layout.len() {
        let (found, wanted) = (tensors.len(), expected.layout.len());
        return Err(format!("it has {found} tensors, the model of `{RECORD}` needs {wanted}"));
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
