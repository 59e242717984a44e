//! The importance-weighted bound of a latent-variable model (Burda, Grosse & Salakhutdinov 2016,
//! equation 8), which tightens towards `log p(x | y)` as the samples `K` grow; `K = 1` is the ELBO.
//!
//! ```text
//! log p(x | y) >= E log 1/K sum_k w_k,   w_k = p(x | z_k, y) p(z_k | y) / q(z_k | x, y)
//! z_k ~ q(z | x, y) = N(mu, diag sigma^2),   p(x | z, y) = N(x; decode(z, y), diag s^2)
//! ```

use ndarray::{Array2, Axis, s};
use rand_chacha::ChaCha8Rng;

use crate::random::standard_normal;
use crate::{Batch, ConditionalModel};

/// Decoded rows that are in memory at once.
const CHUNK: usize = 50_000;

/// A lower bound of `log p(x | y)` of every row in nats per scaled unit volume from this many importance-weighted
/// latents; none without samples, or for a model without a declared [`ConditionalModel::decoder_sd`]. The prior is
/// [`ConditionalModel::latent_prior`], or else `N(0, I)`.
pub fn log_prob_bound(
    model: &dyn ConditionalModel,
    batch: Batch<'_>,
    samples: usize,
    rng: &mut ChaCha8Rng,
) -> Option<Vec<f64>> {
    let sd: Vec<f64> = model.decoder_sd()?.into_iter().map(f64::from).collect();
    if samples == 0 {
        return None;
    }
    let rows = batch.x.nrows();
    let step = (CHUNK / samples).max(1);
    let mut bounds = Vec::with_capacity(rows);
    for start in (0..rows).step_by(step) {
        let part = batch.rows(start..(start + step).min(rows));
        bounds.extend(bound_of(model, part, samples, &sd, rng));
    }
    Some(bounds)
}

fn bound_of(
    model: &dyn ConditionalModel,
    batch: Batch<'_>,
    samples: usize,
    sd: &[f64],
    rng: &mut ChaCha8Rng,
) -> Vec<f64> {
    let (rows, width) = (batch.x.nrows(), model.dimensions().z);
    let posterior = model.latent_moments(batch);
    let prior = model.latent_prior(batch.y);
    let mut z = standard_normal(rows * samples, width, rng);
    let mut y = Array2::<f32>::zeros((rows * samples, batch.y.ncols()));
    let mut weights = vec![0.0; rows * samples];
    for (sample, weight) in weights.iter_mut().enumerate() {
        let row = sample / samples;
        y.row_mut(sample).assign(&batch.y.row(row));
        for (column, z) in z.row_mut(sample).iter_mut().enumerate() {
            let at = [row, column];
            let (mu, variance) = (posterior.mean[at], f64::from(posterior.variance[at]));
            let eps = f64::from(*z);
            *z = (f64::from(mu) + variance.sqrt() * eps) as f32;
            let (m, t2) =
                prior.as_ref().map_or((0.0, 1.0), |prior| (prior.mean[at], prior.variance[at]));
            let shift = f64::from(*z) - f64::from(m);
            // Both densities have the factor (2 pi)^(-1/2), which cancels.
            let log_q = -0.5 * (eps * eps + variance.ln());
            let log_p = -0.5 * (shift * shift / f64::from(t2) + f64::from(t2).ln());
            *weight += log_p - log_q;
        }
    }
    let decoded = model.decode(z.view(), y.view());
    let log_two_pi = std::f64::consts::TAU.ln();
    let constant: f64 = sd.iter().map(|sd| sd.ln() + 0.5 * log_two_pi).sum();
    for (sample, (weight, decoded)) in
        weights.iter_mut().zip(decoded.axis_iter(Axis(0))).enumerate()
    {
        let x = batch.x.slice(s![sample / samples, ..]);
        let squares = x
            .iter()
            .zip(decoded)
            .zip(sd)
            .map(|((x, decoded), sd)| ((f64::from(*x) - f64::from(*decoded)) / sd).powi(2));
        *weight -= 0.5 * squares.sum::<f64>() + constant;
    }
    weights.chunks(samples).map(log_mean_exp).collect()
}

/// `log 1/K sum_k exp(w_k)` without overflow.
fn log_mean_exp(log_weights: &[f64]) -> f64 {
    let largest = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = log_weights.iter().map(|weight| (weight - largest).exp()).sum();
    largest + (sum / log_weights.len() as f64).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};
    use crate::{Dimensions, LatentMoments, Loss, Parameters};
    use cei_kernels::Gradient;
    use ndarray::{ArrayView2, array};

    /// `z ~ N(y, 1)`, `x | z ~ N(2 z, s^2)`, so `x | y ~ N(2 y, 4 + s^2)` exactly; `q` is the exact
    /// posterior but for a mean that is wrong by `shift` and a variance wrong by `stretch`.
    struct Linear {
        parameters: Parameters,
        sd: f32,
        shift: f32,
        stretch: f32,
    }

    impl ConditionalModel for Linear {
        fn dimensions(&self) -> Dimensions {
            Dimensions { x: 1, y: 1, z: 1 }
        }

        fn loss_terms(&self) -> &'static [&'static str] {
            &[]
        }

        fn parameters(&self) -> &Parameters {
            &self.parameters
        }

        fn set_parameters(&mut self, _values: &[f32]) {}

        fn loss(&self, _batch: Batch<'_>, _noise: &mut ChaCha8Rng) -> Loss {
            Loss::default()
        }

        fn loss_and_gradient(
            &self,
            _batch: Batch<'_>,
            _noise: &mut ChaCha8Rng,
            _gradient: &mut Gradient,
        ) -> Loss {
            Loss::default()
        }

        fn latent_moments(&self, batch: Batch<'_>) -> LatentMoments {
            let s2 = self.sd * self.sd;
            let precision = 1.0 + 4.0 / s2;
            let mean = (&batch.y + &(&batch.x * (2.0 / s2))) / precision + self.shift;
            let variance = Array2::from_elem(batch.x.raw_dim(), self.stretch / precision);
            LatentMoments { mean, variance }
        }

        fn decode(&self, z: ArrayView2<'_, f32>, _y: ArrayView2<'_, f32>) -> Array2<f32> {
            z.mapv(|z| 2.0 * z)
        }

        fn decoder_sd(&self) -> Option<Vec<f32>> {
            Some(vec![self.sd])
        }

        fn latent_prior(&self, y: ArrayView2<'_, f32>) -> Option<LatentMoments> {
            Some(LatentMoments { mean: y.to_owned(), variance: Array2::ones(y.raw_dim()) })
        }
    }

    fn exact(x: f64, y: f64, sd: f64) -> f64 {
        let variance = 4.0 + sd * sd;
        -0.5 * ((x - 2.0 * y).powi(2) / variance + (std::f64::consts::TAU * variance).ln())
    }

    #[test]
    fn it_is_exact_with_the_exact_posterior_and_tightens_with_samples_otherwise() {
        let (x, y) = (array![[1.0f32], [-0.5], [3.0]], array![[0.2f32], [0.4], [1.0]]);
        let batch = Batch { x: x.view(), y: y.view() };
        let model =
            |shift, stretch| Linear { parameters: Parameters::default(), sd: 0.5, shift, stretch };
        let truth: Vec<f64> =
            x.iter().zip(&y).map(|(x, y)| exact(f64::from(*x), f64::from(*y), 0.5)).collect();
        let rng = |index| stream(3, Purpose::Draws, index);
        // With the exact posterior every weight is p(x | y), whatever z; f32 decodes leave 1e-5.
        let bound = log_prob_bound(&model(0.0, 1.0), batch, 1, &mut rng(0)).unwrap_or_default();
        for (bound, truth) in bound.iter().zip(&truth) {
            assert!((bound - truth).abs() < 1e-4, "{bound} for {truth}");
        }
        let wrong = model(0.1, 1.5);
        let gap = |samples, repeats| {
            let bounds = (0..repeats).flat_map(|index| {
                log_prob_bound(&wrong, batch, samples, &mut rng(index)).unwrap_or_default()
            });
            bounds.zip(truth.iter().cycle()).map(|(bound, truth)| truth - bound).sum::<f64>()
                / (3 * repeats) as f64
        };
        // K = 1: the gap is KL(q || p(z | x, y)) = 1/2 (1.5 + 17 * 0.1^2 - 1 - ln 1.5) = 0.132 for a
        // posterior variance of 1 / 17; log w has an sd of about 0.6, so 6,000 have an error of 0.008.
        let one = gap(1, 2000);
        assert!((one - 0.132).abs() < 0.04, "{one}");
        // A q that is too wide has bounded weights: the gap falls as 1 / K, with an error of sqrt(1 / K).
        let many = gap(20_000, 1);
        assert!(many.abs() < 0.01, "{many}");
    }
}
