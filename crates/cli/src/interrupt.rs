//! Ctrl-C and its like: the first asks a training to stop after the batch under way, the second ends at once; other
//! commands end at the first, without a trace of unfinished files.

use std::sync::atomic::{AtomicBool, Ordering};

/// Exit code after an interrupt.
pub(crate) const INTERRUPTED: u8 = 130;

static STOP: AtomicBool = AtomicBool::new(false);

/// From now on an interrupt removes unfinished files. A command that was started to ignore interrupts, by `nohup` or
/// in the background of a script, goes on ignoring them.
pub(crate) fn clean_up() -> anyhow::Result<()> {
    if ignores_interrupts() {
        return Ok(());
    }
    Ok(ctrlc::set_handler(|| {
        cei_data::remove_unfinished();
        std::process::exit(i32::from(INTERRUPTED));
    })?)
}

/// Installs the handler and gives the flag that it sets.
pub(crate) fn stop_flag() -> anyhow::Result<&'static AtomicBool> {
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(INTERRUPTED));
        }
    })?;
    Ok(&STOP)
}

/// Whether hang-up (1) or interrupt (2) is ignored, where the system tells (Linux).
fn ignores_interrupts() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 0b11 != 0)
}
