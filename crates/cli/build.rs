//! Tells the program which commit it is built of, for `cei --version`: nothing where the sources are no checkout, or where
//! there is no git. Another commit compiles this crate anew, and nothing that it is made of.

#![allow(clippy::print_stdout, reason = "cargo is told by what is printed")]

use std::path::Path;
use std::process::Command;

/// Letters of the name of a commit: no two of this project share as many.
const LETTERS: &str = "--short=10";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The log of HEAD grows with every commit and checkout. What does not exist must not be named: cargo would run this
    // script every time.
    for name in ["logs/HEAD", "HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name])
            && Path::new(&path).exists()
        {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    // A folder of sources within a checkout of something else is not of that commit.
    if git(&["ls-files", "--error-unmatch", "build.rs"]).is_none() {
        return;
    }
    let (Some(commit), Some(date)) =
        (git(&["rev-parse", LETTERS, "HEAD"]), git(&["show", "-s", "--format=%cs", "HEAD"]))
    else {
        return;
    };
    println!("cargo::rustc-env=CEI_COMMIT={commit} {date}");
}

/// What git prints; none if it is not there, or fails.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.trim();
    (output.status.success() && !line.is_empty()).then(|| line.to_owned())
}
