//! What those who start processes together tell them in their environment, before MPI is asked.

/// How many there are: Open MPI, MPICH and others with its process manager, steps of Slurm.
const SIZES: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];
/// The number of this one.
const RANKS: [&str; 3] = ["OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"];
/// How many are on this node.
const ON_NODE: [&str; 2] = ["OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"];

/// How many processes were started together, and what says so; none if it is only this one.
pub(crate) fn processes() -> Option<(usize, &'static str)> {
    first(&SIZES).filter(|(processes, _)| *processes > 1)
}

/// Whether this is the first of the processes that were started together, or alone.
pub fn is_first() -> bool {
    first(&RANKS).is_none_or(|(rank, _)| rank == 0) || processes().is_none()
}

/// How many of the processes that were started together are on this node, as far as it is told.
pub fn processes_on_node() -> usize {
    let told = first(&ON_NODE).filter(|_| processes().is_some());
    told.map_or(1, |(count, _)| count.max(1))
}

fn first(names: &[&'static str]) -> Option<(usize, &'static str)> {
    let number = |name: &str| std::env::var(name).ok()?.trim().parse().ok();
    names.iter().find_map(|name| Some((number(name)?, *name)))
}
