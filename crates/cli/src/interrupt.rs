//! Ctrl-C: the first asks the training to stop after the batch under way, the second ends at once.

use std::sync::atomic::{AtomicBool, Ordering};

/// Exit code after an interrupt.
pub(crate) const INTERRUPTED: u8 = 130;

static STOP: AtomicBool = AtomicBool::new(false);

/// Installs the handler and gives the flag that it sets.
pub(crate) fn stop_flag() -> anyhow::Result<&'static AtomicBool> {
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(INTERRUPTED));
        }
    })?;
    Ok(&STOP)
}
