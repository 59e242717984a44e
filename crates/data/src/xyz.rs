//! Positions of atoms from files: multi-frame XYZ, or the position columns of a table.
//!
//! An XYZ frame is a line with the number of atoms, a comment line, and one line `element x y z`
//! (angstrom) an atom; further cells of a line are ignored.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use cei_physics::Molecule;
use ndarray::Array2;
use thiserror::Error;

use crate::error::LoadError;
use crate::load::{Selection, load};
use crate::source::{ColumnRef, Source};
use crate::units::PositionUnit;

/// The frames of an XYZ file, all of the same atoms in the same order.
#[derive(Clone, Debug, PartialEq)]
pub struct XyzFrames {
    /// The first cell of every atom line.
    pub labels: Vec<String>,
    /// `frames x 3 atoms`, bohr.
    pub positions: Array2<f64>,
}

/// Positions that cannot be read; frames and lines count from 1.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the fields are what the messages show")]
pub enum PositionsError {
    /// A table that cannot be loaded.
    #[error(transparent)]
    Table(#[from] LoadError),
    /// The operating system refused.
    #[error("`{}` cannot be read: {source}", file.display())]
    Io { file: PathBuf, source: io::Error },
    /// A file without frames.
    #[error("`{}` holds no frame", file.display())]
    NoFrames { file: PathBuf },
    /// The first line of a frame is no number of atoms.
    #[error("`{}`, frame {frame}, line {line}: `{text}` is not a number of atoms", file.display())]
    Count { file: PathBuf, frame: usize, line: usize, text: String },
    /// A frame that ends early.
    #[error("`{}`, frame {frame}: the file ends at line {line}, after {found} of {expected} atoms\nhint: was it written completely?", file.display())]
    CutShort { file: PathBuf, frame: usize, line: usize, found: usize, expected: usize },
    /// A line that is not `element x y z`.
    #[error("`{}`, frame {frame}, line {line}: `{text}` is not `element x y z` with finite numbers", file.display())]
    Atom { file: PathBuf, frame: usize, line: usize, text: String },
    /// Frames of different atoms.
    #[error("`{}`, frame {frame}, line {line}: the atoms are {} but the first frame has {}", file.display(), found.join(" "), expected.join(" "))]
    AtomsDiffer {
        file: PathBuf,
        frame: usize,
        line: usize,
        found: Vec<String>,
        expected: Vec<String>,
    },
    /// A file of another molecule.
    #[error(
        "`{}`: the atoms are {} but the molecule has {}\nhint: list the molecule's atoms in the order of the file",
        file.display(), found.join(" "), expected.join(" ")
    )]
    OtherMolecule { file: PathBuf, found: Vec<String>, expected: Vec<String> },
}

/// Positions of `molecule` (`rows x 3 atoms`, bohr): from an `.xyz` file (angstrom, `unit` is not
/// used), or from the columns [`Molecule::position_columns`] of a CSV or Parquet file or glob.
///
/// # Errors
/// What is wrong with the file; an XYZ file whose elements are not the molecule's, in its order.
pub fn load_positions(
    path: &str,
    molecule: &Molecule,
    unit: PositionUnit,
) -> Result<Array2<f64>, PositionsError> {
    let is_xyz =
        Path::new(path).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("xyz"));
    if is_xyz {
        let frames = read_xyz(Path::new(path))?;
        check_atoms(Path::new(path), &frames.labels, molecule)?;
        return Ok(frames.positions);
    }
    // Loaded as the side that must be there; the conversion of the other side's unit is the same.
    let columns = molecule.position_columns().into_iter().map(ColumnRef::Name).collect();
    let selection = Selection { y: columns, ..Selection::default() };
    let mut table = load(&Source::file(path), &selection)?;
    table.y *= unit.factor();
    Ok(table.y)
}

/// Reads all frames of an XYZ file.
///
/// # Errors
/// What is wrong, with frame and line.
pub fn read_xyz(path: &Path) -> Result<XyzFrames, PositionsError> {
    let file = || path.to_path_buf();
    let failed = |source| PositionsError::Io { file: file(), source };
    let mut lines = BufReader::new(File::open(path).map_err(failed)?).lines();
    let mut line = 0;
    let mut next = || {
        line += 1;
        lines.next().transpose().map_err(failed).map(|text| (line, text))
    };
    let factor = PositionUnit::Angstrom.factor();
    let mut labels: Vec<String> = Vec::new();
    let mut positions = Vec::new();
    let mut frame = 0;
    while let (line, Some(text)) = next()? {
        if text.trim().is_empty() {
            continue;
        }
        frame += 1;
        let expected: usize = match text.trim().parse() {
            Ok(count) if count > 0 => count,
            _ => return Err(PositionsError::Count { file: file(), frame, line, text }),
        };
        let cut_short =
            |line, found| PositionsError::CutShort { file: file(), frame, line, found, expected };
        if let (line, None) = next()? {
            return Err(cut_short(line - 1, 0));
        }
        let mut found = Vec::new();
        for atom in 0..expected {
            let (line, text) = next()?;
            let text = text.ok_or_else(|| cut_short(line - 1, atom))?;
            let Some((label, [x, y, z])) = atom_line(&text) else {
                return Err(PositionsError::Atom { file: file(), frame, line, text });
            };
            found.push(label);
            positions.extend([x * factor, y * factor, z * factor]);
        }
        if frame == 1 {
            labels = found;
        } else if labels != found {
            return Err(PositionsError::AtomsDiffer {
                file: file(),
                frame,
                line,
                found,
                expected: labels,
            });
        }
    }
    if frame == 0 {
        return Err(PositionsError::NoFrames { file: file() });
    }
    let positions = Array2::from_shape_vec((frame, 3 * labels.len()), positions)
        .map_err(|_| PositionsError::NoFrames { file: file() })?;
    Ok(XyzFrames { labels, positions })
}

fn atom_line(text: &str) -> Option<(String, [f64; 3])> {
    let mut cells = text.split_whitespace();
    let label = cells.next()?.to_owned();
    let mut number = || cells.next()?.parse::<f64>().ok().filter(|value| value.is_finite());
    Some((label, [number()?, number()?, number()?]))
}

/// An atom of the file is the molecule's if it bears its label, its element, or the element of its
/// isotope (`Br` for `79Br`).
fn check_atoms(path: &Path, found: &[String], molecule: &Molecule) -> Result<(), PositionsError> {
    let same = found.len() == molecule.atom_count()
        && found.iter().zip(molecule.atoms()).zip(molecule.labels()).all(
            |((found, atom), label)| {
                let element = atom.element.trim_start_matches(|c: char| c.is_ascii_digit());
                [label.as_str(), &atom.element, element]
                    .iter()
                    .any(|name| name.eq_ignore_ascii_case(found))
            },
        );
    if same {
        return Ok(());
    }
    Err(PositionsError::OtherMolecule {
        file: path.to_path_buf(),
        found: found.to_vec(),
        expected: molecule.labels().to_vec(),
    })
}
