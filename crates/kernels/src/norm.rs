//! The Euclidean norm of a flat vector, summed in f64 and in an order that no number of threads changes.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::level::Level;

/// Numbers of a flat vector that are added up and used while they are near; a multiple of [`LANES`].
pub(crate) const NEAR: usize = 1 << 10;

/// Sums of squares that do not wait for each other.
const LANES: usize = 16;

/// The Euclidean norm of `values`, summed in f64.
pub fn norm(level: Level, values: &[f32]) -> f64 {
    norm_of_stretches(values.len(), |begin, length, sums| {
        level.run(Squares { values: &values[begin..][..length], sums });
    })
}

/// The Euclidean norm of numbers of which `add` adds the squares of a stretch, given where it begins and
/// how long it is, at most [`NEAR`].
pub(crate) fn norm_of_stretches(
    length: usize,
    add: impl Fn(usize, usize, &mut [f64; LANES]) + Sync,
) -> f64 {
    // Few enough chunks to add in order; each has its own place, whoever sums it.
    let mut sums = [0.0; 64];
    let chunk = length.div_ceil(sums.len()).max(1).next_multiple_of(NEAR);
    sums.par_iter_mut().enumerate().for_each(|(index, sum)| {
        let mut squares = [0.0; LANES];
        let end = length.min((index + 1) * chunk);
        for begin in (index * chunk..end).step_by(NEAR) {
            add(begin, NEAR.min(end - begin), &mut squares);
        }
        *sum = squares.iter().sum();
    });
    sums.iter().sum::<f64>().sqrt()
}

/// Adds the squares of `values` to `sums`, each to that of its lane.
pub(crate) struct Squares<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) sums: &'a mut [f64; LANES],
}

impl WithSimd for Squares<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        for values in self.values.chunks(LANES) {
            for (sum, value) in self.sums.iter_mut().zip(values) {
                let value = f64::from(*value);
                *sum += value * value;
            }
        }
    }
}
