//! The CVAE on the processor, composed of fused kernels; the same mathematics as
//! [`Cvae`](crate::Cvae), which stays the reference.
//!
//! ```text
//! encoder    mu, log sigma^2 = NN(x)
//! latent     z = mu + sigma * eps
//! decoder    x^ = NN([z, y])
//! backward   dx^ = 2 w (x^ - x) / n,               w: 1, or 1 / d for the mean over components
//!            dmu = dz + beta mu / n
//!            dlog sigma^2 = dz sigma eps / 2 + beta (sigma^2 - 1) / (2 n)
//! ```

use std::sync::{Mutex, PoisonError};

use cei_kernels::{Deltas, Hidden, Level, Matrix, Mlp, Pool, ShardGradients, blocks};
use cei_model::random::fill_standard_normal;
use cei_model::{Batch, ConditionalModel, Dimensions, LatentMoments, Loss, Parameters};
use ndarray::{Array2, ArrayView2, s};
use rand_chacha::ChaCha8Rng;

use crate::config::{CvaeConfig, Reconstruction};
use crate::network::{LOG_VARIANCE_BOUND, LOSS_TERMS};

/// A CVAE that computes with kernels.
#[derive(Debug)]
pub(crate) struct FusedCvae {
    parameters: Parameters,
    dimensions: Dimensions,
    /// `x` to `mu` and `log sigma^2` side by side.
    encoder: Mlp,
    /// `[z, y]` to `x^`.
    decoder: Mlp,
    beta: f64,
    reconstruction: Reconstruction,
    pool: Pool<Workspace>,
    gradients: ShardGradients,
    eps: Mutex<Vec<f32>>,
}

/// What a block of rows needs on its way.
#[derive(Debug, Default)]
struct Workspace {
    x: Matrix,
    encoder: Hidden,
    /// `mu` and the unbounded `log sigma^2`, side by side.
    moments: Matrix,
    /// `[z, y]`.
    latent: Matrix,
    decoder: Hidden,
    reconstructed: Matrix,
    d_latent: Matrix,
    deltas: Deltas,
}

impl FusedCvae {
    /// The CVAE with the `parameters` of a [`Cvae`](crate::Cvae) of this configuration.
    pub(crate) fn new(config: &CvaeConfig, dimensions: Dimensions, parameters: Parameters) -> Self {
        let level = Level::best();
        let Dimensions { x, y, z } = dimensions;
        let activation = cei_kernels::Activation::from(config.activation);
        let widths = [&[x], &config.encoder_hidden[..], &[z]].concat();
        let encoder = Mlp::with_heads(level, &widths, 2, activation, 0);
        let widths = [&[z + y], &config.decoder_hidden[..], &[x]].concat();
        let decoder = Mlp::new(level, &widths, activation, encoder.parameters());
        let count = encoder.parameters() + decoder.parameters();
        assert_eq!(count, parameters.values.len(), "the parameters of the composed CVAE");
        let mut cvae = Self {
            dimensions,
            encoder,
            decoder,
            beta: config.beta,
            reconstruction: config.reconstruction,
            pool: Pool::default(),
            gradients: ShardGradients::default(),
            eps: Mutex::default(),
            parameters,
        };
        cvae.encoder.set_parameters(&cvae.parameters.values);
        cvae.decoder.set_parameters(&cvae.parameters.values);
        cvae
    }

    /// `mu` and the unbounded `log sigma^2` of `x`, in `work.moments`.
    fn encode(&self, x: ArrayView2<'_, f32>, work: &mut Workspace) {
        work.x.reshape(x.nrows(), self.dimensions.x);
        work.x.set_columns(0, x);
        self.encoder.forward(&work.x, &mut work.encoder, &mut work.moments);
    }

    /// The rows `batch` from `x` to `x^`, with the noise `eps`; adds reconstruction and KL
    /// divergence of every row to `sums`.
    fn forward(
        &self,
        batch: Batch<'_>,
        eps: ArrayView2<'_, f32>,
        work: &mut Workspace,
        sums: &mut [f64],
    ) {
        self.encode(batch.x, work);
        let Workspace { moments, latent, decoder, reconstructed, .. } = work;
        let width = self.dimensions.z;
        latent.reshape(batch.x.nrows(), width + self.dimensions.y);
        latent.set_columns(width, batch.y);
        for (row, eps) in eps.rows().into_iter().enumerate() {
            let (mu, log_variance) = moments.row(row).split_at(width);
            let z = latent.row_mut(row);
            let mut kl = 0.0;
            for (((z, mu), log_variance), eps) in z.iter_mut().zip(mu).zip(log_variance).zip(eps) {
                let log_variance = bounded(*log_variance);
                let sigma = (0.5 * log_variance).exp();
                *z = mu + sigma * eps;
                kl -= 0.5 * (1.0 + log_variance - mu * mu - sigma * sigma);
            }
            sums[1] += f64::from(kl);
        }
        self.decoder.forward(latent, decoder, reconstructed);
        let weight = self.component_weight();
        for (row, x) in batch.x.rows().into_iter().enumerate() {
            let x_hat = reconstructed.row(row).iter();
            sums[0] +=
                x_hat.zip(x).map(|(x_hat, x)| f64::from((x_hat - x).powi(2))).sum::<f64>() * weight;
        }
    }

    /// From what [`Self::forward`] left in `work` to the gradient of the loss over `n` rows.
    fn backward(
        &self,
        n: usize,
        batch: Batch<'_>,
        eps: ArrayView2<'_, f32>,
        work: &mut Workspace,
        gradient: &mut [f32],
        add: bool,
    ) {
        let Workspace { deltas, d_latent, .. } = work;
        let factor = (2.0 * self.component_weight() / n as f64) as f32;
        deltas.output.reshape(batch.x.nrows(), self.dimensions.x);
        for (row, x) in batch.x.rows().into_iter().enumerate() {
            let d_x_hat = deltas.output.row_mut(row).iter_mut();
            for ((d, x_hat), x) in d_x_hat.zip(work.reconstructed.row(row)).zip(x) {
                *d = factor * (x_hat - x);
            }
        }
        self.decoder.backward(&work.latent, &work.decoder, deltas, gradient, add, Some(d_latent));
        let width = self.dimensions.z;
        let beta = (self.beta / n as f64) as f32;
        deltas.output.reshape(batch.x.nrows(), 2 * width);
        for (row, eps) in eps.rows().into_iter().enumerate() {
            let (mu, log_variance) = work.moments.row(row).split_at(width);
            let (d_mu, d_log_variance) = deltas.output.row_mut(row).split_at_mut(width);
            let d_z = &d_latent.row(row)[..width];
            for (index, eps) in eps.iter().enumerate() {
                let raw = log_variance[index];
                let sigma = (0.5 * bounded(raw)).exp();
                d_mu[index] = d_z[index] + beta * mu[index];
                let d = 0.5 * (d_z[index] * sigma * eps + beta * (sigma * sigma - 1.0));
                d_log_variance[index] = if raw.abs() > LOG_VARIANCE_BOUND as f32 { 0.0 } else { d };
            }
        }
        self.encoder.backward(&work.x, &work.encoder, deltas, gradient, add, None);
    }

    /// Weight of the squared error of one component of `x`.
    fn component_weight(&self) -> f64 {
        match self.reconstruction {
            Reconstruction::Sum => 1.0,
            Reconstruction::Mean => 1.0 / self.dimensions.x as f64,
        }
    }

    /// The loss; with a `gradient` that has a place for every parameter, that too.
    fn run(&self, batch: Batch<'_>, noise: &mut ChaCha8Rng, gradient: &mut [f32]) -> Loss {
        let (n, width) = (batch.x.nrows(), self.dimensions.z);
        let mut eps = self.eps.lock().unwrap_or_else(PoisonError::into_inner);
        eps.resize(n * width, 0.0);
        fill_standard_normal(&mut eps, noise);
        let eps = &eps[..];
        let with_gradient = !gradient.is_empty();
        let mut sums = [0.0; 2];
        self.gradients.accumulate(n, gradient, &mut sums, |tile, gradient, add, sums| {
            let eps = &eps[tile.start * width..tile.end * width];
            let Ok(eps) = ArrayView2::from_shape((tile.len(), width), eps) else {
                unreachable!("the rows of the tile");
            };
            let batch = batch.rows(tile);
            self.pool.with(|work| {
                self.forward(batch, eps, work, sums);
                if with_gradient {
                    self.backward(n, batch, eps, work, gradient, add);
                }
            });
        });
        let [reconstruction, kl] = sums.map(|sum| sum / n as f64);
        Loss { total: reconstruction + self.beta * kl, terms: vec![reconstruction, kl] }
    }
}

impl ConditionalModel for FusedCvae {
    fn dimensions(&self) -> Dimensions {
        self.dimensions
    }

    fn loss_terms(&self) -> &'static [&'static str] {
        LOSS_TERMS
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn set_parameters(&mut self, values: &[f32]) {
        let Self { encoder, decoder, parameters, .. } = self;
        rayon::join(
            || encoder.set_parameters(values),
            || {
                rayon::join(
                    || decoder.set_parameters(values),
                    || parameters.values.copy_from_slice(values),
                )
            },
        );
    }

    fn loss(&self, batch: Batch<'_>, noise: &mut ChaCha8Rng) -> Loss {
        self.run(batch, noise, &mut [])
    }

    fn loss_and_gradient(
        &self,
        batch: Batch<'_>,
        noise: &mut ChaCha8Rng,
        gradient: &mut [f32],
    ) -> Loss {
        self.run(batch, noise, gradient)
    }

    fn latent_moments(&self, batch: Batch<'_>) -> LatentMoments {
        let width = self.dimensions.z;
        let mut moments = Array2::zeros((batch.x.nrows(), 2 * width));
        blocks(moments.view_mut(), |block, moments| {
            self.pool.with(|work| {
                self.encode(batch.rows(block).x, work);
                work.moments.write(moments);
            });
        });
        LatentMoments {
            mean: moments.slice(s![.., ..width]).to_owned(),
            variance: moments.slice(s![.., width..]).mapv(|value| bounded(value).exp()),
        }
    }

    fn decode(&self, z: ArrayView2<'_, f32>, y: ArrayView2<'_, f32>) -> Array2<f32> {
        let mut x = Array2::zeros((z.nrows(), self.dimensions.x));
        blocks(x.view_mut(), |block, x| {
            let Batch { x: z, y } = Batch { x: z, y }.rows(block);
            self.pool.with(|work| {
                let Workspace { latent, decoder, reconstructed, .. } = work;
                latent.reshape(z.nrows(), self.decoder.inputs());
                latent.set_columns(0, z);
                latent.set_columns(self.dimensions.z, y);
                self.decoder.infer(latent, decoder, reconstructed);
                reconstructed.write(x);
            });
        });
        x
    }
}

/// `log sigma^2` within its bound; NaN stays NaN.
fn bounded(log_variance: f32) -> f32 {
    log_variance.clamp(-LOG_VARIANCE_BOUND as f32, LOG_VARIANCE_BOUND as f32)
}
