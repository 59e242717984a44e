//! The directions in which positions vary, and noise for those in which they do not.

use nalgebra::DMatrix;
use serde::{Deserialize, Serialize};

use super::side::Side;
use crate::passes::Passes;
use crate::scaler::Scaler;
use crate::subspace::{self, Directions};

/// Where positions are constrained: `a` lies on `mean + basis * u`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Subspace {
    /// Mean of the varying columns, bohr.
    pub(super) mean: Vec<f64>,
    /// Rows: varying columns; columns: orthonormal directions that vary.
    pub(super) basis: Vec<Vec<f64>>,
    /// One orthonormal direction without variation a row, over the varying columns.
    pub(super) null: Vec<Vec<f64>>,
}

impl Subspace {
    pub(super) fn new(mean: Vec<f64>, found: &Directions) -> Self {
        Self { mean, basis: rows_of(&found.alive), null: rows_of(&found.null.transpose()) }
    }

    /// `u = B^T (a - m)` of every row.
    pub(super) fn coordinates<'a>(&self, alive: Passes<'a>) -> Passes<'a> {
        let Self { mean, basis, .. } = self.clone();
        let rank = basis.first().map_or(0, Vec::len);
        alive.map(rank, move |row, out| {
            for ((value, mean), basis) in row.iter().zip(&mean).zip(&basis) {
                out.iter_mut().zip(basis).for_each(|(u, b)| *u += (value - mean) * b);
            }
        })
    }
}

/// Noise for the directions without variation, in the network's scaled coordinates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Noise {
    pub(super) sd: f64,
    /// `k x x columns`, orthonormal rows.
    pub(super) directions: Vec<Vec<f64>>,
    /// Where the training rows stand along each direction.
    centres: Vec<f64>,
}

impl Noise {
    /// Orthonormal directions without variation in scaled coordinates: the constraints first, then
    /// one axis a dead column. A constraint `n` on raw rows is `S n` on scaled ones, `S` the scales.
    pub(super) fn new(
        sd: f64,
        side: &Side,
        found: &Directions,
        means: &[f64],
        scaler: &Scaler,
    ) -> Self {
        let width = side.names.len();
        let scales = scaler.scales();
        let constraints = DMatrix::from_fn(side.alive.len(), found.null.ncols(), |row, column| {
            found.null[(row, column)] * scales[side.alive[row]]
        });
        let constraints = if constraints.ncols() == 0 {
            constraints
        } else {
            subspace::signed(constraints.qr().q())
        };
        let mut directions = Vec::new();
        let mut centres = Vec::new();
        for column in constraints.column_iter() {
            let mut direction = vec![0.0; width];
            let mut centre = 0.0;
            for ((&index, &part), &mean) in side.alive.iter().zip(&column).zip(means) {
                direction[index] = part;
                centre += part * scaler.transform(index, mean);
            }
            directions.push(direction);
            centres.push(centre);
        }
        for dead in &side.dead {
            let mut direction = vec![0.0; width];
            direction[dead.index] = 1.0;
            directions.push(direction);
            centres.push(scaler.transform(dead.index, dead.constant));
        }
        Self { sd, directions, centres }
    }

    /// Puts a scaled row back where the training rows stand along every direction.
    pub(super) fn remove(&self, scaled: &mut [f64]) {
        for (direction, centre) in self.directions.iter().zip(&self.centres) {
            let along: f64 = direction.iter().zip(&*scaled).map(|(d, s)| d * s).sum();
            scaled.iter_mut().zip(direction).for_each(|(s, d)| *s -= (along - centre) * d);
        }
    }
}

fn rows_of(matrix: &DMatrix<f64>) -> Vec<Vec<f64>> {
    matrix.row_iter().map(|row| row.iter().copied().collect()).collect()
}
