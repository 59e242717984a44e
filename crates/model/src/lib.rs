//! What the conditional models share: the contract between a model and its trainer
//! ([`ConditionalModel`]), multilayer perceptrons, the flat parameter vector, latent statistics,
//! seeded random streams and the one place that turns a device name into a device.
//!
//! Notation used in all model crates: `x` is what is inferred (positions), `y` what it is
//! conditioned on (momenta), `z` the latent, `n` the rows of a batch. Matrices at the interface
//! are row-major `f32` on the host; tensors stay inside the models.

mod architecture;
mod batch;
mod bound;
pub mod config;
pub mod contract;
pub mod device;
pub mod latent;
pub mod mlp;
pub mod network;
mod noise;
mod on_device;
pub mod parameters;
pub mod random;
pub mod resident;
pub mod tensor;
pub mod testing;

pub use architecture::{Architecture, Density};
pub use batch::{Batch, Dimensions, Loss};
pub use bound::log_prob_bound;
pub use burn::tensor::Device;
pub use cei_kernels::{AdamFactors, AdamStep, Gradient, Level, MuonFactors, Team, shards_of};
pub use config::HyperParameterError;
pub use contract::ConditionalModel;
pub use device::{DeviceError, DeviceStatus, devices, devices_with_adapters, is_cpu, open_device};
pub use latent::{LatentMoments, LatentStatistics};
pub use mlp::{Activation, Mlp};
pub use network::{ConditionalNetwork, LossTensors};
pub use noise::Noise;
pub use on_device::OnDevice;
pub use parameters::{HasParameters, Parameter, Parameters};
pub use resident::{ResidentSetup, ResidentStep, ResidentTraining, ResidentVector};
pub use tensor::Transfers;
