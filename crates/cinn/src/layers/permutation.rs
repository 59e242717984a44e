//! The features in another, fixed order; `log|det|` is 0.

use burn::tensor::{Device, Int, Tensor, TensorData};
use cei_kernels::{permute, permute_back};
use cei_model::HasParameters;
use cei_model::random::{Purpose, stream};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layer::{ErasedLayer, FusedLayer, Given, LayerKind, Rows, Slot, TensorLayer};

/// Shuffles the features, in an order that follows from `seed` and the place of the layer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Permutation {
    /// Seed of the order.
    pub seed: u64,
}

impl LayerKind for Permutation {
    fn group(&self) -> &'static str {
        "permutations"
    }

    fn in_tensors(&self, slot: Slot, _: &mut ChaCha8Rng, _: &Device) -> Box<dyn TensorLayer> {
        Box::new(Order(order(slot, self.seed)))
    }

    fn in_kernels(&self, slot: Slot) -> Option<Box<dyn ErasedLayer>> {
        Some(Box::new(Order(order(slot, self.seed))))
    }
}

/// Where each feature comes from.
#[derive(Debug, Clone)]
struct Order(Vec<usize>);

impl HasParameters for Order {}

impl TensorLayer for Order {
    fn forward(
        &self,
        x: Tensor<2>,
        _y: &Tensor<2>,
        _key: Option<u64>,
    ) -> (Tensor<2>, Option<Tensor<2>>) {
        (take(x, &self.0), None)
    }

    fn inverse(&self, z: Tensor<2>, _y: &Tensor<2>) -> Tensor<2> {
        take(z, &inverted(&self.0))
    }
}

impl FusedLayer for Order {
    type Trace = ();

    fn forward(&self, _given: Given<'_>, rows: &mut Rows, (): &mut ()) {
        permute(&mut rows.x, &self.0, &mut rows.spare);
    }

    fn inverse(&self, _given: Given<'_>, rows: &mut Rows, (): &mut ()) {
        permute_back(&mut rows.x, &self.0, &mut rows.spare);
    }

    fn backward(
        &self,
        _given: Given<'_>,
        _d_log_det: f32,
        rows: &mut Rows,
        (): &mut (),
        _gradient: (&mut [f32], bool),
    ) {
        permute_back(&mut rows.x, &self.0, &mut rows.spare);
    }
}

/// The order in which a layer takes the features: a function of the configuration alone, so that no saved
/// model has to hold it.
pub(super) fn order(slot: Slot, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..slot.x).collect();
    order.shuffle(&mut stream(seed, Purpose::Weights, 1 + slot.index as u64));
    order
}

/// The columns of `x` in another order.
pub(super) fn take(x: Tensor<2>, order: &[usize]) -> Tensor<2> {
    let order: Vec<i32> = order.iter().map(|index| *index as i32).collect();
    let count = order.len();
    let device = x.device();
    x.select(1, Tensor::<1, Int>::from_data(TensorData::new(order, [count]), &device))
}

/// The order that undoes `order`.
pub(super) fn inverted(order: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; order.len()];
    for (place, index) in order.iter().enumerate() {
        inverse[*index] = place;
    }
    inverse
}
