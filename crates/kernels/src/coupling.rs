//! The elementwise part of an affine coupling, with rows in the lanes of a vector.
//!
//! ```text
//! scale      s = c tanh(u / c)            u, t: the two halves of the subnet's output
//! forward    x2' = x2 exp(s) + t,         log|det| += sum s
//! inverse    x2 = (x2' - t) exp(-s)
//! backward   dt = dx2',  ds = dx2' x2 exp(s) + dlog|det|,  du = ds (1 - (s / c)^2),  dx2 = dx2' exp(s)
//! ```

use pulp::{Simd, WithSimd};

use crate::elementary::{exp, tanh};
use crate::level::Level;
use crate::matrix::{Columns, Matrix};

/// The affine map of the features `x2` from column `kept` on.
#[derive(Debug, Clone, Copy)]
pub struct AffineCoupling {
    /// Instruction set to use.
    pub level: Level,
    /// Features that the coupling leaves alone.
    pub kept: usize,
    /// Bound `c` of the log-scales.
    pub clamp: f32,
}

/// What a forward pass keeps for the backward pass.
#[derive(Debug, Clone, Default)]
pub struct CouplingTrace {
    /// `tanh(u / c)`, then `x2` before the map.
    halves: Columns,
    /// `exp(s)`.
    scale: Columns,
}

impl AffineCoupling {
    /// Maps `x` (rows x d) in place, given the subnet's `output` (rows x 2 (d - kept)), and adds
    /// `log|det J|` to the one column `log_det`.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn forward(
        &self,
        output: &Matrix,
        x: &mut Columns,
        log_det: &mut Columns,
        trace: &mut CouplingTrace,
    ) {
        assert_eq!((log_det.rows(), log_det.columns()), (x.rows(), 1), "shape of log|det|");
        self.take_output(output, x, trace);
        trace.scale.reshape(x.rows(), x.columns() - self.kept);
        self.level.run(Forward { coupling: self, x, log_det, trace });
    }

    /// Undoes the map of `x` (rows x d) in place; `trace` is only working memory.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn inverse(&self, output: &Matrix, x: &mut Columns, trace: &mut CouplingTrace) {
        self.take_output(output, x, trace);
        self.level.run(Inverse { coupling: self, x, trace });
    }

    /// Turns the gradient with respect to the mapped `x` into that with respect to `x` before the
    /// map, and writes that of the subnet's output into `d_output`. `d_log_det` is the gradient
    /// with respect to `log|det J|` of every row. Uses up the trace.
    ///
    /// # Panics
    /// If the shapes differ from the forward pass.
    pub fn backward(
        &self,
        trace: &mut CouplingTrace,
        d_x: &mut Columns,
        d_log_det: f32,
        d_output: &mut Matrix,
    ) {
        let width = d_x.columns() - self.kept;
        let shape = (trace.scale.rows(), trace.scale.columns());
        assert_eq!(shape, (d_x.rows(), width), "shape of the trace");
        self.level.run(Backward { coupling: self, trace, d_x, d_log_det });
        d_output.reshape(d_x.rows(), 2 * width);
        d_output.set_leading(0, &trace.halves, 2 * width);
    }

    fn take_output(&self, output: &Matrix, x: &Columns, trace: &mut CouplingTrace) {
        let width = x.columns() - self.kept;
        let shape = (output.rows(), output.columns());
        assert_eq!(shape, (x.rows(), 2 * width), "shape of the subnet's output");
        trace.halves.reshape(x.rows(), 2 * width);
        trace.halves.set_matrix(output);
    }
}

struct Forward<'a> {
    coupling: &'a AffineCoupling,
    x: &'a mut Columns,
    log_det: &'a mut Columns,
    trace: &'a mut CouplingTrace,
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { coupling, x, log_det, trace } = self;
        let c = simd.splat_f32s(coupling.clamp);
        let inverse_c = simd.splat_f32s(1.0 / coupling.clamp);
        let log_det = S::as_mut_simd_f32s(log_det.padded_mut(0)).0;
        for j in 0..x.columns() - coupling.kept {
            let (u, t) = trace.halves.pair_mut(j);
            let (u, t) = (S::as_mut_simd_f32s(u).0, S::as_mut_simd_f32s(t).0);
            let scale = S::as_mut_simd_f32s(trace.scale.padded_mut(j)).0;
            let x2 = S::as_mut_simd_f32s(x.padded_mut(coupling.kept + j)).0;
            let values = u.iter_mut().zip(t).zip(scale).zip(x2).zip(&mut *log_det);
            for ((((u, t), scale), x2), log_det) in values {
                let bounded = tanh(simd, simd.mul_f32s(*u, inverse_c));
                let s = simd.mul_f32s(bounded, c);
                *scale = exp(simd, s);
                *u = bounded;
                let mapped = simd.mul_add_e_f32s(*x2, *scale, *t);
                *t = std::mem::replace(x2, mapped);
                *log_det = simd.add_f32s(*log_det, s);
            }
        }
    }
}

struct Inverse<'a> {
    coupling: &'a AffineCoupling,
    x: &'a mut Columns,
    trace: &'a mut CouplingTrace,
}

impl WithSimd for Inverse<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { coupling, x, trace } = self;
        let minus_c = simd.splat_f32s(-coupling.clamp);
        let inverse_c = simd.splat_f32s(1.0 / coupling.clamp);
        for j in 0..x.columns() - coupling.kept {
            let (u, t) = trace.halves.pair_mut(j);
            let (u, t) = (S::as_mut_simd_f32s(u).0, S::as_mut_simd_f32s(t).0);
            let x2 = S::as_mut_simd_f32s(x.padded_mut(coupling.kept + j)).0;
            for ((u, t), x2) in u.iter().zip(t.iter()).zip(x2) {
                let minus_s = simd.mul_f32s(tanh(simd, simd.mul_f32s(*u, inverse_c)), minus_c);
                *x2 = simd.mul_f32s(simd.sub_f32s(*x2, *t), exp(simd, minus_s));
            }
        }
    }
}

struct Backward<'a> {
    coupling: &'a AffineCoupling,
    trace: &'a mut CouplingTrace,
    d_x: &'a mut Columns,
    d_log_det: f32,
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { coupling, trace, d_x, d_log_det } = self;
        let d_log_det = simd.splat_f32s(d_log_det);
        for j in 0..d_x.columns() - coupling.kept {
            let (u, t) = trace.halves.pair_mut(j);
            let (u, t) = (S::as_mut_simd_f32s(u).0, S::as_mut_simd_f32s(t).0);
            let scale = S::as_simd_f32s(trace.scale.padded(j)).0;
            let d_x2 = S::as_mut_simd_f32s(d_x.padded_mut(coupling.kept + j)).0;
            for (((u, t), scale), d_x2) in u.iter_mut().zip(t).zip(scale).zip(d_x2) {
                let (bounded, x2) = (*u, *t);
                *t = *d_x2;
                *d_x2 = simd.mul_f32s(*d_x2, *scale);
                let d_s = simd.mul_add_e_f32s(*d_x2, x2, d_log_det);
                let square = simd.mul_f32s(bounded, bounded);
                *u = simd.sub_f32s(d_s, simd.mul_f32s(d_s, square));
            }
        }
    }
}
