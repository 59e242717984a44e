//! How probable it is that the ions of an event come from one molecule.
//!
//! ```text
//! p_true = (1 - f) p(y | molecule) / ((1 - f) p(y | molecule) + f b(y))
//! ```
//! with the evidence of the refinement, the density `b` of a [`Background`](crate::Background), and the fraction `f` of false
//! coincidences, which is that of largest likelihood.

use crate::error::PosteriorError;

/// Steps of the search for the fraction.
const STEPS: usize = 200;

/// The fraction of false coincidences in a sample.
///
/// ```
/// use cei_posterior::FalseCoincidences;
///
/// // Eight events that the molecule explains, two that the background does: log p(y | molecule) - log b(y).
/// let ratios = [9.0, 8.0, 10.0, 7.0, 9.0, 12.0, 8.0, 9.0, -8.0, f64::NEG_INFINITY];
/// let found = FalseCoincidences::of(&ratios)?;
/// assert!((found.fraction - 0.2).abs() < 0.01);
/// assert!(found.p_true(9.0) > 0.99 && found.p_true(-8.0) < 0.01);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FalseCoincidences {
    /// The fraction.
    pub fraction: f64,
    /// Its standard deviation, by the curvature of the likelihood; that of a fraction of `1 / events` where it is nought.
    pub sd: f64,
    /// Events that it is found from.
    pub events: usize,
}

impl FalseCoincidences {
    /// That of largest likelihood, from `log p(y | molecule) - log b(y)` of each event, minus infinity for one that the
    /// molecule does not explain at all.
    ///
    /// # Errors
    /// [`PosteriorError::Size`] without events, [`PosteriorError::Value`] for a NaN.
    pub fn of(log_ratios: &[f64]) -> Result<Self, PosteriorError> {
        let events = log_ratios.len();
        if events == 0 {
            return Err(PosteriorError::Size { what: "events", found: 0, expected: 1 });
        }
        if let Some(index) = log_ratios.iter().position(|ratio| ratio.is_nan()) {
            let (what, expected) = ("log ratio of event", "a number or an infinity");
            return Err(PosteriorError::Value { what, index, value: f64::NAN, expected });
        }
        let n = events as f64;
        let mut found = Self { fraction: 0.5, sd: 0.0, events };
        for _ in 0..STEPS {
            let before = found.fraction;
            found.fraction =
                1.0 - log_ratios.iter().map(|ratio| found.p_true(*ratio)).sum::<f64>() / n;
            if (found.fraction - before).abs() < 1e-9 {
                break;
            }
        }
        // The derivative of an event's log likelihood by f is (b - m) / ((1 - f) m + f b).
        let f = found.fraction;
        let slope = |ratio: f64| {
            let p_true = found.p_true(ratio);
            let over = |part: f64, of: f64| if of > 0.0 { part / of } else { 0.0 };
            over(1.0 - p_true, f) - over(p_true, 1.0 - f)
        };
        let information: f64 = log_ratios.iter().map(|ratio| slope(*ratio).powi(2)).sum();
        let least = 1.0 / n;
        let by_counting = (f.clamp(least, 1.0 - least.min(0.5)) * (1.0 - f).max(least) / n).sqrt();
        let is_inside = f > least && f < 1.0 - least && information > 0.0;
        found.sd = if is_inside { information.sqrt().recip() } else { by_counting };
        Ok(found)
    }

    /// The probability that the ions of an event of this `log p(y | molecule) - log b(y)` come from one molecule.
    #[must_use]
    pub fn p_true(&self, log_ratio: f64) -> f64 {
        let odds = (1.0 - self.fraction).ln() - self.fraction.ln() + log_ratio;
        1.0 / (1.0 + (-odds).exp())
    }
}

/// What is left of a sample if events below a threshold of `p_true` are left out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Selected {
    /// Least `p_true` of an event that is kept.
    pub threshold: f64,
    /// Events that are kept.
    pub events: usize,
    /// Expected part of true coincidences among them; one where none is kept.
    pub purity: f64,
    /// Expected part of the true coincidences that is kept.
    pub efficiency: f64,
}

impl Selected {
    /// What is kept of events with these probabilities.
    #[must_use]
    pub fn above(threshold: f64, p_true: &[f64]) -> Self {
        let kept = || p_true.iter().filter(|p| **p >= threshold);
        let (events, among) = (kept().count(), kept().sum::<f64>());
        let all: f64 = p_true.iter().sum();
        Self {
            threshold,
            events,
            purity: if events == 0 { 1.0 } else { among / events as f64 },
            efficiency: if all > 0.0 { among / all } else { 0.0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt as _, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution as _, StandardNormal};

    /// Two normal laws at a distance of `apart`, of which the second is the background.
    fn sample(events: usize, fraction: f64, apart: f64, seed: u64) -> (Vec<f64>, Vec<bool>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let one = |_| {
            let is_true = rng.random::<f64>() >= fraction;
            let z: f64 = StandardNormal.sample(&mut rng);
            let y = z + if is_true { 0.0 } else { apart };
            (0.5 * (y - apart).powi(2) - 0.5 * y * y, is_true)
        };
        (0..events).map(one).unzip()
    }

    /// Over many samples, the fraction is right on average and its standard deviation is that of the estimates.
    #[test]
    fn the_fraction_and_its_error_are_those_of_many_samples() -> Result<(), PosteriorError> {
        let (mut fractions, mut sds) = (Vec::new(), Vec::new());
        for seed in 0..300 {
            let found = FalseCoincidences::of(&sample(400, 0.2, 2.0, seed).0)?;
            fractions.push(found.fraction);
            sds.push(found.sd);
        }
        let mean = fractions.iter().sum::<f64>() / 300.0;
        let sd = (fractions.iter().map(|f| (f - mean).powi(2)).sum::<f64>() / 299.0).sqrt();
        let told = sds.iter().sum::<f64>() / 300.0;
        assert!((mean - 0.2).abs() < 4.0 * sd / 300.0_f64.sqrt(), "{mean} {sd}");
        assert!((told / sd - 1.0).abs() < 0.15, "{told} {sd}");
        Ok(())
    }

    /// `p_true` means what it says: among events of about p a part of about p is true.
    #[test]
    fn probabilities_are_frequencies() -> Result<(), PosteriorError> {
        let (ratios, truth) = sample(40_000, 0.3, 1.5, 1);
        let found = FalseCoincidences::of(&ratios)?;
        for tenth in 0..10 {
            let low = f64::from(tenth) / 10.0;
            let here: Vec<(f64, bool)> = ratios
                .iter()
                .map(|ratio| found.p_true(*ratio))
                .zip(truth.iter().copied())
                .filter(|(p, _)| (low..low + 0.1).contains(p))
                .collect();
            let n = here.len() as f64;
            let expected = here.iter().map(|(p, _)| p).sum::<f64>() / n;
            let part = here.iter().filter(|(_, is_true)| *is_true).count() as f64 / n;
            assert!(
                (part - expected).abs() < 4.0 * (expected * (1.0 - expected) / n).sqrt(),
                "{low}: {part} {expected}"
            );
        }
        Ok(())
    }

    /// What is expected of a threshold is what happens.
    #[test]
    fn purity_and_efficiency_are_those_of_the_truth() -> Result<(), PosteriorError> {
        let (ratios, truth) = sample(20_000, 0.2, 2.0, 2);
        let found = FalseCoincidences::of(&ratios)?;
        let p_true: Vec<f64> = ratios.iter().map(|ratio| found.p_true(*ratio)).collect();
        let all = truth.iter().filter(|is_true| **is_true).count() as f64;
        for threshold in [0.5, 0.9] {
            let selected = Selected::above(threshold, &p_true);
            let kept = p_true.iter().zip(&truth).filter(|(p, _)| **p >= threshold);
            let right = kept.filter(|(_, is_true)| **is_true).count() as f64;
            assert!((selected.purity - right / selected.events as f64).abs() < 0.01);
            assert!((selected.efficiency - right / all).abs() < 0.01);
        }
        Ok(())
    }

    #[test]
    fn samples_of_one_kind_have_fractions_at_the_ends() -> Result<(), PosteriorError> {
        let pure = FalseCoincidences::of(&[20.0; 50])?;
        assert!(pure.fraction < 1e-6 && pure.sd > 0.0 && pure.sd < 0.03);
        let false_ones = FalseCoincidences::of(&[f64::NEG_INFINITY; 50])?;
        assert!(false_ones.fraction > 1.0 - 1e-6 && false_ones.sd > 0.0);
        assert!(FalseCoincidences::of(&[]).is_err() && FalseCoincidences::of(&[f64::NAN]).is_err());
        Ok(())
    }
}
