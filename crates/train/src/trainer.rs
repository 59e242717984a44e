//! The training loop (`docs/spec.md#training`).

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use cei_model::random::{Purpose, stream};
use cei_model::{Batch, ConditionalModel, Gradient, HyperParameterError, Loss, Team};
use thiserror::Error;

use crate::adam::{Adam, StepSize};
use crate::average;
use crate::checkpoint::{Checkpoint, State};
use crate::muon::Muon;
use crate::row_set::{FileRows, RowSet};
use crate::rows::{Gathered, Rows, shuffled};
use crate::{
    CheckpointError, DegenerateNoise, EarlyStopping, EpochRecord, EpochRows, EpochRowsError,
    History, Observer, Optimizer, Progress, TrainingConfig, TrainingRows, Verdict,
};

/// Rows of the validation part that go through the model at once.
const VALIDATION_CHUNK: usize = 4096;

/// Stream of the degenerate noise of the validation rows; no training step has this number.
const VALIDATION_STREAM: u64 = u64::MAX;

/// Training rows that a model may set parameters from before its first step. Their order is random
/// since the split.
const INITIAL_ROWS: usize = 4096;

/// Stream of the degenerate noise of these rows; no training step has this number.
const INITIAL_STREAM: u64 = u64::MAX - 1;

/// Why a training ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StopReason {
    /// The validation loss did not improve for `patience` epochs.
    Patience,
    /// `max_epochs` were reached.
    MaxEpochs,
    /// It was asked to stop; a resumed training continues at this batch.
    Interrupted,
    /// The loss became no number: this is a failure, but the best parameters so far are kept.
    Diverged(Divergence),
}

/// A loss that is no number.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[error("the loss became {loss} in epoch {epoch}, {}{}\nhint: {}", place(*batch), kept(*best), cause(self))]
pub struct Divergence {
    /// Counted from 1.
    pub epoch: usize,
    /// Counted from 1; none for the validation rows.
    pub batch: Option<usize>,
    /// NaN or an infinity.
    pub loss: f64,
    /// Epoch of the parameters that are kept.
    pub best: Option<usize>,
}

fn place(batch: Option<usize>) -> String {
    batch.map_or_else(|| "on the validation rows".to_owned(), |batch| format!("batch {batch}"))
}

fn kept(best: Option<usize>) -> String {
    best.map_or_else(String::new, |epoch| format!("; the parameters of epoch {epoch} are kept"))
}

fn cause(divergence: &Divergence) -> &'static str {
    if divergence.epoch == 1 && divergence.batch == Some(1) {
        "the very first loss is no number already: look for extreme values with `cei inspect`"
    } else if divergence.batch.is_none() {
        "look for extreme values in the validation rows with `cei inspect`; otherwise the steps are likely too large: lower `training.learning_rate`"
    } else {
        "the steps are likely too large: lower `training.learning_rate` or set `training.gradient_clip`"
    }
}

/// The result of a training. The model then has the parameters of the lowest validation loss.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingReport {
    /// Why it ended.
    pub reason: StopReason,
    /// Epoch and value of the lowest validation loss; none if no epoch was finished.
    pub best: Option<(usize, f64)>,
    /// The finished epochs.
    pub history: History,
}

/// A training that failed.
#[derive(Debug, Error)]
pub enum TrainError {
    /// A value of the configuration is out of range.
    #[error(transparent)]
    Config(#[from] HyperParameterError),
    /// There is nothing to train or to validate on.
    #[error(
        "there are {training} training and {validation} validation rows; each part needs at least one"
    )]
    NoRows {
        /// Rows of the training part.
        training: usize,
        /// Rows of the validation part.
        validation: usize,
    },
    /// The rows of an epoch cannot be made.
    #[error("the rows of epoch {epoch} cannot be made: {source}")]
    Rows {
        /// The epoch, counted from 1.
        epoch: usize,
        /// Why.
        source: EpochRowsError,
    },
    /// An epoch has another number of rows than the first one.
    #[error("epoch {epoch} has {found} training rows, but the first one had {expected}")]
    OtherRows {
        /// The epoch, counted from 1.
        epoch: usize,
        /// Its rows.
        found: usize,
        /// Rows of the first epoch.
        expected: usize,
    },
    /// The file that the rows were put into cannot be read.
    #[error("the file that keeps the rows cannot be read: {0}\nhint: is its disk still there?")]
    Read(io::Error),
    /// The checkpoint cannot be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// Trains `model` on `rows`.
///
/// `checkpoint` is the file that is written after every epoch and when `stop` becomes true; with
/// `resume` the training continues from what it holds. At the end the model has the parameters of
/// the lowest validation loss.
///
/// # Errors
/// A value out of range, no rows, a loss that is no number, or a checkpoint that cannot be read or
/// written.
pub fn train(
    model: &mut dyn ConditionalModel,
    rows: &TrainingRows,
    config: &TrainingConfig,
    checkpoint: Option<&Path>,
    resume: bool,
    stop: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<TrainingReport, TrainError> {
    let team = &Team::default();
    train_on_new_rows(model, rows, None, config, checkpoint, resume, stop, observer, team)
}

/// The same, with new training rows from `fresh` in every epoch after the first. Those of the next epoch
/// are made while an epoch trains.
///
/// The processes of a `team` share the rows of each batch, and end with the same model to the bit, that of one process. All
/// of them call this with the same arguments; the first one writes the checkpoint. They stop together when one is asked to.
///
/// # Errors
/// As [`train`], and rows that cannot be made.
#[allow(
    clippy::too_many_arguments,
    reason = "those of `train`, the source of rows and who shares them"
)]
pub fn train_on_new_rows(
    model: &mut dyn ConditionalModel,
    rows: &TrainingRows,
    fresh: Option<&mut dyn EpochRows>,
    config: &TrainingConfig,
    checkpoint: Option<&Path>,
    resume: bool,
    stop: &AtomicBool,
    observer: &mut dyn Observer,
    team: &Team,
) -> Result<TrainingReport, TrainError> {
    config.check()?;
    if rows.training.is_empty() || rows.validation.is_empty() {
        return Err(TrainError::NoRows {
            training: rows.training.len(),
            validation: rows.validation.len(),
        });
    }
    let state = match checkpoint {
        Some(path) if resume => {
            let state = Checkpoint::load(path, model.parameters().values.len())?;
            if state.average.is_some() != (config.ema_decay > 0.0) {
                return Err(CheckpointError::OtherAverage { path: path.to_owned() }.into());
            }
            state
        }
        _ => {
            initialise(model, rows, config).map_err(TrainError::Read)?;
            start(model, config)
        }
    };
    let capacity = config.batch_size.min(rows.training.len());
    let training = Training {
        gradient: Gradient::shared(team.clone()),
        muon: (config.optimizer == Optimizer::Muon).then(|| Muon::new(&model.parameters().layout)),
        batch: Gathered::new(rows.training.widths(), capacity),
        next: Gathered::new(rows.training.widths(), capacity),
        started: Instant::now(),
        rows_done: 0,
        new_rows: None,
        model,
        rows,
        fresh: fresh.map(|fresh| fresh as &mut dyn EpochRows),
        config,
        state,
    };
    training.run(checkpoint, stop, observer)
}

/// Shows the model some training rows before its first step.
fn initialise(
    model: &mut dyn ConditionalModel,
    rows: &TrainingRows,
    config: &TrainingConfig,
) -> io::Result<()> {
    let some = rows.training.some(INITIAL_ROWS)?;
    let order: Vec<u32> = (0..some.len() as u32).collect();
    let mut batch = Gathered::new(rows.training.widths(), some.len());
    gather(config, &some, rows.degenerate.as_ref(), INITIAL_STREAM, &order, &mut batch);
    model.initialise(batch.batch());
    Ok(())
}

fn start(model: &dyn ConditionalModel, config: &TrainingConfig) -> Checkpoint {
    let parameters = model.parameters().values.clone();
    let terms: Vec<String> = model.loss_terms().iter().map(|term| (*term).to_owned()).collect();
    Checkpoint {
        state: State {
            epoch: 1,
            term_sums: vec![0.0; terms.len()],
            history: History { terms, epochs: Vec::new() },
            early_stopping: EarlyStopping::new(),
            ..State::default()
        },
        best: parameters.clone(),
        average: (config.ema_decay > 0.0).then(|| parameters.clone()),
        adam: Adam::new(parameters.len()),
        parameters,
    }
}

/// Whether a training goes on.
type Flow = ControlFlow<StopReason>;

struct Training<'a> {
    model: &'a mut dyn ConditionalModel,
    rows: &'a TrainingRows,
    fresh: Option<&'a mut dyn EpochRows>,
    /// Training rows of the epoch under way, where they are not those of the first.
    new_rows: Option<Rows>,
    config: &'a TrainingConfig,
    state: Checkpoint,
    gradient: Gradient,
    /// Where it is the optimiser.
    muon: Option<Muon>,
    batch: Gathered,
    /// Filled with the next batch while a step runs.
    next: Gathered,
    started: Instant,
    rows_done: usize,
}

impl Training<'_> {
    fn run(
        mut self,
        checkpoint: Option<&Path>,
        stop: &AtomicBool,
        observer: &mut dyn Observer,
    ) -> Result<TrainingReport, TrainError> {
        self.model.set_parameters(&self.state.parameters);
        let reason = loop {
            if let Some(reason) = self.finished() {
                break reason;
            }
            self.begin_epoch()?;
            // Within the pool of threads, so that no step has to wake one of them first.
            let flow = rayon::scope(|_| self.epoch(stop, observer))?;
            if let Some(path) = checkpoint.filter(|_| self.gradient.team().leads()) {
                self.state.save(path)?;
            }
            if let ControlFlow::Break(reason) = flow {
                break reason;
            }
        };
        self.model.set_parameters(&self.state.best);
        Ok(TrainingReport {
            reason,
            best: self.state.state.early_stopping.best(),
            history: self.state.state.history,
        })
    }

    /// Whether training is over, judged from the state alone so that a resumed run agrees.
    fn finished(&self) -> Option<StopReason> {
        let state = &self.state.state;
        if state.epoch > 1 && state.early_stopping.patience_left(self.config.patience) == 0 {
            Some(StopReason::Patience)
        } else if state.epoch > self.config.max_epochs {
            Some(StopReason::MaxEpochs)
        } else {
            None
        }
    }

    /// Waits for the rows of the epoch under way and orders those of the next.
    fn begin_epoch(&mut self) -> Result<(), TrainError> {
        let Some(fresh) = &mut self.fresh else { return Ok(()) };
        let (begun, epoch) = (Instant::now(), self.state.state.epoch);
        // The rows of the last epoch go before others come: at most two epochs are in memory.
        self.new_rows = None;
        if epoch > 1 {
            let rows = fresh.take(epoch).map_err(|source| TrainError::Rows { epoch, source })?;
            let (found, expected) = (rows.len(), self.rows.training.len());
            if found != expected {
                return Err(TrainError::OtherRows { epoch, found, expected });
            }
            self.new_rows = Some(rows);
        }
        if epoch < self.config.max_epochs {
            fresh.prepare(epoch + 1);
        }
        self.state.state.seconds += begun.elapsed().as_secs_f64();
        Ok(())
    }

    /// Trains the rest of the epoch under way and validates.
    fn epoch(
        &mut self,
        stop: &AtomicBool,
        observer: &mut dyn Observer,
    ) -> Result<Flow, TrainError> {
        let (begun, before) = (Instant::now(), self.state.state.seconds);
        let flow = self.steps(stop, observer)?;
        // On the way only the model has the parameters of the last step.
        self.state.parameters.copy_from_slice(&self.model.parameters().values);
        if flow.is_break() {
            return Ok(flow);
        }
        let validation = match self.validate_average()? {
            ControlFlow::Continue(validation) => validation,
            ControlFlow::Break(reason) => return Ok(ControlFlow::Break(reason)),
        };
        self.state.state.seconds = before + begun.elapsed().as_secs_f64();
        self.close_epoch(validation, observer);
        Ok(ControlFlow::Continue(()))
    }

    /// Takes the steps that are left of the epoch under way.
    fn steps(
        &mut self,
        stop: &AtomicBool,
        observer: &mut dyn Observer,
    ) -> Result<Flow, TrainError> {
        let (rows, epoch) = (self.rows, self.state.state.epoch);
        let seed = self.config.seed;
        let new_rows = self.new_rows.take();
        match (&new_rows, &rows.training) {
            (Some(rows), _) | (None, RowSet::Memory(rows)) => {
                let mut rng = stream(seed, Purpose::Shuffle, epoch as u64);
                let order = shuffled(rows.len(), &mut rng);
                Ok(self.steps_on(rows, &order, self.state.state.batch, stop, observer))
            }
            (None, RowSet::File(file)) => self.steps_on_file(file, stop, observer),
        }
    }

    /// The same on rows of a file, of which one window is trained on while the next is read.
    fn steps_on_file(
        &mut self,
        file: &FileRows,
        stop: &AtomicBool,
        observer: &mut dyn Observer,
    ) -> Result<Flow, TrainError> {
        let TrainingConfig { seed, batch_size, .. } = *self.config;
        let epoch = self.state.state.epoch;
        let windows = file.windows(seed, epoch, batch_size);
        let mut batches_before = 0;
        thread::scope(|scope| {
            let mut read: Option<thread::ScopedJoinHandle<'_, io::Result<Rows>>> = None;
            for (number, window) in windows.iter().enumerate() {
                let batches = window.len().div_ceil(batch_size);
                let done = self.state.state.batch - batches_before;
                batches_before += batches;
                if done >= batches {
                    continue;
                }
                let rows = match read.take().map(thread::ScopedJoinHandle::join) {
                    Some(Ok(rows)) => rows,
                    Some(Err(panic)) => std::panic::resume_unwind(panic),
                    None => file.window(window),
                };
                let rows = rows.map_err(TrainError::Read)?;
                read = windows.get(number + 1).map(|next| scope.spawn(|| file.window(next)));
                // Beside the stream of the order of the blocks, which has the number of the epoch alone.
                let key = (number as u64 + 1) << 32 | epoch as u64;
                let order = shuffled(rows.len(), &mut stream(seed, Purpose::Shuffle, key));
                let flow = self.steps_on(&rows, &order, done, stop, observer);
                if flow.is_break() {
                    return Ok(flow);
                }
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// Takes steps on batches of these rows in this order, without the first `done` batches.
    fn steps_on(
        &mut self,
        rows: &Rows,
        order: &[u32],
        done: usize,
        stop: &AtomicBool,
        observer: &mut dyn Observer,
    ) -> Flow {
        let (begun, before) = (Instant::now(), self.state.state.seconds);
        let mut batches = order.chunks(self.config.batch_size).skip(done).peekable();
        if let Some(indices) = batches.peek() {
            let (config, step) = (self.config, self.state.adam.step);
            gather(config, rows, self.rows.degenerate.as_ref(), step, indices, &mut self.next);
        }
        while batches.next().is_some() {
            if self.gradient.team().any(stop.load(Ordering::Relaxed)) {
                return ControlFlow::Break(StopReason::Interrupted);
            }
            self.step(rows, batches.peek().copied())?;
            self.state.state.seconds = before + begun.elapsed().as_secs_f64();
            observer.batch(&self.progress());
        }
        ControlFlow::Continue(())
    }

    /// One step of the optimiser on the batch that was gathered; gathers the `following` one.
    fn step(&mut self, training: &Rows, following: Option<&[u32]>) -> Flow {
        std::mem::swap(&mut self.batch, &mut self.next);
        let (config, rows, step) = (self.config, self.rows, self.state.adam.step);
        let Self { model, state, gradient, muon, batch, next, .. } = self;
        let (all, degenerate) = (rows.training.len(), rows.degenerate.as_ref());
        let (flow, ()) = rayon::join(
            || descend(&mut **model, config, all, state, batch.batch(), gradient, muon.as_mut()),
            || {
                if let Some(indices) = following {
                    gather(config, training, degenerate, step + 1, indices, next);
                }
            },
        );
        self.rows_done += batch.len();
        flow
    }

    /// Loss on the validation rows of the averaged parameters, where there are such.
    fn validate_average(&mut self) -> Result<ControlFlow<StopReason, Loss>, TrainError> {
        let Some(average) = &self.state.average else { return self.validate() };
        self.model.set_parameters(average);
        let validation = self.validate();
        self.model.set_parameters(&self.state.parameters);
        validation
    }

    /// Loss on the validation rows, with the same noise in every epoch.
    fn validate(&self) -> Result<ControlFlow<StopReason, Loss>, TrainError> {
        let TrainingRows { validation, degenerate, .. } = self.rows;
        let seed = self.config.seed;
        let mut along = stream(seed, Purpose::Degenerate, VALIDATION_STREAM);
        let (mut total, mut terms) = (0.0, vec![0.0; self.model.loss_terms().len()]);
        for (index, chunk) in validation.chunks(VALIDATION_CHUNK).enumerate() {
            let chunk = chunk.map_err(TrainError::Read)?;
            let Batch { x, y } = chunk.batch();
            let filled = degenerate.as_ref().map(|noise| {
                let mut x = x.to_owned();
                noise.add(&mut x, &mut along);
                x
            });
            let x = filled.as_ref().map_or(x, |filled| filled.view());
            let mut rng = stream(seed, Purpose::ValidationNoise, index as u64);
            let loss = self.model.loss_in_team(Batch { x, y }, &mut rng, self.gradient.team());
            add(&mut total, &mut terms, &loss, x.nrows());
        }
        if !total.is_finite() {
            return Ok(diverged(&self.state.state, None, total));
        }
        Ok(ControlFlow::Continue(mean(total, &terms, validation.len())))
    }

    /// Records the epoch, keeps the parameters if they are the best, and begins the next one.
    fn close_epoch(&mut self, validation: Loss, observer: &mut dyn Observer) {
        let config = self.config;
        let mut progress = self.progress();
        let Checkpoint { state, parameters, average, best, .. } = &mut self.state;
        let training = mean(state.loss_sum, &state.term_sums, self.rows.training.len());
        let record = EpochRecord {
            epoch: state.epoch,
            training_loss: training.total,
            validation_loss: validation.total,
            training_terms: training.terms,
            validation_terms: validation.terms,
            learning_rate: config.learning_rate_at(state.epoch as f64) * state.plateau.scale(),
            seconds: state.seconds,
        };
        let improved = state.early_stopping.best().is_none_or(|(_, best)| validation.total < best);
        if improved {
            best.copy_from_slice(average.as_ref().unwrap_or(parameters));
        }
        let verdict = state.early_stopping.observe(
            state.epoch,
            validation.total,
            config.patience,
            config.min_delta,
        );
        let (factor, patience) = (config.plateau_factor, config.plateau_patience);
        state.plateau.observe(validation.total, factor, patience, config.min_delta);
        debug_assert_eq!(verdict == Verdict::Improved, improved && verdict != Verdict::Stop);
        progress.best = state.early_stopping.best();
        progress.patience_left = state.early_stopping.patience_left(config.patience);
        observer.epoch(&progress, &record);
        state.history.epochs.push(record);
        state.epoch += 1;
        state.batch = 0;
        state.loss_sum = 0.0;
        state.term_sums.fill(0.0);
        state.seconds = 0.0;
    }

    fn progress(&self) -> Progress {
        let state = &self.state.state;
        let training_rows = self.rows.training.len();
        let rows_so_far = (state.batch * self.config.batch_size).min(training_rows);
        let rows_per_second = self.rows_done as f64 / self.started.elapsed().as_secs_f64();
        let rows_left = (self.config.max_epochs + 1 - state.epoch) * training_rows - rows_so_far;
        Progress {
            epoch: state.epoch,
            max_epochs: self.config.max_epochs,
            batch: state.batch,
            batches: training_rows.div_ceil(self.config.batch_size),
            training_loss: state.loss_sum / rows_so_far.max(1) as f64,
            rows_per_second,
            best: state.early_stopping.best(),
            patience_left: state.early_stopping.patience_left(self.config.patience),
            seconds_left: rows_left as f64 / rows_per_second.max(f64::MIN_POSITIVE),
        }
    }
}

/// Fills `batch` with the rows named by `indices`, for the step of this number.
fn gather(
    config: &TrainingConfig,
    rows: &Rows,
    degenerate: Option<&DegenerateNoise>,
    step: u64,
    indices: &[u32],
    batch: &mut Gathered,
) {
    let mut rng = stream(config.seed, Purpose::Degenerate, step);
    batch.gather(rows, indices, degenerate.map(|noise| (noise, &mut rng)));
}

/// Moves the parameters of `model` and their average against the gradient on `batch`.
fn descend(
    model: &mut dyn ConditionalModel,
    config: &TrainingConfig,
    training_rows: usize,
    checkpoint: &mut Checkpoint,
    batch: Batch<'_>,
    gradient: &mut Gradient,
    muon: Option<&mut Muon>,
) -> ControlFlow<StopReason> {
    let Checkpoint { adam, average, state, .. } = checkpoint;
    let batches = training_rows.div_ceil(config.batch_size);
    let epochs = (state.epoch - 1) as f64 + state.batch as f64 / batches as f64;
    model.set_progress(epochs);
    let mut rng = stream(config.seed, Purpose::TrainingNoise, adam.step);
    let loss = model.loss_and_gradient(batch, &mut rng, gradient);
    if !loss.total.is_finite() {
        return diverged(state, Some(state.batch + 1), loss.total);
    }
    let size = StepSize {
        learning_rate: config.learning_rate_at(epochs) * state.plateau.scale(),
        weight_decay: config.weight_decay,
        gradient_clip: config.gradient_clip,
    };
    let step = adam.step(gradient, size);
    match muon {
        Some(muon) => muon.step(model, step, size.learning_rate),
        None => model.update_parameters(step),
    }
    if let Some(average) = average {
        average::update(average, &model.parameters().values, config.ema_decay, adam.step);
    }
    add(&mut state.loss_sum, &mut state.term_sums, &loss, batch.x.nrows());
    state.batch += 1;
    ControlFlow::Continue(())
}

fn add(total: &mut f64, terms: &mut [f64], loss: &Loss, rows: usize) {
    *total += loss.total * rows as f64;
    for (sum, term) in terms.iter_mut().zip(&loss.terms) {
        *sum += term * rows as f64;
    }
}

fn mean(total: f64, terms: &[f64], rows: usize) -> Loss {
    let rows = rows as f64;
    Loss { total: total / rows, terms: terms.iter().map(|term| term / rows).collect() }
}

fn diverged<T>(state: &State, batch: Option<usize>, loss: f64) -> ControlFlow<StopReason, T> {
    let best = state.early_stopping.best().map(|(epoch, _)| epoch);
    let divergence = Divergence { epoch: state.epoch, batch, loss, best };
    ControlFlow::Break(StopReason::Diverged(divergence))
}
