//! The laws `gaussian` and `fixed`: normal displacements, or none, from given positions.

use std::collections::BTreeMap;

use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::positions::Positions;
use crate::detector::{add_noise, by_atom};
use crate::error::{SimulationConfigError, require};
use crate::molecule::Molecule;
use crate::units::BOHR_ANGSTROM;

/// Standard deviations of the displacements of a whole molecule, in angstrom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number, or a table of numbers by atom")]
pub enum Displacements {
    /// The same for every atom.
    Same(f64),
    /// By atom label.
    ByAtom(BTreeMap<String, f64>),
}

/// The law, checked, its atoms found.
#[derive(Debug, Clone)]
pub(crate) struct Gaussian {
    pub(crate) positions_bohr: Vec<f64>,
    pub(crate) deviations_bohr: Vec<f64>,
}

impl Gaussian {
    pub(super) fn resolve(
        molecule: &Molecule,
        positions_angstrom: &Positions,
        displacement_angstrom: &Displacements,
    ) -> Result<Self, SimulationConfigError> {
        let key = "geometry.displacement_angstrom";
        let deviations = match displacement_angstrom {
            Displacements::Same(sd) => vec![*sd; molecule.atom_count()],
            Displacements::ByAtom(table) => by_atom(molecule, key, table)?,
        };
        for sd in &deviations {
            require(key, *sd, "at least 0", |sd| sd >= 0.0)?;
        }
        Ok(Self {
            positions_bohr: positions_angstrom.bohr(molecule)?,
            deviations_bohr: deviations.iter().flat_map(|sd| [sd / BOHR_ANGSTROM; 3]).collect(),
        })
    }

    /// The same geometry for every event.
    pub(super) fn fixed(
        molecule: &Molecule,
        positions_angstrom: &Positions,
    ) -> Result<Self, SimulationConfigError> {
        Ok(Self {
            positions_bohr: positions_angstrom.bohr(molecule)?,
            deviations_bohr: vec![0.0; 3 * molecule.atom_count()],
        })
    }

    /// Draws one geometry into `positions` (3N numbers, bohr).
    pub(super) fn draw(&self, rng: &mut impl Rng, positions: &mut [f64]) {
        positions.copy_from_slice(&self.positions_bohr);
        add_noise(rng, &self.deviations_bohr, positions);
    }
}
