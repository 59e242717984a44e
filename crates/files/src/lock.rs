//! A lock against a second process, held by the operating system: when its process ends, however it ends, the
//! lock is free, and the file that is left of it means nothing.
//!
//! On a network file system without locks only the file itself is left to go by: it names host and process, and
//! has to be removed by hand when that process was killed.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::FileError;
use crate::atomic::{Listed, is_linked};
use crate::place::folder_of;

/// How often, and how long apart, a lock is tried: a look of [`holder`] or [`crate::sweep`] holds it for a moment.
const TRIES: usize = 25;
const PAUSE: Duration = Duration::from_millis(10);

/// The right to write something, until it is dropped.
#[derive(Debug)]
pub struct Lock {
    /// Removes the file while it is still locked, so that nobody locks a file without a name.
    _listed: Listed,
    _file: File,
}

/// The name of the lock of `path`, which is a folder or a file: inside of the one, beside the other.
fn lock_path(path: &Path) -> PathBuf {
    if path.is_dir() {
        return path.join(".cei-folder.lock");
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    folder_of(path).join(format!(".cei-{name}.lock"))
}

impl Lock {
    /// Takes the lock of a folder (which exists) or a file (which need not).
    ///
    /// # Errors
    /// Another process has it; the folder cannot be written.
    pub fn acquire(path: &Path) -> Result<Self, FileError> {
        let lock = lock_path(path);
        let io = |source| FileError::Io { path: path.to_owned(), source };
        let mut holder = String::new();
        for _ in 0..TRIES {
            let mut file = open(&lock).map_err(|source| match source.kind() {
                io::ErrorKind::NotFound => {
                    FileError::NoFolder { path: path.to_owned(), folder: folder_of(&lock) }
                }
                _ => io(source),
            })?;
            holder.clear();
            // Who holds it is for the message alone.
            let _ = file.read_to_string(&mut holder);
            let free = match file.try_lock() {
                Ok(()) if is_linked(&file) => true,
                // Removed by the one who had it before: the next file of this name is another one.
                Ok(()) => continue,
                Err(TryLockError::WouldBlock) => false,
                Err(TryLockError::Error(_)) => holder.trim().is_empty(),
            };
            if free {
                let listed = Listed::new(&lock);
                // A lock of another user that is left over can be taken, but not be written.
                let _ = file
                    .set_len(0)
                    .and_then(|()| file.rewind())
                    .and_then(|()| file.write_all(this_process().as_bytes()));
                return Ok(Self { _listed: listed, _file: file });
            }
            std::thread::sleep(PAUSE);
        }
        Err(FileError::Held { path: path.to_owned(), lock, holder: in_words(&holder) })
    }
}

/// Who holds the lock of a folder or file, in words; none if it is free.
pub fn holder(path: &Path) -> Option<String> {
    let mut file = File::open(lock_path(path)).ok()?;
    let mut holder = String::new();
    let read = file.read_to_string(&mut holder).is_ok();
    match file.try_lock_shared() {
        Ok(()) => None,
        Err(TryLockError::WouldBlock) => Some(in_words(&holder)),
        Err(TryLockError::Error(_)) => {
            (read && !holder.trim().is_empty()).then(|| in_words(&holder))
        }
    }
}

fn open(lock: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.open(lock).or_else(|error| File::open(lock).map_err(|_| error))
}

fn in_words(holder: &str) -> String {
    let holder = holder.trim();
    if holder.is_empty() { "another process".to_owned() } else { holder.to_owned() }
}

fn this_process() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok());
    let host = host.map_or_else(String::new, |host| format!(" on {}", host.trim()));
    format!("process {}{host}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn a_lock_is_held_once_and_leaves_nothing() -> TestResult {
        let folder = tempfile::tempdir()?;
        for path in [folder.path().to_owned(), folder.path().join("out.csv")] {
            assert_eq!(holder(&path), None);
            let lock = Lock::acquire(&path)?;
            let told = Lock::acquire(&path).unwrap_err().to_string();
            let own = format!("process {}", std::process::id());
            assert!(told.contains(&own), "{told}");
            assert!(holder(&path).is_some_and(|holder| holder.starts_with(&own)));
            drop(lock);
            assert_eq!(holder(&path), None);
            drop(Lock::acquire(&path)?);
        }
        assert_eq!(std::fs::read_dir(folder.path())?.count(), 0);
        Ok(())
    }

    /// What a killed process leaves is a file that nobody has locked.
    #[test]
    fn the_lock_of_a_dead_process_is_free() -> TestResult {
        let folder = tempfile::tempdir()?;
        std::fs::write(lock_path(folder.path()), "process 1 on elsewhere")?;
        assert_eq!(holder(folder.path()), None);
        let lock = Lock::acquire(folder.path())?;
        assert!(holder(folder.path()).is_some());
        drop(lock);
        assert_eq!(std::fs::read_dir(folder.path())?.count(), 0);
        Ok(())
    }
}
