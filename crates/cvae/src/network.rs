//! Encoder, reparameterisation, decoder and loss of the CVAE, in tensors.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use cei_model::config::ConfigError;
use cei_model::mlp::LastLayer;
use cei_model::random::standard_normal;
use cei_model::tensor::from_matrix;
use cei_model::{Activation, ConditionalNetwork, Dimensions, LossTensors, Mlp};
use rand_chacha::ChaCha8Rng;

use crate::config::{CvaeConfig, Reconstruction};

/// Bound of `log sigma^2`: `exp` of it stays finite in f32.
pub(crate) const LOG_VARIANCE_BOUND: f64 = 20.0;

/// Names of the parts of the loss.
pub(crate) const LOSS_TERMS: &[&str] = &["reconstruction", "kl_divergence"];

/// The conditional variational autoencoder.
#[derive(Module, Debug)]
pub struct Cvae {
    /// `x` to the last hidden layer `h`, its activation included.
    encoder: Mlp,
    mean: Mlp,
    log_variance: Mlp,
    /// `[z, y]` to `x^`.
    decoder: Mlp,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    shape: Shape,
}

/// Sizes and weights of the loss; not trained.
#[derive(Debug, Clone)]
struct Shape {
    dimensions: Dimensions,
    beta: f64,
    reconstruction: Reconstruction,
}

impl Cvae {
    /// A CVAE for `x` of `x_columns` and `y` of `y_columns`.
    ///
    /// # Errors
    /// A hyper-parameter outside its range.
    pub fn new(
        config: &CvaeConfig,
        x_columns: usize,
        y_columns: usize,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        let CvaeConfig { latent, activation, .. } = *config;
        let (last, body) = match config.encoder_hidden.split_last() {
            Some((last, body)) => (*last, body),
            None => unreachable!("`check` asks for at least one encoder layer"),
        };
        let mut mlp = |inputs, hidden: &[usize], outputs| {
            Mlp::new(inputs, hidden, outputs, activation, LastLayer::Random, rng, device)
        };
        Ok(Self {
            encoder: mlp(x_columns, body, last),
            mean: mlp(last, &[], latent),
            log_variance: mlp(last, &[], latent),
            decoder: mlp(latent + y_columns, &config.decoder_hidden, x_columns),
            activation,
            shape: Shape {
                dimensions: Dimensions { x: x_columns, y: y_columns, z: latent },
                beta: config.beta,
                reconstruction: config.reconstruction,
            },
        })
    }

    /// `mu` and `log sigma^2` (`n` x latent) of the posterior `q(z | x)`; sees `x` alone.
    pub fn encode(&self, x: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let h = self.activation.forward(self.encoder.forward(x));
        let log_variance = self.log_variance.forward(h.clone());
        (self.mean.forward(h), log_variance.clamp(-LOG_VARIANCE_BOUND, LOG_VARIANCE_BOUND))
    }
}

/// KL divergence of `N(mu, sigma^2)` from `N(0, I)` for every row, shape `[n, 1]` (equation 6).
pub fn kl_divergence(mu: Tensor<2>, log_variance: Tensor<2>) -> Tensor<2> {
    let sum = (log_variance.clone() + 1.0 - mu.square() - log_variance.exp()).sum_dim(1);
    sum * -0.5
}

impl ConditionalNetwork for Cvae {
    const LOSS_TERMS: &'static [&'static str] = LOSS_TERMS;

    fn dimensions(&self) -> Dimensions {
        self.shape.dimensions
    }

    fn loss(&self, x: Tensor<2>, y: Tensor<2>, noise: &mut ChaCha8Rng) -> LossTensors {
        let (mu, log_variance) = self.encode(x.clone());
        let eps = standard_normal(x.dims()[0], self.shape.dimensions.z, noise);
        let eps = from_matrix(eps.view(), &x.device());
        let z = mu.clone() + (log_variance.clone() * 0.5).exp() * eps;
        let squared_error = (x - self.decode(z, y)).square();
        let reconstruction = match self.shape.reconstruction {
            Reconstruction::Sum => squared_error.sum_dim(1),
            Reconstruction::Mean => squared_error.mean_dim(1),
        }
        .mean();
        let kl = kl_divergence(mu, log_variance).mean();
        LossTensors {
            total: reconstruction.clone() + kl.clone() * self.shape.beta,
            terms: vec![reconstruction, kl],
        }
    }

    fn latent_moments(&self, x: Tensor<2>, _y: Tensor<2>) -> [Tensor<2>; 2] {
        let (mu, log_variance) = self.encode(x);
        [mu, log_variance.exp()]
    }

    fn decode(&self, z: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        self.decoder.forward(Tensor::cat(vec![z, y], 1))
    }
}
