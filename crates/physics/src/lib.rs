//! Coulomb explosion forward model: molecules, geometry laws, trajectories, frames, detector noise.
//!
//! A molecule is stripped of its electrons and its ions fly apart. This crate draws geometries,
//! integrates the explosion to infinite time and rotates the event into the frame it is recorded
//! in (`docs/spec.md#forward-model`). Everything is `f64` in Hartree atomic units: bohr, a.u. of momentum,
//! electron masses, hartree. A geometry is a slice or matrix row `(x, y, z)` per atom, atoms in the
//! order of the [`Molecule`]; momenta have the same layout.
//!
//! [`simulate`] makes a table of events from a [`Simulation`]; [`explode`] and [`explode_all`] are
//! the forward model alone, and [`Exploder`] is the same for charges that take time ([`Charging`]) and for bonds that break one after another
//! ([`BreakUp`]). Two ions of 1 u, 1 bohr apart, share an energy of 1 hartree:
//!
//! ```
//! use cei_physics::{Accuracy, AtomSpec, Molecule, explode};
//!
//! let ion = |label: &str| AtomSpec {
//!     label: Some(label.to_owned()),
//!     mass_u: Some(1.0),
//!     ..AtomSpec::new("H", 1.0)
//! };
//! let molecule = Molecule::new(vec![ion("a"), ion("b")])?;
//! let mut momenta = [0.0; 6];
//! explode(&molecule, &[0.0, 0.0, 0.0, 1.0, 0.0, 0.0], None, &Accuracy::default(), &mut momenta)?;
//! assert!((momenta[3] - 42.69530).abs() < 1e-5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod alike;
pub mod bond_tree;
pub mod break_up;
pub mod channel;
pub mod charging;
pub mod density;
pub mod detector;
pub mod distribution;
pub mod elements;
pub mod energy;
pub mod error;
pub mod explosion;
pub mod frame;
pub mod geometry;
pub mod limits;
mod logs;
pub mod modes;
pub mod molecule;
pub mod momenta;
pub mod nuisance;
pub mod orientation;
pub mod presets;
pub mod simulation;
pub mod units;

mod symmetric;
mod vector;

pub use bond_tree::BondTree;
pub use break_up::{BreakUp, Dynamics};
pub use channel::{Channel, ChargeState};
pub use charging::Charging;
pub use density::{DensityError, PositionDensity};
pub use detector::{Detection, Detector};
pub use distribution::Distribution;
pub use error::SimulationConfigError;
pub use explosion::Varied;
pub use explosion::{
    Accuracy, Exploder, ExplosionError, Mode, explode, explode_all, explode_linearised,
    leave_avx_512,
};
pub use frame::{Frame, FrameRule, Rotation};
pub use geometry::{Displacements, GeometryLaw, Positions, Statistics, Vibrations};
pub use limits::LimitedQuantity;
pub use modes::{Imaginary, ModesError, NormalMode};
pub use molecule::{AtomSpec, Isotopes, Molecule, MoleculeError};
pub use momenta::InitialMomentumLaw;
pub use nuisance::{Nuisance, Quantity};
pub use orientation::{Aligned, LaboratoryAxis, Orientation, Turned};
pub use simulation::{
    Centre, Events, GivenRows, InitialMomenta, Simulation, SimulationError, measure, measure_in,
    simulate, simulate_given, simulate_given_range, simulate_moving, simulate_positions,
    simulate_range,
};
