//! `cei predict --refine --false-coincidences`: events whose ions come from two molecules.

mod folder;

use serde_json::Value;

use folder::{Folder, TestResult};

const NAMES: [&str; 9] = ["pcx", "pcy", "pcz", "pox", "poy", "poz", "psx", "psy", "psz"];

impl Folder {
    /// With a small run `run`, trained on wide OCS of charges 2 with 1 a.u. of noise, and `mixed.csv`: `events` new events, of
    /// which every fifth has the ion of the next one in the place of its own (carbon, oxygen and sulphur in turn).
    fn with_mixed(events: usize) -> TestResult<Self> {
        let folder = Self::empty()?;
        folder.small_run("run", "wide", "")?;
        folder
            .run(&format!("simulate --preset ocs-wide --events {events} --seed 9 -o true.csv"))?;
        let columns: Vec<Vec<f64>> =
            NAMES.iter().map(|name| folder.numbers("true.csv", name)).collect::<Result<_, _>>()?;
        let mut text = NAMES.join(",") + "\n";
        for row in 0..events {
            let cells = (0..9).map(|column| {
                let is_other = row.is_multiple_of(5) && column / 3 == row / 5 % 3;
                columns[column][if is_other { (row + 1) % events } else { row }].to_string()
            });
            text.push_str(&(cells.collect::<Vec<_>>().join(",") + "\n"));
        }
        folder.write("mixed.csv", text)?;
        Ok(folder)
    }
}

/// The area under the receiver operating characteristic: how often a true event has the greater number.
fn area(p_true: &[(f64, bool)]) -> f64 {
    let of = |kind| p_true.iter().filter(move |(_, is_true)| *is_true == kind).map(|(p, _)| *p);
    let (mut above, mut pairs) = (0.0, 0.0);
    for of_true in of(true) {
        for of_false in of(false) {
            pairs += 1.0;
            above += if of_true > of_false { 1.0 } else { 0.5 * f64::from(of_true == of_false) };
        }
    }
    above / pairs
}

#[test]
fn false_coincidences_are_told_apart_and_counted() -> TestResult {
    let folder = Folder::with_mixed(300)?;
    let predict = "predict run mixed.csv --refine --false-coincidences -n 100 -o draws.parquet";
    let (stdout, _) = folder.run(&format!("{predict} --summary summary.csv"))?;
    assert!(
        stdout.contains("false coincidences: ") && stdout.contains("at least 0.9: "),
        "{stdout}"
    );
    let events = folder.numbers("summary.csv", "event")?;
    let p_true = folder.numbers("summary.csv", "p_true")?;
    let is_true = |event: &f64| !(*event as usize).is_multiple_of(5);
    let judged: Vec<(f64, bool)> = p_true.iter().copied().zip(events.iter().map(is_true)).collect();
    let area = area(&judged);
    assert!(area > 0.95, "area under the curve: {area}");

    let report = folder.json(&format!("{predict} --json"))?;
    let found = &report["false_coincidences"];
    let number = |value: &Value| value.as_f64().ok_or("no number");
    let (fraction, sd) = (number(&found["fraction"])?, number(&found["fraction_sd"])?);
    assert!((fraction - 0.2).abs() < 3.0 * sd && sd < 0.04, "{fraction} +- {sd}");

    // What is told of a threshold is what it does.
    let at = &found["selected"][2];
    assert_eq!(at["p_true"], 0.9);
    let kept = || judged.iter().filter(|(p, _)| *p >= 0.9);
    let right = kept().filter(|(_, is_true)| *is_true).count() as f64;
    assert_eq!(at["events"], kept().count());
    assert!((number(&at["purity"])? - right / kept().count() as f64).abs() < 0.03, "{found}");
    assert!((number(&at["efficiency"])? - right / 240.0).abs() < 0.03, "{found}");

    // Without false ones there are none.
    let own = predict.replace("mixed.csv", "true.csv");
    let found = &folder.json(&format!("{own} --json"))?["false_coincidences"];
    assert!(number(&found["fraction"])? < 0.02, "{found}");
    Ok(())
}

/// A gate drops most false coincidences; those that pass are as rare as they are then, and other events may be mixed.
#[test]
fn a_gate_and_other_events_change_the_background() -> TestResult {
    let folder = Folder::with_mixed(300)?;
    let predict =
        "predict run mixed.csv --refine --false-coincidences -n 100 -o draws.parquet --json";
    let gated = folder.json(&format!("{predict} --sum-gate 50"))?;
    let dropped = gated["gate"]["dropped"].as_u64().ok_or("no count")?;
    let left = 60.0 - dropped as f64;
    let found = &gated["false_coincidences"];
    let fraction = found["fraction"].as_f64().ok_or("no number")?;
    let sd = found["fraction_sd"].as_f64().ok_or("no number")?;
    let expected = left / (240.0 + left);
    assert!(
        dropped > 20 && (fraction - expected).abs() < 3.0 * sd,
        "{fraction} +- {sd}, {expected}"
    );

    let others = folder.json(&format!("{predict} --background true.csv"))?;
    let fraction = others["false_coincidences"]["fraction"].as_f64().ok_or("no number")?;
    assert!((fraction - 0.2).abs() < 0.03, "{fraction}");
    Ok(())
}

#[test]
fn what_cannot_be_told_is_said() -> TestResult {
    let folder = Folder::with_mixed(100)?;
    let told = folder.fails_with(2, "predict run mixed.csv --false-coincidences -o draws.csv")?;
    assert!(told.contains("--refine"), "{told}");
    let predict = "predict run mixed.csv --refine --false-coincidences -n 20 -o draws.csv";
    let told = folder.fails_with(1, &format!("{predict} --centre-of-mass removed"))?;
    assert!(told.contains("hint: leave out `--centre-of-mass removed`"), "{told}");
    folder.run("simulate --preset ocs-wide --events 19 -o few.csv")?;
    let told = folder.fails_with(1, &format!("{predict} --background few.csv"))?;
    assert!(told.contains("19 events are too few") && told.contains("hint: "), "{told}");
    let told = folder.fails_with(1, &format!("{predict} --background none.csv"))?;
    assert!(told.contains("none.csv"), "{told}");
    assert!(!folder.path("draws.csv").exists());
    Ok(())
}
