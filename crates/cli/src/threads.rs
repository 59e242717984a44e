//! How many threads compute: `--threads`, else `RAYON_NUM_THREADS`, else as many as the process may use at once, by its
//! set of processors and the CPU limit of its cgroup. No result depends on it.

use anyhow::Context as _;
use rayon::ThreadPoolBuilder;
use serde::Serialize;

use crate::output::to_stderr;

/// Read by Rayon itself where no number is given.
const VARIABLE: &str = "RAYON_NUM_THREADS";

/// Begins the threads that compute, if their number is given; otherwise they begin when they are needed.
pub(crate) fn begin(asked: Option<u16>) -> anyhow::Result<()> {
    let Some(count) = asked else {
        if let Some(value) = std::env::var_os(VARIABLE).filter(|_| of_environment().is_none()) {
            to_stderr(&format!(
                "warning: {VARIABLE} is `{}`, which is no number of threads, and does not count",
                value.display()
            ));
        }
        return Ok(());
    };
    let pool = ThreadPoolBuilder::new().num_threads(usize::from(count)).build_global();
    pool.with_context(|| format!("{count} threads cannot be begun\nhint: give fewer `--threads`"))
}

/// How many threads compute, and why.
#[derive(Serialize)]
pub(crate) struct Threads {
    pub(crate) count: usize,
    pub(crate) origin: &'static str,
}

impl Threads {
    /// Of this process, where this many are asked for.
    pub(crate) fn of(asked: Option<u16>) -> Self {
        let origin = match (asked, of_environment()) {
            (Some(_), _) => "--threads",
            (None, Some(_)) => VARIABLE,
            (None, None) => "what the process may use at once",
        };
        Self { count: rayon::current_num_threads(), origin }
    }
}

/// The number in the environment; none where it says nothing.
fn of_environment() -> Option<usize> {
    std::env::var(VARIABLE).ok()?.parse().ok().filter(|count| *count > 0)
}
