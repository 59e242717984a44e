//! The density of a triatomic with bonds `d_1, d_2` from its central atom, turned uniformly:
//! ```text
//! p(d_1, d_2) = p(r_1, r_2) p(theta) / (8 pi^2 r_1^2 r_2^2 sin theta)
//! ```
//! because `d^3 d_1 d^3 d_2 = r_1^2 r_2^2 sin theta dr_1 dr_2 dtheta dOmega` and the rotations have the volume
//! `8 pi^2`. With a common stretch `u`, `p(r_1, r_2) = sum or integral of p(u) p_1(r_1 / u) p_2(r_2 / u) / u^2`.

use super::error::DensityError;
use crate::distribution::Distribution;
use crate::geometry::{Angle, Triatomic};
use crate::units::BOHR_ANGSTROM;
use crate::vector::{cross, difference, dot, norm, of_atom};

/// Intervals of the quadrature over the common stretch, each with three Gauss points.
const STRETCH_CELLS: usize = 32;
/// A bond angle closer to 0 or 180 degrees than this (radians) counts as this far, where the density diverges.
const LEAST_SINE: f64 = 1e-9;

/// The density of relative positions.
#[derive(Debug, Clone)]
pub(super) struct TriatomicDensity {
    law: Triatomic,
    /// Log of the probability that nothing is drawn again.
    log_kept: f64,
}

impl TriatomicDensity {
    pub(super) fn new(law: Triatomic) -> Result<Self, DensityError> {
        let singular = |reason| Err(DensityError::Singular { reason });
        if law.lengths_angstrom.iter().any(|length| !length.atoms().is_empty()) {
            return singular("a bond length in `geometry.bonds` is fixed or clamped");
        }
        let (Angle::Between(of_angle) | Angle::Bend(of_angle)) = &law.angle;
        if !of_angle.atoms().is_empty() {
            return singular("the bond angle in `geometry` is fixed or clamped");
        }
        // A zero has no probability here: densities have no atoms, and a stretch of 0 is refused.
        let positive = |law: &Distribution| {
            let at_zero: f64 = law.atoms().iter().filter(|(x, _)| *x == 0.0).map(|(_, p)| p).sum();
            law.probability(0.0, f64::INFINITY) - at_zero
        };
        let kept = law.lengths_angstrom.iter().chain(&law.common_stretch).map(positive);
        let kept = kept.product::<f64>() * of_angle.probability(0.0, 180.0);
        let log_kept = kept.ln();
        Ok(Self { law, log_kept })
    }

    pub(super) fn log_density(&self, positions: &[f64]) -> f64 {
        let Triatomic { centre, outer, lengths_angstrom, angle, common_stretch } = &self.law;
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
        let per_bohr_2_and_radian = BOHR_ANGSTROM * BOHR_ANGSTROM * 180.0 / std::f64::consts::PI;
        let volume = 8.0
            * std::f64::consts::PI
            * std::f64::consts::PI
            * product
            * area.max(LEAST_SINE * product);
        (of_lengths * of_angle * per_bohr_2_and_radian / volume).ln() - self.log_kept
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::ResolvedLaw;
    use crate::presets::{OCS_REFERENCE, OCS_WIDE};
    use crate::simulation::{Simulation, simulate};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
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
        let ResolvedLaw::Triatomic(Triatomic { lengths_angstrom, common_stretch, .. }) = law else {
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
}
