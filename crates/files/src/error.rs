//! What can prevent a file from being written.

use std::path::PathBuf;

use thiserror::Error;

use crate::quoted::quoted;

/// A file that cannot be written, or must not be.
#[derive(Debug, Error)]
pub enum FileError {
    /// The folder of the file does not exist.
    #[error("`{}` cannot be written: there is no folder `{}`\nhint: make it with `mkdir -p {}`", path.display(), folder.display(), quoted(folder))]
    NoFolder {
        /// The file.
        path: PathBuf,
        /// The folder that is missing.
        folder: PathBuf,
    },
    /// Something stands there that is no file.
    #[error("`{}` cannot be written: {what} of that name is there already\nhint: choose another name", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
        /// What stands there.
        what: &'static str,
    },
    /// A file would be written in the place of another.
    #[error("`{}` would be written in the place of a file that is read or of another result\nhint: give every result a name of its own", path.display())]
    SameFile {
        /// The file to be written.
        path: PathBuf,
    },
    /// Another process is at work there.
    #[error("`{}` is being written by another command ({holder})\nhint: wait until it has ended, or choose another place with `-o`; should no such process live any more, remove `{}`", path.display(), lock.display())]
    Held {
        /// What is being written.
        path: PathBuf,
        /// The lock.
        lock: PathBuf,
        /// Who holds it, in words.
        holder: String,
    },
    /// The operating system refused.
    #[error("`{}` cannot be written: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
