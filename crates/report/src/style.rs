//! What all figures share: colours, sizes, panels.

use kuva::plot::legend::LegendEntry;
use kuva::render::figure::Figure;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::Scene;

/// The colours of Okabe and Ito (2008), darker ones first.
pub(crate) const PALETTE: [&str; 7] =
    ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"];
/// Lines that are not data: diagonals, zero.
pub(crate) const GUIDE: &str = "#555555";

/// Width and height of a single figure and of one panel of several, in units of the SVG.
pub(crate) const FIGURE_SIZE: (f64, f64) = (760.0, 480.0);
const PANEL_SIZE: (f64, f64) = (430.0, 390.0);

/// Fonts, ticks and grid of a panel with its title and axis labels.
pub(crate) fn panel(layout: Layout, title: &str, x_label: &str, y_label: &str) -> Layout {
    layout
        .with_title(title)
        .with_title_size(15)
        .with_label_size(14)
        .with_tick_size(12)
        .with_body_size(12)
        .with_x_label(x_label)
        .with_y_label(y_label)
}

/// Panels on a grid under one title: up to three beside each other, four as two by two.
pub(crate) fn grid(title: &str, panels: Vec<(Vec<Plot>, Layout)>) -> Scene {
    figure(title, panels).render()
}

/// The same, with what marks mean below all panels.
pub(crate) fn grid_with_legend(
    title: &str,
    panels: Vec<(Vec<Plot>, Layout)>,
    legend: Vec<LegendEntry>,
) -> Scene {
    figure(title, panels).with_shared_legend_bottom().with_shared_legend_entries(legend).render()
}

fn figure(title: &str, panels: Vec<(Vec<Plot>, Layout)>) -> Figure {
    let columns = match panels.len() {
        4 => 2,
        count => count.min(3),
    };
    let rows = panels.len().div_ceil(columns);
    let (plots, layouts): (Vec<Vec<Plot>>, Vec<Layout>) = panels.into_iter().unzip();
    Figure::new(rows, columns)
        .with_title(title)
        .with_title_size(18)
        .with_cell_size(PANEL_SIZE.0, PANEL_SIZE.1)
        .with_plots(plots)
        .with_layouts(layouts)
}

/// A range widened by a share of itself on both sides; a single value gets a range around it.
pub(crate) fn padded(lowest: f64, highest: f64, share: f64) -> (f64, f64) {
    let width = highest - lowest;
    let pad = if width > 0.0 { share * width } else { lowest.abs().max(1.0) * 0.05 };
    (lowest - pad, highest + pad)
}
