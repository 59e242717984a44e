//! The network of a coupling, in tensors.
//!
//! ```text
//! perceptron   h_k = a(h_{k-1} W_k + b_k),  output linear
//! residual     h = input W + b,  h += W2 a(W1 dropout(a(h))) once a block,  output linear
//! ```

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};
use cei_kernels::Dropout;
use cei_model::Activation;
use cei_model::mlp::linear;
use rand_chacha::ChaCha8Rng;

use crate::config::SubnetConfig;

/// A perceptron or a residual network; its last layer starts at zero.
#[derive(Module, Debug)]
pub struct Subnet {
    layers: Vec<Linear>,
    #[module(skip)]
    activation: Activation,
    /// Whether the inner layers form residual blocks of two.
    residual: bool,
    dropout: f64,
}

impl Subnet {
    /// A network from `inputs` to `outputs` columns.
    pub fn new(
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
    pub fn forward(&self, input: Tensor<2>, key: Option<u64>) -> Tensor<2> {
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
        Tensor::from_data(TensorData::new(values, [rows, columns]), &like.device())
    }
}
