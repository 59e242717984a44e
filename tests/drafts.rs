//! End-to-end tests of drafts: from a file of momenta without names to a run that reads it.

mod folder;

use folder::{Folder, TestResult};

const OCS: &str = "3\n\nO 0 0 -1.1578\nC 0 0 0\nS 0 0 1.5601\n";

/// Momenta of the preset as a laboratory has them: no header, tabs, 1e-22 kg m/s, the ions in another order than the
/// simulation's, turned at random.
fn measured(folder: &Folder) -> TestResult {
    folder.run("simulate --preset ocs-wide --set frame={kind='laboratory'} --events 300 --seed 9 --quiet -o t.csv")?;
    let names = ["pox", "poy", "poz", "pcx", "pcy", "pcz", "psx", "psy", "psz"];
    let columns = names.map(|name| folder.numbers("t.csv", name));
    let columns = columns.into_iter().collect::<Result<Vec<_>, _>>()?;
    let line = |event: usize| {
        let cells = columns.iter().map(|column| format!("{:.6}", column[event] / 50.179_3));
        cells.collect::<Vec<_>>().join("\t") + "\n"
    };
    Ok(folder.write("momenta.txt", (0..300).map(line).collect::<String>())?)
}

#[test]
fn a_file_without_names_is_read_by_drafts() -> TestResult {
    let folder = Folder::empty()?;
    measured(&folder)?;
    folder.write("ocs.xyz", OCS)?;
    let from = "config --from momenta.txt --ions O,C,S --charges 2,2,2";
    let (said, told) =
        folder.run(&format!("{from} --unit 1e-22kgm/s --geometry ocs.xyz -o mine"))?;
    assert!(said.contains("cei train --config mine/experiment.toml -o mine/run"), "{said}");
    // The noise of the preset is 1 a.u.; of 300 sums of three ions its sd is known to 3 %.
    let simulation = folder.read("mine/simulation.toml")?;
    let noise = simulation.split("momentum_noise_au = ").nth(1).ok_or("no noise")?;
    let noise: f64 = noise.split_whitespace().next().ok_or("no number")?.parse()?;
    assert!((noise - 1.0).abs() < 0.12, "{noise}");
    // Four times the 26.97 eV of single charges (docs/spec.md, at 175 degrees).
    assert!(simulation.contains("charged at once: 107.8"), "{simulation}");
    assert!(told.contains("in the drafted simulation"), "{told}");
    let experiment = folder.read("mine/experiment.toml")?;
    assert!(experiment.contains("y = [0, 1, 2, 3, 4, 5, 6, 7, 8]"), "{experiment}");
    let small = "--set source.events_per_epoch=500 --set training.max_epochs=2 --set model.hidden=[8] --quiet";
    folder.run(&format!("train --config mine/experiment.toml {small} -o mine/run"))?;
    folder.run("predict mine/run momenta.txt -n 5 -o mine/draws.csv --quiet")?;
    assert_eq!(folder.numbers("mine/draws.csv", "sx")?.len(), 1500);
    // A frame for each draw, in angstrom, which the simulator reads again.
    folder.run("predict mine/run momenta.txt -n 2 -o mine/draws.xyz --quiet")?;
    let frames = folder.read("mine/draws.xyz")?;
    assert_eq!(frames.lines().filter(|line| line.contains(" event=299 ")).count(), 2, "{frames}");
    let bohr: f64 = folder.numbers("mine/draws.csv", "sx")?[0];
    let sulphur = frames.lines().nth(4).ok_or("no frame")?;
    let angstrom: f64 = sulphur.split(' ').nth(1).ok_or("no position")?.parse()?;
    assert!(
        sulphur.starts_with("S ") && (angstrom / bohr - 0.529_177_21).abs() < 1e-7,
        "{sulphur}"
    );
    let exploded =
        "simulate --config mine/simulation.toml --positions mine/draws.xyz --at-rest --quiet";
    folder.run(&format!("{exploded} -o again.csv"))?;
    assert_eq!(folder.numbers("again.csv", "pox")?.len(), 600);
    let summary = folder.fails_with(1, "predict mine/run momenta.txt -o d.csv --summary s.xyz")?;
    assert!(summary.contains("`s.xyz`: frames are of geometries"), "{summary}");
    // Nothing is replaced.
    let again = folder.fails_with(2, &format!("{from} --unit 1e-22kgm/s -o mine"))?;
    assert!(again.contains("`mine/simulation.toml` is there already"), "{again}");
    // Without a geometry the ions may be anywhere.
    folder.run(&format!("{from} --unit 1e-22kgm/s -o wide"))?;
    assert!(folder.read("wide/simulation.toml")?.contains("law = \"sphere\""));
    Ok(())
}

#[test]
fn what_does_not_fit_is_told() -> TestResult {
    let folder = Folder::empty()?;
    measured(&folder)?;
    folder.write("co.xyz", "2\n\nO 0 0 0\nC 0 0 1\n")?;
    let told = |arguments: &str, words: &[&str]| -> TestResult {
        let text =
            folder.fails_with(2, &format!("config --from momenta.txt {arguments} -o mine"))?;
        for word in words {
            assert!(text.contains(word), "{arguments}: {text}");
        }
        assert!(!folder.path("mine").exists(), "{arguments}");
        Ok(())
    };
    told("--ions O,C,S --charges 1,1", &["2 numbers for 3 ions"])?;
    told("--ions O,C --charges 1,1", &["have 9 columns", "--columns"])?;
    told("--ions O,C,Xx --charges 1,1,1", &["Xx"])?;
    told("--ions O,C,S --charges 1,0,1", &["`0`"])?;
    told("--ions O,C,S", &["--charges"])?;
    let text = folder.fails_with(
        1,
        "config --from momenta.txt --ions O,C,S --charges 1,1,1 --unit au --geometry co.xyz -o mine",
    )?;
    assert!(text.contains("co.xyz"), "{text}");
    Ok(())
}
