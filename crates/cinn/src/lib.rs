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
mod flow;
mod fused;
pub mod layer;
pub mod layers;
mod subnet;

use burn::tensor::Device;
use cei_model::random::{Purpose, stream};
use cei_model::{
    Architecture, ConditionalModel, ConditionalNetwork, Density, HyperParameterError, OnDevice,
    Parameters, is_cpu,
};

pub use config::{CinnConfig, FlowPreset};
pub use flow::Flow;
pub use layers::LayerConfig;
pub use subnet::SubnetConfig;

use fused::FusedFlow;
use layer::LayerKind;

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
///
/// ```
/// use cei_cinn::{CinnConfig, build};
/// use cei_model::{Batch, open_device};
/// use ndarray::Array2;
///
/// // Positions of 6 columns from momenta of 9.
/// let model = build(&CinnConfig::default(), 6, 9, 0, open_device("cpu")?)?;
/// let (x, y) = (Array2::zeros((2, 6)), Array2::zeros((2, 9)));
/// let batch = Batch { x: x.view(), y: y.view() };
/// // A flow starts as the identity: the density of a standard normal in 6 dimensions.
/// let log_prob = model.log_prob(batch).unwrap_or_default();
/// assert!((log_prob[0] + 3.0 * std::f64::consts::TAU.ln()).abs() < 1e-5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn build(
    config: &CinnConfig,
    x_columns: usize,
    y_columns: usize,
    seed: u64,
    device: Device,
) -> Result<Box<dyn ConditionalModel>, HyperParameterError> {
    config.check()?;
    let layers = config.flow_layers();
    let kinds: Vec<_> = layers.iter().map(LayerConfig::kind).collect();
    Ok(build_of_layers(&kinds, x_columns, y_columns, seed, device))
}

/// [`build`] for these layers, from the data to the latent.
pub fn build_of_layers(
    kinds: &[&dyn LayerKind],
    x_columns: usize,
    y_columns: usize,
    seed: u64,
    device: Device,
) -> Box<dyn ConditionalModel> {
    let mut rng = stream(seed, Purpose::Weights, 0);
    let flow = Flow::of_layers(kinds, x_columns, y_columns, &mut rng, &device);
    if is_cpu(&device) {
        let fused = FusedFlow::new(kinds, flow.dimensions(), Parameters::of(&flow));
        if let Some(fused) = fused {
            return Box::new(fused);
        }
    }
    Box::new(OnDevice::new(flow, device))
}
