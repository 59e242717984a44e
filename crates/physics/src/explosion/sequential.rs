//! Explosions in two steps: one ion leaves, the others turn together, and explode ([`crate::break_up`]).

use super::accuracy::Accuracy;
use super::dop853::{Dop853, State};
use super::error::ExplosionError;
use super::scalar::step_factor;
use crate::break_up::Turn;
use crate::molecule::Molecule;
use crate::symmetric::eigen;
use crate::units::TIME_AU_FS;
use crate::vector::{Vector, cross, difference, dot, norm, of_atom, scaled};

/// Steps of finite differences: of an angle in degrees, and of a lifetime as a part of it.
const DIFFERENCE_DEG: f64 = 0.05;
const DIFFERENCE_OF_LIFETIME: f64 = 2e-4;
/// Part of the largest moment of inertia below which there is none: atoms on a line.
const NO_INERTIA: f64 = 1e-9;
/// Angular momentum over that of the same momentum at the distance of the start, below which there is none: a molecule on
/// a line, but for round-off.
const NO_ROTATION: f64 = 1e-10;

/// A break-up in two steps of one molecule.
pub(super) struct Sequential {
    /// The ion that leaves first.
    first: usize,
    /// The others.
    others: Vec<usize>,
    rest: Molecule,
    turn: Turn,
}

/// What the first step leaves.
pub(super) struct FirstStep {
    /// Momentum of the ion that left, with all at rest; that of the rest is opposite.
    momentum: Vector,
    /// Angular momentum of the rest about its centre of mass.
    angular: Vector,
    /// Angular velocity of the rest, where it was drawn.
    velocity: Vector,
}

impl Sequential {
    pub(super) fn new(molecule: &Molecule, first: usize, turn: Turn) -> Self {
        let others: Vec<usize> = (0..molecule.atom_count()).filter(|atom| *atom != first).collect();
        let rest = molecule.part(&others);
        Self { first, others, rest, turn }
    }

    /// The angle (radians) by which the rest turns in an event with these numbers.
    fn angle(&self, numbers: &[f64], step: &FirstStep) -> f64 {
        let number = |fixed: Option<f64>| fixed.or_else(|| numbers.first().copied()).unwrap_or(0.0);
        match self.turn {
            Turn::Degrees(fixed) => number(fixed).to_radians(),
            Turn::Picoseconds(fixed) => {
                let length = norm(step.angular);
                if length == 0.0 {
                    return 0.0;
                }
                let rate = dot(step.velocity, step.angular) / length;
                rate * number(fixed) * 1000.0 / TIME_AU_FS
            }
        }
    }

    /// Steps of finite differences of each of an event's own numbers.
    pub(super) fn steps(&self, numbers: &[f64]) -> Vec<f64> {
        let step = |number: &f64| match self.turn {
            // Not below zero, where there is no angle.
            Turn::Degrees(_) => DIFFERENCE_DEG.min(0.25 * number),
            Turn::Picoseconds(_) => DIFFERENCE_OF_LIFETIME * number,
        };
        numbers.iter().map(step).collect()
    }

    /// Whether momenta change by `1 / sqrt(l)` where all positions are stretched by `l`, for the same numbers.
    pub(super) fn scales(&self) -> bool {
        matches!(self.turn, Turn::Degrees(_))
    }

    /// The first ion flies off against the others, which stay as they are.
    ///
    /// # Errors
    /// [`ExplosionError::NotApart`].
    pub(super) fn first_step(
        &self,
        molecule: &Molecule,
        positions: &[f64],
        accuracy: &Accuracy,
    ) -> Result<FirstStep, ExplosionError> {
        let (charges, masses) = (molecule.charges(), molecule.masses());
        let charge: f64 = self.others.iter().map(|&atom| charges[atom]).sum();
        let mass: f64 = self.others.iter().map(|&atom| masses[atom]).sum();
        let mean = |weights: &[f64], total: f64| -> Vector {
            let sum = |axis: usize| -> f64 {
                self.others.iter().map(|&atom| weights[atom] * positions[3 * atom + axis]).sum()
            };
            [0, 1, 2].map(|axis| sum(axis) / total)
        };
        let (of_charge, of_mass) = (mean(charges, charge), mean(masses, mass));
        let leaving = of_atom(positions, self.first);
        let field = Field {
            sources: self
                .others
                .iter()
                .map(|&atom| {
                    let at = difference(of_atom(positions, atom), of_charge);
                    (at, charges[self.first] * charges[atom])
                })
                .collect(),
            reduced_mass: masses[self.first] * mass / (masses[self.first] + mass),
            strength: charges[self.first] * charge,
        };
        let start = difference(leaving, of_charge);
        let (momentum, about_charge) =
            field.fly_apart(start, accuracy).map_err(|(distance_bohr, time)| {
                let [first, second] =
                    [self.first, self.others[0]].map(|atom| molecule.labels()[atom].clone());
                let (steps, time_fs) = (accuracy.max_steps, time * TIME_AU_FS);
                ExplosionError::NotApart { first, second, distance_bohr, steps, time_fs }
            })?;
        let lever = difference(of_charge, of_mass);
        let orbital = [0, 1, 2].map(|axis| about_charge[axis] + cross(lever, momentum)[axis]);
        let is_still = norm(orbital) < NO_ROTATION * norm(momentum) * norm(start);
        let angular = scaled(orbital, if is_still { 0.0 } else { -1.0 });
        let velocity = solved(inertia(self, masses, positions, of_mass), angular);
        let kinetic = dot(momentum, momentum) / (2.0 * field.reduced_mass);
        let energy = kinetic + 0.5 * dot(angular, velocity);
        let factor = (field.potential(start) / energy).sqrt();
        Ok(FirstStep {
            momentum: scaled(momentum, factor),
            angular: scaled(angular, factor),
            velocity: scaled(velocity, factor),
        })
    }

    /// Appends positions and momenta of the rest when it breaks up, in the frame of its centre of mass.
    pub(super) fn turn(
        &self,
        positions: &[f64],
        numbers: &[f64],
        step: &FirstStep,
        to: &mut Vec<f64>,
        momenta: &mut Vec<f64>,
    ) {
        let masses = self.rest.masses();
        let total: f64 = masses.iter().sum();
        let mut centre = [0.0; 3];
        for (&atom, mass) in self.others.iter().zip(masses) {
            let at = of_atom(positions, atom);
            (0..3).for_each(|axis| centre[axis] += at[axis] * mass / total);
        }
        let length = norm(step.angular);
        let angle = self.angle(numbers, step);
        let turn = |v: Vector| -> Vector {
            // Rodrigues' formula; without angular momentum nothing turns.
            if length == 0.0 {
                return v;
            }
            let axis = scaled(step.angular, 1.0 / length);
            let (sin, cos) = angle.sin_cos();
            let (across, along) = (cross(axis, v), dot(axis, v) * (1.0 - cos));
            [0, 1, 2].map(|k| cos * v[k] + sin * across[k] + along * axis[k])
        };
        let velocity = turn(step.velocity);
        for (&atom, mass) in self.others.iter().zip(masses) {
            let at = turn(difference(of_atom(positions, atom), centre));
            to.extend(at);
            momenta.extend(scaled(cross(velocity, at), *mass));
        }
    }

    /// Final momenta of all ions, with those of the rest in the frame of its centre of mass.
    pub(super) fn put_together(&self, step: &FirstStep, of_rest: &[f64], momenta: &mut [f64]) {
        momenta[3 * self.first..3 * self.first + 3].copy_from_slice(&step.momentum);
        let total: f64 = self.rest.masses().iter().sum();
        for ((&atom, mass), end) in
            self.others.iter().zip(self.rest.masses()).zip(of_rest.chunks_exact(3))
        {
            for axis in 0..3 {
                momenta[3 * atom + axis] = end[axis] - step.momentum[axis] * mass / total;
            }
        }
    }

    /// The molecule that is left.
    pub(super) fn rest(&self) -> &Molecule {
        &self.rest
    }
}

/// The repulsion of an ion by charges that do not move, about their centre of charge.
struct Field {
    /// Places, and products of the charges.
    sources: Vec<(Vector, f64)>,
    reduced_mass: f64,
    /// Sum of the products.
    strength: f64,
}

impl Field {
    fn potential(&self, at: Vector) -> f64 {
        self.sources.iter().map(|(from, k)| k / norm(difference(at, *from))).sum()
    }

    /// Momentum at infinite time from rest at `start`, and angular momentum about the centre of charge.
    ///
    /// # Errors
    /// After too many steps, the distance and the time that were reached.
    fn fly_apart(
        &self,
        start: Vector,
        accuracy: &Accuracy,
    ) -> Result<(Vector, Vector), (f64, f64)> {
        let derivative = |_: f64, state: &State<1>| -> State<1> {
            let [x, y, z, px, py, pz] = state[0];
            let mut force = [0.0; 3];
            for (from, k) in &self.sources {
                let apart = difference([x, y, z], *from);
                let square = dot(apart, apart);
                let factor = k / (square * square.sqrt());
                (0..3).for_each(|axis| force[axis] += factor * apart[axis]);
            }
            let [vx, vy, vz] = [px, py, pz].map(|p| p / self.reduced_mass);
            [[vx, vy, vz, force[0], force[1], force[2]]]
        };
        let energy = self.potential(start);
        let momentum_scale = (2.0 * self.reduced_mass * energy).sqrt();
        let nearest = |at: Vector| {
            let distances = self.sources.iter().map(|(from, _)| norm(difference(at, *from)));
            distances.fold(f64::INFINITY, f64::min)
        };
        let [x, y, z] = start;
        let near = nearest(start);
        let mut h = 0.02 * (self.reduced_mass * near.powi(3) / self.strength).sqrt();
        let mut integrator = Dop853::new(derivative, [[x, y, z, 0.0, 0.0, 0.0]], 1);
        for _ in 0..accuracy.max_steps {
            let [x, y, z, px, py, pz] = integrator.state[0];
            let (at, p) = ([x, y, z], [px, py, pz]);
            let (distance, size) = (norm(at), norm(p));
            let kinetic = size * size / (2.0 * self.reduced_mass);
            if dot(at, p) > 0.0 && self.strength / distance < accuracy.tail * kinetic {
                // From here on along a straight line, repelled by the centre of charge.
                let speed = size / self.reduced_mass;
                let cosine = dot(at, p) / (distance * size);
                let factor = self.strength / (distance * speed * (1.0 + cosine));
                let end = [0, 1, 2].map(|k| p[k] + factor * (at[k] / distance + p[k] / size));
                return Ok((end, cross(at, p)));
            }
            let room = accuracy.tolerance * nearest(at);
            let kick = accuracy.tolerance * momentum_scale;
            let trial = integrator.attempt(h, &[[room, room, room, kick, kick, kick]]);
            if trial.error <= 1.0 {
                integrator.accept(&trial);
            }
            h *= step_factor(trial.error);
        }
        let [x, y, z, ..] = integrator.state[0];
        Err((norm([x, y, z]), integrator.time))
    }
}

/// Tensor of inertia of the rest about its centre of mass.
fn inertia(law: &Sequential, masses: &[f64], positions: &[f64], centre: Vector) -> [[f64; 3]; 3] {
    let mut tensor = [[0.0; 3]; 3];
    for &atom in &law.others {
        let d = difference(of_atom(positions, atom), centre);
        for i in 0..3 {
            for j in 0..3 {
                let own = if i == j { dot(d, d) } else { 0.0 };
                tensor[i][j] += masses[atom] * (own - d[i] * d[j]);
            }
        }
    }
    tensor
}

/// The angular velocity of an angular momentum; none about the line of atoms that lie on one.
fn solved(tensor: [[f64; 3]; 3], angular: Vector) -> Vector {
    let (moments, axes) = eigen(tensor);
    let largest = moments.iter().copied().fold(0.0, f64::max);
    let mut velocity = [0.0; 3];
    for (moment, axis) in moments.iter().zip(axes) {
        if *moment > NO_INERTIA * largest {
            let part = dot(axis, angular) / moment;
            (0..3).for_each(|k| velocity[k] += part * axis[k]);
        }
    }
    velocity
}
