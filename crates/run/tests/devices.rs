//! The same experiment on two independent backends, and twice on the same one.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use cei_run::Experiment;
use cei_run::simulate::{Geometries, simulate_to_file};
use cei_run::train::train_run;
use cei_train::{EpochRecord, Observer, Progress};

type TestResult = Result<(), Box<dyn std::error::Error>>;

const EXPERIMENTS: [(&str, &str); 2] = [
    ("gauge-fixed-cinn", "model.hidden=[32, 32]"),
    ("reference-cvae", "model.encoder_hidden=[64, 64]"),
];

/// Keeps the validation losses.
#[derive(Default)]
struct Losses(Vec<f64>);

impl Observer for Losses {
    fn epoch(&mut self, _progress: &Progress, record: &EpochRecord) {
        self.0.push(record.validation_loss);
    }
}

fn validation_losses(
    name: &str,
    given: &str,
    folder: &Path,
    device: &str,
    run: &str,
) -> Result<(Vec<f64>, Vec<u8>), Box<dyn std::error::Error>> {
    let table = folder.join("table.parquet");
    if !table.exists() {
        let mut simulation = cei_run::config::preset_simulation("ocs-reference")?;
        simulation.events = 1000;
        simulate_to_file(&simulation, &Geometries::Law, false, &table, |_, _| {})?;
    }
    let files = format!("source.files=['{}']", table.display());
    let overrides = ["training.max_epochs=5", "training.batch_size=128", given, &files];
    let preset = cei_run::presets::find(cei_run::presets::EXPERIMENTS, name)?;
    let overrides = overrides.map(str::to_owned);
    let experiment = Experiment::parse(preset.text, name, &overrides)?;
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
