//! Simulate, explode, train, evaluate, calibrate.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use cei_data::{ColumnData, ColumnRef, remarks};
use cei_model::open_device;
use cei_physics::{
    Accuracy, AtomSpec, Dynamics, Exploder, Molecule, Simulation, SimulationError,
    simulate_positions, simulate_range,
};
use cei_run::calibrate::{CalibrateOptions, calibrate_run};
use cei_run::config::to_toml;
use cei_run::dataset::write_given;
use cei_run::evaluate::{EvaluateOptions, RowsToScore, evaluate_run};
use cei_run::folder::layout::{self, CHECKPOINT, RECORD};
use cei_run::presets::{EXPERIMENTS, Preset, SIMULATIONS};
use cei_run::train::train_run;
use cei_run::{Experiment, RunError};
use cei_train::{EpochRecord, Observer, Progress};
use ndarray::{Array2, ArrayView2, s};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;

use crate::arrays::{Buffer, matrix, new_matrix};
use crate::configuration::Configuration;
use crate::failure::{Failure, failed};
use crate::posterior::json;
use crate::tables::{Files, Table};
use crate::watch::{Watch, detached};

/// Events that are simulated at once: progress is told in between.
const CHUNK: usize = 10_000;

/// An array of numpy.
type Array<'py> = Bound<'py, PyAny>;

/// Simulated events.
#[derive(IntoPyObject)]
pub(crate) struct Events<'py> {
    positions: Array<'py>,
    momenta: Array<'py>,
    nuisances: Array<'py>,
    charges: Array<'py>,
    initial_momenta: Array<'py>,
    position_names: Vec<String>,
    momentum_names: Vec<String>,
    nuisance_names: Vec<String>,
    charge_names: Vec<String>,
    /// The configuration that made them, as TOML.
    simulation: String,
}

/// Simulates `n` events of the geometry law, or one for each row of `positions` (bohr).
#[pyfunction]
pub(crate) fn simulate<'py>(
    py: Python<'py>,
    config: Configuration,
    n: Option<usize>,
    seed: Option<u64>,
    positions: Option<Buffer>,
    watch: Py<PyAny>,
) -> PyResult<Events<'py>> {
    let positions = positions.as_ref().map(matrix).transpose()?;
    let mut watch = Watch::new(watch);
    let (simulation, parts) = detached(py, || {
        let mut simulation = config.simulation()?;
        simulation.events = n.unwrap_or(simulation.events);
        simulation.seed = seed.unwrap_or(simulation.seed);
        if let Some(positions) = positions {
            simulation.events = positions.nrows();
            simulation.geometry = None;
        } else {
            watch.warn(&simulation.remarks().map_err(|error| config.failed(error.into()))?);
        }
        let parts = made(&simulation, positions, &mut watch);
        Ok((simulation, parts.map_err(|error| config.failed(error.into()))?))
    })?;
    let [positions, momenta, nuisances, charges, initial_momenta] = parts;
    let molecule = &simulation.molecule;
    Ok(Events {
        positions: new_matrix(py, &positions)?,
        momenta: new_matrix(py, &momenta)?,
        nuisances: new_matrix(py, &nuisances)?,
        charges: new_matrix(py, &charges)?,
        initial_momenta: new_matrix(py, &initial_momenta)?,
        position_names: molecule.position_columns(),
        momentum_names: molecule.momentum_columns(),
        nuisance_names: simulation.nuisances().into_iter().map(|drawn| drawn.name).collect(),
        charge_names: if simulation.has_channels() {
            molecule.charge_columns()
        } else {
            Vec::new()
        },
        simulation: to_toml(&simulation),
    })
}

/// Positions, momenta, nuisances, charges and momenta at the start of all events; no columns of what there is none of.
fn made(
    simulation: &Simulation,
    positions: Option<ArrayView2<'_, f64>>,
    watch: &mut Watch,
) -> Result<[Array2<f64>; 5], SimulationError> {
    let (events, seed) = (simulation.events, simulation.seed);
    if let Some(positions) = positions {
        return Ok(parts_of(simulate_positions(simulation, positions, seed)?));
    }
    // The widths are those of no events.
    let none = parts_of(simulate_range(simulation, 0..0, seed)?);
    let mut all = none.map(|part| Array2::zeros((events, part.ncols())));
    for start in (0..events).step_by(CHUNK) {
        let range = start..events.min(start + CHUNK);
        let made = simulate_range(simulation, range.clone(), seed)?;
        for (all, part) in all.iter_mut().zip(parts_of(made)) {
            all.slice_mut(s![range.clone(), ..]).assign(&part);
        }
        watch.progress(range.end, events);
    }
    Ok(all)
}

fn parts_of(made: cei_physics::Events) -> [Array2<f64>; 5] {
    let events = made.positions.nrows();
    let initial_momenta = made.initial_momenta.unwrap_or_else(|| Array2::zeros((events, 0)));
    [made.positions, made.momenta, made.nuisances, made.charges, initial_momenta]
}

/// What a molecule is given as: element or isotope, charge, mass in u, label.
type Atom = (String, f64, Option<f64>, Option<String>);

/// Explodes rows of positions (bohr) from rest, or with momenta (a.u.) at the start, into momenta (a.u.).
#[pyfunction]
pub(crate) fn explode<'py>(
    py: Python<'py>,
    positions: Buffer,
    molecule: Option<Vec<Atom>>,
    config: Option<Configuration>,
    initial: Option<Buffer>,
) -> PyResult<Array<'py>> {
    let positions = matrix(&positions)?;
    let initial = initial.as_ref().map(matrix).transpose()?;
    let momenta = detached(py, || {
        let (molecule, dynamics, accuracy) =
            match (molecule, config) {
                (Some(atoms), _) => {
                    let atoms = atoms.into_iter().map(|(element, charge, mass_u, label)| {
                        AtomSpec { element, label, mass_u, charge }
                    });
                    let molecule = Molecule::new(atoms.collect());
                    let molecule =
                        molecule.map_err(|error| Failure::of_value(error.to_string()))?;
                    (molecule, Dynamics::default(), Accuracy::default())
                }
                (None, Some(config)) => {
                    let simulation = config.simulation()?;
                    let dynamics = simulation.dynamics();
                    (simulation.molecule, dynamics, simulation.accuracy)
                }
                (None, None) => return Err(Failure::of_value("no molecule is given")),
            };
        let exploder = Exploder::new(&molecule, &dynamics, &accuracy).map_err(failed)?;
        match initial {
            None => exploder.explode_all(positions),
            Some(initial) => exploder.explode_moving(positions, initial),
        }
        .map_err(|error| Failure::of_value(error.to_string()))
    })?;
    new_matrix(py, &momenta)
}

/// What a training is given beside its configuration.
#[derive(FromPyObject)]
pub(crate) struct Trained {
    #[pyo3(item)]
    out: PathBuf,
    /// The table of the run, where it is made of one in memory.
    #[pyo3(item)]
    path: PathBuf,
    /// Files in the place of those of the configuration.
    #[pyo3(item)]
    files: Vec<String>,
    /// The simulation that made a table in memory, as TOML.
    #[pyo3(item)]
    simulation: Option<Configuration>,
    #[pyo3(item)]
    resume: bool,
    #[pyo3(item)]
    device: String,
    #[pyo3(item)]
    seed: Option<u64>,
    #[pyo3(item)]
    ensemble: Option<usize>,
    #[pyo3(item)]
    drop_invalid: bool,
}

/// Trains a model into a folder, and gives the summary of the training as JSON.
#[pyfunction]
pub(crate) fn train(
    py: Python<'_>,
    config: Configuration,
    given: Trained,
    table: Option<Bound<'_, Table>>,
    watch: Py<PyAny>,
) -> PyResult<String> {
    let table = table.map(|table| table.get().columns.clone());
    let (stop, raised) = (AtomicBool::new(false), Mutex::new(None));
    let (before, watch) = (Watch::new(watch.clone_ref(py)), Watch::new(watch));
    let record = detached(py, || {
        let experiment = experiment(&config, &given, table)?;
        let mut observer = Training {
            watch,
            stop: &stop,
            raised: &raised,
            member: String::new(),
            last: String::new(),
        };
        let outcome =
            train_run(
                &experiment,
                &given.out,
                &given.device,
                given.resume,
                &stop,
                |plan| {
                    let mut said = remarks(&plan.readings);
                    said.extend(plan.remarks.iter().cloned());
                    said.extend(plan.dead_columns.iter().map(|names| {
                        format!("these columns do not vary and carry nothing: {names}")
                    }));
                    said.extend(plan.warnings.iter().cloned());
                    said.extend((plan.dropped.rows > 0).then(|| plan.dropped.to_string()));
                    before.warn(&said);
                },
                &mut observer,
            );
        Ok(outcome.map_err(|error| config.failed(error))?.record)
    })?;
    if let Some(error) = raised.into_inner().unwrap_or_default() {
        return Err(error);
    }
    match record {
        Some(record) => json(&record.training),
        None => Err(PyKeyboardInterrupt::new_err("the training was interrupted")),
    }
}

/// The experiment with all that is given beside its configuration; a table in memory becomes a file of the run.
fn experiment(
    config: &Configuration,
    given: &Trained,
    table: Option<Vec<(String, ColumnData)>>,
) -> Result<Experiment, Failure> {
    let mut experiment = config.experiment()?;
    if !given.files.is_empty() || table.is_some() {
        experiment.source.simulator = None;
        experiment.source.events_per_epoch = None;
        experiment.source.files.clone_from(&given.files);
    }
    if let Some(columns) = table {
        let begun = [CHECKPOINT, RECORD].iter().any(|file| layout::holds(&given.out, file));
        if begun && !given.resume {
            return Err(failed(RunError::RunExists { path: given.out.clone() }));
        }
        if !begun {
            let simulation =
                given.simulation.as_ref().map(Configuration::simulation).transpose()?;
            let make = std::fs::create_dir_all(&given.out);
            make.map_err(RunError::io("create", &given.out)).map_err(failed)?;
            write_given(&given.path, columns, simulation.as_ref()).map_err(failed)?;
        }
        experiment.source.files = vec![given.path.to_string_lossy().into_owned()];
    }
    experiment.source.drop_invalid |= given.drop_invalid;
    experiment.training.seed = given.seed.unwrap_or(experiment.training.seed);
    experiment.training.ensemble = given.ensemble.unwrap_or(experiment.training.ensemble);
    Ok(experiment)
}

/// Watches a training, and asks it to stop when Python raises something.
struct Training<'a> {
    watch: Watch,
    stop: &'a AtomicBool,
    raised: &'a Mutex<Option<PyErr>>,
    member: String,
    last: String,
}

impl Observer for Training<'_> {
    fn member(&mut self, member: usize, members: usize) {
        self.member = format!("member {member}/{members}, ");
    }

    fn batch(&mut self, progress: &Progress) {
        let done = (progress.epoch - 1) * progress.batches + progress.batch;
        let total = progress.max_epochs * progress.batches;
        let Self { watch, member, last, .. } = self;
        let text = || {
            let Progress { epoch, max_epochs, training_loss, .. } = progress;
            format!("{member}epoch {epoch}/{max_epochs}, loss {training_loss:.4}{last}")
        };
        if let Err(error) = watch.try_progress(done, total, text)
            && let Ok(mut raised) = self.raised.lock()
        {
            raised.get_or_insert(error);
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    fn epoch(&mut self, _: &Progress, record: &EpochRecord) {
        self.last = format!(", validation {:.4}", record.validation_loss);
    }
}

/// Names of the positions, nuisances among them, and of the momenta that an experiment reads.
#[pyfunction]
pub(crate) fn column_names(config: Configuration) -> PyResult<(Vec<String>, Vec<String>)> {
    let columns = config.experiment()?.columns;
    let names = |columns: &mut dyn Iterator<Item = &ColumnRef>| {
        columns
            .map(|column| match column {
                ColumnRef::Name(name) => Ok(name.clone()),
                ColumnRef::Index(index) => Err(Failure::of_value(format!(
                    "the configuration chooses column {index} by its index, but arrays have no such columns\nhint: name the columns in `columns.x` and `columns.y`"
                ))),
            })
            .collect::<Result<Vec<_>, _>>()
    };
    let (x, y) = (names(&mut columns.inferred())?, names(&mut columns.condition())?);
    if x.is_empty() || y.is_empty() {
        let text = "the configuration names no columns\nhint: give it a `[molecule]`, or `columns.x` and `columns.y`";
        return Err(Failure::of_value(text).into());
    }
    Ok((x, y))
}

/// Names of the presets: simulations and experiments.
#[pyfunction]
pub(crate) fn presets() -> (Vec<&'static str>, Vec<&'static str>) {
    let names = |presets: &[Preset]| presets.iter().map(|preset| preset.name).collect();
    (names(SIMULATIONS), names(EXPERIMENTS))
}

/// Scores a run, as JSON.
#[pyfunction]
pub(crate) fn evaluate(
    py: Python<'_>,
    run: PathBuf,
    files: Option<Files>,
    all: bool,
    draws: Option<usize>,
    seed: u64,
    device: &str,
    watch: Py<PyAny>,
) -> PyResult<String> {
    let rows = match files {
        Some(files) => RowsToScore::Other(files.table()?),
        None if all => RowsToScore::All,
        None => RowsToScore::Test,
    };
    let mut watch = Watch::new(watch);
    let evaluation = detached(py, || {
        watch.warn(&cei_run::folder::remarks(&run).map_err(failed)?);
        let options = EvaluateOptions { rows, draws, seed };
        let device = open_device(device).map_err(failed)?;
        let mut judged = None;
        let evaluation = evaluate_run(
            &run,
            &options,
            device,
            |plausibility| judged = plausibility.warning(),
            |done, total| watch.progress(done, total),
        );
        let evaluation = evaluation.map_err(failed)?;
        watch.warn(&judged);
        watch.warn(&remarks(&evaluation.readings));
        watch.warn(&evaluation.warnings);
        watch.warn(&not_kept(evaluation.not_kept.as_ref()));
        Ok(evaluation)
    })?;
    json(&evaluation)
}

/// Tests whether the posterior of a run is calibrated, as JSON.
#[pyfunction]
pub(crate) fn calibrate(
    py: Python<'_>,
    run: PathBuf,
    events: usize,
    draws: usize,
    seed: u64,
    level: f64,
    refine: bool,
    charges_known: bool,
    out: Option<PathBuf>,
    device: &str,
    watch: Py<PyAny>,
) -> PyResult<String> {
    let options =
        CalibrateOptions { events, draws, seed, level, refine, charges_known, folder: out };
    let mut watch = Watch::new(watch);
    let calibration = detached(py, || {
        watch.warn(&cei_run::folder::remarks(&run).map_err(failed)?);
        let device = open_device(device).map_err(failed)?;
        let progress = |done, total| watch.progress(done, total);
        let calibration = calibrate_run(&run, &options, device, progress).map_err(failed)?;
        watch.warn(&calibration.warning());
        watch.warn(&not_kept(calibration.not_kept.as_ref()));
        Ok(calibration)
    })?;
    json(&calibration)
}

/// That results are not where they should be.
fn not_kept(reason: Option<&String>) -> Option<String> {
    reason.map(|reason| format!("the results are not kept: {reason}"))
}
