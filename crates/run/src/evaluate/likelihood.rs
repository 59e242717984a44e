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

/// The likelihood of the scored rows.
#[derive(Debug, Clone, Default)]
pub(super) struct Likelihood {
    /// Its negative logarithm in raw units, averaged.
    pub(super) nll: Option<NegativeLogLikelihood>,
    /// The same of each row; empty without an exact density.
    pub(super) of_rows: Vec<f64>,
    /// The bound of it, where the model has only that.
    pub(super) bound: Option<LikelihoodBound>,
    /// The largest `|x - f^-1(f(x))|` in scaled units of a model with an exact density.
    pub(super) invertibility: Option<f64>,
}

pub(super) fn likelihood(run: &TrainedRun, scored: &ScoredTable, seed: u64) -> Likelihood {
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
        return Likelihood { bound, ..Likelihood::default() };
    };
    let of_rows: Vec<f64> = log_prob.into_iter().map(|log_prob| -log_prob).collect();
    let nll = NegativeLogLikelihood::of(of_rows.iter().copied(), d_eff);
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
    Likelihood { nll, of_rows, bound: None, invertibility: Some(f64::from(worst)) }
}
