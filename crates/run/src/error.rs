//! Everything that can go wrong between a configuration and its results.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// A pipeline that failed. Its text names the file, row, column or key and says what to do.
#[derive(Debug, Error)]
pub enum RunError {
    /// A configuration cannot be read.
    #[error(transparent)]
    Config(#[from] crate::config::ExperimentError),
    /// A table cannot be loaded.
    #[error(transparent)]
    Load(#[from] cei_data::LoadError),
    /// A table cannot be written.
    #[error(transparent)]
    Write(#[from] cei_data::WriteError),
    /// Positions cannot be read.
    #[error(transparent)]
    Positions(#[from] cei_data::PositionsError),
    /// A table cannot be split.
    #[error(transparent)]
    Split(#[from] cei_data::SplitError),
    /// A preprocessing cannot be fitted.
    #[error(transparent)]
    Preprocessing(#[from] cei_data::PreprocessingError),
    /// A hyper-parameter is out of range.
    #[error(transparent)]
    HyperParameter(#[from] cei_model::ConfigError),
    /// A device cannot be used.
    #[error(transparent)]
    Device(#[from] cei_model::DeviceError),
    /// A simulation cannot be run.
    #[error(transparent)]
    Simulation(#[from] cei_physics::SimulationError),
    /// Positions cannot be exploded.
    #[error(transparent)]
    Explosion(#[from] cei_physics::ExplosionError),
    /// A training failed.
    #[error(transparent)]
    Train(#[from] cei_train::TrainError),
    /// The loss became no number.
    #[error(transparent)]
    Diverged(#[from] cei_train::Divergence),
    /// A metric cannot be computed.
    #[error(transparent)]
    Metrics(#[from] cei_metrics::Error),
    /// A figure cannot be drawn.
    #[error(transparent)]
    Report(#[from] cei_report::Error),
    /// The file system refused.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The run folder already holds a training.
    #[error("`{}` already holds a run\nhint: continue it with `--resume`, or choose another folder with `-o`", path.display())]
    RunExists {
        /// The folder.
        path: PathBuf,
    },
    /// There is nothing to resume.
    #[error("there is no checkpoint in `{}` to resume from\nhint: leave out `--resume` to train from the beginning", path.display())]
    NoCheckpoint {
        /// The folder.
        path: PathBuf,
    },
    /// A run is resumed with another configuration.
    #[error(
        "`{key}` differs from the run to be resumed: it is `{given}`, but the run began with `{begun}`\nhint: only `training.max_epochs` and `training.patience` may change; for anything else train into another folder"
    )]
    ResumeDiffers {
        /// The key.
        key: String,
        /// The value given now.
        given: String,
        /// The value in the run.
        begun: String,
    },
    /// The folder holds no trained model.
    #[error("`{}` holds no trained model (no `model.json`)\nhint: train one with `cei train -o {}`, or finish an interrupted one with `--resume`", path.display(), path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
    },
    /// A saved model is damaged or of another version.
    #[error("the model in `{}` cannot be used: {reason}", path.display())]
    BadModel {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The table is not the one that the run was trained on.
    #[error("the table of run `{}` has changed since it was trained, so its test rows are unknown\nhint: restore the table, or score the run on another one with `--data FILE`", path.display())]
    TableChanged {
        /// The run folder.
        path: PathBuf,
    },
    /// The run has not been evaluated.
    #[error("`{}` has no evaluation yet\nhint: run `cei evaluate {}` first", path.display(), path.display())]
    NotEvaluated {
        /// The run folder.
        path: PathBuf,
    },
    /// Two files of samples have no column in common.
    #[error(
        "`{}` and `{}` share no columns: the one has {sample_columns}, the other {reference_columns}\nhint: `event` and `draw` do not count; both files need a header", sample.display(), reference.display()
    )]
    NoSharedColumns {
        /// One file.
        sample: PathBuf,
        /// Its columns.
        sample_columns: String,
        /// The other.
        reference: PathBuf,
        /// Its columns.
        reference_columns: String,
    },
    /// Two files of samples have no event in common.
    #[error(
        "the rows of `{}` and `{}` cannot be matched by event\nhint: give both files a column `event` with the same numbers, or compare files of one event each", sample.display(), reference.display()
    )]
    EventsDiffer {
        /// One file.
        sample: PathBuf,
        /// The other.
        reference: PathBuf,
    },
    /// An event that is no counting number.
    #[error("`{}`, row {row}: `event` is `{event}`, but must be 0, 1, 2, ...", path.display())]
    BadEvent {
        /// The file.
        path: PathBuf,
        /// Row of data, from 1.
        row: usize,
        /// The value.
        event: f64,
    },
    /// Two samples cannot be compared.
    #[error("{}{source}\nhint: give more draws of each event", event.map_or_else(String::new, |event| format!("event `{event}`: ")))]
    C2st {
        /// The event, where files have several.
        event: Option<u64>,
        /// Why.
        source: cei_metrics::Error,
    },
    /// A test part too small for tests of calibration.
    #[error("the run `{}` has `{found}` test events, but tests of calibration need `{needed}`\nhint: train on more rows, or with a greater share for the test", path.display())]
    TooFewTestEvents {
        /// The run folder.
        path: PathBuf,
        /// Test events.
        found: usize,
        /// Fewest that can be tested.
        needed: usize,
    },
    /// An error rate outside (0, 1).
    #[error("`--level` is `{level}`, but must lie between 0 and 1")]
    Level {
        /// The rate.
        level: f64,
    },
    /// A number of draws or events that makes no sense.
    #[error("`{key}` is `{value}`, but must be at least {least}")]
    TooSmall {
        /// The option.
        key: &'static str,
        /// Its value.
        value: usize,
        /// The least allowed.
        least: usize,
    },
    /// A simulation has neither a law nor a file of geometries.
    #[error(
        "the simulation has no `[geometry]`\nhint: add one, or give positions with `--positions FILE`"
    )]
    NoGeometry,
    /// An atom that the molecule does not have.
    #[error("`{key}` is `{label}`, but the molecule has the atoms {atoms}")]
    UnknownAtom {
        /// The key.
        key: &'static str,
        /// The label given.
        label: String,
        /// Those that there are.
        atoms: String,
    },
}

impl RunError {
    /// For `map_err` on file operations.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}
