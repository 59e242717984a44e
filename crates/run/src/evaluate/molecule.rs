//! Scores of a molecule: bond lengths and angles, and momenta of draws that are exploded again.

use cei_data::is_incomplete;
use cei_metrics::{
    COVERAGE_LEVELS, Estimator, GaugeFreeScores, InternalCoordinates, ResimulationErrors,
};
use cei_physics::Molecule;
use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis, concatenate, s};

use crate::trained::draws::first_rows;
use crate::trained::{Resimulator, internal_coordinates};
use crate::{RunError, TrainedRun};

/// Scores of bond lengths, angles and momenta.
pub(super) struct MoleculeScores {
    molecule: Molecule,
    coordinates: InternalCoordinates,
    pub(super) gauge_free: GaugeFreeScores,
    resimulator: Resimulator,
    pub(super) resimulation: ResimulationErrors,
    /// Events that have been added.
    events: u64,
}

impl MoleculeScores {
    /// `seed` is that of the momenta with which ions start that move.
    pub(super) fn new(run: &TrainedRun, molecule: &Molecule, seed: u64) -> Result<Self, RunError> {
        let coordinates =
            internal_coordinates(&run.experiment, molecule, run.record.preprocessing.alike())?;
        Ok(Self {
            gauge_free: GaugeFreeScores::new(coordinates.clone(), &COVERAGE_LEVELS)?,
            coordinates,
            resimulator: Resimulator::new(run, molecule, seed),
            resimulation: ResimulationErrors::default(),
            events: 0,
            molecule: molecule.clone(),
        })
    }

    pub(super) fn labels(&self) -> Vec<(String, &'static str)> {
        let bonds = self.coordinates.pair_labels().iter().map(|label| (label.clone(), "pm"));
        let angles = self.coordinates.triple_labels().iter().map(|label| (label.clone(), "deg"));
        bonds.chain(angles).collect()
    }

    pub(super) fn add(
        &mut self,
        run: &TrainedRun,
        x: ArrayView2<'_, f64>,
        y: ArrayView2<'_, f64>,
        draws: &Array3<f64>,
    ) -> Result<(), RunError> {
        let columns = 3 * self.molecule.atom_count();
        self.gauge_free.add(x.slice(s![.., ..columns]), draws.slice(s![.., .., ..columns]))?;
        let preprocessing = &run.record.preprocessing;
        if preprocessing.momenta() != columns || run.averages_charges() {
            return Ok(());
        }
        // Momenta of ions that are missing are not compared: only those of events that have all.
        let complete: Vec<usize> =
            (0..y.nrows()).filter(|row| !is_incomplete(y.slice(s![*row, ..columns]))).collect();
        let first_event = self.events;
        self.events += x.nrows() as u64;
        if complete.is_empty() {
            return Ok(());
        }
        let (y, draws) = (y.select(Axis(0), &complete), draws.select(Axis(0), &complete));
        let (momenta, charges) = y.view().split_at(Axis(1), columns);
        let charges: Vec<Vec<f64>> = charges.rows().into_iter().map(|row| row.to_vec()).collect();
        let rows = first_rows(&draws, run.experiment.evaluation.resimulated_draws);
        let shape = (y.nrows(), rows.nrows() / y.nrows().max(1), columns);
        let numbers: Vec<u64> = complete.iter().map(|row| first_event + *row as u64).collect();
        let Some(resimulated) = self.resimulator.momenta(rows.view(), &charges, &numbers)? else {
            return Ok(());
        };
        let Ok(resimulated) = resimulated.into_shape_with_order(shape) else {
            unreachable!("every event has equally many draws")
        };
        let measured = self.resimulator.in_one_frame(momenta.to_owned());
        self.resimulation.add(measured.view(), resimulated.view())?;
        Ok(())
    }

    /// True and mean predicted bond lengths (pm) and angles (degrees), events x quantities.
    pub(super) fn pairs(
        &self,
        x: ArrayView2<'_, f64>,
        draws: ArrayView3<'_, f64>,
    ) -> Result<(Array2<f64>, Array2<f64>), RunError> {
        let pm = cei_metrics::PM_PER_BOHR;
        let truth =
            side_by_side(&(self.coordinates.lengths(x)? * pm), &self.coordinates.angles_deg(x)?);
        let mean = |values: Array3<f64>| Estimator::Mean.estimate(values.view());
        let predicted = side_by_side(
            &(mean(self.coordinates.lengths_of_draws(draws)?)? * pm),
            &mean(self.coordinates.angles_deg_of_draws(draws)?)?,
        );
        Ok((truth, predicted))
    }
}

fn side_by_side(left: &Array2<f64>, right: &Array2<f64>) -> Array2<f64> {
    match concatenate(Axis(1), &[left.view(), right.view()]) {
        Ok(both) => both,
        Err(_) => unreachable!("both have one row an event"),
    }
}
