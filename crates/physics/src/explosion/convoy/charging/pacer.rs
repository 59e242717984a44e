//! The steps of the lanes from one to the next, which end at a kink of the charges.

use pulp::Simd;

use super::step::{Outlook, Stride, Ticking};
use crate::explosion::convoy::step::{Flight, step_factor};
use crate::explosion::simd::{Lanes, Mask};

/// The steps of the lanes from one to the next.
pub(super) struct Pacer<S: Simd> {
    /// The next step in s; 0 for an event that has not begun.
    pub(super) h: Lanes<S>,
    /// 1 where the next step must end at the kink.
    must_stop: Lanes<S>,
    kink: Option<f64>,
}

impl<S: Simd> Pacer<S> {
    pub(super) fn new(simd: S, kink: Option<f64>) -> Self {
        let zero = Lanes::splat(simd, 0.0);
        Self { h: zero, must_stop: zero, kink }
    }

    /// A new event begins in the lane.
    #[inline(always)]
    pub(super) fn begin(&mut self, lane: usize) {
        self.h.set(lane, 0.0);
        self.must_stop.set(lane, 0.0);
    }

    /// The next step. Where it is one in time, the derivatives in stage 0 become such.
    #[inline(always)]
    pub(super) fn next<const M: usize>(
        &mut self,
        simd: S,
        others: usize,
        first_step: Lanes<S>,
        outlook: &Outlook<S>,
        flight: &mut Flight<S, M>,
        ticking: &mut Ticking<S>,
    ) -> Stride<S> {
        let (zero, one) = (Lanes::splat(simd, 0.0), Lanes::splat(simd, 1.0));
        let survey = &outlook.survey;
        let first = first_step * survey.natural_step;
        self.h = self.h.greater(zero).select(self.h, first).min(survey.longest_step);
        let Some(kink) = self.kink else {
            return Stride { h: self.h, in_time: zero.greater(one) };
        };
        let left = Lanes::splat(simd, kink) - ticking.clock[0];
        let reach = self.must_stop.greater(zero).select(zero, left * outlook.potential);
        let in_time = left.greater(zero).and(self.h.greater(reach));
        let factor = in_time.select(outlook.potential, one);
        for j in 0..others {
            for c in 0..6 {
                flight.stages[0][j][c] = flight.stages[0][j][c] * factor;
            }
        }
        for c in 0..2 {
            ticking.stages[0][c] = ticking.stages[0][c] * factor;
        }
        Stride { h: in_time.select(left, self.h), in_time }
    }

    /// Whether the step that was tried is accepted; prepares the one after it.
    #[inline(always)]
    pub(super) fn judge(
        &mut self,
        simd: S,
        stride: Stride<S>,
        error_2: Lanes<S>,
        outlook: &Outlook<S>,
        ticking: &mut Ticking<S>,
    ) -> Mask<S> {
        let (zero, one) = (Lanes::splat(simd, 0.0), Lanes::splat(simd, 1.0));
        let sound = one.greater(error_2);
        let factor = step_factor(simd, error_2);
        let Some(kink) = self.kink else {
            self.h = self.h * factor;
            return sound;
        };
        let kink = Lanes::splat(simd, kink);
        let beyond = ticking.argument[0].greater(kink).select(one, zero);
        let crosses = kink.greater(ticking.clock[0]).select(beyond, zero);
        let crosses = stride.in_time.select(zero, crosses);
        self.must_stop = sound.select(crosses, zero);
        ticking.argument[0] = stride.in_time.select(kink, ticking.argument[0]);
        let tried = stride.in_time.select(stride.h * outlook.potential, self.h) * factor;
        // A step that was cut short says little about the next.
        let cut = stride.in_time.select(self.h.max(tried), tried);
        let next = self.must_stop.greater(zero).select(self.h, cut);
        self.h = sound.select(next, tried);
        one.greater(crosses).and(sound)
    }
}
