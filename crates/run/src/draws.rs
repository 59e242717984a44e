//! Posterior draws of a trained run for measured momenta.

use cei_model::Batch;
use cei_model::random::{Purpose, stream};
use cei_train::DegenerateNoise;
use ndarray::{Array1, Array2, Array3, ArrayView2, Axis, s};
use rayon::prelude::*;

use crate::TrainedRun;

/// Draws positions for each row of `y` (raw, `n` x momentum columns): `n` x `count` x position
/// columns, in bohr, in the frame of the run.
///
/// Event `first_event + i` has a random stream of its own, so its draws do not depend on which other
/// events are asked for.
pub fn draw_positions(
    run: &TrainedRun,
    y: ArrayView2<'_, f64>,
    count: usize,
    seed: u64,
    first_event: usize,
) -> Array3<f64> {
    let events = y.nrows();
    let dimensions = run.model.dimensions();
    let scaled_y = run.record.preprocessing.encode_y(y);
    let mut z = Array3::<f32>::zeros((events, count, dimensions.z));
    let mut repeated_y = Array3::<f32>::zeros((events, count, dimensions.y));
    let source = run.experiment.evaluation.latent;
    let statistics = &run.record.latent;
    z.axis_iter_mut(Axis(0))
        .into_par_iter()
        .zip(repeated_y.axis_iter_mut(Axis(0)))
        .enumerate()
        .for_each(|(event, (mut z, mut y))| {
            let mut rng = stream(seed, Purpose::Draws, (first_event + event) as u64);
            z.assign(&source.draw(statistics, count, &mut rng));
            y.assign(&scaled_y.row(event));
        });
    let z = rows(z);
    let x = run.model.decode(z.view(), rows(repeated_y).view());
    let x = run.record.preprocessing.decode_x(x.view());
    let columns = x.ncols();
    match x.into_shape_with_order((events, count, columns)) {
        Ok(draws) => draws,
        Err(_) => unreachable!("there is one decoded row a draw"),
    }
}

/// Log density of the true positions (raw, `n` x position columns) of events with momenta `y` (raw),
/// in nats per scaled unit volume; none for a model without a density. Where the density includes
/// noise on empty directions, the positions get it too.
pub(crate) fn log_prob_of_truth(
    run: &TrainedRun,
    x: ArrayView2<'_, f64>,
    y: ArrayView2<'_, f64>,
    seed: u64,
    first_event: usize,
) -> Option<Array1<f64>> {
    log_prob(run, x, y, (seed, 2 * first_event as u64 + 1))
}

/// Log density of each draw of [`draw_positions`] (`n` x count) under the same law.
pub(crate) fn log_prob_of_draws(
    run: &TrainedRun,
    draws: &Array3<f64>,
    y: ArrayView2<'_, f64>,
    seed: u64,
    first_event: usize,
) -> Option<Array2<f64>> {
    let (events, count, _) = draws.dim();
    let repeated = Array2::from_shape_fn((events * count, y.ncols()), |(row, column)| {
        y[[row / count, column]]
    });
    let gauge = run.record.preprocessing.gauge();
    let mut x = rows(draws.clone());
    if gauge.shares_momentum_frame() {
        // The law is that of positions turned by their momenta, from the orientation of the file.
        for (mut x, y) in x.rows_mut().into_iter().zip(repeated.rows()) {
            if let Some(x) = x.as_slice_mut() {
                gauge.rotate_back(x, &y.to_vec());
            }
        }
    }
    let values = log_prob(run, x.view(), repeated.view(), (seed, 2 * first_event as u64 + 2))?;
    match values.into_shape_with_order((events, count)) {
        Ok(values) => Some(values),
        Err(_) => unreachable!("there is one density a draw"),
    }
}

fn log_prob(
    run: &TrainedRun,
    x: ArrayView2<'_, f64>,
    y: ArrayView2<'_, f64>,
    (seed, index): (u64, u64),
) -> Option<Array1<f64>> {
    let preprocessing = &run.record.preprocessing;
    let mut x = preprocessing.encode_x(x, y);
    let y = preprocessing.encode_y(y);
    if let Some((directions, sd)) = preprocessing.noise_directions() {
        let mut rng = stream(seed, Purpose::Degenerate, index);
        DegenerateNoise { directions, sd }.add(&mut x, &mut rng);
    }
    let values = run.model.log_prob(Batch { x: x.view(), y: y.view() })?;
    // Where the density of single precision is zero the truth still has a rank: the last.
    Some(
        values
            .into_iter()
            .map(|value| if value == f64::NEG_INFINITY { f64::MIN } else { value })
            .collect(),
    )
}

/// The draws of all events one under another.
pub(crate) fn rows<T>(draws: Array3<T>) -> Array2<T> {
    let (events, count, columns) = draws.dim();
    match draws.into_shape_with_order((events * count, columns)) {
        Ok(rows) => rows,
        Err(_) => unreachable!("a fresh array is contiguous"),
    }
}

/// The first `count` draws of every event one under another (`n count` x columns).
pub(crate) fn first_rows(draws: &Array3<f64>, count: usize) -> Array2<f64> {
    let count = count.min(draws.len_of(Axis(1)));
    rows(draws.slice(s![.., ..count, ..]).as_standard_layout().into_owned())
}
