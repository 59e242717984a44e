//! The conditional invertible neural network of `docs/spec.md#cinn`: affine couplings, each followed by a flip
//! of the feature order, trained by exact maximum likelihood.
//!
//! ```text
//! coupling   [x1, x2] = x,  s, t = NN([x1, y]),  x2' = x2 * exp(s) + t
//! inverse    x2 = (x2' - t) * exp(-s)
//! log|det|   sum_i s_i
//! loss       -log N(z; 0, I) - log|det dz/dx|
//! ```

mod config;
pub mod coupling;
mod flow;
mod fused;
pub mod mixing;
pub mod spline;
pub mod subnet;

use burn::tensor::Device;
use cei_model::random::{Purpose, stream};
use cei_model::{
    Architecture, ConditionalModel, ConditionalNetwork, Density, HyperParameterError, OnDevice,
    Parameters, is_cpu,
};

pub use config::{CinnConfig, FlowPreset, LayerConfig, SubnetConfig};
pub use flow::Flow;

use fused::FusedFlow;

impl Architecture for CinnConfig {
    fn name(&self) -> &'static str {
        "cINN"
    }

    fn loss_label(&self) -> &'static str {
        "negative log-likelihood (nats per event, scaled units)"
    }

    fn check(&self) -> Result<(), HyperParameterError> {
        CinnConfig::check(self)
    }

    fn check_used(&self) -> Result<(), HyperParameterError> {
        CinnConfig::check_used(self)
    }

    fn density(&self) -> Density {
        Density::Exact
    }

    fn may_ignore_latents(&self) -> bool {
        false
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

/// Builds a cINN for `x` of `x_columns` and `y` of `y_columns`, with weights drawn from `seed`:
/// fused kernels on the processor, tensors elsewhere.
///
/// # Errors
/// A hyper-parameter outside its range.
pub fn build(
    config: &CinnConfig,
    x_columns: usize,
    y_columns: usize,
    seed: u64,
    device: Device,
) -> Result<Box<dyn ConditionalModel>, HyperParameterError> {
    let mut rng = stream(seed, Purpose::Weights, 0);
    let flow = Flow::new(config, x_columns, y_columns, &mut rng, &device)?;
    if is_cpu(&device) {
        Ok(Box::new(FusedFlow::new(config, flow.dimensions(), Parameters::of(&flow))))
    } else {
        Ok(Box::new(OnDevice::new(flow, device)))
    }
}
