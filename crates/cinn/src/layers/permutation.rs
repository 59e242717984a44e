//! The features in another, fixed order; `log|det|` is 0.

use burn::tensor::{Device, Int, Tensor};
use cei_kernels::{permute, permute_back};
use cei_model::HasParameters;
use cei_model::random::{Purpose, stream};
use cei_model::tensor::from_indices;
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

    fn in_tensors(&self, slot: Slot, _: &mut ChaCha8Rng, device: &Device) -> Box<dyn TensorLayer> {
        Box::new(Places::new(&order(slot, self.seed), device))
    }

    fn in_kernels(&self, slot: Slot) -> Option<Box<dyn ErasedLayer>> {
        Some(Box::new(Order(order(slot, self.seed))))
    }
}

/// Where each feature comes from.
#[derive(Debug)]
struct Order(Vec<usize>);

/// Where each feature comes from and where it goes, on a device.
#[derive(Debug, Clone)]
pub(super) struct Places {
    from: Tensor<1, Int>,
    to: Tensor<1, Int>,
}

impl Places {
    pub(super) fn new(order: &[usize], device: &Device) -> Self {
        let [from, to] = [order, &inverted(order)]
            .map(|order| from_indices(order.iter().map(|index| *index as i32).collect(), device));
        Self { from, to }
    }

    /// The columns of `x` in the order.
    pub(super) fn permute(&self, x: Tensor<2>) -> Tensor<2> {
        take(x, &self.from)
    }

    /// Undoes [`Self::permute`].
    pub(super) fn permute_back(&self, z: Tensor<2>) -> Tensor<2> {
        take(z, &self.to)
    }
}

fn take(x: Tensor<2>, columns: &Tensor<1, Int>) -> Tensor<2> {
    let columns = columns.clone();
    let columns = if x.is_autodiff() { columns.autodiff() } else { columns.inner() };
    x.select(1, columns)
}

impl HasParameters for Places {}

impl TensorLayer for Places {
    fn forward(
        &self,
        x: Tensor<2>,
        _y: &Tensor<2>,
        _key: Option<u64>,
    ) -> (Tensor<2>, Option<Tensor<2>>) {
        (self.permute(x), None)
    }

    fn inverse(&self, z: Tensor<2>, _y: &Tensor<2>) -> Tensor<2> {
        self.permute_back(z)
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

/// The order that undoes `order`.
fn inverted(order: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; order.len()];
    for (place, index) in order.iter().enumerate() {
        inverse[*index] = place;
    }
    inverse
}
