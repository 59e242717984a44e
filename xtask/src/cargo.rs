//! Calling `cargo`, and finding what it has built.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::bail;

use crate::{say, workspace_root};

/// Runs cargo in the workspace folder.
pub(crate) fn cargo(args: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<()> {
    say(&format!("$ cargo {}", args.join(" ")));
    let status = Command::new(cargo_path())
        .args(args)
        .envs(environment.iter().copied())
        .current_dir(workspace_root())
        .status()?;
    if !status.success() {
        bail!("`cargo {}` failed ({status})", args.join(" "));
    }
    Ok(())
}

/// The cargo that runs this task.
pub(crate) fn cargo_path() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

/// The program that cargo built in a profile, which names its folder.
pub(crate) fn built(profile: &str, program: &str) -> anyhow::Result<PathBuf> {
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(workspace_root().join("Cargo.toml"))
        .no_deps()
        .exec()?;
    let folder = metadata.target_directory.into_std_path_buf().join(profile);
    Ok(folder.join(Path::new(program).with_extension(std::env::consts::EXE_EXTENSION)))
}
