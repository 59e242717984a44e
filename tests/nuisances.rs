//! End-to-end tests of times of the charging that differ between events: recorded, inferred, scored, refined.

use std::process::{Command, Output};

use serde_json::Value;

type TestResult = Result<(), Box<dyn std::error::Error>>;

const DRAWN: &str = "--set charging.kind=exponential \
    --set charging.tau_fs.distribution=uniform --set charging.tau_fs.low=0 --set charging.tau_fs.high=40";

const EXPERIMENT: &str = "[source]\nfiles = ['t.csv']\n[columns]\nnuisances = ['charging_tau_fs']\n[molecule]\natoms = [\
    { element = 'C', charge = 2 }, { element = 'O', charge = 2 }, { element = 'S', charge = 2 }]\n\
    [preprocessing.gauge]\nframe = 'momentum'\nx_axis = 'S'\nxy_plane = 'O'\n\
    [model]\nkind = 'cinn'\ncouplings = 4\nhidden = [16, 16]\n[training]\nmax_epochs = 5\n[evaluation]\ndraws = 20\n";

struct Folder(tempfile::TempDir);

impl Folder {
    fn write(&self, name: &str, content: &str) -> std::io::Result<()> {
        std::fs::write(self.0.path().join(name), content)
    }

    fn read(&self, name: &str) -> std::io::Result<String> {
        std::fs::read_to_string(self.0.path().join(name))
    }

    fn cei(&self, arguments: &str) -> std::io::Result<Output> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cei"));
        command.args(arguments.split_whitespace()).current_dir(self.0.path()).output()
    }

    /// Standard output of a command that must succeed.
    fn run(&self, arguments: &str) -> Result<String, Box<dyn std::error::Error>> {
        let output = self.cei(arguments)?;
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments}: {told}");
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The message of a command that must fail.
    fn fails(&self, arguments: &str) -> Result<String, Box<dyn std::error::Error>> {
        let output = self.cei(arguments)?;
        assert!(!output.status.success(), "{arguments}");
        Ok(String::from_utf8(output.stderr)?)
    }
}

/// The cells of one column.
fn column(table: &str, name: &str) -> Result<Vec<f64>, Box<dyn std::error::Error>> {
    let place = table.lines().next().unwrap_or_default().split(',').position(|own| own == name);
    let place = place.ok_or_else(|| format!("no column `{name}`"))?;
    let cells = table.lines().skip(1).map(|row| row.split(',').nth(place).unwrap_or_default());
    Ok(cells.map(str::parse).collect::<Result<_, _>>()?)
}

#[test]
fn a_time_that_differs_between_events_is_inferred() -> TestResult {
    let folder = Folder(tempfile::tempdir()?);
    let simulate = format!("simulate --preset ocs-wide {DRAWN} --quiet");
    folder.run(&format!("{simulate} --events 2000 --seed 3 -o t.csv"))?;
    folder.run(&format!("{simulate} --events 12 --seed 9 -o m.csv"))?;
    let truth = column(&folder.read("m.csv")?, "charging_tau_fs")?;
    assert!(truth.iter().all(|time| (0.0..40.0).contains(time)), "{truth:?}");
    folder.write("e.toml", EXPERIMENT)?;
    folder.run("train --config e.toml -o run --quiet")?;

    // Momenta alone are enough; with the times as further columns, these are passed on.
    let predict = "predict run m.csv --refine -n 200 --summary s.csv --modes modes.csv";
    let report: Value = serde_json::from_str(&folder.run(&format!("{predict} -o d.csv --json"))?)?;
    assert_eq!(report["refinement"]["outside_model"], 0, "{report}");
    let draws = column(&folder.read("d.csv")?, "charging_tau_fs")?;
    assert_eq!(draws.len(), 12 * 200);
    assert!(draws.iter().all(|time| (0.0..=40.0).contains(time)));
    let summary = folder.read("s.csv")?;
    let [low, high] = ["q05", "q95"].map(|q| column(&summary, &format!("charging_tau_fs_{q}")));
    let (low, high) = (low?, high?);
    let inside = |event: &usize| (low[*event]..=high[*event]).contains(&truth[*event]);
    // 9 of 10 are expected; fewer than 7 of 12 are so once in 2,000 times.
    assert!((0..12).filter(inside).count() >= 7, "{truth:?} {low:?} {high:?}");
    assert!(column(&folder.read("modes.csv")?, "charging_tau_fs")?.len() >= 12);
    assert!(!folder.read("d.csv")?.contains("charging_tau_fs_file"));

    let scores: Value = serde_json::from_str(&folder.run("evaluate run --json")?)?;
    let of_time = &scores["nuisances"][0];
    assert_eq!(of_time["column"], "charging_tau_fs");
    let error = |key: &str| of_time[key].as_f64().ok_or("no number");
    // A uniform law over 40 fs has a standard deviation of 11.5.
    assert!((error("rmse_train_mean")? - 11.5).abs() < 1.5, "{of_time}");
    assert!(error("rmse")? < 1.1 * error("rmse_train_mean")?, "{of_time}");
    assert!(scores["resimulation"]["median"].as_f64().is_some());
    Ok(())
}

#[test]
fn what_is_not_listed_is_not_refined_and_says_so() -> TestResult {
    let folder = Folder(tempfile::tempdir()?);
    let simulate = format!("simulate --preset ocs-wide {DRAWN} --quiet");
    folder.run(&format!("{simulate} --events 400 --seed 3 -o t.csv"))?;
    folder.run(&format!("{simulate} --events 3 --seed 9 -o m.csv"))?;
    folder.write("e.toml", EXPERIMENT)?;
    folder.run("train --config e.toml --set columns.nuisances=[] -o run --quiet")?;
    folder.run("predict run m.csv -n 5 -o d.csv --quiet")?;
    // The times of the file are a further column.
    assert!(folder.read("d.csv")?.starts_with("event,draw,cx,"));
    let refused = folder.fails("predict run m.csv --refine -n 5 -o d.csv")?;
    assert!(refused.contains("draws `charging_tau_fs` for each event"), "{refused}");
    assert!(refused.contains("`columns.nuisances`"), "{refused}");

    let unknown = folder.fails("train --config e.toml --set columns.nuisances=['tau'] -o other")?;
    assert!(unknown.contains("`tau`") && unknown.contains("charging_tau_fs"), "{unknown}");
    let simulator = EXPERIMENT.replace("files = ['t.csv']", "simulator = 'ocs-wide'");
    folder.write("s.toml", &simulator)?;
    let undrawn = folder.fails("train --config s.toml -o other")?;
    assert!(undrawn.contains("the simulation does not draw `charging_tau_fs`"), "{undrawn}");

    // Without noise there is no one answer.
    folder.run(&format!(
        "{simulate} --set detector.momentum_noise_au=0 --events 400 --seed 3 -o quiet.csv"
    ))?;
    folder.run("train --config e.toml --set source.files=['quiet.csv'] -o quiet --quiet")?;
    let refused = folder.fails("predict quiet m.csv --refine -n 5 -o d.csv")?;
    assert!(refused.contains("momenta without noise"), "{refused}");
    Ok(())
}
