//! What a training sees: rows in memory, or in a file because they are too many for it.
//!
//! The rows of a file are in random order: they are dealt to as many files as fit into the memory one after another, and each
//! of these is shuffled. An epoch goes through the file in *windows*, which are in memory one at a time, while the next one is
//! read: the file is cut into blocks of consecutive rows, the blocks are shuffled, a window takes the next ones, and its rows
//! are shuffled. The rows behind the last whole block are in the last window of every epoch. Windows hold whole batches, so
//! that no batch is of two windows.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use cei_model::Batch;
use cei_model::random::{Purpose, stream};
use ndarray::{Array2, ArrayView1, ArrayView2, s};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::rows::{DegenerateNoise, Rows, shuffled};

/// Rows of a block at least.
const BLOCK_ROWS: usize = 4096;
/// Bytes that are written at once.
const WRITTEN_AT_ONCE: usize = 1 << 16;
/// Stream of the order of the rows in their file; no epoch has this number.
const ORDER_OF_FILE: u64 = u64::MAX;

/// Training and validation rows.
#[derive(Debug)]
pub struct TrainingRows {
    /// Rows that move the parameters.
    pub training: RowSet,
    /// Rows that decide when to stop and which parameters are kept.
    pub validation: RowSet,
    /// Noise for directions of `x` in which the data do not vary.
    pub degenerate: Option<DegenerateNoise>,
}

/// The rows of one part.
#[derive(Debug)]
pub enum RowSet {
    /// In memory.
    Memory(Rows),
    /// In a file.
    File(FileRows),
}

impl From<Rows> for RowSet {
    fn from(rows: Rows) -> Self {
        Self::Memory(rows)
    }
}

impl RowSet {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Memory(rows) => rows.len(),
            Self::File(file) => file.rows,
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Columns of `x` and of `y`.
    pub fn widths(&self) -> [usize; 2] {
        match self {
            Self::Memory(rows) => [rows.x.ncols(), rows.y.ncols()],
            Self::File(file) => file.widths,
        }
    }

    /// At most `count` rows: the first ones, whose order in memory is random; of a file, rows that are spread over it.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn some(&self, count: usize) -> io::Result<Rows> {
        let used = self.len().min(count);
        match self {
            Self::Memory(rows) => {
                let first = |side: &Array2<f32>| side.slice(s![..used, ..]).to_owned();
                Ok(Rows { x: first(&rows.x), y: first(&rows.y) })
            }
            Self::File(file) => {
                let places = (0..used).map(|i| i * file.rows / used);
                file.read(used, places.map(|row| row..row + 1))
            }
        }
    }

    /// The rows in consecutive chunks of at most `size`.
    pub fn chunks(&self, size: usize) -> impl Iterator<Item = io::Result<Chunk<'_>>> {
        (0..self.len()).step_by(size).map(move |start| {
            let rows = start..(start + size).min(self.len());
            match self {
                Self::Memory(all) => Ok(Chunk::View(all.batch().rows(rows))),
                Self::File(file) => file.read(rows.len(), std::iter::once(rows)).map(Chunk::Read),
            }
        })
    }
}

/// Some consecutive rows of a part.
#[derive(Debug)]
pub enum Chunk<'a> {
    /// Of rows in memory.
    View(Batch<'a>),
    /// Of a file.
    Read(Rows),
}

impl Chunk<'_> {
    /// The rows.
    pub fn batch(&self) -> Batch<'_> {
        match self {
            Self::View(Batch { x, y }) => Batch { x: x.view(), y: y.view() },
            Self::Read(rows) => rows.batch(),
        }
    }
}

/// Rows in a file without a name, 4 bytes a number, which is gone when they are dropped or the program ends.
#[derive(Debug)]
pub struct FileRows {
    file: File,
    rows: usize,
    widths: [usize; 2],
    window: usize,
}

impl FileRows {
    /// Begins a file in `folder` for rows of so many columns of `x` and `y`, which will be in the order in which they come; an
    /// epoch will have at most `buffer` of them in memory, or two blocks where that is more.
    ///
    /// # Errors
    /// A folder that cannot be written to.
    ///
    /// ```
    /// use cei_train::{FileRows, RowSet};
    /// use ndarray::array;
    ///
    /// let mut writer = FileRows::writer(&std::env::temp_dir(), [1, 2], 1000)?;
    /// writer.add(array![[1.0], [2.0]].view(), array![[3.0, 4.0], [5.0, 6.0]].view())?;
    /// let rows = RowSet::File(writer.finish()?);
    /// assert_eq!(rows.some(2)?.y, array![[3.0, 4.0], [5.0, 6.0]]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn writer(folder: &Path, widths: [usize; 2], buffer: usize) -> io::Result<FileRowsWriter> {
        let file = cei_files::nameless(folder)?;
        let writer = BufWriter::with_capacity(WRITTEN_AT_ONCE, file);
        Ok(FileRowsWriter { writer, rows: 0, widths, window: buffer / 2 })
    }

    /// The same for about so many `rows`, which will be in a random order that follows from `seed`.
    ///
    /// # Errors
    /// A folder that cannot be written to.
    pub fn shuffling_writer(
        folder: &Path,
        widths: [usize; 2],
        buffer: usize,
        rows: usize,
        seed: u64,
    ) -> io::Result<ShufflingWriter> {
        let files = rows.div_ceil((buffer / 2).max(BLOCK_ROWS)).max(1);
        let writer = || Self::writer(folder, widths, buffer);
        Ok(ShufflingWriter {
            parts: (0..files).map(|_| writer()).collect::<io::Result<_>>()?,
            whole: writer()?,
            random: stream(seed, Purpose::Shuffle, ORDER_OF_FILE),
        })
    }

    /// The windows of an epoch.
    pub(crate) fn windows(&self, seed: u64, epoch: usize, batch_size: usize) -> Vec<Window> {
        let block = batch_size * BLOCK_ROWS.div_ceil(batch_size);
        let mut blocks: Vec<usize> = (0..self.rows / block).collect();
        blocks.shuffle(&mut stream(seed, Purpose::Shuffle, epoch as u64));
        let left_over = blocks.len() * block..self.rows;
        let of_block = |block_number: &usize| block_number * block..(block_number + 1) * block;
        let mut windows: Vec<Window> = blocks
            .chunks((self.window / block).max(1))
            .map(|blocks| Window { rows: blocks.iter().map(of_block).collect() })
            .collect();
        match windows.last_mut() {
            _ if left_over.is_empty() => {}
            Some(last) => last.rows.push(left_over),
            None => windows.push(Window { rows: vec![left_over] }),
        }
        windows
    }

    /// The rows of a window.
    pub(crate) fn window(&self, window: &Window) -> io::Result<Rows> {
        self.read(window.len(), window.rows.iter().cloned())
    }

    /// The rows of these ranges, `count` together, one range after another.
    fn read(&self, count: usize, ranges: impl Iterator<Item = Range<usize>>) -> io::Result<Rows> {
        let [x_width, y_width] = self.widths;
        let bytes_a_row = (x_width + y_width) * size_of::<f32>();
        let (mut x, mut y) = (Vec::with_capacity(count * x_width), Vec::new());
        y.reserve_exact(count * y_width);
        let mut file = &self.file;
        let mut bytes = Vec::new();
        for range in ranges {
            file.seek(SeekFrom::Start((range.start * bytes_a_row) as u64))?;
            bytes.resize(range.len() * bytes_a_row, 0);
            file.read_exact(&mut bytes)?;
            for row in bytes.chunks_exact(bytes_a_row) {
                let (of_x, of_y) = row.split_at(x_width * size_of::<f32>());
                x.extend(of_x.as_chunks().0.iter().copied().map(f32::from_le_bytes));
                y.extend(of_y.as_chunks().0.iter().copied().map(f32::from_le_bytes));
            }
        }
        let matrix = |width: usize, values: Vec<f32>| {
            Array2::from_shape_vec((count, width), values).map_err(io::Error::other)
        };
        Ok(Rows { x: matrix(x_width, x)?, y: matrix(y_width, y)? })
    }
}

/// Rows of a file that are in memory together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    rows: Vec<Range<usize>>,
}

impl Window {
    pub(crate) fn len(&self) -> usize {
        self.rows.iter().map(ExactSizeIterator::len).sum()
    }
}

/// Writes the rows of a file.
#[derive(Debug)]
pub struct FileRowsWriter {
    writer: BufWriter<File>,
    rows: usize,
    widths: [usize; 2],
    window: usize,
}

impl FileRowsWriter {
    /// Adds rows.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn add(&mut self, x: ArrayView2<'_, f32>, y: ArrayView2<'_, f32>) -> io::Result<()> {
        x.rows().into_iter().zip(y.rows()).try_for_each(|(x, y)| self.add_row(x, y))
    }

    fn add_row(&mut self, x: ArrayView1<'_, f32>, y: ArrayView1<'_, f32>) -> io::Result<()> {
        debug_assert_eq!([x.len(), y.len()], self.widths);
        self.rows += 1;
        x.iter().chain(y).try_for_each(|value| self.writer.write_all(&value.to_le_bytes()))
    }

    /// The rows that were written.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn finish(self) -> io::Result<FileRows> {
        let Self { writer, rows, widths, window } = self;
        let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(FileRows { file, rows, widths, window })
    }
}

/// Writes the rows of a file in random order: it deals them to files, each of which is shuffled in memory.
#[derive(Debug)]
pub struct ShufflingWriter {
    parts: Vec<FileRowsWriter>,
    whole: FileRowsWriter,
    random: ChaCha8Rng,
}

impl ShufflingWriter {
    /// Adds rows.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn add(&mut self, x: ArrayView2<'_, f32>, y: ArrayView2<'_, f32>) -> io::Result<()> {
        for (x, y) in x.rows().into_iter().zip(y.rows()) {
            let part = self.random.random_range(0..self.parts.len());
            self.parts[part].add_row(x, y)?;
        }
        Ok(())
    }

    /// The rows that were written.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn finish(self) -> io::Result<FileRows> {
        let Self { parts, mut whole, mut random } = self;
        for part in parts {
            let part = part.finish()?;
            let rows = part.read(part.rows, std::iter::once(0..part.rows))?;
            for row in shuffled(part.rows, &mut random) {
                whole.add_row(rows.x.row(row as usize), rows.y.row(row as usize))?;
            }
        }
        whole.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows whose `x` is their number and whose `y` are twice and three times as much.
    fn file(rows: usize, buffer: usize) -> FileRows {
        let mut writer = FileRows::writer(&std::env::temp_dir(), [1, 2], buffer).unwrap();
        for first in (0..rows).step_by(1000) {
            let numbers = Array2::from_shape_fn(((rows - first).min(1000), 1), |(row, _)| {
                (first + row) as f32
            });
            let y = ndarray::concatenate![ndarray::Axis(1), &numbers * 2.0, &numbers * 3.0];
            writer.add(numbers.view(), y.view()).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn an_epoch_goes_through_every_row_of_a_file_once() {
        let (rows, batch) = (50_123, 100);
        let file = file(rows, 20_000);
        let windows = file.windows(1, 1, batch);
        assert_eq!(windows.len(), 6);
        assert_eq!(windows, file.windows(1, 1, batch));
        assert_ne!(windows, file.windows(1, 2, batch));
        let (last, whole) = windows.split_last().unwrap();
        assert!(whole.iter().all(|window| window.len() % batch == 0));
        assert!(last.len() < 10_000 + 4100);
        let mut seen = Vec::new();
        for window in &windows {
            let rows = file.window(window).unwrap();
            assert_eq!(rows.y.column(1), rows.x.column(0).mapv(|x| 3.0 * x));
            seen.extend(rows.x.iter().map(|x| *x as usize));
        }
        assert_ne!(seen[..10], (0..10).collect::<Vec<_>>()[..]);
        seen.sort_unstable();
        assert_eq!(seen, (0..rows).collect::<Vec<_>>());
    }

    #[test]
    fn rows_are_dealt_to_random_places() {
        let rows = 50_000;
        let numbers = Array2::from_shape_fn((rows, 1), |(row, _)| row as f32);
        let order = |seed| {
            let folder = std::env::temp_dir();
            let mut writer =
                FileRows::shuffling_writer(&folder, [1, 1], 20_000, rows, seed).unwrap();
            writer.add(numbers.view(), numbers.mapv(|x| -x).view()).unwrap();
            let file = RowSet::File(writer.finish().unwrap());
            let all = file.some(usize::MAX).unwrap();
            assert_eq!(all.y, all.x.mapv(|x| -x));
            all.x.column(0).to_vec()
        };
        let found = order(1);
        assert_eq!(found, order(1));
        assert_ne!(found, order(2));
        // The mean of any thousand rows is that of all within five standard errors.
        let (mean, sd) = (24_999.5, 50_000.0 / 12_f32.sqrt());
        for rows in found.chunks(1000) {
            let apart = rows.iter().sum::<f32>() / 1000.0 - mean;
            assert!(apart.abs() < 5.0 * sd / 1000_f32.sqrt(), "{apart}");
        }
        let mut sorted = found;
        sorted.sort_unstable_by(f32::total_cmp);
        assert_eq!(sorted, numbers.column(0).to_vec());
    }

    #[test]
    fn rows_of_a_file_are_read_in_chunks_and_spread_over_it() {
        let file = RowSet::File(file(1050, 0));
        let chunks: Vec<_> = file.chunks(500).map(|chunk| chunk.unwrap()).collect();
        assert_eq!(
            chunks.iter().map(|chunk| chunk.batch().x.nrows()).collect::<Vec<_>>(),
            [500, 500, 50]
        );
        assert_eq!(chunks[2].batch().x[[49, 0]], 1049.0);
        assert_eq!(file.some(3).unwrap().x.column(0).to_vec(), [0.0, 350.0, 700.0]);
    }
}
