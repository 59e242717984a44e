//! Geometry laws: the distributions that a molecule's shape just before the explosion is drawn from.

use std::collections::BTreeMap;

use rand::{Rng, RngExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detector::{add_noise, by_atom};
use crate::distribution::{Distribution, MAX_REDRAWS};
use crate::error::{SimulationConfigError, require};
use crate::molecule::Molecule;
use crate::units::BOHR_ANGSTROM;
use crate::vector::{Vector, difference, dot, norm, of_atom};

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
        /// Equilibrium position `[x, y, z]` of every atom.
        positions_angstrom: BTreeMap<String, [f64; 3]>,
        /// Standard deviation of the displacement along each axis, for every atom.
        #[schemars(extend("allowed" = "at least 0"))]
        displacement_angstrom: BTreeMap<String, f64>,
    },
    /// The same geometry for every event.
    Fixed {
        /// Position `[x, y, z]` of every atom.
        positions_angstrom: BTreeMap<String, [f64; 3]>,
    },
}

/// A bond from the central atom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bond {
    /// Label of the outer atom.
    pub atom: String,
    /// Bond length, before the common stretch.
    pub length_angstrom: Distribution,
}

/// A condition of the geometry law was not met in 100,000 draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "no geometry fulfilled `{key}` in {MAX_REDRAWS} draws\nhint: the law asks for what (almost) never happens"
)]
pub struct ImpossibleGeometry {
    /// The key of the condition.
    pub key: &'static str,
}

/// A [`GeometryLaw`] that is checked and whose atoms are found.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "a simulation holds one law")]
pub(crate) enum ResolvedLaw {
    Triatomic {
        centre: usize,
        outer: [usize; 2],
        lengths_angstrom: [Distribution; 2],
        angle: Angle,
        common_stretch: Option<Distribution>,
    },
    Sphere {
        radius_bohr: f64,
        minimum_separation_bohr: f64,
        origin: Option<usize>,
    },
    Gaussian {
        positions_bohr: Vec<f64>,
        deviations_bohr: Vec<f64>,
    },
}

/// How the bond angle is given, in degrees.
#[derive(Debug, Clone)]
pub(crate) enum Angle {
    Between(Distribution),
    Bend(Distribution),
}

impl GeometryLaw {
    pub(crate) fn resolve(
        &self,
        molecule: &Molecule,
    ) -> Result<ResolvedLaw, SimulationConfigError> {
        match self {
            Self::Triatomic { centre, bonds, angle_deg, bend_deg, common_stretch } => {
                let found = molecule.atom_count();
                if found != 3 {
                    return Err(SimulationConfigError::AtomCount {
                        law: "triatomic",
                        needed: 3,
                        found,
                    });
                }
                let centre = molecule.require_index("geometry.centre", centre)?;
                let outer = outer_atoms(molecule, centre, bonds)?;
                for (place, bond) in bonds.iter().enumerate() {
                    bond.length_angstrom
                        .check(&format!("geometry.bonds[{place}].length_angstrom"))?;
                }
                if let Some(stretch) = common_stretch {
                    stretch.check("geometry.common_stretch")?;
                }
                Ok(ResolvedLaw::Triatomic {
                    centre,
                    outer,
                    lengths_angstrom: bonds.clone().map(|bond| bond.length_angstrom),
                    angle: Angle::new(angle_deg.as_ref(), bend_deg.as_ref())?,
                    common_stretch: common_stretch.clone(),
                })
            }
            Self::Sphere { radius_bohr, minimum_separation_bohr, origin } => {
                require("geometry.radius_bohr", *radius_bohr, "above 0", |value| value > 0.0)?;
                require(
                    "geometry.minimum_separation_bohr",
                    *minimum_separation_bohr,
                    "at least 0 and below the sphere's diameter",
                    |value| (0.0..2.0 * radius_bohr).contains(&value),
                )?;
                let index = |label: &String| molecule.require_index("geometry.origin", label);
                Ok(ResolvedLaw::Sphere {
                    radius_bohr: *radius_bohr,
                    minimum_separation_bohr: *minimum_separation_bohr,
                    origin: origin.as_ref().map(index).transpose()?,
                })
            }
            Self::Gaussian { positions_angstrom, displacement_angstrom } => {
                let key = "geometry.displacement_angstrom";
                let deviations = by_atom(molecule, key, displacement_angstrom)?;
                for sd in &deviations {
                    require(key, *sd, "at least 0", |sd| sd >= 0.0)?;
                }
                Ok(ResolvedLaw::Gaussian {
                    positions_bohr: positions_bohr(molecule, positions_angstrom)?,
                    deviations_bohr: deviations
                        .iter()
                        .flat_map(|sd| [sd / BOHR_ANGSTROM; 3])
                        .collect(),
                })
            }
            Self::Fixed { positions_angstrom } => Ok(ResolvedLaw::Gaussian {
                positions_bohr: positions_bohr(molecule, positions_angstrom)?,
                deviations_bohr: vec![0.0; 3 * molecule.atom_count()],
            }),
        }
    }
}

impl Angle {
    fn new(
        angle_deg: Option<&Distribution>,
        bend_deg: Option<&Distribution>,
    ) -> Result<Self, SimulationConfigError> {
        match (angle_deg, bend_deg) {
            (Some(angle), None) => {
                angle.check("geometry.angle_deg")?;
                Ok(Self::Between(angle.clone()))
            }
            (None, Some(bend)) => {
                bend.check("geometry.bend_deg")?;
                Ok(Self::Bend(bend.clone()))
            }
            (first, _) => Err(SimulationConfigError::ExactlyOne {
                first: "geometry.angle_deg",
                second: "geometry.bend_deg",
                found: if first.is_some() { 2 } else { 0 },
            }),
        }
    }

    fn draw_degrees(&self, rng: &mut impl Rng) -> Result<f64, ImpossibleGeometry> {
        let possible = |degrees: f64| (0.0..=180.0).contains(&degrees);
        match self {
            Self::Between(angle) => angle
                .draw_where(rng, possible)
                .ok_or(ImpossibleGeometry { key: "geometry.angle_deg" }),
            Self::Bend(bend) => bend
                .draw_where(rng, possible)
                .map(|degrees| 180.0 - degrees)
                .ok_or(ImpossibleGeometry { key: "geometry.bend_deg" }),
        }
    }
}

impl ResolvedLaw {
    /// Draws one geometry into `positions` (3N numbers, bohr).
    pub(crate) fn draw(
        &self,
        rng: &mut impl Rng,
        positions: &mut [f64],
    ) -> Result<(), ImpossibleGeometry> {
        match self {
            Self::Triatomic { centre, outer, lengths_angstrom, angle, common_stretch } => {
                let stretch = match common_stretch {
                    None => 1.0,
                    Some(stretch) => stretch
                        .draw_where(rng, |factor| factor > 0.0)
                        .ok_or(ImpossibleGeometry { key: "geometry.common_stretch" })?,
                };
                let mut lengths_bohr = [0.0; 2];
                for (length, distribution) in lengths_bohr.iter_mut().zip(lengths_angstrom) {
                    let angstrom = distribution
                        .draw_where(rng, |length| length > 0.0)
                        .ok_or(ImpossibleGeometry { key: "geometry.bonds" })?;
                    *length = stretch * angstrom / BOHR_ANGSTROM;
                }
                let (sin, cos) = angle.draw_degrees(rng)?.to_radians().sin_cos();
                let [first, second] = lengths_bohr;
                place(positions, *centre, [0.0; 3]);
                place(positions, outer[0], [first, 0.0, 0.0]);
                place(positions, outer[1], [second * cos, second * sin, 0.0]);
                Ok(())
            }
            Self::Sphere { radius_bohr, minimum_separation_bohr, origin } => {
                draw_separated(rng, *radius_bohr, *minimum_separation_bohr, positions)?;
                if let Some(atom) = origin {
                    translate(positions, of_atom(positions, *atom).map(|c| -c));
                    place(positions, *atom, [0.0; 3]);
                }
                Ok(())
            }
            Self::Gaussian { positions_bohr, deviations_bohr } => {
                positions.copy_from_slice(positions_bohr);
                add_noise(rng, deviations_bohr, positions);
                Ok(())
            }
        }
    }
}

/// Moves every atom of a row by `shift`.
pub(crate) fn translate(row: &mut [f64], shift: Vector) {
    for atom in row.chunks_exact_mut(3) {
        for (coordinate, step) in atom.iter_mut().zip(shift) {
            *coordinate += step;
        }
    }
}

fn place(positions: &mut [f64], atom: usize, vector: Vector) {
    positions[3 * atom..3 * atom + 3].copy_from_slice(&vector);
}

fn outer_atoms(
    molecule: &Molecule,
    centre: usize,
    bonds: &[Bond; 2],
) -> Result<[usize; 2], SimulationConfigError> {
    let index = |place: usize| {
        molecule.require_index(&format!("geometry.bonds[{place}].atom"), &bonds[place].atom)
    };
    let outer = [index(0)?, index(1)?];
    let repeated = if outer[0] == centre {
        0
    } else if outer[1] == centre || outer[1] == outer[0] {
        1
    } else {
        return Ok(outer);
    };
    let key = format!("geometry.bonds[{repeated}].atom");
    Err(SimulationConfigError::RepeatedAtom { key, label: bonds[repeated].atom.clone() })
}

fn positions_bohr(
    molecule: &Molecule,
    table: &BTreeMap<String, [f64; 3]>,
) -> Result<Vec<f64>, SimulationConfigError> {
    let key = "geometry.positions_angstrom";
    let positions = by_atom(molecule, key, table)?.concat();
    for coordinate in &positions {
        require(key, *coordinate, "finite", |_| true)?;
    }
    Ok(positions.into_iter().map(|coordinate| coordinate / BOHR_ANGSTROM).collect())
}

/// Draws atoms uniformly in a sphere about the origin until no two are closer than `separation`.
fn draw_separated(
    rng: &mut impl Rng,
    radius: f64,
    separation: f64,
    positions: &mut [f64],
) -> Result<(), ImpossibleGeometry> {
    for _ in 0..MAX_REDRAWS {
        for atom in positions.chunks_exact_mut(3) {
            atom.copy_from_slice(&point_in_unit_ball(rng).map(|c| radius * c));
        }
        if is_separated(positions, separation) {
            return Ok(());
        }
    }
    Err(ImpossibleGeometry { key: "geometry.minimum_separation_bohr" })
}

/// Uniform in the ball of radius 1; a point of the cube is inside with probability pi / 6.
pub(crate) fn point_in_unit_ball(rng: &mut impl Rng) -> Vector {
    loop {
        let point = [0; 3].map(|_| 2.0 * rng.random::<f64>() - 1.0);
        if dot(point, point) <= 1.0 {
            return point;
        }
    }
}

pub(crate) fn is_separated(positions: &[f64], separation: f64) -> bool {
    let atoms = positions.len() / 3;
    (0..atoms).all(|i| {
        (0..i).all(|j| norm(difference(of_atom(positions, i), of_atom(positions, j))) >= separation)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::molecule::AtomSpec;
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
        law.draw(&mut ChaCha8Rng::seed_from_u64(seed), &mut positions).unwrap();
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
    fn points_fill_the_ball_uniformly() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let points: Vec<Vector> = (0..20_000).map(|_| point_in_unit_ball(&mut rng)).collect();
        // Mean of r^2 is 3/5 with standard error sqrt(12/175 / n) = 0.00185; half the volume lies within
        // 0.5^(1/3), standard error 0.0035. Five standard errors, fixed seed.
        let mean_square = points.iter().map(|p| dot(*p, *p)).sum::<f64>() / 20_000.0;
        assert!((mean_square - 0.6).abs() < 0.0093, "{mean_square}");
        let inner = points.iter().filter(|p| norm(**p) < 0.5_f64.cbrt()).count() as f64 / 20_000.0;
        assert!((inner - 0.5).abs() < 0.0177, "{inner}");
        let mean_x = points.iter().map(|p| p[0]).sum::<f64>() / 20_000.0;
        assert!(mean_x.abs() < 5.0 * (0.2_f64 / 20_000.0).sqrt(), "{mean_x}");
    }

    #[test]
    fn an_impossible_sphere_is_given_up() {
        // Four points of a ball of radius 1 cannot all be 1.9 apart: a regular tetrahedron has side 1.63.
        let law = resolve(
            &["H", "O", "D", "F"],
            "law = \"sphere\"\nradius_bohr = 1\nminimum_separation_bohr = 1.9",
        );
        let result = law.unwrap().draw(&mut ChaCha8Rng::seed_from_u64(0), &mut [0.0; 12]);
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
}
