//! Multilayer perceptron: `h_0 = input`, `h_k = a(h_{k-1} W_k + b_k)`, output `h W + b`, where `a` is
//! the activation and the last layer is linear.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, activation};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tensor::from_values;

/// Nonlinearity between the layers of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// `x` above zero, `exp(x) - 1` below (Clevert et al. 2016).
    #[default]
    Elu,
    /// `max(x, 0)`.
    Relu,
    /// Hyperbolic tangent.
    Tanh,
    /// `x Phi(x)` with the normal distribution function `Phi` (Hendrycks & Gimpel 2016).
    Gelu,
}

impl Activation {
    /// Applies it to every number.
    pub fn forward(self, input: Tensor<2>) -> Tensor<2> {
        match self {
            // exp only ever sees x <= 0: exp of a large x is infinite, and its gradient, masked
            // away with a factor 0, would be NaN.
            Self::Elu => input.clone().clamp_max(0.0).exp() - 1.0 + activation::relu(input),
            Self::Relu => activation::relu(input),
            Self::Tanh => activation::tanh(input),
            Self::Gelu => activation::gelu(input),
        }
    }
}

impl From<Activation> for cei_kernels::Activation {
    fn from(activation: Activation) -> Self {
        match activation {
            Activation::Elu => Self::Elu,
            Activation::Relu => Self::Relu,
            Activation::Tanh => Self::Tanh,
            Activation::Gelu => Self::Gelu,
        }
    }
}

/// How the last layer of a network starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastLayer {
    /// As all others: uniform within `1 / sqrt(inputs)`.
    Random,
    /// All zero: the network gives zero until it has learned something.
    Zero,
}

/// A multilayer perceptron on rows.
#[derive(Module, Debug)]
pub struct Mlp {
    layers: Vec<Linear>,
    #[module(skip)]
    activation: Activation,
}

impl Mlp {
    /// A network from `inputs` over the `hidden` widths to `outputs` columns. Weights and biases
    /// are uniform within `1 / sqrt(inputs of the layer)`.
    pub fn new(
        inputs: usize,
        hidden: &[usize],
        outputs: usize,
        activation: Activation,
        last: LastLayer,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Self {
        let widths: Vec<usize> =
            std::iter::once(inputs).chain(hidden.iter().copied()).chain([outputs]).collect();
        let depth = widths.len() - 1;
        let layers = widths
            .windows(2)
            .enumerate()
            .map(|(index, width)| {
                let zero = last == LastLayer::Zero && index + 1 == depth;
                linear(width[0], width[1], zero, rng, device)
            })
            .collect();
        Self { layers, activation }
    }

    /// Maps rows (`n` x `inputs`) to rows (`n` x `outputs`).
    pub fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        let mut hidden = input;
        for (index, layer) in self.layers.iter().enumerate() {
            if index > 0 {
                hidden = self.activation.forward(hidden);
            }
            hidden = layer.forward(hidden);
        }
        hidden
    }
}

/// One linear layer (`inputs` to `outputs` columns) with host-drawn weights and biases, uniform within
/// `1 / sqrt(inputs)`, or with zeros.
pub fn linear(
    inputs: usize,
    outputs: usize,
    zero: bool,
    rng: &mut ChaCha8Rng,
    device: &Device,
) -> Linear {
    let bound = if zero { 0.0 } else { 1.0 / (inputs.max(1) as f32).sqrt() };
    let mut draw = |count: usize| -> Vec<f32> {
        (0..count).map(|_| bound * (2.0 * rng.random::<f32>() - 1.0)).collect()
    };
    let weight = from_values(draw(inputs * outputs), [inputs, outputs], device);
    let bias = from_values(draw(outputs), [outputs], device);
    Linear { weight: Param::from_tensor(weight), bias: Some(Param::from_tensor(bias)) }
}
