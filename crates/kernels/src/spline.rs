//! The elementwise part of a rational-quadratic spline coupling (Durkan et al. 2019), with rows in the
//! lanes of a vector. No lane branches: every bin is visited, and the one that counts is selected.
//!
//! ```text
//! sizes     w_i = 2 B (m + (1 - K m) sigma_i),  sigma = softmax(u);  heights h alike
//! slopes    a, b = m + softplus(v + c) at the lower and upper knot; 1 at +-B
//! forward   s = h / w,  xi = (x - x_k) / w,  n = s xi^2 + a xi (1 - xi),
//!           q = s + (a + b - 2 s) xi (1 - xi),  r = n / q,  y = y_k + h r
//! log|det|  2 ln s + ln D - 2 ln q,  D = b xi^2 + 2 s xi (1 - xi) + a (1 - xi)^2
//! backward  du_i = 2 B (1 - K m) sigma_i ([i < k] dx_k + [i = k] dw - sum_j sigma_j (...))
//! ```

use pulp::{Simd, WithSimd};

use crate::elementary::{exp, ln, ln_1p};
use crate::level::Level;
use crate::matrix::{Columns, Matrix};

/// The map of the features from column `kept` on by splines.
#[derive(Debug, Clone, Copy)]
pub struct SplineCoupling {
    /// Instruction set to use.
    pub level: Level,
    /// Features that the coupling leaves alone.
    pub kept: usize,
    /// Bins `K` of a spline.
    pub bins: usize,
    /// Splines act between `-bound` and `bound`.
    pub bound: f32,
    /// Least share of a bin in the interval, and least slope: `m`.
    pub least: f32,
    /// What is added to a raw slope: `c`.
    pub slope_offset: f32,
}

/// What a forward pass keeps for the backward pass.
#[derive(Debug, Clone, Default)]
pub struct SplineTrace {
    /// The subnet's output, with `sigma` in the place of raw sizes; on the way back its gradient.
    output: Columns,
    /// The numbers of [`Kept`] of every feature.
    kept: Columns,
}

/// Columns that a feature keeps.
#[derive(Clone, Copy)]
enum Kept {
    Xi,
    Width,
    Height,
    Lower,
    Upper,
    /// Derivatives of the slopes by their raw values.
    LowerRaw,
    UpperRaw,
    /// Sums of `sigma` below the bin, and that of the bin.
    WidthBelow,
    HeightBelow,
    WidthShare,
    HeightShare,
    /// The number of the bin, -1 beyond the bounds.
    Bin,
}

const KEPT: usize = 12;

impl SplineCoupling {
    /// Outputs of the subnet for `d` features.
    pub fn outputs(&self, d: usize) -> usize {
        (3 * self.bins - 1) * (d - self.kept)
    }

    /// Maps `x` (rows x d) in place, given the subnet's `output`, and adds `log|det J|` to the one
    /// column `log_det`.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn forward(
        &self,
        output: &Matrix,
        x: &mut Columns,
        log_det: &mut Columns,
        trace: &mut SplineTrace,
    ) {
        assert_eq!((log_det.rows(), log_det.columns()), (x.rows(), 1), "shape of log|det|");
        self.take_output(output, x, trace);
        self.level.run(Map { spline: self, x, log_det: Some(log_det), trace });
    }

    /// Undoes the map of `x` (rows x d) in place; `trace` is only working memory.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn inverse(&self, output: &Matrix, x: &mut Columns, trace: &mut SplineTrace) {
        self.take_output(output, x, trace);
        self.level.run(Map { spline: self, x, log_det: None, trace });
    }

    /// Turns the gradient with respect to the mapped `x` into that with respect to `x` before the map,
    /// and writes that of the subnet's output into `d_output`. `d_log_det` is the gradient with respect
    /// to `log|det J|` of every row. Uses up the trace.
    ///
    /// # Panics
    /// If the shapes differ from the forward pass.
    pub fn backward(
        &self,
        trace: &mut SplineTrace,
        d_x: &mut Columns,
        d_log_det: f32,
        d_output: &mut Matrix,
    ) {
        let outputs = self.outputs(d_x.columns());
        let shape = (trace.output.rows(), trace.output.columns());
        assert_eq!(shape, (d_x.rows(), outputs), "shape of the trace");
        self.level.run(Backward { spline: self, trace, d_x, d_log_det });
        d_output.reshape(d_x.rows(), outputs);
        d_output.set_leading(0, &trace.output, outputs);
    }

    fn take_output(&self, output: &Matrix, x: &Columns, trace: &mut SplineTrace) {
        let outputs = self.outputs(x.columns());
        let shape = (output.rows(), output.columns());
        assert_eq!(shape, (x.rows(), outputs), "shape of the subnet's output");
        trace.output.reshape(x.rows(), outputs);
        trace.output.set_matrix(output);
        trace.kept.reshape(x.rows(), KEPT * (x.columns() - self.kept));
    }
}

/// The vector number `index` of a column.
#[inline(always)]
fn get<S: Simd>(columns: &Columns, column: usize, index: usize) -> S::f32s {
    S::as_simd_f32s(columns.padded(column)).0[index]
}

#[inline(always)]
fn set<S: Simd>(columns: &mut Columns, column: usize, index: usize, value: S::f32s) {
    S::as_mut_simd_f32s(columns.padded_mut(column)).0[index] = value;
}

/// Forward with `log_det`, inverse without.
struct Map<'a> {
    spline: &'a SplineCoupling,
    x: &'a mut Columns,
    log_det: Option<&'a mut Columns>,
    trace: &'a mut SplineTrace,
}

impl WithSimd for Map<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { spline, x, mut log_det, trace } = self;
        let SplineCoupling { kept, bins, bound, .. } = *spline;
        let (low_bound, high_bound) = (simd.splat_f32s(-bound), simd.splat_f32s(bound));
        let forward = log_det.is_some();
        let vectors = x.padded(kept).len() / S::F32_LANES;
        for feature in 0..x.columns() - kept {
            let first = feature * (3 * bins - 1);
            for index in 0..vectors {
                let value = get::<S>(x, kept + feature, index);
                let low = simd.less_than_f32s(value, low_bound);
                let high = simd.greater_than_f32s(value, high_bound);
                let clipped = simd.select_f32s(low, low_bound, value);
                let clipped = simd.select_f32s(high, high_bound, clipped);
                let outside = simd.or_m32s(low, high);
                let output = &mut trace.output;
                let segment = spline.segment(simd, output, first, index, clipped, forward);
                let mapped = if let Some(log_det) = log_det.as_deref_mut() {
                    let (y, xi, term) = segment.forward(simd, clipped);
                    let term = simd.select_f32s(outside, simd.splat_f32s(0.0), term);
                    let sum = simd.add_f32s(get::<S>(log_det, 0, index), term);
                    set::<S>(log_det, 0, index, sum);
                    let bin = simd.select_f32s(outside, simd.splat_f32s(-1.0), segment.bin);
                    segment.keep(&mut trace.kept, KEPT * feature, index, xi, bin);
                    y
                } else {
                    segment.inverse(simd, clipped)
                };
                set::<S>(x, kept + feature, index, simd.select_f32s(outside, value, mapped));
            }
        }
    }
}

/// The bin of a number along one axis.
struct Bin<V> {
    start: V,
    size: V,
    below: V,
    share: V,
}

/// The part of the map in one bin.
struct Segment<S: Simd> {
    bin: S::f32s,
    across: Bin<S::f32s>,
    up: Bin<S::f32s>,
    /// The slopes a and b at its ends, and their derivatives by their raw values.
    lower: (S::f32s, S::f32s),
    upper: (S::f32s, S::f32s),
    /// s.
    steepness: S::f32s,
    /// `a + b - 2 s`.
    bend: S::f32s,
}

impl SplineCoupling {
    /// The segment of a number between the bounds, an x on the way `forward` and else a y. Replaces the raw sizes of the
    /// bins, which begin at `first`, by their shares.
    #[inline(always)]
    fn segment<S: Simd>(
        &self,
        simd: S,
        output: &mut Columns,
        first: usize,
        index: usize,
        number: S::f32s,
        forward: bool,
    ) -> Segment<S> {
        let Self { bins, bound, least, slope_offset, .. } = *self;
        let splat = |value: f32| simd.splat_f32s(value);
        let zero = splat(0.0);
        shares::<S>(simd, output, first, bins, index);
        shares::<S>(simd, output, first + bins, bins, index);
        // the axis of the number first: it says which bin
        let place = if forward { first } else { first + bins };
        let mut bin = zero;
        let mut knot = splat(-bound);
        for i in 0..bins - 1 {
            knot = simd.add_f32s(knot, self.size::<S>(simd, get::<S>(output, place + i, index)));
            let above = simd.greater_than_or_equal_f32s(number, knot);
            bin = simd.select_f32s(above, splat(i as f32 + 1.0), bin);
        }
        let across = self.bin::<S>(simd, output, first, index, bin);
        let up = self.bin::<S>(simd, output, first + bins, index, bin);
        let (mut raw_a, mut raw_b) = (zero, zero);
        for i in 0..bins - 1 {
            let raw = get::<S>(output, first + 2 * bins + i, index);
            raw_b = simd.select_f32s(simd.equal_f32s(bin, splat(i as f32)), raw, raw_b);
            raw_a = simd.select_f32s(simd.equal_f32s(bin, splat(i as f32 + 1.0)), raw, raw_a);
        }
        let lower = slope::<S>(simd, raw_a, slope_offset, least);
        let upper = slope::<S>(simd, raw_b, slope_offset, least);
        let steepness = simd.div_f32s(up.size, across.size);
        let bend =
            simd.sub_f32s(simd.add_f32s(lower.0, upper.0), simd.mul_f32s(splat(2.0), steepness));
        Segment { bin, across, up, lower, upper, steepness, bend }
    }
}

impl<S: Simd> Segment<S> {
    /// y, xi and the logarithm of the derivative.
    #[inline(always)]
    fn forward(&self, simd: S, x: S::f32s) -> (S::f32s, S::f32s, S::f32s) {
        let (w, h, s) = (self.across.size, self.up.size, self.steepness);
        let (a, b) = (self.lower.0, self.upper.0);
        let (one, two) = (simd.splat_f32s(1.0), simd.splat_f32s(2.0));
        let xi = simd.div_f32s(simd.sub_f32s(x, self.across.start), w);
        let rest = simd.sub_f32s(one, xi);
        let product = simd.mul_f32s(xi, rest);
        let square = simd.mul_f32s(xi, xi);
        let n = simd.mul_add_e_f32s(a, product, simd.mul_f32s(s, square));
        let q = simd.mul_add_e_f32s(self.bend, product, s);
        let y = simd.add_f32s(self.up.start, simd.div_f32s(simd.mul_f32s(h, n), q));
        let d = simd.mul_f32s(a, simd.mul_f32s(rest, rest));
        let d = simd.mul_add_e_f32s(simd.mul_f32s(two, s), product, d);
        let d = simd.mul_add_e_f32s(b, square, d);
        // 2 ln s + ln D - 2 ln q
        let ratio = simd.div_f32s(s, q);
        (y, xi, simd.mul_add_e_f32s(two, ln(simd, ratio), ln(simd, d)))
    }

    /// x.
    #[inline(always)]
    fn inverse(&self, simd: S, y: S::f32s) -> S::f32s {
        let (w, h, s) = (self.across.size, self.up.size, self.steepness);
        let a = self.lower.0;
        let splat = |value: f32| simd.splat_f32s(value);
        let (one, zero) = (splat(1.0), splat(0.0));
        let rise = simd.sub_f32s(y, self.up.start);
        let sum = simd.mul_f32s(rise, self.bend);
        let qa = simd.mul_add_e_f32s(h, simd.sub_f32s(s, a), sum);
        let qb = simd.sub_f32s(simd.mul_f32s(h, a), sum);
        let qc = simd.mul_f32s(s, rise); // -c
        let root = simd.mul_f32s(simd.mul_f32s(splat(4.0), qa), qc);
        let root = simd.mul_add_e_f32s(qb, qb, root);
        let root = simd.select_f32s(simd.less_than_f32s(root, zero), zero, root);
        let root = simd.sqrt_f32s(root);
        let xi = simd.div_f32s(simd.mul_f32s(splat(2.0), qc), simd.add_f32s(qb, root));
        let xi = simd.select_f32s(simd.less_than_f32s(xi, zero), zero, xi);
        let xi = simd.select_f32s(simd.greater_than_f32s(xi, one), one, xi);
        simd.mul_add_e_f32s(xi, w, self.across.start)
    }

    /// Keeps what the way back needs, in the columns from `first` on.
    #[inline(always)]
    fn keep(&self, kept: &mut Columns, first: usize, index: usize, xi: S::f32s, bin: S::f32s) {
        let Self { across, up, lower, upper, .. } = self;
        for (what, value) in [
            (Kept::Xi, xi),
            (Kept::Width, across.size),
            (Kept::Height, up.size),
            (Kept::Lower, lower.0),
            (Kept::Upper, upper.0),
            (Kept::LowerRaw, lower.1),
            (Kept::UpperRaw, upper.1),
            (Kept::WidthBelow, across.below),
            (Kept::HeightBelow, up.below),
            (Kept::WidthShare, across.share),
            (Kept::HeightShare, up.share),
            (Kept::Bin, bin),
        ] {
            set::<S>(kept, first + what as usize, index, value);
        }
    }
}

/// Replaces raw sizes by `sigma = softmax`.
#[inline(always)]
fn shares<S: Simd>(simd: S, output: &mut Columns, first: usize, bins: usize, index: usize) {
    let mut largest = get::<S>(output, first, index);
    for i in 1..bins {
        let raw = get::<S>(output, first + i, index);
        largest = simd.select_f32s(simd.greater_than_f32s(raw, largest), raw, largest);
    }
    let mut sum = simd.splat_f32s(0.0);
    for i in 0..bins {
        let raw = get::<S>(output, first + i, index);
        let power = exp(simd, simd.sub_f32s(raw, largest));
        sum = simd.add_f32s(sum, power);
        set::<S>(output, first + i, index, power);
    }
    let factor = simd.div_f32s(simd.splat_f32s(1.0), sum);
    for i in 0..bins {
        let power = get::<S>(output, first + i, index);
        set::<S>(output, first + i, index, simd.mul_f32s(power, factor));
    }
}

/// The slope of a raw value, and its derivative.
#[inline(always)]
fn slope<S: Simd>(simd: S, raw: S::f32s, offset: f32, least: f32) -> (S::f32s, S::f32s) {
    let (one, zero) = (simd.splat_f32s(1.0), simd.splat_f32s(0.0));
    let raw = simd.add_f32s(raw, simd.splat_f32s(offset));
    let negative = simd.less_than_f32s(raw, zero);
    let minus_size = simd.select_f32s(negative, raw, simd.sub_f32s(zero, raw));
    let power = exp(simd, minus_size);
    let positive_part = simd.select_f32s(negative, zero, raw);
    let softplus = simd.add_f32s(positive_part, ln_1p(simd, power));
    let numerator = simd.select_f32s(negative, power, one);
    let derivative = simd.div_f32s(numerator, simd.add_f32s(one, power));
    (simd.add_f32s(softplus, simd.splat_f32s(least)), derivative)
}

impl SplineCoupling {
    /// The size of a bin whose share is `sigma`.
    #[inline(always)]
    fn size<S: Simd>(&self, simd: S, sigma: S::f32s) -> S::f32s {
        let range = 2.0 * self.bound;
        let free = simd.splat_f32s(range * (1.0 - self.bins as f32 * self.least));
        simd.mul_add_e_f32s(free, sigma, simd.splat_f32s(range * self.least))
    }

    /// The bin of this number, along the axis whose shares begin at `first`.
    #[inline(always)]
    fn bin<S: Simd>(
        &self,
        simd: S,
        output: &Columns,
        first: usize,
        index: usize,
        bin: S::f32s,
    ) -> Bin<S::f32s> {
        let mut share = get::<S>(output, first, index);
        let zero = simd.splat_f32s(0.0);
        let (mut start, mut below) = (simd.splat_f32s(-self.bound), zero);
        let (mut knot, mut sum) = (start, zero);
        for i in 1..self.bins {
            let sigma = get::<S>(output, first + i - 1, index);
            knot = simd.add_f32s(knot, self.size::<S>(simd, sigma));
            sum = simd.add_f32s(sum, sigma);
            let here = simd.equal_f32s(bin, simd.splat_f32s(i as f32));
            start = simd.select_f32s(here, knot, start);
            below = simd.select_f32s(here, sum, below);
            share = simd.select_f32s(here, get::<S>(output, first + i, index), share);
        }
        Bin { start, size: self.size::<S>(simd, share), below, share }
    }
}

struct Backward<'a> {
    spline: &'a SplineCoupling,
    trace: &'a mut SplineTrace,
    d_x: &'a mut Columns,
    d_log_det: f32,
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { spline, trace, d_x, d_log_det } = self;
        let SplineCoupling { kept, bins, bound, least, .. } = *spline;
        let splat = |value: f32| simd.splat_f32s(value);
        let (one, two, zero) = (splat(1.0), splat(2.0), splat(0.0));
        let mul = |a, b| simd.mul_f32s(a, b);
        let add = |a, b| simd.add_f32s(a, b);
        let sub = |a, b| simd.sub_f32s(a, b);
        let free = splat(2.0 * bound * (1.0 - bins as f32 * least));
        let gl = splat(d_log_det);
        let vectors = d_x.padded(kept).len() / S::F32_LANES;
        for feature in 0..d_x.columns() - kept {
            let first = feature * (3 * bins - 1);
            for index in 0..vectors {
                let of = |what: Kept| get::<S>(&trace.kept, KEPT * feature + what as usize, index);
                let (xi, w, h) = (of(Kept::Xi), of(Kept::Width), of(Kept::Height));
                let (a, b, bin) = (of(Kept::Lower), of(Kept::Upper), of(Kept::Bin));
                let gy = get::<S>(d_x, kept + feature, index);
                let inverse_w = simd.div_f32s(one, w);
                let s = mul(h, inverse_w);
                let rest = sub(one, xi);
                let (product, square) = (mul(xi, rest), mul(xi, xi));
                let bend = sub(add(a, b), mul(two, s));
                let n = add(mul(s, square), mul(a, product));
                let q = add(s, mul(bend, product));
                let inverse_q = simd.div_f32s(one, q);
                let r = mul(n, inverse_q);
                let d =
                    add(mul(b, square), add(mul(mul(two, s), product), mul(a, mul(rest, rest))));
                let inverse_d = simd.div_f32s(one, d);
                let gyh = mul(gy, h);
                let gyhq = mul(gyh, inverse_q);
                let turn = sub(one, mul(two, xi));
                let turn_s = sub(one, mul(two, product));
                // by xi
                let d_xi = mul(two, add(mul(b, xi), sub(mul(s, turn), mul(a, rest))));
                let log_xi = sub(mul(d_xi, inverse_d), mul(two, mul(mul(bend, turn), inverse_q)));
                let value_xi = mul(gyhq, mul(mul(s, d), inverse_q));
                let g_xi = add(value_xi, mul(gl, log_xi));
                // by s
                let log_s = add(simd.div_f32s(two, s), mul(mul(two, product), inverse_d));
                let log_s = sub(log_s, mul(two, mul(turn_s, inverse_q)));
                let g_s = add(mul(gyhq, sub(square, mul(r, turn_s))), mul(gl, log_s));
                // by the slopes
                let log_q = mul(mul(two, product), inverse_q);
                let log_a = sub(mul(mul(rest, rest), inverse_d), log_q);
                let g_a = add(mul(gyhq, mul(product, sub(one, r))), mul(gl, log_a));
                let log_b = sub(mul(square, inverse_d), log_q);
                let g_b = sub(mul(gl, log_b), mul(gyhq, mul(product, r)));
                // by the knots and sizes
                let g_h = add(mul(gy, r), mul(g_s, inverse_w));
                let g_x = mul(g_xi, inverse_w);
                let g_w = sub(zero, mul(inverse_w, add(mul(g_s, s), mul(g_xi, xi))));
                let outside = simd.less_than_f32s(bin, zero);
                let within = |g| simd.select_f32s(outside, zero, g);
                let (g_start, g_w) = (within(sub(zero, g_x)), within(g_w));
                let (g_rise, g_h) = (within(gy), within(g_h));
                let g_a = within(mul(g_a, of(Kept::LowerRaw)));
                let g_b = within(mul(g_b, of(Kept::UpperRaw)));
                let mean_w =
                    add(mul(g_start, of(Kept::WidthBelow)), mul(g_w, of(Kept::WidthShare)));
                let mean_h =
                    add(mul(g_rise, of(Kept::HeightBelow)), mul(g_h, of(Kept::HeightShare)));
                set::<S>(d_x, kept + feature, index, simd.select_f32s(outside, gy, g_x));
                let output = &mut trace.output;
                for i in 0..bins {
                    let number = splat(i as f32);
                    let here = simd.equal_f32s(bin, number);
                    let below = simd.less_than_f32s(number, bin);
                    for (place, g_before, g_here, mean) in
                        [(first + i, g_start, g_w, mean_w), (first + bins + i, g_rise, g_h, mean_h)]
                    {
                        let g = simd.select_f32s(here, g_here, zero);
                        let g = simd.select_f32s(below, g_before, g);
                        let sigma = mul(free, get::<S>(output, place, index));
                        set::<S>(output, place, index, mul(sigma, sub(g, mean)));
                    }
                }
                for i in 0..bins - 1 {
                    let upper = simd.equal_f32s(bin, splat(i as f32));
                    let lower = simd.equal_f32s(bin, splat(i as f32 + 1.0));
                    let g = simd.select_f32s(upper, g_b, zero);
                    let g = simd.select_f32s(lower, g_a, g);
                    set::<S>(output, first + 2 * bins + i, index, g);
                }
            }
        }
    }
}
