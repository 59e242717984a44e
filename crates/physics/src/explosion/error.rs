//! Why positions have no momenta at infinite time.

use crate::error::SimulationConfigError;

/// A row of positions that has no momenta at infinite time, or cannot be a row of this molecule.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ExplosionError {
    /// The accuracy asked for is out of range, or the charging does not fit the molecule.
    #[error(transparent)]
    Accuracy(#[from] SimulationConfigError),
    /// A row has the wrong length.
    #[error("{what} have {found} components, the molecule's {atoms} atoms need {}", 3 * .atoms)]
    Components {
        /// Which of the rows: `positions`, `initial momenta` or `final momenta`.
        what: &'static str,
        /// Its number of components.
        found: usize,
        /// The number of atoms.
        atoms: usize,
    },
    /// A position or initial momentum is NaN or infinite.
    #[error("{what} of atom `{atom}` are not finite")]
    NotFinite {
        /// `positions` or `initial momenta`.
        what: &'static str,
        /// The atom's label.
        atom: String,
    },
    /// A time of an event that is not positive.
    #[error("`{name}` is `{value}`, expected a positive number")]
    NotPositive {
        /// The name of its column.
        name: String,
        /// The value found.
        value: f64,
    },
    /// Two charged atoms are at the same point.
    #[error("atoms `{first}` and `{second}` coincide: they are {distance_bohr:e} bohr apart")]
    Coincident {
        /// The one atom's label.
        first: String,
        /// The other atom's label.
        second: String,
        /// Their distance in bohr.
        distance_bohr: f64,
    },
    /// Attraction keeps the ions together: the total energy is not above zero.
    #[error(
        "the ions are bound and never fly apart: the energy is {energy_ev} eV, and the charges attract"
    )]
    Bound {
        /// Potential energy plus kinetic energy about the centre of mass, in eV.
        energy_ev: f64,
    },
    /// The ions have not flown apart within the allowed number of steps.
    #[error(
        "ions `{first}` and `{second}` have not flown apart after {steps} steps ({time_fs} fs): they are \
         {distance_bohr} bohr apart\nhint: opposite charges can stay bound or collide"
    )]
    NotApart {
        /// The one ion of the closest interacting pair.
        first: String,
        /// The other ion.
        second: String,
        /// Their distance in bohr.
        distance_bohr: f64,
        /// The number of steps tried.
        steps: usize,
        /// The time reached in femtoseconds.
        time_fs: f64,
    },
}
