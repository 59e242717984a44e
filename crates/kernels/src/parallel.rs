//! Work split over threads such that no result depends on their number: the rows of a batch form
//! shards that follow from the batch alone, and what the shards give is added in their order.

use std::ops::Range;
use std::sync::Mutex;

use ndarray::{ArrayViewMut2, Axis};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::level::Level;

/// Rows of a shard, while there are not too many shards.
const SHARD: usize = 128;
/// Most shards, each of which has a gradient of its own.
const MAX_SHARDS: usize = 16;
/// Rows that go through a model at once in training; what is kept of them should stay near.
const TILE: usize = 128;
/// Rows that go through a model at once where no gradient is asked for: a multiple of the rows of
/// a register tile and of the numbers in a vector.
const BLOCK: usize = 96;
/// Numbers that one thread adds at a time.
const CHUNK: usize = 1 << 12;

/// Workspaces that threads borrow: as many as were ever in use at once.
#[derive(Debug, Default)]
pub struct Pool<W>(Mutex<Vec<W>>);

impl<W: Default> Pool<W> {
    /// Runs `work` with a workspace.
    pub fn with<T>(&self, work: impl FnOnce(&mut W) -> T) -> T {
        let taken = self.lock().pop();
        let mut workspace = taken.unwrap_or_default();
        let result = work(&mut workspace);
        self.lock().push(workspace);
        result
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<W>> {
        self.0.lock().unwrap_or_else(|poisoned| {
            // A workspace is only working memory: whatever a panic left there is overwritten.
            poisoned.into_inner()
        })
    }
}

/// The gradients of the shards of a batch, kept from step to step.
#[derive(Debug, Default)]
pub struct ShardGradients(Mutex<Vec<Shard>>);

#[derive(Debug, Default)]
struct Shard {
    gradient: Vec<f32>,
    sums: Vec<f64>,
}

impl ShardGradients {
    /// Runs `work` on tiles of the `rows` of a batch, in parallel, and adds up what it gives:
    /// the gradients in `gradient`, other sums in `sums`.
    ///
    /// `work` gets the rows of a tile, where to write its gradient, whether to add it to what is
    /// there, and sums to add to.
    pub fn accumulate(
        &self,
        rows: usize,
        gradient: &mut [f32],
        sums: &mut [f64],
        work: impl Fn(Range<usize>, &mut [f32], bool, &mut [f64]) + Sync,
    ) {
        let (count, size) = shards(rows);
        let mut shards = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if shards.len() < count {
            shards.resize_with(count, Shard::default);
        }
        let shards = &mut shards[..count];
        shards.par_iter_mut().enumerate().for_each(|(index, shard)| {
            shard.gradient.resize(gradient.len(), 0.0);
            shard.sums.clear();
            shard.sums.resize(sums.len(), 0.0);
            let end = rows.min((index + 1) * size);
            for begin in (index * size..end).step_by(TILE) {
                let add = begin > index * size;
                let tile = begin..end.min(begin + TILE);
                work(tile, &mut shard.gradient, add, &mut shard.sums);
            }
        });
        sums.fill(0.0);
        for shard in &*shards {
            for (sum, term) in sums.iter_mut().zip(&shard.sums) {
                *sum += term;
            }
        }
        let (shards, level) = (&*shards, Level::best());
        gradient.par_chunks_mut(CHUNK).enumerate().for_each(|(index, total)| {
            level.run(AddUp { shards, begin: index * CHUNK, total });
        });
    }
}

/// `total = g1 + g2 + ...` from place `begin` on.
struct AddUp<'a> {
    shards: &'a [Shard],
    begin: usize,
    total: &'a mut [f32],
}

impl WithSimd for AddUp<'_> {
    type Output = ();

    /// Plain loops, which the compiler turns into vectors of the instruction set at hand.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { shards, begin, total } = self;
        let part = begin..begin + total.len();
        match shards {
            [] => total.fill(0.0),
            [first, rest @ ..] => {
                total.copy_from_slice(&first.gradient[part.clone()]);
                for shard in rest {
                    for (total, term) in total.iter_mut().zip(&shard.gradient[part.clone()]) {
                        *total += *term;
                    }
                }
            }
        }
    }
}

/// How many shards the `rows` of a batch form, and how many rows each has but the last.
fn shards(rows: usize) -> (usize, usize) {
    let count = rows.div_ceil(SHARD).clamp(1, MAX_SHARDS);
    let size = rows.div_ceil(count).next_multiple_of(4).max(4);
    (rows.div_ceil(size), size)
}

/// Runs `work` on blocks of rows in parallel: it gets the rows of a block and these rows of `output`.
pub fn blocks<T: Send + Sync>(
    mut output: ArrayViewMut2<'_, T>,
    work: impl Fn(Range<usize>, ArrayViewMut2<'_, T>) + Sync,
) {
    let parts: Vec<_> = output.axis_chunks_iter_mut(Axis(0), BLOCK).collect();
    parts.into_par_iter().enumerate().for_each(|(index, part)| {
        let begin = index * BLOCK;
        work(begin..begin + part.nrows(), part);
    });
}
