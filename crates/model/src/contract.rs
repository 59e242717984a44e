//! The contract of a conditional model `p(x | y)`: all that a trainer, an evaluation or a
//! prediction may know about it.

use cei_kernels::{AdamStep, Gradient, Level, Team};
use ndarray::{Array2, ArrayView2};
use rand_chacha::ChaCha8Rng;

use crate::resident::{ResidentSetup, ResidentTraining};
use crate::{Batch, Dimensions, LatentMoments, Loss, Parameters};

/// A model of `p(x | y)`.
///
/// Parameters live on the host as one flat vector: the optimiser, the checkpoint and the saved
/// model all see the same numbers, whatever device computes with them. Randomness enters only
/// through the generator that the caller passes, so the same seed gives the same result.
pub trait ConditionalModel: Send + Sync {
    /// Widths of `x`, `y` and `z`.
    fn dimensions(&self) -> Dimensions;

    /// Names of [`Loss::terms`].
    fn loss_terms(&self) -> &'static [&'static str];

    /// The parameters and their layout.
    fn parameters(&self) -> &Parameters;

    /// Replaces all parameter values.
    ///
    /// # Panics
    /// If `values` has not the length of [`Self::parameters`].
    fn set_parameters(&mut self, values: &[f32]);

    /// Moves all parameter values by a step of the optimiser, those of weights as weights ([`crate::Parameter::weight_shape`]).
    ///
    /// # Panics
    /// If the step has not the length of [`Self::parameters`].
    fn update_parameters(&mut self, mut step: AdamStep<'_>) {
        let Parameters { layout, mut values } = self.parameters().clone();
        let mut rest = &mut values[..];
        for parameter in &layout {
            let (part, others) = rest.split_at_mut(parameter.len());
            let step = step.split_off(part.len());
            match parameter.weight_shape() {
                Some(shape) => step.apply_to_weight(Level::best(), shape, part),
                None => step.apply_in_parallel(Level::best(), part),
            }
            rest = others;
        }
        self.set_parameters(&values);
    }

    /// Sets the parameters that follow from data (those of an ActNorm), given a large batch of
    /// training rows, before the first step of a training. Most models have none.
    fn initialise(&mut self, _batch: Batch<'_>) {}

    /// Told before each step how many epochs are done, in fractions of an epoch, for a model whose
    /// training loss changes on the way (a KL warm-up). A model that was never told trains with its
    /// final loss.
    fn set_progress(&mut self, _epochs: f64) {}

    /// The loss of a batch that runs are compared by, without gradients. It is the same at every stage
    /// of a training, so that early stopping compares like with like.
    fn loss(&self, batch: Batch<'_>, noise: &mut ChaCha8Rng) -> Loss;

    /// [`Self::loss`] of a batch that all processes of `team` have. A model that can share its rows among them does.
    fn loss_in_team(&self, batch: Batch<'_>, noise: &mut ChaCha8Rng, _team: &Team) -> Loss {
        self.loss(batch, noise)
    }

    /// The loss of a batch that training minimises at the stage set by [`Self::set_progress`];
    /// sets `gradient` to its gradient with respect to the flat parameter vector.
    fn loss_and_gradient(
        &self,
        batch: Batch<'_>,
        noise: &mut ChaCha8Rng,
        gradient: &mut Gradient,
    ) -> Loss;

    /// The training of this model on its device, where parameters, rows and the optimiser stay there; none where the host
    /// computes, or where a table of rows has more than 2^27 numbers. The model itself keeps its parameters.
    fn resident(&self, _setup: &ResidentSetup<'_>) -> Option<Box<dyn ResidentTraining>> {
        None
    }

    /// Mean and variance of the latent of every row of a batch.
    fn latent_moments(&self, batch: Batch<'_>) -> LatentMoments;

    /// The `x` (`n` x `dimensions.x`) that belongs to `z` (`n` x `dimensions.z`) and `y`.
    fn decode(&self, z: ArrayView2<'_, f32>, y: ArrayView2<'_, f32>) -> Array2<f32>;

    /// Standard deviation of each column of `x` about [`Self::decode`], in scaled units, for models
    /// that declare one; a predictive draw then has this Gaussian noise too.
    fn decoder_sd(&self) -> Option<Vec<f32>> {
        None
    }

    /// Mean and variance of the Gaussian `p(z | y)` of every row of `y` (`n` x `dimensions.y`), for
    /// models that have such a prior; the others draw as [`LatentSource`](crate::latent::LatentSource)
    /// says.
    fn latent_prior(&self, _y: ArrayView2<'_, f32>) -> Option<LatentMoments> {
        None
    }

    /// Exact `log p(x | y)` of every row in nats per scaled unit volume, for models that have one.
    fn log_prob(&self, _batch: Batch<'_>) -> Option<Vec<f64>> {
        None
    }
}
