//! The forward model `y = f(u)` with its Jacobian, and its one use here: an explosion seen through a chart.
//!
//! `J_u = J_x B^T` with the exact Jacobian `J_x` of final momenta by positions.

use cei_physics::{Accuracy, Charging, Exploder, ExplosionError, Molecule};
use ndarray::{Array2, Array3, ArrayView2, Axis};

use crate::chart::Chart;
use crate::error::PosteriorError;

/// A deterministic model of what is measured. Rows with no result are NaN.
pub trait Forward: Sync {
    /// Number of coordinates, d.
    fn inputs(&self) -> usize;
    /// Number of measured components, m.
    fn outputs(&self) -> usize;
    /// Values (rows, m) at coordinates (rows, d).
    fn values(&self, coordinates: ArrayView2<'_, f64>) -> Array2<f64>;
    /// Values (rows, m) and Jacobians (rows, m, d) at coordinates (rows, d).
    fn linearised(&self, coordinates: ArrayView2<'_, f64>) -> (Array2<f64>, Array3<f64>);
}

/// Final momenta (3N, a.u.) of an explosion from rest at the positions of a chart, with the nuisances of a charging
/// that draws some as further columns of the chart.
#[derive(Debug, Clone)]
pub struct Explosion<'a> {
    molecule: &'a Molecule,
    chart: &'a Chart,
    charging: Charging,
    accuracy: Accuracy,
}

/// The part of the largest momentum above which noise hides the errors of the fast integration, which are
/// 2e-6 of it at the mean and 5e-5 at worst.
const HIDDEN: f64 = 2e-4;

impl<'a> Explosion<'a> {
    /// The explosion of `molecule`, whose charges come as `charging` says, seen through `chart`.
    ///
    /// # Errors
    /// [`PosteriorError::Size`] if the chart is of another number of atoms or nuisances; [`PosteriorError::Explosion`]
    /// for an accuracy out of range and for a charging that does not fit the molecule.
    pub fn new(
        molecule: &'a Molecule,
        charging: &Charging,
        chart: &'a Chart,
        accuracy: &Accuracy,
    ) -> Result<Self, PosteriorError> {
        let exploder = Exploder::new(molecule, charging, accuracy).map_err(ExplosionError::from)?;
        if chart.columns() != exploder.inputs() {
            return Err(PosteriorError::Size {
                what: "columns of the chart",
                found: chart.columns(),
                expected: exploder.inputs(),
            });
        }
        let (charging, accuracy) = (charging.clone(), accuracy.clone());
        Ok(Self { molecule, chart, charging, accuracy })
    }

    fn exploder(&self) -> Result<Exploder<'a>, ExplosionError> {
        Ok(Exploder::new(self.molecule, &self.charging, &self.accuracy)?)
    }

    /// `accuracy`, made fast where noise of at least `least_noise` (a.u.) on momenta of up to
    /// `largest_momentum` (a.u.) hides the difference.
    pub fn accuracy_for(accuracy: &Accuracy, least_noise: f64, largest_momentum: f64) -> Accuracy {
        if least_noise > HIDDEN * largest_momentum { Accuracy::fast() } else { accuracy.clone() }
    }
}

impl Forward for Explosion<'_> {
    fn inputs(&self) -> usize {
        self.chart.dimension()
    }

    fn outputs(&self) -> usize {
        3 * self.molecule.atom_count()
    }

    fn values(&self, coordinates: ArrayView2<'_, f64>) -> Array2<f64> {
        let rows = self.chart.positions(coordinates);
        let failed = |_| Array2::from_elem((rows.nrows(), self.outputs()), f64::NAN);
        self.exploder()
            .and_then(|exploder| exploder.explode_all(rows.view()))
            .unwrap_or_else(failed)
    }

    fn linearised(&self, coordinates: ArrayView2<'_, f64>) -> (Array2<f64>, Array3<f64>) {
        let inputs = self.chart.positions(coordinates);
        let (rows, columns) = (inputs.nrows(), self.outputs());
        let mut jacobians = Array3::from_elem((rows, columns, self.chart.dimension()), f64::NAN);
        // The sizes, the accuracy and the charging were checked before, and nothing else is an error here.
        let Ok((momenta, by_position)) =
            self.exploder().and_then(|exploder| exploder.explode_linearised(inputs.view()))
        else {
            return (Array2::from_elem((rows, columns), f64::NAN), jacobians);
        };
        let turned = self.chart.basis().reversed_axes();
        for (mut jacobian, by_position) in
            jacobians.axis_iter_mut(Axis(0)).zip(by_position.axis_iter(Axis(0)))
        {
            jacobian.assign(&by_position.dot(&turned));
        }
        (momenta, jacobians)
    }
}
