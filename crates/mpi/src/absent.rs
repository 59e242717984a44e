//! One process, in a program that was built without MPI.

use crate::{NoTeam, Team, launcher};

/// The processes that were started together: this one.
#[derive(Debug)]
pub struct World(());

impl World {
    /// Meets the others.
    ///
    /// # Errors
    /// There are any.
    pub fn begin() -> Result<Self, NoTeam> {
        match launcher::processes() {
            Some((processes, variable)) => Err(NoTeam::WithoutMpi { processes, variable }),
            None => Ok(Self::alone()),
        }
    }

    /// This process alone, whoever else was started.
    pub fn alone() -> Self {
        Self(())
    }

    /// The team of all.
    pub fn team(&self) -> Team {
        Team::default()
    }

    /// What each process of this node gives, one after another, and which of these is this one.
    pub fn on_node<const N: usize>(&self, own: [u64; N]) -> (Vec<[u64; N]>, usize) {
        (vec![own], 0)
    }

    /// The sum of the numbers of all processes.
    pub fn sum(&self, number: u64) -> u64 {
        number
    }

    /// Ends all processes with this exit code, where there are several.
    pub fn abort(&self, _code: u8) {}
}
