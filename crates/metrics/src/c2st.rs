//! Classifier two-sample test (Lopez-Paz & Oquab 2017): can a classifier tell a sample from a
//! reference? Its accuracy on rows it was not trained on is 1/2 if both have one law, and at most
//!
//! ```text
//! 1/2 + TV / 2,   TV = 1/2 integral |p - q|
//! ```
//!
//! The definition is that of the sbibm benchmark, version 1.1 (Lueckmann et al. 2021): both samples
//! are standardised by mean and standard deviation of the reference; a perceptron of two hidden
//! layers of `10 d` ReLU units is trained by Adam with the defaults of scikit-learn's
//! `MLPClassifier`; five folds after a shuffle.
//!
//! Copies of a row, as resampled draws have them, are one fold's: a classifier that has seen a row knows which
//! sample its copies come from. `g` copies are right or wrong together, so that `rows` of them say as much as
//! `rows^2 / sum g^2` single ones. Where both samples have a row in common, or one is more than a fold, equal rows
//! are no copies but values that the laws often give, and all rows are single ones.

use std::collections::HashMap;
use std::ops::Range;

use cei_kernels::{
    Activation, AdamFactors, AdamStep, Deltas, Gradient, Hidden, Level, Matrix, Mlp, norm,
};
use ndarray::{Array2, ArrayView2, Axis, concatenate};
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::matrix::{check_dims, check_matrix};
use crate::special::binomial_upper_tail;
use crate::{Error, Result, number};

/// Folds of the cross-validation.
pub const FOLDS: usize = 5;
/// Fewest rows of either sample: below, the folds hold too few rows to train on.
const LEAST_ROWS: usize = 20;
/// Units of a hidden layer for each column.
const UNITS_PER_COLUMN: usize = 10;
/// Rows of a batch.
const BATCH: usize = 200;
/// Epochs at most (as in sbibm).
const MAX_EPOCHS: usize = 10_000;
/// Learning rate of Adam; its decays are 0.9 and 0.999, its epsilon 1e-8.
const RATE: f64 = 1e-3;
/// Penalty `alpha / 2 sum w^2` on the weights of a batch.
const ALPHA: f64 = 1e-4;
/// Training stops when the loss has not fallen by [`TOLERANCE`] for more than this many epochs.
const PATIENCE: usize = 10;
/// Least fall of the loss that counts.
const TOLERANCE: f64 = 1e-4;
/// Rows that are classified at a time.
const BLOCK: usize = 1024;

/// What a classifier achieved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct C2st {
    /// Mean accuracy over the folds: 0.5 for one law, 1 for laws without overlap.
    #[serde(with = "number")]
    pub accuracy: f64,
    /// Standard error of the accuracy, `sqrt(a (1 - a) / n)` with `n` of [`C2st::independent_rows`].
    #[serde(with = "number")]
    pub standard_error: f64,
    /// Accuracy on each fold.
    #[serde(with = "number")]
    pub folds: Vec<f64>,
    /// Rows classified, of both samples together.
    pub rows: usize,
    /// Rows classified correctly.
    pub correct: usize,
    /// Single rows that say as much as these with their copies; `rows` where no row is there twice.
    pub effective_rows: usize,
    /// Columns that vary, d.
    pub columns: usize,
    /// Probability that guesses are right at least as often, `P(Bin(n, 1/2) >= correct n / rows)` with `n` of
    /// [`C2st::independent_rows`].
    #[serde(with = "number")]
    pub p_value: f64,
}

impl C2st {
    /// Independent rows whose accuracy would vary at least as much. Any two folds share most of what they are trained on,
    /// so that the variance of the mean accuracy is more than `1/5` of a fold's; `1/5 + 1/4` bounds it (test rows over
    /// training rows; Nadeau & Bengio, Mach. Learn. 52, 239 (2003)).
    pub fn independent_rows(&self) -> usize {
        independent_rows(self.effective_rows)
    }
}

fn independent_rows(effective_rows: usize) -> usize {
    let overlap = 1.0 + FOLDS as f64 / (FOLDS as f64 - 1.0);
    (effective_rows as f64 / overlap).round() as usize
}

/// Tells `sample` from `reference` (both rows x columns, finite). Of the longer one a random part
/// as long as the other is taken, so that guessing is right half of the time. Columns that have the
/// same constant value in both are left out. The same seed gives the same bits on any number of
/// threads.
///
/// # Errors
/// Different numbers of columns, fewer than 20 rows, no column that varies, values that are not finite.
pub fn c2st(
    sample: ArrayView2<'_, f64>,
    reference: ArrayView2<'_, f64>,
    seed: u64,
) -> Result<C2st> {
    c2st_watched(sample, reference, seed, &|| {})
}

/// [`c2st`], which tells `fold_done` after each of [`FOLDS`] classifiers.
///
/// # Errors
/// As [`c2st`].
pub fn c2st_watched(
    sample: ArrayView2<'_, f64>,
    reference: ArrayView2<'_, f64>,
    seed: u64,
    fold_done: &(dyn Fn() + Sync),
) -> Result<C2st> {
    check_matrix("the sample", sample)?;
    check_matrix("the reference", reference)?;
    check_dims("the sample", (sample.nrows(), reference.ncols()), sample.dim())?;
    for (what, rows) in [("the sample", sample.nrows()), ("the reference", reference.nrows())] {
        if rows < LEAST_ROWS {
            return Err(Error::TooFewRows { what, needed: LEAST_ROWS, found: rows });
        }
    }
    let mut rng = stream(seed, 0);
    let each = sample.nrows().min(reference.nrows());
    let (sample, reference) = (part(sample, each, &mut rng), part(reference, each, &mut rng));
    let rows = standardised(&sample, &reference)?;
    let mut order: Vec<usize> = (0..2 * each).collect();
    order.shuffle(&mut rng);
    let copies = copies_together(&rows, each, &order);
    let folds = folds_of(&copies, each);
    let correct: Vec<usize> = (0..FOLDS)
        .into_par_iter()
        .map(|fold| {
            let (before, after) = (&folds[..fold], &folds[fold + 1..]);
            let training: Vec<usize> = [before, after].concat().concat();
            let mut rng = stream(seed, 1 + fold as u64);
            let mut classifier = Classifier::new(rows.ncols(), &mut rng);
            classifier.train(&rows, each, training, &mut rng);
            let correct = classifier.correct(&rows, each, &folds[fold]);
            fold_done();
            correct
        })
        .collect();
    let folds: Vec<f64> = (correct.iter().zip(&folds))
        .map(|(correct, fold)| *correct as f64 / fold.len() as f64)
        .collect();
    let accuracy = folds.iter().sum::<f64>() / FOLDS as f64;
    let correct: usize = correct.iter().sum();
    let squares: usize = copies.iter().map(|copies| copies.len().pow(2)).sum();
    let share = order.len() as f64 / squares as f64;
    let effective_rows = (share * order.len() as f64).round() as usize;
    let independent = independent_rows(effective_rows);
    let independent_correct =
        (independent as f64 * correct as f64 / order.len() as f64).round() as usize;
    Ok(C2st {
        accuracy,
        standard_error: (accuracy * (1.0 - accuracy) / independent as f64).sqrt(),
        folds,
        rows: order.len(),
        correct,
        effective_rows,
        columns: rows.ncols(),
        p_value: binomial_upper_tail(independent, 0.5, independent_correct),
    })
}

/// The rows in `order`, each with its copies where the first of them stands. Those from `first_reference` on
/// are the reference.
fn copies_together(rows: &Array2<f32>, first_reference: usize, order: &[usize]) -> Vec<Vec<usize>> {
    let mut equal: HashMap<Vec<u32>, Vec<usize>> = HashMap::with_capacity(order.len());
    // 0 and -0 are one value.
    let values = |row: usize| rows.row(row).iter().map(|value| (value + 0.0).to_bits()).collect();
    for &row in order {
        equal.entry(values(row)).or_default().push(row);
    }
    let is_common = |rows: &Vec<usize>| {
        let of_reference = rows.iter().filter(|row| **row >= first_reference).count();
        rows.len() > order.len() / FOLDS || (of_reference > 0 && of_reference < rows.len())
    };
    if equal.values().any(is_common) {
        return order.iter().map(|row| vec![*row]).collect();
    }
    let first = |row: &&usize| equal[&values(**row)][0] == **row;
    order.iter().filter(first).map(|row| equal[&values(*row)].clone()).collect()
}

/// The rows of each fold. With copies, every fold has its part of either sample, as near as copies that stay together
/// allow: which sample is the larger in a fold would tell what it is in training.
fn folds_of(copies: &[Vec<usize>], first_reference: usize) -> Vec<Vec<usize>> {
    if copies.iter().all(|copies| copies.len() == 1) {
        let order = copies.concat();
        let bound = |fold: usize| fold * order.len() / FOLDS;
        return (0..FOLDS).map(|fold| order[bound(fold)..bound(fold + 1)].to_vec()).collect();
    }
    let mut folds = vec![Vec::new(); FOLDS];
    for is_reference in [false, true] {
        let own = copies.iter().filter(|copies| (copies[0] >= first_reference) == is_reference);
        let mut own: Vec<&Vec<usize>> = own.collect();
        // The largest first, each to where the fewest rows of its sample are.
        own.sort_by_key(|copies| std::cmp::Reverse(copies.len()));
        let mut filled = [0; FOLDS];
        for copies in own {
            let fold = (0..FOLDS).min_by_key(|fold| filled[*fold]).unwrap_or(0);
            filled[fold] += copies.len();
            folds[fold].extend(copies);
        }
    }
    folds
}

fn stream(seed: u64, index: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(index);
    rng
}

/// `count` random rows, in their order.
fn part(rows: ArrayView2<'_, f64>, count: usize, rng: &mut ChaCha8Rng) -> Array2<f64> {
    if rows.nrows() == count {
        return rows.to_owned();
    }
    let mut chosen: Vec<usize> = (0..rows.nrows()).collect();
    chosen.shuffle(rng);
    chosen.truncate(count);
    chosen.sort_unstable();
    rows.select(Axis(0), &chosen)
}

/// The sample above the reference, columns standardised by the reference. Where only the sample
/// varies its own deviation is the scale; where neither does and the values differ, the scale is 1.
fn standardised(sample: &Array2<f64>, reference: &Array2<f64>) -> Result<Array2<f32>> {
    let mut columns = Vec::new();
    for (sample, reference) in sample.columns().into_iter().zip(reference.columns()) {
        let mean = reference.mean().unwrap_or(0.0);
        let spread = |column: &ndarray::ArrayView1<'_, f64>| {
            let sd = column.std(1.0);
            (sd > 1e-12 * column.mean().unwrap_or(0.0).abs()).then_some(sd)
        };
        let scale = match spread(&reference).or_else(|| spread(&sample)) {
            Some(scale) => scale,
            None if (sample[0] - mean).abs() <= 1e-12 * mean.abs() => continue,
            None => (sample[0] - mean).abs(),
        };
        let values = sample.iter().chain(&reference).map(|x| ((x - mean) / scale) as f32);
        columns.push(Array2::from_shape_fn((2 * sample.len(), 1), {
            let values: Vec<f32> = values.collect();
            move |(row, _)| values[row]
        }));
    }
    let columns: Vec<ArrayView2<'_, f32>> = columns.iter().map(|column| column.view()).collect();
    match concatenate(Axis(1), &columns) {
        Ok(rows) => Ok(rows.as_standard_layout().into_owned()),
        Err(_) => Err(Error::Empty { what: "the set of columns that vary" }),
    }
}

/// Perceptron with one logit `f`; `P(row is of the reference) = 1 / (1 + exp(-f))`.
struct Classifier {
    level: Level,
    network: Mlp,
    parameters: Vec<f32>,
    /// Where the weights of each layer lie, which alone are penalised; the others are biases.
    weights: Vec<Range<usize>>,
    input: Matrix,
    hidden: Hidden,
    output: Matrix,
    deltas: Deltas,
}

impl Classifier {
    /// Weights and biases uniform within `sqrt(6 / (inputs + outputs))` (Glorot & Bengio 2010).
    fn new(columns: usize, rng: &mut ChaCha8Rng) -> Self {
        let units = UNITS_PER_COLUMN * columns;
        let widths = [columns, units, units, 1];
        let level = Level::best();
        let mut network = Mlp::new(level, &widths, Activation::Relu, 0);
        let (mut parameters, mut weights) = (Vec::new(), Vec::new());
        for pair in widths.windows(2) {
            let bound = (6.0 / (pair[0] + pair[1]) as f32).sqrt();
            let size = pair[0] * pair[1];
            weights.push(parameters.len()..parameters.len() + size);
            parameters.extend((0..size + pair[1]).map(|_| rng.random_range(-bound..bound)));
        }
        network.set_parameters(&parameters);
        Self {
            level,
            network,
            parameters,
            weights,
            input: Matrix::default(),
            hidden: Hidden::default(),
            output: Matrix::default(),
            deltas: Deltas::default(),
        }
    }

    /// Trains on the `training` rows, of which those from `first_reference` on are the reference.
    fn train(
        &mut self,
        rows: &Array2<f32>,
        first_reference: usize,
        mut training: Vec<usize>,
        rng: &mut ChaCha8Rng,
    ) {
        let size = self.parameters.len();
        let (mut first, mut second) = (vec![0.0; size], vec![0.0; size]);
        let mut gradient = Gradient::default();
        let batch = BATCH.min(training.len());
        let (mut best, mut waited, mut step) = (f64::INFINITY, 0, 0);
        for _ in 0..MAX_EPOCHS {
            training.shuffle(rng);
            let mut loss = 0.0;
            for batch in training.chunks(batch) {
                loss += self.gradient(rows, first_reference, batch, gradient.whole(size));
                step += 1;
                let factors = adam_factors(step);
                let step = AdamStep::new(factors, &gradient, &mut first, &mut second);
                self.network.update(&mut self.parameters, step);
            }
            loss = loss / training.len() as f64 + self.penalty(batch);
            waited = if loss > best - TOLERANCE { waited + 1 } else { 0 };
            best = best.min(loss);
            if waited > PATIENCE {
                break;
            }
        }
    }

    /// Writes the gradient of the mean loss of a batch and gives its summed loss in nats.
    fn gradient(
        &mut self,
        rows: &Array2<f32>,
        first_reference: usize,
        batch: &[usize],
        gradient: &mut [f32],
    ) -> f64 {
        self.logits(rows, batch);
        self.deltas.output.reshape(batch.len(), 1);
        let mut loss = 0.0;
        let share = 1.0 / batch.len() as f32;
        for (place, row) in batch.iter().enumerate() {
            let logit = self.output.row(place)[0];
            let target = if *row >= first_reference { 1.0 } else { 0.0 };
            let small = (-logit.abs()).exp();
            loss += f64::from(logit.max(0.0) - logit * target + small.ln_1p());
            let probability = if logit >= 0.0 { 1.0 } else { small } / (1.0 + small);
            self.deltas.output.row_mut(place)[0] = share * (probability - target);
        }
        self.network.backward(&self.input, &self.hidden, &mut self.deltas, gradient, false, None);
        let pull = ALPHA as f32 * share;
        for weights in &self.weights {
            let weight = &self.parameters[weights.clone()];
            for (gradient, weight) in gradient[weights.clone()].iter_mut().zip(weight) {
                *gradient += pull * weight;
            }
        }
        loss
    }

    /// The penalty in nats per row, as it stands beside the mean loss of a batch.
    fn penalty(&self, batch: usize) -> f64 {
        let squares = self.weights.iter().map(|weights| {
            let norm = norm(self.level, &self.parameters[weights.clone()]);
            norm * norm
        });
        0.5 * ALPHA * squares.sum::<f64>() / batch as f64
    }

    fn logits(&mut self, rows: &Array2<f32>, batch: &[usize]) {
        self.input.reshape(batch.len(), rows.ncols());
        for (place, row) in batch.iter().enumerate() {
            for (cell, value) in self.input.row_mut(place).iter_mut().zip(rows.row(*row)) {
                *cell = *value;
            }
        }
        self.network.forward(&self.input, &mut self.hidden, &mut self.output);
    }

    /// How many of the `test` rows it classifies correctly.
    fn correct(&mut self, rows: &Array2<f32>, first_reference: usize, test: &[usize]) -> usize {
        let mut correct = 0;
        for block in test.chunks(BLOCK) {
            self.logits(rows, block);
            let hits = block.iter().enumerate().filter(|(place, row)| {
                (self.output.row(*place)[0] > 0.0) == (**row >= first_reference)
            });
            correct += hits.count();
        }
        correct
    }
}

/// Step `t` in scikit-learn's form, `rate = lr sqrt(1 - b2^t) / (1 - b1^t)`.
fn adam_factors(step: i32) -> AdamFactors {
    let (b1, b2) = (0.9_f64, 0.999_f64);
    AdamFactors {
        first: b1 as f32,
        second: b2 as f32,
        epsilon: 1e-8,
        rate: (RATE * (1.0 - b2.powi(step)).sqrt() / (1.0 - b1.powi(step))) as f32,
        root: 1.0,
        keep: 1.0,
        clip: 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use ndarray::array;
    use rand_distr::{Distribution, StandardNormal};

    fn normal(rows: usize, columns: usize, seed: u64) -> Array2<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Array2::from_shape_simple_fn((rows, columns), || StandardNormal.sample(&mut rng))
    }

    #[test]
    fn one_law_cannot_be_told_apart() {
        // 4,000 rows guessed: standard error 0.0079, four of them 0.032
        let result = c2st(normal(2000, 3, 1).view(), normal(2000, 3, 2).view(), 7).unwrap();
        assert!((result.accuracy - 0.5).abs() < 0.032, "{result:?}");
        assert!(result.p_value > 0.001, "{result:?}");
        assert_eq!((result.rows, result.columns, result.folds.len()), (4000, 3, 5));
    }

    #[test]
    fn shifted_gaussians_are_told_apart_with_the_bayes_accuracy() {
        // N(0, I) against N(delta e_1, I): the best classifier cuts at delta / 2 and is right with
        // probability Phi(delta / 2). Standard error at most 0.008; the network loses up to 0.01.
        for delta in [1.0, 2.0] {
            let mut sample = normal(2000, 2, 3);
            sample.column_mut(0).mapv_inplace(|x| x + delta);
            let result = c2st(sample.view(), normal(2000, 2, 4).view(), 7).unwrap();
            let bayes = 0.5 * libm::erfc(-delta / 8.0_f64.sqrt());
            assert!((result.accuracy - bayes).abs() < 0.035, "{result:?} against {bayes}");
            assert!(result.p_value < 1e-6);
        }
    }

    #[test]
    fn scales_of_columns_and_constants_do_not_matter_and_seeds_repeat() {
        let (sample, reference) = (normal(300, 2, 5), normal(400, 2, 6));
        let plain = c2st(sample.view(), reference.view(), 1).unwrap();
        let wider = |rows: &Array2<f64>| {
            // powers of two, so that the standardised values are the same bits
            let mut wide = Array2::from_elem((rows.nrows(), 3), 4.0);
            wide.column_mut(0).assign(&(&rows.column(0) * 1024.0));
            wide.column_mut(2).assign(&(&rows.column(1) * 0.125));
            wide
        };
        let again = c2st(wider(&sample).view(), wider(&reference).view(), 1).unwrap();
        assert_eq!(plain, again);
        assert_eq!(plain.rows, 600);
    }

    #[test]
    fn different_constants_are_always_told_apart() {
        let (zeros, ones) = (Array2::zeros((50, 1)), Array2::ones((50, 1)));
        assert_eq!(c2st(ones.view(), zeros.view(), 1).unwrap().accuracy, 1.0);
    }

    #[test]
    fn copies_of_rows_of_one_law_are_not_told_apart() {
        // Every row three times: were copies in training and test, they would be recognised.
        let tripled = |seed| {
            let rows = normal(300, 3, seed);
            concatenate(Axis(0), &[rows.view(), rows.view(), rows.view()]).unwrap()
        };
        let result = c2st(tripled(1).view(), tripled(2).view(), 7).unwrap();
        assert_eq!((result.rows, result.effective_rows), (1800, 600));
        // 600 groups in overlapping folds: standard error 0.031.
        assert!((result.accuracy - 0.5).abs() < 0.082, "{result:?}");
        assert!(result.p_value > 0.001, "{result:?}");
    }

    /// Over samples of one law the accuracy varies no more than its standard error says, although folds are trained on
    /// each other's rows: 200 rows count as 89.
    #[test]
    fn the_standard_error_is_that_of_overlapping_folds() {
        let tests = 60_u64;
        let mut squares = 0.0;
        for test in 0..tests {
            let (a, b) = (normal(100, 2, 100 + 2 * test), normal(100, 2, 101 + 2 * test));
            let result = c2st(a.view(), b.view(), test).unwrap();
            assert_relative_eq!(
                result.standard_error,
                (0.25 / 89.0_f64).sqrt(),
                max_relative = 0.1
            );
            squares += (result.accuracy - 0.5).powi(2);
        }
        let variance = squares / tests as f64;
        assert!(variance < 0.25 / 89.0, "{variance}");
    }

    #[test]
    fn common_values_are_no_copies_and_cost_no_accuracy() {
        // Integers of one law, about thirty values a column: the classifier has nothing to learn.
        let integers = |seed| normal(300, 2, seed).mapv(|x| (3.0 * x).round());
        let tests = 10_u64;
        let accuracies = (0..tests).map(|test| {
            let (a, b) = (integers(2 * test), integers(2 * test + 1));
            let result = c2st(a.view(), b.view(), test).unwrap();
            assert_eq!(result.effective_rows, 600);
            result.accuracy
        });
        // Each has a standard error of 0.031, their mean one of 0.010.
        let mean = accuracies.sum::<f64>() / tests as f64;
        assert!((mean - 0.5).abs() < 0.03, "{mean}");
    }

    #[test]
    fn folds_keep_copies_together_and_have_both_samples() {
        // Rows 20 and on are the reference; rows 0, 1, 2 and 30, 31 are copies.
        let mut rows = Array2::from_shape_fn((40, 1), |(row, _)| row as f32);
        for (row, value) in [(0, -0.0), (1, 0.0), (2, 0.0), (31, 30.0)] {
            rows[(row, 0)] = value;
        }
        let order: Vec<usize> = (0..40).rev().collect();
        let copies = copies_together(&rows, 20, &order);
        assert_eq!(copies.len(), 37);
        assert!(copies.contains(&vec![2, 1, 0]) && copies.contains(&vec![31, 30]));
        let folds = folds_of(&copies, 20);
        for fold in &folds {
            let reference = fold.iter().filter(|row| **row >= 20).count();
            assert_eq!((fold.len(), reference), (8, 4));
        }
        assert!(folds.iter().any(|fold| [0, 1, 2].iter().all(|row| fold.contains(row))));
        // A value of both samples: no row is a copy.
        rows[(25, 0)] = 0.0;
        assert_eq!(copies_together(&rows, 20, &order).len(), 40);
        let single: Vec<Vec<usize>> = (0..12).map(|row| vec![row]).collect();
        let sizes: Vec<usize> = folds_of(&single, 6).iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 2, 3, 2, 3]);
    }

    #[test]
    fn unfit_samples_are_named() {
        let few = array![[1.0], [2.0]];
        let rows = normal(30, 1, 1);
        assert_eq!(
            c2st(few.view(), rows.view(), 1),
            Err(Error::TooFewRows { what: "the sample", needed: 20, found: 2 })
        );
        assert!(matches!(
            c2st(normal(30, 2, 1).view(), rows.view(), 1),
            Err(Error::Columns { expected: 1, found: 2, .. })
        ));
        let flat = Array2::ones((30, 1));
        assert!(matches!(c2st(flat.view(), flat.view(), 1), Err(Error::Empty { .. })));
    }
}
