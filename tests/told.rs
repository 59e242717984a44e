//! End-to-end tests of what is told before anything is computed, and beside results: arguments that are wrong, outputs
//! that cannot be written, copies between the parts of a split, edits of what is compared.

mod folder;

use folder::{Folder, TestResult};

impl Folder {
    /// With the table `t.csv` of x (a, b) and y (c, d, e), and a small experiment on it.
    fn new() -> TestResult<Self> {
        let folder = Self::empty()?;
        let mut text = "a,b,c,d,e\n".to_owned();
        for row in 0..300_u32 {
            let of = |k: u32| {
                (f64::from(row * 7 + k) * 0.618_033_988_75 * f64::from(k + 1)).fract() - 0.5
            };
            let [x, y, noise] = [0, 1, 2].map(of);
            text.push_str(&format!("{x},{y},{},{},{}\n", x + y + 0.1 * noise, x - y, y + noise));
        }
        folder.write("t.csv", text)?;
        let experiment = "[source]\nfiles = ['t.csv']\n[columns]\nx = ['a', 'b']\ny = ['c', 'd', 'e']\nx_unit = 'none'\n\
             y_unit = 'none'\n[model]\nkind = 'cinn'\ncouplings = 2\nhidden = [8]\n[training]\nmax_epochs = 1\n\
             batch_size = 64\n[evaluation]\ndraws = 20\n";
        folder.write("e.toml", experiment)?;
        Ok(folder)
    }
}

#[test]
fn wrong_arguments_are_named_with_what_is_allowed() -> TestResult {
    let folder = Folder::new()?;
    folder.run("train --config e.toml -o run --quiet")?;
    for (arguments, said) in [
        ("evaluate run --draws 10001", "`--draws` is `10001`, but must be at most 10000"),
        ("calibrate run --draws 10001", "`--draws` is `10001`, but must be at most 10000"),
        ("inspect t.csv --molecule O:x", "`--ions`: `O:x` is no ion"),
        ("inspect t.csv --ions Qq,C", "`--ions` is no molecule"),
        (
            "train --config e.toml --set source.simulator=osc --set columns.x=[] -o r",
            "`--set source.simulator=osc`: `source.simulator` is the unknown preset `osc`",
        ),
        (
            "train --config e.toml --set training.max_epochs=0 --set training.patience=0 -o r",
            "--set training.patience=0",
        ),
    ] {
        let told = folder.fails_with(2, arguments)?;
        assert!(told.contains(said), "{arguments}: {told}");
    }
    let told = folder.fails_with(1, "train --config e.toml --set columns.x=[] -o r")?;
    assert!(told.contains("`e.toml` with `--set columns.x=[]`: `columns.x` is empty"), "{told}");
    Ok(())
}

/// Nothing is computed for a file that cannot be written; what was computed is shown, whether it can be kept or not.
#[test]
fn outputs_are_checked_first_and_results_are_shown_before_they_are_kept() -> TestResult {
    let folder = Folder::new()?;
    folder.run("train --config e.toml -o run --quiet")?;
    folder.write("file", "")?;
    for (arguments, said) in [
        ("log-prob run t.csv -o no/out.csv", "no"),
        ("log-prob run t.csv -o t.csv", "t.csv"),
        ("log-prob run t.csv -o out.xlsx", "unknown file type"),
        ("predict run t.csv -n 2 -o no/out.csv", "no"),
        ("predict run t.csv -n 2 -o out.csv --summary no/s.csv", "no"),
        ("calibrate run -o file/x", "file/x"),
        ("c2st t.csv t.csv -o file", "file"),
    ] {
        let output = folder.cei(arguments)?;
        let told = String::from_utf8(output.stderr)?;
        assert!(!output.status.success() && output.stdout.is_empty(), "{arguments}");
        assert!(told.contains(said) && !told.contains("panicked"), "{arguments}: {told}");
    }
    assert!(!folder.path("out.csv").exists());

    // A folder stands where the file should: a warning for the folder of the run, a failure for one that was asked for.
    std::fs::create_dir_all(folder.path("run/calibration.json"))?;
    std::fs::create_dir_all(folder.path("asked/calibration.json"))?;
    std::fs::create_dir_all(folder.path("asked/c2st.json"))?;
    folder.write("e.toml", folder.read("e.toml")?)?;
    let calibrate = "calibrate run --events 45 --draws 19";
    let (shown, told) = folder.run(calibrate)?;
    assert!(shown.contains("calibrated") && told.contains("not kept in the run folder"), "{told}");
    for arguments in [&format!("{calibrate} -o asked"), "c2st t.csv t.csv -o asked"] {
        let output = folder.cei(arguments)?;
        let told = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(1), "{arguments}: {told}");
        assert!(told.contains("the results are not kept"), "{told}");
        assert!(!output.stdout.is_empty(), "{arguments}");
    }
    Ok(())
}

#[test]
fn test_rows_that_repeat_validation_rows_are_counted() -> TestResult {
    let folder = Folder::new()?;
    // Every row twice: copies lie in every pair of parts.
    let text = folder.read("t.csv")?;
    let (header, rows) = text.split_once('\n').ok_or("no rows")?;
    folder.write("t.csv", format!("{header}\n{rows}{rows}"))?;
    let (_, told) = folder.run("train --config e.toml -o run --quiet")?;
    for pair in [
        "validation part repeat rows of the training",
        "test part repeat rows of the training",
        "test part repeat rows of the validation",
    ] {
        assert!(told.contains(pair), "{pair}: {told}");
    }
    Ok(())
}

/// An edit is told by whatever reads the run.
#[test]
fn compare_tells_what_was_edited() -> TestResult {
    let folder = Folder::new()?;
    folder.run("train --config e.toml -o run --quiet")?;
    folder.run("evaluate run --quiet")?;
    let (_, told) = folder.run("compare run")?;
    assert!(told.is_empty(), "{told}");
    let edited = folder.read("run/config.toml")?.replace("draws = 20", "draws = 30");
    folder.write("run/config.toml", edited)?;
    let (_, told) = folder.run("compare run")?;
    assert!(told.contains("`evaluation.draws` is `30`, the training had `20`"), "{told}");
    Ok(())
}

/// The limit of a number holds for internal units, also where positions are exploded.
#[test]
fn positions_beyond_the_limit_after_conversion_are_refused() -> TestResult {
    let folder = Folder::new()?;
    let header = "cx,cy,cz,ox,oy,oz,sx,sy,sz\n";
    folder.write("p.csv", format!("{header}0,0,0,0,0,1e20,0,0,-1\n"))?;
    let simulate = "simulate --preset ocs-wide --positions p.csv -o out.csv --position-unit";
    let output = folder.command(simulate).arg("1e12 bohr").output()?;
    assert_eq!(output.status.code(), Some(1));
    let refused = String::from_utf8(output.stderr)?;
    assert!(
        refused.contains("`oz`") && refused.contains("which is 1e30 in atomic units"),
        "{refused}"
    );
    Ok(())
}
