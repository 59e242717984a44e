//! What the rounding of a file did to the directions in which its rows vary: a constraint such as a fixed centre of mass
//! that was written with four decimals is no constraint any more, but a direction of noise.

use cei_data::{Preprocessing, Rows as _};
use ndarray::ArrayView1;

use crate::Experiment;
use crate::dataset::Dataset;

/// Most decimals that are looked for; more are no rounding.
const MOST_DECIMALS: i32 = 7;
/// Rows that are looked at.
const ROWS: usize = 200;
/// A column of which a step is a greater part of its standard deviation has few values; it is not rounded.
const LARGEST: f64 = 0.01;
/// Along a direction of rounding alone rows vary by at most this many times the largest rounding of a column.
const MARGIN: f64 = 2.0;

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
    let sides = [(&table.x, columns.x_unit.factor()), (&table.y, columns.y_unit.factor())];
    let [x, y] = sides.map(|(values, factor)| {
        let parts = values.columns().into_iter().filter_map(|column| rounding(&column, factor));
        parts.fold(0.0, f64::max)
    });
    let found =
        preprocessing.ranks_within(table, dataset.split.train.rows(), [MARGIN * x, MARGIN * y]);
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

/// Standard deviation of the rounding of a column, in its own standard deviations; none where it has all its digits or
/// does not vary.
fn rounding(column: &ArrayView1<'_, f64>, factor: f64) -> Option<f64> {
    let sd = column.std(0.0);
    let step = (0..=MOST_DECIMALS).map(|decimals| 10_f64.powi(-decimals)).find(|step| {
        let is_multiple = |value: &f64| {
            let steps = value / factor / step;
            (steps - steps.round()).abs() < 1e-3
        };
        column.iter().take(ROWS).all(is_multiple)
    })?;
    let part = factor * step / 12_f64.sqrt() / sd;
    (sd > 0.0 && part < LARGEST).then_some(part)
}
