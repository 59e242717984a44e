//! `cei sweep`: a search for better hyper-parameters.

use std::process::ExitCode;

use cei_files::{check_distinct, quoted};
use cei_model::Team;
use cei_run::folder::layout::{BEST, FIGURES, TRIALS, figure};
use cei_run::presets::{EXPERIMENTS, find};
use cei_run::sweep::{
    Given, Importance, Silent, SweepObserver, SweepOptions, SweepReport, TrialReport, sweep_in_team,
};

use crate::args::SweepArgs;
use crate::interrupt::{INTERRUPTED, stop_flag};
use crate::output::{self, number, optional, to_stderr, to_stdout};
use crate::progress::SweepProgress;

/// Trials that are shown; the table in the folder has all.
const SHOWN: usize = 20;

pub(crate) fn run(args: &SweepArgs, team: &Team) -> anyhow::Result<ExitCode> {
    let options = options(args)?;
    if let Some(config) = &args.configuration.config {
        check_distinct(&[config], &[&args.output.join(BEST)])?;
    }
    let mut progress = SweepProgress::new(args.progress.quiet || args.format.json);
    let observer: &mut dyn SweepObserver = if team.leads() { &mut progress } else { &mut Silent };
    let report = sweep_in_team(&options, team, stop_flag(), observer)?;
    if !team.leads() {
        let interrupted = report.interrupted;
        return Ok(if interrupted { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS });
    }
    if args.format.json {
        output::json(&report)?;
    } else if !args.progress.quiet {
        to_stdout(&describe(args, &report));
    }
    if report.interrupted {
        to_stderr(&format!(
            "interrupted; {} trials have ended, and the state of those under way is saved\nhint: continue with `{}`",
            report.trials.len(),
            resume_command(args)
        ));
        return Ok(ExitCode::from(INTERRUPTED));
    }
    Ok(ExitCode::SUCCESS)
}

fn options(args: &SweepArgs) -> anyhow::Result<SweepOptions> {
    let given = &args.configuration;
    let mut overrides = given.overrides.clone();
    overrides.extend(args.trials.map(|trials| format!("sweep.trials={trials}")));
    if !args.data.is_empty() {
        let files: toml::Value = args.data.clone().into();
        overrides.push(format!("source.files={files}"));
    }
    let of_command = match given.is_given() {
        true => Some(Given {
            configuration: given.text(|name| find(EXPERIMENTS, name))?,
            origin: given.origin(),
            overrides: overrides.clone(),
        }),
        false => None,
    };
    Ok(SweepOptions {
        given: of_command,
        overrides,
        folder: args.output.clone(),
        device: args.compute.device.clone(),
        jobs: args.jobs.get(),
    })
}

fn describe(args: &SweepArgs, report: &SweepReport) -> String {
    let mut text = table(report);
    text.push_str(&format!("\nvalidation loss: {}", report.loss));
    if !report.importance.is_empty() {
        let parts: Vec<String> = report.importance.iter().map(part).collect();
        text.push_str(&format!("\nwhat mattered: {}", parts.join(", ")));
    }
    let folder = &args.output;
    let Some(best) = report.trials.iter().find(|trial| Some(trial.number) == report.best) else {
        return text + "\nno trial was trained to its end";
    };
    text.push_str(&format!("\nbest: trial {}", best.number));
    let given = report.trials.iter().find(|trial| trial.number == 1);
    if let (Some(given), Some(lowest)) =
        (given.and_then(|t| t.validation_loss), best.validation_loss)
    {
        let verdict = match best.number {
            1 => "the experiment as it was given".to_owned(),
            _ => format!("{} below the experiment as it was given", number(given - lowest, 3)),
        };
        text.push_str(&format!(", validation loss {}, {verdict}", number(lowest, 6)));
    }
    let picture = folder.join(FIGURES).join(format!("{}.png", figure::SWEEP));
    text.push_str(&format!(
        "\nall trials are in `{}`, figure `{}`; next: `cei train --config {} -o RUN`",
        folder.join(TRIALS).display(),
        picture.display(),
        quoted(&folder.join(BEST))
    ));
    text
}

/// The trials, the best first.
fn table(report: &SweepReport) -> String {
    let keys: Vec<&str> = report.importance.iter().map(|part| part.key.as_str()).collect();
    let keys: Vec<&str> = match (keys.is_empty(), report.trials.first()) {
        (true, Some(trial)) => trial.values.keys().map(String::as_str).collect(),
        _ => keys,
    };
    let mut header = vec!["trial", "validation loss", "best epoch", "epochs", "state"];
    header.extend(keys.iter().map(|key| key.rsplit('.').next().unwrap_or(key)));
    let row = |trial: &TrialReport| {
        let mut row = vec![
            trial.number.to_string(),
            optional(trial.validation_loss, 6),
            trial.best_epoch.map_or_else(String::new, |epoch| epoch.to_string()),
            trial.epochs.to_string(),
            trial.state.name().to_owned(),
        ];
        row.extend(keys.iter().map(|key| {
            trial.values.get(*key).map_or_else(String::new, |value| match value.as_str() {
                Some(text) => text.to_owned(),
                None => value.to_string(),
            })
        }));
        row
    };
    let rows: Vec<Vec<String>> = report.trials.iter().take(SHOWN).map(row).collect();
    let mut text = output::table(&header, &rows);
    if report.trials.len() > SHOWN {
        text.push_str(&format!("\n... and {} more", report.trials.len() - SHOWN));
    }
    text
}

/// A key with its share, and whether chance alone reaches it.
fn part(importance: &Importance) -> String {
    let Importance { key, share, by_chance } = importance;
    let by = if share > by_chance { "" } else { " (no more than by chance)" };
    format!("{key} {:.0} %{by}", 100.0 * share)
}

/// The command that continues this search.
fn resume_command(args: &SweepArgs) -> String {
    let device = match args.compute.device.as_str() {
        "cpu" => String::new(),
        device => format!(" --device {device}"),
    };
    format!("cei sweep -o {} --jobs {}{device}", quoted(&args.output), args.jobs)
}
