//! `cei man`: man pages, made of the help.

use std::process::ExitCode;

use clap::Command;
use clap_mangen::Man;

use crate::args::{ManArgs, command};
use crate::error::{UnknownCommand, Usage};
use crate::output::{to_stderr, to_stdout};

pub(crate) fn run(args: &ManArgs) -> anyhow::Result<ExitCode> {
    // The pages name each other by the names that they have once the command is built.
    let mut cei = command().disable_help_subcommand(true);
    cei.build();
    let Some(folder) = &args.output else {
        to_stdout(page(of(&cei, args.command.as_deref())?)?.trim_end());
        return Ok(ExitCode::SUCCESS);
    };
    std::fs::create_dir_all(folder).map_err(|error| {
        anyhow::anyhow!("cannot make the folder `{}`: {error}", folder.display())
    })?;
    let mut written = 0;
    for command in std::iter::once(&cei).chain(cei.get_subcommands()) {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name());
        cei_files::write(&folder.join(format!("{name}.1")), page(command)?.as_bytes())?;
        written += 1;
    }
    to_stderr(&format!("{written} pages are in `{}`; `man -l` shows one", folder.display()));
    Ok(ExitCode::SUCCESS)
}

/// The command of this name; without one `cei` as a whole.
fn of<'a>(cei: &'a Command, name: Option<&str>) -> Result<&'a Command, Usage> {
    let Some(name) = name else { return Ok(cei) };
    cei.find_subcommand(name).ok_or_else(|| Usage(UnknownCommand(name).to_string()))
}

fn page(command: &Command) -> anyhow::Result<String> {
    let mut text = Vec::new();
    Man::new(command.clone()).render(&mut text)?;
    Ok(String::from_utf8(text)?)
}
