//! How the ions come to their charges: at once, or in a time in which they already fly apart.
//!
//! # Laws
//! `q` is an atom's final charge (that of the molecule), `q0` its initial one, `t` the time since the
//! explosion began.
//! ```text
//! instantaneous   q(t) = q
//! exponential     q(t) = q0 + (q - q0) (1 - exp(-t / tau))
//! linear          q(t) = q0 + (q - q0) min(t / tau, 1)
//! pulse           q(t) = q0 + (q - q0) Phi(t / sigma - 4),   sigma = FWHM / sqrt(8 ln 2)
//! ```
//! with the cumulative normal distribution `Phi`: the charge follows the fluence of a Gaussian pulse, whose maximum
//! is 4 sigma after the start. `Phi(-4) = 3.2e-5` of it has passed then.
//!
//! # Transfer
//! X-rays ionise a molecule at its heavy atom, from which charge is handed on to the others: the model of two
//! parameters, a time of charge build-up `tau` and a rate of transfer `R`, of Motomura et al., J. Phys. Chem.
//! Lett. 6, 2944 (2015). Taken as the model here is the linear kinetics of those two steps that
//! ends at given final charges. Of the charge made on the heavy atom h, the part `S = q_h - q0_h` stays, and the
//! part `D = sum (q_i - q0_i)` over the other atoms is handed on. Both are made by the same exponential
//! law, and each charge yet to be handed on is so with the rate `R`, to atom i with the probability `(q_i - q0_i) / D`:
//! ```text
//! du/dt = (D / tau) exp(-t / tau) - R u          u: charge on h that is still to be handed on
//! q_h = q0_h + S F + u                           F = 1 - exp(-t / tau)
//! q_i = q0_i + (q_i - q0_i) G                    dG/dt = R u / D
//! ```
//! From rest (`u = G = 0`) its solution is `u = D (F - G)` and, with `a = t / tau` and `b = R t`,
//! `G = 1 - (b exp(-a) - a exp(-b)) / (b - a)`, symmetric in both; `1 - (1 + a) exp(-a)` where they are equal.
//! The total charge is `sum q0 + (S + D) F`. `R -> infinity` is the exponential law. The rate is a constant: it does
//! not fall with the distance of the ions, as over-the-barrier models have it.
//!
//! # Times that differ between events
//! Coulomb's law has no length of its own: with `x -> l x`, `t -> l^(3/2) t`, `p -> p / sqrt(l)` a solution remains
//! one. So an event whose charges take the time `tau` is that of the time `tau_0` at `l x`, `l = (tau_0 / tau)^(2/3)`:
//! ```text
//! p(x, tau) = sqrt(l) p_0(l x),   dp/dtau = -2 / (3 tau) (p / 2 + sum x_k dp/dx_k)
//! ```
//! All events of a simulation fly by one law, `tau_0`, whatever their times. A rate of transfer `R` becomes `R / l^(3/2)`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{SimulationConfigError, require};
use crate::molecule::Molecule;
use crate::nuisance::{Nuisance, Quantity};
use crate::units::TIME_AU_FS;

/// Standard deviations of a pulse before its maximum at which the explosion begins.
pub(crate) const PULSE_BEGINS: f64 = 4.0;
/// Standard deviations after its maximum at which less than 1e-12 of a pulse is left.
const PULSE_ENDS: f64 = 7.2;
/// Time constants after which less than 1e-12 of an exponential is left, and of one after another.
pub(crate) const EXPONENTIAL_ENDS: f64 = 32.0;
/// The time by whose law events fly where each has its own.
const REFERENCE_FS: f64 = 10.0;

/// How the ions come to their charges. Charges before it are `initial_charges`, by atom (elementary charges); atoms
/// that are not named start neutral.
///
/// ```toml
/// [charging]
/// kind = "exponential"
/// tau_fs = 10.0
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Charging {
    /// Final charges from the start, the default.
    // The braces make unknown keys an error here too.
    Instantaneous {},
    /// All charges approach their final values exponentially.
    Exponential {
        /// Time constant.
        #[schemars(extend("exclusiveMinimum" = 0))]
        tau_fs: Quantity,
        /// Charges at the start.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        initial_charges: BTreeMap<String, f64>,
    },
    /// All charges grow evenly.
    Linear {
        /// Time after which they are complete.
        #[schemars(extend("exclusiveMinimum" = 0))]
        tau_fs: Quantity,
        /// Charges at the start.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        initial_charges: BTreeMap<String, f64>,
    },
    /// All charges follow the fluence of a Gaussian pulse.
    Pulse {
        /// Full width at half maximum of its intensity.
        #[schemars(extend("exclusiveMinimum" = 0))]
        fwhm_fs: Quantity,
        /// Charges at the start.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        initial_charges: BTreeMap<String, f64>,
    },
    /// Charge is made on one atom and handed on to the others.
    Transfer {
        /// Label of the atom that is ionised.
        atom: String,
        /// Time constant with which charge is made.
        #[schemars(extend("exclusiveMinimum" = 0))]
        tau_fs: Quantity,
        /// Rate at which it is handed on.
        #[schemars(extend("exclusiveMinimum" = 0))]
        rate_per_fs: Quantity,
        /// Charges at the start.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        initial_charges: BTreeMap<String, f64>,
    },
}

impl Default for Charging {
    fn default() -> Self {
        Self::Instantaneous {}
    }
}

impl Charging {
    /// Whether the ions have their final charges from the start.
    pub fn is_instantaneous(&self) -> bool {
        *self == Self::default()
    }

    /// Charges at the start, by atom; those that are not said are none.
    #[must_use]
    pub fn initial_charges(&self) -> Option<&BTreeMap<String, f64>> {
        match self {
            Self::Instantaneous {} => None,
            Self::Exponential { initial_charges, .. }
            | Self::Linear { initial_charges, .. }
            | Self::Pulse { initial_charges, .. }
            | Self::Transfer { initial_charges, .. } => Some(initial_charges),
        }
    }

    /// The key of the time in which charges come, which is in fs; exponential charging stands for charges that are
    /// there at once, as in [`Charging::with_time`].
    pub fn time_key(&self) -> &'static str {
        self.quantities().first().map_or("tau_fs", |(key, _)| key)
    }

    /// The same law with this time (fs, above 0) for all events: exponential charging of neutral atoms in the place
    /// of charges that are there at once.
    #[must_use]
    pub fn with_time(&self, fs: f64) -> Self {
        let time = Quantity::Fixed(fs);
        let mut charging = self.clone();
        match &mut charging {
            Self::Instantaneous {} => {
                return Self::Exponential { tau_fs: time, initial_charges: BTreeMap::new() };
            }
            Self::Exponential { tau_fs, .. }
            | Self::Linear { tau_fs, .. }
            | Self::Transfer { tau_fs, .. } => *tau_fs = time,
            Self::Pulse { fwhm_fs, .. } => *fwhm_fs = time,
        }
        charging
    }

    /// Checks the numbers, and that the molecule has the named atoms.
    ///
    /// # Errors
    /// [`SimulationConfigError`] that names the key.
    pub fn check(&self, molecule: &Molecule) -> Result<(), SimulationConfigError> {
        self.resolve(molecule).map(|_| ())
    }

    /// The times and rates, with their keys.
    fn quantities(&self) -> Vec<(&'static str, &Quantity)> {
        match self {
            Self::Instantaneous {} => Vec::new(),
            Self::Exponential { tau_fs, .. } | Self::Linear { tau_fs, .. } => {
                vec![("tau_fs", tau_fs)]
            }
            Self::Pulse { fwhm_fs, .. } => vec![("fwhm_fs", fwhm_fs)],
            Self::Transfer { tau_fs, rate_per_fs, .. } => {
                vec![("tau_fs", tau_fs), ("rate_per_fs", rate_per_fs)]
            }
        }
    }

    /// What is drawn for each event, in the order of the numbers that follow the positions of a row.
    pub fn nuisances(&self) -> Vec<Nuisance> {
        let drawn = |(key, quantity): (&str, &Quantity)| match quantity {
            Quantity::Fixed(_) => None,
            Quantity::Drawn(distribution) => {
                Some(Nuisance::new(format!("charging_{key}"), distribution))
            }
        };
        self.quantities().into_iter().filter_map(drawn).collect()
    }

    /// The charges as functions of time; none if they are constant.
    pub(crate) fn resolve(
        &self,
        molecule: &Molecule,
    ) -> Result<Option<ChargeLaw>, SimulationConfigError> {
        for (key, quantity) in self.quantities() {
            quantity.check(&format!("charging.{key}"))?;
        }
        let own_time = self.quantities().first().is_some_and(|(_, time)| time.is_drawn());
        let own_transfer = self.quantities().into_iter().any(|(_, quantity)| quantity.is_drawn());
        let value = |quantity: &Quantity, reference: f64| match quantity {
            Quantity::Fixed(value) => *value,
            Quantity::Drawn(_) => reference,
        };
        let (rise, initial, heavy) = match self {
            Self::Instantaneous {} => return Ok(None),
            Self::Exponential { tau_fs, initial_charges } => {
                let rate = TIME_AU_FS / value(tau_fs, REFERENCE_FS);
                (Rise::Exponential { rate }, initial_charges, None)
            }
            Self::Linear { tau_fs, initial_charges } => {
                let duration = value(tau_fs, REFERENCE_FS) / TIME_AU_FS;
                (Rise::Linear { duration }, initial_charges, None)
            }
            Self::Pulse { fwhm_fs, initial_charges } => {
                let fwhm = value(fwhm_fs, REFERENCE_FS) / TIME_AU_FS;
                let sigma = fwhm / (8.0 * std::f64::consts::LN_2).sqrt();
                (Rise::Pulse { rate: 1.0 / sigma }, initial_charges, None)
            }
            Self::Transfer { atom, tau_fs, rate_per_fs, initial_charges } => {
                let rate = TIME_AU_FS / value(tau_fs, REFERENCE_FS);
                let heavy = molecule.require_index("charging.atom", atom)?;
                let transfer = value(rate_per_fs, 1.0 / REFERENCE_FS) * TIME_AU_FS;
                (Rise::Transfer { rate, transfer }, initial_charges, Some(heavy))
            }
        };
        let mut before = vec![0.0; molecule.atom_count()];
        let mut named = vec![false; molecule.atom_count()];
        for (label, charge) in initial {
            let atom = molecule.require_index("charging.initial_charges", label)?;
            let key = format!("charging.initial_charges.{label}");
            require(key, *charge, "a finite number", |_| true)?;
            if std::mem::replace(&mut named[atom], true) {
                let (key, label) = ("charging.initial_charges".to_owned(), label.clone());
                return Err(SimulationConfigError::RepeatedAtom { key, label });
            }
            before[atom] = *charge;
        }
        let gains = molecule.charges().iter().zip(&before).map(|(after, before)| after - before);
        let gains: Vec<f64> = gains.collect();
        let total: f64 = gains.iter().sum();
        let coefficients =
            before.iter().zip(&gains).enumerate().map(|(atom, (before, gain))| match heavy {
                None => [*before, *gain, 0.0],
                Some(heavy) if heavy == atom => [*before, total, gain - total],
                Some(_) => [*before, 0.0, *gain],
            });
        let reference = own_time.then_some(REFERENCE_FS);
        let transfer = match self {
            Self::Transfer { rate_per_fs, .. } if own_transfer => Some(match rate_per_fs {
                Quantity::Fixed(rate) => OwnRate::Fixed(*rate),
                Quantity::Drawn(_) => OwnRate::Number(usize::from(own_time)),
            }),
            _ => None,
        };
        Ok(Some(ChargeLaw { coefficients: coefficients.collect(), rise, reference, transfer }))
    }
}

/// Charges as functions of time (atomic units): `q_i(t) = c_i0 + c_i1 F(t) + c_i2 G(t)`.
#[derive(Debug, Clone)]
pub(crate) struct ChargeLaw {
    /// `[c_i0, c_i1, c_i2]` of every atom; their sum is its final charge.
    pub(crate) coefficients: Vec<[f64; 3]>,
    pub(crate) rise: Rise,
    /// Where each event has a time of its own, that of `rise`, in the unit of its key; it is the first of the event's
    /// numbers.
    pub(crate) reference: Option<f64>,
    /// The rate of transfer of each event, where that of `rise` is not that of all.
    pub(crate) transfer: Option<OwnRate>,
}

/// The rate of transfer of an event, 1/fs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OwnRate {
    /// The same for all, beside times that are not.
    Fixed(f64),
    /// The number of this place among those of the event.
    Number(usize),
}

/// The fractions `F` and `G` of the charge that are made and handed on, which rise from (about) 0 to 1.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rise {
    /// `F = 1 - exp(-rate t)`.
    Exponential { rate: f64 },
    /// `F = min(t / duration, 1)`.
    Linear { duration: f64 },
    /// `F = Phi(rate t - 4)`.
    Pulse { rate: f64 },
    /// `F = 1 - exp(-rate t)`, and `G` by `transfer`.
    Transfer { rate: f64, transfer: f64 },
}

impl ChargeLaw {
    /// The charge of one atom where the fractions are `[F, G]`.
    pub(crate) fn charge(&self, atom: usize, [f, g]: [f64; 2]) -> f64 {
        let [constant, made, handed_on] = self.coefficients[atom];
        constant + made * f + handed_on * g
    }

    /// Whether the atom bears a charge at any time.
    pub(crate) fn is_ever_charged(&self, atom: usize) -> bool {
        self.coefficients[atom] != [0.0; 3]
    }

    /// Whether all atoms have charges of one sign from the start to the end; at the start they may be zero.
    pub(crate) fn repels(&self) -> bool {
        let ends = |c: &[f64; 3]| c.iter().sum::<f64>();
        let sign = self.coefficients.first().map_or(0.0, |c| ends(c).signum());
        // A charge lies between its ends, but for what is still to be handed on, -c_2 (F - G) with F > G.
        self.coefficients.iter().all(|c| {
            sign * ends(c) > 0.0 && sign * c[0] >= 0.0 && (c[1] == 0.0 || sign * c[2] <= 0.0)
        })
    }
}

/// `1 - exp(-x)`.
fn approach(x: f64) -> f64 {
    -libm::expm1(-x)
}

impl Rise {
    /// The same with another rate of transfer (1/a.u. of time).
    pub(crate) fn with_transfer(self, transfer: f64) -> Self {
        match self {
            Self::Transfer { rate, .. } => Self::Transfer { rate, transfer },
            other => other,
        }
    }

    /// `[F, G]` at time `t`; `G` is 0 where nothing is handed on.
    pub(crate) fn fractions(self, t: f64) -> [f64; 2] {
        match self {
            Self::Exponential { rate } => [approach(rate * t), 0.0],
            Self::Linear { duration } => [(t / duration).min(1.0), 0.0],
            Self::Pulse { rate } => {
                let z = rate * t - PULSE_BEGINS;
                [0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2), 0.0]
            }
            Self::Transfer { rate, transfer } => {
                let (a, b) = (rate * t, transfer * t);
                let (slow, fast) = (a.min(b), a.max(b));
                // (exp(-slow) - exp(-fast)) / (fast - slow) without its singularity.
                let apart = (fast - slow).max(f64::MIN_POSITIVE);
                let quotient = libm::exp(-slow) * (approach(apart) / apart);
                [approach(a), approach(slow) - slow * quotient]
            }
        }
    }

    /// The time from which on the charges are complete, to 1e-12 of them or better.
    pub(crate) fn complete_at(self) -> f64 {
        match self {
            Self::Exponential { rate } => EXPONENTIAL_ENDS / rate,
            Self::Linear { duration } => duration,
            Self::Pulse { rate } => (PULSE_BEGINS + PULSE_ENDS) / rate,
            Self::Transfer { rate, transfer } => EXPONENTIAL_ENDS / rate.min(transfer),
        }
    }

    /// The shortest time in which charges change much.
    pub(crate) fn time_scale(self) -> f64 {
        match self {
            Self::Exponential { rate } | Self::Pulse { rate } => 1.0 / rate,
            Self::Linear { duration } => duration,
            Self::Transfer { rate, transfer } => 1.0 / rate.max(transfer),
        }
    }

    /// The time at which the fractions are not smooth: no step may cross it.
    pub(crate) fn kink(self) -> Option<f64> {
        match self {
            Self::Linear { duration } => Some(duration),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `F` and `G` solve the equations of the transfer, tested by differences of order 4.
    #[test]
    fn the_transfer_solves_its_equations() {
        for (rate, transfer) in [(1.0, 0.3), (1.0, 7.0), (1.0, 1.0), (1.0, 1.0 + 1e-9), (1.0, 1e-3)]
        {
            let rise = Rise::Transfer { rate, transfer };
            assert_eq!(rise.fractions(0.0), [0.0, 0.0]);
            for t in [0.1, 0.7, 2.0, 11.0] {
                let h = 1e-3;
                let at = |t: f64| rise.fractions(t);
                let slope = |part: usize| {
                    (8.0 * (at(t + h)[part] - at(t - h)[part]) - at(t + 2.0 * h)[part]
                        + at(t - 2.0 * h)[part])
                        / (12.0 * h)
                };
                let [f, g] = at(t);
                approx::assert_abs_diff_eq!(slope(0), rate * (1.0 - f), epsilon = 1e-11);
                approx::assert_abs_diff_eq!(slope(1), transfer * (f - g), epsilon = 1e-9);
            }
            let [f, g] = rise.fractions(rise.complete_at());
            assert!(1.0 - f < 1e-12 && 1.0 - g < 1e-12, "{rate} {transfer}: {g}");
        }
    }

    #[test]
    fn every_rise_is_complete_when_it_says() {
        for rise in [
            Rise::Exponential { rate: 0.2 },
            Rise::Linear { duration: 5.0 },
            Rise::Pulse { rate: 0.2 },
        ] {
            let [f, _] = rise.fractions(0.0);
            assert!((0.0..1e-4).contains(&f));
            assert!(1.0 - rise.fractions(rise.complete_at())[0] < 1e-12);
        }
        // Half of the pulse has passed at its maximum, and 76 % of it in its full width at half maximum.
        let half_width = (2.0 * std::f64::consts::LN_2).sqrt();
        let pulse = |z: f64| Rise::Pulse { rate: 1.0 }.fractions(PULSE_BEGINS + z)[0];
        approx::assert_abs_diff_eq!(pulse(0.0), 0.5, epsilon = 1e-15);
        approx::assert_abs_diff_eq!(
            pulse(half_width) - pulse(-half_width),
            0.760_968,
            epsilon = 1e-6
        );
    }

    #[test]
    fn charges_go_from_the_initial_to_the_final_ones() {
        let molecule: Molecule = toml::from_str(
            "atoms = [{ element = \"C\", charge = 2 }, { element = \"H\", charge = 1 }, \
             { element = \"I\", charge = 5 }]",
        )
        .unwrap();
        let law = |text: &str| {
            let charging: Charging = toml::from_str(text).unwrap();
            charging.resolve(&molecule).unwrap().unwrap()
        };
        let transfer = law("kind = \"transfer\"\natom = \"I\"\ntau_fs = 10\nrate_per_fs = 0.5\n\
                            initial_charges = { C = 0.5 }");
        assert!(transfer.repels());
        let charges =
            |t: f64| [0, 1, 2].map(|atom| transfer.charge(atom, transfer.rise.fractions(t)));
        assert_eq!(charges(0.0), [0.5, 0.0, 0.0]);
        approx::assert_abs_diff_eq!(charges(1e9)[..], [2.0, 1.0, 5.0][..], epsilon = 1e-14);
        // The total is 0.5 + 7.5 F, whatever is handed on.
        let t = 4.0 / TIME_AU_FS;
        let total: f64 = charges(t).iter().sum();
        approx::assert_abs_diff_eq!(total, 0.5 + 7.5 * (1.0 - (-0.4_f64).exp()), epsilon = 1e-14);
        let attracting = law("kind = \"linear\"\ntau_fs = 1\ninitial_charges = { C = -0.1 }");
        assert!(!attracting.repels());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_key() {
        let molecule: Molecule = toml::from_str(
            "atoms = [{ element = \"C\", charge = 2 }, { element = \"O\", charge = 1 }]",
        )
        .unwrap();
        let error = |text: &str| {
            let charging: Charging = toml::from_str(text).unwrap();
            charging.check(&molecule).unwrap_err().to_string()
        };
        for (text, part) in [
            ("kind = \"exponential\"\ntau_fs = -1", "`charging.tau_fs`: `-1`"),
            ("kind = \"linear\"\ntau_fs = 0", "`charging.tau_fs`: `0`"),
            ("kind = \"linear\"\ntau_fs = nan", "`charging.tau_fs`: `NaN`"),
            ("kind = \"pulse\"\nfwhm_fs = -2", "`charging.fwhm_fs`: `-2`"),
            (
                "kind = \"transfer\"\natom = \"C\"\ntau_fs = 1\nrate_per_fs = -1",
                "`charging.rate_per_fs`",
            ),
            (
                "kind = \"transfer\"\natom = \"I\"\ntau_fs = 1\nrate_per_fs = 1",
                "`charging.atom`: the molecule has no atom `I`",
            ),
            ("kind = \"pulse\"\nfwhm_fs = 1\ninitial_charges = { S = 1 }", "no atom `S`"),
            (
                "kind = \"pulse\"\nfwhm_fs = 1\ninitial_charges = { O = inf }",
                "`charging.initial_charges.O`",
            ),
            ("kind = \"pulse\"\nfwhm_fs = 1\ninitial_charges = { O = 1, o = 2 }", "is named twice"),
        ] {
            let message = error(text);
            assert!(message.contains(part), "{text}: {message}");
        }
        for text in [
            "kind = \"instantaneous\"\ntau_fs = 1",
            "kind = \"exponential\"\nfwhm_fs = 1",
            "kind = \"exponential\"\ntau_fs = 1\ncolour = 1",
            "kind = \"sudden\"",
            "tau_fs = 1",
        ] {
            assert!(toml::from_str::<Charging>(text).is_err(), "{text}");
        }
    }
}
