//! Scores of a posterior given by draws: CRPS, energy score, ranks and central coverage.

pub(crate) mod coverage;
pub(crate) mod crps;
pub(crate) mod energy;
pub(crate) mod scores;
