//! What a page is asked for.

use std::path::PathBuf;

/// What to tell, and where.
#[derive(Debug, Clone)]
pub struct ReportOptions {
    /// The run folders, at least one.
    pub runs: Vec<PathBuf>,
    /// The page.
    pub output: PathBuf,
    /// Rows of the tables, among the test rows, that are shown alone; chosen by what is special about them if there are none.
    pub events: Vec<u64>,
    /// Whether the simulator searches for the geometries that explain the events that are shown alone.
    pub modes: bool,
    /// Seed of the draws.
    pub seed: u64,
}
