//! `ablation`: what each part of the `spline` preset gives, measured by leaving it out or changing it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cei_run::folder::layout::HISTORY;
use cei_run::presets::{Preset, WIDE_SPLINE};
use clap::Args;

use crate::cei::Cei;
use crate::stamp::{self, Stamp};
use crate::{say, workspace_root, write_between_markers};

/// What is run.
#[derive(Debug, Args)]
#[command(after_help = "The table goes into docs/ablation.md, runs into runs/ablation.")]
pub(crate) struct AblationArgs {
    /// Use this `cei` binary instead of building one
    #[arg(long, value_name = "FILE")]
    cei: Option<PathBuf>,
}

/// The experiment that is varied, how it is shortened, and the optimiser that its flow was chosen with.
const CONFIG: Preset = WIDE_SPLINE;
const SHORT: [&str; 8] = [
    "training.max_epochs=15",
    "source.events_per_epoch=100000",
    "model.couplings=6",
    "training.optimizer=adam",
    "training.learning_rate=1e-3",
    "training.schedule=cosine",
    "training.warmup_epochs=0",
    "training.gradient_clip=5.0",
];
/// The page that holds the table.
const PAGE: &str = "docs/ablation.md";
/// Couplings where nothing else is said.
const COUPLINGS: usize = 6;

/// One change of the experiment: what the table calls it, and the keys that make it.
struct Variant {
    title: String,
    overrides: Vec<String>,
}

fn variant(title: &str, overrides: &[&str]) -> Variant {
    Variant {
        title: title.to_owned(),
        overrides: overrides.iter().map(|text| (*text).to_owned()).collect(),
    }
}

/// The same layers in every group, listed one by one instead of the preset.
fn layers(title: &str, group: &[&str]) -> Variant {
    let list = vec![group.join(", "); COUPLINGS].join(", ");
    variant(title, &["model.preset=proposal", &format!("model.layers=[{list}]")])
}

/// All of them; the first is what is varied.
fn variants() -> Vec<Variant> {
    const NORM: &str = "{ layer = 'act-norm' }";
    const LU: &str = "{ layer = 'lu-linear' }";
    const PERMUTATION: &str = "{ layer = 'permutation' }";
    const FLIP: &str = "{ layer = 'flip' }";
    let residual = "{ kind = 'residual', width = 128, blocks = 2, activation = 'relu' }";
    let spline = format!("{{ layer = 'spline', bins = 10, bound = 5.0, subnet = {residual} }}");
    let affine = format!("{{ layer = 'affine', subnet = {residual} }}");
    let mlp = "{ kind = 'mlp', hidden = [128, 128, 128, 128], activation = 'relu' }";
    let plain = format!("{{ layer = 'spline', bins = 10, bound = 5.0, subnet = {mlp} }}");
    vec![
        variant("6 couplings, 2 blocks of 128, 10 bins, bound of 5, ReLU", &[]),
        variant("another seed", &["training.seed=2"]),
        variant("4 couplings", &["model.couplings=4"]),
        variant("8 couplings", &["model.couplings=8"]),
        variant("1 block of 128", &["model.hidden=[128]"]),
        variant("3 blocks of 128", &["model.hidden=[128, 128, 128]"]),
        variant("2 blocks of 64", &["model.hidden=[64, 64]"]),
        variant("2 blocks of 192", &["model.hidden=[192, 192]"]),
        variant("6 bins", &["model.bins=6"]),
        variant("16 bins", &["model.bins=16"]),
        variant("bound of 3", &["model.bound=3.0"]),
        variant("bound of 8", &["model.bound=8.0"]),
        variant("ELU", &["model.activation=elu"]),
        variant("dropout of 0.1", &["model.dropout=0.1"]),
        layers("affine instead of spline", &[NORM, LU, &affine]),
        layers("plain subnets, 4 layers of 128", &[NORM, LU, &plain]),
        layers("a permutation instead of LU", &[NORM, PERMUTATION, &spline]),
        layers("a flip instead of LU", &[NORM, FLIP, &spline]),
        layers("without act-norm", &[LU, &spline]),
        variant("without averaged weights", &["training.ema_decay=0.0"]),
        variant("without clip of the gradient", &["training.gradient_clip=0.0"]),
        variant("without a schedule", &["training.schedule=constant"]),
    ]
}

/// Trains every variant that is not done, and writes the table into the page.
pub(crate) fn ablation(args: &AblationArgs) -> anyhow::Result<()> {
    let cei = Cei::new(args.cei.as_deref())?;
    let root = workspace_root().join("runs/ablation");
    std::fs::create_dir_all(&root)?;
    let config = std::fs::read_to_string(workspace_root().join(CONFIG.path))?;
    let mut results = Vec::new();
    for (index, variant) in variants().into_iter().enumerate() {
        let run = root.join(format!("{index:02}"));
        let key = stamp::key(&[&cei.hash, &config, &SHORT.join(" "), &variant.overrides.join(" ")]);
        let done = Stamp::new(&run, "trained", key);
        if !done.is_current() {
            train(&cei, &run, &variant)?;
            done.set()?;
        }
        let (loss, seconds) = outcome(&run)?;
        say(&format!("{}: {loss:.3}, {seconds:.0} s", variant.title));
        results.push((variant.title, loss, seconds));
    }
    write_between_markers(&workspace_root().join(PAGE), "ablation", &table(&results))?;
    say(&format!("{PAGE} is up to date"));
    Ok(())
}

fn train(cei: &Cei, run: &Path, variant: &Variant) -> anyhow::Result<()> {
    if run.exists() {
        std::fs::remove_dir_all(run)?;
    }
    let run = run.display().to_string();
    let mut arguments = vec!["train", "--config", CONFIG.path, "--quiet", "-o", &run];
    for set in SHORT.into_iter().chain(variant.overrides.iter().map(String::as_str)) {
        arguments.extend(["--set", set]);
    }
    cei.run(&arguments)
}

/// The lowest validation loss of a run, and the seconds of its epochs.
pub(crate) fn outcome(run: &Path) -> anyhow::Result<(f64, f64)> {
    let file = run.join(HISTORY);
    let text = std::fs::read_to_string(&file).with_context(|| format!("`{}`", file.display()))?;
    read_history(&text).with_context(|| format!("`{}` has no finished epoch", file.display()))
}

fn read_history(text: &str) -> Option<(f64, f64)> {
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next()?;
    let [loss, seconds] =
        ["validation_loss", "seconds"].map(|name| header.iter().position(|column| *column == name));
    let (loss, seconds) = (loss?, seconds?);
    let (mut lowest, mut sum) = (f64::INFINITY, 0.0);
    for line in lines {
        lowest = lowest.min(line.get(loss)?.parse().ok()?);
        sum += line.get(seconds)?.parse::<f64>().ok()?;
    }
    lowest.is_finite().then_some((lowest, sum))
}

fn table(results: &[(String, f64, f64)]) -> String {
    let mut text = "| | NLL | difference | training, s |\n| --- | --- | --- | --- |\n".to_owned();
    let reference = results.first().map_or(0.0, |(_, loss, _)| *loss);
    for (title, loss, seconds) in results {
        let difference = loss - reference;
        let _ = writeln!(text, "| {title} | {loss:.3} | {difference:+.3} | {seconds:.0} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_loss_and_all_seconds_are_read() {
        let history = "epoch,training_loss,validation_loss,seconds\n1,3,2.5,9.0\n2,2,-1.5,0.5\n";
        assert_eq!(read_history(history), Some((-1.5, 9.5)));
        assert_eq!(read_history("epoch,validation_loss,seconds\n"), None);
        assert_eq!(read_history("epoch,seconds\n1,2\n"), None);
    }

    #[test]
    fn the_table_compares_with_its_first_row() {
        let text = table(&[("a".to_owned(), -14.0, 30.4), ("b".to_owned(), -13.5, 20.0)]);
        let rows: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(rows, ["| a | -14.000 | +0.000 | 30 |", "| b | -13.500 | +0.500 | 20 |"]);
    }
}
