//! `chbrclf`: the benchmark of published regressors, bromochlorofluoromethane scrambled in a sphere. How near does
//! the network come alone, and how near with the simulator?

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::Value;

use crate::cei::Cei;
use crate::csv::{column, read_csv, vector};
use crate::{say, workspace_root, write_between_markers};

/// What is run.
#[derive(Debug, Args)]
#[command(
    after_help = "Trains for about 50 minutes on two cores, unless runs/chbrclf-spline is there. The table goes into docs/chbrclf.md."
)]
pub(crate) struct ChbrclfArgs {
    /// Use this `cei` binary instead of building one
    #[arg(long, value_name = "FILE")]
    cei: Option<PathBuf>,
}

/// The experiment, and where it is kept.
const CONFIG: &str = "configs/train/chbrclf-spline.toml";
const RUN: &str = "runs/chbrclf-spline";
/// Events and seeds of the training table and of the test table.
const TRAINING: [&str; 3] = ["data/generated/chbrclf.parquet", "4000000", "1"];
const TEST: [&str; 3] = ["data/generated/chbrclf-test.csv", "1000", "2"];
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
        let what = ["simulate", "--preset", "chbrclf", "--events", events, "--seed", seed];
        cei.run(&[what.as_slice(), &["-o", file]].concat())
    };
    if root.join(RUN).join("model.json").exists() {
        say(&format!("{RUN} was trained before: remove the folder to train again"));
    } else {
        if !root.join(TRAINING[0]).exists() {
            simulate(TRAINING)?;
        }
        let mut arguments = vec!["train", "--config", CONFIG, "--data", TRAINING[0], "-o", RUN];
        if root.join(RUN).exists() {
            arguments = vec!["train", "--resume", RUN];
        }
        cei.run(&arguments)?;
    }
    simulate(TEST)?;
    let network: Value =
        serde_json::from_str(&cei.read(&["evaluate", RUN, "--data", TEST[0], "--json"])?)?;
    let refined = "data/generated/chbrclf-refined.csv";
    let begun = std::time::Instant::now();
    cei.run(&["predict", RUN, TEST[0], "--refine", "-n", STARTS, "--quiet", "-o", refined])?;
    let seconds = begun.elapsed().as_secs_f64();
    let outcome = compare(&root.join(TEST[0]), &root.join(refined))?;
    let history = std::fs::read_to_string(root.join(RUN).join("history.csv"))?;
    let page = table(&network, &outcome, seconds)? + "\n" + &learning_curve(&history)?;
    write_between_markers(&root.join(PAGE), "chbrclf", &page)?;
    say(&format!("{PAGE} is up to date"));
    Ok(())
}

/// How the refined geometries compare with the truth.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    events: usize,
    /// Events that are flagged as outside the model.
    flagged: usize,
    /// Events that are not flagged, with a geometry within [`FOUND_BOHR`] of the truth.
    found: usize,
    /// Geometries of the events that are not flagged.
    modes: usize,
    /// Displacement of the nearest geometry of each event that is not flagged (bohr).
    nearest: Vec<f64>,
}

fn compare(truth: &std::path::Path, refined: &std::path::Path) -> anyhow::Result<Outcome> {
    let ((true_names, truths), (names, rows)) = (read_csv(truth)?, read_csv(refined)?);
    let [event, flag] = [column(&names, "event")?, column(&names, "outside_model")?];
    let mut nearest = vec![f64::INFINITY; truths.len()];
    let mut flagged = vec![false; truths.len()];
    let mut modes = 0;
    for row in &rows {
        let number = row[event] as usize;
        let truth = truths.get(number).context("more events than there were")?;
        if row[flag] != 0.0 {
            flagged[number] = true;
            continue;
        }
        modes += 1;
        let mut sum = 0.0;
        for atom in ATOMS {
            let (a, b) = (vector(&true_names, truth, atom)?, vector(&names, row, atom)?);
            sum += (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>().sqrt();
        }
        nearest[number] = nearest[number].min(sum / ATOMS.len() as f64);
    }
    let nearest: Vec<f64> = nearest
        .into_iter()
        .zip(&flagged)
        .filter_map(|(distance, flagged)| (!flagged).then_some(distance))
        .collect();
    ensure!(nearest.iter().all(|distance| distance.is_finite()), "an event without an answer");
    Ok(Outcome {
        events: truths.len(),
        flagged: flagged.iter().filter(|flagged| **flagged).count(),
        found: nearest.iter().filter(|distance| **distance <= FOUND_BOHR).count(),
        modes,
        nearest,
    })
}

fn table(network: &Value, outcome: &Outcome, seconds: f64) -> anyhow::Result<String> {
    let displacement = |path: &str| {
        network
            .pointer(&format!("/{path}displacement_bohr"))
            .and_then(Value::as_f64)
            .with_context(|| format!("`cei evaluate --json` gave no {path}displacement_bohr"))
    };
    let share = |count: usize| 100.0 * count as f64 / outcome.events as f64;
    let answered = outcome.nearest.len();
    let mut sorted = outcome.nearest.clone();
    sorted.sort_by(f64::total_cmp);
    let median = sorted.get(answered / 2).copied().unwrap_or(f64::NAN);
    let mut text = format!("| {} test events | |\n| --- | --- |\n", outcome.events);
    for (what, value) in [
        (
            "network: displacement per atom of the mean of the draws, bohr",
            format!("{:.3}", displacement("gauge_free/")?),
        ),
        ("network: of a single draw, bohr", format!("{:.3}", displacement("gauge_free/draw/")?)),
        (
            "nearest neighbours in the training table, bohr",
            format!("{:.3}", displacement("baselines/knn/gauge_free/")?),
        ),
        (
            "refined: a geometry within 0.01 bohr of the truth",
            format!("{} ({:.1} %)", outcome.found, share(outcome.found)),
        ),
        (
            "refined: flagged as outside the model",
            format!("{} ({:.1} %)", outcome.flagged, share(outcome.flagged)),
        ),
        (
            "refined: answered, but not with the truth",
            format!("{} ({:.1} %)", answered - outcome.found, share(answered - outcome.found)),
        ),
        ("refined: median displacement of the nearest geometry, bohr", format!("{median:.1e}")),
        (
            "refined: geometries that explain an event, mean",
            format!("{:.2}", outcome.modes as f64 / answered as f64),
        ),
        ("refinement, events a second", format!("{:.1}", outcome.events as f64 / seconds)),
    ] {
        let _ = writeln!(text, "| {what} | {value} |");
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
        let (truth, refined) = (folder.join("truth.csv"), folder.join("refined.csv"));
        std::fs::write(&truth, [columns.join(","), row(1.0), row(2.0), row(3.0)].join("\n"))?;
        let mut text = format!("event,draw,outside_model,{}\n", columns.join(","));
        // Br is 0.02 and then 2 bohr off, so 0.004 and 0.4 over the five atoms; the second event is flagged, the
        // third wrong by 0.2.
        for (event, flag, first) in [(0, 0, 1.02), (0, 0, 3.0), (1, 1, 2.0), (2, 0, 4.0)] {
            let _ = writeln!(text, "{event},0,{flag},{}", row(first));
        }
        std::fs::write(&refined, text)?;
        let outcome = compare(&truth, &refined)?;
        std::fs::remove_dir_all(&folder)?;
        assert_eq!((outcome.events, outcome.flagged, outcome.found, outcome.modes), (3, 1, 1, 3));
        assert!(
            (outcome.nearest[0] - 0.004).abs() < 1e-12 && (outcome.nearest[1] - 0.2).abs() < 1e-12
        );
        Ok(())
    }
}
