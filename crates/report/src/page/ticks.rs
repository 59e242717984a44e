//! Places and labels of ticks: steps of 1, 2 or 5 times a power of ten.

/// At most so many ticks lie on a logarithmic axis.
const MOST_DECADES: i32 = 8;

/// Ticks of a linear axis, about `count` of them, with their labels.
pub(super) fn linear(low: f64, high: f64, count: usize) -> Vec<(f64, String)> {
    let (low, high) = (low.min(high), low.max(high));
    let span = high - low;
    if !span.is_finite() || span <= 0.0 {
        return vec![(low, label(low, 1.0))];
    }
    let rough = span / count.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = match rough / power {
        ratio if ratio <= 1.0 => power,
        ratio if ratio <= 2.0 => 2.0 * power,
        ratio if ratio <= 5.0 => 5.0 * power,
        _ => 10.0 * power,
    };
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|place| place as f64 * step).map(|tick| (tick, label(tick, step))).collect()
}

/// Ticks of a logarithmic axis: powers of ten, every second or third of them where there are many; between two powers, 2
/// and 5 too.
pub(super) fn logarithmic(low: f64, high: f64) -> Vec<(f64, String)> {
    let decades = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let every = (decades.1 - decades.0) / MOST_DECADES + 1;
    let few = decades.1 - decades.0 <= 3;
    let mut ticks = Vec::new();
    for power in (decades.0..=decades.1).filter(|power| power.rem_euclid(every) == 0) {
        for factor in [1.0, 2.0, 5.0] {
            let tick = factor * 10f64.powi(power);
            if (factor == 1.0 || few) && tick >= low && tick <= high {
                ticks.push((tick, label(tick, 10f64.powi(power))));
            }
        }
    }
    ticks
}

/// A number with the digits of its step, and a true minus sign.
fn label(value: f64, step: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        return "0".to_owned();
    }
    let text = if size >= 1e6 || step < 1e-4 {
        format!("{value:.1e}").replace(".0e", "e")
    } else {
        let decimals = (-step.log10() - 1e-9).ceil().max(0.0) as usize;
        format!("{value:.decimals$}")
    };
    text.replace('-', "\u{2212}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: &[(f64, String)]) -> Vec<&str> {
        ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_and_within_the_axis() {
        assert_eq!(labels(&linear(0.0, 1.0, 5)), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&linear(-3.0, 7.0, 5)), ["\u{2212}2", "0", "2", "4", "6"]);
        assert_eq!(labels(&linear(117.31, 117.42, 4)), ["117.35", "117.40"]);
        // An axis that runs downwards has the same ticks.
        assert_eq!(linear(1.0, 0.0, 5), linear(0.0, 1.0, 5));
        assert_eq!(labels(&linear(2.0, 2.0, 5)), ["2"]);
        assert_eq!(labels(&linear(0.0, 3e7, 3)), ["0", "1e7", "2e7", "3e7"]);
    }

    #[test]
    fn decades_are_thinned() {
        assert_eq!(labels(&logarithmic(0.03, 2.0)), ["0.05", "0.1", "0.2", "0.5", "1", "2"]);
        let many = logarithmic(1e-12, 1e12);
        assert!((3..=9).contains(&many.len()), "{many:?}");
    }
}
