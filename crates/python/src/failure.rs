//! Errors as Python exceptions, in the words of the command line: `cei.errors` has the classes.

use cei_data::arrow::ArrowError;
use cei_run::RunError;
use cei_run::error::LaterError;
use pyo3::prelude::*;

/// What went wrong, until Python's lock is held.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The class in `cei.errors`.
    class: &'static str,
    /// The text with its hints.
    text: String,
}

/// For `map_err`.
pub(crate) fn failed(error: impl Into<RunError>) -> Failure {
    let error = error.into();
    Failure { class: class(&error), text: cei_cli::in_words(&error) }
}

impl Failure {
    /// Arguments that do not go together.
    pub(crate) fn of_value(text: impl Into<String>) -> Self {
        Self { class: "CeiValueError", text: text.into() }
    }
}

impl From<ArrowError> for Failure {
    fn from(error: ArrowError) -> Self {
        Self { class: "DataError", text: cei_cli::in_words(&error) }
    }
}

impl From<Failure> for PyErr {
    fn from(Failure { class, text }: Failure) -> Self {
        Python::attach(|py| {
            let made =
                py.import("cei.errors").and_then(|errors| errors.getattr(class)?.call1((text,)));
            made.map_or_else(|error| error, Self::from_value)
        })
    }
}

fn class(error: &RunError) -> &'static str {
    match error {
        RunError::Config(_)
        | RunError::OfConfiguration { .. }
        | RunError::HyperParameter(_)
        | RunError::Physics(_)
        | RunError::UnknownAtom { .. }
        | RunError::UnknownNuisance { .. }
        | RunError::NoChannels
        | RunError::ChargeColumns { .. }
        | RunError::ChargeCount { .. }
        | RunError::StreamOf { .. }
        | RunError::BufferAlone
        | RunError::Device(_) => "ConfigError",
        RunError::OtherMomenta { .. }
        | RunError::Later(
            LaterError::ColumnCount { .. }
            | LaterError::ChargesNotAsked { .. }
            | LaterError::NoChannels
            | LaterError::ChargesUnknown
            | LaterError::ChargeCount { .. }
            | LaterError::OtherCharges { .. },
        )
        | RunError::TooSmall { .. }
        | RunError::TooLarge { .. }
        | RunError::Level { .. }
        | RunError::Metrics(_) => "CeiValueError",
        RunError::Load(_)
        | RunError::Later(_)
        | RunError::Positions(_)
        | RunError::Preprocessing(_)
        | RunError::OutOfBounds { .. }
        | RunError::AllFarOut { .. }
        | RunError::Simulation(_)
        | RunError::Explosion(_) => "DataError",
        RunError::NotARun { .. }
        | RunError::RunExists { .. }
        | RunError::RunWithoutCheckpoint { .. }
        | RunError::NoCheckpoint { .. }
        | RunError::Unfinished { .. }
        | RunError::InTraining { .. }
        | RunError::Damaged { .. }
        | RunError::BadModel { .. }
        | RunError::TableGone { .. }
        | RunError::TableChanged { .. } => "RunFolderError",
        RunError::CannotRefine { .. } | RunError::NoDensity { .. } => "NotPossibleError",
        _ => "CeiError",
    }
}
