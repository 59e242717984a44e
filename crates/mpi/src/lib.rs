//! Processes that `mpirun` or `srun` has started, as one [`Team`]. Without the feature `mpi` there is only one process, and it
//! is an error to be one of several.

#[cfg_attr(feature = "mpi", path = "linked.rs")]
#[cfg_attr(not(feature = "mpi"), path = "absent.rs")]
mod world;

mod launcher;

use cei_kernels::Team;
use thiserror::Error;

pub use launcher::{is_first, processes_on_node};
pub use world::World;

/// Why processes form no team.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoTeam {
    /// The program cannot speak to the others.
    #[error(
        "{processes} processes of this program were started together ({variable}), but it was built without MPI, so that each would do the same work\nhint: build it with `cargo install --path crates/cli --features mpi`, or start one process"
    )]
    WithoutMpi {
        /// How many were started.
        processes: usize,
        /// What says so.
        variable: &'static str,
    },
    /// MPI does not know of the others.
    #[error(
        "{processes} processes were started together ({variable}), but MPI knows of {known}, so that each would do the same work\nhint: start them with the `mpirun` of the MPI that this program was built with, or with `srun --mpi=pmix`"
    )]
    Strangers {
        /// How many were started.
        processes: usize,
        /// What says so.
        variable: &'static str,
        /// How many MPI knows of.
        known: usize,
    },
    /// MPI cannot be begun, or not for a program with threads.
    #[error(
        "MPI cannot be begun for a program with threads (it gives `{given}`)\nhint: use an MPI that was built with support for threads"
    )]
    NoThreads {
        /// What it gives.
        given: String,
    },
}
