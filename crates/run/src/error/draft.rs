//! Why nothing can be drafted for a file of momenta.

use std::path::PathBuf;

use cei_physics::MoleculeError;
use thiserror::Error;

/// Why nothing can be drafted.
#[derive(Debug, Error)]
pub enum DraftError {
    /// Ions that are no molecule.
    #[error("`--ions`: {0}")]
    Molecule(#[from] MoleculeError),
    /// A file of this name stands there already.
    #[error("`{}` is there already\nhint: choose another folder with `-o`", .0.display())]
    Exists(PathBuf),
    /// Another number of charges than ions.
    #[error(
        "`--charges` has {charges} numbers for {ions} ions\nhint: one for each of `--ions`, in the order of the momenta"
    )]
    Charges {
        /// The number of charges.
        charges: usize,
        /// The number of ions.
        ions: usize,
    },
    /// An ion that does not repel the others.
    #[error(
        "`--charges`: `{charge}` is not positive\nhint: write a simulation by hand for ions that attract each other (`cei config --preset ocs-wide` is one)"
    )]
    NotPositive {
        /// The charge.
        charge: f64,
    },
    /// Momentum columns that are not three an ion.
    #[error("the momenta have {found} columns, but {ions} ions have {}\nhint: name them in the order of the ions with `--columns`, by names or by indices from 0", 3 * .ions)]
    Columns {
        /// The columns found.
        found: usize,
        /// The number of ions.
        ions: usize,
    },
    /// The unit of the momenta cannot be told.
    #[error(
        "nothing tells the unit of the momenta\nhint: say it, as `--unit au` or `--unit \"1e-22 kg m/s\"`"
    )]
    Unit,
    /// A file without energies.
    #[error("no row of the file has momenta\nhint: `cei inspect` says what it holds")]
    NoEnergy,
}
