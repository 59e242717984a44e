//! Exact `log p(x | y)` of pairs of positions and momenta, for models that have a density.
//!
//! ```text
//! log p(x | y) = log p_network(scaler(B^T (x - m)) | y) - log|det d x / d scaled|
//! ```

use std::ops::Range;

use cei_model::Batch;
use cei_model::random::{Purpose, stream};
use cei_train::DegenerateNoise;
use ndarray::{Array1, Array2, Array3, ArrayView2, s};

use super::draws::rows;
use super::run::TrainedRun;

/// `log p(x | y)` of raw rows (`n` x columns) in nats; none for a model without an exact density.
/// `seed` is that of the noise that such a model has on directions without variation.
pub(crate) fn log_prob(
    run: &TrainedRun,
    raw_x: ArrayView2<'_, f64>,
    raw_y: ArrayView2<'_, f64>,
    seed: u64,
) -> Option<Vec<f64>> {
    log_prob_of_rows(run, raw_x, raw_y, 0..raw_x.nrows(), seed)
}

/// The same of some of the rows. The noise is that of all rows, one after another.
pub(crate) fn log_prob_of_rows(
    run: &TrainedRun,
    raw_x: ArrayView2<'_, f64>,
    raw_y: ArrayView2<'_, f64>,
    rows: Range<usize>,
    seed: u64,
) -> Option<Vec<f64>> {
    let (x, y) = scaled(run, raw_x, raw_y, seed);
    let rows = s![rows, ..];
    let values = run.log_prob(Batch { x: x.slice(rows), y: y.slice(rows) })?;
    let (raw_x, raw_y) = (raw_x.slice(rows), raw_y.slice(rows));
    let scales = run.record.preprocessing.log_abs_det(raw_x, raw_y);
    Some(values.into_iter().zip(scales).map(|(log_prob, scale)| log_prob - scale).collect())
}

/// Raw rows as the network's, with the noise that the density includes.
pub(crate) fn scaled(
    run: &TrainedRun,
    raw_x: ArrayView2<'_, f64>,
    raw_y: ArrayView2<'_, f64>,
    seed: u64,
) -> (Array2<f32>, Array2<f32>) {
    let preprocessing = &run.record.preprocessing;
    let mut x = preprocessing.encode_x(raw_x, raw_y);
    if let Some((directions, sd)) = preprocessing.noise_directions() {
        let mut rng = stream(seed, Purpose::Degenerate, 0);
        DegenerateNoise { directions, sd }.add(&mut x, &mut rng);
    }
    (x, preprocessing.encode_y(raw_y))
}

/// Log density of the true positions (raw, `n` x position columns) of events with momenta `y` (raw), in
/// nats per scaled unit volume; none for a model without a density. Where the density includes noise on
/// empty directions, the positions get it too.
pub(crate) fn log_prob_of_truth(
    run: &TrainedRun,
    x: ArrayView2<'_, f64>,
    y: ArrayView2<'_, f64>,
    seed: u64,
    first_event: usize,
) -> Option<Array1<f64>> {
    let preprocessing = &run.record.preprocessing;
    let (x, y) = (preprocessing.encode_x(x, y), preprocessing.encode_y(y));
    scaled_log_prob(run, x, y.view(), seed, 2 * first_event as u64 + 1)
}

/// Log density under the same law of draws in the frame of the run (`n` x count x columns).
pub(crate) fn log_prob_of_draws(
    run: &TrainedRun,
    draws: &Array3<f64>,
    y: ArrayView2<'_, f64>,
    seed: u64,
    first_event: usize,
) -> Option<Array2<f64>> {
    let (events, count, _) = draws.dim();
    let preprocessing = &run.record.preprocessing;
    let x = preprocessing.encode_gauged_x(rows(draws.clone()).view());
    let scaled_y = preprocessing.encode_y(y);
    let y = Array2::from_shape_fn((events * count, scaled_y.ncols()), |(row, column)| {
        scaled_y[[row / count, column]]
    });
    let values = scaled_log_prob(run, x, y.view(), seed, 2 * first_event as u64 + 2)?;
    match values.into_shape_with_order((events, count)) {
        Ok(values) => Some(values),
        Err(_) => unreachable!("there is one density a draw"),
    }
}

fn scaled_log_prob(
    run: &TrainedRun,
    mut x: Array2<f32>,
    y: ArrayView2<'_, f32>,
    seed: u64,
    index: u64,
) -> Option<Array1<f64>> {
    if let Some((directions, sd)) = run.record.preprocessing.noise_directions() {
        let mut rng = stream(seed, Purpose::Degenerate, index);
        DegenerateNoise { directions, sd }.add(&mut x, &mut rng);
    }
    let values = run.log_prob(Batch { x: x.view(), y })?;
    // Where the density of single precision is zero the truth still has a rank: the last.
    let finite = |value| if value == f64::NEG_INFINITY { f64::MIN } else { value };
    Some(values.into_iter().map(finite).collect())
}
