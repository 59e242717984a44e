//! Numbers and lists in the sentences of a report.

use cei_metrics::quantile;

/// A number to three significant digits, without an exponent where that is readable.
pub(super) fn number(value: f64) -> String {
    digits(value, 3)
}

/// A number to so many significant digits.
pub(super) fn digits(value: f64, digits: i32) -> String {
    let size = value.abs();
    if value == 0.0 || !value.is_finite() {
        return format!("{value:.0}");
    }
    if !(1e-3..1e6).contains(&size) {
        return format!("{value:.*e}", (digits - 1).max(0) as usize);
    }
    let decimals = (digits - 1 - size.log10().floor() as i32).max(0) as usize;
    format!("{value:.decimals$}")
}

/// A number, or nothing where it does not apply.
pub(super) fn optional(value: Option<f64>) -> String {
    value.map_or_else(String::new, number)
}

/// A share in percent.
pub(super) fn percent(share: f64) -> String {
    let is_fine = (share > 0.0 && share < 0.1) || (share > 0.995 && share < 1.0);
    let digits = format!("{:.*}", usize::from(is_fine), 100.0 * share);
    format!("{} %", digits.strip_suffix(".0").unwrap_or(&digits))
}

/// `1 event`, `2 events`.
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The 5 %, 50 % and 95 % quantiles of finite values; none of nothing.
pub(super) fn spread(values: impl IntoIterator<Item = f64>) -> Option<[f64; 3]> {
    let mut sorted: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let at = |level| quantile(&sorted, level);
    Some([at(0.05)?, at(0.5)?, at(0.95)?])
}

/// Mean and standard deviation (n - 1; zero of one value) of finite values; none of nothing.
pub(super) fn moments(values: impl IntoIterator<Item = f64>) -> Option<[f64; 2]> {
    let values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
    let n = values.len() as f64;
    let mean = (n > 0.0).then(|| values.iter().sum::<f64>() / n)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some([mean, (squares / (n - 1.0).max(1.0)).sqrt()])
}

/// At most `most` of so many things, evenly spaced.
pub(super) fn spaced(of: usize, most: usize) -> Vec<usize> {
    let used = of.min(most);
    (0..used).map(|place| place * of / used).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_lists_are_readable() {
        let written = [0.0, 1234.5, 12.34, 0.012_34, 1.5e-9, -2e7].map(number);
        assert_eq!(written, ["0", "1234", "12.3", "0.0123", "1.50e-9", "-2.00e7"]);
        assert_eq!(
            [0.0, 0.004, 0.01, 0.5, 0.999, 1.0].map(percent),
            ["0 %", "0.4 %", "1 %", "50 %", "99.9 %", "100 %"]
        );
        let parts = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(
            [list(&parts[..1]), list(&parts[..2]), list(&parts)],
            ["a", "a and b", "a, b and c"]
        );
        assert_eq!([count(1, "event"), count(0, "event")], ["1 event", "0 events"]);
    }

    #[test]
    fn moments_and_quantiles_by_hand() {
        // 1, 2, 3: mean 2, variance 2 / 2
        assert_eq!(moments([1.0, 2.0, f64::NAN, 3.0]), Some([2.0, 1.0]));
        assert_eq!((moments([]), moments([4.0])), (None, Some([4.0, 0.0])));
        let Some([low, median, high]) = spread((0..=100).map(f64::from)) else { panic!() };
        assert!((low - 5.0).abs() + (median - 50.0).abs() + (high - 95.0).abs() < 1e-12);
        assert_eq!((spaced(10, 5), spaced(3, 5)), (vec![0, 2, 4, 6, 8], vec![0, 1, 2]));
    }
}
