//! Sinh-arcsinh layer (Jones & Pewsey 2009): tails and skewness of every feature.
//!
//! ```text
//! u = e^s asinh(x) - t,  z = sinh(u),   log|det| = sum s + 1/2 ln(1 + z^2) - 1/2 ln(1 + x^2)
//! inverse    x = sinh(e^-s (asinh(z) + t))
//! backward   du = dz sqrt(1 + z^2) + dl z / sqrt(1 + z^2),   dx = du e^s / sqrt(1 + x^2) - dl x / (1 + x^2)
//!            ds = sum du e^s asinh(x) + dl,   dt = -sum du
//! ```

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use cei_cinn::layer::{ErasedLayer, FusedLayer, Given, LayerKind, Rows, Slot, TensorLayer};
use cei_kernels::Columns;
use cei_model::HyperParameterError;
use cei_model::config::check_positive;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Tails and skewness of every feature (Jones & Pewsey 2009).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tails {
    /// Bound of `s`.
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub bound: f64,
}

impl Default for Tails {
    fn default() -> Self {
        Self { bound: 1.0 }
    }
}

impl LayerKind for Tails {
    fn group(&self) -> &'static str {
        "tails"
    }

    fn check(&self) -> Result<(), HyperParameterError> {
        check_positive("model.layers.bound", self.bound)
    }

    fn in_tensors(&self, slot: Slot, _: &mut ChaCha8Rng, device: &Device) -> Box<dyn TensorLayer> {
        let zeros = || Param::from_tensor(Tensor::zeros([1, slot.x], device));
        Box::new(SinhArcsinh { s: zeros(), t: zeros(), bound: self.bound })
    }

    fn in_kernels(&self, _: Slot) -> Option<Box<dyn ErasedLayer>> {
        Some(Box::new(FusedSinhArcsinh { bound: self.bound as f32 }))
    }
}

/// In tensors: starts as the identity.
#[derive(Module, Debug)]
struct SinhArcsinh {
    s: Param<Tensor<2>>,
    t: Param<Tensor<2>>,
    bound: f64,
}

impl SinhArcsinh {
    fn s(&self) -> Tensor<2> {
        self.s.val().clamp(-self.bound, self.bound)
    }
}

impl TensorLayer for SinhArcsinh {
    fn forward(
        &self,
        x: Tensor<2>,
        _y: &Tensor<2>,
        _key: Option<u64>,
    ) -> (Tensor<2>, Option<Tensor<2>>) {
        let half_log = |value: &Tensor<2>| value.clone().square().log1p() * 0.5;
        let u = x.clone().asinh() * self.s().exp() - self.t.val();
        let z = u.sinh();
        let log_slope = half_log(&z) - half_log(&x) + self.s();
        (z, Some(log_slope.sum_dim(1)))
    }

    fn inverse(&self, z: Tensor<2>, _y: &Tensor<2>) -> Tensor<2> {
        ((z.asinh() + self.t.val()) * self.s().neg().exp()).sinh()
    }
}

/// In kernels: its parameters are `s` of every feature, then `t`.
#[derive(Debug)]
struct FusedSinhArcsinh {
    bound: f32,
}

/// The features before the map and after it.
#[derive(Debug, Default)]
struct TailsTrace {
    x: Columns,
    z: Columns,
}

impl FusedSinhArcsinh {
    /// `s` and `t` of a feature.
    fn parameters(&self, given: Given<'_>, column: usize) -> (f32, f32) {
        let (s, t) = given.parameters.split_at(given.parameters.len() / 2);
        (s[column].clamp(-self.bound, self.bound), t[column])
    }
}

impl FusedLayer for FusedSinhArcsinh {
    type Trace = TailsTrace;

    fn forward(&self, given: Given<'_>, rows: &mut Rows, trace: &mut TailsTrace) {
        trace.x.copy(&rows.x);
        for column in 0..rows.x.columns() {
            let (s, t) = self.parameters(given, column);
            let log_det = rows.log_det.column_mut(0);
            for (x, log_det) in rows.x.column_mut(column).iter_mut().zip(log_det) {
                let z = (s.exp() * x.asinh() - t).sinh();
                *log_det += s + 0.5 * (z.powi(2).ln_1p() - x.powi(2).ln_1p());
                *x = z;
            }
        }
        trace.z.copy(&rows.x);
    }

    fn inverse(&self, given: Given<'_>, rows: &mut Rows, _: &mut TailsTrace) {
        for column in 0..rows.x.columns() {
            let (s, t) = self.parameters(given, column);
            for z in rows.x.column_mut(column) {
                *z = ((-s).exp() * (z.asinh() + t)).sinh();
            }
        }
    }

    fn backward(
        &self,
        given: Given<'_>,
        d_log_det: f32,
        rows: &mut Rows,
        TailsTrace { x, z }: &mut TailsTrace,
        (gradient, add): (&mut [f32], bool),
    ) {
        if !add {
            gradient.fill(0.0);
        }
        let (d_s, d_t) = gradient.split_at_mut(x.columns());
        for column in 0..x.columns() {
            let (s, _) = self.parameters(given, column);
            let is_bounded = given.parameters[column].abs() > self.bound;
            let (mut sum_s, mut sum_t) = (0.0, 0.0);
            let known = x.column(column).iter().zip(z.column(column));
            for (d, (x, z)) in rows.x.column_mut(column).iter_mut().zip(known) {
                let (rise, slope) = (1.0f32.hypot(*z), s.exp() / 1.0f32.hypot(*x));
                let d_u = *d * rise + d_log_det * z / rise;
                sum_s += d_u * s.exp() * x.asinh() + d_log_det;
                sum_t -= d_u;
                *d = d_u * slope - d_log_det * x / (1.0 + x * x);
            }
            d_s[column] += if is_bounded { 0.0 } else { sum_s };
            d_t[column] += sum_t;
        }
    }
}
