//! Delimited text, read in blocks of whole lines. Polars parses a block; a block in which it meets
//! anything but finite numbers is read again line by line, to say where and what is wrong.
//!
//! A line end always ends a row: quoted cells must not contain one.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use polars::prelude::{
    CsvParseOptions, CsvReadOptions, DataFrame, DataType, Field, PlSmallStr, Schema, SerReader,
};

use crate::block::{Block, CellFault, checked, parse_cell};
use crate::error::{Fault, LoadError};
use crate::source::{Header, Separator, Source};
use crate::table_file::Columns;

/// Bytes read at a time: bounds the memory of a file of any size.
const BLOCK_BYTES: usize = 16 << 20;

/// A text file whose first line has been read.
pub(crate) struct TextFile {
    path: PathBuf,
    cells: Cells,
    columns: Columns,
    first_row: Position,
    bytes: u64,
    bytes_of_first_line: usize,
}

/// Where the data rows start.
#[derive(Clone, Copy)]
struct Position {
    offset: u64,
    line: u64,
}

impl TextFile {
    /// Reads the first line: separator, header, number of columns.
    pub(crate) fn open(path: PathBuf, source: &Source) -> Result<Self, LoadError> {
        let failed = |source| LoadError::Io { file: path.clone(), source };
        let file = File::open(&path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let mut reader = BufReader::new(file);
        let mut start = Position { offset: 0, line: 1 };
        let mut line = Vec::new();
        let first = loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(failed)?;
            if read == 0 {
                return Err(LoadError::EmptyFile { file: path });
            }
            let text = String::from_utf8_lossy(&line).trim_start_matches('\u{feff}').to_owned();
            if !text.trim().is_empty() {
                break text;
            }
            start = Position { offset: start.offset + read as u64, line: start.line + 1 };
        };
        let cells = Cells::of(source.separator, &first);
        let names: Vec<String> =
            cells.split(first.trim_end_matches(['\r', '\n'])).map(unquoted).collect();
        let count = names.len();
        let has_header = match source.header {
            Header::Yes => true,
            Header::No => false,
            Header::Auto => names.iter().all(|name| name.parse::<f64>().is_err()),
        };
        if has_header {
            start = Position { offset: start.offset + line.len() as u64, line: start.line + 1 };
        } else if start.offset == 0 && line.starts_with(&[0xef, 0xbb, 0xbf]) {
            start.offset = 3;
        }
        let columns = Columns { names: has_header.then_some(names), count };
        Ok(Self { path, cells, columns, first_row: start, bytes, bytes_of_first_line: line.len() })
    }

    pub(crate) fn columns(&self) -> &Columns {
        &self.columns
    }

    /// A lower estimate of the number of rows, only used to reserve memory.
    pub(crate) fn rows_hint(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(0)
            / self.bytes_of_first_line.max(20 * self.columns.count)
    }

    pub(crate) fn read(
        &self,
        selected: &[usize],
        take: &mut dyn FnMut(Block) -> Result<(), LoadError>,
    ) -> Result<(), LoadError> {
        let failed = |source| LoadError::Io { file: self.path.clone(), source };
        let mut reader = BufReader::new(File::open(&self.path).map_err(failed)?);
        reader.seek(SeekFrom::Start(self.first_row.offset)).map_err(failed)?;
        let mut line = self.first_row.line;
        loop {
            let mut bytes = Vec::new();
            reader.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut bytes).map_err(failed)?;
            if bytes.is_empty() {
                return Ok(());
            }
            if bytes.last() != Some(&b'\n') {
                reader.read_until(b'\n', &mut bytes).map_err(failed)?;
            }
            let lines = bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
            let block = self
                .parse_fast(&bytes, selected)
                .unwrap_or_else(|| self.parse_carefully(&bytes, line, selected));
            take(block)?;
            line += lines;
        }
    }

    /// The block by Polars; none unless every line is a full row of valid numbers.
    fn parse_fast(&self, bytes: &[u8], selected: &[usize]) -> Option<Block> {
        let bytes = bytes.trim_ascii_end();
        if bytes.is_empty() {
            return None;
        }
        let rows = bytes.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let bytes = self.cells.normalised(bytes);
        let last = self.columns.count - 1;
        let name = |index: usize| PlSmallStr::from_string(index.to_string());
        let schema: Schema = (0..self.columns.count)
            .map(|index| {
                let wanted = selected.contains(&index);
                Field::new(name(index), if wanted { DataType::Float64 } else { DataType::String })
            })
            .collect();
        // The last column is always parsed: a row that ends early shows as a null there.
        let mut projection: Vec<usize> = selected.iter().copied().chain([last]).collect();
        projection.sort_unstable();
        projection.dedup();
        let options =
            CsvParseOptions::default().with_separator(self.cells.byte()).with_quote_char(None);
        let frame: DataFrame = CsvReadOptions::default()
            .with_has_header(false)
            .with_rechunk(true)
            .with_schema(Some(Arc::new(schema)))
            .with_projection(Some(Arc::new(projection)))
            .with_parse_options(options)
            .into_reader_with_file_handle(Cursor::new(bytes))
            .finish()
            .ok()?;
        if frame.height() != rows || frame.columns().iter().any(|column| column.null_count() > 0) {
            return None;
        }
        let mut values = vec![0.0; rows * selected.len()];
        for (cell, &index) in selected.iter().enumerate() {
            let column = frame.column(&index.to_string()).ok()?.f64().ok()?.rechunk();
            let column = column.cont_slice().ok()?;
            for (row, &value) in column.iter().enumerate() {
                if checked(value).is_err() {
                    return None;
                }
                values[row * selected.len() + cell] = value;
            }
        }
        Some(Block { rows, values, faults: Vec::new() })
    }

    /// The block line by line. Blank lines are no rows.
    fn parse_carefully(&self, bytes: &[u8], first_line: u64, selected: &[usize]) -> Block {
        let mut block = Block::default();
        for (number, line) in (first_line..).zip(bytes.split(|&byte| byte == b'\n')) {
            let line = String::from_utf8_lossy(line);
            let line = line.strip_suffix('\r').unwrap_or(&line);
            if line.trim().is_empty() {
                continue;
            }
            let cells: Vec<&str> = self.cells.split(line).collect();
            let mut add = |cell, fault| {
                block.faults.push(CellFault { row: block.rows, line: Some(number), cell, fault });
            };
            if cells.len() != self.columns.count {
                add(None, Fault::Ragged { found: cells.len(), expected: self.columns.count });
                block.values.extend(selected.iter().map(|_| f64::NAN));
            } else {
                for (cell, &index) in selected.iter().enumerate() {
                    let value = parse_cell(cells[index]).unwrap_or_else(|fault| {
                        add(Some(cell), fault);
                        f64::NAN
                    });
                    block.values.push(value);
                }
            }
            block.rows += 1;
        }
        block
    }
}

/// How a line is cut into cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cells {
    SeparatedBy(char),
    Whitespace,
}

impl Cells {
    fn of(separator: Separator, first_line: &str) -> Self {
        match separator {
            Separator::Comma => Self::SeparatedBy(','),
            Separator::Semicolon => Self::SeparatedBy(';'),
            Separator::Tab => Self::SeparatedBy('\t'),
            Separator::Whitespace => Self::Whitespace,
            // The semicolon first: where it separates, a comma may stand inside the numbers.
            Separator::Auto => [';', '\t', ',']
                .into_iter()
                .find(|&candidate| {
                    let line = first_line.trim();
                    // Aligned columns may mix tabs and runs of blanks.
                    let aligned = || line.split('\t').any(|cell| cell.trim().contains("  "));
                    line.contains(candidate) && !(candidate == '\t' && aligned())
                })
                .map_or(Self::Whitespace, Self::SeparatedBy),
        }
    }

    /// The separator of the text that `normalised` returns.
    fn byte(self) -> u8 {
        match self {
            Self::SeparatedBy(separator) => separator as u8,
            Self::Whitespace => b' ',
        }
    }

    /// The lines with exactly one separator between cells.
    fn normalised(self, bytes: &[u8]) -> Vec<u8> {
        if self != Self::Whitespace {
            return bytes.to_vec();
        }
        let mut text = Vec::with_capacity(bytes.len());
        for line in bytes.split(|&byte| byte == b'\n') {
            for cell in line.split(u8::is_ascii_whitespace).filter(|cell| !cell.is_empty()) {
                text.extend_from_slice(cell);
                text.push(b' ');
            }
            if text.last() == Some(&b' ') {
                text.pop();
            }
            text.push(b'\n');
        }
        text
    }

    fn split(self, line: &str) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Self::Whitespace => Box::new(line.split_whitespace()),
            Self::SeparatedBy(separator) => {
                let mut quoted = false;
                Box::new(line.split(move |character| {
                    quoted ^= character == '"';
                    character == separator && !quoted
                }))
            }
        }
    }
}

fn unquoted(cell: &str) -> String {
    let cell = cell.trim();
    cell.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(cell).trim().to_owned()
}
