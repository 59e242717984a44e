//! Positions without a known density.

use crate::error::SimulationConfigError;

/// A simulation whose positions have no probability density that is known.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DensityError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] SimulationConfigError),
    /// Positions lie on a subset without volume.
    #[error("the positions have no density: {reason}")]
    Singular {
        /// Why, naming the key.
        reason: &'static str,
    },
    /// There is a density, but no formula.
    #[error("the density of the positions is not known: {reason}")]
    Unknown {
        /// Why, naming the key.
        reason: &'static str,
    },
}
