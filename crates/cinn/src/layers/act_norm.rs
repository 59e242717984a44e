//! ActNorm (Kingma & Dhariwal 2018): scale and shift of every feature.
//!
//! ```text
//! z = x exp(s) + t,   log|det| = sum s
//! ```

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use cei_kernels::{Columns, Level, act_norm, act_norm_backward, act_norm_inverse};
use cei_model::tensor::{from_values, to_matrix};
use ndarray::{Array2, ArrayView2, Axis};
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layer::{ErasedLayer, FusedLayer, Given, LayerKind, Rows, Slot, TensorLayer};

/// Least standard deviation that ActNorm divides by.
const LEAST_DEVIATION: f64 = 1e-6;

/// Scale and shift of every feature, at first such that the training rows have mean 0 and standard
/// deviation 1 (Kingma & Dhariwal 2018).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActNorm {}

impl LayerKind for ActNorm {
    fn group(&self) -> &'static str {
        "act_norms"
    }

    fn in_tensors(&self, slot: Slot, _: &mut ChaCha8Rng, device: &Device) -> Box<dyn TensorLayer> {
        let zeros = || Param::from_tensor(Tensor::zeros([1, slot.x], device));
        Box::new(ScaleAndShift { log_scale: zeros(), shift: zeros() })
    }

    fn in_kernels(&self, _: Slot) -> Option<Box<dyn ErasedLayer>> {
        Some(Box::new(FusedScaleAndShift { level: Level::best() }))
    }
}

#[derive(Module, Debug)]
struct ScaleAndShift {
    log_scale: Param<Tensor<2>>,
    shift: Param<Tensor<2>>,
}

impl TensorLayer for ScaleAndShift {
    fn forward(
        &self,
        x: Tensor<2>,
        _y: &Tensor<2>,
        _key: Option<u64>,
    ) -> (Tensor<2>, Option<Tensor<2>>) {
        let s = self.log_scale.val();
        (x * s.clone().exp() + self.shift.val(), Some(s.sum_dim(1)))
    }

    fn inverse(&self, z: Tensor<2>, _y: &Tensor<2>) -> Tensor<2> {
        (z - self.shift.val()) * self.log_scale.val().neg().exp()
    }

    fn initialise(&mut self, x: &Tensor<2>) {
        let device = x.device();
        let [scales, shifts] = standardising(to_matrix(x.clone()).view()).map(|values| {
            let shape = [1, values.len()];
            from_values(values, shape, &device)
        });
        self.log_scale = Param::from_tensor(scales);
        self.shift = Param::from_tensor(shifts);
    }
}

#[derive(Debug)]
struct FusedScaleAndShift {
    level: Level,
}

impl FusedLayer for FusedScaleAndShift {
    /// The features before the map.
    type Trace = Columns;

    fn initialise(&self, x: &Columns, parameters: &mut [f32]) {
        let mut rows = Array2::zeros((x.rows(), x.columns()));
        x.write(rows.view_mut());
        parameters.copy_from_slice(&standardising(rows.view()).concat());
    }

    fn forward(&self, given: Given<'_>, rows: &mut Rows, before: &mut Columns) {
        before.copy(&rows.x);
        act_norm(&mut rows.x, given.parameters);
        rows.log_det.shift(given.parameters[..rows.x.columns()].iter().sum());
    }

    fn inverse(&self, given: Given<'_>, rows: &mut Rows, _: &mut Columns) {
        act_norm_inverse(&mut rows.x, given.parameters);
    }

    fn backward(
        &self,
        given: Given<'_>,
        d_log_det: f32,
        rows: &mut Rows,
        before: &mut Columns,
        (gradient, add): (&mut [f32], bool),
    ) {
        let d_x = &mut rows.x;
        act_norm_backward(self.level, before, d_x, d_log_det, given.parameters, gradient, add);
    }
}

/// Log-scale and shift that bring every column of `x` to mean 0 and standard deviation 1.
fn standardising(x: ArrayView2<'_, f32>) -> [Vec<f32>; 2] {
    let columns = x.axis_iter(Axis(1)).map(|column| {
        let n = column.len() as f64;
        let mean = column.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
        let variance = column.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n;
        let deviation = variance.sqrt().max(LEAST_DEVIATION);
        (-deviation.ln() as f32, (-mean / deviation) as f32)
    });
    let (scales, shifts) = columns.unzip();
    [scales, shifts]
}
