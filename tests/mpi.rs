//! End-to-end tests of `mpirun -n K cei`: any number of ranks gives the bytes of one process, the death of a rank ends all and loses
//! nothing before the last checkpoint, and what is told is told once.
//!
//! They need the `mpirun` of the MPI that `cei` was built with.

#![cfg(unix)]

mod folder;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use folder::{Folder, TestResult};

/// A small flow on a table, a batch of which has four shards but for the last.
const TRAIN: &str = "train --preset wide-cinn --data t.csv --set model.hidden=[32,32] --set model.couplings=4 --set training.max_epochs=3";

impl Folder {
    /// The command in so many ranks, which may be more than there are cores.
    fn mpirun(&self, ranks: usize, arguments: &str) -> Command {
        let mut command = Command::new("mpirun");
        command.args(["--allow-run-as-root", "--oversubscribe", "-n", &ranks.to_string()]);
        command.arg(env!("CARGO_BIN_EXE_cei")).args(arguments.split_whitespace());
        command.current_dir(self.path(""));
        command
    }

    /// What it prints and tells when it must succeed.
    fn in_ranks(&self, ranks: usize, arguments: &str) -> TestResult<(String, String)> {
        let output = self.mpirun(ranks, arguments).output()?;
        let told = String::from_utf8(output.stderr)?;
        assert!(output.status.success(), "{ranks} ranks, {arguments}: {told}");
        Ok((String::from_utf8(output.stdout)?, told))
    }

    /// What it tells when it must fail with this exit code.
    fn fails_in_ranks(&self, ranks: usize, code: i32, arguments: &str) -> TestResult<String> {
        let output = self.mpirun(ranks, arguments).output()?;
        let told = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(code), "{arguments}: {told}");
        assert!(output.stdout.is_empty(), "{arguments}");
        Ok(told)
    }

    fn table(&self) -> TestResult {
        self.run("simulate --preset ocs-wide --events 3000 --seed 1 -o t.csv --quiet")?;
        Ok(())
    }

    /// Two runs, or members, have the same weights to the bit and the same history but for the seconds.
    fn same_training(&self, a: &str, b: &str) -> TestResult {
        self.same(&format!("{a}/model.safetensors"), &format!("{b}/model.safetensors"))?;
        let losses = |run: &str| -> TestResult<Vec<String>> {
            let history = self.read(&format!("{run}/history.csv"))?;
            let without_seconds =
                |line: &str| line.rsplit_once(',').map(|(rest, _)| rest.to_owned());
            Ok(history.lines().filter_map(without_seconds).collect())
        };
        assert_eq!(losses(a)?, losses(b)?, "{a} and {b}");
        Ok(())
    }

    fn same(&self, a: &str, b: &str) -> TestResult {
        let [a_bytes, b_bytes] = [a, b].map(|name| std::fs::read(self.path(name)));
        assert!(a_bytes? == b_bytes?, "{a} and {b} differ");
        Ok(())
    }

    /// Begins a training in ranks, and gives it when it has a checkpoint.
    fn begun(&self, ranks: usize, arguments: &str, run: &str) -> TestResult<Child> {
        let mut child = self.mpirun(ranks, arguments).stderr(Stdio::piped()).spawn()?;
        let checkpoint = self.path(run).join("checkpoint.safetensors");
        while !checkpoint.exists() {
            assert!(child.try_wait()?.is_none(), "ended before the first checkpoint");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(child)
    }
}

/// Sends a signal to a rank of an `mpirun`, by its number.
fn signal(mpirun: &Child, rank: usize, signal: &str) -> TestResult {
    let wanted = format!("OMPI_COMM_WORLD_RANK={rank}");
    let children = format!("/proc/{0}/task/{0}/children", mpirun.id());
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        for process in std::fs::read_to_string(&children)?.split_whitespace() {
            let environment = std::fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
            if environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes()) {
                let sent = Command::new("kill").args([signal, process]).status()?;
                assert!(sent.success());
                return Ok(());
            }
        }
    }
    Err(format!("no rank {rank} among the children of `mpirun`").into())
}

#[test]
fn any_number_of_ranks_trains_the_weights_of_one_process() -> TestResult {
    let folder = Folder::empty()?;
    folder.table()?;
    let vae = "train --preset wide-sigma-vae --data t.csv --set training.max_epochs=3 --set model.free_bits=0.1";
    let fresh = "train --preset wide-spline --set source.events_per_epoch=40000 --set model.couplings=2 --set model.hidden=[16,16] --set training.max_epochs=2";
    for (name, call) in [
        ("affine", TRAIN.to_owned()),
        // Three shards in each batch and one in the last.
        (
            "clipped",
            format!("{TRAIN} --set training.batch_size=330 --set training.gradient_clip=1"),
        ),
        ("muon", format!("{TRAIN} --set training.optimizer=\"muon\"")),
        ("streamed", format!("{TRAIN} --set source.stream=true")),
        ("vae", vae.to_owned()),
        ("fresh", fresh.to_owned()),
    ] {
        folder.run(&format!("{call} -o {name} --quiet"))?;
        for ranks in 1..=4 {
            let run = format!("{name}-{ranks}");
            folder.in_ranks(ranks, &format!("{call} -o {run} --quiet"))?;
            folder.same_training(name, &run)?;
            let digests = folder.path(&format!("{name}/rows.safetensors")).exists();
            assert_eq!(digests, name != "streamed", "{name}");
            let digests = digests.then_some("rows.safetensors");
            for file in digests.into_iter().chain(["support.safetensors", "config.toml"]) {
                folder.same(&format!("{name}/{file}"), &format!("{run}/{file}"))?;
            }
        }
    }
    Ok(())
}

#[test]
fn members_of_an_ensemble_are_dealt_to_ranks() -> TestResult {
    let folder = Folder::empty()?;
    folder.table()?;
    let call = format!("{TRAIN} --ensemble 3");
    folder.run(&format!("{call} -o whole --quiet"))?;
    for ranks in [2, 3, 4] {
        let run = format!("run-{ranks}");
        folder.in_ranks(ranks, &format!("{call} -o {run} --quiet"))?;
        for member in 1..=3 {
            folder.same_training(
                &format!("whole/member-{member}"),
                &format!("{run}/member-{member}"),
            )?;
        }
        let [whole, found] =
            ["whole", &run].map(|run| folder.json(&format!("evaluate {run} --json")));
        let (whole, found) = (whole?, found?);
        assert_eq!(whole["negative_log_likelihood"], found["negative_log_likelihood"]);
        assert_eq!(whole["nll"], found["nll"]);
    }
    Ok(())
}

#[test]
fn what_is_told_is_told_once() -> TestResult {
    let folder = Folder::empty()?;
    folder.table()?;
    let (printed, told) = folder.in_ranks(2, &format!("{TRAIN} -o run"))?;
    assert_eq!(printed.matches("trained 3 epochs").count(), 1, "{printed}");
    assert_eq!(told.matches("rows to train").count(), 1, "{told}");
    assert!(told.contains("2 ranks of 1 thread on "), "{told}");

    let (_, told) =
        folder.in_ranks(3, &format!("{TRAIN} --set training.batch_size=256 -o few --quiet"))?;
    assert!(told.contains("3 ranks, but a batch of 256 rows is of 2 shards"), "{told}");

    let told = folder.fails_in_ranks(3, 1, &format!("{TRAIN} -o run"))?;
    assert_eq!(told.matches("error:").count(), 1, "{told}");
    let told = folder.fails_in_ranks(2, 2, "train --no-such-option")?;
    assert_eq!(told.matches("--no-such-option").count(), 1, "{told}");
    let told = folder.fails_in_ranks(2, 1, "inspect t.csv")?;
    assert!(told.contains("2 processes were started, but this command is that of one"), "{told}");
    Ok(())
}

/// `mpirun` ends all processes at the first failure: it must not be that of one which tells nothing.
#[test]
fn what_the_first_tells_is_heard_however_late_it_is() -> TestResult {
    let folder = Folder::empty()?;
    let cei = env!("CARGO_BIN_EXE_cei");
    let late = format!("sleep 1; exec '{cei}' train --no-such-option");
    let output = Command::new("mpirun")
        .args(["--allow-run-as-root", "--oversubscribe", "-n", "1", "sh", "-c", &late])
        .args([":", "-n", "1", cei, "train", "--no-such-option"])
        .current_dir(folder.path(""))
        .output()?;
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr)?;
    assert_eq!(told.matches("--no-such-option").count(), 1, "{told}");
    Ok(())
}

/// Processes that MPI does not know of would all do the same work.
#[test]
fn strangers_are_refused() -> TestResult {
    let folder = Folder::empty()?;
    let strangers = folder.command("devices").env("SLURM_STEP_NUM_TASKS", "2").output()?;
    assert_eq!(strangers.status.code(), Some(1));
    let told = String::from_utf8(strangers.stderr)?;
    assert!(told.contains("2 processes were started together (SLURM_STEP_NUM_TASKS)"), "{told}");
    Ok(())
}

#[test]
fn the_death_of_a_rank_ends_all_and_another_number_of_ranks_goes_on() -> TestResult {
    let folder = Folder::empty()?;
    folder.table()?;
    let call = TRAIN.replace("max_epochs=3", "max_epochs=40");
    folder.run(&format!("{call} -o whole --quiet"))?;
    for (killed, ranks, resumed) in [(1, 3, 2), (0, 2, 4), (1, 2, 1)] {
        let run = format!("run-{ranks}-{resumed}");
        let child = folder.begun(ranks, &format!("{call} -o {run} --quiet"), &run)?;
        signal(&child, killed, "-KILL")?;
        let output = child.wait_with_output()?;
        assert!(!output.status.success());
        let told = String::from_utf8(output.stderr)?;
        assert!(told.contains(&format!("process rank {killed}")), "{told}");
        folder.in_ranks(resumed, &format!("train -o {run} --resume --quiet"))?;
        folder.same_training("whole", &run)?;
    }
    Ok(())
}

/// One rank is asked to stop: all stop after the same batch, and the state is saved.
#[test]
fn ranks_stop_together() -> TestResult {
    let folder = Folder::empty()?;
    folder.table()?;
    let call = TRAIN.replace("max_epochs=3", "max_epochs=40");
    folder.run(&format!("{call} -o whole --quiet"))?;
    let child = folder.begun(2, &format!("{call} -o run --quiet"), "run")?;
    signal(&child, 1, "-TERM")?;
    let output = child.wait_with_output()?;
    let told = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(130), "{told}");
    assert!(told.contains("interrupted; the state is saved"), "{told}");
    folder.in_ranks(3, "train -o run --resume --quiet")?;
    folder.same_training("whole", "run")
}

#[test]
fn ranks_share_rows() -> TestResult {
    let folder = Folder::empty()?;
    folder.small_run("run", "t", "")?;
    // More than a chunk, which the ranks share, and one that is not full.
    let simulate = "simulate --preset ocs-wide --events 50101 --seed 3 --quiet";
    for kind in ["csv", "parquet"] {
        folder.run(&format!("{simulate} -o whole.{kind}"))?;
        for ranks in [2, 3] {
            folder.in_ranks(ranks, &format!("{simulate} -o ranks.{kind}"))?;
            folder.same(&format!("ranks.{kind}"), &format!("whole.{kind}"))?;
            let sidecar = format!("{kind}.simulation.toml");
            folder.same(&format!("ranks.{sidecar}"), &format!("whole.{sidecar}"))?;
        }
    }
    folder.run("simulate --preset ocs-wide --events 200 --seed 9 -o m.csv --quiet")?;
    let predict = |name: &str| {
        format!(
            "predict run m.csv --refine -n 300 --seed 3 -o {name}.parquet --summary {name}.csv --modes {name}-modes.csv --json"
        )
    };
    let whole = folder.run(&predict("whole"))?.0;
    for ranks in [2, 3] {
        assert_eq!(folder.in_ranks(ranks, &predict("ranks"))?.0, whole);
        for file in [".parquet", ".csv", "-modes.csv"] {
            folder.same(&format!("ranks{file}"), &format!("whole{file}"))?;
        }
    }
    assert!(!folder.path("ranks.parquet.parts").exists());
    let told = folder.fails_in_ranks(2, 1, "predict run m.csv -n 3 -o draws.csv")?;
    assert!(told.contains("this command is that of one"), "{told}");

    for options in ["--events 250 --draws 39", "--events 50 --draws 99 --refine"] {
        let calibrate = format!("calibrate run {options} --json");
        let whole = folder.run(&format!("{calibrate} -o whole"))?.0;
        for ranks in [2, 3] {
            assert_eq!(folder.in_ranks(ranks, &format!("{calibrate} -o ranks"))?.0, whole);
            folder.same("ranks/calibration.json", "whole/calibration.json")?;
        }
    }
    Ok(())
}

/// Parts of a refinement that a rank's death has ended are those of any number of ranks.
#[test]
fn a_refinement_goes_on_with_another_number_of_ranks() -> TestResult {
    let folder = Folder::empty()?;
    folder.small_run("run", "t", "")?;
    // Nineteen parts, so that most of them are left when the first is there, however late that is seen.
    folder.run("simulate --preset ocs-wide --events 1200 --seed 9 -o m.csv --quiet")?;
    let predict = "predict run m.csv --refine -n 300 --seed 3 --quiet -o";
    folder.run(&format!("{predict} whole.parquet"))?;
    let mut child =
        folder.mpirun(3, &format!("{predict} ranks.parquet")).stderr(Stdio::null()).spawn()?;
    // Whose part is the first to be there, no one knows.
    let part = |number| folder.path(&format!("ranks.parquet.parts/part-{number:06}.cbor"));
    while !(0..19).any(|number| part(number).exists()) {
        assert!(child.try_wait()?.is_none(), "ended before a part");
        std::thread::sleep(Duration::from_millis(2));
    }
    signal(&child, 2, "-KILL")?;
    assert!(!child.wait()?.success());
    assert!(!folder.path("ranks.parquet").exists(), "ended before the kill");
    let (_, told) =
        folder.in_ranks(2, &format!("{predict} ranks.parquet").replace("--quiet ", ""))?;
    assert!(told.contains("events are refined already"), "{told}");
    folder.same("ranks.parquet", "whole.parquet")
}

#[test]
fn trials_of_a_search_are_dealt_to_ranks() -> TestResult {
    let folder = Folder::empty()?;
    folder.table()?;
    let over = "\n[sweep]\ntrials = 5\nbatch = 3\nstopping = \"never\"\n[sweep.over]\ntraining.learning_rate = { low = 1e-4, high = 1e-2, log = true }\n";
    let experiment = folder.run("config --preset wide-cinn")?.0;
    folder.write("sweep.toml", experiment + over)?;
    let sweep = "sweep sweep.toml --data t.csv --set model.hidden=[16] --set model.couplings=2 --set training.max_epochs=3 --quiet -o";
    folder.run(&format!("{sweep} whole"))?;
    let columns = ["trial", "validation_loss", "training.learning_rate"];
    for ranks in [2, 4] {
        folder.in_ranks(ranks, &format!("{sweep} ranks-{ranks}"))?;
        folder.same(&format!("ranks-{ranks}/best.toml"), "whole/best.toml")?;
        for name in columns {
            let [whole, found] = ["whole".to_owned(), format!("ranks-{ranks}")]
                .map(|search| folder.column(&format!("{search}/trials.csv"), name));
            assert_eq!(whole?, found?, "{name}");
        }
        for trial in 1..=5 {
            let run = format!("trial-{trial:03}");
            folder.same_training(&format!("whole/{run}"), &format!("ranks-{ranks}/{run}"))?;
        }
    }
    Ok(())
}
