//! Rows of tables worked on by all threads, a bounded number at a time.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

/// Rows worked on by one thread at a time.
pub(super) const CHUNK_ROWS: usize = 4096;

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
