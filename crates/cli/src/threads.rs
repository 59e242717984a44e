//! How many threads compute: `--threads`, else `RAYON_NUM_THREADS`, else as many as there are cores for the process: by its set of
//! processors, the CPU limit of its cgroup, and what Slurm has given it. No result depends on it.

use std::ffi::OsString;
use std::sync::OnceLock;

use anyhow::Context as _;
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
}

static USED: OnceLock<Threads> = OnceLock::new();

/// Begins the threads that compute, where their number is not what Rayon takes by itself, and warns where there are more of them than
/// cores.
pub(crate) fn begin(asked: Option<u16>) -> anyhow::Result<()> {
    if let Some(value) = std::env::var_os(VARIABLE).filter(|_| asked.is_none())
        && number(VARIABLE).is_none()
    {
        to_stderr(&format!(
            "warning: {VARIABLE} is `{}`, which is no number of threads, and does not count",
            value.display()
        ));
    }
    let here = here();
    let threads = Threads::of(asked, here, number);
    let Threads { count, origin, cores, cores_origin, .. } = &threads;
    if count > cores {
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
    let here = here();
    let count = Threads::of(asked, here, number).count;
    let is_free = std::env::var_os(OF_TABLES).is_none();
    (is_free && count < here).then(|| (OF_TABLES, count.to_string().into()))
}

impl Threads {
    /// Those of this process, which has [`begin`] behind it.
    pub(crate) fn used() -> Self {
        USED.get().cloned().unwrap_or_else(|| Self::of(None, here(), number))
    }

    /// Those of a process that this many are asked of, where the system lets it use so many cores `here`, and numbers stand in the
    /// `environment`.
    fn of(asked: Option<u16>, here: usize, environment: impl Fn(&str) -> Option<usize>) -> Self {
        let by_slurm = slurm::PROCESSORS.iter().find_map(|name| Some((environment(name)?, *name)));
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
        Self { count, origin, cores, cores_origin, tables }
    }

    /// As a line of what is planned.
    pub(crate) fn in_words(&self) -> String {
        let Self { count, origin, cores, cores_origin, .. } = self;
        let s = |count: usize| if count == 1 { "" } else { "s" };
        let why = match origin == cores_origin {
            true => (*origin).to_owned(),
            false => format!("{origin}; cores: {cores_origin}"),
        };
        format!("{count} thread{} of {cores} core{} ({why})", s(*count), s(*cores))
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
        let threads = Threads::of(asked, here, number);
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
