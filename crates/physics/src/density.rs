//! Densities of the geometry laws.
use ndarray::Array2;

use crate::error::ConfigError;
use crate::simulation::Simulation;

/// There is no density.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DensityError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Density of positions.
#[derive(Debug, Clone)]
pub struct PositionDensity {
    coordinates: Array2<f64>,
}

impl PositionDensity {
    /// Rows: the coordinates that the density is one of.
    pub fn coordinates(&self) -> &Array2<f64> {
        &self.coordinates
    }
    /// Log density at positions (3N, bohr).
    pub fn log_density(&self, _positions: &[f64]) -> f64 {
        0.0
    }
}

impl Simulation {
    /// The density.
    ///
    /// # Errors
    /// [`DensityError`].
    pub fn position_density(&self) -> Result<PositionDensity, DensityError> {
        let columns = 3 * self.molecule.atom_count();
        Ok(PositionDensity { coordinates: Array2::zeros((columns - 3, columns)) })
    }
}
