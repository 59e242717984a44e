//! How many threads compute: `--threads`, else `RAYON_NUM_THREADS`, else as many as there are cores for the process: by its set of
//! processors, the CPU limit of its cgroup, and what Slurm has given it. Processes that `mpirun` has started on one node share
//! the cores that they have in common. No result depends on it.

use std::ffi::OsString;
use std::sync::OnceLock;

use anyhow::Context as _;
use cei_mpi::World;
use rayon::ThreadPoolBuilder;
use serde::Serialize;

use crate::output::to_stderr;
use crate::slurm;

/// Read by Rayon itself where no number is given.
const VARIABLE: &str = "RAYON_NUM_THREADS";
/// Read by Polars, whose threads are its own.
const OF_TABLES: &str = "POLARS_MAX_THREADS";

/// How many threads compute, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Threads {
    pub(crate) count: usize,
    pub(crate) origin: &'static str,
    /// How many cores there are for the process.
    pub(crate) cores: usize,
    /// Who says so.
    pub(crate) cores_origin: &'static str,
    /// How many threads read and write tables.
    pub(crate) tables: usize,
    /// Where other processes do the same work.
    #[serde(skip)]
    ranks: Option<Ranks>,
}

/// Processes that do one work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ranks {
    count: usize,
    /// The cores of all.
    cores: usize,
}

/// What a process has of the cores of its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    /// Its own part.
    cores: usize,
    /// Processes on the node.
    processes: usize,
    /// The cores of all of these.
    of_node: usize,
}

/// A set of processors.
type Processors = [u64; 16];

static USED: OnceLock<Threads> = OnceLock::new();

/// Begins the threads that compute, where their number is not what Rayon takes by itself, and warns where there are more of them than
/// cores.
pub(crate) fn begin(asked: Option<u16>, world: &World) -> anyhow::Result<()> {
    if let Some(value) = std::env::var_os(VARIABLE).filter(|_| asked.is_none())
        && number(VARIABLE).is_none()
    {
        to_stderr(&format!(
            "warning: {VARIABLE} is `{}`, which is no number of threads, and does not count",
            value.display()
        ));
    }
    let here = here();
    let own = allowed(here);
    let (all, number_on_node) = world.on_node(own);
    let share = Share::of(own, &all, here);
    let mut threads = Threads::of(asked, share, number);
    let ranks = world.team().size();
    if ranks > 1 {
        let of_node = share.of_node.min(threads.cores * share.processes);
        let cores = world.sum(if number_on_node == 0 { of_node as u64 } else { 0 }) as usize;
        threads.ranks = Some(Ranks { count: ranks, cores });
        if ranks * threads.count > cores && world.team().leads() {
            to_stderr(&format!(
                "warning: {}, which makes nothing faster\nhint: start fewer ranks, or ask for more cores",
                threads.in_words()
            ));
        }
    }
    let Threads { count, origin, cores, cores_origin, .. } = &threads;
    if ranks == 1 && count > cores {
        to_stderr(&format!(
            "warning: {count} threads ({origin}) share {cores} of the cores ({cores_origin}), which makes nothing faster\nhint: leave the number out, or ask for more cores"
        ));
    }
    // Otherwise they begin when they are needed, and Rayon knows how many.
    if asked.is_some() || (*origin != VARIABLE && *count != here) {
        let pool = ThreadPoolBuilder::new().num_threads(*count).build_global();
        pool.with_context(|| {
            format!("{count} threads cannot be begun\nhint: give fewer `--threads`")
        })?;
    }
    // Once is enough: it does not change.
    let _ = USED.set(threads);
    Ok(())
}

/// The environment with which this program has to be begun anew so that tables are read and written by no more threads than
/// compute; none where that is so.
pub(crate) fn for_tables(asked: Option<u16>) -> Option<(&'static str, OsString)> {
    let (here, processes) = (here(), cei_mpi::processes_on_node());
    let cores = (here / processes).max(1);
    let count = Threads::of(asked, Share { cores, processes, of_node: here }, number).count;
    let is_free = std::env::var_os(OF_TABLES).is_none();
    (is_free && count < here).then(|| (OF_TABLES, count.to_string().into()))
}

impl Threads {
    /// Those of this process, which has [`begin`] behind it.
    pub(crate) fn used() -> Self {
        USED.get().cloned().unwrap_or_else(|| Self::of(None, Share::whole(here()), number))
    }

    /// Those of a process that this many are asked of, where this is its share of the cores, and numbers stand in the
    /// `environment`.
    fn of(asked: Option<u16>, share: Share, environment: impl Fn(&str) -> Option<usize>) -> Self {
        let here = share.cores;
        let [of_task, of_node] = slurm::PROCESSORS;
        let of_node = || Some(((environment(of_node)? / share.processes).max(1), of_node));
        let by_slurm = environment(of_task).map(|given| (given, of_task)).or_else(of_node);
        let (cores, cores_origin) = match by_slurm.filter(|(given, _)| *given < here) {
            Some(given) => given,
            None => (here, "what the process may use at once"),
        };
        let (count, origin) = match (asked, environment(VARIABLE)) {
            (Some(asked), _) => (usize::from(asked), "--threads"),
            (None, Some(count)) => (count, VARIABLE),
            (None, None) => (cores, cores_origin),
        };
        let tables = environment(OF_TABLES).unwrap_or(here);
        Self { count, origin, cores, cores_origin, tables, ranks: None }
    }

    /// As a line of what is planned.
    pub(crate) fn in_words(&self) -> String {
        let Self { count, origin, cores, cores_origin, .. } = self;
        let s = |count: usize| if count == 1 { "" } else { "s" };
        let why = match origin == cores_origin {
            true => (*origin).to_owned(),
            false => format!("{origin}; cores: {cores_origin}"),
        };
        let threads = format!("{count} thread{}", s(*count));
        match self.ranks {
            None => format!("{threads} of {cores} core{} ({why})", s(*cores)),
            Some(Ranks { count: ranks, cores }) => {
                format!("{ranks} ranks of {threads} on {cores} core{} ({why})", s(cores))
            }
        }
    }
}

impl Share {
    /// All of so many cores.
    fn whole(cores: usize) -> Self {
        Self { cores, processes: 1, of_node: cores }
    }

    /// That of a process with the processors `own`, where those of a node have `all` these, and the system lets this one use so many
    /// `here`: no more than its processors, and fewer where a cgroup has a limit.
    fn of(own: Processors, all: &[Processors], here: usize) -> Self {
        let count = |set: &Processors| set.iter().map(|word| word.count_ones() as usize).sum();
        let meets =
            |other: &&Processors| other.iter().zip(own).any(|(other, own)| other & own != 0);
        let union = all.iter().fold([0; 16], |mut union, set| {
            union.iter_mut().zip(set).for_each(|(union, set)| *union |= set);
            union
        });
        let (given, sharing): (usize, usize) = (count(&own), all.iter().filter(meets).count());
        let (mut cores, mut of_node): (usize, usize) = (given / sharing.max(1), count(&union));
        if here < given {
            cores = cores.min(here / all.len());
            of_node = of_node.min(here);
        }
        Self { cores: cores.max(1), processes: all.len(), of_node: of_node.max(1) }
    }
}

/// The processors of this process, where the system tells (Linux); else the first `here`.
fn allowed(here: usize) -> Processors {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.and_then(processors).unwrap_or_else(|| {
        let mut first = [0; 16];
        (0..here).for_each(|number| add(&mut first, number));
        first
    })
}

/// The processors of a list such as `0-3,8`; none if it is no list.
fn processors(list: &str) -> Option<Processors> {
    let mut set = [0; 16];
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
        (first..=last).for_each(|number| add(&mut set, number));
    }
    Some(set)
}

fn add(set: &mut Processors, number: usize) {
    if let Some(word) = set.get_mut(number / 64) {
        *word |= 1 << (number % 64);
    }
}

/// Processors that the process may use at once: those of its set, but no more than the limit of its cgroup.
fn here() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A number above 0 in the environment; none where it says nothing.
fn number(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.trim().parse().ok().filter(|count| *count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(
        asked: Option<u16>,
        here: usize,
        environment: &[(&str, usize)],
    ) -> (usize, usize, String) {
        let number = |name: &str| {
            environment.iter().find(|(own, _)| *own == name).map(|(_, number)| *number)
        };
        let threads = Threads::of(asked, Share::whole(here), number);
        (threads.count, threads.cores, threads.in_words())
    }

    #[test]
    fn threads_are_as_many_as_cores_unless_they_are_asked_for() {
        let told = |(count, cores, _): (usize, usize, String)| (count, cores);
        assert_eq!(told(of(None, 8, &[])), (8, 8));
        assert_eq!(told(of(Some(3), 8, &[(VARIABLE, 5)])), (3, 8));
        assert_eq!(told(of(None, 8, &[(VARIABLE, 5)])), (5, 8));
        // Slurm gives, and does not always bind.
        let [task, node] = ["SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"];
        assert_eq!(told(of(None, 8, &[(task, 2)])), (2, 2));
        assert_eq!(told(of(None, 8, &[(task, 2), (node, 4)])), (2, 2));
        assert_eq!(told(of(None, 8, &[(node, 4)])), (4, 4));
        assert_eq!(told(of(Some(6), 8, &[(task, 2)])), (6, 2));
        // What the system allows is less than what Slurm has given.
        assert_eq!(told(of(None, 1, &[(task, 2)])), (1, 1));
    }

    #[test]
    fn processes_of_a_node_share_the_cores_that_they_have_in_common() {
        let set = |list: &str| processors(list).unwrap_or_default();
        let of = |own, all: &[&str], here| {
            let all: Vec<Processors> = all.iter().map(|list| set(list)).collect();
            let Share { cores, processes, of_node } = Share::of(set(own), &all, here);
            (cores, processes, of_node)
        };
        // Not bound; bound to a core each; two to each socket; more than cores.
        assert_eq!(of("0-7", &["0-7"; 2], 8), (4, 2, 8));
        assert_eq!(of("1", &["0", "1"], 1), (1, 2, 2));
        assert_eq!(of("4-7", &["0-3", "0-3", "4-7", "4-7"], 4), (2, 4, 8));
        assert_eq!(of("0,64", &["0,64"; 3], 2), (1, 3, 2));
        // A cgroup allows four of the eight.
        assert_eq!(of("0-7", &["0-7"; 2], 4), (2, 2, 4));
        assert_eq!(processors("0-2,x"), None);
        let given = |environment: &[(&str, usize)]| {
            let share = Share { cores: 8, processes: 4, of_node: 32 };
            let number = |name: &str| {
                environment.iter().find(|(own, _)| *own == name).map(|(_, number)| *number)
            };
            Threads::of(None, share, number).count
        };
        // What Slurm gives a task is its own, what it gives on a node is that of all.
        assert_eq!(given(&[("SLURM_CPUS_PER_TASK", 2), ("SLURM_CPUS_ON_NODE", 8)]), 2);
        assert_eq!(given(&[("SLURM_CPUS_ON_NODE", 12)]), 3);
        assert_eq!(given(&[]), 8);
    }

    #[test]
    fn the_reason_is_said() {
        let words = |(_, _, words): (usize, usize, String)| words;
        assert_eq!(
            words(of(None, 1, &[])),
            "1 thread of 1 core (what the process may use at once)"
        );
        assert_eq!(
            words(of(Some(2), 8, &[("SLURM_CPUS_PER_TASK", 4)])),
            "2 threads of 4 cores (--threads; cores: SLURM_CPUS_PER_TASK)"
        );
    }
}
