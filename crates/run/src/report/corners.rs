//! Corner plots of single events: draws, truth and modes.

use cei_report::page::{Block, Corner, CornerMode, Drawing, Figure, Section};
use ndarray::Array2;

use super::quantities::Quantities;
use super::sample::{CORNERS, CornerEvent, Sample, row};
use super::words::{list, moments, number, percent, spaced};
use crate::RunError;

/// Draws that are drawn at most.
const MOST_DRAWS: usize = 500;
/// Modes that are marked at most.
const MOST_MODES: usize = 6;

/// Which of the events of a sample are shown alone (their places), and why: those that are flagged, then a typical one, the
/// widest, and the one whose truth is the furthest from its draws.
///
/// # Errors
/// Draws that do not fit the run.
pub(super) fn chosen(
    sample: &Sample,
    quantities: &Quantities,
) -> Result<Vec<(usize, String)>, RunError> {
    let mut chosen: Vec<(usize, String)> = Vec::new();
    let flagged = sample.events.iter().enumerate().filter(|(_, event)| !event.flags.is_empty());
    for (place, event) in flagged.take(CORNERS / 2) {
        chosen.push((place, format!("flagged: {}", event.flags)));
    }
    let mut widths: Vec<(usize, f64)> = Vec::new();
    let mut furthest: Option<(usize, f64)> = None;
    for (place, event) in sample.events.iter().enumerate().filter(|(_, e)| e.draws.nrows() > 1) {
        let values = quantities.values(event.draws.view())?;
        let truth = event.truth.as_ref().map(|truth| quantities.values(row(truth))).transpose()?;
        let (mut logs, mut distance) = (0.0, 0.0_f64);
        for &quantity in &quantities.corner {
            let [mean, sd] = moments(values.column(quantity).iter().copied()).unwrap_or([0.0; 2]);
            logs += sd.max(1e-300).ln();
            if let Some(truth) = &truth {
                distance = distance.max((mean - truth[[0, quantity]]).abs() / sd.max(1e-300));
            }
        }
        widths.push((place, logs));
        if truth.is_some() && furthest.is_none_or(|(_, most)| distance > most) {
            furthest = Some((place, distance));
        }
    }
    widths.sort_by(|a, b| a.1.total_cmp(&b.1));
    let median =
        widths.get(widths.len() / 2).map(|(place, _)| (*place, "a posterior of typical width"));
    let widest = widths.last().map(|(place, _)| (*place, "the widest posterior"));
    let furthest =
        furthest.map(|(place, _)| (place, "the truth furthest from the draws, for their width"));
    for (place, why) in [median, widest, furthest].into_iter().flatten() {
        if chosen.len() < CORNERS && chosen.iter().all(|(known, _)| *known != place) {
            chosen.push((place, why.to_owned()));
        }
    }
    Ok(chosen)
}

/// The section about single events.
///
/// # Errors
/// Draws that do not fit the run.
pub(super) fn section(sample: &Sample, quantities: &Quantities) -> Result<Section, RunError> {
    let mut blocks = Vec::new();
    if sample.corners.is_empty() {
        blocks.push(Block::Notice(format!("None of the {} has draws.", sample.what)));
    } else if let Some(why) = &sample.no_modes {
        blocks.push(Block::Words(format!("Modes are not marked: {why}.")));
    }
    for corner in &sample.corners {
        blocks.push(match figure(corner, quantities)? {
            Some(figure) => Block::Figure(figure),
            None => Block::Notice(format!(
                "Event {} ({}) has no draws: nothing was inferred.",
                corner.event.number, corner.why
            )),
        });
    }
    Ok(Section { title: "Single events".to_owned(), blocks })
}

fn figure(of: &CornerEvent, quantities: &Quantities) -> Result<Option<Figure>, RunError> {
    let CornerEvent { event, why, modes } = of;
    if event.draws.nrows() == 0 {
        return Ok(None);
    }
    let pick = |values: &Array2<f64>, row: usize| -> Vec<f64> {
        quantities.corner.iter().map(|quantity| values[[row, *quantity]]).collect()
    };
    let values = quantities.values(event.draws.view())?;
    let truth = match &event.truth {
        Some(truth) => Some(pick(&quantities.values(row(truth))?, 0)),
        None => None,
    };
    let marked = modes.iter().take(MOST_MODES).map(|mode| {
        let values = quantities.values(row(&mode.inferred))?;
        Ok(CornerMode { values: pick(&values, 0), weight: mode.weight })
    });
    let corner = Corner {
        quantities: quantities.corner.iter().map(|quantity| quantities.label(*quantity)).collect(),
        draws: spaced(values.nrows(), MOST_DRAWS)
            .into_iter()
            .map(|draw| pick(&values, draw))
            .collect(),
        truth,
        modes: marked.collect::<Result<_, RunError>>()?,
    };
    let reading = in_words(of, quantities, &values, &corner);
    Ok(Some(Figure {
        name: format!("event-{}", event.number),
        title: format!("Event {}: {why}", event.number),
        reading,
        drawing: Drawing::Corner(corner),
    }))
}

fn in_words(
    of: &CornerEvent,
    quantities: &Quantities,
    values: &Array2<f64>,
    corner: &Corner,
) -> String {
    let mut posterior = Vec::new();
    let mut distances = Vec::new();
    for (place, &quantity) in quantities.corner.iter().enumerate() {
        let [mean, sd] = moments(values.column(quantity).iter().copied()).unwrap_or([f64::NAN; 2]);
        let (name, unit) = (quantities.name(quantity), quantities.unit(quantity));
        posterior
            .push(format!("{name} {} ± {} {unit}", number(mean), number(sd)).trim_end().to_owned());
        if let Some(truth) = &corner.truth {
            distances.push(format!("{:+.1}", (truth[place] - mean) / sd.max(1e-300)));
        }
    }
    let mut text = format!("The draws say {}", list(&posterior));
    if !distances.is_empty() {
        text.push_str(&format!(
            "; the truth lies {} standard deviations from their means",
            list(&distances)
        ));
    }
    let weights: Vec<String> =
        of.modes.iter().take(MOST_MODES).filter_map(|mode| mode.weight).map(percent).collect();
    let more = of.modes.len().saturating_sub(MOST_MODES);
    let more =
        if more > 0 { format!(" (the first {MOST_MODES} are marked)") } else { String::new() };
    match of.modes.len() {
        0 => {}
        1 => text.push_str("; one geometry explains the momenta"),
        number if weights.is_empty() => {
            text.push_str(&format!("; {number} geometries explain the momenta{more}"));
        }
        number => text.push_str(&format!(
            "; {number} geometries explain the momenta, with probabilities {}{more}",
            list(&weights)
        )),
    }
    text + "."
}
