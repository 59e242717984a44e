//! The extension `cei._cei`: pipelines, posteriors and tables of `cei-run` for the Python package `cei`, whose modules
//! (`python/cei`) give them names, defaults and documentation. The command `cei` of the wheel begins here too.
//!
//! | in | is |
//! | --- | --- |
//! | `posterior` | a trained run: draws, densities, refinement |
//! | `pipelines` | simulate, explode, train, evaluate, calibrate |
//! | `arrays` | arrays of numpy |
//! | `tables` | tables of other libraries, and files of them |
//! | `configuration` | presets, files and dictionaries as configurations |
//! | `watch` | progress, warnings and Ctrl-C while Python's lock is released |
//! | `failure` | errors as exceptions, in the words of the command line |

#![allow(missing_docs, reason = "what is public is documented where Python sees it")]
#![allow(clippy::too_many_arguments, reason = "they have names in Python")]

mod arrays;
mod configuration;
mod failure;
mod pipelines;
mod posterior;
mod tables;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use pyo3::prelude::*;

/// Runs the command `cei` with these arguments, whose first is its name, and gives its exit code.
#[pyfunction]
fn command(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    let code = py.detach(|| cei_cli::main(arguments));
    // An exit code does not tell its number.
    (0..=u8::MAX).find(|number| ExitCode::from(*number) == code).unwrap_or(1)
}

/// The parts of the package that are compiled.
#[pymodule]
mod _cei {
    #[pymodule_export]
    use super::command;
    #[pymodule_export]
    use super::pipelines::{calibrate, column_names, evaluate, explode, presets, simulate, train};
    #[pymodule_export]
    use super::posterior::{Measured, Posterior};
    #[pymodule_export]
    use super::tables::Table;

    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "the name that Python expects")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
