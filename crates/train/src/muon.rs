//! Steps of Muon (Jordan et al. 2024) on the weight matrices of a model, and of Adam on all other parameters.
//!
//! The step of a matrix has, whatever its shape, numbers of about 0.2 learning rates, as those of Adam have (Liu et al. 2025),
//! so that one learning rate and one schedule serve both.

use cei_kernels::{AdamStep, Level, MuonFactors, Orthogonal, Pool};
use cei_model::{ConditionalModel, Parameter};
use rayon::prelude::*;

/// Decay of the momentum.
const MOMENTUM: f32 = 0.95;
/// Numbers of a step, in learning rates.
const SIZE: f64 = 0.2;

/// What is kept from step to step beside the moments of Adam, where the momentum of a matrix is its first moment.
#[derive(Debug)]
pub(crate) struct Muon {
    tensors: Vec<Tensor>,
    values: Vec<f32>,
    memory: Pool<Orthogonal>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tensor {
    length: usize,
    /// Inputs and outputs, where it is the weight of a layer.
    weight: Option<[usize; 2]>,
}

impl From<&Parameter> for Tensor {
    fn from(parameter: &Parameter) -> Self {
        Self { length: parameter.len(), weight: parameter.weight_shape() }
    }
}

/// The factors of a step at this learning rate.
pub(crate) fn factors(learning_rate: f64) -> MuonFactors {
    MuonFactors { momentum: MOMENTUM, rate: (SIZE * learning_rate) as f32 }
}

impl Muon {
    /// For a model of this layout.
    pub(crate) fn new(layout: &[Parameter]) -> Self {
        let tensors = layout.iter().map(Tensor::from).collect();
        Self { tensors, values: Vec::new(), memory: Pool::default() }
    }

    /// Moves the parameters of `model` by `step`, its weights by Muon's at this learning rate.
    pub(crate) fn step(
        &mut self,
        model: &mut dyn ConditionalModel,
        mut step: AdamStep<'_>,
        learning_rate: f64,
    ) {
        let factors = factors(learning_rate);
        let Self { tensors, values, memory } = self;
        values.clone_from(&model.parameters().values);
        let mut rest = &mut values[..];
        let parts: Vec<_> = tensors
            .iter()
            .map(|tensor| {
                let values = rest.split_off_mut(..tensor.length).unwrap_or_default();
                (tensor, step.split_off(tensor.length), values)
            })
            .collect();
        let level = Level::best();
        parts.into_par_iter().for_each(|(tensor, step, values)| {
            if let Some(shape) = tensor.weight {
                memory.with(|memory| step.apply_muon(level, factors, shape, memory, values));
            } else {
                step.apply(level, values);
            }
        });
        model.set_parameters(&self.values);
    }
}
