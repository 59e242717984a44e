//! How long a training will take: steps of its own, on its rows, timed and thrown away.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use cei_model::ConditionalModel;
use cei_model::random::{Purpose, stream};
use cei_train::{EpochRecord, Observer, Progress, TrainError, TrainingRows, train};

use super::begin::{load, prepare};
use super::member::Prepared;
use super::plan::TrainingPlan;
use crate::dataset::making_seconds;
use crate::estimate::{Estimate, TRIAL};
use crate::trained::build;
use crate::{Experiment, RunError};

/// Steps that start threads and fill caches; they are not timed.
const WARM: usize = 3;
/// Steps that are timed at least.
const LEAST: usize = 10;
/// Rows whose loss is computed at once, as in a training.
const VALIDATION_CHUNK: usize = 4096;
/// Copies of the parameters in memory while a checkpoint is written and a model is saved.
const COPIES: usize = 6;
/// Those in a checkpoint: parameters, the best ones, their average, two moments.
const KEPT: usize = 5;
/// Checkpoints that are timed: what a disk takes differs from one to the next.
const CHECKPOINTS: u32 = 3;
/// Bytes of the figure of the learning curves while it is drawn.
const FIGURE: usize = 24 << 20;

/// What [`super::train_run`] will take if all epochs are run. Nothing is left, and the folder `path` is not made.
///
/// # Errors
/// As [`super::train_run`].
pub fn estimate_training(
    experiment: &Experiment,
    path: &Path,
    device_name: &str,
    announce: impl FnOnce(&TrainingPlan),
) -> Result<Estimate, RunError> {
    let begun = Instant::now();
    let loaded = load(experiment, path, device_name, false, announce)?;
    let prepared = prepare(loaded, device_name)?;
    let preparation_seconds = begun.elapsed().as_secs_f64();
    let Prepared { rows, recipe, preprocessing, device, .. } = &prepared;
    let config = &experiment.training;
    let mut model = build(&experiment.model, preprocessing, config.seed, device.clone())?;
    let (stop, tried) = (AtomicBool::new(false), Instant::now());
    let mut watch = Stopwatch::new(&stop);
    train(model.as_mut(), rows, config, None, false, &stop, &mut watch)?;
    let per_row = loss_seconds(model.as_ref(), rows, config.seed).map_err(TrainError::Read)?;
    let batches = rows.training.len().div_ceil(config.batch_size);
    let steps = batches as f64 * watch.seconds_a_step();
    let validation = rows.validation.len() as f64 * per_row;
    let making = recipe.as_ref().map(|recipe| making_seconds(recipe, preprocessing, config.seed));
    // What makes the next rows takes its share of the processors from the steps; they wait for it where it is slower.
    let epoch = match making.transpose()? {
        None => steps + validation,
        Some(making) => (steps + 0.5 * making + validation).max(making),
    };
    let (members, epochs) = (config.ensemble, config.max_epochs);
    let latents = rows.training.len() as f64 * per_row;
    let parameters = model.parameters().values.len();
    let epoch = epoch + checkpoint_seconds(path, KEPT * parameters * size_of::<f32>())?;
    let new_rows = recipe.as_ref().map_or(0, |_| {
        2 * rows.training.len() * rows.training.widths().iter().sum::<usize>() * size_of::<f32>()
    });
    Ok(Estimate {
        rows: rows.training.len(),
        steps: members * epochs * batches,
        of: "batches",
        seconds: preparation_seconds + members as f64 * (epochs as f64 * epoch + latents),
        preparation_seconds,
        tried_steps: watch.steps,
        tried_seconds: tried.elapsed().as_secs_f64(),
        caveat: (config.patience < epochs)
            .then_some("all epochs; it ends earlier where the validation loss does not improve"),
        more_bytes: COPIES * parameters * size_of::<f32>() + new_rows + FIGURE,
    })
}

/// Times the steps of a training, and ends it when it has timed enough.
struct Stopwatch<'a> {
    stop: &'a AtomicBool,
    begun: Instant,
    /// When the last step ended; none after an epoch, when something else than a step came between.
    last: Option<Instant>,
    steps: usize,
    timed: usize,
    seconds: f64,
}

impl<'a> Stopwatch<'a> {
    fn new(stop: &'a AtomicBool) -> Self {
        Self { stop, begun: Instant::now(), last: None, steps: 0, timed: 0, seconds: 0.0 }
    }

    fn seconds_a_step(&self) -> f64 {
        match self.timed {
            // A training of so few steps is over at once.
            0 => self.begun.elapsed().as_secs_f64() / self.steps.max(1) as f64,
            timed => self.seconds / timed as f64,
        }
    }
}

impl Observer for Stopwatch<'_> {
    fn batch(&mut self, _progress: &Progress) {
        self.steps += 1;
        let now = Instant::now();
        if let Some(last) = self.last.filter(|_| self.steps > WARM) {
            self.timed += 1;
            self.seconds += (now - last).as_secs_f64();
        }
        self.last = Some(now);
        if self.timed >= LEAST && self.begun.elapsed() >= TRIAL {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    fn epoch(&mut self, _progress: &Progress, _record: &EpochRecord) {
        self.last = None;
        // Epochs of one step each have no time between two of them.
        if self.begun.elapsed() >= TRIAL {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

/// Seconds that a checkpoint of so many bytes takes to reach the disk, as after every epoch. It is written beside the run
/// folder, which is not there yet, and removed.
fn checkpoint_seconds(path: &Path, bytes: usize) -> Result<f64, RunError> {
    let is_there = |folder: &&Path| folder.as_os_str().is_empty() || folder.is_dir();
    let folder = path.ancestors().skip(1).find(is_there).unwrap_or(Path::new(""));
    let file = folder.join(format!(".cei-dry-run-{}", std::process::id()));
    let begun = Instant::now();
    for _ in 0..CHECKPOINTS {
        cei_files::write(&file, &vec![0; bytes])?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    std::fs::remove_file(&file).map_err(RunError::io("remove", &file))?;
    Ok(seconds / f64::from(CHECKPOINTS))
}

/// Seconds that the loss of a row takes without its gradient.
fn loss_seconds(model: &dyn ConditionalModel, rows: &TrainingRows, seed: u64) -> io::Result<f64> {
    let Some(chunk) = rows.validation.chunks(VALIDATION_CHUNK).next().transpose()? else {
        return Ok(0.0);
    };
    let batch = chunk.batch();
    let mut seconds = 0.0;
    // The first time allocates.
    for _ in 0..2 {
        let begun = Instant::now();
        model.loss(batch, &mut stream(seed, Purpose::ValidationNoise, 0));
        seconds = begun.elapsed().as_secs_f64();
    }
    Ok(seconds / batch.x.nrows() as f64)
}
