//! `cei predict`: from momenta to posterior draws.

use std::process::ExitCode;

use cei_model::Team;
use cei_run::plausibility::LawEdgeReport;
use cei_run::predict::{
    CoincidenceReport, FEW_DRAWS, Mixed, OutsideCounts, PredictOptions, PredictStep,
    PredictionReport, RefinementReport, SelectedEvents, StateShare, estimate_prediction,
    predict_in_team,
};

use crate::args::PredictArgs;
use crate::commands::{of_shard, show_step, tell_remarks};
use crate::estimate;
use crate::output::{self, to_stderr, to_stdout};
use crate::progress::RowProgress;

/// Events without draws that are named one by one.
const MOST_NAMED: usize = 5;

pub(crate) fn run(args: &PredictArgs, team: &Team) -> anyhow::Result<ExitCode> {
    if team.leads() {
        tell_remarks(&args.trained.run)?;
    }
    let options = PredictOptions {
        momenta: args.later.table(std::slice::from_ref(&args.momenta)),
        sums: args.sums.options(),
        draws: args.draws,
        seed: args.random.seed,
        false_coincidences: mixed(args),
        draws_file: args.output.clone(),
        summary_file: args.summary.clone(),
        refine: args.refine,
        initial_momenta: args.initial_momenta,
        modes_file: args.modes.clone(),
        chain_file: args.chain.clone(),
        report_file: args.report.clone(),
        report_events: args.report_events.clone(),
        shard: args.part.shard()?,
    };
    let device = args.compute.open()?;
    let quiet = args.progress.quiet || args.trial.dry_run || !team.leads();
    let progress = RowProgress::new("predicting", "events", quiet);
    let watch = |step: PredictStep<'_>| {
        if team.leads() {
            show_step(&progress, args.progress.quiet, step);
        }
    };
    if args.trial.dry_run {
        let estimate = estimate_prediction(&args.trained.run, &options, device, watch)?;
        estimate::tell(&estimate, args.format.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let result = predict_in_team(&args.trained.run, &options, device, team, watch);
    progress.clear();
    let Some(report) = result? else { return Ok(ExitCode::SUCCESS) };
    warn(&report);
    if args.format.json {
        output::json(&report)?;
    } else {
        let lines = flagged(&report, args.summary.is_some());
        if args.progress.quiet {
            doubt(&report).iter().for_each(|doubt| to_stderr(doubt));
            lines.iter().filter(|line| line.is_bad).for_each(|line| to_stderr(&line.text));
        } else {
            to_stdout(&summarise(&report, &lines, args));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn warn(report: &PredictionReport) {
    report.remarks.iter().for_each(|remark| to_stderr(remark));
    if let Some(gate) = &report.gate {
        to_stderr(&gate.to_string());
    }
    if report.dropped.rows > report.gate.map_or(0, |gate| gate.dropped) {
        to_stderr(&format!("warning: {}", report.dropped));
    }
    for cell in report.far_out.iter().take(MOST_NAMED) {
        to_stderr(&format!("warning: {cell}: no measurement, so the event has no draws"));
    }
    if report.far_out.len() > MOST_NAMED {
        let more = report.far_out.len() - MOST_NAMED;
        to_stderr(&format!("warning: {more} more events have no draws for the same reason"));
    }
    if report.off_constant_events > 0 {
        to_stderr(&format!(
            "warning: in {} of {} events a momentum that never varied in training has another value; the model cannot use it\nhint: are these momenta in the frame of the training table?",
            report.off_constant_events, report.events
        ));
    }
    if let Some(draws) = report.summarised_draws {
        to_stderr(&format!(
            "warning: the summary is made of the first {draws} of {} draws of each event, which are in memory together",
            report.draws
        ));
    }
}

fn summarise(report: &PredictionReport, lines: &[Line], args: &PredictArgs) -> String {
    let PredictionReport { events, draws, frame, .. } = report;
    let unit = report.unit.map_or_else(String::new, |unit| format!(" in {unit}"));
    let shard = of_shard(report.shard);
    let what = match &report.refinement {
        Some(RefinementReport { noise: false, .. }) => {
            format!("the modes of {events} events{shard}")
        }
        Some(_) => format!("{events} events{shard} x {draws} refined draws"),
        None => format!("{events} events{shard} x {draws} draws"),
    };
    let mut text = doubt(report).map_or_else(String::new, |doubt| format!("{doubt}\n"));
    text.push_str(&format!(
        "{what} written to `{}`; positions{unit}: {frame}",
        args.output.display()
    ));
    if report.rotated_back {
        text.push_str("\ncolumns ending in `_file` are in the orientation of the momenta file");
    }
    if let Some(summary) = &args.summary {
        text.push_str(&format!(
            "\nmeans, standard deviations and quantiles are in `{}`",
            summary.display()
        ));
    }
    if let Some(modes) = &args.modes {
        text.push_str(&format!("\nmodes are in `{}`", modes.display()));
    }
    if let Some(chain) = &args.chain {
        text.push_str(&format!("\ndraws of the Markov chains are in `{}`", chain.display()));
        if let Some(worst) = report.refinement.and_then(|refinement| refinement.worst_r_hat) {
            text.push_str(&format!("; largest R-hat {worst:.3}"));
        }
    }
    if let Some(page) = &args.report {
        text.push_str(&format!("\na page about the file is in `{}`", page.display()));
    }
    if let Some(refinement) = &report.refinement {
        text.push_str(&format!(
            "\n{} of {events} events have several modes",
            refinement.several_modes
        ));
        if let Some(size) = refinement.median_effective_sample_size {
            text.push_str(&format!("; median effective number of draws {size:.0}"));
        }
    }
    if !report.charge_states.is_empty() {
        let state = |state: &StateShare| {
            let charges: Vec<String> = state.charges.iter().map(ToString::to_string).collect();
            format!("({}) {:.1} %", charges.join(", "), 100.0 * state.share)
        };
        let states: Vec<String> = report.charge_states.iter().map(state).collect();
        text.push_str(&format!(
            "\ncharge states, mean of their probabilities over the events: {}",
            states.join(", ")
        ));
    }
    if let Some(found) = &report.false_coincidences {
        text.push_str(&format!("\n{}", coincidences_in_words(found)));
    }
    for line in lines {
        text.push_str(&format!("\n{}", line.text));
    }
    text
}

/// What the threshold of `p_true` trades.
fn coincidences_in_words(found: &CoincidenceReport) -> String {
    let CoincidenceReport { fraction, fraction_sd, selected, .. } = found;
    let mut text = format!(
        "false coincidences: {:.1} +- {:.1} % of the events; what is left of them by `p_true`:",
        100.0 * fraction,
        100.0 * fraction_sd
    );
    for SelectedEvents { p_true, events, purity, efficiency } in selected {
        text.push_str(&format!(
            "\n  at least {p_true}: {events} events, {:.1} % of them true, {:.1} % of the true ones",
            100.0 * purity,
            100.0 * efficiency
        ));
    }
    text
}

/// What false coincidences are made of, if they are asked for.
fn mixed(args: &PredictArgs) -> Option<Mixed> {
    match &args.background {
        Some(file) => Some(Mixed::Others(Box::new(args.later.table(std::slice::from_ref(file))))),
        None => args.false_coincidences.then_some(Mixed::Events),
    }
}

/// A closing line about flagged events.
struct Line {
    text: String,
    /// Whether it counts any.
    is_bad: bool,
}

/// What says, before anything else, that the results are no geometries of these molecules; none if nothing does.
fn doubt(report: &PredictionReport) -> Option<String> {
    let events = report.events;
    let most = |count: usize| 2 * count > events;
    let mut reasons = Vec::new();
    if let Some(plausibility) = report.plausibility.as_ref().filter(|file| file.far) {
        let cause = plausibility.cause.as_ref().map_or("unknown", |cause| cause.name());
        reasons.push(format!(
            "as a set, these momenta are not what it was trained on ({:.0} % of {events} events lie outside; likely cause: {cause})",
            100.0 * plausibility.outside_share
        ));
    } else if let Some(outside) = report.outside.filter(|outside| most(outside.events)) {
        reasons.push(format!(
            "{} of {events} events are outside the training support",
            outside.events
        ));
    }
    if let Some(refinement) = report.refinement.filter(|r| most(r.outside_model)) {
        reasons
            .push(format!("{} of {events} events are outside the model", refinement.outside_model));
    }
    let pinned = report.law_edge.iter().flat_map(|edges| &edges.limits).filter(|limit| limit.file);
    reasons.extend(pinned.map(|limit| {
        format!("{} of {events} posteriors are pinned with {}", limit.at_limit, limit.limit)
    }));
    (!reasons.is_empty()).then(|| {
        format!(
            "warning: the model does not describe this file, so its bond lengths and angles are not those of the molecules: {}",
            reasons.join("; ")
        )
    })
}

/// What is flagged, and where it is marked.
fn flagged(report: &PredictionReport, has_summary: bool) -> Vec<Line> {
    let events = report.events;
    let mut lines: Vec<Line> = Vec::new();
    if let Some(refinement) = &report.refinement {
        lines.push(refinement_in_words(refinement, events));
        lines.extend(few_draws_in_words(refinement, events));
    }
    if let Some(edges) = &report.law_edge {
        lines.extend(law_edge_in_words(edges, events));
    }
    if let Some(outside) = &report.outside {
        lines.push(outside_in_words(outside, events, has_summary));
    }
    lines
}

fn refinement_in_words(refinement: &RefinementReport, events: usize) -> Line {
    let RefinementReport {
        outside_model,
        k_hat,
        evidence,
        outside_law,
        no_mode,
        search,
        law_edge,
        ..
    } = refinement;
    let beyond = match outside_law {
        0 => String::new(),
        count => format!(", of these no draw within the geometry law and so no evidence {count}"),
    };
    let text = if *outside_model == 0 {
        "none is outside the model".to_owned()
    } else {
        format!(
            "{outside_model} of {events} events are outside the model, marked in `outside_model`: heavy tail of the weights {k_hat}, evidence far below training {evidence}{beyond}, no geometry found {no_mode}, searches for geometries that do not agree {search} (the draws of these are the network's), pinned to a limit of the geometry law {law_edge}"
        )
    };
    Line { text, is_bad: *outside_model > 0 }
}

/// How many events have draws that say little about quantiles.
fn few_draws_in_words(refinement: &RefinementReport, events: usize) -> Option<Line> {
    let few = refinement.few_draws;
    let text = format!(
        "{few} of {events} events have fewer than {FEW_DRAWS} effective draws (`effective_sample_size` of the summary), and rough quantiles: ask for more draws (`-n`)"
    );
    (few > 0).then_some(Line { text, is_bad: true })
}

/// The limits at which events are pinned, by name.
fn law_edge_in_words(edges: &LawEdgeReport, events: usize) -> Option<Line> {
    if edges.limits.is_empty() {
        return None;
    }
    let limits = edges.limits.iter().map(|limit| {
        let file = if limit.file {
            format!(
                "; with less sharp posteriors {} where the law has at most {:.0}",
                limit.at_limit, limit.expected_at_most
            )
        } else {
            String::new()
        };
        format!("{} ({} events{file})", limit.limit, limit.events)
    });
    let limits: Vec<String> = limits.collect();
    let hint = if edges.limits.iter().any(|limit| limit.file) {
        "\nhint: the momenta ask for geometries beyond the law, or for other charges; look at the kinetic energy release, or train on a wider law"
    } else {
        ""
    };
    let text = format!(
        "{} of {events} posteriors are pinned to a limit of the geometry law (law-edge; at most one in ten events of the law is): {}{hint}",
        edges.events,
        limits.join(", ")
    );
    Some(Line { text, is_bad: true })
}

fn outside_in_words(outside: &OutsideCounts, events: usize, has_summary: bool) -> Line {
    let OutsideCounts { events: any, momentum_sum, kinetic_energy, distance, far_out } = outside;
    if *any == 0 {
        let text = format!("none of {events} events is outside the training support");
        return Line { text, is_bad: false };
    }
    let reasons = if has_summary {
        "the summary names the reason of each in `outside`"
    } else {
        "--summary FILE names the reason of each"
    };
    let text = format!(
        "{any} of {events} events are outside the training support (momentum sum {momentum_sum}, kinetic energy {kinetic_energy}, distance to training momenta {distance}, no measurement {far_out}); {reasons}"
    );
    Line { text, is_bad: true }
}
