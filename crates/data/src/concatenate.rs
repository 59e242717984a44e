//! Tables one under another, in the bytes of a table that was written at once.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use cei_files::AtomicFile;
use thiserror::Error;

use crate::error::LoadError;
use crate::parquet_file::ParquetFile;
use crate::table_file::FileKind;
use crate::write::{ColumnType, TableWriter, WriteError};
use crate::write_frames::is_frames;

/// Bytes that are copied at once.
const BLOCK: usize = 1 << 20;

/// Tables that cannot be put one under another.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the fields are what the messages show")]
pub enum ConcatenateError {
    /// One of them cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The result cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Files of several formats.
    #[error("`{}` and `{}` are of two formats\nhint: give the result the extension of its parts", file.display(), other.display())]
    Format { file: PathBuf, other: PathBuf },
    /// Files of several tables.
    #[error("`{}` has not the columns of `{}`", file.display(), first.display())]
    Columns { file: PathBuf, first: PathBuf },
}

/// How a file is taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// A line of names, then rows.
    Text,
    Parquet,
    Frames,
}

/// Writes the rows of all `parts`, one after another, into a file that has its name `path` only when it is committed. Files of
/// this library are meant: text with a line of names, Parquet, frames.
///
/// # Errors
/// No parts, files of several formats or with several headers, one that cannot be read, a full disk.
pub fn concatenate(parts: &[PathBuf], path: &Path) -> Result<AtomicFile, ConcatenateError> {
    let format = format_of(path)?;
    for part in parts {
        if format_of(part)? != format || extension(part) != extension(path) {
            return Err(ConcatenateError::Format { file: part.clone(), other: path.to_owned() });
        }
    }
    match format {
        Format::Parquet => rows_of_parquet(parts, path),
        Format::Text => bytes(parts, path, true),
        Format::Frames => bytes(parts, path, false),
    }
}

fn format_of(path: &Path) -> Result<Format, WriteError> {
    if is_frames(path) {
        return Ok(Format::Frames);
    }
    match FileKind::of(path) {
        Ok(FileKind::Text) => Ok(Format::Text),
        Ok(FileKind::Parquet) => Ok(Format::Parquet),
        Err(_) => Err(WriteError::UnknownExtension { file: path.to_owned() }),
    }
}

fn extension(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_lowercase())
}

/// The bytes of all parts; where these begin with a `header`, that of the first alone.
fn bytes(parts: &[PathBuf], path: &Path, header: bool) -> Result<AtomicFile, ConcatenateError> {
    let mut whole = AtomicFile::create(path).map_err(WriteError::from)?;
    let mut first: Option<Vec<u8>> = None;
    for part in parts {
        let failed = |source| LoadError::Io { file: part.clone(), source };
        let mut reader = BufReader::with_capacity(BLOCK, File::open(part).map_err(failed)?);
        let names = if header { header_of(&mut reader).map_err(failed)? } else { Vec::new() };
        match &first {
            None => {
                whole.write_all(&names).map_err(WriteError::from)?;
                first = Some(names);
            }
            Some(own) if *own != names => {
                let first = parts[0].clone();
                return Err(ConcatenateError::Columns { file: part.clone(), first });
            }
            Some(_) => {}
        }
        let mut block = Vec::with_capacity(BLOCK);
        while reader.by_ref().take(BLOCK as u64).read_to_end(&mut block).map_err(failed)? > 0 {
            whole.write_all(&block).map_err(WriteError::from)?;
            block.clear();
        }
    }
    Ok(whole)
}

/// The line of names, with its end; a name in quotes may hold the end of a line.
fn header_of(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut names = Vec::new();
    while reader.read_until(b'\n', &mut names)? > 0 {
        if names.iter().filter(|byte| **byte == b'"').count().is_multiple_of(2) {
            break;
        }
    }
    Ok(names)
}

fn rows_of_parquet(parts: &[PathBuf], path: &Path) -> Result<AtomicFile, ConcatenateError> {
    let mut whole: Option<(Vec<(String, ColumnType)>, TableWriter)> = None;
    for part in parts {
        let other = || ConcatenateError::Columns { file: part.clone(), first: parts[0].clone() };
        let file = ParquetFile::open(part.clone())?;
        let header = file.header()?.into_iter();
        let header: Option<Vec<_>> =
            header.map(|(name, kind)| Some((name, ColumnType::of(&kind)?))).collect();
        let header = header.ok_or_else(other)?;
        let (first, writer) = match &mut whole {
            Some(whole) => whole,
            None => {
                let writer = TableWriter::create(path, &header)?;
                whole.insert((header.clone(), writer))
            }
        };
        if *first != header {
            return Err(other());
        }
        for frame in file.frames() {
            writer.append(frame?)?;
        }
    }
    match whole {
        Some((_, writer)) => Ok(writer.complete()?),
        None => Ok(TableWriter::create(path, &[])?.complete()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::{ColumnData, header, write_table};

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    fn columns(rows: std::ops::Range<u64>) -> Vec<(String, ColumnData)> {
        let numbers: Vec<u64> = rows.collect();
        let number = |n: &u64| if n % 7 == 3 { f64::NAN } else { (*n as f64).sin() };
        let text = |n: &u64| (!n.is_multiple_of(3)).then(|| format!("a, \"{}\"\nb", n % 5));
        [
            ("event", ColumnData::U64(numbers.clone())),
            ("a \"quoted\"\nname", ColumnData::F64(numbers.iter().map(number).collect())),
            ("f", ColumnData::F32(numbers.iter().map(|n| *n as f32 / 3.0).collect())),
            ("draw", ColumnData::U32(numbers.iter().map(|n| (*n % 9) as u32).collect())),
            (
                "i",
                ColumnData::I64(
                    numbers.iter().map(|n| Some(*n as i64 - 5).filter(|i| i % 4 > 0)).collect(),
                ),
            ),
            ("flag", ColumnData::Text(numbers.iter().map(text).collect())),
        ]
        .map(|(name, data)| (name.to_owned(), data))
        .into()
    }

    /// Parts of any size, empty ones among them, are the bytes of the whole; so are batches of any size. Text has no groups; the rows
    /// of Parquet are those of several groups of `GROUP / 6`.
    #[test]
    fn parts_are_the_bytes_of_the_whole() -> TestResult {
        let folder = tempfile::tempdir()?;
        for (name, rows) in [("t.csv", 1000), ("t.tsv", 10), ("t.parquet", 400_000)] {
            let whole = folder.path().join(name);
            write_table(&whole, columns(0..rows))?;
            let whole = std::fs::read(whole)?;
            for bounds in [vec![0, rows], vec![0, 0, 3, 3, rows / 2, rows, rows]] {
                let mut parts = Vec::new();
                for (place, part) in bounds.windows(2).enumerate() {
                    parts.push(folder.path().join(format!("part-{place}-{name}")));
                    write_table(&parts[place], columns(part[0]..part[1]))?;
                }
                let path = folder.path().join(format!("all-{name}"));
                concatenate(&parts, &path)?.commit()?;
                assert!(std::fs::read(&path)? == whole, "{name}: {bounds:?}");
            }
            let path = folder.path().join(format!("batches-{name}"));
            let mut writer = TableWriter::create(&path, &header(&columns(0..0)))?;
            for start in (0..rows).step_by(70_001) {
                let batch = columns(start..rows.min(start + 70_001));
                writer.write(batch.into_iter().map(|(_, data)| data).collect())?;
            }
            writer.finish()?;
            assert!(std::fs::read(&path)? == whole, "{name} in batches");
        }
        Ok(())
    }

    #[test]
    fn other_columns_and_formats_are_named() -> TestResult {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        for kind in ["csv", "parquet"] {
            let [a, b, out] = ["a", "b", "out"].map(|name| at(&format!("{name}.{kind}")));
            write_table(&a, columns(0..5))?;
            write_table(&b, columns(0..5).into_iter().take(3).collect())?;
            let told = concatenate(&[a, b], &out).unwrap_err().to_string();
            assert!(told.contains(&format!("b.{kind}` has not the columns of")), "{told}");
            assert!(!out.exists());
        }
        let told = concatenate(&[at("a.csv")], &at("out.tsv")).unwrap_err().to_string();
        assert!(told.contains("a.csv` and") && told.contains("are of two formats"), "{told}");
        Ok(())
    }
}
