//! One explosion at a time, in physical time: the reference that the lanes are tested against, and the
//! path of every event that they do not take (attraction, neutral atoms, too many steps).
//!
//! # Step control
//! - The error of a step is measured for each position against the distance to the nearest ion that it
//!   interacts with, and for each momentum against the event's momentum scale (the largest of the
//!   initial momenta and of `sqrt(2 mu |q_i q_j| / r_ij)`), both times [`Accuracy::tolerance`]. So a
//!   close encounter shortens the steps and free flight lengthens them without bound.
//! - No step is longer than half the time in which two approaching ions would meet.
//! - The end of the integration is where, for every interacting pair, the ions recede and the pair's
//!   potential energy is below [`Accuracy::tail`] times the kinetic energy of its relative motion
//!   (the time of the end is inversely proportional to `tail`).
//! - While charges change, potentials at the end are those of the final charges, and there is no end before these
//!   are complete. The momentum scale is that of [`super::scales`].

use super::accuracy::Accuracy;
use super::dop853::{Dop853, State};
use super::error::ExplosionError;
use super::ions::{Ions, Pair};
use super::scales::scales;
use crate::charging::{ChargeLaw, Rise};
use crate::molecule::MAX_ATOMS;
use crate::units::TIME_AU_FS;
use crate::vector::{Vector, difference, dot, norm, of_atom, scaled};

/// Numbers of atoms up to which there is code for each; larger molecules share theirs.
const OWN_CODE: usize = 10;

/// The end of an explosion.
pub(super) struct Flight {
    /// Momenta at infinite time; the first 3N count.
    pub(super) momenta: [f64; 3 * MAX_ATOMS],
    /// Time at which the integration ended and the closed form took over, in a.u.
    #[cfg_attr(not(test), allow(dead_code, reason = "the tests of the step control read it"))]
    end_time: f64,
}

/// What the step control reads off a state.
struct Survey {
    /// Distance from each ion to the nearest one that it interacts with, bohr.
    nearest: [f64; MAX_ATOMS],
    /// The closest interacting pair: its place in the list and its distance.
    closest: (usize, f64),
    /// Longest step allowed by approaching pairs, a.u. of time.
    longest_step: f64,
    /// Every interacting pair recedes with its potential energy below the tail.
    apart: bool,
}

impl Ions<'_> {
    /// The trajectory of one row that has passed [`Self::check_row`]; with a rate of transfer of its own if there is one.
    ///
    /// # Errors
    /// [`ExplosionError::Bound`], [`ExplosionError::NotApart`].
    pub(super) fn fly_apart(
        &self,
        positions: &[f64],
        initial_momenta: &[f64],
        transfer: Option<f64>,
        accuracy: &Accuracy,
    ) -> Result<Flight, ExplosionError> {
        if let (Some(transfer), Some(law)) = (transfer, &self.law) {
            let law = ChargeLaw { rise: law.rise.with_transfer(transfer), ..law.clone() };
            let own = Ions::new(self.molecule, Some(law));
            return own.fly_apart(positions, initial_momenta, None, accuracy);
        }
        self.check_unbound(positions, initial_momenta)?;
        let integrate = match self.inverse_masses.len() {
            2 => Self::integrate::<2>,
            3 => Self::integrate::<3>,
            4 => Self::integrate::<4>,
            5 => Self::integrate::<5>,
            6 => Self::integrate::<6>,
            7 => Self::integrate::<7>,
            8 => Self::integrate::<8>,
            9 => Self::integrate::<9>,
            10 => Self::integrate::<10>,
            11..=16 => Self::integrate::<16>,
            _ => Self::integrate::<MAX_ATOMS>,
        };
        integrate(self, positions, initial_momenta, accuracy)
    }

    /// The integration loop, for at most N atoms; what a state has beyond the molecule's rests at the origin.
    fn integrate<const N: usize>(
        &self,
        positions: &[f64],
        initial_momenta: &[f64],
        accuracy: &Accuracy,
    ) -> Result<Flight, ExplosionError> {
        let mut state = [[0.0; 6]; N];
        let atoms = self.atoms::<N>();
        for (atom, ion) in state[..atoms].iter_mut().enumerate() {
            ion[..3].copy_from_slice(&of_atom(positions, atom));
            ion[3..].copy_from_slice(&of_atom(initial_momenta, atom));
        }
        let momentum_scale = match &self.law {
            None => self.momentum_scale(&state),
            Some(law) => scales(self.molecule, law, law.rise, positions)
                .momentum
                .max(largest_momentum(&state)),
        };
        let rise = self.law.as_ref().map(|law| law.rise);
        let complete_at = rise.filter(|_| !self.pairs.is_empty()).map_or(0.0, Rise::complete_at);
        let kink = rise.and_then(Rise::kink).unwrap_or(0.0);
        let mut survey = self.survey(&state, accuracy.tail);
        let mut h = self.first_step(&state);
        let mut integrator =
            Dop853::new(|time, state: &State<N>| self.derivative(time, state), state, atoms);
        let mut steps = 0;
        while !survey.apart || integrator.time < complete_at {
            if steps == accuracy.max_steps {
                return Err(self.not_apart(&survey, steps, integrator.time));
            }
            steps += 1;
            h = h.min(survey.longest_step);
            let meets_kink = integrator.time < kink && integrator.time + h >= kink;
            let wanted = h;
            if meets_kink {
                h = kink - integrator.time;
            }
            let scale = error_scale(&survey, momentum_scale, accuracy.tolerance);
            let trial = integrator.attempt(h, &scale);
            if trial.error <= 1.0 {
                integrator.accept(&trial);
                if meets_kink {
                    integrator.time = kink;
                }
                survey = self.survey(&integrator.state, accuracy.tail);
            }
            h *= step_factor(trial.error);
            if meets_kink && trial.error <= 1.0 {
                // A step that was cut short says little about the next.
                h = h.max(wanted);
            }
        }
        let mut momenta = [0.0; 3 * MAX_ATOMS];
        for (momentum, ion) in momenta.chunks_exact_mut(3).zip(&integrator.state) {
            momentum.copy_from_slice(&ion[3..]);
        }
        self.add_tail(&integrator.state, &mut momenta);
        Ok(Flight { momenta, end_time: integrator.time })
    }

    /// The number of atoms, which the compiler knows where there is code for each.
    fn atoms<const N: usize>(&self) -> usize {
        if N <= OWN_CODE { N } else { self.inverse_masses.len() }
    }

    fn derivative<const N: usize>(&self, time: f64, state: &State<N>) -> State<N> {
        let charges: Option<[f64; N]> = self.law.as_ref().map(|law| {
            let fractions = law.rise.fractions(time);
            let atoms = self.atoms::<N>();
            std::array::from_fn(|atom| if atom < atoms { law.charge(atom, fractions) } else { 0.0 })
        });
        let mut slope = [[0.0; 6]; N];
        for ((slope, ion), inverse_mass) in slope.iter_mut().zip(state).zip(&self.inverse_masses) {
            for axis in 0..3 {
                slope[axis] = ion[3 + axis] * inverse_mass;
            }
        }
        for pair in &self.pairs {
            let separation = difference(position(state, pair.first), position(state, pair.second));
            let square = dot(separation, separation);
            let strength = match &charges {
                None => pair.strength,
                Some(charges) => charges[pair.first] * charges[pair.second],
            };
            let factor = strength / (square * square.sqrt());
            for axis in 0..3 {
                slope[pair.first][3 + axis] += factor * separation[axis];
                slope[pair.second][3 + axis] -= factor * separation[axis];
            }
        }
        slope
    }

    /// Relative position and velocity of a pair.
    fn relative<const N: usize>(&self, pair: &Pair, state: &State<N>) -> (Vector, Vector) {
        let velocity = |atom: usize| {
            let [_, _, _, px, py, pz] = state[atom];
            scaled([px, py, pz], self.inverse_masses[atom])
        };
        (
            difference(position(state, pair.first), position(state, pair.second)),
            difference(velocity(pair.first), velocity(pair.second)),
        )
    }

    fn survey<const N: usize>(&self, state: &State<N>, tail: f64) -> Survey {
        let mut survey = Survey {
            nearest: [f64::INFINITY; MAX_ATOMS],
            closest: (0, f64::INFINITY),
            longest_step: f64::INFINITY,
            apart: true,
        };
        for (place, pair) in self.pairs.iter().enumerate() {
            let (separation, velocity) = self.relative(pair, state);
            let (distance, speed) = (norm(separation), norm(velocity));
            let approach = dot(separation, velocity);
            for atom in [pair.first, pair.second] {
                survey.nearest[atom] = survey.nearest[atom].min(distance);
            }
            if distance < survey.closest.1 {
                survey.closest = (place, distance);
            }
            if approach < 0.0 {
                survey.longest_step = survey.longest_step.min(0.5 * distance / speed);
            }
            let potential = pair.strength.abs() / distance;
            let kinetic = 0.5 * pair.reduced_mass * speed * speed;
            let is_apart = approach > 0.0 && potential < tail * kinetic;
            survey.apart &= is_apart || pair.strength == 0.0;
        }
        survey
    }

    fn momentum_scale<const N: usize>(&self, state: &State<N>) -> f64 {
        self.pairs.iter().fold(largest_momentum(state), |max, pair| {
            let distance = norm(self.relative(pair, state).0);
            max.max((2.0 * pair.reduced_mass * pair.strength.abs() / distance).sqrt())
        })
    }

    /// A hundredth of the shortest time in which a pair's distance would change of itself, or charges do.
    fn first_step<const N: usize>(&self, state: &State<N>) -> f64 {
        let time_of = |pair: &Pair| {
            let (separation, velocity) = self.relative(pair, state);
            let distance = norm(separation);
            let of_force = (pair.reduced_mass * distance.powi(3) / pair.strength.abs()).sqrt();
            of_force.min(distance / norm(velocity))
        };
        let of_charges = self.law.as_ref().map_or(f64::INFINITY, |law| law.rise.time_scale());
        0.01 * self.pairs.iter().map(time_of).fold(of_charges, f64::min)
    }

    /// Adds the impulse from the state at the end to infinite time along straight lines.
    fn add_tail<const N: usize>(&self, state: &State<N>, momenta: &mut [f64]) {
        for pair in &self.pairs {
            let (separation, velocity) = self.relative(pair, state);
            let (distance, speed) = (norm(separation), norm(velocity));
            let cosine = dot(separation, velocity) / (distance * speed);
            let factor = pair.strength / (distance * speed * (1.0 + cosine));
            for axis in 0..3 {
                let impulse = factor * (separation[axis] / distance + velocity[axis] / speed);
                momenta[3 * pair.first + axis] += impulse;
                momenta[3 * pair.second + axis] -= impulse;
            }
        }
    }

    fn not_apart(&self, survey: &Survey, steps: usize, time: f64) -> ExplosionError {
        let (place, distance_bohr) = survey.closest;
        let (first, second) = self.labels_of(&self.pairs[place]);
        let time_fs = time * TIME_AU_FS;
        ExplosionError::NotApart { first, second, distance_bohr, steps, time_fs }
    }
}

fn largest_momentum<const N: usize>(state: &State<N>) -> f64 {
    state.iter().flat_map(|ion| &ion[3..]).fold(0.0, |max: f64, p| max.max(p.abs()))
}

fn position<const N: usize>(state: &State<N>, atom: usize) -> Vector {
    let [x, y, z, ..] = state[atom];
    [x, y, z]
}

/// Allowed error of each component of the state.
fn error_scale<const N: usize>(survey: &Survey, momentum_scale: f64, tolerance: f64) -> State<N> {
    let mut scale = [[tolerance * momentum_scale; 6]; N];
    for (allowed, nearest) in scale.iter_mut().zip(survey.nearest) {
        allowed[..3].fill(tolerance * nearest);
    }
    scale
}

/// By how much the next step may differ: `0.9 error^(-1/8)`, between 1/3 and 6. An error that is not a
/// number (a step into the singularity) gives the least.
pub(super) fn step_factor(error: f64) -> f64 {
    let factor = 0.9 * error.powf(-0.125);
    if factor.is_nan() { 1.0 / 3.0 } else { factor.clamp(1.0 / 3.0, 6.0) }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::presets::{CHBRCLF, OCS_REFERENCE, OCS_WIDE, Preset};
    use crate::simulation::simulate;
    use crate::{Molecule, Simulation};

    fn events(preset: Preset) -> (Molecule, Array2<f64>) {
        let simulation: Simulation = toml::from_str(preset.text).unwrap();
        let events = simulate(&simulation, 300, 5).unwrap();
        (simulation.molecule, events.positions)
    }

    fn flights(molecule: &Molecule, positions: &Array2<f64>, accuracy: &Accuracy) -> Vec<Flight> {
        let ions = Ions::new(molecule, None);
        let at_rest = vec![0.0; positions.ncols()];
        let row = |row: ndarray::ArrayView1<'_, f64>| {
            ions.fly_apart(&row.to_vec(), &at_rest, None, accuracy).unwrap()
        };
        positions.rows().into_iter().map(row).collect()
    }

    /// Largest change of any ion's momentum relative to that ion's own momentum.
    fn largest_change(atoms: usize, before: &Flight, after: &Flight) -> f64 {
        (0..atoms)
            .map(|atom| {
                let (p, q) = (of_atom(&before.momenta, atom), of_atom(&after.momenta, atom));
                norm(difference(p, q)) / norm(p)
            })
            .fold(0.0, f64::max)
    }

    /// `docs/spec.md#forward-model`: a tenth of the tolerance and twice the end time change no momentum by more than
    /// 1e-8.
    #[test]
    fn step_control_is_converged() {
        for preset in [OCS_REFERENCE, OCS_WIDE, CHBRCLF] {
            let (molecule, positions) = events(preset);
            let normal = Accuracy::default();
            // The end is at the first step beyond the criterion, so a twentieth of the tail is at least twice
            // the time.
            let longer = Accuracy { tail: normal.tail / 20.0, ..normal.clone() };
            let tighter = Accuracy { tolerance: normal.tolerance / 10.0, ..normal.clone() };
            let before = flights(&molecule, &positions, &normal);
            let after_longer = flights(&molecule, &positions, &longer);
            let after_tighter = flights(&molecule, &positions, &tighter);
            for ((before, longer), tighter) in before.iter().zip(&after_longer).zip(&after_tighter)
            {
                assert!(longer.end_time >= 2.0 * before.end_time);
                let change = largest_change(molecule.atom_count(), before, longer);
                assert!(change < 1e-8, "twice the end time changes a momentum by {change}");
                let change = largest_change(molecule.atom_count(), before, tighter);
                assert!(change < 1e-8, "a tenth of the tolerance changes a momentum by {change}");
            }
        }
    }

    /// Without the closed form, the cut at the end would show.
    #[test]
    fn the_tail_matters_and_is_carried_to_infinity() {
        let (molecule, positions) = events(OCS_REFERENCE);
        let ions = Ions::new(&molecule, None);
        let rough = Accuracy { tail: 1e-3, ..Accuracy::default() };
        for (rough, exact) in flights(&molecule, &positions, &rough).iter().zip(&flights(
            &molecule,
            &positions,
            &Accuracy::default(),
        )) {
            // The neglected part is of order tail^2 = 1e-6, the carried one of order 1e-3 / 2.
            assert!(largest_change(3, exact, rough) < 1e-5);
        }
        let ion = |x: f64, p: f64| [x, 0.0, 0.0, p, 0.0, 0.0];
        let mut momenta = [0.0; 9];
        ions.add_tail(&[ion(0.0, 0.0), ion(1e3, 300.0), ion(-1e3, -300.0)], &mut momenta);
        // Along a line the impulse is q q / (R W) for each pair: C-O, then O-S at twice both.
        let (w_o, w_s) = (300.0 / molecule.masses()[1], 300.0 / molecule.masses()[2]);
        let of_oxygen = 4.0 / (1e3 * w_o) + 4.0 / (2e3 * (w_o + w_s));
        approx::assert_relative_eq!(momenta[3], of_oxygen, max_relative = 1e-13);
    }
}
