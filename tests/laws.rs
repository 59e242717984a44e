//! End-to-end tests of geometry laws about a reference: what a person types, what is recorded, and that it is refined.

mod folder;

use folder::{Folder, TestResult};

const MOLECULE: &str = "[molecule]\natoms = [\n{ element = 'O', charge = 1 }, { element = 'O', charge = 1 },\n\
    { element = 'H', charge = 1 }, { element = 'D', charge = 1 }]\n";

const PEROXIDE: &str = "events = 60\norientation = 'random'\ncentre = 'centre-of-mass'\n[detector]\nmomentum_noise_au = 1\n";

const INTERNAL: &str = "[geometry]\nlaw = 'internal'\npositions_angstrom = 'peroxide.xyz'\n\
    length_changes_angstrom = { distribution = 'normal', mean = 0.0, sd = 0.1 }\n\
    angle_changes_deg = { distribution = 'normal', mean = 0.0, sd = 8.0 }\n\
    dihedral_changes_deg = { distribution = 'normal', mean = 0.0, sd = 20.0 }\n";

const GAUSSIAN: &str = "[geometry]\nlaw = 'gaussian'\npositions_angstrom = 'peroxide.xyz'\n\
    displacement_angstrom = { O1 = 0.1, O2 = 0.1, H = 0.15, D = 0.15 }\n";

const XYZ: &str = "4\nHOOD\nO 0 0 0\nO 1.45 0 0\nH -0.17 0.95 0\nD 1.62 -0.34 0.89\n";

impl Folder {
    fn new() -> TestResult<Self> {
        let folder = Self::empty()?;
        std::fs::create_dir(folder.path("laws"))?;
        folder.write("laws/internal.toml", format!("{PEROXIDE}{MOLECULE}{INTERNAL}"))?;
        folder.write("laws/gaussian.toml", format!("{PEROXIDE}{MOLECULE}{GAUSSIAN}"))?;
        folder.write("laws/peroxide.xyz", XYZ)?;
        Ok(folder)
    }
}

/// What is recorded has the positions and the tree, so that the file may change.
#[test]
fn a_reference_is_read_once_and_recorded() -> TestResult {
    let folder = Folder::new()?;
    let told = folder.told("simulate --config laws/internal.toml -o a.csv")?;
    let tree = "tree = [\"O1\", \"O2-O1\", \"H-O1-O2\", \"D-O2-O1-H\"]";
    assert!(told.contains(tree), "{told}");
    let recorded = folder.read("a.csv.simulation.toml")?;
    assert!(recorded.contains(tree) && recorded.contains("D = [1.62, -0.34, 0.89]"), "{recorded}");
    assert!(!recorded.contains("xyz"), "{recorded}");
    std::fs::remove_file(folder.path("laws/peroxide.xyz"))?;
    folder.told("simulate --config a.csv.simulation.toml -o b.csv")?;
    assert_eq!(folder.read("a.csv")?, folder.read("b.csv")?);
    let told = folder.fails("simulate --config laws/internal.toml -o c.csv")?;
    assert!(told.contains("`laws/peroxide.xyz` does not exist"), "{told}");
    Ok(())
}

#[test]
fn a_reference_that_is_none_is_refused() -> TestResult {
    let folder = Folder::new()?;
    for (content, message) in [
        (XYZ.replace("HOOD", "in Bohr"), "a comment names bohr"),
        (format!("{XYZ}{XYZ}"), "holds 2 frames, expected one"),
        (XYZ.replace("D 1.62", "F 1.62"), "the atoms are O O H F but the molecule has O O H D"),
        (XYZ.replace("1.45 0 0", "0 0 0"), "atoms `O1` and `O2` are at one point"),
    ] {
        folder.write("laws/peroxide.xyz", content)?;
        let told = folder.fails("simulate --config laws/internal.toml -o c.csv")?;
        assert!(told.starts_with("error: `laws/internal.toml`: `geometry.positions"), "{told}");
        assert!(told.contains(message), "{told}");
    }
    Ok(())
}

/// Four atoms of either law are refined.
#[test]
fn both_laws_are_refined() -> TestResult {
    let folder = Folder::new()?;
    for law in ["internal", "gaussian"] {
        folder.write(
            "run.toml",
            format!(
                "{MOLECULE}[source]\nfiles = ['{law}.csv']\n[preprocessing.gauge]\nframe = 'momentum'\nx_axis = 'O1'\nxy_plane = 'O2'\n[split]\ntrain = 0.4\nvalidation = 0.3\ntest = 0.3\n\
                 [model]\nkind = 'cinn'\npreset = 'spline'\ncouplings = 2\nhidden = [16]\n[training]\nmax_epochs = 1\n"
            ),
        )?;
        folder.told(&format!("simulate --config laws/{law}.toml -o {law}.csv"))?;
        folder.told(&format!(
            "simulate --config laws/{law}.toml --events 2 --seed 5 -o measured.csv"
        ))?;
        folder.told(&format!("train --config run.toml -o {law} --quiet"))?;
        let told = folder.told(&format!(
            "predict {law} measured.csv --refine -n 50 -o draws.csv --summary {law}-summary.csv --quiet"
        ))?;
        assert!(!told.contains("cannot"), "{told}");
        let summary = folder.read(&format!("{law}-summary.csv"))?;
        let mut lines = summary.lines();
        let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
        let evidence =
            header.iter().position(|name| *name == "log_evidence").ok_or("no evidence")?;
        for line in lines {
            let value: f64 = line.split(',').nth(evidence).unwrap_or_default().parse()?;
            assert!(value.is_finite(), "{line}");
        }
    }
    Ok(())
}
