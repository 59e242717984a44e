//! The sections about events with draws: geometries, single events, momenta.

use cei_report::page::Section;
use ndarray::Array2;

use super::quantities::Quantities;
use super::sample::Sample;
use super::{corners, geometry, momenta};
use crate::{RunError, TrainedRun};

/// What is shown of geometries, given by typical ones: the truth where it is known, else the means of the draws.
fn quantities(run: &TrainedRun, sample: &Sample) -> Result<Quantities, RunError> {
    let typical = sample.truth().or_else(|| sample.raw_means());
    let none = Array2::zeros((0, run.record.preprocessing.x_names().len()));
    Quantities::of(run, typical.unwrap_or(none).view())
}

/// The places, among the events of a sample, of those that are worth to be shown alone, and why.
///
/// # Errors
/// Draws that do not fit the run.
pub(crate) fn chosen_events(
    run: &TrainedRun,
    sample: &Sample,
) -> Result<Vec<(usize, String)>, RunError> {
    corners::chosen(sample, &quantities(run, sample)?)
}

/// Geometry, single events, momenta.
///
/// # Errors
/// Draws that do not fit the run.
pub(crate) fn sections(run: &TrainedRun, sample: &Sample) -> Result<Vec<Section>, RunError> {
    let quantities = quantities(run, sample)?;
    Ok(vec![
        geometry::section(sample, &quantities)?,
        corners::section(sample, &quantities)?,
        momenta::section(run, sample)?,
    ])
}
