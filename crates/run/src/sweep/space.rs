//! Values of keys as places on an axis, on which a search knows only numbers.
//!
//! | range | axis | value at `u` |
//! | --- | --- | --- |
//! | numbers from `a` to `b` | `[a, b]` | `u`, to four digits |
//! | integers from `a` to `b` | `[a - 1/2, b + 1/2)` | `u`, rounded |
//! | either with `log` | the logarithm of these | of `exp u` |
//! | `n` choices | `[0, n)` | the one numbered `floor u` |

use std::collections::BTreeMap;

use crate::config::sweep::{Interval, Number, Range};

/// Values by key.
pub(super) type Values = BTreeMap<String, toml::Value>;

/// The two ends of the axis of a range; the upper one does not belong to it.
pub(super) fn ends(range: &Range) -> (f64, f64) {
    match range {
        Range::Choices(choices) => (0.0, choices.len() as f64),
        Range::Interval(interval) => {
            let half = if integers(interval).is_some() { 0.5 } else { 0.0 };
            let (low, high) = (interval.low.as_f64() - half, interval.high.as_f64() + half);
            // The highest number belongs to its range.
            match interval.log {
                true => (low.ln(), high.ln().next_up()),
                false => (low, high.next_up()),
            }
        }
    }
}

/// The value at a place of the axis.
pub(super) fn value_at(range: &Range, place: f64) -> toml::Value {
    match range {
        Range::Choices(choices) => {
            let last = choices.len().saturating_sub(1);
            choices[(place.max(0.0) as usize).min(last)].clone()
        }
        Range::Interval(interval) => {
            let value = if interval.log { place.exp() } else { place };
            match integers(interval) {
                Some((low, high)) => toml::Value::Integer((value.round() as i64).clamp(low, high)),
                None => {
                    let (low, high) = (interval.low.as_f64(), interval.high.as_f64());
                    toml::Value::Float(to_four_digits(value).clamp(low, high))
                }
            }
        }
    }
}

/// The place of a value on the axis; none outside of the range.
pub(super) fn place_of(range: &Range, value: &toml::Value) -> Option<f64> {
    match range {
        Range::Choices(choices) => {
            choices.iter().position(|choice| is_same(choice, value)).map(|place| place as f64)
        }
        Range::Interval(interval) => {
            let value = number(value)?;
            let within = (interval.low.as_f64()..=interval.high.as_f64()).contains(&value);
            within.then_some(if interval.log { value.ln() } else { value })
        }
    }
}

/// A value as a number, where it is one.
pub(super) fn number(value: &toml::Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|value| value as f64))
}

/// The ends of an interval of integers.
fn integers(interval: &Interval) -> Option<(i64, i64)> {
    match (interval.low, interval.high) {
        (Number::Integer(low), Number::Integer(high)) => Some((low, high)),
        _ => None,
    }
}

/// Whether two values are the same; in a configuration 1 is 1.0.
fn is_same(one: &toml::Value, other: &toml::Value) -> bool {
    match (number(one), number(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

/// What people can read, and finer than any search can tell.
fn to_four_digits(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(low: Number, high: Number, log: bool) -> Range {
        Range::Interval(Interval { low, high, log })
    }

    #[test]
    fn every_integer_has_its_share_of_the_axis_and_none_lies_beyond() {
        let range = interval(Number::Integer(2), Number::Integer(5), false);
        let (from, to) = ends(&range);
        assert_eq!((from, to), (1.5, 5.5_f64.next_up()));
        let mut counts = [0; 4];
        for step in 0..4000 {
            let place = from + (to - from) * (f64::from(step) + 0.5) / 4000.0;
            let value = value_at(&range, place).as_integer().unwrap();
            counts[(value - 2) as usize] += 1;
        }
        assert_eq!(counts, [1000; 4]);
        // The logarithm of 1 to 64: half of the axis lies below the geometric mean.
        let range = interval(Number::Integer(1), Number::Integer(64), true);
        let (from, to) = ends(&range);
        assert_eq!(value_at(&range, from).as_integer(), Some(1));
        assert_eq!(value_at(&range, to).as_integer(), Some(64));
        let middle = value_at(&range, 0.5 * (from + to)).as_integer().unwrap();
        assert_eq!(middle, (0.5_f64 * 64.5).sqrt().round() as i64);
    }

    #[test]
    fn values_go_to_the_axis_and_back() {
        let rate = interval(Number::Real(1e-4), Number::Real(1e-2), true);
        for place in [1e-4_f64.ln(), -7.3, 1e-2_f64.ln()] {
            let value = value_at(&rate, place);
            let again = place_of(&rate, &value).unwrap();
            assert!((again - place).abs() < 1e-3, "{place}: {again}");
            assert_eq!(value_at(&rate, again), value);
            let (from, to) = ends(&rate);
            assert!(from <= again && again < to);
        }
        assert_eq!(place_of(&rate, &toml::Value::Float(0.02)), None);
        assert_eq!(place_of(&rate, &toml::Value::String("fast".to_owned())), None);
        let widths = Range::Choices(vec![vec![8].into(), vec![16, 16].into()]);
        assert_eq!(place_of(&widths, &vec![16, 16].into()), Some(1.0));
        assert_eq!(value_at(&widths, 1.999), vec![16, 16].into());
        let sizes = Range::Choices(vec![128.into(), 1.0.into()]);
        assert_eq!(place_of(&sizes, &1.into()), Some(1.0));
    }
}
