//! Bond lengths, angles and dihedrals that make up a shape: 3N - 6 numbers along a tree of bonds, and the volume that they
//! span.
//!
//! The tree is the shortest one that joins all atoms, by the medians of their distances in geometries that are given. An atom
//! is placed by its distance `r` from the one that it is bound to, the angle `theta` with a third and the dihedral `phi` with a
//! fourth that was placed before it, so that
//! ```text
//! d^3 d_1 d^3 d_2 ... = 8 pi^2 prod r_k^2 prod sin theta_k  dr dtheta dphi        4 pi r^2 dr for two atoms
//! ```

use ndarray::ArrayView2;

use crate::units::BOHR_ANGSTROM;
use crate::vector::{cross, difference, dot, norm, of_atom};

/// Sines of angles count as at least this much: the volume ends at 0 and 180 degrees.
const LEAST_SINE: f64 = 1e-9;
const PM_PER_BOHR: f64 = 100.0 * BOHR_ANGSTROM;

/// A tree of bonds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BondTree {
    /// The atoms that are placed, in order.
    placed: Vec<Placed>,
}

/// An atom and those that it is placed by.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Placed {
    atom: usize,
    from: usize,
    angle: Option<usize>,
    dihedral: Option<usize>,
}

/// What a number of a shape is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShapeQuantity {
    /// A distance, pm.
    Length,
    /// An angle, 0 to 180 degrees.
    Angle,
    /// A dihedral, -180 to 180 degrees.
    Dihedral,
}

impl BondTree {
    /// The shortest tree in geometries (rows, 3N). Its root is the atom with the most bonds.
    #[must_use]
    pub fn shortest(geometries: ArrayView2<'_, f64>) -> Self {
        let atoms = geometries.ncols() / 3;
        let median = |i: usize, j: usize| {
            let rows = geometries.rows().into_iter();
            let mut all: Vec<f64> = rows
                .map(|row| {
                    let row = row.to_vec();
                    norm(difference(of_atom(&row, i), of_atom(&row, j)))
                })
                .collect();
            all.sort_by(f64::total_cmp);
            all.get(all.len() / 2).copied().unwrap_or(0.0)
        };
        let mut bonds: Vec<[usize; 2]> = Vec::new();
        let mut joined = vec![0];
        while joined.len() < atoms {
            let outer = (0..atoms).filter(|atom| !joined.contains(atom));
            let pairs = outer.flat_map(|outer| joined.iter().map(move |inner| [*inner, outer]));
            let nearest = pairs.min_by(|a, b| median(a[0], a[1]).total_cmp(&median(b[0], b[1])));
            let Some(bond) = nearest else { break };
            joined.push(bond[1]);
            bonds.push(bond);
        }
        let count = |atom: usize| bonds.iter().flatten().filter(|end| **end == atom).count();
        let root = (0..atoms).rev().max_by_key(|atom| count(*atom)).unwrap_or(0);
        Self { placed: placed(root, &bonds) }
    }

    /// What each number is, and the atoms that it is about.
    pub fn quantities(&self) -> Vec<(ShapeQuantity, Vec<usize>)> {
        // As names have them: the lower of the two ends first.
        let ends = |a: usize, b: usize| [a.min(b), a.max(b)];
        let placed = || self.placed.iter();
        let lengths = placed().map(|p| (ShapeQuantity::Length, ends(p.from, p.atom).to_vec()));
        let angles = placed().filter_map(|p| {
            let [first, last] = ends(p.atom, p.angle?);
            Some((ShapeQuantity::Angle, vec![first, p.from, last]))
        });
        let dihedrals = placed().filter_map(|p| {
            Some((ShapeQuantity::Dihedral, vec![p.atom, p.from, p.angle?, p.dihedral?]))
        });
        lengths.chain(angles).chain(dihedrals).collect()
    }

    /// The numbers of positions (3N, bohr), and the log of the volume of relative positions (bohr) and rotations for each unit of them.
    pub fn values(&self, positions: &[f64]) -> (Vec<f64>, f64) {
        let at = |atom: usize| of_atom(positions, atom);
        let to_degrees = std::f64::consts::PI / 180.0;
        let pi = std::f64::consts::PI;
        let mut log_volume: f64 =
            if self.placed.len() > 1 { (8.0 * pi * pi).ln() } else { (4.0 * pi).ln() };
        let (mut lengths, mut angles, mut dihedrals) = (Vec::new(), Vec::new(), Vec::new());
        for Placed { atom, from, angle, dihedral } in &self.placed {
            let bond = difference(at(*atom), at(*from));
            let length = norm(bond);
            log_volume += 2.0 * length.ln() - PM_PER_BOHR.ln();
            lengths.push(length * PM_PER_BOHR);
            let Some(angle) = angle else { continue };
            let axis = difference(at(*angle), at(*from));
            let area = norm(cross(bond, axis));
            let theta = area.atan2(dot(bond, axis));
            log_volume += theta.sin().max(LEAST_SINE).ln() + to_degrees.ln();
            angles.push(theta / to_degrees);
            let Some(dihedral) = dihedral else { continue };
            let other = difference(at(*dihedral), at(*from));
            let (own_normal, other_normal) = (cross(bond, axis), cross(other, axis));
            let sine = dot(cross(own_normal, other_normal), axis) / norm(axis);
            dihedrals.push(sine.atan2(dot(own_normal, other_normal)) / to_degrees);
            log_volume += to_degrees.ln();
        }
        ([lengths, angles, dihedrals].concat(), log_volume)
    }
}

/// The atoms but the root, from the inside out.
fn placed(root: usize, bonds: &[[usize; 2]]) -> Vec<Placed> {
    let mut placed: Vec<Placed> = Vec::new();
    let mut order = vec![root];
    let mut next = 0;
    while let Some(&from) = order.get(next) {
        let ends = bonds.iter().filter_map(|[a, b]| match (*a == from, *b == from) {
            (true, _) => Some(*b),
            (_, true) => Some(*a),
            _ => None,
        });
        let mut outer: Vec<usize> = ends.filter(|atom| !order.contains(atom)).collect();
        outer.sort_unstable();
        for atom in outer {
            let inner = placed.iter().find(|p| p.atom == from).map(|p| p.from);
            let angle = inner.or_else(|| order.iter().copied().find(|other| *other != from));
            let others = order.iter().copied();
            let dihedral = angle.and_then(|angle| {
                others.into_iter().find(|other| *other != from && *other != angle)
            });
            placed.push(Placed { atom, from, angle, dihedral });
            order.push(atom);
        }
        next += 1;
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Simulation;
    use crate::presets::OCS_WIDE;

    fn ocs() -> Simulation {
        toml::from_str(OCS_WIDE.text).unwrap()
    }

    #[test]
    fn ocs_has_two_bonds_and_their_angle() {
        let tree = BondTree::shortest(ocs().draw_geometries(200, 0).unwrap().view());
        let expected = [
            (ShapeQuantity::Length, vec![0, 1]),
            (ShapeQuantity::Length, vec![0, 2]),
            (ShapeQuantity::Angle, vec![1, 0, 2]),
        ];
        assert_eq!(tree.quantities(), expected);
        let (values, _) = tree.values(&[0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 3.0, 0.0]);
        assert!((values[0] - 2.0 * PM_PER_BOHR).abs() < 1e-9);
        assert!((values[1] - 3.0 * PM_PER_BOHR).abs() < 1e-9 && (values[2] - 90.0).abs() < 1e-9);
    }

    /// The law draws 1 to 5 angstrom and 100 to 180 degrees evenly: the density is one over 400 x 400 x 80 everywhere.
    #[test]
    fn the_density_of_a_uniform_law_is_flat() {
        let geometries = ocs().draw_geometries(100, 1).unwrap();
        let tree = BondTree::shortest(geometries.view());
        let density = ocs().position_density().unwrap();
        for row in geometries.rows() {
            let (_, log_volume) = tree.values(&row.to_vec());
            let log = density.log_density_of_shape(&row.to_vec()).unwrap() + log_volume;
            assert!((log + (400.0 * 400.0 * 80.0_f64).ln()).abs() < 1e-6, "{log}");
        }
    }

    /// The volume against the determinant of the positions by the numbers and three turns, of five atoms: as many
    /// numbers as there are, moved by differences.
    #[test]
    fn the_volume_is_the_determinant() {
        let positions: Vec<f64> = (0..15).map(|i| ((i * i) as f64 * 0.7).sin() * 2.0).collect();
        let geometry = ndarray::Array2::from_shape_vec((1, 15), positions.clone()).unwrap();
        let tree = BondTree::shortest(geometry.view());
        assert_eq!(tree.quantities().len(), 9);
        let (_, log_volume) = tree.values(&positions);
        // Rows: gradients of the numbers, and the turns, along the positions relative to the first atom.
        let mut square = ndarray::Array2::<f64>::zeros((9, 12));
        for column in 0..12 {
            let at = |step: f64| {
                let mut moved = positions.clone();
                moved[3 + column] += step;
                tree.values(&moved).0
            };
            let (up, down) = (at(1e-5), at(-1e-5));
            (0..9).for_each(|row| square[[row, column]] = (up[row] - down[row]) / 2e-5);
        }
        let mut turns = ndarray::Array2::<f64>::zeros((3, 12));
        for atom in 1..5 {
            let own = difference(of_atom(&positions, atom), of_atom(&positions, 0));
            for axis in 0..3 {
                let mut unit = [0.0; 3];
                unit[axis] = 1.0;
                let moved = cross(unit, own);
                (0..3).for_each(|k| turns[[axis, 3 * (atom - 1) + k]] = moved[k]);
            }
        }
        // Coarea: volume of the turns over that of the gradients.
        let log_det = |gram: ndarray::Array2<f64>| -> f64 {
            let n = gram.nrows();
            let mut lower = ndarray::Array2::<f64>::zeros((n, n));
            for i in 0..n {
                for j in 0..=i {
                    let sum: f64 = (0..j).map(|k| lower[[i, k]] * lower[[j, k]]).sum();
                    let rest = gram[[i, j]] - sum;
                    lower[[i, j]] = if i == j { rest.sqrt() } else { rest / lower[[j, j]] };
                }
            }
            (0..n).map(|i| 2.0 * lower[[i, i]].ln()).sum()
        };
        let expected = (8.0 * std::f64::consts::PI.powi(2)).ln()
            + 0.5 * (log_det(turns.dot(&turns.t())) - log_det(square.dot(&square.t())));
        assert!((log_volume - expected).abs() < 1e-5, "{log_volume} {expected}");
    }
}
