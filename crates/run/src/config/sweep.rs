//! What `cei sweep` searches over, and how: the table `[sweep]` of an experiment.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

/// A search for better values of keys of `[model]` and `[training]`, by `cei sweep` (`docs/sweep.md`). `cei train` does
/// not look at it.
///
/// ```toml
/// [sweep]
/// trials = 30
///
/// [sweep.over]
/// training.learning_rate = { low = 1e-4, high = 1e-2, log = true }
/// training.batch_size = [128, 256, 512]
/// model.couplings = { low = 4, high = 24 }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SweepConfig {
    /// Trials, the first of which is the experiment as it is.
    #[schemars(range(min = 1, max = MOST_TRIALS))]
    pub trials: usize,
    /// Seed of what is tried. Every trial is trained with `training.seed`.
    pub seed: u64,
    /// Trials that are chosen together, from the results of those before them. So many may run at a time.
    #[schemars(range(min = 1, max = MOST_TRIALS))]
    pub batch: usize,
    /// Trials that must have ended before values are chosen by their results; until then they are even in the ranges.
    #[schemars(range(min = 1, max = MOST_TRIALS))]
    pub startup: usize,
    /// Which trials are ended early.
    pub stopping: Stopping,
    /// Epochs that every trial gets before it may be ended early; by default a third of `training.max_epochs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MOST_EPOCHS), extend("unit" = "epochs"))]
    pub grace_epochs: Option<usize>,
    /// Ranges of the keys that are searched over: `{ low, high }`, or a list of values to choose from.
    #[serde(deserialize_with = "ranges")]
    pub over: BTreeMap<String, Range>,
}

/// Which trials are ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stopping {
    /// One whose lowest validation loss is above the median of those of earlier trials after as many epochs.
    #[default]
    Median,
    /// None.
    Never,
}

/// What values a key may have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Range {
    /// One of these.
    Choices(#[schemars(with = "Vec<serde_json::Value>")] Vec<toml::Value>),
    /// All between two ends.
    Interval(Interval),
}

/// All values between two ends, which belong to it: integers if both are, numbers otherwise.
///
/// ```toml
/// [sweep.over]
/// model.clamp = { low = 0.5, high = 5.0 }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// The lowest value.
    pub low: Number,
    /// The highest value.
    pub high: Number,
    /// Whether values are even in their logarithm.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub log: bool,
}

/// An end of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number in `low` and `high`")]
pub enum Number {
    /// An integer.
    Integer(i64),
    /// Any number.
    Real(f64),
}

/// A value of `[sweep]` that makes no search.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum SweepConfigError {
    /// A number out of range.
    #[error("`sweep.{key}` is `{value}`, but must be at least 1 and at most {most}")]
    Count {
        /// The key.
        key: &'static str,
        /// Its value.
        value: usize,
        /// The most allowed.
        most: usize,
    },
    /// A list of nothing.
    #[error(
        "`sweep.over.{key}` lists no values\nhint: name what may be chosen, as `[128, 256, 512]`"
    )]
    NoChoices {
        /// The key.
        key: String,
    },
    /// A range without values, or with one.
    #[error(
        "`sweep.over.{key}` has no values between `low = {low}` and `high = {high}`\nhint: `low` must be below `high`, and both must be finite"
    )]
    Empty {
        /// The key.
        key: String,
        /// Its low end.
        low: Number,
        /// Its high end.
        high: Number,
    },
    /// A logarithm of what is not positive.
    #[error(
        "`sweep.over.{key}` is even in the logarithm (`log = true`), but begins at `low = {low}`\nhint: begin above 0"
    )]
    NotPositive {
        /// The key.
        key: String,
        /// Its low end.
        low: Number,
    },
}

/// Trials at most: each is a training.
const MOST_TRIALS: usize = 10_000;
/// Epochs at most, as of a training.
const MOST_EPOCHS: usize = 1_000_000_000;

impl Default for SweepConfig {
    fn default() -> Self {
        Self {
            trials: 20,
            seed: 0,
            batch: 4,
            startup: 8,
            stopping: Stopping::Median,
            grace_epochs: None,
            over: BTreeMap::new(),
        }
    }
}

impl SweepConfig {
    /// Checks every value; what the keys that are searched over allow is checked by the search.
    ///
    /// # Errors
    /// Names the key and the value.
    pub fn check(&self) -> Result<(), SweepConfigError> {
        let counts = [
            ("trials", self.trials, MOST_TRIALS),
            ("batch", self.batch, MOST_TRIALS),
            ("startup", self.startup, MOST_TRIALS),
            ("grace_epochs", self.grace_epochs.unwrap_or(1), MOST_EPOCHS),
        ];
        for (key, value, most) in counts {
            if !(1..=most).contains(&value) {
                return Err(SweepConfigError::Count { key, value, most });
            }
        }
        self.over.iter().try_for_each(|(key, range)| range.check(key))
    }
}

impl Range {
    fn check(&self, key: &str) -> Result<(), SweepConfigError> {
        let key = key.to_owned();
        match self {
            Self::Choices(choices) if choices.is_empty() => {
                Err(SweepConfigError::NoChoices { key })
            }
            Self::Choices(_) => Ok(()),
            Self::Interval(Interval { low, high, log }) => {
                let (from, to) = (low.as_f64(), high.as_f64());
                if !(from < to && from.is_finite() && to.is_finite()) {
                    return Err(SweepConfigError::Empty { key, low: *low, high: *high });
                }
                if *log && from <= 0.0 {
                    return Err(SweepConfigError::NotPositive { key, low: *low });
                }
                Ok(())
            }
        }
    }
}

impl Number {
    /// Its value.
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Integer(value) => value as f64,
            Self::Real(value) => value,
        }
    }
}

impl From<Number> for toml::Value {
    fn from(number: Number) -> Self {
        match number {
            Number::Integer(value) => Self::Integer(value),
            Number::Real(value) => Self::Float(value),
        }
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Integer(value) => write!(f, "{value}"),
            Self::Real(value) => write!(f, "{value:?}"),
        }
    }
}

/// Reads ranges by dotted keys, quoted or not: `training.learning_rate = ...` is a table in a table.
fn ranges<'de, D: Deserializer<'de>>(given: D) -> Result<BTreeMap<String, Range>, D::Error> {
    let mut found = BTreeMap::new();
    collect("", toml::Table::deserialize(given)?, &mut found).map_err(D::Error::custom)?;
    Ok(found)
}

fn collect(
    above: &str,
    table: toml::Table,
    found: &mut BTreeMap<String, Range>,
) -> Result<(), String> {
    for (key, value) in table {
        let key = if above.is_empty() { key } else { format!("{above}.{key}") };
        let range = match value {
            toml::Value::Array(choices) => Range::Choices(choices),
            toml::Value::Table(table) if is_range(&table) => {
                let interval: Interval = table.try_into().map_err(|error: toml::de::Error| {
                    format!("{} in `sweep.over.{key}`", error.message())
                })?;
                Range::Interval(interval)
            }
            toml::Value::Table(table) if !table.is_empty() => {
                collect(&key, table, found)?;
                continue;
            }
            other => {
                return Err(format!(
                    "`sweep.over.{key}` is `{other}`, but must be a range, as `{{ low = 1e-4, high = 1e-2, log = true }}`, or a list of values to choose from"
                ));
            }
        };
        found.insert(key, range);
    }
    Ok(())
}

/// Whether a table is a range rather than a part of the configuration.
fn is_range(table: &toml::Table) -> bool {
    ["low", "high", "log"].iter().any(|key| table.contains_key(*key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<SweepConfig, String> {
        let config: SweepConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn ranges_are_read_by_dotted_keys_quoted_or_not() {
        let plain = read(
            "[over]\ntraining.learning_rate = { low = 1e-4, high = 1, log = true }\nmodel.hidden = [[8], [16, 16]]\n",
        );
        let quoted = read(
            "[over]\n'training.learning_rate' = { low = 1e-4, high = 1, log = true }\n'model.hidden' = [[8], [16, 16]]\n",
        );
        let config = plain.clone().unwrap();
        assert_eq!(plain, quoted);
        let rate = Interval { low: Number::Real(1e-4), high: Number::Integer(1), log: true };
        assert_eq!(config.over["training.learning_rate"], Range::Interval(rate));
        assert!(
            matches!(&config.over["model.hidden"], Range::Choices(choices) if choices.len() == 2)
        );
        // What is written is read back.
        assert_eq!(read(&toml::to_string(&config).unwrap()), Ok(config));
    }

    #[test]
    fn what_is_no_range_is_named() {
        for (text, said) in [
            ("trials = 0", "`sweep.trials` is `0`"),
            ("grace_epochs = 0", "`sweep.grace_epochs` is `0`"),
            ("over.model.hidden = []", "`sweep.over.model.hidden` lists no values"),
            ("over.model.bins = { low = 8, high = 8 }", "between `low = 8` and `high = 8`"),
            ("over.model.bins = { low = 9.5, high = 8 }", "between `low = 9.5` and `high = 8`"),
            ("over.model.clamp = { low = nan, high = 8.0 }", "`sweep.over.model.clamp`"),
            ("over.model.clamp = { low = 0, high = 1, log = true }", "begins at `low = 0`"),
            ("over.model.clamp = { low = 0 }", "missing field `high` in `sweep.over.model.clamp`"),
            ("over.model.clamp = { low = 0, hihg = 1 }", "unknown field `hihg`"),
            ("over.model.clamp = { low = 'a', high = 1 }", "expected a number"),
            ("over.model.clamp = { lo = 0, hi = 1 }", "`sweep.over.model.clamp.hi` is `1`"),
            ("over.model.clamp = 2.0", "must be a range"),
            ("over.model = {}", "must be a range"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
