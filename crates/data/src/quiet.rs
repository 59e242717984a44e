//! Panics of a decoder, turned into nothing: damaged bytes provoke them in code that is not ours, and their
//! text on the screen helps nobody. The decoders use threads of their own, so the hook asks a counter
//! and not the thread.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

static DECODING: AtomicUsize = AtomicUsize::new(0);
static HOOK: Once = Once::new();

/// What the decoder returns; none if it panics, of which nothing is printed.
pub(crate) fn catch<T>(decode: impl FnOnce() -> T) -> Option<T> {
    HOOK.call_once(|| {
        let printing = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if DECODING.load(Ordering::Acquire) == 0 {
                printing(info);
            }
        }));
    });
    DECODING.fetch_add(1, Ordering::AcqRel);
    let decoded = panic::catch_unwind(AssertUnwindSafe(decode));
    DECODING.fetch_sub(1, Ordering::AcqRel);
    decoded.ok()
}
