//! Arithmetic on one number per lane: the operators of `f64`, for as many events at once as a register
//! of the instruction set holds.
//!
//! Every operation is one IEEE operation on each lane (a product and a sum fuse only where
//! [`Lanes::mul_add`] says so), so a lane's result depends neither on its neighbours nor on the
//! instruction set.

use std::ops::{Add, Div, Mul, Sub};

use pulp::Simd;

/// One number of each lane.
#[derive(Clone, Copy)]
pub(super) struct Lanes<S: Simd> {
    simd: S,
    values: S::f64s,
}

/// One truth value of each lane.
#[derive(Clone, Copy)]
pub(super) struct Mask<S: Simd> {
    simd: S,
    values: S::m64s,
}

impl<S: Simd> Lanes<S> {
    /// The same number in every lane.
    #[inline(always)]
    pub(super) fn splat(simd: S, value: f64) -> Self {
        Self { simd, values: simd.splat_f64s(value) }
    }

    /// The number of lane `lane`.
    #[inline(always)]
    pub(super) fn get(&self, lane: usize) -> f64 {
        pulp::bytemuck::cast_slice::<S::f64s, f64>(std::slice::from_ref(&self.values))[lane]
    }

    /// Changes the number of lane `lane`.
    #[inline(always)]
    pub(super) fn set(&mut self, lane: usize, value: f64) {
        let values = std::slice::from_mut(&mut self.values);
        pulp::bytemuck::cast_slice_mut::<S::f64s, f64>(values)[lane] = value;
    }

    /// `self * factor + addend`, rounded once.
    #[inline(always)]
    pub(super) fn mul_add(self, factor: Self, addend: Self) -> Self {
        let values = self.simd.mul_add_f64s(self.values, factor.values, addend.values);
        Self { values, ..self }
    }

    /// `addend - self * factor`, rounded once.
    #[inline(always)]
    pub(super) fn negative_mul_add(self, factor: Self, addend: Self) -> Self {
        let values = self.simd.negate_mul_add_f64s(self.values, factor.values, addend.values);
        Self { values, ..self }
    }

    #[inline(always)]
    pub(super) fn sqrt(self) -> Self {
        Self { values: self.simd.sqrt_f64s(self.values), ..self }
    }

    /// The greater one; `other` if `self` is not a number.
    #[inline(always)]
    pub(super) fn max(self, other: Self) -> Self {
        self.greater(other).select(self, other)
    }

    /// The lesser one; `other` if `self` is not a number.
    #[inline(always)]
    pub(super) fn min(self, other: Self) -> Self {
        other.greater(self).select(self, other)
    }

    /// `self > other`; false for what is not a number.
    #[inline(always)]
    pub(super) fn greater(self, other: Self) -> Mask<S> {
        let values = self.simd.greater_than_f64s(self.values, other.values);
        Mask { simd: self.simd, values }
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, $instruction:ident) => {
        impl<S: Simd> $trait for Lanes<S> {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self { values: self.simd.$instruction(self.values, other.values), ..self }
            }
        }
    };
}

operator!(Add, add, add_f64s);
operator!(Sub, sub, sub_f64s);
operator!(Mul, mul, mul_f64s);
operator!(Div, div, div_f64s);

impl<S: Simd> Mask<S> {
    #[inline(always)]
    pub(super) fn and(self, other: Self) -> Self {
        Self { values: self.simd.and_m64s(self.values, other.values), ..self }
    }

    /// `yes` where true, `no` where false.
    #[inline(always)]
    pub(super) fn select(self, yes: Lanes<S>, no: Lanes<S>) -> Lanes<S> {
        let values = self.simd.select_f64s(self.values, yes.values, no.values);
        Lanes { simd: self.simd, values }
    }
}
