//! What the trials of a search tried and found: which keys mattered, and the loss against the value of each.

use std::path::Path;

use kuva::plot::legend::{LegendEntry, LegendShape};
use kuva::plot::{BarPlot, MarkerShape, ScatterPlot};
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;

use crate::style::{GUIDE, PALETTE, grid_with_legend, padded, panel};
use crate::{Error, FigureFiles, Result, files};

const COMPLETE: &str = PALETTE[0];
const STOPPED: &str = "#999999";
const GIVEN: &str = PALETTE[4];
const BEST: &str = PALETTE[1];

/// What is said about all trials.
#[derive(Debug, Clone, Copy)]
pub struct SearchTrials<'a> {
    /// Title.
    pub title: &'a str,
    /// What the loss is, with its unit where it has one.
    pub loss_label: &'a str,
    /// Trials that were trained to their end.
    pub complete: usize,
    /// Trials that were ended early.
    pub stopped: usize,
    /// Trials that failed.
    pub failed: usize,
}

/// A key that was searched over. Points are value and lowest loss of a trial; of choices the value is the number of the
/// choice, from 0.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchKey<'a> {
    /// Its name.
    pub key: &'a str,
    /// How its values lie.
    pub axis: SearchAxis<'a>,
    /// Trials that were trained to their end.
    pub complete: Vec<(f64, f64)>,
    /// Trials that were ended early, at their lowest loss until then.
    pub stopped: Vec<(f64, f64)>,
    /// The trial that was there before the search.
    pub given: Option<(f64, f64)>,
    /// The best trial.
    pub best: Option<(f64, f64)>,
    /// Its share in what mattered, and the share that a key which does not matter exceeds in one of twenty searches; both in
    /// [0, 1].
    pub importance: Option<(f64, f64)>,
}

/// How the values of a key lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchAxis<'a> {
    /// Numbers.
    Linear,
    /// Positive numbers on a logarithmic axis.
    Logarithmic,
    /// Choices with these names.
    Choices(&'a [String]),
}

/// Draws the importance of the keys, where it is known, and a panel for each key, the most important first. The axis of
/// the loss is that of the trials that were trained to their end; what lies above is drawn at its upper edge.
///
/// # Errors
/// No keys, no trial that was trained to its end, or a file that cannot be written.
pub fn search_results(
    stem: &Path,
    trials: &SearchTrials<'_>,
    keys: &[SearchKey<'_>],
) -> Result<FigureFiles> {
    let empty = || Error::Empty { what: trials.title.to_owned() };
    let losses = keys.iter().flat_map(|key| key.complete.iter().map(|point| point.1));
    let losses: Vec<f64> = losses.filter(|loss| loss.is_finite()).collect();
    if losses.is_empty() {
        return Err(empty());
    }
    let limits = loss_axis(losses);
    let mut keys: Vec<&SearchKey<'_>> = keys.iter().collect();
    let share = |key: &SearchKey<'_>| key.importance.map_or(0.0, |(share, _)| share);
    keys.sort_by(|one, other| share(other).total_cmp(&share(one)));
    let mut panels = Vec::with_capacity(keys.len() + 1);
    panels.extend(importance(&keys));
    panels.extend(keys.iter().map(|key| values(key, trials.loss_label, limits)));
    let SearchTrials { title, complete, stopped, failed, .. } = trials;
    let title = format!("{title}: {} trials", complete + stopped + failed);
    files::write(stem, &grid_with_legend(&title, panels, legend(trials, &keys, limits.1)))
}

/// What the marks mean, and what is not drawn or not where it is.
fn legend(trials: &SearchTrials<'_>, keys: &[&SearchKey<'_>], highest: f64) -> Vec<LegendEntry> {
    let entry = |label: String, color: &str, shape: LegendShape| LegendEntry {
        label,
        color: color.to_owned(),
        shape,
        dasharray: None,
    };
    let diamond = LegendShape::Marker(MarkerShape::Diamond);
    let above = |key: &&SearchKey<'_>| {
        let points = key.complete.iter().chain(&key.stopped);
        points.filter(|point| point.1 > highest).count()
    };
    let ended = match keys.iter().map(above).max() {
        None | Some(0) => String::new(),
        Some(above) => {
            format!(" (of all, {above} lie above the axis and are drawn at its upper edge)")
        }
    };
    let mut entries = vec![
        entry(format!("trained to the end: {}", trials.complete), COMPLETE, LegendShape::Circle),
        entry(format!("ended early: {}{ended}", trials.stopped), STOPPED, LegendShape::Circle),
    ];
    if keys.iter().any(|key| key.given.is_some()) {
        entries.push(entry("the experiment as given".to_owned(), GIVEN, diamond));
    }
    if keys.iter().any(|key| key.best.is_some()) {
        entries.push(entry("the best trial".to_owned(), BEST, diamond));
    }
    if keys.iter().any(|key| key.importance.is_some()) {
        let chance = "importance that a key without any exceeds in 1 of 20 searches";
        entries.push(entry(chance.to_owned(), GUIDE, diamond));
    }
    if trials.failed > 0 {
        let failed = format!("failed, and not drawn: {}", trials.failed);
        entries.push(entry(failed, "none", LegendShape::Circle));
    }
    entries
}

/// From the lowest loss to twice as far above it as the middle one, or to the highest.
fn loss_axis(mut losses: Vec<f64>) -> (f64, f64) {
    losses.sort_unstable_by(f64::total_cmp);
    let (lowest, middle) = (losses[0], losses[losses.len() / 2]);
    let highest = losses[losses.len() - 1];
    let bulk = lowest + 2.0 * (middle - lowest);
    padded(lowest, if bulk > lowest { highest.min(bulk) } else { highest }, 0.08)
}

/// Bars of the shares, each with what chance reaches.
fn importance(keys: &[&SearchKey<'_>]) -> Option<(Vec<Plot>, Layout)> {
    let known: Vec<(&str, f64, f64)> = keys
        .iter()
        .filter_map(|key| key.importance.map(|(share, chance)| (key.key, share, chance)))
        .map(|(key, share, chance)| (key, 100.0 * share, 100.0 * chance))
        .collect();
    if known.is_empty() {
        return None;
    }
    // The first bar is the lowest one of a horizontal chart.
    let bars = known.iter().rev().map(|(key, share, _)| (last_part(key).to_owned(), *share));
    let bars = BarPlot::new().with_bars(bars.collect::<Vec<_>>()).with_color(PALETTE[5]);
    let places = known.iter().rev().enumerate();
    let chance = places.map(|(place, (_, _, chance))| (*chance, place as f64 + 1.0));
    let marks = ScatterPlot::new()
        .with_data(chance.collect::<Vec<_>>())
        .with_color(GUIDE)
        .with_marker(MarkerShape::Diamond)
        .with_size(5.0);
    let highest = known.iter().map(|(_, share, chance)| share.max(*chance)).fold(0.0, f64::max);
    let names = known.iter().rev().map(|(key, ..)| last_part(key).to_owned()).collect();
    let layout = Layout::new((0.0, 1.1 * highest), (0.5, known.len() as f64 + 0.5))
        .with_x_axis_min(0.0)
        .with_x_axis_max(1.1 * highest)
        .with_y_axis_min(0.5)
        .with_y_axis_max(known.len() as f64 + 0.5)
        .with_y_categories(names)
        .with_ticks(5);
    let layout = panel(layout, "what mattered", "importance (%)", "");
    Some((vec![Plot::Bar(bars.with_horizontal(true)), Plot::Scatter(marks)], layout))
}

/// Loss against the value of a key.
fn values(
    key: &SearchKey<'_>,
    loss_label: &str,
    (lowest, highest): (f64, f64),
) -> (Vec<Plot>, Layout) {
    let first = if matches!(key.axis, SearchAxis::Choices(_)) { 1.0 } else { 0.0 };
    let logarithmic = key.axis == SearchAxis::Logarithmic;
    // A value as it was given may be 0, which no logarithmic axis has.
    let has_place = |point: &&(f64, f64)| point.1.is_finite() && (!logarithmic || point.0 > 0.0);
    let shown = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
        let shown = points.iter().filter(has_place);
        shown.map(|(value, loss)| (value + first, loss.min(highest))).collect()
    };
    let marks = |points: &[(f64, f64)], color: &str, size: f64| {
        ScatterPlot::new().with_data(shown(points)).with_color(color).with_size(size)
    };
    let mut plots = vec![
        Plot::Scatter(marks(&key.stopped, STOPPED, 4.0).with_marker_opacity(0.7)),
        Plot::Scatter(marks(&key.complete, COMPLETE, 4.5).with_marker_opacity(0.8)),
    ];
    let mark = |point: (f64, f64), color: &str| {
        Plot::Scatter(marks(&[point], color, 6.5).with_marker(MarkerShape::Diamond))
    };
    plots.extend(key.given.map(|point| mark(point, GIVEN)));
    plots.extend(key.best.map(|point| mark(point, BEST)));
    let points = || key.complete.iter().chain(&key.stopped).filter(has_place);
    let from = points().map(|point| point.0).fold(f64::INFINITY, f64::min);
    let to = points().map(|point| point.0).fold(f64::NEG_INFINITY, f64::max);
    let (from, to) = match key.axis {
        SearchAxis::Choices(names) => (0.5, names.len() as f64 + 0.5),
        _ if from > to => (0.5, 1.5),
        SearchAxis::Linear => padded(from, to, 0.05),
        SearchAxis::Logarithmic => logarithmic_axis(from, to),
    };
    let layout = Layout::new((from, to), (lowest, highest))
        .with_x_axis_min(from)
        .with_x_axis_max(to)
        .with_y_axis_min(lowest)
        .with_y_axis_max(highest)
        .with_ticks(5);
    let layout = match key.axis {
        SearchAxis::Choices(names) => layout.with_x_categories(names.to_vec()),
        SearchAxis::Logarithmic => layout.with_log_x(),
        SearchAxis::Linear => layout,
    };
    let title = match key.importance {
        Some((share, _)) => format!("{}: {:.0} %", last_part(key.key), 100.0 * share),
        None => last_part(key.key).to_owned(),
    };
    // The loss of a flow takes all of the height.
    (plots, panel(layout, &title, key.key, loss_label).with_label_size(12))
}

/// The axis of positive values; never from 0, from which kuva would draw decades without an end.
fn logarithmic_axis(lowest: f64, highest: f64) -> (f64, f64) {
    let (from, to) = padded(lowest.ln(), highest.ln(), 0.05);
    (from.exp().max(f64::MIN_POSITIVE), to.exp().min(f64::MAX))
}

/// `learning_rate` of `training.learning_rate`.
fn last_part(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figure_says_what_it_shows() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["tanh", "relu"].map(str::to_owned);
        let rate = SearchKey {
            key: "training.learning_rate",
            axis: SearchAxis::Logarithmic,
            complete: vec![(1e-4, 3.0), (1e-3, 1.0), (3e-3, 1.5), (0.0, 2.0)],
            stopped: vec![(1e-2, 900.0)],
            given: Some((0.0, 2.0)),
            best: Some((1e-3, 1.0)),
            importance: Some((0.75, 0.5)),
        };
        let activation = SearchKey {
            key: "model.activation",
            axis: SearchAxis::Choices(&names),
            complete: vec![(0.0, 3.0), (1.0, 1.0), (0.0, 1.5)],
            stopped: vec![(1.0, 2.0)],
            given: Some((0.0, 3.0)),
            best: Some((1.0, 1.0)),
            importance: Some((0.25, 0.5)),
        };
        let trials = SearchTrials {
            title: "a search",
            loss_label: "loss (nats)",
            complete: 4,
            stopped: 1,
            failed: 2,
        };
        let stem = folder.path().join("sweep");
        search_results(&stem, &trials, &[activation.clone(), rate.clone()]).unwrap();
        let svg = std::fs::read_to_string(stem.with_extension("svg")).unwrap();
        for text in [
            "a search: 7 trials",
            "trained to the end: 4",
            "ended early: 1 (of all, 2 lie above the axis and are drawn at its upper edge)",
            "failed, and not drawn: 2",
            "what mattered",
            "learning_rate: 75 %",
            "activation: 25 %",
            "training.learning_rate",
            "relu",
            "loss (nats)",
            "the experiment as given",
            "the best trial",
            "exceeds in 1 of 20 searches",
        ] {
            assert!(svg.contains(text), "{text}");
        }
        // The more important key comes first.
        assert!(svg.find("learning_rate: 75 %") < svg.find("activation: 25 %"));
        assert!(std::fs::metadata(stem.with_extension("png")).unwrap().len() > 0);
        // Without importance there are panels alone; without a complete trial there is nothing.
        let alone = SearchKey { importance: None, ..rate.clone() };
        search_results(&stem, &trials, &[alone]).unwrap();
        assert!(!std::fs::read_to_string(stem.with_extension("svg")).unwrap().contains("mattered"));
        let none = SearchKey { complete: Vec::new(), ..rate };
        assert!(matches!(search_results(&stem, &trials, &[none]), Err(Error::Empty { .. })));
    }
    /// Whatever was tried: kuva 0.6 never returns from a logarithmic axis that begins at 0, and takes all memory.
    #[test]
    fn no_logarithmic_axis_begins_at_zero() {
        for (lowest, highest) in
            [(1e-5, 1.0), (3.0, 3.0), (1.0, 1.0), (5e-324, 1.0), (1.0, f64::MAX)]
        {
            let (from, to) = logarithmic_axis(lowest, highest);
            assert!(
                from > 0.0 && from < to && to.is_finite(),
                "{lowest} to {highest}: {from}, {to}"
            );
        }
        // A key all of whose values are 0 has an axis too.
        let zero = SearchKey {
            key: "training.weight_decay",
            axis: SearchAxis::Logarithmic,
            complete: vec![(0.0, 1.0)],
            stopped: Vec::new(),
            given: Some((0.0, 1.0)),
            best: Some((0.0, 1.0)),
            importance: None,
        };
        let (plots, _) = values(&zero, "loss", (0.5, 1.5));
        for plot in plots {
            assert!(plot.bounds().is_none_or(|((from, _), _)| from > 0.0));
        }
    }
}
