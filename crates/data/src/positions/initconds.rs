//! Initial conditions as surface-hopping programs write them: positions in bohr, velocities in atomic units, masses in u.
//!
//! SHARC (`initconds`, `initconds.excited`): a header with `Ninit` and `Natom`, the equilibrium geometry, then for each
//! `Index` a line `Atoms` and one line `symbol charge x y z mass vx vy vz` an atom; states and energies follow.
//! Newton-X (`final_output`): for each `Initial condition`, lines `symbol charge x y z mass` under `Geometry in COLUMBUS and
//! NX input format:`, lines `vx vy vz` under `Velocity in NX input format:`; energies follow.

use std::path::Path;

use ndarray::Array2;

use super::error::PositionsError;
use super::frames::{FrameMotion, Frames, Lines, shown};
use crate::error::{LARGEST, LoadError};
use crate::motion::MotionUnit;
use crate::number::{checked, parse_cell};
use crate::source::Decimal;

/// Lines in which a program gives itself away.
const LOOKED_AT: usize = 50;

/// The program that wrote a file of initial conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// SHARC.
    Sharc,
    /// Newton-X.
    NewtonX,
}

/// The program whose initial conditions a text file holds.
pub(super) fn program_of(path: &Path) -> Result<Option<Program>, LoadError> {
    let mut lines = Lines::open(path)?;
    for place in 0..LOOKED_AT {
        let (_, Some(line)) = lines.next()? else { break };
        let line = line.to_lowercase();
        if place == 0 && line.contains("sharc initial conditions file") {
            return Ok(Some(Program::Sharc));
        }
        if line.contains("geometry in columbus and nx input format") {
            return Ok(Some(Program::NewtonX));
        }
    }
    Ok(None)
}

/// Reads all initial conditions of a file.
pub(super) fn read_initconds(path: &Path, program: Program) -> Result<Frames, PositionsError> {
    let mut reader = Reader { path, lines: Lines::open(path)?, made: Made::default() };
    match program {
        Program::Sharc => reader.sharc()?,
        Program::NewtonX => reader.newton_x()?,
    }
    reader.made.finish(path)
}

#[derive(Default)]
struct Made {
    labels: Vec<String>,
    masses_u: Vec<f64>,
    frames: usize,
    positions: Vec<f64>,
    velocities: Vec<f64>,
}

/// The line of an atom: its symbol, and numbers from the third cell on.
struct Atom {
    label: String,
    numbers: Vec<f64>,
}

struct Reader<'a> {
    path: &'a Path,
    lines: Lines,
    made: Made,
}

impl Reader<'_> {
    fn sharc(&mut self) -> Result<(), PositionsError> {
        let expected = "`symbol charge x y z mass vx vy vz` with finite numbers";
        let (mut conditions, mut atoms) = (None, 0);
        while let (line, Some(text)) = self.lines.next()? {
            let mut words = text.split_whitespace();
            let (Some(key), value) = (words.next(), words.next()) else { continue };
            let count = || {
                let count = value.and_then(|value| value.parse().ok()).filter(|count| *count > 0);
                count.ok_or_else(|| self.error(line, &text, "a number above 0"))
            };
            match key {
                "Ninit" => conditions = Some(count()?),
                "Natom" | "Natoms" => atoms = count()?,
                "Atoms" if value.is_none() => {
                    let mut labels = Vec::new();
                    let mut masses = Vec::new();
                    for _ in 0..atoms {
                        let Atom { label, numbers } = self.atom(7, expected)?;
                        labels.push(label);
                        masses.push(numbers[3]);
                        self.made.positions.extend(&numbers[..3]);
                        self.made.velocities.extend(&numbers[4..7]);
                    }
                    self.take(labels, masses)?;
                }
                _ => {}
            }
        }
        match conditions {
            Some(expected) if self.made.frames < expected => Err(PositionsError::FewerConditions {
                file: self.path.to_path_buf(),
                found: self.made.frames,
                expected,
            }),
            _ => Ok(()),
        }
    }

    fn newton_x(&mut self) -> Result<(), PositionsError> {
        let of_geometry = "`symbol charge x y z mass` with finite numbers";
        let of_velocity = "`vx vy vz` with finite numbers";
        while let (_, Some(text)) = self.lines.next()? {
            if !text.to_lowercase().contains("geometry in columbus and nx input format") {
                continue;
            }
            let (mut labels, mut masses) = (Vec::new(), Vec::new());
            loop {
                let (line, Some(text)) = self.lines.next()? else {
                    return Err(self.error(self.lines.line(), "", of_geometry));
                };
                if text.to_lowercase().contains("velocity in nx input format") {
                    break;
                }
                let Atom { label, numbers } =
                    atom_of(&text, 4).ok_or_else(|| self.error(line, &text, of_geometry))?;
                labels.push(label);
                masses.push(numbers[3]);
                self.made.positions.extend(&numbers[..3]);
            }
            for _ in 0..labels.len() {
                let (line, text) = self.lines.next()?;
                let text = text.unwrap_or_default();
                let numbers = numbers_of(text.split_whitespace(), 3)
                    .ok_or_else(|| self.error(line, &text, of_velocity))?;
                self.made.velocities.extend(numbers);
            }
            self.take(labels, masses)?;
        }
        Ok(())
    }

    fn atom(&mut self, count: usize, expected: &'static str) -> Result<Atom, PositionsError> {
        let (line, text) = self.lines.next()?;
        let text = text.unwrap_or_default();
        atom_of(&text, count).ok_or_else(|| self.error(line, &text, expected))
    }

    /// One more initial condition, whose atoms must be those of the first.
    fn take(&mut self, labels: Vec<String>, masses_u: Vec<f64>) -> Result<(), PositionsError> {
        let (file, line) = (self.path.to_path_buf(), self.lines.line());
        self.made.frames += 1;
        let frame = self.made.frames;
        if labels.is_empty() {
            return Err(PositionsError::NoFrames { file });
        }
        if frame == 1 {
            (self.made.labels, self.made.masses_u) = (labels, masses_u);
        } else if labels != self.made.labels {
            let (found, expected) = (labels, self.made.labels.clone());
            return Err(PositionsError::AtomsDiffer { file, frame, line, found, expected });
        }
        Ok(())
    }

    fn error(&self, line: usize, text: &str, expected: &'static str) -> PositionsError {
        let text = shown(text);
        PositionsError::InitialCondition { file: self.path.to_path_buf(), line, text, expected }
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
        Ok(Frames {
            labels: self.labels,
            positions: matrix(self.positions)?,
            motion: Some(FrameMotion {
                values: matrix(self.velocities)?,
                name: "the velocities of the initial conditions".to_owned(),
                unit: MotionUnit::velocity_au(),
                is_guess: false,
            }),
            masses_u: Some(self.masses_u),
            remarks: Vec::new(),
            in_bohr: false,
        })
    }
}

/// `symbol charge` and `count` numbers.
fn atom_of(text: &str, count: usize) -> Option<Atom> {
    let mut cells = text.split_whitespace();
    let label = cells.next().filter(|label| label.starts_with(char::is_alphabetic))?.to_owned();
    cells.next()?.parse::<f64>().ok()?;
    Some(Atom { label, numbers: numbers_of(cells, count)? })
}

/// Exactly `count` finite numbers.
fn numbers_of<'a>(cells: impl Iterator<Item = &'a str>, count: usize) -> Option<Vec<f64>> {
    let number =
        |cell| parse_cell(cell, Decimal::Point).and_then(|value| checked(value, LARGEST)).ok();
    let numbers: Option<Vec<f64>> = cells.map(number).collect();
    numbers.filter(|numbers| numbers.len() == count)
}
