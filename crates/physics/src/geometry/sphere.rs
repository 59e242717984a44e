//! The law `sphere`: every atom uniformly in a sphere, no two closer than a least distance.

use rand::{Rng, RngExt};

use super::error::ImpossibleGeometry;
use super::row::{place, translate};
use crate::distribution::MAX_REDRAWS;
use crate::error::{SimulationConfigError, require};
use crate::molecule::Molecule;
use crate::vector::{Vector, difference, dot, norm, of_atom};

/// The law, checked, its atoms found.
#[derive(Debug, Clone)]
pub(crate) struct Sphere {
    pub(crate) radius_bohr: f64,
    pub(crate) minimum_separation_bohr: f64,
    pub(crate) origin: Option<usize>,
}

impl Sphere {
    pub(super) fn resolve(
        molecule: &Molecule,
        radius_bohr: f64,
        minimum_separation_bohr: f64,
        origin: Option<&str>,
    ) -> Result<Self, SimulationConfigError> {
        require("geometry.radius_bohr", radius_bohr, "above 0", |value| value > 0.0)?;
        require(
            "geometry.minimum_separation_bohr",
            minimum_separation_bohr,
            "at least 0 and below the sphere's diameter",
            |value| (0.0..2.0 * radius_bohr).contains(&value),
        )?;
        let index = |label: &str| molecule.require_index("geometry.origin", label);
        Ok(Self { radius_bohr, minimum_separation_bohr, origin: origin.map(index).transpose()? })
    }

    /// Draws one geometry into `positions` (3N numbers, bohr).
    pub(super) fn draw(
        &self,
        rng: &mut impl Rng,
        positions: &mut [f64],
    ) -> Result<(), ImpossibleGeometry> {
        draw_separated(rng, self.radius_bohr, self.minimum_separation_bohr, positions)?;
        if let Some(atom) = self.origin {
            translate(positions, of_atom(positions, atom).map(|c| -c));
            place(positions, atom, [0.0; 3]);
        }
        Ok(())
    }
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
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

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
}
