//! The steps of an epoch where parameters, rows and the optimiser live on a device ([`ResidentTraining`]). The host says what
//! each step is and waits for none; losses are read once an epoch, and every few seconds of a long one.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use cei_model::{
    Batch, ConditionalModel, Loss, ResidentSetup, ResidentStep, ResidentTraining, ResidentVector,
};
use ndarray::Array2;

use crate::adam::StepSize;
use crate::checkpoint::Checkpoint;
use crate::losses::add;
use crate::row_set::{RowSet, TrainingRows};
use crate::rows::Rows;
use crate::{Optimizer, TrainingConfig, average, muon, validation};

/// How far the host runs ahead of the device before it waits: what an interruption then waits for.
const AHEAD: Duration = Duration::from_millis(200);

/// How often the losses of a long epoch are read.
const READ_EVERY: Duration = Duration::from_secs(5);

/// How often the state is read for a checkpoint, at most.
const SAVE_EVERY: Duration = Duration::from_secs(10);

/// A training on a device, and what of it was not read yet.
pub(crate) struct Resident {
    training: Box<dyn ResidentTraining>,
    /// Rows of the steps whose loss was not read.
    unread: Vec<usize>,
    waited: Instant,
    read: Option<Instant>,
    saved: Option<Instant>,
}

impl Resident {
    /// The training of `model` on its device, from where `checkpoint` stands; none where the host computes, where rows stay
    /// on the disk, or where they are too many for the device.
    pub(crate) fn new(
        model: &dyn ConditionalModel,
        rows: &TrainingRows,
        config: &TrainingConfig,
        checkpoint: &Checkpoint,
    ) -> Option<Self> {
        let (RowSet::Memory(training), RowSet::Memory(held_out)) =
            (&rows.training, &rows.validation)
        else {
            return None;
        };
        let degenerate = rows.degenerate.as_ref();
        let x = validation::with_noise(held_out, degenerate, config.seed);
        let directions: Option<Array2<f32>> = degenerate.map(|noise| &noise.directions * noise.sd);
        let training = model.resident(&ResidentSetup {
            training: training.batch(),
            validation: Batch { x: x.view(), y: held_out.y.view() },
            validation_chunk: validation::CHUNK,
            directions: directions.as_ref(),
            batch_size: config.batch_size,
            seed: config.seed,
            parameters: &checkpoint.parameters,
            first: &checkpoint.adam.first,
            second: &checkpoint.adam.second,
            average: checkpoint.average.as_deref(),
        })?;
        let waited = Instant::now();
        Some(Self { training, unread: Vec::new(), waited, read: None, saved: None })
    }

    /// Begins the rest of an epoch, with its rows in their `order`, which are `new_rows` where they are not those of the
    /// last one.
    pub(crate) fn begin_epoch(
        &mut self,
        order: &[u32],
        checkpoint: &Checkpoint,
        new_rows: Option<&Rows>,
    ) {
        if let Some(rows) = new_rows {
            self.training.set_rows(rows.batch());
        }
        let first_step = checkpoint.adam.step - checkpoint.state.batch as u64;
        self.training.begin_epoch(order, first_step);
    }

    /// Begins the next step, on `rows` rows, in an epoch of so many `batches`.
    pub(crate) fn step(
        &mut self,
        config: &TrainingConfig,
        batches: usize,
        rows: usize,
        checkpoint: &mut Checkpoint,
    ) {
        let Checkpoint { adam, state, .. } = checkpoint;
        let epochs = state.epochs_done(batches);
        let size = StepSize::at(epochs, state.plateau.scale(), config);
        let factors = adam.factors(size, 1.0);
        self.training.step(&ResidentStep {
            batch: state.batch,
            epochs,
            adam: factors,
            gradient_clip: (size.gradient_clip > 0.0).then_some(size.gradient_clip),
            muon: (config.optimizer == Optimizer::Muon).then(|| muon::factors(size.learning_rate)),
            average: average::share(config.ema_decay, adam.step),
        });
        state.batch += 1;
        self.unread.push(rows);
        if self.waited.elapsed() > AHEAD {
            self.training.wait();
            self.waited = Instant::now();
        }
    }

    /// Whether losses were not read for long, or never.
    pub(crate) fn is_time_to_read(&self) -> bool {
        self.read.is_none_or(|read| read.elapsed() > READ_EVERY)
    }

    /// Waits for all steps and takes their losses into the sums of the epoch. Breaks with a loss that is no number; `checkpoint`
    /// then stands before that step, but for its vectors.
    pub(crate) fn read(&mut self, checkpoint: &mut Checkpoint) -> ControlFlow<f64> {
        let Checkpoint { adam, state, .. } = checkpoint;
        let losses = self.training.losses();
        self.waited = Instant::now();
        self.read = Some(self.waited);
        let rows = std::mem::take(&mut self.unread);
        for (done, (loss, rows)) in losses.iter().zip(&rows).enumerate() {
            if !loss.total.is_finite() {
                let left = losses.len() - done;
                state.batch -= left;
                adam.step -= left as u64;
                return ControlFlow::Break(loss.total);
            }
            add(&mut state.loss_sum, &mut state.term_sums, loss, *rows);
        }
        ControlFlow::Continue(())
    }

    /// Rows of the epoch whose loss was not read.
    pub(crate) fn unread_rows(&self) -> usize {
        self.unread.iter().sum()
    }

    /// Losses of the chunks of the validation rows, with their numbers of rows.
    pub(crate) fn validation_losses(&mut self) -> Vec<(Loss, usize)> {
        self.training.validation_losses()
    }

    /// The parameters that were validated.
    pub(crate) fn validated(&self) -> Vec<f32> {
        self.training.read(ResidentVector::Validated)
    }

    /// Whether it is time for a checkpoint.
    pub(crate) fn is_due(&self) -> bool {
        self.saved.is_none_or(|saved| saved.elapsed() > SAVE_EVERY)
    }

    /// Reads the state for a checkpoint.
    pub(crate) fn save_to(&mut self, checkpoint: &mut Checkpoint) {
        let read = |vector| self.training.read(vector);
        checkpoint.parameters = read(ResidentVector::Parameters);
        checkpoint.adam.first = read(ResidentVector::First);
        checkpoint.adam.second = read(ResidentVector::Second);
        if let Some(average) = &mut checkpoint.average {
            *average = read(ResidentVector::Validated);
        }
        self.saved = Some(Instant::now());
    }
}
