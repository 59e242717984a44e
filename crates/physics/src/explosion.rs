//! The forward model: positions of point charges to their momenta at infinite time.
//!
//! `dx_i/dt = p_i / m_i`, `dp_i/dt = sum_j q_i q_j (x_i - x_j) / r_ij^3`, integrated in f64 by DOP853.
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
//! - The impulse from there to infinity is added in closed form along straight lines,
//!   `q_i q_j (r + w) / (R W (1 + r.w))` with unit vectors `r`, `w` of the relative position and velocity
//!   and their lengths `R`, `W`. What that leaves out is of order `tail^2` of the momentum.
//!
//! Nothing is rescaled to the energy (SPEC 2.1).

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::dop853::{Dop853, State};
use crate::energy::{kinetic_energy_release, potential_energy};
use crate::error::{ConfigError, require};
use crate::molecule::{MAX_ATOMS, Molecule};
use crate::units::{HARTREE_EV, TIME_AU_FS};
use crate::vector::{Vector, difference, dot, norm, of_atom, scaled};

/// Interacting ions closer than this, in bohr, count as one point. A nucleus is smaller still, but
/// the model has lost its meaning long before.
const COINCIDENT_BOHR: f64 = 1e-6;

/// How exactly an explosion is integrated. With the defaults, momenta of the presets' events are right to
/// 2e-10 of each ion's momentum, where SPEC 2.1 asks for 1e-8.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Accuracy {
    /// Allowed relative error of one step; 1e-14 to 1e-3.
    pub tolerance: f64,
    /// The integration ends where each pair's potential energy is below this part of its kinetic
    /// energy; above 0, at most 1e-2.
    pub tail: f64,
    /// Steps, tried ones included, after which ions count as bound to each other; at least 1.
    pub max_steps: usize,
}

impl Default for Accuracy {
    fn default() -> Self {
        Self { tolerance: 1e-10, tail: 1e-6, max_steps: 20_000 }
    }
}

impl Accuracy {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`ConfigError::OutOfRange`] that names the key.
    pub fn check(&self) -> Result<(), ConfigError> {
        require("accuracy.tolerance", self.tolerance, "1e-14 to 1e-3", |value| {
            (1e-14..=1e-3).contains(&value)
        })?;
        require("accuracy.tail", self.tail, "above 0, at most 1e-2", |value| {
            value > 0.0 && value <= 1e-2
        })?;
        require("accuracy.max_steps", self.max_steps as f64, "at least 1", |value| value >= 1.0)
    }
}

/// A row of positions that has no momenta at infinite time, or cannot be a row of this molecule.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ExplosionError {
    /// The accuracy asked for is out of range.
    #[error(transparent)]
    Accuracy(#[from] ConfigError),
    /// A row has the wrong length.
    #[error("{what} have {found} components, the molecule's {atoms} atoms need {}", 3 * .atoms)]
    Components {
        /// Which of the rows: `positions`, `initial momenta` or `final momenta`.
        what: &'static str,
        /// Its number of components.
        found: usize,
        /// The number of atoms.
        atoms: usize,
    },
    /// A position or initial momentum is NaN or infinite.
    #[error("{what} of atom `{atom}` are not finite")]
    NotFinite {
        /// `positions` or `initial momenta`.
        what: &'static str,
        /// The atom's label.
        atom: String,
    },
    /// Two charged atoms are at the same point.
    #[error("atoms `{first}` and `{second}` coincide: they are {distance_bohr:e} bohr apart")]
    Coincident {
        /// The one atom's label.
        first: String,
        /// The other atom's label.
        second: String,
        /// Their distance in bohr.
        distance_bohr: f64,
    },
    /// Attraction keeps the ions together: the total energy is not above zero.
    #[error(
        "the ions are bound and never fly apart: the energy is {energy_ev} eV, and the charges attract"
    )]
    Bound {
        /// Potential energy plus kinetic energy about the centre of mass, in eV.
        energy_ev: f64,
    },
    /// The ions have not flown apart within the allowed number of steps.
    #[error(
        "ions `{first}` and `{second}` have not flown apart after {steps} steps ({time_fs} fs): they are \
         {distance_bohr} bohr apart\nhint: opposite charges can stay bound or collide"
    )]
    NotApart {
        /// The one ion of the closest interacting pair.
        first: String,
        /// The other ion.
        second: String,
        /// Their distance in bohr.
        distance_bohr: f64,
        /// The number of steps tried.
        steps: usize,
        /// The time reached in femtoseconds.
        time_fs: f64,
    },
}

/// Integrates one explosion to infinite time.
///
/// `positions` (bohr), `initial_momenta` (a.u.; at rest if `None`) and `momenta` (a.u., the result) hold
/// `(x, y, z)` for each of the N atoms. Charges may be zero. On an error `momenta` is left as it was.
///
/// # Errors
/// [`ExplosionError`]: wrong lengths, values that are not finite, atoms at one point, and opposite charges
/// that never fly apart.
pub fn explode(
    molecule: &Molecule,
    positions: &[f64],
    initial_momenta: Option<&[f64]>,
    accuracy: &Accuracy,
    momenta: &mut [f64],
) -> Result<(), ExplosionError> {
    accuracy.check()?;
    let expected = 3 * molecule.atom_count();
    if momenta.len() != expected {
        let (found, atoms) = (momenta.len(), molecule.atom_count());
        return Err(ExplosionError::Components { what: "final momenta", found, atoms });
    }
    let at_rest = [0.0; 3 * MAX_ATOMS];
    let initial_momenta = initial_momenta.unwrap_or(&at_rest[..expected]);
    let ions = Ions::new(molecule);
    let flight = ions.fly_apart(positions, initial_momenta, accuracy)?;
    momenta.copy_from_slice(&flight.momenta[..expected]);
    Ok(())
}

/// Explodes every row of `positions` (rows, 3N; bohr) from rest, in parallel, into momenta (rows, 3N; a.u.).
///
/// A row that cannot be exploded (atoms at one point, values that are not finite, bound ions) does not stop
/// the others: its momenta are NaN. [`explode`] tells the reason. The result does not depend on the number
/// of threads.
///
/// # Errors
/// [`ExplosionError::Components`] if the number of columns is not 3N, [`ExplosionError::Accuracy`].
#[allow(clippy::needless_pass_by_value, reason = "a view is a reference already")]
pub fn explode_all(
    molecule: &Molecule,
    positions: ArrayView2<'_, f64>,
    accuracy: &Accuracy,
) -> Result<Array2<f64>, ExplosionError> {
    accuracy.check()?;
    let (rows, columns) = positions.dim();
    if columns != 3 * molecule.atom_count() {
        let atoms = molecule.atom_count();
        return Err(ExplosionError::Components { what: "positions", found: columns, atoms });
    }
    let ions = Ions::new(molecule);
    let at_rest = [0.0; 3 * MAX_ATOMS];
    let mut momenta = vec![f64::NAN; rows * columns];
    momenta.par_chunks_exact_mut(columns).enumerate().for_each(|(index, out)| {
        let row = positions.row(index).to_vec();
        if let Ok(flight) = ions.fly_apart(&row, &at_rest[..columns], accuracy) {
            out.copy_from_slice(&flight.momenta[..columns]);
        }
    });
    Ok(Array2::from_shape_fn((rows, columns), |(row, column)| momenta[row * columns + column]))
}

/// Two ions that feel each other.
struct Pair {
    first: usize,
    second: usize,
    /// Product of the charges.
    strength: f64,
    /// Reduced mass in electron masses.
    reduced_mass: f64,
}

/// A molecule prepared for integration.
struct Ions<'a> {
    molecule: &'a Molecule,
    inverse_masses: Vec<f64>,
    pairs: Vec<Pair>,
}

/// The end of an explosion.
struct Flight {
    /// Momenta at infinite time; the first 3N count.
    momenta: [f64; 3 * MAX_ATOMS],
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

impl<'a> Ions<'a> {
    fn new(molecule: &'a Molecule) -> Self {
        let (masses, charges) = (molecule.masses(), molecule.charges());
        let mut pairs = Vec::new();
        for second in 0..masses.len() {
            for first in 0..second {
                let strength = charges[first] * charges[second];
                let reduced_mass =
                    masses[first] * masses[second] / (masses[first] + masses[second]);
                if strength != 0.0 {
                    pairs.push(Pair { first, second, strength, reduced_mass });
                }
            }
        }
        let inverse_masses = masses.iter().map(|mass| 1.0 / mass).collect();
        Self { molecule, inverse_masses, pairs }
    }

    /// The trajectory of one row.
    fn fly_apart(
        &self,
        positions: &[f64],
        initial_momenta: &[f64],
        accuracy: &Accuracy,
    ) -> Result<Flight, ExplosionError> {
        self.check_rows(positions, initial_momenta)?;
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
            _ => Self::integrate::<MAX_ATOMS>,
        };
        integrate(self, positions, initial_momenta, accuracy)
    }

    /// The integration loop.
    fn integrate<const N: usize>(
        &self,
        positions: &[f64],
        initial_momenta: &[f64],
        accuracy: &Accuracy,
    ) -> Result<Flight, ExplosionError> {
        let mut state = [[0.0; 6]; N];
        for (atom, ion) in state.iter_mut().enumerate() {
            ion[..3].copy_from_slice(&of_atom(positions, atom));
            ion[3..].copy_from_slice(&of_atom(initial_momenta, atom));
        }
        let momentum_scale = self.momentum_scale(&state);
        let mut survey = self.survey(&state, accuracy.tail);
        let (mut time, mut h) = (0.0, self.first_step(&state));
        let mut integrator = Dop853::new(|state: &State<N>| self.derivative(state), state);
        let mut steps = 0;
        while !survey.apart {
            if steps == accuracy.max_steps {
                return Err(self.not_apart(&survey, steps, time));
            }
            steps += 1;
            h = h.min(survey.longest_step);
            let scale = error_scale(&survey, momentum_scale, accuracy.tolerance);
            let trial = integrator.attempt(h, &scale);
            if trial.error <= 1.0 {
                integrator.accept(&trial);
                time += h;
                survey = self.survey(&integrator.state, accuracy.tail);
            }
            h *= step_factor(trial.error);
        }
        let mut momenta = [0.0; 3 * MAX_ATOMS];
        for (momentum, ion) in momenta.chunks_exact_mut(3).zip(&integrator.state) {
            momentum.copy_from_slice(&ion[3..]);
        }
        self.add_tail(&integrator.state, &mut momenta);
        Ok(Flight { momenta, end_time: time })
    }

    fn derivative<const N: usize>(&self, state: &State<N>) -> State<N> {
        let mut slope = [[0.0; 6]; N];
        for ((slope, ion), inverse_mass) in slope.iter_mut().zip(state).zip(&self.inverse_masses) {
            for axis in 0..3 {
                slope[axis] = ion[3 + axis] * inverse_mass;
            }
        }
        for pair in &self.pairs {
            let separation = difference(position(state, pair.first), position(state, pair.second));
            let square = dot(separation, separation);
            let factor = pair.strength / (square * square.sqrt());
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
            survey.apart &= approach > 0.0 && potential < tail * kinetic;
        }
        survey
    }

    fn momentum_scale<const N: usize>(&self, state: &State<N>) -> f64 {
        let initial =
            state.iter().flat_map(|ion| &ion[3..]).fold(0.0, |max: f64, p| max.max(p.abs()));
        self.pairs.iter().fold(initial, |max, pair| {
            let distance = norm(self.relative(pair, state).0);
            max.max((2.0 * pair.reduced_mass * pair.strength.abs() / distance).sqrt())
        })
    }

    /// A hundredth of the shortest time in which a pair's distance would change of itself.
    fn first_step<const N: usize>(&self, state: &State<N>) -> f64 {
        let time_of = |pair: &Pair| {
            let (separation, velocity) = self.relative(pair, state);
            let distance = norm(separation);
            let of_force = (pair.reduced_mass * distance.powi(3) / pair.strength.abs()).sqrt();
            of_force.min(distance / norm(velocity))
        };
        0.01 * self.pairs.iter().map(time_of).fold(f64::INFINITY, f64::min)
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

    fn check_rows(&self, positions: &[f64], momenta: &[f64]) -> Result<(), ExplosionError> {
        let labels = self.molecule.labels();
        for (what, row) in [("positions", positions), ("initial momenta", momenta)] {
            if row.len() != 3 * labels.len() {
                let (found, atoms) = (row.len(), labels.len());
                return Err(ExplosionError::Components { what, found, atoms });
            }
            if let Some(component) = row.iter().position(|value| !value.is_finite()) {
                let atom = labels[component / 3].clone();
                return Err(ExplosionError::NotFinite { what, atom });
            }
        }
        for pair in &self.pairs {
            let distance_bohr =
                norm(difference(of_atom(positions, pair.first), of_atom(positions, pair.second)));
            if distance_bohr < COINCIDENT_BOHR {
                let (first, second) = self.labels_of(pair);
                return Err(ExplosionError::Coincident { first, second, distance_bohr });
            }
        }
        Ok(())
    }

    /// If all ions fly apart, their energy about the centre of mass ends up kinetic, hence above zero.
    fn check_unbound(&self, positions: &[f64], momenta: &[f64]) -> Result<(), ExplosionError> {
        if self.pairs.iter().all(|pair| pair.strength > 0.0) {
            return Ok(());
        }
        let energy = potential_energy(self.molecule, positions)
            + kinetic_energy_release(self.molecule, momenta);
        if energy > 0.0 {
            Ok(())
        } else {
            Err(ExplosionError::Bound { energy_ev: energy * HARTREE_EV })
        }
    }

    fn not_apart(&self, survey: &Survey, steps: usize, time: f64) -> ExplosionError {
        let (place, distance_bohr) = survey.closest;
        let (first, second) = self.labels_of(&self.pairs[place]);
        let time_fs = time * TIME_AU_FS;
        ExplosionError::NotApart { first, second, distance_bohr, steps, time_fs }
    }

    fn labels_of(&self, pair: &Pair) -> (String, String) {
        let labels = self.molecule.labels();
        (labels[pair.first].clone(), labels[pair.second].clone())
    }
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
fn step_factor(error: f64) -> f64 {
    let factor = 0.9 * error.powf(-0.125);
    if factor.is_nan() { 1.0 / 3.0 } else { factor.clamp(1.0 / 3.0, 6.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Simulation;
    use crate::simulation::simulate;

    fn preset(text: &str) -> (Molecule, Array2<f64>) {
        let simulation: Simulation = toml::from_str(text).unwrap();
        let events = simulate(&simulation, 300, 5).unwrap();
        (simulation.molecule, events.positions)
    }

    fn flights(molecule: &Molecule, positions: &Array2<f64>, accuracy: &Accuracy) -> Vec<Flight> {
        let ions = Ions::new(molecule);
        let at_rest = vec![0.0; positions.ncols()];
        let row = |row: ndarray::ArrayView1<'_, f64>| {
            ions.fly_apart(&row.to_vec(), &at_rest, accuracy).unwrap()
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

    /// SPEC 2.1: a tenth of the tolerance and twice the end time change no momentum by more than 1e-8.
    #[test]
    fn step_control_is_converged() {
        for text in [
            include_str!("../../../configs/data/ocs-reference.toml"),
            include_str!("../../../configs/data/ocs-wide.toml"),
            include_str!("../../../configs/data/chbrclf.toml"),
        ] {
            let (molecule, positions) = preset(text);
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
        let (molecule, positions) =
            preset(include_str!("../../../configs/data/ocs-reference.toml"));
        let ions = Ions::new(&molecule);
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
