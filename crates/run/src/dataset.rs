//! From the source of an experiment to what a trainer or an evaluation needs: a table from files, or events of a
//! simulator in the place of one; and the tables that are given to a trained run later.
//!
//! | in | is |
//! | --- | --- |
//! | `load` | [`Dataset`]: a table and its split, loaded or simulated |
//! | `origin` | the simulation behind the events, and the declared noise |
//! | `simulated` | events of a simulator, and tables that are measured anew |
//! | `event_columns` | the columns of simulated events that are inferred, and those of the condition |
//! | `fresh` | new training rows in every epoch |
//! | `sidecar` | the simulation that stands beside a table |
//! | `given` | tables that a program has in memory |
//! | `later` | tables that are given to a trained run |
//! | `charges` | the charges of their ions |
//! | `copies` | rows that the model was trained on |
//! | `rounding` | what the rounding of a file did to it |

mod alike;
mod charges;
mod copies;
mod event_columns;
mod fresh;
mod given;
mod later;
mod load;
mod origin;
pub(crate) mod rounding;
mod sidecar;
mod simulated;

pub use crate::folder::Origin;
pub use charges::GivenCharges;
pub(crate) use charges::TableCharges;
pub(crate) use copies::{in_words, trained_on, warning};
pub(crate) use event_columns::condition_of;
pub use fresh::{FreshRows, Recipe};
pub(crate) use fresh::{for_training, making_seconds};
pub use given::write_given;
pub use later::{ColumnOptions, LaterTable, ReadingOptions};
pub(crate) use later::{Loaded, remembered};
pub use load::{AsRows, Dataset, SomeRows};
pub(crate) use sidecar::sidecar_text;
pub use sidecar::{
    check_digest, claimed_simulation_of, sidecar_path, sidecar_remarks, simulation_beside,
    simulation_of,
};
