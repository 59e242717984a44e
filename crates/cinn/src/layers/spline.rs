//! Rational-quadratic spline coupling with linear tails (Durkan et al. 2019, equations 4 to 8).
//!
//! ```text
//! bin       widths w, heights h: 2 B (m + (1 - K m) softmax),  slopes d: m + softplus, 1 at +-B
//! within    s = h / w,  xi = (x - x_k) / w,  n = s xi^2 + d_k xi (1 - xi)
//!           q = s + (d_k+1 + d_k - 2 s) xi (1 - xi),  y = y_k + h n / q
//! log|det|  2 ln s + ln(d_k+1 xi^2 + 2 s xi (1 - xi) + d_k (1 - xi)^2) - 2 ln q
//! beyond    y = x
//! ```

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, activation::softmax};
use cei_kernels::{Columns, Level, Matrix, SplineCoupling as Kernel, SplineTrace};
use cei_model::HyperParameterError;
use cei_model::config::check_positive;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::coupling::{CouplingKernel, FusedCoupling, merge, split, subnet_input};
use crate::layer::{ErasedLayer, LayerKind, Slot, TensorLayer};
use crate::subnet::{FusedSubnet, Subnet, SubnetConfig};

/// Least width and height of a bin, as a share of the interval, and least slope.
const LEAST: f64 = 1e-3;

/// A spline coupling: `x2'` is a rational-quadratic spline of `x2` (Durkan et al. 2019).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Spline {
    /// The network that gives the knots and slopes.
    pub subnet: SubnetConfig,
    /// Bins between the bounds.
    #[schemars(range(min = 2, max = 128))]
    pub bins: usize,
    /// The spline acts between `-bound` and `bound`; beyond it is the identity.
    #[schemars(extend("exclusiveMinimum" = 0, "unit" = "scaled units"))]
    pub bound: f64,
}

impl Default for Spline {
    fn default() -> Self {
        Self { subnet: SubnetConfig::default(), bins: 10, bound: 5.0 }
    }
}

impl LayerKind for Spline {
    fn group(&self) -> &'static str {
        "splines"
    }

    fn check(&self) -> Result<(), HyperParameterError> {
        self.subnet.check()?;
        check_bins("model.layers.bins", self.bins)?;
        check_positive("model.layers.bound", self.bound)
    }

    fn weights(&self) -> u64 {
        self.subnet.weights(3 * self.bins)
    }

    fn drops_out(&self) -> bool {
        self.subnet.drops_out()
    }

    fn in_tensors(
        &self,
        slot: Slot,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Box<dyn TensorLayer> {
        let (kept, bins) = (slot.kept(), self.bins);
        let outputs = (3 * bins - 1) * (slot.x - kept);
        let subnet = Subnet::new(&self.subnet, kept + slot.y, outputs, rng, device);
        Box::new(SplineCoupling { subnet, kept, bins, bound: self.bound })
    }

    fn in_kernels(&self, slot: Slot) -> Option<Box<dyn ErasedLayer>> {
        let (level, kept) = (Level::best(), slot.kept());
        let kernel = Kernel {
            level,
            kept,
            bins: self.bins,
            bound: self.bound as f32,
            least: LEAST as f32,
            slope_offset: unit_slope() as f32,
        };
        let outputs = kernel.outputs(slot.x);
        let subnet = FusedSubnet::new(level, &self.subnet, kept + slot.y, outputs);
        Some(Box::new(FusedCoupling { subnet, kernel, kept }))
    }
}

/// Checks a number of bins.
///
/// # Errors
/// Names the `key`, the value and the allowed range.
pub(crate) fn check_bins(key: &'static str, bins: usize) -> Result<(), HyperParameterError> {
    if (2..=128).contains(&bins) {
        return Ok(());
    }
    Err(HyperParameterError::new(key, bins, "from 2 to 128"))
}

#[derive(Module, Debug)]
struct SplineCoupling {
    subnet: Subnet,
    /// Features in `x1`.
    kept: usize,
    bins: usize,
    bound: f64,
}

/// The bin that a number falls into; all `n` x features.
struct Bin {
    x: Tensor<2>,
    width: Tensor<2>,
    y: Tensor<2>,
    height: Tensor<2>,
    /// Slopes at the lower and the upper knot.
    slopes: [Tensor<2>; 2],
}

/// Knots, widths of the bins and slopes; all `n` x features x bins, but for one slope more.
struct Knots {
    x: Tensor<3>,
    widths: Tensor<3>,
    y: Tensor<3>,
    heights: Tensor<3>,
    slopes: Tensor<3>,
}

impl TensorLayer for SplineCoupling {
    fn forward(
        &self,
        x: Tensor<2>,
        y: &Tensor<2>,
        key: Option<u64>,
    ) -> (Tensor<2>, Option<Tensor<2>>) {
        let (x1, x2) = split(x, self.kept);
        let knots = self.knots(self.subnet.forward(subnet_input(&x1, y.clone()), key));
        let inside = x2.clone().abs().lower_equal_elem(self.bound);
        let clipped = x2.clone().clamp(-self.bound, self.bound);
        let bin = knots.bin(self.index(&knots.x, &clipped));
        let s = bin.height.clone() / bin.width.clone();
        let xi = (clipped - bin.x.clone()) / bin.width.clone();
        let (n, q) = bin.fraction(&s, &xi);
        let value = bin.y.clone() + bin.height.clone() * n / q.clone();
        let log_slope = bin.log_slope(s, xi, q);
        let outside = inside.bool_not();
        let value = value.mask_where(outside.clone(), x2);
        (merge(x1, value), Some(log_slope.mask_fill(outside, 0.0).sum_dim(1)))
    }

    fn inverse(&self, z: Tensor<2>, y: &Tensor<2>) -> Tensor<2> {
        let (x1, x2) = split(z, self.kept);
        let knots = self.knots(self.subnet.forward(subnet_input(&x1, y.clone()), None));
        let outside = x2.clone().abs().greater_elem(self.bound);
        let clipped = x2.clone().clamp(-self.bound, self.bound);
        let bin = knots.bin(self.index(&knots.y, &clipped));
        let s = bin.height.clone() / bin.width.clone();
        // equations 6 to 8: the root of a xi^2 + b xi + c that lies in the bin
        let rise = clipped - bin.y.clone();
        let [lower, upper] = bin.slopes.clone();
        let sum = rise.clone() * (upper + lower.clone() - s.clone() * 2.0);
        let a = bin.height.clone() * (s.clone() - lower.clone()) + sum.clone();
        let b = bin.height.clone() * lower - sum;
        let c = (s * rise).neg();
        let root = (b.clone().square() - a * c.clone() * 4.0).clamp_min(0.0).sqrt();
        let xi = (c * 2.0 / (b + root).neg()).clamp(0.0, 1.0);
        let value = bin.x + xi * bin.width;
        merge(x1, value.mask_where(outside, x2))
    }
}

impl SplineCoupling {
    /// Cuts the output of the subnet: for every feature widths, heights and inner slopes.
    fn knots(&self, output: Tensor<2>) -> Knots {
        let (n, bins) = (output.dims()[0], self.bins);
        let features = output.dims()[1] / (3 * bins - 1);
        let output = output.reshape([n, features, 3 * bins - 1]);
        let share = |first: usize| {
            let raw = output.clone().narrow(2, first, bins);
            (softmax(raw, 2) * (1.0 - bins as f64 * LEAST) + LEAST) * (2.0 * self.bound)
        };
        let starts = |sizes: &Tensor<3>| {
            let mut knots = vec![sizes.clone().narrow(2, 0, 1) * 0.0 - self.bound];
            for bin in 1..bins {
                let below: Tensor<3> = knots[bin - 1].clone();
                knots.push(below + sizes.clone().narrow(2, bin - 1, 1));
            }
            Tensor::cat(knots, 2)
        };
        let (widths, heights) = (share(0), share(bins));
        let edge = Tensor::ones([n, features, 1], &output.device());
        let raw = output.narrow(2, 2 * bins, bins - 1) + unit_slope();
        // softplus without overflow
        let softplus = raw.clone().clamp_min(0.0) + raw.abs().neg().exp().log1p();
        let slopes = Tensor::cat(vec![edge.clone(), softplus + LEAST, edge], 2);
        Knots { x: starts(&widths), y: starts(&heights), widths, heights, slopes }
    }

    /// Which bin each number falls into: how many inner knots are not above it (`n` x features x 1).
    fn index(&self, knots: &Tensor<3>, values: &Tensor<2>) -> Tensor<3, Int> {
        let inner = knots.clone().narrow(2, 1, self.bins - 1);
        values.clone().unsqueeze_dim::<3>(2).greater_equal(inner).int().sum_dim(2)
    }
}

/// What is added to a raw slope so that zero becomes the slope 1.
fn unit_slope() -> f64 {
    (1.0 - LEAST).exp_m1().ln()
}

impl Knots {
    fn bin(&self, index: Tensor<3, Int>) -> Bin {
        let at = |values: &Tensor<3>, index: &Tensor<3, Int>| {
            values.clone().gather(2, index.clone()).squeeze_dim::<2>(2)
        };
        let next = index.clone() + 1;
        Bin {
            x: at(&self.x, &index),
            width: at(&self.widths, &index),
            y: at(&self.y, &index),
            height: at(&self.heights, &index),
            slopes: [at(&self.slopes, &index), at(&self.slopes, &next)],
        }
    }
}

impl Bin {
    /// Numerator `n` and denominator `q`.
    fn fraction(&self, s: &Tensor<2>, xi: &Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let [lower, upper] = self.slopes.clone();
        let product = xi.clone() * (xi.clone().neg() + 1.0);
        let n = s.clone() * xi.clone().square() + lower.clone() * product.clone();
        let q = s.clone() + (upper + lower - s.clone() * 2.0) * product;
        (n, q)
    }

    fn log_slope(self, s: Tensor<2>, xi: Tensor<2>, q: Tensor<2>) -> Tensor<2> {
        let [lower, upper] = self.slopes;
        let rest = xi.clone().neg() + 1.0;
        let d = upper * xi.clone().square()
            + s.clone() * xi * rest.clone() * 2.0
            + lower * rest.square();
        s.log() * 2.0 + d.log() - q.log() * 2.0
    }
}

impl CouplingKernel for Kernel {
    type Trace = SplineTrace;

    fn forward(
        &self,
        output: &Matrix,
        x: &mut Columns,
        log_det: &mut Columns,
        trace: &mut SplineTrace,
    ) {
        Kernel::forward(self, output, x, log_det, trace);
    }

    fn inverse(&self, output: &Matrix, x: &mut Columns, trace: &mut SplineTrace) {
        Kernel::inverse(self, output, x, trace);
    }

    fn backward(
        &self,
        trace: &mut SplineTrace,
        d_x: &mut Columns,
        d_log_det: f32,
        d_output: &mut Matrix,
    ) {
        Kernel::backward(self, trace, d_x, d_log_det, d_output);
    }
}
