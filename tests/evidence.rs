//! `cei compare RUN... --data`: which of several simulations describes measured momenta.

mod folder;

use serde_json::Value;

use folder::{Folder, TestResult};

impl Folder {
    /// With small runs `fast` and `slow`, trained on wide OCS whose charges are there at once, or take 60 fs; and 80 events of
    /// the one with 40 of the other in `both.csv`.
    fn new() -> TestResult<Self> {
        let folder = Self::empty()?;
        let slow = "--set charging.kind=exponential --set charging.tau_fs=60";
        for (name, charging) in [("fast", ""), ("slow", slow)] {
            folder.small_run(name, name, charging)?;
        }
        folder.run("simulate --preset ocs-wide --events 80 --seed 9 -o some.csv")?;
        folder.run(&format!(
            "simulate --preset ocs-wide {slow} --events 40 --seed 8 -o others.csv"
        ))?;
        let others = folder.read("others.csv")?;
        let rows = others.split_once('\n').ok_or("no rows")?.1;
        folder.write("both.csv", folder.read("some.csv")? + rows)?;
        Ok(folder)
    }
}

#[test]
fn the_right_simulation_and_its_part_are_found() -> TestResult {
    let folder = Folder::new()?;
    let number = |value: &Value| value.as_f64().ok_or("no number");
    for (file, right, wrong) in [("some.csv", 0, 1), ("others.csv", 1, 0)] {
        let found = folder.json(&format!("compare fast slow --data {file} --json"))?;
        assert_eq!(found["best"], found["runs"][right]["run"]);
        let other = &found["runs"][wrong];
        let (below, sd) = (number(&other["below_best"])?, number(&other["below_best_sd"])?);
        assert!(below > 3.0 * sd && sd > 0.0, "{found}");
        assert!(number(&found["runs"][right]["fraction"])? > 0.8, "{found}");
    }

    let (stdout, _) = folder.run("compare fast slow --data both.csv -o events.csv")?;
    assert!(stdout.contains("part of a mixture") && stdout.contains("120 events"), "{stdout}");
    let found = folder.json("compare fast slow --data both.csv --json")?;
    for (run, truth) in [(0, 2.0 / 3.0), (1, 1.0 / 3.0)] {
        let run = &found["runs"][run];
        let (fraction, sd) = (number(&run["fraction"])?, number(&run["fraction_sd"])?);
        assert!((fraction - truth).abs() < 3.0 * sd && sd < 0.12, "{found}");
    }
    // The table has for each event what the parts are made of.
    let p = folder.numbers("events.csv", "p_fast")?;
    let mean = p.iter().sum::<f64>() / 120.0;
    assert!((mean - number(&found["runs"][0]["fraction"])?).abs() < 1e-3, "{mean} {found}");
    let part =
        |range: std::ops::Range<usize>| p[range.clone()].iter().sum::<f64>() / range.len() as f64;
    assert!(part(0..80) > part(80..120) + 0.2);

    // The evidence is that of a refinement.
    folder.run(
        "predict fast some.csv --refine -n 1000 -o draws.parquet --summary summary.csv --quiet",
    )?;
    folder.run("compare fast slow --data some.csv -o events.csv --quiet")?;
    let of_compare = folder.column("events.csv", "log_evidence_fast")?;
    assert_eq!(of_compare, folder.column("summary.csv", "log_evidence")?);
    Ok(())
}

#[test]
fn what_does_not_compare_is_said() -> TestResult {
    let folder = Folder::new()?;
    let told = folder.fails_with(1, "compare fast --data some.csv")?;
    assert!(told.contains("hint: name two runs or more"), "{told}");
    let told = folder.fails_with(2, "compare fast ./fast --data some.csv")?;
    assert!(told.contains("`./fast` is named twice"), "{told}");
    folder.fails_with(2, "compare fast slow -o events.csv")?;
    let told = folder.fails_with(2, "compare fast slow --data some.csv -o some.csv")?;
    assert!(told.contains("some.csv"), "{told}");
    let exact = "--set detector.momentum_noise_au=0";
    folder
        .run(&format!("simulate --preset ocs-wide {exact} --events 400 --seed 1 -o exact.csv"))?;
    folder.run("train --preset wide-cinn --data exact.csv --set detector.momentum_noise_au=0 --set model.hidden=[8] --set model.couplings=2 --set training.max_epochs=1 -o exact --quiet")?;
    let told = folder.fails_with(1, "compare fast exact --data some.csv")?;
    assert!(told.contains("no noise") && told.contains("`exact`"), "{told}");
    Ok(())
}
