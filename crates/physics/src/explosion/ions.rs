//! A molecule prepared for integration, and what is wrong with a row before any step is taken.

use super::error::ExplosionError;
use crate::charging::ChargeLaw;
use crate::energy::{kinetic_energy_release, potential_energy};
use crate::molecule::Molecule;
use crate::units::HARTREE_EV;
use crate::vector::{difference, dot, of_atom};

/// Interacting ions closer than this, in bohr, count as one point. A nucleus is smaller still, but
/// the model has lost its meaning long before.
const COINCIDENT_BOHR: f64 = 1e-6;

/// Two ions that feel each other.
pub(super) struct Pair {
    pub(super) first: usize,
    pub(super) second: usize,
    /// Product of the final charges.
    pub(super) strength: f64,
    /// Reduced mass in electron masses.
    pub(super) reduced_mass: f64,
}

/// A molecule prepared for integration.
pub(super) struct Ions<'a> {
    pub(super) molecule: &'a Molecule,
    pub(super) inverse_masses: Vec<f64>,
    /// All pairs but those whose charges always multiply to zero.
    pub(super) pairs: Vec<Pair>,
    /// How the charges change; none if they are constant.
    pub(super) law: Option<ChargeLaw>,
}

impl<'a> Ions<'a> {
    pub(super) fn new(molecule: &'a Molecule, law: Option<ChargeLaw>) -> Self {
        let (masses, charges) = (molecule.masses(), molecule.charges());
        let mut pairs = Vec::new();
        for second in 0..masses.len() {
            for first in 0..second {
                let strength = charges[first] * charges[second];
                let reduced_mass =
                    masses[first] * masses[second] / (masses[first] + masses[second]);
                let ever = |law: &ChargeLaw| [first, second].map(|atom| law.is_ever_charged(atom));
                if strength != 0.0 || law.as_ref().map(ever) == Some([true; 2]) {
                    pairs.push(Pair { first, second, strength, reduced_mass });
                }
            }
        }
        let inverse_masses = masses.iter().map(|mass| 1.0 / mass).collect();
        Self { molecule, inverse_masses, pairs, law }
    }

    /// Every ion repels every other; at the start they may be neutral.
    pub(super) fn all_repel(&self) -> bool {
        let atoms = self.molecule.atom_count();
        self.law.as_ref().is_none_or(ChargeLaw::repels)
            && self.pairs.len() == atoms * (atoms - 1) / 2
            && self.pairs.iter().all(|pair| pair.strength > 0.0)
    }

    /// A row has 3N components, all finite, and no two interacting ions at one point.
    pub(super) fn check_row(
        &self,
        positions: &[f64],
        momenta: &[f64],
    ) -> Result<(), ExplosionError> {
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
            let apart = difference(of_atom(positions, pair.first), of_atom(positions, pair.second));
            let square = dot(apart, apart);
            if square < COINCIDENT_BOHR * COINCIDENT_BOHR {
                let (first, second) = self.labels_of(pair);
                let distance_bohr = square.sqrt();
                return Err(ExplosionError::Coincident { first, second, distance_bohr });
            }
        }
        Ok(())
    }

    /// If all ions fly apart, their energy about the centre of mass ends up kinetic, hence above zero. While
    /// charges change, energy is not conserved, and nothing is known.
    pub(super) fn check_unbound(
        &self,
        positions: &[f64],
        momenta: &[f64],
    ) -> Result<(), ExplosionError> {
        if self.law.is_some() || self.pairs.iter().all(|pair| pair.strength > 0.0) {
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

    pub(super) fn labels_of(&self, pair: &Pair) -> (String, String) {
        let labels = self.molecule.labels();
        (labels[pair.first].clone(), labels[pair.second].clone())
    }
}
