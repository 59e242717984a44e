//! The mathematics of a conditional model in tensors, for every device.

use burn::tensor::Tensor;

use crate::noise::Noise;
use crate::tensor::to_values;
use crate::{Dimensions, HasParameters, Loss};

/// The mathematics of a conditional model in tensors. All matrices have one row per event.
pub trait ConditionalNetwork: HasParameters + Clone + 'static {
    /// Names of the terms that [`Self::loss`] gives.
    const LOSS_TERMS: &'static [&'static str];

    /// Widths of `x`, `y` and `z`.
    fn dimensions(&self) -> Dimensions;

    /// How many standard normal numbers a loss asks for of each row, before all else; they are then drawn ahead, and lie on
    /// the device when a step begins.
    fn noise_columns(&self) -> usize {
        0
    }

    /// The loss averaged over the rows, each of its tensors of shape `[1]`: that of
    /// [`ConditionalModel::loss`](crate::ConditionalModel::loss).
    fn loss(&self, x: Tensor<2>, y: Tensor<2>, noise: &mut Noise<'_>) -> LossTensors;

    /// What training minimises, where it differs from [`Self::loss`]: at some stage of a training, or
    /// with dropout.
    fn training_loss(&self, x: Tensor<2>, y: Tensor<2>, noise: &mut Noise<'_>) -> LossTensors {
        self.loss(x, y, noise)
    }

    /// Told how many epochs are done: [`ConditionalModel::set_progress`](crate::ConditionalModel::set_progress).
    fn set_progress(&mut self, _epochs: f64) {}

    /// The network with those parameters set that follow from data, given the first rows it will
    /// be trained on.
    fn initialise(self, _x: Tensor<2>, _y: Tensor<2>) -> Self {
        self
    }

    /// Mean and variance of the latent of every row.
    fn latent_moments(&self, x: Tensor<2>, y: Tensor<2>) -> [Tensor<2>; 2];

    /// The `x` that belongs to `z` and `y`.
    fn decode(&self, z: Tensor<2>, y: Tensor<2>) -> Tensor<2>;

    /// Declared standard deviation of every column of `x` about [`Self::decode`] (shape `[d]`).
    fn decoder_sd(&self) -> Option<Tensor<1>> {
        None
    }

    /// Mean and variance of `p(z | y)` of every row, where the model has such a prior.
    fn latent_prior(&self, _y: Tensor<2>) -> Option<[Tensor<2>; 2]> {
        None
    }

    /// Exact `log p(x | y)` of every row (shape `[n]`), where the model has one.
    fn log_prob(&self, _x: Tensor<2>, _y: Tensor<2>) -> Option<Tensor<1>> {
        None
    }
}

/// A loss and its terms, still on the device.
#[derive(Debug, Clone)]
pub struct LossTensors {
    /// What is minimised.
    pub total: Tensor<1>,
    /// Its parts, in the order of [`ConditionalNetwork::LOSS_TERMS`].
    pub terms: Vec<Tensor<1>>,
}

impl LossTensors {
    pub(crate) fn read(self) -> Loss {
        let number = |tensor: Tensor<1>| f64::from(to_values(tensor)[0]);
        Loss { total: number(self.total), terms: self.terms.into_iter().map(number).collect() }
    }
}
