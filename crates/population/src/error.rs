//! What can be wrong with what a population is inferred from.

use thiserror::Error;

/// Why there is no population.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum PopulationError {
    /// Arrays that do not fit together.
    #[error("{what}: {found}, expected {expected}")]
    Size {
        /// What has the size.
        what: &'static str,
        /// The size found.
        found: usize,
        /// The size that fits.
        expected: usize,
    },
    /// Too little to infer anything from.
    #[error("{what}: {found}, at least {least} are needed")]
    TooFew {
        /// Of what there is too little.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many are needed.
        least: usize,
    },
    /// A number that is not finite.
    #[error("event {event}: quantity {quantity} of a draw is not a finite number")]
    NotFinite {
        /// Which event.
        event: usize,
        /// Which quantity.
        quantity: usize,
    },
    /// A draw where the training law has no density.
    #[error("event {event}: the training law has no density at a draw")]
    OutsideLaw {
        /// Which event.
        event: usize,
    },
    /// An event that counts for nothing, or less.
    #[error("event {event}: counted {count} times, which has to be above 0 and finite")]
    Count {
        /// Which event.
        event: usize,
        /// How often.
        count: f64,
    },
    /// A quantity that is the same everywhere.
    #[error("quantity {quantity} is the same in all draws of all events")]
    Constant {
        /// Which quantity.
        quantity: usize,
    },
}
