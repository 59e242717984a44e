//! Several runs side by side.

use std::path::PathBuf;

use cei_report::page::{Aspect, Axis, Block, Drawing, Figure, Mark, Panel, Style, Table};

use super::words::{number, optional, percent};
use crate::compare::{ComparisonGroup, ComparisonRow, RowKind, compare_runs, read_evaluation};

/// Tables of evaluated runs, with what can be compared; runs without an evaluation are named.
pub(super) fn blocks(runs: &[PathBuf]) -> Vec<Block> {
    let (evaluated, others): (Vec<PathBuf>, Vec<PathBuf>) =
        runs.iter().cloned().partition(|run| read_evaluation(run).is_ok());
    let mut blocks = Vec::new();
    if !others.is_empty() {
        let names: Vec<String> = others.iter().map(|run| format!("`{}`", run.display())).collect();
        blocks.push(Block::Notice(format!(
            "Without an evaluation, and not compared here: {}.",
            names.join(", ")
        )));
    }
    let groups = match compare_runs(&evaluated) {
        Ok(groups) => groups,
        Err(error) => {
            blocks.push(Block::Notice(format!("The runs cannot be compared: {error}")));
            return blocks;
        }
    };
    if groups.len() > 1 {
        blocks.push(Block::Words("Runs of different tables, rows or frames stand in different tables: their numbers do not compare.".to_owned()));
    }
    for (place, group) in groups.iter().enumerate() {
        blocks.push(Block::Table(table(group)));
        blocks.extend(group.nll_not_comparable.clone().map(Block::Notice));
        blocks.push(Block::Figure(figure(group, place)));
    }
    blocks
}

fn table(group: &ComparisonGroup) -> Table {
    let lengths = names(group, |line| {
        line.gauge_free.iter().flat_map(|g| g.bond_length_rmse_pm.keys().cloned()).collect()
    });
    let angles = names(group, |line| {
        line.gauge_free.iter().flat_map(|g| g.angle_rmse_deg.keys().cloned()).collect()
    });
    // Of a large molecule there are too many for a table.
    let (lengths, angles) =
        if lengths.len() + angles.len() > 6 { (Vec::new(), Vec::new()) } else { (lengths, angles) };
    let mut header = vec![String::new(), "MSE".to_owned(), "MSE of a draw".to_owned()];
    header.extend(lengths.iter().map(|name| format!("{name} (pm)")));
    header.extend(angles.iter().map(|name| format!("{name} (deg)")));
    header.extend(
        ["in 90 % intervals", "CRPS", "re-simulated (a.u.)", "NLL (nats)"].map(str::to_owned),
    );
    let rows = group.lines.iter().map(|line| {
        let gauge_free = line.gauge_free.as_ref();
        let mut row = vec![line.name.clone(), number(line.mse_mean), optional(line.mse_draw)];
        let length =
            |name: &String| gauge_free.and_then(|g| g.bond_length_rmse_pm.get(name)).copied();
        let angle = |name: &String| gauge_free.and_then(|g| g.angle_rmse_deg.get(name)).copied();
        row.extend(lengths.iter().map(|name| optional(length(name))));
        row.extend(angles.iter().map(|name| optional(angle(name))));
        row.push(line.coverage_90.map(percent).unwrap_or_default());
        row.extend([line.crps, line.resimulation, line.nll].map(optional));
        row
    });
    Table {
        caption: format!(
            "{} rows of {}; positions {}. Distances and angles: root mean square error of the posterior mean",
            group.rows,
            group.files.join(", "),
            group.frame
        ),
        header,
        rows: rows.collect(),
    }
}

/// The names that any line has, in order.
fn names(group: &ComparisonGroup, of: impl Fn(&ComparisonRow) -> Vec<String>) -> Vec<String> {
    let all: std::collections::BTreeSet<String> = group.lines.iter().flat_map(of).collect();
    all.into_iter().collect()
}

/// Errors of positions of the runs of a group, with baselines and floors.
fn figure(group: &ComparisonGroup, place: usize) -> Figure {
    let points =
        |kind: RowKind, value: &dyn Fn(&ComparisonRow) -> Option<f64>| -> Vec<(f64, f64)> {
            let lines = group.lines.iter().enumerate().filter(|(_, line)| line.kind == kind);
            lines.filter_map(|(place, line)| Some((value(line)?, place as f64))).collect()
        };
    let mean = |line: &ComparisonRow| Some(line.mse_mean);
    let series = [
        ("posterior mean", Style::First, points(RowKind::Run, &mean)),
        ("one draw", Style::Third, points(RowKind::Run, &|line| line.mse_draw)),
        ("baselines", Style::Second, points(RowKind::Baseline, &mean)),
        ("floors", Style::Truth, points(RowKind::Floor, &mean)),
    ];
    let values = || series.iter().flat_map(|(_, _, points)| points.iter().map(|point| point.0));
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    let label = "MSE of positions (squared units)";
    let x = if low > 0.0 && high > 10.0 * low {
        Axis { logarithmic: true, ..Axis::new(label) }
    } else {
        Axis::new(label).from_to(0.0, 1.1 * high.max(f64::MIN_POSITIVE))
    };
    let name = |line: &ComparisonRow| match line.name.rsplit('/').next() {
        Some(last) if line.kind == RowKind::Run => last.to_owned(),
        _ => line.name.clone(),
    };
    let panel = Panel {
        title: String::new(),
        x,
        y: Axis::of_names("", group.lines.iter().map(name).collect()),
        marks: series
            .iter()
            .filter(|(_, _, points)| !points.is_empty())
            .map(|(name, style, points)| Mark::markers(*name, *style, points.clone()))
            .collect(),
        aspect: Aspect::Wide,
    };
    Figure {
        name: format!("runs-{}", place + 1),
        title: "Errors of the runs beside baselines and floors".to_owned(),
        reading: in_words(group),
        drawing: Drawing::Panels(vec![panel]),
    }
}

fn in_words(group: &ComparisonGroup) -> String {
    let of = |kind: RowKind| group.lines.iter().filter(move |line| line.kind == kind);
    let least = |kind| of(kind).min_by(|a, b| a.mse_mean.total_cmp(&b.mse_mean));
    let Some(best) = least(RowKind::Run) else { return "No run is compared.".to_owned() };
    let worst = of(RowKind::Run).max_by(|a, b| a.mse_mean.total_cmp(&b.mse_mean));
    let mut text = format!("The least error is that of {}, {}", best.name, number(best.mse_mean));
    if let Some(worst) = worst.filter(|worst| worst.name != best.name) {
        text.push_str(&format!(", the largest that of {}, {}", worst.name, number(worst.mse_mean)));
    }
    if let Some(baseline) = least(RowKind::Baseline) {
        text.push_str(&format!(
            "; the best baseline, {}, has {}",
            baseline.name,
            number(baseline.mse_mean)
        ));
    }
    if let Some(floor) = least(RowKind::Floor) {
        text.push_str(&format!("; the floor is {}", number(floor.mse_mean)));
    }
    text + "."
}
