//! The golden values of `docs/spec.md#reference-values`.

use cei_physics::energy::{kinetic_energy, potential_energy};
use cei_physics::units::{BOHR_PM, HARTREE_EV};
use cei_physics::{Accuracy, AtomSpec, FrameRule, Molecule, explode};

const C: usize = 0;
const O: usize = 1;
const S: usize = 2;

fn molecule(atoms: &[(&str, f64, f64)]) -> Molecule {
    let spec = |&(label, mass_u, charge): &(&str, f64, f64)| AtomSpec {
        element: label.to_owned(),
        label: None,
        mass_u: Some(mass_u),
        charge,
    };
    Molecule::new(atoms.iter().map(spec).collect()).unwrap()
}

fn ocs(masses_u: [f64; 3], charge: f64) -> Molecule {
    let [c, o, s] = masses_u;
    molecule(&[("C", c, charge), ("O", o, charge), ("S", s, charge)])
}

/// C at the origin, O on +x, S at the angle.
fn bent(r_co_pm: f64, r_cs_pm: f64, angle_deg: f64) -> [f64; 9] {
    let (sin, cos) = angle_deg.to_radians().sin_cos();
    let (r_co, r_cs) = (r_co_pm / BOHR_PM, r_cs_pm / BOHR_PM);
    [0.0, 0.0, 0.0, r_co, 0.0, 0.0, r_cs * cos, r_cs * sin, 0.0]
}

fn momenta_of(molecule: &Molecule, positions: &[f64]) -> Vec<f64> {
    let mut momenta = vec![f64::NAN; positions.len()];
    explode(molecule, positions, None, &Accuracy::default(), &mut momenta).unwrap();
    momenta
}

fn ker_ev(molecule: &Molecule, momenta: &[f64]) -> f64 {
    kinetic_energy(molecule, momenta) * HARTREE_EV
}

fn length(momenta: &[f64], atom: usize) -> f64 {
    momenta[3 * atom..3 * atom + 3].iter().map(|p| p * p).sum::<f64>().sqrt()
}

#[test]
fn two_unit_masses_share_one_hartree() {
    let pair = molecule(&[("A", 1.0, 1.0), ("B", 1.0, 1.0)]);
    let momenta = momenta_of(&pair, &[0.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    // p = sqrt(2 mu V) = sqrt(1822.888486209)
    let p = 1822.888486209_f64.sqrt();
    approx::assert_abs_diff_eq!(p, 42.69530, epsilon = 5e-6);
    let expected = [0.0, -p, 0.0, 0.0, p, 0.0];
    approx::assert_abs_diff_eq!(momenta[..], expected[..], epsilon = 1e-9 * p);
    approx::assert_relative_eq!(kinetic_energy(&pair, &momenta), 1.0, max_relative = 1e-9);
}

#[test]
fn an_equilateral_triangle_opens_radially() {
    let triangle = molecule(&[("A", 1.0, 1.0), ("B", 1.0, 1.0), ("D", 1.0, 1.0)]);
    let height = 3.0_f64.sqrt();
    let positions =
        [-1.0, -height / 3.0, 0.0, 1.0, -height / 3.0, 0.0, 0.0, 2.0 * height / 3.0, 0.0];
    let momenta = momenta_of(&triangle, &positions);
    // Circumradius 2 / sqrt 3: the unit vector outward is position * sqrt(3) / 2.
    let outward = positions.map(|c| 42.69530 * c * height / 2.0);
    approx::assert_abs_diff_eq!(momenta[..], outward[..], epsilon = 5e-6);
    approx::assert_relative_eq!(kinetic_energy(&triangle, &momenta), 1.5, max_relative = 1e-9);
}

#[test]
fn carbonyl_sulfide_at_175_degrees() {
    // Charge 1, then charge 2: energies scale with q^2, momenta with q. The half digit is the printed one.
    let cases = [
        (1.0, 26.970, [[46.922, 0.0], [104.620, -147.182], [-151.542, 147.182]]),
        (2.0, 107.880, [[93.844, 0.0], [209.240, -294.365], [-303.085, 294.365]]),
    ];
    for (charge, ker, expected) in cases {
        let molecule = ocs([12.011, 15.999, 32.06], charge);
        let mut momenta = momenta_of(&molecule, &bent(115.78, 156.01, 175.0));
        approx::assert_abs_diff_eq!(ker_ev(&molecule, &momenta), ker, epsilon = 5e-4);
        FrameRule { x_axis: C, xy_plane: S }.rotation(&momenta).apply(&mut momenta);
        for (atom, [x, y]) in expected.into_iter().enumerate() {
            let found = &momenta[3 * atom..3 * atom + 3];
            approx::assert_abs_diff_eq!(found, &[x, y, 0.0][..], epsilon = 5.5e-4);
        }
    }
}

#[test]
fn two_different_geometries_give_the_same_momenta() {
    let molecule = ocs([12.0, 16.0, 32.0], 2.0);
    let rows = [bent(121.053, 184.211, 163.158), bent(141.32, 154.03, 161.38)].map(|positions| {
        let mut momenta = momenta_of(&molecule, &positions);
        FrameRule { x_axis: S, xy_plane: O }.rotation(&momenta).apply(&mut momenta);
        momenta
    });
    for momenta in &rows {
        // Printed with one decimal ("about"), KER with two; the geometries have that precision.
        for (atom, expected) in [(O, 319.5), (C, 177.4), (S, 362.9)] {
            approx::assert_abs_diff_eq!(length(momenta, atom), expected, epsilon = 0.06);
        }
        approx::assert_abs_diff_eq!(ker_ev(&molecule, momenta), 97.91, epsilon = 0.006);
    }
    // The second geometry is given to 0.01 pm and 0.01 degrees, about 0.05 a.u. of momentum.
    approx::assert_abs_diff_eq!(rows[0][..], rows[1][..], epsilon = 0.05);
}

#[test]
fn the_initial_energy_is_the_released_one() {
    let molecule = ocs([12.011, 15.999, 32.06], 2.0);
    let positions = bent(115.78, 156.01, 175.0);
    let released = kinetic_energy(&molecule, &momenta_of(&molecule, &positions));
    let stored = potential_energy(&molecule, &positions);
    approx::assert_relative_eq!(released, stored, max_relative = 1e-10);
}
