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
/// The axis ends this many distances of the quartiles of the simulated events from the medians: what no geometry explains has a long
/// tail.
const REACH: f64 = 4.0;

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
    let reach = REACH * between_quartiles(&simulated.log_evidence);
    let ranges: Vec<(f64, f64)> =
        both.iter().filter_map(|(_, of)| about_median(&of.log_evidence, reach)).collect();
    let low = ranges.iter().map(|(low, _)| *low).reduce(f64::min).unwrap_or(0.0);
    let high = ranges.iter().map(|(_, high)| *high).reduce(f64::max).unwrap_or(0.0);
    let step = ((high - low) / BINS as f64).max(1e-6);
    let edges: Vec<f64> = (0..=BINS).map(|edge| low + step * edge as f64).collect();
    let samples = both.map(|(name, of)| {
        let (mut counts, mut outside) = (vec![0; BINS], 0);
        for log in &of.log_evidence {
            match (low..=high).contains(log) {
                true => counts[(((log - low) / step) as usize).min(BINS - 1)] += 1,
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

fn finite(values: &[f64]) -> Vec<f64> {
    let mut finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    finite.sort_by(f64::total_cmp);
    finite
}

/// The distance of the quartiles; without end if no value is finite.
fn between_quartiles(values: &[f64]) -> f64 {
    let finite = finite(values);
    let [lower, upper] = [0.25, 0.75].map(|part| cei_metrics::quantile(&finite, part));
    upper.zip(lower).map_or(f64::INFINITY, |(upper, lower)| upper - lower)
}

/// The range of the values that are at most `reach` from their median; none if none is finite.
fn about_median(values: &[f64], reach: f64) -> Option<(f64, f64)> {
    let finite = finite(values);
    let median = cei_metrics::quantile(&finite, 0.5)?;
    let near = |value: &&f64| (*value - median).abs() <= reach;
    let (least, most) = (finite.iter().find(near), finite.iter().rev().find(near));
    Some((*least.unwrap_or(&median), *most.unwrap_or(&median)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quartiles of 0 to 100 are 25 and 75. A tail of a quarter of the values does not stretch the axis.
    #[test]
    fn a_tail_does_not_stretch_the_axis() {
        let body: Vec<f64> = (0..=100).map(f64::from).chain([f64::NEG_INFINITY]).collect();
        assert_eq!(between_quartiles(&body), 50.0);
        assert_eq!(about_median(&body, 200.0), Some((0.0, 100.0)));
        let tail = (1..=25).map(|place| -1e4 * f64::from(place));
        let all: Vec<f64> = body.iter().copied().chain(tail).collect();
        assert_eq!(about_median(&all, 200.0), Some((0.0, 100.0)));
        assert_eq!(about_median(&all, f64::INFINITY), Some((-25e4, 100.0)));
        assert_eq!(about_median(&[f64::NAN], 1.0), None);
        assert_eq!(between_quartiles(&[]), f64::INFINITY);
    }
}
