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

pub(super) mod charging;
mod relative_ions;
mod step;
pub(super) mod variation;

use pulp::{Arch, Simd, WithSimd};

use self::relative_ions::RelativeIons;
use self::step::{Flight, State, Survey, derive, dot, end, separation, step_factor, survey};
use super::simd::{Lanes, narrower};
use super::tableau::{A, STAGES};
use crate::molecule::{MAX_ATOMS, Molecule};

/// Steps after which an event is left to the scalar path; ordinary ones take a tenth of it.
const MOST_STEPS: usize = 500;

/// Registers full of events that take their steps side by side: what one stage computes depends on the one before, and while the
/// arithmetic of one register waits for its results, that of the other goes on.
const GROUPS: usize = 2;

/// Events a lane from which on all groups are used: with fewer, more lanes would be without an event while the last ones end.
const LONG: usize = 8;

/// Events a lane below which the last ones have registers of their own.
const SHORT: usize = 3;

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
    lanes_of(arch) > 1
}

fn lanes_of(arch: Arch) -> usize {
    struct Count;
    impl WithSimd for Count {
        type Output = usize;

        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F64_LANES
        }
    }
    arch.dispatch(Count)
}

/// Rows of 3N numbers to be exploded.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    /// Positions in bohr.
    pub(super) positions: &'a [f64],
    /// Momenta at the start in a.u.; `None` from rest.
    pub(super) initial_momenta: Option<&'a [f64]>,
    /// A rate of transfer for each, 1/a.u. of time; `None` for that of the law.
    pub(super) transfers: Option<&'a [f64]>,
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
    let mut unsolved = Vec::new();
    for (arch, queue) in in_registers(arch, queue) {
        macro_rules! of_size {
            ($others:expr, $exact:literal) => {
                on(arch, Convoy::<{ $others }, $exact>::new(molecule, rows, queue, goal, momenta))
            };
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

/// Which registers take which rows of a queue: where the widest ones would have half of their lanes to spare for the last rows, those of
/// half the width take these. Momenta do not depend on it in one bit.
fn in_registers(arch: Arch, queue: &[usize]) -> impl Iterator<Item = (Arch, &[usize])> {
    let lanes = lanes_of(arch);
    let rest = queue.len() % lanes;
    // The last rows of a long queue fill lanes that others leave.
    let narrower = narrower(arch).filter(|_| queue.len() < SHORT * lanes && rest <= lanes / 2);
    let (whole, rest) = queue.split_at(queue.len() - narrower.map_or(0, |_| rest));
    let parts = [(arch, whole), (narrower.unwrap_or(arch), rest)];
    parts.into_iter().filter(|(_, rows)| !rows.is_empty())
}

/// Runs `work` on an instruction set that has lanes ([`pay_on`]). Code for one that has none is compiled into the
/// tests alone: it is a third of all.
fn on<W: WithSimd>(arch: Arch, work: W) -> W::Output {
    #[cfg(all(target_arch = "x86_64", not(test)))]
    return match arch {
        Arch::V4(simd) => Simd::vectorize(simd, work),
        Arch::V3(simd) => Simd::vectorize(simd, work),
        _ => unreachable!("rows come here only where there are lanes"),
    };
    #[cfg(not(all(target_arch = "x86_64", not(test))))]
    arch.dispatch(work)
}

/// The events of one call, on their way through the lanes.
struct Convoy<'a, const M: usize, const EXACT: bool> {
    ions: RelativeIons<M, EXACT>,
    rows: Rows<'a>,
    queue: std::slice::Iter<'a, usize>,
    goal: Goal,
    momenta: &'a mut [f64],
}

/// Events on their way, one in each lane.
#[derive(Clone, Copy)]
struct Group<S: Simd, const M: usize> {
    flight: Flight<S, M>,
    now: Survey<S>,
    h: Lanes<S>,
    /// Steps so far.
    steps: Lanes<S>,
    events: [Option<usize>; MOST_LANES],
    /// How many there are.
    flying: usize,
}

/// Events that have ended, waiting until there is one for each lane.
#[repr(C, align(64))]
struct Landed<S: Simd, const M: usize> {
    state: State<S, M>,
    rows: [usize; MOST_LANES],
    count: usize,
}

impl<'a, const M: usize, const EXACT: bool> Convoy<'a, M, EXACT> {
    fn new(
        molecule: &Molecule,
        rows: Rows<'a>,
        queue: &'a [usize],
        goal: Goal,
        momenta: &'a mut [f64],
    ) -> Self {
        Self { ions: RelativeIons::new(molecule), rows, queue: queue.iter(), goal, momenta }
    }

    /// Puts the row into the lane, with the reference subtracted.
    #[inline(always)]
    fn load<S: Simd>(&self, state: &mut State<S, M>, lane: usize, row: usize) {
        let (others, reference) = (self.ions.others(), self.ions.reference());
        let width = 3 * (others + 1);
        let span = row * width..(row + 1) * width;
        let state = &mut state[..others];
        let positions = &self.rows.positions[span.clone()];
        for (ion, &place) in state.iter_mut().zip(&self.ions.places) {
            for axis in 0..3 {
                ion[axis].set(lane, positions[3 * place + axis] - positions[3 * reference + axis]);
                ion[3 + axis].set(lane, 0.0);
            }
        }
        if let Some(momenta) = self.rows.initial_momenta {
            let momenta = &momenta[span];
            let ions = state.iter_mut().zip(&self.ions.places).zip(&self.ions.masses);
            for ((ion, &place), mass) in ions {
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
        for j in 0..ions.others() {
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
            for j in 0..ions.others() {
                drift = splat(ions.masses[j]).mul_add(state[j][3 + axis], drift);
            }
            // Velocity of the centre of mass relative to the reference.
            let drift = drift * splat(1.0 / ions.total_mass);
            for j in 0..ions.others() {
                let velocity = state[j][3 + axis] - drift;
                momenta[j][axis] = splat(ions.masses[j]).mul_add(velocity, impulse[j][axis]);
            }
        }
        let width = 3 * (ions.others() + 1);
        for (lane, row) in landed.rows[..landed.count].iter().enumerate() {
            let span = row * width..(row + 1) * width;
            let out = &mut self.momenta[span.clone()];
            let initial = self.rows.initial_momenta.map(|momenta| &momenta[span]);
            for axis in 0..3 {
                let total = initial.map_or(0.0, |row| row[axis..].iter().step_by(3).sum());
                let mut rest = total;
                for j in 0..ions.others() {
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

impl<const M: usize, const EXACT: bool> WithSimd for Convoy<'_, M, EXACT> {
    type Output = Vec<usize>;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) -> Vec<usize> {
        let others = self.ions.others();
        let tolerance = TOLERANCE * self.goal.tolerance;
        let splat = |value| Lanes::splat(simd, value);
        let (zero, one) = (splat(0.0), splat(1.0));
        let most_steps = splat(self.goal.max_steps.min(MOST_STEPS) as f64);
        let first_step = splat(FIRST_STEP * tolerance.powf(0.125));
        let mut unsolved = Vec::new();
        let mut landed = Landed { state: [[zero; 6]; M], rows: [0; MOST_LANES], count: 0 };
        // What a lane without an event holds does not matter: it is never looked at.
        let rest = [[one; 6]; M];
        let flight = Flight { state: rest, stages: [rest; STAGES], argument: rest };
        let (h, steps) = (zero, zero);
        let now = survey(simd, &self.ions, self.goal.tail, &rest, &mut [[zero; 6]; M]);
        let idle = Group { flight, now, h, steps, events: [None; MOST_LANES], flying: 0 };
        let mut groups = [idle; GROUPS];
        let used = if self.queue.len() < LONG * S::F64_LANES { 1 } else { GROUPS };
        for group in &mut groups[..used] {
            for lane in 0..S::F64_LANES {
                if let Some(&row) = self.queue.next() {
                    self.load(&mut group.flight.state, lane, row);
                    group.events[lane] = Some(row);
                    group.flying += 1;
                }
            }
        }
        loop {
            let mut left = 0;
            for index in 0..GROUPS {
                let Group { flight, now, h, steps, events, flying } = &mut groups[index];
                if *flying == 0 {
                    continue;
                }
                *now =
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
                        for j in 0..others {
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
                        *flying -= 1;
                    }
                }
                if *flying == 0 {
                    continue;
                }
                if changed {
                    *now = survey(
                        simd,
                        &self.ions,
                        self.goal.tail,
                        &flight.state,
                        &mut flight.stages[0],
                    );
                }
                *h =
                    h.greater(zero).select(*h, first_step * now.natural_step).min(now.longest_step);
                left += 1;
                // Those on their way come first.
                if left <= index {
                    groups.swap(left - 1, index);
                }
            }
            if left == 0 {
                break;
            }
            for (row, stage) in A.iter().zip(1..) {
                for group in &mut groups[..left] {
                    derive(simd, &self.ions, (row, stage), &mut group.flight, group.h);
                }
            }
            for Group { flight, now, h, steps, .. } in &mut groups[..left] {
                let error_2 = end(simd, &self.ions, tolerance, flight, now, *h);
                let accepted = one.greater(error_2);
                for j in 0..others {
                    for c in 0..6 {
                        let (new, old) = (flight.argument[j][c], flight.state[j][c]);
                        flight.state[j][c] = accepted.select(new, old);
                    }
                }
                *h = *h * step_factor(simd, error_2);
                *steps = *steps + one;
            }
        }
        self.land(simd, &mut landed);
        unsolved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charging::ChargeLaw;
    use crate::presets::{CHBRCLF, OCS_WIDE};
    use crate::simulation::simulate;
    use crate::{Charging, Simulation};

    /// Enough for several groups on every instruction set.
    const ROWS: usize = LONG * MOST_LANES + 9;

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

    /// A molecule, positions and momenta of rows, and the law of its charges if they take time.
    type Case = (Molecule, Vec<f64>, Vec<f64>, Option<ChargeLaw>);

    fn cases() -> Vec<Case> {
        let mut cases = vec![];
        for preset in [OCS_WIDE, CHBRCLF] {
            let simulation: Simulation = toml::from_str(preset.text).unwrap();
            let events = simulate(&simulation, ROWS, 5).unwrap();
            let positions: Vec<f64> = events.positions.iter().copied().collect();
            let initial: Vec<f64> = events.momenta.iter().map(|p| 0.1 * p).collect();
            cases.push((simulation.molecule, positions, initial, None));
        }
        // Of sizes that have no code of their own, for charges that take time and for any.
        for (atoms, size) in [(7, 3.0), (12, 6.0)] {
            let list = "{ element = \"C\", charge = 2 },".repeat(atoms);
            let molecule: Molecule = toml::from_str(&format!("atoms = [{list}]")).unwrap();
            let components = (0..ROWS * 3 * atoms).map(|c| size * (1.0 + 7.3 * c as f64).sin());
            let positions: Vec<f64> = components.collect();
            let initial = vec![0.0; positions.len()];
            cases.push((molecule, positions, initial, None));
        }
        for charging in [
            "kind = \"exponential\"\ntau_fs = 8",
            "kind = \"linear\"\ntau_fs = 8",
            "kind = \"pulse\"\nfwhm_fs = 8",
        ] {
            let charging: Charging = toml::from_str(charging).unwrap();
            for case in 0..4 {
                let (molecule, positions, initial, _) = cases[case].clone();
                let law = charging.resolve(&molecule).unwrap();
                cases.push((molecule, positions, initial, law));
            }
        }
        cases
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        for (molecule, positions, initial, law) in &cases() {
            let rows = Rows { positions, initial_momenta: Some(initial), transfers: None };
            let goal = Goal { tolerance: 1e-10, tail: 1e-6, max_steps: MOST_STEPS };
            // Not in the order of the rows, and not all of them.
            let queue: Vec<usize> = (1..ROWS).rev().collect();
            let momenta_on = |arch| {
                let mut momenta = vec![0.0; positions.len()];
                let out = &mut momenta;
                let left = match law {
                    None => explode(arch, molecule, rows, &queue, goal, out),
                    Some(law) => charging::explode(arch, molecule, law, rows, &queue, goal, out),
                };
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
        let rows = Rows { positions: &positions, initial_momenta: None, transfers: None };
        let goal = Goal { tolerance: 1e-10, tail: 1e-6, max_steps: 5 };
        let queue: Vec<usize> = (0..20).collect();
        let mut momenta = vec![0.0; positions.len()];
        let mut left = explode(Arch::new(), &simulation.molecule, rows, &queue, goal, &mut momenta);
        left.sort_unstable();
        assert_eq!(left, queue);
        assert!(momenta.iter().all(|p| *p == 0.0));
    }
}
