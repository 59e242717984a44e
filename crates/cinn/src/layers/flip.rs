//! The order of the features reversed; `log|det|` is 0.

use burn::tensor::{Device, Tensor};
use cei_model::HasParameters;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layer::{ErasedLayer, FusedLayer, Given, LayerKind, Rows, Slot, TensorLayer};

/// Reverses the order of the features.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flip {}

impl LayerKind for Flip {
    fn group(&self) -> &'static str {
        "flips"
    }

    fn in_tensors(&self, _: Slot, _: &mut ChaCha8Rng, _: &Device) -> Box<dyn TensorLayer> {
        Box::new(Reversed)
    }

    fn in_kernels(&self, _: Slot) -> Option<Box<dyn ErasedLayer>> {
        Some(Box::new(Reversed))
    }
}

#[derive(Debug, Clone)]
struct Reversed;

impl HasParameters for Reversed {}

impl TensorLayer for Reversed {
    fn forward(
        &self,
        x: Tensor<2>,
        _y: &Tensor<2>,
        _key: Option<u64>,
    ) -> (Tensor<2>, Option<Tensor<2>>) {
        (x.flip([1]), None)
    }

    fn inverse(&self, z: Tensor<2>, _y: &Tensor<2>) -> Tensor<2> {
        z.flip([1])
    }
}

impl FusedLayer for Reversed {
    type Trace = ();

    fn forward(&self, _given: Given<'_>, rows: &mut Rows, (): &mut ()) {
        rows.x.flip();
    }

    fn inverse(&self, _given: Given<'_>, rows: &mut Rows, (): &mut ()) {
        rows.x.flip();
    }

    fn backward(
        &self,
        _given: Given<'_>,
        _d_log_det: f32,
        rows: &mut Rows,
        (): &mut (),
        _gradient: (&mut [f32], bool),
    ) {
        rows.x.flip();
    }
}
