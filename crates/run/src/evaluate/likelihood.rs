//! The exact likelihood of the scored rows, or its bound.

use cei_metrics::results::{LikelihoodBound, NegativeLogLikelihood};
use cei_model::Batch;
use cei_model::random::{Purpose, stream};
use ndarray::Axis;

use super::table::ScoredTable;
use crate::trained::{log_prob, scaled};
use crate::{Member, TrainedRun};

/// Latents of each event in the importance-weighted bound of the likelihood.
const BOUND_SAMPLES: usize = 200;

/// Negative log-likelihood of the scored rows in raw units, the bound of it where the model has only
/// that, and the largest `|x - f^-1(f(x))|` in scaled units of a model with an exact density.
pub(super) fn likelihood(
    run: &TrainedRun,
    scored: &ScoredTable,
    seed: u64,
) -> (Option<NegativeLogLikelihood>, Option<LikelihoodBound>, Option<f64>) {
    let (raw_x, raw_y) = (scored.raw_x.view(), scored.raw_y.view());
    let preprocessing = &run.record.preprocessing;
    let d_eff = preprocessing.d_eff();
    let (x, y) = scaled(run, raw_x, raw_y, seed);
    let Some(log_prob) = log_prob(run, raw_x, raw_y, seed) else {
        let mut rng = stream(seed, Purpose::LikelihoodBound, 0);
        let batch = Batch { x: x.view(), y: y.view() };
        let bounds = run.log_prob_bound(batch, BOUND_SAMPLES, &mut rng);
        let scales = preprocessing.log_abs_det(raw_x, raw_y);
        let bound = bounds.and_then(|bounds| {
            let values = bounds.into_iter().zip(scales).map(|(bound, scale)| scale - bound);
            LikelihoodBound::of(values, BOUND_SAMPLES, d_eff)
        });
        return (None, bound, None);
    };
    let values = log_prob.into_iter().map(|log_prob| -log_prob);
    let nll = NegativeLogLikelihood::of(values, d_eff);
    let mut worst = 0.0f32;
    for Member { model, .. } in &run.members {
        for (x, y) in x.axis_chunks_iter(Axis(0), 8192).zip(y.axis_chunks_iter(Axis(0), 8192)) {
            let z = model.latent_moments(Batch { x, y }).mean;
            let back = model.decode(z.view(), y);
            // Not `max`: it would pass over a NaN.
            let larger =
                |worst: f32, error: &f32| if error.abs() <= worst { worst } else { error.abs() };
            worst = (&back - &x).iter().fold(worst, larger);
        }
    }
    (nll, None, Some(f64::from(worst)))
}
