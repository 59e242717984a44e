//! One affine coupling (equations 10 to 13 of the proposal) with soft-clamped log-scales.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use cei_model::Mlp;
use cei_model::mlp::LastLayer;
use rand_chacha::ChaCha8Rng;

use crate::CinnConfig;

/// `x2' = x2 * exp(s) + t` with `s, t = NN([x1, y])`; `x1`, the first floor(d/2) features, is kept.
#[derive(Module, Debug)]
pub struct AffineCoupling {
    subnet: Mlp,
    /// Features in `x1`.
    kept: usize,
    clamp: f64,
}

impl AffineCoupling {
    /// A coupling for `x_columns` features; starts as the identity.
    pub fn new(
        config: &CinnConfig,
        x_columns: usize,
        y_columns: usize,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Self {
        let kept = x_columns / 2;
        let subnet = Mlp::new(
            kept + y_columns,
            &config.hidden,
            2 * (x_columns - kept),
            config.activation,
            LastLayer::Zero,
            rng,
            device,
        );
        Self { subnet, kept, clamp: config.clamp }
    }

    /// Gives `[x1, x2 * exp(s) + t]` (`n` x `d`) and `log|det J| = sum s` (`n` x 1).
    pub fn forward(&self, x: Tensor<2>, y: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let (x1, x2) = self.split(x);
        let (s, t) = self.scale_and_shift(&x1, y);
        let x2 = x2 * s.clone().exp() + t;
        (merge(x1, x2), s.sum_dim(1))
    }

    /// Gives `[x1, (x2 - t) * exp(-s)]` (`n` x `d`).
    pub fn inverse(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        let (x1, x2) = self.split(x);
        let (s, t) = self.scale_and_shift(&x1, y);
        let x2 = (x2 - t) * s.neg().exp();
        merge(x1, x2)
    }

    /// The features that are kept (none for `d = 1`) and those that are transformed.
    fn split(&self, x: Tensor<2>) -> (Option<Tensor<2>>, Tensor<2>) {
        let d = x.dims()[1];
        let kept = (self.kept > 0).then(|| x.clone().narrow(1, 0, self.kept));
        (kept, x.narrow(1, self.kept, d - self.kept))
    }

    /// Log-scales within `+-clamp` and shifts of the transformed features.
    fn scale_and_shift(&self, x1: &Option<Tensor<2>>, y: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let input = match x1 {
            Some(x1) => Tensor::cat(vec![x1.clone(), y], 1),
            None => y,
        };
        let output = self.subnet.forward(input);
        let width = output.dims()[1] / 2;
        let u = output.clone().narrow(1, 0, width);
        ((u / self.clamp).tanh() * self.clamp, output.narrow(1, width, width))
    }
}

fn merge(x1: Option<Tensor<2>>, x2: Tensor<2>) -> Tensor<2> {
    match x1 {
        Some(x1) => Tensor::cat(vec![x1, x2], 1),
        None => x2,
    }
}
