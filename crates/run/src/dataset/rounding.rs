//! What the rounding of a file did to the directions in which its rows vary: a constraint such as a fixed centre of mass
//! that was written with four decimals is no constraint any more, but a direction of noise.

use cei_data::rounding::{ROUNDING_MARGIN, rounding};
use cei_data::{Preprocessing, Rows as _};
use ndarray::Array1;

use super::load::Dataset;
use crate::Experiment;

/// In words, if positions or momenta vary in directions that are only rounding.
pub(crate) fn warning(
    experiment: &Experiment,
    dataset: &Dataset,
    preprocessing: &Preprocessing,
) -> Option<String> {
    let (table, columns) = (&dataset.table, &experiment.columns);
    if table.files.is_empty() {
        return None;
    }
    let x_factor = |column| columns.x_factor(column);
    let y_factor = |column| columns.y_factor(column);
    let sides: [(_, &dyn Fn(usize) -> f64); 2] = [(&table.x, &x_factor), (&table.y, &y_factor)];
    let [x, y] = sides.map(|(values, factor)| {
        let parts = values.columns().into_iter().enumerate().filter_map(|(index, column)| {
            // Without what is missing.
            let cells: Array1<f64> = column.iter().copied().filter(|v| !v.is_nan()).collect();
            rounding(&cells.to_vec(), factor(index), cells.std(0.0))
        });
        parts.fold(0.0, f64::max)
    });
    let found = preprocessing.ranks_within(
        table,
        dataset.split.train.rows(),
        [ROUNDING_MARGIN * x, ROUNDING_MARGIN * y],
    );
    let ranks = [preprocessing.d_eff(), preprocessing.y_rank()];
    let mut lost = Vec::new();
    for ((side, rank), found) in ["positions", "momenta"].iter().zip(ranks).zip(found) {
        if found < rank {
            lost.push(format!("in {} of the {rank} directions in which {side} vary", rank - found));
        }
    }
    let lost = (!lost.is_empty()).then(|| lost.join(", and "))?;
    Some(format!(
        "{lost}, they do so only by the rounding of the file: write more digits, or the model learns rounding there"
    ))
}
