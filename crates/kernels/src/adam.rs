//! Adam (Kingma & Ba 2015) with decoupled weight decay (Loshchilov & Hutter 2019) on stretches of a
//! flat parameter vector, in one pass, the clip of the global gradient norm included; on weights, where it is asked for, Muon.
//!
//! ```text
//! m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2
//! theta = keep theta - rate m / (root sqrt(v) + eps)
//! ```

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::level::Level;
use crate::muon::{MuonFactors, MuonMemory, Orthogonal};
use crate::norm::NEAR;
use crate::parallel::{Gradient, Pool, Shard, add_up};
use crate::team::Team;

/// Numbers that one thread takes at a time.
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
    factors: AdamFactors,
    /// The terms of the gradient, of all parameters.
    gradient: &'a [Shard],
    /// Where the stretch begins in them.
    begin: usize,
    first: &'a mut [f32],
    second: &'a mut [f32],
    /// What weights are moved by instead.
    pub(crate) muon: Option<Muon<'a>>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Muon<'a> {
    factors: MuonFactors,
    pool: &'a Pool<Orthogonal>,
    /// Those of all weights, where processes have shared the work; otherwise empty.
    directions: &'a [f32],
}

impl<'a> AdamStep<'a> {
    /// The step of all parameters against the `gradient` with respect to them, with their `first` and
    /// `second` moments.
    pub fn new(
        factors: AdamFactors,
        gradient: &'a Gradient,
        first: &'a mut [f32],
        second: &'a mut [f32],
    ) -> Self {
        Self { factors, gradient: gradient.parts(), begin: 0, first, second, muon: None }
    }

    /// The step with Muon's in its place where [`Self::apply_to_weight`] is called: there the first moment is the momentum, and
    /// the second one stays as it is.
    pub fn with_muon(self, factors: MuonFactors, memory: &'a MuonMemory) -> Self {
        Self { muon: Some(Muon { factors, pool: &memory.pool, directions: &[] }), ..self }
    }

    /// The same, with the same bits, where the processes of a `team` take this step of all parameters together: each finds the
    /// directions of some of the `weights` (place among the parameters, inputs and outputs; in their order).
    ///
    /// # Panics
    /// If a weight is not among the parameters.
    pub fn with_shared_muon(
        self,
        factors: MuonFactors,
        memory: &'a mut MuonMemory,
        weights: &[(usize, [usize; 2])],
        team: &Team,
    ) -> Self {
        let MuonMemory { pool, directions } = memory;
        directions.resize(self.first.len(), 0.0);
        let shares = shares(weights, team.size());
        let stretches: Vec<Range<usize>> =
            shares.iter().map(|own| stretch(&weights[own.clone()])).collect();
        let mut own: Vec<(usize, [usize; 2], &mut [f32])> = Vec::new();
        let (mut rest, mut begin) = (&mut directions[..], 0);
        for &(place, shape) in &weights[shares[team.rank()].clone()] {
            let (weight, others) = rest.split_at_mut(place - begin + shape[0] * shape[1]);
            own.push((place, shape, &mut weight[place - begin..]));
            (begin, rest) = (place + shape[0] * shape[1], others);
        }
        let (level, whole) = (Level::best(), &self);
        own.into_par_iter().for_each(|(place, shape, direction)| {
            pool.with(|memory| {
                let mut momentum = std::mem::take(&mut memory.momentum);
                momentum.clear();
                momentum.extend(&whole.first[place..][..direction.len()]);
                let of_weight = AdamStep {
                    begin: whole.begin + place,
                    first: &mut momentum,
                    second: &mut [],
                    ..*whole
                };
                of_weight.momentum(level, factors.momentum, direction);
                memory.orthogonalise(level, direction, shape);
                memory.momentum = momentum;
            });
        });
        team.gather(directions, &stretches);
        Self { muon: Some(Muon { factors, pool, directions }), ..self }
    }

    /// The steps of the first `length` parameters and of the others.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn split_at(self, length: usize) -> (Self, Self) {
        let Self { factors, gradient, begin, first, second, muon } = self;
        let (first, other_first) = first.split_at_mut(length);
        let (second, other_second) = second.split_at_mut(length);
        let rest = begin + length;
        (
            Self { factors, gradient, begin, first, second, muon },
            Self { first: other_first, second: other_second, factors, gradient, begin: rest, muon },
        )
    }

    /// Takes the step of the first `length` parameters out of the front.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn split_off(&mut self, length: usize) -> AdamStep<'a> {
        let empty = Self { first: &mut [], second: &mut [], ..*self };
        let (front, rest) = std::mem::replace(self, empty).split_at(length);
        *self = rest;
        front
    }

    /// Moves `parameters` against the gradient and updates both moments, on this thread.
    ///
    /// # Panics
    /// If there are not as many.
    pub fn apply(self, level: Level, parameters: &mut [f32]) {
        let Self { factors, gradient, begin, first, second, .. } = self;
        assert!([first.len(), second.len()] == [parameters.len(); 2], "one number a parameter");
        let mut sum = [0.0; NEAR];
        let moments = first.chunks_mut(NEAR).zip(second.chunks_mut(NEAR));
        for (index, (parameters, (first, second))) in
            parameters.chunks_mut(NEAR).zip(moments).enumerate()
        {
            let sum = &mut sum[..parameters.len()];
            let gradient = sum_at(level, gradient, begin + index * NEAR, sum);
            level.run(Step { factors, parameters, gradient, first, second });
        }
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

    /// Moves `weight` (`shape`: inputs x outputs, row-major) against the gradient, by Muon where the step is one with it, and
    /// updates both moments, on this thread.
    ///
    /// # Panics
    /// If it has not as many numbers as the shape and the step say.
    pub fn apply_to_weight(self, level: Level, shape: [usize; 2], weight: &mut [f32]) {
        assert!(weight.len() == shape[0] * shape[1], "the shape of the weight");
        match self.muon {
            Some(muon) if !weight.is_empty() => {
                muon.pool.with(|memory| self.muon_step(level, muon, shape, memory, weight));
            }
            _ => self.apply(level, weight),
        }
    }

    fn muon_step(
        self,
        level: Level,
        Muon { factors, directions, .. }: Muon<'_>,
        shape: [usize; 2],
        memory: &mut Orthogonal,
        weight: &mut [f32],
    ) {
        let mut direction = std::mem::take(&mut memory.values);
        direction.resize(weight.len(), 0.0);
        let begin = self.begin;
        let keep = self.momentum(level, factors.momentum, &mut direction);
        if directions.is_empty() {
            memory.orthogonalise(level, &mut direction, shape);
        } else {
            direction.copy_from_slice(&directions[begin..][..weight.len()]);
        }
        // The numbers of a matrix with orthonormal rows or columns have the root mean square `1 / sqrt(longer side)`.
        let rate = factors.rate * (shape[0].max(shape[1]) as f32).sqrt();
        for (weight, direction) in weight.iter_mut().zip(&direction) {
            *weight = keep * *weight - rate * direction;
        }
        memory.values = direction;
    }

    /// Adds the gradient to the first moment `M`, as `M = decay M + G`, and writes `G + decay M` to `direction`; gives the
    /// factor that weights keep.
    ///
    /// # Panics
    /// If there are not as many numbers.
    fn momentum(self, level: Level, decay: f32, direction: &mut [f32]) -> f32 {
        let Self { factors, gradient, begin, first, .. } = self;
        assert!(first.len() == direction.len(), "one number a parameter");
        let mut sum = [0.0; NEAR];
        let stretches = direction.chunks_mut(NEAR).zip(first.chunks_mut(NEAR)).enumerate();
        for (index, (direction, first)) in stretches {
            let sum = &mut sum[..direction.len()];
            let gradient = sum_at(level, gradient, begin + index * NEAR, sum);
            for ((direction, moment), g) in direction.iter_mut().zip(first).zip(gradient) {
                let g = g * factors.clip;
                *moment = decay * *moment + g;
                *direction = g + decay * *moment;
            }
        }
        factors.keep
    }
}

/// Which of the weights are those of each process, one after another: as nearly as they come to parts of one cost.
fn shares(weights: &[(usize, [usize; 2])], processes: usize) -> Vec<Range<usize>> {
    let cost = |(_, [rows, columns]): &(usize, [usize; 2])| rows * columns * rows.min(columns);
    let total: usize = weights.iter().map(cost).sum();
    let (mut end, mut spent) = (0, 0);
    (1..=processes)
        .map(|process| {
            let begin = end;
            while end < weights.len()
                && (2 * spent + cost(&weights[end])) * processes <= 2 * process * total
            {
                spent += cost(&weights[end]);
                end += 1;
            }
            begin..end
        })
        .collect()
}

/// The places of the weights, from the first to the last.
fn stretch(weights: &[(usize, [usize; 2])]) -> Range<usize> {
    let (Some((first, _)), Some((last, [rows, columns]))) = (weights.first(), weights.last())
    else {
        return 0..0;
    };
    *first..last + rows * columns
}

/// The gradient from place `begin` on, as long as `sum`, where its terms are added up if there are several.
fn sum_at<'a>(level: Level, gradient: &'a [Shard], begin: usize, sum: &'a mut [f32]) -> &'a [f32] {
    if let [whole] = gradient {
        return &whole.gradient()[begin..][..sum.len()];
    }
    add_up(level, gradient, begin, sum);
    sum
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Two steps by hand of a weight of one number: only the sign of its direction is of the gradient.
    #[test]
    fn the_momentum_decides_the_direction() {
        let orthogonal = |sign: f32| {
            let mut value = [sign];
            Orthogonal::default().orthogonalise(Level::best(), &mut value, [1, 1]);
            value[0]
        };
        let (mut first, mut second, mut theta) = ([0.0], [0.25], [2.0]);
        let factors = AdamFactors {
            first: 0.9,
            second: 0.999,
            epsilon: 1e-8,
            rate: 0.0,
            root: 1.0,
            keep: 0.5,
            clip: 0.5,
        };
        let mut step = |value: f32, theta: &mut [f32; 1]| {
            let mut gradient = Gradient::default();
            gradient.whole(1)[0] = value;
            let muon = MuonFactors { momentum: 0.5, rate: 0.1 };
            let memory = MuonMemory::default();
            let step = AdamStep::new(factors, &gradient, &mut first, &mut second);
            step.with_muon(muon, &memory).apply_to_weight(Level::best(), [1, 1], theta);
            (first[0], second[0])
        };
        // M = 2 (the clip halves 4), and the weight is halved before the step.
        assert_eq!(step(4.0, &mut theta), (2.0, 0.25));
        assert_eq!(theta[0], 0.5 * 2.0 - 0.1 * orthogonal(1.0));
        // M = 0.5 * 2 - 1.5 = -0.5 and U = -1.5 - 0.25.
        let before = theta[0];
        assert_eq!(step(-3.0, &mut theta), (-0.5, 0.25));
        assert_eq!(theta[0], 0.5 * before - 0.1 * orthogonal(-1.0));
    }
}
