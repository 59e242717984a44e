//! What the rows of a simulation follow from: shards of one table agree in all of it.

use cei_physics::Simulation;

use super::prepared::Geometries;
use crate::RunError;
use crate::config::to_toml;

/// Names, with values or digests.
///
/// # Errors
/// The file of the geometries cannot be read.
pub(super) fn of(
    simulation: &Simulation,
    geometries: &Geometries,
    initial: bool,
) -> Result<Vec<(String, String)>, RunError> {
    let Simulation { events, seed, .. } = *simulation;
    let rest = to_toml(&Simulation { events: 0, seed: 0, ..simulation.clone() });
    let mut origin = vec![
        ("the version of cei", env!("CARGO_PKG_VERSION").to_owned()),
        ("the simulation", cei_files::sha256(rest.as_bytes())),
        ("`--events`", events.to_string()),
        ("`--seed`", seed.to_string()),
        ("`--initial-momenta`", initial.to_string()),
    ];
    if let Geometries::File { path, unit, motion, reading } = geometries {
        let content = cei_files::sha256_of_file(path).map_err(RunError::io("read", path))?;
        origin.push(("`--positions`", content));
        origin.push(("`--position-unit`", format!("{unit:?}")));
        origin.push(("what is said of the motion", format!("{motion:?}")));
        origin.push(("how the positions are read", format!("{reading:?}")));
    }
    Ok(origin.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}
