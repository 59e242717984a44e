//! The columns of one side of a table: which vary, and the constants of the others.

use ndarray::{ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

use super::error::PreprocessingError;
use crate::kinds::Varying;
use crate::passes::Passes;
use crate::scaler::RunningMoments;

/// A row is off a constant by more than this part of the largest sd of the columns of its kind.
pub(super) const OFF_CONSTANT: f64 = 1e-6;

/// A column that does not vary among the training rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadColumn {
    /// Its place among the side's columns, from 0.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// Its mean, put back on decoding.
    pub constant: f64,
    /// What variation there is: round-off.
    pub sd: f64,
    /// What deviations from the constant are compared with; absent where that is the largest sd of the side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
}

/// The columns of one side: which vary, and the constants of the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Side {
    pub(super) names: Vec<String>,
    pub(super) alive: Vec<usize>,
    pub(super) dead: Vec<DeadColumn>,
    pub(super) largest_sd: f64,
}

impl Side {
    /// The side of so many rows, with the means and sds of its varying columns; the first `components` are those of a molecule.
    pub(super) fn fit(
        side: &'static str,
        names: &[String],
        rows: &Passes<'_>,
        count: usize,
        components: usize,
    ) -> Result<(Self, Vec<f64>, Vec<f64>), PreprocessingError> {
        let (moments, largest) = RunningMoments::of(rows)?.finish();
        let Varying { moments, alive, scales } =
            Varying::judge(names, moments, &largest, components);
        let largest_sd = moments.iter().map(|moments| moments.1).fold(0.0, f64::max);
        if alive.is_empty() {
            return Err(PreprocessingError::Constant { side, rows: count, names: names.to_vec() });
        }
        let dead = (0..names.len()).filter(|index| alive.binary_search(index).is_err());
        let means = alive.iter().map(|&index| moments[index].0).collect();
        let sds = alive.iter().map(|&index| moments[index].1).collect();
        let dead = dead
            .map(|index| {
                let (constant, sd) = moments[index];
                let scale = Some(scales[index]).filter(|scale| *scale != largest_sd);
                DeadColumn { index, name: names[index].clone(), constant, sd, scale }
            })
            .collect();
        Ok((Self { names: names.to_vec(), alive, dead, largest_sd }, means, sds))
    }

    /// The columns that vary.
    pub(super) fn only_alive<'a>(&self, rows: Passes<'a>) -> Passes<'a> {
        if self.dead.is_empty() {
            return rows;
        }
        let alive = self.alive.clone();
        rows.map(alive.len(), move |row, out| {
            out.iter_mut().zip(&alive).for_each(|(to, &index)| *to = row[index]);
        })
    }

    pub(super) fn off_constant(&self, values: ArrayView2<'_, f64>) -> usize {
        let is_off = |row: &ArrayView1<'_, f64>| {
            self.dead.iter().any(|dead| {
                let tolerance = OFF_CONSTANT * dead.scale.unwrap_or(self.largest_sd);
                (row[dead.index] - dead.constant).abs() > tolerance
            })
        };
        values.rows().into_iter().filter(is_off).count()
    }
}
