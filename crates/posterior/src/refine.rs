//! Refinement.

use ndarray::{Array2, ArrayView2};

use crate::error::PosteriorError;
use crate::forward::Forward;
use crate::modes::{Mode, ModeOptions};

/// Log density of a network's posterior for this event at coordinates (rows, d): one number a row.
pub type LogProb<'a> = dyn Fn(&Array2<f64>) -> Vec<f64> + 'a;

/// One event: what was measured, and the model of it.
#[derive(Clone, Copy)]
pub struct Event<'a> {
    /// The forward model from coordinates to measured components.
    pub forward: &'a dyn Forward,
    /// Log prior density per unit volume of the coordinates; minus infinity outside the support.
    pub log_prior: &'a (dyn Fn(&[f64]) -> f64 + Sync),
    /// Measured components (m).
    pub measured: &'a [f64],
    /// Standard deviation of the noise of each component (m); empty or all zero without noise.
    pub noise: &'a [f64],
}

/// How a posterior is refined.
#[derive(Debug, Clone, PartialEq)]
pub struct RefineOptions {
    /// The search for modes.
    pub modes: ModeOptions,
    /// Importance draws that are weighted.
    pub samples: usize,
    /// Draws that are resampled from them; 0 for as many as `samples`.
    pub resampled: usize,
    /// Part of the importance draws that the network gives.
    pub network_fraction: f64,
    /// Rounds in which the mixture is refitted to weighted draws of its own.
    pub rounds: usize,
    /// Draws of each such round.
    pub round_samples: usize,
    /// Degrees of freedom of the Student t laws.
    pub degrees_of_freedom: f64,
}

impl Default for RefineOptions {
    fn default() -> Self {
        Self {
            modes: ModeOptions::default(),
            samples: 1000,
            resampled: 0,
            network_fraction: 0.2,
            rounds: 3,
            round_samples: 1000,
            degrees_of_freedom: 8.0,
        }
    }
}

/// The refined posterior of one event.
#[derive(Debug, Clone, PartialEq)]
pub struct Refined {
    /// Modes, the heaviest first.
    pub modes: Vec<Mode>,
    /// Equally weighted draws (resampled, d); empty without noise.
    pub draws: Array2<f64>,
    /// Importance draws (samples, d); empty without noise.
    pub samples: Array2<f64>,
    /// Their normalised, Pareto-smoothed log weights.
    pub log_weights: Vec<f64>,
    /// `1 / sum w^2` of the normalised weights; NaN without noise.
    pub effective_sample_size: f64,
    /// Shape of the tail of the weights; above 0.7 they cannot be trusted. NaN without noise.
    pub k_hat: f64,
    /// `log p(y)` per unit volume of the measured components; NaN without noise.
    pub log_evidence: f64,
}

/// Refines one event.
///
/// # Errors
/// [`PosteriorError`].
pub fn refine(
    _event: &Event<'_>,
    _draws: ArrayView2<'_, f64>,
    _network: Option<&LogProb<'_>>,
    _options: &RefineOptions,
    _seed: u64,
) -> Result<Refined, PosteriorError> {
    Ok(Refined {
        modes: Vec::new(),
        draws: Array2::zeros((0, 0)),
        samples: Array2::zeros((0, 0)),
        log_weights: Vec::new(),
        effective_sample_size: f64::NAN,
        k_hat: f64::NAN,
        log_evidence: f64::NAN,
    })
}
