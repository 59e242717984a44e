//! Draws and densities of a run that is held in memory.

use ndarray::{ArrayViewMut3, Axis, s};

use super::loaded::Posterior;
use super::measured::{Measured, Pairs};
use crate::RunError;
use crate::error::LaterError;
use crate::trained::draws::{DrawStreams, MOST_WRITTEN, check_draws, draw_more};
use crate::trained::log_prob;

/// Draws that are worked on at once. They are written where they are wanted, so that nothing grows with their number.
const CHUNK_DRAWS: usize = 16_384;

impl Posterior {
    /// Draws positions for every event into `out` (events, draws, columns): those that `cei predict` writes, in bohr, in
    /// the frame of the run; NaN for events whose momenta are no measurements. `progress` is told how many events of
    /// all are done.
    ///
    /// # Errors
    /// No draws, or too many; charges that the run is conditioned on and that are not known.
    ///
    /// # Panics
    /// If `out` is not of this shape.
    pub fn sample_into(
        &self,
        measured: &Measured,
        seed: u64,
        mut out: ArrayViewMut3<'_, f64>,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<(), RunError> {
        let (events, count, _) = out.dim();
        assert_eq!(events, measured.y.nrows(), "one row of momenta an event");
        check_draws(count, 1, MOST_WRITTEN)?;
        if !measured.charges_known {
            return Err(LaterError::ChargesUnknown.into());
        }
        let chunk = (CHUNK_DRAWS / count).max(1);
        for start in (0..events).step_by(chunk) {
            let end = (start + chunk).min(events);
            let y = measured.y.slice(s![start..end, ..]);
            let streams = (start..end).map(|event| DrawStreams::of(&self.run, seed, event));
            let mut streams: Vec<_> = streams.collect();
            for first in (0..count).step_by(CHUNK_DRAWS) {
                let last = (first + CHUNK_DRAWS).min(count);
                let draws = draw_more(&self.run, y, last - first, &mut streams);
                out.slice_mut(s![start..end, first..last, ..]).assign(&draws);
                // An event of many draws is many chunks.
                progress(start, events);
            }
            for event in (start..end).filter(|event| measured.is_far_out(*event)) {
                out.index_axis_mut(Axis(0), event).fill(f64::NAN);
            }
            progress(end, events);
        }
        Ok(())
    }

    /// `log p(x | y)` of every pair, as `cei log-prob` gives it: in nats, a density per unit volume (bohr) of the
    /// directions in which positions vary.
    ///
    /// # Errors
    /// A model without an exact density.
    pub fn log_prob(&self, pairs: &Pairs) -> Result<Vec<f64>, RunError> {
        log_prob(&self.run, pairs.x.view(), pairs.y.view(), 0).ok_or_else(|| RunError::NoDensity {
            path: self.run.path.clone(),
            model: self.run.record.model.architecture().name(),
        })
    }
}
