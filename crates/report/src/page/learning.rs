//! Learning curves as a panel of a page; the axis is that of the figures of a run.

use super::chart::{Aspect, Axis, Mark, Panel, Style};
use crate::LearningCurve;
use crate::learning::{LossAxis, best_point, points};

/// Training and validation loss of one model, or the validation losses of several, with the best epoch of each. A few
/// losses far above all others lie outside of the axis. `None` where no loss is finite.
#[must_use]
pub fn learning_panel(curves: &[LearningCurve<'_>], loss_label: &str) -> Option<Panel> {
    let mut marks = Vec::new();
    let mut losses = Vec::new();
    for (place, curve) in curves.iter().enumerate() {
        let validation = points(curve.history, |losses| losses.validation);
        let style = Style::of_series(place);
        let mut best_style = style;
        if curves.len() == 1 {
            let training = points(curve.history, |losses| losses.train);
            marks.push(Mark::line("training", style, training.clone()));
            losses.push(training);
            best_style = Style::Second;
            marks.push(Mark::line("validation", best_style, validation.clone()));
        } else {
            marks.push(Mark::line(curve.title, style, validation.clone()));
        }
        if let Some(best) = best_point(curve, &validation) {
            let name = if curves.len() == 1 { "best epoch" } else { "" };
            marks.push(Mark::markers(name, best_style, vec![best]));
        }
        losses.push(validation);
    }
    let views: Vec<&[(f64, f64)]> = losses.iter().map(Vec::as_slice).collect();
    let axis = LossAxis::of(&views)?;
    let mut y = Axis::new(loss_label);
    if axis.logarithmic {
        y.logarithmic = true;
    } else {
        y.range = Some(axis.losses);
    }
    let x = Axis::new("epoch").from_to(axis.epochs.0, axis.epochs.1);
    Some(Panel { title: String::new(), x, y, marks, aspect: Aspect::Wide })
}
