//! Loading and splitting the table of an experiment, or simulating it.

use std::io;
use std::path::{Path, PathBuf};

use cei_data::error::Fault;
use cei_data::extremes::screen;
use cei_data::{
    Division, FarCell, LoadError, Marks, Part, Preprocessing, PreprocessingError, Role, RowDigests,
    ScratchError, ScratchTable, Selection, Split, Table, TableRows, check_trainable, fingerprint,
    load, part_of,
};
use cei_physics::Molecule;
use cei_train::{DegenerateNoise, FileRows, RowSet, Rows, TrainingRows};
use ndarray::ArrayView2;

use super::alike;
use super::fresh::Recipe;
use super::simulated::{measured_anew, seen_in_part, simulated};
use crate::error::LaterError;
use crate::folder::{Origin, PartCopies};
use crate::{Experiment, RunError, TrainedRun};

/// Rows that are in memory at a time with `source.stream`, where `source.buffer_rows` does not say how many.
const BUFFER_ROWS: usize = 1_000_000;
/// Extreme cells that are named one by one.
const MOST_NAMED: usize = 5;

/// A loaded table and its split.
#[derive(Debug)]
pub struct Dataset<T = Table, D = Split> {
    /// All rows, in internal units, not yet in a gauge.
    pub table: T,
    /// Which rows are for what.
    pub split: D,
    /// SHA-256 of names and values.
    pub fingerprint: String,
    /// Cells that are far from all others of their column, in words; no measurement is that far.
    pub extremes: Vec<String>,
    /// How the training rows of later epochs are made, if not those of the first are used again.
    pub recipe: Option<Recipe>,
    /// Where scaled rows are kept and how many of them are in memory, if not all are.
    stream: Option<Stream>,
    /// What the rows are of, if they are not all of a table.
    pub some: Option<SomeRows>,
}

/// Rows of a table that is larger than the memory.
#[derive(Debug)]
pub struct SomeRows {
    /// Their numbers in the table.
    pub numbers: Vec<usize>,
    /// Rows of training, validation and test part of the table.
    pub of: [usize; 3],
}

/// Rows that stay on the disk.
#[derive(Debug)]
struct Stream {
    folder: PathBuf,
    buffer: usize,
    /// Of their order.
    seed: u64,
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
                let far = checked(experiment, &mut table)?;
                let split = Split::new(table.rows(), &experiment.split)?;
                extremes = in_words(&far, &split);
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
        Ok(Self { fingerprint, table, split, extremes, recipe, stream: None, some: None })
    }

    /// The table that a run was trained on, or of one with `source.stream` as many rows as may be in memory. It must be the
    /// same, or its test rows are not those kept from the model.
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
        let load = match experiment.source.stream {
            true => Self::some_of(experiment, &record.origin(), path),
            false => Self::load(experiment, &record.origin()),
        };
        let dataset = load.map_err(|error| error.of_table(path))?;
        // Events of a simulator follow from seeds, whatever the last bit of another processor.
        let simulated = experiment.source.simulator.is_some();
        if simulated || dataset.fingerprint == record.data_fingerprint {
            Ok(dataset)
        } else {
            Err(RunError::TableChanged { path: path.clone() })
        }
    }
}

impl Dataset {
    /// As many rows of a table that stays on the disk as may be in memory, evenly spaced in each part.
    fn some_of(experiment: &Experiment, origin: &Origin, folder: &Path) -> Result<Self, RunError> {
        let all = Dataset::for_training(experiment, origin, folder)?;
        let Dataset { table, split, fingerprint, extremes, .. } = all;
        let (of, rows) = (split.counts(), table.as_rows());
        let most = experiment.source.buffer_rows.unwrap_or(BUFFER_ROWS).min(table.count());
        let parts = [split.training(rows).part(), split.validation(rows), split.test(rows)];
        let used = of.map(|count| (count * most).div_ceil(table.count()));
        let numbers: Vec<usize> = parts
            .iter()
            .zip(used)
            .flat_map(|(part, used)| {
                let count = part.count();
                part.numbers(&(0..used).map(|i| i * count / used).collect::<Vec<_>>())
            })
            .collect();
        let (x, y) = part_of(rows, &numbers).map_err(LoadError::from)?;
        Ok(Self {
            table: Table { x, y, ..rows.head().clone() },
            split: Split::consecutive(used[0], used[1], used[2]),
            fingerprint,
            extremes,
            recipe: None,
            stream: None,
            some: Some(SomeRows { numbers, of }),
        })
    }
}

impl Dataset<Box<dyn TableRows>, Box<dyn Division>> {
    /// The same for a training into `folder`: rows of files that are used as they are stay in a file without a name there, or
    /// in the nearest folder around it that exists, and no more of them is in memory at a time than blocks, or one side of the
    /// training part.
    ///
    /// # Errors
    /// As [`Dataset::load`]; a folder that cannot be written to; `source.stream` where rows are not used as they are.
    pub fn for_training(
        experiment: &Experiment,
        origin: &Origin,
        folder: &Path,
    ) -> Result<Self, RunError> {
        experiment.split.check()?;
        let source = &experiment.source;
        let molecule = experiment.molecule.as_ref();
        let may_miss = !may_miss(experiment, origin)?.is_empty();
        let remade = [
            (source.simulator.is_some(), "source.simulator"),
            (source.fresh_noise, "source.fresh_noise"),
            (molecule.is_some_and(|m| m.exchangeable() == Some(true)), "molecule.exchangeable"),
            (may_miss, "detector.efficiency"),
        ];
        let because = remade.into_iter().find(|(is, _)| *is).map(|(_, key)| key);
        match (because, source.buffer_rows) {
            (Some(key), _) if source.stream => return Err(RunError::StreamOf { key }),
            (_, Some(_)) if !source.stream => return Err(RunError::BufferAlone),
            _ => {}
        }
        if because.is_some() || experiment.columns.x.is_empty() {
            let Dataset { table, split, fingerprint, extremes, recipe, stream, some } =
                Dataset::load(experiment, origin)?;
            let (table, split) = (Box::new(table), Box::new(split));
            return Ok(Self { table, split, fingerprint, extremes, recipe, stream, some });
        }
        check_charges(experiment)?;
        let is_there = |folder: &&Path| !folder.as_os_str().is_empty() && folder.is_dir();
        let folder = folder.ancestors().find(is_there).unwrap_or(Path::new("."));
        let columns = &experiment.columns;
        let mut table = ScratchTable::load(source, columns, folder)
            .map_err(|error| with_hint_on_missing(error, experiment, columns))?;
        let far = checked(experiment, &mut table)?;
        let (rows, config) = (table.count(), &experiment.split);
        let split: Box<dyn Division> = if source.stream {
            Box::new(Marks::new(rows, config)?)
        } else {
            Box::new(Split::new(rows, config)?)
        };
        let extremes = in_words(&far, split.as_ref());
        let fingerprint = fingerprint(&table).map_err(LoadError::from)?;
        let stream = source.stream.then(|| Stream {
            folder: folder.to_owned(),
            buffer: source.buffer_rows.unwrap_or(BUFFER_ROWS),
            seed: experiment.split.seed,
        });
        let (table, recipe, some) = (Box::new(table), None, None);
        Ok(Self { table, split, fingerprint, extremes, recipe, stream, some })
    }
}

impl<T: AsRows, D: Division> Dataset<T, D> {
    /// Fits the preprocessing on the training rows alone.
    ///
    /// # Errors
    /// A gauge that does not fit, a side without variation, a row of any part outside of `preprocessing.bounds`.
    pub fn fit(&self, experiment: &Experiment) -> Result<Preprocessing, RunError> {
        let molecule = experiment.molecule.as_ref();
        let config = &experiment.preprocessing;
        let (table, split) = (self.table.as_rows(), &self.split);
        let fitted = Preprocessing::fit_part(config, molecule, split.training(table));
        let fitted = fitted.map_err(|error| self.located(error))?;
        // The density of a row outside is zero: no mean over the part that holds it would be a number.
        fitted.check_bounds(split.validation(table)).map_err(|error| self.located(error))?;
        fitted.check_bounds(split.test(table)).map_err(|error| self.located(error))?;
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

    /// Digests of the training rows, and how many rows of the validation and of the test part repeat them, and how many test
    /// rows repeat validation rows; none of a table that stays on the disk, where they would be as long as its rows.
    ///
    /// # Errors
    /// Rows that cannot be read again.
    pub fn copies(
        &self,
        molecule: Option<&Molecule>,
    ) -> Result<Option<(RowDigests, PartCopies)>, RunError> {
        if self.stream.is_some() {
            return Ok(None);
        }
        let (table, split) = (self.table.as_rows(), &self.split);
        let training = split.training(table).part();
        let training = RowDigests::fit(training, molecule).map_err(LoadError::from)?;
        let rows = |part: Part<'_>| part.whole().map_err(LoadError::from);
        let (x, y) = rows(split.validation(table))?;
        let of_validation = training.of_others(x.view(), y.view());
        let validation = training.copies(x.view(), y.view());
        drop((x, y));
        let (x, y) = rows(split.test(table))?;
        let copies = PartCopies {
            validation,
            test: training.copies(x.view(), y.view()),
            test_of_validation: Some(of_validation.copies(x.view(), y.view())),
        };
        Ok(Some((training, copies)))
    }

    /// What else is different where rows stay on the disk.
    pub fn stream_remark(&self) -> Option<String> {
        self.stream.as_ref().map(|stream| format!(
            "remark: rows stay on the disk, in `{}`, and are shuffled in windows of {} (`source.stream`); copies of rows are not looked for",
            stream.folder.display(),
            stream.buffer / 2,
        ))
    }

    /// Scaled rows for training and validation.
    ///
    /// # Errors
    /// Rows that cannot be read again, or written.
    pub fn training_rows(&self, preprocessing: &Preprocessing) -> Result<TrainingRows, RunError> {
        let degenerate = preprocessing
            .noise_directions()
            .map(|(directions, sd)| DegenerateNoise { directions, sd });
        let table = self.table.as_rows();
        let (training, validation) =
            (self.split.training(table).part(), self.split.validation(table));
        let in_memory = |part| {
            let (x, y) = preprocessing.encode_part(part)?;
            Ok::<_, ScratchError>(RowSet::Memory(Rows { x, y }))
        };
        let scaled = match &self.stream {
            None => in_memory(training).and_then(|first| Ok([first, in_memory(validation)?])),
            Some(stream) => stream.scaled(training, validation, preprocessing),
        };
        let [training, validation] = scaled.map_err(LoadError::from)?;
        Ok(TrainingRows { training, validation, degenerate })
    }
}

impl Stream {
    /// The training and the validation rows, scaled, in files; those of training in random order.
    fn scaled(
        &self,
        training: Part<'_>,
        validation: Part<'_>,
        preprocessing: &Preprocessing,
    ) -> Result<[RowSet; 2], ScratchError> {
        let Self { folder, buffer, seed } = self;
        let failed = |error: io::Error| ScratchError { folder: folder.clone(), kind: error.kind() };
        let widths = [preprocessing.x_dim(), preprocessing.y_dim()];
        let rows = training.count();
        let mut shuffling =
            FileRows::shuffling_writer(folder, widths, *buffer, rows, *seed).map_err(failed)?;
        each_scaled(training, preprocessing, |x, y| shuffling.add(x, y))?.map_err(failed)?;
        let training = shuffling.finish().map_err(failed)?;
        let mut writer = FileRows::writer(folder, widths, *buffer).map_err(failed)?;
        each_scaled(validation, preprocessing, |x, y| writer.add(x, y))?.map_err(failed)?;
        let validation = writer.finish().map_err(failed)?;
        Ok([RowSet::File(training), RowSet::File(validation)])
    }
}

/// Hands over the rows of a part, scaled, in blocks, until one cannot be taken.
fn each_scaled(
    part: Part<'_>,
    preprocessing: &Preprocessing,
    mut take: impl FnMut(ArrayView2<'_, f32>, ArrayView2<'_, f32>) -> io::Result<()>,
) -> Result<io::Result<()>, ScratchError> {
    let mut taken = Ok(());
    part.each(&mut |_, x, y| {
        if taken.is_ok() {
            let x = preprocessing.encode_x(x.view(), y.view());
            taken = take(x.view(), preprocessing.encode_y(y.view()).view());
        }
    })?;
    Ok(taken)
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

/// Refuses cells that are no measurement, and tables that nothing can be learned from; returns the cells that are only extreme.
fn checked(experiment: &Experiment, table: &mut dyn TableRows) -> Result<Vec<FarCell>, RunError> {
    let Experiment { source, columns, molecule, .. } = experiment;
    let far = screen(table, source.drop_invalid, columns, molecule.as_ref())?;
    check_trainable(table, &experiment.split)?;
    Ok(far)
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
fn in_words(cells: &[FarCell], split: &dyn Division) -> Vec<String> {
    let of_cell = |cell: &FarCell| {
        let consequence = match split.role(cell.row) {
            Role::Validation => "a validation row, whose loss decides when training stops",
            Role::Test => "a test row, which may decide mean scores",
            Role::Training => "a training row",
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
