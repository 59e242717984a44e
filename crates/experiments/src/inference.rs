//! `inference-bench`: the benchmark problems of simulation-based inference (`docs/spec.md#benchmark-problems`),
//! trained by configuration alone, beside the published figures. What is done is not done again: every step has a
//! stamp.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use cei_run::c2st::C2stReport;
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::cei::{Cei, beside};
use crate::stamp::{self, Stamp};
use crate::{say, workspace_root, write_between_markers};

/// What is run.
#[derive(Debug, Args)]
#[command(
    after_help = "The table goes into docs/inference-bench.md, outcomes into runs/inference."
)]
pub(crate) struct InferenceArgs {
    /// Training pairs of the sbibm problems; inverse kinematics always has 1,000,000
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = parse_pairs)]
    pairs: usize,
    /// Only this problem (may be given again): two_moons, slcp, gaussian_linear, gaussian_mixture,
    /// inverse_kinematics
    #[arg(long = "problem", value_name = "NAME")]
    problems: Vec<String>,
    /// A smoke run of seconds into runs/inference/quick: few pairs, epochs and draws, same code path
    #[arg(long)]
    quick: bool,
    /// The experiment that all problems share
    #[arg(long, value_name = "FILE", default_value = SHARED_CONFIG)]
    config: PathBuf,
    /// Train an ensemble of this many members
    #[arg(long, value_name = "K")]
    ensemble: Option<usize>,
    /// Use this `cei` binary instead of building one
    #[arg(long, value_name = "FILE", requires = "bench")]
    cei: Option<PathBuf>,
    /// Use this `cei-bench` binary instead of building one
    #[arg(long, value_name = "FILE", requires = "cei")]
    bench: Option<PathBuf>,
}

fn parse_pairs(text: &str) -> Result<usize, String> {
    match text {
        "10000" => Ok(10_000),
        "100000" => Ok(100_000),
        _ => Err("published figures exist for 10000 and 100000 pairs".to_owned()),
    }
}

/// A problem, and what neural posterior estimation with spline flows is published to reach (C2ST, mean of ten
/// observations; Lueckmann et al. 2021, version 1.1) with 10,000 and 100,000 pairs.
const PUBLISHED: [(&str, [f64; 2]); 4] = [
    ("two_moons", [0.606, 0.542]),
    ("slcp", [0.901, 0.831]),
    ("gaussian_linear", [0.552, 0.506]),
    ("gaussian_mixture", [0.615, 0.548]),
];
const KINEMATICS: &str = "inverse_kinematics";
/// What inverse kinematics has to stay below: `|f(x) - y|^2` and MMD.
const KINEMATICS_TARGETS: [f64; 2] = [0.005, 0.006];

/// The experiment that all problems share.
pub(crate) const SHARED_CONFIG: &str = "configs/bench/flow.toml";
/// Seed of the training pairs.
const SEED: &str = "1";
/// What is set by the number of pairs alone, for every problem alike: more pairs need fewer passes, and a flow cannot
/// learn a million by heart, so that nothing has to restrain it.
pub(crate) const TEN_THOUSAND: &[&str] = &["training.max_epochs=80"];
const HUNDRED_THOUSAND: &[&str] = &["training.max_epochs=30"];
const MILLION: &[&str] =
    &["training.max_epochs=12", "training.weight_decay=0.01", "model.dropout=0.0"];
/// The page that holds the table, and the lines around it.
const PAGE: &str = "docs/inference-bench.md";

/// Numbers of the run.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    pairs: usize,
    settings: &'static [&'static str],
    observations: usize,
    draws: usize,
}

impl Sizes {
    fn of(args: &InferenceArgs, name: &str) -> Self {
        if args.quick {
            let settings = &["training.max_epochs=3"];
            return Self { pairs: 500, settings, observations: 2, draws: 100 };
        }
        if name == KINEMATICS {
            return Self { pairs: 1_000_000, settings: MILLION, observations: 1000, draws: 1000 };
        }
        let settings = if args.pairs > 10_000 { HUNDRED_THOUSAND } else { TEN_THOUSAND };
        Self { pairs: args.pairs, settings, observations: 10, draws: 10_000 }
    }
}

/// A problem as `cei-bench problem describe` gives it.
#[derive(Debug, Deserialize)]
pub(crate) struct Problem {
    name: String,
    x: usize,
    y: usize,
    bounds: Option<[f64; 2]>,
}

/// What a problem scored; kept as JSON beside its run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Outcome {
    problem: String,
    pairs: usize,
    /// C2ST of every observation; empty where it is not the score.
    c2st: Vec<f64>,
    /// Re-simulation error and MMD; none where they are not the scores.
    kinematics: Option<Kinematics>,
    /// Seconds of `cei train`, and of everything.
    training_seconds: f64,
    seconds: f64,
}

/// The last line of `cei-bench problem score`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Kinematics {
    resimulation_error: f64,
    mmd: f64,
    mmd_multiscale: f64,
    mmd_of_exact: f64,
    mmd_multiscale_of_exact: f64,
}

/// Runs the problems that are asked for, prints the table, and writes it into the page (not in a quick run).
pub(crate) fn inference_bench(args: &InferenceArgs) -> anyhow::Result<()> {
    let names: Vec<&str> = PUBLISHED.iter().map(|(name, _)| *name).chain([KINEMATICS]).collect();
    if let Some(unknown) = args.problems.iter().find(|name| !names.contains(&name.as_str())) {
        bail!("unknown problem `{unknown}`\nhint: there are {}", names.join(", "));
    }
    let programs = Programs::new(args.cei.as_deref().zip(args.bench.as_deref()))?;
    let root = root(args.quick);
    for name in names {
        if args.problems.is_empty() || args.problems.iter().any(|wanted| wanted == name) {
            programs.problem(args, &root, name)?;
        }
    }
    let outcomes = outcomes(&root)?;
    let table = table(&outcomes);
    if !args.quick {
        write_between_markers(&workspace_root().join(PAGE), "inference-bench", &table)?;
        say(&format!("{PAGE} is up to date"));
    }
    std::io::Write::write_all(&mut std::io::stdout().lock(), table.as_bytes())?;
    Ok(())
}

/// The smoke run, and its outcomes.
pub(crate) fn smoke_run() -> anyhow::Result<()> {
    let args = InferenceArgs {
        pairs: 10_000,
        problems: Vec::new(),
        quick: true,
        config: SHARED_CONFIG.into(),
        ensemble: None,
        cei: None,
        bench: None,
    };
    inference_bench(&args)?;
    let done = outcomes(&root(true))?;
    let kinematics = done.iter().filter(|outcome| outcome.kinematics.is_some()).count();
    ensure!(
        done.len() == PUBLISHED.len() + 1 && kinematics == 1,
        "the smoke run of the benchmark made {} outcomes of {}",
        done.len(),
        PUBLISHED.len() + 1
    );
    Ok(())
}

/// Where runs and outcomes are kept.
fn root(quick: bool) -> PathBuf {
    workspace_root().join("runs/inference").join(if quick { "quick" } else { "full" })
}

/// The binaries, and a digest of both.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) cei: Cei,
    bench: PathBuf,
    pub(crate) hash: String,
}

impl Programs {
    /// `cei` and `cei-bench`: those given, or those beside this program.
    pub(crate) fn new(given: Option<(&Path, &Path)>) -> anyhow::Result<Self> {
        let (cei, bench) = match given {
            Some((cei, bench)) => (cei.to_owned(), std::path::absolute(bench)?),
            None => (beside("cei")?, beside("cei-bench")?),
        };
        let cei = Cei::new(Some(&cei))?;
        let bytes = std::fs::read(&bench).with_context(|| format!("`{}`", bench.display()))?;
        let hash = stamp::key(&[&cei.hash, &stamp::sha256(&bytes)]);
        Ok(Self { cei, bench, hash })
    }

    /// Pairs, training, draws and scores of one problem; skipped where the outcome is current.
    fn problem(&self, args: &InferenceArgs, root: &Path, name: &str) -> anyhow::Result<()> {
        let sizes = Sizes::of(args, name);
        let folder = root.join(format!("{name}-{}", sizes.pairs));
        std::fs::create_dir_all(&folder)?;
        let outcome_file = folder.join("outcome.json");
        let config_text = std::fs::read_to_string(workspace_root().join(&args.config))
            .with_context(|| format!("`{}`", args.config.display()))?;
        let key =
            stamp::key(&[&self.hash, &config_text, &format!("{sizes:?} {:?}", args.ensemble)]);
        let done = Stamp::new(&outcome_file, "inference", key);
        if outcome_file.exists() && done.is_current() {
            say(&format!("{name}, {} pairs: done before", sizes.pairs));
            return Ok(());
        }
        let begun = Instant::now();
        let file = |name: &str| folder.join(name).display().to_string();
        let [pairs, observations, run] =
            [file("pairs.parquet"), file("observations.parquet"), file("run")];
        let [draws, reference] = [file("draws.parquet"), file("reference.parquet")];
        let problem = self.generate(name, sizes.pairs, &pairs)?;
        let [count, draw_count] =
            [sizes.observations, sizes.draws].map(|number| number.to_string());
        self.bench(&["observations", name, "--count", &count, "-o", &observations])?;

        if Path::new(&run).exists() {
            std::fs::remove_dir_all(&run)?;
        }
        let training = Instant::now();
        let mut train = train_arguments(&args.config, &problem, sizes.settings, &pairs, &run);
        if let Some(members) = args.ensemble {
            train.extend(["--ensemble".to_owned(), members.to_string()]);
        }
        self.cei.run(&texts(&train))?;
        let training_seconds = training.elapsed().as_secs_f64();
        self.cei.run(&[
            "predict",
            &run,
            &observations,
            "-n",
            &draw_count,
            "--quiet",
            "-o",
            &draws,
        ])?;

        let (c2st, kinematics) = self.score(name, &sizes, &draws, &reference)?;
        let outcome = Outcome {
            problem: name.to_owned(),
            pairs: sizes.pairs,
            c2st,
            kinematics,
            training_seconds,
            seconds: begun.elapsed().as_secs_f64(),
        };
        std::fs::write(&outcome_file, serde_json::to_string_pretty(&outcome)?)?;
        // The pairs and draws can be made again; the outcome and the run stay.
        for file in [&pairs, &draws, &reference] {
            if Path::new(file).exists() {
                std::fs::remove_file(file)?;
            }
        }
        Ok(done.set()?)
    }

    /// The scores of draws: accuracies of a classifier that tells them from exact ones, or those of the kinematics.
    fn score(
        &self,
        name: &str,
        sizes: &Sizes,
        draws: &str,
        reference: &str,
    ) -> anyhow::Result<(Vec<f64>, Option<Kinematics>)> {
        let [count, draw_count] =
            [sizes.observations, sizes.draws].map(|number| number.to_string());
        if name == KINEMATICS {
            let text = self.bench(&["score", name, "--count", &count, "--draws-file", draws])?;
            return Ok((Vec::new(), Some(serde_json::from_str(&text)?)));
        }
        let exact = ["--count", &count, "--draws", &draw_count, "-o", reference];
        self.bench(&[["reference", name].as_slice(), exact.as_slice()].concat())?;
        let text = self.cei.read(&["c2st", draws, reference, "--json"])?;
        let c2st = accuracies(&text)?;
        ensure!(
            c2st.len() == sizes.observations,
            "`cei c2st` gave {} accuracies for {count} observations",
            c2st.len()
        );
        Ok((c2st, None))
    }

    /// Writes training pairs of a problem.
    pub(crate) fn generate(&self, name: &str, pairs: usize, file: &str) -> anyhow::Result<Problem> {
        let problem: Problem = serde_json::from_str(&self.bench(&["describe", name])?)?;
        ensure!(problem.name == name, "`cei-bench` described `{}`, not `{name}`", problem.name);
        let pairs = pairs.to_string();
        self.bench(&["generate", name, "--pairs", &pairs, "--seed", SEED, "-o", file])?;
        Ok(problem)
    }

    /// What `cei-bench problem` prints.
    fn bench(&self, args: &[&str]) -> anyhow::Result<String> {
        say(&format!("$ cei-bench problem {}", args.join(" ")));
        let mut command = Command::new(&self.bench);
        command.arg("problem").args(args).current_dir(workspace_root()).stderr(Stdio::inherit());
        let output = command.output()?;
        ensure!(output.status.success(), "`{command:?}` failed ({})", output.status);
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// Of `cei train`: the shared configuration, the facts of the problem, and `settings`.
pub(crate) fn train_arguments(
    config: &Path,
    problem: &Problem,
    settings: &[&str],
    pairs: &str,
    run: &str,
) -> Vec<String> {
    let columns = |side: &str, count: usize| {
        (1..=count).map(|column| format!("'{side}{column}'")).collect::<Vec<_>>().join(", ")
    };
    let mut overrides = vec![
        format!("columns.x=[{}]", columns("x", problem.x)),
        format!("columns.y=[{}]", columns("y", problem.y)),
    ];
    overrides.extend(settings.iter().map(|&set| set.to_owned()));
    if let Some([low, high]) = problem.bounds {
        let bounds: Vec<String> =
            (1..=problem.x).map(|column| format!("x{column} = [{low:?}, {high:?}]")).collect();
        overrides.push(format!("preprocessing.bounds={{ {} }}", bounds.join(", ")));
    }
    let config = config.display().to_string();
    let mut arguments: Vec<String> =
        ["train", "--config", &config, "--data", pairs, "-o", run, "--quiet"]
            .map(str::to_owned)
            .into();
    for set in overrides {
        arguments.extend(["--set".to_owned(), set]);
    }
    arguments
}

pub(crate) fn texts(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// The accuracy of every event in what `cei c2st --json` prints.
fn accuracies(text: &str) -> anyhow::Result<Vec<f64>> {
    let report: C2stReport = serde_json::from_str(text).with_context(|| format!("`{text}`"))?;
    Ok(report.events.iter().map(|event| event.result.accuracy).collect())
}

/// All outcomes below `root`, in the order of the table.
fn outcomes(root: &Path) -> anyhow::Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for entry in std::fs::read_dir(root)? {
        let file = entry?.path().join("outcome.json");
        if file.extension() == Some(OsStr::new("json")) && file.exists() {
            let outcome: Outcome = serde_json::from_str(&std::fs::read_to_string(&file)?)
                .with_context(|| format!("`{}`", file.display()))?;
            outcomes.push(outcome);
        }
    }
    let place = |outcome: &Outcome| {
        PUBLISHED.iter().position(|(name, _)| *name == outcome.problem).unwrap_or(PUBLISHED.len())
    };
    outcomes.sort_by_key(|outcome: &Outcome| (place(outcome), outcome.pairs));
    Ok(outcomes)
}

fn table(outcomes: &[Outcome]) -> String {
    let mut text = "| problem | pairs | C2ST, mean | sd | published NPE-NSF | below | training, s | all, s |\n\
        | --- | --- | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for outcome in outcomes.iter().filter(|outcome| !outcome.c2st.is_empty()) {
        let (mean, sd) = mean_and_sd(&outcome.c2st);
        let figures = PUBLISHED.iter().find(|(name, _)| *name == outcome.problem);
        let published = figures.and_then(|(_, [few, many])| match outcome.pairs {
            10_000 => Some(*few),
            100_000 => Some(*many),
            _ => None,
        });
        let _ = writeln!(
            text,
            "| {} | {} | {mean:.3} | {sd:.3} | {} | {} | {:.0} | {:.0} |",
            outcome.problem,
            outcome.pairs,
            published.map_or("–".to_owned(), |published| format!("{published:.3}")),
            verdict(published.map(|published| mean < published)),
            outcome.training_seconds,
            outcome.seconds
        );
    }
    for outcome in outcomes {
        let Some(scores) = &outcome.kinematics else { continue };
        let [error, mmd] = KINEMATICS_TARGETS;
        let _ = write!(
            text,
            "\n| inverse kinematics, {} pairs | cei | to stay below | below | exact draws |\n\
            | --- | --- | --- | --- | --- |\n\
            | re-simulation error | {:.5} | {error} | {} | 0 |\n\
            | MMD, one scale | {:.5} | {mmd} | {} | {:.5} |\n\
            | MMD, three scales | {:.5} | {mmd} | {} | {:.5} |\n\
            | training, s | {:.0} | | | |\n",
            outcome.pairs,
            scores.resimulation_error,
            verdict(Some(scores.resimulation_error < error)),
            scores.mmd,
            verdict(Some(scores.mmd < mmd)),
            scores.mmd_of_exact,
            scores.mmd_multiscale,
            verdict(Some(scores.mmd_multiscale < mmd)),
            scores.mmd_multiscale_of_exact,
            outcome.training_seconds
        );
    }
    text
}

fn verdict(below: Option<bool>) -> &'static str {
    match below {
        Some(true) => "yes",
        Some(false) => "no",
        None => "–",
    }
}

/// Mean and sample standard deviation; the latter is 0 for one value.
fn mean_and_sd(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0).max(1.0)).sqrt())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_accuracy_of_every_event_is_read() -> anyhow::Result<()> {
        let event = |number: u64, accuracy: f64| {
            json!({
                "event": number, "accuracy": accuracy, "standard_error": 0.01, "folds": [accuracy], "rows": 8,
                "correct": 4, "effective_rows": 8, "columns": 2, "p_value": 0.5
            })
        };
        let report = json!({
            "sample": "a.csv", "reference": "b.csv", "columns": ["x1", "x2"], "accuracy": 0.625,
            "standard_error": 0.125, "p_value": 0.5, "level": 0.01, "pass": true, "left_out": 0,
            "events": [event(0, 0.5), event(1, 0.75)]
        });
        assert_eq!(accuracies(&report.to_string())?, [0.5, 0.75]);
        let renamed = report.to_string().replace("accuracy", "accuracy_of_old");
        assert!(accuracies(&renamed).is_err());
        Ok(())
    }

    #[test]
    fn the_table_judges_against_the_figure_for_as_many_pairs() {
        let outcome = |pairs, c2st: &[f64]| Outcome {
            problem: "slcp".to_owned(),
            pairs,
            c2st: c2st.to_vec(),
            kinematics: None,
            training_seconds: 1.0,
            seconds: 2.0,
        };
        let text =
            table(&[outcome(10_000, &[0.8, 0.9]), outcome(100_000, &[0.85]), outcome(500, &[0.9])]);
        let rows: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(rows[0], "| slcp | 10000 | 0.850 | 0.071 | 0.901 | yes | 1 | 2 |");
        assert_eq!(rows[1], "| slcp | 100000 | 0.850 | 0.000 | 0.831 | no | 1 | 2 |");
        assert_eq!(rows[2], "| slcp | 500 | 0.900 | 0.000 | – | – | 1 | 2 |");
    }

    #[test]
    fn scores_of_the_kinematics_stand_in_their_rows() {
        let kinematics = Kinematics {
            resimulation_error: 0.004,
            mmd: 0.007,
            mmd_multiscale: 0.005,
            mmd_of_exact: 0.001,
            mmd_multiscale_of_exact: 0.002,
        };
        let outcome = Outcome {
            problem: KINEMATICS.to_owned(),
            pairs: 1_000_000,
            c2st: Vec::new(),
            kinematics: Some(kinematics),
            training_seconds: 9.0,
            seconds: 10.0,
        };
        let text = table(&[outcome]);
        for row in [
            "| re-simulation error | 0.00400 | 0.005 | yes | 0 |",
            "| MMD, one scale | 0.00700 | 0.006 | no | 0.00100 |",
            "| MMD, three scales | 0.00500 | 0.006 | yes | 0.00200 |",
            "| training, s | 9 | | | |",
        ] {
            assert!(text.lines().any(|line| line == row), "no row `{row}` in\n{text}");
        }
    }
}
