//! One step of many explosions: their derivatives by s, what the step control reads off, and the attempt of a step.

use pulp::Simd;

use super::relative_ions::RelativeIons;
use crate::explosion::simd::{Lanes, Mask};
use crate::explosion::tableau::{A, B, B_3, ERROR_5, Row, STAGES};

/// `(x, w)` of every ion but the reference, or their derivatives.
pub(super) type State<S, const M: usize> = [[Lanes<S>; 6]; M];

/// Forces on every ion but the reference, and the potential energy.
pub(super) struct Forces<S: Simd, const M: usize> {
    pub(super) forces: [[Lanes<S>; 3]; M],
    pub(super) potential: Lanes<S>,
}

impl<S: Simd, const M: usize> Forces<S, M> {
    #[inline(always)]
    pub(super) fn none(simd: S) -> Self {
        let zero = Lanes::splat(simd, 0.0);
        Self { forces: [[zero; 3]; M], potential: zero }
    }

    /// Adds what the pair `[j][i]` does. `d` points to j; `closeness` is 1 / r.
    #[inline(always)]
    pub(super) fn add(
        &mut self,
        j: usize,
        i: usize,
        d: [Lanes<S>; 3],
        potential: Lanes<S>,
        closeness: Lanes<S>,
    ) {
        self.potential = self.potential + potential;
        let factor = potential * (closeness * closeness);
        for axis in 0..3 {
            self.forces[j][axis] = factor.mul_add(d[axis], self.forces[j][axis]);
            if i != j {
                self.forces[i][axis] = factor.negative_mul_add(d[axis], self.forces[i][axis]);
            }
        }
    }

    /// The derivative of the state by s.
    #[inline(always)]
    pub(super) fn slope<const EXACT: bool>(
        &self,
        simd: S,
        ions: &RelativeIons<M, EXACT>,
        state: &State<S, M>,
        slope: &mut State<S, M>,
    ) {
        let pace = Lanes::splat(simd, 1.0) / self.potential;
        for axis in 0..3 {
            let mut sum = self.forces[0][axis];
            for force in &self.forces[1..ions.others()] {
                sum = sum + force[axis];
            }
            let of_reference = sum * (pace * Lanes::splat(simd, 1.0 / ions.reference_mass));
            for j in 0..ions.others() {
                let inverse_mass = pace * Lanes::splat(simd, 1.0 / ions.masses[j]);
                slope[j][axis] = state[j][3 + axis] * pace;
                slope[j][3 + axis] = self.forces[j][axis].mul_add(inverse_mass, of_reference);
            }
        }
    }
}

/// What the step control reads off a state.
#[derive(Clone, Copy)]
pub(super) struct Survey<S: Simd> {
    /// 1 / (allowed position error for a tolerance of 1).
    pub(super) position_scale: Lanes<S>,
    /// 1 / (allowed momentum error for a tolerance of 1), squared.
    pub(super) momentum_scale_2: Lanes<S>,
    /// The step in s that is one shortest time scale of any pair.
    pub(super) natural_step: Lanes<S>,
    /// The longest step in s that approaching pairs allow.
    pub(super) longest_step: Lanes<S>,
    /// Every pair recedes with its potential energy below the tail.
    pub(super) apart: Mask<S>,
}

/// The separation of pair `[j][i]`: components `from..from + 3` of ion j minus those of ion i or, if i is j, of
/// the reference.
#[inline(always)]
pub(super) fn separation<S: Simd, const M: usize>(
    state: &State<S, M>,
    j: usize,
    i: usize,
    from: usize,
) -> [Lanes<S>; 3] {
    let of = |ion: usize| [state[ion][from], state[ion][from + 1], state[ion][from + 2]];
    if i == j {
        return of(j);
    }
    let (a, b) = (of(j), of(i));
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

#[inline(always)]
pub(super) fn dot<S: Simd>(a: [Lanes<S>; 3], b: [Lanes<S>; 3]) -> Lanes<S> {
    a[0].mul_add(b[0], a[1].mul_add(b[1], a[2] * b[2]))
}

/// The forces of ions at the positions of a state.
#[inline(always)]
fn forces<S: Simd, const M: usize, const EXACT: bool>(
    simd: S,
    ions: &RelativeIons<M, EXACT>,
    state: &State<S, M>,
) -> Forces<S, M> {
    let mut forces = Forces::<S, M>::none(simd);
    for j in 0..ions.others() {
        for i in 0..=j {
            let d = separation(state, j, i, 0);
            let closeness = dot(d, d).inverse_sqrt();
            let potential = Lanes::splat(simd, ions.pairs[j][i].strength) * closeness;
            forces.add(j, i, d, potential, closeness);
        }
    }
    forces
}

#[inline(always)]
pub(super) fn survey<S: Simd, const M: usize, const EXACT: bool>(
    simd: S,
    ions: &RelativeIons<M, EXACT>,
    tail: f64,
    state: &State<S, M>,
    slope: &mut State<S, M>,
) -> Survey<S> {
    let splat = |value| Lanes::splat(simd, value);
    let (zero, one) = (splat(0.0), splat(1.0));
    let mut forces = Forces::<S, M>::none(simd);
    let mut kinetic = zero;
    let (mut closest, mut momentum_2, mut rate_2, mut approach) = (zero, zero, zero, zero);
    let mut apart = one.greater(zero);
    for j in 0..ions.others() {
        for i in 0..=j {
            let pair = &ions.pairs[j][i];
            let (d, w) = (separation(state, j, i, 0), separation(state, j, i, 3));
            let closeness = dot(d, d).inverse_sqrt();
            let closeness_2 = closeness * closeness;
            let potential = splat(pair.strength) * closeness;
            let (speed_2, outward) = (dot(w, w), dot(d, w));
            forces.add(j, i, d, potential, closeness);
            kinetic = splat(pair.kinetic).mul_add(speed_2, kinetic);
            closest = closest.max(closeness);
            let mu = splat(pair.reduced_mass);
            momentum_2 = momentum_2.max(mu * (mu * speed_2 + splat(2.0) * potential));
            // (1 / time scale)^2 of falling and of flying by.
            let falling = splat(0.5 / pair.reduced_mass) * potential * closeness_2;
            rate_2 = rate_2.max(falling).max(speed_2 * closeness_2);
            approach = approach.max((zero - outward) * closeness_2);
            let allowed = splat(0.5 * tail * pair.reduced_mass) * speed_2;
            apart = apart.and(outward.greater(zero)).and(allowed.greater(potential));
        }
    }
    let potential = forces.potential;
    forces.slope(simd, ions, state, slope);
    Survey {
        position_scale: closest * (potential / (potential + kinetic)),
        momentum_scale_2: one / momentum_2,
        natural_step: potential / rate_2.sqrt(),
        longest_step: approach
            .greater(zero)
            .select(splat(0.5) * potential / approach, splat(f64::INFINITY)),
        apart,
    }
}

/// Where a trajectory is and what a step of it needs. Aligned to a cache line, which a register of the
/// widest instruction set fills.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Flight<S: Simd, const M: usize> {
    pub(super) state: State<S, M>,
    pub(super) stages: [State<S, M>; STAGES],
    pub(super) argument: State<S, M>,
}

/// Tries a step of DOP853 of size `h` in s, from `state` and its derivative in stage 0: all stages and the [`end`].
#[inline(always)]
pub(super) fn attempt<S: Simd, const M: usize, const EXACT: bool>(
    simd: S,
    ions: &RelativeIons<M, EXACT>,
    tolerance: f64,
    flight: &mut Flight<S, M>,
    survey: &Survey<S>,
    h: Lanes<S>,
) -> Lanes<S> {
    for (row, stage) in A.iter().zip(1..) {
        derive(simd, ions, (row, stage), flight, h);
    }
    end(simd, ions, tolerance, flight, survey, h)
}

/// Most ions but the reference whose positions leave registers to an inverse root.
const FEW: usize = 2;

/// The derivative of a stage of a step of size `h`, whose row of the tableau is `row`, from the stages before it. Of few ions
/// the velocities come after the forces, which need none: so registers hold what an inverse root needs, and there is work
/// while it waits for its own results.
#[inline(always)]
pub(super) fn derive<S: Simd, const M: usize, const EXACT: bool>(
    simd: S,
    ions: &RelativeIons<M, EXACT>,
    (row, stage): (Row, usize),
    flight: &mut Flight<S, M>,
    h: Lanes<S>,
) {
    let forces = if const { M <= FEW } {
        moved_half(simd, ions.others(), flight, row, h, 0);
        let forces = forces(simd, ions, &flight.argument);
        moved_half(simd, ions.others(), flight, row, h, 3);
        forces
    } else {
        let Flight { state, stages, argument } = flight;
        moved(simd, ions.others(), state, stages, row, h, argument);
        forces(simd, ions, argument)
    };
    forces.slope(simd, ions, &flight.argument, &mut flight.stages[stage]);
}

/// Leaves the end of a step, whose stages are there, in `argument`; returns the square of its error in units of the allowed
/// one.
#[inline(always)]
pub(super) fn end<S: Simd, const M: usize, const EXACT: bool>(
    simd: S,
    ions: &RelativeIons<M, EXACT>,
    tolerance: f64,
    flight: &mut Flight<S, M>,
    survey: &Survey<S>,
    h: Lanes<S>,
) -> Lanes<S> {
    let Flight { state, stages, argument } = flight;
    let zero = Lanes::splat(simd, 0.0);
    let (mut square_5, mut square_3) = (zero, zero);
    for j in 0..ions.others() {
        let (mut ion_5, mut ion_3) = ([zero; 2], [zero; 2]);
        for half in 0..2 {
            let order_5 = weighted_half(simd, stages, ERROR_5, j, half);
            let order_8 = weighted_half(simd, stages, B, j, half);
            let order_3 = weighted_half(simd, stages, B_3, j, half);
            for axis in 0..3 {
                let error_3 = order_8[axis] - order_3[axis];
                ion_5[half] = order_5[axis].mul_add(order_5[axis], ion_5[half]);
                ion_3[half] = error_3.mul_add(error_3, ion_3[half]);
                let c = 3 * half + axis;
                argument[j][c] = h.mul_add(order_8[axis], state[j][c]);
            }
        }
        let of_position = survey.position_scale * survey.position_scale;
        let mass = ions.masses[j];
        let of_velocity = survey.momentum_scale_2 * Lanes::splat(simd, mass * mass);
        square_5 = of_position.mul_add(ion_5[0], of_velocity.mul_add(ion_5[1], square_5));
        square_3 = of_position.mul_add(ion_3[0], of_velocity.mul_add(ion_3[1], square_3));
    }
    // Hairer's combination of both estimators, h e5^2 / sqrt(e5^2 + 0.01 e3^2), of order 8, in the root mean
    // square over components.
    let combined = Lanes::splat(simd, 0.01).mul_add(square_3, square_5);
    let scale = Lanes::splat(simd, 1.0 / ((6 * ions.others()) as f64 * tolerance * tolerance));
    // An error of exactly zero must not become 0 / 0.
    let tiny = Lanes::splat(simd, f64::MIN_POSITIVE);
    (h * h * square_5) * (square_5 / combined.max(tiny)) * scale
}

/// `sum_i w_i k_i` for ion j.
#[inline(always)]
pub(super) fn weighted<S: Simd, const M: usize>(
    simd: S,
    stages: &[State<S, M>; STAGES],
    weights: Row,
    j: usize,
) -> [Lanes<S>; 6] {
    let mut sum = [Lanes::splat(simd, 0.0); 6];
    for &(stage, weight) in weights {
        let weight = Lanes::splat(simd, weight);
        for c in 0..6 {
            sum[c] = weight.mul_add(stages[stage][j][c], sum[c]);
        }
    }
    sum
}

/// [`weighted`], of positions (`half` 0) or velocities (1) alone.
#[inline(always)]
fn weighted_half<S: Simd, const M: usize>(
    simd: S,
    stages: &[State<S, M>; STAGES],
    weights: Row,
    j: usize,
    half: usize,
) -> [Lanes<S>; 3] {
    let mut sum = [Lanes::splat(simd, 0.0); 3];
    for &(stage, weight) in weights {
        let weight = Lanes::splat(simd, weight);
        for axis in 0..3 {
            sum[axis] = weight.mul_add(stages[stage][j][3 * half + axis], sum[axis]);
        }
    }
    sum
}

/// `state + h sum_i w_i k_i` of so many ions but the reference.
#[inline(always)]
pub(super) fn moved<S: Simd, const M: usize>(
    simd: S,
    others: usize,
    state: &State<S, M>,
    stages: &[State<S, M>; STAGES],
    weights: Row,
    h: Lanes<S>,
    moved: &mut State<S, M>,
) {
    for j in 0..others {
        let slope = weighted(simd, stages, weights, j);
        for c in 0..6 {
            moved[j][c] = h.mul_add(slope[c], state[j][c]);
        }
    }
}

/// [`moved`] of a flight's state to its argument, of positions (`from` 0) or velocities (3) alone.
#[inline(always)]
fn moved_half<S: Simd, const M: usize>(
    simd: S,
    others: usize,
    flight: &mut Flight<S, M>,
    weights: Row,
    h: Lanes<S>,
    from: usize,
) {
    let Flight { state, stages, argument } = flight;
    let mut sum = [[Lanes::splat(simd, 0.0); 3]; M];
    for &(stage, weight) in weights {
        let weight = Lanes::splat(simd, weight);
        for j in 0..others {
            for c in 0..3 {
                sum[j][c] = weight.mul_add(stages[stage][j][from + c], sum[j][c]);
            }
        }
    }
    for j in 0..others {
        for c in 0..3 {
            argument[j][from + c] = h.mul_add(sum[j][c], state[j][from + c]);
        }
    }
}

/// By how much the next step may differ: `0.9 error^(-1/8)`, between 1/3 and 6. An error that is not a
/// number gives the least.
#[inline(always)]
pub(super) fn step_factor<S: Simd>(simd: S, error_2: Lanes<S>) -> Lanes<S> {
    let root_8 = error_2.sqrt().sqrt().sqrt().sqrt();
    let factor = Lanes::splat(simd, 0.9) / root_8;
    Lanes::splat(simd, 6.0).min(factor).max(Lanes::splat(simd, 1.0 / 3.0))
}
