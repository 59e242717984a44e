//! `cei report`: one page about runs, to look at and to mail.

use std::process::ExitCode;

use cei_run::report::{ReportOptions, report_to_file};

use crate::args::ReportArgs;
use crate::commands::tell_remarks;
use crate::output::{self, to_stdout};
use crate::progress::RowProgress;

pub(crate) fn run(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    for run in &args.runs {
        tell_remarks(run)?;
    }
    let options = ReportOptions {
        runs: args.runs.clone(),
        output: args.output.clone(),
        events: args.events.clone(),
        modes: !args.no_modes,
        seed: args.random.seed,
    };
    let device = args.compute.open()?;
    let progress = RowProgress::new("reporting", "runs", args.progress.quiet);
    let result = report_to_file(&options, &device, |done, total| progress.show(done, total));
    progress.clear();
    let summary = result?;
    if args.format.json {
        output::json(&summary)?;
    } else if !args.progress.quiet {
        to_stdout(&format!(
            "`{}`: one page ({} kB) with {} figures; open it in a browser",
            args.output.display(),
            summary.bytes.div_ceil(1000),
            summary.figures.len()
        ));
    }
    Ok(ExitCode::SUCCESS)
}
