//! Everything that can go wrong between a configuration and its results.

mod draft;
mod later;
mod sample;
mod shard;
mod sweep;

use std::path::{Path, PathBuf};

use cei_files::quoted;
use thiserror::Error;

use crate::config::ExperimentError;
use crate::folder::layout::{CONFIG, EVALUATION, RECORD};
pub use draft::DraftError;
pub use later::LaterError;
pub use sample::SampleError;
pub use shard::ShardError;
pub use sweep::SweepError;

/// A pipeline that failed. Its text names the file, row, column or key and says what to do.
#[derive(Debug, Error)]
pub enum RunError {
    /// A configuration cannot be read.
    #[error(transparent)]
    Config(#[from] ExperimentError),
    /// A table cannot be loaded.
    #[error(transparent)]
    Load(#[from] cei_data::LoadError),
    /// A table does not fit the run that it is given to.
    #[error(transparent)]
    Later(#[from] LaterError),
    /// A sample has no population.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// Shards do not make a whole.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// A page about a part of the events.
    #[error(
        "shard {shard} has no page: a page is about all events\nhint: leave out `--report`, or `--shard`"
    )]
    PageOfShard {
        /// The part.
        shard: String,
    },
    /// Rows that cannot stay on the disk, because they are made anew.
    #[error(
        "`source.stream` keeps rows of files as they are, but `{key}` makes them anew\nhint: leave out one of the two"
    )]
    StreamOf {
        /// The key.
        key: &'static str,
    },
    /// A buffer without anything that goes through it.
    #[error(
        "`source.buffer_rows` is for `source.stream`\nhint: leave it out, or add `--set source.stream=true`"
    )]
    BufferAlone,
    /// Tables cannot be put one under another.
    #[error(transparent)]
    Concatenate(#[from] cei_data::ConcatenateError),
    /// A table cannot be written.
    #[error(transparent)]
    Write(#[from] cei_data::WriteError),
    /// A file cannot be written.
    #[error(transparent)]
    File(#[from] cei_files::FileError),
    /// Positions cannot be read.
    #[error(transparent)]
    Positions(#[from] cei_data::PositionsError),
    /// A table cannot be split.
    #[error(transparent)]
    Split(#[from] cei_data::SplitError),
    /// A preprocessing cannot be fitted.
    #[error(transparent)]
    Preprocessing(#[from] cei_data::PreprocessingError),
    /// A hyper-parameter is out of range.
    #[error(transparent)]
    HyperParameter(#[from] cei_model::HyperParameterError),
    /// A device cannot be used.
    #[error(transparent)]
    Device(#[from] cei_model::DeviceError),
    /// A simulation cannot be run.
    #[error(transparent)]
    Simulation(#[from] cei_physics::SimulationError),
    /// A `[detector]` that does not fit the molecule.
    #[error(transparent)]
    Physics(#[from] cei_physics::SimulationConfigError),
    /// A `[detector]` without the molecule that it belongs to.
    #[error(
        "`[detector]` names the noise of ions, but the experiment has no `[molecule]`\nhint: add one with the atoms in column order, or leave `[detector]` out"
    )]
    DetectorWithoutMolecule,
    /// The simulator is not of the molecule of the experiment.
    #[error(
        "`source.simulator` is `{name}`, whose molecule is not the `[molecule]` of the experiment\nhint: give both the same atoms, masses and charges"
    )]
    SimulatorMolecule {
        /// The simulator as named.
        name: String,
    },
    /// A nuisance that the simulation does not draw.
    #[error(
        "`columns.nuisances`: the simulation does not draw `{column}`\nhint: {}",
        if known.is_empty() { "it draws nothing but positions; a distribution in the place of a number in its `[charging]` would be one".to_owned() } else { format!("it draws {}", known.join(", ")) }
    )]
    UnknownNuisance {
        /// The column as named.
        column: String,
        /// What it draws beside the positions.
        known: Vec<String>,
    },
    /// Charges are listed, and the simulation has one charge state.
    #[error(
        "`columns.charges`: the ions of the simulation have the same charges in all events\nhint: leave it out, or list several `channels` in the simulation"
    )]
    NoChannels,
    /// Charges of a simulation are listed under other names than it gives them.
    #[error("`columns.charges` must be {known:?} of the simulated events, in this order")]
    ChargeColumns {
        /// The names.
        known: Vec<String>,
    },
    /// Charges are listed that are not one for each atom.
    #[error(
        "`columns.charges` names {found} columns\nhint: {}",
        if known.is_empty() { "charges need `[molecule]`".to_owned() } else { format!("one for each of {}, in this order", known.join(", ")) }
    )]
    ChargeCount {
        /// The number of columns.
        found: usize,
        /// The atoms of the molecule.
        known: Vec<String>,
    },
    /// Nothing can be drafted for a file.
    #[error(transparent)]
    Draft(#[from] DraftError),
    /// A search cannot begin, or not go on.
    #[error(transparent)]
    Sweep(#[from] SweepError),
    /// A trial of a search cannot be trained, for a reason that others would have too.
    #[error("trial {number}: {source}")]
    Trial {
        /// Its number, from 1.
        number: usize,
        /// Why.
        source: Box<RunError>,
    },
    /// Files and a simulator at once.
    #[error(
        "`source.files` and `source.simulator` are both given, but events come from one of them\nhint: leave one out"
    )]
    TwoSources,
    /// A number of events without a simulator.
    #[error(
        "`source.events_per_epoch` is given, but no `source.simulator` that makes the events\nhint: name one, or leave it out"
    )]
    EventsWithoutSimulator,
    /// Columns that are not those of a molecule where its simulation makes events.
    #[error(
        "with `{key}` events have {count} positions and {count} momenta, three of each atom in the order of `[molecule]`, and units; `[columns]` says otherwise\nhint: leave `[columns]` out, or name as many there"
    )]
    OtherColumns {
        /// Columns of either side.
        count: usize,
        /// What makes the events.
        key: &'static str,
    },
    /// Ions alike that cannot be exchanged at will.
    #[error(
        "`molecule.exchangeable`: {why}\nhint: with `molecule.exchangeable = false` ions alike are told apart by their columns"
    )]
    NotExchangeable {
        /// Why not.
        why: String,
    },
    /// Charges as a condition where ions may be missing.
    #[error(
        "`columns.charges` are the charges of all ions, but `detector.efficiency` says that ions may be missing, whose charges nobody knows\nhint: leave `columns.charges` out: the network is then of all charge states of the simulation"
    )]
    ChargesOfMissing,
    /// New noise for a table of unknown origin.
    #[error(
        "`source.fresh_noise` needs a table simulated for the `[molecule]` of the experiment, with its `.simulation.toml` beside it\nhint: simulate one without noise with `cei simulate`, or leave `fresh_noise` out for a measured table"
    )]
    FreshNoiseUnknown,
    /// New noise for a table that has noise already.
    #[error(
        "`source.fresh_noise` would add noise to a table that was simulated with noise\nhint: simulate it anew with `--set detector.momentum_noise_au=0`"
    )]
    FreshNoiseOnNoise,
    /// New noise for events with missing ions.
    #[error(
        "`source.fresh_noise` needs all ions of every event, and some are missing in the table\nhint: simulate it anew with `--set detector.efficiency=1.0`, and declare `detector.efficiency` in the experiment: it draws which ions are missing, anew in every epoch"
    )]
    FreshNoiseOnMissing,
    /// Ions that shall be missing in events whose frame may tell of them.
    #[error(
        "`detector.efficiency` leaves ions out, but the table has all of them, and the frame of its events is not known: if it follows from all momenta, it tells of those that are left out\nhint: fix it by what is there (`preprocessing.gauge.frame = \"momentum\"`), or leave the cells of missing ions empty in the table"
    )]
    MissingInUnknownFrame,
    /// New noise of nobody knows what size.
    #[error(
        "`source.fresh_noise` does not know how much noise to add\nhint: declare it, for example `[detector]` with `momentum_noise_au = 1.0`"
    )]
    FreshNoiseUndeclared,
    /// New noise on events that are new already.
    #[error(
        "`source.fresh_noise` is for tables: the events of `source.simulator` are new in every epoch, noise included\nhint: leave `fresh_noise` out"
    )]
    FreshNoiseOfSimulator,
    /// Rows that are not wanted any more. Never seen from outside.
    #[error("the training has ended before the rows of its next epoch were made")]
    Abandoned,
    /// Positions cannot be exploded.
    #[error(transparent)]
    Explosion(#[from] cei_physics::ExplosionError),
    /// A training failed.
    #[error(transparent)]
    Train(#[from] cei_train::TrainError),
    /// The loss became no number.
    #[error(transparent)]
    Diverged(#[from] cei_train::Divergence),
    /// A member of an ensemble cannot be trained.
    #[error("member {member} of the ensemble: {source}")]
    Member {
        /// The member, counted from 1.
        member: usize,
        /// Why.
        source: Box<RunError>,
    },
    /// The loss became no number, and the table has cells that may be why.
    #[error(
        "{}\nhint: the table has extreme values, which may be the cause: {extremes}",
        first_line(divergence)
    )]
    DivergedOnExtremes {
        /// The loss.
        divergence: cei_train::Divergence,
        /// The cells, in words.
        extremes: String,
    },
    /// A row outside of the bounds of its prior.
    #[error(
        "{at}: `{name}` = {value}, in the gauge and in internal units, is outside of `preprocessing.bounds.{name}` = [{low}, {high}]\nhint: give the bounds of the prior that the table was drawn from"
    )]
    OutOfBounds {
        /// Where it is.
        at: cei_data::error::Location,
        /// The column.
        name: String,
        /// Its value.
        value: f64,
        /// The least allowed.
        low: f64,
        /// The greatest allowed.
        high: f64,
    },
    /// Momenta of a whole file that are nothing like those of training.
    #[error(
        "{count} rows have momenta that are far from those of all training rows, the first {cell}\n  likely cause: {cause}"
    )]
    AllFarOut {
        /// The first of the cells.
        cell: Box<cei_data::FarCell>,
        /// How many rows.
        count: usize,
        /// The likely cause in words, with a hint.
        cause: String,
    },
    /// Momenta that cannot be compared with those of training.
    #[error("there are {found} momentum columns, but training has {width}")]
    OtherMomenta {
        /// Columns of the file.
        found: usize,
        /// Columns of training.
        width: usize,
    },
    /// A metric cannot be computed.
    #[error(transparent)]
    Metrics(#[from] cei_metrics::Error),
    /// Figures of coincidences need one at least.
    #[error("none of the {sample} events has the momenta of all ions: there is nothing to draw")]
    NoCompleteEvent {
        /// Whose events.
        sample: String,
    },
    /// A figure cannot be drawn.
    #[error(transparent)]
    Report(#[from] cei_report::Error),
    /// The file system refused.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The run folder already holds a training.
    #[error("`{}` already holds a run\nhint: continue it with `--resume`, or choose another folder with `-o`", path.display())]
    RunExists {
        /// The folder.
        path: PathBuf,
    },
    /// The run folder holds a model whose training cannot be continued.
    #[error("`{}` holds a trained model, but no checkpoint to continue its training from\nhint: train into another folder with `-o`", path.display())]
    RunWithoutCheckpoint {
        /// The folder.
        path: PathBuf,
    },
    /// The table of a training has changed before it is resumed.
    #[error("the table of run `{}` has changed since its training began\nhint: restore the table (where it only moved, name its new place with `--data`), or train on the new one into another folder", path.display())]
    ResumeTable {
        /// The run folder.
        path: PathBuf,
    },
    /// The table of a run is not where it was.
    #[error("the table `{}` of run `{}` is not there\nhint: where it moved, name its new place with `cei train --resume --data`, or, for a trained run, in `source.files` of its `{}`; that it is the same is checked by its digest", file.display(), path.display(), CONFIG)]
    TableGone {
        /// The run folder.
        path: PathBuf,
        /// The table.
        file: PathBuf,
    },
    /// A folder with refined events of another prediction.
    #[error("`{}` holds refined events of a prediction that was interrupted, but not of this one: {what}\nhint: repeat that one to go on with it; for this one name another file with `-o`, or remove the folder", path.display())]
    OtherParts {
        /// The folder.
        path: PathBuf,
        /// In what it differs.
        what: String,
    },
    /// There is nothing to resume.
    #[error("there is no checkpoint in `{}` to resume from\nhint: leave out `--resume` to train from the beginning", path.display())]
    NoCheckpoint {
        /// The folder.
        path: PathBuf,
    },
    /// A run is resumed with another configuration.
    #[error(
        "`{key}` differs from the run to be resumed: it is `{given}`, but the run began with `{begun}`\nhint: only `training.max_epochs`, `training.patience`, `[evaluation]` and where the same table is read from may change; for anything else train into another folder"
    )]
    ResumeDiffers {
        /// The key.
        key: String,
        /// The value given now.
        given: String,
        /// The value in the run.
        begun: String,
    },
    /// The folder holds no trained model.
    #[error("`{}` holds no trained model (no `{}`)\nhint: train one with `cei train -o {}`, or finish an interrupted one with `--resume`", path.display(), RECORD, quoted(path))]
    NotARun {
        /// The folder.
        path: PathBuf,
    },
    /// Several processes on a device that they cannot share.
    #[error(
        "{processes} processes train on `{device}`, but only the processor shares the rows of a batch among them\nhint: start one process, or train with `--device cpu`"
    )]
    DeviceOfTeam {
        /// The device.
        device: String,
        /// The processes.
        processes: usize,
    },
    /// A training is under way in the folder.
    #[error("`{}` is still in training ({holder})\nhint: wait until it has ended, or interrupt it with Ctrl-C or `kill`; its state is then saved and `--resume` continues it", path.display())]
    InTraining {
        /// The folder.
        path: PathBuf,
        /// Who trains, in words.
        holder: String,
    },
    /// The training in the folder was interrupted before there was a model.
    #[error("`{}` holds no trained model yet: its training was interrupted\nhint: finish it with `cei train -o {} --resume`", path.display(), quoted(path))]
    Unfinished {
        /// The folder.
        path: PathBuf,
    },
    /// A file of a run is not as it was written.
    #[error("`{}` is damaged or was edited: {reason}\nhint: {hint}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What to do.
        hint: &'static str,
    },
    /// The configuration of a run says something else than its training began with.
    #[error("`{}` was changed: `{key}` is `{given}`, but the training had `{begun}`\nhint: undo the change; only `[evaluation]`, names in `columns.x` and `columns.y`, `training.max_epochs`, `training.patience` and how files are read in `[source]` may be edited", path.display())]
    ConfigEdited {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Its value now.
        given: String,
        /// Its value in the training.
        begun: String,
    },
    /// A simulated table is not the one that its simulation was written with.
    #[error("`{}` is not the table that `{}` was written with: its content has another SHA-256, so the noise stated there may not be its own\nhint: simulate it anew; if the file is known to belong to it (with some rows removed, say), delete the lines with `SHA-256` in `{}`; or delete that file, and declare the noise in `[detector]`", table.display(), sidecar.display(), sidecar.display())]
    SidecarOfAnother {
        /// The table.
        table: PathBuf,
        /// The simulation beside it.
        sidecar: PathBuf,
    },
    /// The simulation beside a table is not as it was written.
    #[error("`{}` is damaged or was edited: its lines do not fit the SHA-256 in its last one\nhint: simulate the table anew; if the edit is right, delete the last line", sidecar.display())]
    SidecarEdited {
        /// The simulation beside a table.
        sidecar: PathBuf,
    },
    /// A saved model is damaged or of another version.
    #[error("the model in `{}` cannot be used: {reason}", path.display())]
    BadModel {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The table is not the one that the run was trained on.
    #[error("the table of run `{}` has changed since it was trained, so its test rows are unknown\nhint: restore the table, or score the run on another one with `--data FILE`", path.display())]
    TableChanged {
        /// The run folder.
        path: PathBuf,
    },
    /// The run has not been evaluated.
    #[error("`{}` has no evaluation yet\nhint: run `cei evaluate {}` first", path.display(), quoted(path))]
    NotEvaluated {
        /// The run folder.
        path: PathBuf,
    },
    /// The evaluation is of another model than the run has now.
    #[error("`{}` is of an earlier state of the training than the model beside it\nhint: run `cei evaluate {}` again", path.join(EVALUATION).display(), quoted(path))]
    EvaluationOfAnother {
        /// The run folder.
        path: PathBuf,
    },
    /// Two files of samples have no column in common.
    #[error(
        "`{}` and `{}` share no columns: the one has {sample_columns}, the other {reference_columns}\nhint: `event`, `draw` and `outside_model` do not count; both files need a header", sample.display(), reference.display()
    )]
    NoSharedColumns {
        /// One file.
        sample: PathBuf,
        /// Its columns.
        sample_columns: String,
        /// The other.
        reference: PathBuf,
        /// Its columns.
        reference_columns: String,
    },
    /// Two files of samples have no event in common.
    #[error(
        "the rows of `{}` and `{}` cannot be matched by event\nhint: give both files a column `event` with the same numbers, or compare files of one event each", sample.display(), reference.display()
    )]
    EventsDiffer {
        /// One file.
        sample: PathBuf,
        /// The other.
        reference: PathBuf,
    },
    /// An event that is no counting number.
    #[error("`{}`, row {row}: `event` is `{event}`, but must be 0, 1, 2, ... and below 2^53, or it is not told from the next\nhint: number the events anew in both files", path.display())]
    BadEvent {
        /// The file.
        path: PathBuf,
        /// Row of data, from 1.
        row: usize,
        /// The value.
        event: f64,
    },
    /// Two samples cannot be compared.
    #[error("{}{source}{}", event.map_or_else(String::new, |event| format!("event `{event}`: ")), more_draws(source))]
    C2st {
        /// The event, where files have several.
        event: Option<u64>,
        /// Why.
        source: cei_metrics::Error,
    },
    /// A test part too small for tests of calibration.
    #[error("the run `{}` has `{found}` test events, but tests of calibration need `{needed}`\nhint: train on more rows, or with a greater share for the test", path.display())]
    TooFewTestEvents {
        /// The run folder.
        path: PathBuf,
        /// Test events.
        found: usize,
        /// Fewest that can be tested.
        needed: usize,
    },
    /// An error rate outside (0, 1).
    #[error("`--level` is `{level}`, but must lie between 0 and 1")]
    Level {
        /// The rate.
        level: f64,
    },
    /// A number of draws or events that makes no sense.
    #[error("`{key}` is `{value}`, but must be at least {least}")]
    TooSmall {
        /// The option.
        key: &'static str,
        /// Its value.
        value: usize,
        /// The least allowed.
        least: usize,
    },
    /// More than memory holds.
    #[error("`{key}` is `{value}`, but must be at most {most}")]
    TooLarge {
        /// The option.
        key: &'static str,
        /// Its value.
        value: usize,
        /// The most allowed.
        most: usize,
    },
    /// An event that is asked for and is not there.
    #[error("`{key}`: event {event} is not among {of}\nhint: there are {}, ...", known.iter().map(u64::to_string).collect::<Vec<_>>().join(", "))]
    NoSuchEvent {
        /// The option.
        key: &'static str,
        /// The event that was asked for.
        event: u64,
        /// The events that there are, in words.
        of: String,
        /// Some of these.
        known: Vec<u64>,
    },
    /// A run whose draws the simulator cannot refine.
    #[error("the draws of run `{}` cannot be refined: {why}\nhint: {hint}", path.display())]
    CannotRefine {
        /// The run folder.
        path: PathBuf,
        /// Why not.
        why: String,
        /// What to do.
        hint: &'static str,
    },
    /// One run cannot be compared.
    #[error(
        "evidences are those of several runs, and there is one\nhint: name two runs or more, trained on different simulations"
    )]
    OneRun,
    /// Two runs do not measure the same events.
    #[error(
        "runs `{}` and `{}` do not read the same momenta of the same rows, so that their evidences do not compare\nhint: train both on momenta of the same ions; invalid rows must be invalid for both",
        first.display(),
        other.display()
    )]
    OtherEvents {
        /// The one run folder.
        first: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// No event has an evidence.
    #[error(
        "no event of the file is explained by any of the runs\nhint: look at it with `cei inspect`; `cei predict --refine --summary FILE` says why for one run"
    )]
    NothingExplained,
    /// A run of which false coincidences cannot be told from true ones.
    #[error("run `{}` cannot tell false coincidences: {why}\nhint: {hint}", path.display())]
    NoCoincidences {
        /// The run folder.
        path: PathBuf,
        /// Why not.
        why: String,
        /// What to do.
        hint: &'static str,
    },
    /// The geometry law has no density.
    #[error(transparent)]
    Density(#[from] cei_physics::DensityError),
    /// A refinement cannot be done.
    #[error(transparent)]
    Posterior(#[from] cei_posterior::PosteriorError),
    /// A log-density is asked of a model that has none.
    #[error("the model in `{}` is a {model}, which has no exact density\nhint: train a cINN, or compare models by CRPS and energy score", path.display())]
    NoDensity {
        /// The run folder.
        path: PathBuf,
        /// The kind of model.
        model: &'static str,
    },
    /// A simulation has neither a law nor a file of geometries.
    #[error(
        "the simulation has no `[geometry]`\nhint: add one, or give positions with `--positions FILE`"
    )]
    NoGeometry,
    /// A configuration that turns out to be wrong where its table or its simulation is at hand.
    #[error("{origin}: {source}")]
    OfConfiguration {
        /// The file or preset.
        origin: String,
        /// What is wrong.
        source: Box<RunError>,
    },
    /// A unit for a file whose format has one.
    #[error("`{}` is {format}, whose positions are in {}, but `--position-unit` gives another unit\nhint: leave it out; positions in another unit belong into columns of a CSV or Parquet file", path.display(), format.position_unit())]
    UnitOfFrames {
        /// The file.
        path: PathBuf,
        /// What it is.
        format: cei_data::FramesFormat,
    },
    /// A number of an event that must be above 0.
    #[error("`{}`, row {row}, column `{column}`: `{value}` is no number above 0\nhint: it is taken for the number of the event's charging; rename the column if it is something else", path.display())]
    NotPositive {
        /// The file.
        path: PathBuf,
        /// Data row, from 1.
        row: usize,
        /// The column.
        column: String,
        /// What stands there.
        value: String,
    },
    /// A layout of text for a file that is no table.
    #[error("`{}` is {format}, which has no columns\nhint: `--header`, `--separator`, `--comment` and `--decimal` are for tables; leave them out", path.display())]
    LayoutOfFrames {
        /// The file.
        path: PathBuf,
        /// What it is.
        format: cei_data::FramesFormat,
    },
    /// An atom that the molecule does not have.
    #[error("`{key}` is `{label}`, but the molecule has the atoms {atoms}")]
    UnknownAtom {
        /// The key.
        key: &'static str,
        /// The label given.
        label: String,
        /// Those that there are.
        atoms: String,
    },
}

/// The text of a divergence without its hint.
fn first_line(divergence: &cei_train::Divergence) -> String {
    divergence.to_string().lines().next().unwrap_or_default().to_owned()
}

/// What to do about samples that are too small.
fn more_draws(source: &cei_metrics::Error) -> &'static str {
    match source {
        cei_metrics::Error::TooFewRows { .. } => "\nhint: give more draws of each event",
        _ => "",
    }
}

impl RunError {
    /// A table that does not exist, told as that of the run in `path`.
    pub(crate) fn of_table(self, path: &Path) -> Self {
        match self {
            Self::Load(cei_data::LoadError::FileMissing { file }) => {
                Self::TableGone { path: path.to_owned(), file }
            }
            other => other,
        }
    }

    /// The same with the name of the configuration, where that is what is wrong; `origin` is its file or preset.
    #[must_use]
    pub fn of_configuration(self, origin: &str) -> Self {
        use cei_data::{LoadError, PreprocessingError, SplitError};
        use cei_physics::SimulationError;
        match self {
            Self::HyperParameter(_)
            | Self::Physics(_)
            | Self::Density(_)
            | Self::DetectorWithoutMolecule
            | Self::SimulatorMolecule { .. }
            | Self::UnknownNuisance { .. }
            | Self::NoChannels
            | Self::ChargeColumns { .. }
            | Self::ChargeCount { .. }
            | Self::TwoSources
            | Self::EventsWithoutSimulator
            | Self::OtherColumns { .. }
            | Self::ChargesOfMissing
            | Self::NotExchangeable { .. }
            | Self::FreshNoiseUnknown
            | Self::FreshNoiseOnNoise
            | Self::FreshNoiseUndeclared
            | Self::FreshNoiseOnMissing
            | Self::MissingInUnknownFrame
            | Self::FreshNoiseOfSimulator
            | Self::NoGeometry
            | Self::UnknownAtom { .. }
            | Self::Split(SplitError::OutOfRange { .. } | SplitError::Sum { .. })
            | Self::Load(LoadError::NoFiles | LoadError::NoColumns)
            | Self::Simulation(
                SimulationError::Config(_)
                | SimulationError::Geometry { .. }
                | SimulationError::Explosion { .. },
            )
            | Self::Preprocessing(
                PreprocessingError::Gauge(_)
                | PreprocessingError::NoiseSd { .. }
                | PreprocessingError::NoPositions
                | PreprocessingError::UnknownBound { .. }
                | PreprocessingError::Bound { .. }
                | PreprocessingError::BoundedSubspace { .. },
            ) => Self::OfConfiguration { origin: origin.to_owned(), source: Box::new(self) },
            other => other,
        }
    }

    /// For `map_err` on file operations.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}
