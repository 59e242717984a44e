//! `cei merge`: one table of the shards of many processes.

use std::process::ExitCode;

use cei_run::merge::{Merged, merge_shards};

use crate::args::MergeArgs;
use crate::output::{self, to_stderr, to_stdout};

pub(crate) fn run(args: &MergeArgs) -> anyhow::Result<ExitCode> {
    let merged = merge_shards(&args.shards, &args.output)?;
    let Merged { path, command, table, shards, events, repeated, configuration } = &merged;
    for again in repeated {
        to_stderr(&format!("remark: `{}` is there twice, and counts once", again.display()));
    }
    if args.format.json {
        output::json(&merged)?;
    } else if !args.progress.quiet {
        let beside = configuration.as_ref().map_or_else(String::new, |configuration| {
            format!("; how they were made stands in `{}`", configuration.display())
        });
        to_stdout(&format!(
            "{shards} shards of {events} events (`cei {command}`, {table}) written to `{}`{beside}",
            path.display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}
