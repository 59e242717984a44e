//! The one geometry of a molecule in an XYZ file.

use std::path::Path;

use cei_physics::Molecule;

use super::atoms::check_atoms;
use super::error::PositionsError;
use super::xyz::{is_xyz, read_xyz};
use crate::units::PositionUnit;

/// The geometry of `molecule` in an XYZ file of one frame (3 atoms, angstrom, to 1e-10). What stands behind the positions is
/// not read.
///
/// # Errors
/// A name that is none of XYZ, what is wrong with the file, atoms that are not the molecule's in its order, several
/// frames, and a comment that names bohr.
pub fn load_reference(path: &Path, molecule: &Molecule) -> Result<Vec<f64>, PositionsError> {
    let file = || path.to_path_buf();
    if !is_xyz(&path.to_string_lossy()) {
        return Err(PositionsError::NoXyz { file: file() });
    }
    let frames = read_xyz(path, false)?;
    check_atoms(path, &frames.labels, molecule)?;
    if frames.positions.nrows() > 1 {
        return Err(PositionsError::SeveralFrames {
            file: file(),
            found: frames.positions.nrows(),
        });
    }
    if frames.in_bohr {
        return Err(PositionsError::InBohr { file: file() });
    }
    let per_angstrom = PositionUnit::Angstrom.factor();
    // The digits of the file, without what the unit's factor adds.
    Ok(frames.positions.iter().map(|bohr| (bohr / per_angstrom * 1e10).round() / 1e10).collect())
}
