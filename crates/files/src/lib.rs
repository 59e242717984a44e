//! The one place that writes files. A file appears under its name whole, synced and with the mode that the
//! user's umask gives, or not at all; what a killed process left behind is removed by the next one.
//!
//! | to | call |
//! | --- | --- |
//! | write a small file | [`write()`] |
//! | write a long one piece by piece | [`AtomicFile`] |
//! | keep for a while what does not fit into memory | [`nameless`] |
//! | keep a second process out | [`Lock`] |
//! | remove what dead processes left in a folder | [`sweep`] |
//! | remove what this process has not finished, before it ends | [`remove_unfinished`] |
//! | refuse results in the place of inputs or of each other | [`check_outputs`] |
//! | notice damage | [`sha256`], [`sha256_of_file`], [`sealed`], [`seal_of`] |
//! | name a path in a command that is to be pasted into a shell | [`quoted`] |

mod atomic;
mod digest;
mod error;
mod lock;
mod outputs;
mod place;
mod quoted;

pub use atomic::{AtomicFile, nameless, remove_unfinished, sweep, write};
pub use digest::{Seal, Sha256, seal_of, sealed, sha256, sha256_of_file};
pub use error::FileError;
pub use lock::{Lock, holder};
pub use outputs::{check_distinct, check_outputs};
pub use quoted::quoted;
