//! The figure of a comparison of samples.

use std::path::Path;

use cei_metrics::special::binomial_interval;
use cei_report::{Accuracy, classifier_accuracies};

use super::report::{C2stReport, EventC2st};
use crate::RunError;
use crate::figures::{folder, name_of};
use crate::folder::layout::figure;

/// Draws how well a classifier tells two files of samples apart: event by event, or fold by fold of a single one.
///
/// # Errors
/// The figure cannot be written.
pub(super) fn draw(path: &Path, report: &C2stReport) -> Result<(), RunError> {
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
        let one = |(place, event): (usize, &EventC2st)| {
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
    classifier_accuracies(&folder(path)?.join(figure::C2ST), &title, x_label, &accuracies)?;
    Ok(())
}
