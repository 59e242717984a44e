//! Simulations by their names: those that come with the program, and files.

use std::path::Path;

use cei_data::{MoldenModes, read_molden};
use cei_physics::{GeometryLaw, ModesError, NormalMode, Simulation};

use super::error::{ExperimentError, Kind};
use super::overrides::{Configuration, parse_with_overrides};
use super::presets::{SIMULATIONS, find};
use super::text::read_text;

impl Configuration for Simulation {
    const KIND: Option<Kind> = Some(Kind::Simulation);

    fn checked(self) -> Result<Self, String> {
        let simulation = with_modes_read(self)?;
        simulation.check().map_err(|error| error.to_string())?;
        Ok(simulation)
    }
}

/// A simulation with the normal modes of the file that it names in the place of that name, so that what is recorded of it
/// does not change with the file.
fn with_modes_read(mut simulation: Simulation) -> Result<Simulation, String> {
    let Simulation { molecule, geometry: Some(GeometryLaw::Harmonic(law)), .. } = &mut simulation
    else {
        return Ok(simulation);
    };
    let Some(path) = law.molden.take() else { return Ok(simulation) };
    let given = [
        ("modes", !law.modes.is_empty()),
        ("positions_angstrom", !law.positions_angstrom.is_empty()),
    ];
    if let Some((key, _)) = given.into_iter().find(|(_, given)| *given) {
        return Err(ModesError::Twice { key }.to_string());
    }
    let found = read_molden(Path::new(&path), molecule)
        .map_err(|error| format!("`geometry.molden`: {error}"))?;
    let MoldenModes { positions_angstrom, frequencies_cm1, displacements } = found;
    let by_label =
        |vectors: Vec<[f64; 3]>| molecule.labels().iter().cloned().zip(vectors).collect();
    law.positions_angstrom = by_label(positions_angstrom);
    let modes = frequencies_cm1.into_iter().zip(displacements);
    law.modes = modes
        .map(|(frequency_cm1, vectors)| NormalMode {
            frequency_cm1,
            displacements: by_label(vectors),
        })
        .collect();
    Ok(simulation)
}

/// The data set to simulate of this name.
///
/// # Errors
/// There is no such preset.
pub fn preset_simulation(name: &str) -> Result<Simulation, ExperimentError> {
    let preset = find(SIMULATIONS, name)?;
    parse_with_overrides(preset.text, &format!("preset `{name}`"), &[])
}

/// The data set to simulate of this name, or in the TOML file of this path.
///
/// # Errors
/// There is neither, or the file is no simulation.
pub(crate) fn simulation_by_name(name: &str) -> Result<Simulation, ExperimentError> {
    let path = Path::new(name);
    if !path.exists() && path.extension().is_none() && path.components().count() == 1 {
        return preset_simulation(name);
    }
    parse_with_overrides(&read_text(path)?, &format!("`{name}`"), &[])
}
