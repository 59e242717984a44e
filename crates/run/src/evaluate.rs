//! Scoring a trained run on rows it has not seen (`docs/spec.md#evaluation`). Test positions are compared with draws;
//! they never reach the model, except in the two places that need them by definition: the exact
//! likelihood and the invertibility check.
//!
//! | in | is |
//! | --- | --- |
//! | `table` | the rows to be scored |
//! | `scores` | errors, coverage and baselines, added up over events |
//! | `molecule` | bond lengths, angles, momenta of draws that are exploded again |
//! | `likelihood` | the exact likelihood, or its bound |
//! | `detected` | the same by the ions that were detected |
//! | `floor` | the least error that any method can reach |
//! | `report` | the scores as they are told and kept |
//! | `figures` | predictions, residuals, coverage |

mod detected;
mod figures;
mod floor;
mod likelihood;
mod molecule;
mod report;
mod scores;
mod table;

use std::path::Path;

use cei_data::Copies;
use cei_model::Device;
use ndarray::s;

use crate::config::MOST_DRAWS;
use crate::dataset::{Dataset, trained_on, warning};
use crate::folder::layout::EVALUATION;
use crate::folder::sealed::{not_kept, write_json};
use crate::plausibility::{Plausibility, Support, Training};
use crate::trained::draws::{check_draws, draw_positions};
use crate::trained::{initial_momentum_law, log_prob_of_draws, log_prob_of_truth};
use crate::{RunError, TrainedRun};

use detected::ByDetected;
pub use floor::Floor;
use floor::floor;
use likelihood::likelihood;
pub use report::{DetectedScores, RunEvaluation, Scored, ScoredRows};
use scores::{Pairs, Scores};
pub use table::RowsToScore;
use table::ScoredTable;

/// Events whose draws are in memory at once.
const CHUNK: usize = 500;

/// Events whose draws are ranked by density: the density of a draw costs as much as the draw.
const DENSITY_EVENTS: usize = 10_000;

/// What to score, and how.
#[derive(Debug, Clone, Default)]
pub struct EvaluateOptions {
    /// Which rows.
    pub rows: RowsToScore,
    /// Draws of each event; by default those of the configuration.
    pub draws: Option<usize>,
    /// Seed of the draws.
    pub seed: u64,
}

/// Scores a run, and first tells `judged` how another table than its own compares with training as a set; on its own test
/// rows the result and its figures are also written into its folder, if it can be written.
///
/// # Errors
/// No trained model, a table that cannot be loaded or is not the one of the training, too few draws.
///
/// ```
/// # let (folder, run) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/tiny_run.in"));
/// use cei_run::evaluate::{EvaluateOptions, evaluate_run};
///
/// let device = cei_model::open_device("cpu")?;
/// let evaluation = evaluate_run(&run, &EvaluateOptions::default(), device, |_| {}, |_, _| {})?;
/// // A flow has an exact density, and a bond length the mean of its draws.
/// assert!(evaluation.scores.likelihood.is_some());
/// assert!(run.join("evaluation.json").exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn evaluate_run(
    path: &Path,
    options: &EvaluateOptions,
    device: Device,
    judged: impl FnOnce(&Plausibility),
    progress: impl FnMut(usize, usize),
) -> Result<RunEvaluation, RunError> {
    let run = TrainedRun::load(path, device)?;
    let count = options.draws.unwrap_or(run.experiment.evaluation.draws);
    check_draws(count, 2, MOST_DRAWS)?;
    let own = own_dataset(&run, &options.rows)?;
    let mut scored = ScoredTable::load(&run, own.as_ref(), &options.rows)?;
    let plausibility = judge(&run, &scored)?;
    if let Some(plausibility) = &plausibility {
        judged(plausibility);
    }
    let trained_on = trained_on(&run, scored.raw_x.view(), scored.raw_y.view())?;
    let out_of_bounds = scored.out_of_bounds(&run);
    let mut by_detected = ByDetected::new(&run, &scored)?;
    let scores =
        score(&run, own.as_ref(), &scored, (count, options.seed), &mut by_detected, progress)?;
    let likelihood = likelihood(&run, &scored, options.seed);
    let preprocessing = &run.record.preprocessing;
    let total = scored.x.nrows();
    let scored_of = own.as_ref().filter(|_| !matches!(options.rows, RowsToScore::Other(_)));
    let mut evaluation = RunEvaluation {
        scores: scores.finish(&run, &scored, count, &likelihood)?,
        by_detected: by_detected.finish(&run, &likelihood.of_rows)?,
        floor: match scored.made_by(&run)? {
            Some(simulation) => floor(&run, &simulation, scored.raw_x.view())?,
            None => None,
        },
        active_latent: run.record.training.active_latent,
        plausibility,
        readings: std::mem::take(&mut scored.readings),
        scored: Scored {
            model: run.record.name(),
            files: scored.files,
            rows: scored.rows,
            data_fingerprint: scored.fingerprint,
            weights_sha256: Some(run.record.weights_sha256.clone()),
            trained_on,
            out_of_bounds,
            frame: preprocessing.frame_description(),
            unit: run.experiment.columns.x_unit.internal().map(str::to_owned),
            latent: run.experiment.evaluation.latent,
            degenerate_noise_sd: preprocessing.noise_directions().map(|(_, sd)| f64::from(sd)),
            seed: options.seed,
        },
        not_kept: None,
        warnings: warnings(&run, scored_of, trained_on, out_of_bounds, total),
    };
    if evaluation.scored.rows == ScoredRows::Test {
        evaluation.not_kept = keep(&run, &scores.pairs, &evaluation)?;
    }
    Ok(evaluation)
}

/// How another table than the run's own compares with training as a set.
fn judge(run: &TrainedRun, scored: &ScoredTable) -> Result<Option<Plausibility>, RunError> {
    let Some(support) = Support::load(run)?.filter(|_| scored.rows == ScoredRows::OtherTable)
    else {
        return Ok(None);
    };
    let raw_y = scored.raw_y.view();
    let outside = support.judge(&run.record.preprocessing, raw_y)?;
    Ok(Some(Training::of_run(run, &support, &scored.y_unit).judge(raw_y, Some(&outside))))
}

/// Draws positions for every row, and adds up what they score.
fn score(
    run: &TrainedRun,
    own: Option<&Dataset>,
    scored: &ScoredTable,
    (count, seed): (usize, u64),
    by_detected: &mut ByDetected,
    mut progress: impl FnMut(usize, usize),
) -> Result<Scores, RunError> {
    let mut scores = Scores::new(run, own, seed)?;
    let total = scored.x.nrows();
    for start in (0..total).step_by(CHUNK) {
        let end = (start + CHUNK).min(total);
        let rows = s![start..end, ..];
        let (raw_x, raw_y) = (scored.raw_x.slice(rows), scored.raw_y.slice(rows));
        let draws = draw_positions(run, raw_y, count, seed, start);
        let densities = if start < DENSITY_EVENTS {
            let truth = log_prob_of_truth(run, raw_x, raw_y, seed, start);
            truth.zip(log_prob_of_draws(run, &draws, raw_y, seed, start))
        } else {
            None
        };
        scores.add_densities(densities.as_ref())?;
        by_detected.add(start, scored.x.slice(rows), &draws, densities.as_ref())?;
        scores.add(run, scored.x.slice(rows), raw_y, scored.y.slice(rows), &draws)?;
        progress(end, total);
    }
    Ok(scores)
}

/// Writes scores and figures into the folder of the run. A folder that cannot be written is told, but takes the
/// scores from nobody.
fn keep(
    run: &TrainedRun,
    pairs: &Pairs,
    evaluation: &RunEvaluation,
) -> Result<Option<String>, RunError> {
    let kept = write_json(&run.path.join(EVALUATION), evaluation)
        .and_then(|()| figures::draw(run, pairs, evaluation));
    not_kept(kept)
}

/// The table that the run was trained on; where another table is scored it only serves the baselines, and may be missing.
fn own_dataset(run: &TrainedRun, rows: &RowsToScore) -> Result<Option<Dataset>, RunError> {
    match (Dataset::of_run(run), rows) {
        (Ok(dataset), _) => Ok(Some(dataset)),
        (Err(_), RowsToScore::Other(_)) => Ok(None),
        (Err(error), _) => Err(error),
    }
}

fn warnings(
    run: &TrainedRun,
    own: Option<&Dataset>,
    trained_on: Option<Copies>,
    out_of_bounds: usize,
    rows: usize,
) -> Vec<String> {
    let bounds = (out_of_bounds > 0).then(|| {
        format!("{out_of_bounds} of {rows} rows lie outside of `preprocessing.bounds`: no draw is there, and their density is zero")
    });
    let moving = run.record.simulation.as_ref().is_some_and(|law| !law.starts_at_rest());
    let from_rest = (moving && initial_momentum_law(run).is_none()).then(|| {
        "the ions of the simulation move before they fly apart, by no law that is known at given positions: momenta are re-simulated from rest, and differ by that, too".to_owned()
    });
    let averaged = run.averages_charges().then(|| {
        "the charge states of the events differ and are not among its columns: momenta are not re-simulated".to_owned()
    });
    let from_rest = from_rest.or(averaged);
    let some = own.and_then(|own| Some((own.table.rows(), own.some.as_ref()?.of)));
    let some = some.map(|(kept, of)| {
        format!("the table stays on the disk (`source.stream`): {kept} of its {} rows are in memory, and scored are the test rows among them", of.iter().sum::<usize>())
    });
    warning(trained_on).into_iter().chain(some).chain(bounds).chain(from_rest).collect()
}
