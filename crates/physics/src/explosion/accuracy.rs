//! How exactly explosions are integrated.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{SimulationConfigError, require};

/// How exactly an explosion is integrated. With the defaults, momenta of the presets' events are right to
/// 3e-11 of each ion's momentum on average, and to 6e-10 at worst, where `docs/spec.md#forward-model` promises 1e-8.
///
/// ```toml
/// [accuracy]
/// mode = "fast"
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Accuracy {
    /// Whether `tolerance` and `tail` hold as they are, or speed matters more.
    pub mode: Mode,
    /// Allowed relative error of one step.
    #[schemars(range(min = 1e-14, max = 1e-3))]
    pub tolerance: f64,
    /// The integration ends where each pair's potential energy is below this part of its kinetic
    /// energy.
    #[schemars(range(max = 1e-2), extend("exclusiveMinimum" = 0))]
    pub tail: f64,
    /// Steps, tried ones included, after which ions count as bound to each other.
    #[schemars(range(min = 1))]
    pub max_steps: usize,
}

/// What an explosion is integrated for; `accuracy.mode = "fast"` in a configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// `tolerance` and `tail` as they are given.
    #[default]
    Precise,
    /// A tolerance of at least 1e-4 and a tail of at least 2e-3: four to six times as fast. Measured on
    /// the presets `ocs-reference`, `ocs-wide` and `chbrclf` (32,768 events each), the mean error is
    /// 1.3e-6, 1.8e-6 and 1.0e-6 of the ion's own momentum; the largest is 2.2e-6, 7.6e-6 and 4.5e-5 of
    /// the event's largest momentum. For molecules with attraction or neutral atoms it is not measured.
    Fast,
    /// As precise, but one event at a time in physical time: 7 to 14 times slower, and independent of
    /// what the other modes do. They are tested against it.
    Reference,
    /// As rough as it may be, for searches far from their goal; no configuration may ask for it. Twice as fast as fast. For the presets
    /// `ocs-wide` and `chbrclf` (4,000 events each) the largest error of an event is 7e-4 and 5e-4 of its largest momentum at
    /// the median, and below 1.7e-3 and 2.1e-3 in 99 % of the events. Where ions do not all repel each other, or bonds break in
    /// steps, it is [`Self::Fast`].
    #[serde(skip)]
    #[schemars(skip)]
    Rough,
}

impl Default for Accuracy {
    fn default() -> Self {
        Self { mode: Mode::default(), tolerance: 1e-10, tail: 1e-6, max_steps: 20_000 }
    }
}

impl Accuracy {
    /// The default, in [`Mode::Fast`].
    pub fn fast() -> Self {
        Self { mode: Mode::Fast, ..Self::default() }
    }

    /// The default, in [`Mode::Rough`].
    pub fn rough() -> Self {
        Self { mode: Mode::Rough, ..Self::default() }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`SimulationConfigError::OutOfRange`] that names the key.
    pub fn check(&self) -> Result<(), SimulationConfigError> {
        require("accuracy.tolerance", self.tolerance, "1e-14 to 1e-3", |value| {
            (1e-14..=1e-3).contains(&value)
        })?;
        require("accuracy.tail", self.tail, "above 0, at most 1e-2", |value| {
            value > 0.0 && value <= 1e-2
        })?;
        require("accuracy.max_steps", self.max_steps as f64, "at least 1", |value| value >= 1.0)
    }

    /// The numbers that the mode leaves.
    pub(super) fn resolved(&self) -> Self {
        match self.mode {
            Mode::Precise | Mode::Reference => self.clone(),
            Mode::Fast => self.coarsened(FAST_TOLERANCE, FAST_TAIL),
            Mode::Rough => self.coarsened(ROUGH_TOLERANCE, ROUGH_TAIL),
        }
    }

    fn coarsened(&self, tolerance: f64, tail: f64) -> Self {
        Self { tolerance: self.tolerance.max(tolerance), tail: self.tail.max(tail), ..self.clone() }
    }
}

/// Least tolerance and tail of [`Mode::Fast`].
const FAST_TOLERANCE: f64 = 1e-4;
const FAST_TAIL: f64 = 2e-3;
/// Those of [`Mode::Rough`].
const ROUGH_TOLERANCE: f64 = 0.3;
const ROUGH_TAIL: f64 = 0.03;
