//! Histograms of residuals (predicted less true), one panel a quantity.

use std::path::Path;

use kuva::plot::Histogram;
use kuva::render::annotations::ReferenceLine;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use ndarray::ArrayView1;

use crate::scatter::three_digits;
use crate::style::{GUIDE, PALETTE, grid, padded, panel};
use crate::{Error, FigureFiles, Result, files};

/// Share of the residuals on either side that may lie outside the axis.
const TAIL: f64 = 0.005;

/// Residuals of one quantity of many events.
#[derive(Debug, Clone, Copy)]
pub struct Residuals<'a> {
    /// Its name, for example `C-O bond length`.
    pub quantity: &'a str,
    /// Its unit, for example `pm`.
    pub unit: &'a str,
    /// Predicted less true values.
    pub residuals: ArrayView1<'a, f64>,
}

/// Draws a histogram of each quantity's residuals. The title of a panel gives mean and standard
/// deviation of ALL finite residuals; the axis spans the central 99 % and a little more, and says
/// how many lie outside.
///
/// # Errors
/// No panels, a panel without a finite residual, or a file that cannot be written.
pub fn residual_histograms(
    stem: &Path,
    title: &str,
    panels: &[Residuals<'_>],
) -> Result<FigureFiles> {
    if panels.is_empty() {
        return Err(Error::Empty { what: title.to_owned() });
    }
    let panels = panels.iter().map(draw_panel).collect::<Result<_>>()?;
    files::write(stem, &grid(title, panels))
}

/// Counts in bins of equal width.
struct Bins {
    edges: Vec<f64>,
    counts: Vec<f64>,
    outside: usize,
}

fn draw_panel(residuals: &Residuals<'_>) -> Result<(Vec<Plot>, Layout)> {
    let Residuals { quantity, unit, residuals } = *residuals;
    let mut sorted: Vec<f64> = residuals.iter().copied().filter(|r| r.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let (mean, deviation) =
        moments(&sorted).ok_or_else(|| Error::Empty { what: quantity.to_owned() })?;
    let bins = Bins::of(&sorted);
    let range = (bins.edges[0], bins.edges[bins.edges.len() - 1]);
    let highest = bins.counts.iter().copied().fold(0.0, f64::max);
    let x_label = match bins.outside {
        0 => format!("predicted - true ({unit})"),
        outside => format!("predicted - true ({unit}); {outside} outside"),
    };
    let layout = Layout::new(range, (0.0, highest))
        .with_x_axis_min(range.0)
        .with_x_axis_max(range.1)
        .with_ticks(5)
        .with_reference_line(ReferenceLine::vertical(0.0).with_color(GUIDE).with_stroke_width(1.2));
    let layout = panel(
        layout,
        &format!("{quantity}: mean {}, sd {} {unit}", three_digits(mean), three_digits(deviation)),
        &x_label,
        "events",
    );
    let histogram = Histogram::from_bins(bins.edges, bins.counts).with_color(PALETTE[0]);
    Ok((vec![Plot::Histogram(histogram)], layout))
}

impl Bins {
    /// Bins of ascending values, at least one.
    fn of(sorted: &[f64]) -> Self {
        let last = sorted.len() - 1;
        let at = |p: f64| sorted[(p * last as f64).round() as usize];
        // a tail that is hardly wider than the bulk is drawn whole
        let (lowest, highest) = padded(at(TAIL), at(1.0 - TAIL), 0.25);
        let (lowest, highest) = if sorted[0] >= lowest && sorted[last] <= highest {
            padded(sorted[0], sorted[last], 0.02)
        } else {
            (lowest, highest)
        };
        // Zero belongs on the axis unless the bias dwarfs the spread.
        let spread = highest - lowest;
        let (lowest, highest) = (
            if lowest > 0.0 && lowest < spread { -0.05 * spread } else { lowest },
            if highest < 0.0 && -highest < spread { 0.05 * spread } else { highest },
        );
        let count = (2.0 * (sorted.len() as f64).cbrt()).clamp(8.0, 60.0) as usize;
        let width = (highest - lowest) / count as f64;
        let edges = (0..=count).map(|edge| lowest + width * edge as f64).collect();
        let mut counts = vec![0.0; count];
        let mut outside = 0;
        for value in sorted {
            let place = ((value - lowest) / width).floor();
            if place >= 0.0 && place < count as f64 {
                counts[place as usize] += 1.0;
            } else {
                outside += 1;
            }
        }
        Self { edges, counts, outside }
    }
}

/// Mean and standard deviation (n - 1; zero for one value).
fn moments(values: &[f64]) -> Option<(f64, f64)> {
    let n = values.len() as f64;
    let mean = (n > 0.0).then(|| values.iter().sum::<f64>() / n)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((mean, (squares / (n - 1.0).max(1.0)).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_a_bin_or_outside() {
        let mut values: Vec<f64> = (0..1000).map(|i| f64::from(i) / 100.0 - 5.0).collect();
        values.push(1e6);
        let bins = Bins::of(&values);
        assert_eq!(bins.outside, 1);
        assert_eq!(bins.counts.iter().sum::<f64>(), 1000.0);
        assert_eq!(bins.edges.len(), bins.counts.len() + 1);
    }

    #[test]
    fn equal_values_have_a_bin() {
        let bins = Bins::of(&[3.0, 3.0, 3.0]);
        assert_eq!((bins.outside, bins.counts.iter().sum::<f64>()), (0, 3.0));
        let bins = Bins::of(&[0.0]);
        assert_eq!(bins.counts.iter().sum::<f64>(), 1.0);
    }

    #[test]
    fn moments_by_hand() {
        // 1, 2, 3: mean 2, variance 2 / 2
        assert_eq!(moments(&[1.0, 2.0, 3.0]), Some((2.0, 1.0)));
        assert_eq!(moments(&[4.0]), Some((4.0, 0.0)));
        assert_eq!(moments(&[]), None);
    }
}
