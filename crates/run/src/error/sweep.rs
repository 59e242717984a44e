//! Why a search cannot begin, or not go on.

use std::path::PathBuf;

use cei_files::quoted;
use thiserror::Error;

use crate::config::ExperimentError;

/// Why a search cannot begin, or not go on.
#[derive(Debug, Error)]
pub enum SweepError {
    /// Nothing is searched over.
    #[error(
        "{origin} has no `[sweep.over]`, so nothing is searched over\nhint: name keys with their ranges, as `[sweep.over]` and in the next line `training.learning_rate = {{ low = 1e-4, high = 1e-2, log = true }}`"
    )]
    NothingToSearch {
        /// The file or preset.
        origin: String,
    },
    /// A key that does not exist, or a value that the configuration refuses.
    #[error("{origin}: `sweep.over.{key}` at `{value}`: {why}")]
    Refused {
        /// The file or preset.
        origin: String,
        /// The key.
        key: String,
        /// The value.
        value: toml::Value,
        /// What the configuration says, with a hint where there is one.
        why: String,
    },
    /// A key that changes what is compared.
    #[error("{origin}: `sweep.over.{key}`: {why}\nhint: {hint}")]
    NotComparable {
        /// The file or preset.
        origin: String,
        /// The key.
        key: String,
        /// Why trials do not compare.
        why: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// An ensemble.
    #[error(
        "{origin}: `training.ensemble` is `{members}`, but a trial trains one model\nhint: search with `--set training.ensemble=1`, and train the ensemble with what is found"
    )]
    Ensemble {
        /// The file or preset.
        origin: String,
        /// Its members.
        members: usize,
    },
    /// There is nothing in the folder to go on with.
    #[error(
        "`{}` holds no search to go on with\nhint: name an experiment that has `[sweep.over]`, as `cei sweep experiment.toml -o {}`", path.display(), quoted(path)
    )]
    NoSweep {
        /// The folder.
        path: PathBuf,
    },
    /// The folder is that of a run.
    #[error("`{}` holds a run, not a search\nhint: choose another folder with `-o`", path.display())]
    Run {
        /// The folder.
        path: PathBuf,
    },
    /// The search in the folder is another one.
    #[error(
        "`{key}` differs from the search in `{}`: it is `{given}`, but the search began with `{begun}`\nhint: only `sweep.trials`, `[evaluation]` and where the same table is read from may change; for anything else search into another folder", path.display()
    )]
    Differs {
        /// The folder.
        path: PathBuf,
        /// The key.
        key: String,
        /// The value given now.
        given: String,
        /// The value in the folder.
        begun: String,
    },
    /// The table is another one than that of earlier trials.
    #[error("the table of the search in `{}` has changed since its first trial\nhint: restore the table, or search anew into another folder", path.display())]
    Table {
        /// The folder.
        path: PathBuf,
    },
}

impl SweepError {
    /// What a configuration says of a value, without who set it.
    pub(crate) fn why(error: &ExperimentError) -> String {
        match error {
            ExperimentError::Overridden { message, hint, .. }
            | ExperimentError::Content { message, hint, .. } => format!("{message}{hint}"),
            other => other.to_string(),
        }
    }
}
