//! The density of atoms uniform in a sphere. Where only relative positions are kept, it is proportional to
//! the volume of all places that the sphere's centre may have had: an intersection of N balls.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::error::DensityError;
use crate::geometry::{Sphere, is_separated, point_in_unit_ball};
use crate::vector::{Vector, cross, difference, dot, norm, of_atom};

/// Draws from which the share of separated geometries in a sphere is estimated, with a fixed seed.
const SHARE_DRAWS: usize = 100_000;
/// Points of the quadrature of an intersection of balls: right to about 1 % where it is not tiny.
const VOLUME_POINTS: usize = 2048;

/// The density of positions, absolute or relative.
#[derive(Debug, Clone)]
pub(super) struct SphereDensity {
    radius: f64,
    separation: f64,
    /// Log density of absolute positions.
    log_inside: f64,
    /// Whether the sphere's centre is at the origin; if not, only relative positions are known.
    centred: bool,
}

impl SphereDensity {
    pub(super) fn new(law: &Sphere, atoms: usize, centred: bool) -> Result<Self, DensityError> {
        let (radius, separation) = (law.radius_bohr, law.minimum_separation_bohr);
        let share = separated_share(atoms, radius, separation);
        if share == 0.0 {
            let reason = "`geometry.minimum_separation_bohr` is (almost) never met";
            return Err(DensityError::Unknown { reason });
        }
        let volume = 4.0 / 3.0 * std::f64::consts::PI * radius.powi(3);
        let log_inside = -(atoms as f64) * volume.ln() - share.ln();
        Ok(Self { radius, separation, log_inside, centred })
    }

    pub(super) fn log_density(&self, positions: &[f64]) -> f64 {
        if !is_separated(positions, self.separation) {
            return f64::NEG_INFINITY;
        }
        if self.centred {
            let atoms = positions.chunks_exact(3);
            let inside = atoms.map(|x| dot([x[0], x[1], x[2]], [x[0], x[1], x[2]]));
            let all = inside.fold(0.0, f64::max) <= self.radius * self.radius;
            return if all { self.log_inside } else { f64::NEG_INFINITY };
        }
        self.log_inside + common_volume(positions, self.radius).ln()
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presets::CHBRCLF;
    use crate::simulation::{Simulation, simulate};

    fn simulation(text: &str) -> Simulation {
        toml::from_str(text).unwrap()
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
}
