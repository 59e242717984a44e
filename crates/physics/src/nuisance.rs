//! Numbers of a law that may be drawn for each event: nuisances, which are inferred with the geometry or averaged over.

use std::fmt;

use rand::Rng;
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::distribution::{Distribution, MAX_REDRAWS};
use crate::error::{SimulationConfigError, require};

/// A law over a period to this part of it is one over the whole period.
const WHOLE: f64 = 1e-12;

/// A positive number of a law: the same for all events, or drawn for each.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Quantity {
    /// The same for all events.
    Fixed(f64),
    /// Drawn for each event; what is not positive is drawn again.
    Drawn(Distribution),
}

impl From<f64> for Quantity {
    fn from(value: f64) -> Self {
        Self::Fixed(value)
    }
}

/// By hand, so that a mistake inside a distribution is told as such.
impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a distribution `{ distribution = \"uniform\", low = .., high = .. }`")
            }

            fn visit_f64<E>(self, value: f64) -> Result<Quantity, E> {
                Ok(Quantity::Fixed(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Quantity, E> {
                Ok(Quantity::Fixed(value as f64))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Quantity, E> {
                Ok(Quantity::Fixed(value as f64))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Quantity, A::Error> {
                Distribution::deserialize(MapAccessDeserializer::new(map)).map(Quantity::Drawn)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl Quantity {
    pub(crate) fn is_drawn(&self) -> bool {
        matches!(self, Self::Drawn(_))
    }

    /// Checks that the number can be, and is, positive; `key` is where it stands in the configuration.
    pub(crate) fn check(&self, key: &str) -> Result<(), SimulationConfigError> {
        match self {
            Self::Fixed(value) => require(key, *value, "above 0", |value| value > 0.0),
            Self::Drawn(distribution) => {
                distribution.check(key)?;
                let (_, high) = distribution.extent();
                let all = distribution.atoms();
                if all.is_empty() {
                    return require(key, high, "a distribution of positive numbers", |v| v > 0.0);
                }
                // An atom is a value that more than one event would have: no density.
                require(key, all[0].0, "a distribution with a density, or a number", |_| false)
            }
        }
    }
}

/// A number that a simulation draws for each event beside the positions.
#[derive(Debug, Clone, PartialEq)]
pub struct Nuisance {
    /// The name of its column, which ends in its unit: `charging_tau_fs`.
    pub name: String,
    distribution: Distribution,
    /// Log of the probability that a draw is positive.
    log_kept: f64,
    /// After which nothing has changed; none where that never is.
    period: Option<f64>,
}

impl Nuisance {
    pub(crate) fn new(name: String, distribution: &Distribution) -> Self {
        let log_kept = distribution.probability(0.0, f64::INFINITY).ln();
        Self { name, distribution: distribution.clone(), log_kept, period: None }
    }

    /// The same for a number after whose `period` nothing has changed.
    pub(crate) fn repeating(self, period: f64) -> Self {
        Self { period: Some(period), ..self }
    }

    /// Where an angle begins and its period, if its law is uniform over one full turn: its ends are then one point, and no end
    /// of what is possible.
    ///
    /// ```
    /// use cei_physics::BreakUp;
    ///
    /// let turn = |law: &str| -> Result<_, toml::de::Error> {
    ///     let text = format!("kind = 'sequential'\nfirst = 'O'\nrotation_deg = {law}");
    ///     Ok(toml::from_str::<BreakUp>(&text)?.nuisances()[0].turn())
    /// };
    /// assert_eq!(turn("{ distribution = 'uniform', low = 0, high = 360 }")?, Some((0.0, 360.0)));
    /// assert_eq!(turn("{ distribution = 'uniform', low = 0, high = 180 }")?, None);
    /// # Ok::<(), toml::de::Error>(())
    /// ```
    pub fn turn(&self) -> Option<(f64, f64)> {
        let (Some(period), Distribution::Uniform { low, high }) = (self.period, &self.distribution)
        else {
            return None;
        };
        let is_whole = (high - low - period).abs() <= WHOLE * period && *low >= 0.0;
        is_whole.then_some((*low, period))
    }

    /// One draw, or `None` if none was positive in 100,000.
    pub(crate) fn draw(&self, rng: &mut impl Rng) -> Option<f64> {
        (0..MAX_REDRAWS).find_map(|_| self.distribution.draw(rng).filter(|value| *value > 0.0))
    }

    /// Log density at `value` (in the unit of the column), normalised; minus infinity where nothing is drawn.
    pub fn log_density(&self, value: f64) -> f64 {
        if value > 0.0 && value.is_finite() {
            self.distribution.density(value).ln() - self.log_kept
        } else {
            f64::NEG_INFINITY
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn what_is_not_positive_is_drawn_again() {
        let law = Distribution::Normal { mean: 1.0, sd: 2.0 };
        let nuisance = Nuisance::new("charging_tau_fs".to_owned(), &law);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let draws: Vec<f64> = (0..20_000).filter_map(|_| nuisance.draw(&mut rng)).collect();
        assert_eq!(draws.len(), 20_000);
        // The density integrates to 1 over positive numbers, and is that of the draws.
        let (mut all, mut below_2) = (0.0, 0.0);
        for cell in 0..20_000 {
            let x = 0.001 * (f64::from(cell) + 0.5);
            let part = 0.001 * nuisance.log_density(x).exp();
            all += part;
            below_2 += if x < 2.0 { part } else { 0.0 };
        }
        approx::assert_abs_diff_eq!(all, 1.0, epsilon = 1e-6);
        let found = draws.iter().filter(|x| **x < 2.0).count() as f64 / 20_000.0;
        approx::assert_abs_diff_eq!(found, below_2, epsilon = 0.015);
        assert_eq!(nuisance.log_density(-0.1), f64::NEG_INFINITY);
        assert_eq!(nuisance.log_density(f64::NAN), f64::NEG_INFINITY);
    }

    #[test]
    fn a_number_or_a_distribution_is_read() {
        #[derive(Deserialize, Serialize, PartialEq, Debug)]
        struct Law {
            tau_fs: Quantity,
        }
        let read = |text: &str| toml::from_str::<Law>(text);
        for text in [
            "tau_fs = 3",
            "tau_fs = 3.5",
            "tau_fs = { distribution = \"uniform\", low = 0, high = 40 }",
        ] {
            let law = read(text).unwrap();
            assert_eq!(read(&toml::to_string(&law).unwrap()).unwrap(), law, "{text}");
        }
        let error =
            read("tau_fs = { distribution = \"uniform\", low = 0, height = 40 }").unwrap_err();
        assert!(error.to_string().contains("height"), "{error}");
        let error = read("tau_fs = \"long\"").unwrap_err();
        assert!(error.to_string().contains("a number, or a distribution"), "{error}");
    }

    #[test]
    fn laws_without_positive_numbers_or_density_are_refused() {
        let check = |law: Distribution| Quantity::Drawn(law).check("charging.tau_fs");
        assert!(check(Distribution::Uniform { low: 0.0, high: 40.0 }).is_ok());
        for law in [
            Distribution::Uniform { low: -2.0, high: -1.0 },
            Distribution::Uniform { low: 2.0, high: 1.0 },
            Distribution::Fixed { value: 3.0 },
        ] {
            let error = check(law.clone()).unwrap_err().to_string();
            assert!(error.contains("charging.tau_fs"), "{law:?}: {error}");
        }
        assert!(Quantity::Fixed(0.0).check("charging.tau_fs").is_err());
    }
}
