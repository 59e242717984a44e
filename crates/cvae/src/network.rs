//! Encoder, reparameterisation, decoder, prior and loss of the CVAE, in tensors.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use cei_model::config::HyperParameterError;
use cei_model::mlp::LastLayer;
use cei_model::{Activation, ConditionalNetwork, Dimensions, LossTensors, Mlp, Noise};
use rand_chacha::ChaCha8Rng;

use crate::config::{CvaeConfig, EncoderInput, LatentPrior, Reconstruction};

/// Bound of `log sigma^2`: `exp` of it stays finite in f32.
pub(crate) const LOG_VARIANCE_BOUND: f64 = 20.0;

/// Bound of the learned `log s` of the decoder: that of half a log variance.
pub(crate) const LOG_SD_BOUND: f64 = LOG_VARIANCE_BOUND / 2.0;

/// `log sqrt(2 pi)`.
pub(crate) const LOG_SQRT_TWO_PI: f64 = 0.918_938_533_204_672_8;

/// Names of the parts of the loss.
pub(crate) const LOSS_TERMS: &[&str] = &["reconstruction", "kl_divergence"];

/// The conditional variational autoencoder.
#[derive(Module, Debug)]
pub struct Cvae {
    /// `x`, or `[x, y]`, to the last hidden layer `h`, its activation included.
    encoder: Mlp,
    mean: Mlp,
    log_variance: Mlp,
    /// `[z, y]` to `x^`.
    decoder: Mlp,
    /// `y` to mean and log variance of `p(z | y)`, side by side.
    prior: Option<Mlp>,
    /// `log s` of the decoder: one number, or one for each column.
    log_sd: Option<Param<Tensor<1>>>,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    shape: Shape,
}

/// Sizes and weights of the loss; not trained.
#[derive(Debug, Clone)]
struct Shape {
    dimensions: Dimensions,
    config: CvaeConfig,
    /// Weight of the KL divergence at this stage of the training.
    beta: f64,
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
    ) -> Result<Self, HyperParameterError> {
        config.check()?;
        let CvaeConfig { latent, activation, .. } = *config;
        let (last, body) = match config.encoder_hidden.split_last() {
            Some((last, body)) => (*last, body),
            None => unreachable!("`check` asks for at least one encoder layer"),
        };
        let mut mlp = |inputs, hidden: &[usize], outputs, last_layer| {
            Mlp::new(inputs, hidden, outputs, activation, last_layer, rng, device)
        };
        let random = LastLayer::Random;
        let sds = config.decoder_sds(x_columns);
        Ok(Self {
            encoder: mlp(config.encoder_columns(x_columns, y_columns), body, last, random),
            mean: mlp(last, &[], latent, random),
            log_variance: mlp(last, &[], latent, random),
            decoder: mlp(latent + y_columns, &config.decoder_hidden, x_columns, random),
            prior: (config.prior == LatentPrior::Conditional)
                .then(|| mlp(y_columns, &config.prior_hidden, 2 * latent, LastLayer::Zero)),
            log_sd: (sds > 0).then(|| Param::from_tensor(Tensor::zeros([sds], device))),
            activation,
            shape: Shape {
                dimensions: Dimensions { x: x_columns, y: y_columns, z: latent },
                beta: config.beta,
                config: config.clone(),
            },
        })
    }

    /// `mu` and `log sigma^2` (`n` x latent) of the posterior; it sees `y` only where the
    /// configuration says so.
    pub fn encode(&self, x: Tensor<2>, y: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let input = match self.shape.config.encoder_input {
            EncoderInput::X => x,
            EncoderInput::XAndY => Tensor::cat(vec![x, y], 1),
        };
        let h = self.activation.forward(self.encoder.forward(input));
        let log_variance = self.log_variance.forward(h.clone());
        (self.mean.forward(h), bounded(log_variance))
    }

    /// Mean and log variance (`n` x latent) of `p(z | y)`; none for `N(0, I)`.
    fn prior(&self, y: Tensor<2>) -> Option<(Tensor<2>, Tensor<2>)> {
        let width = self.shape.dimensions.z;
        let moments = self.prior.as_ref()?.forward(y);
        let mean = moments.clone().narrow(1, 0, width);
        Some((mean, bounded(moments.narrow(1, width, width))))
    }

    /// The learned `log s` of the decoder, shape `[1]` or `[d]`.
    fn log_sd(&self) -> Option<Tensor<1>> {
        let log_sd = self.log_sd.as_ref()?.val();
        Some(log_sd.clamp(-LOG_SD_BOUND, LOG_SD_BOUND))
    }

    /// Mean over the rows of the squared error, or of the negative log-likelihood of the decoder
    /// where its variance is learned.
    fn reconstruction(&self, x: Tensor<2>, x_hat: Tensor<2>) -> Tensor<1> {
        let d = self.shape.dimensions.x;
        let squared_error = (x - x_hat).square();
        match (self.log_sd(), self.shape.config.reconstruction) {
            (Some(log_sd), _) => {
                // What is the same for all rows is not summed over them, which costs digits.
                let log_sd = log_sd.expand([1, d]);
                let precision = (log_sd.clone() * -2.0).exp();
                let errors = squared_error.mean_dim(0);
                (errors * precision * 0.5 + log_sd + LOG_SQRT_TWO_PI).sum()
            }
            (None, Reconstruction::Sum) => squared_error.sum_dim(1).mean(),
            (None, Reconstruction::Mean) => squared_error.mean_dim(1).mean(),
        }
    }

    /// Reconstruction, and KL divergence of each dimension averaged over the rows (shape
    /// `[1, latent]`).
    fn terms(&self, x: Tensor<2>, y: Tensor<2>, noise: &mut Noise<'_>) -> (Tensor<1>, Tensor<2>) {
        let (mu, log_variance) = self.encode(x.clone(), y.clone());
        let eps = noise.standard_normal(x.dims()[0], self.noise_columns(), &x.device());
        let z = mu.clone() + (log_variance.clone() * 0.5).exp() * eps;
        let reconstruction = self.reconstruction(x, self.decode(z, y.clone()));
        let kl = match self.prior(y) {
            None => kl_terms(mu, log_variance),
            Some((m, prior)) => kl_terms_to(mu, log_variance, m, prior),
        };
        (reconstruction, kl.mean_dim(0))
    }
}

/// Within the bound of a log variance.
fn bounded(log_variance: Tensor<2>) -> Tensor<2> {
    log_variance.clamp(-LOG_VARIANCE_BOUND, LOG_VARIANCE_BOUND)
}

/// KL divergence of `N(mu, sigma^2)` from `N(0, I)` for every row, shape `[n, 1]` (equation 6).
pub fn kl_divergence(mu: Tensor<2>, log_variance: Tensor<2>) -> Tensor<2> {
    kl_terms(mu, log_variance).sum_dim(1)
}

/// The same of every dimension.
fn kl_terms(mu: Tensor<2>, log_variance: Tensor<2>) -> Tensor<2> {
    (log_variance.clone() + 1.0 - mu.square() - log_variance.exp()) * -0.5
}

/// KL divergence of `N(mu, sigma^2)` from `N(m, t^2)` of every dimension:
/// `1/2 (log t^2 - log sigma^2 + (sigma^2 + (mu - m)^2) / t^2 - 1)`.
fn kl_terms_to(
    mu: Tensor<2>,
    log_variance: Tensor<2>,
    m: Tensor<2>,
    prior_log_variance: Tensor<2>,
) -> Tensor<2> {
    let spread = log_variance.clone().exp() + (mu - m).square();
    let precision = (-prior_log_variance.clone()).exp();
    (prior_log_variance - log_variance + spread * precision - 1.0) * 0.5
}

impl ConditionalNetwork for Cvae {
    const LOSS_TERMS: &'static [&'static str] = LOSS_TERMS;

    fn dimensions(&self) -> Dimensions {
        self.shape.dimensions
    }

    fn noise_columns(&self) -> usize {
        self.shape.dimensions.z
    }

    fn loss(&self, x: Tensor<2>, y: Tensor<2>, noise: &mut Noise<'_>) -> LossTensors {
        let (reconstruction, kl) = self.terms(x, y, noise);
        let kl = kl.sum();
        LossTensors {
            total: reconstruction.clone() + kl.clone() * self.shape.config.beta,
            terms: vec![reconstruction, kl],
        }
    }

    fn training_loss(&self, x: Tensor<2>, y: Tensor<2>, noise: &mut Noise<'_>) -> LossTensors {
        let (reconstruction, kl) = self.terms(x, y, noise);
        let free_bits = self.shape.config.free_bits;
        let paid =
            if free_bits > 0.0 { kl.clone().clamp_min(free_bits).sum() } else { kl.clone().sum() };
        LossTensors {
            total: reconstruction.clone() + paid * self.shape.beta,
            terms: vec![reconstruction, kl.sum()],
        }
    }

    fn set_progress(&mut self, epochs: f64) {
        self.shape.beta = self.shape.config.beta_at(epochs);
    }

    fn latent_moments(&self, x: Tensor<2>, y: Tensor<2>) -> [Tensor<2>; 2] {
        let (mu, log_variance) = self.encode(x, y);
        [mu, log_variance.exp()]
    }

    fn decode(&self, z: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        self.decoder.forward(Tensor::cat(vec![z, y], 1))
    }

    fn decoder_sd(&self) -> Option<Tensor<1>> {
        Some(self.log_sd()?.exp().expand([self.shape.dimensions.x]))
    }

    fn latent_prior(&self, y: Tensor<2>) -> Option<[Tensor<2>; 2]> {
        let (mean, log_variance) = self.prior(y)?;
        Some([mean, log_variance.exp()])
    }
}
