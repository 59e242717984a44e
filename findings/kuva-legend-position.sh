#!/usr/bin/env bash
# kuva 0.6.0 (Rust, figures) has three ways to say where the legend goes, and only two of them show one. With a layout of
# given ranges (`Layout::new`) and plots that have legend labels, `with_legend_at` and `with_legend_at_data` draw the labels;
# `with_legend_position` sets the place and draws nothing, without a word. With a layout made from the plots
# (`Layout::auto_from_plots`) the same call moves a legend that is there.
#
# The flag behind it is set by the first two, by `with_legend_entries` and by what looks at the plots; the setter of it is private.
# Expected: a legend at the position that is asked for, or none for any of the three.
#
# Seen (Rust 1.95), labels in the SVG:
#   Layout::new                                         0
#   Layout::new, with_legend_position                   0
#   Layout::new, with_legend_at                         2
#   Layout::new, with_legend_at_data                    2
#   Layout::auto_from_plots, with_legend_position       2
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
cat > "$work/Cargo.toml" <<'TOML'
[package]
name = "legend"
version = "0.0.0"
edition = "2021"

[dependencies]
kuva = "=0.6.0"
TOML
cat > "$work/src/main.rs" <<'RUST'
use kuva::backend::svg::SvgBackend;
use kuva::plot::legend::LegendPosition;
use kuva::plot::LinePlot;
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::render_multiple;

fn plots() -> Vec<Plot> {
    let line = |name: &str, height: f64| {
        Plot::Line(LinePlot::new().with_data([(0.0, 0.0), (1.0, height)]).with_legend(name))
    };
    vec![line("measured", 1.0), line("simulated", 0.5)]
}

/// How many of the two labels are in the picture.
fn labels(layout: Layout) -> usize {
    let svg = SvgBackend::new().render_scene(&render_multiple(plots(), layout));
    ["measured", "simulated"].iter().filter(|name| svg.contains(*name)).count()
}

fn main() {
    let given = || Layout::new((0.0, 1.0), (0.0, 1.0));
    let inside = LegendPosition::InsideTopRight;
    let seen = [
        ("Layout::new", labels(given())),
        ("Layout::new, with_legend_position", labels(given().with_legend_position(inside))),
        ("Layout::new, with_legend_at", labels(given().with_legend_at(100.0, 100.0))),
        ("Layout::new, with_legend_at_data", labels(given().with_legend_at_data(0.5, 0.5))),
        (
            "Layout::auto_from_plots, with_legend_position",
            labels(Layout::auto_from_plots(&plots()).with_legend_position(inside)),
        ),
    ];
    for (how, count) in seen {
        println!("{how:<50}  {count}");
    }
    assert_eq!(seen.map(|(_, count)| count), [0, 0, 2, 2, 2], "another set of calls shows a legend now");
}
RUST
CARGO_TARGET_DIR="$work/target" cargo run --quiet --manifest-path "$work/Cargo.toml"
