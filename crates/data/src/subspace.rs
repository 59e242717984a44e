//! Linear constraints of a table: the directions in which its rows never vary.
//!
//! Notation: `X` are the rows less their mean, `D` the diagonal of the columns' standard deviations,
//! `Z = X D^-1`. A null direction `v` of `Z` is a constraint `D^-1 v` on raw rows, so the decision
//! does not depend on units. `X = Q R` is taken in chunks, so that only `R` is ever decomposed.

use nalgebra::DMatrix;
use ndarray::{ArrayView2, Axis};

use crate::error::ScratchError;
use crate::passes::Passes;

/// Rows decomposed at a time.
const CHUNK_ROWS: usize = 4096;

/// Orthonormal directions in raw coordinates that together span all columns.
#[derive(Clone, Debug)]
pub(crate) struct Directions {
    /// `columns x rank`: what varies, ordered by falling variance; the largest component of each is positive.
    pub(crate) alive: DMatrix<f64>,
    /// `columns x (columns - rank)`: what never varies.
    pub(crate) null: DMatrix<f64>,
}

/// Splits the columns' space by a singular value decomposition of the centred, standardised rows;
/// singular values below `tolerance` times the largest count as zero (`docs/spec.md#degenerate-directions`). Every
/// column must vary (`sds` positive).
pub(crate) fn directions(
    rows: &Passes<'_>,
    means: &[f64],
    sds: &[f64],
    tolerance: f64,
) -> Result<Directions, ScratchError> {
    let columns = means.len();
    let mut r = DMatrix::zeros(columns, columns);
    rows.each(&mut |rows| decompose(&mut r, rows, means, sds))?;
    let (values, vectors) = right_singular(&r);
    let largest = values.first().copied().unwrap_or(0.0);
    let rank = values.iter().filter(|&&value| value > tolerance * largest).count();
    let deficiency = columns - rank;
    if deficiency == 0 {
        return Ok(Directions { alive: vectors, null: DMatrix::zeros(columns, 0) });
    }
    let constraints = DMatrix::from_fn(columns, deficiency, |row, column| {
        vectors[(row, rank + column)] / sds[row]
    });
    let null = signed(constraints.qr().q());
    // Raw rows with the constraints projected out exactly: their right singular vectors are
    // orthogonal to the constraints, whatever the units of the columns.
    let raw = DMatrix::from_fn(columns, columns, |row, column| r[(row, column)] * sds[column]);
    let projected = &raw - &raw * &null * null.transpose();
    let (_, vectors) = right_singular(&projected);
    Ok(Directions { alive: vectors.columns(0, rank).into_owned(), null })
}

/// The number of directions in which the rows vary.
pub(crate) fn rank(
    rows: &Passes<'_>,
    means: &[f64],
    sds: &[f64],
    tolerance: f64,
) -> Result<usize, ScratchError> {
    Ok(directions(rows, means, sds, tolerance)?.alive.ncols())
}

/// The number of directions in which rows vary that come one after another, too many to be kept.
///
/// `R` of the decomposition of the rows with a column of ones before them is that of the centred rows once its first
/// row and column are left out.
#[derive(Clone)]
pub(crate) struct RunningRank {
    columns: usize,
    /// The first row, subtracted from all: a column that never changes is then exactly zero.
    shift: Vec<f64>,
    r: DMatrix<f64>,
    /// Rows not decomposed yet, one after another.
    waiting: Vec<f64>,
}

impl RunningRank {
    pub(crate) fn new(columns: usize) -> Self {
        let r = DMatrix::zeros(columns + 1, columns + 1);
        Self { columns, shift: Vec::new(), r, waiting: Vec::new() }
    }

    /// Takes rows, one after another in one slice.
    pub(crate) fn add(&mut self, rows: &[f64]) {
        for row in rows.chunks_exact(self.columns) {
            if self.shift.is_empty() {
                self.shift = row.to_vec();
            }
            self.waiting.extend(row.iter().zip(&self.shift).map(|(value, shift)| value - shift));
            if self.waiting.len() >= CHUNK_ROWS * self.columns {
                self.decompose();
            }
        }
    }

    fn decompose(&mut self) {
        let (columns, waiting) = (self.columns, self.waiting.len() / self.columns);
        let stacked = DMatrix::from_fn(columns + 1 + waiting, columns + 1, |row, column| {
            match (row.checked_sub(columns + 1), column.checked_sub(1)) {
                (None, _) => self.r[(row, column)],
                (Some(_), None) => 1.0,
                (Some(row), Some(column)) => self.waiting[row * columns + column],
            }
        });
        self.r = stacked.qr().r();
        self.waiting.clear();
    }

    /// The rank of those of the columns `wanted` that vary, each in units of its own sd; singular values below
    /// `tolerance` times the largest count as zero.
    pub(crate) fn finish(mut self, wanted: &[usize], tolerance: f64) -> usize {
        if !self.waiting.is_empty() {
            self.decompose();
        }
        let centred = self.r.view((1, 1), (self.columns, self.columns));
        let varying: Vec<_> = wanted
            .iter()
            .map(|&column| centred.column(column))
            .filter(|column| column.norm() > 0.0)
            .map(|column| column / column.norm())
            .collect();
        if varying.is_empty() {
            return 0;
        }
        let values = DMatrix::from_columns(&varying).svd(false, false).singular_values;
        let largest = values.max();
        values.iter().filter(|&&value| value > tolerance * largest).count()
    }
}

/// Adds rows to those of whose `(rows - means) / sds` `r` is the triangular factor, `columns x columns`.
fn decompose(r: &mut DMatrix<f64>, rows: ArrayView2<'_, f64>, means: &[f64], sds: &[f64]) {
    let columns = means.len();
    for chunk in rows.axis_chunks_iter(Axis(0), CHUNK_ROWS) {
        let stacked = DMatrix::from_fn(columns + chunk.nrows(), columns, |row, column| {
            if row < columns {
                r[(row, column)]
            } else {
                // What is missing counts as the mean.
                let value = (chunk[(row - columns, column)] - means[column]) / sds[column];
                if value.is_nan() { 0.0 } else { value }
            }
        });
        *r = stacked.qr().r();
    }
}

/// Singular values in falling order and the right singular vectors as signed columns.
fn right_singular(matrix: &DMatrix<f64>) -> (Vec<f64>, DMatrix<f64>) {
    let columns = matrix.ncols();
    let decomposition = matrix.clone().svd(false, true);
    let rows = decomposition.v_t.unwrap_or_else(|| DMatrix::identity(columns, columns));
    let values = decomposition.singular_values;
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    let vectors = DMatrix::from_fn(columns, columns, |row, column| rows[(order[column], row)]);
    (order.iter().map(|&index| values[index]).collect(), signed(vectors))
}

/// The columns with the sign that makes the component of largest magnitude positive.
pub(crate) fn signed(mut matrix: DMatrix<f64>) -> DMatrix<f64> {
    for mut column in matrix.column_iter_mut() {
        // A margin, so that components equal up to round-off do not decide by round-off.
        let mut largest = 0.0_f64;
        for &value in &column {
            if value.abs() > largest.abs() * (1.0 + 1e-9) {
                largest = value;
            }
        }
        if largest < 0.0 {
            column.neg_mut();
        }
    }
    matrix
}
