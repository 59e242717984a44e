//! What `inspect` finds in tables made by hand.

use cei_data::inspect::{Inspection, Role};
use cei_data::{ColumnRef, InspectOptions, MomentumUnit, Selection, Source, inspect};
use cei_physics::energy::kinetic_energy_release;
use cei_physics::units::HARTREE_EV;
use proptest::prelude::*;

use crate::{Folder, ocs};

const HEADER: &str = "event,cx,cy,cz,ox,oy,oz,sx,sy,sz,pcx,pcy,pcz,pox,poy,poz,psx,psy,psz\n";

/// C at (a,0,0), O at (0,b,0), S at (5,0,0); momenta that add up to zero, those along z are zero.
fn rows(count: usize) -> String {
    (0..count)
        .map(|row| {
            let (a, b) = ((row as f64).sin(), 2.0 + (1.3 * row as f64).cos());
            let (p, q) = (100.0 * b, 50.0 + 10.0 * a);
            format!("{row},{a},0,0,0,{b},0,5,0,0,{p},{q},0,{},{q},0,-50,{},0\n", 50.0 - p, -2.0 * q)
        })
        .collect()
}

#[test]
fn a_clean_table_is_described() {
    let folder = Folder::new();
    let source = folder.write("t.csv", format!("{HEADER}{}", rows(200)));
    let found = inspect(&source, &InspectOptions::default()).unwrap();
    assert_eq!((found.rows, found.invalid_rows, found.duplicate_rows), (200, 0, 0));
    assert_eq!(found.columns.len(), 19);
    assert_eq!(
        (found.columns[0].role, found.columns[1].role, found.columns[10].role),
        (Role::Other, Role::Position, Role::Momentum)
    );
    let event = found.columns[0].range.unwrap();
    assert_eq!((event.min, event.max, event.mean), (0.0, 199.0, 99.5));

    let positions = found.positions.unwrap();
    assert_eq!(positions.dead, ["cy", "cz", "ox", "oz", "sx", "sy", "sz"]);
    assert_eq!(positions.rank, Some(2));
    let guess = positions.unit_guess.unwrap();
    assert_eq!(guess.unit, "bohr");
    assert!(guess.reason.starts_with("guess: "), "{}", guess.reason);
    let momenta = found.momenta.unwrap();
    assert_eq!(momenta.dead, ["pcz", "poz", "psx", "psz"]);
    // pcx and pox are bound to each other, and pcy = poy = -psy/2.
    assert_eq!(momenta.rank, Some(2));
    assert_eq!(momenta.unit_guess.unwrap().unit, "au");
    for axis in found.momentum_sum.unwrap() {
        assert!(axis.mean.abs() < 1e-10 && axis.sd < 1e-10, "{axis:?}");
    }
}

#[test]
fn the_energy_release_is_that_of_the_forward_model() {
    let folder = Folder::new();
    let row = "0,0,0,0,2.2,0,0,-3,0,0,93.844,0,0,209.240,-294.365,0,-303.085,294.365,0\n";
    let source = folder.write("t.csv", format!("{HEADER}{row}"));
    let momenta = [93.844, 0.0, 0.0, 209.240, -294.365, 0.0, -303.085, 294.365, 0.0];
    let expected = kinetic_energy_release(&ocs(), &momenta) * HARTREE_EV;
    // `docs/spec.md#reference-values` gives 107.880 eV for these momenta.
    assert!((expected - 107.880).abs() < 1e-2, "{expected}");
    for molecule in [None, Some(ocs())] {
        let guessed = molecule.is_none();
        let found = inspect(&source, &InspectOptions { molecule, ..Default::default() }).unwrap();
        let energy = found.kinetic_energy_release.unwrap();
        assert!((energy.mean_ev - expected).abs() < 1e-9);
        assert_eq!(energy.sd_ev, 0.0);
        assert_eq!(energy.quantiles_ev[2].0, 0.5);
        assert_eq!(
            energy.masses.starts_with("guessed from column names: `pcx` 12.011 u"),
            guessed,
            "{}",
            energy.masses
        );
    }
    // The same momenta in kg m/s give the same energy.
    let si: Vec<String> =
        momenta.iter().map(|p| format!("{:e}", p * 1.992_851_914_10e-24)).collect();
    let source =
        folder.write("si.csv", format!("{HEADER}0,0,0,0,2.2,0,0,-3,0,0,{}\n", si.join(",")));
    let found = inspect(&source, &InspectOptions::default()).unwrap();
    assert_eq!(found.momenta.unwrap().unit_guess.unwrap().unit, "si");
    assert!((found.kinetic_energy_release.unwrap().mean_ev - expected).abs() < 1e-6);
}

#[test]
fn bad_cells_and_duplicates_are_counted() {
    let folder = Folder::new();
    let text = "a,pcx,pcy,pcz,note\n1,1,2,3,x\n1,1,2,3,x\nnan,4,5,6,y\n1,,2,3,z\n2,1\n";
    let found = inspect(&folder.write("t.csv", text), &InspectOptions::default()).unwrap();
    assert_eq!((found.rows, found.invalid_rows, found.duplicate_rows), (5, 5, 1));
    let invalid: Vec<u64> = found.columns.iter().map(|column| column.invalid).collect();
    assert_eq!(invalid, [2, 2, 1, 1, 5]);
    assert_eq!(found.columns[4].range, None);
    assert_eq!(found.columns[1].range.unwrap().max, 4.0);
    assert!(found.positions.is_none());
    // Three complete rows of momenta: (1,2,3), (1,2,3), (4,5,6) add up to 2, 3, 4 on average for one atom.
    assert_eq!(found.momentum_sum.unwrap().map(|axis| axis.mean), [2.0, 3.0, 4.0]);
    let json = serde_json::to_value(&found.columns[4]).unwrap();
    assert_eq!(
        json,
        serde_json::json!({"name": "note", "role": "other", "invalid": 5, "dead": false})
    );
}

#[test]
fn parts_of_names_may_be_separated() {
    let folder = Folder::new();
    let text = "p_C_x,p_C_y,p_C_z,O_x,O_y,O_z,p.Br.x,p.Br.y,p.Br.z\n1,2,0,1,2,3,-1,-2,0\n2,4,0,3,1,2,-2,-4,0\n";
    let found = inspect(&folder.write("t.csv", text), &InspectOptions::default()).unwrap();
    assert_eq!(found.momenta.unwrap().columns.len(), 6);
    assert_eq!(found.positions.unwrap().columns.len(), 3);
    let masses = found.kinetic_energy_release.unwrap().masses;
    assert!(masses.contains("`p_C_x` 12.011 u, `p.Br.x` 79.904 u"), "{masses}");
    let lead = "Pb_x,Pb_y,Pb_z,p_Pb_x,p_Pb_y,p_Pb_z\n1,2,3,4,5,6\n2,3,4,5,6,7\n";
    let found = inspect(&folder.write("lead.csv", lead), &InspectOptions::default()).unwrap();
    assert_eq!(found.positions.unwrap().columns, ["Pb_x", "Pb_y", "Pb_z"]);
    assert_eq!(found.momenta.unwrap().columns, ["p_Pb_x", "p_Pb_y", "p_Pb_z"]);
}

#[test]
fn columns_can_be_given_and_need_no_molecule() {
    let folder = Folder::new();
    let text = "u,v,w\n1,2,0\n2,4,0\n3,6,1\n";
    let options = InspectOptions {
        x: vec![ColumnRef::from("u"), ColumnRef::from(1)],
        y: vec![ColumnRef::from("w")],
        ..Default::default()
    };
    let found = inspect(&folder.write("t.csv", text), &options).unwrap();
    let positions = found.positions.unwrap();
    assert_eq!((positions.rank, positions.unit_guess), (Some(1), None));
    assert_eq!(found.momenta.unwrap().rank, Some(1));
    assert_eq!((found.momentum_sum, found.kinetic_energy_release), (None, None));
    let typo = InspectOptions { y: vec![ColumnRef::from("z")], ..Default::default() };
    assert!(inspect(&folder.write("t.csv", text), &typo).is_err());
}

/// Ions whose momenta add up to `noise`, in 1e-22 kg m/s, without a header.
fn momenta_alone(noise: f64) -> String {
    (0..400)
        .map(|row| {
            let t = f64::from(row);
            let (a, b, c) = (t.sin(), (1.7 * t).cos(), (0.3 * t).sin());
            let d = noise * (2.9 * t).sin();
            format!(
                "{a}\t{b}\t{c}\t{}\t{}\t{}\t{}\t{}\t{}\n",
                -0.4 * a,
                b,
                -c,
                d - 0.6 * a,
                d - 2.0 * b,
                d
            )
        })
        .collect()
}

#[test]
fn momenta_alone_are_described_in_the_unit_that_is_declared() {
    let folder = Folder::new();
    let source = folder.write("t.txt", momenta_alone(0.05));
    // Without a word nothing is known, and nothing is invented.
    let found = inspect(&source, &InspectOptions::default()).unwrap();
    assert_eq!((found.positions, found.momenta, found.kinetic_energy_release), (None, None, None));
    let y_unit: MomentumUnit = "1e-22 kg m/s".parse().unwrap();
    let factor = y_unit.factor();
    let options = InspectOptions {
        y: (0..9).map(ColumnRef::from).collect(),
        molecule: Some(ocs()),
        y_unit: Some(y_unit.clone()),
        ..Default::default()
    };
    let given = inspect(&source, &options).unwrap();
    assert_eq!(given.positions, None);
    let momenta = given.momenta.as_ref().unwrap();
    assert_eq!((momenta.unit.as_deref(), &momenta.unit_guess), (Some("1e-22 kg m/s"), &None));
    // A sum of sines has the sd amplitude / sqrt(2); equal noise on three ions is 1/sqrt(3) of it.
    let noise = given.momentum_noise_au.unwrap();
    for sd in noise {
        let expected = 0.05 * factor / 6.0_f64.sqrt();
        assert!((sd / expected - 1.0).abs() < 0.01, "{sd} {expected}");
    }
    // The same momenta in atomic units release the same energy.
    let au: String = momenta_alone(0.05)
        .lines()
        .map(|line| {
            let cells =
                line.split('\t').map(|cell| (cell.parse::<f64>().unwrap() * factor).to_string());
            cells.collect::<Vec<_>>().join("\t") + "\n"
        })
        .collect();
    let options_au = InspectOptions { y_unit: Some(MomentumUnit::Au), ..options };
    let same = inspect(&folder.write("au.txt", au), &options_au).unwrap();
    let energy = |found: &Inspection| found.kinetic_energy_release.as_ref().unwrap().mean_ev;
    assert!((energy(&given) / energy(&same) - 1.0).abs() < 1e-12);
    // With the unit alone, all columns are the momenta; without it, their size is no sign of one.
    let options = InspectOptions { y_unit: Some(y_unit), ..Default::default() };
    let all = inspect(&source, &options).unwrap();
    assert_eq!(all.momenta.unwrap().columns.len(), 9);
    assert!(all.remarks.iter().any(|remark| remark.contains("all are taken for momenta")));
    let options = InspectOptions { molecule: Some(ocs()), ..Default::default() };
    let unknown = inspect(&source, &options).unwrap();
    assert_eq!((unknown.momenta.unwrap().unit_guess, unknown.kinetic_energy_release), (None, None));
    assert!(unknown.remarks.iter().any(|remark| remark.contains("cannot be guessed")));
}

#[test]
fn a_selection_keeps_its_unit_as_it_was_written() {
    let selection: Selection =
        toml::from_str("x_unit = \"1e-3 bohr\"\ny_unit = \"1e-22 kg m/s\"").unwrap();
    let text = toml::to_string(&selection).unwrap();
    assert!(text.contains("\"1e-3 bohr\"") && text.contains("\"1e-22 kg m/s\""), "{text}");
    assert_eq!(toml::from_str::<Selection>(&text).unwrap(), selection);
    let error = toml::from_str::<Selection>("y_unit = \"1e-22 kg\"").unwrap_err().to_string();
    assert!(error.contains("y_unit") && error.contains("`kg m/s`"), "{error}");
}

#[test]
fn a_sum_that_is_zero_is_remarked_and_no_noise_is_told_from_it() {
    let folder = Folder::new();
    let options = InspectOptions {
        molecule: Some(ocs()),
        y_unit: Some(MomentumUnit::Si),
        ..Default::default()
    };
    let remark = |noise| {
        let found = inspect(&folder.write("t.txt", momenta_alone(noise)), &options).unwrap();
        let zero =
            found.remarks.iter().any(|remark| remark.contains("add up to zero along x, y, z"));
        (zero, found.momentum_noise_au.is_some())
    };
    assert_eq!(remark(0.0), (true, false));
    // Rounding of the last digits is no noise.
    assert_eq!(remark(1e-5), (true, false));
    assert_eq!(remark(0.05), (false, true));
}

#[test]
fn a_configuration_may_know_of_columns_that_a_table_of_momenta_has_not() {
    let folder = Folder::new();
    let header = "pcx,pcy,pcz,pox,poy,poz,psx,psy,psz\n";
    let source =
        folder.write("t.csv", format!("{header}{}", momenta_alone(0.05).replace('\t', ",")));
    let columns = |names: Vec<String>| names.into_iter().map(ColumnRef::from).collect::<Vec<_>>();
    let options = InspectOptions {
        x: columns(ocs().position_columns()),
        y: columns(ocs().momentum_columns()),
        either_side: true,
        molecule: Some(ocs()),
        y_unit: Some("1e-22 kg m/s".parse().unwrap()),
        ..Default::default()
    };
    let found = inspect(&source, &options).unwrap();
    assert!(found.positions.is_none() && found.kinetic_energy_release.is_some());
    assert!(found.remarks.iter().any(|remark| remark.contains("momenta alone")));
    // A column asked for by hand must be there, and so must one of several.
    let by_hand = InspectOptions { either_side: false, ..options.clone() };
    assert!(inspect(&source, &by_hand).is_err());
    let x = vec![ColumnRef::from("pcx"), ColumnRef::from("cy"), ColumnRef::from("cz")];
    assert!(inspect(&source, &InspectOptions { x, ..options }).is_err());
}

#[test]
fn positions_named_as_our_own_are_not_called_angstrom() {
    let folder = Folder::new();
    let rows: String =
        (0..50).map(|row| format!("0,0,0,0,0,{}\n", 1.4 + 0.001 * f64::from(row))).collect();
    let guess = |header: &str| {
        let source = folder.write("t.csv", format!("{header}\n{rows}"));
        let found = inspect(&source, &InspectOptions::default()).unwrap();
        found.positions.unwrap().unit_guess.unwrap().unit
    };
    assert_eq!(guess("h1x,h1y,h1z,h2x,h2y,h2z"), "bohr");
    assert_eq!(guess("H1_x,H1_y,H1_z,H2_x,H2_y,H2_z"), "angstrom");
}

#[test]
fn momenta_by_other_names_are_no_positions() {
    let folder = Folder::new();
    for header in
        ["Px1,Py1,Pz1,Px2,Py2,Pz2", "p1x,p1y,p1z,p2x,p2y,p2z", "px_C,py_C,pz_C,px_H,py_H,pz_H"]
    {
        let source = folder
            .write("t.csv", format!("{header}\n50,60,70,-50,-61,-72\n40,60,20,-41,-61,-22\n"));
        let found = inspect(&source, &InspectOptions::default()).unwrap();
        assert!(found.positions.is_none(), "{header}");
        assert_eq!(found.momenta.unwrap().columns.len(), 6, "{header}");
    }
}

#[test]
fn a_very_wide_table_is_described_without_its_rank() {
    let folder = Folder::new();
    let names: Vec<String> =
        (0..3_000).flat_map(|atom| ["x", "y", "z"].map(|axis| format!("c{atom}{axis}"))).collect();
    let row = |t: usize| {
        (0..names.len()).map(|c| ((t * 31 + c) % 97).to_string()).collect::<Vec<_>>().join(",")
    };
    let rows: Vec<String> = (0..20).map(row).collect();
    let text = format!("{}\n{}\n", names.join(","), rows.join("\n"));
    let found = inspect(&folder.write("t.csv", text), &InspectOptions::default()).unwrap();
    assert_eq!((found.columns.len(), found.rows), (9_000, 20));
    assert_eq!(found.positions.unwrap().rank, None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Moments that are accumulated over blocks, and the rank, are those of the whole table, whatever its offset.
    #[test]
    fn moments_do_not_depend_on_blocks(seed in 0_u64..1_000, offset in -1e6..1e6_f64) {
        let folder = Folder::new();
        let value = |row: u64, column: u64| {
            offset + (((row * 7_919 + column * 104_729 + seed) % 1_000_003) as f64).sin()
        };
        let table = |rows: std::ops::Range<u64>| -> String {
            rows.map(|row| format!("{},{},{}\n", value(row, 1), value(row, 2), value(row, 1) - 2.0 * value(row, 2))).collect()
        };
        // Each file is a block of its own at least.
        folder.write("a.csv", format!("u,v,w\n{}", table(0..7)));
        folder.write("b.csv", format!("u,v,w\n{}", table(7..5_000)));
        folder.write("c.csv", format!("u,v,w\n{}", table(5_000..6_000)));
        let files = ["a.csv", "b.csv", "c.csv"].map(|name| folder.text(name)).to_vec();
        let options = InspectOptions { y: (0..3).map(ColumnRef::from).collect(), ..Default::default() };
        let found = inspect(&Source { files, ..Source::default() }, &options).unwrap();
        prop_assert_eq!(found.momenta.as_ref().unwrap().rank, Some(2));
        for (place, column) in [1, 2].into_iter().enumerate() {
            let values: Vec<f64> = (0..6_000).map(|row| value(row, column) - offset).collect();
            let mean = values.iter().sum::<f64>() / 6_000.0;
            let sd = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 6_000.0).sqrt();
            let range = found.columns[place].range.unwrap();
            prop_assert!((range.mean - offset - mean).abs() < 1e-9 * (1.0 + offset.abs()));
            prop_assert!((range.sd / sd - 1.0).abs() < 1e-9, "{} {}", range.sd, sd);
        }
    }
}
