//! `cei-bench problem` as `cargo xtask inference-bench` calls it.

use std::path::Path;
use std::process::{Command, Output};

use cei_data::{Selection, Source, load};

fn problem(args: &[&str]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_cei-bench")).arg("problem").args(args).output()
}

fn columns(path: &Path, x: &[&str], y: &[&str]) -> Result<cei_data::Table, cei_data::LoadError> {
    let [x, y] = [x, y].map(|names| names.iter().map(|&name| name.into()).collect());
    load(&Source::file(path.display().to_string()), &Selection { x, y, ..Selection::default() })
}

#[test]
fn tables_are_made_and_exact_draws_score_as_such() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str| folder.path().join(name).display().to_string();
    let [pairs, reference] = [file("pairs.parquet"), file("reference.parquet")];
    let name = "inverse_kinematics";

    let described: serde_json::Value =
        serde_json::from_slice(&problem(&["describe", "slcp"])?.stdout)?;
    assert_eq!(
        described,
        serde_json::json!({ "name": "slcp", "x": 5, "y": 8, "bounds": [-3.0, 3.0] })
    );

    assert!(problem(&["generate", name, "--pairs", "50", "-o", &pairs])?.status.success());
    let table = columns(pairs.as_ref(), &["x1", "x4"], &["y1", "y2"])?;
    assert_eq!((table.x.dim(), table.y.dim()), ((50, 2), (50, 2)));

    let exact = ["reference", name, "--count", "3", "--draws", "20", "-o", &reference];
    assert!(problem(&exact)?.status.success());
    assert_eq!(columns(reference.as_ref(), &["x1"], &["event", "draw"])?.rows(), 60);
    let scored = problem(&["score", name, "--count", "3", "--draws-file", &reference])?;
    let scores: serde_json::Value = serde_json::from_slice(&scored.stdout)?;
    assert_eq!((&scores["observations"], &scores["draws"]), (&3.into(), &20.into()));
    assert!(scores["resimulation_error"].as_f64().is_some_and(|error| error < 1e-12), "{scores}");
    Ok(())
}

#[test]
fn what_cannot_be_done_is_said() -> std::io::Result<()> {
    let message = |args: &[&str]| -> std::io::Result<String> {
        let output = problem(args)?;
        assert!(!output.status.success());
        Ok(String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert!(message(&["describe", "moons"])?.contains("unknown problem `moons`"));
    assert!(
        message(&["reference", "slcp", "--draws", "ten"])?.contains("`ten` is no whole number")
    );
    assert!(message(&["generate", "slcp", "-o", "t.csv"])?.contains("`--pairs N` is missing"));
    assert!(
        message(&["reference", "slcp", "--draws", "5", "--observation", "10", "-o", "t.csv"])?
            .contains("there are 10 observations, from 0; `10` is none")
    );
    Ok(())
}
