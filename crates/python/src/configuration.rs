//! Configurations as Python gives them: the name of a preset, a file, or a dictionary.

use std::path::{Path, PathBuf};

use cei_physics::Simulation;
use cei_run::config::{ExperimentError, parse_in_folder, read_text, toml_of_json, with_overrides};
use cei_run::presets::{self, EXPERIMENTS, Preset, SIMULATIONS};
use cei_run::{Experiment, RunError};
use pyo3::prelude::*;

use crate::failure::{Failure, failed};

/// A configuration, and what is changed of it (`key=value`).
#[derive(FromPyObject)]
pub(crate) struct Configuration {
    /// `preset`, `file`, `json` or `toml`.
    #[pyo3(item)]
    kind: String,
    /// Name, path or text.
    #[pyo3(item)]
    value: String,
    #[pyo3(item)]
    overrides: Vec<String>,
}

/// Its text, where it comes from, and the folder that files in it are relative to.
struct Given {
    text: String,
    origin: String,
    folder: PathBuf,
}

impl Configuration {
    pub(crate) fn simulation(&self) -> Result<Simulation, Failure> {
        let Given { text, origin, folder } = self.given(SIMULATIONS).map_err(failed)?;
        parse_in_folder(&text, &origin, &folder, &self.overrides).map_err(failed)
    }

    pub(crate) fn experiment(&self) -> Result<Experiment, Failure> {
        let Given { text, origin, .. } = self.given(EXPERIMENTS).map_err(failed)?;
        Experiment::parse(&text, &origin, &self.overrides).map_err(failed)
    }

    /// An error of the pipeline, with the name of the configuration where that is what is wrong.
    pub(crate) fn failed(&self, error: RunError) -> Failure {
        failed(error.of_configuration(&with_overrides(&self.origin(), &self.overrides)))
    }

    fn origin(&self) -> String {
        match self.kind.as_str() {
            "preset" => format!("preset `{}`", self.value),
            "file" => format!("`{}`", self.value),
            _ => "the configuration".to_owned(),
        }
    }

    fn given(&self, presets: &'static [Preset]) -> Result<Given, ExperimentError> {
        let (origin, path) = (self.origin(), Path::new(&self.value));
        let text = match self.kind.as_str() {
            "preset" => presets::find(presets, &self.value)?.text.to_owned(),
            "file" => read_text(path)?,
            "toml" => self.value.clone(),
            _ => toml_of_json(&self.value, &origin)?,
        };
        let folder = if self.kind == "file" { path.parent() } else { None };
        Ok(Given { text, origin, folder: folder.unwrap_or(Path::new("")).to_owned() })
    }
}
