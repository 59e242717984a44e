//! How long a prediction will take: some of its events, spread over the file, drawn, refined and written to files that are thrown
//! away.

use std::path::Path;
use std::time::Instant;

use cei_model::{Device, Team};
use ndarray::s;

use super::fraction::with_fraction;
use super::options::{PredictOptions, PredictStep};
use super::parts::Parts;
use super::prediction::{CHUNK_DRAWS, Prediction, REFINED_EVENTS};
use super::prepared::with_prediction;
use crate::RunError;
use crate::estimate::{Estimate, TRIAL};

/// Events that are tried first, for each thread where they are refined.
const FIRST: usize = 4;
/// How many times as many are tried next, while there is time.
const GROWTH: usize = 4;
/// Bytes of a number of a draw while its chunk is drawn, refined and written.
const CELL: usize = 56;

/// What [`super::predict_to_files`] will take for the events that it has not refined yet, without its page. Nothing is written.
///
/// # Errors
/// As [`super::predict_to_files`].
pub fn estimate_prediction(
    path: &Path,
    options: &PredictOptions,
    device: Device,
    mut watch: impl FnMut(PredictStep<'_>),
) -> Result<Estimate, RunError> {
    // Of the page only events are kept.
    let options = &PredictOptions { report_file: None, ..options.clone() };
    options.check()?;
    options.check_files(path)?;
    let begun = Instant::now();
    let on = format!("{device:?}");
    with_prediction(path, options, device, &mut watch, |prediction, _, watch| {
        let parts = Parts::of(prediction, &on)?.map(Parts::read_only);
        if let Some(parts) = &parts {
            parts.tell(watch);
        }
        let prediction = &with_fraction(prediction, parts.as_ref(), watch)?;
        let preparation_seconds = begun.elapsed().as_secs_f64();
        let events = prediction.rows().len();
        let mut count = events.min(FIRST * rayon::current_num_threads()).max(1);
        let (tried, mut tried_steps) = (Instant::now(), 0);
        let (count, seconds) = loop {
            let (done, seconds) = part(prediction, events / count)?;
            tried_steps += done;
            // A quarter of the time is spent on what comes before the last part.
            if done >= events || tried.elapsed() >= TRIAL {
                break (done, seconds);
            }
            count = events.min(GROWTH * count);
        };
        let left = events - parts.as_ref().map_or(0, Parts::there);
        let draws = prediction.network_draws();
        let chunk = |events: usize| {
            let most = if options.refine { REFINED_EVENTS } else { usize::MAX };
            events.min((CHUNK_DRAWS / draws).clamp(1, most)) * draws.min(CHUNK_DRAWS)
        };
        let more = chunk(events).saturating_sub(chunk(count));
        Ok(Estimate {
            rows: events,
            steps: left,
            of: "events",
            seconds: preparation_seconds + seconds * left as f64 / count.max(1) as f64,
            preparation_seconds,
            tried_steps,
            tried_seconds: tried.elapsed().as_secs_f64(),
            caveat: options
                .refine
                .then_some("events like those that were tried; some take many times as long"),
            more_bytes: more * prediction.tables.inferred().len() * CELL,
        })
    })
}

/// Predicts every `step`-th event into files that do not get their names; gives how many these are, and the seconds.
fn part(prediction: &Prediction<'_>, step: usize) -> Result<(usize, f64), RunError> {
    let step = isize::try_from(step.max(1)).unwrap_or(isize::MAX);
    let y = prediction.y.slice_move(s![prediction.rows();step, ..]);
    let part = Prediction { y, shard: None, ..*prediction };
    let begun = Instant::now();
    let abandon = |_| Err::<(), _>(RunError::Abandoned);
    match part.write(None, &Team::default(), &mut |_: PredictStep<'_>| {}, abandon, |_| None) {
        Ok(()) | Err(RunError::Abandoned) => Ok((y.nrows(), begun.elapsed().as_secs_f64())),
        Err(error) => Err(error),
    }
}
