//! The bond lengths and angles in which molecules are scored.

use cei_metrics::InternalCoordinates;
use cei_physics::Molecule;

use crate::{Experiment, RunError};

/// Bond lengths of all pairs, and angles about the configured vertex.
///
/// # Errors
/// A vertex that the molecule does not have.
pub(crate) fn internal_coordinates(
    experiment: &Experiment,
    molecule: &Molecule,
) -> Result<InternalCoordinates, RunError> {
    let vertex = match &experiment.evaluation.vertex {
        None => 0,
        Some(label) => molecule.index_of(label).ok_or_else(|| RunError::UnknownAtom {
            key: "evaluation.vertex",
            label: label.clone(),
            atoms: molecule.labels().join(", "),
        })?,
    };
    Ok(InternalCoordinates::about(molecule.labels(), vertex)?)
}
