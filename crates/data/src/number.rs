//! A cell of text as a number, in the spellings that laboratories' programs write: `1.5e3`, Fortran's `1.5D+03`
//! and `0.15+101`, decimal commas, the minus sign of Unicode, and the many names of a value that is missing.

use crate::error::{Fault, LARGEST};
use crate::source::Decimal;

/// Beyond this, an f64 does not hold every integer: 2^53.
pub(crate) const EXACT: f64 = 9_007_199_254_740_992.0;

/// What a cell looks like, whether it is wanted or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing.
    Empty,
    /// A mark of a value that is missing, or of an event that failed: `nan`, `N/A`, `--`, `failed`.
    Missing,
    /// A number.
    Number,
    /// Anything else.
    Text,
}

/// Lower-case marks of missing values, beside the spellings of NaN; a sign before them is ignored.
const MISSING: [&str; 13] = [
    "na", "n/a", "#n/a", "#na", "<na>", "null", "none", "nil", "missing", "nat", "qnan", "snan",
    "nanq",
];

/// Lower-case marks that are told as text, but are no names of columns.
const FAILED: [&str; 7] = ["failed", "fail", "error", "err", "invalid", "bad", "undefined"];

/// What a spreadsheet writes where a formula fails; `#` does not begin a comment there.
const SPREADSHEET: [&str; 8] =
    ["#n/a", "#na", "#div/0!", "#num!", "#value!", "#ref!", "#name?", "#null!"];

/// Whether a line begins with the error mark of a spreadsheet's cell.
pub(crate) fn begins_with_spreadsheet_error(line: &str) -> bool {
    SPREADSHEET.iter().any(|mark| {
        line.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark))
            && !line[mark.len()..].starts_with(char::is_alphanumeric)
    })
}

/// The number in a cell of text, blanks and one pair of quotes around it ignored.
///
/// # Errors
/// The fault, with at most 40 characters of the offending text.
pub(crate) fn parse_cell(text: &str, decimal: Decimal) -> Result<f64, Fault> {
    let text = unquoted(text);
    if text.is_empty() {
        return Err(Fault::Empty);
    }
    let shown = || text.chars().take(40).collect();
    if let Some(value) = parse_number(text, decimal) {
        return if value.abs() >= EXACT && rounds(text, value) {
            Err(Fault::Inexact(shown()))
        } else {
            checked(value, f64::MAX)
        };
    }
    let unsigned = text.trim_start_matches(['-', '+']).to_ascii_lowercase();
    let is_nan = unsigned.strip_prefix("nan").is_some_and(|rest| rest.starts_with('('))
        || MISSING.contains(&unsigned.as_str());
    if is_nan {
        return Err(Fault::NotANumber);
    }
    // Microsoft's runtime: 1.#QNAN, 1.#IND00, 1.#INF.
    match unsigned.strip_prefix("1.#") {
        Some(rest) if rest.starts_with("inf") => Err(Fault::Infinite),
        Some(rest) if ["qnan", "snan", "ind"].iter().any(|name| rest.starts_with(name)) => {
            Err(Fault::NotANumber)
        }
        _ => Err(Fault::Text(shown())),
    }
}

/// What a cell looks like.
pub(crate) fn kind(text: &str, decimal: Decimal) -> Kind {
    match parse_cell(text, decimal) {
        Ok(_) | Err(Fault::Inexact(_) | Fault::TooLarge { .. }) => Kind::Number,
        Err(Fault::Empty) => Kind::Empty,
        Err(Fault::NotANumber | Fault::Infinite) => Kind::Missing,
        Err(_) => {
            let text = unquoted(text).to_lowercase();
            let is_mark = !text.contains(char::is_alphanumeric)
                || SPREADSHEET.contains(&text.as_str())
                || FAILED.contains(&text.as_str());
            if is_mark { Kind::Missing } else { Kind::Text }
        }
    }
}

/// Digits and perhaps a sign: an integer as one writes it.
pub(crate) fn is_plain_integer(text: &str) -> bool {
    let text = unquoted(text);
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Without blanks and one pair of quotes around it.
pub(crate) fn unquoted(cell: &str) -> &str {
    let cell = cell.trim();
    cell.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).map_or(cell, str::trim)
}

/// The value if it is finite and its magnitude not beyond `limit`, which stands for [`LARGEST`] in the
/// file's unit.
///
/// # Errors
/// NaN, infinity, a number too large.
pub(crate) fn checked(value: f64, limit: f64) -> Result<f64, Fault> {
    if value.abs() <= limit {
        Ok(value)
    } else if value.is_finite() {
        Err(Fault::TooLarge { value, limit })
    } else if value.is_nan() {
        Err(Fault::NotANumber)
    } else {
        Err(Fault::Infinite)
    }
}

/// The limit of a column whose numbers are multiplied by `factor` to become internal.
pub(crate) fn limit(factor: f64) -> f64 {
    LARGEST / factor
}

/// The number, which may be infinite or NaN where the text says so; none where the text is no number.
fn parse_number(text: &str, decimal: Decimal) -> Option<f64> {
    let plain = match decimal {
        Decimal::Auto | Decimal::Point => text.parse::<f64>().ok(),
        Decimal::Comma => None,
    };
    plain.or_else(|| respelled(text, decimal)?.parse().ok())
}

/// The same number as Rust writes it; none where the text holds other characters than a number's.
fn respelled(text: &str, decimal: Decimal) -> Option<String> {
    let mut number = text.replace('\u{2212}', "-");
    if decimal == Decimal::Comma {
        if number.contains('.') {
            return None;
        }
        number = number.replacen(',', ".", 1);
    }
    let sign = usize::from(number.starts_with(['-', '+']));
    let end = number[sign..].find(|c: char| !(c.is_ascii_digit() || c == '.'));
    let Some(end) = end.filter(|&digits| digits > 0).map(|digits| sign + digits) else {
        return Some(number);
    };
    let (mantissa, exponent) = number.split_at(end);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(exponent) = exponent.strip_prefix(['d', 'D', 'q', 'Q']) {
        let unsigned = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        return digits(unsigned).then(|| format!("{mantissa}e{exponent}"));
    }
    // Fortran leaves the letter out where the exponent has three digits.
    match exponent.strip_prefix(['-', '+']) {
        Some(unsigned) if unsigned.len() == 3 && digits(unsigned) && mantissa.contains('.') => {
            Some(format!("{mantissa}e{exponent}"))
        }
        _ => Some(number),
    }
}

/// Whether the text is an integer that the number does not hold exactly.
fn rounds(text: &str, value: f64) -> bool {
    is_plain_integer(text) && text.parse::<i128>().is_ok_and(|integer| value as i128 != integer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_the_same_number_or_none() {
        let numbers = [
            ("1.5e3", 1500.0),
            ("1.5D+03", 1500.0),
            ("1.5d3", 1500.0),
            ("-.15D-02", -0.0015),
            ("+1.5Q2", 150.0),
            ("0.116+101", 0.116e101),
            ("-0.116-101", -0.116e-101),
            ("\u{2212}2.5", -2.5),
            (" \"3.5\" ", 3.5),
            ("+7", 7.0),
            ("5.", 5.0),
            ("1D0", 1.0),
            ("9007199254740992", EXACT),
            ("1E-400", 0.0),
        ];
        for (text, expected) in numbers {
            assert_eq!(parse_cell(text, Decimal::Point), Ok(expected), "{text}");
        }
        for text in [
            "1.5D", "D3", "1-2", "1.5+12", "2020-101", "1,5", "0x10", "1_000", "1.5D+0x", "e", "-",
            "\u{e9}1", "1.2.3",
        ] {
            assert!(matches!(parse_cell(text, Decimal::Point), Err(Fault::Text(_))), "{text}");
        }
        for (text, expected) in
            [("1,5", 1.5), ("-0,25e2", -25.0), ("3", 3.0), ("1,5D1", 15.0), (",5", 0.5)]
        {
            assert_eq!(parse_cell(text, Decimal::Comma), Ok(expected), "{text}");
        }
        for text in ["1.5", "1.234,5", "1,234,567", "1,234.5"] {
            assert!(matches!(parse_cell(text, Decimal::Comma), Err(Fault::Text(_))), "{text}");
        }
        assert!(matches!(parse_cell("9007199254740993", Decimal::Point), Err(Fault::Inexact(_))));
    }

    #[test]
    fn every_name_of_a_missing_value_is_known() {
        for text in [
            "nan",
            "NaN",
            "-nan",
            "-nan(ind)",
            "nan(0x7ff)",
            "NA",
            "n/a",
            "#N/A",
            "null",
            "None",
            "<NA>",
            "1.#QNAN",
            "-1.#IND",
            "1.#IND00",
        ] {
            assert_eq!(parse_cell(text, Decimal::Point), Err(Fault::NotANumber), "{text}");
            assert_eq!(kind(text, Decimal::Point), Kind::Missing, "{text}");
        }
        for text in ["inf", "-Infinity", "1.#INF", "-1.#INF00", "1e999"] {
            assert_eq!(parse_cell(text, Decimal::Point), Err(Fault::Infinite), "{text}");
        }
        for (text, expected) in [
            ("--", Kind::Missing),
            ("#DIV/0!", Kind::Missing),
            ("failed", Kind::Missing),
            ("pcx", Kind::Text),
            (" ", Kind::Empty),
            ("1e31", Kind::Number),
        ] {
            assert_eq!(kind(text, Decimal::Point), expected, "{text}");
        }
        assert!(
            begins_with_spreadsheet_error("#N/A,1") && begins_with_spreadsheet_error("#DIV/0!;2")
        );
        assert!(
            !begins_with_spreadsheet_error("#name of") && !begins_with_spreadsheet_error("# N/A")
        );
    }
}
