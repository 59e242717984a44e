//! The figures of an evaluation: predictions, residuals and coverage.

use std::path::Path;

use cei_report::{
    CoverageCurve, Residuals, TrueAndPredicted, coverage_curves, residual_histograms,
    true_vs_predicted,
};
use ndarray::{Array2, ArrayView2, Axis, concatenate};

use super::report::RunEvaluation;
use super::scores::Pairs;
use crate::figures::{folder, name_of};
use crate::folder::layout::figure;
use crate::{RunError, TrainedRun};

/// Quantities that are drawn at most; a table that is no molecule may have many columns.
const PANELS: usize = 9;

/// Draws predicted against true values, residuals and coverage into the run folder.
///
/// # Errors
/// A figure cannot be written.
pub(super) fn draw(
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
    true_vs_predicted(&folder.join(figure::TRUE_VS_PREDICTED), &heading, &panels)?;
    let panels: Vec<Residuals<'_>> = quantities()
        .map(|(column, (quantity, unit))| Residuals {
            quantity,
            unit,
            residuals: residuals.column(column),
        })
        .collect();
    let heading = format!("mean of the posterior draws less the truth, {title}");
    residual_histograms(&folder.join(figure::RESIDUALS), &heading, &panels)?;
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
    coverage_curves(
        &folder.join(figure::COVERAGE),
        &format!("central coverage, {title}"),
        &curves,
    )?;
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
