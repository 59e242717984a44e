//! Models for preprocessed rows.

use cei_data::Preprocessing;
use cei_model::{ConditionalModel, Device};

use crate::RunError;
use crate::config::ModelConfig;

/// Builds an untrained model for preprocessed rows.
///
/// # Errors
/// A hyper-parameter outside its range.
pub(crate) fn build(
    config: &ModelConfig,
    preprocessing: &Preprocessing,
    seed: u64,
    device: Device,
) -> Result<Box<dyn ConditionalModel>, RunError> {
    let (x, y) = (preprocessing.x_dim(), preprocessing.y_dim());
    Ok(config.architecture().build(x, y, seed, device)?)
}
