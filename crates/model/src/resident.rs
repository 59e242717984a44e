//! Trainings that live on a device: rows, parameters and the state of the optimiser stay there from step to step, and
//! what comes back is what is asked for (`docs/spec.md#devices`).

mod flat;
mod network;
mod optimizer;
mod training;

pub(crate) use network::Resident;
pub(crate) use training::fits;
pub use training::{ResidentSetup, ResidentStep, ResidentTraining, ResidentVector};
