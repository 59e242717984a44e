//! `cei completions`: a completion script for a shell.

use std::process::ExitCode;

use crate::args::{CompletionsArgs, command};
use crate::output::to_stdout;

pub(crate) fn run(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    // The generator panics where stdout is a closed pipe (`cei completions bash | head`).
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "cei", &mut script);
    to_stdout(String::from_utf8_lossy(&script).trim_end());
    Ok(ExitCode::SUCCESS)
}
