//! Numbers of draws side by side, in steps that every processor takes in vectors and that give the same bits on all.

/// Draws that are worked on side by side.
pub(crate) const LANES: usize = 4;
/// A number of each of them.
pub(crate) type Block = [f64; LANES];

/// Nats below which `exp` is taken for nothing.
const FAR: f64 = -36.0;

/// `sum + a b`.
#[inline(always)]
pub(crate) fn plus_product(sum: Block, a: Block, b: Block) -> Block {
    let mut result = [0.0; LANES];
    for lane in 0..LANES {
        result[lane] = sum[lane] + a[lane] * b[lane];
    }
    result
}

/// `sum + factor (a - origin)`.
#[inline(always)]
pub(crate) fn plus_step(sum: Block, factor: f64, a: Block, origin: f64) -> Block {
    let mut result = [0.0; LANES];
    for lane in 0..LANES {
        result[lane] = sum[lane] + factor * (a[lane] - origin);
    }
    result
}

/// `a + b`.
#[inline(always)]
pub(crate) fn plus(a: Block, b: Block) -> Block {
    plus_product(a, [1.0; LANES], b)
}

/// `a b`.
#[inline(always)]
pub(crate) fn times(a: Block, b: Block) -> Block {
    let mut result = [0.0; LANES];
    for lane in 0..LANES {
        result[lane] = a[lane] * b[lane];
    }
    result
}

/// The larger ones.
#[inline(always)]
pub(crate) fn larger(a: Block, b: Block) -> Block {
    let mut result = [0.0; LANES];
    for lane in 0..LANES {
        result[lane] = if a[lane] > b[lane] { a[lane] } else { b[lane] };
    }
    result
}

/// The sum over the draws.
#[inline(always)]
pub(crate) fn added([a, b, c, d]: Block) -> f64 {
    (a + b) + (c + d)
}

/// `exp` of numbers that are not above 0, to two units in the last place; 0 below -36.
///
/// `exp(x) = 2^n exp(r)` with `n = round(x / ln 2)`, and Taylor's series to the thirteenth order in `|r| <= ln 2 / 2`.
#[inline(always)]
pub(crate) fn exp(x: Block) -> Block {
    // Adding 1.5 * 2^52 rounds to an integer, which then stands in the low bits.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    // ln 2 in two parts, the first exact in few bits so that n times it is exact.
    const LN_2: [f64; 2] = [f64::from_bits(0x3fe6_2e42_fee0_0000), 1.908_214_929_270_587_7e-10];
    let bounded = larger(x, [FAR; LANES]);
    let shifted = plus_step([ROUND; LANES], std::f64::consts::LOG2_E, bounded, 0.0);
    let n = plus_step([0.0; LANES], 1.0, shifted, ROUND);
    let r = plus_step(plus_step(bounded, -LN_2[0], n, 0.0), -LN_2[1], n, 0.0);
    let mut series = [0.0; LANES];
    for coefficient in COEFFICIENTS {
        series = plus_product([coefficient; LANES], series, r);
    }
    let mut powers = [0.0; LANES];
    for lane in 0..LANES {
        let power = (shifted[lane].to_bits() << 52).wrapping_add(1.0_f64.to_bits());
        powers[lane] = if x[lane] < FAR { 0.0 } else { f64::from_bits(power) };
    }
    times(series, powers)
}

/// `1 / k!` from the thirteenth down.
const COEFFICIENTS: [f64; 14] = {
    let mut all = [1.0; 14];
    let mut k = 1;
    while k < 14 {
        let mut place = 0;
        while place < 14 - k {
            all[place] /= k as f64;
            place += 1;
        }
        k += 1;
    }
    all
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_that_of_the_library() {
        for place in 0..=36_000 {
            let x = -0.001 * f64::from(place);
            let [found, ..] = exp([x; 4]);
            assert!((found / x.exp() - 1.0).abs() < 5e-16, "{x} {found}");
        }
        assert_eq!(exp([0.0, -36.001, f64::NEG_INFINITY, -1000.0]), [1.0, 0.0, 0.0, 0.0]);
    }
}
