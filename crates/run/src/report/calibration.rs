//! Whether the posterior is as wide as it says: coverage from the evaluation, tests from the calibration.

use std::collections::BTreeMap;

use cei_metrics::special::binomial_interval;
use cei_report::page::{Aspect, Axis, Block, Drawing, Figure, Mark, Panel, Section, Style};

use super::words::{count, list, number, percent};
use crate::calibrate::{Calibration, QuantityTest};
use crate::evaluate::RunEvaluation;

/// Panels of ranks at most.
const MOST_PANELS: usize = 9;
/// Curves of coverage at most.
const MOST_CURVES: usize = 6;
/// Levels of coverage further than this from what they say are called too narrow or too wide.
const CLEARLY: f64 = 0.02;

/// The section about calibration; `missing` says why there is no test, where there is none.
pub(super) fn section(
    evaluation: Option<&RunEvaluation>,
    calibration: Result<&Calibration, &str>,
) -> Section {
    let mut blocks = Vec::new();
    match calibration {
        Ok(calibration) => {
            blocks.extend(calibration.warning().map(Block::Notice));
            blocks.push(Block::Words(verdict(calibration)));
        }
        Err(why) => blocks.push(Block::Notice(why.to_owned())),
    }
    blocks.extend(evaluation.and_then(central).map(Block::Figure));
    if let Ok(calibration) = calibration {
        blocks.push(Block::Figure(regions(calibration)));
        blocks.extend(ranks(calibration).into_iter().map(Block::Figure));
    }
    Section { title: "Calibration".to_owned(), blocks }
}

fn all_tests(calibration: &Calibration) -> Vec<&QuantityTest> {
    let tests = &calibration.tests;
    let regions = tests.hdr.iter().chain([&tests.tarp]);
    tests.sbc.iter().chain(regions.map(|region| &region.test)).collect()
}

fn least_p(test: &QuantityTest) -> f64 {
    test.ecdf_p_adjusted.min(test.chi_square_p_adjusted)
}

fn verdict(calibration: &Calibration) -> String {
    let all = all_tests(calibration);
    let failed: Vec<String> =
        all.iter().filter(|test| !test.pass).map(|test| test.quantity.clone()).collect();
    let refined = if calibration.refined { " refined" } else { "" };
    let outcome = if failed.is_empty() {
        "all passed, so nothing says that the posterior is not calibrated".to_owned()
    } else {
        let shown: Vec<String> = failed.iter().take(MOST_PANELS).cloned().collect();
        let more = failed.len() - shown.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!(
            "{} failed, so the posterior is not calibrated in {}{more}",
            failed.len(),
            list(&shown)
        )
    };
    let joint = &calibration.joint_c2st;
    format!(
        "{} of ranks of the truth among {}{refined} draws in {}, at an error rate of {} a family: {outcome}. A classifier tells draws from the truth, momenta given, in {} ± {} of the cases (50 %: not at all).",
        count(all.len(), "test"),
        calibration.draws,
        count(calibration.events, "test event"),
        percent(calibration.level),
        percent(joint.accuracy),
        percent(joint.standard_error)
    )
}

/// A curve of coverage: nominal against observed, in percent.
type Curve = (String, Vec<(f64, f64)>);

fn in_percent(levels: &BTreeMap<String, f64>) -> Vec<(f64, f64)> {
    let parsed =
        levels.iter().filter_map(|(level, hits)| Some((level.parse::<f64>().ok()?, *hits)));
    parsed.map(|(level, hits)| (100.0 * level, 100.0 * hits)).collect()
}

fn coverage_panel(curves: &[Curve], x: &str) -> Panel {
    let mut marks = vec![Mark::guide("exact", vec![(0.0, 0.0), (100.0, 100.0)])];
    for (place, (name, points)) in curves.iter().enumerate() {
        let style = Style::of_series(place);
        marks.push(Mark::line(name, style, points.clone()));
        if points.len() < 10 {
            marks.push(Mark::markers("", style, points.clone()));
        }
    }
    Panel {
        title: String::new(),
        x: Axis::new(x).from_to(0.0, 100.0),
        y: Axis::new("observed: truths inside (%)").from_to(0.0, 100.0),
        marks,
        aspect: Aspect::Square,
    }
}

/// Coverage of central intervals of each quantity.
fn central(evaluation: &RunEvaluation) -> Option<Figure> {
    let scores = &evaluation.scores;
    let mut curves: Vec<Curve> = Vec::new();
    if !scores.distribution.coverage.is_empty() {
        curves.push(("positions".to_owned(), in_percent(&scores.distribution.coverage)));
    }
    let quantities = scores.gauge_free.iter().flat_map(|gauge_free| &gauge_free.coverage);
    curves.extend(quantities.map(|(label, levels)| (label.clone(), in_percent(levels))));
    let left = curves.len().saturating_sub(MOST_CURVES);
    let worst = (curves.iter())
        .flat_map(|(name, points)| points.iter().map(move |point| (name, *point)))
        .max_by(|a, b| (a.1.1 - a.1.0).abs().total_cmp(&(b.1.1 - b.1.0).abs()))
        .map(|(name, point)| (name.clone(), point));
    let (name, (nominal, observed)) = worst?;
    let kind = match observed - nominal {
        difference if difference < -100.0 * CLEARLY => "draws are too narrow there",
        difference if difference > 100.0 * CLEARLY => "draws are too wide there",
        _ => "so no interval is off by more than 2 points",
    };
    let left =
        if left > 0 { format!(" ({left} more quantities are not drawn)") } else { String::new() };
    curves.truncate(MOST_CURVES);
    Some(Figure {
        name: "coverage".to_owned(),
        title: "Coverage of central intervals".to_owned(),
        reading: format!(
            "Furthest from what it says is the {nominal:.0} % interval of {name}, which holds {observed:.1} % of the truths: {kind}{left}."
        ),
        drawing: Drawing::Panels(vec![coverage_panel(
            &curves,
            "nominal: share of the draws inside (%)",
        )]),
    })
}

/// Coverage of regions of whole posteriors.
fn regions(calibration: &Calibration) -> Figure {
    let tests = &calibration.tests;
    let regions: Vec<_> = tests.hdr.iter().chain([&tests.tarp]).collect();
    let curves: Vec<Curve> = regions
        .iter()
        .map(|region| {
            let points = region.curve.iter().map(|(x, y)| (100.0 * x, 100.0 * y)).collect();
            (region.test.quantity.clone(), points)
        })
        .collect();
    let sentences: Vec<String> = regions
        .iter()
        .map(|region| {
            let hits = region.coverage.get("0.9").copied().unwrap_or(f64::NAN);
            let error = region.coverage_standard_error.get("0.9").copied().unwrap_or(0.0);
            format!(
                "regions that should hold 90 % hold {} ± {} ({}: {})",
                percent(hits),
                percent(error),
                region.test.quantity,
                region.test.verdict
            )
        })
        .collect();
    let reading = sentences.join("; ");
    Figure {
        name: "regions".to_owned(),
        title: "Coverage of whole posteriors".to_owned(),
        reading: format!("{}{}.", reading[..1].to_uppercase(), &reading[1..]),
        drawing: Drawing::Panels(vec![coverage_panel(
            &curves,
            "nominal: share of the draws in the region (%)",
        )]),
    }
}

/// Rank histograms, and ECDF differences, those that are least like chance first.
fn ranks(calibration: &Calibration) -> [Figure; 2] {
    let mut all = all_tests(calibration);
    all.sort_by(|a, b| least_p(a).total_cmp(&least_p(b)));
    let left = all.len().saturating_sub(MOST_PANELS);
    let left = if left > 0 {
        format!("; {left} more, all less suspicious, are not drawn")
    } else {
        String::new()
    };
    let passed = all.iter().filter(|test| test.pass).count();
    let of = all.len();
    let worst = all.first().map_or_else(String::new, |test| {
        format!(
            "the least like chance is {} (p = {}, {})",
            test.quantity,
            number(least_p(test)),
            test.verdict
        )
    });
    all.truncate(MOST_PANELS);
    let outermost = (all.iter())
        .flat_map(|test| test.ecdf_difference.iter().map(move |point| (test, point)))
        .max_by(|a, b| a.1.difference.abs().total_cmp(&b.1.difference.abs()));
    let deviation = outermost.map_or_else(String::new, |(test, point)| {
        let is_out = !(point.lower..=point.upper).contains(&point.difference);
        format!(
            "The largest deviation is {} points of {} at rank {:.2}, {} its band [{}, {}].",
            number(100.0 * point.difference),
            test.quantity,
            point.edge,
            if is_out { "outside" } else { "inside" },
            number(100.0 * point.lower),
            number(100.0 * point.upper)
        )
    });
    let panels = |one: &dyn Fn(&QuantityTest) -> Panel| -> Vec<Panel> {
        all.iter().map(|test| one(test)).collect()
    };
    [
        Figure {
            name: "ranks".to_owned(),
            title: "Ranks of the truth among the draws".to_owned(),
            reading: format!("{passed} of {of} tests of ranks pass; {worst}{left}."),
            drawing: Drawing::Panels(panels(&|test| histogram(test, calibration))),
        },
        Figure {
            name: "ecdf".to_owned(),
            title: "Distribution of the ranks less the uniform one".to_owned(),
            reading: deviation,
            drawing: Drawing::Panels(panels(&difference)),
        },
    ]
}

fn title(test: &QuantityTest) -> String {
    let p = least_p(test);
    let p = if p < 0.01 { "p < 0.01".to_owned() } else { format!("p = {p:.2}") };
    format!("{}: {} ({p})", test.quantity, if test.pass { "pass" } else { "fail" })
}

fn histogram(test: &QuantityTest, calibration: &Calibration) -> Panel {
    let edges: Vec<f64> = std::iter::once(0.0).chain(test.ranks.edges.iter().copied()).collect();
    let heights: Vec<f64> = test.ranks.histogram.iter().map(|&count| count as f64).collect();
    let share = 1.0 / heights.len().max(1) as f64;
    let (lower, upper) = binomial_interval(calibration.events, share, calibration.level);
    let most = heights.iter().copied().fold(upper, f64::max);
    Panel {
        title: title(test),
        x: Axis::new("rank of the truth (share of the draws)").from_to(0.0, 1.0),
        y: Axis::new("events").from_to(0.0, 1.1 * most),
        marks: vec![
            Mark::bars("ranks", Style::First, edges, heights),
            Mark::guide("where chance keeps a bar", vec![(0.0, lower), (1.0, lower)]),
            Mark::guide("where chance keeps a bar", vec![(0.0, upper), (1.0, upper)]),
        ],
        aspect: Aspect::Wide,
    }
}

fn difference(test: &QuantityTest) -> Panel {
    let inner = test.ecdf_difference.iter();
    let ends = |x: f64| [x, 0.0, 0.0];
    let band = std::iter::once(ends(0.0))
        .chain(inner.clone().map(|p| [p.edge, 100.0 * p.lower, 100.0 * p.upper]))
        .chain([ends(1.0)]);
    let line = std::iter::once((0.0, 0.0))
        .chain(inner.map(|p| (p.edge, 100.0 * p.difference)))
        .chain([(1.0, 0.0)]);
    Panel {
        title: title(test),
        x: Axis::new("rank of the truth (share of the draws)").from_to(0.0, 1.0),
        y: Axis::new("ECDF less uniform (points)"),
        marks: vec![
            Mark::band("band of uniform ranks", Style::Sixth, band.collect()),
            Mark::line("ranks", Style::First, line.collect()),
        ],
        aspect: Aspect::Wide,
    }
}
