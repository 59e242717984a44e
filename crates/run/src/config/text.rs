//! The text of a configuration file, whatever may stand where it is expected.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::error::ExperimentError;
use super::presets::{EXPERIMENTS, SIMULATIONS};
use crate::folder::layout::CONFIG;

/// Bytes of a configuration at most; those that there are have some thousand.
const LARGEST: u64 = 4 << 20;

/// Reads a configuration in UTF-8 or, with its byte order mark, in UTF-16.
///
/// # Errors
/// A file that is missing, a folder, a table, too large, or no text.
pub fn read_text(path: &Path) -> Result<String, ExperimentError> {
    let unusable = |reason: String, hint: &str| ExperimentError::NoConfiguration {
        path: path.to_owned(),
        reason,
        hint: hint.to_owned(),
    };
    if path.is_dir() {
        let hint = match path.join(CONFIG).exists() {
            true => format!("that of the run is `{}`", path.join(CONFIG).display()),
            false => "name a TOML file in it".to_owned(),
        };
        return Err(unusable("is a folder, not a configuration".into(), &hint));
    }
    let io = |source: io::Error| ExperimentError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(|source| match missing_hint(path) {
        Some(hint) if source.kind() == io::ErrorKind::NotFound => {
            unusable("does not exist".into(), &hint)
        }
        _ => io(source),
    })?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(io)?;
    let is_table = path.extension().and_then(|extension| extension.to_str()).is_some_and(|end| {
        ["csv", "tsv", "txt", "dat", "gz", "parquet", "pq", "xyz"]
            .iter()
            .any(|of_tables| end.eq_ignore_ascii_case(of_tables))
    });
    let table = "configurations are TOML, such as `cei config --preset ocs-wide` prints; tables of events are named by `source.files` or on the command line";
    if bytes.len() as u64 > LARGEST {
        return Err(unusable(
            format!("is larger than {} MiB, so it is no configuration", LARGEST >> 20),
            table,
        ));
    }
    let text = decode(bytes)
        .map_err(|reason| unusable(reason, if is_table { table } else { "save it as UTF-8" }))?;
    if is_table && text.parse::<toml::Table>().is_err() {
        return Err(unusable("is a table of events, not a configuration".into(), table));
    }
    Ok(text)
}

/// What to do where no file of this name is: it may be that of a preset.
fn missing_hint(path: &Path) -> Option<String> {
    let stem = path.file_stem()?.to_str()?;
    let is_preset = SIMULATIONS.iter().chain(EXPERIMENTS).any(|preset| preset.name == stem);
    Some(match is_preset {
        true => format!("`{stem}` comes with the program: `--preset {stem}`"),
        false => "look for a slip in its name; relative paths begin in the working folder".into(),
    })
}

/// The text, or why it is none.
fn decode(bytes: Vec<u8>) -> Result<String, String> {
    let utf16 = |unit: fn([u8; 2]) -> u16| {
        let units = bytes[2..].chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        char::decode_utf16(units)
            .collect::<Result<String, _>>()
            .map_err(|_| "begins as UTF-16, but is damaged".to_owned())
    };
    match bytes.as_slice() {
        [0xff, 0xfe, ..] => return utf16(u16::from_le_bytes),
        [0xfe, 0xff, ..] => return utf16(u16::from_be_bytes),
        _ => {}
    }
    let plain = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    if plain.contains(&0) {
        return Err("holds bytes that no text has".to_owned());
    }
    match std::str::from_utf8(plain) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => {
            let before = &plain[..error.valid_up_to()];
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            Err(format!("is not in UTF-8 (line {line})"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_with_a_mark_gives_the_same_text() {
        let text = "# bohr and ångström\n[model]\nkind = \"cinn\"\n";
        let utf16 = |mark: [u8; 2], bytes: fn(u16) -> [u8; 2]| {
            let units = text.encode_utf16().flat_map(bytes);
            mark.into_iter().chain(units).collect::<Vec<u8>>()
        };
        let marked = [b"\xef\xbb\xbf", text.as_bytes()].concat();
        let encoded = [
            text.as_bytes().to_vec(),
            marked,
            utf16([0xff, 0xfe], u16::to_le_bytes),
            utf16([0xfe, 0xff], u16::to_be_bytes),
        ];
        for bytes in encoded {
            assert_eq!(decode(bytes).as_deref(), Ok(text));
        }
        assert_eq!(
            decode(b"a = 1\nb = \"\xe5\"\n".to_vec()).unwrap_err(),
            "is not in UTF-8 (line 2)"
        );
        assert!(decode(b"a\0 \0=\0".to_vec()).unwrap_err().contains("no text"));
        assert!(decode(vec![0xff, 0xfe, 0x00, 0xd8]).unwrap_err().contains("damaged"));
    }
}
