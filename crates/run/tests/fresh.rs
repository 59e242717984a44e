//! New events or new noise in every epoch: the rows differ, a resumed training does not, and evaluation
//! and prediction find the rows of the training again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cei_data::{Source, SumOptions, load};
use cei_model::{Team, open_device};
use cei_run::dataset::FreshRows;
use cei_run::dataset::LaterTable;
use cei_run::dataset::{Dataset, Origin};
use cei_run::evaluate::{EvaluateOptions, evaluate_run};
use cei_run::predict::{PredictOptions, predict_to_files};
use cei_run::simulate::{Geometries, simulate_to_file};
use cei_run::train::train_run;
use cei_run::{Experiment, RunError};
use cei_train::{EpochRecord, EpochRows, Observer, Progress, Rows, Silent};

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
hidden = [16]
[training]
max_epochs = 4
batch_size = 100
ema_decay = 0.9
"#;

const SIMULATOR: [&str; 2] = ["source.simulator=ocs-wide", "source.events_per_epoch=350"];

fn experiment(given: &[&str]) -> Result<Experiment, RunError> {
    let given: Vec<String> = given.iter().map(|&text| text.to_owned()).collect();
    Ok(Experiment::parse(EXPERIMENT, "test", &given)?)
}

/// An experiment on a noise-free table of 500 events of `ocs-wide`, with 1 a.u. of noise declared.
fn on_quiet_table(folder: &Path, given: &[&str]) -> Result<Experiment, RunError> {
    let table = folder.join("quiet.csv");
    let mut simulation = cei_run::config::preset_simulation("ocs-wide")?;
    simulation.events = 500;
    simulation.detector = cei_physics::Detector::default();
    simulate_to_file(&simulation, &Geometries::Law, false, &table, |_, _| {})?;
    let files = format!("source.files=['{}']", table.display());
    let mut molecule = experiment(&SIMULATOR)?;
    molecule.source = Source::default();
    let all = ["source.fresh_noise=true", "detector.momentum_noise_au=1.0", &files];
    let given = [&all[..], given].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
    Ok(Experiment::parse(&molecule.to_toml(), "test", &given)?)
}

/// Raw second and third epochs as the network sees them.
fn epochs(experiment: &Experiment, of: &[usize]) -> Result<Vec<Rows>, Box<dyn std::error::Error>> {
    let dataset = Dataset::load(experiment, &Origin::of(experiment)?)?;
    let preprocessing = dataset.fit(experiment)?;
    let recipe = dataset.recipe.ok_or("no recipe")?;
    let seed = experiment.training.seed;
    let mut fresh = FreshRows::new(Arc::new(recipe), preprocessing, seed, Team::default());
    let mut rows = Vec::new();
    for &epoch in of {
        rows.push(fresh.take(epoch).map_err(|error| error.to_string())?);
        fresh.prepare(epoch + 1);
    }
    Ok(rows)
}

#[test]
fn events_are_new_in_every_epoch_and_the_same_for_the_same_epoch() -> TestResult {
    let experiment = experiment(&SIMULATOR)?;
    let rows = epochs(&experiment, &[2, 3, 7, 3])?;
    assert_eq!(rows[0].x.dim(), (350, 6));
    assert_ne!(rows[0].x, rows[1].x);
    assert_eq!((&rows[1].x, &rows[1].y), (&rows[3].x, &rows[3].y));
    let other = Experiment {
        training: cei_train::TrainingConfig { seed: 1, ..experiment.training.clone() },
        ..experiment.clone()
    };
    assert_ne!(epochs(&other, &[2])?[0].y, rows[0].y);
    // Whatever the seed of the training, validation and test rows are the same.
    let fingerprint = |e: &Experiment| -> Result<String, RunError> {
        Ok(Dataset::load(e, &Origin::of(e)?)?.fingerprint)
    };
    assert_eq!(fingerprint(&experiment)?, fingerprint(&other)?);
    Ok(())
}

#[test]
fn noise_is_new_in_every_epoch_and_of_the_declared_size() -> TestResult {
    let folder = tempfile::tempdir()?;
    let experiment = on_quiet_table(
        folder.path(),
        &["preprocessing.y_scaler=none", "preprocessing.gauge.frame=separate"],
    )?;
    let rows = epochs(&experiment, &[2, 3, 2])?;
    assert_eq!(rows[0].y, rows[2].y);
    assert_ne!(rows[0].y, rows[1].y);
    // The last of the columns that vary is the length of the momentum of S, tens of a.u.: each epoch adds
    // the noise along it, so the difference has sd sqrt(2); noise across it counts in second order.
    assert_eq!(rows[0].y.ncols(), 6);
    let difference = (&rows[0].y - &rows[1].y).column(5).mapv(f64::from);
    // 350 rows: the standard error is 3.8 %; five of them are allowed.
    let ratio = difference.std(1.0) / 2f64.sqrt();
    assert!((ratio - 1.0).abs() < 0.19, "{ratio}");
    Ok(())
}

/// Asks to stop after a number of batches.
struct StopAfter<'a>(usize, &'a AtomicBool);

impl Observer for StopAfter<'_> {
    fn batch(&mut self, _progress: &Progress) {
        self.0 -= 1;
        if self.0 == 0 {
            self.1.store(true, Ordering::Relaxed);
        }
    }

    fn epoch(&mut self, _progress: &Progress, _record: &EpochRecord) {}
}

fn resumes_in_the_same_bits(experiment: &Experiment, folder: &Path) -> TestResult {
    let stop = AtomicBool::new(false);
    let (whole, halves) = (folder.join("whole"), folder.join("halves"));
    train_run(experiment, &whole, "cpu", false, &stop, |_| {}, &mut Silent)?;
    // Four batches an epoch: the stop falls into the third.
    let observer = &mut StopAfter(10, &stop);
    let half = train_run(experiment, &halves, "cpu", false, &stop, |_| {}, observer)?;
    assert!(half.record.is_none());
    stop.store(false, Ordering::Relaxed);
    train_run(experiment, &halves, "cpu", true, &stop, |_| {}, &mut Silent)?;
    let weights = |run: &Path| std::fs::read(run.join("model.safetensors"));
    assert!(weights(&whole)? == weights(&halves)?);
    Ok(())
}

fn evaluates(run: &Path, rows: usize) -> TestResult {
    let options = EvaluateOptions { draws: Some(20), ..EvaluateOptions::default() };
    let evaluation = evaluate_run(run, &options, open_device("cpu")?, |_| {}, |_, _| {})?;
    assert_eq!(evaluation.scores.rows, rows);
    assert!(evaluation.scores.likelihood.is_some_and(|nll| nll.nll.is_finite()));
    assert!(evaluation.scores.baselines.knn.is_some());
    assert!(evaluation.floor.is_none(), "rows with noise have no known floor");
    Ok(())
}

#[test]
fn a_run_on_a_simulator_resumes_evaluates_and_predicts() -> TestResult {
    let folder = tempfile::tempdir()?;
    let experiment = experiment(&SIMULATOR)?;
    resumes_in_the_same_bits(&experiment, folder.path())?;
    let run = folder.path().join("halves");
    // 350 events are 70 %, so that 75 are for the test.
    evaluates(&run, 75)?;
    let text = std::fs::read_to_string(run.join("evaluation.json"))?;
    assert!(text.contains("simulator ocs-wide"), "{text}");
    let simulation = cei_run::config::preset_simulation("ocs-wide")?;
    let table = folder.path().join("measured.csv");
    let five = cei_physics::Simulation { events: 5, ..simulation };
    simulate_to_file(&five, &Geometries::Law, false, &table, |_, _| {})?;
    let options = PredictOptions {
        momenta: LaterTable::file(table.to_string_lossy()),
        sums: SumOptions::default(),
        draws: 3,
        seed: 0,
        false_coincidences: None,
        draws_file: folder.path().join("draws.csv"),
        summary_file: None,
        refine: false,
        modes_file: None,
        chain_file: None,
        initial_momenta: false,
        report_file: None,
        report_events: Vec::new(),
        shard: None,
    };
    let report = predict_to_files(&run, &options, open_device("cpu")?, |_| {})?;
    assert_eq!(report.events, 5);
    Ok(())
}

#[test]
fn a_run_with_fresh_noise_resumes_and_is_scored_on_noisy_rows() -> TestResult {
    let folder = tempfile::tempdir()?;
    let experiment = on_quiet_table(folder.path(), &[])?;
    resumes_in_the_same_bits(&experiment, folder.path())?;
    evaluates(&folder.path().join("halves"), 75)?;
    let noisy = Dataset::load(&experiment, &Origin::of(&experiment)?)?;
    let quiet = load(&experiment.source, &experiment.columns)?;
    assert_ne!(noisy.table.y, quiet.y);
    assert_ne!(noisy.fingerprint, cei_data::fingerprint(&quiet)?);
    Ok(())
}

/// The name of a simulator in the configuration is not enough to know it again.
#[test]
fn a_run_is_not_resumed_with_a_changed_simulator() -> TestResult {
    let folder = tempfile::tempdir()?;
    let (file, run) = (folder.path().join("simulation.toml"), folder.path().join("run"));
    let mut simulation = cei_run::config::preset_simulation("ocs-wide")?;
    std::fs::write(&file, cei_run::config::to_toml(&simulation))?;
    let named = format!("source.simulator={}", file.display());
    let experiment = experiment(&[&named, SIMULATOR[1]])?;
    let stop = AtomicBool::new(false);
    train_run(&experiment, &run, "cpu", false, &stop, |_| {}, &mut Silent)?;
    simulation.temperature_k = 300.0;
    std::fs::write(&file, cei_run::config::to_toml(&simulation))?;
    let result = train_run(&experiment, &run, "cpu", true, &stop, |_| {}, &mut Silent);
    let error = result.map(|_| ()).unwrap_err().to_string();
    assert!(
        error.starts_with("`temperature_k` of the simulation in `source.simulator`"),
        "{error}"
    );
    Ok(())
}

fn refusal(experiment: &Experiment) -> Result<String, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let stop = AtomicBool::new(false);
    let run = folder.path().join("run");
    let result = train_run(experiment, &run, "cpu", false, &stop, |_| {}, &mut Silent);
    Ok(result.map(|_| ()).err().ok_or("it was accepted")?.to_string())
}

#[test]
fn what_makes_no_sense_is_refused_by_name() -> TestResult {
    let with = |given: &[&str]| experiment(&[&SIMULATOR[..], given].concat());
    for (experiment, word) in [
        (with(&["source.files=['a.csv']"])?, "`source.files` and `source.simulator`"),
        (with(&["source.fresh_noise=true"])?, "`source.fresh_noise` is for tables"),
        (with(&["source.events_per_epoch=1"])?, "`source.events_per_epoch` is `1`"),
        (with(&["columns.x_unit=none"])?, "`[columns]`"),
        (with(&["columns.y=['a', 'b']"])?, "9 positions and 9 momenta"),
        (
            with(&["molecule.atoms=[{element='C', charge=1}, {element='O', charge=1}]"])?,
            "`[molecule]`",
        ),
    ] {
        let error = refusal(&experiment)?;
        assert!(error.contains(word), "{error}");
    }
    let folder = tempfile::tempdir()?;
    let mut undeclared = on_quiet_table(folder.path(), &[])?;
    undeclared.detector = None;
    assert!(refusal(&undeclared)?.contains("how much noise"));
    undeclared.source.fresh_noise = false;
    undeclared.source.events_per_epoch = Some(5);
    assert!(refusal(&undeclared)?.contains("no `source.simulator`"));
    let unknown = experiment(&["source.simulator=ocs"]).unwrap_err().to_string();
    assert!(unknown.contains("`ocs-wide`"), "{unknown}");
    Ok(())
}
