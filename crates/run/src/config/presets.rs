//! Configurations that come with the program: those of `configs/`. Help, documents, studies and tests take names and
//! contents from the lists here.

pub use cei_physics::presets::{
    ACETYLENE_WIDE, CHBRCLF, OCS_REFERENCE, OCS_WIDE, OCS_WIDE_FINE, Preset, SIMULATIONS,
};

use cei_data::did_you_mean;

use super::error::{ExperimentError, Kind};

cei_physics::presets! {
    /// Experiments to train.
    EXPERIMENTS of "train":
    REFERENCE_CVAE = "reference-cvae",
    REFERENCE_CVAE_MEAN = "reference-cvae-mean",
    REFERENCE_CINN = "reference-cinn",
    REFERENCE_CINN_SWEEP = "reference-cinn-sweep",
    GAUGE_FIXED_CVAE = "gauge-fixed-cvae",
    GAUGE_FIXED_CINN = "gauge-fixed-cinn",
    GAUGE_FIXED_SPLINE = "gauge-fixed-spline",
    GAUGE_FIXED_SIGMA_VAE = "gauge-fixed-sigma-vae",
    WIDE_CVAE = "wide-cvae",
    WIDE_CINN = "wide-cinn",
    WIDE_SPLINE = "wide-spline",
    WIDE_SIGMA_VAE = "wide-sigma-vae",
    CHBRCLF_SPLINE = "chbrclf-spline",
}

/// The names of presets in a list, for help.
#[must_use]
pub fn names(presets: &[Preset]) -> String {
    presets.iter().map(|preset| preset.name).collect::<Vec<_>>().join(", ")
}

/// The preset of this name.
///
/// # Errors
/// There is none; the error lists those that exist.
///
/// ```
/// use cei_run::presets::{EXPERIMENTS, find};
///
/// assert!(find(EXPERIMENTS, "wide-spline")?.text.contains("spline"));
/// // The error lists those that exist.
/// assert!(find(EXPERIMENTS, "narrow").unwrap_err().to_string().contains("wide-cinn"));
/// # Ok::<(), cei_run::config::ExperimentError>(())
/// ```
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
    let known = presets.clone();
    presets.find(|preset| preset.name == name).ok_or_else(|| ExperimentError::Preset {
        name: name.to_owned(),
        hint: those_that_exist(name, known),
    })
}

/// What a hint says of a name that no preset has: the nearest, and all that there are.
fn those_that_exist(name: &str, presets: impl Iterator<Item = Preset>) -> String {
    let names: Vec<&str> = presets.map(|preset| preset.name).collect();
    let all: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let meant = did_you_mean(name, names).map_or_else(String::new, |meant| format!("{meant} "));
    format!("{meant}there are {}", all.join(", "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use cei_physics::Simulation;

    use super::*;
    use crate::config::{Experiment, preset_simulation};

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    fn simulation(name: &str) -> Result<Simulation, ExperimentError> {
        preset_simulation(name)
    }

    fn experiment(name: &str) -> Result<Experiment, ExperimentError> {
        let preset = find(EXPERIMENTS, name)?;
        Experiment::parse(preset.text, &format!("preset `{name}`"), &[])
    }

    #[test]
    fn every_preset_is_valid() -> TestResult {
        for preset in SIMULATIONS {
            simulation(preset.name)?.check()?;
        }
        for preset in EXPERIMENTS {
            experiment(preset.name)?.check()?;
        }
        Ok(())
    }

    /// What is searched stands beside what it is compared with.
    #[test]
    fn the_search_begins_with_the_reference() -> TestResult {
        let search = experiment("reference-cinn-sweep")?;
        assert_eq!(Experiment { sweep: None, ..search }, experiment("reference-cinn")?);
        Ok(())
    }

    #[test]
    fn every_configuration_is_a_preset() -> TestResult {
        for (folder, presets) in [("data", SIMULATIONS), ("train", EXPERIMENTS)] {
            let mut found = BTreeSet::new();
            for file in std::fs::read_dir(workspace().join("configs").join(folder))? {
                found.insert(format!("configs/{folder}/{}", file?.file_name().display()));
            }
            let known: BTreeSet<String> = presets.iter().map(|it| it.path.to_owned()).collect();
            assert_eq!(found, known);
        }
        Ok(())
    }

    /// `--preset NAME` and `configs/FOLDER/NAME.toml` in pages, help, hints and configurations.
    #[test]
    fn what_is_named_exists() -> TestResult {
        let mut texts = Vec::new();
        for page in ["README.md", "RESULTS.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
            texts.push(workspace().join(page));
        }
        for folder in ["docs", "configs", "crates", "xtask", "tests"] {
            collect(&workspace().join(folder), &mut texts)?;
        }
        let mut names = 0;
        for file in texts {
            let text = std::fs::read_to_string(&file)?;
            let kinds =
                [("--preset ", ""), ("configs/data/", ".toml"), ("configs/train/", ".toml")];
            for (lead, end) in kinds {
                for after in text.split(lead).skip(1) {
                    let is_of_name = |c: char| c.is_ascii_lowercase() || c == '-';
                    let length = after.find(|c| !is_of_name(c)).unwrap_or(after.len());
                    let (name, rest) = after.split_at(length);
                    if name.is_empty() || MISTAKES.contains(&name) || !rest.starts_with(end) {
                        continue;
                    }
                    assert!(find_any(name).is_ok(), "{}: no preset `{name}`", file.display());
                    names += 1;
                }
            }
        }
        assert!(names > 50, "only {names} names were found");
        Ok(())
    }

    /// What tests give for presets that do not exist.
    const MISTAKES: [&str; 3] = ["ocs", "ocs-wid", "wide-cnn"];

    fn workspace() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    /// Pages, sources and configurations in a folder and those below.
    fn collect(folder: &Path, texts: &mut Vec<PathBuf>) -> std::io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let end = path.extension().and_then(|end| end.to_str());
            if path.is_dir() {
                collect(&path, texts)?;
            } else if end.is_some_and(|end| ["md", "rs", "toml"].contains(&end)) {
                texts.push(path);
            }
        }
        Ok(())
    }

    #[test]
    fn an_unknown_preset_lists_the_known_ones() {
        let error = simulation("ocs").unwrap_err().to_string();
        assert!(error.contains("hint: did you mean `ocs-wide`? there are `ocs-ref"), "{error}");
        assert!(error.contains("`ocs-reference`, `ocs-wide`"), "{error}");
        let error = simulation("wide-cinn").unwrap_err().to_string();
        assert!(error.starts_with("preset `wide-cinn` is an experiment, but"), "{error}");
        let error = experiment("ocs-wide").unwrap_err().to_string();
        assert!(error.starts_with("preset `ocs-wide` is a simulation, but"), "{error}");
    }
}
