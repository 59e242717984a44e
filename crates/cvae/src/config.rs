//! Hyper-parameters of the CVAE. The proposal gives no widths; these defaults are ours.

use cei_model::Activation;
use cei_model::config::{ConfigError, check_widths};
use serde::{Deserialize, Serialize};

/// Hyper-parameters of the CVAE.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CvaeConfig {
    /// Widths of the fully connected layers of the encoder.
    pub encoder_hidden: Vec<usize>,
    /// Widths of the fully connected layers of the decoder.
    pub decoder_hidden: Vec<usize>,
    /// Latent dimensions.
    pub latent: usize,
    /// Nonlinearity of both networks.
    pub activation: Activation,
    /// Weight of the KL divergence; 1 is the proposal.
    pub beta: f64,
    /// How the squared errors of the components of `x` are combined.
    pub reconstruction: Reconstruction,
}

/// How the squared errors of the components of `x` are combined (SPEC 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reconstruction {
    /// Their sum: equation 5 of the proposal read literally.
    #[default]
    Sum,
    /// Their mean: amounts to a decoder variance of `d / 2`, under which the latent may collapse.
    Mean,
}

impl Default for CvaeConfig {
    fn default() -> Self {
        Self {
            encoder_hidden: vec![256, 256],
            decoder_hidden: vec![256, 256],
            latent: 16,
            activation: Activation::Elu,
            beta: 1.0,
            reconstruction: Reconstruction::Sum,
        }
    }
}

impl CvaeConfig {
    /// Checks every hyper-parameter.
    ///
    /// # Errors
    /// Names the key, the value and the allowed range.
    pub fn check(&self) -> Result<(), ConfigError> {
        check_widths("model.encoder_hidden", &self.encoder_hidden)?;
        check_widths("model.decoder_hidden", &self.decoder_hidden)?;
        if self.encoder_hidden.is_empty() {
            return Err(ConfigError::new(
                "model.encoder_hidden",
                "[]",
                "a list of at least one width",
            ));
        }
        if !(1..=4096).contains(&self.latent) {
            return Err(ConfigError::new("model.latent", self.latent, "from 1 to 4096"));
        }
        if !(self.beta.is_finite() && self.beta >= 0.0) {
            return Err(ConfigError::new("model.beta", self.beta, "a finite number, at least 0"));
        }
        Ok(())
    }
}
