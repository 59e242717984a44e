//! Hyper-parameters of the cINN. Depth and couplings are the proposal's; the widths are ours.

use cei_model::Activation;
use cei_model::config::{ConfigError, check_positive, check_widths};
use serde::{Deserialize, Serialize};

/// Hyper-parameters of the cINN.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CinnConfig {
    /// Affine couplings, each followed by a flip.
    pub couplings: usize,
    /// Widths of the hidden layers of every subnet.
    pub hidden: Vec<usize>,
    /// Nonlinearity of the subnets.
    pub activation: Activation,
    /// Bound `c` of the log-scales, `s = c tanh(u / c)`.
    pub clamp: f64,
}

impl Default for CinnConfig {
    fn default() -> Self {
        Self { couplings: 20, hidden: vec![128, 128], activation: Activation::Relu, clamp: 2.0 }
    }
}

impl CinnConfig {
    /// Checks every hyper-parameter.
    ///
    /// # Errors
    /// Names the key, the value and the allowed range.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !(1..=1000).contains(&self.couplings) {
            return Err(ConfigError::new("model.couplings", self.couplings, "from 1 to 1000"));
        }
        check_widths("model.hidden", &self.hidden)?;
        check_positive("model.clamp", self.clamp)
    }
}
