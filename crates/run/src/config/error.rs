//! What can be wrong with a configuration as it is read.

use std::path::PathBuf;

use thiserror::Error;

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
        "{origin}: `source.simulator` is the unknown preset `{name}`\nhint: {hint}; a file is named with its extension, `{name}.toml`"
    )]
    Simulator {
        /// The file, preset or option.
        origin: String,
        /// As given.
        name: String,
        /// The nearest, and those that exist.
        hint: String,
    },
    /// There is no such preset.
    #[error("unknown preset `{name}`\nhint: {hint}")]
    Preset {
        /// As given.
        name: String,
        /// The nearest, and those that exist.
        hint: String,
    },
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
    pub(super) fn of(table: &toml::Table) -> Option<Self> {
        let has = |keys: &[&str]| keys.iter().any(|key| table.contains_key(*key));
        let experiment = has(&[
            "model",
            "training",
            "evaluation",
            "preprocessing",
            "split",
            "source",
            "columns",
            "sweep",
        ]);
        let simulation = has(&[
            "geometry",
            "events",
            "seed",
            "orientation",
            "displacement_bohr",
            "temperature_k",
            "initial_momenta",
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
