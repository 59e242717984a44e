//! What a work will take, from a part of the work itself that is timed and thrown away: no table of constants knows how
//! stiff a simulation is, how hard events are to refine, or what else the machine does.

use std::time::Duration;

use serde::Serialize;

/// How long a work is tried at least, unless it is done before.
pub(crate) const TRIAL: Duration = Duration::from_secs(2);

/// What a work will take.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// Rows that it goes through: events, or training rows of an epoch.
    pub rows: usize,
    /// What it does, one after another.
    pub steps: usize,
    /// What a step is: `batches`, `events`.
    pub of: &'static str,
    /// Seconds, of which some are of the preparations, which were made.
    pub seconds: f64,
    /// Seconds of the preparations.
    pub preparation_seconds: f64,
    /// Steps that were tried.
    pub tried_steps: usize,
    /// How long that took, in seconds.
    pub tried_seconds: f64,
    /// What the seconds depend on that is not known, in words; none if nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caveat: Option<&'static str>,
    /// Bytes that the work will have in memory at once beyond what it had while it was tried.
    #[serde(skip)]
    pub more_bytes: usize,
}
