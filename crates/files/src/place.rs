//! Where a file will really be, and how its name is written for a shell.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::{AtomicFile, FileError};

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

/// Refuses, before anything is computed, files that cannot be written: in the place of one that is read, two into one,
/// in a folder that is not there or must not be written.
///
/// # Errors
/// Names the file.
pub fn check_outputs(inputs: &[&Path], outputs: &[&Path]) -> Result<(), FileError> {
    check_distinct(inputs, outputs)?;
    outputs.iter().try_for_each(|output| AtomicFile::create(output).map(drop))
}

/// Refuses to write a file in the place of one that is read, or two files into one.
///
/// # Errors
/// Names the file.
pub fn check_distinct(inputs: &[&Path], outputs: &[&Path]) -> Result<(), FileError> {
    let place = |path: &Path| {
        let target = target_of(path).unwrap_or_else(|_| path.to_owned());
        let folder = folder_of(&target);
        let folder = folder.canonicalize().unwrap_or(folder);
        target.file_name().map_or_else(|| folder.clone(), |name| folder.join(name))
    };
    let mut taken: Vec<PathBuf> = inputs.iter().map(|path| place(path)).collect();
    for output in outputs {
        let own = place(output);
        if taken.contains(&own) {
            return Err(FileError::SameFile { path: output.to_path_buf() });
        }
        taken.push(own);
    }
    Ok(())
}

/// A path as one word of a POSIX shell, so that a command in a hint can be pasted.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    // A name that begins with a dash would be taken for an option.
    let text = if text.starts_with('-') { format!("./{text}") } else { text };
    match shlex::try_quote(&text) {
        Ok(word) => word.into_owned(),
        Err(_) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn what_a_shell_would_break_is_quoted() {
        let cases = [
            ("runs/a-1.csv", "runs/a-1.csv"),
            ("my runs/a", "'my runs/a'"),
            ("it's", "\"it's\""),
            ("-rf", "./-rf"),
            ("$HOME;ls", "'$HOME;ls'"),
        ];
        for (path, word) in cases {
            let found = quoted(Path::new(path));
            assert_eq!(found, word);
            // However it is quoted, a shell reads the path again.
            let path = path.strip_prefix('-').map_or(path.to_owned(), |_| format!("./{path}"));
            assert_eq!(shlex::split(&found), Some(vec![path]));
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_do_not_hide_that_two_results_are_one() -> TestResult {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink("a.csv", at("link.csv"))?;
        let same = |inputs: &[&Path], outputs: &[&Path]| {
            matches!(check_outputs(inputs, outputs), Err(FileError::SameFile { .. }))
        };
        // The link has no target yet.
        assert!(same(&[], &[&at("a.csv"), &at("link.csv")]));
        std::fs::write(at("a.csv"), "")?;
        assert!(same(&[&at("a.csv")], &[&at("link.csv")]));
        assert!(same(&[&at("a.csv")], &[&at("./a.csv")]));
        assert!(!same(&[&at("a.csv")], &[&at("b.csv")]));
        std::os::unix::fs::symlink(at("round"), at("circle"))?;
        std::os::unix::fs::symlink(at("circle"), at("round"))?;
        assert!(target_of(&at("round")).is_err());
        Ok(())
    }

    #[test]
    fn a_missing_folder_is_named_with_the_command_that_makes_it() {
        let error = target_of(Path::new("no such/out.csv")).unwrap_err().to_string();
        assert!(error.contains("there is no folder `no such`"), "{error}");
        assert!(error.contains("hint: make it with `mkdir -p 'no such'`"), "{error}");
    }
}
