//! CRPS, energy score and central coverage of a chunked test set, over chosen columns.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView2, ArrayView3, Axis};

use super::coverage::{check_level, level_key, ranks};
use super::crps::crps_fair;
use super::energy::energy_score_fair;
use crate::{Accumulator, Error, Result, Summary};

/// Accumulates fair CRPS, fair energy score and central coverage of chunks of events. Averages over
/// columns are taken per event, so that the standard errors over events are right although the
/// columns of an event are correlated.
#[derive(Debug, Clone)]
pub struct EnsembleScores {
    width: usize,
    columns: Vec<usize>,
    levels: Vec<f64>,
    crps: Averages,
    energy_score: Accumulator,
    coverage: Vec<Averages>,
}

/// Scores of one column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ColumnEnsembleScores {
    pub(crate) crps: Summary,
    pub(crate) coverage: Vec<(f64, Summary)>,
}

#[derive(Debug, Clone)]
struct Averages {
    all: Accumulator,
    each: Vec<Accumulator>,
}

impl EnsembleScores {
    /// Counts nothing yet: the matrices will have `width` columns, of which `columns` (the alive
    /// ones) are scored, with central coverage at `levels`.
    ///
    /// # Errors
    /// No columns, a column beyond the width, a level outside (0, 1).
    pub fn new(width: usize, columns: &[usize], levels: &[f64]) -> Result<Self> {
        if columns.is_empty() {
            return Err(Error::Empty { what: "the list of columns to score" });
        }
        if let Some(&column) = columns.iter().find(|&&column| column >= width) {
            return Err(Error::NoSuchColumn { column, columns: width });
        }
        levels.iter().try_for_each(|&level| check_level(level))?;
        Ok(Self {
            width,
            columns: columns.to_vec(),
            levels: levels.to_vec(),
            crps: Averages::new(columns.len()),
            energy_score: Accumulator::default(),
            coverage: vec![Averages::new(columns.len()); levels.len()],
        })
    }

    /// Takes a chunk: truth (`n x width`) and draws (`n x K x width`), in raw units.
    ///
    /// # Errors
    /// Fewer than two draws, shapes that do not fit, values that are not finite.
    pub fn add(&mut self, truth: ArrayView2<'_, f64>, draws: ArrayView3<'_, f64>) -> Result<()> {
        if truth.ncols() != self.width {
            return Err(Error::Columns {
                what: "the truth",
                expected: self.width,
                found: truth.ncols(),
            });
        }
        if draws.len_of(Axis(2)) != self.width {
            return Err(Error::Columns {
                what: "the draws",
                expected: self.width,
                found: draws.len_of(Axis(2)),
            });
        }
        let truth = truth.select(Axis(1), &self.columns);
        let draws = draws.select(Axis(2), &self.columns);
        self.crps.add(&crps_fair(truth.view(), draws.view())?);
        for score in energy_score_fair(truth.view(), draws.view())? {
            self.energy_score.add(score);
        }
        let ranks = ranks(truth.view(), draws.view())?;
        for (coverage, &level) in self.coverage.iter_mut().zip(&self.levels) {
            coverage.add(&ranks.central_hits(level)?);
        }
        Ok(())
    }

    /// Takes the events of another accumulator.
    ///
    /// # Errors
    /// Other columns or levels.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        let same = self.width == other.width
            && self.columns == other.columns
            && self.levels == other.levels;
        if !same {
            return Err(Error::Merge);
        }
        self.crps.merge(&other.crps);
        self.energy_score.merge(&other.energy_score);
        for (coverage, other) in self.coverage.iter_mut().zip(&other.coverage) {
            coverage.merge(other);
        }
        Ok(())
    }

    /// Fair CRPS, averaged over the columns.
    ///
    /// # Errors
    /// No events.
    pub fn crps(&self) -> Result<Summary> {
        summary(&self.crps.all)
    }

    /// Fair energy score of the columns together.
    ///
    /// # Errors
    /// No events.
    pub fn energy_score(&self) -> Result<Summary> {
        summary(&self.energy_score)
    }

    /// Central coverage at each level, averaged over the columns.
    ///
    /// # Errors
    /// No events.
    pub fn coverage(&self) -> Result<Vec<(f64, Summary)>> {
        let levels = self.levels.iter().zip(&self.coverage);
        levels.map(|(&level, coverage)| Ok((level, summary(&coverage.all)?))).collect()
    }

    pub(crate) fn per_column(&self) -> Result<Vec<ColumnEnsembleScores>> {
        (0..self.columns.len())
            .map(|column| {
                let levels = self.levels.iter().zip(&self.coverage);
                Ok(ColumnEnsembleScores {
                    crps: summary(&self.crps.each[column])?,
                    coverage: levels
                        .map(|(&level, coverage)| Ok((level, summary(&coverage.each[column])?)))
                        .collect::<Result<_>>()?,
                })
            })
            .collect()
    }
}

impl ColumnEnsembleScores {
    pub(crate) fn coverage_map(&self) -> BTreeMap<String, f64> {
        let levels = self.coverage.iter();
        levels.map(|(level, coverage)| (level_key(*level), coverage.mean)).collect()
    }
}

impl Averages {
    fn new(columns: usize) -> Self {
        Self { all: Accumulator::default(), each: vec![Accumulator::default(); columns] }
    }

    fn add(&mut self, values: &Array2<f64>) {
        for row in values.rows() {
            self.all.add(row.sum() / row.len() as f64);
            for (column, &value) in self.each.iter_mut().zip(row) {
                column.add(value);
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        self.all.merge(&other.all);
        for (column, other) in self.each.iter_mut().zip(&other.each) {
            column.merge(other);
        }
    }
}

fn summary(accumulator: &Accumulator) -> Result<Summary> {
    accumulator.summary().ok_or(Error::Empty { what: "the list of events to score" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use ndarray::array;

    #[test]
    fn only_the_chosen_columns_count() {
        // Column 1 alone: draws 1, 4, 2 and truth 2, fair CRPS = energy score = 0 (see crps.rs).
        // Rank 1 with one tie among 3: [1/4, 3/4] within the level 0.5 = [1/4, 3/4]: a whole hit.
        let truth = array![[50.0, 2.0]];
        let draws = array![[[0.0, 1.0], [1.0, 4.0], [2.0, 2.0]]];
        let mut scores = EnsembleScores::new(2, &[1], &[0.5]).unwrap();
        scores.add(truth.view(), draws.view()).unwrap();
        assert_relative_eq!(scores.crps().unwrap().mean, 0.0, epsilon = 1e-14);
        assert_relative_eq!(scores.energy_score().unwrap().mean, 0.0, epsilon = 1e-14);
        let coverage = scores.coverage().unwrap();
        assert_eq!(coverage[0].0, 0.5);
        assert_relative_eq!(coverage[0].1.mean, 1.0);
    }

    #[test]
    fn averages_over_columns_are_taken_per_event() {
        // Two draws in one point: CRPS is the distance. Events: distances (1, 3) and (5, 7), means
        // 2 and 6: mean 4, standard error sqrt((4 + 4) / 1 / 2) = 2; columns 3 and 5.
        let truth = array![[1.0, 3.0], [5.0, 7.0]];
        let draws = ndarray::Array3::zeros((2, 2, 2));
        let mut scores = EnsembleScores::new(2, &[0, 1], &[]).unwrap();
        scores.add(truth.view(), draws.view()).unwrap();
        let crps = scores.crps().unwrap();
        assert_relative_eq!(crps.mean, 4.0);
        assert_relative_eq!(crps.standard_error.unwrap(), 2.0);
        let columns = scores.per_column().unwrap();
        assert_relative_eq!(columns[0].crps.mean, 3.0);
        assert_relative_eq!(columns[1].crps.mean, 5.0);
    }

    #[test]
    fn chunks_merge_to_the_whole() {
        let truth = array![[1.0], [2.0]];
        let draws = array![[[0.5], [1.5], [3.0]], [[2.5], [1.0], [0.0]]];
        let mut whole = EnsembleScores::new(1, &[0], &[0.8]).unwrap();
        whole.add(truth.view(), draws.view()).unwrap();
        let mut left = EnsembleScores::new(1, &[0], &[0.8]).unwrap();
        let mut right = left.clone();
        let (upper, lower) = truth.view().split_at(Axis(0), 1);
        let (upper_draws, lower_draws) = draws.view().split_at(Axis(0), 1);
        left.add(upper, upper_draws).unwrap();
        right.add(lower, lower_draws).unwrap();
        left.merge(&right).unwrap();
        assert_relative_eq!(left.crps().unwrap().mean, whole.crps().unwrap().mean);
        let (a, b) = (left.energy_score().unwrap(), whole.energy_score().unwrap());
        assert_relative_eq!(a.standard_error.unwrap(), b.standard_error.unwrap());
        assert_eq!(left.coverage().unwrap()[0].1.n, 2);
    }

    #[test]
    fn unfit_inputs_are_named() {
        assert!(EnsembleScores::new(2, &[], &[0.5]).is_err());
        assert!(EnsembleScores::new(2, &[2], &[0.5]).is_err());
        assert!(EnsembleScores::new(2, &[0], &[1.0]).is_err());
        let mut scores = EnsembleScores::new(2, &[0], &[0.5]).unwrap();
        assert!(matches!(scores.crps(), Err(Error::Empty { .. })));
        let narrow = array![[[1.0], [2.0]]];
        assert!(matches!(
            scores.add(array![[1.0, 2.0]].view(), narrow.view()),
            Err(Error::Columns { expected: 2, found: 1, .. })
        ));
        let one = array![[[1.0, 2.0]]];
        assert_eq!(
            scores.add(array![[1.0, 2.0]].view(), one.view()),
            Err(Error::TooFewDraws { needed: 2, found: 1 })
        );
    }
}
