//! `prepare` and `reproduce`: every step is skipped if what it would make is there and its inputs are
//! unchanged, and an interrupted training is continued.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cei_run::folder::layout::{self, CALIBRATION, CHECKPOINT, EVALUATION, RECORD};

use crate::cei::Cei;
use crate::pipeline::{
    CALIBRATED_EVENTS, DATA_SETS, DataSet, QUICK_EVENTS, QUICK_OVERRIDES, RUNS, Run,
};
use crate::stamp::{Stamp, key};
use crate::{BuildArgs, ambiguity, results, say, workspace_root};

/// Where one reproduction reads and writes.
#[derive(Debug)]
pub(crate) struct Places {
    /// Simulated tables.
    pub(crate) data: PathBuf,
    /// Run folders.
    pub(crate) runs: PathBuf,
    /// The report.
    pub(crate) results: PathBuf,
    /// Figures that the report and README show.
    pub(crate) figures: PathBuf,
    /// Whether this is the smoke run.
    pub(crate) quick: bool,
}

impl Places {
    fn new(quick: bool) -> Self {
        let [data, runs, results, figures] = if quick {
            ["runs/quick/data", "runs/quick", "runs/quick/RESULTS.md", "runs/quick/figures"]
        } else {
            ["data/generated", "runs", "RESULTS.md", "docs/figures"]
        }
        .map(PathBuf::from);
        Self { data, runs, results, figures, quick }
    }

    /// The table of a data set.
    pub(crate) fn table(&self, name: &str) -> PathBuf {
        self.data.join(format!("{name}.parquet"))
    }

    /// The folder of a run.
    pub(crate) fn run(&self, name: &str) -> PathBuf {
        self.runs.join(name)
    }
}

/// Simulates the data sets.
pub(crate) fn prepare(args: &BuildArgs) -> anyhow::Result<()> {
    let cei = Cei::new(args.cei.as_deref())?;
    let places = Places::new(args.quick);
    for data_set in DATA_SETS {
        simulate(&cei, &places, data_set)?;
    }
    Ok(())
}

/// Makes everything: data, models, evaluations, figures, RESULTS.md.
pub(crate) fn reproduce(args: &BuildArgs) -> anyhow::Result<()> {
    let begun = std::time::Instant::now();
    let cei = Cei::new(args.cei.as_deref())?;
    let places = Places::new(args.quick);
    for data_set in DATA_SETS {
        simulate(&cei, &places, data_set)?;
    }
    for run in RUNS {
        let trained = train(&cei, &places, run)?;
        evaluate(&cei, &places, run, &trained)?;
        calibrate(&cei, &places, run, &trained)?;
    }
    let ambiguous = ambiguity::examine(&cei, &places)?;
    results::write(&cei, &places, &ambiguous)?;
    say(&format!(
        "done in {:.0} s: see {}",
        begun.elapsed().as_secs_f64(),
        places.results.display()
    ));
    Ok(())
}

fn simulate(cei: &Cei, places: &Places, data_set: DataSet) -> anyhow::Result<()> {
    let events = if places.quick { data_set.quick_events } else { data_set.events };
    let (events, seed) = (events.to_string(), data_set.seed.to_string());
    let table = places.table(data_set.preset.name);
    let preset = read(data_set.preset.path)?;
    let stamp = stamp(&table, "made", &[&cei.hash, &preset, &events, &seed]);
    if stamp.is_current() && absolute(&table).exists() {
        say(&format!("{} is up to date", table.display()));
        return Ok(());
    }
    std::fs::create_dir_all(absolute(&places.data))?;
    let output = table.display().to_string();
    cei.run(&[
        "simulate",
        "--preset",
        data_set.preset.name,
        "--events",
        &events,
        "--seed",
        &seed,
        "-o",
        &output,
    ])?;
    Ok(stamp.set()?)
}

/// Trains a run, or continues it if it was interrupted; gives the key of what it was made from.
fn train(cei: &Cei, places: &Places, run: Run) -> anyhow::Result<String> {
    let folder = places.run(run.name);
    let config = run.config.path;
    let table = places.table(run.data.name).display().to_string();
    let data_key = std::fs::read_to_string(absolute(&made_stamp(&places.table(run.data.name))))?;
    let mut overrides: Vec<&str> = Vec::new();
    if places.quick {
        overrides.extend(QUICK_OVERRIDES);
    }
    if places.quick && run.simulates {
        overrides.push(QUICK_EVENTS);
    }
    let (seed, members) = (run.seed.to_string(), run.ensemble.to_string());
    let key = key(&[&cei.hash, &read(config)?, &data_key, &seed, &members, &overrides.concat()]);
    let begun = Stamp::new(&absolute(&folder), "begun", key.clone());
    let done = Stamp::new(&absolute(&folder), "trained", key.clone());
    if done.is_current() && absolute(&folder).join(RECORD).exists() {
        say(&format!("{} is up to date", folder.display()));
        return Ok(key);
    }
    let resume = begun.is_current() && layout::holds(&absolute(&folder), CHECKPOINT);
    if !resume && absolute(&folder).exists() {
        std::fs::remove_dir_all(absolute(&folder))?;
    }
    std::fs::create_dir_all(absolute(&places.runs))?;
    begun.set()?;
    let output = folder.display().to_string();
    let mut args = vec!["train", "--config", config, "--seed", &seed, "-o", &output];
    if !run.simulates {
        args.extend(["--data", &table]);
    }
    if run.ensemble > 1 {
        args.extend(["--ensemble", &members]);
    }
    for given in &overrides {
        args.extend(["--set", given]);
    }
    if resume {
        args.push("--resume");
    }
    cei.run(&args)?;
    done.set()?;
    Ok(key)
}

fn evaluate(cei: &Cei, places: &Places, run: Run, trained: &str) -> anyhow::Result<()> {
    let folder = places.run(run.name);
    let stamp = Stamp::new(&absolute(&folder), "evaluated", trained.to_owned());
    if stamp.is_current() && absolute(&folder).join(EVALUATION).exists() {
        say(&format!("{} is evaluated", folder.display()));
        return Ok(());
    }
    cei.run(&["evaluate", &folder.display().to_string()])?;
    Ok(stamp.set()?)
}

/// Tests the calibration of a run whose posterior is one: as given, positions hold what momenta cannot see.
fn calibrate(cei: &Cei, places: &Places, run: Run, trained: &str) -> anyhow::Result<()> {
    let folder = places.run(run.name);
    let stamp = Stamp::new(&absolute(&folder), "calibrated", trained.to_owned());
    if stamp.is_current() && absolute(&folder).join(CALIBRATION).exists() {
        say(&format!("{} is calibrated", folder.display()));
        return Ok(());
    }
    let folder = folder.display().to_string();
    cei.run(&["calibrate", &folder, "--events", CALIBRATED_EVENTS])?;
    Ok(stamp.set()?)
}

fn stamp(result: &Path, what: &str, parts: &[&str]) -> Stamp {
    Stamp::new(&absolute(result), what, key(parts))
}

/// The file in which [`simulate`] remembers its inputs.
fn made_stamp(table: &Path) -> PathBuf {
    PathBuf::from(format!("{}.made.stamp", table.display()))
}

/// A path of the workspace.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    workspace_root().join(path)
}

/// A text file of the workspace.
pub(crate) fn read(path: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(workspace_root().join(path)).with_context(|| format!("`{path}`"))
}
