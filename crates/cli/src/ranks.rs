//! Processes that `mpirun` has started: which commands they share, who speaks, and what one does that has failed.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use cei_mpi::World;

use crate::args::{Cli, Command};
use crate::{error, interrupt};

/// How long a process that has failed waits for the first one to tell the same of itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs a command, with the other processes if there are any.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let world = match begin(&cli) {
        Ok(world) => world,
        Err(error) if cei_mpi::is_first() => return error::report(&error),
        Err(error) => return unsaid(ExitCode::from(error::code(&error))),
    };
    let done = refuse(&cli, &world).and_then(|()| crate::run(cli, &world));
    done.unwrap_or_else(|error| failed(&error, &world))
}

/// The exit code of a failure that is that of all processes, in those that leave it to the first one to tell it: the end of
/// one may end the first one in the middle of its words.
pub(crate) fn unsaid(code: ExitCode) -> ExitCode {
    if code != ExitCode::SUCCESS {
        std::thread::sleep(PATIENCE);
    }
    code
}

/// Meets the other processes.
fn begin(cli: &Cli) -> anyhow::Result<World> {
    // Threads inherit which signals are left to the one that waits for them, and MPI may have some.
    match cli.command {
        Command::Train(_) | Command::Sweep(_) => interrupt::stop_at_signals()?,
        _ => interrupt::clean_up()?,
    }
    if has_a_part(&cli.command) {
        return Ok(World::alone());
    }
    Ok(World::begin()?)
}

/// Several processes are an error where each would do the same work.
fn refuse(cli: &Cli, world: &World) -> anyhow::Result<()> {
    if world.team().size() > 1 && !is_shared(&cli.command) {
        bail!(
            "{} processes were started, but this command is that of one\nhint: start it without `mpirun` or `srun`",
            world.team().size()
        );
    }
    Ok(())
}

/// Whether the processes need not know of each other: each is told its part.
fn has_a_part(command: &Command) -> bool {
    match command {
        Command::Simulate(args) => args.part.is_given(),
        Command::Predict(args) => args.part.is_given(),
        Command::LogProb(args) => args.part.is_given(),
        Command::Population(args) => args.part.is_given(),
        _ => false,
    }
}

/// Whether processes share the work.
fn is_shared(command: &Command) -> bool {
    match command {
        Command::Train(args) => !args.trial.dry_run,
        Command::Simulate(args) => !args.trial.dry_run,
        // The draws of a network take no longer than to write them.
        Command::Predict(args) => args.refine && !args.trial.dry_run,
        Command::Calibrate(_) | Command::Sweep(_) => true,
        _ => false,
    }
}

/// Tells a failure, and ends the other processes. Most are those of all: then the first one tells it.
fn failed(error: &anyhow::Error, world: &World) -> ExitCode {
    let (rank, size) = (world.team().rank(), world.team().size());
    if rank > 0 {
        std::thread::sleep(PATIENCE);
        crate::output::to_stderr(&format!("rank {rank} of {size} has failed, and ends all:"));
    }
    let code = error::report(error);
    world.abort(error::code(error));
    code
}
