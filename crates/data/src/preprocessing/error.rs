//! What can be wrong with a preprocessing.

use thiserror::Error;

use crate::gauge::GaugeError;

/// A preprocessing that cannot be fitted.
#[derive(Clone, Debug, PartialEq, Error)]
#[allow(missing_docs, reason = "the fields are what the messages show")]
pub enum PreprocessingError {
    /// The gauge does not fit.
    #[error(transparent)]
    Gauge(#[from] GaugeError),
    /// Rows of the table cannot be read again.
    #[error(transparent)]
    Scratch(#[from] crate::error::ScratchError),
    /// The noise is not a positive number.
    #[error("`noise_sd` is `{value}` but must be a positive number of scaled units")]
    NoiseSd { value: f64 },
    /// A table without positions.
    #[error(
        "`columns.x` is empty: there are no position columns to train on\nhint: name those that are to be inferred"
    )]
    NoPositions,
    /// No column of a side varies among the training rows.
    #[error(
        "on the {rows} training rows no `{side}` column varies: {}\nhint: choose columns that vary between events, or another gauge",
        crate::error::list(names)
    )]
    Constant { side: &'static str, rows: usize, names: Vec<String> },
    /// Bounds of a column that does not exist.
    #[error(
        "`preprocessing.bounds` names `{name}`, which is no position column\nhint: there are {}",
        crate::error::list(names)
    )]
    UnknownBound { name: String, names: Vec<String> },
    /// Bounds that hold nothing.
    #[error(
        "`preprocessing.bounds.{name}` is [{low}, {high}] but must be two finite numbers, the lower first"
    )]
    Bound { name: String, low: f64, high: f64 },
    /// A training row outside of the bounds.
    #[error(
        "row {row} has `{name}` = {value}, outside of `preprocessing.bounds.{name}` = [{low}, {high}]\nhint: give the bounds of the prior that the table was drawn from"
    )]
    OutOfBounds { name: String, row: usize, value: f64, low: f64, high: f64 },
    /// Bounds where positions do not fill their space.
    #[error(
        "`preprocessing.bounds` needs positions that vary in all {columns} directions, but these do in {rank}\nhint: leave out constant columns, or the bounds"
    )]
    BoundedSubspace { columns: usize, rank: usize },
}
