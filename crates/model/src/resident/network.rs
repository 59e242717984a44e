//! The training of a network on the device that it computes on.

use std::ops::Range;

use burn::tensor::{Device, Tensor};
use rand_chacha::ChaCha8Rng;

use super::flat::Flat;
use super::optimizer::Optimizer;
use super::training::{ResidentSetup, ResidentStep, ResidentTraining, ResidentVector, rows_of};
use crate::network::{ConditionalNetwork, LossTensors};
use crate::noise::Noise;
use crate::parameters::Parameters;
use crate::random::{Purpose, standard_normal, stream};
use crate::tensor::{from_indices, from_matrix, from_values, to_values};
use crate::{Batch, Loss};

/// Random numbers, at most, that are drawn ahead and lie on the device at once.
const DRAWN_AHEAD: usize = 1 << 24;

/// Losses that are put together in one tensor.
const TOGETHER: usize = 256;

/// A network with its rows and its optimiser on a device.
#[derive(Debug)]
pub(crate) struct Resident<N> {
    /// Its parameters are replaced in every step.
    network: N,
    optimizer: Optimizer,
    /// Columns of normal numbers that the loss of a row takes.
    noise_columns: usize,
    device: Device,
    seed: u64,
    batch_size: usize,
    /// `x` and `y`.
    rows: [Tensor<2>; 2],
    directions: Option<Tensor<2>>,
    validation: Vec<Chunk>,
    /// The order of the epoch's rows, and the number of its first step.
    order: Vec<i32>,
    first_step: u64,
    ahead: Option<Ahead>,
    losses: Losses,
}

/// Rows with the random numbers of their loss, some of which are drawn.
#[derive(Debug)]
struct Chunk {
    rows: [Tensor<2>; 2],
    normal: Option<Tensor<2>>,
    stream: ChaCha8Rng,
}

/// The rows of some batches in their order.
#[derive(Debug)]
struct Ahead {
    batches: Range<usize>,
    rows: [Tensor<2>; 2],
    normal: Option<Tensor<2>>,
    /// The streams of noise of the batches, past the numbers that are drawn.
    streams: Vec<ChaCha8Rng>,
}

impl<N: ConditionalNetwork> Resident<N> {
    /// Puts everything on the device of the network, which has no gradients there.
    pub(crate) fn new(
        network: N,
        parameters: &Parameters,
        device: &Device,
        setup: &ResidentSetup<'_>,
    ) -> Self {
        let flat = Flat::new(&parameters.layout, device);
        let noise_columns = network.noise_columns();
        let chunk = |index: usize| {
            let begin = index * setup.validation_chunk;
            let end = (begin + setup.validation_chunk).min(setup.validation.x.nrows());
            let rows = setup.validation.rows(begin..end);
            let mut stream = stream(setup.seed, Purpose::ValidationNoise, index as u64);
            let normal = (noise_columns > 0).then(|| {
                let normal = standard_normal(end - begin, noise_columns, &mut stream);
                from_matrix(normal.view(), device)
            });
            Chunk { rows: on(rows, device), normal, stream }
        };
        let chunks = setup.validation.x.nrows().div_ceil(setup.validation_chunk);
        Self {
            optimizer: Optimizer::new(flat, &parameters.layout, setup),
            noise_columns,
            seed: setup.seed,
            batch_size: setup.batch_size,
            rows: on(setup.training, device),
            directions: setup.directions.map(|rows| from_matrix(rows.view(), device)),
            validation: (0..chunks).map(chunk).collect(),
            order: Vec::new(),
            first_step: 0,
            ahead: None,
            losses: Losses::new(1 + N::LOSS_TERMS.len()),
            device: device.clone(),
            network,
        }
    }

    /// Gathers the rows of batch `batch`, and of as many after it as there is room for, and draws their random numbers.
    fn look_ahead(&mut self, batch: usize) {
        let directions = self.directions.as_ref().map_or(0, |rows| rows.dims()[0]);
        let numbers = self.batch_size * (self.noise_columns + directions);
        let room = (DRAWN_AHEAD / numbers.max(1)).max(1);
        let last = self.order.len().div_ceil(self.batch_size);
        let batches = batch..last.min(batch + room);
        let rows = rows_of(batches.clone(), self.batch_size, self.order.len());
        let index = from_indices(self.order[rows.clone()].to_vec(), &self.device);
        let [mut x, y] = self.rows.clone().map(|rows| rows.select(0, index.clone()));
        let drawn = |columns: usize, purpose: Purpose| {
            let (mut values, mut streams) = (Vec::with_capacity(rows.len() * columns), Vec::new());
            for batch in batches.clone() {
                let step = self.first_step + batch as u64;
                let rows = rows_of(batch..batch + 1, self.batch_size, self.order.len()).len();
                let mut stream = stream(self.seed, purpose, step);
                values.extend(standard_normal(rows, columns, &mut stream));
                streams.push(stream);
            }
            let shape = [rows.len(), columns];
            ((columns > 0).then(|| from_values(values, shape, &self.device)), streams)
        };
        if let Some(directions) = &self.directions
            && let (Some(normal), _) = drawn(directions.dims()[0], Purpose::Degenerate)
        {
            x = x + normal.matmul(directions.clone());
        }
        let (normal, streams) = drawn(self.noise_columns, Purpose::TrainingNoise);
        self.ahead = Some(Ahead { batches, rows: [x, y], normal, streams });
    }

    /// The network with these parameters.
    fn with(&self, parameters: Vec<Tensor<1>>, gradients: bool) -> N {
        Parameters::assign_parts(self.network.clone(), parameters, gradients)
    }
}

fn on(rows: Batch<'_>, device: &Device) -> [Tensor<2>; 2] {
    [rows.x, rows.y].map(|matrix| from_matrix(matrix, device))
}

impl<N: ConditionalNetwork> ResidentTraining for Resident<N> {
    fn set_rows(&mut self, training: Batch<'_>) {
        self.rows = on(training, &self.device);
    }

    fn begin_epoch(&mut self, order: &[u32], first_step: u64) {
        self.order = order.iter().map(|row| *row as i32).collect();
        self.first_step = first_step;
        self.ahead = None;
    }

    fn step(&mut self, step: &ResidentStep) {
        if !self.ahead.as_ref().is_some_and(|ahead| ahead.batches.contains(&step.batch)) {
            self.look_ahead(step.batch);
        }
        let Some(ahead) = &mut self.ahead else { return };
        let rows = rows_of(step.batch..step.batch + 1, self.batch_size, self.order.len());
        let begin = rows.start - ahead.batches.start * self.batch_size;
        let part = |tensor: &Tensor<2>| tensor.clone().narrow(0, begin, rows.len());
        let [x, y] = ahead.rows.each_ref().map(|tensor| part(tensor).autodiff());
        let normal = ahead.normal.as_ref().map(part);
        let stream = &mut ahead.streams[step.batch - ahead.batches.start];
        let mut noise = Noise::with(normal, stream);
        self.network.set_progress(step.epochs);
        let parameters = self.optimizer.parameters();
        let network = Parameters::assign_parts(self.network.clone(), parameters, true);
        let loss = network.training_loss(x, y, &mut noise);
        let gradient = Parameters::gradient_parts(&network, loss.total.backward());
        drop(network);
        self.losses.keep(loss);
        self.optimizer.step(gradient, step);
    }

    fn wait(&self) {
        if let Err(error) = self.device.sync() {
            panic!("the device did not do its steps: {error}");
        }
    }

    fn losses(&mut self) -> Vec<Loss> {
        self.losses.read()
    }

    fn validation_losses(&mut self) -> Vec<(Loss, usize)> {
        let network = self.with(self.optimizer.validated(), false);
        let mut losses = Losses::new(1 + N::LOSS_TERMS.len());
        for Chunk { rows: [x, y], normal, stream } in &self.validation {
            let mut stream = stream.clone();
            let mut noise = Noise::with(normal.clone(), &mut stream);
            losses.keep(network.loss(x.clone(), y.clone(), &mut noise));
        }
        let rows = self.validation.iter().map(|chunk| chunk.rows[0].dims()[0]);
        losses.read().into_iter().zip(rows).collect()
    }

    fn read(&self, vector: ResidentVector) -> Vec<f32> {
        self.optimizer.read(vector)
    }
}

/// Losses that are still on the device.
#[derive(Debug)]
struct Losses {
    /// How many numbers make one.
    width: usize,
    together: Vec<Tensor<1>>,
    last: Vec<Tensor<1>>,
}

impl Losses {
    fn new(width: usize) -> Self {
        Self { width, together: Vec::new(), last: Vec::new() }
    }

    fn keep(&mut self, loss: LossTensors) {
        self.last.push(loss.total.inner());
        self.last.extend(loss.terms.into_iter().map(Tensor::inner));
        if self.last.len() >= TOGETHER {
            self.together.push(Tensor::cat(std::mem::take(&mut self.last), 0));
        }
    }

    /// Reads all at once and keeps none.
    fn read(&mut self) -> Vec<Loss> {
        let mut all = std::mem::take(&mut self.together);
        all.append(&mut self.last);
        if all.is_empty() {
            return Vec::new();
        }
        let values = to_values(Tensor::cat(all, 0));
        let mut numbers = values.chunks_exact(self.width).map(|numbers| {
            let mut numbers = numbers.iter().copied().map(f64::from);
            Loss { total: numbers.next().unwrap_or(f64::NAN), terms: numbers.collect() }
        });
        numbers.by_ref().collect()
    }
}
