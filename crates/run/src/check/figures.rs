//! The figures of a check: one for each test, and those of the field with measured beside simulated events.

use std::path::Path;

use cei_metrics::special::binomial_interval;
use cei_report::{Accuracy, BinCounts, CountPanel, classifier_accuracies, count_histograms};

use super::judged::{Events, Judged};
use super::report::CheckReport;
use crate::RunError;
use crate::field::{IonsOfEvents, MomentaSample, field_figures};

/// Bins of the log-evidence.
const BINS: usize = 40;
/// The part of the events on either side that may lie beyond the axis.
const TAIL: f64 = 0.005;

/// Draws all figures into a folder: `log_evidence`, `ker`, `angles` and `classifier` are those of the tests.
pub(super) fn draw(
    folder: &Path,
    title: &str,
    ions: &IonsOfEvents,
    [measured, simulated]: [&Events; 2],
    judged: &Judged,
    report: &CheckReport,
) -> Result<(), RunError> {
    let samples = [("measured", measured), ("simulated", simulated)]
        .map(|(name, of)| MomentaSample { name, momenta_au: of.momenta.view() });
    field_figures(folder, ions, &samples)?;
    log_evidence(folder, title, measured, simulated)?;
    let rows = judged.rows_of_fold;
    let tests = judged.folds.len().max(1) as f64;
    let accuracies: Vec<Accuracy> = judged
        .folds
        .iter()
        .enumerate()
        .map(|(fold, accuracy)| Accuracy {
            place: fold as f64 + 1.0,
            accuracy: *accuracy,
            standard_error: (accuracy * (1.0 - accuracy) / rows as f64).sqrt(),
            guessing: binomial_interval(rows, 0.5, 2.0 * report.level / tests).1 / rows as f64,
        })
        .collect();
    let stem = folder.join("classifier");
    let title = format!("{title}: measured or simulated?");
    classifier_accuracies(&stem, &title, "fold", &accuracies)?;
    Ok(())
}

fn log_evidence(
    folder: &Path,
    title: &str,
    measured: &Events,
    simulated: &Events,
) -> Result<(), RunError> {
    let both = [("measured", measured), ("simulated", simulated)];
    let mut finite: Vec<f64> =
        both.iter().flat_map(|(_, of)| of.log_evidence.iter().copied()).collect();
    finite.retain(|log| log.is_finite());
    finite.sort_by(f64::total_cmp);
    let at = |part| cei_metrics::quantile(&finite, part).unwrap_or(0.0);
    let (low, high) = (at(TAIL), at(1.0 - TAIL));
    let step = ((high - low) / BINS as f64).max(1e-6);
    let edges: Vec<f64> = (0..=BINS).map(|edge| low + step * edge as f64).collect();
    let samples = both.map(|(name, of)| {
        let (mut counts, mut outside) = (vec![0; BINS], 0);
        for log in &of.log_evidence {
            let bin = (log - low) / step;
            match (0.0..BINS as f64).contains(&bin) {
                true => counts[bin as usize] += 1,
                false => outside += 1,
            }
        }
        BinCounts { sample: name.to_owned(), counts, outside }
    });
    let panel = CountPanel {
        title: "log-evidence of each event".to_owned(),
        x_label: "log p(y), nats".to_owned(),
        edges,
        samples: samples.to_vec(),
        guide: Vec::new(),
    };
    count_histograms(&folder.join("log_evidence"), title, &[panel])?;
    Ok(())
}
