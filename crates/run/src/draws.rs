//! Posterior draws of a trained run for measured momenta.

use cei_model::random::{Purpose, standard_normal, stream};
use ndarray::{Array2, Array3, ArrayView2, ArrayViewMut2, Axis, s};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::TrainedRun;

/// Draws positions for each row of `y` (raw, `n` x momentum columns): `n` x `count` x position
/// columns, in bohr, in the frame of the run.
///
/// Latents come from the model's `p(z | y)`, or else from where the configuration says; where the model
/// declares a decoder variance, the draws have its noise too.
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
    let prior = run.model.latent_prior(scaled_y.view());
    z.axis_iter_mut(Axis(0))
        .into_par_iter()
        .zip(repeated_y.axis_iter_mut(Axis(0)))
        .enumerate()
        .for_each(|(event, (mut z, mut y))| {
            let mut rng = stream(seed, Purpose::Draws, (first_event + event) as u64);
            match &prior {
                None => z.assign(&source.draw(statistics, count, &mut rng)),
                Some(prior) => {
                    let variance = prior.variance.row(event);
                    z.assign(&prior.mean.row(event));
                    add_noise(z, variance.iter().map(|variance| variance.sqrt()), &mut rng);
                }
            }
            y.assign(&scaled_y.row(event));
        });
    let z = rows(z);
    let mut x = run.model.decode(z.view(), rows(repeated_y).view());
    if let Some(sd) = run.model.decoder_sd() {
        x.axis_chunks_iter_mut(Axis(0), count.max(1)).into_par_iter().enumerate().for_each(
            |(event, x)| {
                let index = (first_event + event) as u64;
                add_noise(x, sd.iter().copied(), &mut stream(seed, Purpose::DecoderNoise, index));
            },
        );
    }
    let x = run.record.preprocessing.decode_x(x.view());
    let columns = x.ncols();
    match x.into_shape_with_order((events, count, columns)) {
        Ok(draws) => draws,
        Err(_) => unreachable!("there is one decoded row a draw"),
    }
}

/// Adds Gaussian noise with a standard deviation for each column.
fn add_noise(
    mut values: ArrayViewMut2<'_, f32>,
    sd: impl Iterator<Item = f32> + Clone,
    rng: &mut ChaCha8Rng,
) {
    let noise = standard_normal(values.nrows(), values.ncols(), rng);
    for (mut row, noise) in values.rows_mut().into_iter().zip(noise.rows()) {
        for ((value, noise), sd) in row.iter_mut().zip(noise).zip(sd.clone()) {
            *value += sd * noise;
        }
    }
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
