//! Checks of shapes and finiteness, and rows computed in parallel.

use ndarray::{Array2, ArrayView2, ArrayView3};
use rayon::prelude::*;

use crate::{Error, Result};

/// Checks that `other` has the events and columns of `truth`, and that both are finite.
pub(crate) fn check_pair(
    truth: ArrayView2<'_, f64>,
    what: &'static str,
    other: ArrayView2<'_, f64>,
) -> Result<()> {
    check_matrix("the truth", truth)?;
    let (rows, columns) = truth.dim();
    check_dims(what, (rows, columns), other.dim())?;
    check_finite(what, other)
}

/// Checks that `draws` has the events and columns of `truth`, at least `needed` draws an event, and
/// that both are finite.
pub(crate) fn check_draws(
    truth: ArrayView2<'_, f64>,
    draws: ArrayView3<'_, f64>,
    needed: usize,
) -> Result<()> {
    check_matrix("the truth", truth)?;
    let (rows, found, columns) = draws.dim();
    check_dims("the draws", truth.dim(), (rows, columns))?;
    if found < needed {
        return Err(Error::TooFewDraws { needed, found });
    }
    check_finite_draws(draws)
}

/// Checks that a matrix has at least one column and is finite. No rows are no error: a chunk may be
/// empty.
pub(crate) fn check_matrix(what: &'static str, matrix: ArrayView2<'_, f64>) -> Result<()> {
    if matrix.ncols() == 0 {
        return Err(Error::Empty { what });
    }
    check_finite(what, matrix)
}

/// Checks that draws are finite.
pub(crate) fn check_finite_draws(draws: ArrayView3<'_, f64>) -> Result<()> {
    match draws.indexed_iter().find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some(((event, _, column), _)) => Err(Error::NotFinite { what: "the draws", event, column }),
    }
}

/// An `n x width` matrix whose rows are filled in parallel by `fill(row index, row)`.
pub(crate) fn rows_in_parallel(
    rows: usize,
    width: usize,
    fill: impl Fn(usize, &mut [f64]) + Sync,
) -> Array2<f64> {
    let mut matrix = Array2::zeros((rows, width));
    if let Some(values) = matrix.as_slice_mut().filter(|values| !values.is_empty()) {
        values.par_chunks_mut(width).enumerate().for_each(|(row, values)| fill(row, values));
    }
    matrix
}

pub(crate) fn check_dims(
    what: &'static str,
    (expected_rows, expected_columns): (usize, usize),
    (rows, columns): (usize, usize),
) -> Result<()> {
    if rows != expected_rows {
        return Err(Error::Rows { what, expected: expected_rows, found: rows });
    }
    if columns != expected_columns {
        return Err(Error::Columns { what, expected: expected_columns, found: columns });
    }
    Ok(())
}

fn check_finite(what: &'static str, matrix: ArrayView2<'_, f64>) -> Result<()> {
    match matrix.indexed_iter().find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some(((event, column), _)) => Err(Error::NotFinite { what, event, column }),
    }
}
