//! The lanes against the scalar path on the presets, the fast mode's stated error, and that no event knows
//! its neighbours.

use cei_physics::energy::{kinetic_energy_release, potential_energy};
use cei_physics::presets::{CHBRCLF, OCS_WIDE, Preset, SIMULATIONS};
use cei_physics::{
    Accuracy, Events, Mode, Molecule, Simulation, explode, explode_all, simulate, simulate_range,
};
use ndarray::{Array2, ArrayView2, s};

fn geometries(preset: &Preset, events: usize) -> (Molecule, Array2<f64>) {
    let simulation: Simulation = toml::from_str(preset.text).unwrap();
    let positions = simulate(&simulation, events, 11).unwrap().positions;
    (simulation.molecule, positions)
}

fn length(vector: &[f64]) -> f64 {
    vector.iter().map(|c| c * c).sum::<f64>().sqrt()
}

/// For each ion of each event: how far `found` is from `expected`, relative to the ion's own momentum and to
/// the largest of the event.
fn errors(found: ArrayView2<'_, f64>, expected: ArrayView2<'_, f64>) -> (Vec<f64>, Vec<f64>) {
    let (mut of_ion, mut of_event) = (vec![], vec![]);
    for (found, expected) in found.rows().into_iter().zip(expected.rows()) {
        let (found, expected) = (found.to_vec(), expected.to_vec());
        let largest = expected.chunks_exact(3).map(length).fold(0.0, f64::max);
        for (found, expected) in found.chunks_exact(3).zip(expected.chunks_exact(3)) {
            let difference: Vec<f64> = found.iter().zip(expected).map(|(a, b)| a - b).collect();
            of_ion.push(length(&difference) / length(expected));
            of_event.push(length(&difference) / largest);
        }
    }
    (of_ion, of_event)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |max, value| value.max(max))
}

#[test]
fn lanes_agree_with_the_reference_on_every_preset() {
    for preset in SIMULATIONS {
        let (molecule, positions) = geometries(preset, 1_000);
        let reference = Accuracy { mode: Mode::Reference, ..Accuracy::default() };
        let expected = explode_all(&molecule, positions.view(), &reference).unwrap();
        let found = explode_all(&molecule, positions.view(), &Accuracy::default()).unwrap();
        let (_, of_event) = errors(found.view(), expected.view());
        assert!(largest(&of_event) < 1e-9, "largest error {:e}", largest(&of_event));
        assert!(mean(&of_event) < 3e-10, "mean error {:e}", mean(&of_event));
    }
}

/// A chain of so many ions of two kinds, folded up, in several sizes.
fn chains(atoms: usize) -> (Molecule, Array2<f64>) {
    let list = ["{ element = \"C\", charge = 2 }", "{ element = \"H\", charge = 1 }"];
    let list: Vec<&str> = (0..atoms).map(|k| list[k % 2]).collect();
    let molecule = toml::from_str(&format!("atoms = [{}]", list.join(", "))).unwrap();
    let row = (0..21 * atoms).flat_map(|place| {
        let (row, k) = (place / atoms, (place % atoms) as f64);
        let size = 1.0 + 0.1 * row as f64;
        [2.0 * k, 3.0 * (1.9 * k).sin(), 3.0 * (1.3 * k).cos()].map(|x| 0.5 * size * x)
    });
    (molecule, Array2::from_shape_vec((21, 3 * atoms), row.collect()).unwrap())
}

/// Ten ions have code of their own, more of them share one, in the lanes and outside. What a size has room for and a
/// molecule has not does not count.
#[test]
fn lanes_agree_with_the_reference_up_to_the_most_ions() {
    for atoms in [10, 11, 14, 16, 17, 32] {
        let (molecule, positions) = chains(atoms);
        let reference = Accuracy { mode: Mode::Reference, ..Accuracy::default() };
        let expected = explode_all(&molecule, positions.view(), &reference).unwrap();
        let found = explode_all(&molecule, positions.view(), &Accuracy::default()).unwrap();
        let (_, of_event) = errors(found.view(), expected.view());
        assert!(largest(&of_event) < 1e-9, "{atoms} ions: {:e}", largest(&of_event));
        let part = explode_all(&molecule, positions.slice(s![3..5, ..]), &Accuracy::default());
        assert_eq!(part.unwrap(), found.slice(s![3..5, ..]));
        // The energy at the start is that of the end.
        for (row, momenta) in positions.rows().into_iter().zip(found.rows()) {
            let (potential, kinetic) = (
                potential_energy(&molecule, &row.to_vec()),
                kinetic_energy_release(&molecule, &momenta.to_vec()),
            );
            assert!(
                (kinetic / potential - 1.0).abs() < 1e-8,
                "{atoms} ions: {kinetic} {potential}"
            );
        }
    }
}

/// `docs/spec.md#forward-model` for the lanes: a tenth of the tolerance and (far more than) twice the end time
/// change no momentum by more than 1e-8.
#[test]
fn lanes_are_converged() {
    for preset in SIMULATIONS {
        let (molecule, positions) = geometries(preset, 1_000);
        let normal = Accuracy::default();
        let before = explode_all(&molecule, positions.view(), &normal).unwrap();
        // The end is at the first step beyond the criterion, and the last steps are long: a thousandth of
        // the tail is certainly more than twice the time.
        for changed in [
            Accuracy { tolerance: normal.tolerance / 10.0, ..normal.clone() },
            Accuracy { tail: normal.tail / 1000.0, ..normal.clone() },
        ] {
            let after = explode_all(&molecule, positions.view(), &changed).unwrap();
            let (of_ion, _) = errors(before.view(), after.view());
            assert!(largest(&of_ion) < 1e-8, "{changed:?} changes {:e}", largest(&of_ion));
        }
    }
}

/// What the documentation of [`Mode::Fast`] states.
#[test]
fn the_fast_mode_has_its_stated_error() {
    for preset in SIMULATIONS {
        let (molecule, positions) = geometries(preset, 1_000);
        let expected = explode_all(&molecule, positions.view(), &Accuracy::default()).unwrap();
        let found = explode_all(&molecule, positions.view(), &Accuracy::fast()).unwrap();
        let (of_ion, of_event) = errors(found.view(), expected.view());
        assert!(mean(&of_ion) < 3e-6, "mean error {:e}", mean(&of_ion));
        assert!(largest(&of_event) < 5e-5, "largest error {:e}", largest(&of_event));
    }
}

/// What the documentation of [`Mode::Rough`] states.
#[test]
fn the_rough_mode_has_its_stated_errors() {
    for preset in [OCS_WIDE, CHBRCLF] {
        let (molecule, positions) = geometries(&preset, 1_000);
        let expected = explode_all(&molecule, positions.view(), &Accuracy::default()).unwrap();
        let found = explode_all(&molecule, positions.view(), &Accuracy::rough()).unwrap();
        let (_, of_ions) = errors(found.view(), expected.view());
        let mut of_event: Vec<f64> = of_ions.chunks(molecule.atom_count()).map(largest).collect();
        of_event.sort_by(f64::total_cmp);
        assert!(of_event[500] < 1e-3, "median error {:e}", of_event[500]);
        assert!(of_event[990] < 3e-3, "error of the worst hundredth {:e}", of_event[990]);
    }
}

#[test]
fn an_explosion_does_not_depend_on_its_neighbours() {
    for preset in [&OCS_WIDE, &CHBRCLF] {
        let (molecule, positions) = geometries(preset, 301);
        for accuracy in [Accuracy::default(), Accuracy::fast()] {
            let all = explode_all(&molecule, positions.view(), &accuracy).unwrap();
            for (start, end) in [(1, 301), (3, 20), (7, 8), (150, 267)] {
                let rows = s![start..end, ..];
                let part = explode_all(&molecule, positions.slice(rows), &accuracy).unwrap();
                assert_eq!(part, all.slice(rows));
            }
            let backwards = positions.slice(s![..;-1, ..]);
            let backwards = explode_all(&molecule, backwards, &accuracy).unwrap();
            assert_eq!(backwards.slice(s![..;-1, ..]), all);
            let mut single = vec![0.0; positions.ncols()];
            for row in [0, 5, 300] {
                let position = positions.row(row).to_vec();
                explode(&molecule, &position, None, &accuracy, &mut single).unwrap();
                assert_eq!(single, all.row(row).to_vec());
            }
        }
    }
}

#[test]
fn a_range_is_exactly_those_rows() {
    let mut simulation: Simulation = toml::from_str(OCS_WIDE.text).unwrap();
    simulation.temperature_k = 500.0;
    for accuracy in [Accuracy::default(), Accuracy::fast()] {
        simulation.accuracy = accuracy;
        let all = simulate(&simulation, 700, 3).unwrap();
        for (start, end) in [(1, 2), (3, 300), (255, 258), (401, 700)] {
            let Events { positions, momenta, .. } =
                simulate_range(&simulation, start..end, 3).unwrap();
            assert_eq!(positions, all.positions.slice(s![start..end, ..]));
            assert_eq!(momenta, all.momenta.slice(s![start..end, ..]));
        }
    }
}

/// Attraction and neutral atoms take the scalar path, whatever the mode.
#[test]
fn what_the_lanes_do_not_take_is_exploded_all_the_same() {
    for charges in [[2.0, -0.5, 2.0], [2.0, 0.0, 1.0]] {
        let mut simulation: Simulation = toml::from_str(OCS_WIDE.text).unwrap();
        let mut atoms = simulation.molecule.atoms().to_vec();
        atoms.iter_mut().zip(charges).for_each(|(atom, charge)| atom.charge = charge);
        let positions = simulate(&simulation, 20, 5).unwrap().positions;
        simulation.molecule = Molecule::new(atoms).unwrap();
        let reference = Accuracy { mode: Mode::Reference, ..Accuracy::default() };
        let explode = |accuracy| {
            explode_all(&simulation.molecule, positions.view(), accuracy)
                .unwrap()
                .mapv(|p| if p.is_nan() { f64::INFINITY } else { p })
        };
        assert_eq!(explode(&Accuracy::default()), explode(&reference));
    }
}

#[test]
fn the_mode_is_a_key_of_the_accuracy() {
    let of = |text: &str| toml::from_str::<Accuracy>(text);
    assert_eq!(of("").unwrap(), Accuracy::default());
    assert_eq!(of("mode = \"fast\"").unwrap(), Accuracy::fast());
    assert_eq!(of("mode = \"reference\"\ntail = 1e-5").unwrap().mode, Mode::Reference);
    // Only for searches.
    assert!(of("mode = \"rough\"").is_err());
    assert!(of("mode = \"quick\"").is_err());
    assert!(of("modus = \"fast\"").is_err());
}
