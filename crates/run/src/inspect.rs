//! What a table holds, before anything is trained on it.

pub use cei_data::inspect::{Inspection, Role, inspect};
pub use cei_data::{ColumnRef, InspectOptions, Source};
