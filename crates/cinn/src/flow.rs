//! The flow: invertible layers in sequence, its density and its inverse.

use std::f64::consts::TAU;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use cei_model::tensor::to_matrix;
use cei_model::{ConditionalNetwork, Dimensions, HyperParameterError, LossTensors};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::config::{CinnConfig, LayerConfig};
use crate::coupling::AffineCoupling;
use crate::mixing::{ActNorm, LuLinear, inverted, permutation, take};
use crate::spline::SplineCoupling;

/// A sequence of invertible layers. Layers of a kind stand together, so that the parameters of the
/// proposal's flow keep their names; `steps` is the order.
#[derive(Module, Debug)]
pub struct Flow {
    couplings: Vec<AffineCoupling>,
    splines: Vec<SplineCoupling>,
    act_norms: Vec<ActNorm>,
    linears: Vec<LuLinear>,
    #[module(skip)]
    steps: Vec<Step>,
    /// Whether a training step draws a dropout.
    drops: bool,
    #[module(skip)]
    dimensions: Dimensions,
}

/// A layer: its place among those of its kind, or a fixed order of the features.
#[derive(Debug, Clone)]
enum Step {
    Affine(usize),
    Spline(usize),
    Flip,
    Permutation(Vec<usize>),
    ActNorm(usize),
    Linear(usize),
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
        let (mut couplings, mut splines) = (Vec::new(), Vec::new());
        let (mut act_norms, mut linears) = (Vec::new(), Vec::new());
        let (d, width) = (x_columns, y_columns);
        let mut steps = Vec::with_capacity(layers.len());
        for (index, layer) in layers.iter().enumerate() {
            steps.push(match layer {
                LayerConfig::Affine { subnet, clamp } => {
                    couplings.push(AffineCoupling::new(subnet, *clamp, d, width, rng, device));
                    Step::Affine(couplings.len() - 1)
                }
                LayerConfig::Spline { subnet, bins, bound } => {
                    let shape = (*bins, *bound);
                    splines.push(SplineCoupling::new(subnet, shape, d, width, rng, device));
                    Step::Spline(splines.len() - 1)
                }
                LayerConfig::Flip {} => Step::Flip,
                LayerConfig::Permutation { seed } => {
                    Step::Permutation(permutation(d, *seed, index))
                }
                LayerConfig::ActNorm {} => {
                    act_norms.push(ActNorm::new(d, device));
                    Step::ActNorm(act_norms.len() - 1)
                }
                LayerConfig::LuLinear { seed } => {
                    linears.push(LuLinear::new(permutation(d, *seed, index), device));
                    Step::Linear(linears.len() - 1)
                }
            });
        }
        let dimensions = Dimensions { x: d, y: width, z: d };
        let drops = layers.iter().any(LayerConfig::drops);
        Ok(Self { couplings, splines, act_norms, linears, steps, drops, dimensions })
    }

    /// Maps `x` to `z` (`n` x `d`), with `log|det dz/dx|` (`n` x 1).
    pub fn forward(&self, x: Tensor<2>, y: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        self.forward_with(x, y, None)
    }

    /// [`Self::forward`], with the dropouts of a training step where there is a `key`.
    fn forward_with(&self, x: Tensor<2>, y: Tensor<2>, key: Option<u64>) -> (Tensor<2>, Tensor<2>) {
        let mut log_det = Tensor::zeros([x.dims()[0], 1], &x.device());
        let mut z = x;
        for index in 0..self.steps.len() {
            let (value, term) = self.step(index, z, &y, key);
            z = value;
            if let Some(term) = term {
                log_det = log_det + term;
            }
        }
        (z, log_det)
    }

    fn step(
        &self,
        index: usize,
        x: Tensor<2>,
        y: &Tensor<2>,
        key: Option<u64>,
    ) -> (Tensor<2>, Option<Tensor<2>>) {
        let key = key.map(|key| layer_key(key, index));
        let (value, term) = match &self.steps[index] {
            Step::Affine(i) => self.couplings[*i].forward(x, y.clone(), key),
            Step::Spline(i) => self.splines[*i].forward(x, y.clone(), key),
            Step::ActNorm(i) => self.act_norms[*i].forward(x),
            Step::Linear(i) => self.linears[*i].forward(x),
            Step::Flip => return (x.flip([1]), None),
            Step::Permutation(order) => return (take(x, order), None),
        };
        (value, Some(term))
    }

    /// Maps `z` back to `x` (`n` x `d`).
    pub fn inverse(&self, z: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        self.steps.iter().rev().fold(z, |z, step| match step {
            Step::Affine(i) => self.couplings[*i].inverse(z, y.clone()),
            Step::Spline(i) => self.splines[*i].inverse(z, y.clone()),
            Step::ActNorm(i) => self.act_norms[*i].inverse(z),
            Step::Linear(i) => self.linears[*i].inverse(z),
            Step::Flip => z.flip([1]),
            Step::Permutation(order) => take(z, &inverted(order)),
        })
    }

    /// `log p(x | y) = log N(z; 0, I) + log|det dz/dx|` (`n` x 1).
    fn log_density(&self, x: Tensor<2>, y: Tensor<2>, key: Option<u64>) -> Tensor<2> {
        let (z, log_det) = self.forward_with(x, y, key);
        let constant = 0.5 * TAU.ln() * self.dimensions.x as f64;
        log_det - z.square().sum_dim(1) * 0.5 - constant
    }
}

/// The key of the dropouts of a layer in a training step.
pub(crate) fn layer_key(key: u64, layer: usize) -> u64 {
    key.wrapping_add((layer as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

impl ConditionalNetwork for Flow {
    const LOSS_TERMS: &'static [&'static str] = &[];

    fn dimensions(&self) -> Dimensions {
        self.dimensions
    }

    /// The negative log-likelihood. Equation 14 of the proposal has the sign of `log|det|`
    /// wrong: with it the loss has no minimum.
    fn loss(&self, x: Tensor<2>, y: Tensor<2>, _noise: &mut ChaCha8Rng) -> LossTensors {
        LossTensors { total: -self.log_density(x, y, None).mean(), terms: Vec::new() }
    }

    fn training_loss(&self, x: Tensor<2>, y: Tensor<2>, noise: &mut ChaCha8Rng) -> LossTensors {
        let key = self.drops.then(|| noise.random());
        LossTensors { total: -self.log_density(x, y, key).mean(), terms: Vec::new() }
    }

    fn initialise(mut self, x: Tensor<2>, y: Tensor<2>) -> Self {
        let mut z = x;
        for index in 0..self.steps.len() {
            if let Step::ActNorm(i) = self.steps[index] {
                let device = z.device();
                self.act_norms[i].initialise(to_matrix(z.clone()).view(), &device);
            }
            z = self.step(index, z, &y, None).0;
        }
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
