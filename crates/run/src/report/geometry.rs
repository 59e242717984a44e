//! Predicted against true distances, angles and columns; without the truth, how what was inferred is distributed.

use cei_report::page::{Aspect, Axis, Block, Drawing, Figure, Mark, Panel, Section, Style};
use ndarray::{Array2, Axis as Of};

use super::histogram::{Series, histogram};
use super::quantities::Quantities;
use super::sample::Sample;
use super::words::{count, list, moments, number, percent, spread};
use crate::RunError;

/// The section about the geometries of all events.
///
/// # Errors
/// Draws that do not fit the run.
pub(super) fn section(sample: &Sample, quantities: &Quantities) -> Result<Section, RunError> {
    let mut blocks: Vec<Block> = quantities.left_out().map(Block::Words).into_iter().collect();
    match Predicted::of(sample, quantities)? {
        None => blocks.push(Block::Notice(format!("None of the {} has draws.", sample.what))),
        Some(predicted) => match sample.truth() {
            Some(truth) => {
                let truth = quantities.values(truth.view())?;
                blocks.push(Block::Figure(against_truth(sample, quantities, &predicted, &truth)));
            }
            None => {
                blocks.push(Block::Words(format!(
                    "The truth of the {} is not known: shown is how what was inferred is distributed over them.",
                    sample.what
                )));
                blocks.push(Block::Figure(distributions(sample, quantities, &predicted)));
            }
        },
    }
    Ok(Section { title: "Geometry".to_owned(), blocks })
}

/// What was inferred for each event with draws.
struct Predicted {
    /// Means over the draws (events x quantities).
    means: Array2<f64>,
    /// Standard deviations over the draws (events x quantities); zero of a single one.
    sds: Array2<f64>,
    /// The draws of all events (rows x quantities).
    draws: Array2<f64>,
    /// Of each event, whether it has draws.
    has_draws: Vec<bool>,
}

impl Predicted {
    fn of(sample: &Sample, quantities: &Quantities) -> Result<Option<Self>, RunError> {
        let has_draws: Vec<bool> =
            sample.events.iter().map(|event| event.draws.nrows() > 0).collect();
        let views: Vec<_> = sample
            .events
            .iter()
            .map(|event| event.draws.view())
            .filter(|d| d.nrows() > 0)
            .collect();
        if views.is_empty() {
            return Ok(None);
        }
        let together = match ndarray::concatenate(Of(0), &views) {
            Ok(rows) => quantities.values(rows.view())?,
            Err(_) => unreachable!("all draws have the columns of the run"),
        };
        let shape = (views.len(), together.ncols());
        let (mut means, mut sds) = (Array2::zeros(shape), Array2::zeros(shape));
        let mut rest = together.view();
        for (event, draws) in views.iter().enumerate() {
            let (own, others) = rest.split_at(Of(0), draws.nrows());
            for (column, values) in own.columns().into_iter().enumerate() {
                let [mean, sd] = moments(values.iter().copied()).unwrap_or([f64::NAN; 2]);
                (means[[event, column]], sds[[event, column]]) = (mean, sd);
            }
            rest = others;
        }
        Ok(Some(Self { means, sds, draws: together, has_draws }))
    }
}

fn against_truth(
    sample: &Sample,
    quantities: &Quantities,
    predicted: &Predicted,
    truth: &Array2<f64>,
) -> Figure {
    let kept: Vec<usize> = (0..truth.nrows()).filter(|event| predicted.has_draws[*event]).collect();
    let truth = truth.select(Of(0), &kept);
    let mut words = Vec::new();
    let panels: Vec<Panel> = quantities
        .shown
        .iter()
        .map(|&quantity| {
            let (truth, predicted) = (truth.column(quantity), predicted.means.column(quantity));
            let residuals = truth.iter().zip(predicted).map(|(truth, predicted)| predicted - truth);
            let [bias, _] = moments(residuals.clone()).unwrap_or([f64::NAN; 2]);
            let rmse = moments(residuals.map(|r| r * r)).map_or(f64::NAN, |[mean, _]| mean.sqrt());
            let [_, sd] = moments(truth.iter().copied()).unwrap_or([f64::NAN; 2]);
            let (name, unit) = (quantities.name(quantity), quantities.unit(quantity));
            words.push((name.to_owned(), unit.to_owned(), rmse, bias, sd));
            let points = truth.iter().copied().zip(predicted.iter().copied()).collect::<Vec<_>>();
            let ends = points.iter().flat_map(|(a, b)| [*a, *b]).filter(|v| v.is_finite());
            let (low, high) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
                (low.min(v), high.max(v))
            });
            let room = if high > low { 0.04 * (high - low) } else { 0.05 * low.abs().max(1.0) };
            let (low, high) = (low - room, high + room);
            Panel {
                title: format!("{name}: RMSE {} {unit}", number(rmse)),
                x: Axis::new(quantities.with_unit("true", quantity)).from_to(low, high),
                y: Axis::new(quantities.with_unit("predicted: mean of the draws", quantity))
                    .from_to(low, high),
                marks: vec![
                    Mark::points("events", Style::First, points),
                    Mark::guide("exact", vec![(low, low), (high, high)]),
                ],
                aspect: Aspect::Square,
            }
        })
        .collect();
    Figure {
        name: "predicted".to_owned(),
        title: format!("Predicted against true, {}", of_all(sample, kept.len())),
        reading: truth_in_words(&words),
        drawing: Drawing::Panels(panels),
    }
}

/// `1000 of 30000 test events`.
fn of_all(sample: &Sample, shown: usize) -> String {
    if shown < sample.total {
        format!("{shown} of {} {}", sample.total, sample.what)
    } else {
        format!("{shown} {}", sample.what)
    }
}

/// Name, unit, root mean square error, bias and standard deviation of the truth of each quantity.
fn truth_in_words(words: &[(String, String, f64, f64, f64)]) -> String {
    let explained = |(.., rmse, _, sd): &(String, String, f64, f64, f64)| 1.0 - (rmse / sd).powi(2);
    let mut order: Vec<_> = words.iter().filter(|word| word.4 > 0.0).collect();
    order.sort_by(|a, b| explained(a).total_cmp(&explained(b)));
    let (Some(worst), Some(best)) = (order.first(), order.last()) else {
        return "None of these quantities varies, so there is nothing to predict.".to_owned();
    };
    let share = |of: &(String, String, f64, f64, f64)| percent(explained(of).max(0.0));
    let biased = order.iter().max_by(|a, b| (a.3 / a.2).abs().total_cmp(&(b.3 / b.2).abs()));
    let bias = biased.map_or_else(String::new, |(name, unit, _, bias, _)| {
        format!("; the largest bias, for its error, is {} {unit} of {name}", signed(*bias))
    });
    if best.0 == worst.0 {
        return format!(
            "The posterior mean tells {} of the variance of {}{bias}.",
            share(best),
            best.0
        );
    }
    format!(
        "The posterior mean tells {} of the variance of {} and {} of that of {}{bias}.",
        share(best),
        best.0,
        share(worst),
        worst.0
    )
}

fn signed(value: f64) -> String {
    if value > 0.0 { format!("+{}", number(value)) } else { number(value) }
}

fn distributions(sample: &Sample, quantities: &Quantities, predicted: &Predicted) -> Figure {
    let mut words = Vec::new();
    let panels: Vec<Panel> = quantities
        .shown
        .iter()
        .map(|&quantity| {
            let (name, unit) = (quantities.name(quantity), quantities.unit(quantity));
            let means = predicted.means.column(quantity).to_vec();
            let draws = predicted.draws.column(quantity).to_vec();
            let [mean, between] = moments(means.iter().copied()).unwrap_or([f64::NAN; 2]);
            let within = spread(predicted.sds.column(quantity).iter().copied());
            let within = within.map_or(f64::NAN, |[_, median, _]| median);
            words.push(format!(
                "{name} {} {unit} (sd between events {}, of one posterior {})",
                number(mean),
                number(between),
                number(within)
            ));
            let series = [
                Series { name: "all draws", style: Style::First, values: draws },
                Series { name: "means of the events", style: Style::Second, values: means },
            ];
            histogram(name, quantities.label(quantity), &series)
        })
        .collect();
    Figure {
        name: "inferred".to_owned(),
        title: format!("What was inferred, {}", of_all(sample, predicted.means.nrows())),
        reading: format!(
            "Means over {}: {}.",
            count(predicted.means.nrows(), "event"),
            list(&words)
        ),
        drawing: Drawing::Panels(panels),
    }
}
