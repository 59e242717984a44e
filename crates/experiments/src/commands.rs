//! What a user waits for: commands of `cei` on files, timed as a whole, and the same with another build of the program in turns.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use cei_run::ModelRecord;
use cei_run::folder::layout::HISTORY;
use cei_run::folder::load_record;
use cei_run::presets::{CHBRCLF, CHBRCLF_SPLINE, OCS_WIDE, Preset, WIDE_CINN, WIDE_SPLINE};
use clap::ValueEnum;

use crate::say;

/// A command that is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Work {
    /// `predict --refine` of OCS with 1 a.u. of noise, 1,000 draws, by a cINN
    Refine,
    /// The same by splines
    RefineSpline,
    /// `predict --refine` of CHBrClF without noise
    RefineExact,
    /// `predict` by the network alone
    Predict,
    /// `log-prob` of a table
    LogProb,
    /// `inspect` of a CSV file
    InspectCsv,
    /// `inspect` of a Parquet file
    InspectParquet,
    /// `simulate` of OCS
    Simulate,
    /// `train` a cINN until the validation loss is what the other build, or sbi, reaches at its end
    Quality,
    /// The same for splines
    QualitySpline,
}

/// All that are timed without being asked for by name: a quality takes many minutes.
pub(crate) const USUAL: [Work; 8] = [
    Work::Refine,
    Work::RefineSpline,
    Work::RefineExact,
    Work::Predict,
    Work::LogProb,
    Work::InspectCsv,
    Work::InspectParquet,
    Work::Simulate,
];

/// How many of everything.
struct Sizes {
    training: usize,
    epochs: usize,
    refined: usize,
    exact: usize,
    predicted: usize,
    inspected: usize,
    simulated: usize,
    /// Events that are trained on to a quality, and epochs if not those of the preset.
    quality: (usize, Option<usize>),
}

const FULL: Sizes = Sizes {
    training: 50_000,
    epochs: 8,
    refined: 500,
    exact: 40,
    predicted: 20_000,
    inspected: 1_000_000,
    simulated: 1_000_000,
    quality: (200_000, None),
};
const QUICK: Sizes = Sizes {
    training: 5_000,
    epochs: 2,
    refined: 20,
    exact: 2,
    predicted: 1_000,
    inspected: 20_000,
    simulated: 20_000,
    quality: (5_000, Some(2)),
};

/// The table of trainings to a quality.
const QUALITY_TABLE: &str = "quality.parquet";
/// What their rows of tables are called.
pub(crate) const QUALITY: &str = "train to a quality";

fn new_events(count: usize) -> String {
    format!("source.events_per_epoch={count}")
}

/// The files that commands work on, all made by one program so that every other reads the same.
pub(crate) struct Inputs {
    folder: PathBuf,
    sizes: Sizes,
}

impl Inputs {
    /// Makes what is needed for `works`. Another build must read what `program` writes: give the older one.
    pub(crate) fn new(
        program: &Path,
        folder: &Path,
        works: &[Work],
        quick: bool,
    ) -> anyhow::Result<Self> {
        let folder = folder.join("commands");
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        let inputs = Self { folder, sizes: if quick { QUICK } else { FULL } };
        let has = |of: &[Work]| works.iter().any(|work| of.contains(work));
        let of_a_table = [Work::Refine, Work::Predict, Work::LogProb];
        let Sizes { training, refined, exact, predicted, inspected, .. } = inputs.sizes;
        if has(&of_a_table) {
            inputs.simulate(program, OCS_WIDE, "training.parquet", training, 1)?;
        }
        if has(&[Work::Refine, Work::Predict, Work::LogProb]) {
            inputs.train(program, WIDE_CINN, ["--data", "training.parquet"], "cinn")?;
        }
        if has(&[Work::RefineSpline]) {
            let events = new_events(training);
            inputs.train(program, WIDE_SPLINE, ["--set", &events], "spline")?;
        }
        if has(&[Work::Quality, Work::QualitySpline]) {
            let (events, _) = inputs.sizes.quality;
            inputs.simulate(program, OCS_WIDE, QUALITY_TABLE, events, 1)?;
        }
        if has(&[Work::Refine, Work::RefineSpline]) {
            inputs.simulate(program, OCS_WIDE, "refined.csv", refined, 2)?;
        }
        if has(&[Work::Predict, Work::LogProb]) {
            inputs.simulate(program, OCS_WIDE, "predicted.csv", predicted, 3)?;
        }
        if has(&[Work::RefineExact]) {
            inputs.simulate(program, CHBRCLF, "exact-training.parquet", training, 1)?;
            let table = ["--data", "exact-training.parquet"];
            inputs.train(program, CHBRCLF_SPLINE, table, "exact")?;
            inputs.simulate(program, CHBRCLF, "exact.csv", exact, 2)?;
        }
        if has(&[Work::InspectCsv]) {
            inputs.simulate(program, OCS_WIDE, "table.csv", inspected, 4)?;
        }
        if has(&[Work::InspectParquet]) {
            inputs.simulate(program, OCS_WIDE, "table.parquet", inspected, 4)?;
        }
        Ok(inputs)
    }

    /// The table of trainings to a quality.
    pub(crate) fn quality_table(&self) -> PathBuf {
        self.folder.join(QUALITY_TABLE)
    }

    /// Epochs of such a training, if not as many as it takes.
    pub(crate) fn quality_epochs(&self) -> Option<usize> {
        self.sizes.quality.1
    }

    fn simulate(
        &self,
        program: &Path,
        preset: Preset,
        file: &str,
        events: usize,
        seed: u32,
    ) -> anyhow::Result<()> {
        let mut command = Command::new(program);
        command.args(["simulate", "--preset", preset.name, "--quiet"]);
        command.args(["--events", &events.to_string(), "--seed", &seed.to_string()]);
        self.seconds(command.arg("-o").arg(self.folder.join(file)))?;
        Ok(())
    }

    fn train(
        &self,
        program: &Path,
        preset: Preset,
        events: [&str; 2],
        run: &str,
    ) -> anyhow::Result<()> {
        self.seconds(&mut self.training(program, preset, events, run, Some(self.sizes.epochs)))?;
        Ok(())
    }

    fn training(
        &self,
        program: &Path,
        preset: Preset,
        events: [&str; 2],
        run: &str,
        epochs: Option<usize>,
    ) -> Command {
        let mut command = Command::new(program);
        command.args(["train", "--preset", preset.name, "--quiet"]);
        if let Some(epochs) = epochs {
            command.arg("--set").arg(format!("training.max_epochs={epochs}"));
        }
        command.args(events).arg("-o").arg(self.folder.join(run));
        command
    }

    /// Seconds of a command, which must succeed; what it prints is left out.
    fn seconds(&self, command: &mut Command) -> anyhow::Result<f64> {
        command.current_dir(&self.folder).stdin(Stdio::null());
        let begin = Instant::now();
        let output = command.output().with_context(|| format!("{command:?}"))?;
        let seconds = begin.elapsed().as_secs_f64();
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{command:?} failed ({})\n{errors}", output.status);
        Ok(seconds)
    }
}

impl Work {
    /// What it is called in tables: the kind and what of.
    pub(crate) fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::Refine => ("refine", "OCS, 1 a.u., cINN"),
            Self::RefineSpline => ("refine", "OCS, 1 a.u., spline"),
            Self::RefineExact => ("refine", "CHBrClF, no noise"),
            Self::Predict => ("predict", "OCS, 200 draws"),
            Self::LogProb => ("log-prob", "OCS"),
            Self::InspectCsv => ("inspect", "csv"),
            Self::InspectParquet => ("inspect", "parquet"),
            Self::Simulate => ("simulate", "OCS, parquet"),
            Self::Quality => (QUALITY, WIDE_CINN.name),
            Self::QualitySpline => (QUALITY, WIDE_SPLINE.name),
        }
    }

    /// Rows or events of a call.
    pub(crate) fn items(self, inputs: &Inputs) -> usize {
        let sizes = &inputs.sizes;
        match self {
            Self::Refine | Self::RefineSpline => sizes.refined,
            Self::RefineExact => sizes.exact,
            Self::Predict | Self::LogProb => sizes.predicted,
            Self::InspectCsv | Self::InspectParquet => sizes.inspected,
            Self::Simulate => sizes.simulated,
            Self::Quality | Self::QualitySpline => 1,
        }
    }

    /// Seconds of one call, all of it: start, reading, computing, writing.
    ///
    /// # Errors
    /// The command fails; a quality has no time of one program alone.
    pub(crate) fn seconds(
        self,
        program: &Path,
        inputs: &Inputs,
        threads: u8,
    ) -> anyhow::Result<f64> {
        let simulated = format!(
            "simulate --preset {} --quiet --events {} -o simulated.parquet",
            OCS_WIDE.name, inputs.sizes.simulated
        );
        let arguments = match self {
            Self::Refine => "predict cinn refined.csv --refine --quiet -n 1000 -o draws.parquet",
            Self::RefineSpline => {
                "predict spline refined.csv --refine --quiet -n 1000 -o draws.parquet"
            }
            Self::RefineExact => "predict exact exact.csv --refine --quiet -n 100 -o draws.parquet",
            Self::Predict => "predict cinn predicted.csv --quiet -n 200 -o draws.parquet",
            Self::LogProb => "log-prob cinn predicted.csv -o logs.parquet",
            Self::InspectCsv => "inspect table.csv",
            Self::InspectParquet => "inspect table.parquet",
            Self::Simulate => &simulated,
            Self::Quality | Self::QualitySpline => bail!("a quality is that of another program"),
        };
        let mut command = Command::new(program);
        command.args(arguments.split_whitespace()).env("RAYON_NUM_THREADS", threads.to_string());
        inputs.seconds(&mut command)
    }
}

impl Work {
    pub(crate) fn is_a_quality(self) -> bool {
        matches!(self, Self::Quality | Self::QualitySpline)
    }

    /// Trains to the end of a preset: validation loss and seconds of each epoch.
    fn quality(
        self,
        program: &Path,
        inputs: &Inputs,
        (events, run): ([&str; 2], &str),
        seed: usize,
        threads: u8,
    ) -> anyhow::Result<Vec<[f64; 2]>> {
        let preset = if self == Self::Quality { WIDE_CINN } else { WIDE_SPLINE };
        let run = format!("{}-{run}", preset.name);
        let mut command = inputs.training(program, preset, events, &run, inputs.sizes.quality.1);
        command.args(["--seed", &seed.to_string()]);
        inputs.seconds(command.env("RAYON_NUM_THREADS", threads.to_string()))?;
        let text = std::fs::read_to_string(inputs.folder.join(&run).join(HISTORY))?;
        history(&text).context("a history without losses and times")
    }

    /// Seconds of training on the table of [`Inputs::quality_table`] until the validation loss in nats of positions in bohr is at
    /// most `loss`; none where it never is.
    pub(crate) fn seconds_to(
        self,
        program: &Path,
        inputs: &Inputs,
        loss: f64,
        threads: u8,
    ) -> anyhow::Result<Option<f64>> {
        let events = ["--data", QUALITY_TABLE];
        let run = format!("peer-{threads}");
        let history = self.quality(program, inputs, (events, &run), 1, threads)?;
        let (_, of) = self.name();
        let record: ModelRecord = load_record(&inputs.folder.join(format!("{of}-{run}")))?;
        // The loss is per unit of what the network sees.
        Ok(until(&history, loss - record.preprocessing.log_abs_det_scale()))
    }
}

/// Times commands with two builds in turns and gives a Markdown table: seconds of both (medians), and of the pairs the ratio, its
/// median, least and largest.
pub(crate) fn compare(
    [old, new]: [&Path; 2],
    folder: &Path,
    works: &[Work],
    pairs: usize,
    quick: bool,
    threads: u8,
) -> anyhow::Result<String> {
    say("making inputs with the other build");
    let inputs = Inputs::new(old, folder, works, quick)?;
    let mut table = "| | old, s | new, s | times as fast | least | most |\n| --- | --- | --- | --- | --- | --- |\n".to_owned();
    for work in works {
        let (kind, of) = work.name();
        let mut times: Vec<[f64; 2]> = Vec::new();
        for pair in 0..pairs {
            say(&format!("{kind}, {of}: pair {} of {pairs}", pair + 1));
            times.push(match work {
                Work::Quality | Work::QualitySpline => {
                    to_that_of_a_build(work, [old, new], &inputs, pair, threads)?
                }
                // The one that begins changes from pair to pair.
                _ if pair % 2 == 0 => {
                    let before = work.seconds(old, &inputs, threads)?;
                    [before, work.seconds(new, &inputs, threads)?]
                }
                _ => {
                    let after = work.seconds(new, &inputs, threads)?;
                    [work.seconds(old, &inputs, threads)?, after]
                }
            });
        }
        table.push_str(&row(&format!("{kind}, {of}"), &times));
    }
    Ok(table)
}

fn row(name: &str, times: &[[f64; 2]]) -> String {
    let mut ratios: Vec<f64> = times.iter().map(|[old, new]| old / new).collect();
    ratios.sort_by(f64::total_cmp);
    let of = |which: usize| median(times.iter().map(|pair| pair[which]).collect());
    let (least, most) = (ratios.first().copied(), ratios.last().copied());
    let cells = [Some(of(0)), Some(of(1)), Some(median(ratios)), least, most];
    format!("| {name} | {} |\n", cells.map(crate::bench::three_digits).join(" | "))
}

/// The middle value; the mean of the two middle ones of an even number.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[half],
        _ => 0.5 * (values[half - 1] + values[half]),
    }
}

/// Seconds of training, validation included, until the validation loss is at most the least one that the old build reaches,
/// each build by its own preset.
fn to_that_of_a_build(
    work: &Work,
    programs: [&Path; 2],
    inputs: &Inputs,
    seed: usize,
    threads: u8,
) -> anyhow::Result<[f64; 2]> {
    let fresh = new_events(inputs.sizes.quality.0);
    let events = match work {
        Work::QualitySpline => ["--set", fresh.as_str()],
        _ => ["--data", QUALITY_TABLE],
    };
    let mut histories = Vec::new();
    for (number, program) in programs.into_iter().enumerate() {
        let run = format!("quality-{seed}-{number}");
        histories.push(work.quality(program, inputs, (events, &run), seed, threads)?);
    }
    let quality = histories[0].iter().map(|[loss, _]| *loss).fold(f64::INFINITY, f64::min);
    let mut seconds = histories.iter().map(|history| until(history, quality));
    let mut next = || seconds.next().flatten();
    let both = next().zip(next());
    let (old, new) = both.with_context(|| {
        format!("the validation loss of the other build, {quality:.4}, is not reached")
    })?;
    Ok([old, new])
}

/// Validation loss and seconds of each epoch.
fn history(text: &str) -> Option<Vec<[f64; 2]>> {
    let header: Vec<&str> = text.lines().next()?.split(',').collect();
    let place = |name: &str| header.iter().position(|column| *column == name);
    let (loss, seconds) = (place("validation_loss")?, place("seconds")?);
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        Some([cells.get(loss)?.parse().ok()?, cells.get(seconds)?.parse().ok()?])
    };
    text.lines().skip(1).map(row).collect()
}

/// Seconds until the loss is first as low as this.
fn until(history: &[[f64; 2]], loss: f64) -> Option<f64> {
    let epochs = 1 + history.iter().position(|[own, _]| *own <= loss)?;
    Some(history[..epochs].iter().map(|[_, seconds]| seconds).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_to_a_loss() {
        let text =
            "epoch,training_loss,validation_loss,seconds\n0,3,2.5,1.5\n1,2,1.5,1\n2,1,1.25,1\n";
        let history = history(text).unwrap();
        assert_eq!(until(&history, 1.5), Some(2.5));
        assert_eq!(until(&history, 1.0), None);
    }

    #[test]
    fn a_row_tells_the_pairs() {
        let row = row("refine", &[[4.0, 2.0], [6.0, 2.0], [5.0, 5.0]]);
        assert_eq!(row, "| refine | 5.00 | 2.00 | 2.00 | 1.00 | 3.00 |\n");
    }
}
