//! Counts of events in bins, along one axis or over two, with the numbers of each bin as CSV beside the picture.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kuva::plot::legend::{LegendEntry, LegendShape};
use kuva::plot::{ColorMap, Histogram, Histogram2D, LinePlot};
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;

use crate::page::csv_row;
use crate::style::{GUIDE, PALETTE, grid, grid_with_legend, panel};
use crate::{Error, FigureFiles, Result, files};

/// The files of a figure with its numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberedFigure {
    /// The figure.
    pub figure: FigureFiles,
    /// `<stem>.csv`, one line a bin.
    pub csv: PathBuf,
}

/// Events of one sample in the bins of a panel.
#[derive(Debug, Clone, PartialEq)]
pub struct BinCounts {
    /// Whose events, for example `measured`.
    pub sample: String,
    /// Events in each bin.
    pub counts: Vec<u64>,
    /// Events beyond the ends of the axis.
    pub outside: u64,
}

impl BinCounts {
    fn events(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.outside
    }
}

/// A histogram.
#[derive(Debug, Clone, PartialEq)]
pub struct CountPanel {
    /// Title.
    pub title: String,
    /// What is counted, with its unit.
    pub x_label: String,
    /// Ends of the bins, one more than bins.
    pub edges: Vec<f64>,
    /// One sample or two.
    pub samples: Vec<BinCounts>,
    /// Share of the events in each bin by a law to compare with; empty for none.
    pub guide: Vec<f64>,
}

/// A histogram over two axes.
#[derive(Debug, Clone, PartialEq)]
pub struct MapPanel {
    /// Title.
    pub title: String,
    /// Whose events, for example `measured`.
    pub sample: String,
    /// What is across, with its unit.
    pub x_label: String,
    /// What is up, with its unit.
    pub y_label: String,
    /// Ends of the axis across.
    pub x_range: (f64, f64),
    /// Ends of the axis up.
    pub y_range: (f64, f64),
    /// Events in each bin, rows from below, bins of a row from the left.
    pub counts: Vec<Vec<u64>>,
    /// Points beyond the ends of the axes.
    pub outside: u64,
    /// A curve that is no data.
    pub guide: Vec<(f64, f64)>,
    /// Whether units are equally long on both axes.
    pub equal: bool,
}

/// Draws histograms as counts of the first sample; a second one is scaled to as many events. Numbers in the CSV are as
/// they were counted.
///
/// # Errors
/// No panels, a panel without any event, or a file that cannot be written.
///
/// ```
/// use cei_report::{BinCounts, CountPanel, count_histograms};
///
/// let measured = BinCounts { sample: "measured".to_owned(), counts: vec![3, 5], outside: 1 };
/// let panel = CountPanel {
///     title: "three ions".to_owned(),
///     x_label: "kinetic energy release (eV)".to_owned(),
///     edges: vec![0.0, 10.0, 20.0],
///     samples: vec![measured],
///     guide: Vec::new(),
/// };
/// let stem = std::env::temp_dir().join(format!("cei-counts-{}", std::process::id()));
/// let files = count_histograms(&stem, "OCS", &[panel])?;
/// assert_eq!(std::fs::read_to_string(&files.csv)?.lines().count(), 3);
/// for file in [files.csv, files.figure.svg, files.figure.png] {
///     std::fs::remove_file(file)?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn count_histograms(stem: &Path, title: &str, panels: &[CountPanel]) -> Result<NumberedFigure> {
    let Some(first) = panels.first() else { return Err(Error::Empty { what: title.to_owned() }) };
    let mut legend: Vec<LegendEntry> = Vec::new();
    if first.samples.len() > 1 {
        let entry = |(place, sample): (usize, &BinCounts)| match place {
            0 => entry(sample.sample.clone(), PALETTE[5], LegendShape::Rect),
            _ => entry(
                format!("{}, scaled to as many events", sample.sample),
                PALETTE[1],
                LegendShape::Line,
            ),
        };
        legend.extend(first.samples.iter().enumerate().map(entry));
    }
    let drawn = panels.iter().map(histogram).collect::<Result<Vec<_>>>()?;
    let scene = match legend.is_empty() {
        true => grid(title, drawn),
        false => grid_with_legend(title, drawn, legend),
    };
    numbered(stem, files::write(stem, &scene)?, &histograms_csv(panels))
}

/// Draws histograms over two axes; empty bins stay white, and each panel has its own scale of colours beside it.
///
/// # Errors
/// No panels, a panel without any event, or a file that cannot be written.
pub fn count_maps(stem: &Path, title: &str, panels: &[MapPanel]) -> Result<NumberedFigure> {
    if panels.is_empty() {
        return Err(Error::Empty { what: title.to_owned() });
    }
    let drawn = panels.iter().map(map).collect::<Result<Vec<_>>>()?;
    numbered(stem, files::write(stem, &grid(title, drawn))?, &maps_csv(panels))
}

fn entry(label: String, color: &str, shape: LegendShape) -> LegendEntry {
    LegendEntry { label, color: color.to_owned(), shape, dasharray: None }
}

fn numbered(stem: &Path, figure: FigureFiles, text: &str) -> Result<NumberedFigure> {
    let csv = files::with_suffix(stem, ".csv");
    cei_files::write(&csv, text.as_bytes())?;
    Ok(NumberedFigure { figure, csv })
}

fn histogram(of: &CountPanel) -> Result<(Vec<Plot>, Layout)> {
    let CountPanel { title, x_label, edges, samples, guide } = of;
    let first = samples.first().filter(|sample| sample.events() > 0);
    let first = first.ok_or_else(|| Error::Empty { what: title.clone() })?;
    let events = first.events() as f64;
    let counts: Vec<f64> = first.counts.iter().map(|count| *count as f64).collect();
    let mut highest = counts.iter().copied().fold(1.0, f64::max);
    let color = if samples.len() > 1 { PALETTE[5] } else { PALETTE[0] };
    let bars = Histogram::from_bins(edges.clone(), counts).with_color(color);
    let mut plots = vec![Plot::Histogram(bars)];
    for other in samples.iter().skip(1).filter(|other| other.events() > 0) {
        let scale = events / other.events() as f64;
        let scaled: Vec<f64> = other.counts.iter().map(|count| *count as f64 * scale).collect();
        highest = scaled.iter().copied().fold(highest, f64::max);
        let line = LinePlot::new().with_data(steps(edges, &scaled)).with_color(PALETTE[1]);
        plots.push(Plot::Line(line.with_stroke_width(1.6)));
    }
    if !guide.is_empty() {
        let middles = edges.windows(2).map(|ends| 0.5 * (ends[0] + ends[1]));
        let points: Vec<(f64, f64)> =
            middles.zip(guide).map(|(x, share)| (x, events * share)).collect();
        let line = LinePlot::new().with_data(points).with_color(GUIDE).with_stroke_width(1.2);
        plots.push(Plot::Line(line.with_dashed()));
    }
    let range = (edges[0], edges[edges.len() - 1]);
    let outside: Vec<u64> = samples.iter().map(|sample| sample.outside).collect();
    let layout = Layout::new(range, (0.0, highest))
        .with_x_axis_min(range.0)
        .with_x_axis_max(range.1)
        .with_y_axis_min(0.0)
        .with_y_axis_max(1.08 * highest)
        .with_ticks(5);
    Ok((plots, panel(layout, title, &with_outside(x_label, &outside), "events")))
}

/// The outline of bars.
fn steps(edges: &[f64], heights: &[f64]) -> Vec<(f64, f64)> {
    let ends = edges.windows(2).zip(heights);
    ends.flat_map(|(ends, height)| [(ends[0], *height), (ends[1], *height)]).collect()
}

fn with_outside(label: &str, outside: &[u64]) -> String {
    if outside.iter().all(|count| *count == 0) {
        return label.to_owned();
    }
    let counts: Vec<String> = outside.iter().map(ToString::to_string).collect();
    format!("{label}; {} outside", counts.join(" and "))
}

fn map(of: &MapPanel) -> Result<(Vec<Plot>, Layout)> {
    let MapPanel { title, x_range, y_range, counts, guide, .. } = of;
    let all: u64 = counts.iter().flatten().sum::<u64>() + of.outside;
    if all == 0 || counts.is_empty() {
        return Err(Error::Empty { what: title.clone() });
    }
    // From yellow to violet: a bin with one event differs little from an empty one.
    let colours = ColorMap::Custom(Arc::new(|part| ColorMap::Viridis.map(1.0 - part)));
    let mut cells = Histogram2D::new().with_color_map(colours);
    cells.x_range = *x_range;
    cells.y_range = *y_range;
    cells.bins_x = counts[0].len();
    cells.bins_y = counts.len();
    cells.bins =
        counts.iter().map(|row| row.iter().map(|count| *count as usize).collect()).collect();
    let mut plots = vec![Plot::Histogram2d(cells)];
    if !guide.is_empty() {
        let line = LinePlot::new().with_data(guide.iter().copied()).with_color(GUIDE);
        plots.push(Plot::Line(line.with_stroke_width(1.2)));
    }
    let layout = Layout::new(*x_range, *y_range)
        .with_x_axis_min(x_range.0)
        .with_x_axis_max(x_range.1)
        .with_y_axis_min(y_range.0)
        .with_y_axis_max(y_range.1)
        .with_show_grid(false)
        .with_ticks(5);
    let mut layout = if of.equal { layout.with_equal_aspect() } else { layout };
    layout.show_colorbar = true;
    Ok((plots, panel(layout, title, &with_outside(&of.x_label, &[of.outside]), &of.y_label)))
}

fn histograms_csv(panels: &[CountPanel]) -> String {
    let mut text = line(&["panel", "quantity", "sample", "from", "to", "events"]);
    for CountPanel { title, x_label, edges, samples, .. } in panels {
        for BinCounts { sample, counts, .. } in samples {
            for (ends, count) in edges.windows(2).zip(counts) {
                let [from, to, count] =
                    [ends[0].to_string(), ends[1].to_string(), count.to_string()];
                text.push_str(&line(&[title, x_label, sample, &from, &to, &count]));
            }
        }
    }
    text
}

/// Empty bins are left out.
fn maps_csv(panels: &[MapPanel]) -> String {
    let header = ["panel", "sample", "x", "x_from", "x_to", "y", "y_from", "y_to", "events"];
    let mut text = line(&header);
    for of in panels {
        let at = |range: (f64, f64), bins: usize, edge: usize| {
            (range.0 + (range.1 - range.0) * edge as f64 / bins as f64).to_string()
        };
        for (up, row) in of.counts.iter().enumerate() {
            for (across, count) in row.iter().enumerate().filter(|(_, count)| **count > 0) {
                let x = [0, 1].map(|end| at(of.x_range, row.len(), across + end));
                let y = [0, 1].map(|end| at(of.y_range, of.counts.len(), up + end));
                let count = count.to_string();
                text.push_str(&line(&[
                    &of.title,
                    &of.sample,
                    &of.x_label,
                    &x[0],
                    &x[1],
                    &of.y_label,
                    &y[0],
                    &y[1],
                    &count,
                ]));
            }
        }
    }
    text
}

fn line(cells: &[&str]) -> String {
    csv_row(&cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<String>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_that_were_counted_and_the_second_sample_is_scaled_in_the_picture() {
        let folder = tempfile::tempdir().unwrap();
        let of = |sample: &str, counts: &[u64], outside| BinCounts {
            sample: sample.to_owned(),
            counts: counts.to_vec(),
            outside,
        };
        let panel = CountPanel {
            title: "O+ and C+".to_owned(),
            x_label: "angle (degrees)".to_owned(),
            edges: vec![0.0, 90.0, 180.0],
            samples: vec![of("measured", &[2, 6], 0), of("re-simulated", &[30, 50], 3)],
            guide: vec![0.5, 0.5],
        };
        let files = count_histograms(&folder.path().join("angles"), "OCS", &[panel]).unwrap();
        let csv = std::fs::read_to_string(&files.csv).unwrap();
        let expected = "panel,quantity,sample,from,to,events\n\
                        O+ and C+,angle (degrees),measured,0,90,2\n\
                        O+ and C+,angle (degrees),measured,90,180,6\n\
                        O+ and C+,angle (degrees),re-simulated,0,90,30\n\
                        O+ and C+,angle (degrees),re-simulated,90,180,50\n";
        assert_eq!(csv, expected);
        let svg = std::fs::read_to_string(&files.figure.svg).unwrap();
        for text in ["measured", "re-simulated, scaled to as many events", "0 and 3 outside"] {
            assert!(svg.contains(text), "{text}");
        }
    }

    #[test]
    fn a_map_has_its_filled_bins_in_the_file_and_an_empty_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let panel = MapPanel {
            title: "measured".to_owned(),
            sample: "measured".to_owned(),
            x_label: "X".to_owned(),
            y_label: "Y".to_owned(),
            x_range: (0.0, 1.0),
            y_range: (-1.0, 1.0),
            counts: vec![vec![0, 4], vec![1, 0]],
            outside: 2,
            guide: vec![(0.0, 0.0), (1.0, 1.0)],
            equal: true,
        };
        let stem = folder.path().join("dalitz");
        let files = count_maps(&stem, "Dalitz plot", std::slice::from_ref(&panel)).unwrap();
        let csv = std::fs::read_to_string(&files.csv).unwrap();
        let expected = "panel,sample,x,x_from,x_to,y,y_from,y_to,events\n\
                        measured,measured,X,0.5,1,Y,-1,0,4\nmeasured,measured,X,0,0.5,Y,0,1,1\n";
        assert_eq!(csv, expected);
        assert!(std::fs::metadata(&files.figure.png).unwrap().len() > 0);
        let empty = MapPanel { counts: vec![vec![0; 2]; 2], outside: 0, ..panel };
        assert!(matches!(count_maps(&stem, "t", &[empty]), Err(Error::Empty { .. })));
    }
}
