//! The binary `cei`.

use std::process::ExitCode;

fn main() -> ExitCode {
    cei_cli::main(std::env::args_os())
}
