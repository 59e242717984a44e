//! Posterior draws of a trained run for measured momenta.
//!
//! An ensemble is a mixture of its members in equal parts: each draw comes from a member that is drawn
//! for it, independently of all others.

use cei_model::random::{Purpose, standard_normal, stream};
use ndarray::{Array2, Array3, ArrayView2, ArrayViewMut2, Axis, s};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::{Member, RunError, TrainedRun};

/// Draws of one event at most; they are in memory together.
const MOST_DRAWS: usize = 10_000_000;

/// Checks the number of draws that is asked for.
///
/// # Errors
/// Fewer than `least`, or more than memory holds.
pub(crate) fn check_draws(value: usize, least: usize) -> Result<(), RunError> {
    let key = "--draws";
    if value < least {
        return Err(RunError::TooSmall { key, value, least });
    }
    if value > MOST_DRAWS {
        return Err(RunError::TooLarge { key, value, most: MOST_DRAWS });
    }
    Ok(())
}

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
    let scaled_y = run.record.preprocessing.encode_y(y);
    let x = match run.members.as_slice() {
        [member] => {
            let counts = vec![count; events];
            draw_member(run, member, 0, scaled_y.view(), &counts, seed, first_event)
        }
        _ => draw_mixture(run, scaled_y.view(), count, seed, first_event),
    };
    let x = run.record.preprocessing.decode_x(x.view());
    let columns = x.ncols();
    match x.into_shape_with_order((events, count, columns)) {
        Ok(draws) => draws,
        Err(_) => unreachable!("there is one decoded row a draw"),
    }
}

/// The rows of each event: `counts[i]` for event `i`, one event after another.
fn by_event<'a>(mut rows: ArrayViewMut2<'a, f32>, counts: &[usize]) -> Vec<ArrayViewMut2<'a, f32>> {
    let mut parts = Vec::with_capacity(counts.len());
    for &count in counts {
        let (part, rest) = rows.split_at(Axis(0), count);
        parts.push(part);
        rows = rest;
    }
    parts
}

/// Adds Gaussian noise with a standard deviation for each column.
fn add_noise(mut values: ArrayViewMut2<'_, f32>, sd: &[f32], rng: &mut ChaCha8Rng) {
    let noise = standard_normal(values.nrows(), values.ncols(), rng);
    for (mut row, noise) in values.rows_mut().into_iter().zip(noise.rows()) {
        for ((value, noise), sd) in row.iter_mut().zip(noise).zip(sd) {
            *value += sd * noise;
        }
    }
}

/// `counts[i]` draws of one member (with its place in the ensemble, from 0) for event `i`, scaled, those of
/// one event after those of another.
fn draw_member(
    run: &TrainedRun,
    Member { model, latent }: &Member,
    place: u64,
    scaled_y: ArrayView2<'_, f32>,
    counts: &[usize],
    seed: u64,
    first_event: usize,
) -> Array2<f32> {
    let dimensions = model.dimensions();
    let draws = counts.iter().sum();
    let mut z = Array2::<f32>::zeros((draws, dimensions.z));
    let mut y = Array2::<f32>::zeros((draws, dimensions.y));
    let source = run.experiment.evaluation.latent;
    let prior = model.latent_prior(scaled_y);
    let parts = by_event(z.view_mut(), counts).into_par_iter().zip(by_event(y.view_mut(), counts));
    parts.enumerate().for_each(|(event, (mut z, mut y))| {
        let mut rng = stream(seed, Purpose::Draws, (first_event + event) as u64);
        // Every member has a stream of its own; that of the first is that of a single model.
        rng.set_stream(place);
        let count = z.nrows();
        match &prior {
            None => z.assign(&source.draw(latent, count, &mut rng)),
            Some(prior) => {
                let sd = prior.variance.row(event).mapv(f32::sqrt);
                z.assign(&prior.mean.row(event));
                add_noise(z, &sd.to_vec(), &mut rng);
            }
        }
        y.assign(&scaled_y.row(event));
    });
    let mut x = model.decode(z.view(), y.view());
    if let Some(sd) = model.decoder_sd() {
        by_event(x.view_mut(), counts).into_par_iter().enumerate().for_each(|(event, x)| {
            let index = (first_event + event) as u64;
            let mut rng = stream(seed, Purpose::DecoderNoise, index);
            rng.set_stream(place);
            add_noise(x, &sd, &mut rng);
        });
    }
    x
}

/// `count` draws of each event from the equal-weight mixture of the members, scaled.
fn draw_mixture(
    run: &TrainedRun,
    scaled_y: ArrayView2<'_, f32>,
    count: usize,
    seed: u64,
    first_event: usize,
) -> Array2<f32> {
    let (events, members) = (scaled_y.nrows(), run.members.len());
    let chosen: Vec<usize> = (0..events)
        .flat_map(|event| {
            let mut rng = stream(seed, Purpose::Members, (first_event + event) as u64);
            (0..count).map(move |_| rng.random_range(0..members))
        })
        .collect();
    let width = run.record.preprocessing.x_dim();
    let mut all = Array2::zeros((events * count, width));
    for (place, member) in run.members.iter().enumerate() {
        let counts: Vec<usize> = chosen
            .chunks(count)
            .map(|chosen| chosen.iter().filter(|&&of| of == place).count())
            .collect();
        let drawn = draw_member(run, member, place as u64, scaled_y, &counts, seed, first_event);
        let places = chosen.iter().enumerate().filter(|&(_, &of)| of == place);
        for ((row, _), drawn) in places.zip(drawn.rows()) {
            all.row_mut(row).assign(&drawn);
        }
    }
    all
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
