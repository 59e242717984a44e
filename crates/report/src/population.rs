//! The distribution of quantities in a sample, with bands: one curve beside the stacked draws, or, of several groups, one
//! above another.

use std::path::Path;

use kuva::plot::legend::{LegendEntry, LegendShape};
use kuva::plot::{BandPlot, LinePlot};
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;

use crate::style::{GUIDE, PALETTE, grid_with_legend, padded, panel};
use crate::{Error, FigureFiles, Result, files};

/// One curve.
#[derive(Debug, Clone, Copy)]
pub struct PopulationCurve<'a> {
    /// The group; empty if there is one alone.
    pub label: &'a str,
    /// Places, rising.
    pub values: &'a [f64],
    /// Density there.
    pub density: &'a [f64],
    /// Lower ends of its band.
    pub lower: &'a [f64],
    /// Upper ends.
    pub upper: &'a [f64],
    /// Density of all draws of all events together.
    pub stacked: &'a [f64],
}

/// The curves of one quantity.
#[derive(Debug, Clone)]
pub struct PopulationPanel<'a> {
    /// Its name, which ends in its unit.
    pub quantity: &'a str,
    /// One for each group.
    pub curves: Vec<PopulationCurve<'a>>,
}

/// Draws a panel for each quantity. Curves of several groups stand above one another, in units of the highest of the panel.
///
/// # Errors
/// No panels, a panel without a finite point, or a file that cannot be written.
pub fn population_curves(
    stem: &Path,
    title: &str,
    by: Option<&str>,
    panels: &[PopulationPanel<'_>],
) -> Result<FigureFiles> {
    if panels.is_empty() {
        return Err(Error::Empty { what: title.to_owned() });
    }
    let legend = legend(&panels[0]);
    let panels = panels.iter().map(|panel| one(panel, by)).collect::<Result<_>>()?;
    files::write(stem, &grid_with_legend(title, panels, legend))
}

/// What the lines are: the same in all panels.
fn legend(panel: &PopulationPanel<'_>) -> Vec<LegendEntry> {
    let entry = |label: &str, color: &str, dasharray: Option<&str>| LegendEntry {
        label: label.to_owned(),
        color: color.to_owned(),
        shape: LegendShape::Line,
        dasharray: dasharray.map(str::to_owned),
    };
    match &panel.curves[..] {
        [_] | [] => {
            vec![entry("population", PALETTE[0], None), entry("stacked draws", GUIDE, Some("4,3"))]
        }
        groups => {
            let color = |number: usize| PALETTE[number % PALETTE.len()];
            let groups = groups.iter().enumerate();
            groups.map(|(number, group)| entry(group.label, color(number), None)).collect()
        }
    }
}

fn one(quantity: &PopulationPanel<'_>, by: Option<&str>) -> Result<(Vec<Plot>, Layout)> {
    let curves = &quantity.curves;
    let several = curves.len() > 1;
    let highest = |of: &[f64]| of.iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max);
    let top = curves.iter().map(|curve| highest(curve.density)).fold(0.0, f64::max);
    let places = || curves.iter().flat_map(|curve| curve.values.iter().copied());
    let ends = [places().fold(f64::INFINITY, f64::min), places().fold(f64::NEG_INFINITY, f64::max)];
    if !(top > 0.0 && ends.iter().all(|end| end.is_finite())) {
        return Err(Error::Empty { what: quantity.quantity.to_owned() });
    }
    let mut plots = Vec::new();
    // Those behind first.
    for (number, curve) in curves.iter().enumerate().rev() {
        let (scale, base) = if several { (1.0 / top, 0.7 * number as f64) } else { (1.0, 0.0) };
        let color = PALETTE[number % PALETTE.len()];
        let moved = |of: &[f64]| -> Vec<f64> {
            of.iter().map(|density| base + scale * density.min(1.5 * top)).collect()
        };
        if curve.lower.iter().chain(curve.upper).all(|v| v.is_finite()) {
            let band = BandPlot::new(curve.values.to_vec(), moved(curve.lower), moved(curve.upper));
            plots.push(Plot::Band(band.with_color(color).with_opacity(0.25)));
        }
        let line =
            |of: &[f64]| LinePlot::new().with_data(curve.values.iter().copied().zip(moved(of)));
        let of_stack = line(curve.stacked).with_color(GUIDE).with_stroke_width(1.0).with_dashed();
        let own = line(curve.density).with_color(color).with_stroke_width(1.8);
        if !several {
            plots.push(Plot::Line(of_stack));
        }
        plots.push(Plot::Line(own));
    }
    let (x_low, x_high) = padded(ends[0], ends[1], 0.02);
    let y_high = if several { 0.7 * (curves.len() - 1) as f64 + 1.3 } else { 1.35 * top };
    let layout = Layout::new((x_low, x_high), (0.0, y_high))
        .with_x_axis_min(x_low)
        .with_x_axis_max(x_high)
        .with_y_axis_min(0.0)
        .with_y_axis_max(y_high)
        .with_ticks(5);
    let y_label = match by {
        Some(by) if several => format!("density, shifted by {by}"),
        _ => "density".to_owned(),
    };
    Ok((plots, panel(layout, quantity.quantity, quantity.quantity, &y_label)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_group_is_beside_its_stack_and_several_have_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let (values, density) = ([1.0, 2.0, 3.0], [0.1, 0.8, 0.1]);
        let (lower, upper) = ([0.0, 0.6, 0.0], [0.2, 1.0, 0.2]);
        let curve = |label| PopulationCurve {
            label,
            values: &values,
            density: &density,
            lower: &lower,
            upper: &upper,
            stacked: &[0.3; 3],
        };
        for (curves, expected) in [
            (vec![curve("")], ["stacked draws", "population"]),
            (vec![curve("40 fs"), curve("80 fs")], ["40 fs", "80 fs"]),
        ] {
            let panels = [PopulationPanel { quantity: "C-O_pm", curves }];
            let files =
                population_curves(&folder.path().join("p"), "t", Some("delay"), &panels).unwrap();
            let svg = std::fs::read_to_string(files.svg).unwrap();
            assert!(expected.iter().all(|name| svg.contains(name)) && svg.contains("C-O_pm"));
        }
        let none = population_curves(&folder.path().join("p"), "t", None, &[]);
        assert!(matches!(none, Err(Error::Empty { .. })));
    }
}
