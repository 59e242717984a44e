//! Normal modes as a configuration gives them, checked and brought to orthonormal mass-weighted vectors.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::ModesError;
use crate::detector::by_atom;
use crate::error::{SimulationConfigError, require};
use crate::molecule::Molecule;
use crate::symmetric::eigen;
use crate::units::HARTREE_CM1;
use crate::vector::{Vector, cross, dot, of_atom};

/// Overlaps of unit vectors up to which modes are taken for orthogonal: displacements printed with two decimals, and
/// mean masses in the place of those of isotopes, stay below.
const TOLERANCE: f64 = 0.05;
/// Overlaps beyond which something is said.
const WORTH_A_REMARK: f64 = 2e-3;
/// The share of a mode in translations and rotations from which on it is one.
const RIGID_SHARE: f64 = 0.9;
/// Translations and rotations are slower, whatever a program prints for them.
const FASTEST_RIGID_CM1: f64 = 200.0;
/// The slowest vibration that is drawn.
const SLOWEST_CM1: f64 = 1.0;
/// A reference whose least moment of inertia is a smaller part of the largest is linear.
const LINEAR: f64 = 1e-4;

const OTHER_WEIGHTS: &str =
    "as mass-weighted vectors they would be orthogonal: `geometry.mass_weighted = true`";
const NO_WEIGHTS: &str =
    "as displacements without weights they would be orthogonal: `geometry.mass_weighted = false`";
const OTHER_MASSES: &str = "are the masses those of the computation (`molecule.isotopes`, `mass_u`), the positions in the orientation of the vectors, and the atoms in their order?";

/// A normal mode: a frequency, and how far each atom moves.
///
/// ```toml
/// [geometry]
/// law = "harmonic"
/// positions_angstrom = { C = [0.0, 0.0, 0.0], O = [0.0, 0.0, -1.1578], S = [0.0, 0.0, 1.5601] }
///
/// [[geometry.modes]]
/// frequency_cm1 = 2062.0
/// displacements = { C = [0.0, 0.0, 0.8567], O = [0.0, 0.0, -0.5115], S = [0.0, 0.0, -0.0656] }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NormalMode {
    /// Frequency as a wavenumber; negative for an imaginary one.
    pub frequency_cm1: f64,
    /// Displacement `[x, y, z]` of every atom, of any length in all: the vector is normalised.
    pub displacements: BTreeMap<String, [f64; 3]>,
}

/// What becomes of modes with imaginary frequencies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Imaginary {
    /// They are an error.
    #[default]
    Refuse,
    /// They are left out: nothing moves along them.
    LeaveOut,
}

/// Modes as they are given.
pub(crate) struct ModesSpec<'a> {
    pub positions_bohr: &'a [f64],
    pub modes: &'a [NormalMode],
    pub mass_weighted: bool,
    pub imaginary: Imaginary,
}

/// Checked normal modes.
#[derive(Debug, Clone)]
pub(crate) struct NormalModes {
    /// Reference positions about the centre of mass, bohr.
    pub reference: Vec<f64>,
    /// Root of the mass of each coordinate.
    pub roots: Vec<f64>,
    /// Direction of a linear reference.
    pub axis: Option<Vector>,
    /// Orthonormal mass-weighted vectors of the vibrations.
    pub vectors: Vec<Vec<f64>>,
    /// Frequencies of the vibrations, hartree.
    pub frequencies: Vec<f64>,
    /// Vibrations that the molecule has.
    pub all_vibrations: usize,
    /// What was left out or changed, in words.
    pub remarks: Vec<String>,
}

impl NormalModes {
    pub(crate) fn new(
        molecule: &Molecule,
        spec: &ModesSpec<'_>,
    ) -> Result<Self, SimulationConfigError> {
        if spec.modes.is_empty() {
            return Err(ModesError::Missing.into());
        }
        let roots: Vec<f64> = molecule.masses().iter().flat_map(|mass| [mass.sqrt(); 3]).collect();
        let centre = molecule.centre_of_mass(spec.positions_bohr);
        let reference: Vec<f64> =
            spec.positions_bohr.iter().enumerate().map(|(c, x)| x - centre[c % 3]).collect();
        let (rigid, axis) = rigid_motions(&reference, &roots);
        let mut kept = Kept::default();
        for (place, mode) in spec.modes.iter().enumerate() {
            let key = format!("geometry.modes[{place}].displacements");
            let displacements = by_atom(molecule, &key, &mode.displacements)?.concat();
            for displacement in &displacements {
                require(key.as_str(), *displacement, "finite", |_| true)?;
            }
            let frequency_key = format!("geometry.modes[{place}].frequency_cm1");
            require(frequency_key, mode.frequency_cm1, "finite", |_| true)?;
            kept.sort(place, mode.frequency_cm1, displacements, spec, &roots, &rigid)?;
        }
        let all_vibrations = roots.len() - rigid.len();
        if kept.modes.is_empty() {
            return Err(ModesError::NoVibration { found: spec.modes.len() }.into());
        }
        if kept.modes.len() > all_vibrations {
            return Err(
                ModesError::TooMany { found: kept.modes.len(), most: all_vibrations }.into()
            );
        }
        let overlap = kept.check(spec.mass_weighted, &roots, &rigid)?;
        let remarks = kept.remarks(all_vibrations, overlap);
        let mut vectors: Vec<Vec<f64>> =
            kept.modes.iter().map(|mode| weighted(mode, spec.mass_weighted, &roots)).collect();
        orthonormalise(&mut vectors, &rigid);
        let frequencies = kept.modes.iter().map(|mode| mode.frequency_cm1 / HARTREE_CM1).collect();
        Ok(Self { reference, roots, axis, vectors, frequencies, all_vibrations, remarks })
    }
}

/// A vibration as given.
struct Given {
    place: usize,
    frequency_cm1: f64,
    displacements: Vec<f64>,
}

/// Modes on their way through the checks.
#[derive(Default)]
struct Kept {
    modes: Vec<Given>,
    rigid: usize,
    imaginary: usize,
}

impl Kept {
    /// Puts a mode to the vibrations, or leaves it out.
    fn sort(
        &mut self,
        place: usize,
        frequency_cm1: f64,
        displacements: Vec<f64>,
        spec: &ModesSpec<'_>,
        roots: &[f64],
        rigid: &[Vec<f64>],
    ) -> Result<(), ModesError> {
        let slow = frequency_cm1.abs() < FASTEST_RIGID_CM1;
        if displacements.iter().all(|x| *x == 0.0) {
            // As programs write translations that they have projected out.
            if frequency_cm1.abs() >= SLOWEST_CM1 {
                return Err(ModesError::Still { mode: place, frequency: frequency_cm1 });
            }
            self.rigid += 1;
            return Ok(());
        }
        let mode = Given { place, frequency_cm1, displacements };
        let share = rigid_part(&weighted(&mode, spec.mass_weighted, roots), rigid).powi(2);
        if share > RIGID_SHARE && slow {
            self.rigid += 1;
        } else if frequency_cm1 < 0.0 {
            if spec.imaginary == Imaginary::Refuse {
                return Err(ModesError::Imaginary { mode: place, frequency: frequency_cm1 });
            }
            self.imaginary += 1;
        } else if frequency_cm1 < SLOWEST_CM1 {
            return Err(ModesError::Slow { mode: place, frequency: frequency_cm1 });
        } else {
            self.modes.push(mode);
        }
        Ok(())
    }

    /// The largest overlap of vectors that shall be orthogonal, if it is small.
    fn check(
        &self,
        mass_weighted: bool,
        roots: &[f64],
        rigid: &[Vec<f64>],
    ) -> Result<f64, ModesError> {
        let (moved, mixed) = self.overlaps(mass_weighted, roots, rigid);
        let largest = moved.1.max(mixed.1);
        if largest <= TOLERANCE {
            return Ok(largest);
        }
        let (other_moved, other_mixed) = self.overlaps(!mass_weighted, roots, rigid);
        let hint = match (other_moved.1.max(other_mixed.1) <= TOLERANCE, mass_weighted) {
            (true, false) => OTHER_WEIGHTS,
            (true, true) => NO_WEIGHTS,
            (false, _) => OTHER_MASSES,
        };
        let (mode, part) = moved;
        if part > TOLERANCE {
            let Given { place, frequency_cm1, .. } = self.modes[mode];
            let percent = 100.0 * part;
            return Err(ModesError::Moves { mode: place, frequency: frequency_cm1, percent, hint });
        }
        let ([first, second], overlap) = mixed;
        let [first, second] = [first, second].map(|mode| self.modes[mode].place);
        Err(ModesError::Mixed { first, second, percent: 100.0 * overlap, hint })
    }

    /// The mode with the largest part in translations and rotations, and the two that overlap most, with how much.
    #[allow(clippy::type_complexity, reason = "two worst cases, each with its places")]
    fn overlaps(
        &self,
        mass_weighted: bool,
        roots: &[f64],
        rigid: &[Vec<f64>],
    ) -> ((usize, f64), ([usize; 2], f64)) {
        let vectors: Vec<Vec<f64>> =
            self.modes.iter().map(|mode| weighted(mode, mass_weighted, roots)).collect();
        let (mut moved, mut mixed) = ((0, 0.0), ([0, 0], 0.0));
        for (place, vector) in vectors.iter().enumerate() {
            let part = rigid_part(vector, rigid);
            if part > moved.1 {
                moved = (place, part);
            }
            for (earlier, other) in vectors[..place].iter().enumerate() {
                let overlap = product(vector, other).abs();
                if overlap > mixed.1 {
                    mixed = ([earlier, place], overlap);
                }
            }
        }
        (moved, mixed)
    }

    fn remarks(&self, all_vibrations: usize, overlap: f64) -> Vec<String> {
        let mut remarks = Vec::new();
        let modes = |count: usize| if count == 1 { "mode" } else { "modes" };
        if self.rigid > 0 {
            remarks.push(format!(
                "remark: {} {} of `geometry` that move or turn the molecule as a whole are left out",
                self.rigid,
                modes(self.rigid)
            ));
        }
        if self.imaginary > 0 {
            remarks.push(format!(
                "remark: {} {} of `geometry` with imaginary frequencies are left out: nothing moves along them",
                self.imaginary,
                modes(self.imaginary)
            ));
        }
        if self.modes.len() + self.imaginary < all_vibrations {
            remarks.push(format!(
                "remark: `geometry` has {} of the molecule's {all_vibrations} vibrations: nothing moves along the others",
                self.modes.len(),
            ));
        }
        if overlap > WORTH_A_REMARK {
            remarks.push(format!(
                "remark: the modes of `geometry` overlap by up to {:.1} % and were made orthogonal; their masses may not be those of `molecule` (`molecule.isotopes`), or their digits are few",
                100.0 * overlap
            ));
        }
        remarks
    }
}

/// The mass-weighted unit vector of a mode.
fn weighted(mode: &Given, mass_weighted: bool, roots: &[f64]) -> Vec<f64> {
    let weight = |root: &f64| if mass_weighted { 1.0 } else { *root };
    let mut vector: Vec<f64> =
        mode.displacements.iter().zip(roots).map(|(d, root)| d * weight(root)).collect();
    normalise(&mut vector);
    vector
}

/// Orthonormal mass-weighted vectors of translations and rotations of a centred molecule, and the direction of a linear
/// one, which has two rotations.
fn rigid_motions(reference: &[f64], roots: &[f64]) -> (Vec<Vec<f64>>, Option<Vector>) {
    let atoms = reference.len() / 3;
    let along = |of_atom: &dyn Fn(usize) -> Vector| -> Vec<f64> {
        let vector = (0..atoms).flat_map(|atom| of_atom(atom).map(|x| x * roots[3 * atom]));
        let mut vector: Vec<f64> = vector.collect();
        normalise(&mut vector);
        vector
    };
    let units = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    let mut rigid: Vec<Vec<f64>> = units.iter().map(|unit| along(&|_| *unit)).collect();
    let (moments, axes) = eigen(inertia(reference, roots));
    let largest = moments.iter().copied().fold(0.0, f64::max);
    let mut linear = None;
    for (moment, axis) in moments.iter().zip(axes) {
        if *moment > LINEAR * largest {
            rigid.push(along(&|atom| cross(axis, of_atom(reference, atom))));
        } else {
            linear = Some(axis);
        }
    }
    (rigid, linear)
}

/// Tensor of inertia of a centred molecule.
pub(crate) fn inertia(positions: &[f64], roots: &[f64]) -> [[f64; 3]; 3] {
    let mut tensor = [[0.0; 3]; 3];
    for (atom, root) in roots.iter().step_by(3).enumerate() {
        let x = of_atom(positions, atom);
        for (a, row) in tensor.iter_mut().enumerate() {
            for (b, entry) in row.iter_mut().enumerate() {
                let diagonal = if a == b { dot(x, x) } else { 0.0 };
                *entry += root * root * (diagonal - x[a] * x[b]);
            }
        }
    }
    tensor
}

/// Length of the part of a unit vector in the span of orthonormal ones.
fn rigid_part(vector: &[f64], rigid: &[Vec<f64>]) -> f64 {
    rigid.iter().map(|motion| product(vector, motion).powi(2)).sum::<f64>().sqrt()
}

/// The nearest orthonormal vectors that are orthogonal to `rigid`, of vectors that nearly are: `U (3 - U^T U) / 2`
/// doubles the digits each time.
fn orthonormalise(vectors: &mut [Vec<f64>], rigid: &[Vec<f64>]) {
    for vector in vectors.iter_mut() {
        for motion in rigid {
            let overlap = product(vector, motion);
            vector.iter_mut().zip(motion).for_each(|(x, m)| *x -= overlap * m);
        }
        normalise(vector);
    }
    for _ in 0..6 {
        let before = vectors.to_vec();
        for (k, vector) in vectors.iter_mut().enumerate() {
            vector.iter_mut().for_each(|x| *x *= 1.5);
            for other in &before {
                let overlap = 0.5 * product(&before[k], other);
                vector.iter_mut().zip(other).for_each(|(x, o)| *x -= overlap * o);
            }
        }
    }
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn normalise(vector: &mut [f64]) {
    let length = product(vector, vector).sqrt();
    vector.iter_mut().for_each(|x| *x /= length);
}
