//! The density of a tree of internal coordinates, turned uniformly. With `r_k`, `theta_k`, `phi_k` of the atoms that are
//! placed one after another,
//! ```text
//! p(d_1, d_2, ...) = prod p(r_k) prod p(theta_k) prod p(phi_k) / (8 pi^2 prod r_k^2 prod sin theta_k)
//! ```
//! because an atom at distance `r`, angle `theta` and dihedral `phi` from earlier ones has the volume element
//! `r^2 sin theta dr dtheta dphi`, and what the first atoms lack in angles and dihedrals are the rotations, of volume
//! `8 pi^2` (`4 pi` for two atoms). A dihedral's density is the sum over all its turns. Where half of the geometries are
//! mirrored, the density is the mean of those of `phi_k` and of `-phi_k`.

use std::f64::consts::PI;

use super::error::DensityError;
use crate::geometry::{AngleLaw, DihedralLaw, InternalCoordinates, Step};
use crate::units::BOHR_ANGSTROM;

/// A bond angle closer to 0 or 180 degrees than this (radians) counts as this far, where the density may diverge.
const LEAST_SINE: f64 = 1e-9;
const DEGREES_PER_RADIAN: f64 = 180.0 / PI;

/// The density of relative positions.
#[derive(Debug, Clone)]
pub(super) struct InternalDensity {
    law: InternalCoordinates,
    /// Log of the probability that nothing is drawn again.
    log_kept: f64,
}

impl InternalDensity {
    pub(super) fn new(law: InternalCoordinates) -> Result<Self, DensityError> {
        let singular = |reason| Err(DensityError::Singular { reason });
        let mut log_kept = 0.0;
        for step in &law.steps {
            if let Some(length) = &step.length_angstrom {
                if !length.change.atoms().is_empty() {
                    return singular("a bond length in `geometry` is fixed or clamped");
                }
                log_kept += length.probability(0.0, f64::INFINITY).ln();
            }
            let (change, kept) = match &step.angle {
                None => continue,
                Some(AngleLaw::Between(law)) => (&law.change, law.probability(0.0, 180.0)),
                Some(AngleLaw::Bend(law)) => (law, law.probability(0.0, 180.0)),
            };
            if !change.atoms().is_empty() {
                return singular("an angle in `geometry` is fixed or clamped");
            }
            log_kept += kept.ln();
            if let Some(DihedralLaw::About(law)) = &step.dihedral
                && !law.change.atoms().is_empty()
            {
                return singular("a dihedral in `geometry` is fixed or clamped");
            }
        }
        Ok(Self { law, log_kept })
    }

    pub(super) fn log_density(&self, positions: &[f64]) -> f64 {
        let mut log = -self.log_kept;
        let (mut as_is, mut mirrored) = (0.0, 0.0);
        for step in &self.law.steps {
            let there = step.placement.internal(positions);
            log += step.log_of_length_and_angle(there.length, there.angle);
            let degrees = there.dihedral.to_degrees();
            as_is += step.log_of_dihedral(degrees);
            mirrored += step.log_of_dihedral(-degrees);
        }
        // Rotations of two atoms, and of more.
        let turns = if self.law.steps.len() == 2 { 4.0 * PI } else { 8.0 * PI * PI };
        let of_dihedrals = if self.law.mirror_images {
            let (more, less) = (f64::max(as_is, mirrored), f64::min(as_is, mirrored));
            if more == f64::NEG_INFINITY {
                more
            } else {
                more + (0.5 * (1.0 + (less - more).exp())).ln()
            }
        } else {
            as_is
        };
        let log = log + of_dihedrals - turns.ln();
        if log.is_nan() { f64::NEG_INFINITY } else { log }
    }
}

impl Step {
    /// Of one atom, per volume of `r^2 dr` and `sin theta dtheta`, in bohr and radians.
    fn log_of_length_and_angle(&self, length: f64, angle: f64) -> f64 {
        let mut log = 0.0;
        if let Some(law) = &self.length_angstrom {
            log += (law.density(length * BOHR_ANGSTROM) * BOHR_ANGSTROM).ln() - 2.0 * length.ln();
        }
        if let Some(law) = &self.angle {
            let degrees = angle.to_degrees();
            let density = match law {
                AngleLaw::Between(law) => law.density(degrees),
                AngleLaw::Bend(law) => law.density(180.0 - degrees),
            };
            log += (density * DEGREES_PER_RADIAN / angle.sin().max(LEAST_SINE)).ln();
        }
        log
    }

    /// Per radian, over all turns.
    fn log_of_dihedral(&self, degrees: f64) -> f64 {
        match &self.dihedral {
            None => 0.0,
            Some(DihedralLaw::Free) => -(2.0 * PI).ln(),
            Some(DihedralLaw::About(law)) => {
                let change = degrees - law.value;
                let (low, high) = law.change.extent();
                // One turn more than the distribution has, so that tails do not end.
                let first = ((low - change) / 360.0).floor();
                let turns = ((high - change) / 360.0).ceil() - first;
                let at = |turn: usize| law.change.density(change + 360.0 * (first + turn as f64));
                let density: f64 = (0..=turns as usize).map(at).sum();
                (density * DEGREES_PER_RADIAN).ln()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::Distribution;
    use crate::frame::Rotation;
    use crate::geometry::ResolvedLaw;
    use crate::presets::OCS_WIDE;
    use crate::simulation::{Simulation, simulate};
    use crate::vector::of_atom;
    use ndarray::Array2;

    fn simulation(text: &str) -> Simulation {
        toml::from_str(text).unwrap()
    }

    fn coordinates(simulation: &Simulation) -> InternalCoordinates {
        match simulation.geometry.as_ref().unwrap().resolve(&simulation.molecule).unwrap() {
            ResolvedLaw::Internal(law) => law,
            _ => panic!("the law is another one"),
        }
    }

    /// Acetylene, in line; dichloromethane; and a chain that is chiral.
    const ACETYLENE: &str = r#"
        orientation = "random"
        [molecule]
        atoms = [
            { element = "C", charge = 1 }, { element = "C", charge = 1 },
            { element = "H", charge = 1 }, { element = "H", charge = 1 },
        ]
        [geometry]
        law = "internal"
        positions_angstrom = { C1 = [0.6, 0, 0], C2 = [-0.6, 0, 0], H1 = [1.66, 0, 0], H2 = [-1.66, 0, 0] }
        length_changes_angstrom = { distribution = "normal", mean = 0.0, sd = 0.1 }
        angle_changes_deg = { distribution = "normal", mean = 0.0, sd = 12.0 }
        lengths_angstrom = { C1-C2 = { distribution = "uniform", low = 1.0, high = 2.0 } }"#;

    const DICHLOROMETHANE: &str = r#"
        orientation = "random"
        [molecule]
        atoms = [
            { element = "H", charge = 1 }, { element = "C", charge = 2 }, { element = "Cl", charge = 11 },
            { element = "H", charge = 1 }, { element = "Cl", charge = 9 },
        ]
        [geometry]
        law = "internal"
        length_changes_angstrom = { distribution = "normal", mean = 0.0, sd = 0.1 }
        angle_changes_deg = { distribution = "uniform", low = -20.0, high = 20.0 }
        dihedral_changes_deg = { distribution = "normal", mean = 0.0, sd = 15.0 }
        [geometry.positions_angstrom]
        H1 = [0.0, 0.9, 0.63]
        C = [0.0, 0.0, 0.0]
        Cl1 = [1.47, 0.0, -0.99]
        H2 = [0.0, -0.9, 0.63]
        Cl2 = [-1.47, 0.0, -0.99]"#;

    const PEROXIDE: &str = r#"
        orientation = "random"
        [molecule]
        atoms = [
            { element = "H", charge = 1 }, { element = "O", charge = 1 },
            { element = "O", charge = 1 }, { element = "D", charge = 1 },
        ]
        [geometry]
        law = "internal"
        tree = ["O1", "O2-O1", "H-O1-O2", "D-O2-O1-H"]
        length_changes_angstrom = { distribution = "normal", mean = 0.0, sd = 0.1 }
        angle_changes_deg = { distribution = "normal", mean = 0.0, sd = 10.0 }
        dihedrals_deg = { H-O1-O2-D = { distribution = "normal", mean = 150.0, sd = 60.0 } }
        positions_angstrom = { O1 = [0, 0, 0], O2 = [1.45, 0, 0], H = [-0.17, 0.95, 0], D = [1.62, -0.34, 0.89] }"#;

    /// Determinant by elimination, apart from the code that is tested.
    fn determinant(mut a: Array2<f64>) -> f64 {
        let n = a.nrows();
        let mut product = 1.0;
        for k in 0..n {
            let pivot =
                (k..n).max_by(|&i, &j| a[[i, k]].abs().total_cmp(&a[[j, k]].abs())).unwrap();
            for c in 0..n {
                a.swap([k, c], [pivot, c]);
            }
            product *= a[[k, k]];
            for i in k + 1..n {
                let factor = a[[i, k]] / a[[k, k]];
                for c in k..n {
                    a[[i, c]] -= factor * a[[k, c]];
                }
            }
        }
        product.abs()
    }

    /// The density by the change of variables: that of lengths, angles, dihedrals and Euler angles (z, y, z), divided by
    /// the determinant of finite differences of the positions that they make.
    fn by_differences(
        law: &InternalCoordinates,
        values: &[f64],
        euler: [f64; 3],
    ) -> (Vec<f64>, f64) {
        let atoms = law.steps.len();
        let positions = |values: &[f64], euler: [f64; 3]| {
            let mut row = vec![0.0; 3 * atoms];
            let mut rest = values.iter().copied();
            for step in &law.steps {
                let mut next = |is_there: bool| if is_there { rest.next().unwrap() } else { 0.0 };
                let there = crate::geometry::Internal {
                    length: next(step.length_angstrom.is_some()),
                    angle: next(step.angle.is_some()),
                    dihedral: next(step.dihedral.is_some()),
                };
                let at = 3 * step.placement.atom;
                let position = step.placement.position(&row, &there);
                row[at..at + 3].copy_from_slice(&position);
            }
            for (axis, angle) in [(3, euler[2]), (2, euler[1]), (3, euler[0])] {
                let mut quaternion = [(0.5 * angle).cos(), 0.0, 0.0, 0.0];
                quaternion[axis] = (0.5 * angle).sin();
                Rotation::from_quaternion(quaternion).apply(&mut row);
            }
            let first = of_atom(&row, 0);
            row.iter().enumerate().map(|(c, x)| x - first[c % 3]).collect::<Vec<f64>>()
        };
        let n = 3 * (atoms - 1);
        assert_eq!(values.len() + 3, n);
        let h = 1e-4;
        let mut jacobian = Array2::zeros((n, n));
        for k in 0..n {
            let moved = |step: f64| {
                let (mut values, mut euler) = (values.to_vec(), euler);
                if k < values.len() {
                    values[k] += step;
                } else {
                    euler[k - values.len()] += step;
                }
                positions(&values, euler)
            };
            // Of order 4.
            let [a, b, c, d] = [1.0, -1.0, 2.0, -2.0].map(|step| moved(step * h));
            for i in 0..n {
                let slope = 8.0 * (a[i + 3] - b[i + 3]) - (c[i + 3] - d[i + 3]);
                jacobian[[i, k]] = slope / (12.0 * h);
            }
        }
        let of_rotation = euler[1].sin() / (8.0 * PI * PI);
        (positions(values, euler), (of_rotation / determinant(jacobian)).ln())
    }

    #[test]
    fn jacobians_are_those_of_finite_differences() {
        for (text, mirrored) in
            [(ACETYLENE, false), (DICHLOROMETHANE, false), (PEROXIDE, false), (PEROXIDE, true)]
        {
            let mut simulation = simulation(text);
            if let Some(crate::GeometryLaw::Internal(law)) = &mut simulation.geometry {
                law.mirror_images = mirrored;
            }
            let law = coordinates(&simulation);
            let density = simulation.position_density().unwrap();
            // Values near the reference: lengths (bohr), angles and dihedrals (radians), and their densities by hand.
            let mut values = Vec::new();
            let mut log = [0.0; 2];
            let normal =
                |x: f64, sd: f64| (-0.5 * (x / sd).powi(2)).exp() / (sd * (2.0 * PI).sqrt());
            for (k, step) in law.steps.iter().enumerate() {
                let shift = 0.3 * (1.0 + k as f64).sin();
                if let Some(about) = &step.length_angstrom {
                    let change = 0.1 * shift;
                    let is_uniform = matches!(about.change, Distribution::Uniform { .. });
                    let length = if is_uniform { 1.3 } else { about.value + change };
                    let p = if is_uniform { 1.0 } else { normal(change, 0.1) };
                    log = log.map(|log| log + (p * BOHR_ANGSTROM).ln());
                    values.push(length / BOHR_ANGSTROM);
                }
                match &step.angle {
                    None => {}
                    Some(AngleLaw::Between(about)) => {
                        let change = 10.0 * shift;
                        let is_uniform = matches!(about.change, Distribution::Uniform { .. });
                        let p = if is_uniform { 1.0 / 40.0 } else { normal(change, 10.0) };
                        // What lies beyond 180 degrees, 8 standard deviations away, does not count.
                        log = log.map(|log| log + (p * 180.0 / PI).ln());
                        values.push((about.value + change).to_radians());
                    }
                    Some(AngleLaw::Bend(_)) => {
                        // Rayleigh's: b / sd^2 exp(-b^2 / 2 sd^2).
                        let (bend, sd) = (9.0 + shift, 12.0);
                        let p = bend / (sd * sd) * (-0.5 * (bend / sd).powi(2)).exp();
                        log = log.map(|log| log + (p * 180.0 / PI).ln());
                        values.push((180.0 - bend).to_radians());
                    }
                }
                match &step.dihedral {
                    None => {}
                    Some(DihedralLaw::Free) => {
                        log = log.map(|log| log - (2.0 * PI).ln());
                        values.push(shift);
                    }
                    Some(DihedralLaw::About(about)) => {
                        let sd = if text == PEROXIDE { 60.0 } else { 15.0 };
                        let mean = if text == PEROXIDE { 150.0 } else { about.value };
                        let degrees = mean + sd * 2.0 * shift;
                        for (log, degrees) in log.iter_mut().zip([degrees, -degrees]) {
                            let turns =
                                (-3..=3).map(|k| normal(degrees - mean + 360.0 * f64::from(k), sd));
                            *log += (turns.sum::<f64>() * 180.0 / PI).ln();
                        }
                        values.push(degrees.to_radians());
                    }
                }
            }
            let of_coordinates =
                if mirrored { (0.5 * (log[0].exp() + log[1].exp())).ln() } else { log[0] };
            let (positions, of_volume) = by_differences(&law, &values, [0.4, 1.1, -2.0]);
            let (found, expected) = (density.log_density(&positions), of_coordinates + of_volume);
            assert!((found - expected).abs() < 1e-6, "{text}: {found} {expected}");
            assert_eq!(density.coordinates().nrows(), positions.len() - 3);
        }
    }

    /// With the laws of a triatomic the density is the triatomic's.
    #[test]
    fn three_atoms_are_a_triatomic() {
        let wide = simulation(OCS_WIDE.text);
        let density = wide.position_density().unwrap();
        let law = "law = \"internal\"\n\
            positions_angstrom = { C = [0, 0, 0], O = [-1.16, 0, 0], S = [1.56, 0, 0] }\n\
            lengths_angstrom = { O-C = { distribution = \"uniform\", low = 1, high = 5 }, C-S = { distribution = \"uniform\", low = 1, high = 5 } }\n\
            angles_deg = { O-C-S = { distribution = \"uniform\", low = 100, high = 180 } }";
        let internal = Simulation { geometry: Some(toml::from_str(law).unwrap()), ..wide.clone() };
        let same = internal.position_density().unwrap();
        let drawn = wide.draw_geometries(50, 1).unwrap();
        for row in drawn.rows() {
            let row = row.to_vec();
            let (found, expected) = (same.log_density(&row), density.log_density(&row));
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
        assert_eq!(internal.limited_quantities().unwrap().len(), 3);
    }

    /// For any density g, the mean of g / p over draws from p is the probability that g gives to the support of p. Half of
    /// the mirrored geometries have dihedrals of the other sign.
    #[test]
    fn the_density_is_that_of_the_draws() {
        let mut simulation = simulation(PEROXIDE);
        if let Some(crate::GeometryLaw::Internal(law)) = &mut simulation.geometry {
            law.mirror_images = true;
            law.dihedrals_deg.values_mut().for_each(|law| {
                *law = Distribution::Uniform { low: 20.0, high: 160.0 };
            });
        }
        let density = simulation.position_density().unwrap();
        let events = simulate(&simulation, 20_000, 3).unwrap();
        // g: the same law with other widths, mirrored to one side only; its dihedrals are within those of p.
        let mut narrow = simulation.clone();
        if let Some(crate::GeometryLaw::Internal(law)) = &mut narrow.geometry {
            law.mirror_images = false;
            law.length_changes_angstrom = Some(Distribution::Normal { mean: 0.0, sd: 0.08 });
            law.angle_changes_deg = Some(Distribution::Normal { mean: 3.0, sd: 8.0 });
            law.dihedrals_deg.values_mut().for_each(|law| {
                *law = Distribution::Uniform { low: -120.0, high: -60.0 };
            });
        }
        let narrow = narrow.position_density().unwrap();
        let (mut sum, mut squares, mut left) = (0.0, 0.0, 0);
        for row in events.positions.rows() {
            let row = row.to_vec();
            let ratio = (narrow.log_density(&row) - density.log_density(&row)).exp();
            sum += ratio;
            squares += ratio * ratio;
            left += usize::from(
                coordinates(&simulation).steps[3].placement.internal(&row).dihedral < 0.0,
            );
        }
        let n = events.positions.nrows() as f64;
        let (mean, error) = (sum / n, (squares / n).sqrt() / n.sqrt());
        assert!(error < 0.03, "the test's own law must overlap: {error}");
        assert!((mean - 1.0).abs() < 4.0 * error, "{mean} +- {error}");
        assert!((left as f64 / n - 0.5).abs() < 0.018, "{left}");
    }

    #[test]
    fn what_has_no_density_is_said() {
        let reason = |text: String| simulation(&text).position_density().unwrap_err().to_string();
        let as_drawn = ACETYLENE.replace("\"random\"", "\"as-drawn\"");
        assert!(reason(as_drawn).contains("`orientation"));
        let fixed =
            ACETYLENE.replace("\"uniform\", low = 1.0, high = 2.0", "\"fixed\", value = 1.2");
        assert!(reason(fixed).contains("a bond length"));
    }
}
