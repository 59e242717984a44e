//! The simulation that made a table, in a file beside it: `table.csv.simulation.toml` beside `table.csv`.

use std::path::{Path, PathBuf};

use cei_files::{Seal, seal_of, sealed, sha256_of_file};
use cei_physics::Simulation;

use crate::RunError;
use crate::config::{parse_with_overrides, read_text, to_toml};

/// How the name of the file ends.
const EXTENSION: &str = "simulation.toml";

/// The line beside a table that holds its digest.
const TABLE: &str = "# SHA-256 of the table: ";

/// Where the configuration of a simulated table stands.
///
/// ```
/// let path = cei_run::dataset::sidecar_path("ocs.csv".as_ref());
/// assert_eq!(path.to_str(), Some("ocs.csv.simulation.toml"));
/// ```
pub fn sidecar_path(table: &Path) -> PathBuf {
    let mut name = table.as_os_str().to_owned();
    name.push(".");
    name.push(EXTENSION);
    name.into()
}

/// The simulation that made a table, read from beside it; none if nothing stands there.
///
/// # Errors
/// A file beside the table that cannot be read as a simulation, was changed, or belongs to another table.
pub fn simulation_beside(table: &Path) -> Result<Option<Simulation>, RunError> {
    check_digest(table)?;
    claimed_beside(table)
}

/// The one simulation that made all of these tables, apart from their numbers of events and seeds:
/// that of the first. None if one was not simulated, or differently.
///
/// # Errors
/// A file beside a table that cannot be read as a simulation, was changed, or belongs to another table.
pub fn simulation_of(tables: &[PathBuf]) -> Result<Option<Simulation>, RunError> {
    common(tables, simulation_beside)
}

/// As [`simulation_of`], without reading the tables: only [`check_digest`] tells whether it is theirs.
///
/// # Errors
/// A file beside a table that cannot be read as a simulation, or was changed.
pub fn claimed_simulation_of(tables: &[PathBuf]) -> Result<Option<Simulation>, RunError> {
    common(tables, claimed_beside)
}

/// That a table is the one that what stands beside it was written with, if it says so. Reads the table.
///
/// # Errors
/// A file beside the table that was changed, or belongs to another table.
pub fn check_digest(table: &Path) -> Result<(), RunError> {
    let Some((sidecar, text)) = read_beside(table)? else { return Ok(()) };
    match bound_to(&text) {
        Some(digest) if digest != sha256_of_file(table).map_err(RunError::io("read", table))? => {
            Err(RunError::SidecarOfAnother { table: table.to_owned(), sidecar })
        }
        _ => Ok(()),
    }
}

fn common(
    tables: &[PathBuf],
    beside: impl Fn(&Path) -> Result<Option<Simulation>, RunError>,
) -> Result<Option<Simulation>, RunError> {
    let mut common: Option<Simulation> = None;
    for table in tables {
        let Some(found) = beside(table)? else { return Ok(None) };
        match &common {
            None => common = Some(found),
            Some(first) => {
                if *first != (Simulation { events: first.events, seed: first.seed, ..found }) {
                    return Ok(None);
                }
            }
        }
    }
    Ok(common)
}

fn claimed_beside(table: &Path) -> Result<Option<Simulation>, RunError> {
    let Some((path, text)) = read_beside(table)? else { return Ok(None) };
    Ok(Some(parse_with_overrides(&text, &format!("`{}`", path.display()), &[])?))
}

/// What stands beside a table, if it is as it was written.
fn read_beside(table: &Path) -> Result<Option<(PathBuf, String)>, RunError> {
    let Some(path) = sidecar_of(table) else { return Ok(None) };
    let text = read_text(&path)?;
    if seal_of(&text) == Seal::Broken {
        return Err(RunError::SidecarEdited { sidecar: path });
    }
    Ok(Some((path, text)))
}

/// What has to be said about what stands beside tables: that nothing proves that it belongs to them.
pub fn sidecar_remarks(tables: &[PathBuf]) -> Vec<String> {
    let unbound = |table: &PathBuf| {
        let sidecar = sidecar_of(table)?;
        let text = std::fs::read_to_string(&sidecar).ok()?;
        bound_to(&text).is_none().then(|| {
            format!(
                "remark: `{}` is believed to tell how `{}` was simulated; it does not hold the table's digest",
                sidecar.display(),
                table.display()
            )
        })
    };
    tables.iter().filter_map(unbound).collect()
}

/// Whether a simulation stands beside a table.
pub(crate) fn is_simulated(table: &Path) -> bool {
    sidecar_of(table).is_some()
}

/// The configuration of a table as it is written beside it, bound to it by its digest.
pub(crate) fn sidecar_text(simulation: &Simulation, table_sha256: &str) -> String {
    sealed(&format!("{}{TABLE}{table_sha256}\n", to_toml(simulation)))
}

/// Where the configuration of a table stands, if it does.
fn sidecar_of(table: &Path) -> Option<PathBuf> {
    // Earlier versions left the extension out, so that tables of two formats shared one.
    let paths = [sidecar_path(table), table.with_extension(EXTENSION)];
    paths.into_iter().find(|path| path.exists())
}

/// The digest of the table that a sidecar belongs to; none in those of earlier versions.
fn bound_to(sidecar: &str) -> Option<&str> {
    sidecar.lines().find_map(|line| line.strip_prefix(TABLE)).map(str::trim)
}
