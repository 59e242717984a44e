//! The conditional variational autoencoder of `docs/spec.md#cvae`.
//!
//! ```text
//! encoder   h = NN(x),  mu = W_mu h + b_mu,  log sigma^2 = W_s h + b_s
//! latent    z = mu + exp(log sigma^2 / 2) * eps,  eps ~ N(0, I)
//! decoder   x^ = NN([z, y])
//! loss      |x - x^|^2 + beta * KL,  KL = -1/2 sum_j (1 + log sigma_j^2 - mu_j^2 - sigma_j^2)
//! ```
//! Both terms are per row, then averaged over the batch. That is the proposal, under which the latent
//! may collapse. Options against it, each off by default:
//!
//! ```text
//! decoder   x | z, y ~ N(x^, diag s^2), log s learned;  |x - x^|^2 becomes
//!           -log p(x | z, y) = sum_i [(x_i - x^_i)^2 / (2 s_i^2) + log s_i + 1/2 log 2 pi]
//! prior     p(z | y) = N(m(y), diag t(y)^2), from which the KL divergence is then taken
//! encoder   h = NN([x, y])
//! training  beta grows from 0 over `kl_warmup_epochs`; sum_j max(free_bits, KL_j)
//! ```
//! With a learned `s` and `beta = 1` the loss is the negative evidence lower bound (ELBO). Warm-up and
//! free bits change only what training minimises: the validation loss is always the full one, so that
//! early stopping compares like with like.

mod config;
mod fused;
mod network;

use burn::tensor::Device;
use cei_model::random::{Purpose, stream};
use cei_model::{
    Architecture, ConditionalModel, ConditionalNetwork, Density, HyperParameterError, OnDevice,
    Parameters, is_cpu,
};

pub use config::{CvaeConfig, DecoderVariance, EncoderInput, LatentPrior, Reconstruction};
pub use network::{Cvae, kl_divergence};

use fused::FusedCvae;

impl Architecture for CvaeConfig {
    fn name(&self) -> &'static str {
        "CVAE"
    }

    fn loss_label(&self) -> &'static str {
        "loss (reconstruction + KL divergence)"
    }

    fn loss_keys(&self) -> &'static [&'static str] {
        &["beta", "reconstruction", "decoder_variance"]
    }

    fn check(&self) -> Result<(), HyperParameterError> {
        CvaeConfig::check(self)
    }

    fn density(&self) -> Density {
        match self.decoder_variance {
            DecoderVariance::Fixed => Density::None,
            DecoderVariance::Shared | DecoderVariance::PerColumn => Density::LowerBound,
        }
    }

    fn may_ignore_latents(&self) -> bool {
        true
    }

    fn build(
        &self,
        x_columns: usize,
        y_columns: usize,
        seed: u64,
        device: Device,
    ) -> Result<Box<dyn ConditionalModel>, HyperParameterError> {
        build(self, x_columns, y_columns, seed, device)
    }
}

/// Builds a CVAE for `x` of `x_columns` and `y` of `y_columns`, with weights drawn from `seed`:
/// fused kernels on the processor, tensors elsewhere.
///
/// # Errors
/// A hyper-parameter outside its range.
///
/// ```
/// use cei_cvae::{CvaeConfig, build};
/// use cei_model::open_device;
/// use ndarray::Array2;
///
/// // Positions of 6 columns from momenta of 9.
/// let model = build(&CvaeConfig::default(), 6, 9, 0, open_device("cpu")?)?;
/// // A CVAE has no exact likelihood; its draws are decoded latents.
/// let z = Array2::zeros((2, model.dimensions().z));
/// let x = model.decode(z.view(), Array2::zeros((2, 9)).view());
/// assert_eq!(x.dim(), (2, 6));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn build(
    config: &CvaeConfig,
    x_columns: usize,
    y_columns: usize,
    seed: u64,
    device: Device,
) -> Result<Box<dyn ConditionalModel>, HyperParameterError> {
    let mut rng = stream(seed, Purpose::Weights, 0);
    let network = Cvae::new(config, x_columns, y_columns, &mut rng, &device)?;
    if is_cpu(&device) {
        Ok(Box::new(FusedCvae::new(config, network.dimensions(), Parameters::of(&network))))
    } else {
        Ok(Box::new(OnDevice::new(network, device)))
    }
}
