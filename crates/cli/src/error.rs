//! How a failure is told, and with which exit code.

use std::process::ExitCode;

use cei_data::did_you_mean;
use cei_files::FileError;
use cei_model::DeviceError;
use cei_run::RunError;
use cei_run::config::ExperimentError;
use cei_run::error::{LaterError, SweepError};
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::args::command;
use crate::output::to_stderr;
use crate::slurm::NoTask;

/// A failed command.
const FAILURE: u8 = 1;
/// A command that was called wrongly.
const USAGE: u8 = 2;

/// An argument that only its command can judge.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Prints what is wrong with a command line, or the help or version that it asks for, and gives the exit code.
pub(crate) fn report_usage(error: &clap::Error) -> ExitCode {
    let unknown = match (error.kind(), error.get(ContextKind::InvalidSubcommand)) {
        (ErrorKind::InvalidSubcommand, Some(ContextValue::String(name))) => name,
        _ => {
            // Where nothing can be printed, nothing can be said about it.
            let _ = error.print();
            return code_of_usage(error);
        }
    };
    to_stderr(&format!("error: {}", UnknownCommand(unknown)));
    ExitCode::from(USAGE)
}

/// A command that does not exist, with the nearest that does.
pub(crate) struct UnknownCommand<'a>(pub(crate) &'a str);

impl std::fmt::Display for UnknownCommand<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cei = command();
        let names = cei.get_subcommands().map(clap::Command::get_name);
        let meant = did_you_mean(self.0, names).map_or_else(String::new, |meant| meant + " ");
        write!(f, "there is no command `{}`\nhint: {meant}`cei help` lists all", self.0)
    }
}

/// The exit code of a command line that is wrong, or asks for help.
pub(crate) fn code_of_usage(error: &clap::Error) -> ExitCode {
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE))
}

/// Prints the error with its causes, hints last, and gives its exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    to_stderr(&format!("error: {}", in_words(error.as_ref())));
    ExitCode::from(code(error))
}

/// The exit code of an error.
pub(crate) fn code(error: &anyhow::Error) -> u8 {
    if is_usage(error) { USAGE } else { FAILURE }
}

/// An error with its causes, one a line, and its hints after them; nothing is said twice.
pub fn in_words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut hints: Vec<String> = Vec::new();
    for cause in std::iter::successors(Some(error), |error| error.source()) {
        for line in cause.to_string().lines() {
            let told = lines.iter().any(|earlier| earlier.contains(line));
            match line.strip_prefix("hint: ") {
                Some(hint) if !hints.iter().any(|earlier| earlier == hint) => {
                    hints.push(hint.to_owned());
                }
                Some(_) => {}
                None if told => {}
                None => lines.push(line.to_owned()),
            }
        }
    }
    let mut text = lines.join("\n  ");
    for hint in hints {
        text.push_str(&format!("\nhint: {hint}"));
    }
    text
}

/// Whether the command line itself was wrong, rather than what it met.
fn is_usage(error: &anyhow::Error) -> bool {
    let experiment = |error: &ExperimentError| {
        matches!(
            error,
            ExperimentError::Preset { .. }
                | ExperimentError::Override { .. }
                | ExperimentError::Overridden { .. }
                | ExperimentError::Simulator { .. }
                | ExperimentError::WrongKind { .. }
        )
    };
    error.chain().any(|cause| {
        cause.downcast_ref::<ExperimentError>().is_some_and(experiment)
            || cause.is::<Usage>()
            || cause.is::<NoTask>()
            || matches!(cause.downcast_ref::<DeviceError>(), Some(DeviceError::Unknown { .. }))
            || matches!(cause.downcast_ref::<FileError>(), Some(FileError::SameFile { .. }))
            || match cause.downcast_ref::<RunError>() {
                Some(
                    RunError::TooSmall { .. }
                    | RunError::TooLarge { .. }
                    | RunError::UnitOfFrames { .. }
                    | RunError::LayoutOfFrames { .. }
                    | RunError::Later(
                        LaterError::ColumnCount { .. }
                        | LaterError::ChargesNotAsked { .. }
                        | LaterError::NoChannels
                        | LaterError::ChargesUnknown
                        | LaterError::ChargeCount { .. }
                        | LaterError::OtherCharges { .. },
                    )
                    | RunError::Draft(_)
                    | RunError::Sweep(SweepError::NoSweep { .. })
                    | RunError::Level { .. }
                    | RunError::PageOfShard { .. }
                    | RunError::StreamOf { .. }
                    | RunError::BufferAlone
                    | RunError::NoSuchEvent { .. },
                ) => true,
                Some(RunError::Config(error)) => experiment(error),
                Some(RunError::File(error)) => matches!(error, FileError::SameFile { .. }),
                Some(RunError::Device(error)) => matches!(error, DeviceError::Unknown { .. }),
                _ => false,
            }
    })
}
