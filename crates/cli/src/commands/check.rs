//! `cei check`: whether the declared simulation describes a whole file of momenta.

use std::process::ExitCode;

use cei_run::check::{
    CheckOptions, CheckReport, CheckTest, CheckedPopulation, Verdict, check_momenta,
};
use cei_run::folder::layout::{CHECK, FIGURES};

use crate::args::CheckArgs;
use crate::commands::tell_remarks;
use crate::output::{self, number, to_stderr, to_stdout};
use crate::progress::RowProgress;

pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    tell_remarks(&args.trained.run)?;
    let options = CheckOptions {
        momenta: args.later.table(&args.momenta),
        events: args.events,
        draws: args.draws,
        seed: args.random.seed,
        level: args.level,
        folder: args.output.clone(),
    };
    let device = args.compute.open()?;
    let progress = RowProgress::new("refining", "events", args.progress.quiet);
    let result = check_momenta(&args.trained.run, &options, device, |done, total| {
        progress.show(done, total);
    });
    progress.clear();
    let report = result?;
    report.warnings.iter().for_each(|warning| to_stderr(warning));
    if args.format.json {
        output::json(&report)?;
        return Ok(ExitCode::SUCCESS);
    }
    to_stdout(&describe(&report));
    if let Some(folder) = &args.output {
        let folder = folder.display();
        to_stderr(&format!("the tests are in `{folder}/{CHECK}`, figures in `{folder}/{FIGURES}`"));
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(report: &CheckReport) -> String {
    let CheckReport { fitted, tested, simulated, not_described, left_out, .. } = report;
    let row = |test: &CheckTest| {
        vec![
            test.name.replace('_', " "),
            number(test.statistic, 3),
            number(test.p_value, 2),
            if test.pass { "pass" } else { "fail" }.to_owned(),
            test.direction.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = report.tests.iter().map(row).collect();
    let population = match report.population {
        CheckedPopulation::Declared => "the declared law of geometries".to_owned(),
        CheckedPopulation::Inferred { laws: 1 } => {
            "a normal law of geometries, inferred from them".to_owned()
        }
        CheckedPopulation::Inferred { laws } => {
            format!("a mixture of {laws} normal laws of geometries, inferred from them")
        }
    };
    let verdict = match report.verdict {
        Verdict::Pass => "pass: nothing was found that the declared simulation does not describe",
        Verdict::Fail => "fail: the declared simulation does not describe these momenta",
    };
    let mut text = format!(
        "{fitted} events describe the geometries, as {population}; {tested} others are compared with {simulated} simulated from it\n"
    );
    if *not_described > 0 {
        text += &format!("{not_described} of the {fitted} are outside the model, and not in it\n");
    }
    if *left_out > 0 {
        text += &format!(
            "{left_out} events are left out: ions are missing, or their momenta are no measurements\n"
        );
    }
    let header = ["test", "statistic", "p", "verdict", "direction"];
    format!("{text}\n{}\n\n{verdict}", output::table(&header, &rows))
}
