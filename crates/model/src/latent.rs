//! Statistics of the latents of the training rows: where predictive latents are drawn from, and how
//! many latent dimensions carry information.

use ndarray::{Array1, Array2};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::random::standard_normal;

/// A latent dimension is active when the mean of its posterior varies over the training rows by
/// more than this variance (Burda, Grosse & Salakhutdinov 2016).
pub const ACTIVE_VARIANCE: f64 = 0.01;

/// Mean and variance of the latent posterior of every row (`n` x latent dimensions).
#[derive(Debug, Clone)]
pub struct LatentMoments {
    /// `mu_j` of every row.
    pub mean: Array2<f32>,
    /// `sigma_j^2` of every row; zero for a model whose latent is a function of `x` and `y`.
    pub variance: Array2<f32>,
}

/// Moments of the latent over the training rows, per dimension (SPEC 5, `train-latents`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LatentStatistics {
    /// `E[mu_j]`.
    pub mean: Vec<f64>,
    /// `sqrt(Var(mu_j) + E[sigma_j^2])`.
    pub sd: Vec<f64>,
    /// `Var(mu_j)`: zero where the latent ignores `x`.
    pub mean_variance: Vec<f64>,
}

impl LatentStatistics {
    /// Collects the statistics over the batches of the training rows.
    pub fn collect(dimensions: usize, batches: impl Iterator<Item = LatentMoments>) -> Self {
        let mut count = 0.0;
        let mut sum = Array1::<f64>::zeros(dimensions);
        let mut squares = Array1::<f64>::zeros(dimensions);
        let mut variance = Array1::<f64>::zeros(dimensions);
        for moments in batches {
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
        Self { mean: mean.to_vec(), sd: sd.to_vec(), mean_variance: mean_variance.to_vec() }
    }

    /// How many dimensions are active: `Var(mu_j)` above [`ACTIVE_VARIANCE`].
    pub fn active_dimensions(&self) -> usize {
        self.mean_variance.iter().filter(|&&variance| variance > ACTIVE_VARIANCE).count()
    }
}

/// Where the latents of predictive draws come from (SPEC 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
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
        let statistics = LatentStatistics::collect(2, batches.into_iter());
        assert_eq!(statistics.mean, [2.0, 5.0]);
        // first: Var(1, 3) = 1 and E = 1; second: Var = 0 and E = 1
        assert_eq!(statistics.mean_variance, [1.0, 0.0]);
        assert_eq!(statistics.sd, [2f64.sqrt(), 1.0]);
        assert_eq!(statistics.active_dimensions(), 1);
    }

    #[test]
    fn draws_have_the_moments_of_their_source() {
        let statistics =
            LatentStatistics { mean: vec![3.0], sd: vec![0.1], mean_variance: vec![0.0] };
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
