//! `cei predict`: from momenta to posterior draws.

use std::process::ExitCode;

use cei_data::Source;
use cei_model::open_device;
use cei_run::predict::{
    OutsideCounts, PredictOptions, PredictionReport, RefinementReport, predict_to_files,
};

use crate::args::PredictArgs;
use crate::commands::tell_remarks;
use crate::output::{self, to_stderr, to_stdout};
use crate::progress::RowProgress;

pub(crate) fn run(args: &PredictArgs) -> anyhow::Result<ExitCode> {
    tell_remarks(&args.run)?;
    let options = PredictOptions {
        momenta: Source { drop_invalid: args.drop_invalid, ..Source::file(&args.momenta) },
        draws: args.draws,
        seed: args.seed,
        draws_file: args.output.clone(),
        summary_file: args.summary.clone(),
        refine: args.refine,
        modes_file: args.modes.clone(),
        chain_file: args.chain.clone(),
    };
    let device = open_device(&args.device)?;
    let progress = RowProgress::new("predicting", args.quiet || args.json);
    let result = predict_to_files(&args.run, &options, device, |done, total| {
        progress.show(done, total);
    });
    progress.clear();
    let report = result?;
    if !args.quiet {
        warn(&report);
    }
    if args.json {
        output::json(&report)?;
    } else if !args.quiet {
        to_stdout(&summarise(&report, args));
    }
    Ok(ExitCode::SUCCESS)
}

fn warn(report: &PredictionReport) {
    if report.dropped.rows > 0 {
        to_stderr(&format!("warning: {}", report.dropped));
    }
    if report.off_constant_events > 0 {
        to_stderr(&format!(
            "warning: in {} of {} events a momentum that never varied in training has another value; the model cannot use it\nhint: are these momenta in the frame of the training table?",
            report.off_constant_events, report.events
        ));
    }
}

fn summarise(report: &PredictionReport, args: &PredictArgs) -> String {
    let PredictionReport { events, draws, frame, .. } = report;
    let unit = report.unit.map_or_else(String::new, |unit| format!(" in {unit}"));
    let what = match &report.refinement {
        Some(RefinementReport { noise: false, .. }) => format!("the modes of {events} events"),
        Some(_) => format!("{events} events x {draws} refined draws"),
        None => format!("{events} events x {draws} draws"),
    };
    let mut text =
        format!("{what} written to `{}`; positions{unit}: {frame}", args.output.display());
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
    if let Some(refinement) = &report.refinement {
        text.push_str(&refinement_in_words(refinement, *events));
    }
    if let Some(outside) = &report.outside {
        text.push_str(&outside_in_words(outside, *events, args.summary.is_some()));
    }
    text
}

fn refinement_in_words(refinement: &RefinementReport, events: usize) -> String {
    let RefinementReport { outside_model, k_hat, evidence, no_mode, search, several_modes, .. } =
        refinement;
    let mut text = format!("\n{several_modes} of {events} events have several modes");
    if let Some(size) = refinement.median_effective_sample_size {
        text.push_str(&format!("; median effective number of draws {size:.0}"));
    }
    if *outside_model == 0 {
        text.push_str("\nnone is outside the model");
    } else {
        text.push_str(&format!(
            "\n{outside_model} of {events} events are outside the model (heavy tail of the weights {k_hat}, evidence far below training {evidence}, no geometry found {no_mode}, searches for geometries that do not agree {search}): their draws are the network's, marked in `outside_model`"
        ));
    }
    text
}

fn outside_in_words(outside: &OutsideCounts, events: usize, has_summary: bool) -> String {
    let OutsideCounts { events: any, momentum_sum, kinetic_energy, distance } = outside;
    if *any == 0 {
        return format!("\nnone of {events} events is outside the training support");
    }
    let reasons = if has_summary {
        "the summary names the reason of each in `outside`"
    } else {
        "--summary FILE names the reason of each"
    };
    format!(
        "\n{any} of {events} events are outside the training support (momentum sum {momentum_sum}, kinetic energy {kinetic_energy}, distance to training momenta {distance}); {reasons}"
    )
}
