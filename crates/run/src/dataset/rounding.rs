//! What the rounding of a file did to the directions in which its rows vary: a constraint such as a fixed centre of mass
//! that was written with four decimals is no constraint any more, but a direction of noise.

use cei_data::rounding::{ROUNDING_MARGIN, largest_rounding};
use cei_data::{Division, Preprocessing, ScratchError};

use super::load::{AsRows, Dataset};
use crate::Experiment;

/// In words, if positions or momenta vary in directions that are only rounding.
///
/// # Errors
/// Rows that cannot be read again.
pub(crate) fn warning<T: AsRows, D: Division>(
    experiment: &Experiment,
    dataset: &Dataset<T, D>,
    preprocessing: &Preprocessing,
) -> Result<Option<String>, ScratchError> {
    let (table, columns) = (dataset.table.as_rows(), &experiment.columns);
    if table.head().files.is_empty() {
        return Ok(None);
    }
    let x_factor = |column| columns.x_factor(column);
    let y_factor = |column| columns.y_factor(column);
    let rounding = largest_rounding(table, [&x_factor, &y_factor])?;
    let training = dataset.split.training(table).part();
    let found =
        preprocessing.ranks_within(training, rounding.map(|part| ROUNDING_MARGIN * part))?;
    let ranks = [preprocessing.d_eff(), preprocessing.y_rank()];
    let mut lost = Vec::new();
    for ((side, rank), found) in ["positions", "momenta"].iter().zip(ranks).zip(found) {
        if found < rank {
            lost.push(format!("in {} of the {rank} directions in which {side} vary", rank - found));
        }
    }
    let lost = (!lost.is_empty()).then(|| lost.join(", and "));
    Ok(lost.map(|lost| format!(
        "{lost}, they do so only by the rounding of the file: write more digits, or the model learns rounding there"
    )))
}
