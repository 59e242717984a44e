//! Buffers of the kernels: [`Matrix`], one row an event, and [`Columns`], one column contiguous.

use ndarray::{ArrayView2, ArrayViewMut2};

/// Numbers in a cache line, and the most that a vector holds.
pub(crate) const LINE: usize = 16;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// Numbers aligned to cache lines.
#[derive(Clone, Default)]
pub(crate) struct Aligned(Vec<Line>);

impl Aligned {
    /// At least `len` numbers, zero at first; keeps what it has where that is enough.
    pub(crate) fn reserve(&mut self, len: usize) {
        let lines = len.div_ceil(LINE);
        if self.0.len() < lines {
            self.0.resize(lines, Line([0.0; LINE]));
        }
    }

    pub(crate) fn as_slice(&self) -> &[f32] {
        // SAFETY: `Line` is `repr(C)`, holds `LINE` numbers and no padding, so the vector's memory is
        // this many initialised numbers.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * LINE) }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        // SAFETY: as in `as_slice`; the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * LINE) }
    }
}

impl std::fmt::Debug for Aligned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Aligned").field("len", &(self.0.len() * LINE)).finish()
    }
}

/// A row-major matrix whose rows begin on cache lines and whose number of rows is padded to a
/// multiple of four. What the padding holds is not specified.
#[derive(Debug, Clone, Default)]
pub struct Matrix {
    data: Aligned,
    rows: usize,
    columns: usize,
    stride: usize,
}

impl Matrix {
    /// Gives the matrix another shape; its values are then not specified. Memory only grows.
    pub fn reshape(&mut self, rows: usize, columns: usize) {
        let lines = columns.div_ceil(LINE).max(1);
        // An odd number of lines: with a power of two the rows would fall into few cache sets.
        self.stride = (lines | 1) * LINE;
        (self.rows, self.columns) = (rows, columns);
        self.data.reserve(rows.next_multiple_of(4) * self.stride);
    }

    /// Rows in use.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns in use.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Distance between the starts of two rows.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// Rows that the memory holds, at least [`Self::rows`] rounded up to a multiple of four.
    pub(crate) fn padded_rows(&self) -> usize {
        self.rows.next_multiple_of(4)
    }

    /// All numbers, padding included.
    pub(crate) fn data(&self) -> &[f32] {
        self.data.as_slice()
    }

    /// All numbers, padding included.
    pub(crate) fn data_mut(&mut self) -> &mut [f32] {
        self.data.as_mut_slice()
    }

    /// One row.
    pub fn row(&self, row: usize) -> &[f32] {
        debug_assert!(row < self.rows);
        &self.data()[row * self.stride..][..self.columns]
    }

    /// One row.
    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        debug_assert!(row < self.rows);
        let (stride, columns) = (self.stride, self.columns);
        &mut self.data_mut()[row * stride..][..columns]
    }

    /// Copies `values` into the columns from `first` on.
    ///
    /// # Panics
    /// If `values` has not as many rows, or the columns do not exist.
    pub fn set_columns(&mut self, first: usize, values: ArrayView2<'_, f32>) {
        assert_eq!(values.nrows(), self.rows, "as many rows as the matrix");
        assert!(first + values.ncols() <= self.columns, "columns of the matrix");
        for (row, values) in values.rows().into_iter().enumerate() {
            for (cell, value) in self.row_mut(row)[first..].iter_mut().zip(values) {
                *cell = *value;
            }
        }
    }

    /// Writes the numbers to the `values` of a matrix (rows x columns).
    ///
    /// # Panics
    /// If `values` has another shape.
    pub fn write(&self, mut values: ArrayViewMut2<'_, f32>) {
        assert_eq!(values.dim(), (self.rows, self.columns), "the shape of the matrix");
        for (row, values) in values.rows_mut().into_iter().enumerate() {
            for (cell, value) in self.row(row).iter().zip(values) {
                *value = *cell;
            }
        }
    }

    /// Copies the first `width` columns of `from` into the columns from `first` on.
    ///
    /// # Panics
    /// If `from` has not as many rows, or the columns do not exist.
    pub fn set_leading(&mut self, first: usize, from: &Columns, width: usize) {
        assert_eq!(from.rows, self.rows, "as many rows as the matrix");
        assert!(first + width <= self.columns && width <= from.columns);
        let (rows, stride) = (self.rows, self.stride);
        let data = self.data_mut();
        for column in 0..width {
            let cells = data[first + column..].iter_mut().step_by(stride);
            for (cell, value) in cells.zip(&from.column(column)[..rows]) {
                *cell = *value;
            }
        }
    }
}

/// Columns of numbers, each contiguous and padded to whole cache lines: rows lie in the lanes of a
/// vector. What the padding holds is not specified.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    data: Aligned,
    rows: usize,
    columns: usize,
    flipped: bool,
}

impl Columns {
    /// Gives another shape; the values are then not specified. Memory only grows.
    pub fn reshape(&mut self, rows: usize, columns: usize) {
        (self.rows, self.columns, self.flipped) = (rows, columns, false);
        self.data.reserve(self.padded_rows() * columns);
    }

    /// Rows in use.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Reverses the order of the columns, without moving a number.
    pub fn flip(&mut self) {
        self.flipped = !self.flipped;
    }

    /// Takes the `values` of a matrix (rows x columns).
    ///
    /// # Panics
    /// If `values` has another shape.
    pub fn set(&mut self, values: ArrayView2<'_, f32>) {
        assert_eq!(values.dim(), (self.rows, self.columns), "the shape of the columns");
        for (column, values) in values.columns().into_iter().enumerate() {
            for (cell, value) in self.column_mut(column).iter_mut().zip(values) {
                *cell = *value;
            }
        }
    }

    /// Takes all numbers of `from`.
    ///
    /// # Panics
    /// If `from` has another shape.
    pub fn set_matrix(&mut self, from: &Matrix) {
        assert_eq!((from.rows, from.columns), (self.rows, self.columns), "shape of the columns");
        for column in 0..self.columns {
            let values = from.data()[column..].iter().step_by(from.stride);
            for (cell, value) in self.column_mut(column).iter_mut().zip(values) {
                *cell = *value;
            }
        }
    }

    /// Writes the numbers to the `values` of a matrix (rows x columns).
    ///
    /// # Panics
    /// If `values` has another shape.
    pub fn write(&self, mut values: ArrayViewMut2<'_, f32>) {
        assert_eq!(values.dim(), (self.rows, self.columns), "the shape of the columns");
        for (column, values) in values.columns_mut().into_iter().enumerate() {
            for (cell, value) in self.column(column).iter().zip(values) {
                *value = *cell;
            }
        }
    }

    /// Takes shape and numbers of `from`, in the order of its columns.
    pub fn copy(&mut self, from: &Self) {
        self.reshape(from.rows, from.columns);
        for column in 0..from.columns {
            self.padded_mut(column).copy_from_slice(from.padded(column));
        }
    }

    /// Adds `value` to every number.
    pub fn shift(&mut self, value: f32) {
        let len = self.padded_rows() * self.columns;
        for number in &mut self.data.as_mut_slice()[..len] {
            *number += value;
        }
    }

    /// Sets every number.
    pub fn fill(&mut self, value: f32) {
        let len = self.padded_rows() * self.columns;
        self.data.as_mut_slice()[..len].fill(value);
    }

    /// Multiplies every number.
    pub fn scale(&mut self, factor: f32) {
        let len = self.padded_rows() * self.columns;
        for value in &mut self.data.as_mut_slice()[..len] {
            *value *= factor;
        }
    }

    /// Adds the columns of `from` to the first ones.
    ///
    /// # Panics
    /// If `from` has other rows or fewer than `width` columns.
    pub fn add_leading(&mut self, from: &Matrix, width: usize) {
        assert_eq!(from.rows, self.rows, "as many rows as the matrix");
        assert!(width <= from.columns && width <= self.columns);
        for column in 0..width {
            let values = from.data()[column..].iter().step_by(from.stride);
            for (cell, value) in self.column_mut(column).iter_mut().zip(values) {
                *cell += *value;
            }
        }
    }

    fn padded_rows(&self) -> usize {
        self.rows.next_multiple_of(LINE)
    }

    fn place(&self, column: usize) -> usize {
        debug_assert!(column < self.columns);
        if self.flipped { self.columns - 1 - column } else { column }
    }

    /// One column.
    pub fn column(&self, column: usize) -> &[f32] {
        &self.padded(column)[..self.rows]
    }

    /// One column.
    pub fn column_mut(&mut self, column: usize) -> &mut [f32] {
        let rows = self.rows;
        &mut self.padded_mut(column)[..rows]
    }

    /// One column with its padding: whole vectors.
    pub(crate) fn padded(&self, column: usize) -> &[f32] {
        &self.data.as_slice()[self.place(column) * self.padded_rows()..][..self.padded_rows()]
    }

    /// One column with its padding: whole vectors.
    pub(crate) fn padded_mut(&mut self, column: usize) -> &mut [f32] {
        let (place, rows) = (self.place(column), self.padded_rows());
        &mut self.data.as_mut_slice()[place * rows..][..rows]
    }

    /// Column `column` of the first half and of the second half, with their padding.
    pub(crate) fn pair_mut(&mut self, column: usize) -> (&mut [f32], &mut [f32]) {
        debug_assert!(!self.flipped && column < self.columns / 2);
        let rows = self.padded_rows();
        let (first, second) = self.data.as_mut_slice().split_at_mut(self.columns / 2 * rows);
        (&mut first[column * rows..][..rows], &mut second[column * rows..][..rows])
    }
}
