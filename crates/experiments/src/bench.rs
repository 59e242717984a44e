//! `bench`: times of cei and, with `--peers`, of the same models in PyTorch and JAX and of sbi, taken in turns in one
//! run, as one Markdown table. Nothing is asserted: a time belongs to the machine it was taken on.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use cei_run::ModelRecord;
use cei_run::folder::layout::HISTORY;
use cei_run::folder::load_record;
use cei_run::instructions::LEAVE_AVX_512;
use cei_run::presets::OCS_REFERENCE;
use clap::Args;
use serde::Deserialize;

use crate::cei::beside;
use crate::commands::{Inputs, QUALITY, USUAL, Work, compare};
use crate::{say, workspace_root};

/// What is measured, and beside what.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Fewer samples, and one round instead of two
    #[arg(long)]
    quick: bool,
    /// Run the same models in PyTorch and JAX too, and sbi for rows of a quality, with this Python
    #[arg(long, value_name = "PYTHON", num_args = 0..=1, default_missing_value = "python3")]
    peers: Option<PathBuf>,
    /// Threads of the peers, which are compared with cei on as many, and of commands with `--against`
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=2))]
    peer_threads: u8,
    /// Time commands of `cei` with this other build of the program too, in turns, and nothing else
    #[arg(long, value_name = "BINARY", conflicts_with = "peers")]
    against: Option<PathBuf>,
    /// Leave AVX-512 alone, cei and the peers: most processors have AVX2 alone
    #[arg(long)]
    avx2: bool,
    /// The commands that are timed
    #[arg(long, value_name = "NAME", value_enum, value_delimiter = ',')]
    rows: Vec<Work>,
    /// Pairs of calls of each, with `--against`
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..), requires = "against")]
    pairs: u8,
}

/// Rows of the table, of its training part, and of a batch.
const ROWS: usize = 100_000;
const TRAINING_ROWS: usize = 90_000;
const BATCH: usize = 512;

/// What leaves AVX-512 alone in cei, oneDNN, MKL, PyTorch and XLA.
const AVX2_ALONE: [(&str, &str); 5] = [
    (LEAVE_AVX_512, "1"),
    ("ONEDNN_MAX_CPU_ISA", "AVX2"),
    ("MKL_ENABLE_INSTRUCTIONS", "AVX2"),
    ("ATEN_CPU_CAPABILITY", "avx2"),
    ("XLA_FLAGS", "--xla_cpu_max_isa=AVX2"),
];

/// Threads of every measurement of cei.
const THREADS: [u8; 2] = [1, 2];

/// A model by its name in all programs, its configuration, and the epochs that are timed after the first.
const MODELS: [(&str, &str, usize); 4] = [
    (
        "cvae128",
        "kind = 'cvae'\nencoder_hidden = [128, 128]\ndecoder_hidden = [128, 128]\nlatent = 8\nactivation = 'elu'",
        8,
    ),
    (
        "cvae512",
        "kind = 'cvae'\nencoder_hidden = [512, 512]\ndecoder_hidden = [512, 512]\nlatent = 32\nactivation = 'elu'",
        3,
    ),
    ("cinn128", "kind = 'cinn'\ncouplings = 20\nhidden = [128, 128]\nactivation = 'relu'", 4),
    ("cinn256", "kind = 'cinn'\ncouplings = 20\nhidden = [256, 256]\nactivation = 'relu'", 2),
];

/// Another program: its name in the table, the modules that it needs, its script in `crates/bench/peers`
/// and the script's arguments before and after the number of threads, and those of a quick run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Peer {
    name: &'static str,
    imports: &'static str,
    script: &'static str,
    args: [&'static [&'static str]; 2],
    quick_args: &'static [&'static str],
}

const PEERS: [Peer; 3] = [
    Peer {
        name: "torch",
        imports: "import torch, numpy",
        script: "torch_reference.py",
        args: [&["--threads"], &["--modes", "eagerF,compile"]],
        quick_args: &["--steps", "30"],
    },
    Peer {
        name: "jax",
        imports: "import jax, optax, numpy",
        script: "jax_reference.py",
        args: [&[], &[]],
        quick_args: &[],
    },
    SBI,
];
/// It trains on a table of its own, and its time is that to a quality.
const SBI: Peer = Peer {
    name: "sbi",
    imports: "import sbi, pyarrow, numpy",
    script: "sbi_reference.py",
    args: [&["--threads"], &[]],
    quick_args: &[],
};

/// What is measured, in the order of the table, and how it counts.
const KINDS: [(&str, Unit); 16] = [
    ("busy loop", Unit::ThousandsPerSecond),
    (EPOCH, Unit::Milliseconds),
    (STEP, Unit::Milliseconds),
    (COMPOSED, Unit::Milliseconds),
    (SAMPLING, Unit::ThousandsPerSecond),
    ("decoding", Unit::ThousandsPerSecond),
    ("log_prob", Unit::ThousandsPerSecond),
    ("explosions", Unit::ThousandsPerSecond),
    ("simulation", Unit::ThousandsPerSecond),
    ("table loading", Unit::ThousandsPerSecond),
    ("refine", Unit::PerSecond),
    ("predict", Unit::ThousandsPerSecond),
    ("log-prob", Unit::ThousandsPerSecond),
    ("inspect", Unit::ThousandsPerSecond),
    ("simulate", Unit::ThousandsPerSecond),
    (QUALITY, Unit::Seconds),
];
const EPOCH: &str = "training step in `cei train`";
const STEP: &str = "training step";
const COMPOSED: &str = "training step, composed";
const SAMPLING: &str = "sampling";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// Less is better.
    Milliseconds,
    Seconds,
    /// More is better.
    ThousandsPerSecond,
    PerSecond,
}

impl Unit {
    fn best(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Milliseconds | Self::Seconds => a.min(b),
            Self::ThousandsPerSecond | Self::PerSecond => a.max(b),
        }
    }

    /// How many times as fast `a` is as `b`.
    fn speedup(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Milliseconds | Self::Seconds => b / a,
            Self::ThousandsPerSecond | Self::PerSecond => a / b,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::ThousandsPerSecond => "1000/s",
            Self::PerSecond => "1/s",
        }
    }
}

/// Measures everything and prints the table.
pub(crate) fn bench(args: &BenchArgs) -> anyhow::Result<()> {
    if args.avx2 && std::env::var_os(LEAVE_AVX_512).is_none() {
        // What it starts inherits this.
        let mut again = Command::new(std::env::current_exe()?);
        let status = again.args(std::env::args_os().skip(1)).envs(AVX2_ALONE).status()?;
        ensure!(status.success(), "the benchmark failed ({status})");
        return Ok(());
    }
    let programs = Programs::new()?;
    let folder = workspace_root().join("runs/bench");
    std::fs::create_dir_all(&folder)?;
    let works = if args.rows.is_empty() { USUAL.to_vec() } else { args.rows.clone() };
    if let Some(old) = &args.against {
        let old = std::path::absolute(old)?;
        let (pairs, threads) = (args.pairs.into(), args.peer_threads);
        let table = compare([&old, &programs.cei], &folder, &works, pairs, args.quick, threads)?;
        std::io::stdout().lock().write_all(table.as_bytes())?;
        return Ok(());
    }
    let (qualities, timed): (Vec<Work>, Vec<Work>) =
        works.iter().partition(|work| work.is_a_quality());
    ensure!(
        qualities.is_empty() || args.peers.is_some(),
        "a quality is that of another program: `--against`, or sbi by `--peers`"
    );
    let inputs = Inputs::new(&programs.cei, &folder, &works, args.quick)?;
    let tables = ["csv", "parquet"].map(|format| folder.join(format!("table.{format}")));
    for table in &tables {
        programs.simulate(table)?;
    }
    let peers: Vec<Peer> = match &args.peers {
        Some(python) => PEERS.into_iter().filter(|peer| peer.exists(python)).collect(),
        None => Vec::new(),
    };
    let mut best = Best::default();
    for _ in 0..if args.quick { 1 } else { 2 } {
        for threads in THREADS {
            say(&format!("cei, threads: {threads}"));
            programs.cases(threads, args.quick, &tables, &mut best)?;
            for model in MODELS {
                programs.train(threads, &folder, model, &mut best)?;
            }
            for work in &timed {
                let (kind, of) = work.name();
                let seconds = work.seconds(&programs.cei, &inputs, threads)?;
                let rate = work.items(&inputs) as f64 / seconds;
                let rate = if kind == "refine" { rate } else { 1e-3 * rate };
                best.add(kind, of, &ours(threads), rate);
            }
        }
        for (peer, python) in peers.iter().zip(args.peers.iter().cycle()) {
            if *peer != SBI {
                say(peer.name);
                peer.run(python, args, &mut best)?;
            }
        }
    }
    if let Some(python) = args.peers.as_ref().filter(|_| peers.contains(&SBI)) {
        programs.to_that_of_sbi(python, &qualities, &inputs, args.peer_threads, &mut best)?;
    }
    std::io::stdout().lock().write_all(best.table(args.peer_threads).as_bytes())?;
    Ok(())
}

/// The best medians: (kind, model or molecule, who) to the value in the kind's unit.
#[derive(Debug, Default)]
struct Best(BTreeMap<(String, String, String), f64>);

impl Best {
    fn add(&mut self, kind: &str, of: &str, who: &str, value: f64) {
        let Some((_, unit)) = KINDS.iter().find(|(known, _)| *known == kind) else {
            return;
        };
        let key = (kind.to_owned(), of.to_owned(), who.to_owned());
        let best = self.0.entry(key).or_insert(value);
        *best = unit.best(*best, value);
    }

    fn get(&self, kind: &str, of: &str, who: &str) -> Option<f64> {
        self.0.get(&(kind.to_owned(), of.to_owned(), who.to_owned())).copied()
    }

    /// The two ways to train compare to the one of the peers.
    fn peer(&self, kind: &str, of: &str, peer: &str) -> Option<f64> {
        self.get(if kind == EPOCH { STEP } else { kind }, of, peer)
    }

    fn table(&self, peer_threads: u8) -> String {
        let mut text =
            "| | unit | 1 thread | 2 threads | 2 threads / 1 | torch | JAX | sbi | cei / best peer |\n\
            | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
                .to_owned();
        for (kind, unit) in KINDS {
            let mut cases: Vec<&str> =
                self.0.keys().filter(|key| key.0 == kind).map(|key| key.1.as_str()).collect();
            cases.dedup();
            for of in cases {
                let [one, two] = THREADS.map(|threads| self.get(kind, of, &ours(threads)));
                let [torch, jax, sbi] = PEERS.map(|peer| self.peer(kind, of, peer.name));
                let peers = [torch, jax, sbi].into_iter().flatten();
                let peer = peers.reduce(|a, b| unit.best(a, b));
                let scaling = two.zip(one).map(|(two, one)| unit.speedup(two, one));
                let as_many = self.get(kind, of, &ours(peer_threads));
                let ratio = as_many.zip(peer).map(|(ours, peer)| ours / peer);
                let cells =
                    [one, two, scaling, torch, jax, sbi, ratio].map(three_digits).join(" | ");
                text.push_str(&format!("| {kind}, {of} | {} | {cells} |\n", unit.name()));
            }
        }
        text
    }
}

fn ours(threads: u8) -> String {
    format!("{threads} threads")
}

pub(crate) fn three_digits(value: Option<f64>) -> String {
    let Some(value) = value else {
        return "–".to_owned();
    };
    let decimals = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

/// The binaries that are measured.
#[derive(Debug)]
struct Programs {
    cei: PathBuf,
    bench: PathBuf,
}

impl Programs {
    /// Both of the folder of this program.
    fn new() -> anyhow::Result<Self> {
        Ok(Self { cei: beside("cei")?, bench: beside("cei-bench")? })
    }

    /// Makes a table whose 9 position columns are independent: displaced, and in the laboratory's frame.
    fn simulate(&self, table: &Path) -> anyhow::Result<()> {
        let events = ROWS.to_string();
        let mut command = Command::new(&self.cei);
        command.args(["simulate", "--preset", OCS_REFERENCE.name, "--events", &events]);
        command.args(["--set", "frame={ kind = 'laboratory' }", "--quiet", "-o"]).arg(table);
        output(&mut command)?;
        Ok(())
    }

    /// The cases of `cei-bench`.
    fn cases(
        &self,
        threads: u8,
        quick: bool,
        tables: &[PathBuf],
        best: &mut Best,
    ) -> anyhow::Result<()> {
        let mut command = with_threads(&self.bench, threads);
        command.args(tables).args(quick.then_some("--quick"));
        for line in output(&mut command)?.lines() {
            let case: Case = serde_json::from_str(line).with_context(|| format!("`{line}`"))?;
            best.add(&case.case, &case.of, &ours(threads), case.value());
        }
        Ok(())
    }

    /// Trains as a user does; a step is the median of the epochs' times divided by their steps, with
    /// shuffling, batching and validation.
    fn train(
        &self,
        threads: u8,
        folder: &Path,
        (name, model, epochs): (&str, &str, usize),
        best: &mut Best,
    ) -> anyhow::Result<()> {
        let (config, run) = (folder.join(format!("{name}.toml")), folder.join(name));
        let experiment = format!(
            "[source]\nfiles = ['table.parquet']\n\n\
            [molecule]\natoms = [{{ element = 'C', charge = 2.0 }}, {{ element = 'O', charge = 2.0 }}, \
            {{ element = 'S', charge = 2.0 }}]\n\n\
            [split]\ntrain = 0.9\nvalidation = 0.05\ntest = 0.05\n\n\
            [preprocessing.gauge]\npositions = 'as-given'\nmomenta = 'as-given'\n\n\
            [model]\n{model}\n\n\
            [training]\nlearning_rate = 1e-3\nbatch_size = {BATCH}\nmax_epochs = {}\n",
            epochs + 1
        );
        std::fs::write(&config, experiment)?;
        if run.exists() {
            std::fs::remove_dir_all(&run)?;
        }
        let mut command = with_threads(&self.cei, threads);
        command.arg("train").arg("--config").arg(&config).arg("--data");
        command.arg(folder.join("table.parquet")).arg("--quiet").arg("-o").arg(&run);
        output(&mut command)?;
        let record: ModelRecord = load_record(&run)?;
        let rank = record.preprocessing.d_eff();
        ensure!(rank == 9, "the table's positions have rank {rank}, not 9");
        let history = std::fs::read_to_string(run.join(HISTORY))?;
        let seconds = later_epochs(&history).context("a history without times")?;
        let steps = TRAINING_ROWS.div_ceil(BATCH);
        best.add(EPOCH, name, &ours(threads), seconds * 1e3 / steps as f64);
        Ok(())
    }
}

impl Programs {
    /// Seconds that sbi takes until it stops, and that cei takes to the loss that sbi has then, on one table.
    fn to_that_of_sbi(
        &self,
        python: &Path,
        qualities: &[Work],
        inputs: &Inputs,
        threads: u8,
        best: &mut Best,
    ) -> anyhow::Result<()> {
        if qualities.is_empty() {
            return Ok(());
        }
        say("sbi, until it stops");
        let mut command = SBI.command(python, threads);
        command.arg(inputs.quality_table());
        if let Some(epochs) = inputs.quality_epochs() {
            command.args(["--epochs", &epochs.to_string()]);
        }
        let printed = output(&mut command)?;
        let line = printed.lines().last().context("sbi says nothing")?;
        let sbi: SbiLine = serde_json::from_str(line).with_context(|| format!("`{line}`"))?;
        say(&format!(
            "sbi: {:.4} nats in {} epochs, {:.0} s",
            sbi.quality_loss, sbi.epochs, sbi.seconds
        ));
        for work in qualities {
            let (kind, of) = work.name();
            say(&format!("cei to this loss, {of}"));
            let own = work.seconds_to(&self.cei, inputs, sbi.quality_loss, threads)?;
            let own = own.with_context(|| format!("{of} does not reach the loss of sbi"))?;
            best.add(kind, of, &ours(threads), own);
            best.add(kind, of, SBI.name, sbi.seconds);
        }
        Ok(())
    }
}

/// What the program of sbi prints at its end.
#[derive(Debug, PartialEq, Deserialize)]
struct SbiLine {
    /// The least validation loss, nats of positions in bohr.
    quality_loss: f64,
    seconds: f64,
    epochs: usize,
}

/// A line of `cei-bench`.
#[derive(Debug, Deserialize)]
struct Case {
    case: String,
    of: String,
    items: usize,
    median_ms: f64,
}

impl Case {
    /// In the unit of its kind; items a millisecond are thousands a second.
    fn value(&self) -> f64 {
        if [STEP, COMPOSED].contains(&self.case.as_str()) {
            self.median_ms
        } else {
            self.items as f64 / self.median_ms
        }
    }
}

/// The median of the seconds, the last column, of all epochs but the first.
fn later_epochs(history: &str) -> Option<f64> {
    let mut seconds: Vec<f64> = history
        .lines()
        .skip(2)
        .map(|line| line.rsplit(',').next()?.parse().ok())
        .collect::<Option<_>>()?;
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied()
}

impl Peer {
    /// Whether Python has what it needs; says so if not.
    fn exists(self, python: &Path) -> bool {
        let found = Command::new(python).args(["-c", self.imports]).stderr(Stdio::null()).status();
        let exists = found.is_ok_and(|status| status.success());
        if !exists {
            say(&format!(
                "`{}` cannot `{}`: going on without {}",
                python.display(),
                self.imports,
                self.name
            ));
        }
        exists
    }

    fn command(self, python: &Path, threads: u8) -> Command {
        let script = workspace_root().join("crates/bench/peers").join(self.script);
        let mut command = Command::new(python);
        let [before, after] = self.args;
        command.arg(script).args(before).arg(threads.to_string()).args(after);
        command
    }

    fn run(self, python: &Path, args: &BenchArgs, best: &mut Best) -> anyhow::Result<()> {
        let mut command = self.command(python, args.peer_threads);
        command.args(if args.quick { self.quick_args } else { &[] });
        for line in output(&mut command)?.lines() {
            match serde_json::from_str(line).with_context(|| format!("`{line}`"))? {
                PeerLine::Training { model, median_ms } => {
                    best.add(STEP, &model, self.name, median_ms);
                }
                PeerLine::Sampling { infer, ksamples_s } => {
                    best.add(SAMPLING, &infer, self.name, ksamples_s);
                }
                PeerLine::Failure { model, err } => {
                    say(&format!("{} failed on {model}: {err}", self.name));
                }
            }
        }
        Ok(())
    }
}

/// A line of the reference programs.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum PeerLine {
    Training { model: String, median_ms: f64 },
    Sampling { infer: String, ksamples_s: f64 },
    Failure { model: String, err: String },
}

fn with_threads(program: impl AsRef<OsStr>, threads: u8) -> Command {
    let mut command = Command::new(program);
    command.env("RAYON_NUM_THREADS", threads.to_string());
    command
}

/// What a command prints.
fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "`{command:?}` failed ({})", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_reference_programs_are_read() -> anyhow::Result<()> {
        let training: PeerLine = serde_json::from_str(
            r#"{"fw": "torch", "model": "cinn128", "mode": "compile", "threads": 2, "median_ms": 13.3, "p10": 13.0, "first_s": 3.7, "loss": 0.99}"#,
        )?;
        assert_eq!(training, PeerLine::Training { model: "cinn128".to_owned(), median_ms: 13.3 });
        let sampling: PeerLine = serde_json::from_str(
            r#"{"fw": "jax", "infer": "cvae512", "threads": 2, "ksamples_s": 214.0}"#,
        )?;
        assert_eq!(sampling, PeerLine::Sampling { infer: "cvae512".to_owned(), ksamples_s: 214.0 });
        Ok(())
    }

    #[test]
    fn the_table_has_the_best_of_every_side_and_its_ratios() {
        let mut best = Best::default();
        for (who, values) in
            [("1 threads", [9.0, 8.0]), ("2 threads", [4.0, 5.0]), ("torch", [10.0, 12.0])]
        {
            for value in values {
                best.add(STEP, "cinn128", who, value);
            }
        }
        best.add(SAMPLING, "cinn128", "2 threads", 300.0);
        best.add(SAMPLING, "cinn128", "torch", 100.0);
        best.add(SAMPLING, "cinn128", "jax", 200.0);
        best.add(QUALITY, "wide-cinn", "2 threads", 5.0);
        best.add(QUALITY, "wide-cinn", "sbi", 100.0);
        let table = best.table(2);
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| training step, cinn128 | ms | 8.00 | 4.00 | 2.00 | 10.0 | – | – | 0.40 |",
                "| sampling, cinn128 | 1000/s | – | 300 | – | 100 | 200 | – | 1.50 |",
                "| train to a quality, wide-cinn | s | – | 5.00 | – | – | – | 100 | 0.05 |",
            ]
        );
    }

    #[test]
    fn the_first_epoch_does_not_count() {
        let history = "epoch,training_loss,seconds\n1,3,9.0\n2,2,0.3\n3,1,0.1\n4,1,0.2\n";
        assert_eq!(later_epochs(history), Some(0.2));
    }
}
