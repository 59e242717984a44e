//! End-to-end tests of ions that move before they fly apart: a molecule that vibrates, and velocities of files.

mod folder;

use folder::{Folder, TestResult};

const MOLECULE: &str = "orientation = 'random'\n[molecule]\nisotopes = 'commonest'\natoms = [\n\
    { element = 'C', charge = 2 }, { element = 'O', charge = 2 }, { element = 'S', charge = 2 }]\n\
    [detector]\nmomentum_noise_au = 1\n[frame]\nkind = 'momentum'\nx_axis = 'S'\nxy_plane = 'O'\n";

/// OCS; positions in bohr.
const MOLDEN: &str = "[Molden Format]\n[FREQ]\n520\n520\n859\n2062\n[FR-COORD]\nC 0 0 0\nO 0 0 -2.187925\nS 0 0 2.948162\n\
    [FR-NORM-COORD]\nvibration 1\n0 -0.908709 0\n0 0.391330 0\n0 0.145290 0\nvibration 2\n-0.908709 0 0\n0.391330 0 0\n\
    0.145290 0 0\nvibration 3\n0 0 0.459562\n0 0 0.713203\n0 0 -0.529286\nvibration 4\n0 0 0.856743\n0 0 -0.511549\n\
    0 0 -0.065643\n";

const XYZ: &str = "3\nProperties=species:S:1:pos:R:3:velo:R:3\nC 0 0 0 0.004 0 0\nO 1.16 0 0 0 -0.003 0\nS -1.56 0 0 0 0 0\n";

impl Folder {
    fn new() -> TestResult<Self> {
        let folder = Self::empty()?;
        let law = "[geometry]\nlaw = 'harmonic'\nmolden = 'ocs.molden'\n";
        folder.write("ocs.toml", format!("{MOLECULE}{law}"))?;
        folder.write("file.toml", MOLECULE)?;
        folder.write("ocs.molden", MOLDEN)?;
        folder.write("moving.xyz", XYZ)?;
        folder.write("still.xyz", XYZ.replace("velo", "force"))?;
        Ok(folder)
    }
}

/// The modes of a Molden file are in what is written, and the file is not needed again: the table is trained on, and
/// its draws are refined with the momenta of the vibrations; those of a file have no law, and are not.
#[test]
fn a_molecule_that_vibrates_is_simulated_from_a_molden_file() -> TestResult {
    let folder = Folder::new()?;
    folder.told("simulate --config ocs.toml --events 400 --initial-momenta -o t.csv --quiet")?;
    let table = folder.read("t.csv")?;
    assert!(table.lines().next().is_some_and(|header| header.ends_with(",initial_psz")));
    let beside = folder.read("t.csv.simulation.toml")?;
    assert!(beside.contains("frequency_cm1 = 2062.0") && !beside.contains("molden"), "{beside}");
    std::fs::remove_file(folder.path("ocs.molden"))?;
    let gone = folder.fails("simulate --config ocs.toml -o u.csv")?;
    assert!(gone.starts_with("error: `ocs.toml`: `geometry.molden`: `ocs.molden`"), "{gone}");

    let experiment = "[source]\nfiles = ['t.csv']\n[molecule]\nisotopes = 'commonest'\natoms = [{ element = 'C', charge = 2 }, \
        { element = 'O', charge = 2 }, { element = 'S', charge = 2 }]\n[preprocessing.gauge]\nframe = 'momentum'\n\
        x_axis = 'S'\nxy_plane = 'O'\n[model]\nkind = 'cinn'\ncouplings = 2\nhidden = [8]\n\
        [training]\nmax_epochs = 1\n";
    folder.write("e.toml", experiment)?;
    folder.told("train --config e.toml -o run --quiet")?;
    folder.told("predict run t.csv -n 5 -o draws.csv --quiet")?;
    // Re-simulated momenta have those of the vibrations: the two differ by their spread, not by much more.
    let scores = folder.json("evaluate run --draws 5 --json --quiet")?;
    assert!(scores["warnings"].as_array().is_none_or(Vec::is_empty), "{scores}");
    assert!(scores["resimulation"]["median"].as_f64().is_some_and(|off| off > 1.0), "{scores}");
    let few: Vec<&str> = table.lines().take(4).collect();
    folder.write("few.csv", few.join("\n"))?;
    folder.told("predict run few.csv --refine -n 50 -o draws.csv --summary s.csv --quiet")?;
    let summary = folder.read("s.csv")?;
    let header = summary.lines().next().unwrap_or_default();
    let column =
        header.split(',').position(|name| name == "effective_sample_size").ok_or("none")?;
    for row in summary.lines().skip(1) {
        let size: f64 = row.split(',').nth(column).unwrap_or_default().parse()?;
        assert!(size > 10.0, "{size}: {row}");
    }
    folder.told("simulate --config file.toml --positions moving.xyz --motion-unit angstrom/fs -o g.csv --quiet")?;
    let given = folder.read("g.csv.simulation.toml")?;
    assert!(given.contains("initial_momenta = \"given\""), "{given}");

    // The law has nothing to do with positions of a file, and is no prior of theirs.
    let told =
        folder.told("simulate --preset ocs-wide --positions few.csv --at-rest -o f.csv --quiet")?;
    assert!(told.contains("`[geometry]` does not apply"), "{told}");
    let beside = folder.read("f.csv.simulation.toml")?;
    assert!(beside.contains("molecule.atoms") && !beside.contains("[geometry]"), "{beside}");
    Ok(())
}

/// What is taken from a file, in which unit, and what is not there, is said; a table with its initial momenta explodes
/// again into the same momenta.
#[test]
fn velocities_of_files_are_used_and_named() -> TestResult {
    let folder = Folder::new()?;
    let simulate =
        "simulate --config file.toml --set detector.momentum_noise_au=0 --set orientation=as-drawn";
    let run = |file: &str, more: &str, output: &str| {
        folder.told(&format!("{simulate} --positions {file} {more} -o {output} --quiet"))
    };
    let guessed = run("moving.xyz", "--initial-momenta", "moving.csv")?;
    assert!(guessed.contains("`velo`, taken as velocities in angstrom/fs"), "{guessed}");
    assert!(guessed.contains("the unit is a guess") && guessed.contains("as a whole"), "{guessed}");
    assert!(folder.read("moving.csv.simulation.toml")?.contains("initial_momenta = \"given\""));
    let said = run("moving.xyz", "--motion-unit angstrom/fs --initial-momenta", "said.csv")?;
    assert!(said.contains("angstrom/fs") && !said.contains("guess"), "{said}");
    assert_eq!(folder.read("said.csv")?, folder.read("moving.csv")?);
    let at_rest = "`still.xyz`: ions start at rest: the file has no velocities";
    assert!(run("still.xyz", "", "still.csv")?.contains(at_rest));
    assert_eq!(run("moving.xyz", "--at-rest", "stopped.csv")?, "");
    assert_eq!(folder.read("stopped.csv")?, folder.read("still.csv")?);
    let final_momenta = |text: String| -> Vec<String> {
        let row = text.lines().nth(1).unwrap_or_default();
        row.split(',').skip(9).take(9).map(str::to_owned).collect()
    };
    assert_ne!(final_momenta(folder.read("moving.csv")?), final_momenta(folder.read("still.csv")?));

    let again = run("moving.csv", "--initial-momenta", "again.csv")?;
    assert!(again.contains("`initial_pcx`, ..., taken as momenta in au"), "{again}");
    let cells = |text: &str| -> Vec<f64> {
        let row = text.lines().nth(1).unwrap_or_default();
        row.split(',').take(27).map(|cell| cell.parse().unwrap_or(f64::NAN)).collect()
    };
    let [first, second] = ["moving.csv", "again.csv"].map(|name| folder.read(name));
    for (a, b) in cells(&first?).iter().zip(cells(&second?)) {
        assert!((a - b).abs() < 1e-9, "{a} {b}");
    }

    let both = format!("{simulate} --set temperature_k=300 --positions moving.xyz -o u.csv");
    let refused = folder.fails(&both)?;
    assert!(refused.contains("the file of the positions does too"), "{refused}");
    let new = "simulate --config ocs.toml --set initial_momenta=given -o u.csv";
    assert!(folder.fails(new)?.contains("`initial_momenta` is `given`"));
    Ok(())
}

/// CO at 3,000 K: the momenta with which the ions start are inferred beside its length, and add up to zero.
#[test]
fn initial_momenta_are_inferred_where_asked_for() -> TestResult {
    let folder = Folder::new()?;
    let atoms =
        "[molecule]\natoms = [{ element = 'C', charge = 1 }, { element = 'O', charge = 1 }]\n";
    let law = "orientation = 'random'\ncentre = 'centre-of-mass'\ntemperature_k = 3000\n[detector]\nmomentum_noise_au = 4\n\
        [geometry]\nlaw = 'internal'\npositions_angstrom = { C = [0, 0, 0], O = [0, 0, 1.1] }\n\
        lengths_angstrom = { O-C = { distribution = 'uniform', low = 1.0, high = 1.4 } }\n";
    folder.write("co.toml", law.replace("[detector]", &format!("{atoms}[detector]")))?;
    let gauge = "[preprocessing.gauge]\nframe = 'momentum'\nx_axis = 'O'\nxy_plane = 'C'\n";
    let model =
        "[model]\nkind = 'cinn'\ncouplings = 4\nhidden = [16, 16]\n[training]\nmax_epochs = 10\n";
    folder.write("e.toml", format!("[source]\nfiles = ['t.csv']\n{atoms}{gauge}{model}"))?;
    let simulate = "simulate --config co.toml --quiet";
    folder.told(&format!("{simulate} --events 3000 --seed 3 -o t.csv"))?;
    folder.told(&format!("{simulate} --events 60 --seed 9 --initial-momenta -o m.csv"))?;
    folder.told("train --config e.toml -o run --quiet")?;
    let predict = "predict run m.csv --refine -n 200 --summary s.csv --modes modes.csv --quiet";
    folder.told(&format!("{predict} --initial-momenta -o d.csv"))?;
    let (mut inside, mut told) = (0, 0);
    for axis in ["x", "y", "z"] {
        let [carbon, oxygen] =
            ["c", "o"].map(|ion| folder.column("d.csv", &format!("initial_p{ion}{axis}")));
        for (carbon, oxygen) in carbon?.iter().zip(&oxygen?) {
            // The draws of an event with a heavy tail of the weights are the network's, which knows no momenta at the start.
            if !carbon.is_empty() {
                let sum = carbon.parse::<f64>()? + oxygen.parse::<f64>()?;
                assert!(sum.abs() < 1e-9, "{carbon} {oxygen}");
            }
        }
        let name = format!("initial_pc{axis}");
        let truth = folder.numbers("m.csv", &name)?;
        let [low, high] = ["q05", "q95"].map(|q| folder.column("s.csv", &format!("{name}_{q}")));
        for ((low, high), truth) in low?.iter().zip(&high?).zip(truth) {
            if low.is_empty() {
                continue;
            }
            told += 1;
            inside += usize::from((low.parse()?..=high.parse()?).contains(&truth));
        }
    }
    // One in a hundred events has such a tail.
    assert!(told >= 3 * 56, "{told}");
    // 9 of 10 are expected, of 180 with a standard deviation of 4.
    let expected = 0.9 * told as f64;
    assert!((inside as f64 - expected).abs() < 14.5, "{inside} of {told}");
    assert!(folder.numbers("modes.csv", "initial_pox")?.len() >= 60);
    folder.told(&format!("{predict} -o d.csv"))?;
    assert!(!folder.read("s.csv")?.contains("initial_pcx_mean"));
    Ok(())
}
