//! A text in blocks of whole lines, of bounded size. Every line end, `\n`, `\r\n` or `\r`, becomes `\n`.

use std::io::{self, Read};
use std::path::Path;

use memchr::{memchr, memchr_iter, memrchr2};

use crate::error::LoadError;

/// The longest line, in bytes: longer ones are no table.
pub(crate) const LONGEST: usize = 16 << 20;

/// Why no further block could be had.
#[derive(Debug)]
pub(crate) enum LineError {
    /// The operating system, or the unpacking, failed.
    Io(io::Error),
    /// More than [`LONGEST`] bytes without a line end.
    TooLong,
}

impl LineError {
    /// The error of reading a table, of which `line` was to be read.
    pub(crate) fn of_file(self, file: &Path, line: u64) -> LoadError {
        let file = file.to_path_buf();
        match self {
            Self::Io(source) => LoadError::Io { file, source },
            Self::TooLong => LoadError::LineTooLong { file, line, longest_mib: LONGEST >> 20 },
        }
    }
}

/// Reads blocks of whole lines.
pub(crate) struct LineBlocks<R> {
    reader: R,
    /// The beginning of a line whose end is not read yet.
    rest: Vec<u8>,
    ended: bool,
}

impl<R: Read> LineBlocks<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, rest: Vec::new(), ended: false }
    }

    /// About `size` bytes of whole lines; only the last line of the text may lack its line end. None at
    /// the end.
    pub(crate) fn next(&mut self, size: usize) -> Result<Option<Vec<u8>>, LineError> {
        let mut bytes = std::mem::take(&mut self.rest);
        let cut = loop {
            if !self.ended {
                let read = self.reader.by_ref().take(size as u64).read_to_end(&mut bytes);
                self.ended = read.map_err(LineError::Io)? < size;
            }
            if self.ended {
                break bytes.len();
            }
            // A `\r` at the very end may be the first half of `\r\n`.
            let searched = bytes.len() - usize::from(bytes.last() == Some(&b'\r'));
            if let Some(end) = memrchr2(b'\n', b'\r', &bytes[..searched]) {
                break end + 1;
            }
            if bytes.len() > LONGEST {
                return Err(LineError::TooLong);
            }
        };
        self.rest = bytes.split_off(cut);
        Ok((!bytes.is_empty()).then(|| with_plain_ends(bytes)))
    }
}

/// `\r\n` and `\r` as `\n`.
fn with_plain_ends(bytes: Vec<u8>) -> Vec<u8> {
    let Some(first) = memchr(b'\r', &bytes) else { return bytes };
    let mut plain = Vec::with_capacity(bytes.len());
    let mut from = 0;
    for at in std::iter::once(first).chain(memchr_iter(b'\r', &bytes).skip(1)) {
        plain.extend_from_slice(&bytes[from..at]);
        if bytes.get(at + 1) != Some(&b'\n') {
            plain.push(b'\n');
        }
        from = at + 1;
    }
    plain.extend_from_slice(&bytes[from..]);
    plain
}

/// The lines of a block, without their ends.
pub(crate) fn lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(block.strip_suffix(b"\n").unwrap_or(block));
    std::iter::from_fn(move || {
        let whole = rest?;
        let end = memchr(b'\n', whole);
        rest = end.map(|end| &whole[end + 1..]);
        Some(&whole[..end.unwrap_or(whole.len())])
    })
}

/// Number of lines of a block that is not empty.
pub(crate) fn count_lines(block: &[u8]) -> u64 {
    memchr_iter(b'\n', block).count() as u64 + u64::from(block.last() != Some(&b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_any_size_hold_the_same_lines() {
        let text = b"1,2\r\n3,4\r5,6\n\n\r\r\n7,8".as_slice();
        let expected: Vec<&[u8]> = vec![b"1,2", b"3,4", b"5,6", b"", b"", b"", b"7,8"];
        for size in 1..40 {
            let mut blocks = LineBlocks::new(text);
            let (mut found, mut count) = (Vec::new(), 0);
            while let Some(block) = blocks.next(size).unwrap() {
                found.extend(lines(&block).map(<[u8]>::to_vec));
                count += count_lines(&block);
            }
            assert_eq!(found, expected, "{size}");
            assert_eq!(count, 7);
        }
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut blocks = LineBlocks::new(io::repeat(b'1'));
        assert!(matches!(blocks.next(1 << 20), Err(LineError::TooLong)));
    }
}
