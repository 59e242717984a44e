//! Whether the atoms of a file are those of a molecule, in its order.

use std::path::Path;

use cei_physics::Molecule;

use super::error::PositionsError;

/// The name of an atom without the number after it: `H` for `H1` or `H_1`.
fn without_number(name: &str) -> &str {
    name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_')
}

/// Atoms of the file are those of the molecule, in its order, if each bears its label, its element or its isotope
/// ([`Molecule::may_be_called`]). A number after an element is left out, unless all that the file has are labels of the
/// molecule: then it says which of like atoms is meant.
pub(super) fn check_atoms(
    path: &Path,
    found: &[String],
    molecule: &Molecule,
) -> Result<(), PositionsError> {
    let is_label =
        |name: &String| molecule.labels().iter().any(|label| label.eq_ignore_ascii_case(name));
    let numbered = |name: &String| without_number(name) != name;
    let are_labels = found.iter().filter(|name| numbered(name)).all(is_label);
    let is_same = |name: &String, atom: usize| {
        if are_labels && numbered(name) {
            return molecule.labels()[atom].eq_ignore_ascii_case(name);
        }
        molecule.may_be_called(atom, name) || molecule.may_be_called(atom, without_number(name))
    };
    let mut left: Vec<usize> = (0..molecule.atom_count()).collect();
    if found.len() == left.len() && found.iter().zip(&left).all(|(name, &atom)| is_same(name, atom))
    {
        return Ok(());
    }
    // Each atom of the file takes the first atom of the molecule that it may be and that is left.
    let taken = found.iter().filter(|name| {
        let place = left.iter().position(|&atom| is_same(name, atom));
        place.map(|place| left.remove(place)).is_some()
    });
    let hint = if taken.count() == found.len() && left.is_empty() {
        "they are the same atoms in another order: list the molecule's atoms in the order of the file"
    } else {
        "the file is of another molecule, or of other isotopes: its atoms must be those of `molecule.atoms`"
    };
    let elements = molecule.atoms().iter().map(|atom| atom.element.clone()).collect();
    Err(PositionsError::OtherMolecule {
        file: path.to_path_buf(),
        found: found.to_vec(),
        expected: if are_labels && found.iter().any(numbered) {
            molecule.labels().to_vec()
        } else {
            elements
        },
        hint,
    })
}
