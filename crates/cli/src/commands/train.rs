//! `cei train`: a model into a run folder.

use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;

use cei_files::{check_distinct, quoted};
use cei_model::{Team, shards_of};
use cei_run::config::with_overrides;
use cei_run::folder::layout::CONFIG;
use cei_run::presets::{EXPERIMENTS, find};
use cei_run::refine::Obstacle;
use cei_run::train::{TrainOptions, TrainingPlan, estimate_training, train_run_in_team};
use cei_run::{Experiment, ModelRecord, RunError};
use cei_train::{StopReason, TrainingConfig};

use crate::args::TrainArgs;
use crate::estimate;
use crate::interrupt::{INTERRUPTED, stop_flag};
use crate::output::{self, number, say_how_read, to_stderr, to_stdout, warnings};
use crate::progress::TrainingProgress;
use crate::threads::Threads;

pub(crate) fn run(args: &TrainArgs, team: &Team) -> anyhow::Result<ExitCode> {
    let experiment = experiment(args)?;
    if let (Some(config), false) = (&args.configuration.config, args.resume) {
        check_distinct(&[config], &[&args.output.join(CONFIG)])?;
    }
    let quiet = args.progress.quiet || args.format.json || !team.leads();
    let announce = |plan: &TrainingPlan| {
        if !team.leads() {
            return;
        }
        say_how_read(&plan.readings);
        if !quiet {
            to_stderr(&describe(plan));
        }
        warnings(plan).iter().for_each(|warning| to_stderr(warning));
        if let Some(warning) = idle_ranks(&experiment, team) {
            to_stderr(&warning);
        }
    };
    if args.trial.dry_run {
        let device = &args.compute.device;
        let estimate = estimate_training(&experiment, &args.output, device, announce)
            .map_err(|error| error.of_configuration(&origin(args)))?;
        estimate::tell(&estimate, args.format.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut progress = TrainingProgress::new(quiet);
    let (device, resume) = (&args.compute.device, args.resume);
    let options = TrainOptions { device, resume, stop: stop_flag(), team };
    let result = train_run_in_team(&experiment, &args.output, options, announce, &mut progress);
    progress.finish();
    let outcome = result.map_err(|error| error.of_configuration(&origin(args)))?;
    if !team.leads() {
        let interrupted = outcome.reason == StopReason::Interrupted;
        return Ok(if interrupted { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS });
    }
    let Some(record) = outcome.record else {
        to_stderr(&format!(
            "interrupted; the state is saved\nhint: continue with `{}`",
            resume_command(args)
        ));
        return Ok(ExitCode::from(INTERRUPTED));
    };
    if args.format.json {
        output::json(&record.training)?;
    } else if !args.progress.quiet {
        to_stdout(&summarise(&record, outcome.reason, &args.output));
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the experiment comes from, for messages.
fn origin(args: &TrainArgs) -> String {
    let given = &args.configuration;
    let begun = || format!("`{}`", args.output.join(CONFIG).display());
    with_overrides(&if given.is_given() { given.origin() } else { begun() }, &given.overrides)
}

/// The experiment with all that the command line changes about it.
fn experiment(args: &TrainArgs) -> anyhow::Result<Experiment> {
    let begun = args.output.join(CONFIG);
    let given = &args.configuration;
    let mut experiment = if given.is_given() {
        let text = given.text(|name| find(EXPERIMENTS, name))?;
        Experiment::parse(&text, &given.origin(), &given.overrides)?
    } else if begun.exists() {
        Experiment::read(&begun, &given.overrides)?
    } else {
        return Err(RunError::NoCheckpoint { path: args.output.clone() }.into());
    };
    if !args.data.is_empty() {
        experiment.source.files = args.data.clone();
    }
    let source = std::mem::take(&mut experiment.source);
    experiment.source = args.reading.options(args.rows.drop_invalid).apply(source);
    experiment.training.ensemble =
        args.ensemble.map_or(experiment.training.ensemble, NonZeroUsize::get);
    experiment.training.seed = args.seed.unwrap_or(experiment.training.seed);
    Ok(experiment)
}

/// That there are more ranks than can share a batch.
fn idle_ranks(experiment: &Experiment, team: &Team) -> Option<String> {
    let TrainingConfig { batch_size, ensemble, .. } = experiment.training;
    let most = ensemble * shards_of(batch_size);
    (team.size() > most).then(|| {
        let of_members = if ensemble > 1 { " of each member" } else { "" };
        format!(
            "warning: {} ranks, but a batch of {batch_size} rows{of_members} is of {} shards, so that no more than {most} have something to do\nhint: start fewer, or set a larger `training.batch_size`",
            team.size(),
            shards_of(batch_size)
        )
    })
}

fn describe(plan: &TrainingPlan) -> String {
    let [training, validation, test] = plan.rows;
    let [x, y] = plan.dimensions;
    let mut text = format!(
        "{} with {} parameters, x of {x} and y of {y} columns; {training} rows to train, {validation} to validate, {test} kept for the test",
        plan.model, plan.parameters
    );
    let threads = Threads::used().in_words();
    text.push_str(&format!("\n{}\npositions: {}\n{threads}", plan.columns, plan.frame));
    if let Some(Obstacle { why, hint }) = &plan.no_refinement {
        text.push_str(&format!(
            "\n`cei predict --refine` will not be possible: {why}\nhint: {hint}"
        ));
    }
    text
}

fn summarise(record: &ModelRecord, reason: StopReason, path: &Path) -> String {
    let training = &record.training;
    let why = match reason {
        StopReason::Patience => "the validation loss did not improve any more",
        _ => "the last epoch was reached",
    };
    let what = record.ensemble.map_or_else(String::new, |_| format!("{}: ", record.name()));
    let mut text = format!(
        "{what}trained {} epochs in {:.0} s ({why}); best validation loss {} in epoch {}",
        training.epochs,
        training.seconds,
        number(training.best_validation_loss, 6),
        training.best_epoch
    );
    if let Some(active) = &training.active_latent {
        text.push_str(&format!("\n{active}"));
    }
    let (path, word) = (path.display(), quoted(path));
    let where_is = match record.ensemble {
        Some(_) => format!("models and learning curves are in the members of `{path}`"),
        None => format!("model and learning curve are in `{path}`"),
    };
    text.push_str(&format!("\n{where_is}; next: `cei evaluate {word}`"));
    text
}

/// The command that continues this training.
fn resume_command(args: &TrainArgs) -> String {
    format!("cei train -o {} --resume --device {}", quoted(&args.output), args.compute.device)
}
