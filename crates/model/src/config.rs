//! Errors of hyper-parameters, and the checks that several models need.

use thiserror::Error;

/// A hyper-parameter outside its allowed range.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("`{key}` is `{value}`, but must be {allowed}")]
pub struct ConfigError {
    /// The key as it stands in the configuration, for example `model.hidden`.
    pub key: &'static str,
    /// The offending value as the user wrote it.
    pub value: String,
    /// The allowed range in words.
    pub allowed: &'static str,
}

impl ConfigError {
    /// An error for `key`, holding `value`, which must be `allowed`.
    pub fn new(key: &'static str, value: impl ToString, allowed: &'static str) -> Self {
        Self { key, value: value.to_string(), allowed }
    }
}

/// Checks the widths of the hidden layers of a network.
///
/// # Errors
/// A width of zero, or above 65 536.
pub fn check_widths(key: &'static str, widths: &[usize]) -> Result<(), ConfigError> {
    if widths.iter().all(|width| (1..=65_536).contains(width)) {
        return Ok(());
    }
    Err(ConfigError::new(key, format!("{widths:?}"), "a list of widths from 1 to 65536"))
}

/// Checks that a number is finite and above zero.
///
/// # Errors
/// Zero, a negative number, NaN or infinity.
pub fn check_positive(key: &'static str, value: f64) -> Result<(), ConfigError> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(ConfigError::new(key, value, "a finite number above 0"))
}
