//! The steps of an epoch of a training that lives on a device.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::{Flow, Training};
use crate::outcome::diverged;
use crate::resident::Resident;
use crate::row_set::RowSet;
use crate::rows::Rows;
use crate::{Observer, StopReason};

impl Training<'_> {
    /// Takes steps on batches of these rows in this order, without the first `done` batches. The rows are those of the
    /// whole epoch.
    pub(super) fn steps_on_device(
        &mut self,
        resident: &mut Resident,
        rows: &Rows,
        order: &[u32],
        done: usize,
        stop: &AtomicBool,
        observer: &mut dyn Observer,
    ) -> Flow {
        let (begun, before) = (Instant::now(), self.state.state.seconds);
        let is_first =
            matches!(&self.rows.training, RowSet::Memory(own) if std::ptr::eq(own, rows));
        resident.begin_epoch(order, &self.state, (!is_first).then_some(rows));
        let batches = order.len().div_ceil(self.config.batch_size);
        let mut flow = ControlFlow::Continue(());
        for batch in order.chunks(self.config.batch_size).skip(done) {
            if stop.load(Ordering::Relaxed) {
                flow = ControlFlow::Break(StopReason::Interrupted);
                break;
            }
            resident.step(self.config, batches, batch.len(), &mut self.state);
            self.rows_done += batch.len();
            self.unread_rows = resident.unread_rows();
            if resident.is_time_to_read() {
                self.take_losses(resident)?;
            }
            self.state.state.seconds = before + begun.elapsed().as_secs_f64();
            observer.batch(&self.progress());
        }
        self.take_losses(resident)?;
        self.state.state.seconds = before + begun.elapsed().as_secs_f64();
        flow
    }

    /// Takes the losses of the steps on a device into the sums of the epoch.
    fn take_losses(&mut self, resident: &mut Resident) -> Flow {
        self.unread_rows = 0;
        match resident.read(&mut self.state) {
            ControlFlow::Continue(()) => ControlFlow::Continue(()),
            ControlFlow::Break(loss) => {
                let batch = self.state.state.batch + 1;
                diverged(&self.state.state, Some(batch), loss)
            }
        }
    }
}
