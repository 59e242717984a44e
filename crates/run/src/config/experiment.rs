//! Everything that defines a run.

use std::path::Path;

use cei_cinn::CinnConfig;
use cei_cvae::CvaeConfig;
use cei_data::{ColumnRef, PreprocessingConfig, Selection, Source, SplitConfig};
use cei_model::latent::LatentSource;
use cei_model::{Architecture, HyperParameterError};
use cei_physics::Molecule;
use cei_train::TrainingConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::detector::DeclaredDetector;
use super::error::{ExperimentError, Kind};
use super::overrides::{Configuration, parse_with_overrides, to_toml};
use super::simulation::simulation_by_name;
use super::sweep::SweepConfig;
use super::text::read_text;

/// Everything that defines a run.
///
/// ```toml
/// [model]
/// kind = "cinn"
///
/// [source]
/// simulator = "ocs-wide"
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// The noise with which the momenta were measured, per ion and laboratory axis, and how probable it is that an ion is
    /// detected; for a simulated table by default those of the simulation. Each stands in the place of the simulation's
    /// where both are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detector: Option<DeclaredDetector>,
    /// The model.
    pub model: ModelConfig,
    /// How it is trained.
    #[serde(default)]
    pub training: TrainingConfig,
    /// How it is evaluated.
    #[serde(default)]
    pub evaluation: EvaluationConfig,
    /// What `cei sweep` searches over; no part of a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<SweepConfig>,
}

/// A model and its hyper-parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ModelConfig {
    /// Conditional variational autoencoder (`docs/spec.md#cvae`).
    ///
    /// ```toml
    /// [model]
    /// kind = "cvae"
    /// latent = 8
    /// decoder_variance = "per-column"
    /// ```
    Cvae(CvaeConfig),
    /// Conditional invertible neural network (`docs/spec.md#cinn`).
    ///
    /// ```toml
    /// [model]
    /// kind = "cinn"
    /// preset = "spline"
    /// couplings = 8
    /// hidden = [128, 128]
    /// ```
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
///
/// ```toml
/// [evaluation]
/// latent = "prior"
/// draws = 1000
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationConfig {
    /// Where latents are drawn from.
    pub latent: LatentSource,
    /// Draws of each event.
    #[schemars(range(min = 2, max = MOST_DRAWS))]
    pub draws: usize,
    /// Draws of each event that are exploded again, at most `draws` of them.
    #[schemars(range(max = MOST_DRAWS))]
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

impl Configuration for Experiment {
    const KIND: Option<Kind> = Some(Kind::Experiment);

    fn checked(self) -> Result<Self, String> {
        self.check().map_err(|error| error.to_string())?;
        self.split.check().map_err(|error| error.to_string())?;
        if let Some(sweep) = &self.sweep {
            sweep.check().map_err(|error| error.to_string())?;
        }
        if let (Some(detector), Some(molecule)) = (&self.detector, &self.molecule) {
            let detector = detector.over(None);
            detector.standard_deviations(molecule).map_err(|error| error.to_string())?;
            detector.detection(molecule).map_err(|error| error.to_string())?;
        }
        Ok(self)
    }
}

impl Experiment {
    /// Reads a configuration and applies overrides (`key=value`, dotted keys, TOML values or bare
    /// words).
    ///
    /// # Errors
    /// An unreadable file, unknown keys, values of a wrong kind or out of their range.
    ///
    /// ```
    /// use cei_run::Experiment;
    ///
    /// let folder = tempfile::tempdir()?;
    /// let path = folder.path().join("mine.toml");
    /// std::fs::write(&path, "model.kind = 'cinn'\nsource.simulator = 'ocs-wide'")?;
    /// assert_eq!(Experiment::read(&path, &["training.seed=3".to_owned()])?.training.seed, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, ExperimentError> {
        let text = read_text(path)?;
        Self::parse(&text, &format!("`{}`", path.display()), overrides)
    }

    /// The same from text; `origin` names it in errors.
    ///
    /// # Errors
    /// Unknown keys, values of a wrong kind or out of their range.
    ///
    /// ```
    /// use cei_run::Experiment;
    ///
    /// let text = "model.kind = 'cinn'\nsource.simulator = 'ocs-wide'";
    /// let experiment = Experiment::parse(text, "mine", &["training.max_epochs=5".to_owned()])?;
    /// assert_eq!(experiment.training.max_epochs, 5);
    /// // Positions and momenta of the simulation's molecule, where no columns are named.
    /// assert_eq!(experiment.columns.x.len(), 9);
    ///
    /// let error = Experiment::parse("model.kind = 'cinn'\ntrainig = 1", "mine", &[]).unwrap_err();
    /// assert!(error.to_string().contains("training"));
    /// # Ok::<(), cei_run::config::ExperimentError>(())
    /// ```
    pub fn parse(text: &str, origin: &str, overrides: &[String]) -> Result<Self, ExperimentError> {
        let experiment: Self = parse_with_overrides(text, origin, overrides)?;
        let named = |error: ExperimentError| match error {
            ExperimentError::Preset { name, hint } => {
                let given = overrides.iter().find(|given| given.starts_with("source.simulator"));
                let origin =
                    given.map_or_else(|| origin.to_owned(), |given| format!("`--set {given}`"));
                ExperimentError::Simulator { origin, name, hint }
            }
            other => other,
        };
        Ok(experiment
            .with_molecule_of_simulator()
            .map_err(named)?
            .with_default_columns()
            .with_default_exchange())
    }

    /// Checks hyper-parameters without touching data.
    ///
    /// # Errors
    /// Names the key, the value and the allowed range.
    pub fn check(&self) -> Result<(), HyperParameterError> {
        self.model.architecture().check()?;
        if self.evaluation.draws < 2 {
            return Err(HyperParameterError::new(
                "evaluation.draws",
                self.evaluation.draws,
                "at least 2",
            ));
        }
        let draws = [
            ("evaluation.draws", self.evaluation.draws),
            ("evaluation.resimulated_draws", self.evaluation.resimulated_draws),
        ];
        for (key, value) in draws {
            if value > MOST_DRAWS {
                return Err(HyperParameterError::new(key, value, "at most 10000"));
            }
        }
        if self.source.buffer_rows == Some(0) {
            return Err(HyperParameterError::new("source.buffer_rows", 0, "at least 1"));
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
            self.molecule = Some(simulation_by_name(name)?.molecule);
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

    /// Whether ions alike are exchanged at will, where that is not said: they are where columns have no names.
    fn with_default_exchange(mut self) -> Self {
        let has_names = self.columns.y.iter().any(|y| matches!(y, ColumnRef::Name(_)));
        let is_open = |molecule: &Molecule| {
            molecule.exchangeable().is_none() && !has_names && !molecule.alike().is_empty()
        };
        self.molecule = self.molecule.map(|m| if is_open(&m) { m.exchanging(true) } else { m });
        self
    }
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
