//! Errors of hyper-parameters, and the checks that several models need.

use thiserror::Error;

/// A hyper-parameter outside its allowed range.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("`{key}` is `{value}`, but must be {allowed}")]
pub struct HyperParameterError {
    /// The key as it stands in the configuration, for example `model.hidden`.
    pub key: &'static str,
    /// The offending value as the user wrote it.
    pub value: String,
    /// The allowed range in words.
    pub allowed: &'static str,
}

impl HyperParameterError {
    /// An error for `key`, holding `value`, which must be `allowed`.
    pub fn new(key: &'static str, value: impl ToString, allowed: &'static str) -> Self {
        Self { key, value: value.to_string(), allowed }
    }
}

/// Weights of a model at most: with gradients and what the optimiser keeps, they take a few GB.
pub const MOST_WEIGHTS: u64 = 50_000_000;

/// Hidden layers of a network at most.
const MOST_LAYERS: usize = 100;

/// Checks the widths of the hidden layers of a network.
///
/// # Errors
/// A width of zero, or above 65 536; more than 100 layers.
pub fn check_widths(key: &'static str, widths: &[usize]) -> Result<(), HyperParameterError> {
    if widths.len() > MOST_LAYERS {
        let found = format!("a list of {} widths", widths.len());
        return Err(HyperParameterError::new(key, found, "a list of at most 100 widths"));
    }
    if widths.iter().all(|width| (1..=65_536).contains(width)) {
        return Ok(());
    }
    Err(HyperParameterError::new(key, format!("{widths:?}"), "a list of widths from 1 to 65536"))
}

/// The weights of a fully connected network whose layers have these widths, input and output included.
pub fn weights(widths: &[usize]) -> u64 {
    widths.windows(2).map(|pair| pair[0] as u64 * pair[1] as u64).sum()
}

/// Checks that all networks of a model together can be held in memory; `key` makes them large.
///
/// # Errors
/// More weights than [`MOST_WEIGHTS`].
pub fn check_weights(
    key: &'static str,
    value: impl ToString,
    weights: u64,
) -> Result<(), HyperParameterError> {
    if weights <= MOST_WEIGHTS {
        return Ok(());
    }
    let allowed = "so small that the model has at most 50000000 weights";
    Err(HyperParameterError::new(key, value, allowed))
}

/// Checks that a number is finite and above zero.
///
/// # Errors
/// Zero, a negative number, NaN or infinity.
pub fn check_positive(key: &'static str, value: f64) -> Result<(), HyperParameterError> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(HyperParameterError::new(key, value, "a finite number above 0"))
}
