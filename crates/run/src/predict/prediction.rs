//! What all chunks of a prediction have in common, and which events are together.

use std::ops::Range;

use cei_posterior::FalseCoincidences;
use ndarray::ArrayView2;

use super::coincidences::Coincidences;
use super::options::PredictOptions;
use super::tables::Tables;
use crate::TrainedRun;
use crate::plausibility::LawEdges;
use crate::refine::Refiner;
use crate::shard::{Shard, rows_of};

/// Rows of draws that are in memory at once.
pub(super) const CHUNK_DRAWS: usize = 100_000;
/// Events that are refined at once: they take long, and their progress is shown.
pub(super) const REFINED_EVENTS: usize = 64;

/// What all chunks have in common.
#[derive(Clone, Copy)]
pub(crate) struct Prediction<'a> {
    pub(crate) run: &'a TrainedRun,
    pub(crate) options: &'a PredictOptions,
    pub(crate) tables: &'a Tables<'a>,
    pub(crate) refiner: Option<&'a Refiner<'a>>,
    pub(crate) edges: Option<&'a LawEdges>,
    pub(crate) coincidences: Option<&'a Coincidences>,
    /// The fraction of false coincidences that events are judged with, once it is known.
    pub(super) fraction: Option<FalseCoincidences>,
    /// The momenta of all events.
    pub(crate) y: ArrayView2<'a, f64>,
    /// Which part of the events is inferred; all if none.
    pub(crate) shard: Option<Shard>,
}

impl Prediction<'_> {
    /// The events that are inferred.
    pub(crate) fn rows(&self) -> Range<usize> {
        rows_of(self.shard, self.y.nrows())
    }

    /// Draws of the network of each event.
    pub(crate) fn network_draws(&self) -> usize {
        self.refiner.map_or(self.options.draws, Refiner::network_draws)
    }

    /// Events of a chunk. Which events are together depends on nothing but what is asked for.
    pub(super) fn chunk(&self) -> usize {
        let most = if self.refiner.is_some() { REFINED_EVENTS } else { usize::MAX };
        (CHUNK_DRAWS / self.network_draws()).clamp(1, most)
    }

    /// The chunks, one after another.
    pub(super) fn chunks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (rows, size) = (self.rows(), self.chunk());
        rows.clone().step_by(size).map(move |start| start..rows.end.min(start + size))
    }
}
