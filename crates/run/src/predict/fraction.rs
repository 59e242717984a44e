//! The fraction of false coincidences that events are judged with: learned from some of them before the first one is told.

use cei_posterior::FalseCoincidences;
use ndarray::s;
use rayon::prelude::*;

use super::options::PredictStep;
use super::parts::{Part, Parts};
use super::prediction::Prediction;
use crate::RunError;
use crate::trained::draws::draw_positions;

/// Events, evenly spaced, from which the fraction is learned.
const FIRST_EVENTS: usize = 500;

/// The prediction with the fraction, where it asks for false coincidences. Evidences that are among the `parts` are not worked out
/// again.
pub(super) fn with_fraction<'a>(
    prediction: &Prediction<'a>,
    parts: Option<&Parts>,
    watch: &mut impl FnMut(PredictStep<'_>),
) -> Result<Prediction<'a>, RunError> {
    let Some(coincidences) = prediction.coincidences else { return Ok(*prediction) };
    let (y, tables) = (prediction.y, prediction.tables);
    let measured: Vec<usize> = (0..y.nrows()).filter(|event| !tables.is_far_out(*event)).collect();
    let count = measured.len().min(FIRST_EVENTS);
    let first: Vec<usize> =
        (0..count).map(|place| measured[place * measured.len() / count]).collect();
    let there = parts.map(|parts| parts.read_evidence(count)).transpose()?;
    let evidence = match there.unwrap_or(Part::Absent) {
        Part::There(evidence) => evidence,
        part => {
            if let Part::Damaged(path) = part {
                watch(PredictStep::Damaged(&path));
            }
            let evidence: Vec<Option<f64>> = first
                .par_iter()
                .map(|event| log_evidence(prediction, *event))
                .collect::<Result<_, RunError>>()?;
            if let Some(parts) = parts {
                parts.write_evidence(&evidence)?;
            }
            evidence
        }
    };
    let ratios: Vec<f64> = first
        .par_iter()
        .zip(evidence)
        .map(|(event, evidence)| {
            let against = coincidences.against(&y.row(*event).to_vec(), *event);
            against + evidence.unwrap_or(f64::NEG_INFINITY)
        })
        .collect();
    Ok(Prediction { fraction: Some(FalseCoincidences::of(&ratios)?), ..*prediction })
}

/// The evidence of one event, as it comes out with the others.
fn log_evidence(prediction: &Prediction<'_>, event: usize) -> Result<Option<f64>, RunError> {
    let (count, seed) = (prediction.network_draws(), prediction.options.seed);
    let y = prediction.y.slice(s![event..=event, ..]);
    let draws = draw_positions(prediction.run, y, count, seed, event);
    let refined = prediction.refined(event, y, draws.view())?;
    Ok(refined.and_then(|events| events.first().and_then(|event| event.log_evidence)))
}
