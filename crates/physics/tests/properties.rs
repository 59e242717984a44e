//! Conservation laws and symmetries of the forward model on random molecules.

use cei_physics::energy::{kinetic_energy, kinetic_energy_release, potential_energy};
use cei_physics::{
    Accuracy, AtomSpec, ExplosionError, Mode, Molecule, Rotation, explode, explode_all,
};
use ndarray::Array2;
use proptest::prelude::*;

/// What `docs/spec.md#forward-model` allows, relative to the largest momentum of the event or to its energy.
const RELATIVE: f64 = 1e-8;

#[derive(Debug)]
struct Case {
    molecule: Molecule,
    positions: Vec<f64>,
    momenta: Vec<f64>,
}

/// 2 to 10 atoms of 1 to 130 u in a cube of side 8 bohr, charges from `charges`; the first two at the given
/// distance from each other, all others at least 0.3 bohr apart; with initial momenta of a few a.u.
fn cases(charges: std::ops::Range<f64>, distance: f64) -> impl Strategy<Value = Case> {
    let atom = (1.0..130.0_f64, charges, prop::array::uniform6(-1.0..1.0_f64));
    let direction = prop::array::uniform3(0.1..1.0_f64);
    (prop::collection::vec(atom, 2..=10), direction)
        .prop_map(move |(atoms, direction)| {
            let spec = |(place, (mass, charge, _)): (usize, &(f64, f64, [f64; 6]))| AtomSpec {
                element: format!("A{place}"),
                label: None,
                mass_u: Some(*mass),
                charge: *charge,
            };
            let molecule = Molecule::new(atoms.iter().enumerate().map(spec).collect()).unwrap();
            let mut positions: Vec<f64> =
                atoms.iter().flat_map(|(_, _, u)| [4.0 * u[0], 4.0 * u[1], 4.0 * u[2]]).collect();
            let length = direction.iter().map(|c| c * c).sum::<f64>().sqrt();
            for axis in 0..3 {
                positions[3 + axis] = positions[axis] + distance * direction[axis] / length;
            }
            let momenta =
                atoms.iter().flat_map(|(_, _, u)| [5.0 * u[3], 5.0 * u[4], 5.0 * u[5]]).collect();
            Case { molecule, positions, momenta }
        })
        .prop_filter("other atoms too close", |case| {
            let atoms = case.molecule.atom_count();
            (2..atoms).all(|i| (0..i).all(|j| separation(&case.positions, i, j) > 0.3))
        })
}

fn separation(positions: &[f64], i: usize, j: usize) -> f64 {
    (0..3)
        .map(|axis| (positions[3 * i + axis] - positions[3 * j + axis]).powi(2))
        .sum::<f64>()
        .sqrt()
}

fn total(momenta: &[f64], axis: usize) -> f64 {
    momenta[axis..].iter().step_by(3).sum()
}

fn largest(row: &[f64]) -> f64 {
    row.iter().fold(0.0, |max, value| max.max(value.abs()))
}

fn exploded(case: &Case) -> Vec<f64> {
    let mut momenta = vec![f64::NAN; case.positions.len()];
    let accuracy = Accuracy::default();
    explode(&case.molecule, &case.positions, Some(&case.momenta), &accuracy, &mut momenta).unwrap();
    momenta
}

/// The lanes against the scalar path.
fn assert_as_the_reference(case: &Case) {
    let mut expected = vec![f64::NAN; case.positions.len()];
    let reference = Accuracy { mode: Mode::Reference, ..Accuracy::default() };
    explode(&case.molecule, &case.positions, Some(&case.momenta), &reference, &mut expected)
        .unwrap();
    let tolerance = 1e-9 * largest(&expected);
    approx::assert_abs_diff_eq!(exploded(case)[..], expected[..], epsilon = tolerance);
}

fn assert_conserved(case: &Case) {
    let final_momenta = exploded(case);
    let before = potential_energy(&case.molecule, &case.positions)
        + kinetic_energy(&case.molecule, &case.momenta);
    let after = kinetic_energy(&case.molecule, &final_momenta);
    assert!((after / before - 1.0).abs() < RELATIVE, "energy {before} became {after}");
    for axis in 0..3 {
        let change = total(&final_momenta, axis) - total(&case.momenta, axis);
        assert!(
            change.abs() < 1e-12 * largest(&final_momenta),
            "total momentum changed by {change}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn energy_and_momentum_are_conserved(case in cases(0.2..4.0, 1.5)) {
        assert_conserved(&case);
    }

    #[test]
    fn energy_and_momentum_are_conserved_in_close_encounters(case in cases(0.2..4.0, 0.05)) {
        assert_conserved(&case);
    }

    #[test]
    fn lanes_agree_with_the_reference(case in cases(0.2..4.0, 1.5)) {
        assert_as_the_reference(&case);
    }

    #[test]
    fn lanes_agree_with_the_reference_in_close_encounters(case in cases(0.2..4.0, 0.05)) {
        assert_as_the_reference(&case);
    }

    #[test]
    fn a_tenth_of_the_tolerance_changes_nothing(case in cases(0.2..4.0, 0.05)) {
        let mut tighter = vec![f64::NAN; case.positions.len()];
        let accuracy = Accuracy { tolerance: Accuracy::default().tolerance / 10.0, ..Accuracy::default() };
        explode(&case.molecule, &case.positions, Some(&case.momenta), &accuracy, &mut tighter).unwrap();
        let tolerance = RELATIVE * largest(&tighter);
        approx::assert_abs_diff_eq!(exploded(&case)[..], tighter[..], epsilon = tolerance);
    }

    #[test]
    fn neutral_atoms_fly_on(mut case in cases(0.0..1e-300, 1.0)) {
        // Charges this small multiply to zero: nothing interacts.
        prop_assert_eq!(exploded(&case), case.momenta.clone());
        case.momenta.fill(0.0);
        prop_assert_eq!(exploded(&case), case.momenta);
    }

    #[test]
    fn momenta_turn_with_the_molecule(
        mut case in cases(0.2..4.0, 1.0),
        quaternion in prop::array::uniform4(0.1..1.0_f64),
    ) {
        case.momenta.fill(0.0);
        let rotation = Rotation::from_quaternion(quaternion);
        let mut expected = exploded(&case);
        rotation.apply(&mut expected);
        rotation.apply(&mut case.positions);
        let tolerance = RELATIVE * largest(&expected);
        approx::assert_abs_diff_eq!(exploded(&case)[..], expected[..], epsilon = tolerance);
    }

    /// Charges times q and lengths times s: momenta times q / sqrt s.
    #[test]
    fn momenta_scale_as_the_coulomb_law_does(
        mut case in cases(0.2..4.0, 1.0),
        q in 0.01..10.0_f64,
        s in 0.1..10.0_f64,
    ) {
        case.momenta.fill(0.0);
        let expected: Vec<f64> = exploded(&case).iter().map(|p| p * q / s.sqrt()).collect();
        let mut atoms = case.molecule.atoms().to_vec();
        atoms.iter_mut().for_each(|atom| atom.charge *= q);
        case.molecule = Molecule::new(atoms).unwrap();
        case.positions.iter_mut().for_each(|x| *x *= s);
        let tolerance = RELATIVE * largest(&expected);
        approx::assert_abs_diff_eq!(exploded(&case)[..], expected[..], epsilon = tolerance);
    }
}

/// Rutherford: a proton sent at a gold nucleus (79 charges, far heavier) with impact parameter b leaves under
/// `tan(theta / 2) = q1 q2 / (2 E b)`, with E and theta those of the relative motion.
#[test]
fn a_collision_scatters_by_rutherfords_formula() {
    let atom = |label: &str, mass_u, charge| AtomSpec {
        element: label.to_owned(),
        label: None,
        mass_u: Some(mass_u),
        charge,
    };
    let molecule = Molecule::new(vec![atom("p", 1.0, 1.0), atom("Au", 1e12, 79.0)]).unwrap();
    // The target is as good as fixed: E = p^2 / 2m with p = 400 a.u., at a distance where V / E is 1e-6.
    let (momentum, impact) = (400.0_f64, 1.3_f64);
    let energy = momentum * momentum / (2.0 * molecule.masses()[0]);
    let start = 79.0 / (energy * 1e-6);
    let mut momenta = [0.0; 6];
    explode(
        &molecule,
        &[-start, impact, 0.0, 0.0, 0.0, 0.0],
        Some(&[momentum, 0.0, 0.0, 0.0, 0.0, 0.0]),
        &Accuracy::default(),
        &mut momenta,
    )
    .unwrap();
    let expected = 2.0 * (79.0 / (2.0 * energy * impact)).atan();
    let found = momenta[1].atan2(momenta[0]);
    // The finite start costs about V / E = 1e-6.
    approx::assert_relative_eq!(found, expected, max_relative = 3e-6);
}

fn ion_pair(charges: [f64; 2]) -> Molecule {
    Molecule::new(vec![AtomSpec::new("Na", charges[0]), AtomSpec::new("Cl", charges[1])]).unwrap()
}

#[test]
fn opposite_charges_fly_apart_only_above_the_escape_energy() {
    let salt = ion_pair([1.0, -1.0]);
    let positions = [0.0, 0.0, 0.0, 4.0, 0.0, 0.0];
    let mut out = [0.0; 6];
    let bound = explode(&salt, &positions, None, &Accuracy::default(), &mut out).unwrap_err();
    // V = -1/4 hartree
    let ExplosionError::Bound { energy_ev } = bound else { panic!("{bound}") };
    approx::assert_relative_eq!(energy_ev, -27.211386245988 / 4.0, max_relative = 1e-12);
    // Relative motion with 1 hartree leaves with 3/4.
    let mass = salt.masses()[0] * salt.masses()[1] / (salt.masses()[0] + salt.masses()[1]);
    let p = (2.0 * mass).sqrt();
    let away = [-p, 0.0, 0.0, p, 0.0, 0.0];
    explode(&salt, &positions, Some(&away), &Accuracy::default(), &mut out).unwrap();
    approx::assert_relative_eq!(kinetic_energy_release(&salt, &out), 0.75, max_relative = 1e-9);
}

#[test]
fn a_bound_pair_in_a_flying_molecule_is_an_error() {
    // Na+ and Cl- stay together while a third, charged ion leaves at high speed.
    let atoms = vec![AtomSpec::new("Na", 1.0), AtomSpec::new("Cl", -1.0), AtomSpec::new("H", 1.0)];
    let molecule = Molecule::new(atoms).unwrap();
    let positions = [0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 50.0, 0.0, 0.0];
    // Sideways momenta keep the pair from colliding head-on.
    let momenta = [0.0, 40.0, 0.0, 0.0, -40.0, 0.0, 500.0, 0.0, 0.0];
    let accuracy = Accuracy { max_steps: 2_000, ..Accuracy::default() };
    let error =
        explode(&molecule, &positions, Some(&momenta), &accuracy, &mut [0.0; 9]).unwrap_err();
    let ExplosionError::NotApart { first, second, steps, .. } = &error else { panic!("{error}") };
    assert_eq!((first.as_str(), second.as_str(), *steps), ("Na", "Cl", 2_000));
}

#[test]
fn few_steps_are_not_enough_for_repelling_ions_either() {
    let accuracy = Accuracy { max_steps: 3, ..Accuracy::default() };
    let positions = [0.0, 0.0, 0.0, 4.0, 0.0, 0.0];
    let error =
        explode(&ion_pair([1.0, 1.0]), &positions, None, &accuracy, &mut [0.0; 6]).unwrap_err();
    assert!(matches!(error, ExplosionError::NotApart { steps: 3, .. }), "{error}");
}

#[test]
fn bad_rows_are_errors_that_name_the_atoms() {
    let pair = ion_pair([1.0, 1.0]);
    let message = |positions: &[f64], out: &mut [f64]| {
        explode(&pair, positions, None, &Accuracy::default(), out).unwrap_err().to_string()
    };
    let same = message(&[1.0, 2.0, 3.0, 1.0, 2.0, 3.0], &mut [0.0; 6]);
    assert!(same.starts_with("atoms `Na` and `Cl` coincide"), "{same}");
    let nan = message(&[1.0, 2.0, 3.0, 1.0, f64::NAN, 3.0], &mut [0.0; 6]);
    assert_eq!(nan, "positions of atom `Cl` are not finite");
    assert!(message(&[0.0; 5], &mut [0.0; 6]).starts_with("positions have 5 components"));
    assert!(message(&[0.0; 6], &mut [0.0; 9]).starts_with("final momenta have 9 components"));
    let coarse = Accuracy { tolerance: 0.1, ..Accuracy::default() };
    let error = explode(&pair, &[0.0; 6], None, &coarse, &mut [0.0; 6]).unwrap_err();
    assert!(error.to_string().starts_with("`accuracy.tolerance`: `0.1`"));
}

#[test]
fn a_bad_row_does_not_stop_the_batch() {
    let pair = ion_pair([1.0, 1.0]);
    let mut positions =
        Array2::from_shape_fn((3, 6), |(row, column)| (row * 7 + column * column) as f64);
    positions.row_mut(1).fill(0.5);
    let momenta = explode_all(&pair, positions.view(), &Accuracy::default()).unwrap();
    assert!(momenta.row(1).iter().all(|p| p.is_nan()));
    for row in [0, 2] {
        let mut single = [0.0; 6];
        let position = positions.row(row).to_vec();
        explode(&pair, &position, None, &Accuracy::default(), &mut single).unwrap();
        assert_eq!(momenta.row(row).to_vec(), single);
    }
    let error = explode_all(&pair, Array2::zeros((1, 9)).view(), &Accuracy::default()).unwrap_err();
    assert!(matches!(error, ExplosionError::Components { found: 9, atoms: 2, .. }));
}
