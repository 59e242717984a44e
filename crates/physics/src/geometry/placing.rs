//! Atoms placed one after another: positions of a tree of bond lengths, angles and dihedrals, and back.
//!
//! Atom D is placed by earlier ones A, B, C: at the distance `r` from A, with the angle `theta` at A to B, and turned
//! by the dihedral `phi` of D-A-B-C out of the plane of these. With unit vectors `b` along A - B, `n` along
//! `(B - C) x b` and `m = n x b`,
//! ```text
//! D = A + r (-cos(theta) b + sin(theta) (cos(phi) m + sin(phi) n))
//! ```
//! so that `phi = 0` is cis, and its sign that of IUPAC. The first atom is at the origin, the second on +x, the
//! third in the xy half-plane y > 0.

use crate::vector::{Vector, cross, difference, dot, norm, of_atom, scaled};

/// Angles closer to 0 or 180 degrees than this define no plane.
pub(crate) const LEAST_BEND_DEG: f64 = 5.0;

/// Which earlier atoms place an atom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placement {
    /// The atom's place in the molecule.
    pub(crate) atom: usize,
    /// The atoms of its bond length, angle and dihedral, in this order: none of these for the first atom of a tree,
    /// one for the second, two for the third, three for all others.
    pub(crate) by: Vec<usize>,
}

/// Bond length (bohr), angle and dihedral (radians) of one atom; those that it has not are 0.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Internal {
    pub(crate) length: f64,
    pub(crate) angle: f64,
    pub(crate) dihedral: f64,
}

impl Placement {
    /// The atoms from this one on, for example those of `D-A-B-C`.
    pub(crate) fn chain(&self, atoms: usize) -> Vec<usize> {
        std::iter::once(self.atom).chain(self.by.iter().copied()).take(atoms).collect()
    }

    /// The position of the atom; earlier ones must be in their places.
    pub(crate) fn position(&self, positions: &[f64], internal: &Internal) -> Vector {
        let Internal { length, angle, dihedral } = *internal;
        let Some(&near) = self.by.first() else { return [0.0; 3] };
        let near = of_atom(positions, near);
        let Some(&second) = self.by.get(1) else {
            return [near[0] + length, near[1], near[2]];
        };
        let second = of_atom(positions, second);
        let along = unit(difference(near, second));
        let (m, n) = match self.by.get(2) {
            None => ([0.0, 1.0, 0.0], [0.0, 0.0, along[0]]),
            Some(&third) => across(along, difference(second, of_atom(positions, third))),
        };
        let (sin, cos) = angle.sin_cos();
        let (up, in_plane) = (sin * dihedral.sin(), sin * dihedral.cos());
        std::array::from_fn(|axis| {
            near[axis] + length * (-cos * along[axis] + in_plane * m[axis] + up * n[axis])
        })
    }

    /// The inverse: what the atom's position is by those of the others.
    pub(crate) fn internal(&self, positions: &[f64]) -> Internal {
        let Some(&near) = self.by.first() else { return Internal::default() };
        let near = of_atom(positions, near);
        let bond = difference(of_atom(positions, self.atom), near);
        let length = norm(bond);
        let Some(&second) = self.by.get(1) else {
            return Internal { length, ..Internal::default() };
        };
        let second = of_atom(positions, second);
        let back = difference(second, near);
        let angle = norm(cross(bond, back)).atan2(dot(bond, back));
        let dihedral = self.by.get(2).map_or(0.0, |&third| {
            let along = unit(scaled(back, -1.0));
            let (m, n) = across(along, difference(second, of_atom(positions, third)));
            dot(bond, n).atan2(dot(bond, m))
        });
        Internal { length, angle, dihedral }
    }

    /// Whether the angle at the bonded atom is all but 0 or 180 degrees.
    pub(crate) fn is_linear(&self, positions: &[f64]) -> bool {
        self.by.get(1).is_some_and(|&b| is_linear(positions, [self.atom, self.by[0], b]))
    }

    /// Whether the dihedral has no meaning: this angle, or that of the three other atoms, defines no plane.
    pub(crate) fn is_free(&self, positions: &[f64]) -> bool {
        let [a, b, c] = self.by[..] else { return false };
        self.is_linear(positions) || is_linear(positions, [a, b, c])
    }
}

/// Whether the angle of three atoms, at the one in the middle, is all but 0 or 180 degrees.
pub(crate) fn is_linear(positions: &[f64], [a, vertex, b]: [usize; 3]) -> bool {
    let from = |atom| difference(of_atom(positions, atom), of_atom(positions, vertex));
    let (first, second) = (from(a), from(b));
    let sine = norm(cross(first, second)) / (norm(first) * norm(second));
    // Atoms at one point, where the sine is no number, are linear too.
    sine.is_nan() || sine < LEAST_BEND_DEG.to_radians().sin()
}

/// The vectors `m` and `n` of the equation; some pair of them where the three atoms are in line.
fn across(along: Vector, back: Vector) -> (Vector, Vector) {
    let normal = cross(back, along);
    let length = norm(normal);
    let normal = if length > 1e-12 * norm(back) {
        scaled(normal, 1.0 / length)
    } else {
        let least = if along[0].abs() < 0.6 { [1.0, 0.0, 0.0] } else { [0.0, 1.0, 0.0] };
        unit(cross(least, along))
    };
    (cross(normal, along), normal)
}

fn unit(vector: Vector) -> Vector {
    scaled(vector, 1.0 / norm(vector))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(atoms: usize) -> Vec<Placement> {
        (0..atoms).map(|atom| Placement { atom, by: (0..atom).rev().take(3).collect() }).collect()
    }

    #[test]
    fn hydrogen_peroxide_by_hand() {
        // Right angles: A (1, 0, 0), B (0, 0, 0) and C (0, 1, 0) in the frame of the equation.
        let tree = chain(4);
        let mut positions = vec![0.0; 12];
        let values = [(0.0, 0.0, 0.0), (2.0, 0.0, 0.0), (3.0, 90.0, 0.0), (5.0, 90.0, 60.0)];
        for (placement, (length, angle, dihedral)) in tree.iter().zip(values) {
            let [angle, dihedral] = [angle, dihedral].map(|degrees: f64| degrees.to_radians());
            let position = placement.position(&positions, &Internal { length, angle, dihedral });
            positions[3 * placement.atom..3 * placement.atom + 3].copy_from_slice(&position);
        }
        // From atom 1, atom 0 is at -x and atom 2 at +y. So a dihedral of 0 has the bond of atom 3 on -x, and one of
        // 90 degrees on +z: seen from atom 2, the bond to atom 0 is then clockwise of it, as IUPAC wants.
        let root = 0.75_f64.sqrt();
        let expected = [0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 2.0, 3.0, 0.0, -0.5, 3.0, 5.0 * root];
        approx::assert_abs_diff_eq!(positions[..], expected[..], epsilon = 1e-12);
        let back = tree[3].internal(&positions);
        approx::assert_abs_diff_eq!(back.dihedral.to_degrees(), 60.0, epsilon = 1e-12);
    }

    #[test]
    fn internal_coordinates_come_back() {
        let tree = chain(6);
        let mut positions: Vec<f64> = (0..18).map(|c| (1.0 + 7.3 * f64::from(c)).sin()).collect();
        let values: Vec<Internal> = tree.iter().map(|p| p.internal(&positions)).collect();
        positions.fill(f64::NAN);
        for (placement, value) in tree.iter().zip(&values) {
            let position = placement.position(&positions, value);
            positions[3 * placement.atom..3 * placement.atom + 3].copy_from_slice(&position);
        }
        for (placement, value) in tree.iter().zip(&values) {
            let again = placement.internal(&positions);
            approx::assert_abs_diff_eq!(again.length, value.length, epsilon = 1e-12);
            approx::assert_abs_diff_eq!(again.angle, value.angle, epsilon = 1e-12);
            approx::assert_abs_diff_eq!(again.dihedral, value.dihedral, epsilon = 1e-12);
        }
    }
}
