//! Whether the momenta of a file, as a set, are of the kind that a model was trained on; if not, the likely cause.
//!
//! Compared are the kinetic energy release, `|p|` of every ion, and `|sum p|`. A set is far from training
//! - where at least `FAR_SHARE` of its events have one of these beyond what one in a thousand training events are
//!   beyond, or are otherwise outside the training support, and so many are there by chance in fewer than 1 of 100
//!   files of the training's own kind (binomial law);
//! - or where its distributions are told from those of training (Kolmogorov and Smirnov's test of two samples, in
//!   fewer than 1 of 1,000 files of that kind), but not any more once ions are exchanged.
//!
//! So a large file of a slightly different law, or one that fills a part of a wide law, is not far. Causes are found by
//! trying: units, orders of the ions, other charges of the simulation, another time in which they come, one factor for
//! all momenta.
//!
//! | in | is |
//! | --- | --- |
//! | `support` | which events the model has never seen the like of, one by one |
//! | `training` | what is known of training, and a set of momenta judged by it |
//! | `files` | the same before there is a run |
//! | `quantities` | what is compared, as distributions |
//! | `alignment` | directions in the laboratory, which no energy knows |
//! | `trial`, `charges`, `charging`, `units` | causes, found by trying |
//! | `report` | the judgement as it is told and kept |
//! | `far_out` | momenta that are no measurements |
//! | `judged` | all of this together, for momenta that are about to be inferred from |
//! | `law_edge` | posteriors that are pinned to a limit of the geometry law |

mod alignment;
mod charges;
mod charging;
mod far_out;
mod files;
mod judged;
mod law_edge;
mod quantities;
mod report;
mod support;
mod training;
mod trial;
mod units;

pub(crate) use far_out::refuse_far_out;
pub use files::judge_files;
pub(crate) use judged::{Judged, choose_charges, set_aside};
pub(crate) use law_edge::{Contact, LawEdgeCounts, LawEdges};
pub use law_edge::{LawEdgeReport, PinnedLimit};
pub(crate) use quantities::distance;
pub use report::{
    Cause, ChargingTime, Comparison, Direction, Directions, IonComparison, IonDirection, IonsFit,
    Plausibility, Spread,
};
pub use support::Outside;
pub(crate) use support::Support;
pub use training::Training;
