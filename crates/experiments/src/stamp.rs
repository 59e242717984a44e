//! Stamps: what a step was made from, so that a step whose inputs are unchanged is skipped.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The key of a step: a digest of everything that it depends on.
pub(crate) fn key(parts: &[&str]) -> String {
    sha256(parts.join("\0").as_bytes())
}

/// A file beside a result that remembers the key of the step that made it.
#[derive(Debug)]
pub(crate) struct Stamp {
    path: PathBuf,
    key: String,
}

impl Stamp {
    /// The stamp of the result at `result`, which depends on what `key` was made of.
    pub(crate) fn new(result: &Path, what: &str, key: String) -> Self {
        let mut name = result.file_name().map(|n| n.to_os_string()).unwrap_or_default();
        name.push(format!(".{what}.stamp"));
        Self { path: result.with_file_name(name), key }
    }

    /// Whether the result was made from the same inputs.
    pub(crate) fn is_current(&self) -> bool {
        std::fs::read_to_string(&self.path).is_ok_and(|found| found == self.key)
    }

    /// Remembers that the result is made.
    pub(crate) fn set(&self) -> std::io::Result<()> {
        std::fs::write(&self.path, &self.key)
    }
}
