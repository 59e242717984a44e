//! Text to a typed configuration: strict, with `--set` for every key, and back to TOML.

use std::path::Path;

use cei_data::did_you_mean;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{ExperimentError, Kind};

/// A type that a configuration file is read as.
pub trait Configuration: DeserializeOwned {
    /// What it is of; none for a table of any kind.
    const KIND: Option<Kind>;

    /// Puts the content of files that it names in the place of their names, which are relative to `folder`: what is
    /// recorded then does not depend on them.
    ///
    /// # Errors
    /// Says which key names a file that cannot be read.
    fn with_files(self, _folder: &Path) -> Result<Self, String> {
        Ok(self)
    }

    /// Checks every value that can be checked without data.
    ///
    /// # Errors
    /// Says which key is wrong.
    fn checked(self) -> Result<Self, String> {
        Ok(self)
    }
}

impl Configuration for toml::Table {
    const KIND: Option<Kind> = None;
}

/// A value of a configuration type as TOML.
pub fn to_toml(value: &impl Serialize) -> String {
    match toml::to_string(value) {
        Ok(text) => text,
        Err(error) => unreachable!("every configuration type can be written as TOML: {error}"),
    }
}

/// TOML of a configuration that a program has as JSON; `origin` names it in errors.
///
/// # Errors
/// A value that TOML does not have.
pub fn toml_of_json(json: &str, origin: &str) -> Result<String, ExperimentError> {
    let table: toml::Table = serde_json::from_str(json).map_err(|error| {
        ExperimentError::Syntax { origin: origin.to_owned(), message: error.to_string() }
    })?;
    Ok(to_toml(&table))
}

/// Reads TOML, applies overrides, and makes a typed configuration of it. Files that it names are looked for in the working
/// folder; for those of a file see [`parse_in_folder`].
///
/// # Errors
/// No TOML, unknown keys, values of a wrong kind or out of their range.
pub fn parse_with_overrides<T: Configuration>(
    text: &str,
    origin: &str,
    overrides: &[String],
) -> Result<T, ExperimentError> {
    parse_in_folder(text, origin, Path::new(""), overrides)
}

/// The same, with the folder that names of files are relative to: that of the configuration.
///
/// # Errors
/// As [`parse_with_overrides`], and a file that cannot be read.
pub fn parse_in_folder<T: Configuration>(
    text: &str,
    origin: &str,
    folder: &Path,
    overrides: &[String],
) -> Result<T, ExperimentError> {
    let given: toml::Table = toml::from_str(text).map_err(|error| ExperimentError::Syntax {
        origin: origin.to_owned(),
        message: error.to_string().trim_end().to_owned(),
    })?;
    let with = |overrides: &mut dyn Iterator<Item = &String>| {
        let mut table = given.clone();
        for given in overrides {
            apply_override(&mut table, given)?;
        }
        Ok::<_, ExperimentError>(table)
    };
    let typed = |table: toml::Table| -> Result<T, String> {
        let value: T = table.try_into().map_err(|error: toml::de::Error| error.to_string())?;
        value.with_files(folder)?.checked()
    };
    typed(with(&mut overrides.iter())?).map_err(|message| {
        let message = message.trim_end().to_owned();
        let hint = nearest_hint(&message).unwrap_or_default();
        // The override is at fault without which the rest is valid.
        let at_fault = overrides.iter().find(|fault| {
            with(&mut overrides.iter().filter(|given| given != fault))
                .is_ok_and(|table| typed(table).is_ok())
        });
        let several = overrides.len() > 1 && typed(given.clone()).is_ok();
        match at_fault {
            None if several => {
                ExperimentError::Overridden { given: overrides.join(" --set "), message, hint }
            }
            Some(fault) => ExperimentError::Overridden { given: fault.clone(), message, hint },
            None => match (Kind::of(&given), T::KIND) {
                (Some(found), Some(expected)) if found != expected => {
                    ExperimentError::WrongKind { origin: origin.to_owned(), found, expected }
                }
                _ => ExperimentError::Content { origin: origin.to_owned(), message, hint },
            },
        }
    })
}

/// The origin of a configuration that is only wrong together with its table or simulation: the overrides may be at
/// fault.
pub fn with_overrides(origin: &str, overrides: &[String]) -> String {
    if overrides.is_empty() {
        return origin.to_owned();
    }
    let given: Vec<String> = overrides.iter().map(|given| format!("`--set {given}`")).collect();
    format!("{origin} with {}", given.join(", "))
}

/// Sets one dotted key; the value is TOML, or else a bare word.
fn apply_override(table: &mut toml::Table, given: &str) -> Result<(), ExperimentError> {
    let missing = || ExperimentError::Override { given: given.to_owned() };
    let (key, value) = given.split_once('=').ok_or_else(missing)?;
    let (key, value) = (key.trim(), value.trim());
    if key.is_empty() || value.is_empty() {
        return Err(missing());
    }
    let value = match toml::from_str::<toml::Table>(&format!("value = {value}")) {
        Ok(mut parsed) => parsed.remove("value").ok_or_else(missing)?,
        Err(_) => toml::Value::String(value.to_owned()),
    };
    let (path, last) = key.rsplit_once('.').map_or((None, key), |(path, last)| (Some(path), last));
    let mut place = table;
    for part in path.into_iter().flat_map(|path| path.split('.')) {
        let entry =
            place.entry(part.to_owned()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        place = entry.as_table_mut().ok_or_else(|| ExperimentError::Content {
            origin: format!("`--set {given}`"),
            message: format!("`{part}` is a value, not a table"),
            hint: String::new(),
        })?;
    }
    place.insert(last.to_owned(), value);
    Ok(())
}

/// The nearest of the names that an "unknown field" message lists.
fn nearest_hint(message: &str) -> Option<String> {
    let (unknown, expected) = message.split_once("expected")?;
    if !unknown.contains("unknown ") {
        return None;
    }
    let names = |text: &str| -> Vec<String> {
        text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let unknown = names(unknown).into_iter().next()?;
    let expected = names(expected);
    did_you_mean(&unknown, expected.iter().map(String::as_str))
        .map(|meant| format!("\nhint: {meant}"))
}
