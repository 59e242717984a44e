//! Histograms of several sets of numbers on common bins, as shares, so that sets of different sizes compare.

use cei_report::page::{Aspect, Axis, Mark, Panel, Style};

/// Share of all numbers, on either side, that may lie outside of the axis.
const TAIL: f64 = 0.002;

/// One set of numbers.
pub(super) struct Series<'a> {
    /// Its name in the legend.
    pub(super) name: &'a str,
    /// What it looks like.
    pub(super) style: Style,
    /// The numbers.
    pub(super) values: Vec<f64>,
}

/// A panel with the histogram of each set.
pub(super) fn histogram(title: &str, label: String, series: &[Series<'_>]) -> Panel {
    let sets: Vec<Vec<f64>> = series
        .iter()
        .map(|series| {
            let mut sorted: Vec<f64> =
                series.values.iter().copied().filter(|value| value.is_finite()).collect();
            sorted.sort_by(f64::total_cmp);
            sorted
        })
        .collect();
    let edges = edges(&sets);
    let marks = series.iter().zip(&sets).filter(|(_, set)| !set.is_empty()).map(|(series, set)| {
        let heights = shares(&edges, set);
        Mark::bars(series.name, series.style, edges.clone(), heights)
    });
    let range = (edges[0], edges[edges.len() - 1]);
    Panel {
        title: title.to_owned(),
        x: Axis::new(label).from_to(range.0, range.1),
        y: Axis::new("share of the set in a bin (%)"),
        marks: marks.collect(),
        aspect: Aspect::Wide,
    }
}

/// Equal bins that hold the bulk of every set, as many as the smallest large set can fill.
fn edges(sets: &[Vec<f64>]) -> Vec<f64> {
    let ends = sets.iter().filter(|set| !set.is_empty()).map(|set| {
        let last = (set.len() - 1) as f64;
        let at = |level: f64| set[(level * last).round() as usize];
        (at(TAIL), at(1.0 - TAIL))
    });
    let (low, high) = ends
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (a, b)| (low.min(a), high.max(b)));
    let (low, high) = match high - low {
        span if !span.is_finite() => (0.0, 1.0),
        span if span > 0.0 => (low - 0.02 * span, high + 0.02 * span),
        _ => (low - 0.05 * low.abs().max(1.0), high + 0.05 * high.abs().max(1.0)),
    };
    let fewest = sets.iter().map(Vec::len).filter(|len| *len >= 30).min().unwrap_or(30);
    let bins = (2.0 * (fewest as f64).cbrt()).clamp(8.0, 50.0) as usize;
    let width = (high - low) / bins as f64;
    (0..=bins).map(|bin| low + width * bin as f64).collect()
}

/// Percent of a sorted set in each bin.
fn shares(edges: &[f64], sorted: &[f64]) -> Vec<f64> {
    let below = |edge: f64| sorted.partition_point(|value| *value < edge);
    let in_bin = |bin: &[f64]| below(bin[1]) - below(bin[0]);
    edges.windows(2).map(|bin| 100.0 * in_bin(bin) as f64 / sorted.len() as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_whatever_the_size_of_the_set() {
        let large: Vec<f64> = (0..5000).map(|i| (f64::from(i) * 0.37).sin()).collect();
        let small: Vec<f64> = (0..40).map(|i| 0.5 * (f64::from(i) * 0.71).cos()).collect();
        let series = [
            Series { name: "a", style: Style::First, values: large },
            Series { name: "b", style: Style::Second, values: small },
        ];
        let panel = histogram("", "x".to_owned(), &series);
        for mark in &panel.marks {
            let cei_report::page::Shape::Bars { edges, heights } = &mark.shape else { panic!() };
            assert_eq!(edges.len(), heights.len() + 1);
            assert!((heights.iter().sum::<f64>() - 100.0).abs() < 1.0, "{heights:?}");
        }
    }

    #[test]
    fn equal_values_and_nothing_have_bins() {
        assert_eq!(shares(&edges(&[vec![3.0; 50]]), &[3.0; 50]).iter().sum::<f64>(), 100.0);
        assert!(edges(&[Vec::new()]).len() > 2);
    }
}
