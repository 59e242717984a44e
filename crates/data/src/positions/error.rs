//! Geometries that cannot be read.

use std::path::PathBuf;

use thiserror::Error;

use crate::error::LoadError;

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
    /// Another file where one geometry in XYZ is wanted.
    #[error("`{}` is no XYZ file\nhint: its name must end in `.xyz` or `.xyz.gz`", file.display())]
    NoXyz { file: PathBuf },
    /// Several geometries where one is wanted.
    #[error("`{}` holds {found} frames, expected one\nhint: keep the frame of the reference alone", file.display())]
    SeveralFrames { file: PathBuf, found: usize },
    /// A comment that speaks of another unit.
    #[error("`{}`: a comment names bohr, but positions in XYZ are in angstrom\nhint: convert them, or change the comment", file.display())]
    InBohr { file: PathBuf },
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
    /// A frame without the velocities or momenta that the first one has, or the other way round.
    #[error("`{}`, frame {frame}, line {line}: the first frame has {}, this one has {}", file.display(), expected.as_deref().unwrap_or("no velocities"), found.as_deref().unwrap_or("none"))]
    MotionDiffers {
        file: PathBuf,
        frame: usize,
        line: usize,
        found: Option<String>,
        expected: Option<String>,
    },
    /// A unit of motion for a file without motion.
    #[error("`{}`: `--motion-unit` gives a unit, but the file has no velocities or momenta\nhint: {hint}", file.display())]
    NoMotion { file: PathBuf, hint: &'static str },
    /// Columns of motion for a file without columns.
    #[error("`{}` has no columns that `--motion-columns` could name\nhint: its velocities are found by themselves; `--motion-unit` says their unit", file.display())]
    MotionColumnsOfFrames { file: PathBuf },
    /// Columns of motion whose unit nobody says.
    #[error("`{}`: `--motion-columns` names columns whose unit is not known\nhint: say it by `--motion-unit`, for example `au` (momenta), `bohr/au` or `angstrom/fs` (velocities)", file.display())]
    MotionUnitUnknown { file: PathBuf },
    /// Too few or too many columns of motion.
    #[error("`--motion-columns` names {found} columns, the molecule's {atoms} atoms need {}", 3 * atoms)]
    MotionColumns { found: usize, atoms: usize },
    /// A file of initial conditions that is not laid out as it should be.
    #[error("`{}`, line {line}: `{text}` is not {expected}", file.display())]
    InitialCondition { file: PathBuf, line: usize, text: String, expected: &'static str },
    /// A file of initial conditions that holds fewer than it says.
    #[error("`{}` holds {found} initial conditions, but says that there are {expected}\nhint: was it written completely?", file.display())]
    FewerConditions { file: PathBuf, found: usize, expected: usize },
    /// Normal modes that cannot be read.
    #[error("`{}`: {what}\nhint: {hint}", file.display())]
    Modes { file: PathBuf, what: String, hint: &'static str },
}
