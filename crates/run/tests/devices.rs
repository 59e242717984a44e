//! The same experiment on two independent backends, and twice on the same one.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use cei_run::Experiment;
use cei_run::simulate::{Geometries, simulate_to_file};
use cei_run::train::train_run;
use cei_train::{EpochRecord, Observer, Progress};

type TestResult = Result<(), Box<dyn std::error::Error>>;

const EXPERIMENTS: [(&str, &str); 2] = [
    ("gauge-fixed-cinn", "model.hidden=[32, 32]"),
    ("reference-cvae", "model.encoder_hidden=[64, 64]"),
];

/// With what else a training can have: Muon, schedules, an average, dropout, noise along degenerate directions.
const OTHERS: [(&str, &[&str]); 3] = [
    (
        "gauge-fixed-cinn",
        &[
            "model.hidden=[16]",
            "model.couplings=4",
            "training.optimizer='muon'",
            "training.gradient_clip=1.0",
        ],
    ),
    (
        "gauge-fixed-spline",
        &[
            "model.hidden=[16, 16]",
            "model.couplings=2",
            "model.dropout=0.1",
            "training.weight_decay=0.1",
        ],
    ),
    (
        "reference-cvae",
        &[
            "model.encoder_hidden=[32, 32]",
            "model.kl_warmup_epochs=2",
            "training.ema_decay=0.9",
            "training.schedule='cosine'",
        ],
    ),
];

/// Keeps the validation losses.
#[derive(Debug, Default)]
struct Losses(Vec<f64>);

impl Observer for Losses {
    fn epoch(&mut self, _progress: &Progress, record: &EpochRecord) {
        self.0.push(record.validation_loss);
    }
}

/// A training of five epochs on a table of 1000 events.
fn experiment(
    name: &str,
    given: &[&str],
    folder: &Path,
) -> Result<Experiment, Box<dyn std::error::Error>> {
    let table = folder.join("table.parquet");
    if !table.exists() {
        let mut simulation = cei_run::config::preset_simulation("ocs-reference")?;
        simulation.events = 1000;
        simulate_to_file(&simulation, &Geometries::Law, false, &table, |_, _| {})?;
    }
    let files = format!("source.files=['{}']", table.display());
    let always = ["training.max_epochs=5", "training.batch_size=128", &files];
    let overrides: Vec<String> =
        always.iter().chain(given).map(|given| (*given).to_owned()).collect();
    let preset = cei_run::presets::find(cei_run::presets::EXPERIMENTS, name)?;
    Ok(Experiment::parse(preset.text, name, &overrides)?)
}

fn validation_losses(
    name: &str,
    given: &str,
    folder: &Path,
    device: &str,
    run: &str,
) -> Result<(Vec<f64>, Vec<u8>), Box<dyn std::error::Error>> {
    let experiment = experiment(name, &[given], folder)?;
    let mut losses = Losses::default();
    let path = folder.join(run);
    let stop = AtomicBool::new(false);
    train_run(&experiment, &path, device, false, &stop, |_| {}, &mut losses)?;
    Ok((losses.0, std::fs::read(path.join("model.safetensors"))?))
}

#[test]
fn cpu_and_ndarray_agree_after_five_epochs() -> TestResult {
    for (name, given) in EXPERIMENTS {
        let folder = tempfile::tempdir()?;
        let (cpu, _) = validation_losses(name, given, folder.path(), "cpu", "cpu")?;
        let (ndarray, _) = validation_losses(name, given, folder.path(), "ndarray", "ndarray")?;
        assert_eq!(cpu.len(), 5);
        for (a, b) in cpu.iter().zip(&ndarray) {
            assert!((a - b).abs() < 1e-3, "{name}: {cpu:?} and {ndarray:?}");
        }
    }
    Ok(())
}

#[test]
fn the_same_seed_gives_the_same_bits() -> TestResult {
    for (name, given) in EXPERIMENTS {
        let folder = tempfile::tempdir()?;
        let (_, first) = validation_losses(name, given, folder.path(), "cpu", "first")?;
        let (_, second) = validation_losses(name, given, folder.path(), "cpu", "second")?;
        assert!(first == second, "{name}");
    }
    Ok(())
}

/// Stops in the middle of the third epoch.
struct StopsAt<'a>(&'a AtomicBool, usize);

impl Observer for StopsAt<'_> {
    fn batch(&mut self, progress: &Progress) {
        if (progress.epoch, progress.batch) == (3, self.1) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// A checkpoint that one device wrote is resumed on another: the losses are those of a training that stays on the processor.
#[test]
fn a_training_moves_between_devices() -> TestResult {
    for (name, given) in OTHERS {
        let folder = tempfile::tempdir()?;
        let experiment = experiment(name, given, folder.path())?;
        let (stop, mut whole) = (AtomicBool::new(false), Losses::default());
        let path = folder.path().join("whole");
        train_run(&experiment, &path, "cpu", false, &stop, |_| {}, &mut whole)?;
        assert_eq!(whole.0.len(), 5);
        for (from, to) in [("ndarray", "cpu"), ("cpu", "ndarray"), ("ndarray", "ndarray")] {
            let path = folder.path().join(format!("{from}-{to}"));
            let stop = AtomicBool::new(false);
            let mut observer = StopsAt(&stop, 2);
            train_run(&experiment, &path, from, false, &stop, |_| {}, &mut observer)?;
            let (stop, mut rest) = (AtomicBool::new(false), Losses::default());
            train_run(&experiment, &path, to, true, &stop, |_| {}, &mut rest)?;
            assert_eq!(rest.0.len(), 3, "{name}: the epoch was not finished");
            for (a, b) in whole.0[2..].iter().zip(&rest.0) {
                assert!((a - b).abs() < 1e-3, "{name} {from} {to}: {whole:?} and {rest:?}");
            }
        }
    }
    Ok(())
}

/// The losses of a device are read later, but the batch is the same.
#[test]
fn a_loss_that_is_no_number_names_its_batch_on_every_device() -> TestResult {
    let folder = tempfile::tempdir()?;
    let given = ["model.hidden=[16]", "model.couplings=2", "training.learning_rate=1e30"];
    let experiment = experiment("gauge-fixed-cinn", &given, folder.path())?;
    for device in ["cpu", "ndarray"] {
        let (path, stop) = (folder.path().join(device), AtomicBool::new(false));
        let outcome =
            train_run(&experiment, &path, device, false, &stop, |_| {}, &mut Losses::default());
        let error = outcome.map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("in epoch 1, batch 2"), "{device}: {error}");
    }
    Ok(())
}
