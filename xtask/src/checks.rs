//! Everything that CI checks.

use std::process::ExitCode;

use crate::cargo::{cargo, cargo_path};
use crate::{say, studies, tidy, workspace_root};

const NO_WARNINGS: (&str, &str) = ("RUSTDOCFLAGS", "-D warnings");

/// Formatting, boundaries, tests, lints, documentation, the CUDA path's types, licences, and the smoke
/// runs of the whole pipeline and of the benchmark of inference.
pub(crate) fn ci(no_test: bool) -> anyhow::Result<ExitCode> {
    cargo(&["fmt", "--all", "--check"], &[])?;
    tidy::tidy(&workspace_root())?;
    if !no_test {
        cargo(&["test", "--workspace", "--release"], &[])?;
    }
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], &[])?;
    cargo(&["doc", "--workspace", "--no-deps"], &[NO_WARNINGS])?;
    // The compiler bundle that the build script of CUDA downloads is not needed for a check.
    cargo(&["check", "--package", "cei-cli", "--features", "cuda"], &[("DOCS_RS", "1")])?;
    deny()?;
    studies::smoke()
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
