//! From the source of an experiment to what a trainer or an evaluation needs: a table from files, or
//! events of a simulator in the place of one.

pub mod fresh;
pub mod later;
pub(crate) mod rounding;

use cei_data::extremes::screen;
use cei_data::{
    Copies, DroppedRows, FarCell, MomentumUnit, PositionUnit, Preprocessing, PreprocessingError,
    RowDigests, Rows as _, Selection, Split, Table, fingerprint, load,
};
use cei_model::random::{Purpose, derived_seed};
use cei_physics::{Detector, Events, Molecule, Simulation, measure, simulate};
use cei_train::{DegenerateNoise, Rows, TrainingRows};
use ndarray::{Axis, concatenate};
use serde::{Deserialize, Serialize};

use crate::fresh::{Recipe, for_training};
use crate::presets;
use crate::simulate::simulation_of;
use crate::{Experiment, ModelRecord, RunError};

/// Streams of the events of a simulated data set; no epoch has these numbers.
const FIRST_EPOCH: u64 = 0;
const VALIDATION: u64 = u64::MAX - 1;
const TEST: u64 = u64::MAX;

/// Events of an epoch at most: all of them are in memory, several times.
const MOST_EVENTS: usize = 10_000_000;
/// Extreme cells that are named one by one.
const MOST_NAMED: usize = 5;

/// A loaded table and its split.
#[derive(Debug)]
pub struct Dataset {
    /// All rows, in internal units, not yet in a gauge.
    pub table: Table,
    /// Which rows are for what.
    pub split: Split,
    /// SHA-256 of names and values.
    pub fingerprint: String,
    /// Cells that are far from all others of their column, in words; no measurement is that far.
    pub extremes: Vec<String>,
    /// How the training rows of later epochs are made, if not those of the first are used again.
    pub recipe: Option<Recipe>,
}

/// What is known of the origin of a table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Origin {
    /// The simulation that made it, or makes it.
    pub simulation: Option<Simulation>,
    /// The noise with which its momenta were measured.
    pub detector: Option<Detector>,
}

impl Origin {
    /// As declared by an experiment and by what stands beside its files. The noise is that of the
    /// experiment, or else of the simulation.
    ///
    /// # Errors
    /// A simulation that is unknown, unreadable or of another molecule than the experiment; noise that
    /// does not fit the molecule.
    pub fn of(experiment: &Experiment) -> Result<Self, RunError> {
        let (molecule, source) = (experiment.molecule.as_ref(), &experiment.source);
        if source.simulator.is_some() && !source.files.is_empty() {
            return Err(RunError::TwoSources);
        }
        if source.simulator.is_none() && source.events_per_epoch.is_some() {
            return Err(RunError::EventsWithoutSimulator);
        }
        let mut simulation = match &experiment.source.simulator {
            Some(name) => Some(simulator(experiment, name)?),
            None => simulation_of(&experiment.source.resolve()?)?
                .filter(|made| molecule == Some(&made.molecule)),
        };
        let simulated = simulation.as_ref().map(|simulation| simulation.detector.clone());
        let detector = experiment.detector.clone().or(simulated);
        if let Some(detector) = &detector {
            let molecule = molecule.ok_or(RunError::DetectorWithoutMolecule)?;
            detector.standard_deviations(molecule)?;
            if let (Some(simulation), Some(_)) = (&mut simulation, &experiment.source.simulator) {
                // What simulates during the training also measures as declared.
                simulation.detector = detector.clone();
            }
        }
        Ok(Self { simulation, detector })
    }

    /// As it was when a model was trained.
    pub fn of_record(record: &ModelRecord) -> Self {
        Self { simulation: record.simulation.clone(), detector: record.detector.clone() }
    }
}

/// The simulation named by `source.simulator`.
fn simulator(experiment: &Experiment, name: &str) -> Result<Simulation, RunError> {
    let simulation = presets::simulation_or_file(name)?;
    simulation.check()?;
    if simulation.geometry.is_none() {
        return Err(RunError::NoGeometry);
    }
    match &experiment.molecule {
        Some(molecule) if *molecule == simulation.molecule => Ok(simulation),
        _ => Err(RunError::SimulatorMolecule { name: name.to_owned() }),
    }
}

impl Dataset {
    /// Loads and splits the table of an experiment, or simulates it. Its training rows are those of the
    /// first epoch.
    ///
    /// # Errors
    /// A file, row or column that cannot be used; too few rows; a side that does not vary; events that
    /// cannot be simulated or measured anew.
    pub fn load(experiment: &Experiment, origin: &Origin) -> Result<Self, RunError> {
        experiment.split.check()?;
        let source = &experiment.source;
        if experiment.columns.x.is_empty() {
            return Err(PreprocessingError::NoPositions.into());
        }
        let mut extremes = Vec::new();
        let (table, split, recipe) = match (&source.simulator, &origin.simulation) {
            (Some(_), Some(simulation)) => simulated(experiment, simulation)?,
            (Some(name), None) => {
                return Err(RunError::SimulatorMolecule { name: name.clone() });
            }
            (None, simulation) => {
                let mut table = load(source, &experiment.columns)?;
                let far = screen(&mut table, source.drop_invalid, &experiment.columns)?;
                table.check_trainable(&experiment.split)?;
                let split = Split::new(table.rows(), &experiment.split)?;
                extremes = in_words(&far, &split);
                if source.fresh_noise {
                    let simulation = simulation.as_ref().ok_or(RunError::FreshNoiseUnknown)?;
                    measured_anew(experiment, simulation, origin, table, split)?
                } else {
                    (table, split, None)
                }
            }
        };
        Ok(Self { fingerprint: fingerprint(&table), table, split, extremes, recipe })
    }

    /// Fits the preprocessing on the training rows alone.
    ///
    /// # Errors
    /// A gauge that does not fit, a side without variation, a row of any part outside of `preprocessing.bounds`.
    pub fn fit(&self, experiment: &Experiment) -> Result<Preprocessing, RunError> {
        let molecule = experiment.molecule.as_ref();
        let config = &experiment.preprocessing;
        let Self { table, split, .. } = self;
        let fitted = Preprocessing::fit(config, molecule, table, &split.train);
        let fitted = fitted.map_err(|error| self.located(error))?;
        // The density of a row outside is zero: no mean over the part that holds it would be a number.
        fitted.check_bounds(table, &split.validation).map_err(|error| self.located(error))?;
        fitted.check_bounds(table, &split.test).map_err(|error| self.located(error))?;
        Ok(fitted)
    }

    /// The error with the place of the row that it is about.
    fn located(&self, error: PreprocessingError) -> RunError {
        match error {
            PreprocessingError::OutOfBounds { name, row, value, low, high } => {
                let at = self.table.location(row, Some(&name));
                RunError::OutOfBounds { at, name, value, low, high }
            }
            other => other.into(),
        }
    }

    /// How many rows of the validation and of the test part repeat rows of the training part, whose digests these are,
    /// and how many test rows repeat validation rows.
    pub fn copies(&self, training: &RowDigests) -> PartCopies {
        let (x, y) = self.table.part(&self.split.validation);
        let validation = training.of_others(x.view(), y.view());
        let of_validation = training.copies(x.view(), y.view());
        let (x, y) = self.table.part(&self.split.test);
        PartCopies {
            validation: of_validation,
            test: training.copies(x.view(), y.view()),
            test_of_validation: Some(validation.copies(x.view(), y.view())),
        }
    }

    /// Scaled rows for training and validation.
    pub fn training_rows(&self, preprocessing: &Preprocessing) -> TrainingRows {
        let degenerate = preprocessing
            .noise_directions()
            .map(|(directions, sd)| DegenerateNoise { directions, sd });
        TrainingRows {
            training: scaled_rows(&self.table, &self.split.train, preprocessing),
            validation: scaled_rows(&self.table, &self.split.validation, preprocessing),
            degenerate,
        }
    }
}

/// Rows of the other parts that repeat rows of the training part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartCopies {
    /// Of the validation part.
    pub validation: Copies,
    /// Of the test part.
    pub test: Copies,
    /// Rows of the test part that repeat rows of the validation part, which decide when a training ends; absent in runs
    /// of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_of_validation: Option<Copies>,
}

/// Cells that are only extreme, and what may come of each.
fn in_words(cells: &[FarCell], split: &Split) -> Vec<String> {
    let of_cell = |cell: &FarCell| {
        let consequence = if split.validation.rows().contains(&cell.row) {
            "a validation row, whose loss decides when training stops"
        } else if split.test.rows().contains(&cell.row) {
            "a test row, which may decide mean scores"
        } else {
            "a training row"
        };
        format!(
            "{cell}, several times as far as any other before it ({consequence}): is it a measurement?"
        )
    };
    let mut lines: Vec<String> = cells.iter().take(MOST_NAMED).map(of_cell).collect();
    if cells.len() > MOST_NAMED {
        lines.push(format!("{} more cells are as extreme", cells.len() - MOST_NAMED));
    }
    lines
}

type Parts = (Table, Split, Option<Recipe>);

/// Training, validation and test events of a simulation, one part after another.
fn simulated(experiment: &Experiment, simulation: &Simulation) -> Result<Parts, RunError> {
    let molecule = &simulation.molecule;
    check_columns(experiment, molecule, "source.simulator")?;
    let (source, split) = (&experiment.source, &experiment.split);
    if source.fresh_noise {
        return Err(RunError::FreshNoiseOfSimulator);
    }
    let events = source.events_per_epoch.unwrap_or(simulation.events);
    if events < 2 {
        return Err(RunError::TooSmall { key: "source.events_per_epoch", value: events, least: 2 });
    }
    let share = |part: f64| ((events as f64 * part / split.train).round() as usize).max(1);
    let (validation, test) = (share(split.validation), share(split.test));
    let all = events.saturating_add(validation).saturating_add(test);
    if events > MOST_EVENTS || all > 2 * MOST_EVENTS {
        let (key, most) = ("source.events_per_epoch", MOST_EVENTS);
        return Err(RunError::TooLarge { key, value: events, most });
    }
    let seed = |stream| derived_seed(split.seed, Purpose::Events, stream);
    let parts = [
        simulate(&for_training(simulation), events, seed(FIRST_EPOCH))?,
        simulate(simulation, validation, seed(VALIDATION))?,
        simulate(simulation, test, seed(TEST))?,
    ];
    let under_another =
        |views: [ndarray::ArrayView2<'_, f64>; 3]| match concatenate(Axis(0), &views) {
            Ok(rows) => rows,
            Err(_) => unreachable!("every part has three columns an atom"),
        };
    let table = Table {
        x: under_another(parts.each_ref().map(|part| part.positions.view())),
        y: under_another(parts.each_ref().map(|part| part.momenta.view())),
        x_names: molecule.position_columns(),
        y_names: molecule.momentum_columns(),
        files: Vec::new(),
        readings: Vec::new(),
        dropped: DroppedRows::default(),
    };
    let recipe = Recipe::Events { simulation: Box::new(simulation.clone()), events };
    Ok((table, Split::consecutive(events, validation, test), Some(recipe)))
}

/// A noise-free simulated table with the noise of the declared detector on all its rows.
fn measured_anew(
    experiment: &Experiment,
    simulation: &Simulation,
    origin: &Origin,
    mut table: Table,
    split: Split,
) -> Result<Parts, RunError> {
    check_columns(experiment, &simulation.molecule, "source.fresh_noise")?;
    let nothing = |detector: &Detector| {
        let deviations = detector.standard_deviations(&simulation.molecule)?;
        Ok::<_, RunError>(deviations.iter().all(|sd| *sd == 0.0))
    };
    if !nothing(&simulation.detector)? {
        return Err(RunError::FreshNoiseOnNoise);
    }
    let Some(detector) = &origin.detector else { return Err(RunError::FreshNoiseUndeclared) };
    if nothing(detector)? {
        return Err(RunError::FreshNoiseUndeclared);
    }
    let (positions, momenta) = table.part(&split.train);
    let recipe = Recipe::Noise {
        simulation: Box::new(simulation.clone()),
        detector: detector.clone(),
        events: Events { positions, momenta },
    };
    let mut noisy = Events { positions: table.x, momenta: table.y };
    let seed = derived_seed(experiment.split.seed, Purpose::DetectorNoise, FIRST_EPOCH);
    measure(simulation, detector, &mut noisy, seed)?;
    (table.x, table.y) = (noisy.positions, noisy.momenta);
    Ok((table, split, Some(recipe)))
}

/// Events are those of the molecule, three numbers an atom on either side. Measured files may name them otherwise
/// and have other units, but must have units.
fn check_columns(
    experiment: &Experiment,
    molecule: &Molecule,
    key: &'static str,
) -> Result<(), RunError> {
    let Selection { x, y, x_unit, y_unit } = &experiment.columns;
    let count = 3 * molecule.atom_count();
    let has_units = *x_unit != PositionUnit::None && *y_unit != MomentumUnit::None;
    if (x.len(), y.len()) == (count, count) && has_units {
        Ok(())
    } else {
        Err(RunError::OtherColumns { key, count })
    }
}

/// The rows of one part, scaled.
fn scaled_rows(table: &Table, part: &impl cei_data::Rows, preprocessing: &Preprocessing) -> Rows {
    let (x, y) = preprocessing.encode_part(table, part);
    Rows { x, y }
}
