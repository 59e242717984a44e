//! `cei evaluate`: the scores of a run, with baselines and floors.

use std::process::ExitCode;

use cei_metrics::results::{NuisanceScores, PointScores};
use cei_run::evaluate::{
    DetectedScores, EvaluateOptions, RowsToScore, RunEvaluation, ScoredRows, evaluate_run,
};
use cei_run::folder::layout::{EVALUATION, FIGURES};
use cei_run::plausibility::Plausibility;
use cei_run::trained::detected_in_words;

use crate::args::{EvaluateArgs, SplitArg};
use crate::commands::tell_remarks;
use crate::output::{self, number, optional, say_how_read, to_stderr, to_stdout};
use crate::progress::RowProgress;

pub(crate) fn run(args: &EvaluateArgs) -> anyhow::Result<ExitCode> {
    let rows = match args.split {
        _ if !args.data.is_empty() => RowsToScore::Other(args.later.table(&args.data)),
        SplitArg::Test => RowsToScore::Test,
        SplitArg::All => RowsToScore::All,
    };
    tell_remarks(&args.trained.run)?;
    let options = EvaluateOptions { rows, draws: args.draws, seed: args.random.seed };
    let device = args.compute.open()?;
    let progress = RowProgress::new("evaluating", "events", args.progress.quiet);
    let judged = |plausibility: &Plausibility| {
        if let Some(warning) = plausibility.warning() {
            progress.aside(&warning);
        }
    };
    let result = evaluate_run(&args.trained.run, &options, device, judged, |done, total| {
        progress.show(done, total);
    });
    progress.clear();
    let evaluation = result?;
    say_how_read(&evaluation.readings);
    if let Some(reason) = &evaluation.not_kept {
        to_stderr(&format!(
            "warning: the scores are not kept in the run folder, and `cei compare` does not know them: {reason}"
        ));
    }
    for warning in &evaluation.warnings {
        to_stderr(&format!("warning: {warning}"));
    }
    if args.format.json {
        output::json(&evaluation)?;
        return Ok(ExitCode::SUCCESS);
    }
    to_stdout(&describe(&evaluation));
    if evaluation.scored.rows == ScoredRows::Test && evaluation.not_kept.is_none() {
        let path = args.trained.run.display();
        to_stderr(&format!("scores are in `{path}/{EVALUATION}`, figures in `{path}/{FIGURES}`"));
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(evaluation: &RunEvaluation) -> String {
    let scores = &evaluation.scores;
    let scored = &evaluation.scored;
    let mut text = format!(
        "{} on {} rows ({}) of {}, {} draws each\npositions: {}",
        scored.model,
        scores.rows,
        scored.rows,
        scored.files.join(", "),
        scores.draws,
        scored.frame
    );
    text.push_str(&format!("\n\n{}", points(evaluation)));
    if let Some(gauge_free) = gauge_free(evaluation) {
        text.push_str(&format!("\n\n{gauge_free}"));
    }
    if !evaluation.scores.nuisances.is_empty() {
        text.push_str(&format!("\n\n{}", nuisances(evaluation)));
    }
    text.push_str(&format!("\n\n{}", distribution(evaluation)));
    if !evaluation.by_detected.is_empty() {
        text.push_str(&format!("\n\n{}", by_detected(evaluation)));
    }
    if let Some(active) = &evaluation.active_latent {
        text.push_str(&format!("\n{active}"));
    }
    text
}

/// Errors of positions, with baselines and floor.
fn points(evaluation: &RunEvaluation) -> String {
    let scores = &evaluation.scores;
    let row = |name: &str, point: &PointScores| {
        let mse = match point.mse_standard_error {
            Some(error) => format!("{} ± {}", number(point.mse, 4), number(error, 1)),
            None => number(point.mse, 4),
        };
        vec![
            name.to_owned(),
            mse,
            optional(point.mse_alive, 4),
            number(point.mre, 4),
            optional(point.mre_alive, 4),
            number(point.median_relative_error, 3),
        ]
    };
    let mut rows = vec![
        row("posterior mean", &scores.estimators.mean),
        row("one draw", &scores.estimators.draw),
    ];
    if let Some(train_mean) = &scores.baselines.train_mean {
        rows.push(row("baseline: mean of training rows", train_mean));
    }
    if let Some(knn) = &scores.baselines.knn {
        let name = format!("baseline: {} nearest of {} rows", knn.k, knn.rows_used);
        rows.push(row(&name, &knn.scores));
    }
    if let Some(floor) = &evaluation.floor {
        let line = |name: &str, mse| vec![name.to_owned(), number(mse, 4)];
        rows.push(line("floor of any estimate", floor.mse));
        rows.push(line("floor of an exact draw", floor.exact_draw_mse));
    }
    let header = ["positions", "MSE", "MSE alive", "MRE", "MRE alive", "median rel. error"];
    output::table(&header, &rows)
}

/// Errors of bond lengths and angles.
fn gauge_free(evaluation: &RunEvaluation) -> Option<String> {
    let scores = &evaluation.scores;
    let model = scores.gauge_free.as_ref()?;
    let knn = scores.baselines.knn.as_ref().and_then(|knn| knn.gauge_free.as_ref());
    let coverage = |label: &String| {
        model.coverage.get(label).and_then(|levels| levels.get("0.9")).map(|c| 100.0 * c)
    };
    let lengths = model.mean.bond_length_rmse_pm.iter().map(|(label, rmse)| {
        (label, "pm", *rmse, knn.and_then(|knn| knn.bond_length_rmse_pm.get(label)))
    });
    let angles = model.mean.angle_rmse_deg.iter().map(|(label, rmse)| {
        (label, "deg", *rmse, knn.and_then(|knn| knn.angle_rmse_deg.get(label)))
    });
    let mut rows: Vec<Vec<String>> = lengths
        .chain(angles)
        .map(|(label, unit, rmse, knn)| {
            vec![
                format!("{label} ({unit})"),
                number(rmse, 3),
                optional(knn.copied(), 3),
                optional(model.crps.get(label).copied(), 3),
                optional(coverage(label), 3),
            ]
        })
        .collect();
    rows.push(vec![
        "mean displacement per atom (bohr)".to_owned(),
        number(model.mean.displacement_bohr, 3),
        optional(knn.map(|knn| knn.displacement_bohr), 3),
        String::new(),
        String::new(),
    ]);
    let header =
        ["gauge-free", "RMSE of the mean", "nearest neighbours", "CRPS", "coverage at 90 %"];
    Some(output::table(&header, &rows))
}

/// Scores by the ions that were detected.
fn by_detected(evaluation: &RunEvaluation) -> String {
    let levels = ["0.5", "0.8", "0.9", "0.95"];
    let row = |set: &DetectedScores| {
        let coverage = |level: &str| set.distribution.coverage.get(level).map(|c| 100.0 * c);
        let mut row = vec![
            detected_in_words(set.ions, set.missing.as_deref()),
            set.rows.to_string(),
            optional(set.likelihood.map(|likelihood| likelihood.nll), 5),
            optional(set.distribution.crps, 3),
        ];
        row.extend(levels.map(|level| optional(coverage(level), 3)));
        row
    };
    let rows: Vec<Vec<String>> = evaluation.by_detected.iter().map(row).collect();
    let header =
        ["detected ions", "rows", "NLL", "CRPS", "coverage at 50 %", "80 %", "90 %", "95 %"];
    format!(
        "{}\nre-simulated momenta are compared for events of which all ions were detected",
        output::table(&header, &rows)
    )
}

/// Errors of nuisances, whose units are in their names.
fn nuisances(evaluation: &RunEvaluation) -> String {
    let row = |scores: &NuisanceScores| {
        vec![scores.column.clone(), number(scores.rmse, 3), optional(scores.rmse_train_mean, 3)]
    };
    let rows: Vec<Vec<String>> = evaluation.scores.nuisances.iter().map(row).collect();
    output::table(&["nuisances", "RMSE of the mean", "mean of training rows"], &rows)
}

/// One line a distributional score.
fn distribution(evaluation: &RunEvaluation) -> String {
    let scores = &evaluation.scores;
    let mut lines = Vec::new();
    let coverage: Vec<String> = scores
        .distribution
        .coverage
        .iter()
        .filter_map(|(level, hits)| {
            let level: f64 = level.parse().ok()?;
            Some(format!("{:.1} at {:.0} %", 100.0 * hits, 100.0 * level))
        })
        .collect();
    lines.push(format!("central coverage of positions (%): {}", coverage.join(", ")));
    let coverage_hdr: Vec<String> = (scores.distribution.coverage_hdr.iter())
        .filter_map(|(level, hits)| {
            let level: f64 = level.parse().ok()?;
            Some(format!("{:.1} at {:.0} %", 100.0 * hits, 100.0 * level))
        })
        .collect();
    if !coverage_hdr.is_empty() {
        lines.push(format!("coverage of highest-density regions (%): {}", coverage_hdr.join(", ")));
    }
    if let (Some(crps), Some(energy)) = (scores.distribution.crps, scores.distribution.energy_score)
    {
        let unit = evaluation.scored.unit.as_ref().map_or_else(String::new, |u| format!(" {u}"));
        lines.push(format!(
            "CRPS {}{unit}, energy score {}{unit} (fair estimators; `cei evaluate --help` says what differs elsewhere)",
            number(crps, 3),
            number(energy, 3)
        ));
    }
    if let Some(likelihood) = &scores.likelihood {
        let error = likelihood
            .nll_standard_error
            .map_or_else(String::new, |e| format!(" ± {}", number(e, 1)));
        lines.push(format!(
            "negative log-likelihood {}{error} nats per event, a density in {} dimensions",
            number(likelihood.nll, 5),
            likelihood.d_eff
        ));
    }
    if let Some(bound) = &scores.likelihood_bound {
        let error = bound
            .nll_bound_standard_error
            .map_or_else(String::new, |e| format!(" ± {}", number(e, 1)));
        lines.push(format!(
            "negative log-likelihood at most {}{error} nats per event, a density in {} dimensions \
             ({} importance-weighted latents)",
            number(bound.nll_bound, 5),
            bound.nll_bound_d_eff,
            bound.nll_bound_samples
        ));
    }
    if let Some(error) = &scores.resimulation {
        lines.push(format!(
            "re-simulated momenta differ by {} a.u. per component (median; quartiles {} to {})",
            number(error.median, 3),
            number(error.lower_quartile, 3),
            number(error.upper_quartile, 3)
        ));
    }
    if let Some(error) = scores.invertibility_max_abs {
        lines.push(format!("max |x - f^-1(f(x))| = {} in scaled units", number(error, 2)));
    }
    lines.join("\n")
}
