//! Distributions of one number, as a configuration names them.

use rand::{Rng, RngExt};
use rand_distr::{Exp1, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{SimulationConfigError, require};

/// Draws after which a condition counts as impossible.
pub(crate) const MAX_REDRAWS: usize = 100_000;

/// A distribution of one real number, in the unit of the key that holds it.
///
/// ```toml
/// [geometry]
/// law = "triatomic"
/// centre = "C"
/// bonds = [
///     { atom = "O", length_angstrom = { distribution = "normal", mean = 1.1578, sd = 0.03 } },
///     { atom = "S", length_angstrom = { distribution = "fixed", value = 1.56 } },
/// ]
/// bend_deg = { distribution = "weibull", shape = 1.8, scale = 4.6 }
/// common_stretch = { distribution = "truncated", of = { distribution = "exponential", mean = 0.16, offset = 1.0 }, max = 2.0 }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
        /// Upper end.
        #[schemars(extend("allowed" = "above `low`"))]
        high: f64,
    },
    /// Normal.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        #[schemars(range(min = 0.0))]
        sd: f64,
    },
    /// `offset` plus an exponential of the given mean.
    Exponential {
        /// Mean of the exponential part.
        #[schemars(extend("exclusiveMinimum" = 0))]
        mean: f64,
        /// What is added.
        #[serde(default)]
        offset: f64,
    },
    /// `offset` plus a Weibull variable, `P(W > w) = exp(-(w / scale)^shape)`.
    Weibull {
        /// Shape.
        #[schemars(extend("exclusiveMinimum" = 0))]
        shape: f64,
        /// Scale.
        #[schemars(extend("exclusiveMinimum" = 0))]
        scale: f64,
        /// What is added.
        #[serde(default)]
        offset: f64,
    },
    /// `of`, drawn again until it lies between `min` and `max` (truncation, not clamping).
    Truncated {
        /// The distribution drawn from.
        of: Box<Distribution>,
        /// Lower limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<f64>,
        /// Upper limit.
        #[schemars(extend("allowed" = "at least `min`"))]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<f64>,
    },
    /// `of`, with values below `min` or above `max` replaced by that limit (clamping, not truncation).
    Clamped {
        /// The distribution drawn from.
        of: Box<Distribution>,
        /// Lower limit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<f64>,
        /// Upper limit.
        #[schemars(extend("allowed" = "at least `min`"))]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<f64>,
    },
}

impl Distribution {
    /// Checks the parameters; `key` is where the distribution stands in the configuration.
    ///
    /// # Errors
    /// [`SimulationConfigError::OutOfRange`] that names the parameter's key.
    pub fn check(&self, key: &str) -> Result<(), SimulationConfigError> {
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
                let (low, high) = limits(min, max);
                of.draw_where(rng, |value| (low..=high).contains(&value))
            }
            Self::Clamped { of, min, max } => {
                let (low, high) = limits(min, max);
                of.draw(rng).map(|value| value.clamp(low, high))
            }
        }
    }

    /// Density of the part of the distribution that has one; it integrates to 1 minus the probabilities of
    /// [`Self::atoms`].
    pub fn density(&self, x: f64) -> f64 {
        match self {
            Self::Fixed { .. } => 0.0,
            Self::Uniform { low, high } => {
                if (*low..=*high).contains(&x) {
                    1.0 / (high - low)
                } else {
                    0.0
                }
            }
            Self::Normal { sd, .. } if *sd == 0.0 => 0.0,
            Self::Normal { mean, sd } => {
                let z = (x - mean) / sd;
                (-0.5 * z * z).exp() / (sd * (2.0 * std::f64::consts::PI).sqrt())
            }
            Self::Exponential { mean, offset } => {
                let w = (x - offset) / mean;
                if w >= 0.0 { (-w).exp() / mean } else { 0.0 }
            }
            Self::Weibull { shape, scale, offset } => {
                let w = (x - offset) / scale;
                if w >= 0.0 {
                    shape / scale * w.powf(shape - 1.0) * (-w.powf(*shape)).exp()
                } else {
                    0.0
                }
            }
            Self::Truncated { of, min, max } => {
                let (low, high) = limits(min, max);
                if (low..=high).contains(&x) {
                    of.density(x) / of.probability(low, high)
                } else {
                    0.0
                }
            }
            Self::Clamped { of, min, max } => {
                let (low, high) = limits(min, max);
                if low < x && x < high { of.density(x) } else { 0.0 }
            }
        }
    }

    /// Values that have a probability of their own, with it: a fixed value, and the limits of a clamp.
    pub fn atoms(&self) -> Vec<(f64, f64)> {
        match self {
            Self::Fixed { value } => vec![(*value, 1.0)],
            Self::Normal { mean, sd } if *sd == 0.0 => vec![(*mean, 1.0)],
            Self::Uniform { .. }
            | Self::Normal { .. }
            | Self::Exponential { .. }
            | Self::Weibull { .. } => Vec::new(),
            Self::Truncated { of, min, max } => {
                let (low, high) = limits(min, max);
                let total = of.probability(low, high);
                let inside = of.atoms().into_iter().filter(|(x, _)| (low..=high).contains(x));
                inside.map(|(x, probability)| (x, probability / total)).collect()
            }
            Self::Clamped { of, min, max } => {
                let (low, high) = limits(min, max);
                let mut atoms: Vec<(f64, f64)> =
                    of.atoms().into_iter().filter(|(x, _)| low < *x && *x < high).collect();
                if low == high {
                    return vec![(low, 1.0)];
                }
                let beyond = [
                    (low, of.probability(f64::NEG_INFINITY, low)),
                    (high, of.probability(high, f64::INFINITY)),
                ];
                atoms.extend(beyond.into_iter().filter(|(_, probability)| *probability > 0.0));
                atoms
            }
        }
    }

    /// Probability of `low <= x <= high`.
    pub fn probability(&self, low: f64, high: f64) -> f64 {
        if low > high {
            return 0.0;
        }
        let between = |cumulative: &dyn Fn(f64) -> f64| cumulative(high) - cumulative(low);
        match self {
            Self::Uniform { low: a, high: b } => {
                between(&|x: f64| ((x - a) / (b - a)).clamp(0.0, 1.0))
            }
            Self::Normal { mean, sd } if *sd > 0.0 => {
                // Differences of the smaller tail, which do not cancel.
                let z = |x: f64| (x - mean) / (sd * std::f64::consts::SQRT_2);
                let (a, b) = (z(low), z(high));
                if a > 0.0 {
                    0.5 * (libm::erfc(a) - libm::erfc(b))
                } else {
                    0.5 * (libm::erfc(-b) - libm::erfc(-a))
                }
            }
            Self::Exponential { mean, offset } => {
                let survival = |x: f64| (-((x - offset) / mean).max(0.0)).exp();
                survival(low) - survival(high)
            }
            Self::Weibull { shape, scale, offset } => {
                let survival = |x: f64| (-((x - offset) / scale).max(0.0).powf(*shape)).exp();
                survival(low) - survival(high)
            }
            Self::Truncated { of, min, max } => {
                let (a, b) = limits(min, max);
                of.probability(low.max(a), high.min(b)) / of.probability(a, b)
            }
            Self::Clamped { of, min, max } => {
                let (a, b) = limits(min, max);
                let (from, to) = (
                    if low <= a { f64::NEG_INFINITY } else { low },
                    if high >= b { f64::INFINITY } else { high },
                );
                if high < a || low > b { 0.0 } else { of.probability(from, to) }
            }
            Self::Fixed { .. } | Self::Normal { .. } => {
                let inside = self.atoms().into_iter().filter(|(x, _)| (low..=high).contains(x));
                inside.map(|(_, probability)| probability).sum()
            }
        }
    }

    /// The interval outside which nothing is drawn; infinite where there is no limit.
    pub(crate) fn range(&self) -> (f64, f64) {
        match self {
            Self::Normal { sd, .. } if *sd > 0.0 => (f64::NEG_INFINITY, f64::INFINITY),
            Self::Exponential { offset, .. } | Self::Weibull { offset, .. } => {
                (*offset, f64::INFINITY)
            }
            Self::Truncated { of, min, max } | Self::Clamped { of, min, max } => {
                let ((a, b), (low, high)) = (of.range(), limits(min, max));
                (a.max(low), b.min(high))
            }
            Self::Fixed { .. } | Self::Uniform { .. } | Self::Normal { .. } => self.extent(),
        }
    }

    /// An interval outside which [`Self::density`] is zero or below 1e-17 of its scale.
    pub(crate) fn extent(&self) -> (f64, f64) {
        match self {
            Self::Fixed { value } => (*value, *value),
            Self::Uniform { low, high } => (*low, *high),
            Self::Normal { mean, sd } => (mean - 9.0 * sd, mean + 9.0 * sd),
            Self::Exponential { mean, offset } => (*offset, offset + 40.0 * mean),
            Self::Weibull { shape, scale, offset } => {
                (*offset, offset + scale * 40.0_f64.powf(1.0 / shape))
            }
            Self::Truncated { of, min, max } | Self::Clamped { of, min, max } => {
                let ((a, b), (low, high)) = (of.extent(), limits(min, max));
                (a.max(low), b.min(high))
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

fn limits(min: &Option<f64>, max: &Option<f64>) -> (f64, f64) {
    (min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY))
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

    /// Densities integrate to the probabilities that draws have, and atoms make up the rest.
    #[test]
    fn densities_and_probabilities_are_those_of_the_draws() {
        let boxed = |of: Distribution| Box::new(of);
        let normal = Distribution::Normal { mean: 0.3, sd: 0.7 };
        let weibull = Distribution::Weibull { shape: 1.764, scale: 4.606, offset: -1.0 };
        let exponential = Distribution::Exponential { mean: 0.16, offset: 1.0 };
        let half = Distribution::Truncated { of: boxed(normal.clone()), min: Some(0.0), max: None };
        let clamped = Distribution::Clamped {
            of: boxed(exponential.clone()),
            min: Some(1.05),
            max: Some(1.5),
        };
        let nested =
            Distribution::Truncated { of: boxed(clamped.clone()), min: None, max: Some(1.3) };
        let cases = [
            Distribution::Uniform { low: -1.0, high: 2.0 },
            normal,
            weibull,
            exponential,
            half,
            clamped,
            nested,
            Distribution::Fixed { value: 0.5 },
        ];
        for distribution in &cases {
            let mut rng = ChaCha8Rng::seed_from_u64(7);
            let mut draws: Vec<f64> =
                (0..40_000).map(|_| distribution.draw(&mut rng).unwrap()).collect();
            draws.sort_by(f64::total_cmp);
            let atoms: f64 = distribution.atoms().iter().map(|(_, p)| p).sum();
            assert!(
                (distribution.probability(f64::NEG_INFINITY, f64::INFINITY) - 1.0).abs() < 1e-12
            );
            let (low, high) = distribution.extent();
            // The midpoint rule, cell by cell, against the draws of eight intervals: 4 standard errors of a
            // share of 40,000 draws are at most 0.01.
            let (a, b) = (draws[400], draws[39_600]);
            let integral = |low: f64, high: f64| {
                let cells = 20_000;
                let width = (high - low) / f64::from(cells);
                (0..cells)
                    .map(|cell| width * distribution.density(low + (f64::from(cell) + 0.5) * width))
                    .sum::<f64>()
            };
            let whole = integral(low, high);
            assert!((whole + atoms - 1.0).abs() < 1e-3, "{distribution:?}: {whole} + {atoms}");
            for part in 0..8 {
                let from = a + (b - a) * f64::from(part) / 8.0;
                let to = a + (b - a) * f64::from(part + 1) / 8.0;
                let share = draws.iter().filter(|x| (from..=to).contains(*x)).count() as f64 / 4e4;
                let probability = distribution.probability(from, to);
                assert!(
                    (share - probability).abs() < 0.01,
                    "{distribution:?}: {share} {probability}"
                );
                let inside =
                    distribution.atoms().into_iter().filter(|(x, _)| (from..=to).contains(x));
                let of_atoms: f64 = inside.map(|(_, p)| p).sum();
                let sum = integral(from, to) + of_atoms;
                assert!((sum - probability).abs() < 1e-3, "{distribution:?}: {sum} {probability}");
            }
        }
        // Far in the tail a truncation is still normalised: P(z > 8) = 6.22e-16.
        let far = Distribution::Truncated {
            of: boxed(Distribution::Normal { mean: 0.0, sd: 1.0 }),
            min: Some(8.0),
            max: None,
        };
        approx::assert_relative_eq!(far.density(8.0), 8.121, max_relative = 1e-3);
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
