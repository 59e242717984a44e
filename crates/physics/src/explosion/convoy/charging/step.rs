//! One step of explosions whose charges take time, the clock beside the state.

use pulp::Simd;

use super::charges::{Charges, Clock};
use crate::explosion::convoy::relative_ions::RelativeIons;
use crate::explosion::convoy::step::{
    Flight, Forces, State, Survey, dot, moved, separation, weighted,
};
use crate::explosion::scales::Scales;
use crate::explosion::simd::{Lanes, Mask};
use crate::explosion::tableau::{A, B, B_3, ERROR_5, Row, STAGES};

/// The scales of the events in the lanes.
pub(super) struct LaneScales<S: Simd> {
    time: Lanes<S>,
    progress: Lanes<S>,
    momentum_2: Lanes<S>,
}

impl<S: Simd> LaneScales<S> {
    pub(super) fn new(simd: S) -> Self {
        let one = Lanes::splat(simd, 1.0);
        Self { time: one, progress: one, momentum_2: one }
    }

    pub(super) fn set(&mut self, lane: usize, scales: Scales) {
        self.time.set(lane, scales.time);
        self.progress.set(lane, scales.progress);
        self.momentum_2.set(lane, scales.momentum * scales.momentum);
    }
}

/// The derivatives of state and clock by s, or by time in lanes of `in_time`.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "state and clock, and the derivatives of both")]
pub(super) fn slope<S: Simd, const M: usize, const EXACT: bool>(
    simd: S,
    ions: &RelativeIons<M, EXACT>,
    charges: &Charges<M>,
    in_time: Mask<S>,
    (state, clock): (&State<S, M>, &Clock<S>),
    (slope, clock_slope): (&mut State<S, M>, &mut Clock<S>),
) {
    let splat = |value| Lanes::splat(simd, value);
    let one = splat(1.0);
    let (charge, of_reference) = charges.charges(simd, ions.others(), clock);
    let mut forces = Forces::<S, M>::none(simd);
    let mut potential = splat(0.0);
    for j in 0..ions.others() {
        for i in 0..=j {
            let d = separation(state, j, i, 0);
            let closeness = dot(d, d).inverse_sqrt();
            potential = splat(ions.pairs[j][i].strength).mul_add(closeness, potential);
            let partner = if i == j { of_reference } else { charge[i] };
            forces.add(j, i, d, charge[j] * partner * closeness, closeness);
        }
    }
    forces.potential = in_time.select(one, potential);
    forces.slope(simd, ions, state, slope);
    let pace = one / forces.potential;
    let [time, passed] = charges.ticking(simd, clock);
    *clock_slope = [time * pace, passed * pace];
}

/// What the step control reads off a state.
pub(super) struct Outlook<S: Simd> {
    pub(super) survey: Survey<S>,
    /// V.
    pub(super) potential: Lanes<S>,
    /// 1 / (allowed error of the clock for a tolerance of 1).
    clock_scale: Clock<S>,
}

/// Fills the derivatives in stage 0, by s.
#[inline(always)]
pub(super) fn survey<S: Simd, const M: usize, const EXACT: bool>(
    simd: S,
    ions: &RelativeIons<M, EXACT>,
    charges: &Charges<M>,
    tail: f64,
    scales: &LaneScales<S>,
    flight: &mut Flight<S, M>,
    ticking: &mut Ticking<S>,
) -> Outlook<S> {
    let splat = |value| Lanes::splat(simd, value);
    let (zero, one) = (splat(0.0), splat(1.0));
    let (state, clock) = (&flight.state, &ticking.clock);
    let (charge, of_reference) = charges.charges(simd, ions.others(), clock);
    let mut forces = Forces::<S, M>::none(simd);
    let (mut potential, mut kinetic, mut closest, mut approach) = (zero, zero, zero, zero);
    let mut momentum_2 = scales.momentum_2;
    let quickness = one / charges.time_scale(simd, clock);
    let mut rate_2 = quickness * quickness;
    let mut apart = clock[0].greater(charges.complete_at(simd, clock) * splat(1.0 - 1e-12));
    for j in 0..ions.others() {
        for i in 0..=j {
            let pair = &ions.pairs[j][i];
            let (d, w) = (separation(state, j, i, 0), separation(state, j, i, 3));
            let closeness = dot(d, d).inverse_sqrt();
            let closeness_2 = closeness * closeness;
            let full = splat(pair.strength) * closeness;
            let partner = if i == j { of_reference } else { charge[i] };
            let now = charge[j] * partner * closeness;
            let (speed_2, outward) = (dot(w, w), dot(d, w));
            forces.add(j, i, d, now, closeness);
            potential = potential + full;
            kinetic = splat(pair.kinetic).mul_add(speed_2, kinetic);
            closest = closest.max(closeness);
            let mu = splat(pair.reduced_mass);
            momentum_2 = momentum_2.max(mu * (mu * speed_2 + splat(2.0) * now));
            let falling = splat(0.5 / pair.reduced_mass) * full * closeness_2;
            rate_2 = rate_2.max(falling).max(speed_2 * closeness_2);
            approach = approach.max((zero - outward) * closeness_2);
            let allowed = splat(0.5 * tail * pair.reduced_mass) * speed_2;
            apart = apart.and(outward.greater(zero)).and(allowed.greater(full));
        }
    }
    forces.potential = potential;
    forces.slope(simd, ions, state, &mut flight.stages[0]);
    let pace = one / potential;
    let [time, passed] = charges.ticking(simd, clock);
    ticking.stages[0] = [time * pace, passed * pace];
    let relaxed = potential / (potential + kinetic);
    Outlook {
        survey: Survey {
            position_scale: closest * relaxed,
            momentum_scale_2: one / momentum_2,
            natural_step: potential / rate_2.sqrt(),
            longest_step: approach
                .greater(zero)
                .select(splat(0.5) * potential / approach, splat(f64::INFINITY)),
            apart,
        },
        potential,
        clock_scale: [relaxed / clock[0].max(scales.time), relaxed / scales.progress],
    }
}

/// How far a step goes: in s, or in time up to the kink.
#[derive(Clone, Copy)]
pub(super) struct Stride<S: Simd> {
    pub(super) h: Lanes<S>,
    pub(super) in_time: Mask<S>,
}

/// Tries a step from `state` and `clock` and their derivatives in stage 0. Leaves its end in the arguments; returns
/// the square of its error in units of the allowed one.
#[inline(always)]
pub(super) fn attempt<S: Simd, const M: usize, const EXACT: bool>(
    simd: S,
    ions: &RelativeIons<M, EXACT>,
    charges: &Charges<M>,
    tolerance: f64,
    (flight, ticking): (&mut Flight<S, M>, &mut Ticking<S>),
    outlook: &Outlook<S>,
    stride: Stride<S>,
) -> Lanes<S> {
    let Stride { h, in_time } = stride;
    let Flight { state, stages, argument } = flight;
    let Ticking { clock, stages: clock_stages, argument: clock_argument } = ticking;
    for (row, stage) in A.iter().zip(1..) {
        moved(simd, ions.others(), state, stages, row, h, argument);
        *clock_argument = Ticking::moved(simd, clock, clock_stages, row, h);
        let slopes = (&mut stages[stage], &mut clock_stages[stage]);
        slope(simd, ions, charges, in_time, (argument, clock_argument), slopes);
    }
    moved(simd, ions.others(), state, stages, B, h, argument);
    *clock_argument = Ticking::moved(simd, clock, clock_stages, B, h);
    let zero = Lanes::splat(simd, 0.0);
    let (mut square_5, mut square_3) = (zero, zero);
    let survey = &outlook.survey;
    for j in 0..ions.others() {
        let order_5 = weighted(simd, stages, ERROR_5, j);
        let order_8 = weighted(simd, stages, B, j);
        let order_3 = weighted(simd, stages, B_3, j);
        let (mut ion_5, mut ion_3) = ([zero; 2], [zero; 2]);
        for c in 0..6 {
            let error_3 = order_8[c] - order_3[c];
            ion_5[c / 3] = order_5[c].mul_add(order_5[c], ion_5[c / 3]);
            ion_3[c / 3] = error_3.mul_add(error_3, ion_3[c / 3]);
        }
        let of_position = survey.position_scale * survey.position_scale;
        let mass = ions.masses[j];
        let of_velocity = survey.momentum_scale_2 * Lanes::splat(simd, mass * mass);
        square_5 = of_position.mul_add(ion_5[0], of_velocity.mul_add(ion_5[1], square_5));
        square_3 = of_position.mul_add(ion_3[0], of_velocity.mul_add(ion_3[1], square_3));
    }
    let order_5 = Ticking::weighted(simd, clock_stages, ERROR_5);
    let order_8 = Ticking::weighted(simd, clock_stages, B);
    let order_3 = Ticking::weighted(simd, clock_stages, B_3);
    for c in 0..2 {
        let scale_2 = outlook.clock_scale[c] * outlook.clock_scale[c];
        let error_3 = order_8[c] - order_3[c];
        square_5 = (scale_2 * order_5[c]).mul_add(order_5[c], square_5);
        square_3 = (scale_2 * error_3).mul_add(error_3, square_3);
    }
    // As the parent's.
    let combined = Lanes::splat(simd, 0.01).mul_add(square_3, square_5);
    let scale = Lanes::splat(simd, 1.0 / ((6 * ions.others()) as f64 * tolerance * tolerance));
    let tiny = Lanes::splat(simd, f64::MIN_POSITIVE);
    (h * h * square_5) * (square_5 / combined.max(tiny)) * scale
}

/// What belongs to the clock beside a [`Flight`].
#[repr(C, align(64))]
pub(super) struct Ticking<S: Simd> {
    pub(super) clock: Clock<S>,
    pub(super) stages: [Clock<S>; STAGES],
    pub(super) argument: Clock<S>,
}

impl<S: Simd> Ticking<S> {
    pub(super) fn new(simd: S) -> Self {
        let zero = [Lanes::splat(simd, 0.0); 2];
        Self { clock: zero, stages: [zero; STAGES], argument: zero }
    }

    /// `sum_i w_i k_i`.
    #[inline(always)]
    pub(super) fn weighted(simd: S, stages: &[Clock<S>; STAGES], weights: Row) -> Clock<S> {
        let mut sum = [Lanes::splat(simd, 0.0); 2];
        for &(stage, weight) in weights {
            let weight = Lanes::splat(simd, weight);
            for c in 0..2 {
                sum[c] = weight.mul_add(stages[stage][c], sum[c]);
            }
        }
        sum
    }

    /// `clock + h sum_i w_i k_i`.
    #[inline(always)]
    pub(super) fn moved(
        simd: S,
        clock: &Clock<S>,
        stages: &[Clock<S>; STAGES],
        weights: Row,
        h: Lanes<S>,
    ) -> Clock<S> {
        let [time, passed] = Self::weighted(simd, stages, weights);
        [h.mul_add(time, clock[0]), h.mul_add(passed, clock[1])]
    }
}
