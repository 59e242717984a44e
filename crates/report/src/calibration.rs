//! Observed against nominal coverage: on the diagonal for an exact posterior, below it where draws
//! are too sure of themselves.

use std::path::Path;

use kuva::plot::legend::LegendPosition;
use kuva::plot::{LinePlot, ScatterPlot};
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::render_multiple;

use crate::style::{FIGURE_SIZE, GUIDE, PALETTE, panel};
use crate::{Error, FigureFiles, Result, files};

/// Coverage of one quantity or one model.
#[derive(Debug, Clone, Copy)]
pub struct CoverageCurve<'a> {
    /// Its name in the legend.
    pub label: &'a str,
    /// Pairs of nominal and observed coverage in [0, 1], in the order of levels.
    pub points: &'a [(f64, f64)],
}

/// Draws observed against nominal central coverage, one line a curve.
///
/// # Errors
/// No curves, a curve without a finite point, or a file that cannot be written.
pub fn coverage_curves(
    stem: &Path,
    title: &str,
    curves: &[CoverageCurve<'_>],
) -> Result<FigureFiles> {
    draw(stem, title, curves, "nominal central coverage (%)")
}

/// Draws observed against nominal coverage of whole posteriors (highest-density regions, TARP), one
/// line a curve.
///
/// # Errors
/// No curves, a curve without a finite point, or a file that cannot be written.
pub fn expected_coverage(
    stem: &Path,
    title: &str,
    curves: &[CoverageCurve<'_>],
) -> Result<FigureFiles> {
    draw(stem, title, curves, "nominal coverage: share of the draws in the region (%)")
}

fn draw(
    stem: &Path,
    title: &str,
    curves: &[CoverageCurve<'_>],
    x_label: &str,
) -> Result<FigureFiles> {
    if curves.is_empty() {
        return Err(Error::Empty { what: title.to_owned() });
    }
    let exact = LinePlot::new()
        .with_data([(0.0, 0.0), (100.0, 100.0)])
        .with_color(GUIDE)
        .with_stroke_width(1.2)
        .with_dashed()
        .with_legend("exact");
    let mut plots = vec![Plot::Line(exact)];
    for (curve, color) in curves.iter().zip(PALETTE.iter().cycle()) {
        let points: Vec<(f64, f64)> = (curve.points.iter())
            .filter(|point| point.0.is_finite() && point.1.is_finite())
            .map(|point| (100.0 * point.0, 100.0 * point.1))
            .collect();
        if points.is_empty() {
            return Err(Error::Empty { what: curve.label.to_owned() });
        }
        let line = LinePlot::new()
            .with_data(points.iter().copied())
            .with_color(*color)
            .with_stroke_width(1.8)
            .with_legend(curve.label);
        plots.push(Plot::Line(line));
        let markers = ScatterPlot::new().with_data(points).with_color(*color).with_size(4.0);
        plots.push(Plot::Scatter(markers));
    }
    let layout = Layout::auto_from_plots(&plots)
        .with_width(FIGURE_SIZE.0)
        .with_height(FIGURE_SIZE.1)
        .with_x_axis_min(0.0)
        .with_x_axis_max(100.0)
        .with_y_axis_min(0.0)
        .with_y_axis_max(100.0)
        .with_legend_position(LegendPosition::InsideBottomRight);
    let layout = panel(layout, title, x_label, "observed coverage (%)");
    files::write(stem, &render_multiple(plots, layout))
}
