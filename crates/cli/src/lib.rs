//! The command `cei`: parses, calls `cei-run`, prints. Data go to stdout, everything else to stderr;
//! exit code 0 for success, 1 for a failure, 2 for wrong usage, 130 after Ctrl-C.
//!
//! The binary and the Python package call the same [`main`].

mod args;
mod commands;
mod error;
mod estimate;
mod interrupt;
mod output;
mod progress;
mod ranks;
mod slurm;
mod threads;
mod version;

use std::ffi::OsString;
use std::process::ExitCode;

use cei_mpi::World;

use crate::args::{Cli, Command};
pub use crate::error::in_words;

/// Runs the command of these arguments, whose first is the name of the program. It blocks signals in its thread: call it
/// once, from the main thread.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match args::parse_from(arguments) {
        Ok(cli) => cli,
        // The others have the same arguments.
        Err(error) if cei_mpi::is_first() => return error::report_usage(&error),
        Err(error) => return ranks::unsaid(error::code_of_usage(&error)),
    };
    ranks::run(cli)
}

/// [`main`] with the arguments of the process, for a program that is nothing else: where fewer threads shall compute than the process
/// has cores, it begins anew with this in the environment of Polars, whose threads follow nothing else.
pub fn program() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    #[cfg(unix)]
    if let Ok(cli) = args::parse_from(&arguments)
        && let Some((name, value)) = threads::for_tables(cli.threads)
        && let Ok(program) = std::env::current_exe()
    {
        use std::os::unix::process::CommandExt as _;
        let mut again = std::process::Command::new(program);
        if let Some((name, rest)) = arguments.split_first() {
            again.arg0(name).args(rest);
        }
        // It comes back only where it has failed: then tables have more threads.
        let _ = again.env(name, value).exec();
    }
    main(arguments)
}

fn run(cli: Cli, world: &World) -> anyhow::Result<ExitCode> {
    threads::begin(cli.threads, world)?;
    cei_run::instructions::settle();
    match cli.command {
        Command::Simulate(args) => commands::simulate::run(&args, &world.team()),
        Command::Inspect(args) => commands::inspect::run(&args),
        Command::Train(args) => commands::train::run(&args, &world.team()),
        Command::Sweep(args) => commands::sweep::run(&args, &world.team()),
        Command::Evaluate(args) => commands::evaluate::run(&args),
        Command::Predict(args) => commands::predict::run(&args, &world.team()),
        Command::Population(args) => commands::population::run(&args),
        Command::LogProb(args) => commands::log_prob::run(&args),
        Command::Merge(args) => commands::merge::run(&args),
        Command::Report(args) => commands::report::run(&args),
        Command::Compare(args) => commands::compare::run(&args),
        Command::Calibrate(args) => commands::calibrate::run(&args, &world.team()),
        Command::Check(args) => commands::check::run(&args),
        Command::C2st(args) => commands::c2st::run(&args),
        Command::Config(args) => commands::config::run(&args),
        Command::Devices(args) => commands::devices::run(&args),
        Command::Completions(args) => commands::completions::run(&args),
        Command::Man(args) => commands::man::run(&args),
    }
}
