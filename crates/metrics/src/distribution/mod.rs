//! Scores of a posterior given by draws: CRPS, energy score, ranks, central and highest-density
//! coverage, TARP, and tests that ranks are uniform.

pub(crate) mod coverage;
pub(crate) mod crps;
pub(crate) mod density;
pub(crate) mod energy;
pub(crate) mod scores;
pub(crate) mod uniformity;
