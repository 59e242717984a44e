//! JSON files that hold the SHA-256 of their own content, so that a changed digit is noticed.
//!
//! The digest is that of the values, not of the text: it stands in a last key `sha256`, and is taken of the object
//! without that key, its keys in alphabetical order, without blanks.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::RunError;

/// The key of the digest.
const KEY: &str = "sha256";

/// Writes an object as JSON with its digest.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), RunError> {
    let sealed = || {
        let text = serde_json::to_string_pretty(value)?;
        // What is read back is what the digest is of: of an f32 its shortest digits.
        let digest = digest(&serde_json::from_str(&text)?);
        let body = text.strip_suffix("\n}").unwrap_or(&text);
        Ok(format!("{body},\n  \"{KEY}\": \"{digest}\"\n}}\n"))
    };
    let text = sealed().map_err(|error: serde_json::Error| cei_files::FileError::Io {
        path: path.to_owned(),
        source: error.into(),
    })?;
    Ok(cei_files::write(path, text.as_bytes())?)
}

/// Why results could not be kept, in words: a folder that cannot be written is told, but takes them from nobody.
///
/// # Errors
/// Anything else that went wrong.
pub(crate) fn not_kept(kept: Result<(), RunError>) -> Result<Option<String>, RunError> {
    match kept {
        Ok(()) => Ok(None),
        Err(
            error @ (RunError::File(_)
            | RunError::Io { .. }
            | RunError::Report(cei_report::Error::Write(_))),
        ) => Ok(Some(error.to_string())),
        Err(error) => Err(error),
    }
}

/// Reads an object, without its digest, and whether it had one, as those of earlier versions have not. `hint` says
/// what to do about a damaged file.
///
/// # Errors
/// The file cannot be read, is no JSON object, or is not as it was written.
pub(crate) fn read_json(path: &Path, hint: &'static str) -> Result<(Value, bool), RunError> {
    let damaged = |reason: String| RunError::Damaged { path: path.to_owned(), reason, hint };
    let bytes = std::fs::read(path).map_err(RunError::io("read", path))?;
    let mut value: Value =
        serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    let object = value.as_object_mut().ok_or_else(|| damaged("it is no JSON object".to_owned()))?;
    let Some(kept) = object.remove(KEY) else { return Ok((value, false)) };
    if kept.as_str() != Some(&digest(&value)) {
        return Err(damaged(format!("its content does not fit its `{KEY}`")));
    }
    Ok((value, true))
}

fn digest(value: &Value) -> String {
    cei_files::sha256(canonical(value).as_bytes())
}

/// The text of a value with sorted keys, whatever order the parser keeps.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(object) => {
            let mut keys: Vec<&String> = object.keys().collect();
            keys.sort_unstable();
            let pairs = keys.into_iter().map(|key| {
                format!("{}:{}", Value::String(key.clone()), canonical(&object[key.as_str()]))
            });
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
        }
        Value::Array(values) => {
            format!("[{}]", values.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        plain => plain.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte of the file changed in turn: the values are the same, or the file is named.
    #[test]
    fn no_changed_byte_is_believed() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.json");
        let value = serde_json::json!({"b": [1, 2.5, -3e-7], "a": {"y": "o", "x": null}, "n": 1});
        write_json(&path, &value)?;
        assert_eq!(read_json(&path, "")?, (value.clone(), true));
        let bytes = std::fs::read(&path)?;
        let key = bytes.windows(KEY.len()).position(|at| at == KEY.as_bytes()).ok_or("no seal")?;
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            std::fs::write(&path, changed)?;
            match read_json(&path, "") {
                Ok((mut read, sealed)) => {
                    // Under another name the digest is a key that no record knows.
                    if !sealed {
                        assert!((key..key + KEY.len()).contains(&place), "byte {place}");
                        let object = read.as_object_mut().ok_or("no object")?;
                        object.retain(|name, _| value.get(name).is_some());
                    }
                    assert_eq!(read, value, "byte {place}");
                }
                Err(error) => assert!(error.to_string().contains("a.json"), "{error}"),
            }
        }
        Ok(())
    }
}
