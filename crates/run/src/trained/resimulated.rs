//! Momenta of drawn geometries: exploded again, and turned so that momenta of any orientation compare.

use cei_physics::{Accuracy, Charging, Exploder, FrameRule, Molecule};
use ndarray::{Array2, ArrayView2, Axis};

use crate::RunError;

/// The forward model of a run.
pub(crate) struct Resimulator {
    molecule: Molecule,
    charging: Charging,
    frame: FrameRule,
}

impl Resimulator {
    pub(crate) fn new(molecule: &Molecule, charging: Charging) -> Self {
        let frame =
            FrameRule { x_axis: molecule.atom_count() - 1, xy_plane: molecule.atom_count() - 2 };
        Self { molecule: molecule.clone(), charging, frame }
    }

    /// Momenta (rows x 3N, a.u.) of inferred rows, positions (bohr) and nuisances, in the frame of the last two atoms,
    /// with NaN where an explosion fails; none for rows that are not what the simulation begins with. `charges` are those
    /// of the ions in each row, empty for the molecule's.
    ///
    /// # Errors
    /// A charging that does not fit the molecule.
    pub(crate) fn momenta(
        &self,
        inferred: ArrayView2<'_, f64>,
        charges: &[Vec<f64>],
    ) -> Result<Option<Array2<f64>>, RunError> {
        let mut momenta = Array2::zeros((inferred.nrows(), 3 * self.molecule.atom_count()));
        for (charges, rows) in by_charges(charges) {
            let molecule = match charges {
                [] => self.molecule.clone(),
                charges => self.molecule.with_charges(charges),
            };
            let exploder = Exploder::new(&molecule, &self.charging, &Accuracy::default())?;
            if inferred.ncols() != exploder.inputs() {
                return Ok(None);
            }
            let exploded = exploder.explode_all(inferred.select(Axis(0), &rows).view())?;
            for (row, exploded) in rows.into_iter().zip(exploded.rows()) {
                momenta.row_mut(row).assign(&exploded);
            }
        }
        Ok(Some(self.in_one_frame(momenta)))
    }

    /// Rotates every row of momenta into the frame of its last two atoms.
    pub(crate) fn in_one_frame(&self, mut momenta: Array2<f64>) -> Array2<f64> {
        for mut row in momenta.rows_mut() {
            if let Some(row) = row.as_slice_mut() {
                self.frame.rotation(row).apply(row);
            }
        }
        momenta
    }
}

/// The rows of each charge state, in the order of their first.
fn by_charges(charges: &[Vec<f64>]) -> Vec<(&[f64], Vec<usize>)> {
    let mut states: Vec<(&[f64], Vec<usize>)> = Vec::new();
    for (row, charges) in charges.iter().enumerate() {
        match states.iter_mut().find(|(state, _)| charges == state) {
            Some((_, rows)) => rows.push(row),
            None => states.push((charges, vec![row])),
        }
    }
    states
}
