//! Ranks of the truth among posterior draws: histograms, and the difference between their empirical
//! distribution function and the uniform one, each with the band in which uniform ranks lie.

use std::path::Path;

use kuva::plot::{BandPlot, Histogram, LinePlot};
use kuva::render::annotations::ReferenceLine;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;

use crate::style::{GUIDE, PALETTE, grid, padded, panel};
use crate::{Error, FigureFiles, Result, files};

/// The ranks of one quantity. Places and bands are shares in [0, 1].
#[derive(Debug, Clone, PartialEq)]
pub struct RankPanel<'a> {
    /// Name of the quantity.
    pub quantity: &'a str,
    /// What is said about it, for example `p = 0.3`.
    pub verdict: &'a str,
    /// Upper edges of the bins, ascending, the last one 1.
    pub edges: &'a [f64],
    /// Ranks in each bin.
    pub counts: &'a [usize],
    /// Counts between which a bin of uniform ranks lies with the stated probability.
    pub expected: (f64, f64),
    /// At each inner edge: the edge, the empirical less the uniform distribution function, and the
    /// ends of the simultaneous band.
    pub differences: &'a [[f64; 4]],
}

/// Draws a histogram of the ranks of each quantity; the shaded band holds a bin of uniform ranks.
///
/// # Errors
/// No panels, a panel without bins, or a file that cannot be written.
pub fn rank_histograms(stem: &Path, title: &str, panels: &[RankPanel<'_>]) -> Result<FigureFiles> {
    draw(stem, title, panels, histogram)
}

/// Draws the ECDF difference of each quantity in its simultaneous band: a curve that leaves the band
/// anywhere is not that of uniform ranks.
///
/// # Errors
/// No panels, a panel without edges, or a file that cannot be written.
pub fn ecdf_differences(stem: &Path, title: &str, panels: &[RankPanel<'_>]) -> Result<FigureFiles> {
    draw(stem, title, panels, difference)
}

fn draw(
    stem: &Path,
    title: &str,
    panels: &[RankPanel<'_>],
    one: fn(&RankPanel<'_>) -> (Vec<Plot>, Layout),
) -> Result<FigureFiles> {
    if panels.is_empty() {
        return Err(Error::Empty { what: title.to_owned() });
    }
    for panel in panels {
        if panel.counts.len() != panel.edges.len() || panel.differences.is_empty() {
            return Err(Error::Empty { what: panel.quantity.to_owned() });
        }
    }
    files::write(stem, &grid(title, panels.iter().map(one).collect()))
}

fn histogram(ranks: &RankPanel<'_>) -> (Vec<Plot>, Layout) {
    let edges: Vec<f64> = std::iter::once(0.0).chain(ranks.edges.iter().copied()).collect();
    let counts: Vec<f64> = ranks.counts.iter().map(|&count| count as f64).collect();
    let (lower, upper) = ranks.expected;
    let highest = 1.1 * counts.iter().copied().fold(upper, f64::max);
    let line = |count| ReferenceLine::horizontal(count).with_color(GUIDE).with_stroke_width(1.2);
    let layout = Layout::new((0.0, 1.0), (0.0, highest))
        .with_x_axis_min(0.0)
        .with_x_axis_max(1.0)
        .with_y_axis_min(0.0)
        .with_y_axis_max(highest)
        .with_ticks(5)
        .with_reference_line(line(lower))
        .with_reference_line(line(upper));
    let title = format!("{}: {}", ranks.quantity, ranks.verdict);
    let bars = Histogram::from_bins(edges, counts).with_color(PALETTE[5]);
    (
        vec![Plot::Histogram(bars)],
        panel(layout, &title, "rank of the truth (share of draws)", "events"),
    )
}

fn difference(ranks: &RankPanel<'_>) -> (Vec<Plot>, Layout) {
    let mut points = vec![[0.0; 4]];
    points.extend_from_slice(ranks.differences);
    points.push([1.0, 0.0, 0.0, 0.0]);
    let column = |index: usize| points.iter().map(move |point| point[index]);
    let band =
        BandPlot::new(column(0), column(2), column(3)).with_color(PALETTE[5]).with_opacity(0.3);
    let curve = LinePlot::new()
        .with_data(points.iter().map(|point| (point[0], point[1])))
        .with_color(PALETTE[0])
        .with_stroke_width(1.8);
    let all = || points.iter().flat_map(|point| point[1..].iter().copied());
    let (lowest, highest) =
        padded(all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max), 0.08);
    let layout = Layout::new((0.0, 1.0), (lowest, highest))
        .with_x_axis_min(0.0)
        .with_x_axis_max(1.0)
        .with_y_axis_min(lowest)
        .with_y_axis_max(highest)
        .with_ticks(5)
        .with_reference_line(
            ReferenceLine::horizontal(0.0).with_color(GUIDE).with_stroke_width(1.2),
        );
    let title = format!("{}: {}", ranks.quantity, ranks.verdict);
    let plots = vec![Plot::Band(band), Plot::Line(curve)];
    (plots, panel(layout, &title, "rank of the truth (share of draws)", "ECDF - uniform"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDGES: [f64; 4] = [0.25, 0.5, 0.75, 1.0];
    const DIFFERENCES: [[f64; 4]; 3] =
        [[0.25, 0.05, -0.03, 0.03], [0.5, 0.01, -0.04, 0.04], [0.75, -0.02, -0.03, 0.03]];

    fn ranks(counts: &[usize]) -> RankPanel<'_> {
        RankPanel {
            quantity: "C-O",
            verdict: "p = 0.0003",
            edges: &EDGES,
            counts,
            expected: (20.0, 32.0),
            differences: &DIFFERENCES,
        }
    }

    #[test]
    fn figures_say_what_they_show() {
        let folder = tempfile::tempdir().unwrap();
        let panels = [ranks(&[30, 22, 24, 24]), ranks(&[10, 40, 40, 10])];
        for (name, draw) in [
            ("ranks", rank_histograms as fn(&Path, &str, &[RankPanel<'_>]) -> Result<FigureFiles>),
            ("ecdf", ecdf_differences),
        ] {
            draw(&folder.path().join(name), "ranks", &panels).unwrap();
            let svg = std::fs::read_to_string(folder.path().join(format!("{name}.svg"))).unwrap();
            assert_eq!(svg.matches("C-O: p = 0.0003").count(), 2);
            assert!(
                std::fs::metadata(folder.path().join(format!("{name}.png"))).unwrap().len() > 0
            );
        }
    }

    #[test]
    fn nothing_to_draw_is_an_error() {
        let stem = Path::new("never-written");
        assert!(matches!(rank_histograms(stem, "t", &[]), Err(Error::Empty { .. })));
        assert!(matches!(ecdf_differences(stem, "t", &[ranks(&[1])]), Err(Error::Empty { .. })));
    }
}
