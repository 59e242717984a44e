//! What a check is asked for.

use std::path::PathBuf;

use crate::RunError;
use crate::c2st::check_level;
use crate::dataset::LaterTable;
use crate::trained::draws::check_refined;

/// Fewest events that are compared: half of them are one side.
pub(super) const LEAST_EVENTS: usize = 80;

/// What to check, and how.
#[derive(Debug, Clone)]
pub struct CheckOptions {
    /// The momenta.
    pub momenta: LaterTable,
    /// Events that are looked at, at most: chosen at random, one half for the population and one to be tested.
    pub events: usize,
    /// Refined draws of each event.
    pub draws: usize,
    /// Seed of everything.
    pub seed: u64,
    /// Probability that momenta of the declared simulation fail.
    pub level: f64,
    /// Where `check.json` and the figures go; neither is written without.
    pub folder: Option<PathBuf>,
}

impl CheckOptions {
    pub(super) fn check(&self) -> Result<(), RunError> {
        check_level(self.level)?;
        check_refined(self.draws)?;
        if self.events < LEAST_EVENTS {
            let (key, value, least) = ("--events", self.events, LEAST_EVENTS);
            return Err(RunError::TooSmall { key, value, least });
        }
        Ok(())
    }
}
