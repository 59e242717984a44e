//! Rows of tables worked on by all threads, a bounded number at a time.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

/// Rows worked on by one thread at a time.
const CHUNK_ROWS: usize = 4096;

/// A table of `width` columns made from `rows` by all threads, a bounded number of rows at a time;
/// `make` gets the first row's index, the rows and the zeroed place for the result.
pub(super) fn in_chunks<A: Sync, B: Clone + Default + Send + Sync>(
    rows: ArrayView2<'_, A>,
    width: usize,
    make: impl Fn(usize, ArrayView2<'_, A>, ArrayViewMut2<'_, B>) + Sync,
) -> Array2<B> {
    let mut out = Array2::from_elem((rows.nrows(), width), B::default());
    out.axis_chunks_iter_mut(Axis(0), CHUNK_ROWS)
        .into_par_iter()
        .zip(rows.axis_chunks_iter(Axis(0), CHUNK_ROWS))
        .enumerate()
        .for_each(|(chunk, (out, rows))| make(chunk * CHUNK_ROWS, rows, out));
    out
}

/// Rows of `width` columns, no more than there were, made one after another in the memory of the rows that they are made of;
/// `make` gets a row and the zeroed place for the result.
pub(crate) fn in_place(
    rows: Array2<f64>,
    width: usize,
    make: impl Fn(&[f64], &mut [f64]),
) -> Array2<f64> {
    let (count, columns) = rows.dim();
    debug_assert!(width <= columns, "{width} of {columns} columns");
    let rows =
        if rows.is_standard_layout() { rows } else { rows.as_standard_layout().into_owned() };
    let (mut values, _) = rows.into_raw_vec_and_offset();
    let mut row = vec![0.0; width];
    for number in 0..count {
        row.fill(0.0);
        make(&values[number * columns..(number + 1) * columns], &mut row);
        values[number * width..(number + 1) * width].copy_from_slice(&row);
    }
    values.truncate(count * width);
    // The length agrees: every row is one of `width` values.
    Array2::from_shape_vec((count, width), values).unwrap_or_else(|_| Array2::zeros((count, width)))
}
