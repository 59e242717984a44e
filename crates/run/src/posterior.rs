//! A trained run as a posterior, for programs that have their momenta in memory: the numbers of `cei predict` and
//! `cei log-prob`, to the bit, as matrices.
//!
//! | in | is |
//! | --- | --- |
//! | `loaded` | the run, its frame, and the bond lengths and angles of its positions |
//! | `measured` | momenta, checked and judged as those of a file are |
//! | `drawn` | draws and densities |
//! | `refined` | draws corrected by the simulator, event by event |

mod drawn;
mod loaded;
mod measured;
mod refined;

pub use self::loaded::Posterior;
pub use self::measured::{Measured, Pairs};
pub(crate) use self::refined::refine_each;
pub use self::refined::{RefinedDraws, RefinedEvents};
