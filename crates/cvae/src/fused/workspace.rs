//! What a block of rows needs on its way through the CVAE, and the Gaussians of its latent dimensions.

use cei_kernels::{Deltas, Hidden, Level, Matrix, exp_of_all};

use crate::network::LOG_VARIANCE_BOUND;

/// What a block of rows needs on its way.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    /// What the encoder sees.
    pub(super) x: Matrix,
    pub(super) encoder: Hidden,
    /// `mu` and the unbounded `log sigma^2`, side by side.
    pub(super) moments: Matrix,
    /// `sigma`, row after row.
    pub(super) sigma: Vec<f32>,
    /// What the prior sees.
    pub(super) y: Matrix,
    pub(super) prior: Hidden,
    /// `m` and the unbounded `log t^2`, side by side.
    pub(super) prior_moments: Matrix,
    /// `1 / t^2`, row after row.
    pub(super) precision: Vec<f32>,
    /// `[z, y]`.
    pub(super) latent: Matrix,
    pub(super) decoder: Hidden,
    pub(super) reconstructed: Matrix,
    pub(super) d_latent: Matrix,
    pub(super) deltas: Deltas,
    pub(super) d_prior: Deltas,
}

/// `mu`, `sigma`, `m` and `1 / t^2` of one latent dimension of one row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gaussians {
    pub(super) mu: f32,
    pub(super) log_variance: f32,
    pub(super) sigma: f32,
    pub(super) m: f32,
    pub(super) prior_log_variance: f32,
    pub(super) precision: f32,
}

impl Gaussians {
    /// `(sigma^2 + (mu - m)^2) / t^2`.
    pub(super) fn spread(self) -> f32 {
        let shift = self.mu - self.m;
        (shift * shift + self.sigma * self.sigma) * self.precision
    }

    pub(super) fn kl_divergence(self) -> f32 {
        let (shift, precision) = (self.mu - self.m, self.precision);
        let (shift2, sigma2) = (shift * shift * precision, self.sigma * self.sigma * precision);
        -0.5 * (1.0 + (self.log_variance - self.prior_log_variance) - shift2 - sigma2)
    }
}

impl Workspace {
    /// The Gaussians of every latent dimension of one row; `conditional`: with a prior `p(z | y)`.
    pub(super) fn gaussians(
        &self,
        row: usize,
        conditional: bool,
    ) -> impl Iterator<Item = Gaussians> {
        let moments = self.moments.row(row);
        let width = moments.len() / 2;
        let (mu, log_variance) = moments.split_at(width);
        let place = row * width..(row + 1) * width;
        let sigma = &self.sigma[place.clone()];
        let prior = conditional.then(|| {
            let (m, log_variance) = self.prior_moments.row(row).split_at(width);
            (m, log_variance, &self.precision[place])
        });
        mu.iter().zip(log_variance).zip(sigma).enumerate().map(
            move |(index, ((&mu, &log_variance), &sigma))| {
                let log_variance = bounded(log_variance);
                let (m, prior_log_variance, precision) =
                    prior.map_or((0.0, 0.0, 1.0), |(m, log_variance, precision)| {
                        (m[index], bounded(log_variance[index]), precision[index])
                    });
                Gaussians { mu, log_variance, sigma, m, prior_log_variance, precision }
            },
        )
    }
}

/// `exp(factor log sigma^2)`, row after row, where `moments` has the unbounded `log sigma^2` in its right half.
pub(super) fn exponentials(factor: f32, moments: &Matrix, values: &mut Vec<f32>) {
    let width = moments.columns() / 2;
    values.clear();
    for row in 0..moments.rows() {
        let log_variance = &moments.row(row)[width..];
        values.extend(log_variance.iter().map(|value| factor * bounded(*value)));
    }
    exp_of_all(Level::best(), values);
}

/// `log sigma^2` within its bound; NaN stays NaN.
pub(super) fn bounded(log_variance: f32) -> f32 {
    log_variance.clamp(-LOG_VARIANCE_BOUND as f32, LOG_VARIANCE_BOUND as f32)
}
