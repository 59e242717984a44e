//! One file of a table, whatever its format: its columns, and its rows in blocks of bounded size.

use std::path::{Path, PathBuf};

use crate::block::{Block, Wanted};
use crate::error::LoadError;
use crate::further::Row;
use crate::parquet_file::ParquetFile;
use crate::reading::TextReading;
use crate::source::{ColumnRef, Decimal, Source};
use crate::text_file::TextFile;

/// What a file says about its columns.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    /// Names without surrounding blanks; none in a text file without a header.
    pub(crate) names: Option<Vec<String>>,
    /// Number of columns.
    pub(crate) count: usize,
    /// For each column, whether pandas keeps its index there; empty for text.
    pub(crate) index: Vec<bool>,
    /// For each column, the type that cannot be read as numbers; empty for text.
    pub(crate) unreadable: Vec<Option<String>>,
    /// For each column, whether its type is text; empty for text files, where cells say it.
    pub(crate) text: Vec<bool>,
}

impl Columns {
    pub(crate) fn of_text(names: Option<Vec<String>>, count: usize) -> Self {
        Self { names, count, index: Vec::new(), unreadable: Vec::new(), text: Vec::new() }
    }

    /// The columns that hold data of the table: all but pandas' index.
    pub(crate) fn data(&self) -> impl Iterator<Item = usize> {
        (0..self.count).filter(|&index| !self.index.get(index).copied().unwrap_or(false))
    }

    /// The type of a column that cannot be read as numbers.
    pub(crate) fn unreadable(&self, index: usize) -> Option<&str> {
        self.unreadable.get(index)?.as_deref()
    }

    /// Whether a column is declared as text.
    pub(crate) fn is_text(&self, index: usize) -> bool {
        self.text.get(index).copied().unwrap_or(false)
    }

    /// The name of a column in messages and results: its own, or `column 3` without a header.
    pub(crate) fn label(&self, index: usize) -> String {
        match &self.names {
            Some(names) => names[index].clone(),
            None => format!("column {index}"),
        }
    }

    /// The index of a wanted column.
    pub(crate) fn find(&self, file: &Path, wanted: &ColumnRef) -> Result<usize, LoadError> {
        match wanted {
            ColumnRef::Index(index) if *index < self.count => Ok(*index),
            ColumnRef::Index(index) => Err(LoadError::IndexOutOfRange {
                file: file.to_path_buf(),
                index: *index,
                columns: self.count,
            }),
            ColumnRef::Name(name) => self.find_name(file, name),
        }
    }

    fn find_name(&self, file: &Path, name: &str) -> Result<usize, LoadError> {
        let file = file.to_path_buf();
        let Some(names) = &self.names else {
            return Err(LoadError::NoHeader { file, name: name.to_owned() });
        };
        let mut places = (0..names.len()).filter(|&index| names[index] == name);
        match (places.next(), places.next()) {
            (Some(index), None) => Ok(index),
            (Some(first), Some(second)) => {
                Err(LoadError::DuplicateName { file, name: name.to_owned(), first, second })
            }
            (None, _) => Err(LoadError::MissingColumn {
                file,
                name: name.to_owned(),
                available: names.clone(),
                nearest: nearest(name, names),
            }),
        }
    }
}

/// The most similar name, if any is similar at all.
fn nearest(name: &str, names: &[String]) -> Option<String> {
    let wanted = name.to_lowercase();
    names
        .iter()
        .map(|candidate| (strsim::jaro_winkler(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(similarity, _)| *similarity >= 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.clone())
}

/// An opened file whose columns are known and whose rows are not read yet.
pub(crate) enum TableFile {
    Text(TextFile),
    Parquet(ParquetFile),
}

impl TableFile {
    /// Opens a file by its extension (that of text may be followed by `.gz`) and reads its columns.
    pub(crate) fn open(path: PathBuf, source: &Source) -> Result<Self, LoadError> {
        match FileKind::of(&path)? {
            FileKind::Text => TextFile::open(path, source).map(Self::Text),
            FileKind::Parquet => ParquetFile::open(path).map(Self::Parquet),
        }
    }

    pub(crate) fn columns(&self) -> &Columns {
        match self {
            Self::Text(file) => file.columns(),
            Self::Parquet(file) => file.columns(),
        }
    }

    /// The number of rows, estimated for text.
    pub(crate) fn rows_hint(&self) -> usize {
        match self {
            Self::Text(file) => file.rows_hint(),
            Self::Parquet(file) => file.rows(),
        }
    }

    /// The decimal sign of its cells.
    pub(crate) fn decimal(&self) -> Decimal {
        match self {
            Self::Text(file) => file.decimal(),
            Self::Parquet(_) => Decimal::Point,
        }
    }

    /// Hands over the cells of every row, valid or not, as text, in the order of `wanted`.
    pub(crate) fn read_cells(
        &self,
        wanted: &[usize],
        take: &mut dyn FnMut(&Row<'_>),
    ) -> Result<(), LoadError> {
        match self {
            Self::Text(file) => file.read_cells(wanted, take),
            Self::Parquet(file) => file.read_cells(wanted, take),
        }
    }

    /// Hands the rows over in blocks, columns in the order of `wanted`, and says how lines of text were taken.
    pub(crate) fn read(
        &self,
        wanted: &[Wanted],
        take: &mut dyn FnMut(Block) -> Result<(), LoadError>,
    ) -> Result<Option<TextReading>, LoadError> {
        match self {
            Self::Text(file) => file.read(wanted, take).map(Some),
            Self::Parquet(file) => file.read(wanted, take).map(|()| None),
        }
    }
}

/// The format of a table file, by its extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Text,
    Parquet,
}

impl FileKind {
    pub(crate) fn of(path: &Path) -> Result<Self, LoadError> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("").to_lowercase();
        let unpacked = Path::new(name.strip_suffix(".gz").unwrap_or(&name));
        let extension =
            unpacked.extension().and_then(|text| text.to_str()).unwrap_or("").to_owned();
        match extension.as_str() {
            "csv" | "tsv" | "txt" | "dat" => Ok(Self::Text),
            "parquet" | "pq" if !name.ends_with(".gz") => Ok(Self::Parquet),
            _ => Err(LoadError::UnknownExtension {
                file: path.to_path_buf(),
                extension: if extension.is_empty() { extension } else { format!(".{extension}") },
            }),
        }
    }
}
