//! The losses of the validation rows, with the same noise in every epoch.

use std::borrow::Cow;
use std::io;

use cei_model::random::{Purpose, stream};
use cei_model::{Batch, ConditionalModel, Loss, Team};
use ndarray::Array2;

use crate::{DegenerateNoise, Rows, TrainingRows};

/// Rows that go through the model at once.
pub(crate) const CHUNK: usize = 4096;

/// Stream of the degenerate noise of the validation rows; no training step has this number.
const STREAM: u64 = u64::MAX;

/// The losses of `model` on the chunks of the validation rows, with their numbers of rows.
pub(crate) fn losses(
    model: &dyn ConditionalModel,
    rows: &TrainingRows,
    seed: u64,
    team: &Team,
) -> io::Result<Vec<(Loss, usize)>> {
    let TrainingRows { validation, degenerate, .. } = rows;
    let mut along = stream(seed, Purpose::Degenerate, STREAM);
    let mut losses = Vec::new();
    for (index, chunk) in validation.chunks(CHUNK).enumerate() {
        let chunk = chunk?;
        let Batch { x, y } = chunk.batch();
        let filled = degenerate.as_ref().map(|noise| {
            let mut x = x.to_owned();
            noise.add(&mut x, &mut along);
            x
        });
        let x = filled.as_ref().map_or(x, |filled| filled.view());
        let mut rng = stream(seed, Purpose::ValidationNoise, index as u64);
        losses.push((model.loss_in_team(Batch { x, y }, &mut rng, team), x.nrows()));
    }
    Ok(losses)
}

/// `x` of all validation rows with their degenerate noise.
pub(crate) fn with_noise<'a>(
    validation: &'a Rows,
    degenerate: Option<&DegenerateNoise>,
    seed: u64,
) -> Cow<'a, Array2<f32>> {
    let mut x = Cow::Borrowed(&validation.x);
    if let Some(noise) = degenerate {
        noise.add(x.to_mut(), &mut stream(seed, Purpose::Degenerate, STREAM));
    }
    x
}
