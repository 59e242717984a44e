//! How a file was read: what its lines were taken for. A run keeps it, to read later files in the same way, and
//! the command line says it.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::list;
use crate::source::{Comment, Decimal, Header, Separator, Source};

/// How one file was read. `Display` gives one line such as `` `f.csv`: no header; comma; 300 rows ``.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// The file.
    pub file: PathBuf,
    /// Rows, valid or not.
    pub rows: u64,
    /// How the text was taken; absent for Parquet, where nothing is guessed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<TextReading>,
    /// Columns of Parquet in which pandas keeps its index; they are no data unless asked for by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub index_columns: Vec<String>,
    /// Where all columns were asked for, those whose type is not read, as `name (type)`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
}

/// How the lines of a text file were taken; they add up: `lines` = rows + header + comments + blank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TextReading {
    /// Where the names of the columns were found; never `auto`.
    pub header: Header,
    /// Whether the names are numbers, such as the `0,1,2` of pandas.
    pub numeric_header: bool,
    /// The units of a second header line, if there is one. They are not used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub units: Option<String>,
    /// What separates the cells; never `auto`. A table of one column has white space.
    pub separator: Separator,
    /// Whether every line ends in a separator.
    pub trailing_separator: bool,
    /// The sign of comment lines; never `auto`.
    pub comment: Comment,
    /// The decimal sign; never `auto`.
    pub decimal: Decimal,
    /// How characters are written.
    pub encoding: Encoding,
    /// Whether the file is compressed by gzip.
    pub gzip: bool,
    /// Columns.
    pub columns: usize,
    /// All lines of the file.
    pub lines: u64,
    /// Lines with names, units, or the `sep=;` of a spreadsheet; comment lines are not counted here.
    pub header_lines: u64,
    /// Comment lines, a commented header included.
    pub comment_lines: u64,
    /// Lines of nothing but white space.
    pub blank_lines: u64,
}

/// How the characters of a text file are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// UTF-8, ASCII included. Single bytes that are not UTF-8 are taken as Windows-1252 (Latin-1).
    #[default]
    Utf8,
    /// UTF-16, least byte first.
    Utf16Le,
    /// UTF-16, greatest byte first.
    Utf16Be,
}

impl Reading {
    /// Whether all of it is what one expects without being told: Parquet, or a line of names above
    /// rows separated by commas.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let all = self.index_columns.is_empty() && self.skipped.is_empty();
        all && self.text.as_ref().is_none_or(|text| {
            text.header == Header::Yes
                && !text.numeric_header
                && text.units.is_none()
                && text.separator == Separator::Comma
                && !text.trailing_separator
                && text.decimal == Decimal::Point
                && text.encoding == Encoding::Utf8
                && !text.gzip
                && text.comment_lines == 0
        })
    }

    /// What was found, without file and rows: `no header; comma`.
    fn manner(&self) -> String {
        let Some(text) = &self.text else {
            let mut said = vec!["Parquet".to_owned()];
            for (names, what) in
                [(&self.index_columns, "index of pandas"), (&self.skipped, "not read")]
            {
                if !names.is_empty() {
                    said.push(format!("{what}: {}", list(names)));
                }
            }
            return said.join("; ");
        };
        let mut said = vec![match (text.header, text.numeric_header) {
            (Header::Commented, _) => "header in a comment line".to_owned(),
            (Header::Yes, true) => "the first line, of numbers, taken as header".to_owned(),
            (Header::Yes, false) => "header".to_owned(),
            (Header::No | Header::Auto, _) => "no header".to_owned(),
        }];
        said.extend(text.units.as_ref().map(|units| format!("units below it, not used: {units}")));
        said.push(match text.separator {
            _ if text.columns == 1 => "one column".to_owned(),
            Separator::Comma => "comma".to_owned(),
            Separator::Semicolon => "semicolon".to_owned(),
            Separator::Tab => "tab".to_owned(),
            Separator::Whitespace | Separator::Auto => "white space".to_owned(),
        });
        let marks = [
            (text.trailing_separator, "one more at the end of lines"),
            (text.decimal == Decimal::Comma, "decimal comma"),
            (text.encoding != Encoding::Utf8, "UTF-16"),
            (text.gzip, "gzip"),
        ];
        said.extend(marks.iter().filter(|mark| mark.0).map(|mark| mark.1.to_owned()));
        said.join("; ")
    }

    fn left_out(&self) -> String {
        let Some(text) = self.text.as_ref().filter(|text| text.comment_lines > 0) else {
            return String::new();
        };
        let plural = if text.comment_lines == 1 { "" } else { "s" };
        format!("; {} comment line{plural} (`{}`)", text.comment_lines, text.comment)
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, manner) = (self.file.display(), self.manner());
        let plural = if self.rows == 1 { "" } else { "s" };
        write!(f, "`{file}`: {manner}; {} row{plural}{}", self.rows, self.left_out())
    }
}

/// One line for each manner in which files were read, those that are plain left out: what a command
/// says on stderr. Files read in the same manner as the one before share its line.
#[must_use]
pub fn remarks(readings: &[Reading]) -> Vec<String> {
    let alike = |a: &Reading, b: &Reading| a.manner() == b.manner();
    let groups = readings.chunk_by(alike).filter(|group| group.iter().any(|r| !r.is_plain()));
    groups
        .map(|group| match group {
            [one] => one.to_string(),
            [first, others @ ..] => {
                let rows: u64 = group.iter().map(|reading| reading.rows).sum();
                let (count, name) = (others.len(), Path::display(&first.file));
                format!("`{name}` and {count} more: {}; {rows} rows", first.manner())
            }
            [] => String::new(),
        })
        .collect()
}

impl Source {
    /// This source with everything stated that was found in its files, so that later files are read in
    /// the same way. What differs between the files stays as it is.
    #[must_use]
    pub fn as_read(&self, readings: &[Reading]) -> Self {
        let texts = || readings.iter().filter_map(|reading| reading.text.as_ref());
        fn common<T: PartialEq>(mut values: impl Iterator<Item = T>) -> Option<T> {
            let first = values.next()?;
            values.all(|value| value == first).then_some(first)
        }
        let mut source = self.clone();
        source.header = common(texts().map(|text| text.header)).unwrap_or(source.header);
        // White space is also what a file of one column says, which has no separator.
        let wide = || texts().filter(|text| text.columns > 1);
        source.separator = common(wide().map(|text| text.separator)).unwrap_or(source.separator);
        source.comment = common(texts().map(|text| text.comment.clone())).unwrap_or(source.comment);
        source.decimal = common(texts().map(|text| text.decimal)).unwrap_or(source.decimal);
        source
    }
}
