//! From a network written in tensors to a [`ConditionalModel`]: the composed path, through Burn's
//! operators and its autodiff, that serves every device.

use std::sync::{Mutex, PoisonError};

use burn::tensor::{Device, Tensor};
use cei_kernels::Gradient;
use ndarray::{Array2, ArrayView2, Axis};
use rand_chacha::ChaCha8Rng;

use crate::network::ConditionalNetwork;
use crate::noise::Noise;
use crate::resident::{Resident, ResidentSetup, ResidentTraining, fits};
use crate::tensor::{from_matrix, to_matrix, to_values};
use crate::{Batch, ConditionalModel, Dimensions, LatentMoments, Loss, Parameters};

/// Rows that go through a network at once where no gradient is asked for; bounds the memory of its layers.
const CHUNK: usize = 8192;

/// Rows whose numbers go to the device at once, and whose results come back at once: the chunks between wait for nothing.
const TOGETHER: usize = 16 * CHUNK;

/// A network and the device it computes on.
#[derive(Debug)]
pub struct OnDevice<N> {
    /// Burn's parameters are no `Sync`, so each use takes a copy, which shares the tensors.
    network: Mutex<N>,
    parameters: Parameters,
    device: Device,
}

impl<N: ConditionalNetwork> OnDevice<N> {
    /// Puts a network, built on `device`, behind the contract.
    pub fn new(network: N, device: Device) -> Self {
        Self { parameters: Parameters::of(&network), network: Mutex::new(network), device }
    }

    fn network(&self) -> N {
        self.network.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tensors(&self, batch: Batch<'_>, device: &Device) -> (Tensor<2>, Tensor<2>) {
        (from_matrix(batch.x, device), from_matrix(batch.y, device))
    }

    /// What `of` makes of the rows of two tables (`n` x columns), with so many `columns`; none where it makes nothing.
    fn of_rows(
        &self,
        [a, b]: [ArrayView2<'_, f32>; 2],
        columns: usize,
        of: impl Fn(&N, Tensor<2>, Tensor<2>) -> Option<Tensor<2>>,
    ) -> Option<Array2<f32>> {
        let network = self.network();
        let mut all = Array2::zeros((a.nrows(), columns));
        for ((a, b), mut all) in a
            .axis_chunks_iter(Axis(0), TOGETHER)
            .zip(b.axis_chunks_iter(Axis(0), TOGETHER))
            .zip(all.axis_chunks_iter_mut(Axis(0), TOGETHER))
        {
            let count = all.nrows();
            let rows = [a, b].map(|table| from_matrix(table, &self.device));
            let chunks = (0..count).step_by(CHUNK).map(|begin| {
                let length = CHUNK.min(count - begin);
                let [a, b] = rows.each_ref().map(|table| table.clone().narrow(0, begin, length));
                of(&network, a, b)
            });
            all.assign(&to_matrix(Tensor::cat(chunks.collect::<Option<_>>()?, 0)));
        }
        Some(all)
    }
}

impl<N: ConditionalNetwork> ConditionalModel for OnDevice<N> {
    fn dimensions(&self) -> Dimensions {
        self.network().dimensions()
    }

    fn loss_terms(&self) -> &'static [&'static str] {
        N::LOSS_TERMS
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn set_parameters(&mut self, values: &[f32]) {
        self.parameters.values.copy_from_slice(values);
        let network = Parameters::assign(self.network(), values, &self.device);
        self.network = Mutex::new(network);
    }

    fn set_progress(&mut self, epochs: f64) {
        let network = self.network.get_mut().unwrap_or_else(PoisonError::into_inner);
        network.set_progress(epochs);
    }

    fn initialise(&mut self, batch: Batch<'_>) {
        let (x, y) = self.tensors(batch, &self.device);
        let network = self.network().initialise(x, y);
        self.parameters = Parameters::of(&network);
        self.network = Mutex::new(network);
    }

    fn loss(&self, batch: Batch<'_>, noise: &mut ChaCha8Rng) -> Loss {
        let (x, y) = self.tensors(batch, &self.device);
        self.network().loss(x, y, &mut Noise::new(noise)).read()
    }

    fn loss_and_gradient(
        &self,
        batch: Batch<'_>,
        noise: &mut ChaCha8Rng,
        gradient: &mut Gradient,
    ) -> Loss {
        let device = self.device.clone().autodiff();
        let network = Parameters::assign(self.network(), &self.parameters.values, &device);
        let (x, y) = self.tensors(batch, &device);
        let loss = network.training_loss(x, y, &mut Noise::new(noise));
        let gradient = gradient.whole(self.parameters.values.len());
        Parameters::gather(&network, loss.total.backward(), gradient);
        loss.read()
    }

    fn resident(&self, setup: &ResidentSetup<'_>) -> Option<Box<dyn ResidentTraining>> {
        let tables = [setup.training, setup.validation].map(|rows| [rows.x, rows.y]);
        tables.into_iter().flatten().all(fits).then(|| {
            let resident = Resident::new(self.network(), &self.parameters, &self.device, setup);
            Box::new(resident) as Box<dyn ResidentTraining>
        })
    }

    fn latent_moments(&self, batch: Batch<'_>) -> LatentMoments {
        let width = self.dimensions().z;
        let moments = self.of_rows([batch.x, batch.y], 2 * width, |network, x, y| {
            Some(Tensor::cat(network.latent_moments(x, y).into(), 1))
        });
        let moments = moments.unwrap_or_else(|| unreachable!("every row has moments"));
        let (mean, variance) = moments.view().split_at(Axis(1), width);
        LatentMoments { mean: mean.to_owned(), variance: variance.to_owned() }
    }

    fn decode(&self, z: ArrayView2<'_, f32>, y: ArrayView2<'_, f32>) -> Array2<f32> {
        let x =
            self.of_rows([z, y], self.dimensions().x, |network, z, y| Some(network.decode(z, y)));
        x.unwrap_or_else(|| unreachable!("every latent has a decoded row"))
    }

    fn decoder_sd(&self) -> Option<Vec<f32>> {
        self.network().decoder_sd().map(to_values)
    }

    fn latent_prior(&self, y: ArrayView2<'_, f32>) -> Option<LatentMoments> {
        let [mean, variance] =
            self.network().latent_prior(from_matrix(y, &self.device))?.map(to_matrix);
        Some(LatentMoments { mean, variance })
    }

    fn log_prob(&self, batch: Batch<'_>) -> Option<Vec<f64>> {
        let all = self.of_rows([batch.x, batch.y], 1, |network, x, y| {
            Some(network.log_prob(x, y)?.unsqueeze_dim(1))
        })?;
        Some(all.into_iter().map(f64::from).collect())
    }
}
