//! Predicted against true values, one panel a quantity.

use std::path::Path;

use kuva::plot::{LinePlot, ScatterPlot};
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use ndarray::ArrayView1;

use crate::style::{GUIDE, PALETTE, grid, padded, panel};
use crate::{Error, FigureFiles, Result, files};

/// Points drawn in a panel at most; of more events, evenly spaced ones are shown.
const MAX_POINTS: usize = 4000;

/// One quantity of many events.
#[derive(Debug, Clone, Copy)]
pub struct TrueAndPredicted<'a> {
    /// Its name, for example `C-O bond length`.
    pub quantity: &'a str,
    /// Its unit, for example `pm`.
    pub unit: &'a str,
    /// True values.
    pub truth: ArrayView1<'a, f64>,
    /// Predicted values of the same events.
    pub predicted: ArrayView1<'a, f64>,
}

/// Draws predicted against true values with the diagonal, one square panel a quantity. The title of
/// a panel gives the root mean square error over ALL events; at most 4000 of them are drawn, and
/// the axis says so. Pairs with a value that is not finite are left out.
///
/// # Errors
/// No panels, a panel without a finite pair or with unequal numbers of values, or a file that
/// cannot be written.
///
/// ```
/// use cei_report::{TrueAndPredicted, true_vs_predicted};
/// use ndarray::array;
///
/// let (truth, predicted) = (array![110.0, 120.0, 130.0], array![112.0, 119.0, 131.0]);
/// let panel = TrueAndPredicted {
///     quantity: "C-O bond length",
///     unit: "pm",
///     truth: truth.view(),
///     predicted: predicted.view(),
/// };
/// let stem = std::env::temp_dir().join(format!("cei-report-{}", std::process::id()));
/// true_vs_predicted(&stem, "Three events", &[panel])?;
/// for extension in ["svg", "png"] {
///     std::fs::remove_file(stem.with_extension(extension))?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn true_vs_predicted(
    stem: &Path,
    title: &str,
    panels: &[TrueAndPredicted<'_>],
) -> Result<FigureFiles> {
    if panels.is_empty() {
        return Err(Error::Empty { what: title.to_owned() });
    }
    let panels = panels.iter().map(draw_panel).collect::<Result<_>>()?;
    files::write(stem, &grid(title, panels))
}

fn draw_panel(panel_of: &TrueAndPredicted<'_>) -> Result<(Vec<Plot>, Layout)> {
    let TrueAndPredicted { quantity, unit, truth, predicted } = *panel_of;
    if truth.len() != predicted.len() {
        return Err(Error::Lengths {
            what: quantity.to_owned(),
            truth: truth.len(),
            predicted: predicted.len(),
        });
    }
    let pairs: Vec<(f64, f64)> = (truth.iter().copied().zip(predicted.iter().copied()))
        .filter(|pair| pair.0.is_finite() && pair.1.is_finite())
        .collect();
    let (lowest, highest) =
        pairs.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(lowest, highest), pair| {
            (lowest.min(pair.0.min(pair.1)), highest.max(pair.0.max(pair.1)))
        });
    if pairs.is_empty() {
        return Err(Error::Empty { what: quantity.to_owned() });
    }
    let (lowest, highest) = padded(lowest, highest, 0.04);
    let squared: f64 = pairs.iter().map(|pair| (pair.1 - pair.0).powi(2)).sum();
    let rmse = (squared / pairs.len() as f64).sqrt();

    let shown = pairs.len().min(MAX_POINTS);
    let points: Vec<(f64, f64)> =
        (0..shown).map(|point| pairs[point * pairs.len() / shown]).collect();
    let opacity = (300.0 / shown as f64).clamp(0.2, 0.9);
    let cloud = ScatterPlot::new()
        .with_data(points)
        .with_color(PALETTE[0])
        .with_size(2.2)
        .with_marker_opacity(opacity);
    let diagonal = LinePlot::new()
        .with_data([(lowest, lowest), (highest, highest)])
        .with_color(GUIDE)
        .with_stroke_width(1.2)
        .with_dashed();

    let layout = Layout::new((lowest, highest), (lowest, highest))
        .with_x_axis_min(lowest)
        .with_x_axis_max(highest)
        .with_y_axis_min(lowest)
        .with_y_axis_max(highest)
        .with_ticks(5);
    let x_label = if shown < pairs.len() {
        format!("true ({unit}); {shown} of {} events drawn", pairs.len())
    } else {
        format!("true ({unit})")
    };
    let layout = panel(
        layout,
        &format!("{quantity}: RMSE {} {unit}", three_digits(rmse)),
        &x_label,
        &format!("predicted ({unit})"),
    );
    Ok((vec![Plot::Scatter(cloud), Plot::Line(diagonal)], layout))
}

/// A number with about three significant digits.
pub(crate) fn three_digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        size if size >= 0.001 || size == 0.0 => format!("{value:.3}"),
        _ => format!("{value:.1e}"),
    }
}
