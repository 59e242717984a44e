//! The density of a molecule that vibrates and is turned uniformly.
//!
//! Mass-weighted positions `X` about the centre of mass are `R (X_0 + sum_k Q_k u_k)` with the normal coordinates `Q` and
//! a rotation `R`. Given `X`, the rotations that make it so are the stationary points of `|X - R X_0|` (Eckart's
//! conditions): the four eigenvectors of Horn's quaternion matrix (J. Opt. Soc. Am. A 4, 629 (1987)). Each contributes
//! ```text
//! p(X) = sum_R prod_k N(Q_k) / (8 pi^2 J)    J = |det sum_i m_i ((x_0i . y_i) 1 - y_i x_0i^T)| / sqrt(det I_0)
//! ```
//! with `y = R^T x` and the tensor of inertia `I_0` of the reference: `J` is the volume of rotations, seen across the
//! vibrations. A linear reference along `a` has no rotation about itself: its direction is plus or minus
//! `S = sum_i m_i (a . x_0i) x_i`, `J = S^2 / I_0`, the volume of directions is `4 pi`, and what the modes make of a
//! rotation about `a` is averaged over, unless it changes nothing because they come in degenerate pairs.

use ndarray::Array2;

use super::error::DensityError;
use crate::frame::Rotation;
use crate::geometry::Harmonic;
use crate::logs::log_sum;
use crate::modes::{NormalModes, inertia};
use crate::symmetric::eigen;
use crate::vector::{Vector, cross, difference, dot, norm, of_atom, scaled};

/// Angles about the axis of a linear molecule whose modes are no degenerate pairs.
const ANGLES: usize = 32;
/// Relative differences up to which modes of a linear molecule are degenerate pairs.
const DEGENERATE: f64 = 1e-9;

/// The density of a [`Harmonic`] law that has all vibrations of its molecule, turned uniformly.
#[derive(Debug, Clone)]
pub(crate) struct HarmonicDensity {
    modes: NormalModes,
    coordinate_deviations: Vec<f64>,
    momentum_deviations: Vec<f64>,
    /// Log of what does not depend on the positions.
    log_constant: f64,
    /// Moment of inertia of a linear reference, root of the product of those of another.
    inertia: f64,
    /// Rotations about the axis of a linear reference that are averaged over.
    turns: Vec<Rotation>,
}

/// An orientation that explains positions.
struct Pose {
    rotation: Rotation,
    log_density: f64,
}

impl HarmonicDensity {
    pub(crate) fn new(law: &Harmonic) -> Self {
        let modes = law.modes.clone();
        let (moments, _) = eigen(inertia(&modes.reference, &modes.roots));
        let root_of_tau = (2.0 * std::f64::consts::PI).sqrt();
        let of_modes = law.coordinate_deviations.iter().map(|sd| (sd * root_of_tau).ln());
        // From the volume of mass-weighted positions about the centre of mass to that of positions relative to an atom.
        let mass: f64 = modes.roots.iter().step_by(3).map(|root| root * root).sum();
        let log_volume = modes.roots.iter().map(|root| root.ln()).sum::<f64>() - 1.5 * mass.ln();
        let rotations = 4.0 * std::f64::consts::PI;
        let (rotations, inertia) = match modes.axis {
            Some(_) => (rotations, moments.iter().copied().fold(0.0, f64::max)),
            None => {
                (2.0 * std::f64::consts::PI * rotations, moments.iter().product::<f64>().sqrt())
            }
        };
        let turns = turns(&modes, &law.coordinate_deviations);
        Self {
            log_constant: log_volume - of_modes.sum::<f64>() - rotations.ln(),
            inertia,
            turns,
            coordinate_deviations: law.coordinate_deviations.clone(),
            momentum_deviations: law.momentum_deviations.clone(),
            modes,
        }
    }

    /// The same where positions have a density.
    pub(super) fn of_positions(law: &Harmonic) -> Result<Self, DensityError> {
        if law.modes.vectors.len() < law.modes.all_vibrations {
            let reason =
                "`geometry.modes` lacks vibrations of the molecule, along which nothing moves";
            return Err(DensityError::Singular { reason });
        }
        Ok(Self::new(law))
    }

    /// Log density of `positions` (3N, bohr), wherever their centre of mass is, per unit volume of the 3N - 3 positions
    /// relative to one atom.
    pub(crate) fn log_density(&self, positions: &[f64]) -> f64 {
        let logs: Vec<f64> = self.poses(positions).iter().map(|pose| pose.log_density).collect();
        log_sum(&logs)
    }

    /// Number of modes.
    pub(crate) fn modes(&self) -> usize {
        self.modes.vectors.len()
    }

    /// Whether the turn of a linear molecule about its axis makes a difference, so that momenta at given positions have
    /// no normal law.
    pub(crate) fn averages_turns(&self) -> bool {
        self.turns.len() > 1
    }

    /// A factor (3N, modes) of the covariance of the initial momenta in the likeliest pose of `positions`.
    pub(crate) fn momentum_factor(&self, positions: &[f64]) -> Array2<f64> {
        let n = self.modes.roots.len();
        assert_eq!(positions.len(), n, "three positions an atom");
        let poses = self.poses(positions);
        let likeliest = poses.iter().max_by(|a, b| a.log_density.total_cmp(&b.log_density));
        let rotation = likeliest.map_or(Rotation::IDENTITY, |pose| pose.rotation);
        let mut factor = Array2::zeros((n, self.modes()));
        let modes = self.modes.vectors.iter().zip(&self.momentum_deviations);
        for ((vector, sd), mut column) in modes.zip(factor.columns_mut()) {
            let mut momenta: Vec<f64> =
                vector.iter().zip(&self.modes.roots).map(|(u, root)| sd * u * root).collect();
            rotation.apply(&mut momenta);
            column.iter_mut().zip(momenta).for_each(|(entry, momentum)| *entry = momentum);
        }
        factor
    }

    fn poses(&self, positions: &[f64]) -> Vec<Pose> {
        let masses = self.modes.roots.iter().step_by(3).map(|root| root * root);
        let total: f64 = masses.clone().sum();
        let mut centre = [0.0; 3];
        for (atom, mass) in masses.enumerate() {
            let x = of_atom(positions, atom);
            centre = std::array::from_fn(|c| centre[c] + mass * x[c] / total);
        }
        let centred: Vec<f64> =
            positions.iter().enumerate().map(|(c, x)| x - centre[c % 3]).collect();
        let rotations = match self.modes.axis {
            Some(axis) => self.directions(axis, &centred),
            None => self.orientations(&centred),
        };
        rotations.into_iter().map(|rotation| self.pose(rotation, &centred)).collect()
    }

    fn pose(&self, rotation: Rotation, centred: &[f64]) -> Pose {
        let mut body = centred.to_vec();
        rotation.apply_inverse(&mut body);
        let modes = self.log_of_modes(&body);
        let log_density = self.log_constant + modes - self.log_jacobian(&body);
        Pose { rotation, log_density }
    }

    /// Log of the exponentials of the normal coordinates, averaged over turns about the axis of a linear reference.
    fn log_of_modes(&self, body: &[f64]) -> f64 {
        let logs: Vec<f64> = self
            .turns
            .iter()
            .map(|turn| {
                let mut turned = body.to_vec();
                turn.apply(&mut turned);
                let deviations = self.modes.vectors.iter().zip(&self.coordinate_deviations);
                let squares = deviations.map(|(vector, sd)| {
                    let parts = vector.iter().zip(&self.modes.roots);
                    let differences = turned.iter().zip(&self.modes.reference);
                    let coordinate: f64 =
                        parts.zip(differences).map(|((u, root), (x, r))| u * root * (x - r)).sum();
                    (coordinate / sd).powi(2)
                });
                -0.5 * squares.sum::<f64>()
            })
            .collect();
        log_sum(&logs) - (logs.len() as f64).ln()
    }

    fn log_jacobian(&self, body: &[f64]) -> f64 {
        let reference = &self.modes.reference;
        let atoms = || self.modes.roots.iter().step_by(3).map(|root| root * root).enumerate();
        if let Some(axis) = self.modes.axis {
            let along: f64 = atoms()
                .map(|(atom, mass)| {
                    mass * dot(axis, of_atom(reference, atom)) * dot(axis, of_atom(body, atom))
                })
                .sum();
            return (along * along / self.inertia).ln();
        }
        let mut matrix = [[0.0; 3]; 3];
        for (atom, mass) in atoms() {
            let (x_0, y) = (of_atom(reference, atom), of_atom(body, atom));
            for (a, row) in matrix.iter_mut().enumerate() {
                for (b, entry) in row.iter_mut().enumerate() {
                    let diagonal = if a == b { dot(x_0, y) } else { 0.0 };
                    *entry += mass * (diagonal - y[a] * x_0[b]);
                }
            }
        }
        let determinant = dot(matrix[0], cross(matrix[1], matrix[2]));
        (determinant.abs() / self.inertia).ln()
    }

    /// The rotations of a bent reference that fulfil Eckart's conditions.
    fn orientations(&self, centred: &[f64]) -> Vec<Rotation> {
        // s[a][b]: sum over atoms of mass, component a of the reference, component b of the positions.
        let mut s = [[0.0; 3]; 3];
        for (atom, root) in self.modes.roots.iter().step_by(3).enumerate() {
            let (x_0, x) = (of_atom(&self.modes.reference, atom), of_atom(centred, atom));
            for (a, row) in s.iter_mut().enumerate() {
                for (b, entry) in row.iter_mut().enumerate() {
                    *entry += root * root * x_0[a] * x[b];
                }
            }
        }
        let [[xx, xy, xz], [yx, yy, yz], [zx, zy, zz]] = s;
        let (_, quaternions) = eigen([
            [xx + yy + zz, yz - zy, zx - xz, xy - yx],
            [yz - zy, xx - yy - zz, xy + yx, zx + xz],
            [zx - xz, xy + yx, yy - xx - zz, yz + zy],
            [xy - yx, zx + xz, yz + zy, zz - xx - yy],
        ]);
        quaternions.map(Rotation::from_quaternion).to_vec()
    }

    /// The two directions of a linear reference that fulfil Eckart's conditions.
    fn directions(&self, axis: Vector, centred: &[f64]) -> Vec<Rotation> {
        let mut sum = [0.0; 3];
        for (atom, root) in self.modes.roots.iter().step_by(3).enumerate() {
            let weight = root * root * dot(axis, of_atom(&self.modes.reference, atom));
            let x = of_atom(centred, atom);
            sum = std::array::from_fn(|c| sum[c] + weight * x[c]);
        }
        let length = norm(sum);
        if length == 0.0 {
            return Vec::new();
        }
        let direction = scaled(sum, 1.0 / length);
        [direction, scaled(direction, -1.0)].map(|to| turning(axis, to)).to_vec()
    }
}

/// A rotation that takes one unit vector to another.
fn turning(from: Vector, to: Vector) -> Rotation {
    let real = 1.0 + dot(from, to);
    let turn = cross(from, to);
    if real > 1e-12 {
        return Rotation::from_quaternion([real, turn[0], turn[1], turn[2]]);
    }
    // Half a turn about any axis across.
    let units = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    let across = units.map(|unit| difference(unit, scaled(from, dot(unit, from))));
    let longest = across.into_iter().max_by(|a, b| norm(*a).total_cmp(&norm(*b)));
    let [x, y, z] = longest.unwrap_or(units[0]);
    Rotation::from_quaternion([0.0, x, y, z])
}

/// The turns about its axis that a linear molecule's density is averaged over; one that does nothing for others.
fn turns(modes: &NormalModes, deviations: &[f64]) -> Vec<Rotation> {
    let Some([x, y, z]) = modes.axis else { return vec![Rotation::IDENTITY] };
    let about = |angle: f64| {
        let (sin, cos) = (0.5 * angle).sin_cos();
        Rotation::from_quaternion([cos, sin * x, sin * y, sin * z])
    };
    let n = modes.roots.len();
    // The form that weighs displacements, and what it is after a turn.
    let form = |turn: Rotation| {
        let mut form = Array2::<f64>::zeros((n, n));
        for (vector, sd) in modes.vectors.iter().zip(deviations) {
            let mut vector = vector.clone();
            turn.apply(&mut vector);
            for (i, a) in vector.iter().enumerate() {
                for (j, b) in vector.iter().enumerate() {
                    form[[i, j]] += a * b / (sd * sd);
                }
            }
        }
        form
    };
    let (still, turned) = (form(Rotation::IDENTITY), form(about(1.0)));
    let scale = still.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    if (&turned - &still).iter().all(|x| x.abs() <= DEGENERATE * scale) {
        return vec![Rotation::IDENTITY];
    }
    let step = 2.0 * std::f64::consts::PI / ANGLES as f64;
    (0..ANGLES).map(|k| about(step * k as f64)).collect()
}
