//! What the hyper-parameters of a model say before it is built: all that a pipeline may ask about the kind of
//! a model.

use burn::tensor::Device;

use crate::{ConditionalModel, HyperParameterError};

/// What a kind of model can say of `log p(x | y)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Density {
    /// Its value: [`ConditionalModel::log_prob`].
    Exact,
    /// A lower bound: [`log_prob_bound`](crate::log_prob_bound).
    LowerBound,
    /// Nothing.
    None,
}

/// A kind of model with its hyper-parameters. A pipeline asks these questions, never which kind it is.
pub trait Architecture {
    /// Name of the model for people.
    fn name(&self) -> &'static str;

    /// What its loss is, with the unit where it has one.
    fn loss_label(&self) -> &'static str;

    /// Hyper-parameters that the loss is made of: the losses of models that differ in one of them do not compare.
    fn loss_keys(&self) -> &'static [&'static str] {
        &[]
    }

    /// Checks every hyper-parameter.
    ///
    /// # Errors
    /// Names the key, the value and the allowed range.
    fn check(&self) -> Result<(), HyperParameterError>;

    /// Checks that no hyper-parameter is set that is not used. Saved models of earlier versions may have such, so
    /// that only a training begins with this.
    ///
    /// # Errors
    /// Names the key and the value.
    fn check_used(&self) -> Result<(), HyperParameterError> {
        Ok(())
    }

    /// What it can say of `log p(x | y)`.
    fn density(&self) -> Density;

    /// Whether training may leave dimensions of the latent unused, as it may where their posterior has a variance.
    fn may_ignore_latents(&self) -> bool;

    /// Builds it for `x` of `x_columns` and `y` of `y_columns`, with weights drawn from `seed`: the fastest
    /// implementation that the device has.
    ///
    /// # Errors
    /// A hyper-parameter outside its range.
    fn build(
        &self,
        x_columns: usize,
        y_columns: usize,
        seed: u64,
        device: Device,
    ) -> Result<Box<dyn ConditionalModel>, HyperParameterError>;
}
