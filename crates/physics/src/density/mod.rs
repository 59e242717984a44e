//! The probability density of positions that a simulation draws: the prior of `p(x | y)`; a file a law.

mod error;
mod gaussian;
mod harmonic;
mod internal;
mod position;
mod rotations;
mod sphere;
mod triatomic;

pub use error::DensityError;
pub(crate) use harmonic::HarmonicDensity;
pub use position::PositionDensity;
