//! Writing tables: CSV, tab-separated text or Parquet by extension, whole or in batches. A file appears under its
//! name only when it is complete.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cei_files::{AtomicFile, FileError};
use polars::io::parquet::write::{BatchedWriter, KeyValueMetadata};
use polars::prelude::{
    ArrowDataType, Column, CompatLevel, CsvWriter, DataFrame, DataType, Field, ParquetCompression,
    ParquetWriter, PolarsError, PolarsResult, Schema, SchemaExt as _, SerWriter,
};
use polars_parquet::write::{ZstdLevel, schema_to_metadata_key};
use thiserror::Error;

use crate::table_file::FileKind;

/// Rows of one Parquet row group at most.
const ROW_GROUP: usize = 1 << 18;
/// Numbers of one Parquet row group, as far as there are so many: what a file says of each of its row groups is in memory until it is
/// complete, more than the numbers of a small group themselves. The groups follow from the columns alone, so that the bytes of
/// a table do not depend on the batches in which its rows come.
const GROUP: usize = 1 << 20;
/// Level of Zstandard: of numbers that no two rows share, higher ones make nothing smaller, in more than twice the time.
const COMPRESSION: i32 = 1;

/// The values of one column.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnData {
    /// f64; NaN stands for nothing and is written as nothing: an empty cell, or null.
    F64(Vec<f64>),
    /// f32.
    F32(Vec<f32>),
    /// i64; none is an empty cell, or null.
    I64(Vec<Option<i64>>),
    /// u64, for example event numbers.
    U64(Vec<u64>),
    /// u32, for example draw numbers.
    U32(Vec<u32>),
    /// Text, for example a flag; none is an empty cell.
    Text(Vec<Option<String>>),
}

/// The type of one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// f64.
    F64,
    /// f32.
    F32,
    /// i64.
    I64,
    /// u64.
    U64,
    /// u32.
    U32,
    /// Text.
    Text,
}

impl ColumnData {
    /// Its type.
    #[must_use]
    pub fn column_type(&self) -> ColumnType {
        match self {
            Self::F64(_) => ColumnType::F64,
            Self::F32(_) => ColumnType::F32,
            Self::I64(_) => ColumnType::I64,
            Self::U64(_) => ColumnType::U64,
            Self::U32(_) => ColumnType::U32,
            Self::Text(_) => ColumnType::Text,
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::F64(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::U64(values) => values.len(),
            Self::U32(values) => values.len(),
            Self::Text(values) => values.len(),
        }
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The cells of these rows, in this order; a row may be asked for several times.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn select(&self, rows: impl Iterator<Item = usize>) -> Self {
        match self {
            Self::F64(values) => Self::F64(rows.map(|row| values[row]).collect()),
            Self::F32(values) => Self::F32(rows.map(|row| values[row]).collect()),
            Self::I64(values) => Self::I64(rows.map(|row| values[row]).collect()),
            Self::U64(values) => Self::U64(rows.map(|row| values[row]).collect()),
            Self::U32(values) => Self::U32(rows.map(|row| values[row]).collect()),
            Self::Text(values) => Self::Text(rows.map(|row| values[row].clone()).collect()),
        }
    }

    fn into_column(self, name: &str) -> Column {
        match self {
            // A NaN is no number to any query: larger than all, and the mean of a column with one.
            Self::F64(values) if values.iter().any(|value| value.is_nan()) => {
                let values = values.into_iter().map(|value| (!value.is_nan()).then_some(value));
                Column::new(name.into(), values.collect::<Vec<Option<f64>>>())
            }
            Self::F64(values) => Column::new(name.into(), values),
            Self::F32(values) => Column::new(name.into(), values),
            Self::I64(values) => Column::new(name.into(), values),
            Self::U64(values) => Column::new(name.into(), values),
            Self::U32(values) => Column::new(name.into(), values),
            Self::Text(values) => Column::new(name.into(), values),
        }
    }
}

impl ColumnType {
    /// The type of a column of a Parquet file that is written here; none of others.
    pub(crate) fn of(kind: &ArrowDataType) -> Option<Self> {
        match kind {
            ArrowDataType::Float64 => Some(Self::F64),
            ArrowDataType::Float32 => Some(Self::F32),
            ArrowDataType::Int64 => Some(Self::I64),
            ArrowDataType::UInt64 => Some(Self::U64),
            ArrowDataType::UInt32 => Some(Self::U32),
            ArrowDataType::Utf8 | ArrowDataType::LargeUtf8 | ArrowDataType::Utf8View => {
                Some(Self::Text)
            }
            _ => None,
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Self::F64 => DataType::Float64,
            Self::F32 => DataType::Float32,
            Self::I64 => DataType::Int64,
            Self::U64 => DataType::UInt64,
            Self::U32 => DataType::UInt32,
            Self::Text => DataType::String,
        }
    }
}

/// A table that cannot be written.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the fields are what the messages show")]
pub enum WriteError {
    /// A file name whose type is not known.
    #[error("`{}`: unknown file type\nhint: use .csv, .tsv or .parquet", file.display())]
    UnknownExtension { file: PathBuf },
    /// A file of frames of what has no geometries.
    #[error("`{}`: frames are of geometries of a molecule with positions in a unit of length, and these rows are none\nhint: use .csv, .tsv or .parquet", file.display())]
    NoGeometry { file: PathBuf },
    /// The file cannot be made, or must not be.
    #[error(transparent)]
    File(#[from] FileError),
    /// The operating system refused.
    #[error("`{}` cannot be written: {source}", file.display())]
    Io { file: PathBuf, source: io::Error },
    /// The encoder refused.
    #[error("`{}` cannot be encoded: {reason}", file.display())]
    Encode { file: PathBuf, reason: String },
    /// A batch of another shape than the table.
    #[error("`{}`: a batch has {found} columns but the table has {expected}", file.display())]
    Width { file: PathBuf, expected: usize, found: usize },
    /// A column of another type than declared.
    #[error("`{}`: column `{column}` was declared {expected:?} but the batch holds {found:?}", file.display())]
    Type { file: PathBuf, column: String, expected: ColumnType, found: ColumnType },
}

/// Names and types of columns.
#[must_use]
pub fn header(columns: &[(String, ColumnData)]) -> Vec<(String, ColumnType)> {
    columns.iter().map(|(name, data)| (name.clone(), data.column_type())).collect()
}

/// Writes a table at once. `columns` are names and values, all of one length.
///
/// # Errors
/// See [`WriteError`]; no file appears then.
pub fn write_table(path: &Path, columns: Vec<(String, ColumnData)>) -> Result<(), WriteError> {
    let mut writer = TableWriter::create(path, &header(&columns))?;
    writer.write(columns.into_iter().map(|(_, data)| data).collect())?;
    writer.finish()
}

/// Writes a table in batches. Dropped without [`TableWriter::finish`], it leaves nothing behind.
pub struct TableWriter {
    path: PathBuf,
    columns: Vec<(String, ColumnType)>,
    unfinished: AtomicFile,
    encoder: Encoder,
}

enum Encoder {
    /// Rows are appended to the file by a short-lived writer a batch; with what separates the cells.
    Csv(File, u8),
    /// With rows that wait for more.
    Parquet(Box<BatchedWriter<File>>, DataFrame),
}

impl TableWriter {
    /// Starts a table of these columns beside `path`; the format is that of `path`'s extension.
    ///
    /// # Errors
    /// Unknown extension; the folder does not exist or is not writable.
    pub fn create(path: &Path, columns: &[(String, ColumnType)]) -> Result<Self, WriteError> {
        let kind = FileKind::of(path)
            .map_err(|_| WriteError::UnknownExtension { file: path.to_path_buf() })?;
        let unfinished = AtomicFile::create(path)?;
        let file = unfinished
            .file()
            .try_clone()
            .map_err(|source| WriteError::Io { file: path.to_path_buf(), source })?;
        let schema: Schema = columns
            .iter()
            .map(|(name, kind)| Field::new(name.as_str().into(), kind.data_type()))
            .collect();
        let encoded = |error: PolarsError| encode_error(path, &error);
        let encoder = match kind {
            FileKind::Text => {
                let mut header = DataFrame::empty_with_schema(&schema);
                let separator = separator_of(path);
                CsvWriter::new(&file)
                    .with_separator(separator)
                    .include_header(true)
                    .finish(&mut header)
                    .map_err(encoded)?;
                Encoder::Csv(file, separator)
            }
            FileKind::Parquet => {
                let level = ZstdLevel::try_new(COMPRESSION).map_err(encoded)?;
                let writer = ParquetWriter::new(file)
                    .with_compression(ParquetCompression::Zstd(Some(level)))
                    .with_key_value_metadata(Some(plain_types(&schema)));
                let writer = writer.batched(&schema).map_err(encoded)?;
                Encoder::Parquet(Box::new(writer), DataFrame::empty_with_schema(&schema))
            }
        };
        Ok(Self { path: path.to_path_buf(), columns: columns.to_vec(), unfinished, encoder })
    }

    /// Appends rows; `batch` holds one equally long vector a column, in the declared order.
    ///
    /// # Errors
    /// Another number or type of columns, unequal lengths, a full disk.
    pub fn write(&mut self, batch: Vec<ColumnData>) -> Result<(), WriteError> {
        if batch.len() != self.columns.len() {
            return Err(WriteError::Width {
                file: self.path.clone(),
                expected: self.columns.len(),
                found: batch.len(),
            });
        }
        for ((column, expected), data) in self.columns.iter().zip(&batch) {
            if data.column_type() != *expected {
                return Err(WriteError::Type {
                    file: self.path.clone(),
                    column: column.clone(),
                    expected: *expected,
                    found: data.column_type(),
                });
            }
        }
        let rows = batch.first().map_or(0, ColumnData::len);
        let columns = batch
            .into_iter()
            .zip(&self.columns)
            .map(|(data, (name, _))| data.into_column(name))
            .collect();
        let frame = DataFrame::new(rows, columns);
        self.append(frame.map_err(|error| encode_error(&self.path, &error))?)
    }

    /// Appends rows of the declared columns.
    ///
    /// # Errors
    /// A full disk.
    pub(crate) fn append(&mut self, mut frame: DataFrame) -> Result<(), WriteError> {
        let encoded = |error: PolarsError| encode_error(&self.path, &error);
        let group = (GROUP / self.columns.len().max(1)).clamp(1, ROW_GROUP);
        match &mut self.encoder {
            Encoder::Csv(file, separator) => CsvWriter::new(file)
                .with_separator(*separator)
                .include_header(false)
                .finish(&mut frame)
                .map_err(encoded),
            Encoder::Parquet(writer, waiting) => {
                waiting.vstack_mut_owned(frame).map_err(encoded)?;
                while waiting.height() >= group {
                    write_group(writer, waiting, group).map_err(encoded)?;
                }
                Ok(())
            }
        }
    }

    /// Completes the file and gives it its name, replacing an older one.
    ///
    /// # Errors
    /// A full disk, a target that is a folder.
    pub fn finish(self) -> Result<(), WriteError> {
        Ok(self.complete()?.commit()?)
    }

    /// Completes the file, which has its name only when it is committed.
    ///
    /// # Errors
    /// A full disk.
    pub fn complete(mut self) -> Result<AtomicFile, WriteError> {
        if let Encoder::Parquet(writer, waiting) = &mut self.encoder {
            let rest = match waiting.height() {
                0 => Ok(()),
                rows => write_group(writer, waiting, rows),
            };
            let written = rest.and_then(|()| writer.finish());
            written.map_err(|error| encode_error(&self.path, &error))?;
        }
        Ok(self.unfinished)
    }
}

/// Writes the first so many of the `waiting` rows as a row group.
fn write_group(
    writer: &mut BatchedWriter<File>,
    waiting: &mut DataFrame,
    rows: usize,
) -> PolarsResult<()> {
    let (mut group, rest) = waiting.split_at(rows as i64);
    // Each piece would be a group of its own.
    writer.write_batch(group.rechunk_mut())?;
    *waiting = rest;
    Ok(())
}

/// What separates the cells of a text file: a tab in `.tsv`.
fn separator_of(path: &Path) -> u8 {
    let tabs = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tsv"));
    if tabs { b'\t' } else { b',' }
}

/// The Arrow types that readers give the columns. Polars would name its own type of text, a view, which Arrow of
/// before 2024 cannot open and of today cannot filter.
fn plain_types(schema: &Schema) -> KeyValueMetadata {
    KeyValueMetadata::Static(vec![schema_to_metadata_key(&schema.to_arrow(CompatLevel::oldest()))])
}

fn encode_error(path: &Path, error: &PolarsError) -> WriteError {
    match error {
        PolarsError::IO { error, .. } => WriteError::Io {
            file: path.to_path_buf(),
            source: io::Error::new(error.kind(), Arc::clone(error)),
        },
        other => WriteError::Encode { file: path.to_path_buf(), reason: other.to_string() },
    }
}
