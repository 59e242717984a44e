//! Parquet, read in blocks of whole row groups and only the selected columns.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use polars::prelude::{DataFrame, DataType, ParquetReader, PolarsError, PolarsResult, SerReader};

use crate::block::{Block, CellFault, checked, parse_cell};
use crate::error::{Fault, LoadError};
use crate::table_file::Columns;

/// Row groups are joined up to this many rows, and larger ones are cut: bounds the memory.
const BLOCK_ROWS: usize = 1 << 18;

/// A Parquet file whose footer has been read.
pub(crate) struct ParquetFile {
    path: PathBuf,
    columns: Columns,
    rows: usize,
    row_groups: Vec<usize>,
}

impl ParquetFile {
    /// Reads the footer: names and row groups.
    pub(crate) fn open(path: PathBuf) -> Result<Self, LoadError> {
        let file =
            File::open(&path).map_err(|source| LoadError::Io { file: path.clone(), source })?;
        let is_empty = file.metadata().is_ok_and(|metadata| metadata.len() == 0);
        if is_empty {
            return Err(LoadError::EmptyFile { file: path });
        }
        let (names, rows, row_groups) = guarded(&path, || {
            let mut reader = ParquetReader::new(file);
            let names: Vec<String> =
                reader.schema()?.iter_names().map(|name| name.trim().to_owned()).collect();
            let metadata = reader.get_metadata()?;
            let groups = metadata.row_groups.iter().map(|group| group.num_rows()).collect();
            Ok((names, metadata.num_rows, groups))
        })?;
        if names.is_empty() {
            return Err(LoadError::EmptyFile { file: path });
        }
        let columns = Columns { count: names.len(), names: Some(names) };
        Ok(Self { path, columns, rows, row_groups })
    }

    pub(crate) fn columns(&self) -> &Columns {
        &self.columns
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn read(
        &self,
        selected: &[usize],
        take: &mut dyn FnMut(Block) -> Result<(), LoadError>,
    ) -> Result<(), LoadError> {
        for (start, length) in slices(&self.row_groups) {
            take(self.block(start, length, selected)?)?;
        }
        Ok(())
    }

    fn block(&self, start: usize, length: usize, selected: &[usize]) -> Result<Block, LoadError> {
        let file = File::open(&self.path)
            .map_err(|source| LoadError::Io { file: self.path.clone(), source })?;
        let mut projection = selected.to_vec();
        projection.sort_unstable();
        let frame: DataFrame = guarded(&self.path, || {
            ParquetReader::new(file)
                .with_slice(Some((start, length)))
                .with_projection(Some(projection.clone()))
                .finish()
        })?;
        if frame.height() != length {
            return Err(LoadError::CorruptParquet {
                file: self.path.clone(),
                reason: format!("{} rows where its footer promises {length}", frame.height()),
            });
        }
        let width = selected.len();
        let mut block =
            Block { rows: length, values: vec![f64::NAN; length * width], faults: Vec::new() };
        for (cell, index) in selected.iter().enumerate() {
            let place = projection.iter().position(|projected| projected == index).unwrap_or(cell);
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
            if column.dtype().is_primitive_numeric() {
                let cells = column.cast(&DataType::Float64).map_err(undecodable)?;
                for (row, value) in cells.f64().map_err(undecodable)?.iter().enumerate() {
                    set(row, value.map_or(Err(Fault::Empty), checked));
                }
            } else if let Ok(cells) = column.str() {
                for (row, text) in cells.iter().enumerate() {
                    set(row, text.map_or(Err(Fault::Empty), parse_cell));
                }
            } else {
                for row in 0..length {
                    let value = column.get(row).map_err(undecodable)?;
                    set(
                        row,
                        if value.is_null() {
                            Err(Fault::Empty)
                        } else {
                            parse_cell(&value.to_string())
                        },
                    );
                }
            }
        }
        block.faults.sort_by_key(|fault| fault.row);
        Ok(block)
    }
}

/// Consecutive `(start, length)` of at most `BLOCK_ROWS` rows or one row group.
fn slices(row_groups: &[usize]) -> Vec<(usize, usize)> {
    let mut slices: Vec<(usize, usize)> = Vec::new();
    let mut start = 0;
    for &rows in row_groups.iter().filter(|&&rows| rows > 0) {
        match slices.last_mut() {
            Some((_, length)) if *length + rows <= BLOCK_ROWS => *length += rows,
            _ => {
                let mut left = rows;
                while left > 0 {
                    let length = left.min(4 * BLOCK_ROWS);
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
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(Ok(decoded)) => Ok(decoded),
        Ok(Err(error)) => Err(corrupt(error.to_string())),
        Err(_) => Err(corrupt("its pages cannot be decoded".to_owned())),
    }
}
