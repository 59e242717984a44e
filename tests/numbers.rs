//! End-to-end tests of numbers: units, cells that are no measurements, rows that were trained on, what tables and JSON
//! hold. Every table is `x` of two columns, uniform, and `y` of three noisy sums of them.

mod folder;

use serde_json::Value;

use folder::{Folder, TestResult};

impl Folder {
    /// A table with these rows; `edit` changes the cells of each.
    fn table(&self, name: &str, rows: u32, edit: impl Fn(u32, &mut [f64; 5])) -> TestResult {
        let mut text = "ax,ay,bx,by,bz\n".to_owned();
        for row in 0..rows {
            let uniform = |k: u32| {
                (f64::from(row * 7 + k) * 0.618_033_988_75 * f64::from(k + 1)).fract() - 0.5
            };
            let [x, y, noise] = [0, 1, 2].map(uniform);
            let mut cells = [x, y, x + y + 0.1 * noise, x - y, y + 0.1 * noise];
            edit(row, &mut cells);
            text.push_str(&cells.map(|cell| format!("{cell:e}")).join(","));
            text.push('\n');
        }
        Ok(self.write(name, text)?)
    }

    /// A small cINN on `table`, with `more` at the end of its configuration.
    fn experiment(&self, table: &str, more: &str) -> TestResult {
        let text = format!(
            "[source]\nfiles = [\"{table}\"]\n[columns]\nx = [\"ax\", \"ay\"]\ny = [\"bx\", \"by\", \"bz\"]\nx_unit = \"none\"\ny_unit = \"none\"\n\
             [model]\nkind = \"cinn\"\ncouplings = 2\nhidden = [16]\n[training]\nmax_epochs = 2\npatience = 2\nbatch_size = 64\n[evaluation]\ndraws = 20\n{more}"
        );
        Ok(self.write("experiment.toml", text)?)
    }
}

#[test]
fn a_cell_that_is_no_measurement_is_named_and_left_out_on_request() -> TestResult {
    let folder = Folder::empty()?;
    // In whatever part of the split the row is; far beyond all, or a slipped decimal point.
    for (row, cell) in [(17, 1e20), (18, -1e29), (19, 3e3), (20, 1e25), (21, 1e6)] {
        folder.table("t.csv", 300, |i, cells| {
            if i == row {
                cells[3] = cell;
            }
        })?;
        folder.experiment("t.csv", "")?;
        let message = folder.fails_with(1, "train --config experiment.toml -o run")?;
        assert!(message.contains(&format!("`t.csv`, row {}, column `by`", row + 1)), "{message}");
        assert!(
            message.contains("--drop-invalid") && !message.contains("do not vary"),
            "{message}"
        );
        assert!(!folder.path("run").exists());
    }
    let (_, said) = folder.run("train --config experiment.toml -o run --drop-invalid")?;
    assert!(
        said.contains("dropped 1 of 300 rows") && said.contains("far from all others"),
        "{said}"
    );
    assert!(!said.contains("do not vary"), "{said}");
    folder.run("evaluate run")?;

    // Momenta of one event: the others are inferred, and keep their numbers.
    folder.table("m.csv", 12, |i, cells| {
        if i == 3 {
            cells[2] = 1e25;
        }
    })?;
    let (_, said) = folder.run("predict run m.csv -n 5 -o draws.csv --summary summary.csv")?;
    assert!(said.contains("`m.csv`, row 4, column `bx`"), "{said}");
    let draws = std::fs::read_to_string(folder.path("draws.csv"))?;
    let events: Vec<&str> =
        draws.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
    assert_eq!(events.len(), 55);
    assert!(!events.contains(&"3") && events.contains(&"4"));
    let summary = std::fs::read_to_string(folder.path("summary.csv"))?;
    let lines: Vec<&str> = summary.lines().collect();
    assert!(lines[4].starts_with("3,far-out,,"), "{}", lines[4]);
    assert!(!summary.contains("NaN"), "{summary}");
    folder.run("predict run m.csv -n 5 -o fewer.csv --drop-invalid")?;
    let message = folder.fails_with(1, "log-prob run m.csv")?;
    assert!(message.contains("row 4, column `bx`"), "{message}");
    // A whole file of other magnitudes is no outlier.
    folder.table("si.csv", 12, |_, cells| cells[2..].iter_mut().for_each(|cell| *cell *= 1e22))?;
    let message = folder.fails_with(1, "predict run si.csv -n 5 -o none.csv")?;
    assert!(message.contains("12 rows") && message.contains("unit"), "{message}");
    Ok(())
}

#[test]
fn heavy_tails_settings_and_rare_values_are_measurements() -> TestResult {
    let folder = Folder::empty()?;
    folder.table("t.csv", 400, |i, cells| {
        let part = f64::from(i) / 400.0 - 0.49875;
        cells[2] = (std::f64::consts::PI * part).tan();
        cells[3] = if i % 150 == 7 { 1.0 } else { 0.0 };
        cells[4] = 10_f64.powf(8.0 * (part + 0.5));
    })?;
    folder.experiment("t.csv", "")?;
    let (_, said) = folder.run("train --config experiment.toml -o run")?;
    assert!(!said.contains("warning"), "{said}");
    Ok(())
}

#[test]
fn columns_of_several_units_are_all_alive() -> TestResult {
    let folder = Folder::empty()?;
    folder.table("t.csv", 300, |i, cells| {
        cells[2] *= 1e-22;
        cells[3] *= 1e-22;
        cells[4] = f64::from(i % 97);
    })?;
    folder.experiment("t.csv", "")?;
    let (_, said) = folder.run("train --config experiment.toml -o run")?;
    assert!(said.contains("y of 3 columns") && !said.contains("do not vary"), "{said}");
    Ok(())
}

#[test]
fn rows_that_were_trained_on_are_counted() -> TestResult {
    let folder = Folder::empty()?;
    folder.table("t.csv", 300, |_, _| ())?;
    folder.experiment("t.csv", "")?;
    let (_, said) = folder.run("train --config experiment.toml -o run")?;
    assert!(!said.contains("warning"), "{said}");
    let (_, said) = folder.run("evaluate run")?;
    assert!(!said.contains("warning"), "{said}");
    // The same table by another name, and rounded.
    std::fs::copy(folder.path("t.csv"), folder.path("moved.csv"))?;
    folder.table("rounded.csv", 300, |_, cells| {
        cells.iter_mut().for_each(|cell| *cell = (*cell * 1e6).round() / 1e6);
    })?;
    for table in ["moved.csv", "rounded.csv"] {
        let (json, said) = folder.run(&format!("evaluate run --data {table} --json"))?;
        assert!(
            said.contains("warning: 210 of 300 rows repeat rows that the model was trained on"),
            "{said}"
        );
        let json: Value = serde_json::from_str(&json)?;
        assert_eq!(json["scored"]["trained_on"]["rows"], 210);
        let (_, said) = folder.run(&format!("log-prob run {table} -o p.csv"))?;
        assert!(said.contains("warning: 210 of 300 rows"), "{said}");
    }
    let (_, said) = folder.run("evaluate run --split all")?;
    assert!(said.contains("warning: 210 of 300 rows"), "{said}");
    // Events that are twice in the table fall into several parts.
    folder.table("twice.csv", 300, |_, _| ())?;
    let text = std::fs::read_to_string(folder.path("twice.csv"))?;
    let (header, rows) = text.split_once('\n').ok_or("no header")?;
    std::fs::write(folder.path("twice.csv"), format!("{header}\n{rows}{rows}"))?;
    folder.experiment("twice.csv", "")?;
    let (_, said) = folder.run("train --config experiment.toml -o twice")?;
    assert!(said.contains("rows of the test part repeat rows of the training part"), "{said}");
    let record: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.path("twice/model.json"))?)?;
    assert!(record["copies"]["test"]["rows"].as_u64() > Some(30), "{record}");
    let (_, said) = folder.run("evaluate twice")?;
    assert!(said.contains("repeat rows that the model was trained on"), "{said}");
    Ok(())
}

#[test]
fn rows_of_any_part_outside_of_the_bounds_are_named() -> TestResult {
    let folder = Folder::empty()?;
    for row in 10..25 {
        folder.table("t.csv", 100, |i, cells| {
            if i == row {
                cells[0] = 0.9;
            }
        })?;
        folder.experiment("t.csv", "[preprocessing.bounds]\nax = [-0.51, 0.51]\n")?;
        let message = folder.fails_with(1, "train --config experiment.toml -o run")?;
        assert!(message.contains(&format!("`t.csv`, row {}, column `ax`", row + 1)), "{message}");
    }
    // Another table may have such rows: they are counted, and the score is no silent null.
    folder.table("t.csv", 300, |_, _| ())?;
    folder.run("train --config experiment.toml -o run")?;
    folder
        .table("other.csv", 50, |i, cells| cells[0] = if i == 3 { 0.9 } else { -cells[0] * 0.9 })?;
    let (json, said) = folder.run("evaluate run --data other.csv --json")?;
    assert!(said.contains("1 of 50 rows lie outside of `preprocessing.bounds`"), "{said}");
    let json: Value = serde_json::from_str(&json)?;
    assert_eq!(
        (&json["nll"], &json["scored"]["out_of_bounds"]),
        (&Value::from("inf"), &Value::from(1))
    );
    assert!(!json.to_string().contains("null"), "{json}");
    let (json, _) = folder.run("log-prob run other.csv --json")?;
    assert_eq!(serde_json::from_str::<Value>(&json)?["log_prob"][3], "-inf");
    Ok(())
}

/// The network computes in single precision, in units of each column's spread; what is written has its own.
#[test]
fn draws_keep_the_digits_that_were_asked_for() -> TestResult {
    let folder = Folder::empty()?;
    folder.table("t.csv", 300, |_, cells| {
        cells[0] += 1e8;
        cells[1] = 3e-46 + 1e-46 * cells[1];
    })?;
    folder.experiment("t.csv", "")?;
    folder.run("train --config experiment.toml -o run")?;
    folder.run("predict run t.csv -n 50 -o draws.csv")?;
    let draws = std::fs::read_to_string(folder.path("draws.csv"))?;
    for column in [2, 3] {
        let first = draws.lines().skip(1).take(50).filter_map(|line| line.split(',').nth(column));
        let different: std::collections::BTreeSet<&str> = first.collect();
        assert!(different.len() > 45 && !different.contains("0.0"), "{different:?}");
    }
    Ok(())
}
