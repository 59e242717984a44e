//! How often a classifier names samples rightly, beside what guessing reaches.

use std::path::Path;

use kuva::plot::{BandPlot, LinePlot, ScatterPlot};
use kuva::render::annotations::ReferenceLine;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::render_multiple;

use crate::style::{FIGURE_SIZE, GUIDE, PALETTE, padded, panel};
use crate::{Error, FigureFiles, Result, files};

/// The accuracy of one event or fold, a share in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Accuracy {
    /// Number of the event or fold.
    pub place: f64,
    /// Part of the rows that is named rightly.
    pub accuracy: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Most that guessing reaches, but for the stated error rate.
    pub guessing: f64,
}

/// Draws accuracies with their standard errors; those within the band are no better than guesses.
///
/// # Errors
/// No accuracies, or a file that cannot be written.
pub fn classifier_accuracies(
    stem: &Path,
    title: &str,
    x_label: &str,
    accuracies: &[Accuracy],
) -> Result<FigureFiles> {
    let (Some(first), Some(last)) = (accuracies.first(), accuracies.last()) else {
        return Err(Error::Empty { what: title.to_owned() });
    };
    // The band reaches over the first and the last place by half a place.
    let ends = [(first.place - 0.5, first), (last.place + 0.5, last)];
    let edges = || {
        let inner = accuracies.iter().map(|a| (a.place, a.guessing));
        let [begin, end] = ends.map(|(place, a)| (place, a.guessing));
        std::iter::once(begin).chain(inner).chain([end])
    };
    let places: Vec<f64> = edges().map(|(place, _)| place).collect();
    let upper: Vec<f64> = edges().map(|(_, guessing)| 100.0 * guessing).collect();
    let lower: Vec<f64> = upper.iter().map(|upper| 100.0 - upper).collect();
    let band = BandPlot::new(places, lower.clone(), upper.clone())
        .with_color(PALETTE[5])
        .with_opacity(0.3);
    let mut plots = vec![Plot::Band(band)];
    let mut values = [lower, upper].concat();
    for a in accuracies {
        let ends = [-1.0, 1.0].map(|sign| 100.0 * (a.accuracy + sign * a.standard_error));
        values.extend(ends);
        let bar = LinePlot::new()
            .with_data(ends.map(|end| (a.place, end)))
            .with_color(PALETTE[0])
            .with_stroke_width(1.4);
        plots.push(Plot::Line(bar));
    }
    let points = accuracies.iter().map(|a| (a.place, 100.0 * a.accuracy));
    let markers = ScatterPlot::new().with_data(points).with_color(PALETTE[0]).with_size(4.0);
    plots.push(Plot::Scatter(markers));
    let (lowest, highest) = padded(
        values.iter().copied().fold(f64::INFINITY, f64::min),
        values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        0.08,
    );
    let layout = Layout::auto_from_plots(&plots)
        .with_width(FIGURE_SIZE.0)
        .with_height(FIGURE_SIZE.1)
        .with_x_axis_min(ends[0].0)
        .with_x_axis_max(ends[1].0)
        .with_y_axis_min(lowest)
        .with_y_axis_max(highest)
        .with_reference_line(
            ReferenceLine::horizontal(50.0).with_color(GUIDE).with_stroke_width(1.2),
        );
    let layout = panel(layout, title, x_label, "rows that the classifier names rightly (%)");
    files::write(stem, &render_multiple(plots, layout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figure_says_what_it_shows() {
        let folder = tempfile::tempdir().unwrap();
        let stem = folder.path().join("c2st");
        let points = [0.52, 0.49, 0.71].into_iter().enumerate();
        let accuracies: Vec<Accuracy> = points
            .map(|(place, accuracy)| Accuracy {
                place: place as f64,
                accuracy,
                standard_error: 0.02,
                guessing: 0.55,
            })
            .collect();
        classifier_accuracies(&stem, "a against b", "event", &accuracies).unwrap();
        let svg = std::fs::read_to_string(stem.with_extension("svg")).unwrap();
        for text in ["a against b", "event", "names rightly"] {
            assert!(svg.contains(text), "{text}");
        }
        assert!(std::fs::metadata(stem.with_extension("png")).unwrap().len() > 0);
        let nothing = classifier_accuracies(&stem, "t", "event", &[]);
        assert!(matches!(nothing, Err(Error::Empty { .. })));
    }
}
