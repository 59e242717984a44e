//! The text of a file whatever it is wrapped in: gzip, UTF-16, byte order marks. What is no text is
//! refused by the name of its format, and nothing is read that has no end.
//!
//! `encoding_rs_io` transcodes and `flate2` unpacks as the file is read, so memory does not grow with it.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;

use encoding_rs::{UTF_16BE, UTF_16LE, WINDOWS_1252};
use encoding_rs_io::DecodeReaderBytesBuilder;
use flate2::read::MultiGzDecoder;

use crate::error::LoadError;
use crate::reading::Encoding;

/// Bytes by which formats and encodings are told.
const LOOKED_AT: u64 = 4096;

/// An opened text: its bytes are UTF-8 or of another encoding that has ASCII as its part.
pub(crate) struct OpenedText {
    pub(crate) reader: Box<dyn Read + Send>,
    pub(crate) encoding: Encoding,
    pub(crate) gzip: bool,
    /// Bytes of the file.
    pub(crate) bytes: u64,
}

/// Formats that are no text, by their first bytes.
const FORMATS: &[(&[u8], &str)] = &[
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x04\x22\x4d\x18", "LZ4"),
    (b"PK\x03\x04", "ZIP (also .xlsx, .ods, .npz)"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"CDF\x01", "NetCDF"),
    (b"CDF\x02", "NetCDF"),
    (b"root\x00", "ROOT"),
    (b"\x93NUMPY", "NumPy .npy"),
    (b"PAR1", "Parquet"),
    (b"ARROW1", "Arrow"),
    (b"FEA1", "Feather"),
    (b"MATLAB 5.0 MAT-file", "MATLAB .mat"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Excel .xls"),
    (b"SQLite format 3\x00", "SQLite"),
    (b"%PDF-", "PDF"),
    (b"{\\rtf", "RTF"),
    (b"\x00\x05\x16\x07", "AppleDouble"),
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"<!DOCTYPE", "HTML"),
    (b"<!doctype", "HTML"),
    (b"<html", "HTML"),
    (b"<?xml", "XML"),
    (b"{\"", "JSON"),
    (b"[{", "JSON"),
    (b"version https://git-lfs", "a pointer of Git LFS"),
];

/// Opens a text file.
///
/// # Errors
/// A file that cannot be read, a pipe or device, a format that is no text.
pub(crate) fn open_text(path: &Path) -> Result<OpenedText, LoadError> {
    let failed = |source| LoadError::Io { file: path.to_path_buf(), source };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(LoadError::NotRegular { file: path.to_path_buf() });
    }
    let not_text = |format| LoadError::NotText { file: path.to_path_buf(), format };
    let (mut start, mut reader) = peek(File::open(path).map_err(failed)?).map_err(failed)?;
    let gzip = start.starts_with(b"\x1f\x8b");
    if gzip {
        (start, reader) = peek(MultiGzDecoder::new(BufReader::new(reader))).map_err(failed)?;
        let nested = [(&b"\x1f\x8b"[..], 0, "gzip within gzip"), (&b"ustar"[..], 257, "tar")];
        for (mark, at, format) in nested {
            if start.get(at..).is_some_and(|rest| rest.starts_with(mark)) {
                return Err(not_text(format));
            }
        }
    }
    if let Some((_, format)) = FORMATS.iter().find(|(mark, _)| start.starts_with(mark)) {
        return Err(not_text(format));
    }
    let encoding = encoding_of(&start).ok_or_else(|| not_text("binary data (with zero bytes)"))?;
    let wide = match encoding {
        Encoding::Utf8 => None,
        Encoding::Utf16Le => Some(UTF_16LE),
        Encoding::Utf16Be => Some(UTF_16BE),
    };
    if wide.is_some() {
        reader = Box::new(DecodeReaderBytesBuilder::new().encoding(wide).build(reader));
    } else if start.starts_with(b"\xef\xbb\xbf") {
        io::copy(&mut reader.by_ref().take(3), &mut io::sink()).map_err(failed)?;
    }
    Ok(OpenedText { reader, encoding, gzip, bytes: metadata.len() })
}

/// The first bytes, and a reader that begins with them.
fn peek(mut reader: impl Read + Send + 'static) -> io::Result<(Vec<u8>, Box<dyn Read + Send>)> {
    let mut start = Vec::new();
    reader.by_ref().take(LOOKED_AT).read_to_end(&mut start)?;
    let again = Cursor::new(start.clone()).chain(reader);
    Ok((start, Box::new(again)))
}

/// By the byte order mark, or by where the zero bytes of UTF-16 stand in ASCII text; none where zero
/// bytes stand elsewhere.
fn encoding_of(start: &[u8]) -> Option<Encoding> {
    if start.starts_with(b"\xff\xfe") {
        return Some(Encoding::Utf16Le);
    } else if start.starts_with(b"\xfe\xff") {
        return Some(Encoding::Utf16Be);
    }
    let zeros = |at: usize| start.iter().skip(at).step_by(2).filter(|&&byte| byte == 0).count();
    let most = start.len() / 2 * 4 / 5;
    match (zeros(0), zeros(1)) {
        (0, 0) => Some(Encoding::Utf8),
        (0, odd) if odd >= most.max(1) => Some(Encoding::Utf16Le),
        (even, 0) if even >= most.max(1) => Some(Encoding::Utf16Be),
        _ => None,
    }
}

/// The bytes as text: UTF-8, or Windows-1252 where they are not.
pub(crate) fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(bytes).0,
    }
}
