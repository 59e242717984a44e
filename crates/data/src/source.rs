//! Where a table comes from: files or globs, how text is separated, and which columns are wanted.

use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::LoadError;

/// The files of one table and how to read them.
///
/// ```toml
/// [source]
/// files = ["momenta-*.csv"]
/// separator = "semicolon"
/// drop_invalid = true
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Source {
    /// Paths or globs of text (`.csv`, `.tsv`, `.txt`, `.dat`) or Parquet (`.parquet`, `.pq`) files;
    /// several files are concatenated in this order, the matches of a glob in alphabetical order.
    pub files: Vec<String>,
    /// What separates the cells of a text file.
    pub separator: Separator,
    /// Whether the first line of a text file names the columns.
    pub header: Header,
    /// What lines of a text file begin with that are no rows.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("default" = Comment::default()))]
    pub comment: Comment,
    /// What stands before the decimals of a number in a text file.
    #[serde(skip_serializing_if = "is_default")]
    #[schemars(extend("default" = Decimal::default()))]
    pub decimal: Decimal,
    /// Leave out rows with an invalid cell, counted by reason and column, instead of failing.
    pub drop_invalid: bool,
    /// In the place of files: a simulation, by the name of a preset or the path of a TOML file, that
    /// makes new training events in every epoch.
    ///
    /// [`crate::load()`] does not read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simulator: Option<String>,
    /// Training events of each epoch of `simulator`; by default the `events` of the simulation. The
    /// fixed validation and test events stand to them as the shares of the split.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2))]
    pub events_per_epoch: Option<usize>,
    /// Draw new noise of the declared detector in every epoch; for a simulated table without noise.
    ///
    /// [`crate::load()`] does not add it.
    pub fresh_noise: bool,
    /// Train on rows that stay on the disk, for a table that is larger than the memory: in a file without a name beside the
    /// run (8 bytes a number of the table, later 4 a scaled one). Rows are shuffled within windows
    /// (`docs/spec.md#tables-larger-than-memory`), and copies of rows are not looked for.
    ///
    /// [`crate::load()`] does not read it.
    #[serde(skip_serializing_if = "is_default")]
    pub stream: bool,
    /// Rows that are in memory at a time with `stream`; by default 1,000,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub buffer_rows: Option<usize>,
}

impl Source {
    /// A source of one file or glob, everything else at its default.
    #[must_use]
    pub fn file(path: impl Into<String>) -> Self {
        Self { files: vec![path.into()], ..Self::default() }
    }

    /// The files that the paths and globs stand for, in reading order.
    ///
    /// # Errors
    /// No file given, a path that does not exist or is a folder, a glob without match.
    pub fn resolve(&self) -> Result<Vec<PathBuf>, LoadError> {
        if self.files.is_empty() {
            return Err(LoadError::NoFiles);
        }
        let mut files = Vec::new();
        for pattern in &self.files {
            let path = Path::new(pattern);
            if path.is_dir() {
                return Err(LoadError::IsFolder { file: path.to_path_buf() });
            }
            if path.exists() {
                files.push(path.to_path_buf());
            } else if pattern.contains(['*', '?', '[']) {
                files.extend(matches_of(pattern)?);
            } else {
                return Err(LoadError::FileMissing { file: path.to_path_buf() });
            }
        }
        Ok(files)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn matches_of(pattern: &str) -> Result<Vec<PathBuf>, LoadError> {
    // As in a shell, `*` matches no name that begins with a dot: autosaves, AppleDouble files.
    let options =
        glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
    let paths = glob::glob_with(pattern, options).map_err(|error| LoadError::BadPattern {
        pattern: pattern.to_owned(),
        reason: error.msg,
    })?;
    let mut found = Vec::new();
    for path in paths {
        let path = path.map_err(|error| LoadError::Io {
            file: error.path().to_path_buf(),
            source: error.into(),
        })?;
        if path.is_file() {
            found.push(path);
        }
    }
    if found.is_empty() {
        return Err(LoadError::NoMatch { pattern: pattern.to_owned() });
    }
    Ok(found)
}

/// What separates the cells of a text file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Separator {
    /// The one that cuts the first lines into equally many numbers.
    #[default]
    Auto,
    /// `,`
    Comma,
    /// `;`
    Semicolon,
    /// One tab.
    Tab,
    /// Runs of blanks or tabs.
    Whitespace,
}

/// Whether the first line of a text file names the columns. Comment lines do not count as lines here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Header {
    /// Told from the first lines: a header has other cells than the rows below it.
    #[default]
    Auto,
    /// The first line is a header.
    Yes,
    /// The first line is data.
    No,
    /// The last comment line before the rows is the header, as `numpy.savetxt` writes it.
    Commented,
}

/// What stands before the decimals of a number in a text file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Decimal {
    /// Told from the first lines.
    #[default]
    Auto,
    /// `1.5`
    Point,
    /// `1,5`
    Comma,
}

/// What lines of a text file begin with that are no rows: `auto` (the one of `#`, `%`, `!` and `//` that the first
/// lines show; without any, `#`), `none`, or the sign itself (`"%"`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "String", into = "String")]
pub enum Comment {
    /// The one of `#`, `%`, `!` and `//` that the first lines show; without any, `#`.
    #[default]
    Auto,
    /// Every line is a row.
    None,
    /// This sign.
    Sign(String),
}

impl From<String> for Comment {
    fn from(text: String) -> Self {
        match text.as_str() {
            "auto" => Self::Auto,
            "none" | "" => Self::None,
            _ => Self::Sign(text),
        }
    }
}

impl From<Comment> for String {
    fn from(comment: Comment) -> Self {
        comment.to_string()
    }
}

impl fmt::Display for Comment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::None => "none",
            Self::Sign(sign) => sign,
        })
    }
}

/// A column, chosen by name or by 0-based index.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ColumnRef {
    /// 0-based position in the file.
    Index(usize),
    /// Name in the header, exact, without surrounding blanks.
    Name(String),
}

impl fmt::Display for ColumnRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "{index}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl From<&str> for ColumnRef {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<String> for ColumnRef {
    fn from(name: String) -> Self {
        Self::Name(name)
    }
}

impl From<usize> for ColumnRef {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}
