//! Delimited text, read in blocks of whole lines. Polars parses a block; a block in which it may meet
//! anything but full rows of finite numbers is read again line by line, to say where and what is wrong.
//!
//! Every line is counted: as a row, part of the header, a comment, or blank.

use std::borrow::Cow;
use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Arc;

use memchr::{memchr, memchr_iter};
use polars::prelude::{
    CsvParseOptions, CsvReadOptions, DataFrame, DataType, Field, PlSmallStr, Schema, SerReader,
};

use crate::block::{Block, CellFault, Row, Wanted};
use crate::columns::Columns;
use crate::error::{Fault, LoadError};
use crate::layout::{Layout, is_comment, is_enough};
use crate::lines::{LineBlocks, count_lines, lines};
use crate::number::{EXACT, checked, parse_cell};
use crate::opened::{open_text, text_of};
use crate::quiet;
use crate::reading::{Encoding, TextReading};
use crate::source::{Comment, Decimal, Source};

/// Bytes read at a time: bounds the memory of a file of any size.
const BLOCK_BYTES: usize = 16 << 20;

/// Bytes from which the layout is told, at first.
const HEAD_BYTES: usize = 1 << 20;

/// Comments above the first row may take this many bytes.
const MOST_HEAD_BYTES: usize = 64 << 20;

/// A text file whose first lines have been looked at.
pub(crate) struct TextFile {
    path: PathBuf,
    layout: Layout,
    columns: Columns,
    encoding: Encoding,
    gzip: bool,
    bytes: u64,
}

impl TextFile {
    /// Looks at the first lines: separator, decimal sign, comments, header, number of columns.
    pub(crate) fn open(path: PathBuf, source: &Source) -> Result<Self, LoadError> {
        let opened = open_text(&path)?;
        let (encoding, gzip, bytes) = (opened.encoding, opened.gzip, opened.bytes);
        let mut blocks = LineBlocks::new(opened.reader);
        let mut head = Vec::new();
        while let Some(block) =
            blocks.next(HEAD_BYTES).map_err(|error| error.of_file(&path, head_line(&head)))?
        {
            head.extend_from_slice(&block);
            if head.len() > MOST_HEAD_BYTES || is_enough(lines(&head), source) {
                break;
            }
        }
        if head.is_empty() {
            return Err(LoadError::EmptyFile { file: path });
        }
        let layout = Layout::of(&path, lines(&head), source)?;
        let columns = Columns::of_text(layout.names.clone(), layout.columns);
        Ok(Self { path, layout, columns, encoding, gzip, bytes })
    }

    pub(crate) fn columns(&self) -> &Columns {
        &self.columns
    }

    /// A lower estimate of the number of rows, only used to reserve memory.
    pub(crate) fn rows_hint(&self) -> usize {
        if self.gzip || self.encoding != Encoding::Utf8 {
            return 0;
        }
        usize::try_from(self.bytes).unwrap_or(0)
            / self.layout.row_bytes.max(20 * self.columns.count)
    }

    pub(crate) fn read(
        &self,
        wanted: &[Wanted],
        take: &mut dyn FnMut(Block) -> Result<(), LoadError>,
    ) -> Result<TextReading, LoadError> {
        let above = self.layout.above;
        let mut found = Counts { lines: 0, rows: 0, comments: above.comments, blank: above.blank };
        found.lines = self.each_block(|rows, first_line| {
            let block = match quiet::catch(|| self.parse_fast(rows, wanted)).flatten() {
                Some(block) => {
                    found.blank += count_lines(rows) - block.rows as u64;
                    block
                }
                None => self.parse_carefully(rows, first_line, wanted, &mut found),
            };
            found.rows += block.rows as u64;
            take(block)
        })?;
        self.accounted(&found)
    }

    /// The cells of every row as text, without surrounding blanks; none of a row of another length.
    pub(crate) fn read_cells(
        &self,
        wanted: &[usize],
        take: &mut dyn FnMut(&Row<'_>),
    ) -> Result<(), LoadError> {
        self.each_block(|rows, _| {
            for line in lines(rows).map(text_of) {
                if line.trim().is_empty() || is_comment(&line, &self.layout.comment) {
                    continue;
                }
                let cells = self.cells_of(&line).ok();
                let cell = |&index: &usize| {
                    let cell = cells.as_ref()?[index].trim();
                    let whole = || Cow::Owned(cell.replace("\"\"", "\""));
                    (!cell.is_empty())
                        .then(|| if cell.contains("\"\"") { whole() } else { Cow::Borrowed(cell) })
                };
                take(&wanted.iter().map(cell).collect::<Vec<_>>());
            }
            Ok(())
        })?;
        Ok(())
    }

    pub(crate) fn decimal(&self) -> Decimal {
        self.layout.decimal
    }

    /// Hands over the lines below the header in blocks, with the number of the first, and counts all lines of the file.
    fn each_block(
        &self,
        mut take: impl FnMut(&[u8], u64) -> Result<(), LoadError>,
    ) -> Result<u64, LoadError> {
        let mut blocks = LineBlocks::new(open_text(&self.path)?.reader);
        let mut above_left = self.layout.above.lines();
        let mut read = 0;
        while let Some(bytes) =
            blocks.next(BLOCK_BYTES).map_err(|error| error.of_file(&self.path, read + 1))?
        {
            let mut rows = bytes.as_slice();
            let first_line = read + 1 + above_left;
            read += count_lines(rows);
            while above_left > 0 && !rows.is_empty() {
                rows = memchr(b'\n', rows).map_or(&[], |end| &rows[end + 1..]);
                above_left -= 1;
            }
            if !rows.is_empty() {
                take(rows, first_line)?;
            }
        }
        Ok(read)
    }

    /// How the lines were taken, if they add up.
    fn accounted(&self, found: &Counts) -> Result<TextReading, LoadError> {
        let layout = &self.layout;
        let accounted = found.rows + layout.above.header + found.comments + found.blank;
        if accounted != found.lines {
            return Err(LoadError::LinesLost {
                file: self.path.clone(),
                lines: found.lines,
                accounted,
            });
        }
        Ok(TextReading {
            header: layout.header,
            numeric_header: layout.numeric_header,
            units: layout.units.clone(),
            separator: layout.cells.separator,
            trailing_separator: layout.cells.trailing,
            comment: layout.comment.clone(),
            decimal: layout.decimal,
            encoding: self.encoding,
            gzip: self.gzip,
            columns: layout.columns,
            lines: found.lines,
            header_lines: layout.above.header,
            comment_lines: found.comments,
            blank_lines: found.blank,
        })
    }

    /// The block by Polars; none unless every line is a full row of valid numbers.
    fn parse_fast(&self, bytes: &[u8], wanted: &[Wanted]) -> Option<Block> {
        let bytes = bytes.trim_ascii_end();
        let is_plain = self.layout.decimal == Decimal::Point
            && !bytes.is_empty()
            && memchr(b'"', bytes).is_none()
            && !self.may_hold_comments(bytes);
        if !is_plain {
            return None;
        }
        let rows = memchr_iter(b'\n', bytes).count() + 1;
        let cells = self.layout.cells;
        let bytes = cells.normalised(bytes);
        // Polars drops cells that a row has too many. Rows that end early show as nulls below, so
        // together they have this many separators only if each has as many as it should.
        if memchr_iter(cells.byte(), &bytes).count() != rows * (self.columns.count - 1) {
            return None;
        }
        let last = self.columns.count - 1;
        let name = |index: usize| PlSmallStr::from_string(index.to_string());
        let mut is_wanted = vec![false; self.columns.count];
        wanted.iter().for_each(|wanted| is_wanted[wanted.index] = true);
        let schema: Schema = is_wanted
            .iter()
            .enumerate()
            .map(|(index, &wanted)| {
                Field::new(name(index), if wanted { DataType::Float64 } else { DataType::String })
            })
            .collect();
        // The last column is always parsed: a row that ends early shows as a null there.
        let mut projection: Vec<usize> =
            wanted.iter().map(|wanted| wanted.index).chain([last]).collect();
        projection.sort_unstable();
        projection.dedup();
        let options = CsvParseOptions::default().with_separator(cells.byte()).with_quote_char(None);
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
        let mut values = vec![0.0; rows * wanted.len()];
        for (cell, &Wanted { index, limit }) in wanted.iter().enumerate() {
            let column = frame.column(&index.to_string()).ok()?.f64().ok()?.rechunk();
            let column = column.cont_slice().ok()?;
            // Integers beyond 2^53 are looked at one by one.
            let limit = limit.min(EXACT - 1.0);
            for (row, &value) in column.iter().enumerate() {
                if checked(value, limit).is_err() {
                    return None;
                }
                values[row * wanted.len() + cell] = value;
            }
        }
        Some(Block { rows, values, faults: Vec::new() })
    }

    /// Whether a line may begin with the comment sign.
    fn may_hold_comments(&self, bytes: &[u8]) -> bool {
        let Comment::Sign(sign) = &self.layout.comment else { return false };
        let Some(&first) = sign.as_bytes().first() else { return false };
        memchr_iter(first, bytes).any(|at| {
            let before = bytes[..at].iter().rev().find(|byte| !matches!(byte, b' ' | b'\t'));
            before.is_none_or(|&byte| byte == b'\n')
        })
    }

    /// The block line by line.
    fn parse_carefully(
        &self,
        bytes: &[u8],
        first_line: u64,
        wanted: &[Wanted],
        found: &mut Counts,
    ) -> Block {
        let mut block = Block::default();
        for (number, line) in (first_line..).zip(lines(bytes)) {
            let line = text_of(line);
            if line.trim().is_empty() {
                found.blank += 1;
                continue;
            }
            if is_comment(&line, &self.layout.comment) {
                found.comments += 1;
                continue;
            }
            let mut add = |cell, fault| {
                block.faults.push(CellFault { row: block.rows, line: Some(number), cell, fault });
            };
            match self.cells_of(&line) {
                Err(fault) => {
                    add(None, fault);
                    block.values.extend(wanted.iter().map(|_| f64::NAN));
                }
                Ok(cells) => {
                    for (cell, &Wanted { index, limit }) in wanted.iter().enumerate() {
                        let value = parse_cell(cells[index], self.layout.decimal)
                            .and_then(|value| checked(value, limit));
                        block.values.push(value.unwrap_or_else(|fault| {
                            add(Some(cell), fault);
                            f64::NAN
                        }));
                    }
                }
            }
            block.rows += 1;
        }
        block
    }

    /// The cells of a row, as many as there are columns.
    fn cells_of<'a>(&self, line: &'a str) -> Result<Vec<&'a str>, Fault> {
        let cells = self.layout.cells.split(line).map_err(|_| Fault::OpenQuote)?;
        let expected = self.columns.count;
        if cells.len() == expected {
            return Ok(cells);
        }
        Err(Fault::Ragged { found: cells.len(), expected })
    }
}

/// The lines of a file by kind; those of the header are known beforehand.
struct Counts {
    lines: u64,
    rows: u64,
    comments: u64,
    blank: u64,
}

fn head_line(head: &[u8]) -> u64 {
    if head.is_empty() { 1 } else { count_lines(head) + 1 }
}
