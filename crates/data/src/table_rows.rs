//! The rows of a table wherever they are: in memory, or in a file without a name from which they are read block by block.
//!
//! What is fitted on a table goes through its rows in passes, so that no more of it is in memory at a time than one block
//! or the columns of one side.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ndarray::{Array2, Axis, s};
use rayon::prelude::*;

use crate::error::{LoadError, ScratchError};
use crate::load::{Selection, Table, each_part};
use crate::source::Source;

/// Rows of a block.
const BLOCK_ROWS: usize = 1 << 15;
/// Of fewer rows than one in so many each is read by itself.
const SPARSE: usize = 100;

/// Takes the places of rows in the list that was asked for, and the rows: positions and condition.
pub type TakeRows<'a> = dyn FnMut(&[usize], Array2<f64>, Array2<f64>) + 'a;

/// A table whose rows are gone through.
pub trait TableRows: Sync {
    /// Names, kinds and origin of the columns; a table that may be without its rows.
    fn head(&self) -> &Table;

    /// Number of rows.
    fn count(&self) -> usize;

    /// Hands over the rows of these numbers (from 0, any order, repeated or not) in blocks, in any order.
    ///
    /// # Errors
    /// Rows that cannot be read again.
    fn each_of(&self, rows: &[usize], take: &mut TakeRows<'_>) -> Result<(), ScratchError>;

    /// Hands over all rows in blocks, in their order, each with the number of its first row.
    ///
    /// # Errors
    /// As [`Self::each_of`].
    fn each_block(
        &self,
        take: &mut dyn FnMut(usize, Array2<f64>, Array2<f64>),
    ) -> Result<(), ScratchError>;

    /// Leaves out rows (rising); what they are left out for is not noted.
    fn leave_out(&mut self, rows: &[usize]);

    /// What is noted of the rows that were left out.
    fn head_mut(&mut self) -> &mut Table;
}

/// What `make` makes of positions and condition of these rows, in their order: `rows x width`.
///
/// # Errors
/// As [`TableRows::each_of`].
pub fn gathered<B: Clone + Default>(
    table: &dyn TableRows,
    rows: &[usize],
    width: usize,
    mut make: impl FnMut(Array2<f64>, Array2<f64>) -> Array2<B>,
) -> Result<Array2<B>, ScratchError> {
    let mut out = Array2::from_elem((rows.len(), width), B::default());
    table.each_of(rows, &mut |places, x, y| put(&mut out, places, &make(x, y)))?;
    Ok(out)
}

/// Puts rows in their places.
pub(crate) fn put<B: Clone>(out: &mut Array2<B>, places: &[usize], rows: &Array2<B>) {
    for (&place, row) in places.iter().zip(rows.rows()) {
        out.row_mut(place).assign(&row);
    }
}

/// Copies of these rows: positions and condition.
///
/// # Errors
/// As [`TableRows::each_of`].
pub fn part_of(
    table: &dyn TableRows,
    rows: &[usize],
) -> Result<(Array2<f64>, Array2<f64>), ScratchError> {
    let (x_width, y_width) = (table.head().x.ncols(), table.head().y.ncols());
    let mut out = (Array2::zeros((rows.len(), x_width)), Array2::zeros((rows.len(), y_width)));
    table.each_of(rows, &mut |places, x, y| {
        put(&mut out.0, places, &x);
        put(&mut out.1, places, &y);
    })?;
    Ok(out)
}

impl TableRows for Table {
    fn head(&self) -> &Table {
        self
    }

    fn count(&self) -> usize {
        self.rows()
    }

    fn each_of(&self, rows: &[usize], take: &mut TakeRows<'_>) -> Result<(), ScratchError> {
        for (block, rows) in rows.chunks(BLOCK_ROWS).enumerate() {
            let first = block * BLOCK_ROWS;
            let places: Vec<usize> = (first..first + rows.len()).collect();
            take(&places, self.x.select(Axis(0), rows), self.y.select(Axis(0), rows));
        }
        Ok(())
    }

    fn each_block(
        &self,
        take: &mut dyn FnMut(usize, Array2<f64>, Array2<f64>),
    ) -> Result<(), ScratchError> {
        for first in (0..self.rows()).step_by(BLOCK_ROWS) {
            let rows = first..(first + BLOCK_ROWS).min(self.rows());
            let block = |side: &Array2<f64>| side.slice(s![rows.clone(), ..]).to_owned();
            take(first, block(&self.x), block(&self.y));
        }
        Ok(())
    }

    fn leave_out(&mut self, rows: &[usize]) {
        Table::leave_out(self, rows);
    }

    fn head_mut(&mut self) -> &mut Table {
        self
    }
}

/// A loaded table whose rows are in a file without a name (8 bytes a number), which is gone when the table is dropped or the
/// program ends.
#[derive(Debug)]
pub struct ScratchTable {
    /// Without its rows.
    head: Table,
    file: File,
    folder: PathBuf,
    /// Rows of the file.
    written: usize,
    /// Those of them, rising, that are left out.
    left_out: Vec<usize>,
}

impl ScratchTable {
    /// Loads as [`crate::load()`], but keeps the rows in a file without a name in `folder`.
    ///
    /// # Errors
    /// As [`crate::load()`]; a folder that cannot be written to.
    ///
    /// ```
    /// use cei_data::{ScratchTable, Selection, Source, TableRows as _, load, part_of};
    ///
    /// let folder = std::env::temp_dir();
    /// let file = folder.join(format!("cei-scratch-{}.csv", std::process::id()));
    /// std::fs::write(&file, "r;p\n100;1.5\n200;2.5\n300;3.5\n")?;
    /// let selection = Selection { x: vec!["r".into()], y: vec!["p".into()], ..Selection::default() };
    /// let source = Source::file(file.to_string_lossy());
    /// let table = ScratchTable::load(&source, &selection, &folder)?;
    /// assert_eq!(table.count(), 3);
    /// assert_eq!(part_of(&table, &[2, 0])?, part_of(&load(&source, &selection)?, &[2, 0])?);
    /// # std::fs::remove_file(&file)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn load(source: &Source, selection: &Selection, folder: &Path) -> Result<Self, LoadError> {
        let failed = |error: io::Error| ScratchError { folder: folder.into(), kind: error.kind() };
        let file = cei_files::nameless(folder).map_err(failed)?;
        let mut writer = BufWriter::with_capacity(1 << 20, &file);
        let factors = (selection.x_unit.factor(), selection.y_unit.factor());
        let mut written = 0;
        let head = each_part(source, selection, factors, &mut |_, x, y| {
            written += x.nrows();
            for (x, y) in x.rows().into_iter().zip(y.rows()) {
                for value in x.iter().chain(y) {
                    writer.write_all(&value.to_le_bytes()).map_err(failed)?;
                }
            }
            Ok(())
        })?;
        writer.flush().map_err(failed)?;
        drop(writer);
        Ok(Self { head, file, folder: folder.into(), written, left_out: Vec::new() })
    }

    /// Hands over rows, as words of number and place that rise, one read for each.
    fn read_apart(&self, order: &[u64], take: &mut TakeRows<'_>) -> Result<(), io::Error> {
        let (x_width, width) = (self.head.x.ncols(), self.head.x.ncols() + self.head.y.ncols());
        let mut file = &self.file;
        let mut bytes = vec![0; width * size_of::<f64>()];
        let mut left_out = 0;
        for words in order.chunks(BLOCK_ROWS) {
            let mut rows = Array2::zeros((words.len(), width));
            for (word, mut row) in words.iter().zip(rows.rows_mut()) {
                let kept = (word >> 32) as usize;
                while self.left_out.get(left_out).is_some_and(|out| *out <= kept + left_out) {
                    left_out += 1;
                }
                file.seek(SeekFrom::Start(((kept + left_out) * bytes.len()) as u64))?;
                file.read_exact(&mut bytes)?;
                let (cells, _) = bytes.as_chunks::<8>();
                row.iter_mut().zip(cells).for_each(|(to, from)| *to = f64::from_le_bytes(*from));
            }
            let places: Vec<usize> = words.iter().map(|word| *word as u32 as usize).collect();
            let (x, y) = rows.view().split_at(Axis(1), x_width);
            take(&places, x.to_owned(), y.to_owned());
        }
        Ok(())
    }

    fn failed(&self, error: &io::Error) -> ScratchError {
        ScratchError { folder: self.folder.clone(), kind: error.kind() }
    }

    fn read(&self, take: &mut dyn FnMut(usize, Array2<f64>, Array2<f64>)) -> Result<(), io::Error> {
        let (x_width, width) = (self.head.x.ncols(), self.head.x.ncols() + self.head.y.ncols());
        let mut file = &self.file;
        file.rewind()?;
        let mut bytes = vec![0; BLOCK_ROWS * width * size_of::<f64>()];
        for first in (0..self.written).step_by(BLOCK_ROWS) {
            let numbers = first..(first + BLOCK_ROWS).min(self.written);
            let bytes = &mut bytes[..numbers.len() * width * size_of::<f64>()];
            file.read_exact(bytes)?;
            let (cells, _) = bytes.as_chunks::<8>();
            let before = self.left_out.partition_point(|row| *row < first);
            let mut left_out = self.left_out[before..].iter().peekable();
            let kept: Vec<usize> = numbers
                .filter(|number| left_out.next_if_eq(&number).is_none())
                .map(|number| (number - first) * width)
                .collect();
            if kept.is_empty() {
                continue;
            }
            let side = |columns: std::ops::Range<usize>| {
                let mut side = Array2::zeros((kept.len(), columns.len()));
                side.axis_iter_mut(Axis(0)).into_par_iter().zip(&kept).for_each(|(mut row, at)| {
                    let cells = &cells[at + columns.start..at + columns.end];
                    row.iter_mut()
                        .zip(cells)
                        .for_each(|(to, from)| *to = f64::from_le_bytes(*from));
                });
                side
            };
            take(first - before, side(0..x_width), side(x_width..width));
        }
        Ok(())
    }
}

impl TableRows for ScratchTable {
    fn head(&self) -> &Table {
        &self.head
    }

    fn count(&self) -> usize {
        self.written - self.left_out.len()
    }

    fn each_of(&self, rows: &[usize], take: &mut TakeRows<'_>) -> Result<(), ScratchError> {
        // Number of the row and place in the list in one word.
        let mut order: Vec<u64> = rows
            .par_iter()
            .enumerate()
            .map(|(place, &row)| (row as u64) << 32 | place as u64)
            .collect();
        order.par_sort_unstable();
        if order.len() < self.written / SPARSE {
            return self.read_apart(&order, take).map_err(|error| self.failed(&error));
        }
        let mut done = 0;
        self.each_block(&mut |first, x, y| {
            let end = (first + x.nrows()) as u64;
            let here = order[done..].partition_point(|word| word >> 32 < end);
            let here = &order[done..done + here];
            done += here.len();
            if here.is_empty() {
                return;
            }
            let places: Vec<usize> = here.iter().map(|word| *word as u32 as usize).collect();
            let at: Vec<usize> = here.iter().map(|word| (word >> 32) as usize - first).collect();
            take(&places, x.select(Axis(0), &at), y.select(Axis(0), &at));
        })
    }

    fn each_block(
        &self,
        take: &mut dyn FnMut(usize, Array2<f64>, Array2<f64>),
    ) -> Result<(), ScratchError> {
        self.read(take).map_err(|error| self.failed(&error))
    }

    fn leave_out(&mut self, rows: &[usize]) {
        if rows.is_empty() {
            return;
        }
        self.head.dropped.leave_out(rows, self.count());
        // As numbers of the file.
        let mut left = self.left_out.iter().copied().peekable();
        let mut numbers = rows.iter().copied();
        let mut next = numbers.next();
        let mut row = 0;
        let mut all = Vec::with_capacity(self.left_out.len() + rows.len());
        for number in 0..self.written {
            if left.next_if_eq(&number).is_some() {
                all.push(number);
                continue;
            }
            if next == Some(row) {
                all.push(number);
                next = numbers.next();
            }
            row += 1;
        }
        self.left_out = all;
    }

    fn head_mut(&mut self) -> &mut Table {
        &mut self.head
    }
}
