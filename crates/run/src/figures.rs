//! The figures: learning curve of a run after training; predictions, residuals and coverage after
//! evaluation; the tests of calibration, and those of two files of samples.

use std::path::{Path, PathBuf};

use cei_metrics::special::binomial_interval;
use cei_report::{
    Accuracy, CoverageCurve, EpochLoss, LearningCurve, RankPanel, Residuals, TrueAndPredicted,
    classifier_accuracies, coverage_curves, ecdf_differences, expected_coverage,
    learning_curve as draw_learning_curve, rank_histograms, residual_histograms, true_vs_predicted,
};
use cei_train::TrainingReport;
use ndarray::{Array2, ArrayView2, Axis, concatenate};

use crate::c2st::C2stReport;
use crate::calibrate::{Calibration, QuantityTest};
use crate::evaluate::{Pairs, RunEvaluation};
use crate::{Experiment, RunError, TrainedRun};

/// Quantities that are drawn at most; a table that is no molecule may have many columns.
const PANELS: usize = 9;
/// Quantities on a page of ranks.
const RANK_PANELS: usize = 18;

/// Draws training and validation loss of every epoch into the run folder.
///
/// # Errors
/// The figure cannot be written.
pub fn learning_curve(
    path: &Path,
    experiment: &Experiment,
    report: &TrainingReport,
) -> Result<(), RunError> {
    let history: Vec<EpochLoss> = report
        .history
        .epochs
        .iter()
        .map(|epoch| EpochLoss {
            epoch: epoch.epoch,
            train: epoch.training_loss,
            validation: epoch.validation_loss,
        })
        .collect();
    let title = format!("{} ({})", experiment.model.architecture().name(), name_of(path));
    let curve = LearningCurve {
        title: &title,
        history: &history,
        best_epoch: report.best.map(|(epoch, _)| epoch),
    };
    let stem = folder(path)?.join("learning_curve");
    draw_learning_curve(&stem, &curve, experiment.model.architecture().loss_label())?;
    Ok(())
}

/// Draws predicted against true values, residuals and coverage into the run folder.
///
/// # Errors
/// A figure cannot be written.
pub fn evaluation(
    run: &TrainedRun,
    pairs: &Pairs,
    evaluation: &RunEvaluation,
) -> Result<(), RunError> {
    let folder = folder(&run.path)?;
    let (truth, predicted) = (stacked(&pairs.truth), stacked(&pairs.predicted));
    let residuals = &predicted - &truth;
    let title = format!("{} ({})", run.record.name(), name_of(&run.path));
    let quantities = || pairs.labels.iter().take(PANELS).enumerate();
    let panels: Vec<TrueAndPredicted<'_>> = quantities()
        .map(|(column, (quantity, unit))| TrueAndPredicted {
            quantity,
            unit,
            truth: truth.column(column),
            predicted: predicted.column(column),
        })
        .collect();
    let heading = format!("mean of the posterior draws against the truth, {title}");
    true_vs_predicted(&folder.join("true_vs_predicted"), &heading, &panels)?;
    let panels: Vec<Residuals<'_>> = quantities()
        .map(|(column, (quantity, unit))| Residuals {
            quantity,
            unit,
            residuals: residuals.column(column),
        })
        .collect();
    let heading = format!("mean of the posterior draws less the truth, {title}");
    residual_histograms(&folder.join("residuals"), &heading, &panels)?;
    coverage(&folder, &title, evaluation)
}

fn coverage(folder: &Path, title: &str, evaluation: &RunEvaluation) -> Result<(), RunError> {
    let points = |levels: &std::collections::BTreeMap<String, f64>| -> Vec<(f64, f64)> {
        let parsed = levels.iter().map(|(level, hits)| (level.parse().unwrap_or(f64::NAN), *hits));
        parsed.collect()
    };
    let mut curves =
        vec![("positions".to_owned(), points(&evaluation.scores.distribution.coverage))];
    if let Some(gauge_free) = &evaluation.scores.gauge_free {
        let quantities = gauge_free.coverage.iter();
        curves.extend(quantities.map(|(label, levels)| (label.clone(), points(levels))).take(7));
    }
    let curves: Vec<CoverageCurve<'_>> =
        curves.iter().map(|(label, points)| CoverageCurve { label, points }).collect();
    coverage_curves(&folder.join("coverage"), &format!("central coverage, {title}"), &curves)?;
    Ok(())
}

/// Draws the outcome of the tests of calibration: rank histograms, ECDF differences, coverage.
///
/// # Errors
/// A figure cannot be written.
pub fn calibration(path: &Path, calibration: &Calibration) -> Result<(), RunError> {
    let folder = folder(path)?;
    let Calibration { events, draws, level, tests, .. } = calibration;
    let regions = tests.hdr.iter().chain([&tests.tarp]);
    let all: Vec<&QuantityTest> =
        tests.sbc.iter().chain(regions.clone().map(|region| &region.test)).collect();
    let differences: Vec<Vec<[f64; 4]>> = all
        .iter()
        .map(|test| {
            let points = test.ecdf_difference.iter();
            points.map(|p| [p.edge, p.difference, p.lower, p.upper]).collect()
        })
        .collect();
    let verdicts: Vec<String> = all
        .iter()
        .map(|test| {
            let p = test.ecdf_p_adjusted.min(test.chi_square_p_adjusted);
            let p = if p < 0.01 { "p < 0.01".to_owned() } else { format!("p = {p:.2}") };
            format!("{} ({p})", if test.pass { "pass" } else { "fail" })
        })
        .collect();
    let panels: Vec<RankPanel<'_>> = (all.iter().zip(&differences).zip(&verdicts))
        .map(|((test, differences), verdict)| {
            let share = 1.0 / test.ranks.histogram.len() as f64;
            RankPanel {
                quantity: &test.quantity,
                verdict,
                edges: &test.ranks.edges,
                counts: &test.ranks.histogram,
                expected: binomial_interval(*events, share, *level),
                differences,
            }
        })
        .collect();
    let title = format!("{} ({})", calibration.model, name_of(path));
    let heading = format!("ranks of the truth among {draws} draws, {events} events, {title}");
    // A page more rather than one that nobody can read.
    for (page, panels) in panels.chunks(RANK_PANELS).enumerate() {
        let suffix = if page == 0 { String::new() } else { format!("_{}", page + 1) };
        rank_histograms(&folder.join(format!("sbc_ranks{suffix}")), &heading, panels)?;
        ecdf_differences(&folder.join(format!("sbc_ecdf{suffix}")), &heading, panels)?;
    }
    for (region, stem) in regions.map(|region| {
        (region, if std::ptr::eq(region, &tests.tarp) { "tarp" } else { "coverage_hdr" })
    }) {
        let curve = CoverageCurve { label: &region.test.quantity, points: &region.curve };
        let heading = format!("{}, {title}", region.test.quantity);
        expected_coverage(&folder.join(stem), &heading, &[curve])?;
    }
    Ok(())
}

/// Draws how well a classifier tells two files of samples apart: event by event, or fold by fold of a single one.
///
/// # Errors
/// The figure cannot be written.
pub fn c2st(path: &Path, report: &C2stReport) -> Result<(), RunError> {
    let bounded = |place: f64, accuracy: f64, rows: usize, tests: usize| Accuracy {
        place,
        accuracy,
        standard_error: (accuracy * (1.0 - accuracy) / rows as f64).sqrt(),
        guessing: binomial_interval(rows, 0.5, 2.0 * report.level / tests as f64).1 / rows as f64,
    };
    let (x_label, accuracies): (_, Vec<Accuracy>) = if let [only] = &report.events[..] {
        let folds = &only.result.folds;
        let rows = only.result.effective_rows / folds.len().max(1);
        let one = |(fold, accuracy): (usize, &f64)| {
            bounded(fold as f64 + 1.0, *accuracy, rows, folds.len())
        };
        ("fold", folds.iter().enumerate().map(one).collect())
    } else {
        let one = |(place, event): (usize, &crate::c2st::EventC2st)| {
            let place = event.event.map_or(place as f64, |event| event as f64);
            let rows = event.result.independent_rows();
            bounded(place, event.result.accuracy, rows, report.events.len())
        };
        ("event", report.events.iter().enumerate().map(one).collect())
    };
    let [sample, reference] = [&report.sample, &report.reference].map(|file| name_of(file));
    let verdict = if report.pass { "pass" } else { "fail" };
    let title = format!(
        "{sample} against {reference}: C2ST {:.3} ± {:.3}, {verdict}",
        report.accuracy, report.standard_error
    );
    classifier_accuracies(&folder(path)?.join("c2st"), &title, x_label, &accuracies)?;
    Ok(())
}

/// The chunks of events one under another.
fn stacked(chunks: &[Array2<f64>]) -> Array2<f64> {
    let views: Vec<ArrayView2<'_, f64>> = chunks.iter().map(|chunk| chunk.view()).collect();
    match concatenate(Axis(0), &views) {
        Ok(rows) => rows,
        Err(_) => unreachable!("every chunk has one column a quantity"),
    }
}

fn folder(path: &Path) -> Result<PathBuf, RunError> {
    let folder = path.join("figures");
    std::fs::create_dir_all(&folder).map_err(RunError::io("create", &folder))?;
    Ok(folder)
}

fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
