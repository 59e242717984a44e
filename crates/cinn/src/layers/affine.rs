//! Affine coupling (equations 10 to 13 of the proposal) with soft-clamped log-scales.
//!
//! ```text
//! s, t = NN([x1, y]),  s = c tanh(u / c),  x2' = x2 exp(s) + t,   log|det| = sum s
//! ```

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use cei_kernels::{AffineCoupling as Kernel, Columns, CouplingTrace, Level, Matrix};
use cei_model::HyperParameterError;
use cei_model::config::check_positive;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::coupling::{CouplingKernel, FusedCoupling, merge, split, subnet_input};
use crate::layer::{ErasedLayer, LayerKind, Slot, TensorLayer};
use crate::subnet::{FusedSubnet, Subnet, SubnetConfig};

/// An affine coupling: `x2' = x2 exp(s) + t`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Affine {
    /// The network that gives `s` and `t`.
    pub subnet: SubnetConfig,
    /// Bound of `s`.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub clamp: f64,
}

impl Default for Affine {
    fn default() -> Self {
        Self { subnet: SubnetConfig::default(), clamp: 2.0 }
    }
}

impl LayerKind for Affine {
    fn group(&self) -> &'static str {
        "couplings"
    }

    fn check(&self) -> Result<(), HyperParameterError> {
        self.subnet.check()?;
        check_positive("model.layers.clamp", self.clamp)
    }

    fn weights(&self) -> u64 {
        self.subnet.weights(2)
    }

    fn drops_out(&self) -> bool {
        self.subnet.drops_out()
    }

    fn in_tensors(
        &self,
        slot: Slot,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Box<dyn TensorLayer> {
        let (kept, outputs) = (slot.kept(), 2 * (slot.x - slot.kept()));
        let subnet = Subnet::new(&self.subnet, kept + slot.y, outputs, rng, device);
        Box::new(AffineCoupling { subnet, kept, clamp: self.clamp })
    }

    fn in_kernels(&self, slot: Slot) -> Option<Box<dyn ErasedLayer>> {
        let (level, kept) = (Level::best(), slot.kept());
        let subnet = FusedSubnet::new(level, &self.subnet, kept + slot.y, 2 * (slot.x - kept));
        let kernel = Kernel { level, kept, clamp: self.clamp as f32 };
        Some(Box::new(FusedCoupling { subnet, kernel, kept }))
    }
}

#[derive(Module, Debug)]
struct AffineCoupling {
    subnet: Subnet,
    /// Features in `x1`.
    kept: usize,
    clamp: f64,
}

impl TensorLayer for AffineCoupling {
    fn forward(
        &self,
        x: Tensor<2>,
        y: &Tensor<2>,
        key: Option<u64>,
    ) -> (Tensor<2>, Option<Tensor<2>>) {
        let (x1, x2) = split(x, self.kept);
        let (s, t) = self.scale_and_shift(&x1, y, key);
        let x2 = x2 * s.clone().exp() + t;
        (merge(x1, x2), Some(s.sum_dim(1)))
    }

    fn inverse(&self, z: Tensor<2>, y: &Tensor<2>) -> Tensor<2> {
        let (x1, x2) = split(z, self.kept);
        let (s, t) = self.scale_and_shift(&x1, y, None);
        let x2 = (x2 - t) * s.neg().exp();
        merge(x1, x2)
    }
}

impl AffineCoupling {
    /// Log-scales within `+-clamp` and shifts of the transformed features.
    fn scale_and_shift(
        &self,
        x1: &Option<Tensor<2>>,
        y: &Tensor<2>,
        key: Option<u64>,
    ) -> (Tensor<2>, Tensor<2>) {
        let output = self.subnet.forward(subnet_input(x1, y.clone()), key);
        let width = output.dims()[1] / 2;
        let u = output.clone().narrow(1, 0, width);
        ((u / self.clamp).tanh() * self.clamp, output.narrow(1, width, width))
    }
}

impl CouplingKernel for Kernel {
    type Trace = CouplingTrace;

    fn forward(
        &self,
        output: &Matrix,
        x: &mut Columns,
        log_det: &mut Columns,
        trace: &mut CouplingTrace,
    ) {
        Kernel::forward(self, output, x, log_det, trace);
    }

    fn inverse(&self, output: &Matrix, x: &mut Columns, trace: &mut CouplingTrace) {
        Kernel::inverse(self, output, x, trace);
    }

    fn backward(
        &self,
        trace: &mut CouplingTrace,
        d_x: &mut Columns,
        d_log_det: f32,
        d_output: &mut Matrix,
    ) {
        Kernel::backward(self, trace, d_x, d_log_det, d_output);
    }
}
