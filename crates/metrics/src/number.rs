//! Numbers in JSON, which knows neither infinities nor NaN: they are the strings `"inf"`, `"-inf"` and `"nan"`, never a
//! silent `null`, and are read back from them. What does not apply is absent.
//!
//! Every field of a report that holds floating-point numbers, alone or in maps, lists and options, says
//! `#[serde(with = "number")]`.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What is written so: `f64`, and options, lists, arrays, pairs and maps of it.
pub trait Numbers: Sized {
    /// Writes it.
    ///
    /// # Errors
    /// Those of the serialiser.
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;

    /// Reads it.
    ///
    /// # Errors
    /// Anything but numbers and the three strings.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

/// For `#[serde(with = "number")]`.
///
/// # Errors
/// Those of the serialiser.
pub fn serialize<T: Numbers, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    value.write(serializer)
}

/// For `#[serde(with = "number")]`.
///
/// # Errors
/// Anything but numbers and the three strings.
pub fn deserialize<'de, T: Numbers, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::read(deserializer)
}

/// A value whose parts are written as [`Numbers`].
struct Wrapped<T>(T);

impl<T: Numbers> Serialize for Wrapped<&T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.write(serializer)
    }
}

impl<'de, T: Numbers> Deserialize<'de> for Wrapped<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::read(deserializer).map(Wrapped)
    }
}

impl Numbers for f64 {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_finite() {
            serializer.serialize_f64(*self)
        } else {
            serializer.serialize_str(match *self {
                Self::INFINITY => "inf",
                Self::NEG_INFINITY => "-inf",
                _ => "nan",
            })
        }
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(One)
    }
}

struct One;

impl Visitor<'_> for One {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, \"inf\", \"-inf\" or \"nan\"")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<f64, E> {
        Ok(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<f64, E> {
        match text {
            "inf" => Ok(f64::INFINITY),
            "-inf" => Ok(f64::NEG_INFINITY),
            "nan" => Ok(f64::NAN),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
        }
    }
}

impl<T: Numbers> Numbers for Option<T> {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Some(value) => serializer.serialize_some(&Wrapped(value)),
            None => serializer.serialize_none(),
        }
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<Wrapped<T>>::deserialize(deserializer)?.map(|wrapped| wrapped.0))
    }
}

impl<T: Numbers> Numbers for Vec<T> {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.len()))?;
        for value in self {
            list.serialize_element(&Wrapped(value))?;
        }
        list.end()
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = Vec::<Wrapped<T>>::deserialize(deserializer)?;
        Ok(list.into_iter().map(|wrapped| wrapped.0).collect())
    }
}

impl Numbers for (f64, f64) {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        [Wrapped(&self.0), Wrapped(&self.1)].serialize(serializer)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let [Wrapped(a), Wrapped(b)] = <[Wrapped<f64>; 2]>::deserialize(deserializer)?;
        Ok((a, b))
    }
}

impl<const N: usize> Numbers for [f64; N] {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(N))?;
        for value in self {
            list.serialize_element(&Wrapped(value))?;
        }
        list.end()
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = Vec::<f64>::read(deserializer)?;
        let count = list.len();
        list.try_into().map_err(|_| D::Error::invalid_length(count, &"another number of numbers"))
    }
}

impl<T: Numbers> Numbers for BTreeMap<String, T> {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (key, value) in self {
            map.serialize_entry(key, &Wrapped(value))?;
        }
        map.end()
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = BTreeMap::<String, Wrapped<T>>::deserialize(deserializer)?;
        Ok(map.into_iter().map(|(key, wrapped)| (key, wrapped.0)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
    struct Report {
        #[serde(with = "super")]
        one: f64,
        #[serde(default, skip_serializing_if = "Option::is_none", with = "super")]
        maybe: Option<f64>,
        #[serde(with = "super")]
        list: Vec<f64>,
        #[serde(with = "super")]
        pairs: Vec<(f64, f64)>,
        #[serde(with = "super")]
        levels: BTreeMap<String, BTreeMap<String, f64>>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Outer {
        #[serde(flatten)]
        report: Report,
        name: String,
    }

    #[test]
    fn numbers_that_json_lacks_are_strings_and_come_back() {
        let inner = BTreeMap::from([("0.9".to_owned(), f64::NEG_INFINITY)]);
        let report = Report {
            one: f64::INFINITY,
            maybe: None,
            list: vec![1.0, f64::NEG_INFINITY, 0.1],
            pairs: vec![(0.5, f64::INFINITY)],
            levels: BTreeMap::from([("C-O".to_owned(), inner)]),
        };
        // Flattened, as in the report of a run, and beside a text that looks like a number.
        let outer = Outer { report, name: "inf".to_owned() };
        let text = serde_json::to_string(&outer).unwrap();
        assert_eq!(
            text,
            r#"{"one":"inf","list":[1.0,"-inf",0.1],"pairs":[[0.5,"inf"]],"levels":{"C-O":{"0.9":"-inf"}},"name":"inf"}"#
        );
        assert_eq!(serde_json::from_str::<Outer>(&text).unwrap(), outer);
        let nan = serde_json::to_string(&Report { one: f64::NAN, ..Report::default() }).unwrap();
        assert!(nan.contains(r#""one":"nan""#), "{nan}");
        assert!(serde_json::from_str::<Report>(&nan).unwrap().one.is_nan());
        // Whole numbers, and what is no number.
        let whole = r#"{"one":3,"list":[],"pairs":[],"levels":{}}"#;
        assert_eq!(serde_json::from_str::<Report>(whole).unwrap().one, 3.0);
        for wrong in ["null", "\"many\"", "true"] {
            let text = whole.replace('3', wrong);
            assert!(serde_json::from_str::<Report>(&text).is_err(), "{wrong}");
        }
    }
}
