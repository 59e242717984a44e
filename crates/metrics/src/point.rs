//! Point metrics: mean squared error and relative errors, of a named estimator, per column and
//! averaged with and without dead columns.
//!
//! With e = x - x^ (truth minus estimate), averaged over events and columns (`docs/spec.md#point-scores`):
//!
//! - MSE = mean of e^2, in squared raw units;
//! - MRE = mean of |e| / (|x| + 1e-8). It has no finite expectation where x crosses zero, so the
//!   median of the same ratio stands beside it.

use ndarray::{Array2, ArrayView2, ArrayView3, Axis};

use crate::matrix::{check_finite_draws, check_pair};
use crate::results::{ColumnScores, PointScores};
use crate::summary::median;
use crate::{Accumulator, Error, Result, Summary};

const RELATIVE_ERROR_OFFSET: f64 = 1e-8;

/// How one estimate is made of the draws of a posterior.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Estimator {
    /// The mean of the draws: the estimate of least squared error.
    Mean,
    /// The first draw: the proposal's estimate. For an exact posterior its squared error is twice
    /// that of the mean.
    Draw,
}

/// Accumulates the squared and relative errors of chunks of events. Keeps the relative error of
/// every event and column (8 bytes each) for the medians.
#[derive(Debug, Clone)]
pub struct PointErrors {
    alive: Vec<bool>,
    columns: Vec<ColumnErrors>,
    squared: Accumulator,
    squared_alive: Accumulator,
}

#[derive(Debug, Clone, Default)]
struct ColumnErrors {
    squared: Accumulator,
    relative: Vec<f64>,
}

impl Estimator {
    /// The estimate (`n x d`) from draws (`n x K x d`).
    ///
    /// # Errors
    /// No draws, or a draw that is not finite.
    pub fn estimate(self, draws: ArrayView3<'_, f64>) -> Result<Array2<f64>> {
        check_finite_draws(draws)?;
        match self {
            _ if draws.len_of(Axis(1)) == 0 => Err(Error::TooFewDraws { needed: 1, found: 0 }),
            Self::Draw => Ok(draws.index_axis(Axis(1), 0).to_owned()),
            Self::Mean => Ok(draws.sum_axis(Axis(1)) / draws.len_of(Axis(1)) as f64),
        }
    }
}

impl PointErrors {
    /// Counts nothing yet. `alive` lists the columns that are not dead.
    ///
    /// # Errors
    /// No columns, or an alive column beyond them.
    pub fn new(columns: usize, alive: &[usize]) -> Result<Self> {
        if columns == 0 {
            return Err(Error::Empty { what: "the list of columns" });
        }
        let mut mask = vec![false; columns];
        for &column in alive {
            *mask.get_mut(column).ok_or(Error::NoSuchColumn { column, columns })? = true;
        }
        Ok(Self {
            alive: mask,
            columns: vec![ColumnErrors::default(); columns],
            squared: Accumulator::default(),
            squared_alive: Accumulator::default(),
        })
    }

    /// Takes a chunk of events: `truth` and `estimate`, both `n x d` in raw units.
    ///
    /// # Errors
    /// Shapes that do not fit, values that are not finite.
    pub fn add(&mut self, truth: ArrayView2<'_, f64>, estimate: ArrayView2<'_, f64>) -> Result<()> {
        check_pair(truth, "the estimate", estimate)?;
        if truth.ncols() != self.columns.len() {
            return Err(Error::Columns {
                what: "the truth",
                expected: self.columns.len(),
                found: truth.ncols(),
            });
        }
        let alive_count = self.alive.iter().filter(|&&alive| alive).count();
        for (truth, estimate) in truth.rows().into_iter().zip(estimate.rows()) {
            let (mut sum, mut sum_alive) = (0.0, 0.0);
            let pairs = truth.iter().zip(estimate);
            for ((column, &alive), (x, estimate)) in
                self.columns.iter_mut().zip(&self.alive).zip(pairs)
            {
                let error = x - estimate;
                let squared = error * error;
                column.squared.add(squared);
                column.relative.push(error.abs() / (x.abs() + RELATIVE_ERROR_OFFSET));
                sum += squared;
                sum_alive += if alive { squared } else { 0.0 };
            }
            self.squared.add(sum / self.columns.len() as f64);
            if alive_count > 0 {
                self.squared_alive.add(sum_alive / alive_count as f64);
            }
        }
        Ok(())
    }

    /// Takes the events of another accumulator.
    ///
    /// # Errors
    /// Different columns.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.alive != other.alive {
            return Err(Error::Merge);
        }
        for (column, other) in self.columns.iter_mut().zip(&other.columns) {
            column.squared.merge(&other.squared);
            column.relative.extend_from_slice(&other.relative);
        }
        self.squared.merge(&other.squared);
        self.squared_alive.merge(&other.squared_alive);
        Ok(())
    }

    /// Root mean square error of each column, with its standard error.
    ///
    /// # Errors
    /// No events.
    pub fn root_mean_square(&self) -> Result<Vec<Summary>> {
        self.columns
            .iter()
            .map(|column| column.squared.summary().map(Summary::root).ok_or(NO_EVENTS))
            .collect()
    }

    /// The scores under the names of the columns.
    ///
    /// # Errors
    /// No events, or not one name for each column.
    pub fn scores(&self, names: &[impl AsRef<str>]) -> Result<PointScores> {
        if names.len() != self.columns.len() {
            return Err(Error::Columns {
                what: "the list of column names",
                expected: self.columns.len(),
                found: names.len(),
            });
        }
        let mse = self.squared.summary().ok_or(NO_EVENTS)?;
        let alive: Vec<&ColumnErrors> = (self.columns.iter().zip(&self.alive))
            .filter_map(|(column, &alive)| alive.then_some(column))
            .collect();
        let mut per_column = Vec::with_capacity(names.len());
        for ((name, column), &alive) in names.iter().zip(&self.columns).zip(&self.alive) {
            per_column.push(ColumnScores {
                column: name.as_ref().to_owned(),
                alive,
                mse: column.squared.summary().ok_or(NO_EVENTS)?.mean,
                mre: mean_relative(&[column]).ok_or(NO_EVENTS)?,
                median_relative_error: median_relative(&[column]).ok_or(NO_EVENTS)?,
            });
        }
        let all: Vec<&ColumnErrors> = self.columns.iter().collect();
        Ok(PointScores {
            mse: mse.mean,
            mse_standard_error: mse.standard_error,
            mre: mean_relative(&all).ok_or(NO_EVENTS)?,
            median_relative_error: median_relative(&all).ok_or(NO_EVENTS)?,
            mse_alive: self.squared_alive.summary().map(|summary| summary.mean),
            mre_alive: mean_relative(&alive),
            median_relative_error_alive: median_relative(&alive),
            per_column,
        })
    }
}

const NO_EVENTS: Error = Error::Empty { what: "the list of events to score" };

fn mean_relative(columns: &[&ColumnErrors]) -> Option<f64> {
    let errors = columns.iter().flat_map(|column| column.relative.iter().copied());
    Summary::of(errors).map(|summary| summary.mean)
}

fn median_relative(columns: &[&ColumnErrors]) -> Option<f64> {
    let errors = columns.iter().flat_map(|column| column.relative.iter().copied());
    median(errors.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use ndarray::{array, s};
    use proptest::prelude::*;

    #[test]
    fn two_events_of_two_columns_by_hand() {
        // errors: [1, 0], [-1, 2]; squares 1 0 / 1 4: MSE 6/4, per event 0.5 and 2.5, so the
        // standard error is sqrt(((1)^2 + (1)^2) / 1 / 2) = 1.
        // relative: 1/2, 0 / 1/2, 2/4 (to 1e-8): mean 0.375, median 0.5.
        // Alive column 0 alone: MSE 1, MRE 0.5.
        let truth = array![[2.0, 1.0], [2.0, 4.0]];
        let estimate = array![[1.0, 1.0], [3.0, 2.0]];
        let mut errors = PointErrors::new(2, &[0]).unwrap();
        errors.add(truth.view(), estimate.view()).unwrap();
        let scores = errors.scores(&["a", "b"]).unwrap();
        assert_relative_eq!(scores.mse, 1.5);
        assert_relative_eq!(scores.mse_standard_error.unwrap(), 1.0);
        assert_relative_eq!(scores.mre, 0.375, epsilon = 1e-8);
        assert_relative_eq!(scores.median_relative_error, 0.5, epsilon = 1e-8);
        assert_relative_eq!(scores.mse_alive.unwrap(), 1.0);
        assert_relative_eq!(scores.mre_alive.unwrap(), 0.5, epsilon = 1e-8);
        assert_eq!(scores.per_column[1].column, "b");
        assert!(!scores.per_column[1].alive);
        assert_relative_eq!(scores.per_column[1].mse, 2.0);
        assert_relative_eq!(scores.per_column[1].median_relative_error, 0.25, epsilon = 1e-8);
        // per column: sqrt(1) and sqrt(2)
        let roots = errors.root_mean_square().unwrap();
        assert_relative_eq!(roots[0].mean, 1.0);
        assert_relative_eq!(roots[1].mean, 2.0_f64.sqrt());
    }

    #[test]
    fn a_zero_truth_is_divided_by_the_offset() {
        let mut errors = PointErrors::new(1, &[]).unwrap();
        errors.add(array![[0.0]].view(), array![[1e-8]].view()).unwrap();
        let scores = errors.scores(&["a"]).unwrap();
        assert_relative_eq!(scores.mre, 1.0);
        assert_eq!(scores.mse_alive, None);
        assert_eq!(scores.mre_alive, None);
    }

    #[test]
    fn estimators_of_three_draws() {
        let draws = array![[[1.0, 10.0], [2.0, 20.0], [6.0, 60.0]]];
        assert_eq!(Estimator::Mean.estimate(draws.view()).unwrap(), array![[3.0, 30.0]]);
        assert_eq!(Estimator::Draw.estimate(draws.view()).unwrap(), array![[1.0, 10.0]]);
        let none = ndarray::Array3::zeros((2, 0, 3));
        assert_eq!(
            Estimator::Mean.estimate(none.view()),
            Err(Error::TooFewDraws { needed: 1, found: 0 })
        );
    }

    #[test]
    fn unfit_inputs_are_named() {
        let mut errors = PointErrors::new(2, &[0, 1]).unwrap();
        let good = array![[1.0, 2.0]];
        assert_eq!(
            errors.add(good.view(), array![[1.0, f64::NAN]].view()),
            Err(Error::NotFinite { what: "the estimate", event: 0, column: 1 })
        );
        assert_eq!(
            errors.add(good.view(), array![[1.0, 2.0], [1.0, 2.0]].view()),
            Err(Error::Rows { what: "the estimate", expected: 1, found: 2 })
        );
        assert!(matches!(errors.scores(&["a", "b"]), Err(Error::Empty { .. })));
        assert!(matches!(
            PointErrors::new(2, &[2]),
            Err(Error::NoSuchColumn { column: 2, columns: 2 })
        ));
    }

    proptest! {
        #[test]
        fn chunks_merge_to_the_whole(
            values in prop::collection::vec((0.5_f64..9.0, -9.0_f64..9.0), 6..=6),
            cut in 0_usize..=3,
        ) {
            let truth = Array2::from_shape_fn((3, 2), |(i, j)| values[2 * i + j].0);
            let estimate = Array2::from_shape_fn((3, 2), |(i, j)| values[2 * i + j].1);
            let mut whole = PointErrors::new(2, &[1]).unwrap();
            whole.add(truth.view(), estimate.view()).unwrap();
            let mut left = PointErrors::new(2, &[1]).unwrap();
            let mut right = left.clone();
            left.add(truth.slice(s![..cut, ..]), estimate.slice(s![..cut, ..])).unwrap();
            right.add(truth.slice(s![cut.., ..]), estimate.slice(s![cut.., ..])).unwrap();
            left.merge(&right).unwrap();
            let (a, b) = (left.scores(&["a", "b"]).unwrap(), whole.scores(&["a", "b"]).unwrap());
            prop_assert!((a.mse - b.mse).abs() <= 1e-12 * b.mse.max(1.0));
            prop_assert!((a.mre - b.mre).abs() <= 1e-12 * b.mre.max(1.0));
            prop_assert_eq!(a.median_relative_error, b.median_relative_error);
        }
    }
}
