//! The conditional variational autoencoder of SPEC 3.1.
//!
//! ```text
//! encoder   h = NN(x),  mu = W_mu h + b_mu,  log sigma^2 = W_s h + b_s
//! latent    z = mu + exp(log sigma^2 / 2) * eps,  eps ~ N(0, I)
//! decoder   x^ = NN([z, y])
//! loss      |x - x^|^2 + beta * KL,  KL = -1/2 sum_j (1 + log sigma_j^2 - mu_j^2 - sigma_j^2)
//! ```
//! Both terms are per row, then averaged over the batch.

mod config;
mod fused;
mod network;

use burn::tensor::Device;
use cei_model::random::{Purpose, stream};
use cei_model::{ConditionalModel, ConditionalNetwork, ConfigError, OnDevice, Parameters, is_cpu};

pub use config::{CvaeConfig, Reconstruction};
pub use network::{Cvae, kl_divergence};

use fused::FusedCvae;

/// Builds a CVAE for `x` of `x_columns` and `y` of `y_columns`, with weights drawn from `seed`:
/// fused kernels on the processor, tensors elsewhere.
///
/// # Errors
/// A hyper-parameter outside its range.
pub fn build(
    config: &CvaeConfig,
    x_columns: usize,
    y_columns: usize,
    seed: u64,
    device: Device,
) -> Result<Box<dyn ConditionalModel>, ConfigError> {
    let mut rng = stream(seed, Purpose::Weights, 0);
    let network = Cvae::new(config, x_columns, y_columns, &mut rng, &device)?;
    if is_cpu(&device) {
        Ok(Box::new(FusedCvae::new(config, network.dimensions(), Parameters::of(&network))))
    } else {
        Ok(Box::new(OnDevice::new(network, device)))
    }
}
