//! Ctrl-C and its like: the first asks a training to stop after the batch under way, a second Ctrl-C ends at once; other
//! commands end at the first, without a trace of unfinished files. A signal that was ignored when the command began,
//! by `nohup` or in the background of a script, stays ignored.
//!
//! Batch systems ask by other signals, which may come to a process twice: from them, and from the script that runs it. A
//! repetition asks for nothing new; SIGKILL is theirs for what does not end.

use std::sync::atomic::{AtomicBool, Ordering};

/// Exit code after an interrupt.
pub(crate) const INTERRUPTED: u8 = 130;

static STOP: AtomicBool = AtomicBool::new(false);

/// From now on an interrupt removes unfinished files and ends the program.
pub(crate) fn clean_up() -> anyhow::Result<()> {
    on_signal(|_| end())
}

/// From now on a first interrupt sets [`stop_flag`], and Ctrl-C after it ends the program.
pub(crate) fn stop_at_signals() -> anyhow::Result<()> {
    on_signal(|by_hand| {
        if STOP.swap(true, Ordering::Relaxed) && by_hand {
            end();
        }
    })
}

/// Whether the program was asked to stop.
pub(crate) fn stop_flag() -> &'static AtomicBool {
    &STOP
}

fn end() {
    cei_files::remove_unfinished();
    std::process::exit(i32::from(INTERRUPTED));
}

/// Calls `react`, on a thread of its own, at every interrupt, termination, hang-up and warning of a time limit (`SIGUSR1`) that is not
/// ignored, with whether it is Ctrl-C. They are blocked in this thread and in those that it begins, so this comes first in
/// a program.
#[cfg(unix)]
fn on_signal(react: impl Fn(bool) + Send + 'static) -> anyhow::Result<()> {
    use nix::sys::signal::{SigSet, Signal};
    let ignored = ignored_signals();
    let all = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM, Signal::SIGUSR1];
    let heeded: SigSet = all.into_iter().filter(|signal| !ignored(*signal as i32)).collect();
    heeded.thread_block()?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        while let Ok(signal) = heeded.wait() {
            react(signal == Signal::SIGINT);
        }
    })?;
    Ok(())
}

/// Other systems end the program without asking; what it leaves is removed by the next command.
#[cfg(not(unix))]
fn on_signal(_: impl Fn(bool) + Send + 'static) -> anyhow::Result<()> {
    Ok(())
}

/// Which signals are ignored, where the system tells (Linux).
#[cfg(unix)]
fn ignored_signals() -> impl Fn(i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    // Bit 0 is signal 1.
    move |signal| mask >> (signal - 1) & 1 == 1
}
