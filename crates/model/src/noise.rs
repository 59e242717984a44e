//! The random numbers of a loss: drawn on the host from a stream, when they are asked for or ahead of time.

use burn::tensor::{Device, Tensor};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use crate::random::standard_normal;
use crate::tensor::from_matrix;

/// Where the random numbers of a loss come from. They are the same, whether they were drawn ahead or not.
#[derive(Debug)]
pub struct Noise<'a> {
    stream: &'a mut ChaCha8Rng,
    /// The first normal numbers of the stream, on the device.
    ahead: Option<Tensor<2>>,
}

impl<'a> Noise<'a> {
    /// From a stream.
    pub fn new(stream: &'a mut ChaCha8Rng) -> Self {
        Self { stream, ahead: None }
    }

    /// From a stream of which `ahead` was drawn.
    pub(crate) fn with(ahead: Option<Tensor<2>>, stream: &'a mut ChaCha8Rng) -> Self {
        Self { stream, ahead }
    }

    /// Independent standard normal numbers on `device`, `columns` for each of the `rows`. A network that says by
    /// [`noise_columns`](crate::ConditionalNetwork::noise_columns) how many it will ask for, once a loss and before all
    /// else, finds them there.
    pub fn standard_normal(&mut self, rows: usize, columns: usize, device: &Device) -> Tensor<2> {
        match self.ahead.take().filter(|ahead| ahead.dims() == [rows, columns]) {
            Some(ahead) if device.is_autodiff() => ahead.autodiff(),
            Some(ahead) => ahead,
            None => from_matrix(standard_normal(rows, columns, self.stream).view(), device),
        }
    }

    /// A random key, as that of a dropout.
    pub fn key(&mut self) -> u64 {
        self.stream.next_u64()
    }
}
