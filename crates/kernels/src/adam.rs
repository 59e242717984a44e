//! Adam (Kingma & Ba 2015) with decoupled weight decay (Loshchilov & Hutter 2019) on stretches of a
//! flat parameter vector, in one pass, the clip of the global gradient norm included.
//!
//! ```text
//! m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2
//! theta = keep theta - rate m / (root sqrt(v) + eps)
//! ```

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::level::Level;

/// Numbers that one thread takes at a time; the norm is summed over these chunks in their order.
const CHUNK: usize = 1 << 12;

/// The factors of one step; bias correction and weight decay are the caller's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamFactors {
    /// Decay `b1` of the first moment.
    pub first: f32,
    /// Decay `b2` of the second moment.
    pub second: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// `lr / (1 - b1^t)`.
    pub rate: f32,
    /// `1 / sqrt(1 - b2^t)`.
    pub root: f32,
    /// `1 - lr decay`.
    pub keep: f32,
    /// What the gradient is multiplied by.
    pub clip: f32,
}

/// A step on a stretch of the flat parameter vector. It splits as slices do, so that whoever holds the
/// parameters decides in what parts, on which threads and beside what else they are moved.
#[derive(Debug)]
pub struct AdamStep<'a> {
    /// The factors of the step.
    pub factors: AdamFactors,
    /// The gradient with respect to the parameters of the stretch.
    pub gradient: &'a [f32],
    /// Their first moments.
    pub first: &'a mut [f32],
    /// Their second moments.
    pub second: &'a mut [f32],
}

impl<'a> AdamStep<'a> {
    /// The steps of the first `length` parameters and of the others.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn split_at(self, length: usize) -> (Self, Self) {
        let factors = self.factors;
        let gradient = self.gradient.split_at(length);
        let first = self.first.split_at_mut(length);
        let second = self.second.split_at_mut(length);
        (
            Self { factors, gradient: gradient.0, first: first.0, second: second.0 },
            Self { factors, gradient: gradient.1, first: first.1, second: second.1 },
        )
    }

    /// Takes the step of the first `length` parameters out of the front.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn split_off(&mut self, length: usize) -> AdamStep<'a> {
        let empty = Self { gradient: &[], first: &mut [], second: &mut [], ..*self };
        let (front, rest) = std::mem::replace(self, empty).split_at(length);
        *self = rest;
        front
    }

    /// Moves `parameters` against the gradient and updates both moments, on this thread.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn apply(self, level: Level, parameters: &mut [f32]) {
        let Self { factors, gradient, first, second } = self;
        let len = parameters.len();
        assert!([gradient.len(), first.len(), second.len()] == [len; 3], "one number a parameter");
        level.run(Step { factors, parameters, gradient, first, second });
    }

    /// The same on all threads.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn apply_in_parallel(self, level: Level, parameters: &mut [f32]) {
        if parameters.len() <= CHUNK {
            return self.apply(level, parameters);
        }
        let half = (parameters.len() / 2).next_multiple_of(CHUNK);
        let (left, right) = parameters.split_at_mut(half);
        let (first, second) = self.split_at(half);
        rayon::join(
            || first.apply_in_parallel(level, left),
            || second.apply_in_parallel(level, right),
        );
    }
}

/// The Euclidean norm of `values`, summed in f64.
pub fn norm(level: Level, values: &[f32]) -> f64 {
    // Few enough chunks to add in order; each has its own place, whoever sums it.
    let mut sums = [0.0; 64];
    let chunk = values.len().div_ceil(sums.len()).max(1).next_multiple_of(CHUNK / 4);
    sums.par_iter_mut().zip(values.par_chunks(chunk)).for_each(|(sum, values)| {
        *sum = level.run(SquareSum { values });
    });
    sums.iter().sum::<f64>().sqrt()
}

struct Step<'a> {
    factors: AdamFactors,
    parameters: &'a mut [f32],
    gradient: &'a [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

impl WithSimd for Step<'_> {
    type Output = ();

    /// A plain loop, which the compiler turns into vectors of the instruction set at hand.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let AdamFactors { first: b1, second: b2, epsilon, rate, root, keep, clip } = self.factors;
        let moments = self.first.iter_mut().zip(self.second);
        for ((theta, g), (m, v)) in self.parameters.iter_mut().zip(self.gradient).zip(moments) {
            let g = g * clip;
            *m = b1 * *m + (1.0 - b1) * g;
            *v = b2 * *v + (1.0 - b2) * g * g;
            *theta = keep * *theta - rate * *m / (v.sqrt() * root + epsilon);
        }
    }
}

struct SquareSum<'a> {
    values: &'a [f32],
}

impl WithSimd for SquareSum<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> f64 {
        let mut sums = [0.0; 16];
        for values in self.values.chunks(sums.len()) {
            for (sum, value) in sums.iter_mut().zip(values) {
                let value = f64::from(*value);
                *sum += value * value;
            }
        }
        sums.iter().sum()
    }
}
