//! What goes into a model and what comes out of a step: rows, their widths, and their loss.

use std::ops::Range;

use ndarray::{ArrayView2, s};

/// Rows of scaled `x` (`n` x `dimensions.x`) and of the `y` (`n` x `dimensions.y`) they belong to.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// What is inferred, in scaled units.
    pub x: ArrayView2<'a, f32>,
    /// What it is conditioned on, in scaled units.
    pub y: ArrayView2<'a, f32>,
}

impl Batch<'_> {
    /// Some of its rows.
    ///
    /// # Panics
    /// If the rows do not exist.
    pub fn rows(self, rows: Range<usize>) -> Self {
        Self { x: self.x.slice_move(s![rows.clone(), ..]), y: self.y.slice_move(s![rows, ..]) }
    }
}

/// Widths of the matrices that a model takes and gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dimensions {
    /// Columns of `x`.
    pub x: usize,
    /// Columns of `y`.
    pub y: usize,
    /// Columns of the latent `z`.
    pub z: usize,
}

/// A loss, averaged over the rows of a batch, and the named terms it is made of.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Loss {
    /// What is minimised.
    pub total: f64,
    /// Its parts (for example reconstruction and KL divergence), in the order of
    /// [`ConditionalModel::loss_terms`](crate::ConditionalModel::loss_terms).
    pub terms: Vec<f64>,
}
