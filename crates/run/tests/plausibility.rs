//! Sets of momenta that are far from training, and why: units, orders, charges and their times; and those that are not.

use cei_physics::presets::{OCS_REFERENCE, OCS_WIDE, Preset};
use cei_physics::units::MOMENTUM_AU_SI;
use cei_physics::{Events, Simulation, simulate};
use cei_run::plausibility::{Cause, IonsFit, Plausibility, Training};
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
        sees_laboratory: false,
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

/// OCS of charges 2 that is stiff: bonds of 3 pm and bends of 5 degrees.
fn stiff(more: &str) -> Simulation {
    let text = format!(
        "orientation = \"random\"\n[molecule]\natoms = [{{ element = \"C\", charge = 2 }}, {{ element = \"O\", charge = 2 }}, {{ element = \"S\", charge = 2 }}]\n\
         [geometry]\nlaw = \"internal\"\npositions_angstrom = {{ C = [0, 0, 0], O = [-1.16, 0, 0], S = [1.56, 0, 0] }}\n\
         length_changes_angstrom = {{ distribution = \"normal\", mean = 0.0, sd = 0.03 }}\n\
         angle_changes_deg = {{ distribution = \"normal\", mean = 0.0, sd = 5.0 }}\n[detector]\nmomentum_noise_au = 1.0\n{more}"
    );
    toml::from_str(&text).unwrap()
}

/// The time that is told is the one that the charges took; that the same energy is that of a stretched molecule is told
/// beside it, by the exact law `E ~ 1 / length`.
#[test]
fn slow_charging_is_named_with_its_time() {
    let law = stiff("");
    for tau in [4.0, 12.0, 60.0] {
        let slow = stiff(&format!("[charging]\nkind = \"exponential\"\ntau_fs = {tau}\n"));
        let found = judged(&law, &momenta(&slow, 400, 3));
        assert!(found.far, "{found:?}");
        assert_eq!(found.cause, Some(Cause::Charging), "{found:?}");
        let energy = found.kinetic_energy_ev.unwrap();
        let charging = found.charging.as_ref().unwrap();
        assert!((charging.time_fs.unwrap() / tau - 1.0).abs() < 0.05, "{charging:?}");
        assert_eq!((charging.ions, charging.declared), (IonsFit::Charging, false));
        let stretch = energy.training.median / energy.file.median;
        assert!((charging.stretch.unwrap() / stretch - 1.0).abs() < 1e-9, "{charging:?}");
        let told = found.warning().unwrap();
        assert!(told.contains("`charging.tau_fs` of about"), "{told}");
        assert!(told.contains("stretched by") && told.contains("docs/real-data.md"), "{told}");
    }
}

/// All distances times 1.5 divide all momenta by the root of it: the shares of the ions speak for that, and a time is told
/// that would give the same energy.
#[test]
fn a_stretched_molecule_is_told_beside_the_time() {
    let law = stiff("");
    let found = judged(&law, &(momenta(&law, 400, 5) / 1.5_f64.sqrt()));
    assert!(matches!(found.cause, Some(Cause::Energy { .. })), "{found:?}");
    let charging = found.charging.unwrap();
    assert_eq!(charging.ions, IonsFit::Stretched);
    assert!((charging.stretch.unwrap() - 1.5).abs() < 0.03, "{charging:?}");
    assert!((2.0..20.0).contains(&charging.time_fs.unwrap()), "{charging:?}");
}

/// Where the simulation has a charging, another time of it is told; one that is too long for any is told as such.
#[test]
fn another_time_of_a_declared_charging_is_named() {
    let pulse = |fwhm: f64| stiff(&format!("[charging]\nkind = \"pulse\"\nfwhm_fs = {fwhm}\n"));
    let law = pulse(30.0);
    for fwhm in [8.0, 80.0] {
        let found = judged(&law, &momenta(&pulse(fwhm), 400, 7));
        assert_eq!(found.cause, Some(Cause::Charging), "{found:?}");
        let charging = found.charging.as_ref().unwrap();
        assert_eq!((&charging.key[..], charging.declared), ("fwhm_fs", true));
        assert!((charging.time_fs.unwrap() / fwhm - 1.0).abs() < 0.05, "{charging:?}");
        assert!(found.warning().unwrap().contains("`charging.fwhm_fs` of about"));
    }
    // More energy than charges that are there at once have.
    let found = judged(&law, &(momenta(&stiff(""), 400, 9) * 1.3));
    assert_eq!(found.charging.as_ref().and_then(|charging| charging.time_fs), None);
    assert!(found.warning().unwrap().contains("no time (`charging.fwhm_fs`)"), "{found:?}");
}

/// Momenta that are five times too small, as those of lower charges that came slowly are, are in no other unit if that does
/// not bring them into line.
#[test]
fn momenta_of_lower_charges_that_came_slowly_are_not_taken_for_another_unit() {
    let law = stiff("");
    let mut slow = stiff(
        "[charging]\nkind = \"exponential\"\ntau_fs = { distribution = \"uniform\", low = 200.0, high = 2000.0 }\n",
    );
    let atoms = slow.molecule.atoms().iter();
    let atoms = atoms.map(|atom| cei_physics::AtomSpec { charge: 1.0, ..atom.clone() });
    slow.molecule = cei_physics::Molecule::new(atoms.collect()).unwrap();
    let found = judged(&law, &momenta(&slow, 400, 15));
    let energy = found.kinetic_energy_ev.unwrap();
    assert!(energy.training.median > 16.0 * energy.file.median, "{found:?}");
    assert!(matches!(found.cause, Some(Cause::Unknown { .. })), "{found:?}");
    assert!(found.charging.unwrap().time_fs.is_some_and(|time| time > 300.0));
}

/// Wrong units, orders and charges are told as such where the simulation has a charging with times of its own, and where
/// the energy is so low that a time would explain it alone.
#[test]
fn mistakes_are_told_as_such_beside_a_charging() {
    let slow = "[charging]\nkind = \"exponential\"\ntau_fs = { distribution = \"uniform\", low = 0.0, high = 20.0 }\n";
    for law in [stiff(""), stiff(slow)] {
        let y = momenta(&law, 400, 11);
        for (power, unit) in [(-1, "1e-1 au"), (1, "1e1 au"), (2, "1e2 au"), (3, "1e3 au")] {
            let size = 10_f64.powi(power);
            let found = judged(&law, &(&y / size));
            let Some(Cause::Unit { unit: named, .. }) = &found.cause else { panic!("{found:?}") };
            assert!(named == unit && found.charging.is_none(), "{found:?}");
        }
        let found = judged(&law, &(&y / (1e-22 / MOMENTUM_AU_SI)));
        assert!(matches!(&found.cause, Some(Cause::Unit { unit, .. }) if unit == "1e-22 kg m/s"));
        let mut file = y.clone();
        for axis in 0..3 {
            file.column_mut(axis).assign(&y.column(6 + axis));
            file.column_mut(6 + axis).assign(&y.column(axis));
        }
        let found = judged(&law, &file);
        let order = ["S", "O", "C"].map(str::to_owned).to_vec();
        assert_eq!(found.cause, Some(Cause::SwappedIons { order }), "{found:?}");
        for charges in [[1.0; 3], [2.0, 1.0, 2.0], [3.0; 3]] {
            let mut other = law.clone();
            let atoms = other.molecule.atoms().iter().zip(charges);
            let atoms =
                atoms.map(|(atom, charge)| cei_physics::AtomSpec { charge, ..atom.clone() });
            other.molecule = cei_physics::Molecule::new(atoms.collect()).unwrap();
            let found = judged(&law, &momenta(&other, 400, 13));
            let Some(Cause::Charges { likely, .. }) = &found.cause else { panic!("{found:?}") };
            assert_eq!(*likely, charges, "{found:?}");
        }
    }
}

/// Directions that the declared orientation does not give are told, with what is known of them in closed form: isotropy has
/// means of 0 and 1/3; those that it gives are not told, in any of 20 files.
#[test]
fn another_alignment_is_told() {
    let aligned = |cos2: f64| {
        let axis = "molecule_axis = [\"O\", \"S\"], laboratory_axis = \"z\"";
        let text = format!("orientation = {{ kind = \"aligned\", {axis}, cos2 = {cos2} }}");
        let mut law = stiff("");
        let table: toml::Table = toml::from_str(&text).unwrap();
        law.orientation = table["orientation"].clone().try_into().unwrap();
        law
    };
    let law = aligned(0.6);
    let own = (0..20).filter(|seed| {
        let found = judged(&law, &momenta(&law, 400, 50 + seed));
        assert!(!found.far, "{found:?}");
        found.directions.unwrap().differ
    });
    assert_eq!(own.count(), 0);
    for (file, cos2) in [(stiff(""), 1.0 / 3.0), (aligned(0.8), 0.8)] {
        let found = judged(&law, &momenta(&file, 400, 70));
        let directions = found.directions.as_ref().unwrap();
        assert!(directions.differ && !found.far, "{found:?}");
        assert_eq!(directions.axis, "z");
        // O flies along the molecule's axis, but for bends of 7 degrees; 400 events have an error of 0.015.
        let oxygen = &directions.ions[1];
        assert!((oxygen.file.cos2 - cos2).abs() < 0.05, "{directions:?}");
        assert!((oxygen.simulation.cos2 - 0.6).abs() < 0.03, "{directions:?}");
        assert!(oxygen.simulation.cos.abs() < 0.05);
        assert!(found.warning().unwrap().contains("declared `orientation`"));
    }
    // At random, directions matter only to a network that sees the laboratory.
    let file = momenta(&aligned(0.8), 400, 71);
    assert_eq!(judged(&stiff(""), &file).directions, None);
    let law = stiff("");
    let training = Training {
        molecule: Some(&law.molecule),
        momenta: momenta(&law, 4000, 1),
        simulation: Some(&law),
        unit_au: 1.0,
        sees_laboratory: true,
    };
    assert!(training.judge(file.view(), None).directions.unwrap().differ);
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
