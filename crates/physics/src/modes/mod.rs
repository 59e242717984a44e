//! Normal modes of a molecule: as a configuration gives them, and checked.

mod error;
mod normal;

pub use error::ModesError;
pub use normal::{Imaginary, NormalMode};
pub(crate) use normal::{ModesSpec, NormalModes, inertia};
