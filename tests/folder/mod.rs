//! A folder in which an end-to-end test runs commands; tests add methods of their own.

#![allow(dead_code, reason = "each test is a program of its own, and needs a part of this")]

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) type TestResult<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// A folder that is removed in the end.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn empty() -> std::io::Result<Self> {
        Ok(Self(tempfile::tempdir()?))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> std::io::Result<()> {
        std::fs::write(self.path(name), content)
    }

    pub(crate) fn read(&self, name: &str) -> std::io::Result<String> {
        std::fs::read_to_string(self.path(name))
    }

    /// Names of what is in it, in order.
    pub(crate) fn names(&self) -> std::io::Result<Vec<String>> {
        let names = std::fs::read_dir(self.path(""))?;
        let mut names = names
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<std::io::Result<Vec<String>>>()?;
        names.sort();
        Ok(names)
    }

    /// The command `cei` with these space-separated arguments.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cei"));
        command.args(arguments.split_whitespace()).current_dir(self.0.path());
        command
    }

    /// The same, run to its end.
    pub(crate) fn cei(&self, arguments: &str) -> std::io::Result<Output> {
        self.command(arguments).output()
    }

    /// Standard output and standard error of a command that must succeed.
    pub(crate) fn run(&self, arguments: &str) -> TestResult<(String, String)> {
        let output = self.cei(arguments)?;
        let told = String::from_utf8(output.stderr)?;
        assert!(output.status.success(), "{arguments}: {told}");
        Ok((String::from_utf8(output.stdout)?, told))
    }

    /// Standard error of a command that must succeed.
    pub(crate) fn told(&self, arguments: &str) -> TestResult<String> {
        Ok(self.run(arguments)?.1)
    }

    /// Simulates 4,000 events of wide OCS, charges 2 and 1 a.u. of noise but for `options`, as `NAME.csv`, and trains a small
    /// flow on them in the folder `run`.
    pub(crate) fn small_run(&self, run: &str, name: &str, options: &str) -> TestResult {
        let simulate = "simulate --preset ocs-wide --events 4000 --seed 1";
        self.run(&format!("{simulate} {options} -o {name}.csv"))?;
        self.run(&format!(
            "train --preset wide-cinn --data {name}.csv --set model.hidden=[32,32] --set model.couplings=6 \
             --set training.max_epochs=6 -o {run} --quiet"
        ))?;
        Ok(())
    }

    /// The JSON object that a command prints.
    pub(crate) fn json(&self, arguments: &str) -> TestResult<Value> {
        Ok(serde_json::from_str(&self.run(arguments)?.0)?)
    }

    /// The message of a command that must fail.
    pub(crate) fn fails(&self, arguments: &str) -> TestResult<String> {
        let output = self.cei(arguments)?;
        assert!(!output.status.success(), "{arguments}");
        Ok(String::from_utf8(output.stderr)?)
    }

    /// The message of a command that must fail with this exit code, having printed nothing.
    pub(crate) fn fails_with(&self, code: i32, arguments: &str) -> TestResult<String> {
        let output = self.cei(arguments)?;
        let told = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(code), "{arguments}: {told}");
        assert!(output.stdout.is_empty(), "{arguments}");
        Ok(told)
    }

    /// The cells of a column of a CSV file, by its name.
    pub(crate) fn column(&self, file: &str, name: &str) -> TestResult<Vec<String>> {
        let text = self.read(file)?;
        let mut lines = text.lines();
        let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
        let place = header.iter().position(|column| *column == name);
        let place = place.ok_or_else(|| format!("{file} has no `{name}`: {header:?}"))?;
        Ok(lines.map(|line| line.split(',').nth(place).unwrap_or_default().to_owned()).collect())
    }

    /// The same as numbers.
    pub(crate) fn numbers(&self, file: &str, name: &str) -> TestResult<Vec<f64>> {
        Ok(self.column(file, name)?.iter().map(|cell| cell.parse()).collect::<Result<_, _>>()?)
    }
}
