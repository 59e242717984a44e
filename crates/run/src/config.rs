//! One experiment in one TOML file: strict, every key overridable, and printable in full.

pub mod presets;
mod text;

use std::path::{Path, PathBuf};

use cei_cinn::CinnConfig;
use cei_cvae::CvaeConfig;
use cei_data::{PreprocessingConfig, Selection, Source, SplitConfig};
use cei_model::latent::LatentSource;
use cei_model::{Architecture, ConfigError};
use cei_physics::{Detector, Molecule, Simulation};
use cei_train::TrainingConfig;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use text::read_text;

pub use cei_model::Density;

/// Everything that defines a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// The files.
    #[serde(default)]
    pub source: Source,
    /// Which columns are inferred and which are given; by default the positions and momenta of the
    /// molecule.
    #[serde(default)]
    pub columns: Selection,
    /// Shares of training, validation and test rows, and the seed of their shuffle.
    #[serde(default)]
    pub split: SplitConfig,
    /// The atoms, where the table is a molecule: gauges and re-simulation need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub molecule: Option<Molecule>,
    /// Gauge, degenerate directions and scalers.
    #[serde(default)]
    pub preprocessing: PreprocessingConfig,
    /// The noise with which the momenta were measured, per ion and laboratory axis; for a simulated
    /// table by default that of the simulation. It stands in the place of the simulation's where both
    /// are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detector: Option<Detector>,
    /// The model.
    pub model: ModelConfig,
    /// How it is trained.
    #[serde(default)]
    pub training: TrainingConfig,
    /// How it is evaluated.
    #[serde(default)]
    pub evaluation: EvaluationConfig,
}

/// A model and its hyper-parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ModelConfig {
    /// Conditional variational autoencoder.
    Cvae(CvaeConfig),
    /// Conditional invertible neural network.
    Cinn(CinnConfig),
}

impl ModelConfig {
    /// What can be asked of any of them.
    pub fn architecture(&self) -> &dyn Architecture {
        match self {
            Self::Cvae(config) => config,
            Self::Cinn(config) => config,
        }
    }
}

/// How a model is evaluated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationConfig {
    /// Where latents are drawn from.
    pub latent: LatentSource,
    /// Draws of each event, 2 to 10,000.
    pub draws: usize,
    /// Draws of each event that are exploded again, at most `draws` of them; 0 to 10,000.
    pub resimulated_draws: usize,
    /// Label of the atom at the vertex of the bond angles; the molecule's first by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vertex: Option<String>,
}

/// Draws of each event at most: those of 500 events are in memory together.
pub(crate) const MOST_DRAWS: usize = 10_000;

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self { latent: LatentSource::TrainLatents, draws: 100, resimulated_draws: 10, vertex: None }
    }
}

/// What a configuration is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What is trained and evaluated.
    Experiment,
    /// How a table is made.
    Simulation,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Experiment => "an experiment",
            Self::Simulation => "a simulation",
        }
    }

    /// What one of this kind is for.
    fn hint(self) -> &'static str {
        match self {
            Self::Experiment => {
                "experiments are for `cei train`; `cei config --preset ocs-wide` prints a simulation"
            }
            Self::Simulation => {
                "simulations are for `cei simulate` and `source.simulator`; `cei config --preset wide-cinn` prints an experiment"
            }
        }
    }

    /// The kind of which a table has keys, apart from those that both have.
    fn of(table: &toml::Table) -> Option<Self> {
        let has = |keys: &[&str]| keys.iter().any(|key| table.contains_key(*key));
        let experiment = has(&[
            "model",
            "training",
            "evaluation",
            "preprocessing",
            "split",
            "source",
            "columns",
        ]);
        let simulation = has(&[
            "geometry",
            "events",
            "seed",
            "orientation",
            "displacement_bohr",
            "temperature_k",
            "centre",
            "frame",
            "accuracy",
        ]);
        match (experiment, simulation) {
            (true, false) => Some(Self::Experiment),
            (false, true) => Some(Self::Simulation),
            _ => None,
        }
    }
}

/// A type that a configuration file is read as.
pub trait Configuration: DeserializeOwned {
    /// What it is of; none for a table of any kind.
    const KIND: Option<Kind>;

    /// Checks every value that can be checked without data.
    ///
    /// # Errors
    /// Says which key is wrong.
    fn checked(self) -> Result<Self, String> {
        Ok(self)
    }
}

impl Configuration for Experiment {
    const KIND: Option<Kind> = Some(Kind::Experiment);

    fn checked(self) -> Result<Self, String> {
        self.check().map_err(|error| error.to_string())?;
        self.split.check().map_err(|error| error.to_string())?;
        if let (Some(detector), Some(molecule)) = (&self.detector, &self.molecule) {
            detector.standard_deviations(molecule).map_err(|error| error.to_string())?;
        }
        Ok(self)
    }
}

impl Configuration for Simulation {
    const KIND: Option<Kind> = Some(Kind::Simulation);

    fn checked(self) -> Result<Self, String> {
        self.check().map_err(|error| error.to_string())?;
        Ok(self)
    }
}

impl Configuration for toml::Table {
    const KIND: Option<Kind> = None;
}

/// A configuration that cannot be read.
#[derive(Debug, Error)]
pub enum ExperimentError {
    /// The file cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What is named as a configuration is none.
    #[error("`{}` {reason}\nhint: {hint}", path.display())]
    NoConfiguration {
        /// As named.
        path: PathBuf,
        /// What it is, as the end of a sentence.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// The file is no TOML, or an override no `key=value`.
    #[error("{origin} is not valid TOML: {message}")]
    Syntax {
        /// The file or option.
        origin: String,
        /// What is wrong, with its place.
        message: String,
    },
    /// A key or a value that the configuration does not have.
    #[error("{origin}: {message}{hint}")]
    Content {
        /// The file or preset.
        origin: String,
        /// What is wrong.
        message: String,
        /// The nearest valid key.
        hint: String,
    },
    /// An override that makes a valid configuration invalid.
    #[error("`--set {given}`: {message}{hint}")]
    Overridden {
        /// As given.
        given: String,
        /// What is wrong.
        message: String,
        /// The nearest valid key.
        hint: String,
    },
    /// An override without a value.
    #[error(
        "`--set {given}` has no value\nhint: write `--set key=value`, for example `--set training.max_epochs=100`"
    )]
    Override {
        /// As given.
        given: String,
    },
    /// An experiment where a simulation is expected, or a simulation where an experiment is.
    #[error("{origin} is {}, but {} is needed here\nhint: {}", found.name(), expected.name(), found.hint())]
    WrongKind {
        /// The file or preset.
        origin: String,
        /// What it is.
        found: Kind,
        /// What it should be.
        expected: Kind,
    },
    /// A simulator that is no preset.
    #[error(
        "{origin}: `source.simulator` is the unknown preset `{name}`\nhint: there are {known}; a file is named with its extension, `{name}.toml`"
    )]
    Simulator {
        /// The file, preset or option.
        origin: String,
        /// As given.
        name: String,
        /// Those that exist.
        known: String,
    },
    /// There is no such preset.
    #[error("unknown preset `{name}`\nhint: there are {known}")]
    Preset {
        /// As given.
        name: String,
        /// Those that exist.
        known: String,
    },
}

impl Experiment {
    /// Reads a configuration and applies overrides (`key=value`, dotted keys, TOML values or bare
    /// words).
    ///
    /// # Errors
    /// An unreadable file, unknown keys, values of a wrong kind or out of their range.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, ExperimentError> {
        let text = read_text(path)?;
        Self::parse(&text, &format!("`{}`", path.display()), overrides)
    }

    /// The same from text; `origin` names it in errors.
    ///
    /// # Errors
    /// Unknown keys, values of a wrong kind or out of their range.
    pub fn parse(text: &str, origin: &str, overrides: &[String]) -> Result<Self, ExperimentError> {
        let experiment: Self = parse_with_overrides(text, origin, overrides)?;
        let named = |error: ExperimentError| match error {
            ExperimentError::Preset { name, known } => {
                let given = overrides.iter().find(|given| given.starts_with("source.simulator"));
                let origin =
                    given.map_or_else(|| origin.to_owned(), |given| format!("`--set {given}`"));
                ExperimentError::Simulator { origin, name, known }
            }
            other => other,
        };
        Ok(experiment.with_molecule_of_simulator().map_err(named)?.with_default_columns())
    }

    /// Checks hyper-parameters without touching data.
    ///
    /// # Errors
    /// Names the key, the value and the allowed range.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.model.architecture().check()?;
        if self.evaluation.draws < 2 {
            return Err(ConfigError::new("evaluation.draws", self.evaluation.draws, "at least 2"));
        }
        let draws = [
            ("evaluation.draws", self.evaluation.draws),
            ("evaluation.resimulated_draws", self.evaluation.resimulated_draws),
        ];
        for (key, value) in draws {
            if value > MOST_DRAWS {
                return Err(ConfigError::new(key, value, "at most 10000"));
            }
        }
        self.training.check()
    }

    /// The complete configuration as TOML.
    pub fn to_toml(&self) -> String {
        to_toml(self)
    }

    /// The molecule of the simulator, where none is given.
    fn with_molecule_of_simulator(mut self) -> Result<Self, ExperimentError> {
        if let (None, Some(name)) = (&self.molecule, &self.source.simulator) {
            self.molecule = Some(presets::simulation_or_file(name)?.molecule);
        }
        Ok(self)
    }

    /// Positions and momenta of the molecule, where no columns are named.
    fn with_default_columns(mut self) -> Self {
        if let Some(molecule) = &self.molecule {
            if self.columns.x.is_empty() {
                self.columns.x = molecule.position_columns().into_iter().map(Into::into).collect();
            }
            if self.columns.y.is_empty() {
                self.columns.y = molecule.momentum_columns().into_iter().map(Into::into).collect();
            }
        }
        self
    }
}

/// A value of a configuration type as TOML.
pub fn to_toml(value: &impl Serialize) -> String {
    match toml::to_string(value) {
        Ok(text) => text,
        Err(error) => unreachable!("every configuration type can be written as TOML: {error}"),
    }
}

/// Reads TOML, applies overrides, and makes a typed configuration of it.
///
/// # Errors
/// No TOML, unknown keys, values of a wrong kind or out of their range.
pub fn parse_with_overrides<T: Configuration>(
    text: &str,
    origin: &str,
    overrides: &[String],
) -> Result<T, ExperimentError> {
    let given: toml::Table = toml::from_str(text).map_err(|error| ExperimentError::Syntax {
        origin: origin.to_owned(),
        message: error.to_string().trim_end().to_owned(),
    })?;
    let with = |overrides: &mut dyn Iterator<Item = &String>| {
        let mut table = given.clone();
        for given in overrides {
            apply_override(&mut table, given)?;
        }
        Ok::<_, ExperimentError>(table)
    };
    let typed = |table: toml::Table| -> Result<T, String> {
        let value: T = table.try_into().map_err(|error: toml::de::Error| error.to_string())?;
        value.checked()
    };
    typed(with(&mut overrides.iter())?).map_err(|message| {
        let message = message.trim_end().to_owned();
        let hint = nearest_hint(&message).unwrap_or_default();
        // The override is at fault without which the rest is valid.
        let at_fault = overrides.iter().find(|fault| {
            with(&mut overrides.iter().filter(|given| given != fault))
                .is_ok_and(|table| typed(table).is_ok())
        });
        let several = overrides.len() > 1 && typed(given.clone()).is_ok();
        match at_fault {
            None if several => {
                ExperimentError::Overridden { given: overrides.join(" --set "), message, hint }
            }
            Some(fault) => ExperimentError::Overridden { given: fault.clone(), message, hint },
            None => match (Kind::of(&given), T::KIND) {
                (Some(found), Some(expected)) if found != expected => {
                    ExperimentError::WrongKind { origin: origin.to_owned(), found, expected }
                }
                _ => ExperimentError::Content { origin: origin.to_owned(), message, hint },
            },
        }
    })
}

/// The origin of a configuration that is only wrong together with its table or simulation: the overrides may be at
/// fault.
pub fn with_overrides(origin: &str, overrides: &[String]) -> String {
    if overrides.is_empty() {
        return origin.to_owned();
    }
    let given: Vec<String> = overrides.iter().map(|given| format!("`--set {given}`")).collect();
    format!("{origin} with {}", given.join(", "))
}

/// Sets one dotted key; the value is TOML, or else a bare word.
fn apply_override(table: &mut toml::Table, given: &str) -> Result<(), ExperimentError> {
    let missing = || ExperimentError::Override { given: given.to_owned() };
    let (key, value) = given.split_once('=').ok_or_else(missing)?;
    let (key, value) = (key.trim(), value.trim());
    if key.is_empty() || value.is_empty() {
        return Err(missing());
    }
    let value = match toml::from_str::<toml::Table>(&format!("value = {value}")) {
        Ok(mut parsed) => parsed.remove("value").ok_or_else(missing)?,
        Err(_) => toml::Value::String(value.to_owned()),
    };
    let (path, last) = key.rsplit_once('.').map_or((None, key), |(path, last)| (Some(path), last));
    let mut place = table;
    for part in path.into_iter().flat_map(|path| path.split('.')) {
        let entry =
            place.entry(part.to_owned()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        place = entry.as_table_mut().ok_or_else(|| ExperimentError::Content {
            origin: format!("`--set {given}`"),
            message: format!("`{part}` is a value, not a table"),
            hint: String::new(),
        })?;
    }
    place.insert(last.to_owned(), value);
    Ok(())
}

/// The nearest of the names that an "unknown field" message lists.
fn nearest_hint(message: &str) -> Option<String> {
    let (unknown, expected) = message.split_once("expected")?;
    if !unknown.contains("unknown ") {
        return None;
    }
    let names = |text: &str| -> Vec<String> {
        text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let unknown = names(unknown).into_iter().next()?;
    let nearest = names(expected)
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&unknown, &name), name))
        .min_by_key(|(distance, _)| *distance)?;
    let (distance, name) = nearest;
    (distance <= unknown.len().max(name.len()) / 2)
        .then(|| format!("\nhint: did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[model]\nkind = \"cinn\"\n[training]\nmax_epochs = 7\n";

    fn parse(overrides: &[&str]) -> Result<Experiment, ExperimentError> {
        let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
        Experiment::parse(TEXT, "`test.toml`", &overrides)
    }

    #[test]
    fn overrides_reach_every_level_and_keep_their_type() -> Result<(), ExperimentError> {
        let experiment = parse(&[
            "training.learning_rate=1e-3",
            "model.hidden=[8, 8]",
            "preprocessing.gauge.positions=body-frame",
            "source.files=['a.csv']",
        ])?;
        assert_eq!(experiment.training.learning_rate, 1e-3);
        assert_eq!(experiment.training.max_epochs, 7);
        assert_eq!(experiment.source.files, ["a.csv"]);
        let ModelConfig::Cinn(cinn) = &experiment.model else { panic!("{:?}", experiment.model) };
        assert_eq!(cinn.hidden, [8, 8]);
        Ok(())
    }

    #[test]
    fn the_resolved_configuration_reads_back() -> Result<(), ExperimentError> {
        let experiment = parse(&[])?;
        let again = Experiment::parse(&experiment.to_toml(), "again", &[])?;
        assert_eq!(experiment, again);
        Ok(())
    }

    #[test]
    fn a_typo_names_the_nearest_key() {
        for given in ["training.lerning_rate=1", "model.clmap=1", "trainig.seed=1"] {
            let error = parse(&[given]).unwrap_err().to_string();
            let right = ["learning_rate", "clamp", "training"];
            assert!(
                right.iter().any(|key| error.ends_with(&format!("hint: did you mean `{key}`?"))),
                "{error}"
            );
            assert!(error.starts_with(&format!("`--set {given}`")), "{error}");
        }
    }

    #[test]
    fn every_size_is_checked_before_anything_is_allocated() {
        let huge = ["9223372036854775807", "1000000000000"];
        let keys = [
            "training.batch_size",
            "training.max_epochs",
            "training.patience",
            "training.plateau_patience",
            "training.ensemble",
            "evaluation.draws",
            "evaluation.resimulated_draws",
            "model.couplings",
            "model.bins",
        ];
        let lists = ["model.hidden=[65536, 65536]", "model.hidden=[9223372036854775807]"];
        let given = keys.iter().flat_map(|key| huge.map(|value| format!("{key}={value}")));
        for given in given.chain(lists.map(str::to_owned)) {
            let error = parse(&[&given]).unwrap_err().to_string();
            let key = given.split('=').next().unwrap();
            assert!(error.starts_with(&format!("`--set {given}`: `{key}` is")), "{error}");
        }
        let cvae = TEXT.replace("cinn", "cvae");
        for given in ["model.latent=4294967296", "model.encoder_hidden=[65536, 65536]"] {
            let error = Experiment::parse(&cvae, "x", &[given.to_owned()]).unwrap_err().to_string();
            assert!(error.contains(given), "{error}");
        }
        let layers = "[[layers]]\nlayer = \"spline\"\nsubnet = { kind = \"residual\", width = 65536, blocks = 100 }";
        let text = format!("{TEXT}{}", layers.replace("layers", "model.layers"));
        let error = Experiment::parse(&text, "`f.toml`", &[]).unwrap_err().to_string();
        assert!(error.starts_with("`f.toml`: `model.layers` is"), "{error}");
    }

    #[test]
    fn a_value_out_of_range_names_the_file_or_the_override() {
        let text = TEXT.replace("max_epochs = 7", "max_epochs = 0");
        let error = Experiment::parse(&text, "`f.toml`", &[]).unwrap_err().to_string();
        assert_eq!(error, "`f.toml`: `training.max_epochs` is `0`, but must be at least 1");
        // Another override is not to blame.
        let error =
            Experiment::parse(&text, "`f.toml`", &["training.seed=1".to_owned()]).unwrap_err();
        assert!(matches!(error, ExperimentError::Content { .. }), "{error}");
        let error = parse(&["split.train=2"]).unwrap_err().to_string();
        assert!(error.starts_with("`--set split.train=2`: `split.train`"), "{error}");
    }

    #[test]
    fn an_override_without_value_says_how_to_write_it() {
        let error = parse(&["training.seed"]).unwrap_err().to_string();
        assert!(error.contains("--set key=value"), "{error}");
    }
}
