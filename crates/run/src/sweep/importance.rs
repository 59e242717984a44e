//! What mattered: PED-ANOVA (Watanabe, Bansal & Hutter 2023), which compares where the best trials are with where trials
//! were made at all.
//!
//! With the densities `p` of a key's values among the best quarter of the trials and `q` among all of them, the key matters
//! by the Pearson divergence `D = integral q (p / q - 1)^2`, and its share is `D` over the sum of all keys. Comparing with all
//! trials, not with the range, takes out that a search tries good values more often.
//!
//! A few trials agree in something by chance: each key is given beside the share that it exceeds in one of twenty searches
//! if it does not matter, from drawing the best quarter anew.

use cei_model::random::{Purpose, stream};
use rand::seq::SliceRandom as _;
use serde::Serialize;
use tpe::density_estimation::{
    BuildDensityEstimator as _, DefaultEstimatorBuilder, DensityEstimator as _,
};

use super::space::{Values, ends, place_of};
use crate::config::sweep::{Range, SweepConfig};

/// The best part of the trials.
const BEST: f64 = 0.25;

/// Fewest trials that say anything.
const LEAST: usize = 8;

/// Points on the axis of an interval, for the integral.
const POINTS: usize = 200;

/// How often the best are drawn anew.
const REDRAWN: usize = 200;

/// How much a key mattered.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Importance {
    /// The key.
    pub key: String,
    /// Its share, in [0, 1]; those of all keys add up to 1.
    pub share: f64,
    /// What the share of a key that does not matter exceeds in one of twenty searches.
    pub by_chance: f64,
}

/// The importance of every key, the largest first, of trials that are ranked from the best to the worst; none of too few
/// trials.
pub(super) fn importance(config: &SweepConfig, ranked: &[&Values]) -> Vec<Importance> {
    if ranked.len() < LEAST {
        return Vec::new();
    }
    let best = (BEST * ranked.len() as f64).ceil() as usize;
    let mut order: Vec<usize> = (0..ranked.len()).collect();
    let axes: Vec<Axis<'_>> =
        config.over.iter().map(|(key, range)| Axis::new(key, range, ranked)).collect();
    let found: Vec<f64> = axes.iter().map(|axis| axis.divergence(&order[..best])).collect();
    let sum: f64 = found.iter().sum();
    if !(sum.is_finite() && sum > 0.0) {
        return Vec::new();
    }
    let mut rng = stream(config.seed, Purpose::Importance, 0);
    let mut by_chance = vec![Vec::with_capacity(REDRAWN); axes.len()];
    for _ in 0..REDRAWN {
        order.shuffle(&mut rng);
        for (axis, redrawn) in axes.iter().zip(&mut by_chance) {
            redrawn.push(axis.divergence(&order[..best]));
        }
    }
    let highest = |mut redrawn: Vec<f64>| {
        redrawn.sort_by(f64::total_cmp);
        redrawn[REDRAWN - REDRAWN / 20]
    };
    let mut all: Vec<Importance> = config
        .over
        .keys()
        .zip(found.iter().zip(by_chance))
        .map(|(key, (divergence, redrawn))| Importance {
            key: key.clone(),
            share: divergence / sum,
            by_chance: highest(redrawn) / sum,
        })
        .collect();
    all.sort_by(|one, other| other.share.total_cmp(&one.share));
    all
}

/// The values of one key.
struct Axis<'a> {
    range: &'a Range,
    /// Where each trial is, in the order of ranks; none outside of the range.
    places: Vec<Option<f64>>,
    /// Where densities are compared.
    points: Vec<f64>,
    /// The logarithm of the density of all trials there.
    all: Vec<f64>,
}

impl<'a> Axis<'a> {
    fn new(key: &str, range: &'a Range, ranked: &[&Values]) -> Self {
        let (from, to) = ends(range);
        let count = match range {
            Range::Choices(choices) => choices.len(),
            Range::Interval(_) => POINTS,
        };
        let width = (to - from) / count as f64;
        let points: Vec<f64> = (0..count).map(|at| from + width * (at as f64 + 0.5)).collect();
        let of_trial = |values: &&Values| place_of(range, values.get(key)?);
        let places: Vec<Option<f64>> = ranked.iter().map(of_trial).collect();
        let everyone: Vec<usize> = (0..places.len()).collect();
        let mut axis = Self { range, places, points, all: Vec::new() };
        axis.all = axis.log_density(&everyone);
        axis
    }

    /// How far the density of the trials of these ranks is from that of all.
    fn divergence(&self, best: &[usize]) -> f64 {
        let of_best = self.log_density(best);
        let terms = of_best.iter().zip(&self.all);
        let (sum, weight) = terms.fold((0.0, 0.0), |(sum, weight), (best, all)| {
            (sum + all.exp() * ((best - all).exp() - 1.0).powi(2), weight + all.exp())
        });
        sum / weight
    }

    /// The logarithm of the density of trials at every point.
    fn log_density(&self, trials: &[usize]) -> Vec<f64> {
        let (from, to) = ends(self.range);
        let builder: DefaultEstimatorBuilder = match self.range {
            Range::Choices(_) => tpe::histogram_estimator(),
            Range::Interval(_) => tpe::parzen_estimator(),
        };
        let places: Vec<f64> = trials.iter().filter_map(|&trial| self.places[trial]).collect();
        let Ok(axis) = tpe::range(from, to) else {
            unreachable!("ranges are checked: not empty, and finite")
        };
        let Ok(density) = builder.build_density_estimator(places.into_iter(), axis);
        self.points.iter().map(|point| density.log_pdf(*point)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sweep::{Interval, Number};

    /// 40 trials at even places of three keys; the loss is `(a - 0.3)^2 + 0.01 b`, and knows no c.
    #[test]
    fn what_matters_is_told_from_what_does_not() {
        let real = Range::Interval(Interval {
            low: Number::Real(0.0),
            high: Number::Real(1.0),
            log: false,
        });
        let choice = Range::Choices(vec!["x".into(), "y".into()]);
        let over = [("a", real.clone()), ("b", real), ("c", choice)];
        let config = SweepConfig {
            over: over.map(|(key, range)| (key.to_owned(), range)).into(),
            ..SweepConfig::default()
        };
        let mut trials: Vec<(f64, Values)> = (0..40_u32)
            .map(|number| {
                let [a, b] = [0.618_033_988_75, 0.414_213_562_37]
                    .map(|step| (f64::from(number) * step).fract());
                let c = if number % 2 == 0 { "x" } else { "y" };
                let values: [(String, toml::Value); 3] = [
                    ("a".to_owned(), a.into()),
                    ("b".to_owned(), b.into()),
                    ("c".to_owned(), c.into()),
                ];
                ((a - 0.3).powi(2) + 0.01 * b, values.into())
            })
            .collect();
        trials.sort_by(|one, other| one.0.total_cmp(&other.0));
        let ranked: Vec<&Values> = trials.iter().map(|(_, values)| values).collect();
        let found = importance(&config, &ranked);
        assert_eq!(found[0].key, "a", "{found:?}");
        assert!(found[0].share > 0.6 && found[0].share > found[0].by_chance, "{found:?}");
        assert!(found[1..].iter().all(|other| other.share < other.by_chance), "{found:?}");
        assert!((found.iter().map(|key| key.share).sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(importance(&config, &ranked[..7]).is_empty());
    }
}
