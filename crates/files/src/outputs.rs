//! Results are refused before anything is computed, where they could not be written or would destroy something.

use std::path::{Path, PathBuf};

use crate::place::{folder_of, target_of};
use crate::{AtomicFile, FileError};

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

#[cfg(test)]
mod tests {
    use super::*;

    type TestResult = Result<(), Box<dyn std::error::Error>>;

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
}
