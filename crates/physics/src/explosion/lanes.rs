//! Many explosions at once, one in each lane of a SIMD register, in a time that knows no collisions.
//!
//! # Notation
//! ```text
//! m_j, q_j      mass and charge of ion j; ion 0 is the heaviest, the reference
//! x_j, w_j      position and velocity of ion j relative to ion 0
//! d, w, r       relative position and velocity of a pair, and its distance
//! k = q_i q_j   strength of a pair, mu = m_i m_j / (m_i + m_j) its reduced mass
//! F_j           force on ion j, sum k d / r^3;  F_0 = -sum F_j
//! U, T          potential energy, sum k / r, and kinetic energy about the centre of mass
//! s             fictitious time, dt = ds / U
//! ```
//!
//! # The equations
//! ```text
//! dx_j/ds = w_j / U          dw_j/ds = (F_j / m_j + (sum F_i) / m_0) / U
//! ```
//! Two repelling charges fly apart as `r = r_0 cosh^2 s` (s in units of the action
//! `sqrt(2 mu k r_0)`): in s the motion is entire, where in t it has singularities at complex collisions
//! that bound the step of any method. With more ions all collisions of pairs, near ones and complex ones,
//! are regular too, and free flight is exponential in s. So DOP853 ([`super::tableau`]) takes OCS from rest
//! to a million times its first distances in 40 steps at a tolerance of 1e-10, and in 8 in the fast mode.
//! Source of the time transformation: Sundman (1912), with 1/U as in Mikkola and Tanikawa,
//! Celest. Mech. Dyn. Astron. 74, 287 (1999).
//!
//! # Step control
//! Each lane has its own step, accepted or tried again by its own error, measured
//! - for positions against the closest distance, times `(U + T) / U`: where little potential energy is
//!   left, an error in position hardly matters to the momenta any more;
//! - for velocities, times the ion's mass, against the largest of `sqrt(2 mu k / r + mu^2 w^2)`.
//!
//! The end is the scalar path's, and so is the impulse from there to infinity.
//!
//! # Lanes
//! A lane whose event has ended takes the next one, so that no lane waits for a neighbour. Every operation
//! acts on each lane alone: an event's momenta do not depend, not in one bit, on the events beside it.

#![allow(clippy::needless_range_loop, reason = "the indices are those of the equations")]

pub(super) mod variation;

use pulp::{Arch, Simd, WithSimd};

use super::lane::{Lanes, Mask};
use super::tableau::{A, B, B_3, ERROR_5, Row, STAGES};
use crate::molecule::{MAX_ATOMS, Molecule};

/// Steps after which an event is left to the scalar path; ordinary ones take a tenth of it.
const MOST_STEPS: usize = 500;

/// Most lanes of any instruction set.
const MOST_LANES: usize = 8;

/// The tolerance of a step here for a tolerance of 1. With it the mean error of a whole flight is the scalar
/// path's, about a quarter of the tolerance, on all presets.
const TOLERANCE: f64 = 0.1;

/// The first step in units of the shortest time scale of any pair, for a tolerance of 1; it goes with the
/// eighth root of the tolerance.
const FIRST_STEP: f64 = 3.0;

/// Whether the instruction set has lanes at all. Without, and without fused multiply-add, which comes with
/// them, the scalar path is faster.
pub(super) fn pay_on(arch: Arch) -> bool {
    struct Count;
    impl WithSimd for Count {
        type Output = usize;

        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F64_LANES
        }
    }
    arch.dispatch(Count) > 1
}

/// Rows of 3N numbers to be exploded.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    /// Positions in bohr.
    pub(super) positions: &'a [f64],
    /// Momenta at the start in a.u.; `None` from rest.
    pub(super) initial_momenta: Option<&'a [f64]>,
}

/// How exactly, in the sense of [`super::Accuracy`].
#[derive(Clone, Copy)]
pub(super) struct Goal {
    pub(super) tolerance: f64,
    pub(super) tail: f64,
    pub(super) max_steps: usize,
}

/// Explodes the rows numbered in `queue`, which must be finite and have no two ions at one point, and whose
/// ions all repel each other. Writes final momenta (a.u.) to their places in `momenta`, and returns the
/// numbers of those rows that did not end within the allowed number of steps.
pub(super) fn explode(
    arch: Arch,
    molecule: &Molecule,
    rows: Rows<'_>,
    queue: &[usize],
    goal: Goal,
    momenta: &mut [f64],
) -> Vec<usize> {
    match molecule.atom_count() - 1 {
        1 => arch.dispatch(Convoy::<1>::new(molecule, rows, queue, goal, momenta)),
        2 => arch.dispatch(Convoy::<2>::new(molecule, rows, queue, goal, momenta)),
        3 => arch.dispatch(Convoy::<3>::new(molecule, rows, queue, goal, momenta)),
        4 => arch.dispatch(Convoy::<4>::new(molecule, rows, queue, goal, momenta)),
        5 => arch.dispatch(Convoy::<5>::new(molecule, rows, queue, goal, momenta)),
        6 => arch.dispatch(Convoy::<6>::new(molecule, rows, queue, goal, momenta)),
        7 => arch.dispatch(Convoy::<7>::new(molecule, rows, queue, goal, momenta)),
        8 => arch.dispatch(Convoy::<8>::new(molecule, rows, queue, goal, momenta)),
        _ => arch.dispatch(Convoy::<9>::new(molecule, rows, queue, goal, momenta)),
    }
}

/// Constants of a pair.
#[derive(Clone, Copy, Default)]
struct Pair {
    /// k.
    strength: f64,
    /// mu.
    reduced_mass: f64,
    /// `m_i m_j / 2M`: times w^2, summed over pairs, this is T.
    kinetic: f64,
}

/// A molecule of M + 1 ions, its heaviest one first.
struct Ions<const M: usize> {
    /// Place in the molecule of ion j; the reference is last.
    places: [usize; MAX_ATOMS],
    masses: [f64; M],
    reference_mass: f64,
    total_mass: f64,
    /// Entry `[j][i]` for i < j is the pair of ions j and i, entry `[j][j]` that of j and the reference.
    pairs: [[Pair; M]; M],
}

impl<const M: usize> Ions<M> {
    fn new(molecule: &Molecule) -> Self {
        let (masses, charges) = (molecule.masses(), molecule.charges());
        let heaviest =
            (0..=M).fold(0, |best, atom| if masses[atom] > masses[best] { atom } else { best });
        let mut places = [heaviest; MAX_ATOMS];
        let others = (0..=M).filter(|atom| *atom != heaviest);
        places.iter_mut().zip(others).for_each(|(place, atom)| *place = atom);
        let total_mass = masses.iter().sum();
        let pair = |a: usize, b: usize| Pair {
            strength: charges[a] * charges[b],
            reduced_mass: masses[a] * masses[b] / (masses[a] + masses[b]),
            kinetic: 0.5 * masses[a] * masses[b] / total_mass,
        };
        let mut pairs = [[Pair::default(); M]; M];
        for j in 0..M {
            for i in 0..j {
                pairs[j][i] = pair(places[j], places[i]);
            }
            pairs[j][j] = pair(places[j], heaviest);
        }
        Self {
            places,
            masses: std::array::from_fn(|j| masses[places[j]]),
            reference_mass: masses[heaviest],
            total_mass,
            pairs,
        }
    }

    /// The reference's place in the molecule.
    fn reference(&self) -> usize {
        self.places[M]
    }
}

/// `(x, w)` of every ion but the reference, or their derivatives.
type State<S, const M: usize> = [[Lanes<S>; 6]; M];

/// Forces on every ion but the reference, and the potential energy.
struct Forces<S: Simd, const M: usize> {
    forces: [[Lanes<S>; 3]; M],
    potential: Lanes<S>,
}

impl<S: Simd, const M: usize> Forces<S, M> {
    #[inline(always)]
    fn none(simd: S) -> Self {
        let zero = Lanes::splat(simd, 0.0);
        Self { forces: [[zero; 3]; M], potential: zero }
    }

    /// Adds what the pair `[j][i]` does. `d` points to j; `closeness` is 1 / r.
    #[inline(always)]
    fn add(
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
    fn slope(&self, simd: S, ions: &Ions<M>, state: &State<S, M>, slope: &mut State<S, M>) {
        let pace = Lanes::splat(simd, 1.0) / self.potential;
        for axis in 0..3 {
            let mut sum = self.forces[0][axis];
            for force in &self.forces[1..] {
                sum = sum + force[axis];
            }
            let of_reference = sum * (pace * Lanes::splat(simd, 1.0 / ions.reference_mass));
            for j in 0..M {
                let inverse_mass = pace * Lanes::splat(simd, 1.0 / ions.masses[j]);
                slope[j][axis] = state[j][3 + axis] * pace;
                slope[j][3 + axis] = self.forces[j][axis].mul_add(inverse_mass, of_reference);
            }
        }
    }
}

/// What the step control reads off a state.
struct Survey<S: Simd> {
    /// 1 / (allowed position error for a tolerance of 1).
    position_scale: Lanes<S>,
    /// 1 / (allowed momentum error for a tolerance of 1), squared.
    momentum_scale_2: Lanes<S>,
    /// The step in s that is one shortest time scale of any pair.
    natural_step: Lanes<S>,
    /// The longest step in s that approaching pairs allow.
    longest_step: Lanes<S>,
    /// Every pair recedes with its potential energy below the tail.
    apart: Mask<S>,
}

/// The separation of pair `[j][i]`: components `from..from + 3` of ion j minus those of ion i or, if i is j, of
/// the reference.
#[inline(always)]
fn separation<S: Simd, const M: usize>(
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
fn dot<S: Simd>(a: [Lanes<S>; 3], b: [Lanes<S>; 3]) -> Lanes<S> {
    a[0].mul_add(b[0], a[1].mul_add(b[1], a[2] * b[2]))
}

#[inline(always)]
fn slope<S: Simd, const M: usize>(
    simd: S,
    ions: &Ions<M>,
    state: &State<S, M>,
    slope: &mut State<S, M>,
) {
    let mut forces = Forces::<S, M>::none(simd);
    for j in 0..M {
        for i in 0..=j {
            let d = separation(state, j, i, 0);
            let closeness = dot(d, d).inverse_sqrt();
            let potential = Lanes::splat(simd, ions.pairs[j][i].strength) * closeness;
            forces.add(j, i, d, potential, closeness);
        }
    }
    forces.slope(simd, ions, state, slope);
}

#[inline(always)]
fn survey<S: Simd, const M: usize>(
    simd: S,
    ions: &Ions<M>,
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
    for j in 0..M {
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
#[repr(C, align(64))]
struct Flight<S: Simd, const M: usize> {
    state: State<S, M>,
    stages: [State<S, M>; STAGES],
    argument: State<S, M>,
}

/// Tries a step of DOP853 of size `h` in s, from `state` and its derivative in stage 0. Leaves its end in
/// `argument`; returns the square of its error in units of the allowed one.
#[inline(always)]
fn attempt<S: Simd, const M: usize>(
    simd: S,
    ions: &Ions<M>,
    tolerance: f64,
    flight: &mut Flight<S, M>,
    survey: &Survey<S>,
    h: Lanes<S>,
) -> Lanes<S> {
    let Flight { state, stages, argument } = flight;
    for (row, stage) in A.iter().zip(1..) {
        moved(simd, state, stages, row, h, argument);
        slope(simd, ions, argument, &mut stages[stage]);
    }
    moved(simd, state, stages, B, h, argument);
    let zero = Lanes::splat(simd, 0.0);
    let (mut square_5, mut square_3) = (zero, zero);
    for j in 0..M {
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
    // Hairer's combination of both estimators, h e5^2 / sqrt(e5^2 + 0.01 e3^2), of order 8, in the root mean
    // square over components.
    let combined = Lanes::splat(simd, 0.01).mul_add(square_3, square_5);
    let scale = Lanes::splat(simd, 1.0 / ((6 * M) as f64 * tolerance * tolerance));
    // An error of exactly zero must not become 0 / 0.
    let tiny = Lanes::splat(simd, f64::MIN_POSITIVE);
    (h * h * square_5) * (square_5 / combined.max(tiny)) * scale
}

/// `sum_i w_i k_i` for ion j.
#[inline(always)]
fn weighted<S: Simd, const M: usize>(
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

/// `state + h sum_i w_i k_i`.
#[inline(always)]
fn moved<S: Simd, const M: usize>(
    simd: S,
    state: &State<S, M>,
    stages: &[State<S, M>; STAGES],
    weights: Row,
    h: Lanes<S>,
    moved: &mut State<S, M>,
) {
    for j in 0..M {
        let slope = weighted(simd, stages, weights, j);
        for c in 0..6 {
            moved[j][c] = h.mul_add(slope[c], state[j][c]);
        }
    }
}

/// By how much the next step may differ: `0.9 error^(-1/8)`, between 1/3 and 6. An error that is not a
/// number gives the least.
#[inline(always)]
fn step_factor<S: Simd>(simd: S, error_2: Lanes<S>) -> Lanes<S> {
    let root_8 = error_2.sqrt().sqrt().sqrt().sqrt();
    let factor = Lanes::splat(simd, 0.9) / root_8;
    Lanes::splat(simd, 6.0).min(factor).max(Lanes::splat(simd, 1.0 / 3.0))
}

/// The events of one call, on their way through the lanes.
struct Convoy<'a, const M: usize> {
    ions: Ions<M>,
    rows: Rows<'a>,
    queue: std::slice::Iter<'a, usize>,
    goal: Goal,
    momenta: &'a mut [f64],
}

/// Events that have ended, waiting until there is one for each lane.
#[repr(C, align(64))]
struct Landed<S: Simd, const M: usize> {
    state: State<S, M>,
    rows: [usize; MOST_LANES],
    count: usize,
}

impl<'a, const M: usize> Convoy<'a, M> {
    fn new(
        molecule: &Molecule,
        rows: Rows<'a>,
        queue: &'a [usize],
        goal: Goal,
        momenta: &'a mut [f64],
    ) -> Self {
        Self { ions: Ions::new(molecule), rows, queue: queue.iter(), goal, momenta }
    }

    /// Puts the row into the lane, with the reference subtracted.
    #[inline(always)]
    fn load<S: Simd>(&self, state: &mut State<S, M>, lane: usize, row: usize) {
        let start = row * 3 * (M + 1);
        let reference = self.ions.reference();
        let positions = &self.rows.positions[start..start + 3 * (M + 1)];
        for (ion, place) in state.iter_mut().zip(self.ions.places) {
            for axis in 0..3 {
                ion[axis].set(lane, positions[3 * place + axis] - positions[3 * reference + axis]);
                ion[3 + axis].set(lane, 0.0);
            }
        }
        if let Some(momenta) = self.rows.initial_momenta {
            let momenta = &momenta[start..start + 3 * (M + 1)];
            for ((ion, place), mass) in state.iter_mut().zip(self.ions.places).zip(self.ions.masses)
            {
                for axis in 0..3 {
                    let of_reference = momenta[3 * reference + axis] / self.ions.reference_mass;
                    ion[3 + axis].set(lane, momenta[3 * place + axis] / mass - of_reference);
                }
            }
        }
    }

    /// The impulse from the end to infinite time along straight lines, added to the momenta of the state;
    /// back to the frame of the row's total momentum; written to their places.
    #[inline(always)]
    fn land<S: Simd>(&mut self, simd: S, landed: &mut Landed<S, M>) {
        let splat = |value| Lanes::splat(simd, value);
        let (ions, state) = (&self.ions, &landed.state);
        let mut impulse = [[splat(0.0); 3]; M];
        for j in 0..M {
            for i in 0..=j {
                let (d, w) = (separation(state, j, i, 0), separation(state, j, i, 3));
                let (distance, speed) = (dot(d, d).sqrt(), dot(w, w).sqrt());
                let path = distance * speed;
                // k / (R W (1 + cos))
                let factor = splat(ions.pairs[j][i].strength) / (path + dot(d, w));
                for axis in 0..3 {
                    let along = factor * (d[axis] / distance + w[axis] / speed);
                    impulse[j][axis] = impulse[j][axis] + along;
                    if i != j {
                        impulse[i][axis] = impulse[i][axis] - along;
                    }
                }
            }
        }
        let mut momenta = [[splat(0.0); 3]; M];
        for axis in 0..3 {
            let mut drift = splat(0.0);
            for j in 0..M {
                drift = splat(ions.masses[j]).mul_add(state[j][3 + axis], drift);
            }
            // Velocity of the centre of mass relative to the reference.
            let drift = drift * splat(1.0 / ions.total_mass);
            for j in 0..M {
                let velocity = state[j][3 + axis] - drift;
                momenta[j][axis] = splat(ions.masses[j]).mul_add(velocity, impulse[j][axis]);
            }
        }
        let width = 3 * (M + 1);
        for (lane, row) in landed.rows[..landed.count].iter().enumerate() {
            let span = row * width..(row + 1) * width;
            let out = &mut self.momenta[span.clone()];
            let initial = self.rows.initial_momenta.map(|momenta| &momenta[span]);
            for axis in 0..3 {
                let total = initial.map_or(0.0, |row| row[axis..].iter().step_by(3).sum());
                let mut rest = total;
                for j in 0..M {
                    let share = total * (ions.masses[j] / ions.total_mass);
                    let momentum = momenta[j][axis].get(lane) + share;
                    out[3 * ions.places[j] + axis] = momentum;
                    rest -= momentum;
                }
                out[3 * ions.reference() + axis] = rest;
            }
        }
        landed.count = 0;
    }
}

impl<const M: usize> WithSimd for Convoy<'_, M> {
    type Output = Vec<usize>;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) -> Vec<usize> {
        let tolerance = TOLERANCE * self.goal.tolerance;
        let splat = |value| Lanes::splat(simd, value);
        let (zero, one) = (splat(0.0), splat(1.0));
        let most_steps = splat(self.goal.max_steps.min(MOST_STEPS) as f64);
        let first_step = splat(FIRST_STEP * tolerance.powf(0.125));
        let mut unsolved = Vec::new();
        let mut landed = Landed { state: [[zero; 6]; M], rows: [0; MOST_LANES], count: 0 };
        // What a lane without an event holds does not matter: it is never looked at.
        let rest = [[one; 6]; M];
        let mut flight = Flight { state: rest, stages: [rest; STAGES], argument: rest };
        let (mut h, mut steps) = (zero, zero);
        let mut events: [Option<usize>; MOST_LANES] = [None; MOST_LANES];
        let mut flying = 0;
        for lane in 0..S::F64_LANES {
            if let Some(&row) = self.queue.next() {
                self.load(&mut flight.state, lane, row);
                events[lane] = Some(row);
                flying += 1;
            }
        }
        while flying > 0 {
            let mut now =
                survey(simd, &self.ions, self.goal.tail, &flight.state, &mut flight.stages[0]);
            let ended = now.apart.select(one, zero);
            let given_up = steps.greater(most_steps - one).select(one, zero);
            let mut changed = false;
            for lane in 0..S::F64_LANES {
                let is_apart = ended.get(lane) != 0.0;
                if !(is_apart || given_up.get(lane) != 0.0) {
                    continue;
                }
                let Some(row) = events[lane].take() else { continue };
                changed = true;
                if is_apart {
                    for j in 0..M {
                        for c in 0..6 {
                            landed.state[j][c].set(landed.count, flight.state[j][c].get(lane));
                        }
                    }
                    landed.rows[landed.count] = row;
                    landed.count += 1;
                    if landed.count == S::F64_LANES {
                        self.land(simd, &mut landed);
                    }
                } else {
                    unsolved.push(row);
                }
                h.set(lane, 0.0);
                steps.set(lane, 0.0);
                if let Some(&row) = self.queue.next() {
                    self.load(&mut flight.state, lane, row);
                    events[lane] = Some(row);
                } else {
                    flying -= 1;
                }
            }
            if changed {
                if flying == 0 {
                    break;
                }
                now =
                    survey(simd, &self.ions, self.goal.tail, &flight.state, &mut flight.stages[0]);
            }
            h = h.greater(zero).select(h, first_step * now.natural_step).min(now.longest_step);
            let error_2 = attempt(simd, &self.ions, tolerance, &mut flight, &now, h);
            let accepted = one.greater(error_2);
            for j in 0..M {
                for c in 0..6 {
                    let (new, old) = (flight.argument[j][c], flight.state[j][c]);
                    flight.state[j][c] = accepted.select(new, old);
                }
            }
            h = h * step_factor(simd, error_2);
            steps = steps + one;
        }
        self.land(simd, &mut landed);
        unsolved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Simulation;
    use crate::presets::{CHBRCLF, OCS_WIDE};
    use crate::simulation::simulate;

    /// Every instruction set of this machine, the widest last.
    fn instruction_sets() -> Vec<Arch> {
        let mut sets = vec![Arch::Scalar];
        #[cfg(target_arch = "x86_64")]
        sets.extend(pulp::x86::V3::try_new().map(Arch::V3));
        #[cfg(target_arch = "x86_64")]
        sets.extend(pulp::x86::V4::try_new().map(Arch::V4));
        #[cfg(not(target_arch = "x86_64"))]
        sets.push(Arch::new());
        sets
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        for preset in [OCS_WIDE, CHBRCLF] {
            let simulation: Simulation = toml::from_str(preset.text).unwrap();
            let molecule = &simulation.molecule;
            let events = simulate(&simulation, 60, 5).unwrap();
            let positions: Vec<f64> = events.positions.iter().copied().collect();
            let initial: Vec<f64> = events.momenta.iter().map(|p| 0.1 * p).collect();
            let rows = Rows { positions: &positions, initial_momenta: Some(&initial) };
            let goal = Goal { tolerance: 1e-10, tail: 1e-6, max_steps: MOST_STEPS };
            // Not in the order of the rows, and not all of them.
            let queue: Vec<usize> = (1..60).rev().collect();
            let momenta_on = |arch| {
                let mut momenta = vec![0.0; positions.len()];
                let left = explode(arch, molecule, rows, &queue, goal, &mut momenta);
                assert!(left.is_empty());
                momenta
            };
            let sets = instruction_sets();
            let expected = momenta_on(sets[0]);
            assert!(expected[3 * molecule.atom_count()..].iter().all(|p| *p != 0.0));
            for arch in &sets[1..] {
                assert_eq!(momenta_on(*arch), expected, "{arch:?}");
            }
        }
    }

    #[test]
    fn too_few_steps_leave_the_rows_to_the_scalar_path() {
        let simulation: Simulation = toml::from_str(OCS_WIDE.text).unwrap();
        let events = simulate(&simulation, 20, 5).unwrap();
        let positions: Vec<f64> = events.positions.iter().copied().collect();
        let rows = Rows { positions: &positions, initial_momenta: None };
        let goal = Goal { tolerance: 1e-10, tail: 1e-6, max_steps: 5 };
        let queue: Vec<usize> = (0..20).collect();
        let mut momenta = vec![0.0; positions.len()];
        let mut left = explode(Arch::new(), &simulation.molecule, rows, &queue, goal, &mut momenta);
        left.sort_unstable();
        assert_eq!(left, queue);
        assert!(momenta.iter().all(|p| *p == 0.0));
    }
}
