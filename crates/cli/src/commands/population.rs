//! `cei population`: from the momenta of many events to the distribution of geometries in the sample.

use std::process::ExitCode;

use cei_run::population::{
    Estimate, PopulationOptions, PopulationReport, PopulationShard, QuantityPopulation,
    population_to_folder, refine_population_shard,
};
use cei_run::predict::{Mixed, PredictStep};

use crate::args::PopulationArgs;
use crate::commands::{show_step, tell_remarks};
use crate::output::{self, number, to_stderr, to_stdout};
use crate::progress::RowProgress;

/// Draws that hold the weight of an event, below which more are asked for.
const FEW_DRAWS: f64 = 20.0;

pub(crate) fn run(args: &PopulationArgs) -> anyhow::Result<ExitCode> {
    tell_remarks(&args.trained.run)?;
    let options = PopulationOptions {
        momenta: args.later.table(&args.momenta),
        sums: args.sums.options(),
        by: args.by.clone(),
        efficiency: args.efficiency.clone(),
        draws: args.draws,
        seed: args.random.seed,
        bootstraps: args.bootstraps,
        level: args.level,
        false_coincidences: match &args.background {
            Some(file) => {
                Some(Mixed::Others(Box::new(args.later.table(std::slice::from_ref(file)))))
            }
            None => args.false_coincidences.then_some(Mixed::Events),
        },
        folder: args.output.clone(),
    };
    let shard = args.part.shard()?;
    let device = args.compute.open()?;
    let progress = RowProgress::new("refining", "events", args.progress.quiet);
    let watch = |step: PredictStep<'_>| show_step(&progress, args.progress.quiet, step);
    if let Some(shard) = shard {
        let run = &args.trained.run;
        let result = refine_population_shard(run, &options, shard, device, watch);
        progress.clear();
        let refined = result?;
        if args.format.json {
            output::json(&refined)?;
        } else if !args.progress.quiet {
            to_stdout(&describe_shard(&refined));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let result = population_to_folder(&args.trained.run, &options, device, watch);
    progress.clear();
    let report = result?;
    warnings(&report).iter().for_each(|warning| to_stderr(warning));
    if args.format.json {
        output::json(&report)?;
    } else {
        to_stdout(&describe(&report));
        let folder = args.output.display();
        to_stderr(&format!(
            "curves are in `{folder}/population.csv`, the figure in `{folder}/population.svg` and `.png`"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn describe_shard(refined: &PopulationShard) -> String {
    let PopulationShard { shard, events, of, parts: [there, parts], draws } = refined;
    let next = match there == parts {
        true => "the same command without `--shard` infers the distribution",
        false => "when all are, the same command without `--shard` infers the distribution",
    };
    format!(
        "{events} of {of} events, those of shard {shard}, are refined in `{}`; {there} of {parts} parts are there: {next}",
        draws.display()
    )
}

fn describe(report: &PopulationReport) -> String {
    let interval = |of: Estimate| {
        format!("{} ({} to {})", number(of.value, 4), number(of.lower, 4), number(of.upper, 4))
    };
    let row = |value: &str, events: usize, own: &QuantityPopulation| {
        let mut row = vec![own.quantity.clone()];
        if report.by.is_some() {
            row.push(value.to_owned());
        }
        row.extend([
            events.to_string(),
            interval(own.mean),
            interval(own.sd),
            number(own.event_sd, 3),
            number(own.stacked_sd, 3),
            number(own.resolution, 3),
        ]);
        row
    };
    let rows: Vec<Vec<String>> = report
        .groups
        .iter()
        .flat_map(|group| group.quantities.iter().map(|own| row(&group.value, group.events, own)))
        .collect();
    let shares = report.groups.iter().filter_map(|group| {
        let found = group.false_coincidences?;
        let of = if group.value.is_empty() { String::new() } else { format!(" ({})", group.value) };
        Some(format!(
            "\nfalse coincidences{of}: {:.1} +- {:.1} % of the events, those outside the model among them",
            100.0 * found.fraction,
            100.0 * found.sd
        ))
    });
    let shares: String = shares.collect();
    let mut header = vec!["quantity"];
    header.extend(report.by.as_deref());
    header.extend(["events", "mean", "sd", "sd of an event", "stacked", "hidden below"]);
    format!(
        "{}\n\nintervals hold {} % of samples of the events drawn anew; `stacked` is the width of all draws together, which is too broad; a width that is `hidden below` cannot be told from none{shares}",
        output::table(&header, &rows),
        number(100.0 * report.level, 3)
    )
}

fn warnings(report: &PopulationReport) -> Vec<String> {
    let mut warnings = Vec::new();
    let PopulationReport { events, left_out, pinned, dropped, gate, thinned, .. } = report;
    warnings.extend(gate.as_ref().map(ToString::to_string));
    if dropped.rows > gate.map_or(0, |gate| gate.dropped) {
        warnings.push(format!("warning: {dropped}"));
    }
    if *left_out > 0 {
        warnings.push(format!(
            "warning: {left_out} of {events} events are left out, because the model does not describe them\nhint: `cei predict --refine --summary` names the reason of each"
        ));
    }
    if *pinned > 0 {
        warnings.push(format!(
            "warning: the posteriors of {pinned} of {events} events are pinned to a limit of the geometry law, beyond which no population is seen"
        ));
    }
    if let Some([events, draws]) = thinned {
        warnings.push(format!(
            "remark: {events} events with {draws} draws of each are used, as many as there is room for"
        ));
    }
    for group in &report.groups {
        let of = if group.value.is_empty() { String::new() } else { format!(" ({})", group.value) };
        for own in group.quantities.iter().filter(|own| !own.resolved) {
            warnings.push(format!(
                "warning: {}{of}: noise is too large for a width like that: the posteriors of single events have {}, so that {} events do not tell a width below {} from none; it lies between {} and {}",
                own.quantity,
                number(own.event_sd, 3),
                group.events,
                number(own.resolution, 3),
                number(own.sd.lower, 3),
                number(own.sd.upper, 3)
            ));
        }
        for peak in group.hidden.iter().filter(|peak| peak.weight < 0.999) {
            warnings.push(format!(
                "warning: {}{of}: the peak at {} with {:.0} % of the events may have any width below {}",
                peak.quantity,
                number(peak.at, 4),
                100.0 * peak.weight,
                number(peak.width, 3)
            ));
        }
        if group.effective_draws < FEW_DRAWS {
            warnings.push(format!(
                "warning: only {:.0} draws of an event{of} lie where the population is\nhint: ask for more (`--draws`)",
                group.effective_draws
            ));
        }
    }
    warnings
}
