//! One file of a table, whatever its format: its columns, and its rows in blocks of bounded size.

use std::path::{Path, PathBuf};

use crate::block::{Block, Row, Wanted};
use crate::columns::Columns;
use crate::error::LoadError;
use crate::parquet_file::ParquetFile;
use crate::reading::TextReading;
use crate::source::{Decimal, Source};
use crate::text_file::TextFile;

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
