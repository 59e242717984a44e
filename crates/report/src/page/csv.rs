//! The numbers of a figure as CSV in the page itself: whoever has the page has the numbers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::chart::{Mark, Panel, Shape, Style};
use super::corner::Corner;

/// A file that a page offers.
pub(super) struct Download {
    /// What the link says.
    pub(super) label: String,
    /// Name of the file.
    pub(super) file: String,
    /// The file as a link.
    pub(super) href: String,
}

impl Download {
    fn new(label: &str, file: &str, text: &str) -> Self {
        let href = format!("data:text/csv;charset=utf-8;base64,{}", STANDARD.encode(text));
        Self { label: label.to_owned(), file: file.to_owned(), href }
    }

    /// The numbers of each panel of a figure of this name.
    pub(super) fn of_panels(name: &str, panels: &[Panel]) -> Vec<Self> {
        let of_panel = |(place, panel): (usize, &Panel)| {
            let part = if panels.len() == 1 { String::new() } else { format!("-{}", place + 1) };
            let label = match panel.title.split(':').next() {
                Some(title) if panels.len() > 1 && !title.is_empty() => title.to_owned(),
                _ => "CSV".to_owned(),
            };
            Self::new(&label, &format!("{name}{part}.csv"), &panel_csv(panel))
        };
        panels.iter().enumerate().map(of_panel).collect()
    }

    /// The draws, truth and modes of a corner plot.
    pub(super) fn of_corner(name: &str, corner: &Corner) -> Self {
        Self::new("CSV", &format!("{name}.csv"), &corner_csv(corner))
    }
}

/// One row a number: its series, and its coordinates under the labels of the axes.
fn panel_csv(panel: &Panel) -> String {
    let marks = || panel.marks.iter().filter(|mark| mark.style != Style::Guide);
    let has = |is: fn(&Shape) -> bool| marks().any(|mark| is(&mark.shape));
    let (bars, bands) = (
        has(|shape| matches!(shape, Shape::Bars { .. })),
        has(|shape| matches!(shape, Shape::Band(_))),
    );
    let (x, y) = (&panel.x.label, &panel.y.label);
    let mut header = vec!["series".to_owned(), x.clone()];
    if bars {
        header.push(format!("{x}, end of the bin"));
    }
    header.push(y.clone());
    if bands {
        header.push(format!("{y}, upper end"));
    }
    let mut text = row(&header);
    for mark in marks() {
        for [x, to, y, high] in numbers(mark) {
            let mut cells = vec![mark.name.clone(), of_axis(&panel.x.names, x)];
            if bars {
                cells.push(number(to));
            }
            cells.push(of_axis(&panel.y.names, y));
            if bands {
                cells.push(number(high));
            }
            text.push_str(&row(&cells));
        }
    }
    text
}

/// Of each number of a mark: x, its end, y, its upper end; NaN where there is none.
fn numbers(mark: &Mark) -> Vec<[f64; 4]> {
    match &mark.shape {
        Shape::Line(points)
        | Shape::Dashed(points)
        | Shape::Points(points)
        | Shape::Markers(points) => {
            points.iter().map(|&(x, y)| [x, f64::NAN, y, f64::NAN]).collect()
        }
        Shape::Band(points) => {
            points.iter().map(|&[x, low, high]| [x, f64::NAN, low, high]).collect()
        }
        Shape::Bars { edges, heights } => {
            let bars = edges.iter().zip(edges.iter().skip(1)).zip(heights);
            bars.map(|((&from, &to), &height)| [from, to, height, f64::NAN]).collect()
        }
    }
}

/// A number, or the name that stands for it.
fn of_axis(names: &[String], value: f64) -> String {
    match names.get(value.round() as usize) {
        Some(name) if value > -0.5 => name.clone(),
        _ => number(value),
    }
}

fn corner_csv(corner: &Corner) -> String {
    let mut header = vec!["series".to_owned()];
    header.extend(corner.quantities.iter().cloned());
    header.push("weight".to_owned());
    let mut text = row(&header);
    let mut add = |series: &str, values: &[f64], weight: Option<f64>| {
        let mut cells = vec![series.to_owned()];
        cells.extend(values.iter().map(|value| number(*value)));
        cells.push(weight.map_or_else(String::new, number));
        text.push_str(&row(&cells));
    };
    corner.draws.iter().for_each(|draw| add("draw", draw, None));
    corner.modes.iter().for_each(|mode| add("mode", &mode.values, mode.weight));
    corner.truth.iter().for_each(|truth| add("truth", truth, None));
    text
}

/// Six significant digits, as short as they are; nothing for what is no number.
fn number(value: f64) -> String {
    let rounded: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    match rounded.abs() {
        _ if !value.is_finite() => String::new(),
        size if size != 0.0 && !(1e-5..1e9).contains(&size) => format!("{rounded:e}"),
        _ => format!("{rounded}"),
    }
}

/// A line of cells; those with a separator or a quotation mark are quoted.
pub(crate) fn row(cells: &[String]) -> String {
    let cell = |cell: &String| match cell.contains(['"', ',', '\n']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.clone(),
    };
    cells.iter().map(cell).collect::<Vec<_>>().join(",") + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::chart::{Aspect, Axis};
    use super::*;

    #[test]
    fn every_number_that_is_drawn_is_there() {
        let panel = Panel {
            title: String::new(),
            x: Axis::new("energy (eV)"),
            y: Axis::new("events"),
            marks: vec![
                Mark::bars("file", Style::First, vec![0.0, 1.0, 2.5], vec![3.0, 4.0]),
                Mark::line("a, \"b\"", Style::Second, vec![(1.0, 1.0 / 3.0)]),
                Mark::guide("no data", vec![(0.0, 0.0)]),
            ],
            aspect: Aspect::Wide,
        };
        let expected = "series,energy (eV),\"energy (eV), end of the bin\",events\nfile,0,1,3\n\
                        file,1,2.5,4\n\"a, \"\"b\"\"\",1,,0.333333\n";
        assert_eq!(panel_csv(&panel), expected);
    }

    #[test]
    fn names_and_extreme_numbers_are_kept() {
        let names = vec!["C-O".to_owned()];
        assert_eq!((of_axis(&names, 0.0), of_axis(&names, 1.0)), ("C-O".into(), "1".into()));
        let written = [number(1.5e-9), number(-123_456_789.0), number(f64::NAN), number(0.0)];
        assert_eq!(written, ["1.5e-9", "-123457000", "", "0"]);
    }
}
