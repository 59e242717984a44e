//! Positions of atoms from files: multi-frame XYZ, or the position columns of a table.
//!
//! An XYZ frame is a line with the number of atoms, a comment line, and one line `element x y z` (angstrom) an
//! atom. Where the comment says `Properties=species:S:1:pos:R:3:...` (extended XYZ), the cells are in that order; else
//! positions follow the element, and further cells are left out, which is said.
//!
//! No kept crate reads both kinds and says what it leaves out; the format is small.

use std::io::Read;
use std::path::{Path, PathBuf};

use cei_physics::Molecule;
use ndarray::Array2;
use thiserror::Error;

use crate::error::{LARGEST, LoadError};
use crate::further::Further;
use crate::lines::LineBlocks;
use crate::load::{Selection, load_scaled};
use crate::number::{checked, parse_cell};
use crate::opened::{open_text, text_of};
use crate::reading::remarks;
use crate::source::{ColumnRef, Decimal, Source};
use crate::units::PositionUnit;

/// The frames of an XYZ file, all of the same atoms in the same order.
#[derive(Clone, Debug, PartialEq)]
pub struct XyzFrames {
    /// The first cell of every atom line.
    pub labels: Vec<String>,
    /// `frames x 3 atoms`, bohr.
    pub positions: Array2<f64>,
    /// What was left out or assumed, a sentence each.
    pub remarks: Vec<String>,
}

/// Positions from a file.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadedPositions {
    /// `rows x 3 atoms`, bohr.
    pub positions: Array2<f64>,
    /// How the file was read, where that was guessed or something was left out: for stderr.
    pub remarks: Vec<String>,
    /// What else a table has of each row.
    pub further: Further,
}

/// Positions that cannot be read; frames and lines count from 1.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the fields are what the messages show")]
pub enum PositionsError {
    /// A table that cannot be loaded.
    #[error(transparent)]
    Table(#[from] LoadError),
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
    /// A comment that declares other properties than an element and a position.
    #[error(
        "`{}`, frame {frame}, line {line}: `{text}` does not say where element and position stand\nhint: extended XYZ has `Properties=species:S:1:pos:R:3` there",
        file.display()
    )]
    Properties { file: PathBuf, frame: usize, line: usize, text: String },
    /// A line that has another number of cells than the comment declares.
    #[error("`{}`, frame {frame}, line {line}: {found} cells where `Properties` declares {expected}", file.display())]
    Cells { file: PathBuf, frame: usize, line: usize, found: usize, expected: usize },
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
        "`{}`: the atoms are {} but the molecule has {}\nhint: {hint}",
        file.display(), found.join(" "), expected.join(" ")
    )]
    OtherMolecule { file: PathBuf, found: Vec<String>, expected: Vec<String>, hint: &'static str },
}

/// Whether a path names an XYZ file, which is in angstrom.
#[must_use]
pub fn is_xyz(path: &str) -> bool {
    let name = path.to_lowercase();
    name.ends_with(".xyz") || name.ends_with(".xyz.gz")
}

/// Positions of `molecule`: from an `.xyz` (or `.xyz.gz`) file (angstrom, `unit` is not used), or from the columns
/// [`Molecule::position_columns`] of a table.
///
/// # Errors
/// What is wrong with the file; an XYZ file whose elements are not the molecule's, in its order.
pub fn load_positions(
    source: &Source,
    molecule: &Molecule,
    unit: &PositionUnit,
) -> Result<LoadedPositions, PositionsError> {
    if let [path] = &source.files[..]
        && is_xyz(path)
    {
        let frames = read_xyz(Path::new(path))?;
        check_atoms(Path::new(path), &frames.labels, molecule)?;
        let XyzFrames { positions, remarks, .. } = frames;
        return Ok(LoadedPositions { positions, remarks, further: Further::default() });
    }
    // Loaded as the side that must be there.
    let columns: Vec<ColumnRef> =
        molecule.position_columns().into_iter().map(ColumnRef::Name).collect();
    let selection = Selection { y: columns, ..Selection::default() };
    let table = load_scaled(source, &selection, (1.0, unit.factor()))?;
    let remarks = remarks(&table.readings);
    let further = Further::load(source, &selection.y, &table.dropped.kept(table.rows()))?;
    Ok(LoadedPositions { positions: table.y, remarks, further })
}

/// Reads all frames of an XYZ file.
///
/// # Errors
/// What is wrong, with frame and line.
pub fn read_xyz(path: &Path) -> Result<XyzFrames, PositionsError> {
    let file = || path.to_path_buf();
    let mut lines = Lines::open(path)?;
    let factor = PositionUnit::Angstrom.factor();
    let mut labels: Vec<String> = Vec::new();
    let mut positions = Vec::new();
    let mut frame = 0;
    let (mut ignored, mut in_bohr) = (0, false);
    while let (line, Some(text)) = lines.next()? {
        if text.trim().is_empty() {
            continue;
        }
        frame += 1;
        let expected: usize = match text.trim().parse() {
            Ok(count) if count > 0 => count,
            _ => {
                return Err(PositionsError::Count {
                    file: file(),
                    frame,
                    line,
                    text: shown(&text),
                });
            }
        };
        let cut_short =
            |line, found| PositionsError::CutShort { file: file(), frame, line, found, expected };
        let (comment_line, comment) = lines.next()?;
        let comment = comment.ok_or_else(|| cut_short(line, 0))?;
        let layout = AtomLine::of(&comment).ok_or_else(|| PositionsError::Properties {
            file: file(),
            frame,
            line: comment_line,
            text: shown(&comment),
        })?;
        in_bohr |= comment.to_lowercase().contains("bohr");
        // The count is not trusted with memory: vectors grow with the lines that are there.
        let mut found = Vec::new();
        for atom in 0..expected {
            let (line, text) = lines.next()?;
            let text = text.ok_or_else(|| cut_short(line - 1, atom))?;
            let cells: Vec<&str> = text.split_whitespace().collect();
            match layout.cells {
                Some(expected) if cells.len() != expected && cells.len() > 3 => {
                    let found = cells.len();
                    return Err(PositionsError::Cells {
                        file: file(),
                        frame,
                        line,
                        found,
                        expected,
                    });
                }
                Some(_) => {}
                None => ignored = ignored.max(cells.len().saturating_sub(4)),
            }
            let Some((label, position)) = layout.atom(&cells, LARGEST / factor) else {
                return Err(PositionsError::Atom { file: file(), frame, line, text: shown(&text) });
            };
            found.push(label.to_owned());
            positions.extend(position.map(|value| value * factor));
        }
        if frame == 1 {
            labels = found;
        } else if labels != found {
            let expected = labels;
            return Err(PositionsError::AtomsDiffer { file: file(), frame, line, found, expected });
        }
    }
    if frame == 0 {
        return Err(PositionsError::NoFrames { file: file() });
    }
    let positions = Array2::from_shape_vec((frame, 3 * labels.len()), positions)
        .map_err(|_| PositionsError::NoFrames { file: file() })?;
    let mut remarks = Vec::new();
    if ignored > 0 {
        remarks.push(format!(
            "`{}`: the three numbers after the element are taken as the position, {ignored} further cells of a line are left out",
            path.display()
        ));
    }
    if in_bohr {
        remarks.push(format!(
            "`{}`: a comment names bohr, but positions in XYZ are taken as angstrom",
            path.display()
        ));
    }
    Ok(XyzFrames { labels, positions, remarks })
}

fn shown(text: &str) -> String {
    text.trim_end().chars().take(160).collect()
}

/// The lines of a text file, numbered from 1, read in blocks.
struct Lines {
    file: PathBuf,
    blocks: LineBlocks<Box<dyn Read>>,
    block: Vec<u8>,
    from: usize,
    line: usize,
}

impl Lines {
    fn open(path: &Path) -> Result<Self, LoadError> {
        let blocks = LineBlocks::new(open_text(path)?.reader);
        Ok(Self { file: path.to_path_buf(), blocks, block: Vec::new(), from: 0, line: 0 })
    }

    /// The next line, and its number; at the end, the number that it would have.
    fn next(&mut self) -> Result<(usize, Option<String>), LoadError> {
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

/// Where element and position stand in the line of an atom.
struct AtomLine {
    element: usize,
    position: usize,
    /// Cells of a line, where they are declared.
    cells: Option<usize>,
}

impl AtomLine {
    /// As the comment of a frame declares it; none if it declares other properties than these two.
    fn of(comment: &str) -> Option<Self> {
        let lower = comment.to_lowercase();
        let key = lower.match_indices("properties").map(|(at, key)| (at, at + key.len())).find(
            |&(at, end)| {
                let before = comment[..at].chars().next_back();
                before.is_none_or(char::is_whitespace) && lower[end..].trim_start().starts_with('=')
            },
        );
        let Some((_, end)) = key.filter(|_| lower.len() == comment.len()) else {
            return Some(Self { element: 0, position: 1, cells: None });
        };
        let value = comment[end..].trim_start().strip_prefix('=')?.trim_start();
        let value = value.trim_start_matches(['"', '\'']);
        let value = value.split(|c: char| c.is_whitespace() || c == '"' || c == '\'').next()?;
        let parts: Vec<&str> = value.split(':').collect();
        let (mut element, mut position, mut at) = (None, None, 0);
        for property in parts.chunks(3) {
            let [name, kind, count] = property else { return None };
            let count: usize = count.parse().ok().filter(|&count| count <= 1000)?;
            match (name.to_lowercase().as_str(), *kind, count) {
                ("species" | "element" | "symbol" | "symbols", "S", 1) => element = Some(at),
                ("pos" | "positions" | "position", "R", 3) => position = Some(at),
                _ => {}
            }
            at += count;
        }
        Some(Self { element: element?, position: position?, cells: Some(at) })
    }

    /// Element and position (angstrom) in the cells of a line.
    fn atom<'a>(&self, cells: &[&'a str], limit: f64) -> Option<(&'a str, [f64; 3])> {
        let label = *cells.get(self.element)?;
        let number = |axis: usize| {
            let cell = cells.get(self.position + axis)?;
            parse_cell(cell, Decimal::Point).and_then(|value| checked(value, limit)).ok()
        };
        Some((label, [number(0)?, number(1)?, number(2)?]))
    }
}

/// The name of an atom without the number after it: `H` for `H1` or `H_1`.
fn without_number(name: &str) -> &str {
    name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_')
}

/// Atoms of the file are those of the molecule, in its order, if each bears its label, its element or its isotope
/// ([`Molecule::may_be_called`]). A number after an element is left out, unless all that the file has are labels of the
/// molecule: then it says which of like atoms is meant.
fn check_atoms(path: &Path, found: &[String], molecule: &Molecule) -> Result<(), PositionsError> {
    let is_label =
        |name: &String| molecule.labels().iter().any(|label| label.eq_ignore_ascii_case(name));
    let numbered = |name: &String| without_number(name) != name;
    let are_labels = found.iter().filter(|name| numbered(name)).all(is_label);
    let is_same = |name: &String, atom: usize| {
        if are_labels && numbered(name) {
            return molecule.labels()[atom].eq_ignore_ascii_case(name);
        }
        molecule.may_be_called(atom, name) || molecule.may_be_called(atom, without_number(name))
    };
    let mut left: Vec<usize> = (0..molecule.atom_count()).collect();
    if found.len() == left.len() && found.iter().zip(&left).all(|(name, &atom)| is_same(name, atom))
    {
        return Ok(());
    }
    // Each atom of the file takes the first atom of the molecule that it may be and that is left.
    let taken = found.iter().filter(|name| {
        let place = left.iter().position(|&atom| is_same(name, atom));
        place.map(|place| left.remove(place)).is_some()
    });
    let hint = if taken.count() == found.len() && left.is_empty() {
        "they are the same atoms in another order: list the molecule's atoms in the order of the file"
    } else {
        "the file is of another molecule, or of other isotopes: its atoms must be those of `molecule.atoms`"
    };
    let elements = molecule.atoms().iter().map(|atom| atom.element.clone()).collect();
    Err(PositionsError::OtherMolecule {
        file: path.to_path_buf(),
        found: found.to_vec(),
        expected: if are_labels && found.iter().any(numbered) {
            molecule.labels().to_vec()
        } else {
            elements
        },
        hint,
    })
}
