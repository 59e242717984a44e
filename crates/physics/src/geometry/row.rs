//! Rows of positions, changed in place.

use crate::vector::Vector;

/// Moves every atom of a row by `shift`.
pub(crate) fn translate(row: &mut [f64], shift: Vector) {
    for atom in row.chunks_exact_mut(3) {
        for (coordinate, step) in atom.iter_mut().zip(shift) {
            *coordinate += step;
        }
    }
}

/// Puts an atom at a position.
pub(super) fn place(positions: &mut [f64], atom: usize, vector: Vector) {
    positions[3 * atom..3 * atom + 3].copy_from_slice(&vector);
}
