//! Arithmetic on one number per lane: the operators of `f64`, for as many events at once as a register
//! of the instruction set holds.
//!
//! Every operation is one IEEE operation on each lane (a product and a sum fuse only where
//! [`Lanes::mul_add`] says so), so a lane's result depends neither on its neighbours nor on the
//! instruction set.

use std::ops::{Add, Div, Mul, Sub};
use std::sync::atomic::{AtomicBool, Ordering};

use pulp::{Arch, Simd};

/// Whether [`widest`] is AVX2 at most.
static IS_AVX_512_LEFT: AtomicBool = AtomicBool::new(false);

/// From now on explosions of this process are those of a processor without AVX-512, for measurements. Momenta are the same to the bit.
pub fn leave_avx_512() {
    IS_AVX_512_LEFT.store(true, Ordering::Relaxed);
}

/// The widest instruction set of this machine that is not left alone.
pub(super) fn widest() -> Arch {
    #[cfg(target_arch = "x86_64")]
    if IS_AVX_512_LEFT.load(Ordering::Relaxed) {
        return pulp::x86::V3::try_new().map_or(Arch::Scalar, Arch::V3);
    }
    Arch::new()
}

/// The instruction set whose registers have half the width, where the processor has one.
pub(super) fn narrower(arch: Arch) -> Option<Arch> {
    match arch {
        #[cfg(target_arch = "x86_64")]
        Arch::V4(_) => pulp::x86::V3::try_new().map(Arch::V3),
        _ => None,
    }
}

/// One number of each lane.
#[derive(Clone, Copy)]
pub(super) struct Lanes<S: Simd> {
    simd: S,
    values: S::f64s,
}

/// One truth value of each lane.
#[derive(Clone, Copy)]
pub(super) struct Mask<S: Simd> {
    simd: S,
    values: S::m64s,
}

impl<S: Simd> Lanes<S> {
    /// The same number in every lane.
    #[inline(always)]
    pub(super) fn splat(simd: S, value: f64) -> Self {
        Self { simd, values: simd.splat_f64s(value) }
    }

    /// The number of lane `lane`.
    #[inline(always)]
    pub(super) fn get(&self, lane: usize) -> f64 {
        pulp::bytemuck::cast_slice::<S::f64s, f64>(std::slice::from_ref(&self.values))[lane]
    }

    /// Changes the number of lane `lane`.
    #[inline(always)]
    pub(super) fn set(&mut self, lane: usize, value: f64) {
        let values = std::slice::from_mut(&mut self.values);
        pulp::bytemuck::cast_slice_mut::<S::f64s, f64>(values)[lane] = value;
    }

    /// `self * factor + addend`, rounded once.
    #[inline(always)]
    pub(super) fn mul_add(self, factor: Self, addend: Self) -> Self {
        let values = self.simd.mul_add_f64s(self.values, factor.values, addend.values);
        Self { values, ..self }
    }

    /// `addend - self * factor`, rounded once.
    #[inline(always)]
    pub(super) fn negative_mul_add(self, factor: Self, addend: Self) -> Self {
        let values = self.simd.negate_mul_add_f64s(self.values, factor.values, addend.values);
        Self { values, ..self }
    }

    /// `1 / sqrt(self)` to a few units in the last place, for positive normal numbers.
    ///
    /// Halving the exponent of a float by integer arithmetic (Lomont 2003) gives a start with 1 - e right
    /// bits, `e = 1 - self y^2`, |e| < 0.07; `y (1 - e)^(-1/2)`, developed to order 4 and then to order 2,
    /// leaves less than 1e-18. A quarter of the time of a square root and a division.
    #[inline(always)]
    pub(super) fn inverse_sqrt(self) -> Self {
        let splat = |value| Self::splat(self.simd, value);
        let one = splat(1.0);
        let y = self.inverse_sqrt_start();
        let e = (self * y).negative_mul_add(y, one);
        let low = splat(3.0 / 8.0).mul_add(e, splat(0.5));
        let high = splat(35.0 / 128.0).mul_add(e, splat(5.0 / 16.0));
        let y = (y * e).mul_add(high.mul_add(e * e, low), y);
        let e = (self * y).negative_mul_add(y, one);
        (y * e).mul_add(splat(3.0 / 8.0).mul_add(e, splat(0.5)), y)
    }

    /// `0x5fe6eb50c7b537a9 - bits / 2`, on the halves of the word: what crosses between them does not matter
    /// to an approximation, and there are shifts of 32 bits on every instruction set.
    #[inline(always)]
    fn inverse_sqrt_start(self) -> Self {
        const HIGH: u32 = 0x5fe6_eb50;
        if const { size_of::<S::u32s>() == size_of::<S::f64s>() } {
            let simd = self.simd;
            let bits: S::u32s = pulp::bytemuck::cast(self.values);
            let half = simd.wrapping_dyn_shr_u32s(bits, simd.splat_u32s(1));
            let start = simd.sub_u32s(simd.splat_u32s(HIGH), half);
            Self { values: pulp::bytemuck::cast(start), ..self }
        } else {
            let mut start = self;
            for lane in 0..S::F64_LANES {
                let bits = self.get(lane).to_bits();
                let (high, low) = ((bits >> 32) as u32, bits as u32);
                let high = u64::from(HIGH.wrapping_sub(high >> 1));
                let low = u64::from(HIGH.wrapping_sub(low >> 1));
                start.set(lane, f64::from_bits(high << 32 | low));
            }
            start
        }
    }

    /// `1 - exp(-self)` to a few units in the last place, for numbers not below 0; those above 40 count as 40, where
    /// it is 1.
    ///
    /// A Taylor polynomial for a 128th of the number, which leaves less than 2e-16 of the result, and seven times
    /// `E(2 x) = E(x) (2 - E(x))`, which makes no relative error larger.
    #[inline(always)]
    pub(super) fn one_minus_exp(self) -> Self {
        let splat = |value| Self::splat(self.simd, value);
        let x = self.min(splat(40.0)) * splat(1.0 / 128.0);
        // Coefficients (-1)^n / (n + 1)!, in pairs of neighbours.
        let pair = |low: f64, high: f64| splat(high).mul_add(x, splat(low));
        let square = x * x;
        let fourth = square * square;
        let low = pair(1.0 / 6.0, -1.0 / 24.0).mul_add(square, pair(1.0, -1.0 / 2.0));
        let middle =
            pair(1.0 / 5_040.0, -1.0 / 40_320.0).mul_add(square, pair(1.0 / 120.0, -1.0 / 720.0));
        let high = pair(1.0 / 39_916_800.0, -1.0 / 479_001_600.0)
            .mul_add(square, pair(1.0 / 362_880.0, -1.0 / 3_628_800.0));
        let mut rise = x * high.mul_add(fourth, middle).mul_add(fourth, low);
        let two = splat(2.0);
        for _ in 0..7 {
            rise = rise * (two - rise);
        }
        rise
    }

    #[inline(always)]
    pub(super) fn sqrt(self) -> Self {
        Self { values: self.simd.sqrt_f64s(self.values), ..self }
    }

    /// The greater one; `other` if `self` is not a number.
    #[inline(always)]
    pub(super) fn max(self, other: Self) -> Self {
        self.greater(other).select(self, other)
    }

    /// The lesser one; `other` if `self` is not a number.
    #[inline(always)]
    pub(super) fn min(self, other: Self) -> Self {
        other.greater(self).select(self, other)
    }

    /// `self > other`; false for what is not a number.
    #[inline(always)]
    pub(super) fn greater(self, other: Self) -> Mask<S> {
        let values = self.simd.greater_than_f64s(self.values, other.values);
        Mask { simd: self.simd, values }
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, $instruction:ident) => {
        impl<S: Simd> $trait for Lanes<S> {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self { values: self.simd.$instruction(self.values, other.values), ..self }
            }
        }
    };
}

operator!(Add, add, add_f64s);
operator!(Sub, sub, sub_f64s);
operator!(Mul, mul, mul_f64s);
operator!(Div, div, div_f64s);

impl<S: Simd> Mask<S> {
    #[inline(always)]
    pub(super) fn and(self, other: Self) -> Self {
        Self { values: self.simd.and_m64s(self.values, other.values), ..self }
    }

    /// `yes` where true, `no` where false.
    #[inline(always)]
    pub(super) fn select(self, yes: Lanes<S>, no: Lanes<S>) -> Lanes<S> {
        let values = self.simd.select_f64s(self.values, yes.values, no.values);
        Lanes { simd: self.simd, values }
    }
}

#[cfg(test)]
mod tests {
    use pulp::{Arch, WithSimd};

    use super::*;

    struct InverseSqrt(f64);

    impl WithSimd for InverseSqrt {
        type Output = f64;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> f64 {
            Lanes::splat(simd, self.0).inverse_sqrt().get(0)
        }
    }

    #[test]
    fn inverse_roots_are_right_to_the_last_places() {
        for place in 0..40_000 {
            // Two octaves in fine steps, then the exponents.
            let value = match place {
                0..20_000 => 1.0 + 3.0 * f64::from(place) / 20_000.0,
                _ => 10.0_f64.powf(f64::from(place - 30_000) / 40.0),
            };
            let expected = 1.0 / value.sqrt();
            for found in [Arch::new().dispatch(InverseSqrt(value)), {
                Arch::Scalar.dispatch(InverseSqrt(value))
            }] {
                let error = (found / expected - 1.0).abs();
                assert!(error < 4.0 * f64::EPSILON, "{value:e}: {error:e}");
            }
        }
    }

    struct OneMinusExp(f64);

    impl WithSimd for OneMinusExp {
        type Output = f64;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> f64 {
            Lanes::splat(simd, self.0).one_minus_exp().get(0)
        }
    }

    #[test]
    fn exponentials_are_right_to_the_last_places() {
        let spread = (0..20_000).map(|place| 10.0_f64.powf(f64::from(place - 18_000) / 1_000.0));
        for value in spread.chain([0.0, f64::MIN_POSITIVE, 1e-300, 39.9, 40.0, 1e6]) {
            let expected = -(-value).exp_m1();
            for arch in [Arch::new(), Arch::Scalar] {
                let found = arch.dispatch(OneMinusExp(value));
                let error = (found - expected).abs();
                assert!(error <= 8.0 * f64::EPSILON * expected, "{value:e}: {found} {expected}");
            }
        }
    }

    struct Order(f64, f64);

    impl WithSimd for Order {
        type Output = (f64, f64);

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> (f64, f64) {
            let (a, b) = (Lanes::splat(simd, self.0), Lanes::splat(simd, self.1));
            (a.min(b).get(0), a.max(b).get(0))
        }
    }

    #[test]
    fn least_and_greatest_are_the_other_one_if_one_is_no_number() {
        let order = |a, b| Arch::new().dispatch(Order(a, b));
        assert_eq!(order(1.0, 2.0), (1.0, 2.0));
        assert_eq!(order(f64::INFINITY, -2.0), (-2.0, f64::INFINITY));
        assert_eq!(order(f64::NAN, 2.0), (2.0, 2.0));
        assert!(order(2.0, f64::NAN).0.is_nan());
    }
}
