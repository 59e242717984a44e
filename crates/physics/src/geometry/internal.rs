//! The law `internal`: bond lengths, angles and dihedrals about a reference, for any molecule.

use std::collections::BTreeMap;

use rand::{Rng, RngExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::ImpossibleGeometry;
use super::placing::{Internal, Placement};
use super::positions::{KEY, Positions};
use super::row::place;
use super::tree::{Neighbours, atoms_of, grown, name, named};
use crate::distribution::Distribution;
use crate::error::{SimulationConfigError, require};
use crate::molecule::Molecule;
use crate::units::BOHR_ANGSTROM;
use crate::vector::{difference, norm, of_atom};

/// Dihedrals whose law is wider than this many turns.
const MOST_TURNS: f64 = 100.0;

/// Bond lengths, angles and dihedrals, each with its own distribution, about a reference: any molecule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InternalLaw {
    /// The reference: position `[x, y, z]` of every atom, or the name of an XYZ file.
    pub positions_angstrom: Positions,
    /// How each atom is placed: the names of its last coordinates, for example `["O", "H1-O", "H2-O-H1"]`; the third
    /// atom by length and angle, further ones by length, angle and dihedral. By default made from the reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<Vec<String>>,
    /// What is added to each bond length of the reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length_changes_angstrom: Option<Distribution>,
    /// What is added to each angle of the reference; for one of 180 degrees, each of its two bends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub angle_changes_deg: Option<Distribution>,
    /// What is added to each dihedral of the reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dihedral_changes_deg: Option<Distribution>,
    /// Bond lengths with laws of their own, by name (`C-O`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lengths_angstrom: BTreeMap<String, Distribution>,
    /// Angles with laws of their own, by name (`O-C-S`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub angles_deg: BTreeMap<String, Distribution>,
    /// 180 degrees minus angles with laws of their own, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bends_deg: BTreeMap<String, Distribution>,
    /// Dihedrals with laws of their own, by name (`H1-O1-O2-H2`); 0 is cis.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dihedrals_deg: BTreeMap<String, Distribution>,
    /// Whether half of the geometries are mirrored: both enantiomers of a chiral molecule.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("default" = false))]
    pub mirror_images: bool,
}

/// The law, checked, its atoms found; in the order in which atoms are placed.
#[derive(Debug, Clone)]
pub(crate) struct InternalCoordinates {
    pub(crate) steps: Vec<Step>,
    pub(crate) mirror_images: bool,
    /// What the reference is taken for, in words.
    pub(crate) remarks: Vec<String>,
}

/// How one atom is placed.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) placement: Placement,
    /// Of all but the first atom.
    pub(crate) length_angstrom: Option<About>,
    /// Of all but the first two atoms.
    pub(crate) angle: Option<AngleLaw>,
    /// Of all but the first three atoms.
    pub(crate) dihedral: Option<DihedralLaw>,
}

/// A distribution of what is added to a value.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) value: f64,
    pub(crate) change: Distribution,
}

/// The law of an angle in degrees.
#[derive(Debug, Clone)]
pub(crate) enum AngleLaw {
    Between(About),
    /// 180 degrees minus the angle.
    Bend(Distribution),
}

/// The law of a dihedral in degrees.
#[derive(Debug, Clone)]
pub(crate) enum DihedralLaw {
    About(About),
    /// Uniform over the whole circle.
    Free,
}

impl About {
    /// A distribution of the value itself.
    fn zero(law: &Distribution) -> Self {
        Self { value: 0.0, change: law.clone() }
    }

    pub(crate) fn density(&self, x: f64) -> f64 {
        self.change.density(x - self.value)
    }

    pub(crate) fn probability(&self, low: f64, high: f64) -> f64 {
        self.change.probability(low - self.value, high - self.value)
    }

    /// The interval outside which nothing is drawn.
    pub(crate) fn range(&self) -> (f64, f64) {
        let (low, high) = self.change.range();
        (self.value + low, self.value + high)
    }

    fn draw_where(&self, rng: &mut impl Rng, wanted: impl Fn(f64) -> bool) -> Option<f64> {
        let value = self.change.draw_where(rng, |change| wanted(self.value + change))?;
        Some(self.value + value)
    }
}

impl InternalLaw {
    /// Writes the tree out, where it is to be made from the reference.
    pub(super) fn settle(&mut self, molecule: &Molecule) -> Result<(), SimulationConfigError> {
        if self.tree.is_none() {
            let (reference, tree) = self.placements(molecule)?;
            self.resolved(molecule, &reference, &tree)?;
            self.tree = Some(tree.iter().map(|p| name(molecule, &p.chain(4))).collect());
        }
        Ok(())
    }

    pub(super) fn resolve(
        &self,
        molecule: &Molecule,
    ) -> Result<InternalCoordinates, SimulationConfigError> {
        let (reference, tree) = self.placements(molecule)?;
        self.resolved(molecule, &reference, &tree)
    }

    /// The reference (3N, bohr) and the tree.
    fn placements(
        &self,
        molecule: &Molecule,
    ) -> Result<(Vec<f64>, Vec<Placement>), SimulationConfigError> {
        let reference = self.positions_angstrom.bohr(molecule)?;
        for b in 0..molecule.atom_count() {
            for a in 0..b {
                let apart = difference(of_atom(&reference, a), of_atom(&reference, b));
                if norm(apart) == 0.0 {
                    let [first, second] = [a, b].map(|atom| molecule.labels()[atom].clone());
                    return Err(SimulationConfigError::SamePlace { key: KEY, first, second });
                }
            }
        }
        let tree = match &self.tree {
            Some(entries) => named(molecule, entries)?,
            None => grown(molecule, &reference, &Neighbours::of(molecule, &reference)),
        };
        Ok((reference, tree))
    }

    fn resolved(
        &self,
        molecule: &Molecule,
        reference: &[f64],
        tree: &[Placement],
    ) -> Result<InternalCoordinates, SimulationConfigError> {
        let named = NamedLaws::new(self, molecule, tree)?;
        let step = |placement: &Placement| {
            let there = placement.internal(reference);
            let chain = |atoms: usize| name(molecule, &placement.chain(atoms));
            let of = placement.by.len();
            Ok(Step {
                length_angstrom: (of > 0)
                    .then(|| {
                        self.length(&named, placement, there.length * BOHR_ANGSTROM, &chain(2))
                    })
                    .transpose()?,
                angle: (of > 1)
                    .then(|| {
                        self.angle(
                            &named,
                            placement,
                            there.angle.to_degrees(),
                            &chain(3),
                            reference,
                        )
                    })
                    .transpose()?,
                dihedral: (of > 2)
                    .then(|| {
                        let degrees = there.dihedral.to_degrees();
                        self.dihedral(&named, placement, degrees, &chain(4), reference)
                    })
                    .transpose()?,
                placement: placement.clone(),
            })
        };
        let steps = tree.iter().map(step).collect::<Result<Vec<Step>, SimulationConfigError>>()?;
        let remarks = remarks(molecule, reference, &steps);
        Ok(InternalCoordinates { steps, mirror_images: self.mirror_images, remarks })
    }

    fn length(
        &self,
        named: &NamedLaws<'_>,
        placement: &Placement,
        value: f64,
        name: &str,
    ) -> Result<About, SimulationConfigError> {
        if let Some(law) = named.lengths.get(&placement.atom) {
            return Ok(About::zero(law));
        }
        let change = required(&self.length_changes_angstrom, LENGTHS, name)?;
        Ok(About { value, change: change.clone() })
    }

    fn angle(
        &self,
        named: &NamedLaws<'_>,
        placement: &Placement,
        value: f64,
        name: &str,
        reference: &[f64],
    ) -> Result<AngleLaw, SimulationConfigError> {
        let own = (named.angles.get(&placement.atom), named.bends.get(&placement.atom));
        match own {
            (Some(law), None) => return Ok(AngleLaw::Between(About::zero(law))),
            (None, Some(law)) => return Ok(AngleLaw::Bend((*law).clone())),
            (Some(_), Some(_)) => {
                return Err(SimulationConfigError::RepeatedCoordinate {
                    key: BENDS.own,
                    name: name.to_owned(),
                });
            }
            (None, None) => {}
        }
        let change = required(&self.angle_changes_deg, ANGLES, name)?;
        if !placement.is_linear(reference) {
            return Ok(AngleLaw::Between(About { value, change: change.clone() }));
        }
        match change {
            // Two normal bends, one at right angles to the other: the length of both is Rayleigh's.
            Distribution::Normal { mean: 0.0, sd } if *sd > 0.0 && value > 90.0 => {
                let scale = sd * std::f64::consts::SQRT_2;
                Ok(AngleLaw::Bend(Distribution::Weibull { shape: 2.0, scale, offset: 0.0 }))
            }
            // None at all.
            _ if change.atoms() == [(0.0, 1.0)] && value > 90.0 => {
                Ok(AngleLaw::Bend(Distribution::Fixed { value: 0.0 }))
            }
            _ => Err(SimulationConfigError::InLine { name: name.to_owned(), degrees: value }),
        }
    }

    fn dihedral(
        &self,
        named: &NamedLaws<'_>,
        placement: &Placement,
        value: f64,
        name: &str,
        reference: &[f64],
    ) -> Result<DihedralLaw, SimulationConfigError> {
        if let Some(law) = named.dihedrals.get(&placement.atom) {
            return Ok(DihedralLaw::About(About::zero(law)));
        }
        if placement.is_free(reference) {
            return Ok(DihedralLaw::Free);
        }
        let change = required(&self.dihedral_changes_deg, DIHEDRALS, name)?;
        Ok(DihedralLaw::About(About { value, change: change.clone() }))
    }
}

/// What the reference is taken for.
fn remarks(molecule: &Molecule, reference: &[f64], steps: &[Step]) -> Vec<String> {
    let near = Neighbours::of(molecule, reference);
    let is_placed = |pair: &&[usize; 2]| {
        let is_pair = |step: &Step| {
            let placed = step.placement.by.first();
            placed.is_some_and(|by| pair.contains(by) && pair.contains(&step.placement.atom))
        };
        steps.iter().any(is_pair)
    };
    let names = |all: Vec<&[usize]>| -> String {
        all.into_iter().map(|atoms| name(molecule, atoms)).collect::<Vec<_>>().join(", ")
    };
    let tree: Vec<String> =
        steps.iter().map(|step| name(molecule, &step.placement.chain(4))).collect();
    let mut said = vec![format!(
        "remark: `geometry` places the atoms by the coordinates `tree = [\"{}\"]`",
        tree.join("\", \"")
    )];
    let links: Vec<&[usize]> = near.links.iter().filter(is_placed).map(|l| &l[..]).collect();
    if !links.is_empty() {
        said.push(format!(
            "remark: `geometry`: no bond connects {}, which are placed by each other because they come nearest",
            names(links)
        ));
    }
    let open: Vec<&[usize]> =
        near.bonds.iter().filter(|bond| !is_placed(bond)).map(|b| &b[..]).collect();
    if !open.is_empty() {
        said.push(format!(
            "remark: `geometry`: bonds of the reference that are no coordinates (a ring's last one follows from the others): {}",
            names(open)
        ));
    }
    let free: Vec<Vec<usize>> = steps
        .iter()
        .filter(|step| matches!(step.dihedral, Some(DihedralLaw::Free)))
        .map(|step| step.placement.chain(4))
        .collect();
    if !free.is_empty() {
        let free = free.iter().map(|chain| &chain[..]).collect();
        said.push(format!(
            "remark: `geometry`: three atoms in line give these dihedrals no value, they are uniform: {}",
            names(free)
        ));
    }
    said
}

/// Keys of coordinates of one kind: of all that have no law of their own, and of single ones.
#[derive(Clone, Copy)]
struct Keys {
    all: &'static str,
    own: &'static str,
    atoms: usize,
}

const LENGTHS: Keys =
    Keys { all: "geometry.length_changes_angstrom", own: "geometry.lengths_angstrom", atoms: 2 };
const ANGLES: Keys =
    Keys { all: "geometry.angle_changes_deg", own: "geometry.angles_deg", atoms: 3 };
const BENDS: Keys = Keys { own: "geometry.bends_deg", ..ANGLES };
const DIHEDRALS: Keys =
    Keys { all: "geometry.dihedral_changes_deg", own: "geometry.dihedrals_deg", atoms: 4 };

fn required<'a>(
    law: &'a Option<Distribution>,
    Keys { all, own, .. }: Keys,
    name: &str,
) -> Result<&'a Distribution, SimulationConfigError> {
    let missing = || SimulationConfigError::NoLaw { key: all, name: name.to_owned(), own };
    law.as_ref().ok_or_else(missing)
}

/// Laws of single coordinates by the atom that they place, all laws checked.
struct NamedLaws<'a> {
    lengths: BTreeMap<usize, &'a Distribution>,
    angles: BTreeMap<usize, &'a Distribution>,
    bends: BTreeMap<usize, &'a Distribution>,
    dihedrals: BTreeMap<usize, &'a Distribution>,
}

impl<'a> NamedLaws<'a> {
    fn new(
        law: &'a InternalLaw,
        molecule: &Molecule,
        tree: &[Placement],
    ) -> Result<Self, SimulationConfigError> {
        let kinds = [
            (LENGTHS, &law.length_changes_angstrom),
            (ANGLES, &law.angle_changes_deg),
            (DIHEDRALS, &law.dihedral_changes_deg),
        ];
        for (keys, all) in kinds {
            if let Some(all) = all {
                all.check(keys.all)?;
            }
        }
        if let Some(all) = &law.dihedral_changes_deg {
            check_turns(DIHEDRALS.all, all)?;
        }
        for (name, own) in &law.dihedrals_deg {
            check_turns(&format!("{}.{name}", DIHEDRALS.own), own)?;
        }
        let of = |keys, table| by_placed_atom(molecule, tree, keys, table);
        Ok(Self {
            lengths: of(LENGTHS, &law.lengths_angstrom)?,
            angles: of(ANGLES, &law.angles_deg)?,
            bends: of(BENDS, &law.bends_deg)?,
            dihedrals: of(DIHEDRALS, &law.dihedrals_deg)?,
        })
    }
}

fn by_placed_atom<'a>(
    molecule: &Molecule,
    tree: &[Placement],
    keys: Keys,
    table: &'a BTreeMap<String, Distribution>,
) -> Result<BTreeMap<usize, &'a Distribution>, SimulationConfigError> {
    let mut found = BTreeMap::new();
    let of_kind: Vec<Vec<usize>> = tree
        .iter()
        .map(|p| p.chain(keys.atoms))
        .filter(|chain| chain.len() == keys.atoms)
        .collect();
    for (given, law) in table {
        law.check(&format!("{}.{given}", keys.own))?;
        let mut atoms = atoms_of(molecule, keys.own, given)?;
        if !of_kind.contains(&atoms) {
            atoms.reverse();
        }
        if !of_kind.contains(&atoms) {
            return Err(SimulationConfigError::UnknownCoordinate {
                key: keys.own,
                name: given.clone(),
                known: of_kind.iter().map(|chain| name(molecule, chain)).collect(),
            });
        }
        if found.insert(atoms[0], law).is_some() {
            let name = given.clone();
            return Err(SimulationConfigError::RepeatedCoordinate { key: keys.own, name });
        }
    }
    Ok(found)
}

/// The density of a dihedral is a sum over turns.
fn check_turns(key: &str, law: &Distribution) -> Result<(), SimulationConfigError> {
    let (low, high) = law.extent();
    require(key, (high - low) / 360.0, "a dihedral within 100 turns", |turns| turns <= MOST_TURNS)
}

impl InternalCoordinates {
    /// Draws one geometry into `positions` (3N numbers, bohr).
    pub(super) fn draw(
        &self,
        rng: &mut impl Rng,
        positions: &mut [f64],
    ) -> Result<(), ImpossibleGeometry> {
        let mut values = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            values.push(step.draw(rng)?);
        }
        let sign = if self.mirror_images && rng.random::<bool>() { -1.0 } else { 1.0 };
        for (step, value) in self.steps.iter().zip(&values) {
            let value = Internal { dihedral: sign * value.dihedral, ..*value };
            let position = step.placement.position(positions, &value);
            place(positions, step.placement.atom, position);
        }
        Ok(())
    }
}

impl Step {
    fn draw(&self, rng: &mut impl Rng) -> Result<Internal, ImpossibleGeometry> {
        let impossible = |key| move || ImpossibleGeometry { key };
        let mut drawn = Internal::default();
        if let Some(law) = &self.length_angstrom {
            let length = law.draw_where(rng, |length| length > 0.0);
            drawn.length =
                length.ok_or_else(impossible("geometry.lengths_angstrom"))? / BOHR_ANGSTROM;
        }
        if let Some(law) = &self.angle {
            let possible = |degrees: f64| (0.0..=180.0).contains(&degrees);
            let degrees = match law {
                AngleLaw::Between(law) => law.draw_where(rng, possible),
                AngleLaw::Bend(law) => law.draw_where(rng, possible).map(|bend| 180.0 - bend),
            };
            drawn.angle = degrees.ok_or_else(impossible("geometry.angles_deg"))?.to_radians();
        }
        if let Some(law) = &self.dihedral {
            let degrees = match law {
                DihedralLaw::About(law) => law.draw_where(rng, |_| true),
                DihedralLaw::Free => Some(360.0 * rng.random::<f64>() - 180.0),
            };
            drawn.dihedral = degrees.ok_or_else(impossible("geometry.dihedrals_deg"))?.to_radians();
        }
        Ok(drawn)
    }
}
