//! Atoms alike: of one element, mass and charge. A detector cannot tell their ions from one another.

use crate::molecule::Molecule;

/// Arrangements of the atoms of a molecule that are summed over at most: those of six alike, 6!.
pub const MOST_ARRANGEMENTS: usize = 720;

impl Molecule {
    /// Groups of two or more atoms (places, rising) of the same element, mass and charge.
    ///
    /// ```
    /// use cei_physics::{AtomSpec, Molecule};
    ///
    /// let atoms = ["C", "H", "C", "H", "O"].map(|element| AtomSpec::new(element, 1.0));
    /// assert_eq!(Molecule::new(atoms.into())?.alike(), [[0, 2], [1, 3]]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn alike(&self) -> Vec<Vec<usize>> {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for atom in 0..self.atom_count() {
            let is_alike = |group: &&mut Vec<usize>| {
                let other = group[0];
                self.atoms()[other].element == self.atoms()[atom].element
                    && self.masses()[other] == self.masses()[atom]
                    && self.charges()[other] == self.charges()[atom]
            };
            match groups.iter_mut().find(is_alike) {
                Some(group) => group.push(atom),
                None => groups.push(vec![atom]),
            }
        }
        groups.retain(|group| group.len() > 1);
        groups
    }
}

/// In how many ways atoms of these groups can be exchanged; the largest number where it is too large for one.
#[must_use]
pub fn arrangement_count(groups: &[Vec<usize>]) -> usize {
    let factorial = |n: usize| (2..=n).fold(1_usize, usize::saturating_mul);
    groups.iter().fold(1, |count, group| count.saturating_mul(factorial(group.len())))
}

/// All arrangements of `atoms` atoms in which those of a group stand in each other's places, the given one first. In an
/// arrangement `a` stands in the place of atom `i` atom `a[i]`.
///
/// ```
/// use cei_physics::alike::arrangements;
///
/// assert_eq!(arrangements(&[vec![0, 2]], 3), [[0, 1, 2], [2, 1, 0]]);
/// ```
#[must_use]
pub fn arrangements(groups: &[Vec<usize>], atoms: usize) -> Vec<Vec<usize>> {
    let mut all = vec![(0..atoms).collect::<Vec<usize>>()];
    for group in groups {
        let orders = orders(group);
        all = all
            .iter()
            .flat_map(|arranged| {
                orders.iter().map(|order| {
                    let mut arranged = arranged.clone();
                    group.iter().zip(order).for_each(|(place, atom)| arranged[*place] = *atom);
                    arranged
                })
            })
            .collect();
    }
    all
}

/// All orders of some atoms, the given one first.
fn orders(atoms: &[usize]) -> Vec<Vec<usize>> {
    if atoms.is_empty() {
        return vec![Vec::new()];
    }
    let begin_with = |place: usize| {
        let mut rest = atoms.to_vec();
        let first = rest.remove(place);
        orders(&rest).into_iter().map(move |rest| [&[first][..], &rest].concat())
    };
    (0..atoms.len()).flat_map(begin_with).collect()
}

/// The positions (3N) of an arrangement.
pub(crate) fn arranged(positions: &[f64], arrangement: &[usize]) -> Vec<f64> {
    arrangement.iter().flat_map(|atom| positions[3 * atom..3 * atom + 3].iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::molecule::AtomSpec;

    fn molecule(atoms: &[(&str, f64)]) -> Molecule {
        Molecule::new(atoms.iter().map(|(e, charge)| AtomSpec::new(e, *charge)).collect()).unwrap()
    }

    #[test]
    fn isotopes_and_charges_tell_atoms_apart() {
        let mixed = molecule(&[("H", 1.0), ("D", 1.0), ("O", 1.0), ("H", 1.0), ("O", 2.0)]);
        assert_eq!(mixed.alike(), [[0, 3]]);
        assert!(molecule(&[("C", 1.0), ("O", 1.0)]).alike().is_empty());
    }

    /// The density of atoms that are exchanged at will is the mean over their arrangements, of which each has it.
    #[test]
    fn all_arrangements_have_the_mean_density() {
        let simulation: crate::Simulation =
            toml::from_str(crate::presets::ACETYLENE_WIDE.text).unwrap();
        let events = crate::simulate(&simulation, 20, 1).unwrap();
        let density = simulation.position_density().unwrap();
        let groups = simulation.molecule.alike();
        let exchanging = density.clone().exchanging(&groups);
        let all = arrangements(&groups, 4);
        assert_eq!(all.len(), 4);
        for positions in events.positions.rows() {
            let positions = positions.to_vec();
            let labelled = |a: &Vec<usize>| density.log_density(&arranged(&positions, a));
            let mean = all.iter().map(|a| labelled(a).exp()).sum::<f64>() / 4.0;
            for arrangement in &all {
                let found = exchanging.log_density(&arranged(&positions, arrangement));
                assert!((found - mean.ln()).abs() < 1e-9, "{found} {}", mean.ln());
            }
        }
    }

    #[test]
    fn every_arrangement_is_there_once() {
        let groups = [vec![0, 1, 4], vec![2, 5]];
        let mut all = arrangements(&groups, 6);
        assert_eq!((all.len(), arrangement_count(&groups)), (12, 12));
        assert_eq!(all[0], [0, 1, 2, 3, 4, 5]);
        for arranged in &all {
            let mut atoms = arranged.clone();
            atoms.sort_unstable();
            assert_eq!(atoms, [0, 1, 2, 3, 4, 5]);
            assert!(arranged[3] == 3 && [2, 5].contains(&arranged[2]));
        }
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 12);
        assert_eq!(arrangement_count(&[(0..30).collect()]), usize::MAX);
    }
}
