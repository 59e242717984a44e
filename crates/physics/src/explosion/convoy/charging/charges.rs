//! Charges as functions of time, in lanes.

use pulp::Simd;

use crate::charging::{ChargeLaw, EXPONENTIAL_ENDS, PULSE_BEGINS, Rise};
use crate::explosion::convoy::relative_ions::RelativeIons;
use crate::explosion::simd::Lanes;

/// Time, and the fraction of a pulse that has passed, or the rate of a transfer.
pub(super) type Clock<S> = [Lanes<S>; 2];

/// The clock when an explosion begins.
pub(super) fn clock_at_start(rise: Rise) -> [f64; 2] {
    match rise {
        Rise::Transfer { transfer, .. } => [0.0, transfer],
        _ => [0.0, rise.fractions(0.0)[0]],
    }
}

/// `1 / (k + 2)!`: the series of `(exp(d) - 1 - d) / d^2`.
const INVERSE_FACTORIALS: [f64; 11] = [
    1.0 / 2.0,
    1.0 / 6.0,
    1.0 / 24.0,
    1.0 / 120.0,
    1.0 / 720.0,
    1.0 / 5040.0,
    1.0 / 40320.0,
    1.0 / 362_880.0,
    1.0 / 3_628_800.0,
    1.0 / 39_916_800.0,
    1.0 / 479_001_600.0,
];
/// Where it is taken: to 1e-14 there.
const SMALL: f64 = 0.5;

/// The charges of M + 1 ions as functions of the clock.
pub(super) struct Charges<const M: usize> {
    /// `[c_0, c_1, c_2]` of ion j, see [`ChargeLaw`].
    coefficients: [[f64; 3]; M],
    of_reference: [f64; 3],
    pub(super) rise: Rise,
}

/// The fractions `F` and `G`, the latter where charge is handed on.
pub(super) type Fractions<S> = (Lanes<S>, Option<Lanes<S>>);

impl<const M: usize> Charges<M> {
    pub(super) fn new<const EXACT: bool>(law: &ChargeLaw, ions: &RelativeIons<M, EXACT>) -> Self {
        let of = |place: usize| law.coefficients[place];
        Self {
            coefficients: std::array::from_fn(|j| of(ions.places[j])),
            of_reference: of(ions.reference()),
            rise: law.rise,
        }
    }

    #[inline(always)]
    fn fractions<S: Simd>(&self, simd: S, clock: &Clock<S>) -> Fractions<S> {
        let splat = |value| Lanes::splat(simd, value);
        let [time, second] = *clock;
        match self.rise {
            Rise::Exponential { rate } => ((splat(rate) * time).one_minus_exp(), None),
            Rise::Linear { duration } => ((splat(1.0 / duration) * time).min(splat(1.0)), None),
            Rise::Pulse { .. } => (second, None),
            Rise::Transfer { rate, .. } => {
                let (a, b) = (splat(rate) * time, second * time);
                let (slow, fast) = (a.min(b), a.max(b));
                let apart = (fast - slow).max(splat(f64::MIN_POSITIVE));
                let of_slow = slow.one_minus_exp();
                let quotient = (splat(1.0) - of_slow) * (apart.one_minus_exp() / apart);
                (a.one_minus_exp(), Some(slow.negative_mul_add(quotient, of_slow)))
            }
        }
    }

    /// Derivatives of the fractions by time. That of a pulse is also the derivative of its component of the clock.
    #[inline(always)]
    pub(super) fn rates<S: Simd>(&self, simd: S, clock: &Clock<S>) -> Fractions<S> {
        let splat = |value| Lanes::splat(simd, value);
        let (zero, one) = (splat(0.0), splat(1.0));
        match self.rise {
            Rise::Exponential { rate } => {
                (splat(rate) * (one - self.fractions(simd, clock).0), None)
            }
            Rise::Linear { duration } => {
                let growing = splat(duration).greater(clock[0]);
                (growing.select(splat(1.0 / duration), zero), None)
            }
            Rise::Pulse { rate } => {
                let z = splat(rate) * clock[0] - splat(PULSE_BEGINS);
                let bell = one - (splat(0.5) * z * z).one_minus_exp();
                (splat(rate / std::f64::consts::TAU.sqrt()) * bell, None)
            }
            Rise::Transfer { rate, .. } => {
                let (made, handed_on) = self.fractions(simd, clock);
                let left = made - handed_on.unwrap_or(zero);
                (splat(rate) * (one - made), Some(clock[1] * left))
            }
        }
    }

    /// `dG/dR` of a transfer, and zero for others: `t a exp(-b) (exp(d) - 1 - d) / d^2` with `d = b - a`.
    #[inline(always)]
    pub(super) fn by_transfer<S: Simd>(&self, simd: S, clock: &Clock<S>) -> Lanes<S> {
        let splat = |value| Lanes::splat(simd, value);
        let (zero, one) = (splat(0.0), splat(1.0));
        let Rise::Transfer { rate, .. } = self.rise else { return zero };
        let (a, b) = (splat(rate) * clock[0], clock[1] * clock[0]);
        let (left_a, left_b) = (one - a.one_minus_exp(), one - b.one_minus_exp());
        let d = b - a;
        // The series where the difference loses digits.
        let mut series = splat(INVERSE_FACTORIALS[INVERSE_FACTORIALS.len() - 1]);
        for factor in INVERSE_FACTORIALS.iter().rev().skip(1) {
            series = series.mul_add(d, splat(*factor));
        }
        let square = (d * d).max(splat(f64::MIN_POSITIVE));
        let plain = (left_a - left_b * (one + d)) / square;
        let is_small = splat(SMALL * SMALL).greater(d * d);
        clock[0] * a * is_small.select(left_b * series, plain)
    }

    /// The shortest time in which charges change much.
    #[inline(always)]
    pub(super) fn time_scale<S: Simd>(&self, simd: S, clock: &Clock<S>) -> Lanes<S> {
        let splat = |value| Lanes::splat(simd, value);
        match self.rise {
            Rise::Transfer { rate, .. } => splat(1.0) / splat(rate).max(clock[1]),
            rise => splat(rise.time_scale()),
        }
    }

    /// The time from which on the charges are complete.
    #[inline(always)]
    pub(super) fn complete_at<S: Simd>(&self, simd: S, clock: &Clock<S>) -> Lanes<S> {
        let splat = |value| Lanes::splat(simd, value);
        match self.rise {
            Rise::Transfer { rate, .. } => splat(EXPONENTIAL_ENDS) / splat(rate).min(clock[1]),
            rise => splat(rise.complete_at()),
        }
    }

    /// Rate of the clock by time.
    #[inline(always)]
    pub(super) fn ticking<S: Simd>(&self, simd: S, clock: &Clock<S>) -> Clock<S> {
        let (zero, one) = (Lanes::splat(simd, 0.0), Lanes::splat(simd, 1.0));
        match self.rise {
            Rise::Pulse { .. } => [one, self.rates(simd, clock).0],
            _ => [one, zero],
        }
    }

    /// What `c_0`, `c_1`, `c_2` give with 1, `F` and `G`: the charges, and that of the reference.
    #[inline(always)]
    pub(super) fn combined<S: Simd>(
        &self,
        simd: S,
        others: usize,
        constant: f64,
        (made, handed_on): Fractions<S>,
    ) -> ([Lanes<S>; M], Lanes<S>) {
        let splat = |value| Lanes::splat(simd, value);
        let of = |[c_0, c_1, c_2]: [f64; 3]| {
            let charge = splat(c_1).mul_add(made, splat(constant * c_0));
            match handed_on {
                None => charge,
                Some(handed_on) => splat(c_2).mul_add(handed_on, charge),
            }
        };
        let mut charges = [splat(0.0); M];
        for j in 0..others {
            charges[j] = of(self.coefficients[j]);
        }
        (charges, of(self.of_reference))
    }

    #[inline(always)]
    pub(super) fn charges<S: Simd>(
        &self,
        simd: S,
        others: usize,
        clock: &Clock<S>,
    ) -> ([Lanes<S>; M], Lanes<S>) {
        self.combined(simd, others, 1.0, self.fractions(simd, clock))
    }
}
