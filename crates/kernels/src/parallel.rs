//! Work split over threads such that no result depends on their number: the rows of a batch form
//! shards that follow from the batch alone, and what the shards give is added in their order.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ndarray::{ArrayViewMut2, Axis};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::level::Level;
use crate::norm::{NEAR, Squares, norm_of_stretches};
use crate::team::Team;

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

/// The gradient of the loss of a batch: the sum of those of its shards, which are added up in their order
/// where the sum is needed, so that it need not be kept. Its memory is used again by the next batch.
///
/// Where processes share the batch, each has some of the shards, and the sum is made at once.
#[derive(Debug, Default)]
pub struct Gradient {
    team: Team,
    shards: Vec<Shard>,
    /// Shards of this batch.
    count: usize,
    /// The sum, where processes share the batch.
    total: Option<Shard>,
}

#[derive(Debug, Default)]
pub(crate) struct Shard {
    gradient: Vec<f32>,
    sums: Vec<f64>,
}

impl Gradient {
    /// That of batches that are shared by the processes of a team, which all compute it.
    pub fn shared(team: Team) -> Self {
        let total = (team.size() > 1).then(Shard::default);
        Self { team, total, ..Self::default() }
    }

    /// Who shares the batches.
    pub fn team(&self) -> &Team {
        &self.team
    }

    /// Room for a gradient of `parameters` numbers that is not made in shards; they are not specified.
    pub fn whole(&mut self, parameters: usize) -> &mut [f32] {
        self.begin(1, parameters);
        match &mut self.total {
            Some(total) => {
                total.gradient.resize(parameters, 0.0);
                &mut total.gradient
            }
            None => &mut self.shards[0].gradient,
        }
    }

    /// Runs `work` on tiles of the `rows` of a batch, in parallel, and adds up what it gives:
    /// the gradients of `parameters` numbers here, other sums in `sums`.
    ///
    /// `work` gets the rows of a tile, where to write its gradient, whether to add it to what is
    /// there, and sums to add to.
    pub fn accumulate(
        &mut self,
        rows: usize,
        parameters: usize,
        sums: &mut [f64],
        work: impl Fn(Range<usize>, &mut [f32], bool, &mut [f64]) + Sync,
    ) {
        let (count, size) = shards(rows);
        let own = self.team.share(count);
        self.begin(own.len(), parameters);
        let shards = &mut self.shards[..own.len()];
        let meeting = Meeting::of(own.len());
        shards.par_iter_mut().zip(own).for_each(|(shard, index)| {
            meeting.begin();
            shard.sums.clear();
            shard.sums.resize(sums.len(), 0.0);
            let end = rows.min((index + 1) * size);
            for begin in (index * size..end).step_by(TILE) {
                let add = begin > index * size;
                let tile = begin..end.min(begin + TILE);
                work(tile, &mut shard.gradient, add, &mut shard.sums);
            }
            meeting.end();
        });
        sums.fill(0.0);
        self.team.add_in_order(sums, |range, sums, _| {
            for shard in &*shards {
                for (sum, term) in sums.iter_mut().zip(&shard.sums[range.clone()]) {
                    *sum += term;
                }
            }
        });
        if let Some(total) = &mut self.total {
            total.gradient.resize(parameters, 0.0);
            self.team.add_in_order(&mut total.gradient, |range, total, onto| {
                let chunks = total.par_chunks_mut(CHUNK).enumerate();
                chunks.for_each(|(index, total)| {
                    let begin = range.start + index * CHUNK;
                    Level::best().run(AddUp { shards, begin, total, onto });
                });
            });
        }
    }

    /// The sum.
    pub fn total(&self) -> Vec<f32> {
        let mut total = vec![0.0; self.parts().first().map_or(0, |shard| shard.gradient.len())];
        let chunks = total.par_chunks_mut(CHUNK).enumerate();
        chunks.for_each(|(index, total)| add_up(Level::best(), self.parts(), index * CHUNK, total));
        total
    }

    /// The Euclidean norm of the sum, itself summed in f64.
    pub fn norm(&self, level: Level) -> f64 {
        let parameters = self.parts().first().map_or(0, |shard| shard.gradient.len());
        norm_of_stretches(parameters, |begin, length, squares| {
            let mut total = [0.0; NEAR];
            let total = &mut total[..length];
            add_up(level, self.parts(), begin, total);
            level.run(Squares { values: total, sums: squares });
        })
    }

    /// Its terms.
    pub(crate) fn parts(&self) -> &[Shard] {
        match &self.total {
            Some(total) => std::slice::from_ref(total),
            None => &self.shards[..self.count],
        }
    }

    fn begin(&mut self, count: usize, parameters: usize) {
        if self.shards.len() < count {
            self.shards.resize_with(count, Shard::default);
        }
        self.count = count;
        for shard in &mut self.shards[..count] {
            shard.gradient.resize(parameters, 0.0);
        }
    }
}

/// Keeps the threads awake that are done a little before the last: there is more to do at once, and to wake
/// a thread takes as long as a tenth of a small model's step.
struct Meeting {
    parts: usize,
    begun: AtomicUsize,
    ended: AtomicUsize,
}

/// Longest that a thread waits for the others without sleeping.
const AWAKE: Duration = Duration::from_micros(100);

impl Meeting {
    fn of(parts: usize) -> Self {
        Self { parts, begun: AtomicUsize::new(0), ended: AtomicUsize::new(0) }
    }

    fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends a part; where no other is left to begin, waits for those under way.
    fn end(&self) {
        let mut ended = self.ended.fetch_add(1, Ordering::Relaxed) + 1;
        if self.begun.load(Ordering::Relaxed) < self.parts {
            return;
        }
        let since = Instant::now();
        while ended < self.parts && since.elapsed() < AWAKE {
            std::hint::spin_loop();
            ended = self.ended.load(Ordering::Relaxed);
        }
    }
}

/// Runs `work` on tiles of the `rows` of a batch, which the processes of `team` share, in parallel: it adds to sums, which are
/// added up in `sums`.
pub fn sum_over_tiles(
    team: &Team,
    rows: usize,
    sums: &mut [f64],
    work: impl Fn(Range<usize>, &mut [f64]) + Sync,
) {
    Gradient::shared(team.clone()).accumulate(rows, 0, sums, |tile, _, _, sums| work(tile, sums));
}

/// Writes the sum of the gradients of `shards`, from place `begin` on, to `total`.
pub(crate) fn add_up(level: Level, shards: &[Shard], begin: usize, total: &mut [f32]) {
    level.run(AddUp { shards, begin, total, onto: false });
}

impl Shard {
    /// Its gradient.
    pub(crate) fn gradient(&self) -> &[f32] {
        &self.gradient
    }
}

/// `total = g1 + g2 + ...` from place `begin` on, or `total = total + g1 + g2 + ...`.
struct AddUp<'a> {
    shards: &'a [Shard],
    begin: usize,
    total: &'a mut [f32],
    onto: bool,
}

impl WithSimd for AddUp<'_> {
    type Output = ();

    /// Plain loops, which the compiler turns into vectors of the instruction set at hand.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self { shards, begin, total, onto } = self;
        let part = begin..begin + total.len();
        let rest = match shards {
            all if onto => all,
            [] => return total.fill(0.0),
            [first, rest @ ..] => {
                total.copy_from_slice(&first.gradient[part.clone()]);
                rest
            }
        };
        for shard in rest {
            for (total, term) in total.iter_mut().zip(&shard.gradient[part.clone()]) {
                *total += *term;
            }
        }
    }
}

/// How many shards the `rows` of a batch form: no more threads and processes than these have something to do.
pub fn shards_of(rows: usize) -> usize {
    shards(rows).0
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
