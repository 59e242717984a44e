//! End-to-end tests of times of the charging that differ between events: recorded, inferred, scored, refined.

mod folder;

use folder::{Folder, TestResult};

const DRAWN: &str = "--set charging.kind=exponential \
    --set charging.tau_fs.distribution=uniform --set charging.tau_fs.low=0 --set charging.tau_fs.high=40";

const EXPERIMENT: &str = "[source]\nfiles = ['t.csv']\n[columns]\nnuisances = ['charging_tau_fs']\n[molecule]\natoms = [\
    { element = 'C', charge = 2 }, { element = 'O', charge = 2 }, { element = 'S', charge = 2 }]\n\
    [preprocessing.gauge]\nframe = 'momentum'\nx_axis = 'S'\nxy_plane = 'O'\n\
    [model]\nkind = 'cinn'\ncouplings = 4\nhidden = [16, 16]\n[training]\nmax_epochs = 5\n[evaluation]\ndraws = 20\n";

#[test]
fn a_time_that_differs_between_events_is_inferred() -> TestResult {
    let folder = Folder::empty()?;
    let simulate = format!("simulate --preset ocs-wide {DRAWN} --quiet");
    folder.run(&format!("{simulate} --events 2000 --seed 3 -o t.csv"))?;
    folder.run(&format!("{simulate} --events 12 --seed 9 -o m.csv"))?;
    let truth = folder.numbers("m.csv", "charging_tau_fs")?;
    assert!(truth.iter().all(|time| (0.0..40.0).contains(time)), "{truth:?}");
    folder.write("e.toml", EXPERIMENT)?;
    folder.run("train --config e.toml -o run --quiet")?;

    // Momenta alone are enough; with the times as further columns, these are passed on.
    let predict = "predict run m.csv --refine -n 1000 --summary s.csv --modes modes.csv";
    let report = folder.json(&format!("{predict} -o d.csv --json"))?;
    assert_eq!(report["refinement"]["outside_model"], 0, "{report}");
    let draws = folder.numbers("d.csv", "charging_tau_fs")?;
    assert_eq!(draws.len(), 12 * 1000);
    assert!(draws.iter().all(|time| (0.0..=40.0).contains(time)));
    let [low, high] =
        ["q05", "q95"].map(|q| folder.numbers("s.csv", &format!("charging_tau_fs_{q}")));
    let (low, high) = (low?, high?);
    let inside = |event: &usize| (low[*event]..=high[*event]).contains(&truth[*event]);
    // 9 of 10 are expected; fewer than 7 of 12 are so once in 2,000 times.
    assert!((0..12).filter(inside).count() >= 7, "{truth:?} {low:?} {high:?}");
    assert!(folder.numbers("modes.csv", "charging_tau_fs")?.len() >= 12);
    assert!(!folder.read("d.csv")?.contains("charging_tau_fs_file"));

    let scores = folder.json("evaluate run --json")?;
    let of_time = &scores["nuisances"][0];
    assert_eq!(of_time["column"], "charging_tau_fs");
    let error = |key: &str| of_time[key].as_f64().ok_or("no number");
    // A uniform law over 40 fs has a standard deviation of 11.5.
    assert!((error("rmse_train_mean")? - 11.5).abs() < 1.5, "{of_time}");
    assert!(error("rmse")? < 1.1 * error("rmse_train_mean")?, "{of_time}");
    assert!(scores["resimulation"]["median"].as_f64().is_some());
    Ok(())
}

/// Bonds that break one after another: the rotation between the steps is a column of its table, is inferred, and the momenta
/// are told from those of a break-up at once.
#[test]
fn a_rotation_between_two_steps_is_inferred() -> TestResult {
    let folder = Folder::empty()?;
    let law = "--set break_up.kind=sequential --set break_up.first=O --set break_up.rotation_deg.distribution=uniform \
        --set break_up.rotation_deg.low=0 --set break_up.rotation_deg.high=360";
    let simulate = format!("simulate --preset ocs-wide {law} --quiet");
    folder.run(&format!("{simulate} --events 2000 --seed 3 -o t.csv"))?;
    folder.run(&format!("{simulate} --events 10 --seed 9 -o m.csv"))?;
    let truth = folder.numbers("m.csv", "break_up_rotation_deg")?;
    assert!(truth.iter().all(|angle| (0.0..360.0).contains(angle)), "{truth:?}");
    folder.write("e.toml", EXPERIMENT.replace("charging_tau_fs", "break_up_rotation_deg"))?;
    folder.run("train --config e.toml -o sequential --quiet")?;
    folder.run("simulate --preset ocs-wide --events 2000 --seed 3 -o t.csv --quiet")?;
    let concerted = EXPERIMENT.replace("nuisances = ['charging_tau_fs']", "");
    folder.write("e.toml", concerted)?;
    folder.run("train --config e.toml -o concerted --quiet")?;

    folder.run("predict sequential m.csv --refine -n 200 --summary s.csv -o d.csv --quiet")?;
    // A flow that has hardly been trained leads to no geometry in one event or another; its draws are then not refined.
    let refined = folder.column("s.csv", "outside_model")?;
    let refined: Vec<usize> = (0..10).filter(|event| refined[*event].is_empty()).collect();
    assert!(refined.len() >= 8, "{refined:?}");
    let draws = folder.numbers("d.csv", "break_up_rotation_deg")?;
    let of_event = |event: &usize| draws[200 * event..200 * (event + 1)].iter();
    assert!(refined.iter().flat_map(of_event).all(|angle| (0.0..=360.0).contains(angle)));
    let bound = |q: &str| folder.numbers("s.csv", &format!("break_up_rotation_deg_{q}"));
    let (low, high) = (bound("q05")?, bound("q95")?);
    let inside = |event: &&usize| (low[**event]..=high[**event]).contains(&truth[**event]);
    // 9 of 10 are expected; of 8, fewer than half are so once in 2,000 times.
    let found = refined.iter().filter(inside).count();
    assert!(2 * found >= refined.len(), "{found}: {truth:?} {low:?} {high:?}");

    let found = folder.json("compare concerted sequential --data m.csv --json")?;
    assert_eq!(found["best"], "sequential", "{found}");
    Ok(())
}

/// A file that has the times of its events says them: exploded again, positions and times give the same momenta. What is no
/// time is refused, and what does not count is said.
#[test]
fn times_of_a_file_of_positions_are_used() -> TestResult {
    let folder = Folder::empty()?;
    let quiet = format!("{DRAWN} --set detector.momentum_noise_au=0 --quiet");
    folder.run(&format!("simulate --preset ocs-wide {quiet} --events 20 --seed 3 -o t.csv"))?;
    let again = "simulate --preset ocs-wide --positions t.csv --at-rest --seed 4 -o again.csv";
    let told = folder.told(&format!("{again} {quiet}"))?;
    assert!(
        told.contains("`t.csv`: `charging_tau_fs` of each event is that of the file"),
        "{told}"
    );
    assert!(!told.contains("input_charging_tau_fs"), "{told}");
    for name in ["charging_tau_fs", "pcx", "poy", "psx"] {
        for (a, b) in folder.numbers("t.csv", name)?.iter().zip(folder.numbers("again.csv", name)?)
        {
            assert!((a - b).abs() < 1e-6 * a.abs().max(1.0), "{name}: {a} {b}");
        }
    }
    let fixed = format!("{again} --set charging.kind=exponential --set charging.tau_fs=5 --quiet");
    let told = folder.told(&fixed)?;
    assert!(
        told.contains("its column `charging_tau_fs` is passed on and does not count"),
        "{told}"
    );

    let text = folder.read("t.csv")?;
    let last = folder.column("t.csv", "charging_tau_fs")?[19].clone();
    for (cell, named) in [("-3", "-3"), ("0", "0"), ("late", "late"), ("", "")] {
        folder.write("t.csv", text.replace(&last, cell))?;
        let refused = folder.fails_with(1, &format!("{again} {quiet}"))?;
        let place =
            format!("`t.csv`, row 20, column `charging_tau_fs`: `{named}` is no number above 0");
        assert!(refused.contains(&place), "{cell}: {refused}");
    }
    Ok(())
}

#[test]
fn what_is_not_listed_is_not_refined_and_says_so() -> TestResult {
    let folder = Folder::empty()?;
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
