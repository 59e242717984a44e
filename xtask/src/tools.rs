//! What programs beside cargo's own check: spelling, unused dependencies, licences and sources of dependencies, the guide
//! and its links, files in formats of others.
//!
//! They are installed in the versions of `.ci/tools.txt`, into a Python environment in the target folder. One that cannot
//! be installed is a failure: a check that is left out looks like one that passed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::cargo::{cargo_path, metadata};
use crate::{book, say, workspace_root};

/// Files that others read, with the schemas that `check-jsonschema` has of them.
const SCHEMAS: [(&str, &str); 2] = [
    ("vendor.citation-file-format", "CITATION.cff"),
    ("vendor.github-workflows", ".github/workflows/release.yml"),
];

/// Runs all of them.
pub(crate) fn check() -> anyhow::Result<()> {
    let programs = programs()?;
    book::build(&programs)?;
    let run = |program: &str, arguments: &[&str]| run(&programs.join(program), arguments);
    run("typos", &[])?;
    for (schema, file) in SCHEMAS {
        run("check-jsonschema", &["--builtin-schema", schema, file])?;
    }
    run("cargo-shear", &["--deny-warnings"])?;
    run("cargo-deny", &["check", "licenses", "bans", "sources"])?;
    // Its database stands on a server that not every machine reaches; all else is from the package registries.
    if run("cargo-deny", &["fetch", "db"]).is_ok() {
        run("cargo-deny", &["check", "--disable-fetch", "advisories"])
    } else {
        say("advisories are NOT checked: their database cannot be had here");
        Ok(())
    }
}

/// Installs what is missing, and gives the folder of the programs.
pub(crate) fn programs() -> anyhow::Result<PathBuf> {
    let programs = environment(&metadata()?.target_directory.join("tools"), false)?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    let wanted = ["--requirement", ".ci/tools.txt"];
    run(&programs.join("python"), &[pip.as_slice(), &wanted].concat())?;
    Ok(programs)
}

/// A Python environment, emptied if wanted, and the folder of its programs.
pub(crate) fn environment(folder: &Path, anew: bool) -> anyhow::Result<PathBuf> {
    let name = folder.to_string_lossy();
    let clear: &[&str] = if anew { &["--clear"] } else { &[] };
    run(Path::new("python3"), &[&["-m", "venv", &*name], clear].concat()).context(
        "Python is needed with its module `venv` (Debian: `apt-get install python3-venv`)",
    )?;
    Ok(folder.join(if cfg!(windows) { "Scripts" } else { "bin" }))
}

/// Runs a program in the workspace folder.
pub(crate) fn run(program: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let call = format!("{name} {}", arguments.join(" "));
    say(&format!("$ {}", call.trim_end()));
    let status = Command::new(program)
        .args(arguments)
        .env("CARGO", cargo_path())
        .current_dir(workspace_root())
        .status()
        .with_context(|| format!("`{}` cannot be run", program.display()))?;
    ensure!(status.success(), "`{}` failed ({status})", call.trim_end());
    Ok(())
}
