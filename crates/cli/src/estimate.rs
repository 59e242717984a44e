//! `--dry-run`: what a work will take, in words and as JSON.

use cei_run::estimate::Estimate;
use serde::Serialize;

use crate::output::{self, number, to_stdout};
use crate::progress::about;
use crate::threads::Threads;

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    dry_run: bool,
    #[serde(flatten)]
    estimate: &'a Estimate,
    threads: Threads,
    /// Bytes in memory at most; none where the system does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<u64>,
}

/// Prints what a work will take.
pub(crate) fn tell(estimate: &Estimate, json: bool) -> anyhow::Result<()> {
    // What was tried has had most of what the work will have.
    let memory_bytes = peak_bytes().map(|bytes| bytes + estimate.more_bytes as u64);
    let threads = Threads::used();
    if json {
        return output::json(&Report { dry_run: true, estimate, threads, memory_bytes });
    }
    let Estimate {
        rows, steps, of, seconds, preparation_seconds, tried_steps, tried_seconds, ..
    } = estimate;
    let mut text = format!("nothing is written: this is a dry run\nrows: {rows}");
    if *of != "events" {
        text.push_str(&format!("; steps: {steps} {of}"));
    }
    text.push_str(&format!(
        "\ntime: {} ({} s), {} s of them for what comes before the first of the {of}",
        about(*seconds),
        number(*seconds, 3),
        number(*preparation_seconds, 2)
    ));
    if let Some(caveat) = estimate.caveat {
        text.push_str(&format!("; for {caveat}"));
    }
    if let Some(bytes) = memory_bytes {
        text.push_str(&format!("\nmemory: about {} MB at most", number(bytes as f64 / 1e6, 2)));
    }
    text.push_str(&format!("\nwhat computes: {}", threads.in_words()));
    text.push_str(&format!(
        "\nfound by trying {tried_steps} {of} for {} s; within a factor of two, if the machine is as busy as now",
        number(*tried_seconds, 2)
    ));
    to_stdout(&text);
    Ok(())
}

/// The most memory that this process has had at once, in bytes.
#[cfg(unix)]
fn peak_bytes() -> Option<u64> {
    use nix::sys::resource::{UsageWho, getrusage};
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    // Apple counts bytes, all others kilobytes.
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    Some(u64::try_from(usage.max_rss()).ok()? * unit)
}

/// Other systems are not asked.
#[cfg(not(unix))]
fn peak_bytes() -> Option<u64> {
    None
}
