//! Ions alike: nothing depends on which of them a table calls first.

mod folder;

use folder::{Folder, TestResult};

const LAW: &str = "orientation = 'random'\ncentre = 'centre-of-mass'\n\
    [molecule]\natoms = [{ element = 'C', charge = 1 }, { element = 'C', charge = 1 }, { element = 'H', charge = 1 }, { element = 'H', charge = 1 }]\n\
    [geometry]\nlaw = 'internal'\n\
    positions_angstrom = { C1 = [0.6, 0, 0], C2 = [-0.6, 0, 0], H1 = [1.66, 0, 0], H2 = [-1.66, 0, 0] }\n\
    length_changes_angstrom = { distribution = 'normal', mean = 0.0, sd = 0.15 }\n\
    angle_changes_deg = { distribution = 'normal', mean = 0.0, sd = 15.0 }\n\
    [detector]\nmomentum_noise_au = 3.0\n";

const EXPERIMENT: &str = "[source]\nfiles = ['t.csv']\n\
    [molecule]\natoms = [{ element = 'C', charge = 1 }, { element = 'C', charge = 1 }, { element = 'H', charge = 1 }, { element = 'H', charge = 1 }]\n\
    exchangeable = true\n\
    [preprocessing.gauge]\npositions = 'centred'\nframe = 'momentum'\nx_axis = 'C1'\nxy_plane = 'H1'\n\
    [model]\nkind = 'cinn'\ncouplings = 6\nhidden = [32, 32]\n[training]\nmax_epochs = 12\n[evaluation]\nlatent = 'prior'\ndraws = 20\n";

/// A folder with events, and the same events in which every other row calls the C, and every third the H, the other way round.
fn folder() -> TestResult<Folder> {
    let folder = Folder::empty()?;
    folder.write("law.toml", LAW)?;
    folder.write("e.toml", EXPERIMENT)?;
    folder.run("simulate --config law.toml --seed 3 --quiet --events 4000 -o t.csv")?;
    let text = folder.read("t.csv")?;
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    let names: Vec<&str> = header.split(',').collect();
    let swapped = |name: &str, atom: char| match name.find(atom) {
        Some(at) if &name[at + 1..at + 2] == "1" => name.replacen('1', "2", 1),
        Some(_) => name.replacen('2', "1", 1),
        None => name.to_owned(),
    };
    let mut shuffled = format!("{header}\n");
    for (row, line) in lines.enumerate() {
        let cells: Vec<&str> = line.split(',').collect();
        let cell = |name: &&str| {
            let name = if row % 2 == 0 { swapped(name, 'c') } else { (*name).to_owned() };
            let name = if row % 3 == 0 { swapped(&name, 'h') } else { name };
            names.iter().position(|other| **other == *name).map_or("", |place| cells[place])
        };
        let moved: Vec<&str> = names.iter().map(cell).collect();
        shuffled.push_str(&format!("{}\n", moved.join(",")));
    }
    folder.write("s.csv", shuffled)?;
    let made: String = folder
        .read("t.csv.simulation.toml")?
        .lines()
        .filter(|line| !line.contains("SHA-256"))
        .map(|line| format!("{line}\n"))
        .collect();
    folder.write("s.csv.simulation.toml", made)?;
    Ok(folder)
}

/// Shuffled and not, the same weights, and of shuffled momenta the same draws, summaries and modes, refined and not: to the
/// bit. The refined posterior is calibrated, and without this it is not.
#[test]
fn nothing_depends_on_which_ion_is_called_first() -> TestResult {
    let folder = folder()?;
    assert_ne!(folder.read("t.csv")?, folder.read("s.csv")?);
    folder.run("train --config e.toml -o plain --quiet")?;
    let other = "--set source.files=['s.csv']";
    folder.run(&format!("train --config e.toml -o shuffled --quiet {other}"))?;
    let bytes = |file: &str| std::fs::read(folder.path(file));
    assert_eq!(bytes("plain/model.safetensors")?, bytes("shuffled/model.safetensors")?);
    // Momenta alone.
    for name in ["t", "s"] {
        let text = folder.read(&format!("{name}.csv"))?;
        let rows = text.lines().take(41).map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            format!("{}\n", cells[12..].join(","))
        });
        folder.write(&format!("m{name}.csv"), rows.collect::<String>())?;
        let files = format!("-o d{name}.csv --summary u{name}.csv");
        folder.run(&format!("predict plain m{name}.csv -n 20 {files}"))?;
        let files = format!("-o r{name}.csv --summary v{name}.csv --modes o{name}.csv");
        folder.run(&format!("predict plain m{name}.csv --refine -n 100 {files}"))?;
        folder.run(&format!("inspect m{name}.csv --config e.toml --json"))?;
    }
    assert_ne!(folder.read("mt.csv")?, folder.read("ms.csv")?);
    for kind in ["d", "u", "r", "v", "o"] {
        assert_eq!(folder.read(&format!("{kind}t.csv"))?, folder.read(&format!("{kind}s.csv"))?);
    }
    // Bonds are called as the table calls them: C1-H1 is the bond, C1-H2 is not.
    let mean = |name: &str| -> TestResult<f64> {
        let lengths = folder.numbers("vt.csv", name)?;
        Ok(lengths.iter().sum::<f64>() / lengths.len() as f64)
    };
    let (bond, distance) = (mean("C1-H1_pm_mean")?, mean("C1-H2_pm_mean")?);
    assert!(bond < 130.0 && distance > 190.0, "{bond} {distance}");
    let tests = folder.json("calibrate shuffled --refine --events 400 --draws 49 --json")?;
    assert_eq!((&tests["pass"], &tests["outside_model"]), (&true.into(), &0.into()), "{tests}");
    let scores = folder.json("evaluate shuffled --json")?;
    assert!(is_by_momentum(&scores), "{scores}");
    assert!(scores["coverage"]["0.9"].as_f64().is_some_and(|share| share > 0.8), "{scores}");
    let apart = "--set molecule.exchangeable=false";
    folder.run(&format!("train --config e.toml -o without --quiet {other} {apart}"))?;
    let tests = folder.json("calibrate without --refine --events 400 --draws 49 --json")?;
    assert_eq!(tests["pass"], false, "{tests}");
    Ok(())
}

/// New rows in every epoch are called the same way as those of a table.
#[test]
fn events_of_a_simulator_are_called_by_their_momenta_too() -> TestResult {
    let folder = folder()?;
    let simulated =
        EXPERIMENT.replace("files = ['t.csv']", "simulator = 'law.toml'\nevents_per_epoch = 2000");
    folder.write("f.toml", simulated)?;
    folder.run("train --config f.toml -o run --quiet")?;
    let [t, s] =
        ["t", "s"].map(|name| folder.json(&format!("evaluate run --data {name}.csv --json")));
    let (t, s) = (t?, s?);
    assert_eq!((&t["nll"], &t["crps"]), (&s["nll"], &s["crps"]));
    assert_eq!(t["gauge_free"], s["gauge_free"]);
    Ok(())
}

#[test]
fn what_tells_ions_apart_is_named() -> TestResult {
    let folder = folder()?;
    let fails =
        |options: &str| folder.fails_with(1, &format!("train --config e.toml -o x {options}"));
    let told = fails("--set detector.momentum_noise_au={C1=1,C2=1,H1=1,H2=2}")?;
    assert!(told.contains("`detector.momentum_noise_au` tells H1, H2 apart"), "{told}");
    assert!(told.contains("hint: with `molecule.exchangeable = false`"), "{told}");
    let told = fails("--set detector.efficiency={C1=0.5,C2=1,H1=1,H2=1}")?;
    assert!(told.contains("`detector.efficiency` tells C1, C2 apart"), "{told}");
    let charges = "[{element='C',charge=1},{element='C',charge=2},{element='H',charge=1},{element='H',charge=3}]";
    let apart = "--set source.files=['u.csv']";
    let without: String = folder.read("t.csv")?;
    folder.write("u.csv", without)?;
    let told = fails(&format!("{apart} --set molecule.atoms={charges}"))?;
    assert!(told.contains("no two atoms of `[molecule]`"), "{told}");
    Ok(())
}

/// Columns without names: whatever stands first is called by its momentum, unless that is said otherwise.
#[test]
fn columns_without_names_tell_nobody_apart() -> TestResult {
    let folder = folder()?;
    let places =
        |from: usize| (from..from + 12).map(|c| c.to_string()).collect::<Vec<_>>().join(",");
    let columns =
        format!("[columns]\nx = [{}]\ny = [{}]\nx_unit = 'bohr'\n", places(0), places(12));
    let text = EXPERIMENT.replace("exchangeable = true\n", "") + &columns;
    folder.write("places.toml", &text)?;
    folder.run("train --config places.toml -o run --quiet")?;
    assert!(is_by_momentum(&folder.json("evaluate run --json")?));
    let apart = "--set molecule.exchangeable=false";
    folder.run(&format!("train --config places.toml -o other --quiet {apart}"))?;
    assert!(!is_by_momentum(&folder.json("evaluate other --json")?));
    Ok(())
}

/// Whether ions alike are called by their momenta, by what is said of the frame.
fn is_by_momentum(scores: &serde_json::Value) -> bool {
    let frame = scores["scored"]["frame"].as_str().unwrap_or_default();
    frame.contains("in the order of falling momentum") && frame.ends_with("C1, C2; H1, H2")
}
