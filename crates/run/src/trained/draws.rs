//! Posterior draws of a trained run for measured momenta.
//!
//! An ensemble is a mixture of its members in equal parts: each draw comes from a member that is drawn
//! for it, independently of all others.

use cei_model::random::{Purpose, standard_normal, stream};
use ndarray::{Array2, Array3, ArrayView2, ArrayViewMut2, Axis, s};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::run::{Member, TrainedRun};
use crate::RunError;

/// Draws of one event that are written at most; a part of them is in memory at once.
pub(crate) const MOST_WRITTEN: usize = 10_000_000;

/// Refined draws of an event at most: they are weighted together.
const MOST_REFINED: usize = 100_000;

/// Checks the number of refined draws of an event.
///
/// # Errors
/// None, or too many.
pub(crate) fn check_refined(draws: usize) -> Result<(), RunError> {
    check_draws(draws, 1, MOST_WRITTEN)?;
    if draws > MOST_REFINED {
        let key = "--draws` with `--refine";
        return Err(RunError::TooLarge { key, value: draws, most: MOST_REFINED });
    }
    Ok(())
}

/// Checks the number of draws that is asked for.
///
/// # Errors
/// Fewer than `least`, or more than `most`.
pub(crate) fn check_draws(value: usize, least: usize, most: usize) -> Result<(), RunError> {
    let key = "--draws";
    if value < least {
        return Err(RunError::TooSmall { key, value, least });
    }
    if value > most {
        return Err(RunError::TooLarge { key, value, most });
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
///
/// ```
/// # let (folder, run) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/tiny_run.in"));
/// use cei_run::TrainedRun;
/// use cei_run::trained::draws::draw_positions;
///
/// let run = TrainedRun::load(&run, cei_model::open_device("cpu")?)?;
/// // Momenta of one event, a.u.: C, O, S.
/// let y = ndarray::array![[46.9, 0.0, 0.0, 104.6, -147.2, 0.0, -151.5, 147.2, 0.0]];
/// let draws = draw_positions(&run, y.view(), 100, 0, 0);
/// assert_eq!(draws.dim(), (1, 100, 9));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn draw_positions(
    run: &TrainedRun,
    y: ArrayView2<'_, f64>,
    count: usize,
    seed: u64,
    first_event: usize,
) -> Array3<f64> {
    let streams = (0..y.nrows()).map(|event| DrawStreams::of(run, seed, first_event + event));
    draw_more(run, y, count, &mut streams.collect::<Vec<_>>())
}

/// The random streams of one event, as far as they have been drawn from.
pub(crate) struct DrawStreams {
    /// Which member each draw comes from.
    members: ChaCha8Rng,
    /// Latents and decoder noise of each member.
    of_member: Vec<[ChaCha8Rng; 2]>,
}

impl DrawStreams {
    /// The streams of an event from their beginning.
    pub(crate) fn of(run: &TrainedRun, seed: u64, event: usize) -> Self {
        let of_member = |place: u64| {
            [Purpose::Draws, Purpose::DecoderNoise].map(|purpose| {
                let mut rng = stream(seed, purpose, event as u64);
                // Every member has a stream of its own; that of the first is that of a single model.
                rng.set_stream(place);
                rng
            })
        };
        Self {
            members: stream(seed, Purpose::Members, event as u64),
            of_member: (0..run.members.len() as u64).map(of_member).collect(),
        }
    }
}

/// The next `count` draws of each row of `y`, whose streams these are: as many as wanted, a part at a time, are the
/// same draws as all at once.
pub(crate) fn draw_more(
    run: &TrainedRun,
    y: ArrayView2<'_, f64>,
    count: usize,
    streams: &mut [DrawStreams],
) -> Array3<f64> {
    let events = y.nrows();
    let scaled_y = run.record.preprocessing.encode_y(y);
    let x = match run.members.as_slice() {
        [member] => draw_member(run, member, 0, scaled_y.view(), &vec![count; events], streams),
        _ => draw_mixture(run, scaled_y.view(), count, streams),
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

/// The next `counts[i]` draws of one member (with its place in the ensemble, from 0) for event `i`, scaled, those of
/// one event after those of another.
fn draw_member(
    run: &TrainedRun,
    Member { model, latent }: &Member,
    place: usize,
    scaled_y: ArrayView2<'_, f32>,
    counts: &[usize],
    streams: &mut [DrawStreams],
) -> Array2<f32> {
    let dimensions = model.dimensions();
    let draws = counts.iter().sum();
    let mut z = Array2::<f32>::zeros((draws, dimensions.z));
    let mut y = Array2::<f32>::zeros((draws, dimensions.y));
    let source = run.experiment.evaluation.latent;
    let prior = model.latent_prior(scaled_y);
    let parts = by_event(z.view_mut(), counts).into_par_iter().zip(by_event(y.view_mut(), counts));
    parts.zip(&mut *streams).enumerate().for_each(|(event, ((mut z, mut y), streams))| {
        let [rng, _] = &mut streams.of_member[place];
        let count = z.nrows();
        match &prior {
            None => z.assign(&source.draw(latent, count, rng)),
            Some(prior) => {
                let sd = prior.variance.row(event).mapv(f32::sqrt);
                z.assign(&prior.mean.row(event));
                add_noise(z, &sd.to_vec(), rng);
            }
        }
        y.assign(&scaled_y.row(event));
    });
    let mut x = model.decode(z.view(), y.view());
    if let Some(sd) = model.decoder_sd() {
        let parts = by_event(x.view_mut(), counts).into_par_iter();
        parts.zip(streams).for_each(|(x, streams)| {
            let [_, rng] = &mut streams.of_member[place];
            add_noise(x, &sd, rng);
        });
    }
    x
}

/// The next `count` draws of each event from the equal-weight mixture of the members, scaled.
fn draw_mixture(
    run: &TrainedRun,
    scaled_y: ArrayView2<'_, f32>,
    count: usize,
    streams: &mut [DrawStreams],
) -> Array2<f32> {
    let (events, members) = (scaled_y.nrows(), run.members.len());
    let chosen: Vec<usize> = streams
        .iter_mut()
        .flat_map(|streams| {
            let rng = &mut streams.members;
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
        let drawn = draw_member(run, member, place, scaled_y, &counts, streams);
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
