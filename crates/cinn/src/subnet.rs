//! The network of a coupling: its keys, in tensors and in kernels.
//!
//! ```text
//! perceptron   h_k = a(h_{k-1} W_k + b_k),  output linear
//! residual     h = input W + b,  h += W2 a(W1 dropout(a(h))) once a block,  output linear
//! ```

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use cei_kernels::{AdamStep, Deltas, Dropout, Hidden, Level, Matrix, Mlp, Residual, ResidualTrace};
use cei_model::Activation;
use cei_model::config::{HyperParameterError, check_widths, weights};
use cei_model::mlp::linear;
use cei_model::tensor::from_values;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layer::Drops;

/// The network of a coupling: it gives the numbers by which one half of the features is moved, from the other half
/// and the condition.
///
/// ```toml
/// [[model.layers]]
/// layer = "spline"
/// subnet = { kind = "residual", width = 64, blocks = 2, dropout = 0.1 }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum SubnetConfig {
    /// A perceptron.
    Mlp {
        /// Widths of its hidden layers.
        #[schemars(length(max = 100), inner(range(min = 1, max = 65_536)))]
        hidden: Vec<usize>,
        /// Its nonlinearity.
        #[serde(default = "relu")]
        activation: Activation,
    },
    /// `h + W2 a(W1 dropout(a(h)))`, once a block (He et al. 2016).
    Residual {
        /// Numbers in `h`.
        #[schemars(range(min = 1, max = 65_536))]
        width: usize,
        /// How many blocks.
        #[schemars(range(min = 1, max = 100))]
        blocks: usize,
        /// The nonlinearity `a`.
        #[serde(default = "relu")]
        activation: Activation,
        /// Share of the inputs of a block that are dropped in training.
        #[serde(default)]
        #[schemars(range(min = 0.0, max = 0.9))]
        dropout: f64,
    },
}

impl Default for SubnetConfig {
    fn default() -> Self {
        Self::Residual { width: 128, blocks: 2, activation: relu(), dropout: 0.0 }
    }
}

impl SubnetConfig {
    pub(crate) fn check(&self) -> Result<(), HyperParameterError> {
        match self {
            Self::Mlp { hidden, .. } => check_widths("model.layers.subnet.hidden", hidden),
            Self::Residual { width, blocks, dropout, .. } => {
                check_widths("model.layers.subnet.width", &[*width])?;
                if !(1..=100).contains(blocks) {
                    let key = "model.layers.subnet.blocks";
                    return Err(HyperParameterError::new(key, blocks, "from 1 to 100"));
                }
                check_dropout("model.layers.subnet.dropout", *dropout)
            }
        }
    }

    /// The weights between its hidden layers, and those of its inputs and outputs for the few columns that a
    /// molecule has, each with this many outputs.
    pub(crate) fn weights(&self, outputs: usize) -> u64 {
        const COLUMNS: usize = 10;
        let outputs = outputs * COLUMNS;
        match self {
            Self::Mlp { hidden, .. } => {
                weights(&[&[COLUMNS], hidden.as_slice(), &[outputs]].concat())
            }
            Self::Residual { width, blocks, .. } => {
                let hidden = vec![*width; 1 + 2 * blocks];
                weights(&[&[COLUMNS], hidden.as_slice(), &[outputs]].concat())
            }
        }
    }

    /// Whether a training step drops out.
    pub(crate) fn drops_out(&self) -> bool {
        matches!(self, Self::Residual { dropout, .. } if *dropout > 0.0)
    }
}

/// Checks a share of inputs that are dropped.
///
/// # Errors
/// Names the `key`, the value and the allowed range.
pub(crate) fn check_dropout(key: &'static str, dropout: f64) -> Result<(), HyperParameterError> {
    if (0.0..=0.9).contains(&dropout) {
        return Ok(());
    }
    Err(HyperParameterError::new(key, dropout, "from 0 to 0.9"))
}

pub(crate) fn relu() -> Activation {
    Activation::Relu
}

/// A perceptron or a residual network in tensors; its last layer starts at zero.
#[derive(Module, Debug)]
pub(crate) struct Subnet {
    layers: Vec<Linear>,
    #[module(skip)]
    activation: Activation,
    /// Whether the inner layers form residual blocks of two.
    residual: bool,
    dropout: f64,
}

impl Subnet {
    /// A network from `inputs` to `outputs` columns.
    pub(crate) fn new(
        config: &SubnetConfig,
        inputs: usize,
        outputs: usize,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Self {
        let (hidden, activation, residual, dropout) = match config {
            SubnetConfig::Mlp { hidden, activation } => (hidden.clone(), *activation, false, 0.0),
            SubnetConfig::Residual { width, blocks, activation, dropout } => {
                (vec![*width; 2 * blocks + 1], *activation, true, *dropout)
            }
        };
        let widths = [&[inputs], &hidden[..], &[outputs]].concat();
        let last = widths.len() - 2;
        let layers = widths
            .windows(2)
            .enumerate()
            .map(|(index, width)| linear(width[0], width[1], index == last, rng, device))
            .collect();
        Self { layers, activation, residual, dropout }
    }

    /// Maps rows (`n` x inputs) to rows (`n` x outputs); drops out where `key` is that of a training step.
    pub(crate) fn forward(&self, input: Tensor<2>, key: Option<u64>) -> Tensor<2> {
        let last = self.layers.len() - 1;
        let mut hidden = self.layers[0].forward(input);
        if !self.residual {
            for layer in &self.layers[1..] {
                hidden = layer.forward(self.activation.forward(hidden));
            }
            return hidden;
        }
        for (block, pair) in self.layers[1..last].chunks_exact(2).enumerate() {
            let mut inner = self.activation.forward(hidden.clone());
            if let (Some(key), true) = (key, self.dropout > 0.0) {
                inner = inner.clone() * self.mask(&inner, key, block);
            }
            let inner = self.activation.forward(pair[0].forward(inner));
            hidden = hidden + pair[1].forward(inner);
        }
        self.layers[last].forward(hidden)
    }

    /// The factors of a dropout, the same as those of the kernels.
    fn mask(&self, like: &Tensor<2>, key: u64, block: usize) -> Tensor<2> {
        let [rows, columns] = like.dims();
        let dropout = Dropout::new(key, self.dropout as f32).block(block);
        let mut values = vec![1.0; rows * columns];
        for (row, values) in values.chunks_exact_mut(columns).enumerate() {
            dropout.apply(row, values);
        }
        from_values(values, [rows, columns], &like.device())
    }
}

/// The same in kernels. Its parameters are a stretch of its own, which begins at 0.
#[derive(Debug)]
pub(crate) enum FusedSubnet {
    Mlp(Mlp),
    /// With the probability of its dropout.
    Residual(Residual, f32),
}

/// What it keeps for the way back.
#[derive(Debug, Default)]
pub(crate) struct SubnetTrace {
    hidden: Hidden,
    residual: ResidualTrace,
}

impl FusedSubnet {
    /// A network from `inputs` to `outputs` columns.
    pub(crate) fn new(level: Level, config: &SubnetConfig, inputs: usize, outputs: usize) -> Self {
        match config {
            SubnetConfig::Mlp { hidden, activation } => {
                let widths = [&[inputs], &hidden[..], &[outputs]].concat();
                Self::Mlp(Mlp::new(level, &widths, (*activation).into(), 0))
            }
            SubnetConfig::Residual { width, blocks, activation, dropout } => {
                let widths = (inputs, *width, outputs);
                let network = Residual::new(level, widths, *blocks, (*activation).into(), 0);
                Self::Residual(network, *dropout as f32)
            }
        }
    }

    pub(crate) fn set_parameters(&mut self, parameters: &[f32]) {
        match self {
            Self::Mlp(network) => network.set_parameters(parameters),
            Self::Residual(network, _) => network.set_parameters(parameters),
        }
    }

    pub(crate) fn update(&mut self, parameters: &mut [f32], step: AdamStep<'_>) {
        match self {
            Self::Mlp(network) => network.update(parameters, step),
            Self::Residual(network, _) => network.update(parameters, step),
        }
    }

    pub(crate) fn forward(
        &self,
        input: &Matrix,
        drops: Option<Drops>,
        SubnetTrace { hidden, residual }: &mut SubnetTrace,
        output: &mut Matrix,
    ) {
        match self {
            Self::Mlp(network) => network.forward(input, hidden, output),
            Self::Residual(network, p) => {
                network.forward(input, dropout(*p, drops), residual, output);
            }
        }
    }

    pub(crate) fn backward(
        &self,
        input: &Matrix,
        drops: Option<Drops>,
        SubnetTrace { hidden, residual }: &mut SubnetTrace,
        deltas: &mut Deltas,
        (gradient, add): (&mut [f32], bool),
        d_input: &mut Matrix,
    ) {
        match self {
            Self::Mlp(network) => {
                network.backward(input, hidden, deltas, gradient, add, Some(d_input));
            }
            Self::Residual(network, p) => {
                let dropout = dropout(*p, drops);
                network.backward(input, dropout, residual, deltas, gradient, add, d_input);
            }
        }
    }
}

fn dropout(probability: f32, drops: Option<Drops>) -> Option<Dropout> {
    let drops = drops.filter(|_| probability > 0.0)?;
    Some(Dropout::new(drops.key, probability).from_row(drops.first_row))
}
