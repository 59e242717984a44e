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
use rand_chacha::ChaCha8Rng;

use crate::config::SubnetConfig;
use crate::coupling::{merge, split, subnet_input};
use crate::subnet::Subnet;

/// Least width and height of a bin, as a share of the interval, and least slope.
pub(crate) const LEAST: f64 = 1e-3;

/// `x2'` is a spline of `x2` whose knots come from `NN([x1, y])`; `x1`, the first floor(d/2)
/// features, is kept.
#[derive(Module, Debug)]
pub struct SplineCoupling {
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

impl SplineCoupling {
    /// A coupling for `x_columns` features; starts as the identity.
    pub fn new(
        subnet: &SubnetConfig,
        (bins, bound): (usize, f64),
        x_columns: usize,
        y_columns: usize,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Self {
        let kept = x_columns / 2;
        let outputs = (3 * bins - 1) * (x_columns - kept);
        let subnet = Subnet::new(subnet, kept + y_columns, outputs, rng, device);
        Self { subnet, kept, bins, bound }
    }

    /// Gives the mapped features (`n` x `d`) and `log|det J|` (`n` x 1).
    pub fn forward(&self, x: Tensor<2>, y: Tensor<2>, key: Option<u64>) -> (Tensor<2>, Tensor<2>) {
        let (x1, x2) = split(x, self.kept);
        let knots = self.knots(self.subnet.forward(subnet_input(&x1, y), key));
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
        (merge(x1, value), log_slope.mask_fill(outside, 0.0).sum_dim(1))
    }

    /// Undoes [`Self::forward`].
    pub fn inverse(&self, x: Tensor<2>, y: Tensor<2>) -> Tensor<2> {
        let (x1, x2) = split(x, self.kept);
        let knots = self.knots(self.subnet.forward(subnet_input(&x1, y), None));
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
pub(crate) fn unit_slope() -> f64 {
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
