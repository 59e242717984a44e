//! The law `triatomic`: two bonds from a central atom and the angle between them.

use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::ImpossibleGeometry;
use super::row::place;
use crate::distribution::Distribution;
use crate::error::SimulationConfigError;
use crate::molecule::Molecule;
use crate::units::BOHR_ANGSTROM;

/// A bond from the central atom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bond {
    /// Label of the outer atom.
    pub atom: String,
    /// Bond length, before the common stretch.
    pub length_angstrom: Distribution,
}

/// The law, checked, its atoms found.
#[derive(Debug, Clone)]
pub(crate) struct Triatomic {
    pub(crate) centre: usize,
    pub(crate) outer: [usize; 2],
    pub(crate) lengths_angstrom: [Distribution; 2],
    pub(crate) angle: Angle,
    pub(crate) common_stretch: Option<Distribution>,
}

/// How the bond angle is given, in degrees.
#[derive(Debug, Clone)]
pub(crate) enum Angle {
    Between(Distribution),
    Bend(Distribution),
}

impl Triatomic {
    pub(super) fn resolve(
        molecule: &Molecule,
        centre: &str,
        bonds: &[Bond; 2],
        [angle_deg, bend_deg]: [Option<&Distribution>; 2],
        common_stretch: Option<&Distribution>,
    ) -> Result<Self, SimulationConfigError> {
        let found = molecule.atom_count();
        if found != 3 {
            return Err(SimulationConfigError::AtomCount { law: "triatomic", needed: 3, found });
        }
        let centre = molecule.require_index("geometry.centre", centre)?;
        let outer = outer_atoms(molecule, centre, bonds)?;
        for (place, bond) in bonds.iter().enumerate() {
            bond.length_angstrom.check(&format!("geometry.bonds[{place}].length_angstrom"))?;
        }
        if let Some(stretch) = common_stretch {
            stretch.check("geometry.common_stretch")?;
        }
        Ok(Self {
            centre,
            outer,
            lengths_angstrom: bonds.clone().map(|bond| bond.length_angstrom),
            angle: Angle::new(angle_deg, bend_deg)?,
            common_stretch: common_stretch.cloned(),
        })
    }

    /// Draws one geometry into `positions` (3N numbers, bohr).
    pub(super) fn draw(
        &self,
        rng: &mut impl Rng,
        positions: &mut [f64],
    ) -> Result<(), ImpossibleGeometry> {
        let Self { centre, outer, lengths_angstrom, angle, common_stretch } = self;
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
