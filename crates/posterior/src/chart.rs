//! Orthonormal coordinates of what a model infers, positions (bohr) and behind them nuisances (each in a unit of its
//! own): `x = origin + B^T u`.
//!
//! A flow's density is one per unit volume of `u`. The prior's density is one of relative (or absolute)
//! Cartesian coordinates `R x`, and of the nuisances; so `log p(u) = log p(R x(u)) + log |det R B^T|`, a constant
//! apart.

use cei_physics::{Nuisance, PositionDensity};
use ndarray::{Array1, Array2, ArrayView2, s};

use crate::circle::Circle;
use crate::error::PosteriorError;
use crate::linear::log_abs_determinant;

/// How far scalar products of the rows of a basis may be from 0 and 1. Bases come from f64 decompositions of
/// tables in f32.
const ORTHONORMAL: f64 = 1e-5;

/// An affine map, whose columns are orthonormal, from d coordinates to 3N positions in bohr and any nuisances.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    origin: Array1<f64>,
    basis: Array2<f64>,
}

impl Chart {
    /// A chart of `origin` (3N, bohr) and `basis` (d, 3N) with orthonormal rows.
    ///
    /// # Errors
    /// [`PosteriorError::Size`], [`PosteriorError::NotOrthonormal`].
    ///
    /// ```
    /// use cei_posterior::Chart;
    /// use ndarray::array;
    ///
    /// // Two atoms on a line: the first fixed, the second 2 bohr away and free along x.
    /// let chart = Chart::new(array![0.0, 0.0, 0.0, 2.0, 0.0, 0.0], array![[0.0, 0.0, 0.0, 1.0, 0.0, 0.0]])?;
    /// let row = chart.positions(array![[0.5]].view());
    /// assert_eq!(row[[0, 3]], 2.5);
    /// assert!(Chart::new(array![0.0, 0.0], array![[1.0, 1.0]]).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(origin: Array1<f64>, basis: Array2<f64>) -> Result<Self, PosteriorError> {
        if basis.ncols() != origin.len() {
            return Err(PosteriorError::Size {
                what: "columns of the chart's basis",
                found: basis.ncols(),
                expected: origin.len(),
            });
        }
        for first in 0..basis.nrows() {
            for second in 0..=first {
                let product = basis.row(first).dot(&basis.row(second));
                let expected = if first == second { 1.0 } else { 0.0 };
                // Written so that NaN is an error too.
                if (product - expected).abs() <= ORTHONORMAL {
                    continue;
                }
                return Err(PosteriorError::NotOrthonormal { first, second, product, expected });
            }
        }
        Ok(Self { origin, basis })
    }

    /// The chart of all positions with a given atom's or the centre of mass at the origin:
    /// `sum_k weights_k x_k = 0` with weights by atom (masses, or 1 for one atom and 0 for the rest).
    /// It has 3N - 3 dimensions.
    ///
    /// # Errors
    /// [`PosteriorError::Value`] if the weights are all zero or one is not finite.
    ///
    /// ```
    /// use cei_posterior::Chart;
    /// use ndarray::array;
    ///
    /// // Two atoms of masses 1 and 3: x_1 + 3 x_2 = 0.
    /// let chart = Chart::centred(&[1.0, 3.0])?;
    /// let row = chart.positions(array![[0.7, 0.1, -0.2]].view());
    /// assert!((row[[0, 0]] + 3.0 * row[[0, 3]]).abs() < 1e-12);
    /// // What lies in the chart comes back.
    /// assert!((chart.coordinates(row.view())[[0, 0]] - 0.7).abs() < 1e-12);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn centred(weights: &[f64]) -> Result<Self, PosteriorError> {
        let norm = weights.iter().map(|w| w * w).sum::<f64>().sqrt();
        if !(norm.is_finite() && norm > 0.0) {
            let expected = "finite weights that are not all 0";
            return Err(PosteriorError::Value { what: "weight", index: 0, value: norm, expected });
        }
        let atoms = weights.len();
        // Orthonormal complement of the weights by a Householder reflection: it takes the weights to an axis,
        // and its other rows are the complement.
        let mut mirror: Vec<f64> = weights.iter().map(|w| w / norm).collect();
        mirror[0] += if mirror[0] >= 0.0 { 1.0 } else { -1.0 };
        let square: f64 = mirror.iter().map(|m| m * m).sum();
        let basis = Array2::from_shape_fn((3 * (atoms - 1), 3 * atoms), |(row, column)| {
            let (direction, atom) = (row / 3 + 1, column / 3);
            if row % 3 != column % 3 {
                return 0.0;
            }
            let one = if direction == atom { 1.0 } else { 0.0 };
            one - 2.0 * mirror[direction] * mirror[atom] / square
        });
        Self::new(Array1::zeros(3 * atoms), basis)
    }

    /// d.
    pub fn dimension(&self) -> usize {
        self.basis.nrows()
    }

    /// 3N and the number of nuisances.
    pub fn columns(&self) -> usize {
        self.origin.len()
    }

    /// B, (d, 3N).
    pub fn basis(&self) -> ArrayView2<'_, f64> {
        self.basis.view()
    }

    /// Those of the nuisances, which are the last columns, that are angles of a full turn.
    pub(crate) fn circles(&self, nuisances: &[Nuisance]) -> Vec<Circle> {
        let columns = self.columns() - nuisances.len()..self.columns();
        let circle = |(column, nuisance): (usize, &Nuisance)| {
            let (low, period) = nuisance.turn()?;
            let direction = self.basis.column(column).to_vec();
            // A chart in which nothing turns has no circle.
            let square: f64 = direction.iter().map(|n| n * n).sum();
            let is_free = (square - 1.0).abs() <= ORTHONORMAL;
            is_free.then(|| Circle::new(direction, low - self.origin[column], period))
        };
        columns.zip(nuisances).filter_map(circle).collect()
    }

    /// Positions (rows, 3N) of coordinates (rows, d).
    pub fn positions(&self, coordinates: ArrayView2<'_, f64>) -> Array2<f64> {
        coordinates.dot(&self.basis) + &self.origin
    }

    /// Positions (3N) of one row of coordinates (d).
    pub fn positions_of(&self, coordinates: &[f64]) -> Vec<f64> {
        let mut positions = self.origin.to_vec();
        for (u, row) in coordinates.iter().zip(self.basis.rows()) {
            for (position, b) in positions.iter_mut().zip(row) {
                *position += u * b;
            }
        }
        positions
    }

    /// Coordinates (rows, d) of positions (rows, 3N): what lies outside the chart is dropped.
    pub fn coordinates(&self, positions: ArrayView2<'_, f64>) -> Array2<f64> {
        (&positions - &self.origin).dot(&self.basis.t())
    }
}

/// The prior density of positions per unit volume of a chart.
///
/// ```
/// use cei_physics::Simulation;
/// use cei_physics::presets::OCS_WIDE;
/// use cei_posterior::{Chart, ChartPrior};
///
/// let ocs: Simulation = toml::from_str(OCS_WIDE.text)?;
/// let (density, chart) = (ocs.position_density()?, Chart::centred(ocs.molecule.masses())?);
/// let prior = ChartPrior::new(&density, &[], &chart)?;
/// // Of a geometry of the law, and of atoms far from each other.
/// let law = ocs.draw_geometries(1, 0)?;
/// let drawn = chart.coordinates(law.view());
/// assert!(prior.log_density(&drawn.row(0).to_vec()).is_finite());
/// assert_eq!(prior.log_density(&[50.0; 6]), f64::NEG_INFINITY);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct ChartPrior<'a> {
    density: &'a PositionDensity,
    nuisances: &'a [Nuisance],
    chart: &'a Chart,
    /// `log |det R B^T|`.
    log_volume: f64,
}

impl<'a> ChartPrior<'a> {
    /// The density of the geometry law, and of nuisances that are independent of it, in the coordinates of `chart`.
    ///
    /// # Errors
    /// [`PosteriorError::Size`] for another number of atoms or nuisances; [`PosteriorError::Dimension`] if the chart does
    /// not have the dimensions of the density, or lies across them.
    pub fn new(
        density: &'a PositionDensity,
        nuisances: &'a [Nuisance],
        chart: &'a Chart,
    ) -> Result<Self, PosteriorError> {
        let (dimension, positions) = density.coordinates().dim();
        let mut relative =
            Array2::zeros((dimension + nuisances.len(), positions + nuisances.len()));
        relative.slice_mut(s![..dimension, ..positions]).assign(density.coordinates());
        relative.slice_mut(s![dimension.., positions..]).diag_mut().fill(1.0);
        if relative.ncols() != chart.columns() {
            return Err(PosteriorError::Size {
                what: "columns of the chart",
                found: chart.columns(),
                expected: relative.ncols(),
            });
        }
        let mismatch =
            PosteriorError::Dimension { chart: chart.dimension(), density: relative.nrows() };
        if chart.dimension() != relative.nrows() {
            return Err(mismatch);
        }
        let log_volume = log_abs_determinant(relative.dot(&chart.basis.t()));
        if log_volume < -20.0 {
            return Err(mismatch);
        }
        Ok(Self { density, nuisances, chart, log_volume })
    }

    /// `log p(u)` per unit volume of `u` (d numbers, bohr); minus infinity outside the support.
    pub fn log_density(&self, coordinates: &[f64]) -> f64 {
        let row = self.chart.positions_of(coordinates);
        let (positions, values) = row.split_at(row.len() - self.nuisances.len());
        let of_nuisances = self.nuisances.iter().zip(values);
        let of_nuisances: f64 = of_nuisances.map(|(law, value)| law.log_density(*value)).sum();
        self.density.log_density(positions) + of_nuisances + self.log_volume
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;
    use ndarray::array;

    #[test]
    fn a_centred_chart_keeps_its_centre_and_comes_back() {
        let chart = Chart::centred(&[12.0, 16.0, 32.0]).unwrap();
        assert_eq!((chart.dimension(), chart.columns()), (6, 9));
        let u = array![[0.3, -1.0, 2.0, 0.7, 0.1, -0.4]];
        let x = chart.positions(u.view());
        for axis in 0..3 {
            let moment = 12.0 * x[[0, axis]] + 16.0 * x[[0, 3 + axis]] + 32.0 * x[[0, 6 + axis]];
            assert_abs_diff_eq!(moment, 0.0, epsilon = 1e-13);
        }
        let back = chart.coordinates(x.view()).row(0).to_vec();
        assert_abs_diff_eq!(back[..], u.row(0).to_vec()[..], epsilon = 1e-14);
        let alone = chart.positions_of(&u.row(0).to_vec());
        assert_abs_diff_eq!(alone[..], x.row(0).to_vec()[..], epsilon = 1e-14);
    }

    #[test]
    fn a_skewed_basis_is_refused() {
        let skewed = Chart::new(Array1::zeros(2), array![[1.0, 0.0], [0.6, 0.8]]);
        assert!(matches!(skewed, Err(PosteriorError::NotOrthonormal { first: 1, second: 0, .. })));
    }
}
