//! End-to-end tests of charge states that differ between events: recorded, conditioned on, inferred.

mod folder;

use folder::{Folder, TestResult};

/// CO of a length between 1 and 3 angstrom, in two charge states.
const LAW: &str = "orientation = 'random'\ncentre = 'centre-of-mass'\n\
    [molecule]\natoms = [{ element = 'C', charge = 1 }, { element = 'O', charge = 1 }]\n\
    [[channels]]\ncharges = [1, 1]\nweight = 2\n[[channels]]\ncharges = [2, 1]\nweight = 3\n\
    [geometry]\nlaw = 'internal'\npositions_angstrom = { C = [0, 0, 0], O = [0, 0, 1.1] }\n\
    lengths_angstrom = { O-C = { distribution = 'uniform', low = 1.0, high = 3.0 } }\n\
    [detector]\nmomentum_noise_au = 4.0\n";

const EXPERIMENT: &str = "[source]\nfiles = ['t.csv']\n[columns]\ncharges = ['charge_c', 'charge_o']\n\
    [molecule]\natoms = [{ element = 'C', charge = 1 }, { element = 'O', charge = 1 }]\n\
    [preprocessing.gauge]\nframe = 'momentum'\nx_axis = 'O'\nxy_plane = 'C'\n\
    [model]\nkind = 'cinn'\ncouplings = 4\nhidden = [16, 16]\n[training]\nmax_epochs = 10\n[evaluation]\ndraws = 20\n";

/// A folder with a table, measured events and a law.
fn folder() -> TestResult<Folder> {
    let folder = Folder::empty()?;
    folder.write("law.toml", LAW)?;
    folder.write("e.toml", EXPERIMENT)?;
    let simulate = "simulate --config law.toml --quiet";
    folder.run(&format!("{simulate} --events 3000 --seed 3 -o t.csv"))?;
    folder.run(&format!("{simulate} --events 40 --seed 9 -o m.csv"))?;
    Ok(folder)
}

/// `p(y | charges)` of two ions by quadrature over their distance, up to what all charges have in common: the density of
/// half the difference of the momenta, whose noise is `noise / sqrt 2`, averaged over all directions.
fn evidence(y: &[f64], charges: [f64; 2], noise: f64) -> f64 {
    const U: f64 = 1822.888486;
    const BOHR: f64 = 0.529177210903;
    let (carbon, oxygen) = (12.011 * U, 15.999 * U);
    let reduced = carbon * oxygen / (carbon + oxygen);
    let d = (0..3).map(|axis| (0.5 * (y[axis] - y[axis + 3])).powi(2)).sum::<f64>().sqrt();
    let variance = 0.5 * noise * noise;
    let cells = 20_000;
    let mut sum = 0.0;
    for cell in 0..cells {
        let r = (1.0 + 2.0 * (f64::from(cell) + 0.5) / f64::from(cells)) / BOHR;
        let p = (2.0 * reduced * charges[0] * charges[1] / r).sqrt();
        let (near, far) = ((d - p).powi(2), (d + p).powi(2));
        let density = (-near / (2.0 * variance)).exp() - (-far / (2.0 * variance)).exp();
        sum += density / (2.0 * d * p / variance);
    }
    sum / f64::from(cells)
}

#[test]
fn the_posterior_over_channels_is_that_of_quadrature() -> TestResult {
    let folder = folder()?;
    folder.run("train --config e.toml -o run --quiet")?;
    // The charges are in the file, and not looked at.
    let predict =
        "predict run m.csv --charges unknown --refine -n 500 --summary s.csv --modes modes.csv";
    let report = folder.json(&format!("{predict} -o d.csv --json"))?;
    for reason in ["k_hat", "evidence", "no_mode"] {
        assert_eq!(report["refinement"][reason], 0, "{reason}: {report}");
    }
    let low = folder.numbers("s.csv", "p_state_1_1")?;
    let high = folder.numbers("s.csv", "p_state_2_1")?;
    let names = ["pcx", "pcy", "pcz", "pox", "poy", "poz"];
    let momenta = names.map(|name| folder.numbers("m.csv", name));
    let momenta = momenta.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut between = 0;
    for event in 0..40 {
        let y: Vec<f64> = momenta.iter().map(|column| column[event]).collect();
        let [a, b] = [(2.0, [1.0, 1.0]), (3.0, [2.0, 1.0])]
            .map(|(weight, charges)| weight * evidence(&y, charges, 4.0));
        let expected = a / (a + b);
        between += usize::from((0.05..0.95).contains(&expected));
        assert!((low[event] - expected).abs() < 0.05, "{event}: {} {expected}", low[event]);
        assert!((low[event] + high[event] - 1.0).abs() < 1e-9);
    }
    assert!(between >= 8, "{between} events could be either");
    // Draws have the charges of a state, each as often as it is probable; they are as long as the state asks for.
    let event = folder.numbers("d.csv", "event")?;
    assert_eq!(folder.numbers("d.csv", "input_charge_c")?.len(), event.len(), "those of the file");
    let charge = folder.numbers("d.csv", "charge_c")?;
    for (number, expected) in low.iter().enumerate() {
        let of_event: Vec<f64> = (0..event.len())
            .filter(|row| event[*row] == number as f64)
            .map(|row| charge[row])
            .collect();
        assert_eq!(of_event.len(), 500);
        let share = of_event.iter().filter(|charge| **charge == 1.0).count() as f64 / 500.0;
        assert!((share - expected).abs() < 0.005, "{share} {expected}");
    }
    assert!(folder.numbers("modes.csv", "charge_o")?.iter().all(|charge| *charge == 1.0));
    let share = report["charge_states"][0]["share"].as_f64().ok_or("no share")?;
    assert!((share - low.iter().sum::<f64>() / 40.0).abs() < 1e-9);
    Ok(())
}

#[test]
fn one_network_is_conditioned_on_charges() -> TestResult {
    let folder = folder()?;
    folder.run("train --config e.toml -o run --quiet")?;
    // In columns, or the same for all.
    folder.run("predict run m.csv -n 50 -o columns.csv --quiet")?;
    let charges = folder.numbers("m.csv", "charge_c")?;
    folder.write("p.csv", without_charges(&folder.read("m.csv")?))?;
    for (given, charge) in [("1,1", 1.0), ("2,1", 2.0)] {
        folder.run(&format!("predict run p.csv --charges {given} -n 50 -o all.csv --quiet"))?;
        let by_column = folder.numbers("columns.csv", "cx")?;
        let of_all = folder.numbers("all.csv", "cx")?;
        let same = |event: &usize| by_column[50 * event] == of_all[50 * event];
        let expected: Vec<usize> = (0..40).filter(|event| charges[*event] == charge).collect();
        assert_eq!((0..40).filter(same).collect::<Vec<_>>(), expected);
    }
    let refined =
        folder.json("predict run m.csv --refine -n 50 -o r.csv --summary s.csv --json")?;
    // An event at an edge of the law may be said to touch it, by chance.
    for reason in ["k_hat", "evidence", "no_mode", "outside_law"] {
        assert_eq!(refined["refinement"][reason], 0, "{reason}: {refined}");
    }
    assert!(!folder.read("s.csv")?.contains("p_state"));
    let scores = folder.json("evaluate run --json")?;
    assert!(scores["resimulation"]["median"].as_f64().is_some());
    let seen =
        folder.json("calibrate run --refine --unknown-charges --events 60 --draws 19 --json")?;
    let tested = seen["sbc"].as_array().ok_or("no tests")?;
    assert!(tested.iter().any(|test| test["quantity"] == "charge state"), "{seen}");
    Ok(())
}

#[test]
fn charges_that_are_missing_or_wrong_are_told() -> TestResult {
    let folder = folder()?;
    folder.run("train --config e.toml --set training.max_epochs=1 -o run --quiet")?;
    let measured = folder.read("m.csv")?;
    folder.write("p.csv", without_charges(&measured))?;
    let told = |arguments: &str, code: i32, words: &[&str]| -> TestResult {
        let text = folder.fails_with(code, arguments)?;
        for word in words {
            assert!(text.contains(word), "{arguments}: {text}");
        }
        Ok(())
    };
    told("predict run p.csv -o d.csv", 1, &["`charge_c`", "--charges 1,1,1", "unknown"])?;
    told("predict run p.csv -o d.csv --charges unknown", 2, &["--refine"])?;
    told("predict run p.csv -o d.csv --charges 3,1", 2, &["[3.0, 1.0]", "(1, 1), (2, 1)"])?;
    told("predict run p.csv -o d.csv --charges 1", 2, &["1 numbers", "charge_c, charge_o"])?;
    told("predict run p.csv -o d.csv --charges 1,x", 2, &["`x` is no charge"])?;
    told("evaluate run --data m.csv --charges unknown", 2, &["cei predict --refine"])?;
    let (header, rows) = measured.split_once('\n').ok_or("one line")?;
    let place = header.split(',').position(|name| name == "charge_c").ok_or("no charge")?;
    let mut cells: Vec<&str> = rows.lines().nth(6).ok_or("short")?.split(',').collect();
    cells[place] = "3";
    let lines: Vec<String> = rows
        .lines()
        .enumerate()
        .map(|(row, line)| if row == 6 { cells.join(",") } else { line.to_owned() })
        .collect();
    folder.write("w.csv", format!("{header}\n{}\n", lines.join("\n")))?;
    told("predict run w.csv -o d.csv", 1, &["w.csv", "row 7", "[3.0, ", "(1, 1), (2, 1)"])?;
    told(
        "train --config e.toml --set columns.charges=['charge_c'] -o other",
        1,
        &["columns.charges"],
    )?;
    // Not listed: averaged over, and said.
    let text = folder.told(
        "train --config e.toml --set columns.charges=[] --set training.max_epochs=1 -o averaged",
    )?;
    assert!(text.contains("the charge states of the events differ"), "{text}");
    told("predict averaged p.csv -o d.csv --charges 1,1", 2, &["not conditioned on charges"])?;
    folder.run("predict averaged p.csv -n 100 --refine -o d.csv --summary s.csv --quiet")?;
    assert_eq!(folder.numbers("s.csv", "p_state_1_1")?.len(), 40);
    Ok(())
}

/// The table without its last two columns.
fn without_charges(table: &str) -> String {
    let line = |line: &str| line.rsplitn(3, ',').nth(2).unwrap_or_default().to_owned() + "\n";
    table.lines().map(line).collect()
}
