//! What `cei` says of momenta that a model does not describe: before the answer, in the answer, and quiet or not.

mod folder;

use serde_json::Value;

use folder::{Folder, TestResult};

impl Folder {
    /// With a small run `run`, trained on wide OCS of charges 2 with 1 a.u. of noise.
    fn new() -> TestResult<Self> {
        let folder = Self::empty()?;
        folder.small_run("run", "wide", "")?;
        Ok(folder)
    }

    /// Writes the momenta of a table, times `factor`, with the columns renamed in pairs.
    fn momenta(&self, from: &str, to: &str, factor: f64, renamed: &[(&str, &str)]) -> TestResult {
        let names = ["pcx", "pcy", "pcz", "pox", "poy", "poz", "psx", "psy", "psz"];
        let columns: Vec<Vec<f64>> =
            names.iter().map(|name| self.numbers(from, name)).collect::<Result<_, _>>()?;
        let new = |name: &str| match renamed.iter().find(|(old, _)| name.starts_with(old)) {
            Some((old, new)) => format!("{new}{}", &name[old.len()..]),
            None => name.to_owned(),
        };
        let mut text = names.map(new).join(",") + "\n";
        for row in 0..columns[0].len() {
            let cells = columns.iter().map(|column| (factor * column[row]).to_string());
            text.push_str(&(cells.collect::<Vec<_>>().join(",") + "\n"));
        }
        Ok(self.write(to, text)?)
    }
}

#[test]
fn momenta_of_another_kind_are_told_first_and_in_every_output() -> TestResult {
    let folder = Folder::new()?;
    folder.run("simulate --preset ocs-wide --events 60 --seed 9 -o own.csv")?;
    let predict = "predict run own.csv -n 50 -o draws.csv";
    let (stdout, stderr) = folder.run(predict)?;
    assert!(
        !stderr.contains("as a set") && !stdout.contains("does not describe"),
        "{stderr}{stdout}"
    );

    // Wrong unit: named, first, quiet or not, in JSON, and for every event.
    folder.momenta("own.csv", "unit.csv", 1.0 / 50.1793, &[])?;
    let predict = "predict run unit.csv -n 50 -o draws.csv --summary summary.csv";
    let (stdout, stderr) = folder.run(predict)?;
    assert!(stderr.starts_with("warning: as a set, these momenta are not what"), "{stderr}");
    assert!(
        stderr.contains("kinetic energy release (eV)") && stderr.contains("1e-22 kg m/s"),
        "{stderr}"
    );
    assert!(stdout.starts_with("warning: the model does not describe this file"), "{stdout}");
    assert!(folder.column("summary.csv", "outside_file")?.iter().all(|cell| cell == "unit"));
    let (stdout, stderr) = folder.run(&format!("{predict} --quiet"))?;
    assert!(
        stdout.is_empty() && stderr.contains("as a set") && stderr.contains("does not describe"),
        "{stderr}"
    );
    assert!(stderr.contains("60 of 60 events are outside the training support"), "{stderr}");
    let report = folder.json(&format!("{predict} --json"))?;
    assert_eq!(report["plausibility"]["far"], true);
    assert_eq!(report["plausibility"]["cause"]["kind"], "unit");

    // It is the unit of this file that is wrong, not that of the run.
    let predict = "predict run unit.csv --set columns.y_unit=1e-21kgm/s -n 5 -o draws.csv --json";
    let cause = &folder.json(predict)?["plausibility"]["cause"];
    assert_eq!((&cause["kind"], &cause["unit"]), (&"unit".into(), &"1e-22 kg m/s".into()));

    // Swapped ions.
    folder.momenta("own.csv", "swapped.csv", 1.0, &[("pc", "po"), ("po", "pc")])?;
    let report = folder.json("predict run swapped.csv -n 50 -o draws.csv --json")?;
    assert_eq!(report["plausibility"]["cause"]["kind"], "swapped-ions", "{report}");

    // Scoring and inspecting such a table say it too.
    folder.run("simulate --preset ocs-wide --events 60 --seed 9 --set molecule.atoms=[{element='C',charge=1},{element='O',charge=1},{element='S',charge=1}] -o ones.csv")?;
    let (_, stderr) = folder.run("evaluate run --data ones.csv --draws 10 --quiet")?;
    assert!(
        stderr.starts_with("warning: as a set") && stderr.contains("charges 1, 1, 1"),
        "{stderr}"
    );

    // Charges that take time.
    folder.run("simulate --preset ocs-wide --events 60 --seed 9 --set charging.kind=exponential --set charging.tau_fs=400 -o slow.csv")?;
    let (_, stderr) = folder.run("predict run slow.csv -n 5 -o draws.csv --quiet")?;
    assert!(stderr.starts_with("warning: as a set"), "{stderr}");
    assert!(
        stderr.contains("\n  charging: exponential charging, `charging.tau_fs` of"),
        "{stderr}"
    );
    folder.write(
        "my.toml",
        String::from_utf8(
            folder.cei("config --preset wide-cinn --set source.files=['wide.csv']")?.stdout,
        )?,
    )?;
    let (_, stderr) = folder.run("inspect ones.csv --config my.toml")?;
    assert!(
        stderr.starts_with("warning: as a set") && stderr.contains("charges 1, 1, 1"),
        "{stderr}"
    );
    Ok(())
}

/// Numbers of 1e-22 kg m/s under a unit that is declared wrongly, by 22 powers of ten: the right one is named.
#[test]
fn a_unit_that_is_wrong_by_many_powers_of_ten_is_named() -> TestResult {
    let folder = Folder::new()?;
    folder.run("simulate --preset ocs-wide --events 60 --seed 9 -o own.csv")?;
    folder.momenta("own.csv", "raw.csv", 1.0 / 50.1793, &[])?;
    let config = "config --preset wide-cinn --set columns.y_unit=si --set source.files=[] --set source.simulator=ocs-wide --set source.events_per_epoch=2000";
    folder.write("si.toml", &folder.run(config)?.0)?;
    let hint = "`columns.y_unit = \"1e-22 kg m/s\"`";
    let (stdout, stderr) = folder.run("inspect raw.csv --config si.toml --json")?;
    assert!(stderr.contains(hint), "{stderr}");
    let report: Value = serde_json::from_str(&stdout)?;
    assert_eq!(report["plausibility"]["cause"]["unit"], "1e-22 kg m/s");
    folder.run("train --config si.toml --set model.hidden=[8] --set model.couplings=2 --set training.max_epochs=1 -o si --quiet")?;
    for arguments in
        ["predict si raw.csv -n 5 -o draws.csv", "evaluate si --data own.csv --draws 5"]
    {
        let output = folder.cei(arguments)?;
        let stderr = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(1), "{arguments}: {stderr}");
        assert!(stderr.contains("likely cause: the unit"), "{arguments}: {stderr}");
        assert!(arguments.starts_with("evaluate") || stderr.contains(hint), "{stderr}");
    }
    Ok(())
}

/// Bonds longer than the law has: the limits are named, and geometries outside of it are marked. Events of the law are
/// flagged in one of ten cases at most.
#[test]
fn posteriors_at_a_limit_of_the_law_are_flagged() -> TestResult {
    let folder = Folder::new()?;
    let law = String::from_utf8(folder.cei("config --preset ocs-wide")?.stdout)?;
    let longer = law.replace("low = 1.0", "low = 5.3").replace("high = 5.0", "high = 6.5");
    assert_ne!(longer, law);
    folder.write("longer.toml", longer)?;
    folder.run("simulate --config longer.toml --events 40 --seed 2 -o longer.csv")?;
    folder.run("simulate --preset ocs-wide --events 100 --seed 3 -o own.csv")?;

    let refine = "--refine -n 400 -o draws.csv --summary summary.csv --modes modes.csv";
    let report = folder.json(&format!("predict run own.csv {refine} --json"))?;
    let flagged = report["law_edge"]["events"].as_u64().ok_or("no count")?;
    assert!(flagged <= 10, "{report}");
    assert!(!folder.column("modes.csv", "outside_law")?.contains(&"1".to_owned()) || flagged > 0);

    let (stdout, _) = folder.run(&format!("predict run longer.csv {refine}"))?;
    assert!(stdout.starts_with("warning: the model does not describe this file"), "{stdout}");
    assert!(
        stdout.contains("law-edge") && stdout.contains("at its upper limit 500 pm"),
        "{stdout}"
    );
    let edges = folder.column("summary.csv", "law_edge")?;
    let pinned = edges.iter().filter(|cell| cell.contains("at its upper limit 500 pm"));
    assert!(pinned.count() >= 20, "{edges:?}");
    assert!(folder.column("modes.csv", "outside_law")?.contains(&"1".to_owned()));
    let reasons = folder.column("summary.csv", "outside_model")?;
    assert!(reasons.iter().any(|reason| reason.contains("law-edge")), "{reasons:?}");
    assert_eq!(
        folder.column("modes.csv", "outside_model")?.len(),
        folder.column("modes.csv", "event")?.len()
    );
    Ok(())
}

/// A C-C bond far below the limit of the law: the posterior of each event leans on this limit, which is named, and its evidence is
/// far below that of training events.
#[test]
fn events_far_from_the_law_lean_on_its_limit() -> TestResult {
    let folder = Folder::empty()?;
    let short = "geometry.lengths_angstrom={C1-C2={distribution=\"uniform\",low=0.6,high=0.65}}";
    folder.run(&format!(
        "simulate --preset acetylene-wide --set {short} --events 20 --seed 3 -o short.csv"
    ))?;
    let atoms = "molecule.atoms=[{element=\"C\",charge=1},{element=\"C\",charge=1},{element=\"H\",charge=1},{element=\"H\",charge=1}]";
    // After a few steps of Adam the network is broad, and searches begin near to these events too.
    let adam = "--set training.optimizer=adam --set training.learning_rate=1e-3";
    folder.run(&format!(
        "train --preset wide-spline --set source.simulator=acetylene-wide --set source.events_per_epoch=6000 --set {atoms} \
         --set preprocessing.gauge.x_axis=C1 --set preprocessing.gauge.xy_plane=C2 --set model.hidden=[16] \
         --set training.max_epochs=3 {adam} -o run --quiet"
    ))?;
    let predict = "predict run short.csv --refine -n 100 -o draws.csv --summary summary.csv --json";
    let report = folder.json(predict)?;
    let reasons = folder.column("summary.csv", "outside_model")?;
    assert_eq!(report["refinement"]["evidence"], 20, "{report}");
    assert_eq!(report["refinement"]["outside_law"], 0, "{report}");
    let is_named = |reason: &&String| reason.contains("law-edge");
    assert!(reasons.iter().filter(is_named).count() >= 15, "{reasons:?}");
    assert_eq!(report["law_edge"]["limits"][0]["limit"], "C1-C2 at its lower limit 100 pm");
    assert!(folder.numbers("summary.csv", "log_evidence")?.iter().all(|log| log.is_finite()));
    Ok(())
}

#[test]
fn quiet_drops_no_warning_and_what_cannot_be_refined_is_told_before_training() -> TestResult {
    let folder = Folder::empty()?;
    folder.run("simulate --preset ocs-reference --events 300 --seed 1 -o ocs.csv")?;
    let train = "train --preset reference-cinn --data ocs.csv --set model.hidden=[8] --set model.couplings=2 --set training.max_epochs=1";
    let (_, stderr) = folder.run(&format!("{train} -o loud"))?;
    assert!(
        stderr.contains(
            "`cei predict --refine` will not be possible: positions and momenta are rotated apart"
        ),
        "{stderr}"
    );
    let (stdout, stderr) = folder.run(&format!("{train} -o quiet --quiet"))?;
    assert!(
        stdout.is_empty() && stderr.starts_with("warning: these columns do not vary"),
        "{stderr}"
    );
    Ok(())
}

/// Draws do not depend on how many are asked for, also beyond the number that is held in memory at once; more refined
/// draws than can be weighted together are refused.
#[test]
fn many_draws_of_one_event_are_those_of_few() -> TestResult {
    let folder = Folder::new()?;
    folder.run("simulate --preset ocs-wide --events 1 --seed 4 -o one.csv")?;
    folder.run("predict run one.csv -n 150 -o few.csv")?;
    folder.run("predict run one.csv -n 250001 -o many.csv --summary summary.csv")?;
    let few = folder.read("few.csv")?;
    let many = folder.read("many.csv")?;
    assert!(many.starts_with(&few));
    assert_eq!(many.lines().count(), 250_002);
    assert!(many.lines().last().is_some_and(|line| line.starts_with("0,250000,")));
    assert_eq!(folder.column("summary.csv", "event")?, ["0"]);
    let refused = folder.cei("predict run one.csv --refine -n 1000000 -o refined.csv")?;
    assert!(!refused.status.success());
    let stderr = String::from_utf8(refused.stderr)?;
    assert!(
        stderr.contains("`--draws` with `--refine` is `1000000`, but must be at most 100000"),
        "{stderr}"
    );
    Ok(())
}
