//! `cei compare`: runs side by side, with baselines and floors.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cei_data::{TableWriter, header};
use cei_files::check_outputs;
use cei_run::compare::{ComparisonGroup, ComparisonRow, compare_runs};
use cei_run::evidence::{EvidenceReport, RunEvidence, weigh_runs};
use cei_run::folder::layout::{HISTORY, RECORD};

use crate::args::CompareArgs;
use crate::commands::tell_remarks;
use crate::error::Usage;
use crate::output::{self, number, optional, to_stderr, to_stdout};
use crate::progress::RowProgress;

pub(crate) fn run(args: &CompareArgs) -> anyhow::Result<ExitCode> {
    if !args.data.is_empty() {
        return weigh(args);
    }
    let groups = compare_runs(&args.runs)?;
    // An evaluation may be kept without its model.
    for run in args.runs.iter().filter(|run| run.join(RECORD).exists()) {
        tell_remarks(run)?;
    }
    if args.format.json {
        output::json(&serde_json::json!({ "groups": groups }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for (index, group) in groups.iter().enumerate() {
        if index > 0 {
            to_stdout("");
        }
        to_stdout(&describe(group));
    }
    if groups.len() > 1 {
        to_stdout(
            "\nruns of different tables, rows or frames stand in different tables: their numbers do not compare",
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Weighs runs by measured momenta.
fn weigh(args: &CompareArgs) -> anyhow::Result<ExitCode> {
    check_each_once(&args.runs)?;
    let momenta = args.later.table(&args.data);
    if let Some(output) = &args.output {
        let mut inputs = momenta.resolve()?;
        inputs.extend(args.runs.iter().map(|run| run.join(HISTORY)));
        let inputs: Vec<&Path> = inputs.iter().map(PathBuf::as_path).collect();
        check_outputs(&inputs, &[output])?;
    }
    let progress = RowProgress::new("refining", "events", args.progress.quiet || args.format.json);
    let device = args.compute.open()?;
    let found = weigh_runs(&args.runs, &momenta, args.random.seed, &device, |done, of| {
        progress.show(done, of);
    });
    progress.clear();
    let found = found?;
    found.warnings.iter().for_each(|said| to_stderr(said));
    if let Some(path) = &args.output {
        let columns = found.columns(&names(&args.runs));
        let mut writer = TableWriter::create(path, &header(&columns))?;
        writer.write(columns.into_iter().map(|(_, data)| data).collect())?;
        writer.finish()?;
    }
    if args.format.json {
        output::json(&found.report)?;
    } else {
        to_stdout(&evidence_in_words(&found.report, args.output.as_deref()));
    }
    Ok(ExitCode::SUCCESS)
}

/// A run beside itself would share every event with itself, and no number would say so.
fn check_each_once(runs: &[PathBuf]) -> Result<(), Usage> {
    // A folder that is not there is told of where it is read.
    let there = |run: &PathBuf| std::fs::canonicalize(run).unwrap_or_else(|_| run.clone());
    let mut before = BTreeSet::new();
    match runs.iter().find(|run| !before.insert(there(run))) {
        None => Ok(()),
        Some(run) => Err(Usage(format!(
            "run `{}` is named twice, and has the same evidence as itself\nhint: name each run once",
            run.display()
        ))),
    }
}

/// Short names of runs for columns: that of the folder, with its number where several have the same.
fn names(runs: &[PathBuf]) -> Vec<String> {
    let name = |run: &PathBuf| {
        run.file_name().map_or_else(|| "run".to_owned(), |name| name.to_string_lossy().into_owned())
    };
    let all: Vec<String> = runs.iter().map(name).collect();
    let is_single = |name: &String| all.iter().filter(|other| *other == name).count() == 1;
    let numbered = |(place, name): (usize, &String)| match is_single(name) {
        true => name.clone(),
        false => format!("{name}_{}", place + 1),
    };
    all.iter().enumerate().map(numbered).collect()
}

fn evidence_in_words(report: &EvidenceReport, table: Option<&Path>) -> String {
    let EvidenceReport { events, unexplained, explained_by_all, best, runs } = report;
    let header = [
        "run",
        "evidence below the best (nats)",
        "part of a mixture (%)",
        "5 to 95 %",
        "events excluded",
        "outside the model",
    ];
    let percent = |part: f64| format!("{:.1}", 100.0 * part);
    let row = |run: &RunEvidence| {
        let below = match run.run == *best {
            true => "best".to_owned(),
            false => format!("{} +- {}", number(run.below_best, 4), number(run.below_best_sd, 2)),
        };
        vec![
            run.run.clone(),
            below,
            format!("{} +- {}", percent(run.fraction), percent(run.fraction_sd)),
            format!("{} to {}", percent(run.fraction_90[0]), percent(run.fraction_90[1])),
            run.excluded.to_string(),
            run.outside_model.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = runs.iter().map(row).collect();
    let mut text = output::table(&header, &rows);
    text.push_str(&format!("\nevery run explains {explained_by_all} of {events} events"));
    text.push_str("; none counts for more than 20 nats, also where a run excludes it");
    if *unexplained > 0 {
        text.push_str(&format!("; {unexplained} events are explained by none, and left out"));
    }
    if let Some(path) = table {
        text.push_str(&format!(
            "\nevidences and probabilities of each event are in `{}`",
            path.display()
        ));
    }
    text
}

fn describe(group: &ComparisonGroup) -> String {
    let head =
        format!("{} rows of {}; positions {}", group.rows, group.files.join(", "), group.frame);
    let quantities = |pick: fn(&ComparisonRow) -> Vec<String>| -> Vec<String> {
        group.lines.iter().flat_map(pick).collect::<BTreeSet<_>>().into_iter().collect()
    };
    let bonds = quantities(|line| {
        line.gauge_free.iter().flat_map(|g| g.bond_length_rmse_pm.keys().cloned()).collect()
    });
    let angles = quantities(|line| {
        line.gauge_free.iter().flat_map(|g| g.angle_rmse_deg.keys().cloned()).collect()
    });
    let mut header: Vec<String> =
        ["", "MSE mean", "MSE draw"].into_iter().map(str::to_owned).collect();
    header.extend(bonds.iter().map(|bond| format!("{bond} pm")));
    header.extend(angles.iter().map(|angle| format!("{angle} deg")));
    header.extend(["coverage 90 %", "CRPS", "re-sim. a.u.", "NLL", "d"].map(str::to_owned));
    let rows: Vec<Vec<String>> = group
        .lines
        .iter()
        .map(|line| {
            let gauge_free = line.gauge_free.as_ref();
            let bond = |name: &String| gauge_free.and_then(|g| g.bond_length_rmse_pm.get(name));
            let angle = |name: &String| gauge_free.and_then(|g| g.angle_rmse_deg.get(name));
            let mut row = vec![
                line.name.clone(),
                optional(Some(line.mse_mean), 4),
                optional(line.mse_draw, 4),
            ];
            row.extend(bonds.iter().map(|name| optional(bond(name).copied(), 3)));
            row.extend(angles.iter().map(|name| optional(angle(name).copied(), 3)));
            row.extend([
                line.coverage_90.map_or_else(String::new, |c| format!("{:.1} %", 100.0 * c)),
                optional(line.crps, 3),
                optional(line.resimulation, 3),
                optional(line.nll, 4),
                line.d_eff.map_or_else(String::new, |d| d.to_string()),
            ]);
            row
        })
        .collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut text = format!("{head}\n{}", output::table(&header, &rows));
    text.push_str(
        "\nMSE in squared raw units, of the posterior mean and of one draw; bonds and angles are RMSE of the mean over draws; CRPS is the fair estimator (others divide by m^2: 1 + 1/m times as high); NLL in nats per event, a density in d dimensions",
    );
    if let Some(conflict) = &group.nll_not_comparable {
        text.push_str(&format!("\nwarning: {conflict}"));
    }
    text
}
