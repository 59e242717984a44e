//! Parquet, read in blocks of whole row groups and only the selected columns.

use std::borrow::Cow;
use std::fs::File;
use std::path::{Path, PathBuf};

use polars::prelude::{
    AnyValue, ArrowDataType, Column, DataFrame, DataType, ParquetReader, PolarsError, PolarsResult,
    SerReader,
};
use polars_parquet::parquet::metadata::RowGroupMetadata;

use crate::block::{Block, CellFault, Row, Wanted};
use crate::columns::Columns;
use crate::error::{Fault, LoadError};
use crate::number::{EXACT, checked, parse_cell};
use crate::quiet;
use crate::source::Decimal;

/// Row groups are joined up to this many rows, and larger ones are cut: bounds the memory.
const BLOCK_ROWS: usize = 1 << 18;
/// Compressed bytes of a row group that are mapped at once, or one column of it: where a table is a single row group, all of it is
/// looked at for each slice.
const MAPPED_BYTES: usize = 1 << 26;

/// A Parquet file whose footer has been read.
pub(crate) struct ParquetFile {
    path: PathBuf,
    columns: Columns,
    rows: usize,
    row_groups: Vec<usize>,
    /// Compressed bytes of each column in the row group where it has most.
    bytes: Vec<usize>,
}

impl ParquetFile {
    /// Reads the footer: names, types and row groups.
    pub(crate) fn open(path: PathBuf) -> Result<Self, LoadError> {
        let failed = |source| LoadError::Io { file: path.clone(), source };
        let metadata = std::fs::metadata(&path).map_err(failed)?;
        if !metadata.is_file() {
            return Err(LoadError::NotRegular { file: path });
        }
        if metadata.len() == 0 {
            return Err(LoadError::EmptyFile { file: path });
        }
        let file = File::open(&path).map_err(failed)?;
        let (fields, text, pandas, rows, row_groups, bytes) = guarded(&path, || {
            let mut reader = ParquetReader::new(file);
            let schema = reader.schema()?;
            let metadata = reader.get_metadata()?;
            let groups = metadata.row_groups.iter().map(|group| group.num_rows()).collect();
            let bytes = schema.iter_names().map(|name| {
                let in_group = |group: &RowGroupMetadata| {
                    let chunks = group.columns_under_root_iter(name).into_iter().flatten();
                    chunks.map(|chunk| chunk.compressed_size() as usize).sum()
                };
                metadata.row_groups.iter().map(in_group).max().unwrap_or(0)
            });
            let bytes = bytes.collect();
            let pandas = metadata.key_value_metadata().iter().flatten();
            let pandas =
                pandas.filter(|pair| pair.key == "pandas").find_map(|pair| pair.value.clone());
            let fields: Vec<(String, Option<String>)> = schema
                .iter_values()
                .map(|field| (field.name.trim().to_owned(), unreadable(&field.dtype)))
                .collect();
            let text: Vec<bool> = schema.iter_values().map(|field| is_text(&field.dtype)).collect();
            Ok((fields, text, pandas, metadata.num_rows, groups, bytes))
        })?;
        if fields.is_empty() {
            return Err(LoadError::EmptyFile { file: path });
        }
        let (names, unreadable): (Vec<String>, Vec<Option<String>>) = fields.into_iter().unzip();
        let pandas = pandas.map(|text| index_names(&text)).unwrap_or_default();
        let is_index = |name: &String| pandas.contains(name) || name.starts_with("__index_level_");
        let index = names.iter().map(is_index).collect();
        let columns = Columns { count: names.len(), names: Some(names), index, unreadable, text };
        Ok(Self { path, columns, rows, row_groups, bytes })
    }

    pub(crate) fn columns(&self) -> &Columns {
        &self.columns
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn read(
        &self,
        wanted: &[Wanted],
        take: &mut dyn FnMut(Block) -> Result<(), LoadError>,
    ) -> Result<(), LoadError> {
        for (start, length) in slices(&self.row_groups) {
            take(self.block(start, length, wanted)?)?;
        }
        Ok(())
    }

    /// The cells of every row as text.
    pub(crate) fn read_cells(
        &self,
        wanted: &[usize],
        take: &mut dyn FnMut(&Row<'_>),
    ) -> Result<(), LoadError> {
        let mut projection = wanted.to_vec();
        projection.sort_unstable();
        for (start, length) in slices(&self.row_groups) {
            let frame = self.frame(start, length, &projection)?;
            let places = wanted.iter().map(|index| projection.binary_search(index).unwrap_or(0));
            let columns: Vec<_> = places.map(|place| &frame.columns()[place]).collect();
            for row in 0..length {
                take(&columns.iter().map(|column| cell_in_text(column, row)).collect::<Vec<_>>());
            }
        }
        Ok(())
    }

    /// Names and types of all columns.
    pub(crate) fn header(&self) -> Result<Vec<(String, ArrowDataType)>, LoadError> {
        let file = self.file()?;
        guarded(&self.path, || {
            let schema = ParquetReader::new(file).schema()?;
            let fields = schema.iter_values();
            Ok(fields.map(|field| (field.name.to_string(), field.dtype.clone())).collect())
        })
    }

    /// All rows and columns, in frames of bounded size.
    pub(crate) fn frames(&self) -> impl Iterator<Item = Result<DataFrame, LoadError>> {
        let all: Vec<usize> = (0..self.columns.count).collect();
        let slices = slices(&self.row_groups).into_iter();
        slices.map(move |(start, length)| self.frame(start, length, &all))
    }

    fn file(&self) -> Result<File, LoadError> {
        File::open(&self.path).map_err(|source| LoadError::Io { file: self.path.clone(), source })
    }

    /// Rows of some columns, in file order.
    fn frame(
        &self,
        start: usize,
        length: usize,
        projection: &[usize],
    ) -> Result<DataFrame, LoadError> {
        let mut groups = self.mapped_at_once(projection);
        let mut frame = self.mapped(start, length, groups.next().unwrap_or_default())?;
        for columns in groups {
            let others = self.mapped(start, length, columns)?;
            guarded(&self.path, || frame.hstack_mut(others.columns()).map(|_| ()))?;
        }
        Ok(frame)
    }

    /// The columns in groups of at most [`MAPPED_BYTES`], or of one column.
    fn mapped_at_once<'c>(&self, projection: &'c [usize]) -> impl Iterator<Item = &'c [usize]> {
        let mut mapped = 0;
        projection.chunk_by(move |&column, &next| {
            mapped += self.bytes[column];
            let fits = mapped + self.bytes[next] <= MAPPED_BYTES;
            if !fits {
                mapped = 0;
            }
            fits
        })
    }

    /// The same as [`Self::frame`], mapped together.
    fn mapped(
        &self,
        start: usize,
        length: usize,
        projection: &[usize],
    ) -> Result<DataFrame, LoadError> {
        let file = self.file()?;
        let frame: DataFrame = guarded(&self.path, || {
            ParquetReader::new(file)
                .with_slice(Some((start, length)))
                .with_projection(Some(projection.to_vec()))
                .finish()
        })?;
        if frame.height() != length {
            return Err(LoadError::CorruptParquet {
                file: self.path.clone(),
                reason: format!("{} rows where its footer promises {length}", frame.height()),
            });
        }
        Ok(frame)
    }

    fn block(&self, start: usize, length: usize, wanted: &[Wanted]) -> Result<Block, LoadError> {
        let mut projection: Vec<usize> = wanted.iter().map(|wanted| wanted.index).collect();
        projection.sort_unstable();
        let frame = self.frame(start, length, &projection)?;
        let width = wanted.len();
        let mut block =
            Block { rows: length, values: vec![f64::NAN; length * width], faults: Vec::new() };
        for (cell, &Wanted { index, limit }) in wanted.iter().enumerate() {
            let place = projection.binary_search(&index).unwrap_or(cell);
            let column = &frame.columns()[place];
            let mut set = |row: usize, value: Result<f64, Fault>| match value {
                Ok(value) => block.values[row * width + cell] = value,
                Err(fault) => {
                    block.faults.push(CellFault { row, line: None, cell: Some(cell), fault });
                }
            };
            let undecodable = |error: PolarsError| LoadError::CorruptParquet {
                file: self.path.clone(),
                reason: error.to_string(),
            };
            let checked = |value| checked(value, limit);
            if column.dtype().is_primitive_numeric() {
                let cells = column.cast(&DataType::Float64).map_err(undecodable)?;
                let is_integer = column.dtype().is_integer();
                for (row, value) in cells.f64().map_err(undecodable)?.iter().enumerate() {
                    let value = match value {
                        Some(value) if is_integer && value.abs() >= EXACT => {
                            exact(&column.get(row).map_err(undecodable)?, value).and_then(checked)
                        }
                        value => value.map_or(Err(Fault::Empty), checked),
                    };
                    set(row, value);
                }
            } else if let Ok(cells) = column.str() {
                for (row, text) in cells.iter().enumerate() {
                    let value =
                        text.map_or(Err(Fault::Empty), |text| parse_cell(text, Decimal::Point));
                    set(row, value.and_then(checked));
                }
            } else {
                (0..length).for_each(|row| set(row, Err(Fault::Empty)));
            }
        }
        block.faults.sort_by_key(|fault| fault.row);
        Ok(block)
    }
}

/// A cell as text, from which the same number is read.
fn cell_in_text(column: &Column, row: usize) -> Option<Cow<'_, str>> {
    let text = match column.get(row).ok()? {
        AnyValue::Null => return None,
        AnyValue::String(text) => return (!text.is_empty()).then_some(Cow::Borrowed(text)),
        AnyValue::StringOwned(text) => text.to_string(),
        AnyValue::Boolean(value) => value.to_string(),
        // With a decimal point, so that it stays a number of that kind.
        AnyValue::Float32(value) => format!("{value:?}"),
        AnyValue::Float64(value) => format!("{value:?}"),
        integer => integer.extract::<i128>()?.to_string(),
    };
    Some(Cow::Owned(text))
}

/// Whether a type is text.
fn is_text(dtype: &ArrowDataType) -> bool {
    matches!(dtype, ArrowDataType::Utf8 | ArrowDataType::LargeUtf8 | ArrowDataType::Utf8View)
}

/// The integer as a number, if it is one.
fn exact(integer: &AnyValue<'_>, value: f64) -> Result<f64, Fault> {
    match integer.extract::<i128>() {
        Some(integer) if integer != value as i128 => Err(Fault::Inexact(integer.to_string())),
        _ => Ok(value),
    }
}

/// The name of a type that holds no numbers, or that is not compiled in; none for the others.
fn unreadable(dtype: &ArrowDataType) -> Option<String> {
    use ArrowDataType as Type;
    let name = match dtype {
        Type::Null
        | Type::Int8
        | Type::Int16
        | Type::Int32
        | Type::Int64
        | Type::UInt8
        | Type::UInt16
        | Type::UInt32
        | Type::UInt64
        | Type::Float32
        | Type::Float64
        | Type::Utf8
        | Type::LargeUtf8
        | Type::Utf8View => return None,
        Type::Boolean => "boolean",
        Type::Float16 => "half-precision float",
        Type::Decimal(..) | Type::Decimal256(..) => "decimal",
        Type::Timestamp(..) | Type::Date32 | Type::Date64 => "timestamp",
        Type::Time32(_) | Type::Time64(_) | Type::Duration(_) | Type::Interval(_) => "time",
        Type::Binary | Type::LargeBinary | Type::BinaryView | Type::FixedSizeBinary(_) => "binary",
        Type::List(_) | Type::LargeList(_) | Type::FixedSizeList(..) => "list",
        Type::Struct(_) | Type::Map(..) | Type::Union(_) => "struct",
        Type::Dictionary(..) => "dictionary (categorical)",
        other => return Some(format!("{other:?}")),
    };
    Some(name.to_owned())
}

/// The columns that pandas keeps its index in, by its metadata.
fn index_names(pandas: &str) -> Vec<String> {
    let metadata: serde_json::Value = serde_json::from_str(pandas).unwrap_or_default();
    let columns = metadata["index_columns"].as_array();
    let names = columns.into_iter().flatten().filter_map(|column| column.as_str());
    names.map(str::to_owned).collect()
}

/// Consecutive `(start, length)` of at most `BLOCK_ROWS` rows.
fn slices(row_groups: &[usize]) -> Vec<(usize, usize)> {
    let mut slices: Vec<(usize, usize)> = Vec::new();
    let mut start = 0;
    for &rows in row_groups.iter().filter(|&&rows| rows > 0) {
        match slices.last_mut() {
            Some((_, length)) if *length + rows <= BLOCK_ROWS => *length += rows,
            _ => {
                let mut left = rows;
                while left > 0 {
                    let length = left.min(BLOCK_ROWS);
                    slices.push((start + rows - left, length));
                    left -= length;
                }
            }
        }
        start += rows;
    }
    slices
}

/// Runs a decoder on bytes that may be damaged: its errors, and the panics that damaged pages
/// provoke in it, become one error.
fn guarded<T>(path: &Path, decode: impl FnOnce() -> PolarsResult<T>) -> Result<T, LoadError> {
    let corrupt = |reason: String| LoadError::CorruptParquet { file: path.to_path_buf(), reason };
    match quiet::catch(decode) {
        Some(Ok(decoded)) => Ok(decoded),
        Some(Err(error)) => Err(corrupt(error.to_string())),
        None => Err(corrupt("its pages cannot be decoded".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ColumnData, write_table};

    #[test]
    fn columns_that_are_too_large_together_are_mapped_one_after_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        let columns = ["a", "b", "c", "d", "e"].iter().zip(0..);
        let columns = columns.map(|(name, column)| {
            let values = (0..4000).map(|row| f64::from(row * 10 + column)).collect();
            ((*name).to_owned(), ColumnData::F64(values))
        });
        write_table(&path, columns.collect()).unwrap();

        let mut file = ParquetFile::open(path).unwrap();
        assert!(
            file.bytes.iter().all(|&bytes| (1000..40_000).contains(&bytes)),
            "{:?}",
            file.bytes
        );
        let all = [0, 1, 2, 3, 4];
        assert_eq!(file.mapped_at_once(&all).collect::<Vec<_>>(), [&all[..]]);
        let together = file.frame(500, 1500, &all).unwrap();

        let half = MAPPED_BYTES / 2;
        file.bytes = vec![half, half, half, MAPPED_BYTES + 1, half];
        let groups: Vec<_> = file.mapped_at_once(&all).collect();
        assert_eq!(groups, [&all[..2], &all[2..3], &all[3..4], &all[4..]]);
        let in_turn = file.frame(500, 1500, &all).unwrap();
        assert_eq!(in_turn, together);
        let b: f64 = in_turn.column("b").unwrap().f64().unwrap().iter().flatten().sum();
        assert_eq!(b, (500..2000).map(|row| f64::from(row * 10 + 1)).sum::<f64>());
    }
}
