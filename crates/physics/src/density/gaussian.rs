//! The density of normal displacements from given positions, of all atoms or relative to the first, as drawn or turned.
//!
//! With the covariance `C` of the atoms along one axis, positions `X` and means `M` (rows: atoms) in units of it, `Z = C^(-1/2) X`
//! and `N = C^(-1/2) M`, turned by a uniform rotation the density is
//! ```text
//! p(X) = (2 pi)^(-3n/2) |C|^(-3/2) exp(-(|Z|^2 + |N|^2) / 2)  mean over R of exp(tr(R^T Z^T N))
//! ```
//! whose mean is that of [`super::rotations`].

use super::rotations::log_mean_over_rotations;
use crate::geometry::Gaussian;
use crate::vector::{of_atom, scaled};

/// The density of positions, absolute or relative.
#[derive(Debug, Clone)]
pub(super) struct GaussianDensity {
    mean: Vec<f64>,
    /// Lower Cholesky factor (by rows) of the covariance along one axis.
    factor: Vec<f64>,
    is_relative: bool,
    is_turned: bool,
}

impl GaussianDensity {
    /// `common` is the standard deviation of a displacement that all atoms share, in bohr.
    pub(super) fn new(law: Gaussian, common: f64, is_relative: bool, is_turned: bool) -> Self {
        let deviations: Vec<f64> = law.deviations_bohr.iter().step_by(3).copied().collect();
        let factor = cholesky_of_cloud(&deviations, common, is_relative);
        Self { mean: law.positions_bohr, factor, is_relative, is_turned }
    }

    pub(super) fn log_density(&self, positions: &[f64]) -> f64 {
        if self.is_turned {
            let (seen, mean) = (self.whitened(positions), self.whitened(&self.mean));
            // Column c is Z^T times the component c of the means.
            let mut columns = [[0.0; 3]; 3];
            for (z, m) in seen.chunks_exact(3).zip(mean.chunks_exact(3)) {
                for (column, m) in columns.iter_mut().zip(m) {
                    let part = scaled([z[0], z[1], z[2]], *m);
                    column.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
                }
            }
            let squares = |row: &[f64]| row.iter().map(|z| z * z).sum::<f64>();
            return self.log_scale() - 0.5 * (squares(&seen) + squares(&mean))
                + log_mean_over_rotations(columns);
        }
        let deviation: Vec<f64> = positions.iter().zip(&self.mean).map(|(x, m)| x - m).collect();
        let (z, n) = (self.whitened(&deviation), self.atoms());
        let root = (2.0 * std::f64::consts::PI).sqrt();
        let mut log = 0.0;
        for axis in 0..3 {
            for i in 0..n {
                let z = z[3 * i + axis];
                log -= 0.5 * z * z + (self.factor[i * n + i] * root).ln();
            }
        }
        log
    }

    /// Atoms that the density is one of.
    fn atoms(&self) -> usize {
        self.mean.len() / 3 - usize::from(self.is_relative)
    }

    /// Log density where the exponent is zero.
    fn log_scale(&self) -> f64 {
        let n = self.atoms();
        let root = (2.0 * std::f64::consts::PI).sqrt();
        let logs = (0..n).map(|i| (self.factor[i * n + i] * root).ln());
        -3.0 * logs.sum::<f64>()
    }

    /// `C^(-1/2)` times a row of all atoms: numbers that are independent and normal where the row is a displacement.
    fn whitened(&self, row: &[f64]) -> Vec<f64> {
        let Self { factor, is_relative, .. } = self;
        let mut z = row.to_vec();
        if *is_relative {
            let first = of_atom(row, 0);
            z = row.iter().enumerate().map(|(c, x)| x - first[c % 3]).skip(3).collect();
        }
        let n = z.len() / 3;
        for i in 0..n {
            for axis in 0..3 {
                let sum: f64 = (0..i).map(|k| factor[i * n + k] * z[3 * k + axis]).sum();
                z[3 * i + axis] = (z[3 * i + axis] - sum) / factor[i * n + i];
            }
        }
        z
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
    use crate::frame::Rotation;
    use crate::orientation::Orientation;
    use crate::simulation::{Simulation, simulate};
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

    /// Three ions turned at random, with and without a displacement, about the origin and about their centre of mass: the
    /// mean over rotations by brute force.
    #[test]
    fn a_turned_cloud() {
        let text = |more: &str| {
            simulation(&format!(
                "orientation = \"random\"\n{more}\n[molecule]\natoms = [{{ element = \"C\", charge = 1 }}, \
                 {{ element = \"O\", charge = 1 }}, {{ element = \"S\", charge = 1 }}]\n[geometry]\nlaw = \"gaussian\"\n\
                 positions_angstrom = {{ C = [0.1, 0, 0], O = [1.1, 0.2, 0.1], S = [-0.7, 1.3, 0.2] }}\n\
                 displacement_angstrom = {{ C = 0.2, O = 0.3, S = 0.4 }}"
            ))
        };
        let centred = "centre = \"centre-of-mass\"";
        for more in
            ["", "displacement_bohr = 0.5", centred, &format!("{centred}\ndisplacement_bohr = 0.5")]
        {
            let turned = text(more);
            let density = turned.position_density().unwrap();
            let drawn = Simulation { orientation: Orientation::AsDrawn, ..turned.clone() };
            let drawn = drawn.position_density().unwrap();
            let events = simulate(&turned, 3, 5).unwrap();
            for row in events.positions.rows() {
                let row = row.to_vec();
                // The mean over rotations of the density as drawn, about the point that is at the origin; a displacement
                // is turned with it, which does not matter to its law.
                let expected = mean_over_rotations(|rotation| {
                    let mut row = row.clone();
                    rotation.apply_inverse(&mut row);
                    drawn.log_density(&row)
                });
                let found = density.log_density(&row);
                assert!((found - expected).abs() < 1e-6, "{more}: {found} {expected}");
            }
        }
    }

    /// Log of the mean of exponentials over a product rule in Euler angles.
    fn mean_over_rotations(log: impl Fn(&Rotation) -> f64) -> f64 {
        const N: u32 = 60;
        let mut mean = 0.0;
        for b in 0..N {
            // Clenshaw and Curtis in the cosine, whose density is even: nodes at equal angles.
            let theta = std::f64::consts::PI * (f64::from(b) + 0.5) / f64::from(N);
            let harmonics = (1..=N / 2).map(|k| {
                let k = f64::from(k);
                (2.0 * k * theta).cos() / (4.0 * k * k - 1.0)
            });
            let weight = (1.0 - 2.0 * harmonics.sum::<f64>()) / f64::from(N);
            for a in 0..N {
                for c in 0..N {
                    let [first, third] =
                        [a, c].map(|k| std::f64::consts::TAU * f64::from(k) / f64::from(N));
                    let (sum, difference) = (0.5 * (first + third), 0.5 * (first - third));
                    let half = 0.5 * theta;
                    let rotation = Rotation::from_quaternion([
                        half.cos() * sum.cos(),
                        half.sin() * difference.sin(),
                        half.sin() * difference.cos(),
                        half.cos() * sum.sin(),
                    ]);
                    mean += weight * log(&rotation).exp() / f64::from(N * N);
                }
            }
        }
        mean.ln()
    }
}
