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
use super::{FIRST_STEP, Goal, MOST_LANES, MOST_STEPS, TOLERANCE, on};
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
    macro_rules! of_size {
        ($others:expr, $exact:literal) => {
            on(
                arch,
                Group::<{ $others }, $exact> {
                    ions: RelativeIons::new(molecule),
                    rows,
                    queue,
                    goal,
                    momenta,
                    changes,
                },
            )
        };
    }
    match molecule.atom_count() - 1 {
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
    }
}

/// Rows on their way through the lanes, a register of them at a time.
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

/// Variation of the state, and of its derivative at every stage.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Tangent<S: Simd, const M: usize> {
    pub(super) state: State<S, M>,
    pub(super) stages: [State<S, M>; STAGES],
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
        flight: &mut Flight<S, M>,
        tangents: &mut [Tangent<S, M>],
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
                flight.state[j][axis].set(lane, from(positions));
                let (mass, of_reference) = (self.ions.masses[j], self.ions.reference_mass);
                let velocity = |momenta: &[f64]| {
                    let of_ion = momenta[3 * place + axis] / mass;
                    of_ion - momenta[3 * reference + axis] / of_reference
                };
                let initial = self.rows.initial_momenta;
                let initial = initial.map(|momenta| &momenta[row * width..(row + 1) * width]);
                flight.state[j][3 + axis].set(lane, initial.map_or(0.0, velocity));
                let first_kick = tangents.len() - self.rows.kicks;
                for (number, tangent) in tangents.iter_mut().enumerate() {
                    let start = (row * self.rows.stride + number) * width;
                    let direction = &self.rows.directions[start..start + width];
                    let (position, speed) = if number < first_kick {
                        (from(direction), 0.0)
                    } else {
                        (0.0, velocity(direction))
                    };
                    tangent.state[j][axis].set(lane, position);
                    tangent.state[j][3 + axis].set(lane, speed);
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
        tangents: &[Tangent<S, M>],
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
        for (number, tangent) in tangents.iter().enumerate() {
            let varied = &tangent.state;
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
        let mut flight = Flight { state: rest, stages: [rest; STAGES], argument: rest };
        let pair = PairThere { d: [one; 3], factor: one, steepness: one };
        // Too large for the stack of a thread where there are many ions.
        let scene = Scene { pairs: [[pair; M]; M], pace: one };
        let mut scenes: Vec<Scene<S, M>> = std::iter::repeat_n(scene, STAGES).collect();
        let still = Tangent { state: rest, stages: [rest; STAGES] };
        let mut tangents = vec![still; self.rows.tangents];
        let mut unsolved = Vec::new();
        for rows in self.queue.chunks(S::F64_LANES) {
            for lane in 0..S::F64_LANES {
                // Lanes to spare repeat the last row; they are not written.
                self.load(&mut flight, &mut tangents, lane, rows[lane.min(rows.len() - 1)]);
            }
            let mut h = zero;
            let mut solved = [false; MOST_LANES];
            for step in 0..=most_steps {
                let now =
                    survey(simd, &self.ions, self.goal.tail, &flight.state, &mut flight.stages[0]);
                let running = now.apart.select(zero, one);
                let mut done = true;
                for lane in 0..S::F64_LANES {
                    solved[lane] = running.get(lane) == 0.0;
                    done &= solved[lane];
                }
                if done || step == most_steps {
                    break;
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
                    let Tangent { state, stages } = tangent;
                    vary(simd, &self.ions, &scenes[0], &flight.stages[0], state, &mut stages[0]);
                    for (row, stage) in A.iter().zip(1..) {
                        let argument = &mut flight.argument;
                        moved(simd, others, state, stages, row, h, argument);
                        let there = &flight.stages[stage];
                        vary(simd, &self.ions, &scenes[stage], there, argument, &mut stages[stage]);
                    }
                    for j in 0..others {
                        let slope = weighted(simd, stages, B, j);
                        for c in 0..6 {
                            let new = h.mul_add(slope[c], state[j][c]);
                            state[j][c] = accepted.select(new, state[j][c]);
                        }
                    }
                }
                for j in 0..others {
                    for c in 0..6 {
                        flight.state[j][c] = accepted.select(end[j][c], flight.state[j][c]);
                    }
                }
                h = h * step_factor(simd, error_2);
            }
            self.land(simd, &flight.state, &tangents, rows, &solved);
            let left = rows.iter().zip(solved).filter(|(_, solved)| !solved);
            unsolved.extend(left.map(|(row, _)| *row));
        }
        unsolved
    }
}
