//! The training loop (`docs/spec.md#training`).

mod on_device;
mod steps;

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use cei_kernels::MuonMemory;
use cei_model::{ConditionalModel, Gradient, Loss, Team};

use crate::adam::Adam;
use crate::checkpoint::{Checkpoint, State};
use crate::descent::gather;
use crate::losses::{add, mean};
use crate::outcome::diverged;
use crate::resident::Resident;
use crate::rows::{Gathered, Rows};
use crate::{
    CheckpointError, EarlyStopping, EpochRecord, EpochRows, History, Observer, Progress,
    StopReason, TrainError, TrainingConfig, TrainingReport, TrainingRows, Verdict, validation,
};

/// Training rows that a model may set parameters from before its first step. Their order is random
/// since the split.
const INITIAL_ROWS: usize = 4096;

/// Stream of the degenerate noise of these rows; no training step has this number.
const INITIAL_STREAM: u64 = u64::MAX - 1;

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
        resident: (team.size() == 1).then(|| Resident::new(model, rows, config, &state)).flatten(),
        gradient: Gradient::shared(team.clone()),
        memory: MuonMemory::default(),
        batch: Gathered::new(rows.training.widths(), capacity),
        next: Gathered::new(rows.training.widths(), capacity),
        started: Instant::now(),
        rows_done: 0,
        unread_rows: 0,
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
    /// Where it lives on a device; `model`, its parameters in `state` and the buffers below are then not used on the way.
    resident: Option<Resident>,
    model: &'a mut dyn ConditionalModel,
    rows: &'a TrainingRows,
    fresh: Option<&'a mut dyn EpochRows>,
    /// Training rows of the epoch under way, where they are not those of the first.
    new_rows: Option<Rows>,
    config: &'a TrainingConfig,
    state: Checkpoint,
    gradient: Gradient,
    /// For steps of Muon.
    memory: MuonMemory,
    batch: Gathered,
    /// Filled with the next batch while a step runs.
    next: Gathered,
    started: Instant,
    rows_done: usize,
    /// Rows of the epoch whose loss is known only to the device.
    unread_rows: usize,
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
                self.save(path, &flow)?;
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

    /// Writes the checkpoint after an epoch, or where the training ends in one. That of a training on a device is written only now
    /// and then and at the end, because its state has to be read; a loss that is no number has spoilt that state, and the
    /// checkpoint before stays.
    fn save(&mut self, path: &Path, flow: &Flow) -> Result<(), CheckpointError> {
        let is_over = flow.is_break() || self.finished().is_some();
        if let Some(resident) = &mut self.resident {
            let is_spoilt = matches!(flow, ControlFlow::Break(StopReason::Diverged(_)));
            if is_spoilt || !(is_over || resident.is_due()) {
                return Ok(());
            }
            resident.save_to(&mut self.state);
        }
        self.state.save(path)
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
        if self.resident.is_none() {
            // On the way only the model has the parameters of the last step.
            self.state.parameters.copy_from_slice(&self.model.parameters().values);
        }
        if flow.is_break() {
            return Ok(flow);
        }
        let validation = match self.validate()? {
            ControlFlow::Continue(validation) => validation,
            ControlFlow::Break(reason) => return Ok(ControlFlow::Break(reason)),
        };
        self.state.state.seconds = before + begun.elapsed().as_secs_f64();
        self.close_epoch(validation, observer);
        Ok(ControlFlow::Continue(()))
    }

    /// Loss on the validation rows of the averaged parameters, where there are such.
    fn validate(&mut self) -> Result<ControlFlow<StopReason, Loss>, TrainError> {
        let losses = match (&mut self.resident, &self.state.average) {
            (Some(resident), _) => resident.validation_losses(),
            (None, Some(average)) => {
                self.model.set_parameters(average);
                let losses = self.validation_losses();
                self.model.set_parameters(&self.state.parameters);
                losses?
            }
            (None, None) => self.validation_losses()?,
        };
        let (mut total, mut terms) = (0.0, vec![0.0; self.model.loss_terms().len()]);
        for (loss, rows) in &losses {
            add(&mut total, &mut terms, loss, *rows);
        }
        if !total.is_finite() {
            return Ok(diverged(&self.state.state, None, total));
        }
        Ok(ControlFlow::Continue(mean(total, &terms, self.rows.validation.len())))
    }

    fn validation_losses(&self) -> Result<Vec<(Loss, usize)>, TrainError> {
        let (seed, team) = (self.config.seed, self.gradient.team());
        validation::losses(&*self.model, self.rows, seed, team).map_err(TrainError::Read)
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
            match &self.resident {
                Some(resident) => *best = resident.validated(),
                None => best.copy_from_slice(average.as_ref().unwrap_or(parameters)),
            }
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

    /// Mean over the rows of the epoch whose loss is known; until there are some on a device, that of the last epoch.
    fn training_loss(&self) -> f64 {
        let State { batch, loss_sum, history, .. } = &self.state.state;
        let rows = (batch * self.config.batch_size).min(self.rows.training.len());
        match rows - self.unread_rows {
            0 => history.epochs.last().map_or(f64::NAN, |record| record.training_loss),
            rows => loss_sum / rows as f64,
        }
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
            training_loss: self.training_loss(),
            rows_per_second,
            best: state.early_stopping.best(),
            patience_left: state.early_stopping.patience_left(self.config.patience),
            seconds_left: rows_left as f64 / rows_per_second.max(f64::MIN_POSITIVE),
        }
    }
}
