//! Charges as functions of time, in lanes.

use pulp::Simd;

use crate::charging::{ChargeLaw, PULSE_BEGINS, Rise};
use crate::explosion::convoy::relative_ions::RelativeIons;
use crate::explosion::simd::Lanes;

/// Time, and the fraction of a pulse that has passed.
pub(super) type Clock<S> = [Lanes<S>; 2];

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
        let [time, passed] = *clock;
        match self.rise {
            Rise::Exponential { rate } => ((splat(rate) * time).one_minus_exp(), None),
            Rise::Linear { duration } => ((splat(1.0 / duration) * time).min(splat(1.0)), None),
            Rise::Pulse { .. } => (passed, None),
            Rise::Transfer { rate, transfer } => {
                let (a, b) = (splat(rate) * time, splat(transfer) * time);
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
            Rise::Transfer { rate, transfer } => {
                let (made, handed_on) = self.fractions(simd, clock);
                let left = made - handed_on.unwrap_or(zero);
                (splat(rate) * (one - made), Some(splat(transfer) * left))
            }
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
