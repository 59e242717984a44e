//! The variational equations beside explosions whose charges take time: those of [`super::super::variation`], with the
//! clock as a part of the state.
//!
//! # Notation
//! That of the parent module; `c = 1 / r`, and a `v` before a symbol is its first variation.
//! ```text
//! vV   = -sum K c^3 (d.vd)
//! vF_j = sum k c^3 vd - 3 k c^5 (d.vd) d + vk c^3 d,     vk = vq_j q_i + q_j vq_i,  vq = dq/dt vt
//! v(dx/ds) = vw / V - dx/ds vV / V,  v(dw/ds) = vA / V - dw/ds vV / V,  v(dt/ds) = -dt/ds vV / V
//! ```
//! The fraction of a pulse that has passed is a component of the clock: `vq` comes from its variation there. A step in
//! time that ends at a kink is as long as is left, so its length varies by `-vt`: the state at its end by `-vt` times
//! the state's derivative by time there, and the clock not at all.

use pulp::{Arch, Simd, WithSimd};

use super::charges::{Charges, Clock, Fractions, clock_at_start};
use super::pacer::Pacer;
use super::rise_of;
use super::step::{LaneScales, Ticking, attempt, slope, survey};
use crate::charging::{ChargeLaw, PULSE_BEGINS, Rise};
use crate::explosion::convoy::relative_ions::RelativeIons;
use crate::explosion::convoy::step::{Flight, State, dot, moved, separation, weighted};
use crate::explosion::convoy::variation::{Group, Variations};
use crate::explosion::convoy::{FIRST_STEP, Goal, MOST_LANES, MOST_STEPS, TOLERANCE, on};
use crate::explosion::scales::scales;
use crate::explosion::simd::{Lanes, Mask};
use crate::explosion::tableau::{A, B, STAGES};
use crate::molecule::{MAX_ATOMS, Molecule};

/// As [`super::super::variation::explode_varied`], with charges that follow `law`.
#[allow(clippy::too_many_arguments, reason = "those of the parent's function and the law")]
pub(in crate::explosion) fn explode_varied(
    arch: Arch,
    molecule: &Molecule,
    law: &ChargeLaw,
    rows: &Variations<'_>,
    queue: &[usize],
    goal: Goal,
    momenta: &mut [f64],
    changes: &mut [f64],
) -> Vec<usize> {
    macro_rules! of_size {
        ($others:expr, $exact:literal) => {{
            let ions = RelativeIons::<{ $others }, $exact>::new(molecule);
            let charges = Charges::new(law, &ions);
            let group = Group { ions, rows, queue, goal, momenta, changes };
            on(arch, ChargingGroup { group, molecule, law, charges })
        }};
    }
    match molecule.atom_count() - 1 {
        1 => of_size!(1, true),
        2 => of_size!(2, true),
        3 => of_size!(3, true),
        4 => of_size!(4, true),
        5..=9 => of_size!(9, false),
        _ => of_size!(MAX_ATOMS - 1, false),
    }
}

struct ChargingGroup<'a, const M: usize, const EXACT: bool> {
    group: Group<'a, M, EXACT>,
    molecule: &'a Molecule,
    law: &'a ChargeLaw,
    charges: Charges<M>,
}

/// A pair at one stage: d, c^3 and c^2.
#[derive(Clone, Copy)]
struct PairThere<S: Simd> {
    d: [Lanes<S>; 3],
    closeness_3: Lanes<S>,
    closeness_2: Lanes<S>,
}

/// All that a stage's variation needs of its trajectory.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Scene<S: Simd, const M: usize> {
    pairs: [[PairThere<S>; M]; M],
    charges: [Lanes<S>; M],
    of_reference: Lanes<S>,
    /// Derivatives of the fractions by time.
    rates: Fractions<S>,
    /// Derivative by time of the rate of a pulse.
    bend: Lanes<S>,
    /// Derivative of the fraction that is handed on by the rate of the transfer.
    by_transfer: Lanes<S>,
    /// 1 / V, and 1 in a step in time.
    pace: Lanes<S>,
    /// The same, and 0 in a step in time: what turns -vV into the relative change of the pace.
    quickness: Lanes<S>,
}

/// Fills `scene` with what is at `state` and `clock`.
#[inline(always)]
fn see<S: Simd, const M: usize, const EXACT: bool>(
    simd: S,
    ions: &RelativeIons<M, EXACT>,
    charges: &Charges<M>,
    in_time: Mask<S>,
    (state, clock): (&State<S, M>, &Clock<S>),
    scene: &mut Scene<S, M>,
) {
    let splat = |value| Lanes::splat(simd, value);
    let (zero, one) = (splat(0.0), splat(1.0));
    let mut potential = zero;
    for j in 0..ions.others() {
        for i in 0..=j {
            let d = separation(state, j, i, 0);
            let closeness = dot(d, d).inverse_sqrt();
            let closeness_2 = closeness * closeness;
            potential = splat(ions.pairs[j][i].strength).mul_add(closeness, potential);
            scene.pairs[j][i] = PairThere { d, closeness_3: closeness * closeness_2, closeness_2 };
        }
    }
    (scene.charges, scene.of_reference) = charges.charges(simd, ions.others(), clock);
    scene.rates = charges.rates(simd, clock);
    if let Rise::Linear { duration } = charges.rise {
        // At the end of a step up to the kink the charge still grows.
        scene.rates.0 = in_time.select(splat(1.0 / duration), scene.rates.0);
    }
    scene.bend = match charges.rise {
        Rise::Pulse { rate } => {
            let z = splat(rate) * clock[0] - splat(PULSE_BEGINS);
            splat(-rate) * z * scene.rates.0
        }
        _ => zero,
    };
    scene.by_transfer = charges.by_transfer(simd, clock);
    let pace = one / potential;
    scene.pace = in_time.select(one, pace);
    scene.quickness = in_time.select(zero, pace);
}

/// The variations of the derivatives `there` of state and clock, whose own variations are `state` and `clock`.
#[inline(always)]
fn vary<S: Simd, const M: usize, const EXACT: bool>(
    simd: S,
    ions: &RelativeIons<M, EXACT>,
    charges: &Charges<M>,
    scene: &Scene<S, M>,
    there: (&State<S, M>, &Clock<S>),
    (state, clock): (&State<S, M>, &Clock<S>),
    (slope, clock_slope): (&mut State<S, M>, &mut Clock<S>),
) {
    let splat = |value| Lanes::splat(simd, value);
    let zero = splat(0.0);
    let (of_made, of_handed_on) = scene.rates;
    let made = match charges.rise {
        Rise::Pulse { .. } => clock[1],
        _ => of_made * clock[0],
    };
    let handed_on = of_handed_on.map(|rate| rate.mul_add(clock[0], scene.by_transfer * clock[1]));
    let (v_charges, v_of_reference) = charges.combined(simd, ions.others(), 0.0, (made, handed_on));
    let mut forces = [[zero; 3]; M];
    // -vV
    let mut loss = zero;
    for j in 0..ions.others() {
        for i in 0..=j {
            let PairThere { d, closeness_3, closeness_2 } = scene.pairs[j][i];
            let (partner, v_partner) = if i == j {
                (scene.of_reference, v_of_reference)
            } else {
                (scene.charges[i], v_charges[i])
            };
            let vd = separation(state, j, i, 0);
            let along = dot(d, vd);
            loss = (splat(ions.pairs[j][i].strength) * closeness_3).mul_add(along, loss);
            let strength = scene.charges[j] * partner;
            let v_strength = v_charges[j].mul_add(partner, scene.charges[j] * v_partner);
            let factor = strength * closeness_3;
            let stretch = splat(3.0) * factor * closeness_2 * along;
            let bend = v_strength * closeness_3 - stretch;
            for axis in 0..3 {
                let force = bend.mul_add(d[axis], factor * vd[axis]);
                forces[j][axis] = forces[j][axis] + force;
                if i != j {
                    forces[i][axis] = forces[i][axis] - force;
                }
            }
        }
    }
    let pace = scene.pace;
    let quickening = loss * scene.quickness;
    for axis in 0..3 {
        let mut sum = forces[0][axis];
        for force in &forces[1..ions.others()] {
            sum = sum + force[axis];
        }
        let of_reference = sum * (pace * splat(1.0 / ions.reference_mass));
        for j in 0..ions.others() {
            let inverse_mass = pace * splat(1.0 / ions.masses[j]);
            let acceleration = forces[j][axis].mul_add(inverse_mass, of_reference);
            slope[j][axis] = quickening.mul_add(there.0[j][axis], state[j][3 + axis] * pace);
            slope[j][3 + axis] = quickening.mul_add(there.0[j][3 + axis], acceleration);
        }
    }
    *clock_slope =
        [quickening * there.1[0], quickening.mul_add(there.1[1], scene.bend * clock[0] * pace)];
}

impl<const M: usize, const EXACT: bool> WithSimd for ChargingGroup<'_, M, EXACT> {
    type Output = Vec<usize>;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) -> Vec<usize> {
        let Goal { tolerance, tail, max_steps } = self.group.goal;
        let tolerance = TOLERANCE * tolerance;
        let splat = |value| Lanes::splat(simd, value);
        let (zero, one) = (splat(0.0), splat(1.0));
        let always = one.greater(zero);
        let most_steps = max_steps.min(MOST_STEPS);
        let first_step = splat(FIRST_STEP * tolerance.powf(0.125));
        let kink = self.law.rise.kink();
        let width = 3 * (self.group.ions.others() + 1);
        let rest = [[one; 6]; M];
        let mut flight = Flight { state: rest, stages: [rest; STAGES], argument: rest };
        let mut ticking = Ticking::new(simd);
        let mut of_lanes = LaneScales::new(simd);
        let pair = PairThere { d: [one; 3], closeness_3: one, closeness_2: one };
        let scene = Scene {
            pairs: [[pair; M]; M],
            charges: [one; M],
            of_reference: one,
            rates: (one, None),
            bend: one,
            by_transfer: one,
            pace: one,
            quickness: one,
        };
        // Too large for the stack of a thread where there are many ions.
        let mut scenes: Vec<Scene<S, M>> = std::iter::repeat_n(scene, STAGES).collect();
        let mut tangents = vec![rest; self.group.rows.tangents];
        let stopped = [zero; 2];
        let mut clock_tangents = vec![stopped; tangents.len()];
        // Derivatives of one tangent after the other.
        let (mut stages, mut clock_stages) = ([rest; STAGES], [stopped; STAGES]);
        let (mut end_slope, mut end_clock_slope) = (rest, [zero; 2]);
        let mut unsolved = Vec::new();
        for rows in self.group.queue.chunks(S::F64_LANES) {
            for lane in 0..S::F64_LANES {
                // Lanes to spare repeat the last row; they are not written.
                let row = rows[lane.min(rows.len() - 1)];
                self.group.load(&mut flight.state, &mut tangents, lane, row);
                let positions = &self.group.rows.positions[row * width..(row + 1) * width];
                let rise = rise_of(self.law.rise, self.group.rows.transfers, row);
                of_lanes.set(lane, scales(self.molecule, self.law, rise, positions));
                for (part, value) in ticking.clock.iter_mut().zip(clock_at_start(rise)) {
                    part.set(lane, value);
                }
            }
            clock_tangents.fill(stopped);
            if self.group.rows.by_transfer {
                let place = clock_tangents.len() - self.group.rows.kicks - 1;
                clock_tangents[place][1] = one;
            }
            let mut pacer = Pacer::new(simd, kink);
            let (ions, charges) = (&self.group.ions, &self.charges);
            let mut solved = [false; MOST_LANES];
            for step in 0..=most_steps {
                let now = survey(simd, ions, charges, tail, &of_lanes, &mut flight, &mut ticking);
                let running = now.survey.apart.select(zero, one);
                let mut done = true;
                for lane in 0..S::F64_LANES {
                    solved[lane] = running.get(lane) == 0.0;
                    done &= solved[lane];
                }
                if done || step == most_steps {
                    break;
                }
                let stride =
                    pacer.next(simd, ions.others(), first_step, &now, &mut flight, &mut ticking);
                let both = (&mut flight, &mut ticking);
                let error_2 = attempt(simd, ions, charges, tolerance, both, &now, stride);
                let sound = pacer.judge(simd, stride, error_2, &now, &mut ticking);
                let accepted = sound.and(running.greater(zero));
                let (end, clock_end) = (flight.argument, ticking.argument);
                let (h, in_time) = (stride.h, stride.in_time);
                let start = (&flight.state, &ticking.clock);
                see(simd, ions, charges, in_time, start, &mut scenes[0]);
                for (row, stage) in A.iter().zip(1..) {
                    let Flight { state, stages, argument } = &mut flight;
                    moved(simd, ions.others(), state, stages, row, h, argument);
                    let clock = Ticking::moved(simd, &ticking.clock, &ticking.stages, row, h);
                    see(simd, ions, charges, in_time, (argument, &clock), &mut scenes[stage]);
                }
                if kink.is_some() {
                    let slopes = (&mut end_slope, &mut end_clock_slope);
                    slope(simd, ions, charges, always, (&end, &clock_end), slopes);
                }
                for (state, clock) in tangents.iter_mut().zip(&mut clock_tangents) {
                    let there = (&flight.stages[0], &ticking.stages[0]);
                    let slopes = (&mut stages[0], &mut clock_stages[0]);
                    vary(simd, ions, charges, &scenes[0], there, (state, clock), slopes);
                    for (row, stage) in A.iter().zip(1..) {
                        let argument = &mut flight.argument;
                        moved(simd, ions.others(), state, &stages, row, h, argument);
                        let clock = Ticking::moved(simd, clock, &clock_stages, row, h);
                        let there = (&flight.stages[stage], &ticking.stages[stage]);
                        let slopes = (&mut stages[stage], &mut clock_stages[stage]);
                        let varied = (&*argument, &clock);
                        vary(simd, ions, charges, &scenes[stage], there, varied, slopes);
                    }
                    // By how much a step up to the kink is longer.
                    let longer = in_time.select(zero - clock[0], zero);
                    for j in 0..ions.others() {
                        let slope = weighted(simd, &stages, B, j);
                        for c in 0..6 {
                            let mut new = h.mul_add(slope[c], state[j][c]);
                            if kink.is_some() {
                                new = longer.mul_add(end_slope[j][c], new);
                            }
                            state[j][c] = accepted.select(new, state[j][c]);
                        }
                    }
                    let new = Ticking::moved(simd, clock, &clock_stages, B, h);
                    clock[0] = accepted.select(in_time.select(zero, new[0]), clock[0]);
                    clock[1] = accepted.select(new[1], clock[1]);
                }
                for j in 0..ions.others() {
                    for c in 0..6 {
                        flight.state[j][c] = accepted.select(end[j][c], flight.state[j][c]);
                    }
                }
                for c in 0..2 {
                    ticking.clock[c] = accepted.select(clock_end[c], ticking.clock[c]);
                }
            }
            self.group.land(simd, &flight.state, &tangents, rows, &solved);
            let left = rows.iter().zip(solved).filter(|(_, solved)| !solved);
            unsolved.extend(left.map(|(row, _)| *row));
        }
        unsolved
    }
}
