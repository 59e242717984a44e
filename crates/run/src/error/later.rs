//! What can be wrong with a table that is given to a run.

use std::path::PathBuf;

use cei_data::LoadError;
use cei_data::error::Location;
use thiserror::Error;

/// A table that does not fit the run that it is given to.
#[derive(Debug, Error)]
pub enum LaterError {
    /// Another number of columns than a run has.
    #[error("`{key}` names {found} column{}, but the run has {own}\nhint: name all of them, in this order", if *found == 1 { "" } else { "s" })]
    ColumnCount {
        /// The key.
        key: &'static str,
        /// Columns given.
        found: usize,
        /// The columns of the run.
        own: String,
    },
    /// Charges are given to a run that does not ask for them.
    #[error("the run is not conditioned on charges, so `--charges` and `--unknown-charges` have no place\nhint: {}", if *channels > 1 { "with `--refine` it infers how probable each of its channels is; to give them, train with `columns.charges`" } else { "its ions have the charges of its molecule; for others train on a simulation with `channels`, and list `columns.charges`" })]
    ChargesNotAsked {
        /// How many channels its simulation has.
        channels: usize,
    },
    /// Charges are not known, and nothing says which are possible.
    #[error(
        "`--charges unknown`: the simulation behind the run lists no `channels` to choose from\nhint: give the charges"
    )]
    NoChannels,
    /// Charges are to be inferred where nothing infers them.
    #[error(
        "`--charges unknown` is for `cei predict --refine`, which infers how probable each charge state is\nhint: add `--refine`, or give the charges"
    )]
    ChargesUnknown,
    /// Another number of charges than the run has.
    #[error("`--charges` has {found} numbers, the run {}\nhint: one for each of {}", names.len(), names.join(", "))]
    ChargeCount {
        /// Numbers given.
        found: usize,
        /// The columns of the run.
        names: Vec<String>,
    },
    /// Charges that no channel of the run has.
    #[error(
        "`--charges`: {charges:?} is no charge state that the run was trained on\nhint: these are {known}"
    )]
    OtherCharges {
        /// The charges given.
        charges: Vec<f64>,
        /// Those of the run, in words.
        known: String,
    },
    /// A row has charges that no channel of the run has.
    #[error(
        "{at}: the charges {charges:?} are no charge state that the run was trained on\nhint: these are {known}; leave other events out, or train with their channel, too"
    )]
    OtherChargesAt {
        /// The row.
        at: Box<Location>,
        /// Its charges.
        charges: Vec<f64>,
        /// Those of the run, in words.
        known: String,
    },
    /// A table that cannot be loaded in the way of the run.
    #[error("{source}\nhint: {hint}")]
    Load {
        /// Why.
        source: Box<LoadError>,
        /// What may help.
        hint: String,
    },
    /// A line of numbers that would be names because the run's table had names.
    #[error(
        "`{}`: its first line would name the columns, as in the table of the run, but it has `{found}` where that has `{own}`\nhint: if that line is a row, say `--header no`; if these are names, `--header yes` and the `--columns`",
        file.display()
    )]
    FirstRowOfNumbers {
        /// The file.
        file: PathBuf,
        /// Its first name of another kind.
        found: String,
        /// The run's.
        own: String,
    },
    /// Names that would be left out as an invalid row because the run's table had none.
    #[error(
        "`{}`: its first line would be an invalid row and left out, since the table of the run has no line of names; it looks like one\nhint: if these are names, say `--header yes`; if it is a row, `--header no`",
        file.display()
    )]
    FirstRowOfText {
        /// The file.
        file: PathBuf,
    },
    /// A column chosen by index that has another name than in the table of the run.
    #[error(
        "`{}`: the column with index {index} is `{found}`, but that of the run is `{own}`\nhint: say which columns are meant with `--columns`, by names or indices in the order of the run (positions: `--set columns.x=[...]`)",
        file.display()
    )]
    OtherNames {
        /// The file.
        file: PathBuf,
        /// The index.
        index: usize,
        /// The file's name.
        found: String,
        /// The run's.
        own: String,
    },
}
