//! One step of the optimiser where the host computes, and the rows that it takes.

use std::ops::ControlFlow;

use cei_kernels::MuonMemory;
use cei_model::random::{Purpose, stream};
use cei_model::{Batch, ConditionalModel, Gradient};

use crate::adam::StepSize;
use crate::average;
use crate::checkpoint::Checkpoint;
use crate::losses::add;
use crate::outcome::diverged;
use crate::rows::Gathered;
use crate::{DegenerateNoise, Optimizer, Rows, StopReason, TrainingConfig, muon};

/// Fills `batch` with the rows named by `indices`, for the step of this number.
pub(crate) fn gather(
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
pub(crate) fn descend(
    model: &mut dyn ConditionalModel,
    config: &TrainingConfig,
    training_rows: usize,
    checkpoint: &mut Checkpoint,
    batch: Batch<'_>,
    gradient: &mut Gradient,
    memory: &mut MuonMemory,
) -> ControlFlow<StopReason> {
    let Checkpoint { adam, average, state, .. } = checkpoint;
    let epochs = state.epochs_done(training_rows.div_ceil(config.batch_size));
    model.set_progress(epochs);
    let mut rng = stream(config.seed, Purpose::TrainingNoise, adam.step);
    let loss = model.loss_and_gradient(batch, &mut rng, gradient);
    if !loss.total.is_finite() {
        return diverged(state, Some(state.batch + 1), loss.total);
    }
    let size = StepSize::at(epochs, state.plateau.scale(), config);
    let step = adam.step(gradient, size);
    let factors = muon::factors(size.learning_rate);
    model.update_parameters(match (config.optimizer, gradient.team()) {
        (Optimizer::Adam, _) => step,
        (Optimizer::Muon, team) if team.size() > 1 => {
            step.with_shared_muon(factors, memory, &model.parameters().weights(), team)
        }
        (Optimizer::Muon, _) => step.with_muon(factors, memory),
    });
    if let Some(average) = average {
        average::update(average, &model.parameters().values, config.ema_decay, adam.step);
    }
    add(&mut state.loss_sum, &mut state.term_sums, &loss, batch.x.nrows());
    state.batch += 1;
    ControlFlow::Continue(())
}
