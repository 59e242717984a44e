//! A normal law whose mean and covariance a network computes from `y`: the simplest conditional density, and the worked
//! example of `docs/adding-a-model.md`. No program uses it.
//!
//! ```
//! use cei_gaussian::GaussianConfig;
//! use cei_model::{Architecture as _, Batch, open_device};
//! use ndarray::array;
//!
//! // Before it is trained it is the standard normal law, whatever `y`.
//! let model = GaussianConfig::default().build(2, 1, 0, open_device("cpu")?)?;
//! let (x, y) = (array![[0.0, 0.0]], array![[3.0]]);
//! let log_prob = model.log_prob(Batch { x: x.view(), y: y.view() }).unwrap_or_default();
//! assert!((log_prob[0] + std::f64::consts::TAU.ln()).abs() < 1e-6);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod network;

use burn::tensor::Device;
use cei_model::config::check_widths;
use cei_model::random::{Purpose, stream};
use cei_model::{Architecture, ConditionalModel, Density, HyperParameterError, OnDevice};

pub use config::GaussianConfig;
use network::Gaussian;

impl Architecture for GaussianConfig {
    fn name(&self) -> &'static str {
        "Gaussian"
    }

    fn loss_label(&self) -> &'static str {
        "negative log-likelihood (nats per event, scaled units)"
    }

    fn check(&self) -> Result<(), HyperParameterError> {
        check_widths("model.hidden", &self.hidden)
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
        self.check()?;
        let mut rng = stream(seed, Purpose::Weights, 0);
        let network = Gaussian::new(self, x_columns, y_columns, &mut rng, &device);
        Ok(Box::new(OnDevice::new(network, device)))
    }
}
