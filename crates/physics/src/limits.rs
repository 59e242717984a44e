//! The hard limits of a geometry law: bond lengths and angles beyond which it draws nothing.

use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::distribution::Distribution;
use crate::error::SimulationConfigError;
use crate::geometry::{
    Angle, AngleLaw, ImpossibleGeometry, InternalCoordinates, ResolvedLaw, Sphere, Triatomic,
};
use crate::molecule::Molecule;
use crate::simulation::Simulation;
use crate::units::{BOHR_ANGSTROM, BOHR_PM};
use crate::vector::{cross, difference, dot, norm, of_atom};

/// A bond length or an angle that a geometry law limits.
#[derive(Debug, Clone, PartialEq)]
pub struct LimitedQuantity {
    /// Its atoms, for example `C-O` or `O-C-S`.
    pub name: String,
    /// `pm` or `degrees`.
    pub unit: &'static str,
    /// The least value that the law draws; none where nature sets it (0).
    pub lower: Option<f64>,
    /// The greatest value that the law draws; none where there is none, or nature sets it (180 degrees).
    pub upper: Option<f64>,
    atoms: Atoms,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Atoms {
    Pair([usize; 2]),
    /// The vertex in the middle.
    Triple([usize; 3]),
}

impl LimitedQuantity {
    /// Its value, in its unit, for `positions` (3N, bohr).
    pub fn value(&self, positions: &[f64]) -> f64 {
        let between = |a, b| difference(of_atom(positions, a), of_atom(positions, b));
        match self.atoms {
            Atoms::Pair([a, b]) => norm(between(a, b)) * BOHR_PM,
            Atoms::Triple([a, vertex, b]) => {
                let (first, second) = (between(a, vertex), between(b, vertex));
                norm(cross(first, second)).atan2(dot(first, second)).to_degrees()
            }
        }
    }

    fn length(molecule: &Molecule, a: usize, b: usize, (low, high): (f64, f64)) -> Self {
        let labels = molecule.labels();
        let [a, b] = [a.min(b), a.max(b)];
        let per_angstrom = BOHR_PM / BOHR_ANGSTROM;
        Self {
            name: format!("{}-{}", labels[a], labels[b]),
            unit: "pm",
            lower: (low > 0.0).then_some(low * per_angstrom),
            upper: high.is_finite().then_some(high * per_angstrom),
            atoms: Atoms::Pair([a, b]),
        }
    }

    fn angle(
        molecule: &Molecule,
        outer: [usize; 2],
        vertex: usize,
        (low, high): (f64, f64),
    ) -> Self {
        let [a, b] = [outer[0].min(outer[1]), outer[0].max(outer[1])];
        let labels = molecule.labels();
        Self {
            name: format!("{}-{}-{}", labels[a], labels[vertex], labels[b]),
            unit: "degrees",
            lower: (low > 0.0).then_some(low),
            upper: (high < 180.0).then_some(high),
            atoms: Atoms::Triple([a, vertex, b]),
        }
    }
}

/// Bond lengths and angles of a tree; dihedrals go round and have no ends.
fn of_internal(molecule: &Molecule, law: &InternalCoordinates) -> Vec<LimitedQuantity> {
    let mut found = Vec::new();
    for step in &law.steps {
        let (atom, by) = (step.placement.atom, &step.placement.by);
        if let (Some(length), [near, ..]) = (&step.length_angstrom, &by[..]) {
            let (low, high) = length.range();
            found.push(LimitedQuantity::length(molecule, atom, *near, (low.max(0.0), high)));
        }
        if let (Some(angle), [near, second, ..]) = (&step.angle, &by[..]) {
            let range = match angle {
                AngleLaw::Between(angle) => angle.range(),
                AngleLaw::Bend(bend) => {
                    let (low, high) = bend.range();
                    (180.0 - high, 180.0 - low)
                }
            };
            found.push(LimitedQuantity::angle(molecule, [atom, *second], *near, range));
        }
    }
    found
}

impl Simulation {
    /// The quantities that the geometry law limits; empty for a law without limits.
    ///
    /// A sphere limits the distances of atoms from below by its least separation and from above by its diameter.
    ///
    /// # Errors
    /// No geometry law, or one that is wrong.
    ///
    /// ```
    /// use cei_physics::presets::OCS_WIDE;
    /// use cei_physics::{Simulation};
    ///
    /// let ocs: Simulation = toml::from_str(OCS_WIDE.text)?;
    /// let limits = ocs.limited_quantities()?;
    /// let labels: Vec<&str> = limits.iter().map(|limit| limit.name.as_str()).collect();
    /// assert_eq!(labels, ["C-O", "C-S", "O-C-S"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn limited_quantities(&self) -> Result<Vec<LimitedQuantity>, SimulationConfigError> {
        let molecule = &self.molecule;
        let law =
            self.geometry.as_ref().ok_or(SimulationConfigError::NoGeometry)?.resolve(molecule)?;
        let quantities = match law {
            ResolvedLaw::Triatomic(law) => {
                let Triatomic { centre, outer, lengths_angstrom, angle, common_stretch } = law;
                let (least, most) = common_stretch.as_ref().map_or((1.0, 1.0), Distribution::range);
                let lengths = outer.iter().zip(&lengths_angstrom).map(|(atom, length)| {
                    let (low, high) = length.range();
                    let range = (low.max(0.0) * least.max(0.0), high * most);
                    LimitedQuantity::length(molecule, centre, *atom, range)
                });
                let (low, high) = match &angle {
                    Angle::Between(angle) => angle.range(),
                    Angle::Bend(bend) => {
                        let (low, high) = bend.range();
                        (180.0 - high, 180.0 - low)
                    }
                };
                let angle = LimitedQuantity::angle(molecule, outer, centre, (low, high));
                lengths.chain([angle]).collect()
            }
            ResolvedLaw::Sphere(Sphere { radius_bohr, minimum_separation_bohr, .. }) => {
                let range = [minimum_separation_bohr, 2.0 * radius_bohr].map(|r| r * BOHR_ANGSTROM);
                let atoms = molecule.atom_count();
                let pairs = (0..atoms).flat_map(|b| (0..b).map(move |a| [a, b]));
                pairs
                    .map(|[a, b]| LimitedQuantity::length(molecule, a, b, (range[0], range[1])))
                    .collect()
            }
            ResolvedLaw::Gaussian(_) | ResolvedLaw::Harmonic(_) => Vec::new(),
            ResolvedLaw::Internal(law) => of_internal(molecule, &law),
        };
        let is_limited = |q: &LimitedQuantity| q.lower.is_some() || q.upper.is_some();
        Ok(quantities.into_iter().filter(is_limited).collect())
    }

    /// Geometries of the law (`count` x 3N, bohr) in the pose in which it draws them.
    ///
    /// # Errors
    /// No geometry law, or one that is wrong or (almost) never met.
    ///
    /// ```
    /// use cei_physics::presets::OCS_WIDE;
    /// use cei_physics::{Simulation};
    ///
    /// let ocs: Simulation = toml::from_str(OCS_WIDE.text)?;
    /// assert_eq!(ocs.draw_geometries(5, 0)?.dim(), (5, 9));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn draw_geometries(&self, count: usize, seed: u64) -> Result<Array2<f64>, GeometriesError> {
        let law = self
            .geometry
            .as_ref()
            .ok_or(SimulationConfigError::NoGeometry)?
            .resolve(&self.molecule)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut positions = Array2::zeros((count, 3 * self.molecule.atom_count()));
        for mut row in positions.rows_mut() {
            if let Some(row) = row.as_slice_mut() {
                law.draw(&mut rng, row, &mut [])?;
            }
        }
        Ok(positions)
    }
}

/// Geometries that cannot be drawn.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GeometriesError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] SimulationConfigError),
    /// The law is (almost) never met.
    #[error(transparent)]
    Impossible(#[from] ImpossibleGeometry),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presets::{OCS_REFERENCE, OCS_WIDE, Preset};

    fn limits(preset: Preset) -> Vec<(String, Option<f64>, Option<f64>)> {
        let simulation: Simulation = toml::from_str(preset.text).unwrap();
        let round = |x: Option<f64>| x.map(|x| (x * 1e6).round() / 1e6);
        let all = simulation.limited_quantities().unwrap();
        all.into_iter().map(|q| (q.name, round(q.lower), round(q.upper))).collect()
    }

    #[test]
    fn limits_of_the_presets() {
        let wide = limits(OCS_WIDE);
        let named = |name: &str, low, high| (name.to_owned(), low, high);
        assert_eq!(
            wide,
            [
                named("C-O", Some(100.0), Some(500.0)),
                named("C-S", Some(100.0), Some(500.0)),
                named("O-C-S", Some(100.0), None)
            ]
        );
        // Normal lengths have no limits; a Weibull bend has a natural one only.
        assert_eq!(limits(OCS_REFERENCE), []);
    }

    /// No geometry that is drawn lies beyond a limit, and the limits are nearly reached.
    #[test]
    fn what_is_drawn_lies_within_the_limits() {
        let simulation: Simulation = toml::from_str(OCS_WIDE.text).unwrap();
        let drawn = simulation.draw_geometries(2000, 3).unwrap();
        for quantity in simulation.limited_quantities().unwrap() {
            let values = drawn.rows().into_iter().map(|row| quantity.value(&row.to_vec()));
            let (low, high) = values.fold((f64::INFINITY, 0.0_f64), |(low, high), value| {
                (low.min(value), high.max(value))
            });
            let lower = quantity.lower.unwrap_or(100.0);
            assert!(low >= lower - 1e-6 && low < 1.02 * lower, "{quantity:?}: {low}");
            assert!(quantity.upper.is_none_or(|upper| high <= upper + 1e-6 && high > 0.98 * upper));
        }
    }
}
