//! Hyper-parameters of the CVAE. The proposal gives no widths; these defaults are ours. What goes
//! beyond the proposal is off by default.

use cei_model::Activation;
use cei_model::config::{HyperParameterError, check_weights, check_widths, weights};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Hyper-parameters of the CVAE.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CvaeConfig {
    /// Widths of the fully connected layers of the encoder.
    #[schemars(length(min = 1, max = 100), inner(range(min = 1, max = 65_536)))]
    pub encoder_hidden: Vec<usize>,
    /// Widths of the fully connected layers of the decoder.
    #[schemars(length(max = 100), inner(range(min = 1, max = 65_536)))]
    pub decoder_hidden: Vec<usize>,
    /// Latent dimensions.
    #[schemars(range(min = 1, max = 4096))]
    pub latent: usize,
    /// Nonlinearity of both networks.
    pub activation: Activation,
    /// Weight of the KL divergence; 1 is the proposal. With a learned decoder variance, 1 makes the
    /// loss the negative ELBO.
    #[schemars(range(min = 0.0))]
    pub beta: f64,
    /// How the squared errors of the components of `x` are combined.
    pub reconstruction: Reconstruction,
    /// Variance of the Gaussian decoder.
    pub decoder_variance: DecoderVariance,
    /// Epochs in which the weight of the KL divergence grows linearly from 0 to `beta`; 0: none.
    #[schemars(range(min = 0.0))]
    pub kl_warmup_epochs: f64,
    /// What every latent dimension may use without cost (free bits, Kingma et al. 2016,
    /// equation 15): training minimises `sum_j max(free_bits, KL_j)` with `KL_j` the mean over the
    /// batch.
    #[schemars(range(min = 0.0), extend("unit" = "nats"))]
    pub free_bits: f64,
    /// Where latents come from without `x`.
    pub prior: LatentPrior,
    /// Widths of the fully connected layers of a conditional prior.
    #[schemars(length(max = 100), inner(range(min = 1, max = 65_536)))]
    pub prior_hidden: Vec<usize>,
    /// What the encoder sees.
    pub encoder_input: EncoderInput,
}

/// Variance of the Gaussian decoder `N(x; x^(z, y), diag s^2)`, in scaled units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DecoderVariance {
    /// Not declared: the loss is the squared error, as in the proposal, and draws have no noise of
    /// the decoder.
    #[default]
    Fixed,
    /// One `log s` for all columns, learned with the weights (sigma-VAE, Rybkin, Daniilidis & Levine
    /// 2021).
    Shared,
    /// One learned `log s` for each column.
    PerColumn,
}

/// Where latents come from without `x`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LatentPrior {
    /// `N(0, I)`: the proposal.
    #[default]
    Standard,
    /// `p(z | y)`: a Gaussian whose mean and log variance are a network of `y` (Sohn, Lee & Yan
    /// 2015). It starts as `N(0, I)`, and draws come from it whatever `evaluation.latent` says.
    Conditional,
}

/// What the encoder sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EncoderInput {
    /// `q(z | x)`: the proposal.
    #[default]
    X,
    /// `q(z | x, y)`.
    XAndY,
}

/// How the squared errors of the components of `x` are combined (`docs/spec.md#cvae`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
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
            decoder_variance: DecoderVariance::Fixed,
            kl_warmup_epochs: 0.0,
            free_bits: 0.0,
            prior: LatentPrior::Standard,
            prior_hidden: vec![128, 128],
            encoder_input: EncoderInput::X,
        }
    }
}

impl CvaeConfig {
    /// Checks every hyper-parameter.
    ///
    /// # Errors
    /// Names the key, the value and the allowed range.
    pub fn check(&self) -> Result<(), HyperParameterError> {
        check_widths("model.encoder_hidden", &self.encoder_hidden)?;
        check_widths("model.decoder_hidden", &self.decoder_hidden)?;
        if self.encoder_hidden.is_empty() {
            return Err(HyperParameterError::new(
                "model.encoder_hidden",
                "[]",
                "a list of at least one width",
            ));
        }
        if !(1..=4096).contains(&self.latent) {
            return Err(HyperParameterError::new("model.latent", self.latent, "from 1 to 4096"));
        }
        check_widths("model.prior_hidden", &self.prior_hidden)?;
        for (key, value) in [
            ("model.beta", self.beta),
            ("model.kl_warmup_epochs", self.kl_warmup_epochs),
            ("model.free_bits", self.free_bits),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(HyperParameterError::new(key, value, "a finite number, at least 0"));
            }
        }
        for (key, hidden, output) in [
            ("model.encoder_hidden", &self.encoder_hidden, 2 * self.latent),
            ("model.decoder_hidden", &self.decoder_hidden, self.latent),
            ("model.prior_hidden", &self.prior_hidden, 2 * self.latent),
        ] {
            let network = [hidden.as_slice(), &[output]].concat();
            check_weights(key, format!("{hidden:?}"), weights(&network))?;
        }
        let learned = self.decoder_variance != DecoderVariance::Fixed;
        if learned && self.reconstruction == Reconstruction::Mean {
            return Err(HyperParameterError::new(
                "model.reconstruction",
                "mean",
                "`sum` with a learned `model.decoder_variance`: a log-likelihood is a sum over components",
            ));
        }
        Ok(())
    }

    /// Weight of the KL divergence after this many epochs of training.
    pub(crate) fn beta_at(&self, epochs: f64) -> f64 {
        // Not by division: without a warm-up that would be 0 / 0 at the start.
        if epochs >= self.kl_warmup_epochs {
            self.beta
        } else {
            self.beta * (epochs / self.kl_warmup_epochs)
        }
    }

    /// How many `log s` of the decoder are learned for `x` of this many columns.
    pub(crate) fn decoder_sds(&self, x_columns: usize) -> usize {
        match self.decoder_variance {
            DecoderVariance::Fixed => 0,
            DecoderVariance::Shared => 1,
            DecoderVariance::PerColumn => x_columns,
        }
    }

    /// Width of what the encoder sees.
    pub(crate) fn encoder_columns(&self, x_columns: usize, y_columns: usize) -> usize {
        match self.encoder_input {
            EncoderInput::X => x_columns,
            EncoderInput::XAndY => x_columns + y_columns,
        }
    }
}
