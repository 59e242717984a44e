//! Hyper-parameters.

use cei_model::Activation;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A normal law with mean and covariance by a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GaussianConfig {
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Nonlinearity between the layers.
    pub activation: Activation,
}

impl Default for GaussianConfig {
    fn default() -> Self {
        Self { hidden: vec![64, 64], activation: Activation::Elu }
    }
}
