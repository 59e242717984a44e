//! Geometries of a file that names its atoms, and the lines of such files.

use std::io::Read;
use std::path::{Path, PathBuf};

use ndarray::Array2;

use crate::error::LoadError;
use crate::lines::LineBlocks;
use crate::motion::MotionUnit;
use crate::opened::{open_text, text_of};

/// The geometries of a file, all of the same atoms in the same order.
#[derive(Clone, Debug, PartialEq)]
pub struct Frames {
    /// What the file calls each atom.
    pub labels: Vec<String>,
    /// `frames x 3 atoms`, bohr.
    pub positions: Array2<f64>,
    /// Velocities or momenta, if the file has them.
    pub motion: Option<FrameMotion>,
    /// Masses that the file gives to its atoms, in u.
    pub masses_u: Option<Vec<f64>>,
    /// What was left out or assumed, a sentence each.
    pub remarks: Vec<String>,
    /// Whether a comment of an XYZ file names bohr; positions are taken as angstrom all the same.
    pub in_bohr: bool,
}

/// The velocities or momenta of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameMotion {
    /// `frames x 3 atoms`, in the unit of the file.
    pub values: Array2<f64>,
    /// What the file calls them.
    pub name: String,
    /// The unit that they have if nobody says another one.
    pub unit: MotionUnit,
    /// Whether that is a guess, and not a rule of the format.
    pub is_guess: bool,
}

/// A line as messages show it.
pub(super) fn shown(text: &str) -> String {
    text.trim_end().chars().take(160).collect()
}

/// The lines of a text file, numbered from 1, read in blocks.
pub(super) struct Lines {
    file: PathBuf,
    blocks: LineBlocks<Box<dyn Read + Send>>,
    block: Vec<u8>,
    from: usize,
    line: usize,
}

impl Lines {
    pub(super) fn open(path: &Path) -> Result<Self, LoadError> {
        let blocks = LineBlocks::new(open_text(path)?.reader);
        Ok(Self { file: path.to_path_buf(), blocks, block: Vec::new(), from: 0, line: 0 })
    }

    /// The number of the line that was given last.
    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// The next line, and its number; at the end, the number that it would have.
    pub(super) fn next(&mut self) -> Result<(usize, Option<String>), LoadError> {
        self.line += 1;
        if self.from >= self.block.len() {
            let block = self.blocks.next(1 << 20);
            let block = block.map_err(|error| error.of_file(&self.file, self.line as u64))?;
            let Some(block) = block else { return Ok((self.line, None)) };
            (self.block, self.from) = (block, 0);
        }
        let rest = &self.block[self.from..];
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        self.from += end + 1;
        Ok((self.line, Some(text_of(&rest[..end]).into_owned())))
    }
}
