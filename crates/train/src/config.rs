//! How a model is trained. The defaults are the proposal's (SPEC 4).

use cei_model::config::{ConfigError, check_positive};
use serde::{Deserialize, Serialize};

/// How a model is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingConfig {
    /// Step size of Adam.
    pub learning_rate: f64,
    /// How the step size changes over the epochs.
    pub schedule: Schedule,
    /// Rows of a mini-batch.
    pub batch_size: usize,
    /// Epochs at most.
    pub max_epochs: usize,
    /// Epochs without improvement of the validation loss after which training stops.
    pub patience: usize,
    /// How much lower the validation loss must be to count as an improvement for the patience.
    pub min_delta: f64,
    /// Decoupled weight decay (AdamW); 0 is plain Adam.
    pub weight_decay: f64,
    /// Largest norm of the gradient of all parameters together; 0 for no bound.
    pub gradient_clip: f64,
    /// Seed of weights, shuffles and noise.
    pub seed: u64,
}

/// How the step size changes over the epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// It does not.
    #[default]
    Constant,
    /// Half a cosine from the full step size to a hundredth of it at `max_epochs`.
    Cosine,
}

/// Fraction of the learning rate at which [`Schedule::Cosine`] ends.
const COSINE_END: f64 = 0.01;

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1e-4,
            schedule: Schedule::Constant,
            batch_size: 512,
            max_epochs: 1000,
            patience: 50,
            min_delta: 0.0,
            weight_decay: 0.0,
            gradient_clip: 0.0,
            seed: 0,
        }
    }
}

impl TrainingConfig {
    /// Checks every value.
    ///
    /// # Errors
    /// Names the key, the value and the allowed range.
    pub fn check(&self) -> Result<(), ConfigError> {
        check_positive("training.learning_rate", self.learning_rate)?;
        let at_least_one = [
            ("training.batch_size", self.batch_size),
            ("training.max_epochs", self.max_epochs),
            ("training.patience", self.patience),
        ];
        for (key, value) in at_least_one {
            if value == 0 {
                return Err(ConfigError::new(key, value, "at least 1"));
            }
        }
        let not_negative = [
            ("training.min_delta", self.min_delta),
            ("training.weight_decay", self.weight_decay),
            ("training.gradient_clip", self.gradient_clip),
        ];
        for (key, value) in not_negative {
            if !(value.is_finite() && value >= 0.0) {
                return Err(ConfigError::new(key, value, "a finite number, at least 0"));
            }
        }
        Ok(())
    }

    /// The step size when `epochs` (a fraction in the middle of one) of training are done.
    pub fn learning_rate_at(&self, epochs: f64) -> f64 {
        let factor = match self.schedule {
            Schedule::Constant => 1.0,
            Schedule::Cosine => {
                let done = (epochs / self.max_epochs as f64).clamp(0.0, 1.0);
                let cosine = 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
                COSINE_END + (1.0 - COSINE_END) * cosine
            }
        };
        self.learning_rate * factor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cosine_starts_full_passes_the_middle_and_ends_at_a_hundredth() {
        let config = TrainingConfig {
            learning_rate: 2.0,
            schedule: Schedule::Cosine,
            max_epochs: 10,
            ..TrainingConfig::default()
        };
        assert!((config.learning_rate_at(0.0) - 2.0).abs() < 1e-12);
        // 0.01 + 0.99 / 2 = 0.505
        assert!((config.learning_rate_at(5.0) - 1.01).abs() < 1e-12);
        assert!((config.learning_rate_at(10.0) - 0.02).abs() < 1e-12);
    }

    #[test]
    fn a_bad_value_is_named() {
        let config = TrainingConfig { batch_size: 0, ..TrainingConfig::default() };
        let error = config.check().unwrap_err().to_string();
        assert_eq!(error, "`training.batch_size` is `0`, but must be at least 1");
        let config = TrainingConfig { learning_rate: f64::NAN, ..TrainingConfig::default() };
        assert!(config.check().is_err());
    }
}
