//! What a run knows about the simulation and the detector behind its table.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use cei_model::open_device;
use cei_run::dataset::sidecar_path;
use cei_run::simulate::{Geometries, simulate_to_file};
use cei_run::train::train_run;
use cei_run::{Experiment, RunError, TrainedRun};
use cei_train::Silent;

type TestResult = Result<(), Box<dyn std::error::Error>>;

const EXPERIMENT: &str = r#"
[preprocessing.gauge]
positions = "centred"
frame = "momentum"
x_axis = "S"
xy_plane = "O"
[model]
kind = "cinn"
couplings = 2
hidden = [8]
[training]
max_epochs = 1
[molecule]
atoms = [
    { element = "C", charge = 2.0 },
    { element = "O", charge = 2.0 },
    { element = "S", charge = 2.0 },
]
"#;

/// Trains on a table of `ocs-wide` (1 a.u. of noise), with the sidecar or without.
fn trained(folder: &Path, sidecar: bool, given: &[&str]) -> Result<TrainedRun, RunError> {
    let table = folder.join("table.csv");
    let mut simulation = cei_run::config::preset_simulation("ocs-wide")?;
    simulation.events = 100;
    simulate_to_file(&simulation, &Geometries::Law, false, &table, |_, _| {})?;
    if !sidecar {
        let path = sidecar_path(&table);
        std::fs::remove_file(&path).map_err(RunError::io("remove", &path))?;
    }
    let mut overrides = vec![format!("source.files=['{}']", table.display())];
    overrides.extend(given.iter().map(|&text| text.to_owned()));
    let experiment = Experiment::parse(EXPERIMENT, "test", &overrides)?;
    let run = folder.join("run");
    let stop = AtomicBool::new(false);
    train_run(&experiment, &run, "cpu", false, &stop, |_| {}, &mut Silent)?;
    TrainedRun::load(&run, open_device("cpu")?)
}

#[test]
fn a_simulated_table_brings_its_law_and_its_noise() -> TestResult {
    let folder = tempfile::tempdir()?;
    let record = trained(folder.path(), true, &[])?.record;
    let simulation = record.simulation.as_ref().ok_or("no simulation")?;
    assert!(simulation.geometry.is_some());
    assert_eq!(simulation.events, 100);
    assert_eq!(record.noise(), Some(vec![1.0; 9]));
    Ok(())
}

#[test]
fn a_measured_table_has_the_declared_noise_or_none() -> TestResult {
    let folder = tempfile::tempdir()?;
    let record = trained(folder.path(), false, &[])?.record;
    assert_eq!((record.simulation.is_none(), record.noise()), (true, None));
    let folder = tempfile::tempdir()?;
    let given = "detector.momentum_noise_au={C=0.5, O=[1, 2.0, 3], S=0.25}";
    let record = trained(folder.path(), false, &[given])?.record;
    let expected = vec![0.5, 0.5, 0.5, 1.0, 2.0, 3.0, 0.25, 0.25, 0.25];
    assert_eq!(record.noise(), Some(expected));
    Ok(())
}

#[test]
fn the_experiments_detector_stands_in_the_place_of_the_simulations() -> TestResult {
    let folder = tempfile::tempdir()?;
    let record = trained(folder.path(), true, &["detector.momentum_noise_au=0.5"])?.record;
    assert_eq!(record.noise(), Some(vec![0.5; 9]));
    Ok(())
}

#[test]
fn a_detector_that_does_not_fit_is_refused_before_training() -> TestResult {
    let folder = tempfile::tempdir()?;
    let given = ["detector.momentum_noise_au={C=0.5, O=1.0}"];
    let Err(error) = trained(folder.path(), true, &given) else { return Err("accepted".into()) };
    assert!(error.to_string().contains("no entry for atom `S`"), "{error}");
    assert!(!folder.path().join("run").exists());
    Ok(())
}
