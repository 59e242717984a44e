//! `cei completions`: a completion script for a shell.

use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::args::{Cli, CompletionsArgs};
use crate::output::to_stdout;

pub(crate) fn run(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    // The generator panics where stdout is a closed pipe (`cei completions bash | head`).
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "cei", &mut script);
    to_stdout(String::from_utf8_lossy(&script).trim_end());
    Ok(ExitCode::SUCCESS)
}
