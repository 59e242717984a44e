//! A run of rows as read from a file: numbers where the cells are valid, faults where they are not.

use std::borrow::Cow;

use crate::error::Fault;

/// A column that is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// Its 0-based place in the file.
    pub(crate) index: usize,
    /// The largest magnitude of its cells, in the file's unit.
    pub(crate) limit: f64,
}

/// Consecutive data rows of one file, restricted to the selected columns.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// Number of rows, valid or not.
    pub(crate) rows: usize,
    /// Row-major `rows x selected`; NaN where the cell is invalid.
    pub(crate) values: Vec<f64>,
    /// Invalid cells and rows, in row order.
    pub(crate) faults: Vec<CellFault>,
}

impl Block {
    /// Takes the rows that follow in the same file.
    pub(crate) fn append(&mut self, next: Self) {
        self.values.extend(next.values);
        let before = self.rows;
        self.faults.extend(
            next.faults.into_iter().map(|fault| CellFault { row: before + fault.row, ..fault }),
        );
        self.rows += next.rows;
    }

    /// For every row, whether it has no fault.
    pub(crate) fn valid_rows(&self) -> Vec<bool> {
        let mut valid = vec![true; self.rows];
        for fault in &self.faults {
            valid[fault.row] = false;
        }
        valid
    }
}

/// One invalid cell, or one invalid row.
#[derive(Debug)]
pub(crate) struct CellFault {
    /// Row within the block, from 0.
    pub(crate) row: usize,
    /// Line of a text file, from 1.
    pub(crate) line: Option<u64>,
    /// Position among the selected columns; none when the whole row is meant.
    pub(crate) cell: Option<usize>,
    /// What is wrong.
    pub(crate) fault: Fault,
}

/// One row of cells as they are written; none where there is nothing.
pub(crate) type Row<'a> = [Option<Cow<'a, str>>];
