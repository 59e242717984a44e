//! Results of a run beside baselines and floors, from its evaluation.

use cei_metrics::results::PointScores;
use cei_report::page::{Aspect, Axis, Block, Drawing, Figure, Mark, Panel, Section, Style, Table};

use super::words::{count, digits, number, optional, percent};
use crate::evaluate::{DetectedScores, RunEvaluation};
use crate::trained::detected_in_words;

/// Rows of the table of distances and angles at most.
const MOST_ROWS: usize = 20;

/// The section about the scores of a run.
pub(super) fn section(evaluation: &RunEvaluation) -> Section {
    let scores = &evaluation.scores;
    let mut blocks: Vec<Block> = evaluation.warnings.iter().cloned().map(Block::Notice).collect();
    blocks.push(Block::Words(format!(
        "Scored on {} ({}) with {} of each; positions: {}.",
        count(scores.rows, "row"),
        evaluation.scored.rows,
        count(scores.draws, "draw"),
        evaluation.scored.frame
    )));
    blocks.push(Block::Table(positions(evaluation)));
    blocks.extend(geometry(evaluation).map(Block::Table));
    if !scores.nuisances.is_empty() {
        blocks.push(Block::Table(nuisances(evaluation)));
    }
    if !evaluation.by_detected.is_empty() {
        blocks.push(Block::Table(by_detected(evaluation)));
    }
    blocks.push(Block::Facts(distribution(evaluation)));
    blocks.push(Block::Figure(errors(evaluation)));
    blocks.extend(geometry_errors(evaluation).map(Block::Figure));
    Section { title: "Results beside baselines and floors".to_owned(), blocks }
}

/// What is compared: name and point scores, then the floors.
fn compared(evaluation: &RunEvaluation) -> Vec<(String, f64, Option<f64>)> {
    let scores = &evaluation.scores;
    let line =
        |name: &str, point: &PointScores| (name.to_owned(), point.mse, point.mse_standard_error);
    let mut lines = vec![
        line("posterior mean", &scores.estimators.mean),
        line("one draw", &scores.estimators.draw),
    ];
    if let Some(mean) = &scores.baselines.train_mean {
        lines.push(line("baseline: mean of the training rows", mean));
    }
    if let Some(knn) = &scores.baselines.knn {
        lines.push(line(&format!("baseline: {} nearest neighbours", knn.k), &knn.scores));
    }
    if let Some(floor) = &evaluation.floor {
        lines.push(("floor of any estimate".to_owned(), floor.mse, floor.mse_standard_error));
        lines.push(("floor of an exact draw".to_owned(), floor.exact_draw_mse, None));
    }
    lines
}

/// The unit of squared errors of positions.
fn squared_unit(evaluation: &RunEvaluation) -> String {
    evaluation
        .scored
        .unit
        .as_ref()
        .map_or_else(|| "squared units".to_owned(), |unit| format!("{unit}²"))
}

fn positions(evaluation: &RunEvaluation) -> Table {
    let rows = compared(evaluation).into_iter().map(|(name, mse, error)| {
        let error = error.map_or_else(String::new, |error| format!(" ± {}", digits(error, 2)));
        vec![name, format!("{}{error}", number(mse))]
    });
    Table {
        caption: "Positions: mean squared error over events and columns".to_owned(),
        header: vec![String::new(), format!("MSE ({})", squared_unit(evaluation))],
        rows: rows.collect(),
    }
}

/// Errors of distances and angles.
fn geometry(evaluation: &RunEvaluation) -> Option<Table> {
    let lines = geometry_lines(evaluation);
    let gauge_free = evaluation.scores.gauge_free.as_ref()?;
    let more = lines.len().saturating_sub(MOST_ROWS);
    let rows = lines.into_iter().take(MOST_ROWS).map(|line| {
        let levels = gauge_free.coverage.get(&line.label);
        let coverage = levels.and_then(|levels| levels.get("0.9")).map(|hits| percent(*hits));
        vec![
            format!("{} ({})", line.label, line.unit),
            number(line.mean),
            optional(line.draw),
            optional(line.neighbours),
            optional(gauge_free.crps.get(&line.label).copied()),
            coverage.unwrap_or_default(),
        ]
    });
    let left = if more > 0 { format!("; {more} more in evaluation.json") } else { String::new() };
    Some(Table {
        caption: format!("Distances and angles: root mean square error{left}"),
        header: [
            "",
            "posterior mean",
            "one draw",
            "nearest neighbours",
            "CRPS",
            "in 90 % intervals",
        ]
        .map(str::to_owned)
        .to_vec(),
        rows: rows.collect(),
    })
}

/// The errors of one distance or angle.
struct Line {
    label: String,
    unit: &'static str,
    mean: f64,
    draw: Option<f64>,
    neighbours: Option<f64>,
}

fn geometry_lines(evaluation: &RunEvaluation) -> Vec<Line> {
    let scores = &evaluation.scores;
    let Some(model) = &scores.gauge_free else { return Vec::new() };
    let knn = scores.baselines.knn.as_ref().and_then(|knn| knn.gauge_free.as_ref());
    let lengths = model.mean.bond_length_rmse_pm.iter().map(|(label, mean)| Line {
        label: label.clone(),
        unit: "pm",
        mean: *mean,
        draw: model.draw.as_ref().and_then(|draw| draw.bond_length_rmse_pm.get(label)).copied(),
        neighbours: knn.and_then(|knn| knn.bond_length_rmse_pm.get(label)).copied(),
    });
    let angles = model.mean.angle_rmse_deg.iter().map(|(label, mean)| Line {
        label: label.clone(),
        unit: "deg",
        mean: *mean,
        draw: model.draw.as_ref().and_then(|draw| draw.angle_rmse_deg.get(label)).copied(),
        neighbours: knn.and_then(|knn| knn.angle_rmse_deg.get(label)).copied(),
    });
    lengths.chain(angles).collect()
}

fn nuisances(evaluation: &RunEvaluation) -> Table {
    let rows = evaluation.scores.nuisances.iter().map(|scores| {
        vec![scores.column.clone(), number(scores.rmse), optional(scores.rmse_train_mean)]
    });
    Table {
        caption: "Nuisances: root mean square error, in the unit of the name".to_owned(),
        header: ["", "posterior mean", "mean of the training rows"].map(str::to_owned).to_vec(),
        rows: rows.collect(),
    }
}

/// Scores by the ions that were detected.
fn by_detected(evaluation: &RunEvaluation) -> Table {
    let row = |set: &DetectedScores| {
        let coverage = |level: &str| set.distribution.coverage.get(level).map(|c| 100.0 * c);
        vec![
            detected_in_words(set.ions, set.missing.as_deref()),
            set.rows.to_string(),
            optional(set.likelihood.map(|likelihood| likelihood.nll)),
            optional(coverage("0.5")),
            optional(coverage("0.9")),
        ]
    };
    let header =
        ["detected ions", "events", "negative log-likelihood", "coverage at 50 %", "at 90 %"];
    Table {
        caption: "By the ions that were detected: nats an event, central coverage in percent"
            .to_owned(),
        header: header.map(str::to_owned).to_vec(),
        rows: evaluation.by_detected.iter().map(row).collect(),
    }
}

/// Scores of the draws as a distribution, and of what the simulator makes of them.
fn distribution(evaluation: &RunEvaluation) -> Vec<(String, String)> {
    let scores = &evaluation.scores;
    let unit = evaluation.scored.unit.as_ref().map_or_else(String::new, |unit| format!(" {unit}"));
    let plus =
        |error: Option<f64>| error.map_or_else(String::new, |e| format!(" ± {}", digits(e, 2)));
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: String| facts.push((name.to_owned(), value));
    if let Some(likelihood) = &scores.likelihood {
        let error = plus(likelihood.nll_standard_error);
        fact(
            "Negative log-likelihood",
            format!(
                "{}{error} nats an event, a density in {} dimensions",
                number(likelihood.nll),
                likelihood.d_eff
            ),
        );
    }
    if let Some(bound) = &scores.likelihood_bound {
        let error = plus(bound.nll_bound_standard_error);
        fact(
            "Negative log-likelihood",
            format!(
                "at most {}{error} nats an event, a density in {} dimensions",
                number(bound.nll_bound),
                bound.nll_bound_d_eff
            ),
        );
    }
    if let (Some(crps), Some(energy)) = (scores.distribution.crps, scores.distribution.energy_score)
    {
        fact(
            "CRPS, energy score",
            format!("{}{unit}, {}{unit} (fair estimators)", number(crps), number(energy)),
        );
    }
    if let Some(error) = &scores.resimulation {
        fact(
            "Re-simulated momenta",
            format!(
                "differ by {} a.u. a component in the median event (quartiles {} to {})",
                number(error.median),
                number(error.lower_quartile),
                number(error.upper_quartile)
            ),
        );
    }
    if let Some(active) = &evaluation.active_latent {
        fact("Latent", active.to_string());
    }
    facts
}

/// The errors of positions as a figure.
fn errors(evaluation: &RunEvaluation) -> Figure {
    let lines = compared(evaluation);
    let points = |is: &dyn Fn(&str) -> bool| -> Vec<(f64, f64)> {
        let places = lines.iter().enumerate().filter(|(_, line)| is(&line.0));
        places.map(|(place, line)| (line.1, place as f64)).collect()
    };
    let is_baseline = |name: &str| name.starts_with("baseline");
    let is_floor = |name: &str| name.starts_with("floor");
    let marks = vec![
        Mark::markers("run", Style::First, points(&|name| !is_baseline(name) && !is_floor(name))),
        Mark::markers("baselines", Style::Second, points(&is_baseline)),
        Mark::markers("floors", Style::Truth, points(&is_floor)),
    ];
    let has_points = |mark: &Mark| match &mark.shape {
        cei_report::page::Shape::Markers(points) => !points.is_empty(),
        _ => true,
    };
    let marks: Vec<Mark> = marks.into_iter().filter(has_points).collect();
    let names = lines.iter().map(|line| line.0.replace("baseline: ", "")).collect();
    let panel = Panel {
        title: String::new(),
        x: spanning(
            format!("MSE of positions ({})", squared_unit(evaluation)),
            lines.iter().map(|line| line.1),
        ),
        y: Axis::of_names("", names),
        marks,
        aspect: Aspect::Wide,
    };
    Figure {
        name: "errors".to_owned(),
        title: "Errors of positions beside baselines and floors".to_owned(),
        reading: errors_in_words(evaluation),
        drawing: Drawing::Panels(vec![panel]),
    }
}

/// An axis that is logarithmic where positive values differ by more than a factor of 10, and begins at zero elsewhere.
fn spanning(label: String, values: impl Iterator<Item = f64> + Clone) -> Axis {
    let finite = values.filter(|value| value.is_finite());
    let low = finite.clone().fold(f64::INFINITY, f64::min);
    let high = finite.fold(0.0, f64::max);
    if low > 0.0 && high > 10.0 * low {
        Axis { logarithmic: true, ..Axis::new(label) }
    } else {
        Axis::new(label).from_to(0.0, 1.1 * high.max(f64::MIN_POSITIVE))
    }
}

fn errors_in_words(evaluation: &RunEvaluation) -> String {
    let scores = &evaluation.scores;
    let own = scores.estimators.mean.mse;
    let mut parts = Vec::new();
    if let Some(mean) = &scores.baselines.train_mean {
        parts.push(beside(own, mean.mse, "that of the mean of the training rows"));
    }
    if let Some(knn) = &scores.baselines.knn {
        parts.push(beside(own, knn.scores.mse, "that of the nearest neighbours"));
    }
    let mut text = format!(
        "The posterior mean's squared error is {} {}",
        number(own),
        squared_unit(evaluation)
    );
    if !parts.is_empty() {
        text.push_str(&format!(": {}", parts.join(", ")));
    }
    match &evaluation.floor {
        Some(floor) => text.push_str(&format!(
            "; no method can come below {}, which leaves {} of it to be gained.",
            number(floor.mse),
            percent(((own - floor.mse) / own).max(0.0))
        )),
        None => text.push_str("; no floor is known for this table."),
    }
    text
}

/// How one error stands to another.
fn beside(own: f64, other: f64, what: &str) -> String {
    let ratio = own / other;
    match ratio {
        ratio if !ratio.is_finite() => format!("beside {} of {what}", number(other)),
        ratio if ratio < 0.5 => format!("{} times smaller than {what}", number(1.0 / ratio)),
        ratio if ratio <= 1.0 => format!("{} below {what}", percent(1.0 - ratio)),
        ratio if ratio <= 2.0 => format!("{} ABOVE {what}", percent(ratio - 1.0)),
        ratio => format!("{} times LARGER than {what}", number(ratio)),
    }
}

/// The errors of distances and of angles as a figure.
fn geometry_errors(evaluation: &RunEvaluation) -> Option<Figure> {
    let lines = geometry_lines(evaluation);
    let panels: Vec<Panel> = [("Distances", "pm"), ("Angles", "deg")]
        .into_iter()
        .filter_map(|(title, unit)| {
            let of: Vec<&Line> =
                lines.iter().filter(|line| line.unit == unit).take(MOST_ROWS).collect();
            (!of.is_empty()).then(|| geometry_panel(title, unit, &of))
        })
        .collect();
    let ratio =
        |line: &&Line| line.neighbours.map(|other| line.mean / other).filter(|r| r.is_finite());
    let mut known: Vec<&Line> = lines.iter().filter(|line| ratio(line).is_some()).collect();
    known.sort_by(|a, b| ratio(a).unwrap_or(0.0).total_cmp(&ratio(b).unwrap_or(0.0)));
    let reading = match (known.first(), known.last()) {
        (Some(best), Some(worst)) => {
            let of = |line: &Line| {
                let ratio = line.mean / line.neighbours.unwrap_or(f64::NAN);
                format!(
                    "{} ({} {}, {} of the neighbours' error)",
                    line.label,
                    number(line.mean),
                    line.unit,
                    percent(ratio)
                )
            };
            if known.len() == 1 {
                format!("The posterior mean of {} is off by that much, root mean square.", of(best))
            } else {
                format!(
                    "Of all distances and angles the run gains most over nearest neighbours in {} and least in {}.",
                    of(best),
                    of(worst)
                )
            }
        }
        _ => {
            let worst = lines
                .iter()
                .map(|line| format!("{} {} {}", line.label, number(line.mean), line.unit));
            format!(
                "Root mean square errors of the posterior mean: {}.",
                worst.take(MOST_ROWS).collect::<Vec<_>>().join(", ")
            )
        }
    };
    (!panels.is_empty()).then(|| Figure {
        name: "geometry-errors".to_owned(),
        title: "Errors of distances and angles".to_owned(),
        reading,
        drawing: Drawing::Panels(panels),
    })
}

fn geometry_panel(title: &str, unit: &str, lines: &[&Line]) -> Panel {
    let points = |value: &dyn Fn(&Line) -> Option<f64>| -> Vec<(f64, f64)> {
        let places = lines.iter().enumerate();
        places.filter_map(|(place, line)| Some((value(line)?, place as f64))).collect()
    };
    let series = [
        ("posterior mean", Style::First, points(&|line| Some(line.mean))),
        ("one draw", Style::Third, points(&|line| line.draw)),
        ("nearest neighbours", Style::Second, points(&|line| line.neighbours)),
    ];
    let all = lines.iter().flat_map(|line| [Some(line.mean), line.draw, line.neighbours]).flatten();
    let marks = series.into_iter().filter(|(_, _, points)| !points.is_empty());
    Panel {
        title: title.to_owned(),
        x: spanning(format!("root mean square error ({unit})"), all),
        y: Axis::of_names("", lines.iter().map(|line| line.label.clone()).collect()),
        marks: marks.map(|(name, style, points)| Mark::markers(name, style, points)).collect(),
        aspect: Aspect::Wide,
    }
}
