//! Multi-frame XYZ.
//!
//! A frame is a line with the number of atoms, a comment line, and one line `element x y z` (angstrom) an atom. Where the
//! comment says `Properties=species:S:1:pos:R:3:...` (extended XYZ), the cells are in that order; else positions follow
//! the element. Velocities and momenta are those of a property of such a name, or the three cells behind the position
//! where it is said that they are; other cells are left out, which is said.
//!
//! No kept crate reads both kinds and says what it leaves out; the format is small.

use std::path::Path;

use ndarray::Array2;

use super::error::PositionsError;
use super::frames::{FrameMotion, Frames, Lines, shown};
use crate::error::LARGEST;
use crate::motion::MotionUnit;
use crate::number::{checked, parse_cell};
use crate::source::Decimal;
use crate::units::PositionUnit;

/// Properties that hold momenta (ASE) and velocities (QUIP and OVITO, GPUMD and NEP, others).
const MOMENTA: [&str; 2] = ["momenta", "momentum"];
const VELOCITIES: [&str; 5] = ["velo", "vel", "velocity", "velocities", "veloc"];

/// Whether a path names an XYZ file, which is in angstrom.
#[must_use]
pub fn is_xyz(path: &str) -> bool {
    let name = path.to_lowercase();
    name.ends_with(".xyz") || name.ends_with(".xyz.gz")
}

/// Reads all frames of an XYZ file. In plain XYZ three cells behind a position are the atom's motion where `moving`; else
/// they are left out.
///
/// # Errors
/// What is wrong, with frame and line.
pub fn read_xyz(path: &Path, moving: bool) -> Result<Frames, PositionsError> {
    let mut reader = XyzReader { path, lines: Lines::open(path)?, moving, made: Made::default() };
    while reader.frame()? {}
    reader.made.finish(path)
}

/// What has been read.
#[derive(Default)]
struct Made {
    frames: usize,
    labels: Vec<String>,
    positions: Vec<f64>,
    motion: Vec<f64>,
    motion_is: Option<Motion>,
    ignored: usize,
    in_bohr: bool,
}

struct XyzReader<'a> {
    path: &'a Path,
    lines: Lines,
    moving: bool,
    made: Made,
}

impl XyzReader<'_> {
    /// Reads the next frame; false at the end.
    fn frame(&mut self) -> Result<bool, PositionsError> {
        let file = || self.path.to_path_buf();
        let (line, text) = loop {
            match self.lines.next()? {
                (_, None) => return Ok(false),
                (_, Some(text)) if text.trim().is_empty() => {}
                (line, Some(text)) => break (line, text),
            }
        };
        self.made.frames += 1;
        let frame = self.made.frames;
        let expected = match text.trim().parse() {
            Ok(count) if count > 0 => count,
            _ => {
                let text = shown(&text);
                return Err(PositionsError::Count { file: file(), frame, line, text });
            }
        };
        let (comment_line, comment) = self.lines.next()?;
        let comment = comment.ok_or_else(|| PositionsError::CutShort {
            file: file(),
            frame,
            line,
            found: 0,
            expected,
        })?;
        let layout = AtomLine::of(&comment).ok_or_else(|| PositionsError::Properties {
            file: file(),
            frame,
            line: comment_line,
            text: shown(&comment),
        })?;
        self.made.in_bohr |= comment.to_lowercase().contains("bohr");
        self.atoms(layout, expected, line)?;
        Ok(true)
    }

    /// Reads the lines of the atoms of a frame that begins at `line`.
    fn atoms(
        &mut self,
        mut layout: AtomLine,
        expected: usize,
        line: usize,
    ) -> Result<(), PositionsError> {
        let (file, frame) = (|| self.path.to_path_buf(), self.made.frames);
        let limit = LARGEST / PositionUnit::Angstrom.factor();
        // The count is not trusted with memory: vectors grow with the lines that are there.
        let mut labels = Vec::new();
        for atom in 0..expected {
            let (line, text) = self.lines.next()?;
            let text = text.ok_or_else(|| PositionsError::CutShort {
                file: file(),
                frame,
                line: line - 1,
                found: atom,
                expected,
            })?;
            let cells: Vec<&str> = text.split_whitespace().collect();
            if let Some(expected) = layout.cells
                && cells.len() != expected
                && cells.len() > 3
            {
                let found = cells.len();
                return Err(PositionsError::Cells { file: file(), frame, line, found, expected });
            }
            if atom == 0 {
                if layout.cells.is_none() && self.moving && cells.len() >= 7 {
                    layout.motion = Some((4, Motion::Further));
                }
                self.check_motion(&layout, line)?;
            }
            if layout.cells.is_none() {
                let used = if layout.motion.is_some() { 7 } else { 4 };
                self.made.ignored = self.made.ignored.max(cells.len().saturating_sub(used));
            }
            let Some(AtomCells { label, position, motion }) = layout.atom(&cells, limit) else {
                return Err(PositionsError::Atom { file: file(), frame, line, text: shown(&text) });
            };
            labels.push(label.to_owned());
            let factor = PositionUnit::Angstrom.factor();
            self.made.positions.extend(position.map(|value| value * factor));
            self.made.motion.extend(motion.into_iter().flatten());
        }
        if frame == 1 {
            self.made.labels = labels;
        } else if self.made.labels != labels {
            let (found, expected) = (labels, self.made.labels.clone());
            return Err(PositionsError::AtomsDiffer { file: file(), frame, line, found, expected });
        }
        Ok(())
    }

    /// All frames have motion of the same name, or none.
    fn check_motion(&mut self, layout: &AtomLine, line: usize) -> Result<(), PositionsError> {
        let motion = layout.motion.as_ref().map(|(_, motion)| motion.clone());
        let Made { frames, motion_is, .. } = &mut self.made;
        if *frames == 1 {
            *motion_is = motion;
            return Ok(());
        }
        if *motion_is == motion {
            return Ok(());
        }
        Err(PositionsError::MotionDiffers {
            file: self.path.to_path_buf(),
            frame: *frames,
            line,
            found: motion.map(|motion| motion.name()),
            expected: motion_is.as_ref().map(Motion::name),
        })
    }
}

impl Made {
    fn finish(self, path: &Path) -> Result<Frames, PositionsError> {
        let none = || PositionsError::NoFrames { file: path.to_path_buf() };
        if self.frames == 0 {
            return Err(none());
        }
        let shape = (self.frames, 3 * self.labels.len());
        let matrix = |values| Array2::from_shape_vec(shape, values).map_err(|_| none());
        let motion = match self.motion_is {
            None => None,
            Some(motion) => Some(FrameMotion {
                values: matrix(self.motion)?,
                name: motion.name(),
                unit: motion.unit(),
                is_guess: !matches!(motion, Motion::Momenta(_)),
            }),
        };
        let mut remarks = Vec::new();
        if self.ignored > 0 {
            let taken = if motion.is_some() {
                "the three numbers after the element are taken as the position, the next three as its motion"
            } else {
                "the three numbers after the element are taken as the position"
            };
            remarks.push(format!(
                "`{}`: {taken}, {} further cells of a line are left out",
                path.display(),
                self.ignored
            ));
        }
        if self.in_bohr {
            remarks.push(format!(
                "`{}`: a comment names bohr, but positions in XYZ are taken as angstrom",
                path.display()
            ));
        }
        let positions = matrix(self.positions)?;
        let in_bohr = self.in_bohr;
        Ok(Frames { labels: self.labels, positions, motion, masses_u: None, remarks, in_bohr })
    }
}

/// What holds the motion of an atom.
#[derive(Clone, Debug, PartialEq)]
enum Motion {
    /// A property of momenta, by its name.
    Momenta(String),
    /// A property of velocities, by its name.
    Velocities(String),
    /// The three cells behind the position in plain XYZ.
    Further,
}

impl Motion {
    fn name(&self) -> String {
        match self {
            Self::Momenta(name) | Self::Velocities(name) => format!("`{name}`"),
            Self::Further => "three numbers behind each position".to_owned(),
        }
    }

    /// The unit where nobody says another one.
    fn unit(&self) -> MotionUnit {
        match self {
            Self::Momenta(_) => MotionUnit::ase_momenta(),
            Self::Velocities(_) | Self::Further => MotionUnit::angstrom_per_fs(),
        }
    }
}

/// Where element, position and motion stand in the line of an atom.
struct AtomLine {
    element: usize,
    position: usize,
    motion: Option<(usize, Motion)>,
    /// Cells of a line, where they are declared.
    cells: Option<usize>,
}

/// The cells of an atom that are used: positions in angstrom, motion in the file's unit.
struct AtomCells<'a> {
    label: &'a str,
    position: [f64; 3],
    motion: Option<[f64; 3]>,
}

impl AtomLine {
    /// As the comment of a frame declares it; none if it declares other properties than element and position.
    fn of(comment: &str) -> Option<Self> {
        let lower = comment.to_lowercase();
        let key = lower.match_indices("properties").map(|(at, key)| (at, at + key.len())).find(
            |&(at, end)| {
                let before = comment[..at].chars().next_back();
                before.is_none_or(char::is_whitespace) && lower[end..].trim_start().starts_with('=')
            },
        );
        let Some((_, end)) = key.filter(|_| lower.len() == comment.len()) else {
            return Some(Self { element: 0, position: 1, motion: None, cells: None });
        };
        let value = comment[end..].trim_start().strip_prefix('=')?.trim_start();
        let value = value.trim_start_matches(['"', '\'']);
        let value = value.split(|c: char| c.is_whitespace() || c == '"' || c == '\'').next()?;
        let parts: Vec<&str> = value.split(':').collect();
        let (mut element, mut position, mut at) = (None, None, 0);
        let (mut momenta, mut velocities) = (None, None);
        for property in parts.chunks(3) {
            let [name, kind, count] = property else { return None };
            let count: usize = count.parse().ok().filter(|&count| count <= 1000)?;
            let text = (*name).to_owned();
            match (name.to_lowercase().as_str(), *kind, count) {
                ("species" | "element" | "symbol" | "symbols", "S", 1) => element = Some(at),
                ("pos" | "positions" | "position", "R", 3) => position = Some(at),
                (name, "R", 3) if MOMENTA.contains(&name) => {
                    momenta = Some((at, Motion::Momenta(text)));
                }
                (name, "R", 3) if VELOCITIES.contains(&name) => {
                    velocities = Some((at, Motion::Velocities(text)));
                }
                _ => {}
            }
            at += count;
        }
        let motion = momenta.or(velocities);
        Some(Self { element: element?, position: position?, motion, cells: Some(at) })
    }

    fn atom<'a>(&self, cells: &[&'a str], limit: f64) -> Option<AtomCells<'a>> {
        let number = |place: usize| {
            let cell = cells.get(place)?;
            parse_cell(cell, Decimal::Point).and_then(|value| checked(value, limit)).ok()
        };
        let three = |first: usize| Some([number(first)?, number(first + 1)?, number(first + 2)?]);
        let motion = match &self.motion {
            None => None,
            Some((first, _)) => Some(three(*first)?),
        };
        Some(AtomCells { label: cells.get(self.element)?, position: three(self.position)?, motion })
    }
}
