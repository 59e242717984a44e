//! Tests of the public interface, on files made by hand.

mod errors;
mod extremes;
mod gauging;
mod inspecting;
mod loading;
mod moving;
mod preprocessing;
mod reading;
mod scratch;
mod splitting;
mod writing;

use std::fs;
use std::path::PathBuf;

use cei_data::{ColumnRef, Selection, Source};
use cei_physics::{AtomSpec, Molecule};
use tempfile::TempDir;

/// A temporary folder with files.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Source {
        fs::write(self.path(name), content).unwrap();
        Source::file(self.text(name))
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

pub(crate) fn select(x: &[&str], y: &[&str]) -> Selection {
    let refs = |names: &[&str]| names.iter().map(|name| ColumnRef::from(*name)).collect();
    Selection { x: refs(x), y: refs(y), ..Selection::default() }
}

/// OCS in the column order of the reference data, C O S; every ion doubly charged.
pub(crate) fn ocs() -> Molecule {
    let atoms = ["C", "O", "S"].map(|element| AtomSpec::new(element, 2.0));
    Molecule::new(atoms.to_vec()).unwrap()
}
