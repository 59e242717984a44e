//! Atoms alike: of one element, mass and charge. A detector cannot tell their ions from one another.

use std::collections::BTreeSet;

use ndarray::ArrayView2;
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use crate::logs::log_sum;
use crate::molecule::Molecule;
use crate::vector::{difference, norm, of_atom};

/// Up to so many arrangements of the atoms of a molecule, those of six alike (6!), all are looked at; of more a search finds
/// those that matter.
pub const MOST_ARRANGEMENTS: usize = 720;
/// Passes over the geometries by which a reference is found.
const PASSES: usize = 5;
/// Arrangements from which a search begins.
const STARTS: usize = 20;
/// Arrangements that are so many nats less probable than the best are not followed.
const NEGLIGIBLE: f64 = 15.0;

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

/// What atoms alike are called: as in the arrangement of a geometry that is closest to a reference, with the least
/// `sum over pairs (d_ij - r_ij)^2` of distances. It does not depend on how the geometry lies in space.
///
/// Of more than [`MOST_ARRANGEMENTS`] that of 20 descents by exchanges of two atoms is taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Relabelling {
    atoms: usize,
    groups: Vec<Vec<usize>>,
    /// All arrangements; empty where they are searched.
    all: Vec<Vec<usize>>,
    /// 0-1, 0-2, ..., 1-2, ...
    distances: Vec<f64>,
}

impl Relabelling {
    /// Of these groups of atoms, by the distances of the pairs of atoms (0-1, 0-2, ..., 1-2, ...). Of equally close
    /// arrangements the first is taken.
    ///
    /// ```
    /// use cei_physics::alike::Relabelling;
    ///
    /// // O-C-O, of which the first O is farther away.
    /// let relabelling = Relabelling::new(&[vec![0, 2]], 3, vec![3.0, 5.0, 2.0]);
    /// let mut row = [2.0, 0.0, 0.0, 0.0, 0.0, 0.0, -3.0, 0.0, 0.0];
    /// relabelling.relabel(&mut row);
    /// assert_eq!(row, [-3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0]);
    /// ```
    #[must_use]
    pub fn new(groups: &[Vec<usize>], atoms: usize, distances: Vec<f64>) -> Self {
        let is_few = arrangement_count(groups) <= MOST_ARRANGEMENTS;
        let all = if is_few { arrangements(groups, atoms) } else { Vec::new() };
        Self { atoms, groups: groups.to_vec(), all, distances }
    }

    /// With the mean distances of these geometries (rows x 3N), each called as is closest to the mean: it begins with the first
    /// row, whose names stay. None for no rows.
    #[must_use]
    pub fn fit(groups: &[Vec<usize>], positions: ArrayView2<'_, f64>) -> Option<Self> {
        let rows: Vec<Vec<f64>> = positions.rows().into_iter().map(|row| row.to_vec()).collect();
        let mut found = Self::new(groups, positions.ncols() / 3, distances(rows.first()?));
        for _ in 0..PASSES {
            let mut sums = vec![0.0; found.distances.len()];
            for row in &rows {
                let row = arranged(row, &found.closest(row));
                sums.iter_mut().zip(distances(&row)).for_each(|(sum, d)| *sum += d);
            }
            found.distances = sums.iter().map(|sum| sum / rows.len() as f64).collect();
        }
        Some(found)
    }

    /// The distances of the reference.
    #[must_use]
    pub fn distances(&self) -> &[f64] {
        &self.distances
    }

    /// Puts the atoms of a geometry (3N; what stands behind stays) into the order of the reference.
    pub fn relabel(&self, positions: &mut [f64]) {
        let called = arranged(positions, &self.closest(&positions[..3 * self.atoms]));
        positions[..called.len()].copy_from_slice(&called);
    }

    /// The closest arrangement.
    fn closest(&self, positions: &[f64]) -> Vec<usize> {
        let own = distances(positions);
        let misfit = |arrangement: &[usize]| -> f64 {
            let pairs = pairs(self.atoms).zip(&self.distances);
            let squares = pairs.map(|((i, j), reference)| {
                (own[self.place(arrangement[i], arrangement[j])] - reference).powi(2)
            });
            squares.sum()
        };
        let searched = if self.all.is_empty() { self.descents(&own) } else { Vec::new() };
        let mut best: Option<(f64, &Vec<usize>)> = None;
        for arrangement in self.all.iter().chain(&searched) {
            let misfit = misfit(arrangement);
            if best.is_none_or(|(least, _)| misfit < least * (1.0 - 1e-9)) {
                best = Some((misfit, arrangement));
            }
        }
        best.map_or_else(|| (0..self.atoms).collect(), |(_, best)| best.clone())
    }

    /// Arrangements that no exchange of two atoms brings closer.
    fn descents(&self, own: &[f64]) -> Vec<Vec<usize>> {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let descent = |start: usize| {
            let mut arrangement: Vec<usize> = (0..self.atoms).collect();
            for group in self.groups.iter().filter(|_| start > 0) {
                let mut order = group.clone();
                order.shuffle(&mut rng);
                group.iter().zip(order).for_each(|(place, atom)| arrangement[*place] = atom);
            }
            while let Some((p, q)) =
                exchanges(&self.groups).find(|&(p, q)| self.change(own, &arrangement, p, q) < -1e-9)
            {
                arrangement.swap(p, q);
            }
            arrangement
        };
        (0..STARTS).map(descent).collect()
    }

    /// By how much the misfit grows if the atoms in two places are exchanged.
    fn change(&self, own: &[f64], arrangement: &[usize], p: usize, q: usize) -> f64 {
        let misfit = |place: usize, atom: usize, other: usize| {
            let distance = own[self.place(atom, arrangement[other])];
            (distance - self.distances[self.place(place, other)]).powi(2)
        };
        let (a, b) = (arrangement[p], arrangement[q]);
        let others = (0..self.atoms).filter(|other| ![p, q].contains(other));
        let changes = others.map(|other| {
            misfit(p, b, other) + misfit(q, a, other) - misfit(p, a, other) - misfit(q, b, other)
        });
        changes.sum()
    }

    /// Where the distance of two atoms stands.
    fn place(&self, i: usize, j: usize) -> usize {
        let (i, j) = (i.min(j), i.max(j));
        i * self.atoms - i * (i + 1) / 2 + j - i - 1
    }
}

/// The mean of a density over the arrangements of atoms that are exchanged at will.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    /// What they are called where the arrangements are too many to be looked at.
    called: Relabelling,
}

impl Exchange {
    /// Of atoms that are called as in the geometries of a law (rows, 3N); none without any.
    pub(crate) fn new(groups: &[Vec<usize>], geometries: ArrayView2<'_, f64>) -> Option<Self> {
        Relabelling::fit(groups, geometries).map(|called| Self { called })
    }

    /// The logarithm of the mean. Of too many arrangements those are summed that a search finds from the closest one on, by
    /// exchanges of two atoms, the most probable first, at most [`MOST_ARRANGEMENTS`]: a lower bound. Where all that it finds
    /// are equally probable, so are the others.
    pub(crate) fn log_mean(&self, positions: &[f64], density: impl Fn(&[f64]) -> f64) -> f64 {
        let of = |arrangement: &Vec<usize>| density(&arranged(positions, arrangement));
        let all = &self.called.all;
        if !all.is_empty() {
            let logs: Vec<f64> = all.iter().map(of).collect();
            return log_sum(&logs) - (logs.len() as f64).ln();
        }
        let start = self.called.closest(positions);
        let mut known = BTreeSet::from([start.clone()]);
        let mut logs = vec![of(&start)];
        let mut open = vec![(logs[0], start)];
        while let Some(next) = (0..open.len()).max_by(|a, b| open[*a].0.total_cmp(&open[*b].0)) {
            let (log, arrangement) = open.swap_remove(next);
            let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            if log < most - NEGLIGIBLE || logs.len() >= MOST_ARRANGEMENTS {
                break;
            }
            for (p, q) in exchanges(&self.called.groups) {
                let mut other = arrangement.clone();
                other.swap(p, q);
                if known.insert(other.clone()) {
                    logs.push(of(&other));
                    open.push((logs[logs.len() - 1], other));
                }
            }
        }
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if logs.iter().all(|log| *log > most - 1e-6) {
            return most;
        }
        let log_factorial = |n: usize| (2..=n).map(|k| (k as f64).ln()).sum::<f64>();
        let counts = self.called.groups.iter().map(|group| log_factorial(group.len()));
        log_sum(&logs) - counts.sum::<f64>()
    }
}

/// All pairs of places whose atoms may be exchanged.
fn exchanges(groups: &[Vec<usize>]) -> impl Iterator<Item = (usize, usize)> {
    groups.iter().flat_map(|group| {
        pairs(group.len()).map(move |(first, second)| (group[first], group[second]))
    })
}

/// 0-1, 0-2, ..., 1-2, ...
fn pairs(count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).flat_map(move |i| (i + 1..count).map(move |j| (i, j)))
}

/// The distances of the pairs of atoms.
fn distances(positions: &[f64]) -> Vec<f64> {
    let distance = |(i, j)| norm(difference(of_atom(positions, i), of_atom(positions, j)));
    pairs(positions.len() / 3).map(distance).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::molecule::AtomSpec;
    use ndarray::Array2;
    use rand::RngExt as _;

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
        let exchanging = density.clone().exchanging(&groups, events.positions.view());
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

    fn two_pairs() -> Vec<Vec<usize>> {
        vec![vec![0, 1], vec![2, 3]]
    }

    /// A bent H-C-C-H, C first, with noise; turned, and its atoms in any of the arrangements.
    fn geometries(count: usize, shuffled: bool) -> Array2<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let base = [0.0, 0.0, 0.0, 2.4, 0.3, 0.0, -2.0, 0.5, 0.0, 4.2, 1.1, 0.4];
        let rows = (0..count).flat_map(|_| {
            let mut row: Vec<f64> = base.iter().map(|x| x + 0.2 * rng.random::<f64>()).collect();
            let order = arrangements(&two_pairs(), 4);
            let order = &order[if shuffled { rng.random_range(0..4) } else { 0 }];
            row = order.iter().flat_map(|a| row[3 * a..3 * a + 3].to_vec()).collect();
            row
        });
        Array2::from_shape_vec((count, 12), rows.collect()).unwrap()
    }

    /// Whatever the atoms were called, they are called the same; and the reference of shuffled geometries is that of others but
    /// for what its first row calls them.
    #[test]
    fn what_atoms_were_called_does_not_matter() {
        let plain = geometries(200, false);
        let relabelling = Relabelling::fit(&two_pairs(), plain.view()).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for row in plain.rows() {
            let mut expected = row.to_vec();
            relabelling.relabel(&mut expected);
            let mut others = arrangements(&two_pairs(), 4);
            others.shuffle(&mut rng);
            let mut other: Vec<f64> =
                others[0].iter().flat_map(|a| expected[3 * a..3 * a + 3].to_vec()).collect();
            relabelling.relabel(&mut other);
            assert_eq!(other, expected);
        }
        let shuffled = Relabelling::fit(&two_pairs(), geometries(200, true).view()).unwrap();
        let sorted = |relabelling: &Relabelling| {
            let mut all = relabelling.distances().to_vec();
            all.sort_by(f64::total_cmp);
            all
        };
        for (a, b) in sorted(&relabelling).iter().zip(sorted(&shuffled)) {
            assert!((a - b).abs() < 0.05, "{a} {b}");
        }
    }

    /// Seven atoms alike have 5,040 arrangements: the search finds what all of them have, for a chain of atoms that hardly
    /// overlap, whatever they are called; and of a law that knows no names all.
    #[test]
    fn a_search_finds_what_all_arrangements_have() {
        let groups = [(0..7).collect::<Vec<usize>>()];
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut chain = || -> Vec<f64> {
            let atom = |i: usize| [2.0 * i as f64, 0.3 * (i * i) as f64, 0.0];
            (0..7).flat_map(atom).map(|x| x + 0.3 * (rng.random::<f64>() - 0.5)).collect()
        };
        let (place, drawn) = (chain(), chain());
        let rows: Vec<f64> = (0..50).flat_map(|_| chain()).collect();
        let geometries = Array2::from_shape_vec((50, 21), rows).unwrap();
        let exchange = Exchange::new(&groups, geometries.view()).unwrap();
        assert!(exchange.called.all.is_empty());
        let density = |positions: &[f64]| -> f64 {
            positions.iter().zip(&place).map(|(a, b)| -(a - b).powi(2)).sum()
        };
        let all = arrangements(&groups, 7);
        let logs: Vec<f64> = all.iter().map(|a| density(&arranged(&drawn, a))).collect();
        let exact = log_sum(&logs) - (all.len() as f64).ln();
        for arrangement in all.iter().step_by(777) {
            let found = exchange.log_mean(&arranged(&drawn, arrangement), density);
            assert!((found - exact).abs() < 1e-3, "{found} {exact}");
        }
        assert_eq!(exchange.log_mean(&drawn, |_| -3.5), -3.5);
    }
}
