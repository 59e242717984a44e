//! The flow: couplings and flips in sequence, its density and its inverse.

use std::f64::consts::TAU;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use cei_model::{ConditionalNetwork, ConfigError, Dimensions, LossTensors};
use rand_chacha::ChaCha8Rng;

use crate::CinnConfig;
use crate::coupling::AffineCoupling;

/// A sequence of affine couplings, each followed by a flip of the feature order.
#[derive(Module, Debug)]
pub struct Flow {
    couplings: Vec<AffineCoupling>,
    #[module(skip)]
    dimensions: Dimensions,
}

impl Flow {
    /// A flow for `x` of `x_columns` and `y` of `y_columns`; starts as the identity but for flips.
    ///
    /// # Errors
    /// A hyper-parameter outside its range.
    pub fn new(
        config: &CinnConfig,
        x_columns: usize,
        y_columns: usize,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        let couplings = (0..config.couplings)
            .map(|_| AffineCoupling::new(config, x_columns, y_columns, rng, device))
            .collect();
        let dimensions = Dimensions { x: x_columns, y: y_columns, z: x_columns };
        Ok(Self { couplings, dimensions })
    }

    /// Maps `x` to `z` (`n` x `d`), with `log|det dz/dx|` (`n` x 1).
    pub fn forward(&self, x: Tensor<2>, y: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let mut log_det = Tensor::zeros([x.dims()[0], 1], &x.device());
        let mut z = x;
        for coupling in &self.couplings {
            let (value, term) = coupling.forward(z, y.clone());
            z = value.flip([1]);
            log_det = log_det + term;
        }
        (z, log_det)
    }

    /// Maps `z` back to `x` (`n` x `d`).
    pub fn inverse(&self, z: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        self.couplings.iter().rev().fold(z, |x, coupling| coupling.inverse(x.flip([1]), y.clone()))
    }

    /// `log p(x | y) = log N(z; 0, I) + log|det dz/dx|` (`n` x 1).
    fn log_density(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        let (z, log_det) = self.forward(x, y);
        let constant = 0.5 * TAU.ln() * self.dimensions.x as f64;
        log_det - z.square().sum_dim(1) * 0.5 - constant
    }
}

impl ConditionalNetwork for Flow {
    const LOSS_TERMS: &'static [&'static str] = &[];

    fn dimensions(&self) -> Dimensions {
        self.dimensions
    }

    /// The negative log-likelihood. Equation 14 of the proposal has the sign of `log|det|`
    /// wrong: with it the loss has no minimum.
    fn loss(&self, x: Tensor<2>, y: Tensor<2>, _noise: &mut ChaCha8Rng) -> LossTensors {
        LossTensors { total: -self.log_density(x, y).mean(), terms: Vec::new() }
    }

    fn latent_moments(&self, x: Tensor<2>, y: Tensor<2>) -> [Tensor<2>; 2] {
        let z = self.forward(x, y).0;
        let variance = z.zeros_like();
        [z, variance]
    }

    fn decode(&self, z: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        self.inverse(z, y)
    }

    fn log_prob(&self, x: Tensor<2>, y: Tensor<2>) -> Option<Tensor<1>> {
        Some(self.log_density(x, y).squeeze_dim(1))
    }
}
