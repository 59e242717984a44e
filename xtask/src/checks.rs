//! Everything that CI checks.

use std::path::{Path, PathBuf};

use anyhow::ensure;

use crate::cei::{cargo, cargo_path, target_folder};
use crate::pipeline::RUNS;
use crate::reproduce::{absolute, reproduce};
use crate::{BuildArgs, inference, say, tidy, workspace_root};

const NO_WARNINGS: (&str, &str) = ("RUSTDOCFLAGS", "-D warnings");

/// Formatting, boundaries, tests, lints, documentation, the CUDA path's types, licences, and the smoke
/// runs of the whole pipeline and of the benchmark of inference.
pub(crate) fn ci(no_test: bool) -> anyhow::Result<()> {
    cargo(&["fmt", "--all", "--check"], &[])?;
    tidy::tidy(&workspace_root())?;
    if !no_test {
        cargo(&["test", "--workspace"], &[])?;
    }
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], &[])?;
    cargo(&["doc", "--workspace", "--no-deps"], &[NO_WARNINGS])?;
    // The compiler bundle that the build script of CUDA downloads is not needed for a check.
    cargo(&["check", "--package", "cei-cli", "--features", "cuda"], &[("DOCS_RS", "1")])?;
    deny()?;
    smoke_run()?;
    let debug = target_folder()?.join("debug");
    inference::smoke_run(debug.join("cei"), debug.join("cei-bench"))
}

/// Licences and sources of dependencies, where the tool is installed.
fn deny() -> anyhow::Result<()> {
    let found = std::process::Command::new(cargo_path()).args(["deny", "--version"]).output();
    if found.is_ok_and(|output| output.status.success()) {
        cargo(&["deny", "check", "bans", "licenses", "sources"], &[])
    } else {
        say("cargo-deny is not installed: licences and sources of dependencies are not checked");
        Ok(())
    }
}

/// The smoke run with the binary that the tests have built, and its outputs.
fn smoke_run() -> anyhow::Result<()> {
    let cei = target_folder()?.join("debug").join("cei");
    reproduce(&BuildArgs { quick: true, cei: Some(cei) })?;
    let runs = absolute("runs/quick".as_ref());
    let each = [
        "model.json",
        "config.toml",
        "support.safetensors",
        "evaluation.json",
        "calibration.json",
        "figures/true_vs_predicted.png",
        "figures/residuals.png",
        "figures/sbc_ranks.png",
        "figures/tarp.png",
    ];
    // Of an ensemble, in the folder of a member.
    let each_model = [
        "model.safetensors",
        "history.csv",
        "figures/learning_curve.svg",
        "figures/learning_curve.png",
    ];
    for run in RUNS {
        let member = if run.ensemble > 1 { "member-1" } else { "" };
        let of_model = each_model.map(|file| Path::new(member).join(file));
        for file in each.iter().map(PathBuf::from).chain(of_model) {
            let path = runs.join(run.name).join(file);
            let size = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
            ensure!(size > 0, "the smoke run did not make `{}`", path.display());
        }
    }
    let report = std::fs::read_to_string(runs.join("RESULTS.md"))?;
    for run in RUNS {
        ensure!(report.contains(run.name), "RESULTS.md of the smoke run misses `{}`", run.name);
    }
    say("the smoke run made everything that it should");
    Ok(())
}
