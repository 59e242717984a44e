//! Gauge-free errors of a chunked test set: bond lengths, angles, displacements.
//!
//! Every quantity is computed for each draw and only then averaged: the estimate `mean` of a bond
//! length is the mean over draws of that length, never the length between mean positions.

use std::collections::BTreeMap;

use ndarray::{Array3, ArrayView2, ArrayView3, Axis, concatenate};

use super::internal::InternalCoordinates;
use super::procrustes::{aligned_mean, displacements};
use crate::point::{Estimator, PointErrors};
use crate::results::{GaugeFree, GaugeFreeErrors};
use crate::{Accumulator, EnsembleScores, Error, Result, Summary};

/// Picometres in a bohr (CODATA 2018).
pub const PM_PER_BOHR: f64 = 52.917_721_090_3;

/// Accumulates the gauge-free errors of posterior draws of positions in bohr. Bond lengths are
/// reported in pm, angles in degrees, displacements in bohr.
#[derive(Debug, Clone)]
pub struct GaugeFreeScores {
    coordinates: InternalCoordinates,
    mean: EstimatorErrors,
    draw: EstimatorErrors,
    ensemble: Option<EnsembleScores>,
}

#[derive(Debug, Clone)]
struct EstimatorErrors {
    estimator: Estimator,
    /// Lengths in pm, then angles in degrees.
    internal: PointErrors,
    displacement: Accumulator,
}

impl GaugeFreeScores {
    /// Counts nothing yet. `levels` are the central coverage levels.
    ///
    /// # Errors
    /// No bond and no angle to score, or a level outside (0, 1).
    pub fn new(coordinates: InternalCoordinates, levels: &[f64]) -> Result<Self> {
        let width = coordinates.pair_labels().len() + coordinates.triple_labels().len();
        let all: Vec<usize> = (0..width).collect();
        Ok(Self {
            coordinates,
            mean: EstimatorErrors::new(Estimator::Mean, width)?,
            draw: EstimatorErrors::new(Estimator::Draw, width)?,
            ensemble: Some(EnsembleScores::new(width, &all, levels)?),
        })
    }

    /// Takes a chunk: true positions (`n x 3 atoms`) and draws of them (`n x K x 3 atoms`), in
    /// bohr. With a single draw there is no CRPS and no coverage.
    ///
    /// # Errors
    /// Shapes that do not fit, values that are not finite.
    pub fn add(&mut self, truth: ArrayView2<'_, f64>, draws: ArrayView3<'_, f64>) -> Result<()> {
        let internal = self.internal_of_draws(draws)?;
        let truth_internal = self.internal_of_draws(truth.insert_axis(Axis(1)))?;
        let truth_internal = truth_internal.index_axis(Axis(1), 0);
        self.mean.add(truth_internal, internal.view())?;
        self.draw.add(truth_internal, internal.view())?;
        self.mean.add_displacements(truth, draws)?;
        self.draw.add_displacements(truth, draws)?;
        if draws.len_of(Axis(1)) < 2 {
            self.ensemble = None;
        }
        match &mut self.ensemble {
            Some(ensemble) => ensemble.add(truth_internal, internal.view()),
            None => Ok(()),
        }
    }

    /// Takes the events of another accumulator.
    ///
    /// # Errors
    /// Other bonds or angles.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.coordinates != other.coordinates {
            return Err(Error::Merge);
        }
        self.mean.merge(&other.mean)?;
        self.draw.merge(&other.draw)?;
        match (&mut self.ensemble, &other.ensemble) {
            (Some(ensemble), Some(other)) => ensemble.merge(other)?,
            (ensemble, _) => *ensemble = None,
        }
        Ok(())
    }

    /// The errors of both estimators, and CRPS and coverage under the labels of bonds and angles.
    ///
    /// # Errors
    /// No events.
    pub fn summary(&self) -> Result<GaugeFree> {
        let labels = self.labels();
        let (mut crps, mut coverage) = (BTreeMap::new(), BTreeMap::new());
        if let Some(ensemble) = &self.ensemble {
            for (label, column) in labels.iter().zip(ensemble.per_column()?) {
                crps.insert(label.clone(), column.crps.mean);
                coverage.insert(label.clone(), column.coverage_map());
            }
        }
        Ok(GaugeFree {
            mean: self.mean_errors()?,
            draw: Some(self.draw.errors(&self.coordinates)?),
            crps,
            coverage,
        })
    }

    /// The errors of the estimator `mean` alone, as for a baseline.
    ///
    /// # Errors
    /// No events.
    pub fn mean_errors(&self) -> Result<GaugeFreeErrors> {
        self.mean.errors(&self.coordinates)
    }

    fn labels(&self) -> Vec<String> {
        [self.coordinates.pair_labels(), self.coordinates.triple_labels()].concat()
    }

    fn internal_of_draws(&self, draws: ArrayView3<'_, f64>) -> Result<Array3<f64>> {
        let lengths_pm = self.coordinates.lengths_of_draws(draws)? * PM_PER_BOHR;
        let angles_deg = self.coordinates.angles_deg_of_draws(draws)?;
        concatenate(Axis(2), &[lengths_pm.view(), angles_deg.view()])
            .map_err(|_| Error::NotPositions { columns: draws.len_of(Axis(2)) })
    }
}

impl EstimatorErrors {
    fn new(estimator: Estimator, width: usize) -> Result<Self> {
        Ok(Self {
            estimator,
            internal: PointErrors::new(width, &[])?,
            displacement: Accumulator::default(),
        })
    }

    fn add(&mut self, truth: ArrayView2<'_, f64>, internal: ArrayView3<'_, f64>) -> Result<()> {
        let estimate = self.estimator.estimate(internal)?;
        self.internal.add(truth, estimate.view())
    }

    /// Displacement of the aligned mean of the draws, or of the first draw.
    fn add_displacements(
        &mut self,
        truth: ArrayView2<'_, f64>,
        draws: ArrayView3<'_, f64>,
    ) -> Result<()> {
        let estimate = match self.estimator {
            Estimator::Mean => aligned_mean(draws)?,
            Estimator::Draw => self.estimator.estimate(draws)?,
        };
        for displacement in displacements(truth, estimate.view())? {
            self.displacement.add(displacement);
        }
        Ok(())
    }

    fn merge(&mut self, other: &Self) -> Result<()> {
        self.displacement.merge(&other.displacement);
        self.internal.merge(&other.internal)
    }

    fn errors(&self, coordinates: &InternalCoordinates) -> Result<GaugeFreeErrors> {
        let displacement = self
            .displacement
            .summary()
            .ok_or(Error::Empty { what: "the list of events to score" })?;
        let rmse = self.internal.root_mean_square()?;
        let (lengths, angles) = rmse.split_at(coordinates.pair_labels().len());
        let means = |labels: &[String], values: &[Summary]| -> BTreeMap<String, f64> {
            let means = values.iter().map(|summary| summary.mean);
            labels.iter().cloned().zip(means).collect()
        };
        let errors = |labels: &[String], values: &[Summary]| -> BTreeMap<String, f64> {
            let pairs = labels.iter().zip(values);
            pairs
                .filter_map(|(label, summary)| Some((label.clone(), summary.standard_error?)))
                .collect()
        };
        let (pairs, triples) = (coordinates.pair_labels(), coordinates.triple_labels());
        Ok(GaugeFreeErrors {
            bond_length_rmse_pm: means(pairs, lengths),
            bond_length_rmse_pm_standard_error: errors(pairs, lengths),
            angle_rmse_deg: means(triples, angles),
            angle_rmse_deg_standard_error: errors(triples, angles),
            displacement_bohr: displacement.mean,
            displacement_bohr_standard_error: displacement.standard_error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use ndarray::{arr2, arr3, array};

    fn scores() -> GaugeFreeScores {
        let coordinates = InternalCoordinates::about(&["C", "O", "S"], 0).unwrap();
        GaugeFreeScores::new(coordinates, &[0.5]).unwrap()
    }

    /// C at the origin, O along x, S along y: a right angle.
    fn right(co: f64, cs: f64) -> [f64; 9] {
        [0.0, 0.0, 0.0, co, 0.0, 0.0, 0.0, cs, 0.0]
    }

    #[test]
    fn lengths_are_averaged_over_draws_in_any_frame() {
        // Truth r_CO = 2. Draws 1 along x and 5 along z: mean length 3, so the error of `mean` is
        // 1 bohr, of `draw` 1 bohr; the mean position would have r_CO = sqrt(26) / 2 = 2.55.
        let truth = arr2(&[right(2.0, 2.0)]);
        let draws = arr3(&[[right(1.0, 2.0), [0.0, 0.0, 0.0, 0.0, 0.0, 5.0, 0.0, 2.0, 0.0]]]);
        let mut scores = scores();
        scores.add(truth.view(), draws.view()).unwrap();
        let summary = scores.summary().unwrap();
        assert_relative_eq!(
            summary.mean.bond_length_rmse_pm["C-O"],
            PM_PER_BOHR,
            max_relative = 1e-12
        );
        let draw = summary.draw.unwrap();
        assert_relative_eq!(draw.bond_length_rmse_pm["C-O"], PM_PER_BOHR, max_relative = 1e-12);
        assert!(summary.mean.bond_length_rmse_pm["C-S"] < 1e-12);
        assert!(summary.mean.angle_rmse_deg["O-C-S"] < 1e-10);
        // Fair CRPS of draws 1 and 5 for the truth 2: (1 + 3) / 2 - 4 / 2 = 0
        assert_relative_eq!(summary.crps["C-O"], 0.0, epsilon = 1e-9);
        assert_eq!(summary.coverage["C-O"].len(), 1);
    }

    #[test]
    fn displacement_of_the_first_draw_and_of_the_aligned_mean() {
        // Diatomic of length 2; draws of lengths 4 and 2 at right angles. First draw: each atom
        // off by 1. Aligned mean is 3 long: each atom off by 0.5.
        let coordinates = InternalCoordinates::about(&["H", "H"], 0).unwrap();
        let mut scores = GaugeFreeScores::new(coordinates, &[]).unwrap();
        let truth = array![[0.0, 0.0, 0.0, 2.0, 0.0, 0.0]];
        let draws = array![[[0.0, 0.0, 0.0, 0.0, 4.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 2.0],]];
        scores.add(truth.view(), draws.view()).unwrap();
        let summary = scores.summary().unwrap();
        assert_relative_eq!(summary.mean.displacement_bohr, 0.5, epsilon = 1e-12);
        assert_relative_eq!(summary.draw.unwrap().displacement_bohr, 1.0, epsilon = 1e-12);
        assert!(summary.mean.angle_rmse_deg.is_empty());
    }

    #[test]
    fn one_draw_has_errors_but_no_distribution() {
        let mut scores = scores();
        let draws = arr3(&[[right(1.0, 2.0)]]);
        scores.add(arr2(&[right(2.0, 2.0)]).view(), draws.view()).unwrap();
        let summary = scores.summary().unwrap();
        assert!(summary.crps.is_empty() && summary.coverage.is_empty());
        assert_eq!(summary.mean.bond_length_rmse_pm.len(), 3);
    }

    #[test]
    fn chunks_merge_to_the_whole() {
        let truth = arr2(&[right(2.0, 2.0), right(2.5, 2.2)]);
        let draws = arr3(&[[right(1.9, 2.1), right(2.2, 1.8)], [right(2.4, 2.1), right(2.0, 2.5)]]);
        let mut whole = scores();
        whole.add(truth.view(), draws.view()).unwrap();
        let mut left = scores();
        let mut right = scores();
        let (upper, lower) = truth.view().split_at(Axis(0), 1);
        let (upper_draws, lower_draws) = draws.view().split_at(Axis(0), 1);
        left.add(upper, upper_draws).unwrap();
        right.add(lower, lower_draws).unwrap();
        left.merge(&right).unwrap();
        let (a, b) = (left.summary().unwrap(), whole.summary().unwrap());
        for (label, value) in &b.mean.bond_length_rmse_pm {
            assert_relative_eq!(a.mean.bond_length_rmse_pm[label], *value, max_relative = 1e-12);
        }
        assert_relative_eq!(a.mean.displacement_bohr, b.mean.displacement_bohr, epsilon = 1e-12);
        assert!(scores().summary().is_err());
    }
}
