//! How a model is trained. The defaults are the proposal's (`docs/spec.md#training`).

use cei_model::config::{HyperParameterError, check_positive};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a model is trained (`docs/spec.md#training`).
///
/// ```toml
/// [training]
/// learning_rate = 1e-3
/// schedule = "cosine"
/// max_epochs = 200
/// patience = 200
/// ema_decay = 0.999
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingConfig {
    /// How steps follow from gradients.
    pub optimizer: Optimizer,
    /// Step size of Adam, and of Muon, whose steps have the size of Adam's.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub learning_rate: f64,
    /// How the step size changes over the epochs.
    pub schedule: Schedule,
    /// Epochs, in whole or part, over which the step size first rises linearly; 0 for none.
    #[schemars(range(min = 0.0), extend("allowed" = "at least 0, at most `max_epochs`"))]
    pub warmup_epochs: f64,
    /// Factor on the step size whenever the validation loss has not fallen for
    /// `plateau_patience` epochs; 1 for no such decay. It multiplies whatever the schedule gives.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0))]
    pub plateau_factor: f64,
    /// Epochs without a fall of the validation loss (by `min_delta`) after which `plateau_factor`
    /// applies.
    #[schemars(range(min = 1, max = MOST_EPOCHS), extend("unit" = "epochs"))]
    pub plateau_patience: usize,
    /// Rows of a mini-batch.
    #[schemars(range(min = 1, max = MOST_ROWS))]
    pub batch_size: usize,
    /// Epochs at most.
    #[schemars(range(min = 1, max = MOST_EPOCHS))]
    pub max_epochs: usize,
    /// Epochs without improvement of the validation loss after which training stops.
    #[schemars(range(min = 1, max = MOST_EPOCHS), extend("unit" = "epochs"))]
    pub patience: usize,
    /// How much lower the validation loss must be to count as an improvement for the patience.
    #[schemars(range(min = 0.0), extend("unit" = "of the loss"))]
    pub min_delta: f64,
    /// Decoupled weight decay (AdamW, Loshchilov & Hutter 2019): every step takes
    /// `learning_rate weight_decay` of each parameter away, apart from the gradient and its moments;
    /// 0 is plain Adam.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// Largest norm of the gradient of all parameters together; 0 for no bound.
    #[schemars(range(min = 0.0))]
    pub gradient_clip: f64,
    /// Decay a step of the exponential moving average of the parameters; 0 for none. With
    /// it, the averaged parameters are validated and kept as the result.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1))]
    pub ema_decay: f64,
    /// Seed of weights, shuffles and noise.
    pub seed: u64,
    /// Members of an ensemble: models trained on the same rows with the seeds `seed`, `seed + 1`, ... and
    /// used as one equal-weight mixture.
    ///
    /// [`crate::train`] trains one of them.
    #[schemars(range(min = 1, max = MOST_MEMBERS))]
    pub ensemble: usize,
}

/// How steps follow from gradients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Optimizer {
    /// Adam (Kingma & Ba 2015) on every parameter.
    #[default]
    Adam,
    /// Muon (Jordan et al. 2024) on the weights of layers, which move along their momentum with all its singular values
    /// brought near one, and Adam on all other parameters. A step takes longer, but a flow needs a
    /// quarter of the epochs.
    Muon,
}

/// How the step size changes over the epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// After the warm-up, it does not.
    #[default]
    Constant,
    /// After the warm-up, half a cosine from the full step size to a hundredth of it at `max_epochs`.
    Cosine,
    /// One cycle (Smith & Topin 2019): a linear rise from 1/25 of the step size to all of it in
    /// `warmup_epochs` (where that is 0, in 0.3 `max_epochs`), then half a cosine down to 4e-6 of it
    /// at `max_epochs`.
    OneCycle,
}

/// Members of an ensemble at most: each is a training of its own.
const MOST_MEMBERS: usize = 1000;
/// Epochs at most.
const MOST_EPOCHS: usize = 1_000_000_000;
/// Rows of a batch at most: they are held several times over.
const MOST_ROWS: usize = 1_000_000;

/// Fraction of the learning rate at which [`Schedule::Cosine`] ends.
const COSINE_END: f64 = 0.01;
/// Fraction of the learning rate at which [`Schedule::OneCycle`] begins.
const CYCLE_START: f64 = 1.0 / 25.0;
/// Fraction of the learning rate at which [`Schedule::OneCycle`] ends.
const CYCLE_END: f64 = CYCLE_START * 1e-4;
/// Part of a training in which [`Schedule::OneCycle`] rises, where no warm-up is given.
const CYCLE_RISE: f64 = 0.3;

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            optimizer: Optimizer::Adam,
            learning_rate: 1e-4,
            schedule: Schedule::Constant,
            warmup_epochs: 0.0,
            plateau_factor: 1.0,
            plateau_patience: 10,
            batch_size: 512,
            max_epochs: 1000,
            patience: 50,
            min_delta: 0.0,
            weight_decay: 0.0,
            gradient_clip: 0.0,
            ema_decay: 0.0,
            seed: 0,
            ensemble: 1,
        }
    }
}

impl TrainingConfig {
    /// Checks every value.
    ///
    /// # Errors
    /// Names the key, the value and the allowed range.
    pub fn check(&self) -> Result<(), HyperParameterError> {
        check_positive("training.learning_rate", self.learning_rate)?;
        let long = (MOST_EPOCHS, "at most 1000000000");
        let counts = [
            ("training.batch_size", self.batch_size, (MOST_ROWS, "at most 1000000")),
            ("training.max_epochs", self.max_epochs, long),
            ("training.patience", self.patience, long),
            ("training.plateau_patience", self.plateau_patience, long),
            ("training.ensemble", self.ensemble, (MOST_MEMBERS, "at most 1000")),
        ];
        for (key, value, (most, allowed)) in counts {
            if value == 0 {
                return Err(HyperParameterError::new(key, value, "at least 1"));
            }
            if value > most {
                return Err(HyperParameterError::new(key, value, allowed));
            }
        }
        let not_negative = [
            ("training.min_delta", self.min_delta),
            ("training.weight_decay", self.weight_decay),
            ("training.gradient_clip", self.gradient_clip),
        ];
        for (key, value) in not_negative {
            if !(value.is_finite() && value >= 0.0) {
                return Err(HyperParameterError::new(key, value, "a finite number, at least 0"));
            }
        }
        if !(self.warmup_epochs >= 0.0 && self.warmup_epochs <= self.max_epochs as f64) {
            let allowed = "at least 0 and at most `training.max_epochs`";
            return Err(HyperParameterError::new(
                "training.warmup_epochs",
                self.warmup_epochs,
                allowed,
            ));
        }
        if !(self.plateau_factor > 0.0 && self.plateau_factor <= 1.0) {
            let allowed = "above 0 and at most 1";
            return Err(HyperParameterError::new(
                "training.plateau_factor",
                self.plateau_factor,
                allowed,
            ));
        }
        if !(0.0..1.0).contains(&self.ema_decay) {
            let allowed = "at least 0 and below 1";
            return Err(HyperParameterError::new("training.ema_decay", self.ema_decay, allowed));
        }
        Ok(())
    }

    /// The step size of the schedule when `epochs` (a fraction in the middle of one) of training are
    /// done.
    ///
    /// ```
    /// use cei_train::{Schedule, TrainingConfig};
    ///
    /// let config = TrainingConfig {
    ///     learning_rate: 1e-3,
    ///     schedule: Schedule::Cosine,
    ///     max_epochs: 100,
    ///     ..TrainingConfig::default()
    /// };
    /// assert_eq!(config.learning_rate_at(0.0), 1e-3);
    /// assert!((config.learning_rate_at(100.0) - 1e-5).abs() < 1e-12);
    /// ```
    pub fn learning_rate_at(&self, epochs: f64) -> f64 {
        let (start, end, rise) = match self.schedule {
            Schedule::Constant => (0.0, 1.0, self.warmup_epochs),
            Schedule::Cosine => (0.0, COSINE_END, self.warmup_epochs),
            Schedule::OneCycle if self.warmup_epochs == 0.0 => {
                (CYCLE_START, CYCLE_END, CYCLE_RISE * self.max_epochs as f64)
            }
            Schedule::OneCycle => (CYCLE_START, CYCLE_END, self.warmup_epochs),
        };
        let factor = if epochs < rise {
            start + (1.0 - start) * epochs / rise
        } else {
            let fall = (self.max_epochs as f64 - rise).max(f64::MIN_POSITIVE);
            let done = ((epochs - rise) / fall).clamp(0.0, 1.0);
            let cosine = 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
            end + (1.0 - end) * cosine
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

    fn ten_epochs(schedule: Schedule, warmup_epochs: f64) -> TrainingConfig {
        TrainingConfig {
            learning_rate: 2.0,
            schedule,
            warmup_epochs,
            max_epochs: 10,
            ..TrainingConfig::default()
        }
    }

    fn assert_rates(config: &TrainingConfig, expected: &[(f64, f64)]) {
        for &(epochs, rate) in expected {
            let found = config.learning_rate_at(epochs);
            assert!((found - rate).abs() < 1e-12, "{epochs}: {found}, not {rate}");
        }
    }

    #[test]
    fn a_constant_rate_is_the_rate_to_the_last_bit() {
        let config = ten_epochs(Schedule::Constant, 0.0);
        assert!([0.0, 0.1, 3.7, 10.0].iter().all(|&epochs| config.learning_rate_at(epochs) == 2.0));
    }

    #[test]
    fn warm_up_rises_linearly_in_parts_of_an_epoch_and_hands_over_to_the_schedule() {
        let constant = ten_epochs(Schedule::Constant, 0.5);
        assert_rates(&constant, &[(0.0, 0.0), (0.125, 0.5), (0.25, 1.0), (0.5, 2.0), (9.0, 2.0)]);
        // After two epochs the cosine has eight left: its middle is at 6, where it is 0.505.
        let cosine = ten_epochs(Schedule::Cosine, 2.0);
        assert_rates(&cosine, &[(1.0, 1.0), (2.0, 2.0), (6.0, 1.01), (10.0, 0.02)]);
    }

    #[test]
    fn one_cycle_rises_from_a_25th_and_falls_to_almost_nothing() {
        // Unless told otherwise it rises for three of ten epochs; half way up it is (1/25 + 1) / 2.
        let cycle = ten_epochs(Schedule::OneCycle, 0.0);
        let end = 2.0 * 4e-6;
        assert_rates(&cycle, &[(0.0, 0.08), (1.5, 1.04), (3.0, 2.0), (10.0, end)]);
        // The middle of the fall: (1 + 4e-6) / 2.
        assert_rates(&cycle, &[(6.5, 1.000_004)]);
        assert_rates(
            &ten_epochs(Schedule::OneCycle, 1.0),
            &[(0.5, 1.04), (1.0, 2.0), (5.5, 1.000_004)],
        );
    }

    /// So that a training of one epoch, with the warm-up of a preset, is one.
    #[test]
    fn a_warm_up_may_last_to_the_end() {
        for schedule in [Schedule::Constant, Schedule::Cosine, Schedule::OneCycle] {
            let config = ten_epochs(schedule, 10.0);
            config.check().unwrap();
            assert_rates(&config, &[(10.0, 2.0)]);
            assert!(config.learning_rate_at(9.9) < 2.0);
        }
        assert!(ten_epochs(Schedule::Cosine, 10.5).check().is_err());
    }

    #[test]
    fn keys_of_version_0_1_0_still_mean_the_same() {
        let old = TrainingConfig::default();
        assert_eq!((old.ema_decay, old.plateau_factor, old.warmup_epochs), (0.0, 1.0, 0.0));
    }

    #[test]
    fn a_bad_value_is_named() {
        let config = TrainingConfig { batch_size: 0, ..TrainingConfig::default() };
        let error = config.check().unwrap_err().to_string();
        assert_eq!(error, "`training.batch_size` is `0`, but must be at least 1");
        let config = TrainingConfig { learning_rate: f64::NAN, ..TrainingConfig::default() };
        assert!(config.check().is_err());
        let bad = [
            (
                TrainingConfig { warmup_epochs: 1000.5, ..TrainingConfig::default() },
                "warmup_epochs",
            ),
            (TrainingConfig { warmup_epochs: -1.0, ..TrainingConfig::default() }, "warmup_epochs"),
            (TrainingConfig { plateau_factor: 0.0, ..TrainingConfig::default() }, "plateau_factor"),
            (TrainingConfig { plateau_factor: 1.5, ..TrainingConfig::default() }, "plateau_factor"),
            (
                TrainingConfig { plateau_patience: 0, ..TrainingConfig::default() },
                "plateau_patience",
            ),
            (TrainingConfig { ensemble: 1001, ..TrainingConfig::default() }, "ensemble"),
            (TrainingConfig { ensemble: usize::MAX, ..TrainingConfig::default() }, "ensemble"),
            (TrainingConfig { batch_size: usize::MAX, ..TrainingConfig::default() }, "batch_size"),
            (TrainingConfig { max_epochs: usize::MAX, ..TrainingConfig::default() }, "max_epochs"),
            (TrainingConfig { patience: usize::MAX, ..TrainingConfig::default() }, "patience"),
            (TrainingConfig { ema_decay: 1.0, ..TrainingConfig::default() }, "ema_decay"),
            (TrainingConfig { ema_decay: f64::NAN, ..TrainingConfig::default() }, "ema_decay"),
        ];
        for (config, key) in bad {
            let error = config.check().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`training.{key}` is")), "{error}");
        }
    }
}
