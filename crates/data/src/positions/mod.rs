//! Geometries from files: position columns of a table, multi-frame XYZ, initial conditions of dynamics programs; with
//! the momenta or velocities that they have. Normal modes from Molden files.

mod atoms;
mod error;
mod frames;
mod initconds;
mod load;
mod molden;
mod reference;
mod xyz;

pub use error::PositionsError;
pub use frames::{FrameMotion, Frames};
pub use initconds::Program;
pub use load::{FramesFormat, LoadedPositions, load_positions};
pub use molden::{MoldenModes, read_molden};
pub use reference::load_reference;
pub use xyz::{is_xyz, read_xyz};
