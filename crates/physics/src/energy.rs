//! Energies of point charges in hartree: `V = sum_{i<j} q_i q_j / r_ij`, `T = sum_i p_i^2 / (2 m_i)`.

use crate::molecule::Molecule;
use crate::vector::{difference, dot, norm, of_atom};

/// Coulomb energy in hartree of `positions` (3N numbers in bohr).
///
/// ```
/// use cei_physics::{AtomSpec, Molecule, energy::potential_energy};
///
/// let pair = Molecule::new(vec![AtomSpec::new("C", 1.0), AtomSpec::new("O", 2.0)])?;
/// assert_eq!(potential_energy(&pair, &[0.0, 0.0, 0.0, 4.0, 0.0, 0.0]), 0.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn potential_energy(molecule: &Molecule, positions: &[f64]) -> f64 {
    let charges = molecule.charges();
    let mut energy = 0.0;
    for i in 0..charges.len() {
        for j in 0..i {
            let product = charges[i] * charges[j];
            if product != 0.0 {
                energy += product / norm(difference(of_atom(positions, i), of_atom(positions, j)));
            }
        }
    }
    energy
}

/// Kinetic energy in hartree of `momenta` (3N numbers in a.u.).
pub fn kinetic_energy(molecule: &Molecule, momenta: &[f64]) -> f64 {
    let atoms = momenta.chunks_exact(3).zip(molecule.masses());
    atoms.map(|(p, mass)| (p[0] * p[0] + p[1] * p[1] + p[2] * p[2]) / (2.0 * mass)).sum()
}

/// Kinetic energy release in hartree: the kinetic energy of `momenta` (3N numbers in a.u.) in
/// their centre-of-mass frame.
///
/// ```
/// use cei_physics::{AtomSpec, Molecule, energy::{kinetic_energy, kinetic_energy_release}};
///
/// // Two alike ions: what both have in common is the motion of the molecule, and no release.
/// let pair = Molecule::new(vec![AtomSpec::new("H", 1.0), AtomSpec::new("H", 1.0)])?;
/// let moving = [11.0, 0.0, 0.0, -9.0, 0.0, 0.0];
/// let release = kinetic_energy_release(&pair, &moving);
/// assert!((release - kinetic_energy(&pair, &[10.0, 0.0, 0.0, -10.0, 0.0, 0.0])).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn kinetic_energy_release(molecule: &Molecule, momenta: &[f64]) -> f64 {
    let mut total = [0.0; 3];
    for p in momenta.chunks_exact(3) {
        for (sum, component) in total.iter_mut().zip(p) {
            *sum += component;
        }
    }
    let mass: f64 = molecule.masses().iter().sum();
    kinetic_energy(molecule, momenta) - dot(total, total) / (2.0 * mass)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::molecule::AtomSpec;
    use crate::units::ELECTRON_MASSES_PER_U;

    /// Charges 2 and 3; masses exactly 1 and 3 electron masses.
    fn pair() -> Molecule {
        let atom = |label: &str, mass: f64, charge: f64| AtomSpec {
            element: label.to_owned(),
            label: None,
            mass_u: Some(mass / ELECTRON_MASSES_PER_U),
            charge,
        };
        Molecule::new(vec![atom("A", 1.0, 2.0), atom("B", 3.0, 3.0)]).unwrap()
    }

    #[test]
    fn energies_of_a_pair_by_hand() {
        // r = (0, 3, 4), so r = 5 and V = 6/5.
        let v = potential_energy(&pair(), &[1.0, 0.0, 0.0, 1.0, 3.0, 4.0]);
        approx::assert_relative_eq!(v, 1.2, max_relative = 1e-15);
        // p = (2, 0, 0) and (6, 0, 0): T = 4/2 + 36/6 = 8; both move at 2, so nothing is released.
        let together = [2.0, 0.0, 0.0, 6.0, 0.0, 0.0];
        approx::assert_relative_eq!(kinetic_energy(&pair(), &together), 8.0, max_relative = 1e-14);
        approx::assert_abs_diff_eq!(
            kinetic_energy_release(&pair(), &together),
            0.0,
            epsilon = 1e-13
        );
        // Opposite momenta of 3: T = 9/2 + 9/6 = 6, all of it released.
        let apart = [0.0, 3.0, 0.0, 0.0, -3.0, 0.0];
        approx::assert_relative_eq!(
            kinetic_energy_release(&pair(), &apart),
            6.0,
            max_relative = 1e-14
        );
    }
}
