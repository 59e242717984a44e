//! What the next trial tries: a tree-structured Parzen estimator (Bergstra, Bardenet, Bengio & Kégl 2011, section 4), by
//! the crate `tpe`.
//!
//! The trials that have ended are put in order; `l` is a density of the values of the best of them, `g` of the
//! others. Of a few draws from `l` the one with the largest `l / g` is tried, of each key by itself.

use cei_model::random::{Purpose, stream};
use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use tpe::density_estimation::DefaultEstimatorBuilder;
use tpe::{TpeOptimizer, TpeOptimizerBuilder};

use super::space::{Values, ends, place_of, value_at};
use crate::config::sweep::{Range, SweepConfig};

/// The part of the trials that counts as good (Bergstra et al.).
const GOOD: f64 = 0.15;

/// Draws of which the best one is tried. With the usual 24 a search of 20 trials is no better than chance: the best of
/// so many lies where `g` happens to have no trial, and all trials of a batch lie there.
const CANDIDATES: usize = 4;

/// How often values are drawn before ones that were tried already are tried again.
const DRAWS: usize = 20;

/// The values of trial `number`, where those of `ranked` are the trials that have ended, best first; too few of them
/// are not asked. Values that are in `known` are avoided.
pub(super) fn propose(
    config: &SweepConfig,
    number: usize,
    ranked: &[&Values],
    known: &[&Values],
) -> Values {
    let mut rng = stream(config.seed, Purpose::Trials, number as u64);
    let learned = ranked.len() >= config.startup;
    let mut draw = || -> Values {
        let of_key = |(key, range): (&String, &Range)| {
            let place =
                if learned { parzen(key, range, ranked, &mut rng) } else { even(range, &mut rng) };
            (key.clone(), value_at(range, place))
        };
        config.over.iter().map(of_key).collect()
    };
    let mut values = draw();
    for _ in 1..DRAWS {
        if !known.contains(&&values) {
            break;
        }
        values = draw();
    }
    values
}

fn even(range: &Range, rng: &mut ChaCha8Rng) -> f64 {
    let (from, to) = ends(range);
    from + (to - from) * rng.random::<f64>()
}

fn parzen(key: &str, range: &Range, ranked: &[&Values], rng: &mut ChaCha8Rng) -> f64 {
    let mut optimiser = optimiser(range);
    for (rank, values) in ranked.iter().enumerate() {
        // Of a value outside of the range only the rank counts.
        let place = values.get(key).and_then(|value| place_of(range, value)).unwrap_or(f64::NAN);
        if optimiser.tell(place, rank as f64).is_err() {
            unreachable!("a rank is a number, and the place of a value lies on its axis");
        }
    }
    let Ok(place) = optimiser.ask(rng);
    place
}

fn optimiser(range: &Range) -> TpeOptimizer<DefaultEstimatorBuilder> {
    let (from, to) = ends(range);
    let estimator = match range {
        Range::Choices(_) => tpe::histogram_estimator(),
        Range::Interval(_) => tpe::parzen_estimator(),
    };
    let axis = tpe::range(from, to);
    let mut builder = TpeOptimizerBuilder::new();
    builder.gamma(GOOD).candidates(CANDIDATES);
    let built = axis.ok().and_then(|axis| builder.build(estimator, axis).ok());
    match built {
        Some(optimiser) => optimiser,
        None => unreachable!("ranges are checked: not empty, and finite"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sweep::{Interval, Number};

    fn config(seed: u64, trials: usize, startup: usize) -> SweepConfig {
        let real = |low: f64, high: f64, log: bool| {
            Range::Interval(Interval { low: Number::Real(low), high: Number::Real(high), log })
        };
        let count = Interval { low: Number::Integer(1), high: Number::Integer(64), log: true };
        let over = [
            ("a".to_owned(), real(-5.0, 5.0, false)),
            ("b".to_owned(), real(1e-5, 1.0, true)),
            ("c".to_owned(), Range::Interval(count)),
            ("d".to_owned(), Range::Choices(vec!["x".into(), "y".into(), "z".into()])),
        ];
        SweepConfig { seed, trials, startup, over: over.into(), ..SweepConfig::default() }
    }

    /// A bowl: its lowest value is 0 at a = 1, b = 1e-3, c = 8, d = y.
    fn loss(values: &Values) -> f64 {
        let number = |key: &str| super::super::space::number(&values[key]).unwrap();
        let choice = if values["d"].as_str() == Some("y") { 0.0 } else { 1.0 };
        ((number("a") - 1.0) / 2.0).powi(2)
            + (number("b") / 1e-3).log10().powi(2)
            + (number("c") / 8.0).log2().powi(2) / 4.0
            + choice
    }

    /// The lowest loss of a search in batches of 4.
    fn search(config: &SweepConfig) -> f64 {
        let mut tried: Vec<Values> = Vec::new();
        for number in 0..config.trials {
            let ended = &tried[..number / config.batch * config.batch];
            let mut ranked: Vec<&Values> = ended.iter().collect();
            ranked.sort_by(|one, other| loss(one).total_cmp(&loss(other)));
            let known: Vec<&Values> = tried.iter().collect();
            tried.push(propose(config, number, &ranked, &known));
        }
        tried.iter().map(loss).fold(f64::INFINITY, f64::min)
    }

    /// Of 200 seeds. Were the two alike, the search would win 117 of them or more with a probability of 1 %.
    #[test]
    fn the_search_finds_a_lower_minimum_than_chance() {
        for (trials, least) in [(20, 117), (80, 170)] {
            let wins = |seed: &u64| {
                let found = search(&config(*seed, trials, 8));
                found < search(&config(*seed, trials, usize::MAX))
            };
            let wins = (0..200).filter(wins).count();
            assert!(wins >= least, "{trials} trials: {wins} of 200");
        }
    }

    #[test]
    fn a_trial_follows_from_seed_number_and_results_alone() {
        let config = config(3, 20, 4);
        let tried: Vec<Values> = (0..8).map(|number| propose(&config, number, &[], &[])).collect();
        let ranked: Vec<&Values> = tried.iter().collect();
        assert_eq!(propose(&config, 9, &ranked, &[]), propose(&config, 9, &ranked, &[]));
        assert_ne!(propose(&config, 9, &ranked, &[]), propose(&config, 10, &ranked, &[]));
        for values in &tried {
            let number = |key: &str| super::super::space::number(&values[key]).unwrap();
            assert!((-5.0..=5.0).contains(&number("a")), "{values:?}");
            assert!((1e-5..=1.0).contains(&number("b")), "{values:?}");
            assert!((1.0..=64.0).contains(&number("c")), "{values:?}");
        }
    }

    #[test]
    fn what_was_tried_is_not_tried_again_while_there_is_anything_else() {
        let mut config = config(0, 6, 100);
        config.over.retain(|key, _| key == "d");
        let mut tried: Vec<Values> = Vec::new();
        for number in 0..3 {
            let known: Vec<&Values> = tried.iter().collect();
            let values = propose(&config, number, &[], &known);
            assert!(!tried.contains(&values), "{values:?}");
            tried.push(values);
        }
        let known: Vec<&Values> = tried.iter().collect();
        assert!(tried.contains(&propose(&config, 3, &[], &known)));
    }
}
