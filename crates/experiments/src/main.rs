//! The studies: what README, RESULTS.md and docs publish, made by one command each. They call the `cei` and
//! `cei-bench` binaries as a user would, and read the files that these leave behind by the types that wrote them.
//!
//! `cargo xtask STUDY` builds all of them in one profile and calls this program with the arguments that it was
//! given: by itself it finds the other two in its own folder, as old as they may be.

mod ablation;
mod ambiguity;
mod bench;
mod cei;
mod chbrclf;
mod commands;
mod csv;
mod inference;
mod mixing;
mod pipeline;
mod reproduce;
mod results;
mod smoke;
mod stamp;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

/// The studies of cei.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    study: Study,
}

#[derive(Debug, Subcommand)]
enum Study {
    /// Simulate the data sets into data/generated
    Prepare(BuildArgs),
    /// Simulate, train, evaluate and report: everything from nothing to RESULTS.md
    Reproduce(BuildArgs),
    /// Time training, drawing, simulating and loading, beside PyTorch and JAX if asked
    Bench(bench::BenchArgs),
    /// Train on problems with known posteriors, beside the published figures, into docs/inference-bench.md
    InferenceBench(inference::InferenceArgs),
    /// Train the spline flow with one part changed at a time, into docs/ablation.md
    Ablation(ablation::AblationArgs),
    /// Train spline flows on the problems of `inference-bench` with LU, permutations or flips, into docs/ablation.md
    Mixing(mixing::MixingArgs),
    /// Train on CHBrClF scrambled in a sphere, and refine, into docs/chbrclf.md (well over an hour)
    Chbrclf(chbrclf::ChbrclfArgs),
    /// The quick runs of `reproduce` and `inference-bench`, and whether they made everything (for `cargo xtask ci`)
    #[command(hide = true)]
    Smoke,
}

/// How much is made, and with which binary.
#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// A smoke run of about two minutes, into runs/quick: small tables, few epochs, same code path
    #[arg(long)]
    quick: bool,
    /// Use this `cei` binary instead of building one
    #[arg(long, value_name = "FILE")]
    cei: Option<PathBuf>,
}

fn main() -> ExitCode {
    let result = match Cli::parse().study {
        Study::Prepare(args) => reproduce::prepare(&args),
        Study::Reproduce(args) => reproduce::reproduce(&args),
        Study::Bench(args) => bench::bench(&args),
        Study::InferenceBench(args) => inference::inference_bench(&args),
        Study::Ablation(args) => ablation::ablation(&args),
        Study::Mixing(args) => mixing::mixing(&args),
        Study::Chbrclf(args) => chbrclf::chbrclf(&args),
        Study::Smoke => smoke::smoke(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Folder of the workspace: of the one that `cargo` runs this in, where one of several checkouts built it.
pub(crate) fn workspace_root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let root = package.ancestors().find(|folder| folder.join("Cargo.lock").exists());
    root.map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// Replaces what stands between the lines `<!-- NAME: begin -->` and `<!-- NAME: end -->` of a page.
pub(crate) fn write_between_markers(page: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let old = std::fs::read_to_string(page).with_context(|| format!("`{}`", page.display()))?;
    let missing = |line: &str| format!("`{}` has no line `{}`", page.display(), line.trim());
    let (before, rest) = old.split_once(&begin).with_context(|| missing(&begin))?;
    let (_, after) = rest.split_once(&end).with_context(|| missing(&end))?;
    Ok(std::fs::write(page, format!("{before}{begin}{text}{end}{after}"))?)
}

/// A line for whoever runs the study.
pub(crate) fn say(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
