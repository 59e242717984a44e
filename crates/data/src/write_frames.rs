//! Writing geometries as extended XYZ, one frame a row, for programs that show molecules (ASE, OVITO, VMD).
//!
//! ```text
//! 3
//! Properties=species:S:1:pos:R:3:masses:R:1 event=0 draw=4 outside_model=0
//! O -1.1578 0 0 15.999
//! ...
//! ```
//! Positions are in angstrom, masses in u. Every other column is a key of the comment line; what is missing there is left out.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use cei_files::AtomicFile;
use cei_physics::Molecule;
use cei_physics::units::{BOHR_ANGSTROM, ELECTRON_MASSES_PER_U};

use crate::write::{ColumnData, ColumnType, WriteError};

/// Whether a file of this name holds frames: `.xyz` or `.extxyz`.
#[must_use]
pub fn is_frames(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    ["xyz", "extxyz"].iter().any(|frames| extension.eq_ignore_ascii_case(frames))
}

/// Writes frames in batches of table columns. Dropped without [`FramesWriter::complete`], it leaves nothing behind.
pub struct FramesWriter {
    path: PathBuf,
    unfinished: AtomicFile,
    atoms: Vec<Atom>,
    /// Places and keys of the columns that are no positions.
    keys: Vec<(usize, String)>,
}

struct Atom {
    symbol: String,
    mass_u: f64,
    /// Places of x, y and z among the columns.
    columns: [usize; 3],
}

impl FramesWriter {
    /// Starts a file of frames of `molecule` beside `path`. `positions` names its 3N position columns (bohr) among
    /// `columns`; columns of the same names with `_file` behind, which are the same turned, are left out.
    ///
    /// # Errors
    /// Columns without these positions; the folder does not exist or is not writable.
    pub fn create(
        path: &Path,
        columns: &[(String, ColumnType)],
        molecule: &Molecule,
        positions: &[String],
    ) -> Result<Self, WriteError> {
        let place = |name: &String| {
            let place =
                columns.iter().position(|(own, kind)| own == name && *kind == ColumnType::F64);
            place.ok_or_else(|| WriteError::NoGeometry { file: path.to_path_buf() })
        };
        let places = positions.iter().map(place).collect::<Result<Vec<_>, _>>()?;
        if places.len() != 3 * molecule.atom_count() {
            return Err(WriteError::NoGeometry { file: path.to_path_buf() });
        }
        let atoms = molecule.atoms().iter().zip(molecule.masses()).zip(places.chunks_exact(3));
        let atoms = atoms.map(|((atom, mass), place)| Atom {
            symbol: symbol(&atom.element),
            mass_u: mass / ELECTRON_MASSES_PER_U,
            columns: [place[0], place[1], place[2]],
        });
        let is_key = |name: &str| {
            let turned = name.strip_suffix("_file").unwrap_or(name);
            !positions.iter().any(|position| position == turned)
        };
        let keys = columns.iter().enumerate().filter(|(_, (name, _))| is_key(name));
        Ok(Self {
            path: path.to_path_buf(),
            unfinished: AtomicFile::create(path)?,
            atoms: atoms.collect(),
            keys: keys.map(|(place, (name, _))| (place, key(name))).collect(),
        })
    }

    /// Appends a frame for each row; `batch` holds the declared columns.
    ///
    /// # Errors
    /// A batch without all columns, a full disk.
    pub fn write(&mut self, batch: &[ColumnData]) -> Result<(), WriteError> {
        let rows = batch.first().map_or(0, ColumnData::len);
        let mut text = String::new();
        for row in 0..rows {
            let _ = writeln!(text, "{}", self.atoms.len());
            text.push_str("Properties=species:S:1:pos:R:3:masses:R:1");
            for (place, key) in &self.keys {
                if let Some(value) = batch.get(*place).and_then(|data| value(data, row)) {
                    let _ = write!(text, " {key}={value}");
                }
            }
            text.push('\n');
            for Atom { symbol, mass_u, columns } in &self.atoms {
                text.push_str(symbol);
                for column in columns {
                    let Some(ColumnData::F64(bohr)) = batch.get(*column) else {
                        return Err(WriteError::NoGeometry { file: self.path.clone() });
                    };
                    let _ = write!(text, " {}", bohr[row] * BOHR_ANGSTROM);
                }
                let _ = writeln!(text, " {mass_u}");
            }
        }
        Ok(self.unfinished.write_all(text.as_bytes())?)
    }

    /// Completes the file, which has its name only when it is committed.
    #[must_use]
    pub fn complete(self) -> AtomicFile {
        self.unfinished
    }
}

/// The element's symbol as other programs know it: without the mass number, `H` for deuterium; `X` for what is no element.
fn symbol(element: &str) -> String {
    let plain = element.trim_start_matches(|c: char| c.is_ascii_digit());
    let plain = if ["D", "T"].contains(&plain) { "H" } else { plain };
    let known = cei_physics::elements::mass_u(plain).is_some();
    if known { plain.to_owned() } else { "X".to_owned() }
}

/// A name that is a key of the comment line: letters, digits, `_` and `-`, beginning with a letter or `_`.
fn key(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let begins = plain.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if begins { plain } else { format!("_{plain}") }
}

/// A cell as the value of a key; none where there is nothing.
fn value(data: &ColumnData, row: usize) -> Option<String> {
    match data {
        ColumnData::F64(values) => Some(values[row]).filter(|v| !v.is_nan()).map(|v| v.to_string()),
        ColumnData::F32(values) => Some(values[row]).filter(|v| !v.is_nan()).map(|v| v.to_string()),
        ColumnData::I64(values) => values[row].map(|value| value.to_string()),
        ColumnData::U64(values) => Some(values[row].to_string()),
        ColumnData::U32(values) => Some(values[row].to_string()),
        // A quote or a line's end would end the value, and there is no sign for them that all programs read.
        ColumnData::Text(values) => values[row]
            .as_ref()
            .map(|text| format!("\"{}\"", text.replace(['"', '\\', '\n', '\r'], " "))),
    }
}

#[cfg(test)]
mod tests {
    use cei_physics::AtomSpec;

    use super::*;
    use crate::positions::read_xyz;

    #[test]
    fn frames_are_read_back() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("d.xyz");
        let molecule = Molecule::new(vec![AtomSpec::new("35Cl", 1.0), AtomSpec::new("D", 1.0)])?;
        let names: Vec<String> =
            ["event", "clx", "cly", "clz", "dx", "dy", "dz", "dx_file", "laser on", "tau"]
                .map(str::to_owned)
                .into();
        let data = [
            ColumnData::U64(vec![0, 7]),
            ColumnData::F64(vec![1.0, -1.0]),
            ColumnData::F64(vec![0.25, 0.5]),
            ColumnData::F64(vec![0.0, 1e-9]),
            ColumnData::F64(vec![2.0, 3.0]),
            ColumnData::F64(vec![0.0, 0.0]),
            ColumnData::F64(vec![0.0, 0.0]),
            ColumnData::F64(vec![9.0, 9.0]),
            ColumnData::Text(vec![Some("a \"b\"".to_owned()), None]),
            ColumnData::F64(vec![f64::NAN, 12.5]),
        ];
        let columns: Vec<(String, ColumnType)> =
            names.iter().cloned().zip(data.iter().map(ColumnData::column_type)).collect();
        let positions = molecule.position_columns();
        let mut writer = FramesWriter::create(&path, &columns, &molecule, &positions)?;
        writer.write(&data)?;
        writer.complete().commit()?;
        let text = std::fs::read_to_string(&path)?;
        let comments: Vec<&str> = text.lines().skip(1).step_by(4).collect();
        assert_eq!(
            comments,
            [
                "Properties=species:S:1:pos:R:3:masses:R:1 event=0 laser_on=\"a  b \"",
                "Properties=species:S:1:pos:R:3:masses:R:1 event=7 tau=12.5"
            ]
        );
        let frames = read_xyz(&path, false)?;
        assert_eq!(frames.labels, ["Cl", "H"]);
        let expected = [[1.0, 0.25, 0.0, 2.0, 0.0, 0.0], [-1.0, 0.5, 1e-9, 3.0, 0.0, 0.0]];
        for (found, expected) in frames.positions.rows().into_iter().zip(expected) {
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-14, "{found} {expected}");
            }
        }
        let none = FramesWriter::create(&path, &columns[..3], &molecule, &positions);
        assert!(matches!(none.err(), Some(WriteError::NoGeometry { .. })));
        Ok(())
    }
}
