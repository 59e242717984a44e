//! What a model must beat: the training mean, and the nearest neighbours of the scaled momenta.
//!
//! The neighbours' positions are given back as if they were draws of a posterior (`n x k x d`), so
//! that gauge-free quantities are averaged over neighbours exactly as over draws.

use kdtree::KdTree;
use kdtree::distance::squared_euclidean;
use ndarray::{Array1, Array2, Array3, ArrayView2, Axis};
use rayon::prelude::*;

use crate::matrix::{check_dims, check_matrix};
use crate::point::Estimator;
use crate::{Error, Result};

/// Training rows the tree holds at most; of more rows, evenly spaced ones are taken.
pub const TRAINING_ROWS_CAP: usize = 200_000;

/// Validation rows on which k is chosen at most; of more rows, evenly spaced ones are taken.
pub const VALIDATION_ROWS_CAP: usize = 2_000;

/// The numbers of neighbours among which k is chosen (`docs/spec.md#baselines`).
pub const NEIGHBOUR_CANDIDATES: [usize; 4] = [1, 5, 20, 60];

/// Rows in a leaf of the tree: with 3 to 9 effective dimensions, larger and smaller leaves were slower.
const LEAF_ROWS: usize = 64;

/// The mean of the training positions, whatever the momenta.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingMean {
    means: Array1<f64>,
}

/// A k-d tree of the training rows' scaled momenta, with their positions.
#[derive(Debug)]
pub struct NearestNeighbours {
    tree: KdTree<f64, usize, Vec<f64>>,
    /// Row of the training matrix of each row in the tree, ascending.
    rows: Vec<usize>,
    positions: Array2<f64>,
    width: usize,
}

/// The number of neighbours chosen on the validation part.
#[derive(Debug, Clone, PartialEq)]
pub struct KChoice {
    /// The candidate of least error; the smaller one if two are equal.
    pub k: usize,
    /// Mean squared error of the positions for each candidate, in squared raw units.
    pub errors: Vec<(usize, f64)>,
    /// Validation rows used.
    pub rows_used: usize,
}

impl TrainingMean {
    /// Means of the columns of the training positions (`n x d`, raw).
    ///
    /// # Errors
    /// No rows, or a value that is not finite.
    pub fn fit(train_x: ArrayView2<'_, f64>) -> Result<Self> {
        check_matrix("the training positions", train_x)?;
        let means = train_x.mean_axis(Axis(0)).ok_or(Error::Empty { what: "the training part" })?;
        Ok(Self { means })
    }

    /// The same estimate for each of `rows` events (`rows x d`).
    pub fn estimate(&self, rows: usize) -> Array2<f64> {
        Array2::from_shape_fn((rows, self.means.len()), |(_, column)| self.means[column])
    }
}

impl NearestNeighbours {
    /// A tree of the training part: scaled momenta (`n x c`, any width) and raw positions
    /// (`n x d`). Of more than [`TRAINING_ROWS_CAP`] rows, evenly spaced ones are used.
    ///
    /// # Errors
    /// No rows, shapes that do not fit, values that are not finite.
    pub fn fit(train_y: ArrayView2<'_, f64>, train_x: ArrayView2<'_, f64>) -> Result<Self> {
        Self::fit_capped(train_y, train_x, TRAINING_ROWS_CAP)
    }

    /// Training rows in the tree.
    pub fn rows_used(&self) -> usize {
        self.rows.len()
    }

    /// Rows of the training matrix whose momenta are nearest to each query's (`n x k`), nearest
    /// first.
    ///
    /// # Errors
    /// k = 0 or more than there are rows, a width that does not fit, values that are not finite.
    pub fn neighbours(&self, query_y: ArrayView2<'_, f64>, k: usize) -> Result<Array2<usize>> {
        Ok(self.nearest(query_y, k)?.mapv(|place| self.rows[place]))
    }

    /// Raw positions of the k nearest training rows (`n x k x d`), nearest first: to be used like
    /// the draws of a posterior.
    ///
    /// # Errors
    /// As [`Self::neighbours`].
    pub fn draws(&self, query_y: ArrayView2<'_, f64>, k: usize) -> Result<Array3<f64>> {
        let places = self.nearest(query_y, k)?;
        let (n, d) = (query_y.nrows(), self.positions.ncols());
        Ok(Array3::from_shape_fn((n, k, d), |(event, neighbour, column)| {
            self.positions[[places[[event, neighbour]], column]]
        }))
    }

    /// Euclidean distance of each query to the nearest training row, in the units of the momenta.
    ///
    /// # Errors
    /// As [`Self::neighbours`].
    pub fn distances(&self, query_y: ArrayView2<'_, f64>) -> Result<Vec<f64>> {
        check_matrix("the queries", query_y)?;
        check_dims("the queries", (query_y.nrows(), self.width), query_y.dim())?;
        let nothing = Error::Neighbours { requested: 1, available: self.rows_used() };
        let distance = |event| {
            let query = query_y.row(event).to_vec();
            let found = self.tree.nearest(&query, 1, &squared_euclidean);
            let squared = found.ok().and_then(|found| found.first().map(|(squared, _)| *squared));
            squared.map(f64::sqrt).ok_or_else(|| nothing.clone())
        };
        (0..query_y.nrows()).into_par_iter().map(distance).collect()
    }

    /// The mean position of the k nearest training rows (`n x d`).
    ///
    /// # Errors
    /// As [`Self::neighbours`].
    pub fn estimate(&self, query_y: ArrayView2<'_, f64>, k: usize) -> Result<Array2<f64>> {
        Estimator::Mean.estimate(self.draws(query_y, k)?.view())
    }

    /// Chooses k among `candidates` by the mean squared error of the positions on the validation
    /// part: momenta scaled as in [`Self::fit`] (`n x c`), raw positions (`n x d`). Candidates
    /// larger than the training part are left out.
    ///
    /// # Errors
    /// No validation rows, no candidate left, shapes that do not fit.
    pub fn choose_k(
        &self,
        validation_y: ArrayView2<'_, f64>,
        validation_x: ArrayView2<'_, f64>,
        candidates: &[usize],
    ) -> Result<KChoice> {
        check_matrix("the validation positions", validation_x)?;
        let expected = (validation_y.nrows(), self.positions.ncols());
        check_dims("the validation positions", expected, validation_x.dim())?;
        let mut candidates: Vec<usize> = candidates.to_vec();
        candidates.retain(|&k| (1..=self.rows_used()).contains(&k));
        candidates.sort_unstable();
        candidates.dedup();
        let largest =
            *candidates.last().ok_or(Error::Empty { what: "the list of candidates for k" })?;
        let used = evenly_spaced(validation_y.nrows(), VALIDATION_ROWS_CAP);
        if used.is_empty() {
            return Err(Error::Empty { what: "the validation part" });
        }
        let draws = self.draws(validation_y.select(Axis(0), &used).view(), largest)?;
        let truth = validation_x.select(Axis(0), &used);
        // The neighbours are sorted, so the first k of the largest set are the k nearest.
        let mut errors = Vec::with_capacity(candidates.len());
        for k in candidates {
            let nearest = draws.slice(ndarray::s![.., ..k, ..]);
            let difference = &truth - &Estimator::Mean.estimate(nearest)?;
            let squared = difference.mapv(|error| error * error).sum();
            errors.push((k, squared / difference.len() as f64));
        }
        let (k, _) = errors
            .iter()
            .copied()
            .reduce(|best, next| if next.1 < best.1 { next } else { best })
            .ok_or(Error::Empty { what: "the list of candidates for k" })?;
        Ok(KChoice { k, errors, rows_used: used.len() })
    }

    fn fit_capped(
        train_y: ArrayView2<'_, f64>,
        train_x: ArrayView2<'_, f64>,
        cap: usize,
    ) -> Result<Self> {
        check_matrix("the training momenta", train_y)?;
        check_matrix("the training positions", train_x)?;
        let expected = (train_y.nrows(), train_x.ncols());
        check_dims("the training positions", expected, train_x.dim())?;
        let rows = evenly_spaced(train_y.nrows(), cap);
        if rows.is_empty() {
            return Err(Error::Empty { what: "the training part" });
        }
        let mut tree = KdTree::with_capacity(train_y.ncols(), LEAF_ROWS);
        for (place, &row) in rows.iter().enumerate() {
            tree.add(train_y.row(row).to_vec(), place)
                .map_err(|_| Error::Empty { what: "a training row's momenta" })?;
        }
        Ok(Self { tree, positions: train_x.select(Axis(0), &rows), rows, width: train_y.ncols() })
    }

    /// Places in the tree of the k nearest rows.
    fn nearest(&self, query_y: ArrayView2<'_, f64>, k: usize) -> Result<Array2<usize>> {
        check_matrix("the queries", query_y)?;
        check_dims("the queries", (query_y.nrows(), self.width), query_y.dim())?;
        let wrong_k = Error::Neighbours { requested: k, available: self.rows_used() };
        if k == 0 || k > self.rows_used() {
            return Err(wrong_k);
        }
        let places: Vec<Vec<usize>> = (0..query_y.nrows())
            .into_par_iter()
            .map(|event| {
                let query = query_y.row(event).to_vec();
                let found = self
                    .tree
                    .nearest(&query, k, &squared_euclidean)
                    .map_err(|_| wrong_k.clone())?;
                Ok(found.into_iter().map(|(_, &place)| place).collect())
            })
            .collect::<Result<_>>()?;
        Array2::from_shape_vec((query_y.nrows(), k), places.concat()).map_err(|_| wrong_k)
    }
}

/// At most `cap` row indices, evenly spaced over `rows`.
fn evenly_spaced(rows: usize, cap: usize) -> Vec<usize> {
    let used = rows.min(cap);
    (0..used).map(|place| place * rows / used).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use ndarray::array;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn uniform(rows: usize, columns: usize, seed: u64) -> Array2<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Array2::from_shape_fn((rows, columns), |_| rng.random::<f64>())
    }

    #[test]
    fn the_training_mean_is_the_column_mean() {
        let mean = TrainingMean::fit(array![[1.0, 4.0], [3.0, 8.0]].view()).unwrap();
        assert_eq!(mean.estimate(2), array![[2.0, 6.0], [2.0, 6.0]]);
        assert!(TrainingMean::fit(Array2::zeros((0, 2)).view()).is_err());
    }

    #[test]
    fn neighbours_on_a_line() {
        // momenta 0, 1, 2, 10; the query 1.9 is nearest to rows 2 (0.1) and 1 (0.9)
        let train_y = array![[0.0], [1.0], [2.0], [10.0]];
        let train_x = array![[0.0, 0.0], [10.0, 1.0], [20.0, 2.0], [100.0, 3.0]];
        let knn = NearestNeighbours::fit(train_y.view(), train_x.view()).unwrap();
        let query = array![[1.9]];
        assert_eq!(knn.neighbours(query.view(), 2).unwrap(), array![[2, 1]]);
        assert_eq!(knn.draws(query.view(), 2).unwrap(), array![[[20.0, 2.0], [10.0, 1.0]]]);
        assert_eq!(knn.estimate(query.view(), 2).unwrap(), array![[15.0, 1.5]]);
        assert_relative_eq!(knn.distances(query.view()).unwrap()[0], 0.1, epsilon = 1e-12);
        assert_eq!(
            knn.neighbours(query.view(), 5),
            Err(Error::Neighbours { requested: 5, available: 4 })
        );
    }

    #[test]
    fn k_is_the_candidate_of_least_validation_error() {
        // x = y on a grid of 0, 1, ..., 99, validated half way between grid points: two neighbours
        // average to the truth (error 0), one is off by 0.5 (error 0.25). With 3, the third
        // neighbour is 1.5 away: the mean is off by 0.5 (error 0.25).
        let train = Array2::from_shape_fn((100, 1), |(row, _)| row as f64);
        let valid = Array2::from_shape_fn((50, 1), |(row, _)| row as f64 + 20.5);
        let knn = NearestNeighbours::fit(train.view(), train.view()).unwrap();
        let choice = knn.choose_k(valid.view(), valid.view(), &[3, 1, 2, 500]).unwrap();
        assert_eq!(choice.k, 2);
        assert_eq!(choice.rows_used, 50);
        let errors: Vec<f64> = choice.errors.iter().map(|&(_, error)| error).collect();
        for (error, expected) in errors.iter().zip([0.25, 0.0, 0.25]) {
            assert_relative_eq!(*error, expected, epsilon = 1e-12);
        }
        assert!(knn.choose_k(valid.view(), valid.view(), &[500]).is_err());
    }

    #[test]
    fn duplicates_and_constant_columns_are_no_trouble() {
        let train_y = Array2::from_shape_fn((5_000, 4), |(row, column)| match column {
            0 => (row % 3) as f64,
            _ => 7.0,
        });
        let train_x = Array2::from_shape_fn((5_000, 1), |(row, _)| (row % 3) as f64);
        let knn = NearestNeighbours::fit(train_y.view(), train_x.view()).unwrap();
        let estimate = knn.estimate(array![[2.1, 7.0, 7.0, 7.0]].view(), 60).unwrap();
        assert_eq!(estimate, array![[2.0]]);
    }

    #[test]
    fn the_cap_takes_evenly_spaced_rows() {
        assert_eq!(evenly_spaced(10, 4), [0, 2, 5, 7]);
        assert_eq!(evenly_spaced(3, 4), [0, 1, 2]);
        let train = Array2::from_shape_fn((10, 1), |(row, _)| row as f64);
        let knn = NearestNeighbours::fit_capped(train.view(), train.view(), 4).unwrap();
        assert_eq!(knn.rows_used(), 4);
        assert_eq!(knn.neighbours(array![[9.0]].view(), 2).unwrap(), array![[7, 5]]);
    }

    #[test]
    fn unfit_inputs_are_named() {
        let x = array![[1.0], [2.0]];
        assert!(matches!(
            NearestNeighbours::fit(array![[1.0]].view(), x.view()),
            Err(Error::Rows { expected: 1, found: 2, .. })
        ));
        let knn = NearestNeighbours::fit(x.view(), x.view()).unwrap();
        assert!(matches!(
            knn.neighbours(array![[1.0, 2.0]].view(), 1),
            Err(Error::Columns { expected: 1, found: 2, .. })
        ));
        assert!(matches!(
            knn.neighbours(array![[f64::NAN]].view(), 1),
            Err(Error::NotFinite { event: 0, column: 0, .. })
        ));
    }

    proptest! {
        #[test]
        fn the_tree_agrees_with_brute_force(seed in 0_u64..1000, width in 1_usize..6, k in 1_usize..9) {
            let train = uniform(200, width, seed);
            let query = uniform(1, width, seed + 5000);
            let knn = NearestNeighbours::fit(train.view(), train.view()).unwrap();
            let mut order: Vec<usize> = (0..200).collect();
            let distance = |row: usize| -> f64 {
                (0..width).map(|c| (train[[row, c]] - query[[0, c]]).powi(2)).sum()
            };
            order.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)));
            let found = knn.neighbours(query.view(), k).unwrap();
            prop_assert_eq!(found.into_raw_vec_and_offset().0, order[..k].to_vec());
        }
    }
}
