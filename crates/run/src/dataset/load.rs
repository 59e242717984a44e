//! Loading and splitting the table of an experiment, or simulating it.

use std::path::Path;

use cei_data::error::Fault;
use cei_data::extremes::screen;
use cei_data::{
    FarCell, LoadError, Preprocessing, PreprocessingError, RowDigests, Rows as _, ScratchTable,
    Selection, Split, Table, TableRows, check_trainable, fingerprint, load, part_of,
};
use cei_physics::Molecule;
use cei_train::{DegenerateNoise, Rows, TrainingRows};

use super::alike;
use super::fresh::Recipe;
use super::simulated::{measured_anew, seen_in_part, simulated};
use crate::error::LaterError;
use crate::folder::{Origin, PartCopies};
use crate::{Experiment, RunError, TrainedRun};

/// Extreme cells that are named one by one.
const MOST_NAMED: usize = 5;

/// A loaded table and its split.
#[derive(Debug)]
pub struct Dataset<T = Table> {
    /// All rows, in internal units, not yet in a gauge.
    pub table: T,
    /// Which rows are for what.
    pub split: Split,
    /// SHA-256 of names and values.
    pub fingerprint: String,
    /// Cells that are far from all others of their column, in words; no measurement is that far.
    pub extremes: Vec<String>,
    /// How the training rows of later epochs are made, if not those of the first are used again.
    pub recipe: Option<Recipe>,
}

impl Dataset {
    /// Loads and splits the table of an experiment, or simulates it. Its training rows are those of the
    /// first epoch.
    ///
    /// # Errors
    /// A file, row or column that cannot be used; too few rows; a side that does not vary; events that
    /// cannot be simulated or measured anew.
    ///
    /// ```
    /// use cei_data::Rows as _;
    /// use cei_run::Experiment;
    /// use cei_run::dataset::{Dataset, Origin};
    ///
    /// let text = "model.kind = 'cinn'\nsource = { simulator = 'ocs-wide', events_per_epoch = 140 }";
    /// let text = format!("{text}\nmolecule.atoms = [{{ element = 'C', charge = 2 }}, {{ element = 'O', charge = 2 }}, {{ element = 'S', charge = 2 }}]");
    /// let experiment = Experiment::parse(&text, "mine", &[])?;
    /// let dataset = Dataset::load(&experiment, &Origin::of(&experiment)?)?;
    /// assert_eq!(dataset.split.train.rows().len(), 140);
    /// assert_eq!(dataset.fit(&experiment)?.x_dim(), 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn load(experiment: &Experiment, origin: &Origin) -> Result<Self, RunError> {
        experiment.split.check()?;
        let source = &experiment.source;
        if experiment.columns.x.is_empty() {
            return Err(PreprocessingError::NoPositions.into());
        }
        check_charges(experiment)?;
        let may_miss = may_miss(experiment, origin)?;
        let mut extremes = Vec::new();
        let (mut table, split, recipe) = match (&source.simulator, &origin.simulation) {
            (Some(_), Some(simulation)) => simulated(experiment, simulation)?,
            (Some(name), None) => {
                return Err(RunError::SimulatorMolecule { name: name.clone() });
            }
            (None, simulation) => {
                let columns = Selection { may_miss, ..experiment.columns.clone() };
                let mut table = load(source, &columns)
                    .map_err(|error| with_hint_on_missing(error, experiment, &columns))?;
                let split;
                (split, extremes) = checked_and_split(experiment, &mut table)?;
                if source.fresh_noise {
                    let simulation = simulation.as_ref().ok_or(RunError::FreshNoiseUnknown)?;
                    measured_anew(experiment, simulation, origin, table, split)?
                } else if !table.may_miss.is_empty() && !table.has_missing_ions() {
                    seen_in_part(experiment, origin, table, split)?
                } else {
                    (table, split, None)
                }
            }
        };
        let fingerprint = fingerprint(&table).map_err(LoadError::from)?;
        alike::order(experiment, origin, &split, &mut table)?;
        Ok(Self { fingerprint, table, split, extremes, recipe })
    }

    /// The table that a run was trained on. It must be the same, or its test rows are not those kept from the model.
    ///
    /// # Errors
    /// A table that is not there, has changed or cannot be loaded.
    ///
    /// ```
    /// # let (folder, run) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/tiny_run.in"));
    /// use cei_data::Rows as _;
    /// use cei_run::TrainedRun;
    /// use cei_run::dataset::Dataset;
    ///
    /// // The events of a simulator are made again.
    /// let dataset = Dataset::of_run(&TrainedRun::load(&run, cei_model::open_device("cpu")?)?)?;
    /// assert_eq!(dataset.split.train.rows().len(), 300);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of_run(run: &TrainedRun) -> Result<Self, RunError> {
        let TrainedRun { path, experiment, record, .. } = run;
        let dataset =
            Self::load(experiment, &record.origin()).map_err(|error| error.of_table(path))?;
        // Events of a simulator follow from seeds, whatever the last bit of another processor.
        let simulated = experiment.source.simulator.is_some();
        if simulated || dataset.fingerprint == record.data_fingerprint {
            Ok(dataset)
        } else {
            Err(RunError::TableChanged { path: path.clone() })
        }
    }
}

impl Dataset<Box<dyn TableRows>> {
    /// The same for a training into `folder`: rows of files that are used as they are stay in a file without a name there, or
    /// in the nearest folder around it that exists, and no more of them is in memory at a time than blocks, or one side of the
    /// training part.
    ///
    /// # Errors
    /// As [`Dataset::load`]; a folder that cannot be written to.
    pub fn for_training(
        experiment: &Experiment,
        origin: &Origin,
        folder: &Path,
    ) -> Result<Self, RunError> {
        experiment.split.check()?;
        let source = &experiment.source;
        let exchanges =
            experiment.molecule.as_ref().is_some_and(|m| m.exchangeable() == Some(true));
        let remade = source.simulator.is_some() || source.fresh_noise || exchanges;
        if remade || experiment.columns.x.is_empty() || !may_miss(experiment, origin)?.is_empty() {
            let Dataset { table, split, fingerprint, extremes, recipe } =
                Dataset::load(experiment, origin)?;
            return Ok(Self { table: Box::new(table), split, fingerprint, extremes, recipe });
        }
        check_charges(experiment)?;
        let is_there = |folder: &&Path| !folder.as_os_str().is_empty() && folder.is_dir();
        let folder = folder.ancestors().find(is_there).unwrap_or(Path::new("."));
        let columns = &experiment.columns;
        let mut table = ScratchTable::load(source, columns, folder)
            .map_err(|error| with_hint_on_missing(error, experiment, columns))?;
        let (split, extremes) = checked_and_split(experiment, &mut table)?;
        let fingerprint = fingerprint(&table).map_err(LoadError::from)?;
        Ok(Self { table: Box::new(table), split, fingerprint, extremes, recipe: None })
    }
}

impl<T: AsRows> Dataset<T> {
    /// Fits the preprocessing on the training rows alone.
    ///
    /// # Errors
    /// A gauge that does not fit, a side without variation, a row of any part outside of `preprocessing.bounds`.
    pub fn fit(&self, experiment: &Experiment) -> Result<Preprocessing, RunError> {
        let molecule = experiment.molecule.as_ref();
        let config = &experiment.preprocessing;
        let (table, split) = (self.table.as_rows(), &self.split);
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
                let at = self.table.as_rows().head().location(row, Some(&name));
                RunError::OutOfBounds { at, name, value, low, high }
            }
            other => other.into(),
        }
    }

    /// How many rows of the validation and of the test part repeat rows of the training part, whose digests these are,
    /// and how many test rows repeat validation rows.
    ///
    /// # Errors
    /// Rows that cannot be read again.
    pub fn copies(&self, training: &RowDigests) -> Result<PartCopies, RunError> {
        let part = |rows: &[usize]| part_of(self.table.as_rows(), rows).map_err(LoadError::from);
        let (x, y) = part(self.split.validation.rows())?;
        let of_validation = training.of_others(x.view(), y.view());
        let validation = training.copies(x.view(), y.view());
        drop((x, y));
        let (x, y) = part(self.split.test.rows())?;
        Ok(PartCopies {
            validation,
            test: training.copies(x.view(), y.view()),
            test_of_validation: Some(of_validation.copies(x.view(), y.view())),
        })
    }

    /// Scaled rows for training and validation.
    ///
    /// # Errors
    /// Rows that cannot be read again.
    pub fn training_rows(&self, preprocessing: &Preprocessing) -> Result<TrainingRows, RunError> {
        let degenerate = preprocessing
            .noise_directions()
            .map(|(directions, sd)| DegenerateNoise { directions, sd });
        let table = self.table.as_rows();
        Ok(TrainingRows {
            training: scaled_rows(table, &self.split.train, preprocessing)?,
            validation: scaled_rows(table, &self.split.validation, preprocessing)?,
            degenerate,
        })
    }
}

/// What a data set keeps its rows in.
pub trait AsRows {
    /// The rows.
    fn as_rows(&self) -> &dyn TableRows;
}

impl AsRows for Table {
    fn as_rows(&self) -> &dyn TableRows {
        self
    }
}

impl AsRows for Box<dyn TableRows> {
    fn as_rows(&self) -> &dyn TableRows {
        self.as_ref()
    }
}

/// Refuses cells that are no measurement, and tables that nothing can be learned from; cuts the others. With the cells that
/// are only extreme, in words.
fn checked_and_split(
    experiment: &Experiment,
    table: &mut dyn TableRows,
) -> Result<(Split, Vec<String>), RunError> {
    let Experiment { source, columns, molecule, .. } = experiment;
    let far = screen(table, source.drop_invalid, columns, molecule.as_ref())?;
    check_trainable(table, &experiment.split)?;
    let split = Split::new(table.count(), &experiment.split)?;
    let extremes = in_words(&far, &split);
    Ok((split, extremes))
}

/// Of each ion, whether it may be missing; empty where none may.
fn may_miss(experiment: &Experiment, origin: &Origin) -> Result<Vec<bool>, RunError> {
    let molecule = experiment.molecule.as_ref();
    let may_miss = origin.may_miss(molecule);
    let key = "detector.efficiency";
    let fits = |molecule: &Molecule| 3 * molecule.atom_count() == experiment.columns.y.len();
    match molecule.filter(|_| !may_miss.is_empty()) {
        Some(molecule) if !fits(molecule) => {
            Err(RunError::OtherColumns { key, count: 3 * molecule.atom_count() })
        }
        Some(_) if !experiment.columns.charges.is_empty() => Err(RunError::ChargesOfMissing),
        _ => Ok(may_miss),
    }
}

/// What an empty cell of a momentum may be where no ion may be missing.
const MAY_BE_MISSING: &str = "where all cells of an ion are empty because it was not detected, declare how probable it is that one is: `detector.efficiency` of the experiment";

/// The error, with what may be meant by an empty cell of a momentum.
fn with_hint_on_missing(
    error: LoadError,
    experiment: &Experiment,
    columns: &Selection,
) -> RunError {
    let LoadError::Invalid { at, fault: Fault::Empty | Fault::NotANumber } = &error else {
        return error.into();
    };
    let is_momentum = |name: &String| columns.y.iter().any(|y| y.to_string() == *name);
    let is_known = experiment.molecule.is_none() || !columns.may_miss.is_empty();
    if is_known || !at.column.as_ref().is_some_and(is_momentum) {
        return error.into();
    }
    LaterError::Load { source: Box::new(error), hint: MAY_BE_MISSING.to_owned() }.into()
}

/// Charges are one for each atom.
fn check_charges(experiment: &Experiment) -> Result<(), RunError> {
    let found = experiment.columns.charges.len();
    let known = experiment.molecule.as_ref().map(|molecule| molecule.labels().to_vec());
    let known = known.unwrap_or_default();
    if found == 0 || found == known.len() {
        return Ok(());
    }
    Err(RunError::ChargeCount { found, known })
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

/// The rows of one part, scaled.
fn scaled_rows(
    table: &dyn TableRows,
    part: &impl cei_data::Rows,
    preprocessing: &Preprocessing,
) -> Result<Rows, RunError> {
    let (x, y) = preprocessing.encode_part(table, part).map_err(LoadError::from)?;
    Ok(Rows { x, y })
}
