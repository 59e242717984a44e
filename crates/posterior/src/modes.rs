//! Modes.

use ndarray::{Array2, ArrayView2};

use crate::error::PosteriorError;
use crate::refine::Event;

/// How modes are searched for.
#[derive(Debug, Clone, PartialEq)]
pub struct ModeOptions {
    /// Draws from which the search starts, spread over all of them.
    pub starts: usize,
    /// Most steps of each search.
    pub iterations: usize,
    /// Modes closer than this count as one: root mean square displacement per atom (bohr).
    pub merge_bohr: f64,
}

impl Default for ModeOptions {
    fn default() -> Self {
        Self { starts: 24, iterations: 40, merge_bohr: 0.02 }
    }
}

/// A maximum of the likelihood.
#[derive(Debug, Clone, PartialEq)]
pub struct Mode {
    /// Coordinates in the chart (d).
    pub coordinates: Vec<f64>,
    /// Sum of squared residuals: in units of the noise, or in a.u.^2 without noise.
    pub misfit: f64,
    /// Log prior density per unit volume of the chart.
    pub log_prior: f64,
    /// Inverse of `J^T W J` (d, d) in bohr^2; `None` without noise.
    pub covariance: Option<Array2<f64>>,
    /// Posterior probability of what is nearest to this mode; the weights sum to 1.
    pub weight: f64,
    /// Number of starts that ended here.
    pub starts: usize,
}

/// Finds modes.
///
/// # Errors
/// [`PosteriorError`].
pub fn find_modes(
    _event: &Event<'_>,
    _draws: ArrayView2<'_, f64>,
    _options: &ModeOptions,
) -> Result<Vec<Mode>, PosteriorError> {
    Ok(Vec::new())
}
