//! Everything that CI checks.

use std::process::{Command, ExitCode};

use crate::cargo::cargo;
use crate::{python, say, studies, tidy, tools, workspace_root};

const NO_WARNINGS: (&str, &str) = ("RUSTDOCFLAGS", "-D warnings");

/// Its build script needs an MPI.
const MPI: &str = "cei-cli/mpi";

type Environment = &'static [(&'static str, &'static str)];

/// The backends that no test needs; `cpu` and `ndarray` are in every build of the workspace.
const BACKENDS: [(&str, Environment); 2] = [
    ("vulkan", &[]),
    // The compiler bundle that the build script of CUDA downloads is not needed for a check.
    ("cuda", &[("DOCS_RS", "1")]),
];

/// Formatting, boundaries, what other programs check, tests, lints, documentation, the types of every backend, the Python
/// package, and the smoke runs of the whole pipeline and of the benchmark of inference.
pub(crate) fn ci(no_test: bool) -> anyhow::Result<ExitCode> {
    cargo(&["fmt", "--all", "--check"], &[])?;
    tidy::tidy(&workspace_root())?;
    tools::check()?;
    if !no_test {
        cargo(&["test", "--workspace", "--release"], &[])?;
    }
    // In the profile of the tests, whose build scripts and macros are there already.
    let lints = ["clippy", "--workspace", "--all-targets", "--release", "--", "-D", "warnings"];
    cargo(&lints, &[])?;
    cargo(&["doc", "--workspace", "--no-deps", "--release"], &[NO_WARNINGS])?;
    for (backend, environment) in BACKENDS {
        let feature = format!("cei-cli/{backend}");
        cargo(&["check", "--workspace", "--release", "--features", &feature], environment)?;
    }
    if Command::new("mpicc").arg("--version").output().is_ok() {
        let mpi = ["clippy", "--workspace", "--all-targets", "--release", "--features", MPI];
        cargo(&[&mpi[..], &["--", "-D", "warnings"]].concat(), &[])?;
    } else {
        say(
            "the feature `mpi` is NOT checked: there is no `mpicc` (Debian: apt-get install libopenmpi-dev openmpi-bin libclang-dev)",
        );
    }
    python::check()?;
    studies::smoke()
}
