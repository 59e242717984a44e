//! `chbrclf`: the benchmark of published regressors, bromochlorofluoromethane scrambled in a sphere. How near does
//! the network come alone, and how near with the simulator?

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use cei_run::evaluate::RunEvaluation;
use cei_run::folder::layout::{self, CHECKPOINT, HISTORY, RECORD};
use cei_run::presets::{CHBRCLF, CHBRCLF_SPLINE, Preset};
use clap::Args;

use crate::cei::Cei;
use crate::csv::{column, read_csv, vector};
use crate::{say, workspace_root, write_between_markers};

/// What is run.
#[derive(Debug, Args)]
#[command(
    after_help = "Trains for about an hour on two cores, unless the runs are there (runs/chbrclf-spline and two smaller ones). The table goes into docs/chbrclf.md."
)]
pub(crate) struct ChbrclfArgs {
    /// Use this `cei` binary instead of building one
    #[arg(long, value_name = "FILE")]
    cei: Option<PathBuf>,
}

/// The experiment, and where it is kept.
const CONFIG: Preset = CHBRCLF_SPLINE;
const RUN: &str = "runs/chbrclf-spline";
/// Events and seeds of the training table and of the test table.
const TRAINING: [&str; 3] = ["data/generated/chbrclf.parquet", "4000000", "1"];
const TEST: [&str; 3] = ["data/generated/chbrclf-test.csv", "1000", "2"];
/// Smaller training tables, for the learning curve.
const SMALLER: [&str; 2] = ["62500", "250000"];
/// Draws of the network that the refinement starts from.
const STARTS: &str = "100";
/// The page that holds the table.
const PAGE: &str = "docs/chbrclf.md";
/// Atoms as the columns of the table name them.
const ATOMS: [&str; 5] = ["br", "cl", "f", "c", "h"];
/// A geometry as near to the truth as this is found (bohr, mean over the atoms).
const FOUND_BOHR: f64 = 0.01;

/// Trains, scores and refines, and writes the page.
pub(crate) fn chbrclf(args: &ChbrclfArgs) -> anyhow::Result<()> {
    let cei = Cei::new(args.cei.as_deref())?;
    let root = workspace_root();
    std::fs::create_dir_all(root.join("data/generated"))?;
    let simulate = |[file, events, seed]: [&str; 3]| {
        let what = ["simulate", "--preset", CHBRCLF.name, "--events", events, "--seed", seed];
        cei.run(&[what.as_slice(), &["-o", file]].concat())
    };
    let train = |run: &str, table: [&str; 3]| -> anyhow::Result<()> {
        if root.join(run).join(RECORD).exists() {
            say(&format!("{run} was trained before: remove the folder to train again"));
            return Ok(());
        }
        if !root.join(table[0]).exists() {
            simulate(table)?;
        }
        let mut arguments = vec!["train", "--config", CONFIG.path, "--data", table[0], "-o", run];
        if layout::holds(&root.join(run), CHECKPOINT) {
            arguments = vec!["train", "--resume", "-o", run];
        }
        cei.run(&arguments)
    };
    simulate(TEST)?;
    let evaluate = |run: &str| -> anyhow::Result<RunEvaluation> {
        Ok(serde_json::from_str(&cei.read(&["evaluate", run, "--data", TEST[0], "--json"])?)?)
    };
    let mut by_events = Vec::new();
    for events in SMALLER {
        let table = format!("data/generated/chbrclf-{events}.parquet");
        let run = format!("{RUN}-{events}");
        train(&run, [&table, events, TRAINING[2]])?;
        by_events.push((events, evaluate(&run)?));
    }
    train(RUN, TRAINING)?;
    let network = evaluate(RUN)?;
    by_events.push((TRAINING[1], network.clone()));
    let [draws, modes] = ["data/generated/chbrclf-refined.csv", "data/generated/chbrclf-modes.csv"];
    let begun = std::time::Instant::now();
    let predict = ["predict", RUN, TEST[0], "--refine", "-n", STARTS, "--quiet"];
    cei.run(&[predict.as_slice(), &["-o", draws, "--modes", modes]].concat())?;
    let seconds = begun.elapsed().as_secs_f64();
    let outcome = compare([TEST[0], draws, modes].map(|file| root.join(file)))?;
    let history = std::fs::read_to_string(root.join(RUN).join(HISTORY))?;
    let page = [
        table(&network, &outcome, seconds)?,
        curve_by_events(&by_events)?,
        learning_curve(&history)?,
    ]
    .join("\n");
    write_between_markers(&root.join(PAGE), "chbrclf", &page)?;
    say(&format!("{PAGE} is up to date"));
    Ok(())
}

/// How the refined geometries compare with the truth.
#[derive(Debug, PartialEq)]
struct Outcome {
    /// Whether each event is flagged as outside the model.
    flagged: Vec<bool>,
    /// Displacement of the nearest geometry of each event (bohr); infinite without any.
    nearest: Vec<f64>,
    /// Displacement of the first geometry of each event, the most probable one (bohr).
    first: Vec<f64>,
    /// Geometries of all events.
    modes: usize,
}

impl Outcome {
    /// Events that are as asked for: flagged or not, with a geometry within [`FOUND_BOHR`] of the truth or not.
    fn count(&self, flagged: Option<bool>, found: bool) -> usize {
        let events = self.flagged.iter().zip(&self.nearest);
        events
            .filter(|(flag, distance)| {
                flagged.is_none_or(|flagged| flagged == **flag)
                    && (**distance <= FOUND_BOHR) == found
            })
            .count()
    }
}

/// Compares the files of the truth, of draws with their flags, and of modes.
fn compare([truth, draws, modes]: [PathBuf; 3]) -> anyhow::Result<Outcome> {
    let ((true_names, truths), (names, rows)) = (read_csv(&truth)?, read_csv(&modes)?);
    let mut nearest = vec![f64::INFINITY; truths.len()];
    let mut first = nearest.clone();
    let [event, mode] = [column(&names, "event")?, column(&names, "mode")?];
    for row in &rows {
        let number = row[event] as usize;
        let truth = truths.get(number).context("more events than there were")?;
        let mut sum = 0.0;
        for atom in ATOMS {
            let (a, b) = (vector(&true_names, truth, atom)?, vector(&names, row, atom)?);
            sum += (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>().sqrt();
        }
        let displacement = sum / ATOMS.len() as f64;
        nearest[number] = nearest[number].min(displacement);
        if row[mode] == 0.0 {
            first[number] = displacement;
        }
    }
    let (draw_names, draw_rows) = read_csv(&draws)?;
    let [event, flag] = [column(&draw_names, "event")?, column(&draw_names, "outside_model")?];
    let mut flagged = vec![false; truths.len()];
    for row in &draw_rows {
        *flagged.get_mut(row[event] as usize).context("more events than there were")? =
            row[flag] != 0.0;
    }
    ensure!(!truths.is_empty(), "no test events");
    Ok(Outcome { flagged, nearest, first, modes: rows.len() })
}

fn table(network: &RunEvaluation, outcome: &Outcome, seconds: f64) -> anyhow::Result<String> {
    let displacements = Displacements::of(network)?;
    let events = outcome.flagged.len();
    let share = |count: usize| format!("{count} ({:.1} %)", 100.0 * count as f64 / events as f64);
    let mut sorted = outcome.nearest.clone();
    sorted.sort_by(f64::total_cmp);
    let median = sorted[events / 2];
    let mut text = format!("| {events} test events | |\n| --- | --- |\n");
    for (what, value) in [
        (
            "network: displacement per atom of the mean of the draws, bohr",
            format!("{:.3}", displacements.mean),
        ),
        ("network: of a single draw, bohr", format!("{:.3}", displacements.draw)),
        (
            "nearest neighbours in the training table, bohr",
            format!("{:.3}", displacements.neighbours),
        ),
        ("refined: a geometry within 0.01 bohr of the truth", share(outcome.count(None, true))),
        (
            "refined: flagged, of these with the truth and without",
            format!(
                "{}, {}",
                share(outcome.count(Some(true), true)),
                share(outcome.count(Some(true), false))
            ),
        ),
        ("refined: neither the truth nor a flag", share(outcome.count(Some(false), false))),
        (
            "refined: the first geometry, the most probable one, is the truth",
            share(outcome.first.iter().filter(|distance| **distance <= FOUND_BOHR).count()),
        ),
        ("refined: median displacement of the nearest geometry, bohr", format!("{median:.1e}")),
        (
            "refined: geometries that explain an event, mean",
            format!("{:.2}", outcome.modes as f64 / events as f64),
        ),
        ("refinement, events a second", format!("{:.1}", events as f64 / seconds)),
    ] {
        let _ = writeln!(text, "| {what} | {value} |");
    }
    Ok(text)
}

/// Mean displacements per atom (bohr) of what a run gives.
struct Displacements {
    mean: f64,
    draw: f64,
    neighbours: f64,
}

impl Displacements {
    fn of(results: &RunEvaluation) -> anyhow::Result<Self> {
        let missing = |what| format!("`cei evaluate --json` gave no `{what}`");
        let scores = &results.scores;
        let own = scores.gauge_free.as_ref().with_context(|| missing("gauge_free"))?;
        let draw = own.draw.as_ref().with_context(|| missing("gauge_free.draw"))?;
        let knn = scores.baselines.knn.as_ref().and_then(|knn| knn.gauge_free.as_ref());
        let knn = knn.with_context(|| missing("baselines.knn.gauge_free"))?;
        Ok(Self {
            mean: own.mean.displacement_bohr,
            draw: draw.displacement_bohr,
            neighbours: knn.displacement_bohr,
        })
    }
}

/// Displacements of networks trained on more and more events.
fn curve_by_events(runs: &[(&str, RunEvaluation)]) -> anyhow::Result<String> {
    let mut text = "| training events | mean of the draws, bohr | a single draw, bohr | nearest neighbours, bohr |\n| --- | --- | --- | --- |\n".to_owned();
    for (events, results) in runs {
        let Displacements { mean, draw, neighbours } = Displacements::of(results)?;
        let _ = writeln!(text, "| {events} | {mean:.3} | {draw:.3} | {neighbours:.3} |");
    }
    Ok(text)
}

/// Losses after every epoch.
fn learning_curve(history: &str) -> anyhow::Result<String> {
    let mut lines = history.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().context("an empty history")?;
    let wanted = ["epoch", "training_loss", "validation_loss", "seconds"];
    let mut text =
        "| epoch | training NLL | validation NLL | seconds |\n| --- | --- | --- | --- |\n"
            .to_owned();
    for line in lines {
        let mut values = [0.0; 4];
        for (name, value) in wanted.iter().zip(&mut values) {
            let place = header.iter().position(|column| column == name);
            let cell =
                place.and_then(|place| line.get(place)).context("a history without a column")?;
            *value = cell.parse::<f64>()?;
        }
        let [epoch, training, validation, seconds] = values;
        let _ = writeln!(text, "| {epoch} | {training:.2} | {validation:.2} | {seconds:.0} |");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::fixture::{Kind, evaluation};

    #[test]
    fn displacements_stand_in_their_rows() -> anyhow::Result<()> {
        let network: RunEvaluation = serde_json::from_value(evaluation(Kind::Flow))?;
        let outcome = Outcome {
            flagged: vec![false, true],
            nearest: vec![0.002, 0.2],
            first: vec![0.002, 0.3],
            modes: 3,
        };
        let text = table(&network, &outcome, 4.0)?;
        for row in [
            "| network: displacement per atom of the mean of the draws, bohr | 60.500 |",
            "| network: of a single draw, bohr | 70.500 |",
            "| nearest neighbours in the training table, bohr | 80.500 |",
            "| refined: a geometry within 0.01 bohr of the truth | 1 (50.0 %) |",
            "| refined: flagged, of these with the truth and without | 0 (0.0 %), 1 (50.0 %) |",
            "| refined: neither the truth nor a flag | 0 (0.0 %) |",
            "| refined: the first geometry, the most probable one, is the truth | 1 (50.0 %) |",
            "| refined: median displacement of the nearest geometry, bohr | 2.0e-1 |",
            "| refined: geometries that explain an event, mean | 1.50 |",
            "| refinement, events a second | 0.5 |",
        ] {
            assert!(text.lines().any(|line| line == row), "no row `{row}` in\n{text}");
        }
        let text = curve_by_events(&[("62500", network)])?;
        assert!(text.ends_with("| 62500 | 60.500 | 70.500 | 80.500 |\n"), "{text}");
        Ok(())
    }

    #[test]
    fn losses_stand_in_their_rows() -> anyhow::Result<()> {
        let text =
            learning_curve("epoch,training_loss,seconds,validation_loss\n3,1.25,60.0,-2.5\n")?;
        assert!(text.ends_with("| 3 | 1.25 | -2.50 | 60 |\n"), "{text}");
        assert!(learning_curve("epoch,loss,seconds,validation_loss\n3,1.25,60.0,-2.5\n").is_err());
        Ok(())
    }

    #[test]
    fn the_nearest_geometry_counts_and_flags_are_no_answers() -> anyhow::Result<()> {
        let folder = std::env::temp_dir().join(format!("cei-chbrclf-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let columns: Vec<String> = ATOMS
            .iter()
            .flat_map(|atom| ["x", "y", "z"].map(|axis| format!("{atom}{axis}")))
            .collect();
        let row = |first: f64| {
            let mut values = vec!["0".to_owned(); 15];
            values[0] = first.to_string();
            values.join(",")
        };
        let [truth, draws, modes] =
            ["truth.csv", "draws.csv", "modes.csv"].map(|file| folder.join(file));
        std::fs::write(&truth, [columns.join(","), row(1.0), row(2.0), row(3.0)].join("\n"))?;
        std::fs::write(&draws, "event,draw,outside_model\n0,0,0\n1,0,1\n2,0,0\n")?;
        // Br of the first event is 0.02 and then 2 bohr off, so 0.004 and 0.4 over the five atoms; the second,
        // flagged, has no geometry; the third is wrong by 0.2.
        let mut text = format!("event,mode,{}\n", columns.join(","));
        for (event, mode, first) in [(0, 0, 3.0), (0, 1, 1.02), (2, 0, 4.0)] {
            let _ = writeln!(text, "{event},{mode},{}", row(first));
        }
        std::fs::write(&modes, text)?;
        let outcome = compare([truth, draws, modes])?;
        std::fs::remove_dir_all(&folder)?;
        assert_eq!(outcome.modes, 3);
        assert!((outcome.nearest[0] - 0.004).abs() < 1e-12 && outcome.nearest[1].is_infinite());
        assert!((outcome.first[0] - 0.4).abs() < 1e-12 && outcome.first[1].is_infinite());
        assert!((outcome.nearest[2] - 0.2).abs() < 1e-12);
        let counts = [(None, true), (Some(true), false), (Some(false), false)];
        assert_eq!(counts.map(|(flagged, found)| outcome.count(flagged, found)), [1, 1, 1]);
        Ok(())
    }
}
