//! The processes of an MPI. Failures of MPI end all of them, with its own words.

use std::sync::Arc;

use cei_kernels::Link;
use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, CommunicatorCollectives as _, Destination as _, Source as _};

use crate::{NoTeam, Team, launcher};

/// The processes that were started together. They part when it is dropped.
pub struct World {
    universe: Option<Universe>,
}

impl World {
    /// Meets the others.
    ///
    /// # Errors
    /// MPI does not know of them, or has no place for threads.
    pub fn begin() -> Result<Self, NoTeam> {
        let Some((processes, variable)) = launcher::processes() else { return Ok(Self::alone()) };
        let Some((universe, given)) = mpi::initialize_with_threading(Threading::Serialized) else {
            return Err(NoTeam::NoThreads { given: "begun before".to_owned() });
        };
        if given < Threading::Serialized {
            return Err(NoTeam::NoThreads { given: format!("{given:?}") });
        }
        let known = universe.world().size() as usize;
        if known != processes {
            return Err(NoTeam::Strangers { processes, variable, known });
        }
        Ok(Self { universe: Some(universe) })
    }

    /// This process alone, whoever else was started.
    pub fn alone() -> Self {
        Self { universe: None }
    }

    /// The team of all.
    pub fn team(&self) -> Team {
        match self.universe {
            Some(_) => Team::of(Arc::new(Messages)),
            None => Team::default(),
        }
    }

    /// What each process of this node gives, one after another, and which of these is this one.
    pub fn on_node<const N: usize>(&self, own: [u64; N]) -> (Vec<[u64; N]>, usize) {
        let Some(universe) = &self.universe else { return (vec![own], 0) };
        let world = universe.world();
        let node = world.split_shared(world.rank());
        let mut all = vec![0; N * node.size() as usize];
        node.all_gather_into(&own[..], &mut all[..]);
        (all.as_chunks().0.to_vec(), node.rank() as usize)
    }

    /// The sum of the numbers of all processes.
    pub fn sum(&self, number: u64) -> u64 {
        let mut sum = number;
        if let Some(universe) = &self.universe {
            universe.world().all_reduce_into(&number, &mut sum, SystemOperation::sum());
        }
        sum
    }

    /// Ends all processes with this exit code, where there are several.
    pub fn abort(&self, code: u8) {
        if let Some(universe) = &self.universe {
            universe.world().abort(i32::from(code));
        }
    }
}

/// Messages between the processes of the world; only one thread at a time sends or receives.
#[derive(Debug)]
struct Messages;

impl Link for Messages {
    fn rank(&self) -> usize {
        SimpleCommunicator::world().rank() as usize
    }

    fn size(&self) -> usize {
        SimpleCommunicator::world().size() as usize
    }

    fn exchange(&self, to: &[(usize, &[u8])], from: &mut [(usize, &mut [u8])]) {
        let world = SimpleCommunicator::world();
        let count = to.len() + from.len();
        mpi::request::multiple_scope(count, |scope, requests| {
            for (rank, bytes) in from {
                let process = world.process_at_rank(*rank as i32);
                requests.add(process.immediate_receive_into(scope, &mut **bytes));
            }
            for (rank, bytes) in to {
                let process = world.process_at_rank(*rank as i32);
                requests.add(process.immediate_send(scope, *bytes));
            }
            requests.wait_all(&mut Vec::with_capacity(count));
        });
    }
}
