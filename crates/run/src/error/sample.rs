//! What can be wrong with a sample whose population is asked for.

use std::path::PathBuf;

use thiserror::Error;

/// Why there is no population.
#[derive(Debug, Error)]
pub enum SampleError {
    /// A run without what a population needs.
    #[error("run `{}` cannot give a population: {why}\nhint: {hint}", path.display())]
    NoPopulation {
        /// The run folder.
        path: PathBuf,
        /// Why not.
        why: String,
        /// What to do.
        hint: &'static str,
    },
    /// A folder with the draws of another sample.
    #[error("`{}` holds the draws of another sample: {what}\nhint: name another folder, or remove this one", path.display())]
    Other {
        /// The folder.
        path: PathBuf,
        /// In what it differs.
        what: String,
    },
    /// Fewer events than a distribution can be inferred from.
    #[error(
        "{found} event{} {what}, and a distribution needs at least {least}\nhint: name more files, or a column with fewer values in `--by`; what single events tell is told by `cei predict --refine`",
        if *found == 1 { "" } else { "s" }
    )]
    FewEvents {
        /// What they have in common.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many are needed.
        least: usize,
    },
    /// A column that the momenta files do not have beside the momenta.
    #[error("`{key} {name}`: there is no such column beside the momenta{}\nhint: there {}", nearest.as_ref().map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?")), if known.is_empty() { "are no others".to_owned() } else { format!("are {known}") })]
    NoSuchColumn {
        /// The option.
        key: &'static str,
        /// The name that was given.
        name: String,
        /// The nearest one.
        nearest: Option<String>,
        /// Those that are there.
        known: String,
    },
    /// An efficiency that is no probability.
    #[error(
        "`--efficiency {column}`: event {event} (from 0, of those that are used) has `{cell}`, which has to be above 0 and at most 1\nhint: it is the probability that such an event is recorded; leave events out that never are"
    )]
    Efficiency {
        /// The column.
        column: String,
        /// The event.
        event: usize,
        /// Its cell.
        cell: String,
    },
    /// A file that says too little to be checked.
    #[error(
        "{found} events in which all ions were detected, but at least {least} are needed\nhint: give more files, or look at single events with `cei predict --refine --summary FILE`"
    )]
    TooFewToCheck {
        /// How many there are.
        found: usize,
        /// How many are needed.
        least: usize,
    },
    /// The draws do not make a population.
    #[error(transparent)]
    Fit(#[from] cei_population::PopulationError),
    /// The geometry law draws nothing.
    #[error(transparent)]
    Geometries(#[from] cei_physics::limits::GeometriesError),
}
