//! Maps of the features that do not look at the condition, with rows in the lanes of a vector.
//!
//! ```text
//! act-norm    z = x exp(s) + t
//! lu-linear   u = U P x,  z = L u   with unit lower triangular L and diagonal exp(l) of U
//! backward    the transposed factors on dz; dA_ij = sum over rows of dz_i x_j
//! ```

use pulp::{Simd, WithSimd};

use crate::level::Level;
use crate::matrix::Columns;

/// Numbers that are added side by side.
const SUMS: usize = 16;

/// Takes the columns of `x` in another order; `spare` is working memory.
pub fn permute(x: &mut Columns, order: &[usize], spare: &mut Columns) {
    spare.reshape(x.rows(), x.columns());
    for (column, from) in order.iter().enumerate() {
        spare.padded_mut(column).copy_from_slice(x.padded(*from));
    }
    std::mem::swap(x, spare);
}

/// Undoes [`permute`].
pub fn permute_back(x: &mut Columns, order: &[usize], spare: &mut Columns) {
    spare.reshape(x.rows(), x.columns());
    for (column, to) in order.iter().enumerate() {
        spare.padded_mut(*to).copy_from_slice(x.padded(column));
    }
    std::mem::swap(x, spare);
}

/// `x_j exp(s_j) + t_j`; `parameters` are all `s`, then all `t`.
pub fn act_norm(x: &mut Columns, parameters: &[f32]) {
    let (scales, shifts) = parameters.split_at(x.columns());
    for (column, (s, t)) in scales.iter().zip(shifts).enumerate() {
        let factor = s.exp();
        x.padded_mut(column).iter_mut().for_each(|x| *x = *x * factor + t);
    }
}

/// Undoes [`act_norm`].
pub fn act_norm_inverse(z: &mut Columns, parameters: &[f32]) {
    let (scales, shifts) = parameters.split_at(z.columns());
    for (column, (s, t)) in scales.iter().zip(shifts).enumerate() {
        let factor = (-s).exp();
        z.padded_mut(column).iter_mut().for_each(|z| *z = (*z - t) * factor);
    }
}

/// Turns the gradient with respect to the value into that of `x`, given `x`; writes (or adds) that of
/// the parameters, to which `log|det|` of each row contributes `d_log_det`.
pub fn act_norm_backward(
    level: Level,
    x: &Columns,
    d_x: &mut Columns,
    d_log_det: f32,
    parameters: &[f32],
    gradient: &mut [f32],
    add: bool,
) {
    let d = x.columns();
    for column in 0..d {
        let factor = parameters[column].exp();
        let d_z = d_x.column(column);
        let product = level.run(Dot(d_z, Some(x.column(column)))) * factor;
        let sum = level.run(Dot(d_z, None));
        put(&mut gradient[column], product + d_log_det * x.rows() as f32, add);
        put(&mut gradient[d + column], sum, add);
        d_x.padded_mut(column).iter_mut().for_each(|d| *d *= factor);
    }
}

/// The factors of a linear map as they stand in the flat vector: `lower` and `upper` (d x d,
/// row-major; only what lies below or above the diagonal counts), then `l` (d).
#[derive(Debug, Clone, Copy)]
pub struct Lu<'a> {
    lower: &'a [f32],
    upper: &'a [f32],
    log_diagonal: &'a [f32],
    d: usize,
}

impl<'a> Lu<'a> {
    /// The factors of a map of `d` features.
    ///
    /// # Panics
    /// If `parameters` has not `2 d d + d` numbers.
    pub fn new(parameters: &'a [f32], d: usize) -> Self {
        assert_eq!(parameters.len(), 2 * d * d + d, "parameters of a linear map");
        let (lower, rest) = parameters.split_at(d * d);
        let (upper, log_diagonal) = rest.split_at(d * d);
        Self { lower, upper, log_diagonal, d }
    }

    /// `log|det|`.
    pub fn log_det(&self) -> f32 {
        self.log_diagonal.iter().sum()
    }

    /// Maps permuted `x` in place; `between` keeps `u`.
    pub fn forward(&self, level: Level, x: &mut Columns, between: &mut Columns) {
        let d = self.d;
        between.reshape(x.rows(), d);
        for row in 0..d {
            let target = between.padded_mut(row);
            let factor = self.log_diagonal[row].exp();
            target.iter_mut().zip(x.padded(row)).for_each(|(u, x)| *u = x * factor);
            for column in row + 1..d {
                level.run(Axpy(self.upper[row * d + column], x.padded(column), target));
            }
        }
        for row in 0..d {
            let target = x.padded_mut(row);
            target.copy_from_slice(between.padded(row));
            for column in 0..row {
                level.run(Axpy(self.lower[row * d + column], between.padded(column), target));
            }
        }
    }

    /// Undoes [`Self::forward`]; `between` is working memory.
    pub fn inverse(&self, level: Level, z: &mut Columns, between: &mut Columns) {
        let d = self.d;
        between.reshape(z.rows(), 1);
        let spare = between.padded_mut(0);
        for row in 0..d {
            spare.copy_from_slice(z.padded(row));
            for column in 0..row {
                level.run(Axpy(-self.lower[row * d + column], z.padded(column), spare));
            }
            z.padded_mut(row).copy_from_slice(spare);
        }
        for row in (0..d).rev() {
            spare.copy_from_slice(z.padded(row));
            for column in row + 1..d {
                level.run(Axpy(-self.upper[row * d + column], z.padded(column), spare));
            }
            let factor = (-self.log_diagonal[row]).exp();
            z.padded_mut(row).iter_mut().zip(&*spare).for_each(|(z, u)| *z = u * factor);
        }
    }

    /// Turns the gradient with respect to the value into that of the permuted `x`, given `x` and the
    /// `between` of the forward pass (used up); writes (or adds) that of the parameters, to which
    /// `log|det|` of each row contributes `d_log_det`.
    #[expect(clippy::too_many_arguments, reason = "values and gradients of a map of two factors")]
    pub fn backward(
        &self,
        level: Level,
        x: &Columns,
        between: &mut Columns,
        d_x: &mut Columns,
        d_log_det: f32,
        gradient: &mut [f32],
        add: bool,
    ) {
        let d = self.d;
        let (lower, rest) = gradient.split_at_mut(d * d);
        let (upper, diagonal) = rest.split_at_mut(d * d);
        for row in 0..d {
            for column in 0..d {
                let cell = &mut lower[row * d + column];
                let dot = if column < row {
                    level.run(Dot(d_x.column(row), Some(between.column(column))))
                } else {
                    0.0
                };
                put(cell, dot, add);
            }
        }
        // du = L^T dz, which takes the place of u
        for column in 0..d {
            let target = between.padded_mut(column);
            target.copy_from_slice(d_x.padded(column));
            for row in column + 1..d {
                level.run(Axpy(self.lower[row * d + column], d_x.padded(row), target));
            }
        }
        for row in 0..d {
            for column in 0..d {
                let dot = if column > row {
                    level.run(Dot(between.column(row), Some(x.column(column))))
                } else {
                    0.0
                };
                put(&mut upper[row * d + column], dot, add);
            }
            let dot = level.run(Dot(between.column(row), Some(x.column(row))));
            let value = dot * self.log_diagonal[row].exp() + d_log_det * x.rows() as f32;
            put(&mut diagonal[row], value, add);
        }
        for column in 0..d {
            let factor = self.log_diagonal[column].exp();
            let target = d_x.padded_mut(column);
            target.iter_mut().zip(between.padded(column)).for_each(|(d, u)| *d = u * factor);
            for row in 0..column {
                level.run(Axpy(self.upper[row * d + column], between.padded(row), target));
            }
        }
    }
}

fn put(cell: &mut f32, value: f32, add: bool) {
    *cell = if add { *cell + value } else { value };
}

/// `y += a x`.
struct Axpy<'a>(f32, &'a [f32], &'a mut [f32]);

impl WithSimd for Axpy<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let a = simd.splat_f32s(self.0);
        let (x, y) = (S::as_simd_f32s(self.1).0, S::as_mut_simd_f32s(self.2).0);
        for (x, y) in x.iter().zip(y) {
            *y = simd.mul_add_e_f32s(a, *x, *y);
        }
    }
}

/// The sum of products, or of the numbers alone.
struct Dot<'a>(&'a [f32], Option<&'a [f32]>);

impl WithSimd for Dot<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> f32 {
        let mut sums = [0.0f32; SUMS];
        let (chunks, rest) = self.0.as_chunks::<SUMS>();
        match self.1 {
            Some(other) => {
                let (others, other_rest) = other.as_chunks::<SUMS>();
                for (a, b) in chunks.iter().zip(others) {
                    for lane in 0..SUMS {
                        sums[lane] += a[lane] * b[lane];
                    }
                }
                for ((sum, a), b) in sums.iter_mut().zip(rest).zip(other_rest) {
                    *sum += a * b;
                }
            }
            None => {
                for a in chunks {
                    for lane in 0..SUMS {
                        sums[lane] += a[lane];
                    }
                }
                for (sum, a) in sums.iter_mut().zip(rest) {
                    *sum += a;
                }
            }
        }
        sums.iter().sum()
    }
}
