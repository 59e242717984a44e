//! Sets of momenta that are far from training, and why: units, orders, charges; and those that are not.

use cei_physics::presets::{OCS_REFERENCE, OCS_WIDE, Preset};
use cei_physics::units::MOMENTUM_AU_SI;
use cei_physics::{Events, Simulation, simulate};
use cei_run::plausibility::{Cause, Plausibility, Training};
use ndarray::Array2;

fn simulation(preset: Preset) -> Simulation {
    toml::from_str(preset.text).unwrap()
}

/// OCS of charges 2, wide, in the order C, O, S.
fn wide() -> Simulation {
    simulation(OCS_WIDE)
}

fn momenta(simulation: &Simulation, events: usize, seed: u64) -> Array2<f64> {
    let Events { momenta, .. } = simulate(simulation, events, seed).unwrap();
    momenta
}

fn judged(law: &Simulation, y: &Array2<f64>) -> Plausibility {
    let training = Training {
        molecule: Some(&law.molecule),
        momenta: momenta(law, 4000, 1),
        simulation: Some(law),
        unit_au: 1.0,
    };
    training.judge(y.view(), None)
}

/// 60 files of the training's own kind, of 1 to 500 events: none is far. At 1 % and less for each, and far
/// less for all but the smallest, more than 2 would be there by chance in 2 of 100 such tests; the seeds are fixed.
#[test]
fn files_of_the_trainings_own_kind_are_not_far() {
    let law = wide();
    let far = (0..60).filter(|seed| {
        let events = [1, 2, 5, 20, 100, 500][(*seed % 6) as usize];
        judged(&law, &momenta(&law, events, 100 + seed)).far
    });
    assert!(far.count() <= 2);
}

/// A part of a wide law, as a measured molecule is, and more events than are needed to tell the two apart.
#[test]
fn a_part_of_a_wide_law_is_not_far() {
    let law = wide();
    let mut narrow = law.clone();
    let bond = |low: f64, high: f64| {
        format!("{{ distribution = \"uniform\", low = {low}, high = {high} }}")
    };
    narrow.geometry = Some(
        toml::from_str(&format!(
            "law = \"triatomic\"\ncentre = \"C\"\nbonds = [{{ atom = \"O\", length_angstrom = {} }}, {{ atom = \"S\", length_angstrom = {} }}]\nangle_deg = {}",
            bond(1.1, 1.3), bond(1.5, 1.7), bond(165.0, 179.0)
        ))
        .unwrap(),
    );
    let found = judged(&law, &momenta(&narrow, 5000, 3));
    assert!(!found.far, "{found:?}");
    assert!(found.warning().is_none());
}

#[test]
fn a_wrong_unit_is_named() {
    let law = wide();
    let y = momenta(&law, 300, 5);
    for (unit, size) in [
        ("si", 1.0 / MOMENTUM_AU_SI),
        ("1e-22 kg m/s", 1e-22 / MOMENTUM_AU_SI),
        ("1e-1 au", 0.1),
        ("1e3 au", 1e3),
    ] {
        let found = judged(&law, &(&y / size));
        assert!(found.far);
        let Some(Cause::Unit { unit: named, factor, order }) = &found.cause else {
            panic!("{found:?}")
        };
        assert_eq!(named, unit);
        assert!((factor / size - 1.0).abs() < 1e-9 && order.is_none(), "{found:?}");
        assert!(found.warning().unwrap().contains(unit));
    }
}

/// Every order of three ions but the right one, of a narrow and of a wide law.
#[test]
fn swapped_ions_are_named_in_the_order_of_the_file() {
    let narrow = simulation(OCS_REFERENCE);
    for law in [wide(), narrow] {
        let y = momenta(&law, 500, 7);
        for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut file = y.clone();
            for (place, ion) in order.iter().enumerate() {
                for axis in 0..3 {
                    file.column_mut(3 * place + axis).assign(&y.column(3 * ion + axis));
                }
            }
            let found = judged(&law, &file);
            let labels = law.molecule.labels();
            let order: Vec<String> = order.iter().map(|ion| labels[*ion].clone()).collect();
            assert_eq!(found.cause, Some(Cause::SwappedIons { order }), "{found:?}");
        }
    }
}

#[test]
fn other_charges_and_less_energy_are_named() {
    let narrow = simulation(OCS_REFERENCE);
    let y = momenta(&narrow, 300, 9);
    // Charges halved: momenta halved.
    let found = judged(&narrow, &(&y / 2.0));
    let Some(Cause::Charges { likely, .. }) = &found.cause else { panic!("{found:?}") };
    assert_eq!(*likely, [1.0, 1.0, 1.0]);
    // Four fifths of the momenta are no charge state.
    let found = judged(&narrow, &(&y * 0.8));
    let Some(Cause::Energy { ratio }) = &found.cause else { panic!("{found:?}") };
    assert!((ratio - 0.64).abs() < 0.02);
}

#[test]
fn an_imposed_momentum_sum_is_remarked() {
    let law = wide();
    let mut y = momenta(&law, 300, 11);
    for mut row in y.rows_mut() {
        for axis in 0..3 {
            let sum = row[axis] + row[3 + axis] + row[6 + axis];
            row[axis] -= sum;
        }
    }
    let found = judged(&law, &y);
    assert!(found.zero_momentum_sum && !found.far, "{found:?}");
    assert!(!judged(&law, &momenta(&law, 300, 12)).zero_momentum_sum);
}
