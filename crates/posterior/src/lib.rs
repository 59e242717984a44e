//! The posterior `p(x | y)` of one event by the exact forward model, from a network's draws.
//!
//! A network knows where the solutions may lie; the forward model knows them exactly. [`find_modes`] runs
//! Levenberg and Marquardt's method from the draws. Without noise [`find_solutions`] goes on to the solutions beyond
//! them. With noise [`refine()`] builds a mixture of Student t laws on the modes, the ridge between them and the
//! network itself, and weights its draws by the declared noise and the prior. [`sample_chain`] is a Markov chain
//! for the same target, the independent reference.
//! `docs/refinement.md` derives all of it.

mod along;
mod background;
mod chain;
mod chart;
mod circle;
mod coincidences;
mod curve;
mod damping;
mod error;
mod event;
mod explore;
mod forward;
mod hypotheses;
mod levenberg_marquardt;
mod linear;
mod modes;
mod pareto;
mod prior;
mod refine;
mod roots;
mod shares;
mod student;
mod walls;

pub use along::LAWS_ALONG_CURVES;
pub use background::Background;
pub use chain::{Chain, ChainOptions, sample_chain};
pub use chart::{Chart, ChartPrior};
pub use circle::Circle;
pub use coincidences::{FalseCoincidences, Selected};
pub use error::PosteriorError;
pub use event::Event;
pub use explore::{Explorer, Solutions, find_solutions};
pub use forward::{Components, Explosion, Forward};
pub use hypotheses::{Combined, combine};
pub use modes::{LITTLE_UNSEEN, Mode, ModeOptions, find_modes, unseen};
pub use pareto::{log_sum_exp, worst_k_hat};
pub use refine::{LogProb, RefineOptions, Refined, refine};
pub use shares::Shares;
