//! The variational equations beside the explosions: how the final momenta change with the positions.
//!
//! # Notation
//! That of the parent module; `c = 1 / r`, `f = k c^3`, and a `v` before a symbol is its first variation.
//! ```text
//! vU   = -sum f (d.vd)                       vF_j = sum f vd - 3 f c^2 (d.vd) d
//! v(dx/ds) = vw / U - dx/ds vU / U           v(dw/ds) = vA / U - dw/ds vU / U,   A_j = F_j / m_j + (sum F_i) / m_0
//! ```
//! A tangent takes the same steps as its trajectory, by the same stages: it is the exact derivative of the
//! numerical flow at fixed steps, and converges to that of the true flow with it (Hairer, Norsett, Wanner,
//! Solving Ordinary Differential Equations I, 2nd edition, I.14). That the steps and the end depend on the
//! positions too changes nothing: momenta at infinite time do not depend on where the closed form takes over.

use pulp::{Arch, Simd, WithSimd};

use super::relative_ions::RelativeIons;
use super::step::{Flight, State, attempt, dot, moved, separation, step_factor, survey, weighted};
use super::{FIRST_STEP, Goal, MOST_LANES, MOST_STEPS, TOLERANCE, in_registers, on};
use crate::explosion::simd::Lanes;
use crate::explosion::tableau::{A, B, STAGES};
use crate::molecule::{MAX_ATOMS, Molecule};

/// Rows, and the directions in which each is varied.
pub(in crate::explosion) struct Variations<'a> {
    /// Positions (rows, 3N), bohr.
    pub(in crate::explosion) positions: &'a [f64],
    /// Momenta at the start (rows, 3N), a.u., of zero sum; none from rest.
    pub(in crate::explosion) initial_momenta: Option<&'a [f64]>,
    /// Directions (rows, most directions of a row, 3N).
    pub(in crate::explosion) directions: &'a [f64],
    /// Most directions of a row: the stride of `directions`.
    pub(in crate::explosion) stride: usize,
    /// Directions that are varied, from the first on.
    pub(in crate::explosion) tangents: usize,
    /// How many of these, the last ones, are kicks: directions of the momenta at the start, in place of the positions.
    pub(in crate::explosion) kicks: usize,
    /// A rate of transfer for each row, 1/a.u. of time; `None` for that of the law.
    pub(in crate::explosion) transfers: Option<&'a [f64]>,
    /// Whether the one before the kicks is the rate of transfer, in the place of the positions.
    pub(in crate::explosion) by_transfer: bool,
}

/// Explodes the rows numbered in `queue`, which must be as [`super::explode`] wants them, and varies each in its
/// first directions. Writes final momenta to their places in `momenta` and their derivatives by the
/// directions into `changes` (of the shape of the directions). Returns the rows that did not end.
pub(in crate::explosion) fn explode_varied(
    arch: Arch,
    molecule: &Molecule,
    rows: &Variations<'_>,
    queue: &[usize],
    goal: Goal,
    momenta: &mut [f64],
    changes: &mut [f64],
) -> Vec<usize> {
    let mut unsolved = Vec::new();
    for (arch, queue) in in_registers(arch, queue) {
        macro_rules! of_size {
            ($others:expr, $exact:literal) => {{
                let ions = RelativeIons::new(molecule);
                let (momenta, changes) = (&mut *momenta, &mut *changes);
                let group =
                    Group::<{ $others }, $exact> { ions, rows, queue, goal, momenta, changes };
                on(arch, group)
            }};
        }
        unsolved.extend(match molecule.atom_count() - 1 {
            1 => of_size!(1, true),
            2 => of_size!(2, true),
            3 => of_size!(3, true),
            4 => of_size!(4, true),
            5 => of_size!(5, true),
            6 => of_size!(6, true),
            7 => of_size!(7, true),
            8 => of_size!(8, true),
            9 => of_size!(9, true),
            _ => of_size!(MAX_ATOMS - 1, false),
        });
    }
    unsolved
}

/// Rows on their way through the lanes.
pub(super) struct Group<'a, const M: usize, const EXACT: bool> {
    pub(super) ions: RelativeIons<M, EXACT>,
    pub(super) rows: &'a Variations<'a>,
    pub(super) queue: &'a [usize],
    pub(super) goal: Goal,
    pub(super) momenta: &'a mut [f64],
    pub(super) changes: &'a mut [f64],
}

/// A pair at one stage: d, f, and 3 f c^2.
#[derive(Clone, Copy)]
struct PairThere<S: Simd> {
    d: [Lanes<S>; 3],
    factor: Lanes<S>,
    steepness: Lanes<S>,
}

/// All pairs at one stage, and 1 / U.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Scene<S: Simd, const M: usize> {
    pairs: [[PairThere<S>; M]; M],
    pace: Lanes<S>,
}

/// Rows that have ended, with their variations, waiting until there is one for each lane.
struct Landed<S: Simd, const M: usize> {
    state: State<S, M>,
    tangents: Vec<State<S, M>>,
    rows: Vec<usize>,
}

impl<S: Simd, const M: usize> Landed<S, M> {
    /// Takes the row in a lane.
    #[inline(always)]
    fn take(&mut self, row: usize, lane: usize, state: &State<S, M>, tangents: &[State<S, M>]) {
        let place = self.rows.len();
        let all = std::iter::once((&mut self.state, state));
        for (to, from) in all.chain(self.tangents.iter_mut().zip(tangents)) {
            for (to, from) in to.as_flattened_mut().iter_mut().zip(from.as_flattened()) {
                to.set(place, from.get(lane));
            }
        }
        self.rows.push(row);
    }
}

/// Fills `scene` with the geometry of `state`.
#[inline(always)]
fn see<S: Simd, const M: usize, const EXACT: bool>(
    simd: S,
    ions: &RelativeIons<M, EXACT>,
    state: &State<S, M>,
    scene: &mut Scene<S, M>,
) {
    let splat = |value| Lanes::splat(simd, value);
    let mut sum = splat(0.0);
    for j in 0..ions.others() {
        for i in 0..=j {
            let d = separation(state, j, i, 0);
            let closeness = dot(d, d).inverse_sqrt();
            let closeness_2 = closeness * closeness;
            let potential = splat(ions.pairs[j][i].strength) * closeness;
            sum = sum + potential;
            let factor = potential * closeness_2;
            let steepness = splat(3.0) * factor * closeness_2;
            scene.pairs[j][i] = PairThere { d, factor, steepness };
        }
    }
    scene.pace = splat(1.0) / sum;
}

/// The variation of the derivative `there` of a state, whose own variation is `state`.
#[inline(always)]
fn vary<S: Simd, const M: usize, const EXACT: bool>(
    simd: S,
    ions: &RelativeIons<M, EXACT>,
    scene: &Scene<S, M>,
    there: &State<S, M>,
    state: &State<S, M>,
    slope: &mut State<S, M>,
) {
    let splat = |value| Lanes::splat(simd, value);
    let zero = splat(0.0);
    let mut forces = [[zero; 3]; M];
    // -vU
    let mut loss = zero;
    for j in 0..ions.others() {
        for i in 0..=j {
            let PairThere { d, factor, steepness } = scene.pairs[j][i];
            let vd = separation(state, j, i, 0);
            let along = dot(d, vd);
            loss = factor.mul_add(along, loss);
            let bend = steepness * along;
            for axis in 0..3 {
                let force = bend.negative_mul_add(d[axis], factor * vd[axis]);
                forces[j][axis] = forces[j][axis] + force;
                if i != j {
                    forces[i][axis] = forces[i][axis] - force;
                }
            }
        }
    }
    let pace = scene.pace;
    let quickening = loss * pace;
    for axis in 0..3 {
        let mut sum = forces[0][axis];
        for force in &forces[1..ions.others()] {
            sum = sum + force[axis];
        }
        let of_reference = sum * (pace * splat(1.0 / ions.reference_mass));
        for j in 0..ions.others() {
            let inverse_mass = pace * splat(1.0 / ions.masses[j]);
            let acceleration = forces[j][axis].mul_add(inverse_mass, of_reference);
            slope[j][axis] = quickening.mul_add(there[j][axis], state[j][3 + axis] * pace);
            slope[j][3 + axis] = quickening.mul_add(there[j][3 + axis], acceleration);
        }
    }
}

impl<const M: usize, const EXACT: bool> Group<'_, M, EXACT> {
    /// Puts the row and its directions into the lane.
    #[inline(always)]
    pub(super) fn load<S: Simd>(
        &self,
        state: &mut State<S, M>,
        tangents: &mut [State<S, M>],
        lane: usize,
        row: usize,
    ) {
        let others = self.ions.others();
        let width = 3 * (others + 1);
        let reference = self.ions.reference();
        let positions = &self.rows.positions[row * width..(row + 1) * width];
        for (j, place) in self.ions.places[..others].iter().enumerate() {
            for axis in 0..3 {
                let from = |vector: &[f64]| vector[3 * place + axis] - vector[3 * reference + axis];
                state[j][axis].set(lane, from(positions));
                let (mass, of_reference) = (self.ions.masses[j], self.ions.reference_mass);
                let velocity = |momenta: &[f64]| {
                    let of_ion = momenta[3 * place + axis] / mass;
                    of_ion - momenta[3 * reference + axis] / of_reference
                };
                let initial = self.rows.initial_momenta;
                let initial = initial.map(|momenta| &momenta[row * width..(row + 1) * width]);
                state[j][3 + axis].set(lane, initial.map_or(0.0, velocity));
                let first_kick = tangents.len() - self.rows.kicks;
                for (number, tangent) in tangents.iter_mut().enumerate() {
                    let start = (row * self.rows.stride + number) * width;
                    let direction = &self.rows.directions[start..start + width];
                    let (position, speed) = if number < first_kick {
                        (from(direction), 0.0)
                    } else {
                        (0.0, velocity(direction))
                    };
                    tangent[j][axis].set(lane, position);
                    tangent[j][3 + axis].set(lane, speed);
                }
            }
        }
    }

    /// Momenta at infinite time of all lanes, as the parent's `land`, and their variations.
    #[inline(always)]
    pub(super) fn land<S: Simd>(
        &mut self,
        simd: S,
        state: &State<S, M>,
        tangents: &[State<S, M>],
        rows: &[usize],
        solved: &[bool; MOST_LANES],
    ) {
        let splat = |value| Lanes::splat(simd, value);
        let one = splat(1.0);
        let others = self.ions.others();
        let mut impulse = [[splat(0.0); 3]; M];
        for j in 0..others {
            for i in 0..=j {
                let (d, w) = (separation(state, j, i, 0), separation(state, j, i, 3));
                let (distance, speed) = (dot(d, d).sqrt(), dot(w, w).sqrt());
                let factor = splat(self.ions.pairs[j][i].strength) / (distance * speed + dot(d, w));
                for axis in 0..3 {
                    let along = factor * (d[axis] / distance + w[axis] / speed);
                    impulse[j][axis] = impulse[j][axis] + along;
                    if i != j {
                        impulse[i][axis] = impulse[i][axis] - along;
                    }
                }
            }
        }
        let width = 3 * (others + 1);
        let starts = |row: usize| row * width;
        self.write(simd, state, &impulse, rows, solved, starts, true);
        for (number, varied) in tangents.iter().enumerate() {
            let mut impulse = [[splat(0.0); 3]; M];
            for j in 0..others {
                for i in 0..=j {
                    let (d, w) = (separation(state, j, i, 0), separation(state, j, i, 3));
                    let (vd, vw) = (separation(varied, j, i, 0), separation(varied, j, i, 3));
                    let (distance, speed) = (dot(d, d).sqrt(), dot(w, w).sqrt());
                    let (closeness, slowness) = (one / distance, one / speed);
                    let (v_distance, v_speed) = (dot(d, vd) * closeness, dot(w, vw) * slowness);
                    let path = distance * speed + dot(d, w);
                    let factor = splat(self.ions.pairs[j][i].strength) / path;
                    let v_path = v_distance * speed + distance * v_speed + dot(vd, w) + dot(d, vw);
                    let v_factor = splat(0.0) - factor * v_path / path;
                    for axis in 0..3 {
                        let (r, q) = (d[axis] * closeness, w[axis] * slowness);
                        let v_sum = (vd[axis] - r * v_distance) * closeness
                            + (vw[axis] - q * v_speed) * slowness;
                        let along = v_factor.mul_add(r + q, factor * v_sum);
                        impulse[j][axis] = impulse[j][axis] + along;
                        if i != j {
                            impulse[i][axis] = impulse[i][axis] - along;
                        }
                    }
                }
            }
            let stride = self.rows.stride;
            let starts = |row: usize| (row * stride + number) * width;
            self.write(simd, varied, &impulse, rows, solved, starts, false);
        }
    }

    /// [`Self::land`] of rows that wait for it.
    #[inline(always)]
    fn land_all<S: Simd>(&mut self, simd: S, landed: &mut Landed<S, M>) {
        let Landed { state, tangents, rows } = landed;
        self.land(simd, state, tangents, rows, &[true; MOST_LANES]);
        rows.clear();
    }

    /// Momenta (or their variation) of a state (or its variation), about the centre of mass at rest.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "one helper of `land`")]
    fn write<S: Simd>(
        &mut self,
        simd: S,
        state: &State<S, M>,
        impulse: &[[Lanes<S>; 3]; M],
        rows: &[usize],
        solved: &[bool; MOST_LANES],
        start: impl Fn(usize) -> usize,
        are_momenta: bool,
    ) {
        let splat = |value| Lanes::splat(simd, value);
        let ions = &self.ions;
        let out = if are_momenta { &mut *self.momenta } else { &mut *self.changes };
        for axis in 0..3 {
            let mut drift = splat(0.0);
            for j in 0..ions.others() {
                drift = splat(ions.masses[j]).mul_add(state[j][3 + axis], drift);
            }
            let drift = drift * splat(1.0 / ions.total_mass);
            let mut rest = splat(0.0);
            for j in 0..=ions.others() {
                let momentum = if j < ions.others() {
                    let velocity = state[j][3 + axis] - drift;
                    let momentum = splat(ions.masses[j]).mul_add(velocity, impulse[j][axis]);
                    rest = rest - momentum;
                    momentum
                } else {
                    rest
                };
                for (lane, row) in rows.iter().enumerate() {
                    if solved[lane] {
                        out[start(*row) + 3 * ions.places[j] + axis] = momentum.get(lane);
                    }
                }
            }
        }
    }
}

impl<const M: usize, const EXACT: bool> WithSimd for Group<'_, M, EXACT> {
    type Output = Vec<usize>;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) -> Vec<usize> {
        let others = self.ions.others();
        let tolerance = TOLERANCE * self.goal.tolerance;
        let splat = |value| Lanes::splat(simd, value);
        let (zero, one) = (splat(0.0), splat(1.0));
        let most_steps = self.goal.max_steps.min(MOST_STEPS);
        let first_step = splat(FIRST_STEP * tolerance.powf(0.125));
        let rest = [[one; 6]; M];
        // What a lane without a row holds does not matter: it is never looked at.
        let mut flight = Flight { state: rest, stages: [rest; STAGES], argument: rest };
        let pair = PairThere { d: [one; 3], factor: one, steepness: one };
        // Too large for the stack of a thread where there are many ions.
        let scene = Scene { pairs: [[pair; M]; M], pace: one };
        let mut scenes: Vec<Scene<S, M>> = std::iter::repeat_n(scene, STAGES).collect();
        let mut tangents = vec![rest; self.rows.tangents];
        // Derivatives of one tangent after the other.
        let mut slopes = [rest; STAGES];
        let mut landed = Landed { state: rest, tangents: tangents.clone(), rows: Vec::new() };
        let mut unsolved = Vec::new();
        let mut queue = self.queue.iter().copied();
        let mut events = [None; MOST_LANES];
        let mut steps = [0; MOST_LANES];
        let (mut h, mut running) = (zero, zero);
        for (lane, event) in events[..S::F64_LANES].iter_mut().enumerate() {
            *event = queue.next();
            if let Some(row) = *event {
                self.load(&mut flight.state, &mut tangents, lane, row);
                running.set(lane, 1.0);
            }
        }
        let tail = self.goal.tail;
        let look = |ions: &_, flight: &mut Flight<S, M>| {
            survey(simd, ions, tail, &flight.state, &mut flight.stages[0])
        };
        loop {
            let mut now = look(&self.ions, &mut flight);
            let ended = now.apart.select(one, zero);
            let mut is_new = false;
            for lane in 0..S::F64_LANES {
                let Some(row) = events[lane] else { continue };
                let is_apart = ended.get(lane) != 0.0;
                if is_apart {
                    landed.take(row, lane, &flight.state, &tangents);
                    if landed.rows.len() == S::F64_LANES {
                        self.land_all(simd, &mut landed);
                    }
                } else if steps[lane] == most_steps {
                    unsolved.push(row);
                } else {
                    continue;
                }
                h.set(lane, 0.0);
                steps[lane] = 0;
                events[lane] = queue.next();
                match events[lane] {
                    Some(row) => {
                        self.load(&mut flight.state, &mut tangents, lane, row);
                        is_new = true;
                    }
                    None => running.set(lane, 0.0),
                }
            }
            if events.iter().all(Option::is_none) {
                break;
            }
            if is_new {
                now = look(&self.ions, &mut flight);
            }
            h = h.greater(zero).select(h, first_step * now.natural_step).min(now.longest_step);
            let error_2 = attempt(simd, &self.ions, tolerance, &mut flight, &now, h);
            let accepted = one.greater(error_2).and(running.greater(zero));
            let end = flight.argument;
            see(simd, &self.ions, &flight.state, &mut scenes[0]);
            for (row, stage) in A.iter().zip(1..) {
                let Flight { state, stages, argument } = &mut flight;
                moved(simd, others, state, stages, row, h, argument);
                see(simd, &self.ions, argument, &mut scenes[stage]);
            }
            for tangent in &mut tangents {
                vary(simd, &self.ions, &scenes[0], &flight.stages[0], tangent, &mut slopes[0]);
                for (row, stage) in A.iter().zip(1..) {
                    let argument = &mut flight.argument;
                    moved(simd, others, tangent, &slopes, row, h, argument);
                    let there = &flight.stages[stage];
                    vary(simd, &self.ions, &scenes[stage], there, argument, &mut slopes[stage]);
                }
                for j in 0..others {
                    let slope = weighted(simd, &slopes, B, j);
                    for c in 0..6 {
                        let new = h.mul_add(slope[c], tangent[j][c]);
                        tangent[j][c] = accepted.select(new, tangent[j][c]);
                    }
                }
            }
            for j in 0..others {
                for c in 0..6 {
                    flight.state[j][c] = accepted.select(end[j][c], flight.state[j][c]);
                }
            }
            h = h * step_factor(simd, error_2);
            steps.iter_mut().for_each(|steps| *steps += 1);
        }
        self.land_all(simd, &mut landed);
        unsolved
    }
}
