//! Training on rows that stay on the disk: the same parts, a loss like that of rows in memory, bits that an interruption does
//! not change, and what cannot be done is refused.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use cei_data::{Division as _, Role, Rows as _, Split, SplitConfig};
use cei_model::open_device;
use cei_run::dataset::Dataset;
use cei_run::evaluate::{EvaluateOptions, evaluate_run};
use cei_run::train::train_run;
use cei_run::{Experiment, RunError, TrainedRun};
use cei_train::{EpochRecord, Observer, Progress, Silent};

type TestResult = Result<(), Box<dyn std::error::Error>>;

const ROWS: usize = 30_000;

/// Two positions and two momenta, in an order that a training which took rows as they come would suffer from.
fn table(folder: &Path) -> Result<PathBuf, std::io::Error> {
    let uniform = |row: usize, step: f64| (row as f64 * step).fract() - 0.5;
    let mut text = "a,b,p,q\n".to_owned();
    for row in 0..ROWS {
        let a = row as f64 / ROWS as f64 - 0.5;
        let (b, noise) = (uniform(row, 0.618_033_988_75), 0.1 * uniform(row, 0.754_877_666_25));
        text += &format!("{a:.6},{b:.6},{:.6},{:.6}\n", a + b * b + noise, b - a * a - noise);
    }
    let path = folder.join("sorted.csv");
    std::fs::write(&path, text)?;
    Ok(path)
}

fn experiment(table: &Path, more: &[&str]) -> Result<Experiment, Box<dyn std::error::Error>> {
    let text = format!(
        "columns = {{ x = ['a', 'b'], y = ['p', 'q'], x_unit = 'none', y_unit = 'none' }}\nsource.files = [{table:?}]\n\
        [model]\nkind = 'cinn'\ncouplings = 2\nhidden = [16]\n\
        [training]\nmax_epochs = 3\nbatch_size = 256\nlearning_rate = 3e-3\nseed = 1\n"
    );
    let more: Vec<String> = more.iter().map(|key| (*key).to_owned()).collect();
    Ok(Experiment::parse(&text, "test", &more)?)
}

fn train(
    experiment: &Experiment,
    run: &Path,
    resume: bool,
    stop: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<[usize; 3], RunError> {
    let mut rows = [0; 3];
    train_run(experiment, run, "cpu", resume, stop, |plan| rows = plan.rows, observer)?;
    Ok(rows)
}

/// Windows of two blocks, so that an epoch has three of them.
const STREAM: [&str; 2] = ["source.stream=true", "source.buffer_rows=16384"];

#[test]
fn rows_on_the_disk_train_like_rows_in_memory() -> TestResult {
    let folder = tempfile::tempdir()?;
    let table = table(folder.path())?;
    let go = AtomicBool::new(false);
    let mut prints = Vec::new();
    let mut losses = |name: &str, keys: &[&str]| {
        let of_seed = |seed: u64| {
            let seed_key = format!("training.seed={seed}");
            let run = folder.path().join(format!("{name}-{seed}"));
            let experiment = experiment(&table, &[keys, &[&seed_key]].concat())?;
            let rows = train(&experiment, &run, false, &go, &mut Silent)?;
            assert_eq!(rows, [21_000, 4_500, 4_500]);
            let record = TrainedRun::load(&run, open_device("cpu")?)?.record;
            assert_eq!(record.copies.is_some(), keys.is_empty());
            prints.push(record.data_fingerprint.clone());
            Ok(record.training.best_validation_loss)
        };
        (1..=3).map(of_seed).collect::<Result<Vec<f64>, Box<dyn std::error::Error>>>()
    };
    let (memory, disk) = (losses("memory", &[])?, losses("disk", &STREAM)?);
    assert!(prints.iter().all(|print| *print == prints[0]));
    let least = memory.iter().copied().fold(f64::INFINITY, f64::min);
    let most = memory.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let spread = most - least;
    for loss in &disk {
        assert!((least - spread..=most + spread).contains(loss), "{memory:?} {disk:?}");
    }
    Ok(())
}

/// Stops a training at one batch of one epoch.
struct StopAt<'a> {
    epoch: usize,
    batch: usize,
    stop: &'a AtomicBool,
}

impl Observer for StopAt<'_> {
    fn batch(&mut self, progress: &Progress) {
        if (progress.epoch, progress.batch) == (self.epoch, self.batch) {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    fn epoch(&mut self, _progress: &Progress, _record: &EpochRecord) {}
}

#[test]
fn an_interruption_in_any_window_changes_no_bit() -> TestResult {
    let folder = tempfile::tempdir()?;
    let table = table(folder.path())?;
    let experiment = experiment(&table, &STREAM)?;
    let weights = |run: &Path| std::fs::read(run.join("model.safetensors"));
    let whole = folder.path().join("whole");
    train(&experiment, &whole, false, &AtomicBool::new(false), &mut Silent)?;
    // Batches 1 to 32 are of the first window, 33 to 64 of the second.
    for (epoch, batch) in [(1, 5), (2, 32), (2, 40), (3, 82)] {
        let run = folder.path().join(format!("stopped-{epoch}-{batch}"));
        let stop = AtomicBool::new(false);
        let mut observer = StopAt { epoch, batch, stop: &stop };
        train(&experiment, &run, false, &stop, &mut observer)?;
        assert!(weights(&run).is_err(), "{epoch} {batch}");
        train(&experiment, &run, true, &AtomicBool::new(false), &mut Silent)?;
        assert_eq!(weights(&run)?, weights(&whole)?, "{epoch} {batch}");
    }
    Ok(())
}

/// What is done with the own table of a run has as many rows as may be in memory, with their numbers in the table.
#[test]
fn a_run_is_scored_on_as_many_rows_as_may_be_in_memory() -> TestResult {
    let folder = tempfile::tempdir()?;
    let table = table(folder.path())?;
    let run = folder.path().join("run");
    let experiment = experiment(&table, &["source.stream=true", "source.buffer_rows=3000"])?;
    train(&experiment, &run, false, &AtomicBool::new(false), &mut Silent)?;
    let (options, device) = (EvaluateOptions::default(), open_device("cpu")?);
    let evaluation = evaluate_run(&run, &options, device.clone(), |_| {}, |_, _| {})?;
    assert_eq!(evaluation.scores.rows, 450);
    let told = &evaluation.warnings[0];
    assert!(told.contains("3000 of its 30000 rows"), "{told}");
    let run = TrainedRun::load(&run, device)?;
    let dataset = Dataset::of_run(&run)?;
    let numbers = &dataset.some.as_ref().ok_or("all rows are there")?.numbers;
    let split = Split::new(ROWS, &SplitConfig::default())?;
    for row in dataset.split.test.rows() {
        // The first column tells the number of a row.
        let number = (dataset.table.x[[*row, 0]] + 0.5) * ROWS as f64;
        assert_eq!(numbers[*row], number.round() as usize);
        assert_eq!(split.role(numbers[*row]), Role::Test);
    }
    Ok(())
}

#[test]
fn what_is_made_anew_does_not_stay_on_the_disk() -> TestResult {
    let folder = tempfile::tempdir()?;
    let table = table(folder.path())?;
    for (keys, named) in [
        (&["source.stream=true", "source.fresh_noise=true"][..], "`source.fresh_noise`"),
        (&["source.buffer_rows=1000"][..], "`source.stream`"),
    ] {
        let experiment = experiment(&table, keys)?;
        let run = folder.path().join("run");
        let go = AtomicBool::new(false);
        let error = train(&experiment, &run, false, &go, &mut Silent).unwrap_err().to_string();
        assert!(error.contains(named) && error.contains("hint: "), "{error}");
        assert!(!run.exists());
    }
    Ok(())
}
