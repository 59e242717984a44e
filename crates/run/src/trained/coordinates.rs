//! The bond lengths and angles in which molecules are scored.

use std::sync::Arc;

use cei_data::Alike;
use cei_metrics::InternalCoordinates;
use cei_physics::Molecule;
use cei_physics::alike::Relabelling;

use crate::{Experiment, RunError};

/// Bond lengths of all pairs, and angles about the configured vertex. Atoms that are exchanged at will are called as in the
/// arrangement that is closest to the distances of `alike`.
///
/// # Errors
/// A vertex that the molecule does not have.
pub(crate) fn internal_coordinates(
    experiment: &Experiment,
    molecule: &Molecule,
    alike: Option<&Alike>,
) -> Result<InternalCoordinates, RunError> {
    let vertex = match &experiment.evaluation.vertex {
        None => 0,
        Some(label) => molecule.index_of(label).ok_or_else(|| RunError::UnknownAtom {
            key: "evaluation.vertex",
            label: label.clone(),
            atoms: molecule.labels().join(", "),
        })?,
    };
    let coordinates = InternalCoordinates::about(molecule.labels(), vertex)?;
    let Some(Alike { groups, distances }) = alike else { return Ok(coordinates) };
    let called = Relabelling::new(groups, molecule.atom_count(), distances.clone());
    Ok(coordinates.relabelled(Arc::new(move |positions| called.relabel(positions))))
}
