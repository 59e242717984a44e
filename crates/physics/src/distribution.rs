//! Distributions of one number, as a configuration names them.

use rand::{Rng, RngExt};
use rand_distr::{Exp1, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::error::{ConfigError, require};

/// Draws after which a condition counts as impossible.
pub(crate) const MAX_REDRAWS: usize = 100_000;

/// A distribution of one real number, in the unit of the key that holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "distribution", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Distribution {
    /// Always `value`.
    Fixed {
        /// The value.
        value: f64,
    },
    /// Uniform between `low` and `high`.
    Uniform {
        /// Lower end.
        low: f64,
        /// Upper end, above `low`.
        high: f64,
    },
    /// Normal.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation, at least 0.
        sd: f64,
    },
    /// `offset` plus an exponential of the given mean.
    Exponential {
        /// Mean of the exponential part, above 0.
        mean: f64,
        /// What is added.
        #[serde(default)]
        offset: f64,
    },
    /// `offset` plus a Weibull variable, `P(W > w) = exp(-(w / scale)^shape)`.
    Weibull {
        /// Shape, above 0.
        shape: f64,
        /// Scale, above 0.
        scale: f64,
        /// What is added.
        #[serde(default)]
        offset: f64,
    },
    /// `of`, drawn again until it lies between `min` and `max` (truncation, not clamping).
    Truncated {
        /// The distribution drawn from.
        of: Box<Distribution>,
        /// Lower limit, none by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<f64>,
        /// Upper limit, none by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<f64>,
    },
    /// `of`, with values below `min` or above `max` replaced by that limit (clamping, not truncation).
    Clamped {
        /// The distribution drawn from.
        of: Box<Distribution>,
        /// Lower limit, none by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<f64>,
        /// Upper limit, none by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<f64>,
    },
}

impl Distribution {
    /// Checks the parameters; `key` is where the distribution stands in the configuration.
    ///
    /// # Errors
    /// [`ConfigError::OutOfRange`] that names the parameter's key.
    pub fn check(&self, key: &str) -> Result<(), ConfigError> {
        let any = |name: &str, value| require(format!("{key}.{name}"), value, "finite", |_| true);
        let positive =
            |name: &str, value| require(format!("{key}.{name}"), value, "above 0", |v| v > 0.0);
        match self {
            Self::Fixed { value } => any("value", *value),
            Self::Uniform { low, high } => {
                any("low", *low)?;
                require(format!("{key}.high"), *high, "above `low`", |high| high > *low)
            }
            Self::Normal { mean, sd } => {
                any("mean", *mean)?;
                require(format!("{key}.sd"), *sd, "at least 0", |sd| sd >= 0.0)
            }
            Self::Exponential { mean, offset } => {
                positive("mean", *mean)?;
                any("offset", *offset)
            }
            Self::Weibull { shape, scale, offset } => {
                positive("shape", *shape)?;
                positive("scale", *scale)?;
                any("offset", *offset)
            }
            Self::Truncated { of, min, max } | Self::Clamped { of, min, max } => {
                of.check(&format!("{key}.of"))?;
                let low = min.unwrap_or(f64::MIN);
                any("min", low)?;
                let high = max.unwrap_or(f64::MAX);
                require(format!("{key}.max"), high, "at least `min`", |high| high >= low)
            }
        }
    }

    /// One draw, or `None` if a truncation was not met in 100,000 draws.
    ///
    /// The parameters must have passed [`Self::check`].
    pub fn draw(&self, rng: &mut impl Rng) -> Option<f64> {
        match self {
            Self::Fixed { value } => Some(*value),
            Self::Uniform { low, high } => Some(low + (high - low) * rng.random::<f64>()),
            Self::Normal { mean, sd } => Some(mean + sd * rng.sample::<f64, _>(StandardNormal)),
            Self::Exponential { mean, offset } => Some(offset + mean * rng.sample::<f64, _>(Exp1)),
            Self::Weibull { shape, scale, offset } => {
                Some(offset + scale * rng.sample::<f64, _>(Exp1).powf(1.0 / shape))
            }
            Self::Truncated { of, min, max } => {
                let (low, high) = (min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY));
                of.draw_where(rng, |value| (low..=high).contains(&value))
            }
            Self::Clamped { of, min, max } => {
                let (low, high) = (min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY));
                of.draw(rng).map(|value| value.clamp(low, high))
            }
        }
    }

    /// Draws until `wanted` holds, `None` if it does not in 100,000 draws.
    pub(crate) fn draw_where(
        &self,
        rng: &mut impl Rng,
        wanted: impl Fn(f64) -> bool,
    ) -> Option<f64> {
        for _ in 0..MAX_REDRAWS {
            let value = self.draw(rng)?;
            if wanted(value) {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    /// Mean and standard deviation of 40,000 draws.
    fn moments(distribution: &Distribution) -> (f64, f64) {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let draws: Vec<f64> = (0..40_000).map(|_| distribution.draw(&mut rng).unwrap()).collect();
        let mean = draws.iter().sum::<f64>() / 40_000.0;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 40_000.0;
        (mean, variance.sqrt())
    }

    /// Tolerance: five standard errors of the mean (sd / 200), 5 % for the sd; the seed is fixed.
    fn assert_moments(distribution: &Distribution, mean: f64, sd: f64) {
        let found = moments(distribution);
        assert!((found.0 - mean).abs() <= sd / 40.0, "{distribution:?}: mean {}", found.0);
        assert!((found.1 / sd - 1.0).abs() < 0.05, "{distribution:?}: sd {}", found.1);
    }

    #[test]
    fn draws_have_the_moments_of_their_law() {
        assert_moments(&Distribution::Uniform { low: -1.0, high: 5.0 }, 2.0, 3.0_f64.sqrt());
        assert_moments(&Distribution::Normal { mean: 3.0, sd: 0.5 }, 3.0, 0.5);
        assert_moments(&Distribution::Exponential { mean: 0.5, offset: 1.0 }, 1.5, 0.5);
        // Weibull of shape 2 (Rayleigh): mean scale sqrt(pi)/2, variance scale^2 (1 - pi/4).
        let pi = std::f64::consts::PI;
        assert_moments(
            &Distribution::Weibull { shape: 2.0, scale: 2.0, offset: -1.0 },
            pi.sqrt() - 1.0,
            2.0 * (1.0 - pi / 4.0).sqrt(),
        );
        // A half normal: mean sqrt(2/pi), variance 1 - 2/pi.
        let normal = Box::new(Distribution::Normal { mean: 0.0, sd: 1.0 });
        assert_moments(
            &Distribution::Truncated { of: normal, min: Some(0.0), max: None },
            (2.0 / pi).sqrt(),
            (1.0 - 2.0 / pi).sqrt(),
        );
        // min(E, 1) of an exponential of mean 1: mean 1 - 1/e, second moment 2 (1 - 2/e).
        let exponential = Box::new(Distribution::Exponential { mean: 1.0, offset: 0.0 });
        let mean = 1.0 - (-1.0_f64).exp();
        assert_moments(
            &Distribution::Clamped { of: exponential, min: None, max: Some(1.0) },
            mean,
            (2.0 * (1.0 - 2.0 * (-1.0_f64).exp()) - mean * mean).sqrt(),
        );
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        assert_eq!(Distribution::Fixed { value: 4.0 }.draw(&mut rng), Some(4.0));
    }

    #[test]
    fn an_impossible_truncation_is_given_up() {
        let of = Box::new(Distribution::Uniform { low: 0.0, high: 1.0 });
        let impossible = Distribution::Truncated { of, min: Some(2.0), max: None };
        assert_eq!(impossible.check("k"), Ok(()));
        assert_eq!(impossible.draw(&mut ChaCha8Rng::seed_from_u64(0)), None);
    }

    #[test]
    fn bad_parameters_are_named_by_key() {
        let key = |text: &str| {
            let distribution: Distribution = toml::from_str(text).unwrap();
            distribution.check("a.b").unwrap_err().to_string()
        };
        let uniform = key("distribution = \"uniform\"\nlow = 2\nhigh = 1");
        assert_eq!(uniform, "`a.b.high`: `1` is out of range, expected above `low`");
        assert!(key("distribution = \"normal\"\nmean = 0\nsd = -1").contains("`a.b.sd`"));
        assert!(
            key("distribution = \"truncated\"\nof = { distribution = \"weibull\", shape = 0, scale = 1 }")
                .contains("`a.b.of.shape`")
        );
        assert!(
            toml::from_str::<Distribution>("distribution = \"fixed\"\nvalue = 1\nsd = 2").is_err()
        );
    }
}
