//! The split of a table into training, validation and test rows: a seeded shuffle, cut in three.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How a table is cut: the share of each part, together 1, and the seed of the shuffle.
///
/// ```toml
/// [split]
/// train = 0.8
/// validation = 0.1
/// test = 0.1
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SplitConfig {
    /// Seed of the shuffle: the same for all runs that are to be compared.
    pub seed: u64,
    /// Share of the rows that models and scalers are fitted on.
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    pub train: f64,
    /// Share of the rows that stop training.
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    pub validation: f64,
    /// Share of the rows that are only scored.
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    pub test: f64,
}

impl Default for SplitConfig {
    /// 70/15/15 (`docs/spec.md#split`).
    fn default() -> Self {
        Self { seed: 0, train: 0.7, validation: 0.15, test: 0.15 }
    }
}

impl SplitConfig {
    /// Checks the ranges and the sum.
    ///
    /// # Errors
    /// A share outside (0, 1), or a sum that is not 1 within 1e-9.
    pub fn check(&self) -> Result<(), SplitError> {
        let shares = [("train", self.train), ("validation", self.validation), ("test", self.test)];
        for (key, value) in shares {
            if !(value > 0.0 && value < 1.0) {
                return Err(SplitError::OutOfRange { key, value });
            }
        }
        let sum = self.train + self.validation + self.test;
        if (sum - 1.0).abs() > 1e-9 {
            return Err(SplitError::Sum { sum });
        }
        Ok(())
    }

    /// The smallest table that gives every part its least number of rows.
    #[must_use]
    pub fn least_rows(&self) -> usize {
        // Beyond this many rows every rounded part is large enough, so the search ends.
        let enough = [self.train, self.validation, self.test]
            .map(|share| (3.0 / share.max(1e-6)).ceil() as usize)
            .into_iter()
            .fold(4, usize::max);
        (4..enough).find(|&rows| self.counts(rows).is_some()).unwrap_or(enough)
    }

    /// Rows of train, validation and test.
    ///
    /// # Errors
    /// Invalid proportions, or fewer rows than the parts need.
    pub(crate) fn parts_of(&self, rows: usize) -> Result<[usize; 3], SplitError> {
        self.check()?;
        self.counts(rows).ok_or(SplitError::TooFewRows { rows, needed: self.least_rows() })
    }

    /// Rows of train, validation and test; none if a part would be too small.
    fn counts(&self, rows: usize) -> Option<[usize; 3]> {
        let part = |share: f64| (share * rows as f64).round() as usize;
        let (validation, test) = (part(self.validation), part(self.test));
        let train = rows.checked_sub(validation + test)?;
        (train >= 2 && validation >= 1 && test >= 1).then_some([train, validation, test])
    }
}

/// A split that cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[allow(missing_docs, reason = "the fields are what the messages show")]
pub enum SplitError {
    /// A share outside its range.
    #[error("`split.{key}` is `{value}` but must lie strictly between 0 and 1")]
    OutOfRange { key: &'static str, value: f64 },
    /// Shares that do not make a whole.
    #[error(
        "`split.train`, `split.validation` and `split.test` add up to `{sum}` but must add up to 1"
    )]
    Sum { sum: f64 },
    /// A table too small for three parts.
    #[error(
        "{rows} rows are too few for the split; it needs at least {needed} (2 to train, 1 to validate, 1 to test)\nhint: use more events or other split proportions"
    )]
    TooFewRows { rows: usize, needed: usize },
    /// A table whose row numbers have more than 32 bits.
    #[error("{rows} rows are too many for `source.stream`; it takes at most 4294967295")]
    TooManyRows { rows: usize },
}

/// Row indices of one part of a split.
pub trait Rows {
    /// The indices into the table, in shuffled order.
    fn rows(&self) -> &[usize];
}

macro_rules! part {
    ($name:ident, $what:literal) => {
        #[doc = $what]
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(Vec<usize>);

        impl Rows for $name {
            fn rows(&self) -> &[usize] {
                &self.0
            }
        }
    };
}

part!(TrainSplit, "Rows that models and scalers are fitted on.");
part!(ValidationSplit, "Rows that decide when training stops.");
part!(TestSplit, "Rows that are only scored.");

/// The three parts of a table; they share no row and miss none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// At least 2 rows.
    pub train: TrainSplit,
    /// At least 1 row.
    pub validation: ValidationSplit,
    /// At least 1 row.
    pub test: TestSplit,
}

impl Split {
    /// Consecutive parts of these numbers of rows, for a table whose rows are in no order to begin with.
    #[must_use]
    pub fn consecutive(train: usize, validation: usize, test: usize) -> Self {
        let (to_validation, all) = (train + validation, train + validation + test);
        Self {
            train: TrainSplit((0..train).collect()),
            validation: ValidationSplit((train..to_validation).collect()),
            test: TestSplit((to_validation..all).collect()),
        }
    }

    /// Shuffles `0..rows` with ChaCha8 of the seed and cuts it; the same for the same arguments on
    /// every machine.
    ///
    /// # Errors
    /// Invalid proportions, or fewer rows than the parts need.
    ///
    /// ```
    /// use cei_data::{Rows, Split, SplitConfig};
    ///
    /// let split = Split::new(100, &SplitConfig::default())?;
    /// assert_eq!([split.train.rows().len(), split.test.rows().len()], [70, 15]);
    /// # Ok::<(), cei_data::SplitError>(())
    /// ```
    pub fn new(rows: usize, config: &SplitConfig) -> Result<Self, SplitError> {
        let [train, validation, _] = config.parts_of(rows)?;
        let mut order: Vec<usize> = (0..rows).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(config.seed));
        let test = order.split_off(train + validation);
        let validation = order.split_off(train);
        Ok(Self {
            train: TrainSplit(order),
            validation: ValidationSplit(validation),
            test: TestSplit(test),
        })
    }
}
