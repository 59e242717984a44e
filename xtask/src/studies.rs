//! The studies of `crates/experiments`: built together with the programs that they call, and called with the
//! arguments that the task was given.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Args;

use crate::cargo::{built, cargo};

/// The program of the studies, and its package.
const EXPERIMENTS: &str = "cei-experiments";
/// Of the programs that studies call: packages of `cei`, and of `cei` and `cei-bench`.
const CEI: &[&str] = &["cei-cli"];
const BOTH: &[&str] = &["cei-cli", "cei-bench"];

/// What a build of all programs compiles, for `cargo tree`.
pub(crate) const SELECTION: [&str; 8] = [
    "--package",
    CEI[0],
    "--package",
    BOTH[1],
    "--package",
    EXPERIMENTS,
    "--edges",
    "normal,build",
];

/// What the study is given.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Arguments of the study; `--help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    arguments: Vec<OsString>,
}

/// A study, and the packages of the programs that it calls.
#[derive(Debug)]
pub(crate) struct Study {
    name: &'static str,
    packages: &'static [&'static str],
}

impl Study {
    /// One that calls `cei`.
    pub(crate) fn of_cei(name: &'static str) -> Self {
        Self { name, packages: CEI }
    }

    /// One that calls `cei` and `cei-bench`.
    pub(crate) fn of_both(name: &'static str) -> Self {
        Self { name, packages: BOTH }
    }

    /// Runs it and gives its exit code; it says itself what went wrong. All programs come of one build in release
    /// mode, so that they share what is compiled; where the arguments name a `cei` that was built together with the
    /// studies, nothing is built.
    pub(crate) fn run(&self, Arguments { arguments }: &Arguments) -> anyhow::Result<ExitCode> {
        let program = match beside_given_cei(arguments).filter(|program| program.exists()) {
            Some(program) => std::path::absolute(program)?,
            None => self.build()?,
        };
        run(&program, self.name, arguments)
    }

    fn build(&self) -> anyhow::Result<PathBuf> {
        let packages = self.packages.iter().chain(&[EXPERIMENTS]);
        let packages = packages.flat_map(|package| ["--package", package]);
        cargo(&["build", "--release"].into_iter().chain(packages).collect::<Vec<_>>(), &[])?;
        built("release", EXPERIMENTS)
    }
}

/// The smoke runs, with the programs that the tests have built.
pub(crate) fn smoke() -> anyhow::Result<ExitCode> {
    run(&built("release", EXPERIMENTS)?, "smoke", &[])
}

fn run(program: &Path, study: &str, arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    let status = Command::new(program).arg(study).args(arguments).status()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The studies in the folder of the `cei` that `--cei FILE` or `--cei=FILE` names.
fn beside_given_cei(arguments: &[OsString]) -> Option<PathBuf> {
    let mut arguments = arguments.iter().map(|argument| argument.to_str());
    let cei = arguments.find_map(|argument| match argument {
        Some("--cei") => Some(None),
        Some(text) => text.strip_prefix("--cei=").map(Some),
        None => None,
    })?;
    let cei = cei.or_else(|| arguments.next().flatten())?;
    let program = Path::new(cei).with_file_name(EXPERIMENTS);
    Some(program.with_extension(std::env::consts::EXE_EXTENSION))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_studies_of_a_given_cei_are_those_beside_it() {
        let of = |arguments: &[&str]| {
            beside_given_cei(&arguments.iter().map(OsString::from).collect::<Vec<_>>())
        };
        let expected =
            Path::new("there").join(EXPERIMENTS).with_extension(std::env::consts::EXE_EXTENSION);
        assert_eq!(of(&["--quick", "--cei", "there/cei"]), Some(expected.clone()));
        assert_eq!(of(&["--cei=there/cei", "--quick"]), Some(expected));
        assert_eq!(of(&["--quick", "--ceiling", "there/cei"]), None);
        assert_eq!(of(&["--cei"]), None);
    }
}
