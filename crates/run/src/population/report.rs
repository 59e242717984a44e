//! What a population is told as: tables, a figure, and one object.

use std::path::Path;

use cei_data::{ColumnData, DroppedRows, Gated, write_table as write_columns};
use cei_report::{PopulationCurve, PopulationPanel, population_curves};
use serde::Serialize;

use crate::RunError;
use crate::folder::layout::POPULATION;
use crate::plausibility::Plausibility;

/// The distribution of geometries in a sample.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PopulationReport {
    /// Events of the file.
    pub events: usize,
    /// Draws of each.
    pub draws: usize,
    /// Events that are left out because the model does not describe them, or because their momenta are no measurements.
    pub left_out: usize,
    /// Events, of those that are not left out, whose posterior is pinned to a limit of the geometry law.
    pub pinned: usize,
    /// Rows of the momenta file that `drop_invalid` and the gate left out.
    pub dropped: DroppedRows,
    /// What the gate on the momentum sum left out, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gated>,
    /// How the file compares with training as a set; absent for a run that has not kept any training momenta.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plausibility: Option<Plausibility>,
    /// The column by which events are parted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The column that says how likely such an event is recorded; absent where all are as likely.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub efficiency: Option<String>,
    /// What bands and intervals hold of the bootstrap.
    pub level: f64,
    /// Events and draws of each that were used, where there was no room for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinned: Option<[usize; 2]>,
    /// One for each value of the column that has enough events.
    pub groups: Vec<GroupPopulation>,
}

/// The distribution of the geometries of some events.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupPopulation {
    /// The value of the column, or its bin; empty where events are not parted.
    pub value: String,
    /// Events that it is inferred from.
    pub events: usize,
    /// False coincidences among all events of the group, where these were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub false_coincidences: Option<FalseShare>,
    /// Of each quantity.
    pub quantities: Vec<QuantityPopulation>,
    /// The normal laws that it is made of.
    pub laws: Vec<Law>,
    /// Peaks that are narrower than noise can tell.
    pub hidden: Vec<HiddenPeak>,
    /// Mean number of draws that hold the weight of an event.
    pub effective_draws: f64,
}

/// The fraction of false coincidences.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FalseShare {
    /// Of largest likelihood, with the population; events outside the model count among them.
    pub fraction: f64,
    /// Its standard deviation.
    pub sd: f64,
}

/// A normal law of a mixture, by quantity.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Law {
    /// Its part.
    pub weight: f64,
    /// Means.
    pub mean: Vec<f64>,
    /// Standard deviations.
    pub sd: Vec<f64>,
}

/// A peak that is narrower than noise can tell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HiddenPeak {
    /// Of which quantity.
    pub quantity: String,
    /// Where.
    pub at: f64,
    /// Which part of the events.
    pub weight: f64,
    /// The standard deviation below which it may have any.
    pub width: f64,
}

/// The distribution of one quantity.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QuantityPopulation {
    /// Its name, which ends in its unit.
    pub quantity: String,
    /// Mean.
    pub mean: Estimate,
    /// Standard deviation.
    pub sd: Estimate,
    /// Median over the events of the standard deviation of their posteriors.
    pub event_sd: f64,
    /// Standard deviation of all draws of all events together, which is no estimate of the population's.
    pub stacked_sd: f64,
    /// The standard deviation below which that of the population cannot be told from none.
    pub resolution: f64,
    /// Whether the interval of the standard deviation lies above that.
    pub resolved: bool,
    /// Places.
    pub values: Vec<f64>,
    /// Density there.
    pub density: Vec<f64>,
    /// Lower ends of the bands.
    pub lower: Vec<f64>,
    /// Upper ends of the bands.
    pub upper: Vec<f64>,
    /// Density of all draws of all events together.
    pub stacked: Vec<f64>,
}

/// A number with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

/// Writes the curves: a row for each place of each quantity of each group.
pub(super) fn write_table(path: &Path, report: &PopulationReport) -> Result<(), RunError> {
    let mut texts: [Vec<Option<String>>; 2] = Default::default();
    let mut numbers: [Vec<f64>; 5] = Default::default();
    for (group, own) in rows(report) {
        for place in 0..own.values.len() {
            texts[0].push(Some(own.quantity.clone()));
            texts[1].push(value_of(group));
            let cells = [&own.values, &own.density, &own.lower, &own.upper, &own.stacked];
            numbers.iter_mut().zip(cells).for_each(|(column, cells)| column.push(cells[place]));
        }
    }
    let names = ["value", "density", "lower", "upper", "stacked"];
    write(path, texts, report, names, numbers)
}

/// Writes mean and standard deviation of each quantity of each group.
pub(super) fn write_summary(path: &Path, report: &PopulationReport) -> Result<(), RunError> {
    let mut texts: [Vec<Option<String>>; 2] = Default::default();
    let mut numbers: [Vec<f64>; 10] = Default::default();
    for (group, own) in rows(report) {
        texts[0].push(Some(own.quantity.clone()));
        texts[1].push(value_of(group));
        let cells = [
            group.events as f64,
            own.mean.value,
            own.mean.lower,
            own.mean.upper,
            own.sd.value,
            own.sd.lower,
            own.sd.upper,
            own.event_sd,
            own.stacked_sd,
            own.resolution,
        ];
        numbers.iter_mut().zip(cells).for_each(|(column, cell)| column.push(cell));
    }
    let names = [
        "events",
        "mean",
        "mean_lower",
        "mean_upper",
        "sd",
        "sd_lower",
        "sd_upper",
        "event_sd",
        "stacked_sd",
        "resolution",
    ];
    write(path, texts, report, names, numbers)
}

fn rows(
    report: &PopulationReport,
) -> impl Iterator<Item = (&GroupPopulation, &QuantityPopulation)> {
    report.groups.iter().flat_map(|group| group.quantities.iter().map(move |own| (group, own)))
}

fn value_of(group: &GroupPopulation) -> Option<String> {
    (!group.value.is_empty()).then(|| group.value.clone())
}

fn write<const N: usize>(
    path: &Path,
    [quantities, values]: [Vec<Option<String>>; 2],
    report: &PopulationReport,
    names: [&str; N],
    numbers: [Vec<f64>; N],
) -> Result<(), RunError> {
    let mut columns = vec![("quantity".to_owned(), ColumnData::Text(quantities))];
    if report.by.is_some() {
        columns.push(("by".to_owned(), ColumnData::Text(values)));
    }
    let numbers = numbers.into_iter().map(ColumnData::F64);
    columns.extend(names.into_iter().map(str::to_owned).zip(numbers));
    Ok(write_columns(path, columns)?)
}

/// Draws the curves of all quantities.
pub(super) fn draw(folder: &Path, report: &PopulationReport) -> Result<(), RunError> {
    let first = report.groups.first();
    let panels: Vec<PopulationPanel<'_>> = first
        .iter()
        .flat_map(|group| 0..group.quantities.len())
        .map(|place| PopulationPanel {
            quantity: &report.groups[0].quantities[place].quantity,
            curves: report
                .groups
                .iter()
                .map(|group| {
                    let own = &group.quantities[place];
                    PopulationCurve {
                        label: &group.value,
                        values: &own.values,
                        density: &own.density,
                        lower: &own.lower,
                        upper: &own.upper,
                        stacked: &own.stacked,
                    }
                })
                .collect(),
        })
        .collect();
    let used: usize = report.groups.iter().map(|group| group.events).sum();
    let by = report.by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
    let title = format!("population of {used} events{by}, {:.0} % bands", 100.0 * report.level);
    population_curves(&folder.join(POPULATION), &title, report.by.as_deref(), &panels)?;
    Ok(())
}
