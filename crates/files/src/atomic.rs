//! Files that appear whole or not at all.
//!
//! A file is written under the name `.cei-XXXXXX.partial` beside its target, synced, and renamed. While it is
//! written its process holds a lock of the operating system on it, so that one that is not locked belongs to a
//! process that was killed.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::NamedTempFile;

use crate::FileError;
use crate::digest::sha256_of_file;
use crate::place::{folder_of, target_of};

/// Names of files that are being written, and of locks.
const PREFIX: &str = ".cei-";
const PARTIAL: &str = ".partial";
const LOCK: &str = ".lock";
/// Random characters of the name.
const RANDOM: usize = 6;
/// How often a name is tried, should another process remove it before it is locked.
const TRIES: usize = 20;

/// Files of this process that are not finished. An interrupt ends it without dropping anything.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Folders that this process has swept.
static SWEPT: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Removes the unfinished files and the locks of this process, before an interrupt ends it.
pub fn remove_unfinished() {
    // Removing what cannot be removed is no reason not to end.
    for path in locked(&UNFINISHED).drain(..) {
        let _ = std::fs::remove_file(path);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file on the list of those that must not outlive this process; removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Listed(PathBuf);

impl Listed {
    pub(crate) fn new(path: &Path) -> Self {
        locked(&UNFINISHED).push(path.to_owned());
        Self(path.to_owned())
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        locked(&UNFINISHED).retain(|path| *path != self.0);
        // A file that has its name by now is not there any more.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A file that is being written. Dropped before [`AtomicFile::commit`], it leaves nothing behind.
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    target: PathBuf,
    listed: Listed,
    temporary: NamedTempFile,
}

impl AtomicFile {
    /// Begins the file that is to be at `path`, in the place of an older one; where `path` is a symbolic link it
    /// stays one, and what it leads to is replaced. What dead processes left in the folder is removed.
    ///
    /// # Errors
    /// The folder does not exist or cannot be written; a folder or a device stands there.
    pub fn create(path: &Path) -> Result<Self, FileError> {
        let target = target_of(path)?;
        let folder = folder_of(&target);
        if locked(&SWEPT).insert(folder.clone()) {
            sweep(&folder);
        }
        let io = |source| FileError::Io { path: path.to_owned(), source };
        for _ in 0..TRIES {
            let temporary = builder().tempfile_in(&folder).map_err(io)?;
            match temporary.as_file().try_lock() {
                Ok(()) if is_linked(temporary.as_file()) => {}
                // A file system without locks: nobody will take the file for left over.
                Err(TryLockError::Error(_)) => {}
                // Another process has taken it for left over, between the two lines above.
                Ok(()) | Err(TryLockError::WouldBlock) => continue,
            }
            let listed = Listed::new(temporary.path());
            return Ok(Self { path: path.to_owned(), target, listed, temporary });
        }
        Err(io(io::Error::other("its temporary file is removed again and again")))
    }

    /// The open file.
    pub fn file(&self) -> &File {
        self.temporary.as_file()
    }

    /// SHA-256 of what is written so far, in hexadecimal.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn sha256(&self) -> Result<String, FileError> {
        sha256_of_file(self.temporary.path()).map_err(|source| self.failed(source))
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// A full disk.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.temporary.as_file_mut().write_all(bytes).map_err(|source| self.failed(source))
    }

    /// Syncs the file and gives it its name.
    ///
    /// # Errors
    /// A full disk; the name has become that of a folder. An older file is then untouched.
    pub fn commit(self) -> Result<(), FileError> {
        let Self { path, target, listed, temporary } = self;
        let failed = |source| FileError::Io { path: path.clone(), source };
        temporary.as_file().sync_all().map_err(failed)?;
        temporary.persist(&target).map_err(|error| failed(error.error))?;
        drop(listed);
        Ok(())
    }

    fn failed(&self, source: io::Error) -> FileError {
        FileError::Io { path: self.path.clone(), source }
    }
}

/// A file without a name on the disk of `folder`, to be written and read again; it is gone with what it is returned as.
///
/// # Errors
/// The folder cannot be written to.
pub fn nameless(folder: &Path) -> std::io::Result<File> {
    tempfile::tempfile_in(folder)
}

/// Writes a file whole, as [`AtomicFile`] does.
///
/// # Errors
/// The folder does not exist or cannot be written; a full disk; a folder or a device stands there.
///
/// ```
/// let file = std::env::temp_dir().join(format!("cei-files-{}.txt", std::process::id()));
/// cei_files::write(&file, b"whole")?;
/// assert_eq!(std::fs::read(&file)?, b"whole");
/// # std::fs::remove_file(&file)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes)?;
    file.commit()
}

/// Removes the unfinished files and the locks in a folder that no living process owns. Where that cannot be
/// known, or the folder not be written, they stay.
pub fn sweep(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_str().is_some_and(is_ours);
        if ours && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            remove_orphan(&entry.path());
        }
    }
}

fn is_ours(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else { return false };
    match rest.strip_suffix(PARTIAL) {
        Some(random) => random.len() == RANDOM && random.bytes().all(|b| b.is_ascii_alphanumeric()),
        None => rest.ends_with(LOCK),
    }
}

fn remove_orphan(path: &Path) {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    let Ok(file) = opened.or_else(|_| File::open(path)) else { return };
    // Of a living process it is locked, or has just been renamed.
    if file.try_lock().is_ok() && is_linked(&file) {
        let _ = std::fs::remove_file(path);
    }
}

/// Whether an open file still has a name.
#[cfg(unix)]
pub(crate) fn is_linked(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    file.metadata().is_ok_and(|metadata| metadata.nlink() > 0)
}

/// Whether an open file still has a name: elsewhere open files cannot be removed.
#[cfg(not(unix))]
pub(crate) fn is_linked(_: &File) -> bool {
    true
}

fn builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(PARTIAL).rand_bytes(RANDOM);
    // Temporary files are private by default; results are ordinary files, as the umask wants them.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    fn names(folder: &Path) -> io::Result<Vec<String>> {
        let names = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name()));
        let mut names = names
            .map(|name: io::Result<_>| Ok(name?.to_string_lossy().into_owned()))
            .collect::<io::Result<Vec<String>>>()?;
        names.sort();
        Ok(names)
    }

    #[test]
    fn a_file_appears_whole_or_not_at_all() -> TestResult {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.txt");
        write(&path, b"old")?;
        let mut file = AtomicFile::create(&path)?;
        file.write_all(b"ne")?;
        drop(file);
        assert_eq!((std::fs::read(&path)?, names(folder.path())?.len()), (b"old".to_vec(), 1));
        write(&path, b"new")?;
        assert_eq!((std::fs::read(&path)?, names(folder.path())?.len()), (b"new".to_vec(), 1));
        Ok(())
    }

    #[test]
    fn only_what_no_living_process_owns_is_swept() -> TestResult {
        let folder = tempfile::tempdir()?;
        let alive = AtomicFile::create(&folder.path().join("a.csv"))?;
        let others = [".cei-ab12.partial", ".cei-abcdef.csv", ".tmpABCDEF", "x.partial", "a.lock"];
        for name in others.iter().chain(&[".cei-aB3dE6.partial", ".cei-a.csv.lock"]) {
            std::fs::write(folder.path().join(name), "")?;
        }
        std::fs::create_dir(folder.path().join(".cei-folder.partial"))?;
        sweep(folder.path());
        let left = names(folder.path())?;
        assert!(others.iter().all(|name| left.contains(&(*name).to_owned())), "{left:?}");
        assert_eq!(left.len(), others.len() + 2, "{left:?}");
        alive.commit()?;
        assert!(folder.path().join("a.csv").exists());
        Ok(())
    }

    #[test]
    fn a_folder_in_the_place_of_the_file_is_told() -> TestResult {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("a.csv");
        std::fs::create_dir(&path)?;
        let told = write(&path, b"").unwrap_err().to_string();
        assert!(told.contains("a folder of that name is there already"), "{told}");
        Ok(())
    }

    /// The mode is that of a file that a shell's `>` makes.
    #[cfg(unix)]
    #[test]
    fn the_mode_follows_the_umask() -> TestResult {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir()?;
        let [ours, plain] = ["ours", "plain"].map(|name| folder.path().join(name));
        write(&ours, b"")?;
        File::create(&plain)?;
        let mode = |path| Ok::<_, io::Error>(std::fs::metadata(path)?.permissions().mode());
        assert_eq!(mode(&ours)?, mode(&plain)?);
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_and_its_target_is_replaced() -> TestResult {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("disk"))?;
        std::os::unix::fs::symlink("disk/real.csv", at("link.csv"))?;
        for content in ["first", "second"] {
            write(&at("link.csv"), content.as_bytes())?;
            assert!(std::fs::symlink_metadata(at("link.csv"))?.is_symlink());
            assert_eq!(std::fs::read_to_string(at("disk/real.csv"))?, content);
        }
        assert_eq!(names(folder.path())?, ["disk", "link.csv"]);
        Ok(())
    }
}
