//! End-to-end tests of what happens in folders: two commands at once, signals, killed commands, links, places that
//! cannot be written.
#![cfg(unix)]

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::Duration;

type TestResult = Result<(), Box<dyn std::error::Error>>;

const EXPERIMENT: &str = r#"
[source]
files = ["table.csv"]
[molecule]
atoms = [{ element = "C", charge = 2 }, { element = "O", charge = 2 }, { element = "S", charge = 2 }]
[model]
kind = "cinn"
couplings = 1
hidden = [4]
[training]
max_epochs = 3
batch_size = 16
"#;

/// A folder with a table of 200 events and a small experiment.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let folder = Self(tempfile::tempdir()?);
        std::fs::write(folder.path("experiment.toml"), EXPERIMENT)?;
        folder.succeeds("simulate --preset ocs-wide --events 200 -o table.csv --quiet")?;
        Ok(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn cei(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cei"));
        command.args(arguments.split_whitespace()).current_dir(self.0.path());
        command
    }

    fn succeeds(&self, arguments: &str) -> Result<Output, Box<dyn std::error::Error>> {
        let output = self.cei(arguments).output()?;
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments}: {told}");
        Ok(output)
    }

    /// Exit code and message of a command that must fail.
    fn fails(&self, arguments: &str) -> Result<(Option<i32>, String), Box<dyn std::error::Error>> {
        let output = self.cei(arguments).output()?;
        assert!(!output.status.success(), "{arguments}");
        Ok((output.status.code(), String::from_utf8(output.stderr)?))
    }

    fn begin(&self, arguments: &str) -> std::io::Result<Child> {
        self.cei(arguments).spawn()
    }

    /// Hidden files, below the folder too: what an unfinished command has there.
    fn hidden(&self) -> std::io::Result<Vec<PathBuf>> {
        fn below(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    below(&path, found)?;
                } else if path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.')) {
                    found.push(path);
                }
            }
            Ok(())
        }
        let mut found = Vec::new();
        below(self.0.path(), &mut found)?;
        Ok(found)
    }
}

fn wait_for(what: &Path, child: &mut Child) -> TestResult {
    while !what.exists() {
        assert!(child.try_wait()?.is_none(), "ended before `{}` appeared", what.display());
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn signal(child: &Child, name: &str) -> TestResult {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status()?.success());
    Ok(())
}

const ENDLESS: &str = "train --config experiment.toml -o run --quiet --set training.max_epochs=1000000 --set training.patience=1000000";

#[test]
fn a_folder_holds_one_training_at_a_time() -> TestResult {
    let folder = Folder::new()?;
    let mut first = folder.begin(ENDLESS)?;
    wait_for(&folder.path("run/checkpoint.safetensors"), &mut first)?;
    for command in [
        "train --config experiment.toml -o run",
        "train -o run --resume",
        "evaluate run",
        "log-prob run table.csv",
    ] {
        let (code, told) = folder.fails(command)?;
        assert_eq!(code, Some(1));
        assert!(told.contains("`run` is still in training (process"), "{command}: {told}");
    }
    signal(&first, "-KILL")?;
    first.wait()?;
    let (_, told) = folder.fails("evaluate run")?;
    assert!(told.contains("finish it with `cei train -o run --resume`"), "{told}");
    // The lock of the dead process is no obstacle, and nothing of it is left.
    folder.succeeds("train -o run --resume --quiet --set training.max_epochs=1")?;
    assert_eq!(folder.hidden()?, Vec::<PathBuf>::new());
    Ok(())
}

/// Begun by a shell that ignores a signal (`nohup`; the background of a script), a training does too.
#[test]
fn ignored_signals_stay_ignored() -> TestResult {
    let folder = Folder::new()?;
    for name in ["HUP", "INT"] {
        let _ = std::fs::remove_dir_all(folder.path("run"));
        let script = format!("trap '' {name}; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_cei")]);
        command.args(ENDLESS.split_whitespace()).current_dir(folder.0.path());
        let mut child = command.process_group(0).spawn()?;
        let checkpoint = folder.path("run/checkpoint.safetensors");
        wait_for(&checkpoint, &mut child)?;
        signal(&child, &format!("-{name}"))?;
        // It goes on to write checkpoints.
        std::fs::remove_file(&checkpoint)?;
        wait_for(&checkpoint, &mut child)?;
        std::fs::remove_file(&checkpoint)?;
        wait_for(&checkpoint, &mut child)?;
        // What is not ignored still ends it, with its state saved.
        signal(&child, "-TERM")?;
        assert_eq!(child.wait()?.code(), Some(130), "{name}");
        assert!(checkpoint.exists());
        assert_eq!(folder.hidden()?, Vec::<PathBuf>::new());
    }
    Ok(())
}

/// A batch system may ask several times, by several signals: the state is saved all the same.
#[test]
fn a_training_that_is_asked_again_and_again_to_stop_saves_its_state() -> TestResult {
    let folder = Folder::new()?;
    for signals in [["-TERM", "-TERM", "-USR1"], ["-USR1", "-TERM", "-HUP"]] {
        let _ = std::fs::remove_dir_all(folder.path("run"));
        let mut child = folder.cei(ENDLESS).stderr(std::process::Stdio::piped()).spawn()?;
        wait_for(&folder.path("run/checkpoint.safetensors"), &mut child)?;
        for name in signals {
            // It may have ended in between.
            let _ = signal(&child, name);
        }
        let output = child.wait_with_output()?;
        let told = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(130), "{signals:?}: {told}");
        assert!(told.contains("interrupted; the state is saved"), "{signals:?}: {told}");
    }
    Ok(())
}

/// Killed at any moment, a training ends in the same bits when it is resumed, and leaves nothing.
#[test]
fn a_killed_training_resumes_in_the_same_bits_and_leaves_nothing() -> TestResult {
    let folder = Folder::new()?;
    let train = "train --config experiment.toml --quiet --set training.max_epochs=40";
    folder.succeeds(&format!("{train} -o whole"))?;
    let mut killed = 0;
    for pause in [10, 40, 20, 70, 30, 55, 15, 90] {
        let resume =
            if folder.path("run/checkpoint.safetensors").exists() { "--resume" } else { "" };
        let mut child = folder.begin(&format!("{train} -o run {resume}"))?;
        std::thread::sleep(Duration::from_millis(pause));
        signal(&child, "-KILL")?;
        killed += usize::from(!child.wait()?.success());
    }
    assert!(killed > 0);
    let resume = if folder.path("run/checkpoint.safetensors").exists() { "--resume" } else { "" };
    folder.succeeds(&format!("{train} -o run {resume}"))?;
    let weights = |run: &str| std::fs::read(folder.path(run).join("model.safetensors"));
    assert!(weights("whole")? == weights("run")?);
    assert_eq!(folder.hidden()?, Vec::<PathBuf>::new());
    Ok(())
}

#[test]
fn the_next_command_removes_what_a_killed_one_left() -> TestResult {
    let folder = Folder::new()?;
    let mut child =
        folder.begin("simulate --preset ocs-wide --events 5000000 -o big.csv --quiet")?;
    while folder.hidden()?.len() < 3 {
        assert!(child.try_wait()?.is_none(), "ended before it wrote");
        std::thread::sleep(Duration::from_millis(5));
    }
    // A command beside it takes nothing of the living one away.
    folder.succeeds("simulate --preset ocs-wide --events 5 -o small.csv --quiet")?;
    assert_eq!(folder.hidden()?.len(), 3);
    let (_, told) = folder.fails("simulate --preset ocs-wide --events 5 -o big.csv --quiet")?;
    assert!(told.contains("`big.csv` is being written by another command (process"), "{told}");
    signal(&child, "-KILL")?;
    child.wait()?;
    assert_eq!(folder.hidden()?.len(), 3);
    folder.succeeds("simulate --preset ocs-wide --events 5 -o small.csv --quiet")?;
    assert_eq!(folder.hidden()?, Vec::<PathBuf>::new());
    assert!(!folder.path("big.csv").exists());
    Ok(())
}

/// A command that makes the folder of its results makes it when what it reads could be read, and what is asked for makes sense.
#[test]
fn a_file_that_cannot_be_used_leaves_nothing() -> TestResult {
    let folder = Folder::new()?;
    folder.succeeds("train --config experiment.toml -o run --quiet")?;
    let over = "[sweep]\ntrials = 2\n[sweep.over]\ntraining.learning_rate = [1e-3, 2e-3]\n";
    std::fs::write(folder.path("sweep.toml"), format!("{EXPERIMENT}{over}"))?;
    std::fs::write(folder.path("empty.csv"), "")?;
    std::fs::write(folder.path("text.csv"), "a,b\nx,y\n")?;
    for file in ["absent.csv", "empty.csv", "text.csv"] {
        for command in [
            format!("population run {file} -o new"),
            format!("check run {file} -o new"),
            format!("c2st {file} table.csv -o new"),
            format!("c2st table.csv {file} -o new"),
            format!("train --config experiment.toml --data {file} -o new --quiet"),
            format!("sweep sweep.toml --set source.files=['{file}'] -o new --quiet"),
            format!("inspect {file} --ions C,O,S --charges 2,2,2 --unit au --figures new"),
            format!("config --from {file} --ions C,O,S --charges 2,2,2 --unit au -o new"),
        ] {
            let (code, told) = folder.fails(&command)?;
            assert!(matches!(code, Some(1 | 2)), "{command}: {told}");
            assert!(!folder.path("new").exists(), "{command}: {told}");
        }
    }
    folder.fails("population run table.csv --by absent -o new")?;
    assert!(!folder.path("new").exists());
    // The table that `calibrate` reads is that of the run.
    std::fs::remove_file(folder.path("table.csv"))?;
    let (_, told) = folder.fails("calibrate run -o new")?;
    assert!(told.contains("table.csv"), "{told}");
    assert!(!folder.path("new").exists() && folder.hidden()?.is_empty());
    Ok(())
}

/// Links stay links, what they lead to is written; a folder that is missing is named.
#[test]
fn results_go_where_they_are_sent() -> TestResult {
    let folder = Folder::new()?;
    std::fs::create_dir(folder.path("disk"))?;
    std::os::unix::fs::symlink("disk/real.csv", folder.path("link.csv"))?;
    let simulate = "simulate --preset ocs-wide --events 5 --quiet";
    folder.succeeds(&format!("{simulate} -o link.csv"))?;
    assert!(std::fs::symlink_metadata(folder.path("link.csv"))?.is_symlink());
    assert_eq!(std::fs::read_to_string(folder.path("disk/real.csv"))?.lines().count(), 6);
    // Tabs in a file that says so.
    folder.succeeds(&format!("{simulate} -o table.tsv"))?;
    let text = std::fs::read_to_string(folder.path("table.tsv"))?;
    assert!(text.lines().all(|line| line.split('\t').count() == 18), "{text}");
    assert!(!text.contains(','));
    let (code, told) = folder.fails(&format!("{simulate} -o none/deep/out.csv"))?;
    assert_eq!(code, Some(1));
    assert!(
        told.contains("there is no folder `none/deep`\nhint: make it with `mkdir -p none/deep`"),
        "{told}"
    );
    folder.succeeds("train --config experiment.toml -o run --quiet")?;
    for command in
        ["predict run table.csv -n 2 -o none/out.csv", "log-prob run table.csv -o none/out.csv"]
    {
        let (_, told) = folder.fails(command)?;
        assert!(told.contains("there is no folder `none`"), "{command}: {told}");
    }
    Ok(())
}

/// The other kind of configuration is told by its name, and sizes beyond reason by their key.
#[test]
fn what_was_meant_is_told() -> TestResult {
    let folder = Folder::new()?;
    let simulator = "train --preset wide-cinn -o run --set source.files=[] --set source.simulator";
    for (command, wanted) in [
        (
            "simulate --config experiment.toml -o a.csv".to_owned(),
            "`experiment.toml` is an experiment, but a simulation is needed",
        ),
        (
            "simulate --preset wide-cinn -o a.csv".to_owned(),
            "preset `wide-cinn` is an experiment, but a simulation",
        ),
        (
            "train --config table.csv.simulation.toml -o run".to_owned(),
            "is a simulation, but an experiment is needed",
        ),
        (
            "train --preset ocs-wide -o run".to_owned(),
            "preset `ocs-wide` is a simulation, but an experiment",
        ),
        (
            format!("{simulator}=experiment.toml"),
            "`experiment.toml` is an experiment, but a simulation",
        ),
        (
            "simulate --preset ocs-wide --events 9223372036854775807 -o a.csv".to_owned(),
            "`--events` is `9223372036854775807`",
        ),
        (
            "train --config experiment.toml -o run --ensemble 9223372036854775807".to_owned(),
            "`training.ensemble` is `9223372036854775807`",
        ),
        (
            format!("{simulator}=ocs-wide --set source.events_per_epoch=1000000000000"),
            "`source.events_per_epoch` is `1000000000000`",
        ),
    ] {
        let (_, told) = folder.fails(&command)?;
        assert!(told.contains(wanted), "{command}: {told}");
    }
    assert!(!folder.path("run").exists() && !folder.path("a.csv").exists());
    Ok(())
}

/// A hint is a command that a shell takes as it stands.
#[test]
fn commands_in_hints_can_be_pasted() -> TestResult {
    let folder = Folder::new()?;
    let mut train = folder.cei("train --config experiment.toml --set training.max_epochs=1");
    let output = train.args(["-o", "it's my run"]).output()?;
    let told = String::from_utf8(output.stdout)?;
    let next = told.rsplit('`').nth(1).ok_or("no command")?.replace("cei ", "\"$0\" ");
    let mut shell = Command::new("sh");
    shell.args(["-c", &next, env!("CARGO_BIN_EXE_cei")]).current_dir(folder.0.path());
    let pasted = shell.output()?;
    assert!(pasted.status.success(), "{next}: {}", String::from_utf8_lossy(&pasted.stderr));
    Ok(())
}
