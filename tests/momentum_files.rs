//! End-to-end tests of files of momenta as the field has them: looked at without any configuration, drafted for, and
//! read by a run, in every shape that they come in.

#![cfg(unix)]

mod folder;

use std::f64::consts::TAU;
use std::process::Command;

use folder::{Folder, TestResult};
use serde_json::Value;

/// Events of O, C, S in 1e-22 kg m/s: opposite momenta of a bent molecule, turned, with some noise; the last repeats the
/// first, and three have a sum that no molecule has.
fn events() -> Vec<[f64; 9]> {
    let wave =
        |seed: usize, k: usize| ((seed * 37 + k * 101 + 7) as f64 * 0.618_033_988_75).fract() - 0.5;
    let mut events: Vec<[f64; 9]> = (0..79)
        .map(|event| {
            let (angle, z) = (TAU * wave(event, 1), 2.0 * wave(event, 2));
            let r = (1.0 - z * z).sqrt();
            let axis = [r * angle.cos(), r * angle.sin(), z];
            let across = [-angle.sin(), angle.cos(), 0.0];
            let strength = 2.0 + wave(event, 3);
            std::array::from_fn(|place| {
                let (ion, k) = (place / 3, place % 3);
                let along = [-0.95, -0.05, 1.0][ion];
                let bend = [0.2, -0.4, 0.2][ion] * (1.0 + wave(event, 4));
                let lost = if event % 25 == 20 && ion == 0 { 0.8 } else { 0.0 };
                strength * (along * axis[k] + bend * across[k])
                    + 0.05 * wave(event, 10 + place)
                    + lost
            })
        })
        .collect();
    events.push(events[0]);
    events
}

/// A line for each event, by the format of a cell and the order of the ions.
fn table(order: [usize; 3], between: &str, cell: impl Fn(f64) -> String) -> String {
    let line = |event: &[f64; 9]| {
        let cells = order.iter().flat_map(|ion| &event[3 * ion..3 * ion + 3]);
        cells.map(|p| cell(*p)).collect::<Vec<_>>().join(between) + "\n"
    };
    events().iter().map(line).collect()
}

/// As Fortran writes it: `0.1234567890123456D+01`.
fn fortran(value: f64) -> String {
    let exponent = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 + 1 };
    format!("{:.16}D{exponent:+03}", value / 10_f64.powi(exponent))
}

/// Name, ions, unit, and the columns of O, C, S for a run that reads them in this order.
const KINDS: [(&str, &str, &str, &str); 9] = [
    ("plain.txt", "O,C,S", "1e-22kgm/s", "0,1,2,3,4,5,6,7,8"),
    ("order.txt", "S,O,C", "1e-22 kg m/s", "3,4,5,6,7,8,0,1,2"),
    ("si.dat", "O,C,S", "kg m/s", "0,1,2,3,4,5,6,7,8"),
    ("au.csv", "O,C,S", "au", "0,1,2,3,4,5,6,7,8"),
    ("comments.txt", "O,C,S", "1e-22 kg m/s", "0,1,2,3,4,5,6,7,8"),
    ("savetxt.txt", "O,C,S", "1e-22 kg m/s", "0,1,2,3,4,5,6,7,8"),
    ("fortran.dat", "O,C,S", "1e-22 kg m/s", "0,1,2,3,4,5,6,7,8"),
    ("packed.txt.gz", "O,C,S", "1e-22 kg m/s", "0,1,2,3,4,5,6,7,8"),
    ("semicolons.csv", "O,C,S", "1e-22 kg m/s", "0,1,2,3,4,5,6,7,8"),
];

/// A folder with all of them, and a geometry.
fn folder() -> TestResult<Folder> {
    let folder = Folder::empty()?;
    let ocs = [0, 1, 2];
    let plain = table(ocs, "\t", |p| p.to_string());
    let au = 1e-22 / 1.992_851_914_10e-24;
    folder.write("plain.txt", &plain)?;
    folder.write("order.txt", table([2, 0, 1], "\t", |p| p.to_string()))?;
    folder.write("si.dat", table(ocs, "  ", |p| format!("{:.17e}", 1e-22 * p)))?;
    folder.write("au.csv", table(ocs, ",", |p| (au * p).to_string()))?;
    let mut lines: Vec<&str> = plain.lines().collect();
    lines.insert(40, "# the laser was off for a while");
    folder.write(
        "comments.txt",
        format!("# run 12\n# momenta in 1e-22 kg m/s\n{}\n", lines.join("\n")),
    )?;
    let names = "pOx pOy pOz pCx pCy pCz pSx pSy pSz";
    folder
        .write("savetxt.txt", format!("# {names}\n{}", table(ocs, " ", |p| format!("{p:.18e}"))))?;
    folder.write("fortran.dat", table(ocs, "  ", fortran))?;
    folder.write("packed.txt", &plain)?;
    let packed = Command::new("gzip").arg(folder.path("packed.txt")).status()?;
    assert!(packed.success());
    folder.write("semicolons.csv", table(ocs, ";", |p| p.to_string()).replace('.', ","))?;
    folder.write("ocs.xyz", "3\n\nO 0 0 -1.16\nC 0 0 0\nS 0 0 1.56\n")?;
    folder.write("soc.xyz", "3\n\nS 0 0 1.56\nO 0 0 -1.16\nC 0 0 0\n")?;
    Ok(folder)
}

fn number(value: &Value, pointer: &str) -> f64 {
    value.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer}: {value}"))
}

/// Arguments of which some hold blanks.
fn cei(folder: &Folder, arguments: &[&str]) -> TestResult<(i32, String, String)> {
    let output = folder.command("").args(arguments).output()?;
    let told = String::from_utf8(output.stderr)?;
    Ok((output.status.code().ok_or("killed")?, String::from_utf8(output.stdout)?, told))
}

/// `sum of p^2 / 2m` in eV, with p in 1e-22 kg m/s.
fn energy_ev(event: &[f64; 9]) -> f64 {
    let ions = event.chunks(3).zip([15.999, 12.011, 32.06]);
    let joule = ions.map(|(p, mass)| {
        p.iter().map(|p| p * p * 1e-44).sum::<f64>() / (2.0 * mass * 1.660_539_066_60e-27)
    });
    joule.sum::<f64>() / 1.602_176_634e-19
}

/// The momentum sum in a.u.
fn sum_au(event: &[f64; 9]) -> [f64; 3] {
    [0, 1, 2].map(|axis| {
        (event[axis] + event[3 + axis] + event[6 + axis]) * 1e-22 / 1.992_851_914_10e-24
    })
}

#[test]
fn every_kind_is_looked_at_drafted_for_and_read_by_a_run() -> TestResult {
    let folder = folder()?;
    let mean = events().iter().map(energy_ev).sum::<f64>() / 80.0;
    let is_within =
        |event: &&[f64; 9]| sum_au(event).iter().map(|p| p * p).sum::<f64>().sqrt() <= 20.0;
    let within = events().iter().filter(is_within).count();
    assert_eq!(within, 77, "the events of the test");
    let small = "--set source.events_per_epoch=300 --set training.max_epochs=1 --set model.couplings=1 --quiet";
    let mut draws: Option<Vec<f64>> = None;
    for (file, ions, unit, columns) in KINDS {
        let inspect =
            ["inspect", file, "--ions", ions, "--unit", unit, "--charges", "1,1,1", "--json"];
        let (code, found, told) = cei(&folder, &inspect)?;
        assert_eq!(code, 0, "{file}: {told}");
        let found: Value = serde_json::from_str(&found)?;
        assert_eq!((&found["rows"], &found["duplicate_rows"]), (&80.into(), &1.into()), "{file}");
        let energy = number(&found, "/kinetic_energy_release/mean_ev");
        assert!((energy / mean - 1.0).abs() < 1e-4, "{file}: {energy}, not {mean}");
        let gated = cei(&folder, &[&inspect[..], &["--sum-gate", "20"]].concat())?;
        assert!(gated.2.contains("3 of 80 events are left out"), "{file}: {}", gated.2);
        let gated: Value = serde_json::from_str(&gated.1)?;
        assert_eq!(gated["gate"], serde_json::json!({"gate_au": 20.0, "events": 80, "dropped": 3}));

        let out = format!("draft-{file}");
        let geometry = if ions == "S,O,C" { "soc.xyz" } else { "ocs.xyz" };
        let draft = [
            "config",
            "--from",
            file,
            "--ions",
            ions,
            "--charges",
            "1,1,1",
            "--unit",
            unit,
            "--geometry",
            geometry,
            "-o",
            &out,
        ];
        let (code, _, told) = cei(&folder, &draft)?;
        assert_eq!(code, 0, "{file}: {told}");
        let experiment = folder.read(&format!("{out}/experiment.toml"))?;
        assert!(experiment.contains("vertex = \"C\" "), "{experiment}");
        if file == "plain.txt" {
            folder.run(&format!("train --config {out}/experiment.toml -o run {small}"))?;
        }
        let unit = format!("columns.y_unit={unit}");
        let predict = [
            "predict",
            "run",
            file,
            "--columns",
            columns,
            "--set",
            &unit,
            "-n",
            "3",
            "--sum-gate",
            "20",
            "-o",
            "draws.csv",
            "--json",
        ];
        // The run remembers tabs and points; these files have others.
        let auto =
            ["--separator", "auto", "--header", "auto", "--comment", "auto", "--decimal", "auto"];
        let (code, found, told) = cei(&folder, &[&predict[..], &auto].concat())?;
        assert_eq!(code, 0, "{file}: {told}");
        assert!(told.contains("3 of 80 events are left out"), "{file}: {told}");
        let found: Value = serde_json::from_str(&found)?;
        assert_eq!((&found["events"], &found["gate"]["dropped"]), (&77.into(), &3.into()));
        // Events keep their numbers.
        let kept = folder.numbers("draws.csv", "event")?;
        let expected: Vec<f64> = (0..80)
            .filter(|event| event % 25 != 20)
            .flat_map(|event| [f64::from(event); 3])
            .collect();
        assert_eq!(kept, expected, "{file}");
        let found = folder.numbers("draws.csv", "ox")?;
        match &draws {
            None => draws = Some(found),
            // Other digits of a momentum are other digits of a draw.
            Some(first) => {
                let apart = first.iter().zip(&found).map(|(a, b)| (a - b).abs());
                assert!(apart.fold(0.0, f64::max) < 1e-4, "{file}");
            }
        }
    }
    Ok(())
}

/// Against closed forms: the Coulomb energy of three charges on a line, the distance at which all pairs have an energy, the
/// energy of the centre of mass.
#[test]
fn energies_are_set_beside_point_charges() -> TestResult {
    let folder = folder()?;
    let inspect = "inspect au.csv --ions O,C,S --unit au --charges 1,2,1 --geometry ocs.xyz";
    let found = folder.json(&format!("{inspect} --json"))?;
    // e^2 / (4 pi epsilon_0) in eV angstrom.
    let coulomb = 14.399_645;
    let expected = coulomb * (2.0 / 1.16 + 2.0 / 1.56 + 1.0 / 2.72);
    let energy = number(&found, "/point_charges/geometry/energy_ev");
    assert!((energy / expected - 1.0).abs() < 1e-6, "{energy}, not {expected}");
    let mut energies: Vec<f64> = events().iter().map(energy_ev).collect();
    energies.sort_by(f64::total_cmp);
    let median = f64::midpoint(energies[39], energies[40]);
    let ratio = number(&found, "/point_charges/geometry/median_ratio");
    assert!((ratio / (median / expected) - 1.0).abs() < 1e-4, "{ratio}");
    let above = energies.iter().filter(|energy| **energy > expected).count() as f64 / 80.0;
    assert!((number(&found, "/point_charges/geometry/share_above") - above).abs() < 1e-12);
    let distance = number(&found, "/point_charges/common_distance_angstrom");
    assert!((distance / (coulomb * 5.0 / median) - 1.0).abs() < 1e-4, "{distance}");
    let (text, _) = folder.run(inspect)?;
    assert!(text.contains("point charges 1, 2, 1 in `ocs.xyz`: "), "{text}");
    assert!(text.contains(" eV ") && text.contains("█"), "{text}");

    let removed = folder.json(&format!("{inspect} --centre-of-mass removed --json"))?;
    let of_centre = |event: &[f64; 9]| {
        let square: f64 = [0, 1, 2]
            .iter()
            .map(|axis| (event[*axis] + event[3 + axis] + event[6 + axis]).powi(2))
            .sum();
        square * 1e-44
            / (2.0 * (15.999 + 12.011 + 32.06) * 1.660_539_066_60e-27)
            / 1.602_176_634e-19
    };
    let without =
        events().iter().map(|event| energy_ev(event) - of_centre(event)).sum::<f64>() / 80.0;
    let mean = number(&removed, "/kinetic_energy_release/mean_ev");
    assert!((mean / without - 1.0).abs() < 1e-4, "{mean}, not {without}");
    assert_eq!(removed["centre_of_mass"], "removed");
    // The sum itself is that of the file.
    assert_eq!(removed["momentum_sum"], found["momentum_sum"]);
    Ok(())
}

#[test]
fn directions_are_tested() -> TestResult {
    let folder = folder()?;
    let inspect = "inspect t.csv --ions O,C --unit au";
    // Along a spiral that covers the sphere evenly; then with z squeezed.
    let point = |event: u32, squeeze: f64| {
        let z = 2.0 * (f64::from(event) + 0.5) / 2000.0 - 1.0;
        let (r, angle) = ((1.0 - z * z).sqrt(), 2.399_963_23 * f64::from(event));
        [r * angle.cos(), r * angle.sin(), squeeze * z].map(|p| 100.0 * p)
    };
    for (squeeze, alike) in [(1.0, true), (0.8, false)] {
        let line = |event: u32| {
            let p = point(event, squeeze);
            format!("{},{},{},{},{},{}\n", p[0], p[1], p[2], -p[0], -p[1], -p[2])
        };
        folder.write("t.csv", (0..2000).map(line).collect::<String>())?;
        let found = folder.json(&format!("{inspect} --json"))?;
        let p = number(&found, "/directions/1/p_value");
        assert_eq!(p > 0.99, alike, "{p}");
        assert_eq!(p < 1e-9, !alike, "{p}");
        let (text, _) = folder.run(inspect)?;
        let said = "ions do not fly in all directions alike (column 0, column 3)";
        assert_eq!(text.contains(said), !alike, "{text}");
    }
    Ok(())
}

#[test]
fn the_motion_of_the_centre_of_mass_can_be_taken_out() -> TestResult {
    let folder = Folder::empty()?;
    folder.run("simulate --preset ocs-wide --events 300 -o t.csv --quiet")?;
    let small =
        "--set model.couplings=1 --set model.hidden=[8] --set training.max_epochs=1 --quiet";
    folder.run(&format!("train --preset wide-cinn --data t.csv -o run {small}"))?;
    // The same events, seen from a frame that moves with another velocity for each.
    let text = folder.read("t.csv")?;
    let (mut moved, mut lines) = (String::new(), text.lines());
    let names: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    moved.push_str(&(names[9..].join(",") + "\n"));
    let masses = [("c", 12.011), ("o", 15.999), ("s", 32.06)];
    for (event, line) in lines.enumerate() {
        let cells = names.iter().zip(line.split(',')).skip(9).map(|(name, cell)| {
            let mass = masses
                .iter()
                .find(|(ion, _)| name[1..].starts_with(ion))
                .map_or(f64::NAN, |(_, mass)| *mass);
            let velocity = ((event * 7 + name.len()) % 11) as f64 - 5.0;
            Ok((cell.parse::<f64>()? + mass * velocity).to_string())
        });
        moved.push_str(&(cells.collect::<TestResult<Vec<_>>>()?.join(",") + "\n"));
    }
    folder.write("moved.csv", moved)?;
    let predict = "predict run moved.csv -n 2 --centre-of-mass removed -o a.csv";
    let told = folder.told(predict)?;
    assert!(told.contains("without the motion of the centre of mass the errors"), "{told}");
    folder.told("predict run t.csv -n 2 --centre-of-mass removed -o b.csv")?;
    let (a, b) = (folder.numbers("a.csv", "ox")?, folder.numbers("b.csv", "ox")?);
    let apart = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(a.len() == 600 && apart < 1e-3, "{apart}");
    Ok(())
}

#[test]
fn what_cannot_be_done_is_told() -> TestResult {
    let folder = folder()?;
    let cases: [(i32, &[&str], &str); 9] = [
        (
            1,
            &["inspect", "plain.txt", "--ions", "O,C,S", "--sum-gate", "5"],
            "hint: say it with `--unit`",
        ),
        (
            1,
            &["inspect", "plain.txt", "--ions", "O,C,S", "--unit", "au", "--sum-gate", "1e-9"],
            "the smallest sum has 0.0187 a.u.",
        ),
        (
            1,
            &["inspect", "plain.txt", "--unit", "au", "--centre-of-mass", "removed"],
            "name them with `--ions`",
        ),
        (2, &["inspect", "plain.txt", "--sum-gate", "much"], "hint: as `10`, or `5,5,10`"),
        (
            2,
            &["inspect", "plain.txt", "--ions", "O,C,S", "--charges", "1,1"],
            "`--charges` has 2 numbers for 3 ions",
        ),
        (2, &["inspect", "plain.txt", "--ions", "O,C,S", "--geometry", "ocs.xyz"], "--charges"),
        (
            1,
            &[
                "inspect",
                "plain.txt",
                "--ions",
                "O,C,O",
                "--charges",
                "1,1,1",
                "--geometry",
                "ocs.xyz",
            ],
            "ocs.xyz",
        ),
        (2, &["config", "--preset", "ocs-wide", "--sum-gate", "5"], "--from"),
        (2, &["inspect", "plain.txt", "--ions", "O,C", "--charges", "1,1"], "name all ions"),
    ];
    for (code, arguments, expected) in cases {
        let (found, printed, told) = cei(&folder, arguments)?;
        assert_eq!(found, code, "{arguments:?}: {told}");
        assert!(printed.is_empty() && told.contains(expected), "{arguments:?}: {told}");
    }
    Ok(())
}
