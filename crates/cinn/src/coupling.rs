//! One affine coupling (equations 10 to 13 of the proposal) with soft-clamped log-scales.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand_chacha::ChaCha8Rng;

use crate::config::SubnetConfig;
use crate::subnet::Subnet;

/// `x2' = x2 * exp(s) + t` with `s, t = NN([x1, y])`; `x1`, the first floor(d/2) features, is kept.
#[derive(Module, Debug)]
pub struct AffineCoupling {
    subnet: Subnet,
    /// Features in `x1`.
    kept: usize,
    clamp: f64,
}

impl AffineCoupling {
    /// A coupling for `x_columns` features; starts as the identity.
    pub fn new(
        subnet: &SubnetConfig,
        clamp: f64,
        x_columns: usize,
        y_columns: usize,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Self {
        let kept = x_columns / 2;
        let outputs = 2 * (x_columns - kept);
        let subnet = Subnet::new(subnet, kept + y_columns, outputs, rng, device);
        Self { subnet, kept, clamp }
    }

    /// Gives `[x1, x2 * exp(s) + t]` (`n` x `d`) and `log|det J| = sum s` (`n` x 1).
    pub fn forward(&self, x: Tensor<2>, y: Tensor<2>, key: Option<u64>) -> (Tensor<2>, Tensor<2>) {
        let (x1, x2) = split(x, self.kept);
        let (s, t) = self.scale_and_shift(&x1, y, key);
        let x2 = x2 * s.clone().exp() + t;
        (merge(x1, x2), s.sum_dim(1))
    }

    /// Gives `[x1, (x2 - t) * exp(-s)]` (`n` x `d`).
    pub fn inverse(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        let (x1, x2) = split(x, self.kept);
        let (s, t) = self.scale_and_shift(&x1, y, None);
        let x2 = (x2 - t) * s.neg().exp();
        merge(x1, x2)
    }

    /// Log-scales within `+-clamp` and shifts of the transformed features.
    fn scale_and_shift(
        &self,
        x1: &Option<Tensor<2>>,
        y: Tensor<2>,
        key: Option<u64>,
    ) -> (Tensor<2>, Tensor<2>) {
        let output = self.subnet.forward(subnet_input(x1, y), key);
        let width = output.dims()[1] / 2;
        let u = output.clone().narrow(1, 0, width);
        ((u / self.clamp).tanh() * self.clamp, output.narrow(1, width, width))
    }
}

/// The first `kept` features (none for `d = 1`) and those that are transformed.
pub(crate) fn split(x: Tensor<2>, kept: usize) -> (Option<Tensor<2>>, Tensor<2>) {
    let d = x.dims()[1];
    let first = (kept > 0).then(|| x.clone().narrow(1, 0, kept));
    (first, x.narrow(1, kept, d - kept))
}

/// `[x1, y]`.
pub(crate) fn subnet_input(x1: &Option<Tensor<2>>, y: Tensor<2>) -> Tensor<2> {
    match x1 {
        Some(x1) => Tensor::cat(vec![x1.clone(), y], 1),
        None => y,
    }
}

/// Undoes [`split`].
pub(crate) fn merge(x1: Option<Tensor<2>>, x2: Tensor<2>) -> Tensor<2> {
    match x1 {
        Some(x1) => Tensor::cat(vec![x1, x2], 1),
        None => x2,
    }
}
