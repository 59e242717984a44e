//! Units of table columns, converted to internal units (`docs/spec.md#conventions`) on loading.
//!
//! Any positive multiple of a known unit is a unit: `1e-22 kg m/s`, `0.5 a.u.`. It is written back as it was given.

use std::fmt;
use std::str::FromStr;

use cei_physics::units::{BOHR_PM, MOMENTUM_AU_SI};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A text that is no unit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the fields are what the messages show")]
pub enum UnitError {
    /// The name is not known.
    #[error(
        "`{text}` is no unit of {quantity}\nhint: there are {known}, and multiples of them such as `{example}`"
    )]
    Unknown { text: String, quantity: &'static str, known: &'static str, example: &'static str },
    /// Not a factor by which a number can be multiplied.
    #[error("`{text}`: the factor of a unit must be a positive number that f64 holds")]
    Factor { text: String },
    /// A multiple of what has no unit.
    #[error("`{text}`: numbers without a unit have no factor\nhint: write `none`")]
    FactorOfNone { text: String },
}

/// A unit as it was given, where it has no name of its own: text and factor into the internal unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Multiple {
    text: String,
    factor: f64,
}

// The factor is finite.
impl Eq for Multiple {}

/// Unit of the position columns of a file: `bohr`, `angstrom`, `pm`, `nm`, `m`, `none`, or a multiple such as
/// `1e-3 bohr`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub enum PositionUnit {
    /// Bohr, the internal unit.
    #[default]
    Bohr,
    /// Angstrom.
    Angstrom,
    /// Picometre.
    Pm,
    /// Nanometre.
    Nm,
    /// No unit: the numbers are taken as they are.
    None,
    /// Any other length, such as `1e-3 bohr`.
    Multiple(Multiple),
}

impl PositionUnit {
    /// The factor by which a number of the file is multiplied to become internal.
    #[must_use]
    pub fn factor(&self) -> f64 {
        match self {
            Self::Bohr | Self::None => 1.0,
            Self::Angstrom => 100.0 / BOHR_PM,
            Self::Pm => 1.0 / BOHR_PM,
            Self::Nm => 1000.0 / BOHR_PM,
            Self::Multiple(multiple) => multiple.factor,
        }
    }

    /// The unit of loaded numbers; none where they have no unit.
    #[must_use]
    pub fn internal(&self) -> Option<&'static str> {
        (*self != Self::None).then_some("bohr")
    }
}

impl fmt::Display for PositionUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bohr => "bohr",
            Self::Angstrom => "angstrom",
            Self::Pm => "pm",
            Self::Nm => "nm",
            Self::None => "none",
            Self::Multiple(multiple) => &multiple.text,
        })
    }
}

impl FromStr for PositionUnit {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let known = |name: &str| {
            Some(match name {
                "bohr" | "a0" | "au" | "a.u." => Self::Bohr,
                "angstrom" | "ångström" | "å" | "a" => Self::Angstrom,
                "pm" => Self::Pm,
                "nm" => Self::Nm,
                "m" => Self::Multiple(Multiple { text: name.to_owned(), factor: 1e12 / BOHR_PM }),
                "none" => Self::None,
                _ => return None,
            })
        };
        let unknown = || UnitError::Unknown {
            text: text.to_owned(),
            quantity: "length",
            known: "`bohr` (or `a.u.`), `angstrom`, `pm`, `nm`, `m`, `none`",
            example: "1e-3 bohr",
        };
        let (factor, name) = split(text)?;
        let unit = known(&name).ok_or_else(unknown)?;
        match factor {
            None => Ok(unit),
            Some(_) if unit == Self::None => Err(UnitError::FactorOfNone { text: text.to_owned() }),
            Some(factor) => multiple(text, factor * unit.factor()).map(Self::Multiple),
        }
    }
}

impl TryFrom<String> for PositionUnit {
    type Error = UnitError;

    fn try_from(text: String) -> Result<Self, UnitError> {
        text.parse()
    }
}

impl From<PositionUnit> for String {
    fn from(unit: PositionUnit) -> Self {
        unit.to_string()
    }
}

/// Unit of the momentum columns of a file: `au`, `si` or `kg m/s`, `none`, or a multiple such as `1e-22 kg m/s`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub enum MomentumUnit {
    /// Atomic units of momentum, the internal unit.
    #[default]
    Au,
    /// kg m/s.
    Si,
    /// No unit: the numbers are taken as they are.
    None,
    /// Any other momentum, such as `1e-22 kg m/s`.
    Multiple(Multiple),
}

impl MomentumUnit {
    /// The factor by which a number of the file is multiplied to become internal.
    #[must_use]
    pub fn factor(&self) -> f64 {
        match self {
            Self::Au | Self::None => 1.0,
            Self::Si => 1.0 / MOMENTUM_AU_SI,
            Self::Multiple(multiple) => multiple.factor,
        }
    }
}

impl fmt::Display for MomentumUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Au => "au",
            Self::Si => "si",
            Self::None => "none",
            Self::Multiple(multiple) => &multiple.text,
        })
    }
}

impl FromStr for MomentumUnit {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let known = |name: &str| {
            Some(match name {
                "au" | "a.u." => Self::Au,
                "si" | "kgm/s" | "kgms^-1" | "kgms-1" => Self::Si,
                "none" => Self::None,
                _ => return None,
            })
        };
        let unknown = || UnitError::Unknown {
            text: text.to_owned(),
            quantity: "momentum",
            known: "`au` (or `a.u.`), `si` (or `kg m/s`), `none`",
            example: "1e-22 kg m/s",
        };
        let (factor, name) = split(text)?;
        let unit = known(&name).ok_or_else(unknown)?;
        match factor {
            None => Ok(unit),
            Some(_) if unit == Self::None => Err(UnitError::FactorOfNone { text: text.to_owned() }),
            Some(factor) => multiple(text, factor * unit.factor()).map(Self::Multiple),
        }
    }
}

impl TryFrom<String> for MomentumUnit {
    type Error = UnitError;

    fn try_from(text: String) -> Result<Self, UnitError> {
        text.parse()
    }
}

impl From<MomentumUnit> for String {
    fn from(unit: MomentumUnit) -> Self {
        unit.to_string()
    }
}

/// The number before a unit, if there is one, and the unit's name in lower case without blanks and products' signs.
pub(crate) fn split(text: &str) -> Result<(Option<f64>, String), UnitError> {
    let text = text.trim();
    let is_mark = |c: char| c.is_whitespace() || matches!(c, '*' | '·' | '×');
    let normal = |name: &str| name.to_lowercase().replace(is_mark, "");
    let number = |first: &str| match first.strip_prefix("10^") {
        Some(power) => power.parse::<i32>().ok().map(|power| 10_f64.powi(power)),
        None => first.parse::<f64>().ok(),
    };
    let (mut first, mut rest) = text.split_once(is_mark).unwrap_or((text, ""));
    // Without a blank the number is the longest beginning that is one: `1e-22kgm/s`.
    let begins = |end: &usize| first.is_char_boundary(*end) && number(&first[..*end]).is_some();
    if number(first).is_none()
        && first.starts_with(|c: char| c.is_ascii_digit())
        && let Some(end) = (1..first.len()).rev().find(begins)
    {
        (first, rest) = text.split_at(end);
    }
    match number(first) {
        Some(number) if number > 0.0 && number.is_finite() => Ok((Some(number), normal(rest))),
        Some(_) => Err(UnitError::Factor { text: text.to_owned() }),
        None => Ok((None, normal(text))),
    }
}

fn multiple(text: &str, factor: f64) -> Result<Multiple, UnitError> {
    let text = text.trim().to_owned();
    if factor.is_normal() { Ok(Multiple { text, factor }) } else { Err(UnitError::Factor { text }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_multiple_of_a_known_unit_is_a_unit_and_is_written_as_given() {
        let momenta = [
            ("au", 1.0),
            ("A.U.", 1.0),
            ("0.5 a.u.", 0.5),
            ("kg m/s", 1.0 / MOMENTUM_AU_SI),
            ("1e-22 kg m/s", 1e-22 / MOMENTUM_AU_SI),
            ("1e-22 kg*m/s", 1e-22 / MOMENTUM_AU_SI),
            ("10^-22 kg m s^-1", 1e-22 / MOMENTUM_AU_SI),
            ("1e-22 si", 1e-22 / MOMENTUM_AU_SI),
            ("1e-22kgm/s", 1e-22 / MOMENTUM_AU_SI),
            ("1e-22kg m/s", 1e-22 / MOMENTUM_AU_SI),
            ("10^-22kg*m/s", 1e-22 / MOMENTUM_AU_SI),
            ("2au", 2.0),
        ];
        for (text, factor) in momenta {
            let unit: MomentumUnit = text.parse().unwrap();
            assert!((unit.factor() / factor - 1.0).abs() < 1e-14, "{text}: {}", unit.factor());
            let again: MomentumUnit = unit.to_string().parse().unwrap();
            assert_eq!(unit, again);
        }
        let unit: MomentumUnit = "1e-22 kg m/s".parse().unwrap();
        assert!((unit.factor() - 50.1793).abs() < 1e-4, "{}", unit.factor());
        assert_eq!(unit.to_string(), "1e-22 kg m/s");
        let lengths = [("1e-3 bohr", 1e-3), ("100 pm", 100.0 / BOHR_PM), ("2 a.u.", 2.0)];
        for (text, factor) in lengths {
            let unit: PositionUnit = text.parse().unwrap();
            assert!((unit.factor() / factor - 1.0).abs() < 1e-14, "{text}");
            assert_eq!(unit.to_string(), text);
        }
        let metre: PositionUnit = "1e-10 m".parse().unwrap();
        assert!((metre.factor() / PositionUnit::Angstrom.factor() - 1.0).abs() < 1e-14);
    }

    #[test]
    fn what_is_no_unit_is_refused_with_those_that_are() {
        for text in ["", "furlong", "1e-22", "1e-22 kg", "kg", "pm", "1 2 au"] {
            let error = text.parse::<MomentumUnit>().unwrap_err().to_string();
            assert!(error.contains("`au`") && error.contains("1e-22 kg m/s"), "{text}: {error}");
        }
        for text in ["0 au", "-1 au", "nan au", "inf au", "1e400 au", "1e-320 au", "1e300 si"] {
            let error = text.parse::<MomentumUnit>().unwrap_err();
            assert!(matches!(error, UnitError::Factor { .. }), "{text}: {error}");
        }
        let error = "2 none".parse::<PositionUnit>().unwrap_err();
        assert!(matches!(error, UnitError::FactorOfNone { .. }), "{error}");
        assert!("parsec".parse::<PositionUnit>().unwrap_err().to_string().contains("`bohr`"));
    }
}
