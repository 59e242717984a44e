//! Calling the `cei` binary, and `cargo`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::{say, workspace_root};

/// The binary under test.
#[derive(Debug, Clone)]
pub(crate) struct Cei {
    path: PathBuf,
    /// SHA-256 of the binary: what it makes is remade when it changes.
    pub(crate) hash: String,
}

impl Cei {
    /// The given binary, or one built in release mode.
    pub(crate) fn new(given: Option<&Path>) -> anyhow::Result<Self> {
        let path = match given {
            Some(path) => std::path::absolute(path)?,
            None => build_release()?,
        };
        let bytes = std::fs::read(&path).with_context(|| format!("`{}`", path.display()))?;
        Ok(Self { hash: crate::stamp::sha256(&bytes), path })
    }

    /// Runs a command in the workspace folder, its messages on this terminal.
    pub(crate) fn run(&self, args: &[&str]) -> anyhow::Result<()> {
        say(&format!("$ cei {}", args.join(" ")));
        let status = self.command(args).stdout(Stdio::inherit()).status()?;
        if !status.success() {
            bail!("`cei {}` failed ({status})", args.join(" "));
        }
        Ok(())
    }

    /// Runs a command and gives what it prints.
    pub(crate) fn read(&self, args: &[&str]) -> anyhow::Result<String> {
        let output = self.command(args).stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            bail!("`cei {}` failed ({})", args.join(" "), output.status);
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(args).current_dir(workspace_root());
        command
    }
}

/// Whether the training of a run, or of an ensemble's first member, got as far as its first checkpoint.
pub(crate) fn has_checkpoint(run: &Path) -> bool {
    ["", "member-1"].iter().any(|member| run.join(member).join("checkpoint.safetensors").exists())
}

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

/// Folder of build results.
pub(crate) fn target_folder() -> anyhow::Result<PathBuf> {
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(workspace_root().join("Cargo.toml"))
        .no_deps()
        .exec()?;
    Ok(metadata.target_directory.into_std_path_buf())
}

fn build_release() -> anyhow::Result<PathBuf> {
    cargo(&["build", "--release", "--package", "cei-cli"], &[])?;
    let name = Path::new(OsStr::new("cei")).with_extension(std::env::consts::EXE_EXTENSION);
    Ok(target_folder()?.join("release").join(name))
}
