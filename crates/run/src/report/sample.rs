//! Events with their draws, from which the figures of single events and of momenta are made: test rows of a run, or a part
//! of a momenta file.

use ndarray::{Array2, ArrayView2, Axis};

use crate::refine::{PositionMode, RefinedEvent};

/// Events whose draws are kept at most.
pub(crate) const MOST_EVENTS: usize = 1000;
/// Draws that are kept of each.
pub(crate) const DRAWS: usize = 100;
/// Draws of an event that has a corner plot.
pub(crate) const CORNER_DRAWS: usize = 1000;
/// Events that have a corner plot, unless more are asked for.
pub(super) const CORNERS: usize = 4;
/// Momenta that are kept of a set of events.
pub(crate) const MOST_MOMENTA: usize = 10_000;

/// Events of a set, and what was inferred for some of them.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// What its events are, in the plural, for example `test events`.
    pub(crate) what: String,
    /// All events of the set.
    pub(crate) total: usize,
    /// Raw momenta of events of the set (and, where the run is conditioned on them, charges), evenly spaced if there are many.
    pub(crate) momenta: Array2<f64>,
    /// Events with draws, evenly spaced too.
    pub(crate) events: Vec<SampledEvent>,
    /// Events with a corner plot.
    pub(crate) corners: Vec<CornerEvent>,
    /// Why no modes are marked; none where they are.
    pub(crate) no_modes: Option<String>,
}

/// An event with its draws.
#[derive(Debug, Clone)]
pub(crate) struct SampledEvent {
    /// Row of the table or file, from 0.
    pub(crate) number: u64,
    /// Raw momenta.
    pub(crate) y: Vec<f64>,
    /// Charges of the ions, in its first draw where they are inferred; empty for those of the molecule.
    pub(crate) charges: Vec<f64>,
    /// True positions and nuisances in the frame of the run, where they are known.
    pub(crate) truth: Option<Vec<f64>>,
    /// Draws (any number x columns) in the frame of the run.
    pub(crate) draws: Array2<f64>,
    /// Why it is doubtful; empty if it is not.
    pub(crate) flags: String,
}

/// An event that is shown alone.
#[derive(Debug, Clone)]
pub(crate) struct CornerEvent {
    /// The event, with more draws.
    pub(crate) event: SampledEvent,
    /// Why it is shown, for example `typical width`.
    pub(crate) why: String,
    /// Geometries that explain it.
    pub(crate) modes: Vec<SampledMode>,
}

/// A geometry that explains an event.
#[derive(Debug, Clone)]
pub(crate) struct SampledMode {
    /// Positions and nuisances in the frame of the run.
    pub(crate) inferred: Vec<f64>,
    /// Its probability, where there is noise.
    pub(crate) weight: Option<f64>,
}

impl SampledMode {
    /// Those of a refined event.
    pub(crate) fn of(event: &RefinedEvent) -> Vec<Self> {
        let of_mode =
            |mode: &PositionMode| Self { inferred: mode.inferred.clone(), weight: mode.weight };
        event.modes.iter().map(of_mode).collect()
    }
}

impl Sample {
    /// The true rows of the events with draws; none where they are not known.
    pub(super) fn truth(&self) -> Option<Array2<f64>> {
        stacked(self.events.iter().map(|event| event.truth.as_deref()).collect::<Option<Vec<_>>>()?)
    }

    /// The mean over the draws of each event that has draws (events x columns); none without any.
    pub(super) fn raw_means(&self) -> Option<Array2<f64>> {
        let means: Vec<Vec<f64>> = self
            .events
            .iter()
            .filter_map(|event| Some(event.draws.mean_axis(Axis(0))?.to_vec()))
            .collect();
        stacked(means.iter().map(Vec::as_slice).collect())
    }
}

/// Rows of equal length, one under another; none of none.
pub(super) fn stacked(rows: Vec<&[f64]>) -> Option<Array2<f64>> {
    let columns = rows.first()?.len();
    Array2::from_shape_vec((rows.len(), columns), rows.concat()).ok()
}

/// A row as a matrix.
pub(super) fn row(values: &[f64]) -> ArrayView2<'_, f64> {
    match ArrayView2::from_shape((1, values.len()), values) {
        Ok(row) => row,
        Err(_) => unreachable!("a slice is one row"),
    }
}
