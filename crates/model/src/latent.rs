//! Statistics of the latents of the training rows: where predictive latents are drawn from, and how
//! many latent dimensions carry information.

use ndarray::{Array1, Array2, Axis};
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::random::standard_normal;

/// A latent dimension is active when the mean of its posterior varies over the training rows by
/// more than this variance (Burda, Grosse & Salakhutdinov 2016).
pub const ACTIVE_VARIANCE: f64 = 0.01;

/// Beside a prior `p(z | y)` a dimension is active when its posterior differs from that prior by more
/// than this mean KL divergence, in nats: its mean may follow `y` and say nothing of `x`.
pub const ACTIVE_KL: f64 = 0.01;

/// Mean and variance of the latent posterior of every row (`n` x latent dimensions).
#[derive(Debug, Clone)]
pub struct LatentMoments {
    /// `mu_j` of every row.
    pub mean: Array2<f32>,
    /// `sigma_j^2` of every row; zero for a model whose latent is a function of `x` and `y`.
    pub variance: Array2<f32>,
}

impl LatentMoments {
    /// KL divergence in nats of the Gaussian of every row and dimension from that of `prior`:
    /// `1/2 (log(t^2 / s^2) + (s^2 + (mu - m)^2) / t^2 - 1)`.
    pub fn kl_divergence(&self, prior: &Self) -> Array2<f64> {
        let mut kl = Array2::zeros(self.mean.raw_dim());
        ndarray::Zip::from(&mut kl)
            .and(&self.mean)
            .and(&self.variance)
            .and(&prior.mean)
            .and(&prior.variance)
            .for_each(|kl, &mu, &s2, &m, &t2| {
                let [mu, s2, m, t2] = [mu, s2, m, t2].map(f64::from);
                *kl = 0.5 * ((t2 / s2).ln() + (s2 + (mu - m).powi(2)) / t2 - 1.0);
            });
        kl
    }
}

/// Moments of the latent over the training rows, per dimension (`train-latents` of `docs/spec.md#latents`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LatentStatistics {
    /// `E[mu_j]`.
    pub mean: Vec<f64>,
    /// `sqrt(Var(mu_j) + E[sigma_j^2])`.
    pub sd: Vec<f64>,
    /// `Var(mu_j)`: zero where the latent ignores `x`.
    pub mean_variance: Vec<f64>,
    /// Mean KL divergence of the posterior from `p(z | y)` in nats, for a model that has such a prior.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kl_nats: Option<Vec<f64>>,
}

impl LatentStatistics {
    /// Collects the statistics over the batches of the training rows, each with its posterior and,
    /// where the model has one, its prior `p(z | y)`.
    pub fn collect(
        dimensions: usize,
        batches: impl Iterator<Item = (LatentMoments, Option<LatentMoments>)>,
    ) -> Self {
        let mut count = 0.0;
        let mut sum = Array1::<f64>::zeros(dimensions);
        let mut squares = Array1::<f64>::zeros(dimensions);
        let mut variance = Array1::<f64>::zeros(dimensions);
        let mut kl: Option<Array1<f64>> = None;
        for (moments, prior) in batches {
            if let Some(prior) = prior {
                let sum = moments.kl_divergence(&prior).sum_axis(Axis(0));
                kl = Some(kl.map_or_else(|| sum.clone(), |kl| kl + &sum));
            }
            count += moments.mean.nrows() as f64;
            for row in moments.mean.rows() {
                let row = row.mapv(f64::from);
                squares += &(&row * &row);
                sum += &row;
            }
            for row in moments.variance.rows() {
                variance += &row.mapv(f64::from);
            }
        }
        let mean = sum / count;
        let mean_variance = (squares / count - &mean * &mean).mapv(|v| v.max(0.0));
        let sd = (&mean_variance + &(variance / count)).mapv(f64::sqrt);
        Self {
            mean: mean.to_vec(),
            sd: sd.to_vec(),
            mean_variance: mean_variance.to_vec(),
            kl_nats: kl.map(|kl| (kl / count).to_vec()),
        }
    }

    /// How many dimensions are active: `Var(mu_j)` above [`ACTIVE_VARIANCE`], or beside a prior
    /// `p(z | y)` the divergence from it above [`ACTIVE_KL`].
    pub fn active_dimensions(&self) -> usize {
        match &self.kl_nats {
            None => self.mean_variance.iter().filter(|&&v| v > ACTIVE_VARIANCE).count(),
            Some(kl) => kl.iter().filter(|&&kl| kl > ACTIVE_KL).count(),
        }
    }
}

/// Where the latents of predictive draws come from (`docs/spec.md#latents`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LatentSource {
    /// `N(mean, sd)` of the latents of the training rows: the proposal's recipe.
    #[default]
    TrainLatents,
    /// `N(0, I)`.
    Prior,
}

impl LatentSource {
    /// Draws latents (`rows` x latent dimensions).
    pub fn draw(
        self,
        statistics: &LatentStatistics,
        rows: usize,
        rng: &mut ChaCha8Rng,
    ) -> Array2<f32> {
        let mut z = standard_normal(rows, statistics.mean.len(), rng);
        if self == Self::TrainLatents {
            for (mut column, (mean, sd)) in
                z.columns_mut().into_iter().zip(statistics.mean.iter().zip(&statistics.sd))
            {
                column.mapv_inplace(|value| (mean + sd * f64::from(value)) as f32);
            }
        }
        z
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn statistics_over_batches_by_hand() {
        let batches = [
            LatentMoments { mean: array![[1.0, 5.0]], variance: array![[0.5, 1.0]] },
            LatentMoments { mean: array![[3.0, 5.0]], variance: array![[1.5, 1.0]] },
        ];
        let statistics = LatentStatistics::collect(2, batches.map(|b| (b, None)).into_iter());
        assert_eq!(statistics.mean, [2.0, 5.0]);
        // first: Var(1, 3) = 1 and E = 1; second: Var = 0 and E = 1
        assert_eq!(statistics.mean_variance, [1.0, 0.0]);
        assert_eq!(statistics.sd, [2f64.sqrt(), 1.0]);
        assert_eq!(statistics.active_dimensions(), 1);
    }

    #[test]
    fn beside_a_prior_given_y_a_dimension_that_only_follows_y_is_not_active() {
        let posterior = LatentMoments {
            mean: array![[1.0, 1.0], [3.0, 3.0]],
            variance: array![[0.5, 0.5], [0.5, 0.5]],
        };
        let prior = LatentMoments {
            mean: array![[1.0, 2.0], [3.0, 2.0]],
            variance: array![[0.5, 0.5], [0.5, 0.5]],
        };
        let batches = std::iter::once((posterior, Some(prior)));
        let statistics = LatentStatistics::collect(2, batches);
        assert_eq!(statistics.mean_variance, [1.0, 1.0]);
        // second: the means differ by 1, so KL = 1 / (2 * 0.5)
        assert_eq!(statistics.kl_nats, Some(vec![0.0, 1.0]));
        assert_eq!(statistics.active_dimensions(), 1);
    }

    #[test]
    fn draws_have_the_moments_of_their_source() {
        let statistics = LatentStatistics {
            mean: vec![3.0],
            sd: vec![0.1],
            mean_variance: vec![0.0],
            kl_nats: None,
        };
        let mut rng = crate::random::stream(7, crate::random::Purpose::Draws, 0);
        let moments = |z: Array2<f32>| {
            let z = z.mapv(f64::from);
            (z.mean().unwrap_or_default(), z.std(0.0))
        };
        // 10,000 draws: the mean has a standard error of 1 % of the sd; 5 of these are allowed.
        let (mean, sd) = moments(LatentSource::TrainLatents.draw(&statistics, 10_000, &mut rng));
        assert!((mean - 3.0).abs() < 0.005 && (sd - 0.1).abs() < 0.004, "{mean} {sd}");
        let (mean, sd) = moments(LatentSource::Prior.draw(&statistics, 10_000, &mut rng));
        assert!(mean.abs() < 0.05 && (sd - 1.0).abs() < 0.04, "{mean} {sd}");
    }
}
