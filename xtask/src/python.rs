//! The Python package: its wheel, built by maturin, and its tests in an environment that has nothing else but what they
//! need (`.ci/python.txt`).

use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::cargo::metadata;
use crate::tools;

/// What the build of the wheel compiles, for `cargo tree`.
pub(crate) const SELECTION: [&str; 4] = ["--package", "cei-python", "--edges", "normal,build"];

/// Builds the wheel in the target folder and in the profile of the tests, whose dependencies are compiled already; installs
/// it into a new environment, and runs its tests there.
pub(crate) fn check() -> anyhow::Result<()> {
    let target = metadata()?.target_directory;
    let wheels = target.join("wheels");
    if wheels.exists() {
        std::fs::remove_dir_all(&wheels).context("wheels of an earlier build cannot be removed")?;
    }
    let (folder, manifest) = (wheels.to_string_lossy(), "crates/python/Cargo.toml");
    let build = ["build", "--release", "--locked", "--manifest-path", manifest, "--out", &*folder];
    tools::run(&tools::programs()?.join("maturin"), &build)?;
    let wheel = only_file(&wheels)?;
    let environment = target.join("python");
    let programs = tools::environment(&environment, true)?;
    let python = programs.join("python");
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    let wanted = ["--requirement", ".ci/python.txt", &*wheel];
    tools::run(&python, &[pip.as_slice(), &wanted].concat())?;
    tools::run(&python, &["-m", "pytest", "--quiet", "crates/python"])
}

fn only_file(folder: &Path) -> anyhow::Result<String> {
    let files = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    ensure!(files.len() == 1, "`{}` holds {} files, not one wheel", folder.display(), files.len());
    Ok(files[0].path().to_string_lossy().into_owned())
}
