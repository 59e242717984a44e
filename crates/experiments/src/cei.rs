//! Calling the `cei` binary.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};

use crate::{say, workspace_root};

/// The binary under test.
#[derive(Debug, Clone)]
pub(crate) struct Cei {
    path: PathBuf,
    /// SHA-256 of the binary: what it makes is remade when it changes.
    pub(crate) hash: String,
}

impl Cei {
    /// The given binary, or the one beside this program.
    pub(crate) fn new(given: Option<&Path>) -> anyhow::Result<Self> {
        let path = match given {
            Some(path) => std::path::absolute(path)?,
            None => beside("cei")?,
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

/// The program `name` in the folder of this one, where one build has put both.
pub(crate) fn beside(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?
        .with_file_name(name)
        .with_extension(std::env::consts::EXE_EXTENSION);
    ensure!(
        path.exists(),
        "there is no `{}`\nhint: `cargo xtask STUDY` builds what a study needs",
        path.display()
    );
    Ok(path)
}
