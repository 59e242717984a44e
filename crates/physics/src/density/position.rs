//! The density of a simulation's positions: that of its geometry law, of the displacement, and of the alignment.
//!
//! Aligned molecules have the density of molecules turned at random times that of their orientation (`orientation.rs`).
//! Events that are recorded in the frame of their momenta do not know the laboratory any more: the mean of this factor
//! over all rotations is 1, so their density is that of random orientation.

use ndarray::{Array2, ArrayView2};

use super::error::DensityError;
use super::gaussian::GaussianDensity;
use super::harmonic::HarmonicDensity;
use super::internal::InternalDensity;
use super::sphere::SphereDensity;
use super::triatomic::TriatomicDensity;
use crate::alike::Exchange;
use crate::error::SimulationConfigError;
use crate::frame::Frame;
use crate::geometry::ResolvedLaw;
use crate::molecule::Molecule;
use crate::orientation::{Alignment, Orientation, ResolvedOrientation};
use crate::simulation::{Centre, Simulation};
use crate::vector::{Vector, dot};

/// The density of a simulation's positions; made by [`Simulation::position_density`].
#[derive(Debug, Clone)]
pub struct PositionDensity {
    shape: Shape,
    /// Weights by atom of the point that is displaced from the origin, and the displacement's standard deviation.
    displaced: Option<(Vec<f64>, f64)>,
    /// Where the positions know the laboratory and are aligned with it.
    alignment: Option<Alignment>,
    /// Whether the shape is turned uniformly, and stands relative to its origin.
    is_free: bool,
    /// Where atoms are exchanged at will.
    exchange: Option<Exchange>,
    coordinates: Array2<f64>,
}

#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "a simulation holds one law")]
enum Shape {
    Triatomic(TriatomicDensity),
    Sphere(SphereDensity),
    Gaussian(GaussianDensity),
    Harmonic(HarmonicDensity),
    Internal(InternalDensity),
}

impl PositionDensity {
    /// The coordinates `R x` that the density is one of (rows: coordinates, columns: 3N positions), in bohr:
    /// all positions, or, where a point of the molecule is fixed, the 3N - 3 positions relative to the first
    /// atom. (Relative to another one the density is the same: the determinant is 1.)
    pub fn coordinates(&self) -> &Array2<f64> {
        &self.coordinates
    }

    /// Log density at `positions` (3N, bohr) per unit volume of [`Self::coordinates`]; minus infinity where
    /// nothing is drawn, and for positions that are not finite.
    ///
    /// It is normalised. For the law `sphere` this rests on estimates with fixed seeds: the share of separated
    /// geometries (right to 0.3 %) and, if the centre is not at the origin, a volume (about 1 %).
    pub fn log_density(&self, positions: &[f64]) -> f64 {
        if positions.len() != self.coordinates.ncols() || positions.iter().any(|x| !x.is_finite()) {
            return f64::NEG_INFINITY;
        }
        self.mean_of_arrangements(positions, |positions| self.log_labelled(positions))
    }

    /// The logarithm of the mean of a density over the arrangements of atoms that are exchanged at will.
    fn mean_of_arrangements(&self, positions: &[f64], density: impl Fn(&[f64]) -> f64) -> f64 {
        match &self.exchange {
            None => density(positions),
            Some(exchange) => exchange.log_mean(positions, density),
        }
    }

    /// The same density where atoms of these groups are exchanged at will: the mean over their arrangements. Of more than
    /// [`MOST_ARRANGEMENTS`](crate::alike::MOST_ARRANGEMENTS) those count that a search finds from the arrangement on that is closest to `geometries` of the law
    /// (rows, 3N): a lower bound.
    #[must_use]
    pub fn exchanging(self, groups: &[Vec<usize>], geometries: ArrayView2<'_, f64>) -> Self {
        Self { exchange: Exchange::new(groups, geometries), ..self }
    }

    fn log_labelled(&self, positions: &[f64]) -> f64 {
        let of_shape = self.shape.log_density(positions) + self.log_displacement(positions);
        self.alignment.as_ref().map_or(of_shape, |law| of_shape + law.log_density(positions))
    }

    /// Log density per unit volume of the positions relative to one atom (bohr), of the molecule alone: turned
    /// uniformly, whatever it was displaced by or aligned with. None where the law does not let them be told apart: as drawn, or without an
    /// origin.
    pub fn log_density_of_shape(&self, positions: &[f64]) -> Option<f64> {
        let of_shape = |positions: &[f64]| self.shape.log_density(positions);
        self.is_free.then(|| self.mean_of_arrangements(positions, of_shape))
    }

    /// Whether turning all positions changes the density, because they are aligned with an axis of the laboratory.
    pub fn is_aligned(&self) -> bool {
        self.alignment.is_some()
    }

    fn log_displacement(&self, positions: &[f64]) -> f64 {
        let Some((weights, sd)) = &self.displaced else { return 0.0 };
        let point = weighted_point(positions, weights);
        let z_2 = dot(point, point) / (sd * sd);
        -0.5 * z_2 - 3.0 * (sd * (2.0 * std::f64::consts::PI).sqrt()).ln()
    }
}

impl Shape {
    fn log_density(&self, positions: &[f64]) -> f64 {
        match self {
            Self::Triatomic(density) => density.log_density(positions),
            Self::Sphere(density) => density.log_density(positions),
            Self::Gaussian(density) => density.log_density(positions),
            Self::Harmonic(density) => density.log_density(positions),
            Self::Internal(density) => density.log_density(positions),
        }
    }
}

impl Simulation {
    /// The density of the positions that this simulation draws and records, before any measurement.
    ///
    /// # Errors
    /// [`DensityError::Config`] for a configuration that cannot be simulated or has no geometry law;
    /// [`DensityError::Singular`] for laws without a density (a fixed geometry or bond, an orientation that is
    /// not drawn, a frame of the positions' own); [`DensityError::Unknown`] where there is no formula.
    ///
    /// ```
    /// use cei_physics::presets::OCS_WIDE;
    /// use cei_physics::{Simulation};
    ///
    /// let ocs: Simulation = toml::from_str(OCS_WIDE.text)?;
    /// let density = ocs.position_density()?;
    /// // C, O, S in line, then with C-O far beyond the 5 angstrom of the law.
    /// let shape = |oxygen: f64| [0.0, 0.0, 0.0, oxygen, 0.0, 0.0, -2.0, 2.0, 0.0];
    /// let centred = |row: [f64; 9]| {
    ///     let centre = ocs.molecule.centre_of_mass(&row);
    ///     std::array::from_fn::<f64, 9, _>(|k| row[k] - centre[k % 3])
    /// };
    /// assert!(density.log_density(&centred(shape(3.0))).is_finite());
    /// assert_eq!(density.log_density(&centred(shape(20.0))), f64::NEG_INFINITY);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn position_density(&self) -> Result<PositionDensity, DensityError> {
        self.check()?;
        let molecule = &self.molecule;
        let law =
            self.geometry.as_ref().ok_or(SimulationConfigError::NoGeometry)?.resolve(molecule)?;
        if matches!(self.frame, Frame::Separate { .. }) {
            let reason =
                "`frame.kind = \"separate\"` turns the positions into a frame of their own";
            return Err(DensityError::Singular { reason });
        }
        let atoms = molecule.atom_count();
        // The point of the molecule that is put at the origin.
        let mut origin: Option<Vec<f64>> = match &self.centre {
            Centre::AsDrawn => None,
            Centre::CentreOfMass => Some(shares_of_mass(molecule)),
            Centre::Atom(label) => Some(only(molecule.require_index("centre.atom", label)?, atoms)),
        };
        let shape = self.shape(law, &mut origin)?;
        let is_turned =
            self.orientation != Orientation::AsDrawn || matches!(shape, Shape::Sphere(_));
        let is_free = is_turned && origin.is_some();
        let is_displaced = self.displacement_bohr > 0.0;
        let absolute = is_displaced || origin.is_none();
        let displaced =
            origin.filter(|_| is_displaced).map(|weights| (weights, self.displacement_bohr));
        let alignment = match self.orientation.resolve(molecule)? {
            ResolvedOrientation::Aligned(alignment) if self.frame == Frame::default() => {
                Some(alignment)
            }
            _ => None,
        };
        let coordinates = coordinates(atoms, absolute);
        let exchange = None;
        Ok(PositionDensity { shape, displaced, alignment, is_free, exchange, coordinates })
    }

    /// The law's shape. Where it has a point of its own at the origin, and nothing else is put there, that is the `origin`.
    fn shape(
        &self,
        law: ResolvedLaw,
        origin: &mut Option<Vec<f64>>,
    ) -> Result<Shape, DensityError> {
        let singular = |reason| Err(DensityError::Singular { reason });
        let unknown = |reason| Err(DensityError::Unknown { reason });
        let atoms = self.molecule.atom_count();
        match law {
            ResolvedLaw::Triatomic(law) => {
                if self.orientation == Orientation::AsDrawn {
                    return singular(
                        "`orientation = \"as-drawn\"` puts a triatomic into one plane",
                    );
                }
                origin.get_or_insert_with(|| only(law.centre, atoms));
                TriatomicDensity::new(law).map(Shape::Triatomic)
            }
            ResolvedLaw::Sphere(law) => {
                if let Some(atom) = law.origin {
                    origin.get_or_insert_with(|| only(atom, atoms));
                }
                if origin.is_none() && self.displacement_bohr > 0.0 {
                    return unknown(
                        "a sphere's law with `displacement_bohr` and nothing at the origin",
                    );
                }
                SphereDensity::new(&law, atoms, origin.is_none()).map(Shape::Sphere)
            }
            ResolvedLaw::Gaussian(law) => {
                if law.deviations_bohr.contains(&0.0) {
                    return singular("the geometry, or an atom of it, is fixed");
                }
                let is_turned = self.orientation != Orientation::AsDrawn;
                if !is_turned && matches!(self.frame, Frame::Momentum { .. }) {
                    return unknown(
                        "a Gaussian geometry as drawn (`orientation = \"as-drawn\"`) in the frame of its momenta",
                    );
                }
                let is_relative = origin.is_some();
                let common = if is_relative { 0.0 } else { self.displacement_bohr };
                Ok(Shape::Gaussian(GaussianDensity::new(law, common, is_relative, is_turned)))
            }
            ResolvedLaw::Internal(law) => {
                if self.orientation == Orientation::AsDrawn {
                    return singular("`orientation = \"as-drawn\"` puts the first bond on an axis");
                }
                if let [first, ..] = &law.steps[..] {
                    origin.get_or_insert_with(|| only(first.placement.atom, atoms));
                }
                InternalDensity::new(law).map(Shape::Internal)
            }
            ResolvedLaw::Harmonic(law) => {
                if self.orientation == Orientation::AsDrawn {
                    return singular(
                        "`orientation = \"as-drawn\"` keeps a vibrating molecule from turning",
                    );
                }
                origin.get_or_insert_with(|| shares_of_mass(&self.molecule));
                HarmonicDensity::of_positions(&law).map(Shape::Harmonic)
            }
        }
    }
}

fn weighted_point(positions: &[f64], weights: &[f64]) -> Vector {
    let mut point = [0.0; 3];
    for (atom, weight) in positions.chunks_exact(3).zip(weights) {
        for (sum, x) in point.iter_mut().zip(atom) {
            *sum += weight * x;
        }
    }
    point
}

/// The weights of the positions in the centre of mass.
fn shares_of_mass(molecule: &Molecule) -> Vec<f64> {
    let total: f64 = molecule.masses().iter().sum();
    molecule.masses().iter().map(|mass| mass / total).collect()
}

/// The weights of one atom's position.
fn only(atom: usize, atoms: usize) -> Vec<f64> {
    (0..atoms).map(|k| if k == atom { 1.0 } else { 0.0 }).collect()
}

fn coordinates(atoms: usize, absolute: bool) -> Array2<f64> {
    if absolute {
        return Array2::eye(3 * atoms);
    }
    Array2::from_shape_fn((3 * (atoms - 1), 3 * atoms), |(row, column)| {
        if column == row + 3 {
            1.0
        } else if column == row % 3 {
            -1.0
        } else {
            0.0
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presets::{OCS_REFERENCE, OCS_WIDE};

    fn simulation(text: &str) -> Simulation {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn displacement_adds_its_normal_law_to_absolute_positions() {
        let mut reference = simulation(OCS_REFERENCE.text);
        reference.frame = Frame::default();
        let density = reference.position_density().unwrap();
        assert_eq!(density.coordinates().dim(), (9, 9));
        reference.displacement_bohr = 0.0;
        let relative = reference.position_density().unwrap();
        let mut row = [0.0, 0.1, 0.0, 2.3, 0.0, 0.0, -3.2, 0.0, 0.0];
        let centre = reference.molecule.centre_of_mass(&row);
        for (c, x) in row.iter_mut().enumerate() {
            *x += [1.0, -0.5, 0.25][c % 3] - centre[c % 3];
        }
        let normal = -0.5 * (1.0 + 0.25 + 0.0625) - 1.5 * (2.0 * std::f64::consts::PI).ln();
        approx::assert_relative_eq!(
            density.log_density(&row),
            relative.log_density(&row) + normal,
            max_relative = 1e-12
        );
    }

    #[test]
    fn what_has_no_density_is_said() {
        let reason = |change: &dyn Fn(&mut Simulation)| {
            let mut simulation = simulation(OCS_WIDE.text);
            change(&mut simulation);
            simulation.position_density().unwrap_err().to_string()
        };
        assert!(reason(&|s| s.orientation = Orientation::AsDrawn).contains("`orientation"));
        assert!(reason(&|s| s.geometry = None).contains("`geometry` is missing"));
        assert!(
            simulation(OCS_REFERENCE.text)
                .position_density()
                .unwrap_err()
                .to_string()
                .contains("`frame.kind")
        );
        let fixed = OCS_WIDE.text.replacen(
            "\"uniform\", low = 1.0, high = 5.0",
            "\"fixed\", value = 2.0",
            1,
        );
        let message = simulation(&fixed).position_density().unwrap_err().to_string();
        assert!(message.contains("`geometry.bonds`"), "{message}");
    }
}
