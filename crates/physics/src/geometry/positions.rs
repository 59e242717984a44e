//! Positions of all atoms, as a configuration gives them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detector::by_atom;
use crate::error::{SimulationConfigError, require};
use crate::molecule::Molecule;
use crate::units::BOHR_ANGSTROM;

/// The key of positions in every law.
pub(super) const KEY: &str = "geometry.positions_angstrom";

/// Positions of all atoms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a table of positions `[x, y, z]` by atom, or the name of an XYZ file"
)]
pub enum Positions {
    /// The name of an XYZ file of one frame. Whoever reads the configuration reads the file too and puts the
    /// positions in its place.
    File(String),
    /// By atom label.
    ByAtom(BTreeMap<String, [f64; 3]>),
}

impl Positions {
    /// Positions of the molecule's atoms from a row (3N, angstrom).
    ///
    /// # Panics
    /// If the row has not three numbers an atom.
    pub fn of_row(molecule: &Molecule, row: &[f64]) -> Self {
        assert_eq!(row.len(), 3 * molecule.atom_count(), "three numbers an atom");
        let atoms = molecule.labels().iter().zip(row.chunks_exact(3));
        Self::ByAtom(atoms.map(|(label, x)| (label.clone(), [x[0], x[1], x[2]])).collect())
    }

    /// In the order of the molecule's atoms (3N, bohr).
    pub(super) fn bohr(&self, molecule: &Molecule) -> Result<Vec<f64>, SimulationConfigError> {
        let table = match self {
            Self::ByAtom(table) => table,
            Self::File(file) => {
                return Err(SimulationConfigError::Unread { key: KEY, file: file.clone() });
            }
        };
        bohr_by_atom(molecule, table)
    }
}

/// Positions of a table by atom, in the order of the molecule's atoms (3N, bohr).
pub(super) fn bohr_by_atom(
    molecule: &Molecule,
    table: &BTreeMap<String, [f64; 3]>,
) -> Result<Vec<f64>, SimulationConfigError> {
    let positions = by_atom(molecule, KEY, table)?.concat();
    for coordinate in &positions {
        require(KEY, *coordinate, "finite", |_| true)?;
    }
    Ok(positions.into_iter().map(|coordinate| coordinate / BOHR_ANGSTROM).collect())
}
