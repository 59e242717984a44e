//! The CVAE on the processor, composed of fused kernels; the same mathematics as
//! [`Cvae`](crate::Cvae), which stays the reference.
//!
//! ```text
//! encoder    mu, log sigma^2 = NN(x),              or NN([x, y])
//! prior      m = 0, t = 1,                         or m, log t^2 = NN(y)
//! latent     z = mu + sigma * eps
//! decoder    x^ = NN([z, y])
//! backward   dx^_i = 2 w_i (x^_i - x_i) / n,       w_i: 1; 1 / d for the mean over components;
//!                                                  1 / (2 s_i^2) where log s is learned
//!            dlog s_i = (1 - (x^_i - x_i)^2 / s_i^2) / n
//!            dmu = dz + beta (mu - m) / (n t^2)
//!            dlog sigma^2 = dz sigma eps / 2 + beta (sigma^2 / t^2 - 1) / (2 n)
//!            dm = -beta (mu - m) / (n t^2)
//!            dlog t^2 = beta (1 - (sigma^2 + (mu - m)^2) / t^2) / (2 n)
//! ```
//! `beta` is 0 for a latent dimension whose mean KL divergence over the batch is within the free bits.

mod workspace;

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use cei_kernels::{AdamStep, Gradient, Level, Matrix, Mlp, Pool, Team, blocks, sum_over_tiles};
use cei_model::random::fill_standard_normal;
use cei_model::{Batch, ConditionalModel, Dimensions, LatentMoments, Loss, Parameters};
use ndarray::{Array2, ArrayView2, s};
use rand_chacha::ChaCha8Rng;

use crate::config::{CvaeConfig, EncoderInput, LatentPrior, Reconstruction};
use crate::network::{LOG_SD_BOUND, LOG_SQRT_TWO_PI, LOG_VARIANCE_BOUND, LOSS_TERMS};
use workspace::{Gaussians, Workspace, bounded, exponentials};

/// A CVAE that computes with kernels.
#[derive(Debug)]
pub(crate) struct FusedCvae {
    parameters: Parameters,
    dimensions: Dimensions,
    config: CvaeConfig,
    /// `x`, or `[x, y]`, to `mu` and `log sigma^2` side by side.
    encoder: Mlp,
    /// `[z, y]` to `x^`.
    decoder: Mlp,
    /// `y` to `m` and `log t^2` side by side.
    prior: Option<Mlp>,
    /// Where the `log s` of the decoder stand in the parameters.
    log_sd: Range<usize>,
    /// Weight of the squared error of each component of `x`.
    component_weights: Vec<f32>,
    /// What the negative log-likelihood of a row has beside its squared errors.
    log_normalisation: f64,
    /// Weight of the KL divergence at this stage of the training.
    beta: f64,
    pool: Pool<Workspace>,
    buffers: Mutex<Buffers>,
}

/// Numbers of a batch, kept from step to step.
#[derive(Debug, Default)]
struct Buffers {
    eps: Vec<f32>,
    /// Weight of the KL divergence of each latent dimension in the gradient.
    kl_weights: Vec<f32>,
    /// Mean KL divergence of each latent dimension.
    kl: Vec<f64>,
}

/// What is asked of a batch.
enum Wanted<'a> {
    /// The loss that runs are compared by.
    Loss(&'a Team),
    /// That which training minimises, and its gradient.
    Gradient(&'a mut Gradient),
}

impl FusedCvae {
    /// The CVAE with the `parameters` of a [`Cvae`](crate::Cvae) of this configuration.
    pub(crate) fn new(config: &CvaeConfig, dimensions: Dimensions, parameters: Parameters) -> Self {
        let level = Level::best();
        let Dimensions { x, y, z } = dimensions;
        let activation = cei_kernels::Activation::from(config.activation);
        let widths = [&[config.encoder_columns(x, y)], &config.encoder_hidden[..], &[z]].concat();
        // The heads are the mean and the log variance, whose parameters follow those of the encoder.
        let place = parameters.place("encoder");
        let encoder = Mlp::with_heads(level, &widths, 2, activation, place.start);
        let widths = [&[z + y], &config.decoder_hidden[..], &[x]].concat();
        let decoder = Mlp::new(level, &widths, activation, parameters.place("decoder").start);
        let prior = (config.prior == LatentPrior::Conditional).then(|| {
            let widths = [&[y], &config.prior_hidden[..], &[2 * z]].concat();
            Mlp::new(level, &widths, activation, parameters.place("prior").start)
        });
        let log_sd = parameters.place("log_sd");
        let networks = [Some(&encoder), Some(&decoder), prior.as_ref()];
        let count: usize = networks.into_iter().flatten().map(Mlp::parameters).sum();
        let all = parameters.values.len();
        assert_eq!(count + log_sd.len(), all, "the parameters of the composed CVAE");
        let mut cvae = Self {
            dimensions,
            encoder,
            decoder,
            prior,
            log_sd,
            component_weights: vec![1.0; x],
            log_normalisation: 0.0,
            beta: config.beta,
            config: config.clone(),
            pool: Pool::default(),
            buffers: Mutex::default(),
            parameters,
        };
        let values = cvae.parameters.values.clone();
        cvae.set_parameters(&values);
        cvae
    }

    /// The unbounded `log s` of the decoder: none, one, or one for each column.
    fn log_sd(&self) -> &[f32] {
        &self.parameters.values[self.log_sd.clone()]
    }

    /// The bounded `log s` of each column, where they are learned.
    fn log_sds(&self) -> Option<impl Iterator<Item = f32>> {
        let log_sd = self.log_sd();
        let bound = LOG_SD_BOUND as f32;
        let columns =
            if log_sd.is_empty() { None } else { Some(self.dimensions.x / log_sd.len()) }?;
        Some(
            log_sd
                .iter()
                .flat_map(move |log_sd| std::iter::repeat_n(log_sd.clamp(-bound, bound), columns)),
        )
    }

    /// Weights of the squared errors, and the normalisation of the log-likelihood.
    fn weigh_components(&mut self) {
        let mut weights = std::mem::take(&mut self.component_weights);
        let mut normalisation = 0.0;
        match (self.log_sds(), self.config.reconstruction) {
            (Some(log_sds), _) => {
                for (weight, log_sd) in weights.iter_mut().zip(log_sds) {
                    *weight = 0.5 * (-2.0 * log_sd).exp();
                    normalisation += f64::from(log_sd) + LOG_SQRT_TWO_PI;
                }
            }
            (None, Reconstruction::Sum) => weights.fill(1.0),
            (None, Reconstruction::Mean) => weights.fill((1.0 / self.dimensions.x as f64) as f32),
        }
        (self.component_weights, self.log_normalisation) = (weights, normalisation);
    }

    /// `mu`, the unbounded `log sigma^2` and `sigma` of the rows, in `work`.
    fn encode(&self, batch: Batch<'_>, work: &mut Workspace) {
        work.x.reshape(batch.x.nrows(), self.encoder.inputs());
        work.x.set_columns(0, batch.x);
        if self.config.encoder_input == EncoderInput::XAndY {
            work.x.set_columns(self.dimensions.x, batch.y);
        }
        self.encoder.forward(&work.x, &mut work.encoder, &mut work.moments);
        exponentials(0.5, &work.moments, &mut work.sigma);
    }

    /// `m`, the unbounded `log t^2` and `1 / t^2` of the rows, in `work`, where there is a prior `p(z | y)`.
    fn condition(&self, y: ArrayView2<'_, f32>, work: &mut Workspace) {
        if let Some(prior) = &self.prior {
            work.y.reshape(y.nrows(), self.dimensions.y);
            work.y.set_columns(0, y);
            prior.forward(&work.y, &mut work.prior, &mut work.prior_moments);
            exponentials(-1.0, &work.prior_moments, &mut work.precision);
        }
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
        self.encode(batch, work);
        self.condition(batch.y, work);
        let width = self.dimensions.z;
        work.latent.reshape(batch.x.nrows(), width + self.dimensions.y);
        work.latent.set_columns(width, batch.y);
        let conditional = self.prior.is_some();
        let mut latent = std::mem::take(&mut work.latent);
        for (row, eps) in eps.rows().into_iter().enumerate() {
            let mut kl = 0.0;
            let z = latent.row_mut(row).iter_mut().zip(eps);
            for ((z, eps), gaussians) in z.zip(work.gaussians(row, conditional)) {
                *z = gaussians.mu + gaussians.sigma * eps;
                kl += gaussians.kl_divergence();
            }
            sums[1] += f64::from(kl);
        }
        work.latent = latent;
        let Workspace { latent, decoder, reconstructed, .. } = work;
        self.decoder.forward(latent, decoder, reconstructed);
        for (row, x) in batch.x.rows().into_iter().enumerate() {
            let x_hat = reconstructed.row(row).iter();
            let errors = x_hat.zip(x).zip(&self.component_weights);
            sums[0] += self.log_normalisation
                + errors
                    .map(|((x_hat, x), w)| f64::from((x_hat - x).powi(2)) * f64::from(*w))
                    .sum::<f64>();
        }
    }

    /// From what [`Self::forward`] left in `work` to the gradient of the loss over `n` rows, in which
    /// the KL divergence of each latent dimension has its weight in `kl_weights`.
    fn backward(
        &self,
        n: usize,
        batch: Batch<'_>,
        eps: ArrayView2<'_, f32>,
        kl_weights: &[f32],
        work: &mut Workspace,
        (gradient, add): (&mut [f32], bool),
    ) {
        self.backward_decoder(n, batch, work, (&mut *gradient, add));
        let width = self.dimensions.z;
        let rows = batch.x.nrows();
        let bound = LOG_VARIANCE_BOUND as f32;
        let conditional = self.prior.is_some();
        let mut deltas = std::mem::take(&mut work.deltas);
        let mut d_prior = std::mem::take(&mut work.d_prior);
        deltas.output.reshape(rows, 2 * width);
        if conditional {
            d_prior.output.reshape(rows, 2 * width);
        }
        for (row, eps) in eps.rows().into_iter().enumerate() {
            let (d_mu, d_log_variance) = deltas.output.row_mut(row).split_at_mut(width);
            let d_z = &work.d_latent.row(row)[..width];
            let raw = &work.moments.row(row)[width..];
            let gaussians = work.gaussians(row, conditional);
            let known = gaussians.zip(eps).zip(kl_weights).zip(d_z).zip(raw);
            let wanted = d_mu.iter_mut().zip(d_log_variance);
            for (((((gaussians, eps), weight), d_z), raw), (d_mu, d_log_variance)) in
                known.zip(wanted)
            {
                let Gaussians { mu, sigma, m, precision, .. } = gaussians;
                *d_mu = d_z + weight * (mu - m) * precision;
                let d = 0.5 * (d_z * sigma * eps + weight * (sigma * sigma * precision - 1.0));
                *d_log_variance = if raw.abs() > bound { 0.0 } else { d };
            }
            if conditional {
                let (d_m, d_log_variance) = d_prior.output.row_mut(row).split_at_mut(width);
                let raw = &work.prior_moments.row(row)[width..];
                let known = work.gaussians(row, conditional).zip(kl_weights).zip(raw);
                for (((gaussians, weight), raw), (d_m, d_log_variance)) in
                    known.zip(d_m.iter_mut().zip(d_log_variance))
                {
                    let Gaussians { mu, m, precision, .. } = gaussians;
                    *d_m = -weight * (mu - m) * precision;
                    let d = 0.5 * weight * (1.0 - gaussians.spread());
                    *d_log_variance = if raw.abs() > bound { 0.0 } else { d };
                }
            }
        }
        self.encoder.backward(&work.x, &work.encoder, &mut deltas, gradient, add, None);
        if let Some(prior) = &self.prior {
            prior.backward(&work.y, &work.prior, &mut d_prior, gradient, add, None);
        }
        (work.deltas, work.d_prior) = (deltas, d_prior);
    }

    /// The part of the gradient from the loss to the latent: decoder and its `log s`.
    fn backward_decoder(
        &self,
        n: usize,
        batch: Batch<'_>,
        work: &mut Workspace,
        (gradient, add): (&mut [f32], bool),
    ) {
        let Workspace { deltas, d_latent, reconstructed, .. } = work;
        deltas.output.reshape(batch.x.nrows(), self.dimensions.x);
        let factor = (2.0 / n as f64) as f32;
        for (row, x) in batch.x.rows().into_iter().enumerate() {
            let d_x_hat = deltas.output.row_mut(row).iter_mut();
            for (((d, x_hat), x), weight) in
                d_x_hat.zip(reconstructed.row(row)).zip(x).zip(&self.component_weights)
            {
                *d = factor * weight * (x_hat - x);
            }
        }
        self.log_sd_gradient(n, batch, reconstructed, (&mut *gradient, add));
        self.decoder.backward(&work.latent, &work.decoder, deltas, gradient, add, Some(d_latent));
    }

    /// The gradient with respect to the `log s` of the decoder.
    fn log_sd_gradient(
        &self,
        n: usize,
        batch: Batch<'_>,
        reconstructed: &Matrix,
        (gradient, add): (&mut [f32], bool),
    ) {
        let log_sd = self.log_sd();
        if log_sd.is_empty() {
            return;
        }
        let gradient = &mut gradient[self.log_sd.clone()];
        if !add {
            gradient.fill(0.0);
        }
        for (column, weight) in self.component_weights.iter().enumerate() {
            let index = if log_sd.len() == 1 { 0 } else { column };
            if log_sd[index].abs() > LOG_SD_BOUND as f32 {
                continue;
            }
            let errors = batch.x.column(column).into_iter().enumerate().map(|(row, x)| {
                let error = reconstructed.row(row)[column] - x;
                f64::from(1.0 - 2.0 * weight * error * error)
            });
            gradient[index] += (errors.sum::<f64>() / n as f64) as f32;
        }
    }

    /// Mean KL divergence of each latent dimension over the batch.
    fn mean_divergences(&self, team: &Team, batch: Batch<'_>, kl: &mut [f64]) {
        let n = batch.x.nrows();
        sum_over_tiles(team, n, kl, |tile, sums| {
            let batch = batch.rows(tile);
            self.pool.with(|work| {
                self.encode(batch, work);
                self.condition(batch.y, work);
                for row in 0..batch.x.nrows() {
                    let gaussians = work.gaussians(row, self.prior.is_some());
                    for (sum, gaussians) in sums.iter_mut().zip(gaussians) {
                        *sum += f64::from(gaussians.kl_divergence());
                    }
                }
            });
        });
        for kl in kl {
            *kl /= n as f64;
        }
    }

    /// The loss that training minimises, with its gradient, or that which runs are compared by.
    fn run(&self, batch: Batch<'_>, noise: &mut ChaCha8Rng, wanted: Wanted<'_>) -> Loss {
        let (n, width) = (batch.x.nrows(), self.dimensions.z);
        let beta = match wanted {
            Wanted::Loss(_) => self.config.beta,
            Wanted::Gradient(_) => self.beta,
        };
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        let Buffers { eps, kl_weights, kl } = &mut *buffers;
        eps.resize(n * width, 0.0);
        fill_standard_normal(eps, noise);
        kl_weights.clear();
        kl_weights.resize(width, (beta / n as f64) as f32);
        let mut free = 0.0;
        if let Wanted::Gradient(gradient) = &wanted
            && self.config.free_bits > 0.0
        {
            kl.resize(width, 0.0);
            self.mean_divergences(gradient.team(), batch, kl);
            for (weight, kl) in kl_weights.iter_mut().zip(&*kl) {
                if *kl < self.config.free_bits {
                    *weight = 0.0;
                    free += self.config.free_bits - kl;
                }
            }
        }
        let (eps, kl_weights) = (&eps[..], &kl_weights[..]);
        let mut sums = [0.0; 2];
        let eps_of = |tile: &Range<usize>| {
            let eps = &eps[tile.start * width..tile.end * width];
            match ArrayView2::from_shape((tile.len(), width), eps) {
                Ok(eps) => eps,
                Err(_) => unreachable!("the rows of the tile"),
            }
        };
        match wanted {
            Wanted::Gradient(gradient) => {
                let parameters = self.parameters.values.len();
                gradient.accumulate(n, parameters, &mut sums, |tile, gradient, add, sums| {
                    let (eps, batch) = (eps_of(&tile), batch.rows(tile));
                    self.pool.with(|work| {
                        self.forward(batch, eps, work, sums);
                        self.backward(n, batch, eps, kl_weights, work, (gradient, add));
                    });
                });
            }
            Wanted::Loss(team) => sum_over_tiles(team, n, &mut sums, |tile, sums| {
                let (eps, batch) = (eps_of(&tile), batch.rows(tile));
                self.pool.with(|work| self.forward(batch, eps, work, sums));
            }),
        }
        let [reconstruction, kl] = sums.map(|sum| sum / n as f64);
        Loss { total: reconstruction + beta * (kl + free), terms: vec![reconstruction, kl] }
    }

    /// A perceptron's `mean` and unbounded `log variance` side by side, as moments.
    fn moments(
        &self,
        rows: usize,
        run: impl Fn(Range<usize>, &mut Workspace) + Sync,
        result: impl Fn(&Workspace) -> &Matrix + Sync,
    ) -> LatentMoments {
        let width = self.dimensions.z;
        let mut moments = Array2::zeros((rows, 2 * width));
        blocks(moments.view_mut(), |block, moments| {
            self.pool.with(|work| {
                run(block, work);
                result(work).write(moments);
            });
        });
        LatentMoments {
            mean: moments.slice(s![.., ..width]).to_owned(),
            variance: moments.slice(s![.., width..]).mapv(|value| bounded(value).exp()),
        }
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
        let Self { encoder, decoder, prior, parameters, .. } = self;
        rayon::join(
            || encoder.set_parameters(values),
            || {
                rayon::join(
                    || decoder.set_parameters(values),
                    || {
                        parameters.values.copy_from_slice(values);
                        if let Some(prior) = prior {
                            prior.set_parameters(values);
                        }
                    },
                )
            },
        );
        self.weigh_components();
    }

    fn update_parameters(&mut self, mut step: AdamStep<'_>) {
        let Self { encoder, decoder, prior, parameters, .. } = self;
        let (of_encoder, rest) = parameters.values.split_at_mut(encoder.parameters());
        let (of_decoder, rest) = rest.split_at_mut(decoder.parameters());
        let first = step.split_off(of_encoder.len());
        let second = step.split_off(of_decoder.len());
        rayon::join(
            || encoder.update(of_encoder, first),
            || {
                rayon::join(
                    || decoder.update(of_decoder, second),
                    || {
                        let length = prior.as_ref().map_or(0, Mlp::parameters);
                        let (of_prior, of_sds) = rest.split_at_mut(length);
                        if let Some(prior) = prior {
                            prior.update(of_prior, step.split_off(length));
                        }
                        step.apply(Level::best(), of_sds);
                    },
                )
            },
        );
        self.weigh_components();
    }

    fn set_progress(&mut self, epochs: f64) {
        self.beta = self.config.beta_at(epochs);
    }

    fn loss(&self, batch: Batch<'_>, noise: &mut ChaCha8Rng) -> Loss {
        self.loss_in_team(batch, noise, &Team::default())
    }

    fn loss_in_team(&self, batch: Batch<'_>, noise: &mut ChaCha8Rng, team: &Team) -> Loss {
        self.run(batch, noise, Wanted::Loss(team))
    }

    fn loss_and_gradient(
        &self,
        batch: Batch<'_>,
        noise: &mut ChaCha8Rng,
        gradient: &mut Gradient,
    ) -> Loss {
        self.run(batch, noise, Wanted::Gradient(gradient))
    }

    fn latent_moments(&self, batch: Batch<'_>) -> LatentMoments {
        let encode = |block, work: &mut Workspace| self.encode(batch.rows(block), work);
        self.moments(batch.x.nrows(), encode, |work| &work.moments)
    }

    fn latent_prior(&self, y: ArrayView2<'_, f32>) -> Option<LatentMoments> {
        self.prior.as_ref()?;
        let condition = |block: Range<usize>, work: &mut Workspace| {
            self.condition(y.slice(s![block, ..]), work);
        };
        Some(self.moments(y.nrows(), condition, |work| &work.prior_moments))
    }

    fn decoder_sd(&self) -> Option<Vec<f32>> {
        Some(self.log_sds()?.map(f32::exp).collect())
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
