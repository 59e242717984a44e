//! Weights without cei: the plain-numpy scripts of `examples/python` give the densities and the draws of every kind of
//! model, for small runs of each.

mod folder;

use std::path::Path;
use std::process::Command;

use folder::{Folder, TestResult};

/// Kinds of runs: name, table, and how they are trained.
const RUNS: [(&str, &str, &str); 8] = [
    ("affine", "wide", "--preset wide-cinn"),
    ("elu", "wide", "--preset wide-cinn --set model.preset=spline --set model.activation=elu"),
    ("spline", "reference", "--preset gauge-fixed-spline"),
    ("ensemble", "wide", "--preset wide-cinn --set model.couplings=2 --ensemble 3"),
    ("noise", "reference", "--preset gauge-fixed-cinn --set preprocessing.degenerate=noise"),
    ("cvae", "reference", "--preset gauge-fixed-cvae"),
    ("sigma-vae", "wide", "--preset wide-sigma-vae"),
    ("sigma-vaes", "wide", "--preset wide-sigma-vae --ensemble 2"),
];

#[test]
#[ignore = "needs Python with numpy: `cargo test --test weights -- --ignored`, with it first on the path"]
fn numpy_gives_the_same_densities_and_draws() -> TestResult {
    let folder = Folder::empty()?;
    let simulate = "simulate --events 400 --seed 5 --quiet";
    folder.run(&format!("{simulate} --preset ocs-wide -o wide.csv"))?;
    folder.run(&format!("{simulate} --preset ocs-reference -o reference.csv"))?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/python/compare.py");
    for (name, table, options) in RUNS {
        let few = "--set training.max_epochs=2 --set training.batch_size=64 --quiet";
        folder.run(&format!("train {options} --data {table}.csv {few} -o {name}"))?;
        let compared = Command::new("python3")
            .arg(&script)
            .args([name, &format!("{table}.csv")])
            .env("CEI", env!("CARGO_BIN_EXE_cei"))
            .current_dir(folder.path(""))
            .output()?;
        let [said, told] =
            [&compared.stdout, &compared.stderr].map(|text| String::from_utf8_lossy(text));
        assert!(compared.status.success(), "{name}: {said}{told}");
        assert!(said.contains("draws: largest difference"), "{name}: {said}");
        assert_eq!(said.contains("log p(x | y)"), !name.contains("vae"), "{name}: {said}");
    }
    Ok(())
}
