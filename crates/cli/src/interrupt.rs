//! Ctrl-C and its like: the first asks a training to stop after the batch under way, the second ends at once; other
//! commands end at the first, without a trace of unfinished files.

use std::sync::atomic::{AtomicBool, Ordering};

/// Exit code after an interrupt.
pub(crate) const INTERRUPTED: u8 = 130;

static STOP: AtomicBool = AtomicBool::new(false);

/// From now on an interrupt removes unfinished files.
pub(crate) fn clean_up() -> anyhow::Result<()> {
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
