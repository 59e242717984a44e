//! Training and validation loss against the epoch, of one run or of several.

use std::path::Path;
use std::sync::Arc;

use kuva::plot::legend::LegendPosition;
use kuva::plot::{LinePlot, ScatterPlot};
use kuva::render::layout::{Layout, TickFormat};
use kuva::render::plots::Plot;
use kuva::render::render::render_multiple;

use crate::style::{FIGURE_SIZE, PALETTE, padded, panel};
use crate::{Error, FigureFiles, Result, files};

/// Positive losses whose bulk spans more than this factor are drawn on a logarithmic axis.
const LOG_AXIS_RATIO: f64 = 30.0;

/// One loss of each curve, or `1 / SPIKE_SHARE` of all, may lie above the axis.
const SPIKE_SHARE: usize = 100;

/// With fewer losses than this every one is shown: none of them is a detail.
const FEW_LOSSES: usize = 20;

/// The losses of one epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochLoss {
    /// Number of the epoch.
    pub epoch: usize,
    /// Mean loss of the training part.
    pub train: f64,
    /// Loss of the validation part.
    pub validation: f64,
}

/// The history of one run.
#[derive(Debug, Clone, Copy)]
pub struct LearningCurve<'a> {
    /// Title, or the run's name in the legend of several.
    pub title: &'a str,
    /// Losses in the order of epochs.
    pub history: &'a [EpochLoss],
    /// Epoch of the kept parameters, if known.
    pub best_epoch: Option<usize>,
}

/// Draws training and validation loss of one run and marks its best epoch. `loss_label` is the
/// label of the axis with its unit, for example `loss (nats)`. A few losses far above all others (the
/// first epochs, a spike) are left out, so that the rest can be seen, and their number is stated;
/// positive losses whose bulk spans more than a factor of 30 are on a logarithmic axis instead. Losses that are not finite are left out.
///
/// # Errors
/// No finite loss, or a file that cannot be written.
pub fn learning_curve(
    stem: &Path,
    curve: &LearningCurve<'_>,
    loss_label: &str,
) -> Result<FigureFiles> {
    let train = points(curve.history, |losses| losses.train);
    let validation = points(curve.history, |losses| losses.validation);
    let axis = LossAxis::of(&[&train, &validation])
        .ok_or_else(|| Error::Empty { what: curve.title.to_owned() })?;
    let mut plots = vec![
        line(axis.visible(&train), PALETTE[0], "training"),
        line(axis.visible(&validation), PALETTE[1], "validation"),
    ];
    if let Some(best) = best_point(curve, &validation) {
        let label = format!("best epoch {} ({})", best.0, significant(best.1));
        plots.push(marker(best, PALETTE[1], Some(&label)));
    }
    draw(stem, plots, &axis, curve.title, loss_label)
}

/// Draws the validation losses of several runs, each with its best epoch marked; the names of the
/// runs are in the legend. See [`learning_curve`] for the axis.
///
/// # Errors
/// No runs, a run without a finite loss, or a file that cannot be written.
pub fn learning_curves(
    stem: &Path,
    title: &str,
    curves: &[LearningCurve<'_>],
    loss_label: &str,
) -> Result<FigureFiles> {
    let losses: Vec<Vec<(f64, f64)>> =
        curves.iter().map(|curve| points(curve.history, |losses| losses.validation)).collect();
    if let Some((curve, _)) = curves.iter().zip(&losses).find(|(_, losses)| losses.is_empty()) {
        return Err(Error::Empty { what: curve.title.to_owned() });
    }
    let views: Vec<&[(f64, f64)]> = losses.iter().map(Vec::as_slice).collect();
    let axis = LossAxis::of(&views).ok_or_else(|| Error::Empty { what: title.to_owned() })?;
    let mut plots = Vec::new();
    for ((curve, losses), color) in curves.iter().zip(&losses).zip(PALETTE.iter().cycle()) {
        plots.push(line(axis.visible(losses), color, curve.title));
        if let Some(best) = best_point(curve, losses) {
            plots.push(marker(best, color, None));
        }
    }
    draw(stem, plots, &axis, title, loss_label)
}

/// The loss axis: its range, and whether it is logarithmic.
pub(crate) struct LossAxis {
    pub(crate) epochs: (f64, f64),
    pub(crate) losses: (f64, f64),
    pub(crate) logarithmic: bool,
    /// Losses that are above the range.
    above: usize,
}

impl LossAxis {
    /// `None` if no curve has a point.
    pub(crate) fn of(curves: &[&[(f64, f64)]]) -> Option<Self> {
        let all = || curves.iter().flat_map(|curve| curve.iter());
        let epochs = range(all().map(|point| point.0))?;
        // room for the marker of a best epoch at the end
        let epochs = padded(epochs.0, epochs.1, 0.015);
        let full = range(all().map(|point| point.1))?;
        let mut sorted: Vec<f64> = all().map(|point| point.1).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let spared = match sorted.len() {
            few if few < FEW_LOSSES => 0,
            many => curves.len().max(many / SPIKE_SHARE),
        };
        let bulk = sorted.iter().nth_back(spared).copied().unwrap_or(full.1);
        if full.0 > 0.0 && bulk > LOG_AXIS_RATIO * full.0 {
            return Some(Self { epochs, losses: full, logarithmic: true, above: 0 });
        }
        let highest = if full.1 > bulk + (bulk - full.0) { bulk } else { full.1 };
        let losses = padded(full.0, highest, 0.05);
        let above = all().filter(|point| point.1 > losses.1).count();
        Some(Self { epochs, losses, logarithmic: false, above })
    }

    fn visible(&self, points: &[(f64, f64)]) -> Vec<(f64, f64)> {
        let visible = points.iter().filter(|point| point.1 <= self.losses.1);
        visible.copied().collect()
    }
}

fn draw(
    stem: &Path,
    plots: Vec<Plot>,
    axis: &LossAxis,
    title: &str,
    loss_label: &str,
) -> Result<FigureFiles> {
    let layout = Layout::auto_from_plots(&plots)
        .with_width(FIGURE_SIZE.0)
        .with_height(FIGURE_SIZE.1)
        .with_x_axis_min(axis.epochs.0)
        .with_x_axis_max(axis.epochs.1)
        .with_legend_position(LegendPosition::InsideTopRight);
    let layout = if axis.logarithmic {
        let plain = TickFormat::Custom(Arc::new(|loss| format!("{loss}")));
        layout.with_log_y().with_y_tick_format(plain)
    } else {
        layout.with_y_axis_min(axis.losses.0).with_y_axis_max(axis.losses.1)
    };
    let x_label = match axis.above {
        0 => "epoch".to_owned(),
        above => format!("epoch ({above} losses lie above the axis)"),
    };
    let layout = panel(layout, title, &x_label, loss_label);
    files::write(stem, &render_multiple(plots, layout))
}

/// The finite losses of one kind, by epoch.
pub(crate) fn points(history: &[EpochLoss], loss: impl Fn(&EpochLoss) -> f64) -> Vec<(f64, f64)> {
    let points = history.iter().map(|losses| (losses.epoch as f64, loss(losses)));
    points.filter(|point| point.1.is_finite()).collect()
}

/// The loss of the best epoch, where both are known.
pub(crate) fn best_point(
    curve: &LearningCurve<'_>,
    validation: &[(f64, f64)],
) -> Option<(f64, f64)> {
    let best = curve.best_epoch? as f64;
    validation.iter().copied().find(|point| point.0 == best)
}

fn line(points: Vec<(f64, f64)>, color: &str, label: &str) -> Plot {
    let line = LinePlot::new()
        .with_data(points)
        .with_color(color)
        .with_stroke_width(1.8)
        .with_legend(label);
    Plot::Line(line)
}

fn marker(point: (f64, f64), color: &str, label: Option<&str>) -> Plot {
    let marker = ScatterPlot::new().with_data([point]).with_color(color).with_size(5.0);
    Plot::Scatter(match label {
        Some(label) => marker.with_legend(label),
        None => marker,
    })
}

fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((lowest, highest)) => Some((value.min(lowest), value.max(highest))),
    })
}

/// A loss with four significant digits or so.
fn significant(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.3}"),
        size if size >= 0.001 => format!("{value:.5}"),
        _ => format!("{value:.3e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(losses: impl Iterator<Item = f64>) -> Vec<(f64, f64)> {
        losses.enumerate().map(|(epoch, loss)| (epoch as f64, loss)).collect()
    }

    #[test]
    fn a_huge_first_epoch_does_not_set_the_axis() {
        // 5e3, then 2.9 falling to -2.9: the axis ends near 3, and the first point is left out
        let losses =
            curve((0..60).map(|epoch| if epoch == 0 { 5e3 } else { 3.0 - 0.1 * f64::from(epoch) }));
        let axis = LossAxis::of(&[&losses]).unwrap();
        assert!(!axis.logarithmic);
        assert!(axis.losses.1 < 4.0, "{:?}", axis.losses);
        assert_eq!((axis.visible(&losses).len(), axis.above), (59, 1));
    }

    #[test]
    fn a_late_spike_does_not_set_the_axis() {
        let losses = curve(
            (0..60).map(|epoch| if epoch == 40 { 5e3 } else { 3.0 - 0.1 * f64::from(epoch) }),
        );
        let axis = LossAxis::of(&[&losses]).unwrap();
        assert_eq!((axis.visible(&losses).len(), axis.above), (59, 1));
    }

    #[test]
    fn ordinary_losses_are_all_on_the_axis() {
        let losses = curve((0..60).map(|epoch| 9.0 - 0.1 * f64::from(epoch)));
        let axis = LossAxis::of(&[&losses]).unwrap();
        assert_eq!(axis.visible(&losses).len(), 60);
    }

    #[test]
    fn positive_losses_over_decades_are_logarithmic() {
        let losses = curve((0..60).map(|epoch| 10.0 * 0.9_f64.powi(epoch)));
        let axis = LossAxis::of(&[&losses]).unwrap();
        assert!(axis.logarithmic);
        assert_eq!(axis.visible(&losses).len(), 60);
    }

    /// No logarithmic axis may begin at 0.
    #[test]
    fn losses_that_fall_to_zero_have_an_ordinary_axis() {
        let losses =
            curve((0..61).map(|epoch| if epoch == 60 { 0.0 } else { 10.0 * 0.9_f64.powi(epoch) }));
        let axis = LossAxis::of(&[&losses]).unwrap();
        assert!(!axis.logarithmic && axis.losses.0 < 0.0, "{:?}", axis.losses);
    }

    #[test]
    fn a_spike_alone_does_not_make_the_axis_logarithmic() {
        let losses =
            curve((0..60).map(|epoch| if epoch == 0 { 5e3 } else { 9.0 - 0.1 * f64::from(epoch) }));
        let axis = LossAxis::of(&[&losses]).unwrap();
        assert!(!axis.logarithmic);
        assert_eq!(axis.above, 1);
    }

    #[test]
    fn losses_keep_four_digits() {
        assert_eq!(significant(123.456), "123.5");
        assert_eq!(significant(-12.3456), "-12.346");
        assert_eq!(significant(0.012345), "0.01235");
        assert_eq!(significant(1.5e-7), "1.500e-7");
    }
}
