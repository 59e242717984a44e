//! The probability density of positions that a simulation draws: the prior of `p(x | y)`.
//!
//! For a triatomic with bonds `d_1, d_2` from its central atom, turned uniformly,
//! ```text
//! p(d_1, d_2) = p(r_1, r_2) p(theta) / (8 pi^2 r_1^2 r_2^2 sin theta)
//! ```
//! because `d^3 d_1 d^3 d_2 = r_1^2 r_2^2 sin theta dr_1 dr_2 dtheta dOmega` and the rotations have the volume
//! `8 pi^2`. With a common stretch `u`, `p(r_1, r_2) = sum or integral of p(u) p_1(r_1 / u) p_2(r_2 / u) / u^2`.
//! For atoms uniform in a sphere of which only relative positions are kept, the density is proportional to
//! the volume of all places that the sphere's centre may have had: an intersection of N balls.

use ndarray::Array2;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::distribution::Distribution;
use crate::error::SimulationConfigError;
use crate::frame::Frame;
use crate::geometry::{Angle, ResolvedLaw, is_separated, point_in_unit_ball};
use crate::simulation::{Centre, Orientation, Simulation};
use crate::units::BOHR_ANGSTROM;
use crate::vector::{Vector, cross, difference, dot, norm, of_atom};

/// Draws from which the share of separated geometries in a sphere is estimated, with a fixed seed.
const SHARE_DRAWS: usize = 100_000;
/// Points of the quadrature of an intersection of balls: right to about 1 % where it is not tiny.
const VOLUME_POINTS: usize = 2048;
/// Intervals of the quadrature over the common stretch, each with three Gauss points.
const STRETCH_CELLS: usize = 32;
/// A bond angle closer to 0 or 180 degrees than this (radians) counts as this far, where the density diverges.
const LEAST_SINE: f64 = 1e-9;

/// A simulation whose positions have no probability density that is known.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DensityError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] SimulationConfigError),
    /// Positions lie on a subset without volume.
    #[error("the positions have no density: {reason}")]
    Singular {
        /// Why, naming the key.
        reason: &'static str,
    },
    /// There is a density, but no formula.
    #[error("the density of the positions is not known: {reason}")]
    Unknown {
        /// Why, naming the key.
        reason: &'static str,
    },
}

/// The density of a simulation's positions; made by [`Simulation::position_density`].
#[derive(Debug, Clone)]
pub struct PositionDensity {
    shape: Shape,
    /// Weights by atom of the point that is displaced from the origin, and the displacement's standard deviation.
    displaced: Option<(Vec<f64>, f64)>,
    coordinates: Array2<f64>,
}

#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "a simulation holds one law")]
enum Shape {
    Triatomic {
        centre: usize,
        outer: [usize; 2],
        lengths_angstrom: [Distribution; 2],
        angle: Angle,
        common_stretch: Option<Distribution>,
        /// Log of the probability that nothing is drawn again.
        log_kept: f64,
    },
    Sphere {
        radius: f64,
        separation: f64,
        /// Log density of absolute positions.
        log_inside: f64,
        /// Whether the sphere's centre is at the origin; if not, only relative positions are known.
        centred: bool,
    },
    Gaussian {
        mean: Vec<f64>,
        /// Lower Cholesky factor (by rows) of the covariance along one axis.
        factor: Vec<f64>,
        is_relative: bool,
    },
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
        self.shape.log_density(positions) + self.log_displacement(positions)
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
            Self::Triatomic {
                centre,
                outer,
                lengths_angstrom,
                angle,
                common_stretch,
                log_kept,
            } => {
                let origin = of_atom(positions, *centre);
                let bonds = outer.map(|atom| difference(of_atom(positions, atom), origin));
                let lengths = bonds.map(norm);
                let area = norm(cross(bonds[0], bonds[1]));
                let product = lengths[0] * lengths[1];
                if product == 0.0 {
                    return f64::NEG_INFINITY;
                }
                let degrees = area.atan2(dot(bonds[0], bonds[1])).to_degrees();
                let of_angle = match angle {
                    Angle::Between(angle) => angle.density(degrees),
                    Angle::Bend(bend) => bend.density(180.0 - degrees),
                };
                let of_lengths = density_of_lengths(
                    lengths_angstrom,
                    common_stretch.as_ref(),
                    lengths.map(|length| length * BOHR_ANGSTROM),
                );
                let per_bohr_2_and_radian =
                    BOHR_ANGSTROM * BOHR_ANGSTROM * 180.0 / std::f64::consts::PI;
                let volume = 8.0
                    * std::f64::consts::PI
                    * std::f64::consts::PI
                    * product
                    * area.max(LEAST_SINE * product);
                (of_lengths * of_angle * per_bohr_2_and_radian / volume).ln() - log_kept
            }
            Self::Sphere { radius, separation, log_inside, centred } => {
                if !is_separated(positions, *separation) {
                    return f64::NEG_INFINITY;
                }
                if *centred {
                    let atoms = positions.chunks_exact(3);
                    let inside = atoms.map(|x| dot([x[0], x[1], x[2]], [x[0], x[1], x[2]]));
                    let all = inside.fold(0.0, f64::max) <= radius * radius;
                    return if all { *log_inside } else { f64::NEG_INFINITY };
                }
                log_inside + common_volume(positions, *radius).ln()
            }
            Self::Gaussian { mean, factor, is_relative } => {
                let mut deviation: Vec<f64> =
                    positions.iter().zip(mean).map(|(x, m)| x - m).collect();
                if *is_relative {
                    let first = of_atom(&deviation, 0);
                    deviation =
                        deviation.iter().enumerate().map(|(c, x)| x - first[c % 3]).collect();
                    deviation.drain(..3);
                }
                let n = deviation.len() / 3;
                let root = (2.0 * std::f64::consts::PI).sqrt();
                let mut log = 0.0;
                for axis in 0..3 {
                    let mut z = vec![0.0; n];
                    for i in 0..n {
                        let sum: f64 = (0..i).map(|k| factor[i * n + k] * z[k]).sum();
                        z[i] = (deviation[3 * i + axis] - sum) / factor[i * n + i];
                        log -= 0.5 * z[i] * z[i] + (factor[i * n + i] * root).ln();
                    }
                }
                log
            }
        }
    }
}

/// `p(r_1, r_2)` per angstrom^2, not yet divided by the probability of positive draws.
fn density_of_lengths(
    lengths: &[Distribution; 2],
    common_stretch: Option<&Distribution>,
    [r_1, r_2]: [f64; 2],
) -> f64 {
    let Some(stretch) = common_stretch else {
        return lengths[0].density(r_1) * lengths[1].density(r_2);
    };
    let at = |u: f64| lengths[0].density(r_1 / u) * lengths[1].density(r_2 / u) / (u * u);
    let of_atoms: f64 =
        stretch.atoms().iter().filter(|(u, _)| *u > 0.0).map(|(u, p)| p * at(*u)).sum();
    let (mut low, mut high) = stretch.extent();
    for (length, r) in lengths.iter().zip([r_1, r_2]) {
        let (shortest, longest) = length.extent();
        low = low.max(r / longest);
        if shortest > 0.0 {
            high = high.min(r / shortest);
        }
    }
    if high <= low {
        return of_atoms;
    }
    let width = (high - low) / STRETCH_CELLS as f64;
    let offset = 0.5 * (0.6_f64).sqrt() * width;
    let mut integral = 0.0;
    for cell in 0..STRETCH_CELLS {
        let middle = low + (cell as f64 + 0.5) * width;
        for (u, weight) in [(middle - offset, 5.0), (middle, 8.0), (middle + offset, 5.0)] {
            integral += weight / 18.0 * width * stretch.density(u) * at(u);
        }
    }
    of_atoms + integral
}

/// Volume of the places whose distance to every atom is at most `radius`, by a fixed Halton sequence in a box that
/// holds them. It lies along the two atoms farthest apart: if these nearly span a diameter, they leave a thin lens.
fn common_volume(positions: &[f64], radius: f64) -> f64 {
    let count = positions.len() / 3;
    let atom = |index| of_atom(positions, index);
    let pairs = (0..count).flat_map(|a| (0..a).map(move |b| [atom(a), atom(b)]));
    let apart = |[a, b]: &[Vector; 2]| norm(difference(*a, *b));
    let farthest = pairs.max_by(|a, b| apart(a).total_cmp(&apart(b)));
    let [first, second] = farthest.unwrap_or_else(|| [atom(0); 2]);
    let lens_radius = (radius * radius - 0.25 * apart(&[first, second]).powi(2)).sqrt();
    let axes = axes_along(difference(first, second));
    let seen = |x: Vector| axes.map(|axis| dot(axis, x));
    let atoms: Vec<Vector> = (0..count).map(|index| seen(atom(index))).collect();
    let mut low = seen(first).map(|x| x - lens_radius);
    let mut high = seen(first).map(|x| x + lens_radius);
    [low[0], high[0]] = [f64::NEG_INFINITY, f64::INFINITY];
    for atom in &atoms {
        for axis in 0..3 {
            low[axis] = low[axis].max(atom[axis] - radius);
            high[axis] = high[axis].min(atom[axis] + radius);
        }
    }
    let sides = difference(high, low);
    if !sides.iter().all(|side| *side > 0.0) || lens_radius.is_nan() {
        return 0.0;
    }
    let is_common = |index: &usize| {
        let place: Vector = std::array::from_fn(|axis| {
            low[axis] + sides[axis] * van_der_corput(index + 1, [2, 3, 5][axis])
        });
        atoms.iter().all(|x| {
            let apart = difference(place, *x);
            dot(apart, apart) <= radius * radius
        })
    };
    let inside = (0..VOLUME_POINTS).filter(is_common).count();
    sides.iter().product::<f64>() * inside as f64 / VOLUME_POINTS as f64
}

/// Orthonormal vectors, the first along `vector` if it has a length.
fn axes_along(vector: Vector) -> [Vector; 3] {
    let units = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    let length = norm(vector);
    if length == 0.0 {
        return units;
    }
    let first = vector.map(|x| x / length);
    // Across the unit vector that is least along it.
    let across = units.map(|unit| cross(first, unit));
    let second = across.into_iter().max_by(|a, b| norm(*a).total_cmp(&norm(*b)));
    let second = second.unwrap_or_default();
    let second = second.map(|x| x / norm(second));
    [first, second, cross(first, second)]
}

/// The digits of `index` in `base`, mirrored at the point.
fn van_der_corput(mut index: usize, base: usize) -> f64 {
    let (mut value, mut place) = (0.0, 1.0);
    while index > 0 {
        place /= base as f64;
        value += place * (index % base) as f64;
        index /= base;
    }
    value
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

impl Simulation {
    /// The density of the positions that this simulation draws and records, before any measurement.
    ///
    /// # Errors
    /// [`DensityError::Config`] for a configuration that cannot be simulated or has no geometry law;
    /// [`DensityError::Singular`] for laws without a density (a fixed geometry or bond, an orientation that is
    /// not drawn, a frame of the positions' own); [`DensityError::Unknown`] where there is no formula.
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
            Centre::CentreOfMass => {
                let total: f64 = molecule.masses().iter().sum();
                Some(molecule.masses().iter().map(|mass| mass / total).collect())
            }
            Centre::Atom(label) => Some(only(molecule.require_index("centre.atom", label)?, atoms)),
        };
        let shape = self.shape(law, &mut origin)?;
        let is_displaced = self.displacement_bohr > 0.0;
        let absolute = is_displaced || origin.is_none();
        let displaced =
            origin.filter(|_| is_displaced).map(|weights| (weights, self.displacement_bohr));
        Ok(PositionDensity { shape, displaced, coordinates: coordinates(atoms, absolute) })
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
            ResolvedLaw::Triatomic { centre, outer, lengths_angstrom, angle, common_stretch } => {
                if self.orientation == Orientation::AsDrawn {
                    return singular(
                        "`orientation = \"as-drawn\"` puts a triatomic into one plane",
                    );
                }
                if lengths_angstrom.iter().any(|length| !length.atoms().is_empty()) {
                    return singular("a bond length in `geometry.bonds` is fixed or clamped");
                }
                let (Angle::Between(of_angle) | Angle::Bend(of_angle)) = &angle;
                if !of_angle.atoms().is_empty() {
                    return singular("the bond angle in `geometry` is fixed or clamped");
                }
                origin.get_or_insert_with(|| only(centre, atoms));
                // A zero has no probability here: densities have no atoms, and a stretch of 0 is refused.
                let positive = |law: &Distribution| {
                    let at_zero: f64 =
                        law.atoms().iter().filter(|(x, _)| *x == 0.0).map(|(_, p)| p).sum();
                    law.probability(0.0, f64::INFINITY) - at_zero
                };
                let kept = lengths_angstrom.iter().chain(&common_stretch).map(positive);
                let kept = kept.product::<f64>() * of_angle.probability(0.0, 180.0);
                let log_kept = kept.ln();
                Ok(Shape::Triatomic {
                    centre,
                    outer,
                    lengths_angstrom,
                    angle,
                    common_stretch,
                    log_kept,
                })
            }
            ResolvedLaw::Sphere { radius_bohr, minimum_separation_bohr, origin: moved } => {
                if let Some(atom) = moved {
                    origin.get_or_insert_with(|| only(atom, atoms));
                }
                if origin.is_none() && self.displacement_bohr > 0.0 {
                    return unknown(
                        "a sphere's law with `displacement_bohr` and nothing at the origin",
                    );
                }
                let share = separated_share(atoms, radius_bohr, minimum_separation_bohr);
                if share == 0.0 {
                    return unknown("`geometry.minimum_separation_bohr` is (almost) never met");
                }
                let volume = 4.0 / 3.0 * std::f64::consts::PI * radius_bohr.powi(3);
                Ok(Shape::Sphere {
                    radius: radius_bohr,
                    separation: minimum_separation_bohr,
                    log_inside: -(atoms as f64) * volume.ln() - share.ln(),
                    centred: origin.is_none(),
                })
            }
            ResolvedLaw::Gaussian { positions_bohr, deviations_bohr } => {
                if deviations_bohr.contains(&0.0) {
                    return singular("the geometry, or an atom of it, is fixed");
                }
                if self.orientation == Orientation::Random {
                    return unknown(
                        "a Gaussian geometry that is turned (`orientation = \"random\"`)",
                    );
                }
                if matches!(self.frame, Frame::Momentum { .. }) {
                    return unknown("a Gaussian geometry in the frame of its momenta");
                }
                let is_relative = origin.is_some();
                let common = if is_relative { 0.0 } else { self.displacement_bohr };
                let deviations: Vec<f64> = deviations_bohr.iter().step_by(3).copied().collect();
                let factor = cholesky_of_cloud(&deviations, common, is_relative);
                Ok(Shape::Gaussian { mean: positions_bohr, factor, is_relative })
            }
        }
    }
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

/// Share of uniform geometries in a sphere whose atoms are far enough apart.
fn separated_share(atoms: usize, radius: f64, separation: f64) -> f64 {
    if separation == 0.0 {
        return 1.0;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut positions = vec![0.0; 3 * atoms];
    let mut separated = 0;
    for _ in 0..SHARE_DRAWS {
        for atom in positions.chunks_exact_mut(3) {
            atom.copy_from_slice(&point_in_unit_ball(&mut rng).map(|c| radius * c));
        }
        separated += usize::from(is_separated(&positions, separation));
    }
    separated as f64 / SHARE_DRAWS as f64
}

/// Cholesky factor of the covariance of atoms along one axis: independent displacements and a common one, for
/// all atoms or relative to the first.
fn cholesky_of_cloud(deviations: &[f64], common: f64, is_relative: bool) -> Vec<f64> {
    let skipped = usize::from(is_relative);
    let n = deviations.len() - skipped;
    let shared = common * common + if is_relative { deviations[0] * deviations[0] } else { 0.0 };
    let mut factor = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let own = if i == j { deviations[i + skipped].powi(2) } else { 0.0 };
            let sum: f64 = (0..j).map(|k| factor[i * n + k] * factor[j * n + k]).sum();
            let rest = own + shared - sum;
            factor[i * n + j] = if i == j { rest.sqrt() } else { rest / factor[j * n + j] };
        }
    }
    factor
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presets::{CHBRCLF, OCS_REFERENCE, OCS_WIDE};
    use crate::simulation::simulate;
    use rand::RngExt;
    use rand_distr::StandardNormal;

    fn simulation(text: &str) -> Simulation {
        toml::from_str(text).unwrap()
    }

    /// For any density g, the mean of g / p over draws from p is the probability that g gives to the support of
    /// p. With g normal in the Cartesian coordinates this proves the Jacobian and the normalisation.
    #[test]
    fn the_density_of_a_triatomic_is_that_of_its_draws() {
        let mut wide = simulation(OCS_WIDE.text);
        wide.accuracy = crate::Accuracy::fast();
        let density = wide.position_density().unwrap();
        assert_eq!(density.coordinates().dim(), (6, 9));
        let events = simulate(&wide, 40_000, 11).unwrap();
        let sd = 4.0_f64;
        let log_g = |relative: &[f64]| {
            let z_2: f64 = relative.iter().map(|d| d * d).sum::<f64>() / (sd * sd);
            -0.5 * z_2 - 6.0 * (sd * (2.0 * std::f64::consts::PI).sqrt()).ln()
        };
        let (mut sum, mut squares) = (0.0, 0.0);
        for row in events.positions.rows() {
            let relative = [3, 4, 5, 6, 7, 8].map(|c| row[c] - row[c % 3]);
            let ratio = (log_g(&relative) - density.log_density(&row.to_vec())).exp();
            sum += ratio;
            squares += ratio * ratio;
        }
        let n = events.positions.nrows() as f64;
        let (mean, error) = (sum / n, (squares / n).sqrt() / n.sqrt());
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut inside = 0;
        for _ in 0..100_000 {
            let mut row = [0.0; 9];
            row[3..].fill_with(|| sd * rng.sample::<f64, _>(StandardNormal));
            inside += usize::from(density.log_density(&row) > f64::NEG_INFINITY);
        }
        let expected = f64::from(u32::try_from(inside).unwrap()) / 1e5;
        assert!(expected > 0.05, "the test's own law must overlap: {expected}");
        assert!((mean - expected).abs() < 4.0 * error + 0.005, "{mean} +- {error}, {expected}");
    }

    /// At right angles p = p_1 p_2 p_theta / (8 pi^2 r_1^2 r_2^2) by hand.
    #[test]
    fn a_triatomic_by_hand() {
        let density = simulation(OCS_WIDE.text).position_density().unwrap();
        let r = 2.0 / BOHR_ANGSTROM;
        let angle = 120.0_f64.to_radians();
        let at = |angle: f64| {
            let (sin, cos) = angle.sin_cos();
            density.log_density(&[
                1.0,
                1.0,
                1.0,
                1.0 + r,
                1.0,
                1.0,
                1.0 + r * cos,
                1.0,
                1.0 + r * sin,
            ])
        };
        let by_length = BOHR_ANGSTROM / 4.0;
        let by_angle = 1.0 / 80.0_f64.to_radians();
        let pi = std::f64::consts::PI;
        let expected = by_length * by_length * by_angle / (8.0 * pi * pi * r.powi(4) * angle.sin());
        approx::assert_relative_eq!(at(angle), expected.ln(), max_relative = 1e-12);
        assert_eq!(at(99.9_f64.to_radians()), f64::NEG_INFINITY);
        assert!(at(pi).is_finite());
    }

    /// The common stretch: p(r_1, r_2) integrates to 1 over a grid and has the draws' moments.
    #[test]
    fn a_common_stretch_is_integrated_out() {
        let reference = simulation(OCS_REFERENCE.text);
        let law = reference.geometry.as_ref().unwrap().resolve(&reference.molecule).unwrap();
        let ResolvedLaw::Triatomic { lengths_angstrom, common_stretch, .. } = law else {
            panic!("the preset is triatomic")
        };
        let (mut mass, mut first, mut product) = (0.0, 0.0, 0.0);
        let step = 0.01;
        for i in 0..180 {
            for j in 0..250 {
                let (r_1, r_2) = (0.9 + step * f64::from(i), 1.3 + step * f64::from(j));
                let p = density_of_lengths(&lengths_angstrom, common_stretch.as_ref(), [r_1, r_2])
                    * step
                    * step;
                mass += p;
                first += p * r_1;
                product += p * r_1 * r_2;
            }
        }
        assert!((mass - 1.0).abs() < 2e-3, "{mass}");
        // u = 1 + min(E, 1), E exponential of mean m = 0.16: <u> = 1 + m (1 - e^{-1/m}),
        // <(u-1)^2> = 2 m^2 - e^{-1/m} (2 m^2 + 2 m).
        let (m, tail) = (0.16, (-1.0_f64 / 0.16).exp());
        let mean_u = 1.0 + m * (1.0 - tail);
        let mean_u_2 = 2.0 * mean_u - 1.0 + 2.0 * m * m - tail * (2.0 * m * m + 2.0 * m);
        approx::assert_relative_eq!(first, 1.1578 * mean_u, max_relative = 3e-3);
        approx::assert_relative_eq!(product, 1.1578 * 1.611 * mean_u_2, max_relative = 3e-3);
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
    fn atoms_in_a_sphere() {
        // Two balls of radius R whose centres are d apart: the lens pi (4 R + d) (2 R - d)^2 / 12.
        let (radius, d) = (4.0_f64, 3.0_f64);
        let lens = std::f64::consts::PI * (4.0 * radius + d) * (2.0 * radius - d).powi(2) / 12.0;
        let positions = [0.3, 0.2, 0.1, 0.3, 0.2 + d, 0.1];
        approx::assert_relative_eq!(common_volume(&positions, radius), lens, max_relative = 0.01);
        assert_eq!(common_volume(&[0.0, 0.0, 0.0, 9.0, 0.0, 0.0], radius), 0.0);
        // A thin one, aslant, and a third atom that takes nothing away.
        let d = 2.0 * radius - 1e-4;
        let lens = std::f64::consts::PI * (4.0 * radius + d) * (2.0 * radius - d).powi(2) / 12.0;
        let [x, y, z] = [2.0 / 3.0, 1.0 / 3.0, -2.0 / 3.0].map(|part| part * d);
        let positions = [0.3, 0.2, 0.1, 0.3 + x, 0.2 + y, 0.1 + z, x / 2.0, y / 2.0, z / 2.0];
        approx::assert_relative_eq!(common_volume(&positions, radius), lens, max_relative = 0.01);

        let density = simulation(CHBRCLF.text).position_density().unwrap();
        assert_eq!(density.coordinates().dim(), (12, 15));
        let events = simulate(&simulation(CHBRCLF.text), 50, 1).unwrap();
        for row in events.positions.rows() {
            assert!(density.log_density(&row.to_vec()).is_finite());
        }
        let mut close = events.positions.row(0).to_vec();
        for axis in 0..3 {
            close[axis] = close[3 + axis] + 0.1;
        }
        assert_eq!(density.log_density(&close), f64::NEG_INFINITY);

        // Two atoms, nothing at the origin: the share of separated pairs is 1 - P(distance < s) with
        // P = q^3 (1 - 9 q / 16 + q^3 / 32), q = s / R.
        let q = 0.5_f64;
        let close = q.powi(3) * (1.0 - 9.0 * q / 16.0 + q.powi(3) / 32.0);
        approx::assert_abs_diff_eq!(separated_share(2, 4.0, 2.0), 1.0 - close, epsilon = 0.004);
    }

    /// A cloud's log density by hand, for all positions and relative to the first atom.
    #[test]
    fn a_gaussian_cloud() {
        let text = |centre: &str| {
            simulation(&format!(
                "centre = {centre}\n[molecule]\natoms = [{{ element = \"C\", charge = 1 }}, \
                 {{ element = \"O\", charge = 1 }}]\n[geometry]\nlaw = \"gaussian\"\n\
                 positions_angstrom = {{ C = [0, 0, 0], O = [1, 0, 0] }}\n\
                 displacement_angstrom = {{ C = 0.3, O = 0.4 }}"
            ))
        };
        let (s_c, s_o) = (0.3 / BOHR_ANGSTROM, 0.4 / BOHR_ANGSTROM);
        let bond = 1.0 / BOHR_ANGSTROM;
        let log_normal = |z: f64, sd: f64| {
            -0.5 * (z / sd).powi(2) - (sd * (2.0 * std::f64::consts::PI).sqrt()).ln()
        };
        let row = [0.1, 0.2, -0.3, bond + 0.5, 0.4, 0.2];
        let all = text("\"as-drawn\"").position_density().unwrap().log_density(&row);
        let expected: f64 = [0.1, 0.2, -0.3].iter().map(|z| log_normal(*z, s_c)).sum::<f64>()
            + [0.5, 0.4, 0.2].iter().map(|z| log_normal(*z, s_o)).sum::<f64>();
        approx::assert_relative_eq!(all, expected, max_relative = 1e-12);
        let relative = text("{ atom = \"C\" }").position_density().unwrap().log_density(&row);
        let sd = s_c.hypot(s_o);
        let expected: f64 = [0.4, 0.2, 0.5].iter().map(|z| log_normal(*z, sd)).sum();
        approx::assert_relative_eq!(relative, expected, max_relative = 1e-12);
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
