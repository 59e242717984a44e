//! The law in tensors.
//!
//! ```text
//! m, u, b = NN(y)       A: lower triangle with e^u on its diagonal and b below it
//! z = A (x - m)         log p(x | y) = -1/2 |z|^2 + sum u - d/2 ln 2 pi        x = m + A^-1 z
//! ```

use std::f64::consts::TAU;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use cei_model::mlp::LastLayer;
use cei_model::{ConditionalNetwork, Dimensions, LossTensors, Mlp, Noise};
use rand_chacha::ChaCha8Rng;

use crate::config::GaussianConfig;

/// Bound of `u`: `e^u` stays finite in f32.
const BOUND: f64 = 10.0;

/// The network that gives mean and triangle.
#[derive(Module, Debug)]
pub(crate) struct Gaussian {
    network: Mlp,
    #[module(skip)]
    dimensions: Dimensions,
}

/// What it gives for rows of `y`.
struct Law {
    /// `m` (`n` x `d`).
    mean: Tensor<2>,
    /// `u` (`n` x `d`).
    log_diagonal: Tensor<2>,
    /// `b` (`n` x `d (d - 1) / 2`), row by row of the triangle.
    below: Tensor<2>,
}

impl Gaussian {
    /// It starts as the standard normal law: the last layer gives zeros.
    pub(crate) fn new(
        config: &GaussianConfig,
        x_columns: usize,
        y_columns: usize,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Self {
        let outputs = 2 * x_columns + x_columns * (x_columns - 1) / 2;
        let GaussianConfig { hidden, activation } = config;
        let last = LastLayer::Zero;
        Self {
            network: Mlp::new(y_columns, hidden, outputs, *activation, last, rng, device),
            dimensions: Dimensions { x: x_columns, y: y_columns, z: x_columns },
        }
    }

    fn law(&self, y: Tensor<2>) -> Law {
        let d = self.dimensions.x;
        let output = self.network.forward(y);
        let columns = |first, count| output.clone().narrow(1, first, count);
        Law {
            mean: columns(0, d),
            log_diagonal: columns(d, d).clamp(-BOUND, BOUND),
            // At least one column, of which a single number makes no use.
            below: columns(2 * d - usize::from(d == 1), (d * (d - 1) / 2).max(1)),
        }
    }
}

impl Law {
    /// What row `i` of the triangle adds to `z_i` left of the diagonal; `columns` are those of `x - m`.
    fn left(&self, i: usize, columns: &[Tensor<2>]) -> Tensor<2> {
        let first = i * (i.max(1) - 1) / 2;
        let zero = self.mean.zeros_like().narrow(1, 0, 1);
        let terms = columns[..i].iter().enumerate();
        terms.fold(zero, |sum, (j, x)| sum + self.below.clone().narrow(1, first + j, 1) * x.clone())
    }

    /// `z` of `x`.
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let d = x.dims()[1];
        let off = x - self.mean.clone();
        let columns: Vec<_> = (0..d).map(|i| off.clone().narrow(1, i, 1)).collect();
        let left = (0..d).map(|i| self.left(i, &columns)).collect();
        off * self.log_diagonal.clone().exp() + Tensor::cat(left, 1)
    }

    /// `x` of `z`, column by column.
    fn inverse(&self, z: Tensor<2>) -> Tensor<2> {
        let widths = self.log_diagonal.clone().neg().exp();
        let mut columns: Vec<Tensor<2>> = Vec::new();
        for i in 0..z.dims()[1] {
            let rest = z.clone().narrow(1, i, 1) - self.left(i, &columns);
            columns.push(rest * widths.clone().narrow(1, i, 1));
        }
        self.mean.clone() + Tensor::cat(columns, 1)
    }
}

impl ConditionalNetwork for Gaussian {
    const LOSS_TERMS: &'static [&'static str] = &[];

    fn dimensions(&self) -> Dimensions {
        self.dimensions
    }

    fn loss(&self, x: Tensor<2>, y: Tensor<2>, _noise: &mut Noise<'_>) -> LossTensors {
        LossTensors { total: self.log_density(x, y).mean().neg(), terms: Vec::new() }
    }

    fn latent_moments(&self, x: Tensor<2>, y: Tensor<2>) -> [Tensor<2>; 2] {
        let z = self.law(y).forward(x);
        // The latent of a pair is a number, and no distribution.
        let variance = z.zeros_like();
        [z, variance]
    }

    fn decode(&self, z: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        self.law(y).inverse(z)
    }

    fn log_prob(&self, x: Tensor<2>, y: Tensor<2>) -> Option<Tensor<1>> {
        Some(self.log_density(x, y).squeeze_dim(1))
    }
}

impl Gaussian {
    /// `log p(x | y)` (`n` x 1) in nats.
    fn log_density(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        let constant = 0.5 * TAU.ln() * self.dimensions.x as f64;
        let law = self.law(y);
        let log_det = law.log_diagonal.clone().sum_dim(1);
        log_det - law.forward(x).square().sum_dim(1) * 0.5 - constant
    }
}
