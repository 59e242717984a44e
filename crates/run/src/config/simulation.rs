//! Simulations by their names: those that come with the program, and files.

use std::path::Path;

use cei_physics::Simulation;

use super::error::{ExperimentError, Kind};
use super::overrides::{Configuration, parse_with_overrides};
use super::presets::{SIMULATIONS, find};
use super::text::read_text;

impl Configuration for Simulation {
    const KIND: Option<Kind> = Some(Kind::Simulation);

    fn checked(self) -> Result<Self, String> {
        self.check().map_err(|error| error.to_string())?;
        Ok(self)
    }
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
