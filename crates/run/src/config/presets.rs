//! Configurations that come with the program: those of `configs/`.

use super::error::{ExperimentError, Kind};

/// A configuration that comes with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preset {
    /// Name for `--preset`.
    pub name: &'static str,
    /// Its TOML, comments included.
    pub text: &'static str,
}

macro_rules! presets {
    ($folder:literal: $($name:literal),* $(,)?) => {
        &[$(Preset {
            name: $name,
            text: include_str!(concat!("../../../../configs/", $folder, "/", $name, ".toml")),
        }),*]
    };
}

/// Data sets to simulate.
pub const SIMULATIONS: &[Preset] =
    presets!("data": "ocs-reference", "ocs-wide", "ocs-wide-fine", "chbrclf");

/// Experiments to train.
pub const EXPERIMENTS: &[Preset] = presets!(
    "train": "reference-cvae", "reference-cvae-mean", "reference-cinn", "gauge-fixed-cvae", "gauge-fixed-cinn",
    "gauge-fixed-spline", "wide-cvae", "wide-cinn", "wide-spline", "gauge-fixed-sigma-vae", "wide-sigma-vae", "chbrclf-spline",
);

/// The preset of this name.
///
/// # Errors
/// There is none; the error lists those that exist.
pub fn find(presets: &'static [Preset], name: &str) -> Result<Preset, ExperimentError> {
    let found = find_among(presets.iter().copied(), name);
    let kinds = [(SIMULATIONS, Kind::Simulation), (EXPERIMENTS, Kind::Experiment)];
    let of_other_kind = kinds
        .into_iter()
        .find(|(others, _)| *others != presets && others.iter().any(|other| other.name == name));
    match (found, of_other_kind) {
        (Err(_), Some((_, found))) => {
            let expected = match found {
                Kind::Experiment => Kind::Simulation,
                Kind::Simulation => Kind::Experiment,
            };
            let origin = format!("preset `{name}`");
            Err(ExperimentError::WrongKind { origin, found, expected })
        }
        (found, _) => found,
    }
}

/// The preset of this name, data set or experiment.
///
/// # Errors
/// There is none; the error lists those that exist.
pub fn find_any(name: &str) -> Result<Preset, ExperimentError> {
    find_among(SIMULATIONS.iter().chain(EXPERIMENTS).copied(), name)
}

fn find_among(
    mut presets: impl Iterator<Item = Preset> + Clone,
    name: &str,
) -> Result<Preset, ExperimentError> {
    let names = presets.clone().map(|preset| format!("`{}`", preset.name));
    presets.find(|preset| preset.name == name).ok_or_else(|| ExperimentError::Preset {
        name: name.to_owned(),
        known: names.collect::<Vec<_>>().join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Experiment, preset_simulation};
    use cei_physics::Simulation;

    fn simulation(name: &str) -> Result<Simulation, ExperimentError> {
        preset_simulation(name)
    }

    fn experiment(name: &str) -> Result<Experiment, ExperimentError> {
        let preset = find(EXPERIMENTS, name)?;
        Experiment::parse(preset.text, &format!("preset `{name}`"), &[])
    }

    #[test]
    fn every_preset_is_valid() -> Result<(), Box<dyn std::error::Error>> {
        for preset in SIMULATIONS {
            simulation(preset.name)?.check()?;
        }
        for preset in EXPERIMENTS {
            experiment(preset.name)?.check()?;
        }
        Ok(())
    }

    #[test]
    fn an_unknown_preset_lists_the_known_ones() {
        let error = simulation("ocs").unwrap_err().to_string();
        assert!(error.contains("`ocs-reference`, `ocs-wide`"), "{error}");
        let error = simulation("wide-cinn").unwrap_err().to_string();
        assert!(error.starts_with("preset `wide-cinn` is an experiment, but"), "{error}");
        let error = experiment("ocs-wide").unwrap_err().to_string();
        assert!(error.starts_with("preset `ocs-wide` is a simulation, but"), "{error}");
    }
}
