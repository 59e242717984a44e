//! The density of normal displacements from given positions, of all atoms or relative to the first.

use crate::geometry::Gaussian;
use crate::vector::of_atom;

/// The density of positions, absolute or relative.
#[derive(Debug, Clone)]
pub(super) struct GaussianDensity {
    mean: Vec<f64>,
    /// Lower Cholesky factor (by rows) of the covariance along one axis.
    factor: Vec<f64>,
    is_relative: bool,
}

impl GaussianDensity {
    /// `common` is the standard deviation of a displacement that all atoms share, in bohr.
    pub(super) fn new(law: Gaussian, common: f64, is_relative: bool) -> Self {
        let deviations: Vec<f64> = law.deviations_bohr.iter().step_by(3).copied().collect();
        let factor = cholesky_of_cloud(&deviations, common, is_relative);
        Self { mean: law.positions_bohr, factor, is_relative }
    }

    pub(super) fn log_density(&self, positions: &[f64]) -> f64 {
        let Self { mean, factor, is_relative } = self;
        let mut deviation: Vec<f64> = positions.iter().zip(mean).map(|(x, m)| x - m).collect();
        if *is_relative {
            let first = of_atom(&deviation, 0);
            deviation = deviation.iter().enumerate().map(|(c, x)| x - first[c % 3]).collect();
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
    use crate::simulation::Simulation;
    use crate::units::BOHR_ANGSTROM;

    fn simulation(text: &str) -> Simulation {
        toml::from_str(text).unwrap()
    }

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
}
