//! Where a file will really be.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::FileError;

/// Links that are followed at most, as on Linux.
const MOST_LINKS: usize = 40;

/// The file that writing `path` replaces: the end of its symbolic links, which may not exist yet.
///
/// # Errors
/// A folder or a device stands there; the folder of the file does not exist; links in a circle.
pub(crate) fn target_of(path: &Path) -> Result<PathBuf, FileError> {
    let io = |source| FileError::Io { path: path.to_owned(), source };
    let mut target = path.to_owned();
    for _ in 0..MOST_LINKS {
        let found = match std::fs::symlink_metadata(&target) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let folder = folder_of(&target);
                if !folder.is_dir() {
                    return Err(FileError::NoFolder { path: path.to_owned(), folder });
                }
                return Ok(target);
            }
            Err(source) => return Err(io(source)),
        };
        if found.is_symlink() {
            // An absolute link takes the place of the folder.
            target = folder_of(&target).join(std::fs::read_link(&target).map_err(io)?);
        } else if found.is_file() {
            return Ok(target);
        } else {
            let what = if found.is_dir() { "a folder" } else { "something that is no file" };
            return Err(FileError::NotAFile { path: path.to_owned(), what });
        }
    }
    Err(io(std::io::Error::other("its symbolic links have no end")))
}

/// The folder in which a file stands.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_folder_is_named_with_the_command_that_makes_it() {
        let error = target_of(Path::new("no such/out.csv")).unwrap_err().to_string();
        assert!(error.contains("there is no folder `no such`"), "{error}");
        assert!(error.contains("hint: make it with `mkdir -p 'no such'`"), "{error}");
    }
}
