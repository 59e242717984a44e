//! Delimited text, read in blocks of whole lines.
//!
//! Every line is counted: as a row, part of the header, a comment, or blank.

use std::borrow::Cow;
use std::io::Read;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use memchr::memchr;

use crate::block::{Block, Row, Wanted};
use crate::columns::Columns;
use crate::error::LoadError;
use crate::layout::{Layout, is_comment, is_enough};
use crate::lines::{LineBlocks, count_lines, lines};
use crate::opened::{open_text, text_of};
use crate::reading::{Encoding, TextReading};
use crate::source::{Decimal, Source};
use crate::text_rows::RowReader;

/// Bytes read at a time: bounds the memory of a file of any size.
const BLOCK_BYTES: usize = 4 << 20;

/// Bytes from which the layout is told, at first.
const HEAD_BYTES: usize = 1 << 20;

/// Comments above the first row may take this many bytes.
const MOST_HEAD_BYTES: usize = 64 << 20;

/// Some lines of a file.
struct Lines {
    bytes: Vec<u8>,
    /// Where the first of them begins.
    from: usize,
    /// Its number in the file, from 1.
    first: u64,
}

impl Lines {
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.from..]
    }
}

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
        let reader = RowReader::new(&self.layout, wanted);
        let parse = |lines: Lines| reader.read(lines.as_bytes(), lines.first);
        found.lines = self.each_block(parse, |(block, others)| {
            found.comments += others.comments;
            found.blank += others.blank;
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
        self.each_block(std::convert::identity, |block| {
            for line in lines(block.as_bytes()).map(text_of) {
                if line.trim().is_empty() || is_comment(&line, &self.layout.comment) {
                    continue;
                }
                let cells = self.layout.cells_of(&line).ok();
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

    /// Hands over what is made of each block of lines below the header, and counts all lines of the file. The next block is
    /// made something of meanwhile, and the one after it read and unpacked.
    fn each_block<T: Send>(
        &self,
        parse: impl Fn(Lines) -> T + Send + Sync,
        mut take: impl FnMut(T) -> Result<(), LoadError>,
    ) -> Result<u64, LoadError> {
        let reader = open_text(&self.path)?.reader;
        thread::scope(|scope| {
            let (sender, blocks) = sync_channel(1);
            let reading = scope.spawn(move || self.send_lines(reader, &sender));
            let mut parsed = None;
            for lines in blocks {
                let mut next = None;
                rayon::in_place_scope(|scope| {
                    scope.spawn(|_| next = Some(parse(lines)));
                    parsed.take().map_or(Ok(()), &mut take)
                })?;
                parsed = next;
            }
            parsed.map_or(Ok(()), take)?;
            reading.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// Reads the lines below the header in blocks, as long as somebody receives them, and counts all lines of the file.
    fn send_lines(
        &self,
        reader: impl Read,
        receiver: &SyncSender<Lines>,
    ) -> Result<u64, LoadError> {
        let mut blocks = LineBlocks::new(reader);
        let mut above_left = self.layout.above.lines();
        let mut read = 0;
        while let Some(bytes) =
            blocks.next(BLOCK_BYTES).map_err(|error| error.of_file(&self.path, read + 1))?
        {
            let first = read + 1 + above_left;
            read += count_lines(&bytes);
            let mut from = 0;
            while above_left > 0 && from < bytes.len() {
                from = memchr(b'\n', &bytes[from..]).map_or(bytes.len(), |end| from + end + 1);
                above_left -= 1;
            }
            if from < bytes.len() && receiver.send(Lines { bytes, from, first }).is_err() {
                break;
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
