//! Frames of reference: the rotation that puts one atom's vector on +x and another's in the xy
//! half-plane y > 0, and the choice of vectors that fix it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::SimulationConfigError;
use crate::molecule::Molecule;
use crate::vector::{Vector, cross, difference, dot, norm, of_atom, scaled};

/// Vectors shorter than this part of the row's longest, and perpendicular parts smaller than this part
/// of their vector, count as zero: their direction is round-off.
const NEGLIGIBLE: f64 = 1e-12;

/// A proper rotation; its rows are the axes of the new frame in the old one's coordinates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rotation([[f64; 3]; 3]);

impl Rotation {
    /// The rotation that changes nothing.
    pub const IDENTITY: Self = Self([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]);

    /// The rotation of the unit quaternion along `(w, x, y, z)`, which must not be zero. Four independent
    /// standard normals give the uniform distribution on SO(3).
    ///
    /// ```
    /// use cei_physics::Rotation;
    ///
    /// // Half a turn about z.
    /// let mut row = [1.0, 2.0, 3.0];
    /// Rotation::from_quaternion([0.0, 0.0, 0.0, 1.0]).apply(&mut row);
    /// assert_eq!(row, [-1.0, -2.0, 3.0]);
    /// ```
    pub fn from_quaternion(quaternion: [f64; 4]) -> Self {
        let length = quaternion.iter().map(|c| c * c).sum::<f64>().sqrt();
        let [w, x, y, z] = quaternion.map(|component| component / length);
        Self([
            [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
            [2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)],
            [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)],
        ])
    }

    /// The 3x3 matrix, row by row.
    pub fn matrix(&self) -> [[f64; 3]; 3] {
        self.0
    }

    /// Rotates every `(x, y, z)` of a row (3N numbers) in place.
    pub fn apply(&self, row: &mut [f64]) {
        for atom in row.chunks_exact_mut(3) {
            let vector = [atom[0], atom[1], atom[2]];
            atom.copy_from_slice(&self.0.map(|axis| dot(axis, vector)));
        }
    }

    /// Rotates every `(x, y, z)` of a row back, in place.
    pub fn apply_inverse(&self, row: &mut [f64]) {
        let [x, y, z] = self.0;
        for atom in row.chunks_exact_mut(3) {
            let vector = [atom[0], atom[1], atom[2]];
            let back = |axis: usize| dot([x[axis], y[axis], z[axis]], vector);
            atom.copy_from_slice(&[back(0), back(1), back(2)]);
        }
    }
}

/// Which atoms' vectors fix a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRule {
    /// The atom whose vector lies on +x.
    pub x_axis: usize,
    /// The atom whose vector lies in the xy plane with y >= 0.
    pub xy_plane: usize,
}

impl FrameRule {
    /// Finds the two atoms of a frame by their labels; `key` is where the frame stands in the configuration.
    ///
    /// # Errors
    /// [`SimulationConfigError::UnknownAtom`]; [`SimulationConfigError::RepeatedAtom`] if both are the same atom.
    pub fn new(
        molecule: &Molecule,
        key: &str,
        x_axis: &str,
        xy_plane: &str,
    ) -> Result<Self, SimulationConfigError> {
        let rule = Self {
            x_axis: molecule.require_index(&format!("{key}.x_axis"), x_axis)?,
            xy_plane: molecule.require_index(&format!("{key}.xy_plane"), xy_plane)?,
        };
        if rule.x_axis == rule.xy_plane {
            let key = format!("{key}.xy_plane");
            return Err(SimulationConfigError::RepeatedAtom { key, label: xy_plane.to_owned() });
        }
        Ok(rule)
    }

    /// The rotation of momenta (3N numbers) of which some may be missing, NaN, into the frame of those that are there.
    ///
    /// The momentum of a single ion that is missing is taken for minus the sum of the others ([`share_missing`]), so that the
    /// frame is close to that of the complete event. Where more are missing, the first two that are there, in the order x axis, xy
    /// plane, then the other atoms as they stand, take the two roles.
    ///
    /// ```
    /// use cei_physics::FrameRule;
    ///
    /// let rule = FrameRule { x_axis: 2, xy_plane: 1 };
    /// let complete = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, -5.0, -7.0, -9.0];
    /// let mut seen = complete;
    /// seen[6..].fill(f64::NAN);
    /// assert_eq!(rule.rotation_of_detected(&seen), rule.rotation(&complete));
    /// ```
    #[must_use]
    pub fn rotation_of_detected(self, momenta: &[f64]) -> Rotation {
        match momenta.chunks_exact(3).filter(|ion| is_missing(ion)).count() {
            0 => self.rotation(momenta),
            1 => {
                let mut complete = momenta.to_vec();
                share_missing(&mut complete);
                self.rotation(&complete)
            }
            _ => self.among_detected(momenta).rotation(momenta),
        }
    }

    /// The rule with the first two atoms that are there.
    fn among_detected(self, row: &[f64]) -> Self {
        let others = (0..row.len() / 3).filter(|atom| ![self.x_axis, self.xy_plane].contains(atom));
        let is_detected = |atom: &usize| !is_missing(&of_atom(row, *atom));
        let mut detected =
            [self.x_axis, self.xy_plane].into_iter().chain(others).filter(is_detected);
        match (detected.next(), detected.next()) {
            (Some(x_axis), Some(xy_plane)) => Self { x_axis, xy_plane },
            _ => self,
        }
    }

    /// The rotation of `row` (3N numbers, positions or momenta) into its frame.
    ///
    /// It is defined for every row. If the vector of `xy_plane` is parallel to the x axis (diatomic and
    /// collinear molecules) or zero, the y axis is the part perpendicular to x of the old axis to which
    /// the new x axis is least inclined (of equals, the first of y, z, x). If the vector of `x_axis` is zero,
    /// the old x axis stays the x axis. So a row that is in the frame already is left as it is.
    ///
    /// ```
    /// use cei_physics::FrameRule;
    ///
    /// // The second atom on +x, the first in the half-plane y > 0.
    /// let rule = FrameRule { x_axis: 1, xy_plane: 0 };
    /// let mut row = [0.0, 0.0, 1.0, 0.0, 2.0, 0.0];
    /// rule.rotation(&row).apply(&mut row);
    /// assert_eq!(row, [0.0, 1.0, 0.0, 2.0, 0.0, 0.0]);
    /// ```
    pub fn rotation(&self, row: &[f64]) -> Rotation {
        let longest = row.chunks_exact(3).map(|v| norm([v[0], v[1], v[2]])).fold(0.0, f64::max);
        let along = of_atom(row, self.x_axis);
        let length = norm(along);
        let x = if length > NEGLIGIBLE * longest {
            scaled(along, 1.0 / length)
        } else {
            Rotation::IDENTITY.0[0]
        };
        let beside = of_atom(row, self.xy_plane);
        let across = perpendicular(beside, x);
        let smallest = NEGLIGIBLE * norm(beside).max(longest);
        let y = if norm(across) > smallest { across } else { any_perpendicular(x) };
        let y = scaled(y, 1.0 / norm(y));
        Rotation([x, y, cross(x, y)])
    }
}

/// Fills in the momenta (3N numbers) of ions that are missing, NaN: each is taken for an equal share of minus the sum of the
/// others, as if the molecule had been at rest.
pub fn share_missing(momenta: &mut [f64]) {
    let missing = momenta.chunks_exact(3).filter(|ion| is_missing(ion)).count();
    if missing == 0 {
        return;
    }
    for axis in 0..3 {
        let sum: f64 = momenta.iter().skip(axis).step_by(3).filter(|p| !p.is_nan()).sum();
        let share = -sum / missing as f64;
        momenta.iter_mut().skip(axis).step_by(3).filter(|p| p.is_nan()).for_each(|p| *p = share);
    }
}

/// Whether the momentum of an ion is not there.
fn is_missing(ion: &[f64]) -> bool {
    ion.iter().any(|component| component.is_nan())
}

/// The part of `vector` perpendicular to the unit vector `axis`. The second pass removes what round-off
/// left along the axis when the perpendicular part is small.
fn perpendicular(vector: Vector, axis: Vector) -> Vector {
    let once = difference(vector, scaled(axis, dot(vector, axis)));
    difference(once, scaled(axis, dot(once, axis)))
}

fn any_perpendicular(x: Vector) -> Vector {
    let mut least = 1;
    for axis in [2, 0] {
        if x[axis].abs() < x[least].abs() {
            least = axis;
        }
    }
    perpendicular(Rotation::IDENTITY.0[least], x)
}

/// The frame in which a simulated event is recorded.
///
/// ```toml
/// [frame]
/// kind = "momentum"
/// x_axis = "S"
/// xy_plane = "O"
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Frame {
    /// As in the laboratory: nothing is rotated.
    // The braces make unknown keys an error here too.
    Laboratory {},
    /// Positions are rotated about the origin by the rule applied to the positions, momenta SEPARATELY by
    /// the rule applied to the momenta.
    Separate {
        /// Label of the atom put on +x.
        x_axis: String,
        /// Label of the atom put in the xy half-plane y > 0.
        xy_plane: String,
    },
    /// One rotation, fixed by the measured (noisy) momenta, is applied to momenta and positions.
    Momentum {
        /// Label of the atom whose momentum is put on +x.
        x_axis: String,
        /// Label of the atom whose momentum is put in the xy half-plane y > 0.
        xy_plane: String,
    },
}

impl Default for Frame {
    fn default() -> Self {
        Self::Laboratory {}
    }
}

/// A [`Frame`] whose atoms are found.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ResolvedFrame {
    Laboratory,
    Separate(FrameRule),
    Momentum(FrameRule),
}

impl Frame {
    pub(crate) fn resolve(
        &self,
        molecule: &Molecule,
    ) -> Result<ResolvedFrame, SimulationConfigError> {
        Ok(match self {
            Self::Laboratory {} => ResolvedFrame::Laboratory,
            Self::Separate { x_axis, xy_plane } => {
                ResolvedFrame::Separate(FrameRule::new(molecule, "frame", x_axis, xy_plane)?)
            }
            Self::Momentum { x_axis, xy_plane } => {
                ResolvedFrame::Momentum(FrameRule::new(molecule, "frame", x_axis, xy_plane)?)
            }
        })
    }
}

impl ResolvedFrame {
    /// Rotates one event into the frame; gives the rotation of its positions.
    pub(crate) fn apply(self, positions: &mut [f64], momenta: &mut [f64]) -> Rotation {
        match self {
            Self::Laboratory => Rotation::IDENTITY,
            Self::Separate(rule) => {
                let rotation = rule.rotation(positions);
                rotation.apply(positions);
                rule.rotation_of_detected(momenta).apply(momenta);
                rotation
            }
            Self::Momentum(rule) => {
                let rotation = rule.rotation_of_detected(momenta);
                rotation.apply(positions);
                rotation.apply(momenta);
                rotation
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;
    use proptest::prelude::*;

    const RULE: FrameRule = FrameRule { x_axis: 1, xy_plane: 0 };

    fn determinant(rotation: &Rotation) -> f64 {
        let [x, y, z] = rotation.matrix();
        dot(cross(x, y), z)
    }

    fn assert_orthogonal(rotation: &Rotation) {
        let axes = rotation.matrix();
        for (i, a) in axes.iter().enumerate() {
            for (j, b) in axes.iter().enumerate() {
                let expected = if i == j { 1.0 } else { 0.0 };
                assert_abs_diff_eq!(dot(*a, *b), expected, epsilon = 1e-14);
            }
        }
        assert_abs_diff_eq!(determinant(rotation), 1.0, epsilon = 1e-14);
    }

    #[test]
    fn a_quarter_turn_by_hand() {
        // Atom 1 on +y, atom 0 on +z: new x = y, new y = z, new z = x.
        let mut row = [0.0, 0.0, 3.0, 0.0, 2.0, 0.0, 5.0, 6.0, 7.0];
        let rotation = RULE.rotation(&row);
        rotation.apply(&mut row);
        assert_eq!(row, [0.0, 3.0, 0.0, 2.0, 0.0, 0.0, 6.0, 7.0, 5.0]);
        rotation.apply_inverse(&mut row);
        assert_eq!(row, [0.0, 0.0, 3.0, 0.0, 2.0, 0.0, 5.0, 6.0, 7.0]);
    }

    /// Every subset of two ions or more has a frame. A single ion that is missing has the momentum that the others lack to
    /// none, and with it the frame of the complete event; of more, the first in the order is on +x, the next at y >= 0, z = 0.
    #[test]
    fn any_two_ions_have_a_frame() {
        // They add up to zero.
        let row = [0.3, -1.0, 0.4, 2.0, 0.5, -0.7, -0.6, 1.1, 0.9, -1.7, -0.6, -0.6];
        let order = [1, 0, 2, 3];
        for missing in 0..16_u32 {
            let is_there = |atom: usize| missing >> atom & 1 == 0;
            let detected: Vec<usize> = order.into_iter().filter(|atom| is_there(*atom)).collect();
            let [x_axis, xy_plane, ..] = detected[..] else { continue };
            let mut seen = row;
            for atom in (0..4).filter(|atom| !is_there(*atom)) {
                seen[3 * atom..3 * atom + 3].fill(f64::NAN);
            }
            let rotation = RULE.rotation_of_detected(&seen);
            assert_orthogonal(&rotation);
            rotation.apply(&mut seen);
            let mut expected = row;
            if detected.len() >= 3 {
                RULE.rotation(&row).apply(&mut expected);
            } else {
                FrameRule { x_axis, xy_plane }.rotation(&row).apply(&mut expected);
                let [along, across] = [x_axis, xy_plane].map(|atom| of_atom(&seen, atom));
                assert_abs_diff_eq!(along[0], norm(of_atom(&row, x_axis)), epsilon = 1e-14);
                assert!(across[1] > 0.0 && across[2].abs() < 1e-14);
            }
            for (at, (seen, expected)) in seen.iter().zip(expected).enumerate() {
                assert_eq!(seen.is_nan(), !is_there(at / 3));
                assert!(seen.is_nan() || (seen - expected).abs() < 1e-14, "{missing}, {at}");
            }
        }
    }

    #[test]
    fn what_is_missing_shares_what_the_others_lack() {
        const N: f64 = f64::NAN;
        let mut row = [1.0, 2.0, 3.0, N, N, N, 3.0, 0.0, -5.0, N, N, N];
        share_missing(&mut row);
        assert_eq!(row, [1.0, 2.0, 3.0, -2.0, -1.0, 1.0, 3.0, 0.0, -5.0, -2.0, -1.0, 1.0]);
        let complete = row;
        share_missing(&mut row);
        assert_eq!(row, complete);
    }

    #[test]
    fn quaternions_turn_by_hand() {
        // A quarter turn about z takes x to y.
        let mut row = [1.0, 0.0, 0.0];
        Rotation::from_quaternion([1.0, 0.0, 0.0, 1.0]).apply(&mut row);
        assert_abs_diff_eq!(row[..], [0.0, 1.0, 0.0][..], epsilon = 1e-15);
    }

    #[test]
    fn degenerate_rows_have_a_frame_and_keep_it() {
        let cases = [
            // Atom 0 antiparallel to atom 1; atom 0 zero; atom 1 zero; both zero; already in the frame.
            [-0.2, -0.4, 0.6, 0.1, 0.2, -0.3],
            [0.0, 0.0, 0.0, 0.0, -2.0, 0.0],
            [0.3, -1.0, 0.4, 0.0, 0.0, 0.0],
            [0.0; 6],
            [-1.0, 0.0, 0.0, 2.0, 0.0, 0.0],
        ];
        for case in cases {
            let rotation = RULE.rotation(&case);
            assert_orthogonal(&rotation);
            let mut row = case;
            rotation.apply(&mut row);
            assert_abs_diff_eq!(row[3], norm(of_atom(&case, 1)), epsilon = 1e-15);
            assert_abs_diff_eq!(row[2], 0.0, epsilon = 1e-15);
            let mut again = row;
            RULE.rotation(&row).apply(&mut again);
            assert_abs_diff_eq!(again[..], row[..], epsilon = 1e-15);
        }
        assert_eq!(RULE.rotation(&cases[4]), Rotation::IDENTITY);
    }

    #[test]
    fn unknown_keys_are_errors_in_every_kind() {
        for kind in
            ["kind = \"laboratory\"", "kind = \"separate\"\nxy_plane = \"O\"\nx_axis = \"S\""]
        {
            assert!(toml::from_str::<Frame>(kind).is_ok());
            assert!(toml::from_str::<Frame>(&format!("{kind}\ny_axis = \"O\"")).is_err(), "{kind}");
        }
    }

    proptest! {
        #[test]
        fn the_rule_holds_and_nothing_else_changes(
            row in prop::collection::vec(-10.0..10.0_f64, 12),
        ) {
            let rotation = RULE.rotation(&row);
            assert_orthogonal(&rotation);
            let mut turned = row.clone();
            rotation.apply(&mut turned);
            assert_abs_diff_eq!(turned[3..6], [norm(of_atom(&row, 1)), 0.0, 0.0], epsilon = 1e-13);
            prop_assert!(turned[1] >= 0.0);
            assert_abs_diff_eq!(turned[2], 0.0, epsilon = 1e-13);
            for a in 0..4 {
                for b in 0..4 {
                    let before = dot(of_atom(&row, a), of_atom(&row, b));
                    let after = dot(of_atom(&turned, a), of_atom(&turned, b));
                    assert_abs_diff_eq!(before, after, epsilon = 1e-12);
                }
            }
            let mut again = turned.clone();
            RULE.rotation(&turned).apply(&mut again);
            assert_abs_diff_eq!(again[..], turned[..], epsilon = 1e-12);
            rotation.apply_inverse(&mut turned);
            assert_abs_diff_eq!(turned[..], row[..], epsilon = 1e-13);
        }

        #[test]
        fn the_frame_forgets_how_the_event_was_turned(
            row in prop::collection::vec(-10.0..10.0_f64, 9),
            quaternion in prop::array::uniform4(0.1..1.0_f64),
        ) {
            let mut turned = row.clone();
            Rotation::from_quaternion(quaternion).apply(&mut turned);
            RULE.rotation(&turned).apply(&mut turned);
            let mut expected = row.clone();
            RULE.rotation(&row).apply(&mut expected);
            // The frame is ill-conditioned where the perpendicular part is small.
            prop_assume!(expected[1] > 1e-3 && expected[3] > 1e-3);
            assert_abs_diff_eq!(turned[..], expected[..], epsilon = 1e-10);
        }
    }
}
