//! Digests, by which damage is noticed.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use sha2::Digest as _;

/// Bytes that are read at once.
const BLOCK: usize = 1 << 18;

/// The last line of a sealed text, before its digest.
const SEAL: &str = "# SHA-256 of the lines above: ";

/// SHA-256 of bytes that come one after another.
#[derive(Debug, Clone, Default)]
pub struct Sha256(sha2::Sha256);

impl Sha256 {
    /// Takes further bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest in hexadecimal.
    pub fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// SHA-256 of bytes in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    let mut hash = Sha256::default();
    hash.update(bytes);
    hash.finish()
}

/// SHA-256 of the content of a file in hexadecimal.
///
/// # Errors
/// The file cannot be read.
pub fn sha256_of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::default();
    let mut block = vec![0; BLOCK];
    loop {
        match file.read(&mut block) {
            Ok(0) => return Ok(hash.finish()),
            Ok(read) => hash.update(&block[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A text (whole lines) with its digest in a last line, which is a comment in TOML.
pub fn sealed(text: &str) -> String {
    format!("{text}{SEAL}{}\n", sha256(text.as_bytes()))
}

/// Whether a text is as it was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    /// It has no digest.
    Absent,
    /// It fits its digest.
    Intact,
    /// It does not.
    Broken,
}

/// Compares a text with the digest in its last line.
pub fn seal_of(text: &str) -> Seal {
    // Line ends may have been changed on the way between systems.
    let text = text.replace("\r\n", "\n");
    match text.rsplit_once(SEAL) {
        None => Seal::Absent,
        Some((lines, digest)) if digest.trim() == sha256(lines.as_bytes()) => Seal::Intact,
        Some(_) => Seal::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SHA-256 of "abc" is an example of FIPS 180-2.
    #[test]
    fn the_digest_is_sha_256() -> io::Result<()> {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), expected);
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), "abc")?;
        assert_eq!(sha256_of_file(file.path())?, expected);
        Ok(())
    }

    #[test]
    fn every_changed_byte_breaks_the_seal_or_removes_it() {
        let text = sealed("noise = 0.1\nseed = 3\n");
        assert_eq!(seal_of(&text), Seal::Intact);
        assert_eq!(seal_of(&text.replace('\n', "\r\n")), Seal::Intact);
        assert_eq!(seal_of("noise = 0.1\n"), Seal::Absent);
        let lines = text.find(SEAL).unwrap_or(0);
        for place in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[place] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert!(
                seal_of(&changed) == Seal::Broken || place >= lines,
                "byte {place} of {changed}"
            );
        }
    }
}
