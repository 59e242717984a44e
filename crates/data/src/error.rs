//! What can be wrong with a table on disk: every error names the file, and the row, line and column
//! where there is one.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::sum_gate::SumGate;

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub file: PathBuf,
    /// Data row, counted from 1 in this file (the header is not a row).
    pub row: u64,
    /// Line of a text file, counted from 1; absent for Parquet.
    pub line: Option<u64>,
    /// Column name, or `column 3` (0-based) in a file without a header; absent when the whole row is meant.
    pub column: Option<String>,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`, row {}", self.file.display(), self.row)?;
        if let Some(line) = self.line {
            write!(f, " (line {line})")?;
        }
        if let Some(column) = &self.column {
            write!(f, ", column `{column}`")?;
        }
        Ok(())
    }
}

/// The largest magnitude of a cell: far below that of single precision, in which models compute.
pub(crate) const LARGEST: f64 = 1e30;

/// What is wrong with a cell, or with its whole row.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Nothing between two separators, or a Parquet null.
    Empty,
    /// Not a number, by that name.
    NotANumber,
    /// Plus or minus infinity, or a number beyond the range of f64.
    Infinite,
    /// A number that no momentum or position has.
    TooLarge {
        /// The number in the file's unit.
        value: f64,
        /// The largest magnitude in that unit.
        limit: f64,
    },
    /// An integer that an f64 does not hold exactly.
    Inexact(String),
    /// Text that is no number.
    Text(String),
    /// A quoted cell that does not end on its line.
    OpenQuote,
    /// An empty component of an ion of which others are there.
    PartOfIon,
    /// An event with so few ions that were detected.
    FewIons(usize),
    /// A row with another number of cells than the header or most rows.
    Ragged {
        /// Cells in this row.
        found: usize,
        /// Cells of the header, or of most rows.
        expected: usize,
    },
}

impl Fault {
    /// The reason alone, without the offending text, as used for counting.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Empty => Reason::Empty,
            Self::NotANumber => Reason::NotANumber,
            Self::Infinite => Reason::Infinite,
            Self::TooLarge { .. } => Reason::TooLarge,
            Self::Inexact(_) => Reason::Inexact,
            Self::OpenQuote => Reason::OpenQuote,
            Self::PartOfIon => Reason::PartOfIon,
            Self::FewIons(_) => Reason::FewIons,
            Self::Text(_) => Reason::Text,
            Self::Ragged { .. } => Reason::Ragged,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { value, limit } if *limit == LARGEST => {
                write!(f, "`{value:e}` is beyond {LARGEST:e}, so it is no measured number")
            }
            Self::TooLarge { value, limit } => {
                write!(
                    f,
                    "`{value:e}` is beyond {limit:e}, which is {LARGEST:e} in atomic units, so it is no measured number"
                )
            }
            Self::Inexact(text) => {
                write!(f, "`{text}` is an integer beyond 2^53, which would be rounded")
            }
            Self::Text(text) => write!(f, "`{text}` is not a number"),
            Self::Ragged { found, expected } => {
                write!(f, "{found} cells where {expected} are expected")
            }
            Self::FewIons(found) => {
                let ions = if *found == 1 { "one ion was" } else { "no ions were" };
                write!(f, "{ions} detected, of the two that an event needs")
            }
            Self::PartOfIon => {
                write!(
                    f,
                    "{}: of an ion that was not detected all three components are empty",
                    self.reason()
                )
            }
            Self::Empty | Self::NotANumber | Self::Infinite | Self::OpenQuote => {
                write!(f, "{}", self.reason())
            }
        }
    }
}

/// Why a cell or row is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Empty cell.
    Empty,
    /// NaN.
    NotANumber,
    /// Infinity.
    Infinite,
    /// A number beyond all measured ones.
    TooLarge,
    /// An integer that would be rounded.
    Inexact,
    /// A number far from all others of its column.
    FarOut,
    /// A momentum sum outside the gate.
    MomentumSum,
    /// Text in a number column.
    Text,
    /// A quote that is not closed.
    OpenQuote,
    /// A part of a momentum.
    PartOfIon,
    /// Fewer than two ions.
    FewIons,
    /// Wrong number of cells.
    Ragged,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the cell is empty",
            Self::NotANumber => "the cell is NaN",
            Self::Infinite => "the cell is infinite",
            Self::TooLarge => "the cell is too large",
            Self::Inexact => "the integer is beyond 2^53",
            Self::FarOut => "the cell is far from all others",
            Self::MomentumSum => "the momentum sum is outside the gate",
            Self::Text => "the cell is not a number",
            Self::OpenQuote => "a quoted cell does not end on its line",
            Self::PartOfIon => "the cell is empty, and others of its ion are not",
            Self::FewIons => "fewer than two ions were detected",
            Self::Ragged => "the row has a wrong number of cells",
        })
    }
}

/// A cell far from all others of its column.
#[derive(Clone, Debug, PartialEq)]
pub struct FarCell {
    /// Row of the table, from 0, as long as none is left out.
    pub row: usize,
    /// Where it is.
    pub at: Location,
    /// Its value, in the unit of the file.
    pub value: f64,
    /// Its distance from the median of the column in robust standard deviations.
    pub deviations: f64,
}

impl fmt::Display for FarCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, value, deviations, .. } = self;
        let far = if *deviations < 1e6 {
            format!("{deviations:.0}")
        } else {
            format!("{deviations:.0e}")
        };
        write!(f, "{at}: `{value:e}` is {far} standard deviations from the median of its column")
    }
}

/// A table that cannot be loaded.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the fields are what the messages show")]
pub enum LoadError {
    /// The source lists nothing.
    #[error("no data file is given\nhint: name at least one path or glob in `files`")]
    NoFiles,
    /// No columns to condition on were chosen.
    #[error("no momentum column is chosen\nhint: list them by name or 0-based index in `y`")]
    NoColumns,
    /// A path that does not exist.
    #[error("`{}` does not exist\nhint: relative paths start at the current folder", file.display())]
    FileMissing { file: PathBuf },
    /// A path that is a folder.
    #[error("`{0}` is a folder\nhint: name a file, or use a glob such as `{0}/*.parquet`", file.display())]
    IsFolder { file: PathBuf },
    /// A glob that matches nothing.
    #[error(
        "no file matches `{pattern}`\nhint: relative globs start at the current folder; quote them in a shell"
    )]
    NoMatch { pattern: String },
    /// A glob that is malformed.
    #[error("`{pattern}` is not a valid glob: {reason}")]
    BadPattern { pattern: String, reason: &'static str },
    /// A file name whose type is not known.
    #[error(
        "`{}`: unknown file type `{extension}`\nhint: use .csv, .tsv, .txt or .dat for text (also with .gz), .parquet or .pq for Parquet",
        file.display()
    )]
    UnknownExtension { file: PathBuf, extension: String },
    /// The operating system refused.
    #[error("`{}` cannot be read: {source}", file.display())]
    Io { file: PathBuf, source: io::Error },
    /// Rows cannot be kept on disk.
    #[error(transparent)]
    Scratch(#[from] ScratchError),
    /// A pipe or a device.
    #[error("`{}` is a pipe or a device\nhint: write its content into a file first", file.display())]
    NotRegular { file: PathBuf },
    /// A file of another format than its name says.
    #[error("`{}` holds {format}, not a table of text\nhint: unpack or convert it to .csv, .csv.gz or .parquet", file.display())]
    NotText { file: PathBuf, format: &'static str },
    /// A line that does not end.
    #[error("`{}`, line {line}: it is longer than {longest_mib} MiB\nhint: lines end in a line feed; is the file a table?", file.display())]
    LineTooLong { file: PathBuf, line: u64, longest_mib: usize },
    /// A text whose first line has an absurd number of cells.
    #[error("`{}` has {columns} columns, which is no table of events\nhint: a row holds one event", file.display())]
    TooManyColumns { file: PathBuf, columns: usize },
    /// A text without any line that is no comment.
    #[error(
        "`{}` has no rows: every line begins with `{sign}`, which begins a comment\nhint: if it does not, set `comment = \"none\"`",
        file.display()
    )]
    OnlyComments { file: PathBuf, sign: String },
    /// A spreadsheet's `sep=` of a separator that is not known.
    #[error("`{}` says `sep={separator}`, a separator that is not known\nhint: save it with comma, semicolon or tab", file.display())]
    UnknownSeparator { file: PathBuf, separator: String },
    /// A first line that may be a header or a row.
    #[error(
        "`{}`, line {line}: `{text}` may be names of columns or the first row\nhint: say which with `header = \"yes\"` or `header = \"no\"`",
        file.display()
    )]
    HeaderUnclear { file: PathBuf, line: u64, text: String },
    /// A header of another length than all rows.
    #[error(
        "`{}`: the header has {names} names but the rows from line {line} on have {cells} cells\nhint: name every column, or say what comments begin with (`comment`); numbers with a decimal comma need another separator than the comma",
        file.display()
    )]
    HeaderDiffers { file: PathBuf, line: u64, names: usize, cells: usize },
    /// Commas that may be decimal signs or not.
    #[error(
        "`{}`: in `{text}` the commas may be decimal commas or not\nhint: say `decimal = \"comma\"` or `decimal = \"point\"`, and the `separator`; best write decimal points",
        file.display()
    )]
    DecimalUnclear { file: PathBuf, text: String },
    /// A header with a quote that is not closed.
    #[error("`{}`: a quoted cell of the first line does not end there\nhint: cells must not hold line ends", file.display())]
    OpenQuote { file: PathBuf },
    /// The reader lost or made lines; a mistake of this program.
    #[error(
        "`{}`: {lines} lines were read as {accounted} (rows, header, comments and blank lines together)\nhint: this is a fault of the reader; please report it with the file",
        file.display()
    )]
    LinesLost { file: PathBuf, lines: u64, accounted: u64 },
    /// Files without a header that have different numbers of columns.
    #[error("`{}` has {columns} columns but `{}` has {first_columns}\nhint: list files of one layout", file.display(), first_file.display())]
    CountsDiffer { file: PathBuf, columns: usize, first_file: PathBuf, first_columns: usize },
    /// A file of no bytes or only blank lines.
    #[error("`{}` is empty\nhint: it holds neither a header nor rows; was it written completely?", file.display())]
    EmptyFile { file: PathBuf },
    /// A header without rows.
    #[error("`{}` has columns but no rows\nhint: was it written completely?", file.display())]
    NoRows { file: PathBuf },
    /// A Parquet file that cannot be decoded.
    #[error("`{}` is not a readable Parquet file: {reason}\nhint: it may be cut short or of another format", file.display())]
    CorruptParquet { file: PathBuf, reason: String },
    /// A wanted column whose type holds no numbers.
    #[error("`{}`: column `{name}` is of type {kind}, which is not read\nhint: write it as a number (float64 or an integer)", file.display())]
    ColumnType { file: PathBuf, name: String, kind: String },
    /// A wanted name that the file does not have.
    #[error(
        "`{}` has no column `{name}`; it has {}\nhint: {}",
        file.display(), list(available), nearest_hint(nearest.as_deref())
    )]
    MissingColumn { file: PathBuf, name: String, available: Vec<String>, nearest: Option<String> },
    /// A column asked for by name in a file without a header.
    #[error(
        "`{}` has no header, so there is no column `{name}`\nhint: choose columns by 0-based index, or set `header = \"yes\"`",
        file.display()
    )]
    NoHeader { file: PathBuf, name: String },
    /// A column index beyond the last column.
    #[error("`{}` has no column with index {index}; it has {columns} columns\nhint: indices run from 0 to {}", file.display(), columns.saturating_sub(1))]
    IndexOutOfRange { file: PathBuf, index: usize, columns: usize },
    /// Two columns of the file carry the wanted name.
    #[error(
        "`{}` has two columns named `{name}`, with index {first} and {second}\nhint: choose the one you mean by its index",
        file.display()
    )]
    DuplicateName { file: PathBuf, name: String, first: usize, second: usize },
    /// One column chosen twice.
    #[error("`{}`: column `{name}` is chosen twice\nhint: each column may stand once, in `x` or in `y`", file.display())]
    ChosenTwice { file: PathBuf, name: String },
    /// Files whose columns at the chosen index carry different names.
    #[error(
        "column {index} is `{name}` in `{}` but `{first_name}` in `{}`\nhint: choose columns by name, or list files of one layout",
        file.display(), first_file.display()
    )]
    ColumnsDiffer {
        file: PathBuf,
        index: usize,
        name: String,
        first_file: PathBuf,
        first_name: String,
    },
    /// An invalid cell or row.
    #[error(
        "{at}: {fault}\nhint: correct it, or leave such rows out with `drop_invalid = true` (`--drop-invalid`)"
    )]
    Invalid { at: Location, fault: Fault },
    /// A cell that is a number, but so far from all others of its column that it was not measured.
    #[error(
        "{cell}, and far from all others, so it is no measured number{}\nhint: correct it, or leave such rows out with `drop_invalid = true` (`--drop-invalid`)",
        match more { 0 => String::new(), more => format!("; so are {more} other cells") }
    )]
    FarOut { cell: Box<FarCell>, more: usize },
    /// Every row was dropped.
    #[error(
        "{}: all {rows} rows are invalid and were dropped; {dropped}\nhint: check `separator`, `header` and the chosen columns",
        files_in_words(files)
    )]
    AllDropped { files: Vec<PathBuf>, rows: u64, dropped: String },
    /// Fewer rows than the split needs.
    #[error(
        "{}: {rows} rows are too few; the split needs at least {needed}\nhint: use more events or other split proportions",
        files_in_words(files)
    )]
    TooFewRows { files: Vec<PathBuf>, rows: usize, needed: usize },
    /// A gate on the momentum sum that no event passes.
    #[error(
        "{}: none of {events} events is within the momentum-sum gate ({gate}); the smallest sum has {} a.u.\nhint: look at the momentum sum and the unit with `cei inspect`, and choose a wider `--sum-gate`",
        files_in_words(files), short(*least)
    )]
    Gate { files: Vec<PathBuf>, gate: SumGate, events: u64, least: f64 },
    /// A gate, or a motion of the centre of mass, of momenta that have none.
    #[error(
        "`{}`: {missing}, so nothing can be made of the momentum sum\nhint: {hint}",
        file.display()
    )]
    NoSums { file: PathBuf, missing: &'static str, hint: &'static str },
    /// No column of one side varies.
    #[error(
        "{}: {} constant, so there is nothing to {}\nhint: choose columns that vary between events",
        files_in_words(files), all_constant(names), if *condition { "learn from" } else { "infer" }
    )]
    Constant { files: Vec<PathBuf>, names: Vec<String>, condition: bool },
}

/// A number with digits, however small it is.
fn short(value: f64) -> String {
    if value < 1e-3 { format!("{value:.2e}") } else { format!("{value:.4}") }
}

/// `a`, `b` and 3 more
pub(crate) fn list(names: &[String]) -> String {
    const SHOWN: usize = 24;
    let mut text: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    if names.len() > SHOWN {
        text.push(format!("and {} more", names.len() - SHOWN));
    }
    if text.is_empty() { "none".to_owned() } else { text.join(", ") }
}

fn nearest_hint(nearest: Option<&str>) -> String {
    match nearest {
        Some(name) => format!("did you mean `{name}`? names are case-sensitive"),
        None => "name the columns in `x` and `y`, or choose them by 0-based index".to_owned(),
    }
}

fn all_constant(names: &[String]) -> String {
    match names {
        [name] => format!("the column `{name}` is"),
        _ => format!("all of the columns {} are", list(names)),
    }
}

pub(crate) fn files_in_words(files: &[PathBuf]) -> String {
    match files {
        [] => "the table".to_owned(),
        [file] => format!("`{}`", file.display()),
        [first, rest @ ..] => format!("`{}` and {} more files", first.display(), rest.len()),
    }
}

/// Rows of a table that cannot be kept on disk.
#[derive(Clone, Debug, PartialEq, Error)]
#[error(
    "the rows of the table, which are kept in a file without a name in `{}` while they are needed, cannot be written or read: {kind}\nhint: is there room for 8 bytes a number?", folder.display()
)]
pub struct ScratchError {
    /// Where the file is.
    pub folder: PathBuf,
    /// What the system says.
    pub kind: io::ErrorKind,
}

#[cfg(test)]
mod tests {
    #[test]
    fn small_numbers_keep_their_digits() {
        assert_eq!(super::short(12.345_67), "12.3457");
        assert_eq!(super::short(3.234e-8), "3.23e-8");
    }
}
