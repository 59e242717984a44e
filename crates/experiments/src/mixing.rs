//! `mixing`: what should stand between the couplings of a spline flow, measured on the problems of
//! `inference-bench`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::ablation::outcome;
use crate::inference::{Programs, SHARED_CONFIG, TEN_THOUSAND, texts, train_arguments};
use crate::stamp::{self, Stamp};
use crate::{say, workspace_root, write_between_markers};

/// What is run.
#[derive(Debug, Args)]
#[command(after_help = "The table goes into docs/ablation.md, runs into runs/mixing.")]
pub(crate) struct MixingArgs {
    /// Use this `cei` binary instead of building one
    #[arg(long, value_name = "FILE", requires = "bench")]
    cei: Option<PathBuf>,
    /// Use this `cei-bench` binary instead of building one
    #[arg(long, value_name = "FILE", requires = "cei")]
    bench: Option<PathBuf>,
}

const PROBLEMS: [&str; 4] = ["two_moons", "slcp", "gaussian_linear", "gaussian_mixture"];
const PAIRS: usize = 10_000;
/// The page that holds the table.
const PAGE: &str = "docs/ablation.md";
/// What the table calls each layer between couplings, and the layer.
const LAYERS: [(&str, &str); 3] =
    [("LU", "lu-linear"), ("permutation", "permutation"), ("flip", "flip")];
const SEEDS: [&str; 2] = ["1", "2"];
/// Couplings, and the rest of each: those of the shared experiment.
const COUPLINGS: usize = 5;
const COUPLING: &str = "{ layer = 'spline', bins = 10, bound = 5.0, subnet = \
    { kind = 'residual', width = 64, blocks = 2, activation = 'relu', dropout = 0.1 } }";

/// Trains whatever is not done, and writes the table into the page.
pub(crate) fn mixing(args: &MixingArgs) -> anyhow::Result<()> {
    let programs = Programs::new(args.cei.as_deref().zip(args.bench.as_deref()))?;
    let config = std::fs::read_to_string(workspace_root().join(SHARED_CONFIG))?;
    let root = workspace_root().join("runs/mixing");
    std::fs::create_dir_all(&root)?;
    let mut rows = Vec::new();
    for problem in PROBLEMS {
        let mut losses = Vec::new();
        for (_, layer) in LAYERS {
            for seed in SEEDS {
                let run = root.join(format!("{problem}-{layer}-{seed}"));
                let layers = layers(layer);
                let sizes = format!("{PAIRS} {TEN_THOUSAND:?}");
                let key = stamp::key(&[&programs.hash, &config, &layers, &sizes, seed]);
                let done = Stamp::new(&run, "trained", key);
                if !done.is_current() {
                    train(&programs, problem, &layers, seed, &run)?;
                    done.set()?;
                }
                losses.push(outcome(&run)?.0);
            }
        }
        rows.push((problem, losses));
    }
    write_between_markers(&workspace_root().join(PAGE), "mixing", &table(&rows))?;
    say(&format!("{PAGE} is up to date"));
    Ok(())
}

/// The layers of the flow, as the experiment lists them.
fn layers(between: &str) -> String {
    let group = format!("{{ layer = 'act-norm' }}, {{ layer = '{between}' }}, {COUPLING}");
    format!("[{}]", vec![group; COUPLINGS].join(", "))
}

fn train(
    programs: &Programs,
    problem: &str,
    layers: &str,
    seed: &str,
    run: &Path,
) -> anyhow::Result<()> {
    if run.exists() {
        std::fs::remove_dir_all(run)?;
    }
    let pairs = run.with_extension("parquet").display().to_string();
    let described = programs.generate(problem, PAIRS, &pairs)?;
    let config = Path::new(SHARED_CONFIG);
    let folder = run.display().to_string();
    let mut train = train_arguments(config, &described, TEN_THOUSAND, &pairs, &folder);
    for set in [
        "training.ensemble=1",
        "model.preset=proposal",
        &format!("model.layers={layers}"),
        &format!("training.seed={seed}"),
    ] {
        train.extend(["--set".to_owned(), set.to_owned()]);
    }
    programs.cei.run(&texts(&train))?;
    Ok(std::fs::remove_file(pairs)?)
}

/// The losses of each problem, seeds of one layer after the other.
fn table(rows: &[(&str, Vec<f64>)]) -> String {
    let names: Vec<&str> = LAYERS.iter().map(|(name, _)| *name).collect();
    let mut text =
        format!("| NLL, two seeds each | {} |\n| --- | --- | --- | --- |\n", names.join(" | "));
    for (problem, losses) in rows {
        let cells = losses.chunks(SEEDS.len()).map(|seeds| {
            let texts: Vec<String> = seeds.iter().map(|loss| format!("{loss:.3}")).collect();
            texts.join(", ")
        });
        let _ = writeln!(text, "| {problem} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_holds_the_seeds_of_each_layer() {
        let text = table(&[("slcp", vec![1.8, 1.81, 1.9, 1.95, 2.0, 2.0625])]);
        let row = text.lines().nth(2);
        assert_eq!(row, Some("| slcp | 1.800, 1.810 | 1.900, 1.950 | 2.000, 2.062 |"));
    }

    #[test]
    fn the_rest_is_that_of_the_shared_experiment() {
        // Bins and bound are those of the preset.
        let shared = include_str!("../../../configs/bench/flow.toml");
        let keys: std::collections::BTreeMap<&str, &str> =
            shared.lines().filter_map(|line| line.split_once(" = ")).collect();
        assert!(!keys.contains_key("bins") && !keys.contains_key("bound"));
        assert_eq!(keys["couplings"], COUPLINGS.to_string());
        assert_eq!(keys["hidden"], "[64, 64]");
        let [activation, dropout] =
            ["activation", "dropout"].map(|key| format!("{key} = {}", keys[key]));
        let coupling = COUPLING.replace('\'', "\"");
        assert!(coupling.contains(&format!("width = 64, blocks = 2, {activation}, {dropout}")));
        assert_eq!(layers("lu-linear").matches("'lu-linear'").count(), COUPLINGS);
    }
}
