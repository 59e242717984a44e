//! `exp`, `tanh` and `erf` on vectors of `f32`, exact to a few units in the last place; NaN stays NaN.

use pulp::{Simd, WithSimd};

use crate::level::Level;

/// `exp` of every number, in place: 0 below the smallest normal number, infinite above the largest.
pub fn exp_of_all(level: Level, values: &mut [f32]) {
    level.run(ExpOfAll { values });
}

struct ExpOfAll<'a> {
    values: &'a mut [f32],
}

impl WithSimd for ExpOfAll<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (vectors, rest) = S::as_mut_simd_f32s(self.values);
        for vector in vectors {
            *vector = exp(simd, *vector);
        }
        let last = exp(simd, simd.partial_load_f32s(rest));
        simd.partial_store_f32s(rest, last);
    }
}

/// Bounds between which `exp` is a normal number.
const LOW: f32 = -87.33;
const HIGH: f32 = 88.722_83;

/// `exp(x)`: 0 below the smallest normal number, infinite above the largest.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let splat = |value| simd.splat_f32s(value);
    let too_low = simd.less_than_f32s(x, splat(LOW));
    let too_high = simd.greater_than_f32s(x, splat(HIGH));
    let bounded = simd.select_f32s(too_low, splat(LOW), x);
    let bounded = simd.select_f32s(too_high, splat(HIGH), bounded);
    let value = simd.select_f32s(too_low, splat(0.0), exp_within(simd, bounded));
    simd.select_f32s(too_high, splat(f32::INFINITY), value)
}

/// `exp(x) - 1` of what is not above 0.
#[inline(always)]
pub(crate) fn exp_m1_of_negative<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let too_low = simd.less_than_f32s(x, simd.splat_f32s(LOW));
    let bounded = simd.select_f32s(too_low, simd.splat_f32s(LOW), x);
    simd.sub_f32s(exp_within(simd, bounded), simd.splat_f32s(1.0))
}

/// `exp(x)` between [`LOW`] and [`HIGH`]: `2^n exp(r)` with `n = round(x / ln 2)` and a polynomial in
/// `|r| <= ln 2 / 2` (Cephes).
#[inline(always)]
fn exp_within<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // Adding 1.5 * 2^23 rounds to an integer, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let splat = |value| simd.splat_f32s(value);
    let shifted = simd.mul_add_e_f32s(x, splat(std::f32::consts::LOG2_E), splat(ROUND));
    let n = simd.sub_f32s(shifted, splat(ROUND));
    // ln 2 in two parts, the first exact in few bits so that n times it is exact.
    let r = simd.mul_add_e_f32s(n, splat(-0.693_359_4), x);
    let r = simd.mul_add_e_f32s(n, splat(2.121_944_4e-4), r);
    let p = horner(
        simd,
        r,
        [0.000_198_756_91, 0.001_398_2, 0.008_333_452, 0.041_665_796, 0.166_666_65, 0.5],
    );
    let p = simd.mul_add_e_f32s(p, simd.mul_f32s(r, r), simd.add_f32s(r, splat(1.0)));
    let power = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    simd.transmute_f32s_u32s(simd.add_u32s(simd.transmute_u32s_f32s(p), power))
}

/// Hyperbolic tangent: a rational function of odd degree 13 over even degree 6 (Eigen).
#[inline(always)]
pub(crate) fn tanh<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let x = within(simd, x, 7.905_311);
    let x2 = simd.mul_f32s(x, x);
    let numerator = horner(
        simd,
        x2,
        [
            -2.760_768_5e-16,
            2.000_188e-13,
            -8.604_672e-11,
            5.122_297e-8,
            1.485_722_4e-5,
            6.372_619_4e-4,
            4.893_525e-3,
        ],
    );
    let denominator =
        horner(simd, x2, [1.198_258_4e-6, 1.185_347e-4, 2.268_434_7e-3, 4.893_525_3e-3]);
    simd.div_f32s(simd.mul_f32s(x, numerator), denominator)
}

/// The error function: a rational function of odd degree 13 over even degree 8 (XLA).
#[inline(always)]
pub(crate) fn erf<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let x = within(simd, x, 4.0);
    let x2 = simd.mul_f32s(x, x);
    let numerator = horner(
        simd,
        x2,
        [
            -2.726_142_3e-10,
            2.770_681_4e-8,
            -2.101_024e-6,
            -5.692_506_5e-5,
            -7.349_906_4e-4,
            -2.954_6e-3,
            -1.609_603_4e-2,
        ],
    );
    let denominator = horner(
        simd,
        x2,
        [-1.456_606_9e-5, -2.133_740_5e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2],
    );
    simd.div_f32s(simd.mul_f32s(x, numerator), denominator)
}

/// `ln(x)` of positive normal numbers.
///
/// `ln(x) = n ln 2 + ln(m)` with `m` from `sqrt(1/2)` to `sqrt(2)` and a polynomial in `m - 1` (Cephes).
#[inline(always)]
pub(crate) fn ln<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // The bits of sqrt(1/2): what lies above them in the bits of x counts from that mantissa on.
    const ROOT_HALF: u32 = 0x3f35_04f3;
    // 2^23: with this exponent an integer stands in the low bits.
    const INTEGER: u32 = 0x4b00_0000;
    let splat = |value| simd.splat_f32s(value);
    let offset = 0x3f80_0000 - ROOT_HALF;
    let bits = simd.add_u32s(simd.transmute_u32s_f32s(x), simd.splat_u32s(offset));
    let exponent = simd.wrapping_dyn_shr_u32s(bits, simd.splat_u32s(23));
    let n = simd.transmute_f32s_u32s(simd.or_u32s(exponent, simd.splat_u32s(INTEGER)));
    let n = simd.sub_f32s(n, splat(8_388_608.0 + 127.0));
    let mantissa = simd.and_u32s(bits, simd.splat_u32s(0x007f_ffff));
    let mantissa = simd.add_u32s(mantissa, simd.splat_u32s(ROOT_HALF));
    let r = simd.sub_f32s(simd.transmute_f32s_u32s(mantissa), splat(1.0));
    let square = simd.mul_f32s(r, r);
    let p = horner(
        simd,
        r,
        [
            7.037_683_6e-2,
            -1.151_461e-1,
            1.167_699_9e-1,
            -1.242_014_1e-1,
            1.424_932_3e-1,
            -1.666_805_7e-1,
            2.000_071_5e-1,
            -2.499_999_4e-1,
            3.333_333e-1,
        ],
    );
    let p = simd.mul_f32s(simd.mul_f32s(r, square), p);
    let p = simd.mul_add_e_f32s(n, splat(-2.121_944_4e-4), p);
    let p = simd.mul_add_e_f32s(splat(-0.5), square, p);
    simd.mul_add_e_f32s(n, splat(0.693_359_4), simd.add_f32s(r, p))
}

/// `ln(1 + x)` for `x` from 0 to 1: `ln(1 + x)` as rounded, times `x` over what the rounding left of it.
#[inline(always)]
pub(crate) fn ln_1p<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    let sum = simd.add_f32s(one, x);
    let left = simd.sub_f32s(sum, one);
    let nothing = simd.equal_f32s(sum, one);
    let left = simd.select_f32s(nothing, one, left);
    let value = simd.mul_f32s(ln(simd, sum), simd.div_f32s(x, left));
    simd.select_f32s(nothing, x, value)
}

/// `x` within `+-bound`.
#[inline(always)]
fn within<S: Simd>(simd: S, x: S::f32s, bound: f32) -> S::f32s {
    let (low, high) = (simd.splat_f32s(-bound), simd.splat_f32s(bound));
    let x = simd.select_f32s(simd.less_than_f32s(x, low), low, x);
    simd.select_f32s(simd.greater_than_f32s(x, high), high, x)
}

/// The polynomial in `x` whose coefficients are given from the highest power down.
#[inline(always)]
fn horner<S: Simd, const N: usize>(simd: S, x: S::f32s, coefficients: [f32; N]) -> S::f32s {
    let mut value = simd.splat_f32s(coefficients[0]);
    for &coefficient in &coefficients[1..] {
        value = simd.mul_add_e_f32s(value, x, simd.splat_f32s(coefficient));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;
    use pulp::WithSimd;

    #[derive(Clone, Copy, Debug)]
    enum Function {
        Exp,
        Tanh,
        Erf,
        Ln,
        LnOnePlus,
    }

    struct Apply<'a>(Function, &'a [f32]);

    impl WithSimd for Apply<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
            let mut values = self.1.to_vec();
            for chunk in values.chunks_mut(S::F32_LANES) {
                let x = simd.partial_load_f32s(chunk);
                let value = match self.0 {
                    Function::Exp => exp(simd, x),
                    Function::Tanh => tanh(simd, x),
                    Function::Erf => erf(simd, x),
                    Function::Ln => ln(simd, x),
                    Function::LnOnePlus => ln_1p(simd, x),
                };
                simd.partial_store_f32s(chunk, value);
            }
            values
        }
    }

    /// Relative to the exact value, over the whole range in which it is a normal number.
    #[test]
    fn functions_are_exact_to_a_millionth() {
        let cases = [
            (Function::Exp, f64::exp as fn(f64) -> f64, 87.3f32),
            (Function::Tanh, f64::tanh, 20.0),
            (Function::Erf, libm::erf, 6.0),
        ];
        for level in Level::all() {
            for (function, exact, range) in cases {
                let spread = (-50_000..=50_000).map(|i| i as f32 / 50_000.0 * range);
                let small = (0..400).map(|i| 1.1f32.powi(-i));
                let x: Vec<f32> = spread.chain(small).collect();
                for (x, value) in x.iter().zip(level.run(Apply(function, &x))) {
                    let exact = exact(f64::from(*x));
                    let error = (f64::from(value) - exact).abs() / exact.abs().max(1e-30);
                    assert!(error < 1e-6 || *x == 0.0, "{level:?} {function:?}({x}): {error}");
                }
            }
        }
    }

    #[test]
    fn exp_of_all_reaches_every_number() {
        for level in Level::all() {
            for count in [0, 1, 7, 16, 37] {
                let x: Vec<f32> = (0..count).map(|i| i as f32 / 3.0 - 5.0).collect();
                let mut values = x.clone();
                exp_of_all(level, &mut values);
                assert_eq!(values, level.run(Apply(Function::Exp, &x)), "{level:?}, {count}");
            }
        }
    }

    #[test]
    fn logarithms_are_exact_to_a_millionth() {
        let powers: Vec<f32> = (-80_000..80_000).map(|i| (i as f32 / 1_000.0).exp()).collect();
        let small: Vec<f32> = powers.iter().copied().filter(|x| *x <= 1.0).collect();
        for level in Level::all() {
            for (x, value) in powers.iter().zip(level.run(Apply(Function::Ln, &powers))) {
                let exact = f64::from(*x).ln();
                // near x = 1 relative to the argument, whose rounding is all that there is
                let error = (f64::from(value) - exact).abs() / exact.abs().max(1e-3);
                assert!(error < 1e-6, "{level:?} ln({x}): {error}");
            }
            for (x, value) in small.iter().zip(level.run(Apply(Function::LnOnePlus, &small))) {
                let exact = f64::from(*x).ln_1p();
                let error = (f64::from(value) - exact).abs() / exact;
                assert!(error < 1e-6, "{level:?} ln(1 + {x}): {error}");
            }
        }
    }

    #[test]
    fn extremes_are_safe() {
        let extremes =
            [f32::INFINITY, f32::MAX, -f32::INFINITY, -f32::MAX, 0.0, 1e-40, 88.73, -110.0];
        for level in Level::all() {
            let values = |function| level.run(Apply(function, &extremes));
            let infinite = f32::INFINITY;
            assert_eq!(
                values(Function::Exp),
                [infinite, infinite, 0.0, 0.0, 1.0, 1.0, infinite, 0.0]
            );
            for function in [Function::Tanh, Function::Erf] {
                let expected = [1.0, 1.0, -1.0, -1.0, 0.0, 0.0, 1.0, -1.0];
                for (value, expected) in values(function).iter().zip(expected) {
                    assert!((value - expected).abs() < 2e-7, "{level:?} {function:?}: {value}");
                }
            }
            for function in [Function::Exp, Function::Tanh, Function::Erf] {
                assert!(
                    level.run(Apply(function, &[f32::NAN]))[0].is_nan(),
                    "{level:?} {function:?}"
                );
            }
        }
    }
}
