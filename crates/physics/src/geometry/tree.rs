//! The tree of internal coordinates: made from a reference geometry, or written by its coordinates' names.
//!
//! Atoms are bonded that are closer than the sum of their covalent radii and 0.4 angstrom; what is not connected then
//! is linked where it comes nearest. The tree begins at the atom with most neighbours (the heaviest, then the first of
//! such) and goes on from near to far, heavy neighbours first. The first atom placed at another has a dihedral about
//! the bond behind it; further ones have theirs to that first one, so that a group turns as a whole. Atoms in line
//! define no dihedral and are avoided where others do.

use super::placing::{Placement, is_linear};
use crate::elements::covalent_radius_angstrom;
use crate::error::SimulationConfigError;
use crate::molecule::Molecule;
use crate::units::BOHR_ANGSTROM;
use crate::vector::{difference, norm, of_atom};

/// The key of a tree.
const KEY: &str = "geometry.tree";
/// What a bond may be longer than the sum of the covalent radii.
const LONGER_ANGSTROM: f64 = 0.4;
/// The radius of an atom whose element is not known: carbon's.
const UNKNOWN_RADIUS_ANGSTROM: f64 = 0.76;

/// Which atoms of a reference are neighbours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Neighbours {
    /// Bonds by covalent radii.
    pub(crate) bonds: Vec<[usize; 2]>,
    /// Links between parts that no bond connects, where they come nearest.
    pub(crate) links: Vec<[usize; 2]>,
}

impl Neighbours {
    /// The neighbours in a reference (3N, bohr).
    pub(crate) fn of(molecule: &Molecule, reference: &[f64]) -> Self {
        let atoms = molecule.atom_count();
        let radius = |atom: usize| {
            let radius = covalent_radius_angstrom(&molecule.atoms()[atom].element);
            radius.unwrap_or(UNKNOWN_RADIUS_ANGSTROM)
        };
        let mut pairs: Vec<([usize; 2], f64)> = (0..atoms)
            .flat_map(|b| (0..b).map(move |a| [a, b]))
            .map(|[a, b]| {
                let apart = difference(of_atom(reference, a), of_atom(reference, b));
                ([a, b], norm(apart) * BOHR_ANGSTROM)
            })
            .collect();
        let is_bond = |&([a, b], length): &([usize; 2], f64)| {
            length < radius(a) + radius(b) + LONGER_ANGSTROM
        };
        let bonds: Vec<[usize; 2]> =
            pairs.iter().filter(|pair| is_bond(pair)).map(|p| p.0).collect();
        pairs.sort_by(|a, b| a.1.total_cmp(&b.1));
        // The part of the molecule that each atom is in.
        let mut part: Vec<usize> = (0..atoms).collect();
        let mut join = |[a, b]: [usize; 2]| {
            let (kept, gone) = (part[a].min(part[b]), part[a].max(part[b]));
            part.iter_mut().filter(|part| **part == gone).for_each(|part| *part = kept);
            kept != gone
        };
        for bond in &bonds {
            join(*bond);
        }
        let links = pairs.into_iter().map(|(pair, _)| pair).filter(|pair| join(*pair)).collect();
        Self { bonds, links }
    }

    /// The neighbours of an atom, the heaviest first.
    fn at(&self, molecule: &Molecule, atom: usize) -> Vec<usize> {
        let other = |[a, b]: &[usize; 2]| match atom {
            _ if *a == atom => Some(*b),
            _ if *b == atom => Some(*a),
            _ => None,
        };
        let mut found: Vec<usize> =
            self.bonds.iter().chain(&self.links).filter_map(other).collect();
        found.sort_unstable();
        found.sort_by(|a, b| molecule.masses()[*b].total_cmp(&molecule.masses()[*a]));
        found
    }
}

/// The tree that a reference (3N, bohr) suggests.
pub(crate) fn grown(molecule: &Molecule, reference: &[f64], near: &Neighbours) -> Vec<Placement> {
    let neighbours: Vec<Vec<usize>> =
        (0..molecule.atom_count()).map(|atom| near.at(molecule, atom)).collect();
    let rank = |atom: usize| (neighbours[atom].len(), molecule.masses()[atom]);
    let better = |best, atom| {
        let ((n, mass), (most, heaviest)) = (rank(atom), rank(best));
        if n > most || (n == most && mass > heaviest) { atom } else { best }
    };
    let root = (0..neighbours.len()).fold(0, better);
    let mut tree = vec![Placement { atom: root, by: Vec::new() }];
    let mut next = 0;
    while next < tree.len() {
        let near = tree[next].atom;
        for &atom in &neighbours[near] {
            if tree.iter().all(|placed| placed.atom != atom) {
                let by = placed_by(&tree, next, atom, &neighbours, reference);
                tree.push(Placement { atom, by });
            }
        }
        next += 1;
    }
    tree
}

/// The atoms by which a neighbour of the atom in this place of the tree is placed.
fn placed_by(
    tree: &[Placement],
    place: usize,
    atom: usize,
    neighbours: &[Vec<usize>],
    reference: &[f64],
) -> Vec<usize> {
    let near = tree[place].atom;
    let is_placed = |atom: &usize| tree.iter().any(|placed| placed.atom == *atom);
    // The atom behind the bonded one, and those that are bonded to it already.
    let behind = tree[place].by.first().copied();
    let siblings: Vec<usize> =
        tree.iter().filter(|p| p.by.first() == Some(&near)).map(|p| p.atom).collect();
    let seconds: Vec<usize> = behind.into_iter().chain(siblings.iter().copied()).collect();
    let bent = seconds.iter().find(|&&b| !is_linear(reference, [atom, near, b]));
    let Some(&second) = bent.or(seconds.first()) else { return vec![near] };
    let around = neighbours[second].iter().copied().filter(is_placed);
    let all = tree.iter().map(|placed| placed.atom);
    let thirds: Vec<usize> = siblings
        .iter()
        .copied()
        .chain(behind)
        .chain(around)
        .chain(all)
        .filter(|third| ![near, second].contains(third))
        .collect();
    let bent = thirds.iter().find(|&&c| !is_linear(reference, [near, second, c]));
    match bent.or(thirds.first()) {
        Some(&third) => vec![near, second, third],
        None => vec![near, second],
    }
}

/// The tree of these names: `C`, `O-C`, `H-O-C`, `H2-O-C-H1`.
pub(crate) fn named(
    molecule: &Molecule,
    entries: &[String],
) -> Result<Vec<Placement>, SimulationConfigError> {
    let mut tree: Vec<Placement> = Vec::with_capacity(entries.len());
    for (place, entry) in entries.iter().enumerate() {
        let wrong = |reason: &str| SimulationConfigError::Tree {
            place,
            entry: entry.clone(),
            reason: reason.to_owned(),
        };
        let chain = atoms_of(molecule, &format!("{KEY}[{place}]"), entry)?;
        let expected = place.min(3) + 1;
        if chain.len() != expected {
            return Err(wrong(&format!("expected {expected} different atoms here")));
        }
        let is_placed = |atom: usize| tree.iter().any(|placed| placed.atom == atom);
        if is_placed(chain[0]) {
            return Err(wrong("its first atom has its place already"));
        }
        if !chain[1..].iter().all(|atom| is_placed(*atom)) {
            return Err(wrong("all but its first atom must have their places before"));
        }
        tree.push(Placement { atom: chain[0], by: chain[1..].to_vec() });
    }
    let left = (0..molecule.atom_count()).find(|atom| tree.iter().all(|p| p.atom != *atom));
    match left {
        Some(atom) => Err(SimulationConfigError::MissingAtom {
            key: KEY.to_owned(),
            label: molecule.labels()[atom].clone(),
        }),
        None => Ok(tree),
    }
}

/// The atoms of a coordinate's name, all different.
pub(crate) fn atoms_of(
    molecule: &Molecule,
    key: &str,
    name: &str,
) -> Result<Vec<usize>, SimulationConfigError> {
    let mut atoms = Vec::new();
    for label in name.split('-') {
        let atom = molecule.require_index(key, label.trim())?;
        if atoms.contains(&atom) {
            let label = label.trim().to_owned();
            return Err(SimulationConfigError::RepeatedAtom { key: key.to_owned(), label });
        }
        atoms.push(atom);
    }
    Ok(atoms)
}

/// The name of a coordinate of these atoms: `H1-C-O`.
pub(crate) fn name(molecule: &Molecule, atoms: &[usize]) -> String {
    let labels: Vec<&str> = atoms.iter().map(|atom| molecule.labels()[*atom].as_str()).collect();
    labels.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::molecule::AtomSpec;

    fn tree(elements: &[&str], angstrom: &[[f64; 3]]) -> (Vec<String>, Neighbours) {
        let molecule = molecule(elements);
        let reference: Vec<f64> = angstrom.iter().flatten().map(|x| x / BOHR_ANGSTROM).collect();
        let near = Neighbours::of(&molecule, &reference);
        let tree = grown(&molecule, &reference, &near);
        (tree.iter().map(|placed| name(&molecule, &placed.chain(4))).collect(), near)
    }

    fn molecule(elements: &[&str]) -> Molecule {
        Molecule::new(elements.iter().map(|e| AtomSpec::new(e, 1.0)).collect()).unwrap()
    }

    #[test]
    fn trees_of_known_molecules() {
        // Acetylene, in line: no dihedral means anything, and none is invented.
        let (names, near) = tree(
            &["C", "C", "H", "H"],
            &[[0.6, 0.0, 0.0], [-0.6, 0.0, 0.0], [1.66, 0.0, 0.0], [-1.66, 0.0, 0.0]],
        );
        assert_eq!(names, ["C1", "C2-C1", "H1-C1-C2", "H2-C2-C1-H1"]);
        assert_eq!(near.links, [[0usize; 2]; 0]);
        // Dichloromethane about its carbon, the heavy neighbours first.
        let (names, _) = tree(
            &["H", "C", "Cl", "H", "Cl"],
            &[
                [0.0, 0.9, 0.63],
                [0.0, 0.0, 0.0],
                [1.47, 0.0, -0.99],
                [0.0, -0.9, 0.63],
                [-1.47, 0.0, -0.99],
            ],
        );
        assert_eq!(names, ["C", "Cl1-C", "Cl2-C-Cl1", "H1-C-Cl1-Cl2", "H2-C-Cl1-Cl2"]);
        // Propyne: the methyl group is placed by what is not in line with its axis, but for its first atom.
        let (names, _) = tree(
            &["C", "C", "C", "H", "H", "H", "H"],
            &[
                [0.0, 0.0, 0.0],
                [1.46, 0.0, 0.0],
                [2.66, 0.0, 0.0],
                [-0.4, 1.03, 0.0],
                [-0.4, -0.51, 0.89],
                [-0.4, -0.51, -0.89],
                [3.72, 0.0, 0.0],
            ],
        );
        assert_eq!(
            names,
            ["C1", "C2-C1", "H1-C1-C2", "H2-C1-C2-H1", "H3-C1-C2-H1", "C3-C2-C1-H1", "H4-C3-C2-H1"]
        );
    }

    /// A square of sulfur hexafluoride's kind: angles of 90 degrees are taken before those of 180.
    #[test]
    fn right_angles_are_preferred_to_straight_ones() {
        let (names, _) = tree(
            &["Xe", "F", "F", "F", "F"],
            &[[0.0; 3], [1.95, 0.0, 0.0], [-1.95, 0.0, 0.0], [0.0, 1.95, 0.0], [0.0, -1.95, 0.0]],
        );
        assert_eq!(names, ["Xe", "F1-Xe", "F2-Xe-F1", "F3-Xe-F1-F2", "F4-Xe-F1-F3"]);
    }

    #[test]
    fn parts_far_apart_are_linked_where_they_are_nearest() {
        let (names, near) = tree(
            &["O", "H", "H", "Ar"],
            &[[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0], [5.0, 0.0, 0.0]],
        );
        assert_eq!(near.bonds, [[0, 1], [0, 2]]);
        assert_eq!(near.links, [[1, 3]]);
        assert_eq!(names, ["O", "H1-O", "H2-O-H1", "Ar-H1-O-H2"]);
    }

    #[test]
    fn a_written_tree_is_checked() {
        let molecule = molecule(&["C", "O", "H", "H"]);
        let message = |entries: &[&str]| {
            let entries: Vec<String> = entries.iter().map(|&entry| entry.to_owned()).collect();
            named(&molecule, &entries).map(|tree| tree.len()).map_err(|error| error.to_string())
        };
        assert_eq!(message(&["C", "O-C", "H1-C-O", "H2-C-O-H1"]), Ok(4));
        let wrong = message(&["C", "O-C", "H1-C", "H2-C-O-H1"]).unwrap_err();
        assert!(wrong.starts_with("`geometry.tree[2]`: `H1-C`: expected 3 different"), "{wrong}");
        let wrong = message(&["C", "O-H1"]).unwrap_err();
        assert!(wrong.contains("must have their places before"), "{wrong}");
        let wrong = message(&["C", "O-C", "H1-C-O"]).unwrap_err();
        assert!(wrong.contains("no entry for atom `H2`"), "{wrong}");
        let wrong = message(&["C", "O-C", "C-O-H1"]).unwrap_err();
        assert!(wrong.contains("has its place already"), "{wrong}");
        let wrong = message(&["C", "N-C"]).unwrap_err();
        assert!(wrong.contains("`geometry.tree[1]`: the molecule has no atom `N`"), "{wrong}");
    }
}
