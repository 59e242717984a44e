//! Simulations by their names: those that come with the program, and files.

use std::path::{Path, PathBuf};

use cei_data::{MoldenModes, load_reference, read_molden};
use cei_physics::{GeometryLaw, ModesError, NormalMode, Positions, Simulation};

use super::error::{ExperimentError, Kind};
use super::overrides::{Configuration, parse_in_folder, parse_with_overrides};
use super::presets::{SIMULATIONS, find};
use super::text::read_text;

impl Configuration for Simulation {
    const KIND: Option<Kind> = Some(Kind::Simulation);

    fn with_files(mut self, folder: &Path) -> Result<Self, String> {
        self = with_modes_read(self, folder)?;
        let Some(law) = &mut self.geometry else { return Ok(self) };
        if let Some(positions) = law.positions_mut()
            && let Positions::File(name) = positions
        {
            let key = "geometry.positions_angstrom";
            let path = existing(folder, name, key)?;
            let row = load_reference(&path, &self.molecule);
            let row = row.map_err(|error| format!("`{key}`: {error}"))?;
            *positions = Positions::of_row(&self.molecule, &row);
        }
        law.settle(&self.molecule).map_err(|error| error.to_string())?;
        Ok(self)
    }

    fn checked(self) -> Result<Self, String> {
        self.check().map_err(|error| error.to_string())?;
        Ok(self)
    }
}

/// A simulation with the normal modes of the file that it names in the place of that name, so that what is recorded of it
/// does not change with the file.
fn with_modes_read(mut simulation: Simulation, folder: &Path) -> Result<Simulation, String> {
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
    let path = existing(folder, &path, "geometry.molden")?;
    let found =
        read_molden(&path, molecule).map_err(|error| format!("`geometry.molden`: {error}"))?;
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

/// The file that a key of a configuration in `folder` names.
fn existing(folder: &Path, name: &str, key: &str) -> Result<PathBuf, String> {
    let path = folder.join(name);
    if path.is_file() {
        return Ok(path);
    }
    let hint = if Path::new(name).is_file() {
        "names are relative to the folder of the configuration, not to the working folder"
    } else {
        "names are relative to the folder of the configuration"
    };
    Err(format!("`{key}`: `{}` does not exist\nhint: {hint}", path.display()))
}

/// The data set to simulate of this name.
///
/// # Errors
/// There is no such preset.
///
/// ```
/// let simulation = cei_run::config::preset_simulation("ocs-wide")?;
/// assert_eq!(simulation.molecule.labels(), ["C", "O", "S"]);
/// # Ok::<(), cei_run::config::ExperimentError>(())
/// ```
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
    let folder = path.parent().unwrap_or(Path::new(""));
    parse_in_folder(&read_text(path)?, &format!("`{name}`"), folder, &[])
}
