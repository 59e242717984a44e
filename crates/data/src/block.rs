//! A run of rows as read from a file: numbers where the cells are valid, faults where they are not.

use crate::error::{Fault, LARGEST};

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

/// The number in a cell of text, blanks and one pair of quotes around it ignored.
///
/// # Errors
/// The fault, with at most 40 characters of the offending text.
pub(crate) fn parse_cell(text: &str) -> Result<f64, Fault> {
    let trimmed = text.trim();
    let unquoted = trimmed
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .map_or(trimmed, str::trim);
    if unquoted.is_empty() {
        return Err(Fault::Empty);
    }
    match unquoted.parse::<f64>() {
        Ok(value) => checked(value),
        Err(_) => Err(Fault::Text(unquoted.chars().take(40).collect())),
    }
}

/// The value if it is finite and not beyond [`LARGEST`].
///
/// # Errors
/// NaN, infinity, a number too large.
pub(crate) fn checked(value: f64) -> Result<f64, Fault> {
    if value.abs() <= LARGEST {
        Ok(value)
    } else if value.is_finite() {
        Err(Fault::TooLarge(value))
    } else if value.is_nan() {
        Err(Fault::NotANumber)
    } else {
        Err(Fault::Infinite)
    }
}
