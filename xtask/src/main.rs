//! Development tasks: what CI runs, the boundaries, and the studies, which are built and called.
//!
//! **Nothing here links a crate of the workspace**, so that a task begins at once: tasks invoke `cargo` and the
//! programs that it has built.

mod book;
mod cargo;
mod checks;
mod circles;
mod python;
mod references;
mod studies;
mod tidy;
mod tools;
mod vulkan;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::studies::{Arguments, Study};

/// Development tasks of cei.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
#[command(
    after_help = "`cargo xtask TASK --help` says more; that of a study is known once it is built."
)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Simulate the data sets into data/generated
    #[command(disable_help_flag = true)]
    Prepare(Arguments),
    /// Simulate, train, evaluate and report: everything from nothing to RESULTS.md
    #[command(disable_help_flag = true)]
    Reproduce(Arguments),
    /// Time training, drawing, simulating and loading, beside PyTorch and JAX if asked
    #[command(disable_help_flag = true)]
    Bench(Arguments),
    /// Train on problems with known posteriors, beside the published figures, into docs/inference-bench.md
    #[command(disable_help_flag = true)]
    InferenceBench(Arguments),
    /// Train the spline flow with one part changed at a time, into docs/ablation.md
    #[command(disable_help_flag = true)]
    Ablation(Arguments),
    /// Train spline flows on the problems of `inference-bench` with LU, permutations or flips, into docs/ablation.md
    #[command(disable_help_flag = true)]
    Mixing(Arguments),
    /// Train on CHBrClF scrambled in a sphere, and refine, into docs/chbrclf.md (well over an hour)
    #[command(disable_help_flag = true)]
    Chbrclf(Arguments),
    /// Prove that crates know only what they may know, and that every page and section that is named exists
    Tidy,
    /// Build the guide from docs/ with mdBook, and check its links
    Book,
    /// Build the wheel of the Python package, and run its tests in an environment of their own
    Python,
    /// Test the device `vulkan` on a software device (Debian: mesa-vulkan-drivers, libvulkan1)
    Vulkan,
    /// Everything that CI checks
    Ci {
        /// Leave out `cargo test`, for a caller that has run it
        #[arg(long)]
        no_test: bool,
    },
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Prepare(args) => Study::of_cei("prepare").run(&args),
        Task::Reproduce(args) => Study::of_cei("reproduce").run(&args),
        Task::Bench(args) => Study::of_both("bench").run(&args),
        Task::InferenceBench(args) => Study::of_both("inference-bench").run(&args),
        Task::Ablation(args) => Study::of_cei("ablation").run(&args),
        Task::Mixing(args) => Study::of_both("mixing").run(&args),
        Task::Chbrclf(args) => Study::of_cei("chbrclf").run(&args),
        Task::Tidy => tidy::tidy(&workspace_root()).map(|()| ExitCode::SUCCESS),
        Task::Book => tools::programs()
            .and_then(|programs| book::build(&programs))
            .map(|()| ExitCode::SUCCESS),
        Task::Python => python::check().map(|()| ExitCode::SUCCESS),
        Task::Vulkan => vulkan::check().map(|()| ExitCode::SUCCESS),
        Task::Ci { no_test } => checks::ci(no_test),
    };
    result.unwrap_or_else(|error| {
        say(&format!("error: {error:#}"));
        ExitCode::FAILURE
    })
}

/// Folder of the workspace: of the one that `cargo` runs this in, where one of several checkouts built it.
pub(crate) fn workspace_root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// A line for whoever runs the task.
pub(crate) fn say(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
