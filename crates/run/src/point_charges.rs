//! Point charges in a given geometry: the energy that they have if they are there at once, which measured energies are
//! set beside.

use std::path::Path;

use cei_data::{PositionUnit, load_reference};
use cei_physics::energy::potential_energy;
use cei_physics::units::HARTREE_EV;
use cei_physics::{AtomSpec, Molecule};

use crate::RunError;
use crate::error::DraftError;

/// Point charges in a geometry.
#[derive(Debug, Clone, PartialEq)]
pub struct PointCharges {
    /// Bohr, three an atom in the order of the molecule.
    pub positions_bohr: Vec<f64>,
    /// Their energy.
    pub energy_ev: f64,
}

impl PointCharges {
    /// The charges of `molecule` in the geometry of an XYZ file of one frame.
    ///
    /// # Errors
    /// A file that cannot be read, or that has other atoms.
    pub fn read(path: &Path, molecule: &Molecule) -> Result<Self, RunError> {
        let bohr = PositionUnit::Angstrom.factor();
        let positions_bohr: Vec<f64> =
            load_reference(path, molecule)?.into_iter().map(|x| x * bohr).collect();
        let energy_ev = HARTREE_EV * potential_energy(molecule, &positions_bohr);
        Ok(Self { positions_bohr, energy_ev })
    }
}

/// The molecule of ions, elements or isotopes, with these charges.
///
/// # Errors
/// Another number of charges than ions, or ions that are no molecule.
pub fn molecule_of_ions(ions: &[String], charges: &[f64]) -> Result<Molecule, DraftError> {
    if ions.len() != charges.len() {
        return Err(DraftError::Charges { charges: charges.len(), ions: ions.len() });
    }
    let atoms = ions.iter().zip(charges);
    let atoms = atoms.map(|(element, charge)| AtomSpec::new(element.trim(), *charge)).collect();
    Ok(Molecule::new(atoms)?)
}

/// The distance (angstrom) at which all pairs of `molecule` together have an energy, if all are as far apart: the mean of
/// `1 / r` of the pairs, each counted by the product of its charges, is that of this distance.
#[must_use]
pub fn common_distance_angstrom(molecule: &Molecule, energy_ev: f64) -> f64 {
    let charges = molecule.charges();
    let pairs = (0..charges.len()).flat_map(|i| (0..i).map(move |j| charges[i] * charges[j]));
    pairs.sum::<f64>() * HARTREE_EV / energy_ev / PositionUnit::Angstrom.factor()
}
