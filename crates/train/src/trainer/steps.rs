//! The steps of an epoch: which rows it goes through, and how where the host computes.

use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use cei_model::random::{Purpose, stream};

use super::{Flow, Training};
use crate::descent::{descend, gather};
use crate::row_set::{FileRows, RowSet};
use crate::rows::{Rows, shuffled};
use crate::{Observer, StopReason, TrainError, TrainingConfig};

impl Training<'_> {
    /// Takes the steps that are left of the epoch under way.
    pub(super) fn steps(
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
                let done = self.state.state.batch;
                Ok(match self.resident.take() {
                    Some(mut resident) => {
                        let device = &mut resident;
                        let flow = self.steps_on_device(device, rows, &order, done, stop, observer);
                        self.resident = Some(resident);
                        flow
                    }
                    None => self.steps_on(rows, &order, done, stop, observer),
                })
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
        let Self { model, state, gradient, memory, batch, next, .. } = self;
        let (all, degenerate) = (rows.training.len(), rows.degenerate.as_ref());
        let (flow, ()) = rayon::join(
            || descend(&mut **model, config, all, state, batch.batch(), gradient, memory),
            || {
                if let Some(indices) = following {
                    gather(config, training, degenerate, step + 1, indices, next);
                }
            },
        );
        self.rows_done += batch.len();
        flow
    }
}
