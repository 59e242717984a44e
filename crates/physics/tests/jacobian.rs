//! The Jacobian of final momenta by positions against finite differences of the explosion itself.

use cei_physics::presets::{CHBRCLF, OCS_REFERENCE, OCS_WIDE, Preset};
use cei_physics::{
    Accuracy, Charging, Exploder, Mode, Molecule, Simulation, Varied, explode_all,
    explode_linearised, simulate,
};
use ndarray::{Array1, Array2, Array3, Axis, concatenate, s};

fn events(preset: Preset, count: usize) -> (Molecule, Array2<f64>) {
    let simulation: Simulation = toml::from_str(preset.text).unwrap();
    let events = simulate(&simulation, count, 3).unwrap();
    (simulation.molecule, events.positions)
}

/// Central differences of order 6 with a step of 1e-2 times the shortest distance (errors about 1e-9).
fn differences(molecule: &Molecule, positions: &Array2<f64>, step: f64) -> Array3<f64> {
    let accuracy = Accuracy { tolerance: 1e-13, ..Accuracy::default() };
    differences_of(positions, step, |moved| explode_all(molecule, moved.view(), &accuracy).unwrap())
}

fn differences_of(
    positions: &Array2<f64>,
    step: f64,
    explode: impl Fn(&Array2<f64>) -> Array2<f64>,
) -> Array3<f64> {
    let (rows, columns) = positions.dim();
    let mut jacobian = Array3::zeros((rows, columns, columns));
    for column in 0..columns {
        for (steps, weight) in [(1.0, 45.0), (2.0, -9.0), (3.0, 1.0)] {
            for sign in [1.0, -1.0] {
                let mut moved = positions.clone();
                moved.column_mut(column).mapv_inplace(|x| x + sign * steps * step);
                let momenta = explode(&moved);
                let mut slice = jacobian.slice_mut(s![.., .., column]);
                slice.scaled_add(sign * weight / (60.0 * step), &momenta);
            }
        }
    }
    jacobian
}

/// Largest deviation of any entry, relative to the row's largest entry.
fn largest_deviation(found: &Array3<f64>, expected: &Array3<f64>) -> f64 {
    let rows = found.axis_iter(Axis(0)).zip(expected.axis_iter(Axis(0)));
    rows.map(|(found, expected)| {
        let scale = expected.iter().fold(0.0, |max: f64, e| max.max(e.abs()));
        let worst = (&found - &expected)
            .iter()
            .fold(0.0, |max: f64, e| if e.is_nan() { f64::INFINITY } else { max.max(e.abs()) });
        worst / scale
    })
    .fold(0.0, f64::max)
}

#[test]
fn jacobians_agree_with_finite_differences() {
    for (preset, step) in [(OCS_WIDE, 5e-3), (OCS_REFERENCE, 5e-3), (CHBRCLF, 1e-3)] {
        let (molecule, positions) = events(preset, 100);
        let expected = differences(&molecule, &positions, step);
        let (momenta, found) =
            explode_linearised(&molecule, positions.view(), &Accuracy::default()).unwrap();
        let deviation = largest_deviation(&found, &expected);
        let preset = preset.name;
        assert!(deviation < 1e-6, "{preset}: {deviation}");
        let plain = explode_all(&molecule, positions.view(), &Accuracy::default()).unwrap();
        let apart = (&momenta - &plain).iter().fold(0.0, |max: f64, e| max.max(e.abs()));
        assert!(apart < 1e-6, "{preset}: momenta differ by {apart} a.u.");
        // The fast mode promises 4.5e-5 of the momenta at worst, and its Jacobian is of the same quality.
        let (_, fast) = explode_linearised(&molecule, positions.view(), &Accuracy::fast()).unwrap();
        let deviation = largest_deviation(&fast, &expected);
        assert!(deviation < 2e-3, "{preset}, fast: {deviation}");
    }
}

/// Linear and nearly linear molecules, where turning about the axis moves nothing, and two atoms.
#[test]
fn linear_molecules_have_a_jacobian() {
    let (molecule, _) = events(OCS_WIDE, 1);
    for bend in [0.0, 1e-6, 1e-3, 0.02, 0.05, 0.1] {
        let row = [0.1, 0.2, 0.3, 2.1, 0.2 + bend, 0.3 - bend, -3.0, 0.2, 0.3];
        let positions = Array2::from_shape_vec((1, 9), row.to_vec()).unwrap();
        let (_, found) =
            explode_linearised(&molecule, positions.view(), &Accuracy::default()).unwrap();
        let deviation = largest_deviation(&found, &differences(&molecule, &positions, 5e-3));
        assert!(deviation < 1e-6, "bend {bend}: {deviation}");
    }
    let pair: Molecule = toml::from_str(
        "atoms = [{ element = \"C\", charge = 1 }, { element = \"O\", charge = 2 }]",
    )
    .unwrap();
    let positions = Array2::from_shape_vec((1, 6), vec![0.0, 0.0, 0.0, 1.0, 1.5, -0.5]).unwrap();
    let (_, found) = explode_linearised(&pair, positions.view(), &Accuracy::default()).unwrap();
    let deviation = largest_deviation(&found, &differences(&pair, &positions, 2e-3));
    assert!(deviation < 1e-6, "two atoms: {deviation}");
}

/// The path of events that no lane takes: attraction, and the reference mode.
#[test]
fn attraction_has_a_jacobian_too_and_bad_rows_are_nan() {
    let molecule: Molecule = toml::from_str(
        "atoms = [{ element = \"C\", charge = 3 }, { element = \"O\", charge = -0.2 }, \
         { element = \"S\", charge = 2 }]",
    )
    .unwrap();
    // The weak anion is far from the two cations, which fly apart along x.
    let row = [0.0, 0.0, 0.0, 0.0, 40.0, 0.0, 3.0, 0.0, 0.0];
    let positions = Array2::from_shape_vec((1, 9), row.to_vec()).unwrap();
    let plain = explode_all(&molecule, positions.view(), &Accuracy::default()).unwrap();
    assert!(plain.iter().all(|p| p.is_finite()));
    let (momenta, found) =
        explode_linearised(&molecule, positions.view(), &Accuracy::default()).unwrap();
    assert!((&momenta - &plain).iter().all(|e| e.abs() < 1e-5));
    let deviation = largest_deviation(&found, &differences(&molecule, &positions, 5e-3));
    assert!(deviation < 1e-5, "attraction: {deviation}");
    let (molecule, positions) = events(OCS_WIDE, 5);
    let reference = Accuracy { mode: Mode::Reference, ..Accuracy::default() };
    let (_, scalar) = explode_linearised(&molecule, positions.view(), &reference).unwrap();
    let (_, lanes) = explode_linearised(&molecule, positions.view(), &Accuracy::default()).unwrap();
    assert!(largest_deviation(&scalar, &lanes) < 1e-6);
    let mut bad = positions;
    bad[[2, 4]] = f64::NAN;
    let same = bad.slice(s![1, 0..3]).to_owned();
    bad.slice_mut(s![1, 3..6]).assign(&Array1::from(same.to_vec()));
    let (momenta, jacobians) =
        explode_linearised(&molecule, bad.view(), &Accuracy::default()).unwrap();
    for row in 0..5 {
        let is_bad = row == 1 || row == 2;
        assert_eq!(momenta.row(row).iter().all(|p| p.is_nan()), is_bad);
        assert_eq!(jacobians.index_axis(Axis(0), row).iter().all(|p| p.is_nan()), is_bad);
    }
}

/// Charges that take time have exact Jacobians too, in the lanes; outside of them differences.
#[test]
fn charging_has_a_jacobian() {
    for (preset, step, atom) in [(OCS_WIDE, 5e-3, "C"), (CHBRCLF, 1e-3, "Br")] {
        let (molecule, positions) = events(preset, 20);
        let name = preset.name;
        let initial = format!("initial_charges = {{ {atom} = 0.5 }}");
        for text in [
            "kind = \"exponential\"\ntau_fs = 10".to_owned(),
            format!("kind = \"exponential\"\ntau_fs = 30\n{initial}"),
            "kind = \"linear\"\ntau_fs = 5".to_owned(),
            format!("kind = \"linear\"\ntau_fs = 60\n{initial}"),
            "kind = \"pulse\"\nfwhm_fs = 15".to_owned(),
            format!("kind = \"pulse\"\nfwhm_fs = 40\n{initial}"),
            format!("kind = \"transfer\"\natom = \"{atom}\"\ntau_fs = 10\nrate_per_fs = 0.1"),
        ] {
            let charging: Charging = toml::from_str(&text).unwrap();
            let exploder =
                |accuracy: Accuracy| Exploder::new(&molecule, &charging, &accuracy).unwrap();
            let precise = exploder(Accuracy { tolerance: 1e-13, ..Accuracy::default() });
            let expected =
                differences_of(&positions, step, |p| precise.explode_all(p.view()).unwrap());
            let (momenta, found) =
                exploder(Accuracy::default()).explode_linearised(positions.view()).unwrap();
            let deviation = largest_deviation(&found, &expected);
            assert!(deviation < 1e-6, "{name} {text}: {deviation}");
            let plain = exploder(Accuracy::default()).explode_all(positions.view()).unwrap();
            let apart = (&momenta - &plain).iter().fold(0.0, |max: f64, e| max.max(e.abs()));
            assert!(apart < 1e-6, "{name} {text}: momenta differ by {apart} a.u.");
            let (_, fast) =
                exploder(Accuracy::fast()).explode_linearised(positions.view()).unwrap();
            let deviation = largest_deviation(&fast, &expected);
            assert!(deviation < 2e-3, "{name} {text}, fast: {deviation}");
            let few = positions.slice(s![..2, ..]);
            let reference = Accuracy { mode: Mode::Reference, ..Accuracy::default() };
            let (_, scalar) = exploder(reference).explode_linearised(few).unwrap();
            let deviation = largest_deviation(&scalar, &expected.slice(s![..2, .., ..]).to_owned());
            assert!(deviation < 1e-6, "{name} {text}, scalar: {deviation}");
        }
    }
}

/// A linear molecule, where rotations are not used, and two atoms.
#[test]
fn charging_has_a_jacobian_for_linear_molecules() {
    let (molecule, _) = events(OCS_WIDE, 1);
    let pair: Molecule = toml::from_str(
        "atoms = [{ element = \"C\", charge = 1 }, { element = \"O\", charge = 2 }]",
    )
    .unwrap();
    let charging: Charging = toml::from_str("kind = \"linear\"\ntau_fs = 8").unwrap();
    for (molecule, row) in [
        (&molecule, vec![0.1, 0.2, 0.3, 2.1, 0.2, 0.3, -3.0, 0.2, 0.3]),
        (&pair, vec![0.0, 0.0, 0.0, 1.0, 1.5, -0.5]),
    ] {
        let positions = Array2::from_shape_vec((1, row.len()), row).unwrap();
        let exploder = |tolerance: f64| {
            let accuracy = Accuracy { tolerance, ..Accuracy::default() };
            Exploder::new(molecule, &charging, &accuracy).unwrap()
        };
        let precise = exploder(1e-13);
        let expected = differences_of(&positions, 3e-3, |p| precise.explode_all(p.view()).unwrap());
        let (_, found) = exploder(1e-10).explode_linearised(positions.view()).unwrap();
        let deviation = largest_deviation(&found, &expected);
        assert!(deviation < 1e-6, "{:?}: {deviation}", molecule.labels());
    }
}

/// Six and more ions, which one code of the lanes serves whatever their number.
#[test]
fn charging_has_a_jacobian_for_larger_molecules() {
    for atoms in [6, 7, 10] {
        let list: Vec<String> = (0..atoms)
            .map(|k| format!("{{ element = \"C\", label = \"C{k}\", charge = {} }}", 1 + k % 3))
            .collect();
        let molecule: Molecule = toml::from_str(&format!("atoms = [{}]", list.join(", "))).unwrap();
        let row = (0..atoms).flat_map(|k| {
            let k = k as f64;
            [2.5 * k.sin() + 0.2 * k, 2.5 * k.cos(), 1.1 * (1.7 * k).sin()]
        });
        let positions = Array2::from_shape_vec((1, 3 * atoms), row.collect()).unwrap();
        for text in [
            "kind = \"exponential\"\ntau_fs = 10",
            "kind = \"linear\"\ntau_fs = 8",
            "kind = \"pulse\"\nfwhm_fs = 15\ninitial_charges = { C1 = 0.5 }",
            "kind = \"transfer\"\natom = \"C2\"\ntau_fs = 10\nrate_per_fs = 0.1",
        ] {
            let charging: Charging = toml::from_str(text).unwrap();
            let exploder = |tolerance: f64| {
                let accuracy = Accuracy { tolerance, ..Accuracy::default() };
                Exploder::new(&molecule, &charging, &accuracy).unwrap()
            };
            let precise = exploder(1e-13);
            let expected =
                differences_of(&positions, 3e-3, |p| precise.explode_all(p.view()).unwrap());
            let (momenta, found) = exploder(1e-10).explode_linearised(positions.view()).unwrap();
            let deviation = largest_deviation(&found, &expected);
            assert!(deviation < 1e-6, "{atoms} atoms, {text}: {deviation}");
            let plain = exploder(1e-10).explode_all(positions.view()).unwrap();
            let apart = (&momenta - &plain).iter().fold(0.0, |max: f64, e| max.max(e.abs()));
            assert!(apart < 1e-6, "{atoms} atoms, {text}: momenta differ by {apart} a.u.");
        }
    }
}

/// Ions that move at the start: derivatives by positions, times and these momenta against central differences of order
/// 4, for charges that are there at once and for those that take time, in the lanes and outside of them.
#[test]
fn ions_that_move_have_derivatives() {
    for (preset, step) in [(OCS_WIDE, 5e-3), (CHBRCLF, 5e-4)] {
        let (molecule, positions) = events(preset, 6);
        let columns = positions.ncols();
        let balanced =
            |row: usize, component: usize| 2.0 * (row as f64 + 1.7 * component as f64).sin();
        let mut initial =
            Array2::from_shape_fn((6, columns), |(row, column)| balanced(row, column));
        for mut row in initial.rows_mut() {
            for axis in 0..3 {
                row[columns - 3 + axis] -= row.slice(s![axis..;3]).sum();
            }
        }
        for text in [
            "kind = \"instantaneous\"",
            "kind = \"exponential\"\ntau_fs = 10",
            "kind = \"linear\"\ntau_fs = 8",
            "kind = \"exponential\"\ntau_fs = { distribution = \"uniform\", low = 0, high = 40 }",
        ] {
            let charging: Charging = toml::from_str(text).unwrap();
            let exploder =
                |accuracy: Accuracy| Exploder::new(&molecule, &charging, &accuracy).unwrap();
            let inputs = exploder(Accuracy::default()).inputs();
            let rows = Array2::from_shape_fn((6, inputs), |(row, column)| {
                if column < columns { positions[[row, column]] } else { 4.0 + 5.0 * row as f64 }
            });
            let precise = exploder(Accuracy { tolerance: 1e-13, ..Accuracy::default() });
            // By an input, or beyond them by a momentum that the last atom balances.
            let expected = |row: usize, number: usize| {
                let h = if number < columns { step } else { 0.02 };
                let at = |size: f64| {
                    let (mut input, mut start) = (
                        rows.slice(s![row..=row, ..]).to_owned(),
                        initial.slice(s![row..=row, ..]).to_owned(),
                    );
                    match number.checked_sub(inputs) {
                        None => input[[0, number]] += size,
                        Some(kick) => {
                            start[[0, kick]] += size;
                            start[[0, columns - 3 + kick % 3]] -= size;
                        }
                    }
                    precise.explode_moving(input.view(), start.view()).unwrap().row(0).to_owned()
                };
                (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h)
            };
            let plain = exploder(Accuracy::default());
            let plain = plain.explode_moving(rows.view(), initial.view()).unwrap();
            for mode in [Mode::Precise, Mode::Reference] {
                let exploder = exploder(Accuracy { mode, ..Accuracy::default() });
                let Varied { momenta, by_input, by_kick } =
                    exploder.explode_varied(rows.view(), initial.view()).unwrap();
                assert_eq!(by_input.dim(), (6, columns, inputs));
                assert_eq!(by_kick.dim(), (6, columns, columns - 3));
                assert!((&momenta - &plain).iter().all(|e| e.abs() < 1e-6));
                for row in 0..if mode == Mode::Precise { 6 } else { 1 } {
                    let found = concatenate![
                        Axis(1),
                        by_input.index_axis(Axis(0), row),
                        by_kick.index_axis(Axis(0), row)
                    ];
                    let parts = [0..columns, columns..inputs, inputs..inputs + columns - 3];
                    for numbers in parts {
                        let entries = found.slice(s![.., numbers.clone()]);
                        let largest = entries.iter().fold(0.0, |most: f64, e| most.max(e.abs()));
                        for number in numbers {
                            let apart = &found.column(number) - &expected(row, number);
                            let error = apart.iter().fold(0.0, |most: f64, e| most.max(e.abs()));
                            let error = error / largest;
                            assert!(error < 1e-6, "{text} {mode:?} {row} {number}: {error:e}");
                        }
                    }
                }
            }
        }
    }
}

/// More ions than have code of their own: eleven and fourteen, and as many as there may be.
#[test]
fn large_molecules_have_a_jacobian() {
    for atoms in [11, 14, 32] {
        let list = ["{ element = \"C\", charge = 2 }", "{ element = \"H\", charge = 1 }"];
        let list: Vec<&str> = (0..atoms).map(|k| list[k % 2]).collect();
        let molecule: Molecule = toml::from_str(&format!("atoms = [{}]", list.join(", "))).unwrap();
        // On a spiral round a sphere, a little aside.
        let row = (0..atoms).flat_map(|k| {
            let (height, angle) = (1.0 - (2 * k + 1) as f64 / atoms as f64, 2.4 * k as f64);
            let across = (1.0 - height * height).sqrt();
            let radius = 6.0 + 0.5 * (5.0 * k as f64).sin();
            [radius * across * angle.cos(), radius * across * angle.sin(), radius * height]
        });
        let positions = Array2::from_shape_vec((1, 3 * atoms), row.collect()).unwrap();
        let (momenta, found) =
            explode_linearised(&molecule, positions.view(), &Accuracy::default()).unwrap();
        let deviation = largest_deviation(&found, &differences(&molecule, &positions, 5e-3));
        assert!(deviation < 1e-6, "{atoms} atoms: {deviation}");
        let plain = explode_all(&molecule, positions.view(), &Accuracy::default()).unwrap();
        assert!((&momenta - &plain).iter().all(|e| e.abs() < 1e-6));
    }
}
