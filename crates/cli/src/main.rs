//! The binary `cei`.

use std::process::ExitCode;

fn main() -> ExitCode {
    cei_cli::program()
}
