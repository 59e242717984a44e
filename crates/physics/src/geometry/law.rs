//! Every geometry law, as a configuration names it and as it is drawn from.

use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::ImpossibleGeometry;
use super::gaussian::{Displacements, Gaussian};
use super::harmonic::{Harmonic, Vibrations};
use super::internal::{InternalCoordinates, InternalLaw};
use super::positions::Positions;
use super::sphere::Sphere;
use super::triatomic::{Bond, Triatomic};
use crate::distribution::Distribution;
use crate::error::SimulationConfigError;
use crate::molecule::Molecule;

/// A distribution of geometries. The pose (orientation, origin) is the simulation's business.
///
/// ```toml
/// [geometry]
/// law = "triatomic"
/// centre = "C"
/// angle_deg = { distribution = "uniform", low = 100.0, high = 180.0 }
///
/// [[geometry.bonds]]
/// atom = "O"
/// length_angstrom = { distribution = "uniform", low = 1.0, high = 5.0 }
///
/// [[geometry.bonds]]
/// atom = "S"
/// length_angstrom = { distribution = "uniform", low = 1.0, high = 5.0 }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "law", rename_all = "kebab-case", deny_unknown_fields)]
#[allow(clippy::large_enum_variant, reason = "a simulation holds one law")]
pub enum GeometryLaw {
    /// Two bonds from a central atom and the angle between them, each with its own distribution.
    ///
    /// The central atom is at the origin, the first bond on +x, the second in the xy half-plane y > 0.
    /// Lengths that are not positive and angles outside 0 to 180 degrees are drawn again.
    Triatomic {
        /// Label of the central atom.
        centre: String,
        /// The two bonds.
        bonds: [Bond; 2],
        /// The bond angle; either this or `bend_deg`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        angle_deg: Option<Distribution>,
        /// 180 degrees minus the bond angle; either this or `angle_deg`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bend_deg: Option<Distribution>,
        /// A positive factor common to both bond lengths; 1 by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        common_stretch: Option<Distribution>,
    },
    /// Every atom uniformly in a sphere, given that no two are closer than a least distance; then one
    /// atom is moved to the origin, all others with it.
    ///
    /// The condition is met by drawing ALL atoms again, so the distribution is the uniform one restricted.
    Sphere {
        /// Radius of the sphere.
        #[schemars(extend("exclusiveMinimum" = 0))]
        radius_bohr: f64,
        /// Least distance between any two atoms.
        #[schemars(extend("allowed" = "at least 0, below `2 radius_bohr`"))]
        minimum_separation_bohr: f64,
        /// Label of the atom that is moved to the origin; by default the sphere's centre stays there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        origin: Option<String>,
    },
    /// Independent normal displacements from given positions: a rough thermal or zero-point cloud for
    /// any molecule.
    Gaussian {
        /// Equilibrium position `[x, y, z]` of every atom, or the name of an XYZ file.
        positions_angstrom: Positions,
        /// Standard deviation of the displacement along each axis: one number, or a table with an entry for every atom.
        #[schemars(extend("allowed" = "at least 0"))]
        displacement_angstrom: Displacements,
    },
    /// A molecule that vibrates in its normal modes; it has the momenta of its vibrations too. Its centre of mass is at the
    /// origin and at rest.
    Harmonic(Vibrations),
    /// The same geometry for every event.
    Fixed {
        /// Position `[x, y, z]` of every atom, or the name of an XYZ file.
        positions_angstrom: Positions,
    },
    /// Bond lengths, angles and dihedrals about a reference, each with its own distribution: any molecule
    /// (`docs/spec.md#geometry-laws`).
    ///
    /// Every atom but the first is placed by earlier ones: a bond length to one, an angle with a second, a dihedral with a
    /// third. This tree is made from the reference, or given by `tree`; `cei simulate` says which it is. Lengths that are
    /// not positive and angles outside 0 to 180 degrees are drawn again. Where the reference is in line, angles are bent in
    /// both directions, and dihedrals without meaning are uniform.
    ///
    /// ```toml
    /// [geometry]
    /// law = "internal"
    /// positions_angstrom = { C = [0, 0, 0], O = [-1.16, 0, 0], S = [1.56, 0, 0] }     # or "molecule.xyz"
    /// length_changes_angstrom = { distribution = "normal", mean = 0.0, sd = 0.1 }
    /// angle_changes_deg = { distribution = "normal", mean = 0.0, sd = 10.0 }
    /// lengths_angstrom = { C-S = { distribution = "uniform", low = 1.0, high = 3.0 } }
    /// ```
    Internal(InternalLaw),
}

/// A [`GeometryLaw`] that is checked and whose atoms are found.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "a simulation holds one law")]
pub(crate) enum ResolvedLaw {
    Triatomic(Triatomic),
    Sphere(Sphere),
    Gaussian(Gaussian),
    Harmonic(Harmonic),
    Internal(InternalCoordinates),
}

impl GeometryLaw {
    /// The positions that the law is about; none where it has none.
    pub fn positions_mut(&mut self) -> Option<&mut Positions> {
        match self {
            Self::Gaussian { positions_angstrom, .. } | Self::Fixed { positions_angstrom } => {
                Some(positions_angstrom)
            }
            Self::Internal(law) => Some(&mut law.positions_angstrom),
            Self::Triatomic { .. } | Self::Sphere { .. } | Self::Harmonic(_) => None,
        }
    }

    /// Writes out what the law leaves to be made from its reference, so that a record of it does not depend on how
    /// that is done: the tree of `internal`.
    ///
    /// # Errors
    /// [`SimulationConfigError`] that names the key.
    pub fn settle(&mut self, molecule: &Molecule) -> Result<(), SimulationConfigError> {
        match self {
            Self::Internal(law) => law.settle(molecule),
            _ => Ok(()),
        }
    }

    pub(crate) fn resolve(
        &self,
        molecule: &Molecule,
    ) -> Result<ResolvedLaw, SimulationConfigError> {
        match self {
            Self::Triatomic { centre, bonds, angle_deg, bend_deg, common_stretch } => {
                let angle = [angle_deg.as_ref(), bend_deg.as_ref()];
                Triatomic::resolve(molecule, centre, bonds, angle, common_stretch.as_ref())
                    .map(ResolvedLaw::Triatomic)
            }
            Self::Sphere { radius_bohr, minimum_separation_bohr, origin } => {
                let (radius, separation) = (*radius_bohr, *minimum_separation_bohr);
                Sphere::resolve(molecule, radius, separation, origin.as_deref())
                    .map(ResolvedLaw::Sphere)
            }
            Self::Gaussian { positions_angstrom, displacement_angstrom } => {
                Gaussian::resolve(molecule, positions_angstrom, displacement_angstrom)
                    .map(ResolvedLaw::Gaussian)
            }
            Self::Harmonic(vibrations) => {
                Harmonic::resolve(molecule, vibrations).map(ResolvedLaw::Harmonic)
            }
            Self::Fixed { positions_angstrom } => {
                Gaussian::fixed(molecule, positions_angstrom).map(ResolvedLaw::Gaussian)
            }
            Self::Internal(law) => law.resolve(molecule).map(ResolvedLaw::Internal),
        }
    }

    /// Whether the law draws initial momenta too.
    pub fn has_momenta(&self) -> bool {
        matches!(self, Self::Harmonic(_))
    }
}

impl ResolvedLaw {
    /// As [`GeometryLaw::has_momenta`].
    pub(crate) fn has_momenta(&self) -> bool {
        matches!(self, Self::Harmonic(_))
    }

    /// Draws one geometry into `positions` (3N numbers, bohr) and, if the law has them, initial momenta into `momenta`
    /// (3N numbers, a.u.), which may be empty: what is drawn is the same.
    pub(crate) fn draw(
        &self,
        rng: &mut impl Rng,
        positions: &mut [f64],
        momenta: &mut [f64],
    ) -> Result<(), ImpossibleGeometry> {
        match self {
            Self::Triatomic(law) => law.draw(rng, positions),
            Self::Sphere(law) => law.draw(rng, positions),
            Self::Gaussian(law) => {
                law.draw(rng, positions);
                Ok(())
            }
            Self::Harmonic(law) => {
                law.draw(rng, positions, momenta);
                Ok(())
            }
            Self::Internal(law) => law.draw(rng, positions),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::is_separated;
    use crate::molecule::AtomSpec;
    use crate::units::BOHR_ANGSTROM;
    use crate::vector::{norm, of_atom};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn molecule(elements: &[&str]) -> Molecule {
        Molecule::new(elements.iter().map(|e| AtomSpec::new(e, 1.0)).collect()).unwrap()
    }

    fn resolve(elements: &[&str], text: &str) -> Result<ResolvedLaw, SimulationConfigError> {
        toml::from_str::<GeometryLaw>(text).unwrap().resolve(&molecule(elements))
    }

    fn draw(elements: &[&str], text: &str, seed: u64) -> Vec<f64> {
        let mut positions = vec![f64::NAN; 3 * elements.len()];
        let law = resolve(elements, text).unwrap();
        law.draw(&mut ChaCha8Rng::seed_from_u64(seed), &mut positions, &mut []).unwrap();
        positions
    }

    const WATER: &str = r#"
        law = "triatomic"
        centre = "O"
        angle_deg = { distribution = "fixed", value = 90 }
        common_stretch = { distribution = "fixed", value = 2 }
        bonds = [
            { atom = "D", length_angstrom = { distribution = "fixed", value = 0.529177210903 } },
            { atom = "H", length_angstrom = { distribution = "fixed", value = 1.058354421806 } },
        ]"#;

    #[test]
    fn a_right_angle_by_hand() {
        // Lengths 1 and 2 bohr, stretched twice; order of atoms H, O, D.
        let row = draw(&["H", "O", "D"], WATER, 0);
        let expected = [0.0, 4.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0];
        approx::assert_abs_diff_eq!(row[..], expected[..], epsilon = 1e-12);
        let bent = WATER.replace(
            "angle_deg = { distribution = \"fixed\", value = 90 }",
            "bend_deg = { distribution = \"fixed\", value = 60 }",
        );
        let row = draw(&["H", "O", "D"], &bent, 0);
        // 120 degrees: (4 cos 120, 4 sin 120).
        approx::assert_abs_diff_eq!(row[0], -2.0, epsilon = 1e-12);
        approx::assert_abs_diff_eq!(row[1], 12.0_f64.sqrt(), epsilon = 1e-12);
    }

    #[test]
    fn atoms_in_a_sphere_keep_their_distance_and_the_origin() {
        let text =
            "law = \"sphere\"\nradius_bohr = 1\nminimum_separation_bohr = 1.2\norigin = \"O\"";
        for seed in 0..200 {
            let row = draw(&["H", "O", "D"], text, seed);
            assert_eq!(&row[3..6], [0.0; 3]);
            assert!(is_separated(&row, 1.2 - 1e-12));
            // Two points of a sphere of radius 1 are at most 2 apart.
            assert!(norm(of_atom(&row, 0)) <= 2.0 && norm(of_atom(&row, 2)) <= 2.0);
        }
    }

    #[test]
    fn an_impossible_sphere_is_given_up() {
        // Four points of a ball of radius 1 cannot all be 1.9 apart: a regular tetrahedron has side 1.63.
        let law = resolve(
            &["H", "O", "D", "F"],
            "law = \"sphere\"\nradius_bohr = 1\nminimum_separation_bohr = 1.9",
        );
        let result = law.unwrap().draw(&mut ChaCha8Rng::seed_from_u64(0), &mut [0.0; 12], &mut []);
        assert_eq!(
            result.unwrap_err(),
            ImpossibleGeometry { key: "geometry.minimum_separation_bohr" }
        );
    }

    #[test]
    fn given_positions_are_used_in_the_order_of_the_atoms() {
        let text = "law = \"fixed\"\npositions_angstrom = { D = [0.529177210903, 0, 0], H = [0, 1.058354421806, 0] }";
        let row = draw(&["H", "D"], text, 0);
        approx::assert_abs_diff_eq!(row[..], [0.0, 2.0, 0.0, 1.0, 0.0, 0.0][..], epsilon = 1e-15);
        let text = text.replace("fixed", "gaussian")
            + "\ndisplacement_angstrom = { H = 0.0, D = 0.529177210903 }";
        let draws: Vec<f64> =
            (0..4_000).map(|seed| draw(&["H", "D"], &text, seed)[3] - 1.0).collect();
        let variance = draws.iter().map(|d| d * d).sum::<f64>() / 4_000.0;
        // Standard error of the variance: sqrt(2 / 4000) = 0.022; five of them.
        assert!((variance - 1.0).abs() < 0.11, "{variance}");
        assert_eq!(draw(&["H", "D"], &text, 1)[1], 2.0);
        let same = |text: &str| resolve(&["H", "D"], text).unwrap();
        let one = text.replace("{ H = 0.0, D = 0.529177210903 }", "0.3");
        let table = one.replace("0.3", "{ H = 0.3, D = 0.3 }");
        assert_eq!(format!("{:?}", same(&one)), format!("{:?}", same(&table)));
        let negative = resolve(&["H", "D"], &one.replace("0.3", "-1")).unwrap_err().to_string();
        assert!(negative.starts_with("`geometry.displacement_angstrom`: `-1`"), "{negative}");
    }

    #[test]
    fn errors_name_the_key() {
        let message =
            |elements: &[&str], text: &str| resolve(elements, text).unwrap_err().to_string();
        let water = ["H", "O", "D"];
        assert!(message(&["H", "O"], WATER).contains("needs 3 atoms, the molecule has 2"));
        assert!(
            message(&water, &WATER.replace("\"D\"", "\"H\""))
                .contains("`geometry.bonds[1].atom`: atom `H` is named twice")
        );
        assert!(message(&water, &WATER.replace("\"H\"", "\"S\"")).contains("no atom `S`"));
        assert!(
            message(
                &water,
                &WATER.replace(
                    "angle_deg = {",
                    "bend_deg = { distribution = \"fixed\", value = 1 }\nangle_deg = {"
                )
            )
            .contains("found 2")
        );
        let sphere = "law = \"sphere\"\nradius_bohr = 1\nminimum_separation_bohr = 2.5";
        assert!(message(&water, sphere).starts_with("`geometry.minimum_separation_bohr`: `2.5`"));
        let unknown = toml::from_str::<GeometryLaw>(&format!("{sphere}\nradius_pm = 3"));
        assert!(unknown.unwrap_err().to_string().contains("radius_pm"));
    }

    const CHAIN: &str = r#"
        law = "internal"
        positions_angstrom = { N = [1.16, 0, 0], C = [0, 0, 0], H = [-1.07, 0, 0] }
        length_changes_angstrom = { distribution = "fixed", value = 0.1 }
        angle_changes_deg = { distribution = "fixed", value = 0 }"#;

    /// Hydrogen cyanide, in line: it stays so where nothing bends it, and is bent both ways by a normal change.
    #[test]
    fn molecules_in_line_are_bent_both_ways() {
        let elements = ["N", "C", "H"];
        let row = draw(&elements, CHAIN, 0);
        let [nitrogen, hydrogen] = [0, 2].map(|atom| norm(of_atom(&row, atom)) * BOHR_ANGSTROM);
        approx::assert_abs_diff_eq!(nitrogen, 1.26, epsilon = 1e-12);
        approx::assert_abs_diff_eq!(hydrogen, 1.17, epsilon = 1e-12);
        approx::assert_abs_diff_eq!(row[6], -1.17 / BOHR_ANGSTROM, epsilon = 1e-12);
        let bent = CHAIN.replace("\"fixed\", value = 0 }", "\"normal\", mean = 0, sd = 5 }");
        let bends: Vec<f64> = (0..4_000)
            .map(|seed| {
                let row = draw(&elements, &bent, seed);
                row[7].hypot(row[8]).atan2(-row[6]).to_degrees()
            })
            .collect();
        // Rayleigh: mean sd sqrt(pi / 2) = 6.267, standard deviation 0.655 sd; five standard errors.
        let mean = bends.iter().sum::<f64>() / 4_000.0;
        assert!((mean - 5.0 * (0.5 * std::f64::consts::PI).sqrt()).abs() < 0.26, "{mean}");
    }

    #[test]
    fn internal_laws_name_the_coordinate() {
        let message = |text: String| resolve(&["N", "C", "H"], &text).unwrap_err().to_string();
        let wide = CHAIN.replace("\"fixed\", value = 0 }", "\"uniform\", low = -5, high = 5 }");
        assert!(message(wide).contains("`H-C-N` is 180.0 degrees in the reference, in line"));
        let none = CHAIN.replace("angle_changes_deg", "dihedral_changes_deg");
        let none = message(none);
        assert!(
            none.contains("`geometry.angle_changes_deg` is missing, and `H-C-N` has"),
            "{none}"
        );
        let law = "{ distribution = \"fixed\", value = 1 }";
        let unknown = message(format!("{CHAIN}\nlengths_angstrom = {{ H-N = {law} }}"));
        assert!(
            unknown.contains("no such coordinate as `H-N`\nhint: it has N-C, H-C"),
            "{unknown}"
        );
        let twice = message(format!("{CHAIN}\nlengths_angstrom = {{ C-H = {law}, H-C = {law} }}"));
        assert!(twice.contains("`geometry.lengths_angstrom`: `H-C` has a law already"), "{twice}");
        let file =
            CHAIN.replace("{ N = [1.16, 0, 0], C = [0, 0, 0], H = [-1.07, 0, 0] }", "\"a.xyz\"");
        assert!(message(file).contains("the file `a.xyz` has not been read"));
    }
}
