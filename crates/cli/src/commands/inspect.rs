//! `cei inspect`: what a table holds.

use std::process::ExitCode;

use cei_data::inspect::{InspectOptions, Inspection, Role, SideSummary};
use cei_data::{Source, inspect};
use cei_run::plausibility::judge_files;
use cei_run::{Experiment, RunError};

use crate::args::InspectArgs;
use crate::output::{self, number, to_stderr, to_stdout};

pub(crate) fn run(args: InspectArgs) -> anyhow::Result<ExitCode> {
    let (mut source, options) = match &args.config {
        None => (Source::default(), InspectOptions::default()),
        Some(path) => {
            let experiment = Experiment::read(path, &[])?;
            let files = Source { files: args.files.clone(), ..experiment.source.clone() };
            let judged = judge_files(&experiment, &files)?;
            if let Some(warning) = judged.and_then(|judged| judged.warning()) {
                to_stderr(&warning);
            }
            let options = InspectOptions {
                x: experiment.columns.x,
                y: experiment.columns.y,
                molecule: experiment.molecule,
            };
            (experiment.source, options)
        }
    };
    source.files = args.files;
    let inspection = inspect(&source, &options).map_err(RunError::from)?;
    if args.json {
        output::json(&inspection)?;
    } else {
        to_stdout(&describe(&inspection));
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(inspection: &Inspection) -> String {
    let files: Vec<String> = inspection.files.iter().map(|f| f.display().to_string()).collect();
    let mut lines = vec![format!(
        "{}: {} rows, {} of them repeat an earlier one, {} have invalid cells",
        files.join(", "),
        inspection.rows,
        inspection.duplicate_rows,
        inspection.invalid_rows
    )];
    for cause in &inspection.invalid {
        let column = cause.column.as_ref().map_or_else(String::new, |name| format!(" in `{name}`"));
        lines.push(format!("  {}{column}: {}", cause.reason, cause.count));
    }
    let rows: Vec<Vec<String>> = inspection
        .columns
        .iter()
        .map(|column| {
            let role = match column.role {
                Role::Position => "position",
                Role::Momentum => "momentum",
                Role::Other => "",
            };
            let mut row = vec![column.name.clone(), role.to_owned()];
            match &column.range {
                Some(range) => {
                    row.extend([range.min, range.max, range.mean, range.sd].map(|v| number(v, 4)));
                }
                None => row.extend(["", "", "", ""].map(str::to_owned)),
            }
            row.push(if column.dead { "dead".to_owned() } else { String::new() });
            row
        })
        .collect();
    let header = ["column", "taken for", "min", "max", "mean", "sd", ""];
    lines.push(output::table(&header, &rows));
    lines.extend(inspection.positions.iter().map(|side| describe_side("positions", side)));
    lines.extend(inspection.momenta.iter().map(|side| describe_side("momenta", side)));
    if let Some(sums) = &inspection.momentum_sum {
        let axes: Vec<String> = ["x", "y", "z"]
            .iter()
            .zip(sums)
            .map(|(axis, sum)| format!("{axis} {} ± {}", number(sum.mean, 3), number(sum.sd, 3)))
            .collect();
        lines.push(format!("sum of the momenta over atoms: {}", axes.join(", ")));
    }
    if let Some(energy) = &inspection.kinetic_energy_release {
        let quantiles: Vec<String> = energy
            .quantiles_ev
            .iter()
            .map(|(level, value)| format!("{} at {:.0} %", number(*value, 4), 100.0 * level))
            .collect();
        lines.push(format!(
            "kinetic energy release {} ± {} eV ({}); quantiles: {}",
            number(energy.mean_ev, 4),
            number(energy.sd_ev, 3),
            energy.masses,
            quantiles.join(", ")
        ));
    }
    lines.join("\n")
}

fn describe_side(name: &str, side: &SideSummary) -> String {
    let alive = side.columns.len() - side.dead.len();
    let mut text = format!(
        "{name}: {} columns, {alive} vary, in {} independent directions",
        side.columns.len(),
        side.rank
    );
    if !side.dead.is_empty() {
        text.push_str(&format!("; dead: {}", side.dead.join(", ")));
    }
    if let Some(guess) = &side.unit_guess {
        text.push_str(&format!("; unit guessed: {} ({})", guess.unit, guess.reason));
    }
    text
}
