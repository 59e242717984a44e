//! The flow: invertible layers in sequence, its density and its inverse.

use std::f64::consts::TAU;

use burn::tensor::{Device, Tensor};
use cei_model::parameters::{ParameterSource, Visitor};
use cei_model::{
    ConditionalNetwork, Dimensions, HasParameters, HyperParameterError, LossTensors, Noise,
};
use rand_chacha::ChaCha8Rng;

use crate::config::CinnConfig;
use crate::layer::{LayerKind, Slot, TensorLayer, layer_key, names};
use crate::layers::LayerConfig;

/// Groups in the order in which the parameters of their layers stand in the flat vector and in saved models;
/// others follow as they appear in the flow.
const GROUPS: [&str; 4] = ["couplings", "splines", "act_norms", "linears"];

/// A sequence of invertible layers.
#[derive(Debug, Clone)]
pub struct Flow {
    /// From the data to the latent, with their names.
    layers: Vec<(String, Box<dyn TensorLayer>)>,
    /// The order in which their parameters stand in the flat vector.
    order: Vec<usize>,
    /// Whether a training step draws a dropout.
    drops: bool,
    dimensions: Dimensions,
}

impl Flow {
    /// A flow for `x` of `x_columns` and `y` of `y_columns`; starts as the identity but for the order
    /// of the features.
    ///
    /// # Errors
    /// A hyper-parameter outside its range.
    pub fn new(
        config: &CinnConfig,
        x_columns: usize,
        y_columns: usize,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Result<Self, HyperParameterError> {
        config.check()?;
        let layers = config.flow_layers();
        let kinds: Vec<_> = layers.iter().map(LayerConfig::kind).collect();
        Ok(Self::of_layers(&kinds, x_columns, y_columns, rng, device))
    }

    /// A flow of these layers, from the data to the latent.
    pub fn of_layers(
        kinds: &[&dyn LayerKind],
        x_columns: usize,
        y_columns: usize,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Self {
        let layer = |(index, (name, kind)): (usize, (String, &&dyn LayerKind))| {
            let slot = Slot { index, x: x_columns, y: y_columns };
            (name, kind.in_tensors(slot, rng, device))
        };
        Self {
            layers: names(kinds).into_iter().zip(kinds).enumerate().map(layer).collect(),
            order: order(kinds),
            drops: kinds.iter().any(|kind| kind.drops_out()),
            dimensions: Dimensions { x: x_columns, y: y_columns, z: x_columns },
        }
    }

    /// Maps `x` to `z` (`n` x `d`), with `log|det dz/dx|` (`n` x 1).
    pub fn forward(&self, x: Tensor<2>, y: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        self.forward_with(x, y, None)
    }

    /// [`Self::forward`], with the dropouts of a training step where there is a `key`.
    fn forward_with(&self, x: Tensor<2>, y: Tensor<2>, key: Option<u64>) -> (Tensor<2>, Tensor<2>) {
        let mut log_det = Tensor::zeros([x.dims()[0], 1], &x.device());
        let mut z = x;
        for (index, (_, layer)) in self.layers.iter().enumerate() {
            let (value, term) = layer.forward(z, &y, key.map(|key| layer_key(key, index)));
            z = value;
            if let Some(term) = term {
                log_det = log_det + term;
            }
        }
        (z, log_det)
    }

    /// Maps `z` back to `x` (`n` x `d`).
    pub fn inverse(&self, z: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        self.layers.iter().rev().fold(z, |z, (_, layer)| layer.inverse(z, &y))
    }

    /// `log p(x | y) = log N(z; 0, I) + log|det dz/dx|` (`n` x 1).
    fn log_density(&self, x: Tensor<2>, y: Tensor<2>, key: Option<u64>) -> Tensor<2> {
        let (z, log_det) = self.forward_with(x, y, key);
        let constant = 0.5 * TAU.ln() * self.dimensions.x as f64;
        log_det - z.square().sum_dim(1) * 0.5 - constant
    }
}

/// The layers in the order of their groups.
fn order(kinds: &[&dyn LayerKind]) -> Vec<usize> {
    let mut groups = GROUPS.to_vec();
    for kind in kinds {
        if !groups.contains(&kind.group()) {
            groups.push(kind.group());
        }
    }
    let of_group =
        |group: &'static str| (0..kinds.len()).filter(move |index| kinds[*index].group() == group);
    groups.into_iter().flat_map(of_group).collect()
}

impl HasParameters for Flow {
    fn visit_parameters(&self, visitor: &mut Visitor<'_>) {
        for index in &self.order {
            let (name, layer) = &self.layers[*index];
            visitor.visit_part(name, &**layer);
        }
    }

    fn take_parameters(&mut self, source: &mut ParameterSource<'_>) {
        for index in &self.order {
            self.layers[*index].1.take_parameters(source);
        }
    }
}

impl ConditionalNetwork for Flow {
    const LOSS_TERMS: &'static [&'static str] = &[];

    fn dimensions(&self) -> Dimensions {
        self.dimensions
    }

    /// The negative log-likelihood. Equation 14 of the proposal has the sign of `log|det|`
    /// wrong: with it the loss has no minimum.
    fn loss(&self, x: Tensor<2>, y: Tensor<2>, _noise: &mut Noise<'_>) -> LossTensors {
        LossTensors { total: -self.log_density(x, y, None).mean(), terms: Vec::new() }
    }

    fn training_loss(&self, x: Tensor<2>, y: Tensor<2>, noise: &mut Noise<'_>) -> LossTensors {
        let key = self.drops.then(|| noise.key());
        LossTensors { total: -self.log_density(x, y, key).mean(), terms: Vec::new() }
    }

    fn initialise(mut self, x: Tensor<2>, y: Tensor<2>) -> Self {
        self.layers.iter_mut().fold(x, |x, (_, layer)| {
            layer.initialise(&x);
            layer.forward(x, &y, None).0
        });
        self
    }

    fn latent_moments(&self, x: Tensor<2>, y: Tensor<2>) -> [Tensor<2>; 2] {
        let z = self.forward(x, y).0;
        let variance = z.zeros_like();
        [z, variance]
    }

    fn decode(&self, z: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        self.inverse(z, y)
    }

    fn log_prob(&self, x: Tensor<2>, y: Tensor<2>) -> Option<Tensor<1>> {
        Some(self.log_density(x, y, None).squeeze_dim(1))
    }
}
