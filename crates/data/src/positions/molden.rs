//! Normal modes from a file in Molden format (<https://www.theochem.ru.nl/molden/molden_format.html>).
//!
//! `[FREQ]` holds frequencies in 1/cm, imaginary ones negative; `[FR-COORD]` a line `element x y z` an atom, in bohr;
//! `[FR-NORM-COORD]` for each `vibration N` a line `dx dy dz` an atom: displacements without weights, of any length. Where
//! `[Atoms]` says positions with their unit, and `[FR-COORD]` has the same numbers in bohr or in angstrom (as some programs
//! write), it is believed. Vibrations do not turn the molecule: by that it is seen where the two are in different
//! orientations, and the vectors are in that of `[Atoms]` (as Molden makes of an output of Gaussian).

use std::path::Path;

use cei_physics::Molecule;
use cei_physics::units::BOHR_ANGSTROM;

use super::atoms::check_atoms;
use super::error::PositionsError;
use super::frames::{Lines, shown};
use crate::error::LARGEST;
use crate::number::{checked, parse_cell};
use crate::source::Decimal;

/// No two atoms of a molecule are closer, in bohr (those of H2 are 1.40 apart).
const CLOSEST_BOHR: f64 = 1.2;
/// The part of rotations in displacements up to which positions fit them, and beyond which they do not.
const FITS: f64 = 0.05;
const FITS_NOT: f64 = 0.2;
/// Differences of coordinates that rounding explains, in bohr.
const ROUNDING_BOHR: f64 = 0.02;

/// The normal modes of a file, its atoms in the order of the molecule.
#[derive(Clone, Debug, PartialEq)]
pub struct MoldenModes {
    /// Position of each atom.
    pub positions_angstrom: Vec<[f64; 3]>,
    /// Frequency of each mode, negative for an imaginary one.
    pub frequencies_cm1: Vec<f64>,
    /// Displacement of each atom, mode by mode, of any length.
    pub displacements: Vec<Vec<[f64; 3]>>,
}

/// Reads the normal modes of `molecule`.
///
/// # Errors
/// A section that is missing or damaged, another molecule, positions that are not in the unit of the format.
pub fn read_molden(path: &Path, molecule: &Molecule) -> Result<MoldenModes, PositionsError> {
    let sections = Sections::read(path)?;
    let error = |what: &str, hint| PositionsError::Modes {
        file: path.to_path_buf(),
        what: what.to_owned(),
        hint,
    };
    let missing = |name: &str| {
        error(
            &format!("there is no section `[{name}]`"),
            "normal modes in Molden format stand in `[FREQ]`, `[FR-COORD]` and `[FR-NORM-COORD]`: let the program write them by a frequency calculation",
        )
    };
    if sections.frequencies.is_empty() {
        return Err(missing("FREQ"));
    }
    if sections.modes.is_empty() {
        return Err(missing("FR-NORM-COORD"));
    }
    let (labels, positions) = sections.positions().ok_or_else(|| missing("FR-COORD"))?;
    check_atoms(path, &labels, molecule)?;
    if closest(&positions) < CLOSEST_BOHR {
        return Err(error(
            &format!(
                "two atoms of `[FR-COORD]` are {:.3} bohr apart, closer than in any molecule",
                closest(&positions)
            ),
            "the format has bohr there: are these angstrom? multiply them by 1.8897261, or write `[FR-COORD] Angs`",
        ));
    }
    let (modes, frequencies) = (sections.modes.len(), sections.frequencies.len());
    if modes != frequencies {
        return Err(error(
            &format!(
                "`[FREQ]` has {frequencies} frequencies, `[FR-NORM-COORD]` {modes} vibrations"
            ),
            "each vibration needs a frequency",
        ));
    }
    let atoms = labels.len();
    if let Some(at) = sections.modes.iter().position(|mode| mode.len() != atoms) {
        return Err(error(
            &format!(
                "vibration {} of `[FR-NORM-COORD]` moves {} atoms, the molecule has {atoms}",
                at + 1,
                sections.modes[at].len()
            ),
            "was the file written completely?",
        ));
    }
    if sections.vectors_are_of_atoms(molecule) {
        return Err(error(
            "the vibrations turn the molecule whose positions `[FR-COORD]` has, but not that of `[Atoms]`, which has another orientation",
            "remove the section `[FR-COORD]`: the positions are those of `[Atoms]` then",
        ));
    }
    let to_angstrom = |x: &[f64; 3]| x.map(|c| c * BOHR_ANGSTROM);
    Ok(MoldenModes {
        positions_angstrom: positions.iter().map(to_angstrom).collect(),
        frequencies_cm1: sections.frequencies,
        displacements: sections.modes,
    })
}

/// What is in the sections that are used; positions in bohr.
#[derive(Default)]
struct Sections {
    frequencies: Vec<f64>,
    atoms: Vec<(String, [f64; 3])>,
    reference: Vec<(String, [f64; 3])>,
    modes: Vec<Vec<[f64; 3]>>,
}

impl Sections {
    fn read(path: &Path) -> Result<Self, PositionsError> {
        let mut sections = Self::default();
        let mut lines = Lines::open(path)?;
        let (mut section, mut factor) = (String::new(), 1.0);
        while let (line, Some(text)) = lines.next()? {
            let trimmed = text.trim();
            if let Some(head) = trimmed.strip_prefix('[') {
                let (name, rest) = head.split_once(']').unwrap_or((head, ""));
                section = name.trim().to_lowercase();
                // Bohr, unless the section says angstrom.
                let in_angstrom = rest.to_lowercase().contains("ang");
                factor = if in_angstrom { 1.0 / BOHR_ANGSTROM } else { 1.0 };
                continue;
            }
            if trimmed.is_empty() {
                continue;
            }
            if section == "fr-norm-coord" && sections.ends_with(trimmed) {
                section.clear();
                continue;
            }
            sections.take(&section, trimmed, factor).ok_or_else(|| PositionsError::Modes {
                file: path.to_path_buf(),
                what: format!("line {line}, `{}`, does not belong into `[{section}]`", shown(&text)),
                hint: "frequencies are one number a line, positions `element x y z`, displacements `dx dy dz` below `vibration N`",
            })?;
        }
        Ok(sections)
    }

    /// A line of a section; none if it is not understood.
    fn take(&mut self, section: &str, text: &str, factor: f64) -> Option<()> {
        let cells: Vec<&str> = text.split_whitespace().collect();
        let position = |first: usize| Some(three(cells.get(first..)?)?.map(|x| factor * x));
        match section {
            "freq" => {
                let frequencies: Option<Vec<f64>> = cells.iter().map(|cell| number(cell)).collect();
                self.frequencies.extend(frequencies?);
            }
            "atoms" => self.atoms.push(((*cells.first()?).to_owned(), position(3)?)),
            "fr-coord" => self.reference.push(((*cells.first()?).to_owned(), position(1)?)),
            "fr-norm-coord" if cells[0].to_lowercase().starts_with("vib") => {
                self.modes.push(Vec::new());
            }
            "fr-norm-coord" => self.modes.last_mut()?.push(three(&cells)?),
            _ => {}
        }
        Some(())
    }

    /// Whether a line is text of another program behind the last vibration (Columbus).
    fn ends_with(&self, text: &str) -> bool {
        let atoms = self.reference.len().max(self.atoms.len());
        let is_complete = self.modes.last().is_some_and(|mode| mode.len() == atoms);
        let first = text.split_whitespace().next().unwrap_or_default();
        is_complete && number(first).is_none() && !first.to_lowercase().starts_with("vib")
    }

    /// Whether the vibrations turn the molecule about the positions of `[FR-COORD]`, and not about those of `[Atoms]`.
    fn vectors_are_of_atoms(&self, molecule: &Molecule) -> bool {
        let turning = |atoms: &[(String, [f64; 3])]| {
            let positions: Vec<f64> = atoms.iter().flat_map(|(_, x)| *x).collect();
            let parts = self.modes.iter().map(|mode| rotation_part(mode, &positions, molecule));
            parts.fold(0.0, f64::max)
        };
        self.atoms.len() == self.reference.len()
            && turning(&self.reference) > FITS_NOT
            && turning(&self.atoms) < FITS
    }

    /// Atoms and their positions in bohr.
    fn positions(&self) -> Option<(Vec<String>, Vec<[f64; 3]>)> {
        let same = |scale: f64| {
            self.atoms.len() == self.reference.len()
                && self.atoms.iter().zip(&self.reference).all(|((_, a), (_, b))| {
                    a.iter().zip(b).all(|(a, b)| (a - scale * b).abs() < ROUNDING_BOHR)
                })
        };
        let declared = self.reference.is_empty() || same(1.0) || same(1.0 / BOHR_ANGSTROM);
        let chosen = if declared { &self.atoms } else { &self.reference };
        (!chosen.is_empty()).then(|| chosen.iter().cloned().unzip())
    }
}

/// How much a displacement turns the molecule about its centre of mass: `|sum m x (cross) d| / sqrt(sum m x^2 sum m d^2)`,
/// zero for a vibration.
fn rotation_part(mode: &[[f64; 3]], positions: &[f64], molecule: &Molecule) -> f64 {
    let centre = molecule.centre_of_mass(positions);
    let (mut turn, mut size, mut length) = ([0.0; 3], 0.0, 0.0);
    for ((d, x), mass) in mode.iter().zip(positions.chunks_exact(3)).zip(molecule.masses()) {
        let x: [f64; 3] = std::array::from_fn(|c| x[c] - centre[c]);
        for (axis, part) in turn.iter_mut().enumerate() {
            let (a, b) = ((axis + 1) % 3, (axis + 2) % 3);
            *part += mass * (x[a] * d[b] - x[b] * d[a]);
        }
        size += mass * x.iter().map(|x| x * x).sum::<f64>();
        length += mass * d.iter().map(|d| d * d).sum::<f64>();
    }
    let square = turn.iter().map(|part| part * part).sum::<f64>();
    if size * length == 0.0 { 0.0 } else { (square / (size * length)).sqrt() }
}

fn number(cell: &str) -> Option<f64> {
    parse_cell(cell, Decimal::Point).and_then(|value| checked(value, LARGEST)).ok()
}

/// Exactly three finite numbers.
fn three(cells: &[&str]) -> Option<[f64; 3]> {
    match cells {
        [x, y, z] => Some([number(x)?, number(y)?, number(z)?]),
        _ => None,
    }
}

/// The distance of the two closest atoms.
fn closest(positions: &[[f64; 3]]) -> f64 {
    let pairs = (0..positions.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
    let distance = |(a, b): (usize, usize)| {
        let squares = positions[a].iter().zip(positions[b]).map(|(x, y)| (x - y).powi(2));
        squares.sum::<f64>().sqrt()
    };
    pairs.map(distance).fold(f64::INFINITY, f64::min)
}
