//! Calling `cargo`: to build, to find what it has built, and to ask what the workspace consists of.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, ensure};
use serde::{Deserialize, Serialize};

use crate::{say, workspace_root};

/// What `cargo metadata` says of the workspace, as far as tasks need it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) target_directory: PathBuf,
}

/// A crate of the workspace.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One of its direct dependencies.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// None, or `dev` or `build`.
    kind: Option<String>,
}

impl Dependency {
    /// Whether only tests need it.
    pub(crate) fn is_of_tests(&self) -> bool {
        self.kind.as_deref() == Some("dev")
    }
}

/// The crates of the workspace.
pub(crate) fn metadata() -> anyhow::Result<Metadata> {
    Ok(serde_json::from_slice(&output(&["metadata", "--format-version", "1", "--no-deps"])?)?)
}

/// Every library that a selection of the workspace compiles, with version and features.
pub(crate) fn compiled(selection: &[&str]) -> anyhow::Result<BTreeSet<String>> {
    let format = ["--prefix", "none", "--no-dedupe", "--format", "{p} {f}"];
    let text = String::from_utf8(output(&[&["tree"], selection, &format].concat())?)?;
    let libraries = text.lines().map(|line| line.trim_end_matches("(*)").trim_end().to_owned());
    // Crates of the workspace carry their folder.
    Ok(libraries.filter(|library| !library.contains("(/")).collect())
}

fn output(args: &[&str]) -> anyhow::Result<Vec<u8>> {
    let output = Command::new(cargo_path()).args(args).current_dir(workspace_root()).output()?;
    let message = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`cargo {}` failed: {message}", args.join(" "));
    Ok(output.stdout)
}

/// Runs cargo in the workspace folder.
pub(crate) fn cargo(args: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<()> {
    say(&format!("$ cargo {}", args.join(" ")));
    let status = Command::new(cargo_path())
        .args(args)
        .envs(environment.iter().copied())
        .current_dir(workspace_root())
        .status()?;
    if !status.success() {
        bail!("`cargo {}` failed ({status})", args.join(" "));
    }
    Ok(())
}

/// The cargo that runs this task.
pub(crate) fn cargo_path() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

/// The program that cargo built in a profile, which names its folder.
pub(crate) fn built(profile: &str, program: &str) -> anyhow::Result<PathBuf> {
    let folder = metadata()?.target_directory.join(profile);
    Ok(folder.join(Path::new(program).with_extension(std::env::consts::EXE_EXTENSION)))
}
