//! Explosions whose charges take time, in lanes as those of the parent module.
//!
//! # The equations
//! ```text
//! k(t) = q_i(t) q_j(t)    strength of a pair;  K = k(infinity)
//! V = sum K / r           potential energy that the final charges would have
//! dt = ds / V,  dx_j/ds = w_j / V,  dw_j/ds = (F_j(t) / m_j + (sum F_i(t)) / m_0) / V
//! ```
//! The energy of the charges that are there already may be zero at the start; `V` never is, and regularises the
//! same collisions. Physical time is a component of the state. So is the fraction of a pulse that has passed, whose
//! derivative by time is the Gaussian itself: of the functions of [`crate::charging`] only exponentials are left. And so is
//! the rate of a transfer, which does not change: each lane has its own, and it can be varied.
//!
//! # Step control
//! That of the parent, with `V` for `U`, and
//! - for velocities, no less than the momentum scale of [`super::super::scales`];
//! - for time, against the time passed, and no less than the time scale; relaxed like positions;
//! - a step ends at the kink of a charge that grows evenly and is complete at once. The step that would cross it is
//!   one in physical time instead (as in Henon, Physica D 5, 412 (1982)): `V` is 1 in its equations.
//!
//! The end is that of the parent for the final charges, but not before the charges are complete.

mod charges;
mod pacer;
mod step;
pub(in crate::explosion) mod variation;

use pulp::{Arch, Simd, WithSimd};

use self::charges::{Charges, clock_at_start};
use self::pacer::Pacer;
use self::step::{LaneScales, Ticking, attempt, survey};
use super::step::Flight;
use super::{Convoy, FIRST_STEP, Goal, Landed, MOST_LANES, MOST_STEPS, Rows, TOLERANCE, on};
use crate::charging::{ChargeLaw, Rise};
use crate::explosion::scales::scales;
use crate::explosion::simd::Lanes;
use crate::explosion::tableau::STAGES;
use crate::molecule::{MAX_ATOMS, Molecule};

/// As [`super::explode`], with charges that follow `law`, by which all ions must repel each other throughout.
pub(in crate::explosion) fn explode(
    arch: Arch,
    molecule: &Molecule,
    law: &ChargeLaw,
    rows: Rows<'_>,
    queue: &[usize],
    goal: Goal,
    momenta: &mut [f64],
) -> Vec<usize> {
    macro_rules! of_size {
        ($others:expr, $exact:literal) => {{
            let convoy = Convoy::<{ $others }, $exact>::new(molecule, rows, queue, goal, momenta);
            let charges = Charges::new(law, &convoy.ions);
            on(arch, ChargingConvoy { convoy, molecule, law, charges })
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

/// The rise of a row, which may have a rate of transfer of its own.
fn rise_of(rise: Rise, transfers: Option<&[f64]>, row: usize) -> Rise {
    transfers.map_or(rise, |transfers| rise.with_transfer(transfers[row]))
}

/// The events of one call, on their way through the lanes.
struct ChargingConvoy<'a, const M: usize, const EXACT: bool> {
    convoy: Convoy<'a, M, EXACT>,
    molecule: &'a Molecule,
    law: &'a ChargeLaw,
    charges: Charges<M>,
}

impl<const M: usize, const EXACT: bool> ChargingConvoy<'_, M, EXACT> {
    /// Puts the next row, if there is one, into the lane.
    #[inline(always)]
    fn load_next<S: Simd>(
        &mut self,
        flight: &mut Flight<S, M>,
        ticking: &mut Ticking<S>,
        of_lanes: &mut LaneScales<S>,
        lane: usize,
    ) -> Option<usize> {
        let row = *self.convoy.queue.next()?;
        self.convoy.load(&mut flight.state, lane, row);
        let width = 3 * (self.convoy.ions.others() + 1);
        let positions = &self.convoy.rows.positions[row * width..(row + 1) * width];
        let rise = rise_of(self.law.rise, self.convoy.rows.transfers, row);
        of_lanes.set(lane, scales(self.molecule, self.law, rise, positions));
        for (part, value) in ticking.clock.iter_mut().zip(clock_at_start(rise)) {
            part.set(lane, value);
        }
        Some(row)
    }
}

impl<const M: usize, const EXACT: bool> WithSimd for ChargingConvoy<'_, M, EXACT> {
    type Output = Vec<usize>;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) -> Vec<usize> {
        let Goal { tolerance, tail, max_steps } = self.convoy.goal;
        let tolerance = TOLERANCE * tolerance;
        let others = self.convoy.ions.others();
        let splat = |value| Lanes::splat(simd, value);
        let (zero, one) = (splat(0.0), splat(1.0));
        let most_steps = splat(max_steps.min(MOST_STEPS) as f64);
        let first_step = splat(FIRST_STEP * tolerance.powf(0.125));
        let mut unsolved = Vec::new();
        let mut landed = Landed { state: [[zero; 6]; M], rows: [0; MOST_LANES], count: 0 };
        let rest = [[one; 6]; M];
        let mut flight = Flight { state: rest, stages: [rest; STAGES], argument: rest };
        let mut ticking = Ticking::new(simd);
        let mut of_lanes = LaneScales::new(simd);
        let mut pacer = Pacer::new(simd, self.law.rise.kink());
        let mut steps = zero;
        let mut events: [Option<usize>; MOST_LANES] = [None; MOST_LANES];
        let mut flying = 0;
        for lane in 0..S::F64_LANES {
            events[lane] = self.load_next(&mut flight, &mut ticking, &mut of_lanes, lane);
            flying += usize::from(events[lane].is_some());
        }
        while flying > 0 {
            let (ions, charges) = (&self.convoy.ions, &self.charges);
            let mut now = survey(simd, ions, charges, tail, &of_lanes, &mut flight, &mut ticking);
            let ended = now.survey.apart.select(one, zero);
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
                        self.convoy.land(simd, &mut landed);
                    }
                } else {
                    unsolved.push(row);
                }
                pacer.begin(lane);
                steps.set(lane, 0.0);
                events[lane] = self.load_next(&mut flight, &mut ticking, &mut of_lanes, lane);
                flying -= usize::from(events[lane].is_none());
            }
            let (ions, charges) = (&self.convoy.ions, &self.charges);
            if changed {
                if flying == 0 {
                    break;
                }
                now = survey(simd, ions, charges, tail, &of_lanes, &mut flight, &mut ticking);
            }
            let stride = pacer.next(simd, others, first_step, &now, &mut flight, &mut ticking);
            let both = (&mut flight, &mut ticking);
            let error_2 = attempt(simd, ions, charges, tolerance, both, &now, stride);
            let accepted = pacer.judge(simd, stride, error_2, &now, &mut ticking);
            for j in 0..others {
                for c in 0..6 {
                    let (new, old) = (flight.argument[j][c], flight.state[j][c]);
                    flight.state[j][c] = accepted.select(new, old);
                }
            }
            for c in 0..2 {
                ticking.clock[c] = accepted.select(ticking.argument[c], ticking.clock[c]);
            }
            steps = steps + one;
        }
        self.convoy.land(simd, &mut landed);
        unsolved
    }
}
