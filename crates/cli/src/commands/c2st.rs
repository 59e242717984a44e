//! `cei c2st`: two files of samples told apart by a classifier.

use std::process::ExitCode;

use cei_run::c2st::{C2stOptions, C2stReport, compare_samples};
use cei_run::folder::layout::{C2ST, FIGURES};

use crate::args::C2stArgs;
use crate::commands::told;
use crate::output::{self, number, say_how_read, to_stderr, to_stdout};
use crate::progress::RowProgress;

pub(crate) fn run(args: &C2stArgs) -> anyhow::Result<ExitCode> {
    let progress = RowProgress::new("training classifiers", "classifiers", false);
    let options = C2stOptions {
        sample: args.sample.clone(),
        reference: args.reference.clone(),
        columns: args.columns.clone(),
        reading: args.reading.options(false),
        seed: args.random.seed,
        level: args.level,
        folder: args.output.clone(),
    };
    let result = compare_samples(&options, |done, total| progress.show(done, total));
    progress.clear();
    let report = result?;
    say_how_read(&report.readings);
    if args.format.json {
        output::json(&report)?;
    } else {
        to_stdout(&describe(&report));
        if let (Some(folder), None) = (&args.output, &report.not_kept) {
            let folder = folder.display();
            to_stderr(&format!(
                "accuracies are in `{folder}/{C2ST}`, the figure in `{folder}/{FIGURES}`"
            ));
        }
    }
    told(report.not_kept.as_ref(), true)
}

fn describe(report: &C2stReport) -> String {
    let mut text = String::new();
    if report.events.len() > 1 {
        let rows: Vec<Vec<String>> = report
            .events
            .iter()
            .map(|event| {
                vec![
                    event.event.map_or_else(String::new, |event| event.to_string()),
                    format!("{:.4}", event.result.accuracy),
                    format!("{:.4}", event.result.standard_error),
                    number(event.result.p_value, 2),
                    event.result.rows.to_string(),
                ]
            })
            .collect();
        let header = ["event", "C2ST", "standard error", "p", "rows"];
        text = format!("{}\n\n", output::table(&header, &rows));
    }
    let rate = number(100.0 * report.level, 2);
    let verdict = if report.pass {
        format!("pass: the samples cannot be told apart at an error rate of {rate} %")
    } else {
        format!("fail: the samples are told apart at an error rate of {rate} %")
    };
    text.push_str(&format!(
        "C2ST {:.4} ± {:.4} over {} (0.5: cannot be told apart; 1: no overlap); columns {}\n{verdict} (p = {})",
        report.accuracy,
        report.standard_error,
        match report.events.len() {
            1 => "one sample".to_owned(),
            count => format!("{count} events"),
        },
        report.columns.join(", "),
        number(report.p_value, 2),
    ));
    if report.left_out > 0 {
        text.push_str(&format!("\n{} events are in one file only and left out", report.left_out));
    }
    text
}
