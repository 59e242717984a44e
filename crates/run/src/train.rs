//! Training a model into a run folder.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use cei_data::{ColumnRef, DroppedRows, Preprocessing, Reading, RowDigests, Rows as _, Selection};
use cei_files::{Lock, holder};
use cei_model::random::{Purpose, stream};
use cei_model::{Batch, ConditionalModel, ConfigError, Device, LatentStatistics, open_device};
use cei_train::{
    EpochRows, Observer, StopReason, TrainingConfig, TrainingReport, TrainingRows,
    train_on_new_rows,
};

use crate::config::to_toml;
use crate::dataset::rounding;
use crate::dataset::{Dataset, Origin, PartCopies};
use crate::evaluate::internal_coordinates;
use crate::folder::begun::{Begun, Difference, differences, may_change_on_resume};
use crate::folder::rows::{in_words, save as save_rows};
use crate::folder::{self, ActiveLatent, CHECKPOINT, CONFIG, ModelRecord, TrainingSummary};
use crate::fresh::{FreshRows, Recipe};
use crate::later::remembered;
use crate::refine::{Ingredients, Obstacle};
use crate::simulate::sidecar_remarks;
use crate::support::Support;
use crate::{Experiment, RunError, figures};

/// Rows whose latents are computed at once.
const LATENT_CHUNK: usize = 8192;

/// Columns of a side that are named one by one.
const MOST_NAMED: usize = 30;

/// What a training is about to do, known before the first epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingPlan {
    /// Rows of training, validation and test part.
    pub rows: [usize; 3],
    /// How each file was read.
    pub readings: Vec<Reading>,
    /// The columns of the run and what must be known about them, in words.
    pub columns: String,
    /// Rows that `drop_invalid` left out.
    pub dropped: DroppedRows,
    /// Name of the model.
    pub model: &'static str,
    /// Trained numbers.
    pub parameters: usize,
    /// Columns of `x` and `y` that the network sees.
    pub dimensions: [usize; 2],
    /// Dead columns, in words; none if every column varies.
    pub dead_columns: Option<String>,
    /// What in the table is likely to mislead: extreme cells, rows of one part that repeat those of another.
    pub warnings: Vec<String>,
    /// Dimension of the density of `x`.
    pub d_eff: usize,
    /// The frame of the positions, in words.
    pub frame: String,
    /// What else has to be said before the training: edits of a run that is resumed, tables whose origin is
    /// believed unproved.
    pub remarks: Vec<String>,
    /// Why `cei predict --refine` will not be possible; none if it will.
    pub no_refinement: Option<Obstacle>,
}

/// What a training gave.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingOutcome {
    /// Why it ended.
    pub reason: StopReason,
    /// The saved model; none if it was interrupted.
    pub record: Option<ModelRecord>,
}

/// Trains the model of `experiment`, or its ensemble of models, into the folder `path`.
///
/// `announce` is told the plan before the first epoch. `stop` ends the training after the batch under
/// way; the checkpoint then allows to continue with `resume`.
///
/// # Errors
/// A folder that already holds a run (without `resume`) or no checkpoint (with it), or in which a training is
/// under way; another configuration or table than that of the run to be resumed; and all that loading and
/// training can meet.
pub fn train_run(
    experiment: &Experiment,
    path: &Path,
    device_name: &str,
    resume: bool,
    stop: &AtomicBool,
    announce: impl FnOnce(&TrainingPlan),
    observer: &mut dyn Observer,
) -> Result<TrainingOutcome, RunError> {
    experiment.check()?;
    check_seeds(&experiment.training)?;
    if !resume {
        experiment.model.architecture().check_used()?;
    }
    if let Some(molecule) = &experiment.molecule {
        // An unknown `evaluation.vertex` is better told now than after the training.
        internal_coordinates(experiment, molecule)?;
    }
    let device = open_device(device_name)?;
    let begun = check_folder(experiment, path, resume)?;
    let (origin, remarks) = origin_and_remarks(experiment, begun, path)?;
    let dataset = Dataset::load(experiment, &origin)
        .map_err(|error| if resume { error.of_table(path) } else { error })?;
    let source = remembered(&experiment.source, &dataset.table.readings);
    let experiment = &Experiment { source, ..experiment.clone() };
    let preprocessing = dataset.fit(experiment)?;
    let model = folder::build(&experiment.model, &preprocessing, 0, device.clone())?;
    let digests = RowDigests::fit(&dataset.table, dataset.split.train.rows());
    let copies = dataset.copies(&digests);
    announce(&plan(
        experiment,
        &origin,
        &dataset,
        &copies,
        &preprocessing,
        model.as_ref(),
        remarks,
    ));
    drop(model);
    std::fs::create_dir_all(path).map_err(RunError::io("create", path))?;
    let _lock = Lock::acquire(path)?;
    // Another training may have begun while the table was loaded.
    if let Some(Begun { data_fingerprint: Some(begun), .. }) =
        check_content(experiment, path, resume)?
        && begun != dataset.fingerprint
    {
        return Err(RunError::ResumeTable { path: path.to_owned() });
    }
    if let (Some(_), Some(simulation)) = (&experiment.source.simulator, &origin.simulation) {
        // In the configuration it is only a name.
        cei_files::write(&path.join("simulation.toml"), to_toml(simulation).as_bytes())?;
    }

    let rows = dataset.training_rows(&preprocessing);
    let molecule = experiment.molecule.as_ref();
    let support = Support::fit(&dataset.table, &dataset.split, &preprocessing, molecule)?;
    let Dataset { table, fingerprint, extremes, recipe, .. } = dataset;
    let data_rows = table.rows();
    drop(table);
    let recipe = recipe.map(Arc::new);
    let prepared = Prepared {
        device,
        device_name,
        origin,
        preprocessing,
        rows,
        recipe,
        support,
        fingerprint,
        data_rows,
        digests,
        copies,
        extremes,
    };
    if experiment.training.ensemble == 1 {
        train_member(&prepared, experiment, path, resume, stop, observer)
    } else {
        train_ensemble(&prepared, experiment, path, resume, stop, observer)
    }
}

/// What all members of an ensemble share.
struct Prepared<'a> {
    device: Device,
    device_name: &'a str,
    origin: Origin,
    preprocessing: Preprocessing,
    rows: TrainingRows,
    recipe: Option<Arc<Recipe>>,
    support: Support,
    fingerprint: String,
    data_rows: usize,
    digests: RowDigests,
    copies: PartCopies,
    extremes: Vec<String>,
}

impl Prepared<'_> {
    /// Writes what a training begins with into its folder, which is made if it is not there.
    fn keep(&self, experiment: &Experiment, path: &Path) -> Result<(), RunError> {
        std::fs::create_dir_all(path).map_err(RunError::io("create", path))?;
        cei_files::write(&path.join(CONFIG), experiment.to_toml().as_bytes())?;
        Begun::write(path, experiment, &self.fingerprint, &self.origin)
    }
}

/// Trains members with consecutive seeds one after another, each into a folder of its own, and then makes
/// `path` their ensemble. A resumed ensemble goes on with the first member that is not finished.
fn train_ensemble(
    prepared: &Prepared<'_>,
    experiment: &Experiment,
    path: &Path,
    resume: bool,
    stop: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<TrainingOutcome, RunError> {
    let members = experiment.training.ensemble;
    prepared.keep(experiment, path)?;
    let mut records: Vec<ModelRecord> = Vec::with_capacity(members);
    let mut reason = StopReason::MaxEpochs;
    for number in 1..=members {
        observer.member(number, members);
        let mut member = experiment.clone();
        member.training.ensemble = 1;
        member.training.seed = experiment.training.seed + (number as u64 - 1);
        let path = folder::member_path(path, number);
        let resume = resume && path.join(CHECKPOINT).exists();
        let outcome = train_member(prepared, &member, &path, resume, stop, observer)
            .map_err(|source| RunError::Member { member: number, source: Box::new(source) })?;
        reason = outcome.reason;
        match outcome.record {
            Some(record) => records.push(record),
            None => return Ok(outcome),
        }
    }
    let best = records
        .iter()
        .map(|record| &record.training)
        .min_by(|a, b| a.best_validation_loss.total_cmp(&b.best_validation_loss));
    let (Some(best), Some(first)) = (best, records.first()) else {
        unreachable!("an ensemble has at least one member")
    };
    let training = TrainingSummary {
        epochs: records.iter().map(|record| record.training.epochs).sum(),
        seconds: records.iter().map(|record| record.training.seconds).sum(),
        parameters: records.iter().map(|record| record.training.parameters).sum(),
        ..best.clone()
    };
    let record = ModelRecord { training, ..first.clone() };
    prepared.support.save(path)?;
    save_rows(&prepared.digests, path)?;
    let record = folder::save_ensemble(path, record, &records)?;
    Ok(TrainingOutcome { reason, record: Some(record) })
}

/// Trains one model into the folder `path`.
fn train_member(
    prepared: &Prepared<'_>,
    experiment: &Experiment,
    path: &Path,
    resume: bool,
    stop: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<TrainingOutcome, RunError> {
    let Prepared { rows, preprocessing, origin, .. } = prepared;
    let seed = experiment.training.seed;
    let device = prepared.device.clone();
    let mut model = folder::build(&experiment.model, preprocessing, seed, device)?;
    prepared.keep(experiment, path)?;
    let recipe = prepared.recipe.clone();
    let mut fresh = recipe.map(|recipe| FreshRows::new(recipe, preprocessing.clone(), seed));
    let report = train_on_new_rows(
        model.as_mut(),
        rows,
        fresh.as_mut().map(|fresh| fresh as &mut dyn EpochRows),
        &experiment.training,
        Some(&path.join(CHECKPOINT)),
        resume,
        stop,
        observer,
    )?;
    drop(fresh);
    write_history(path, experiment, &report)?;
    let mut outcome = TrainingOutcome { reason: report.reason, record: None };
    let summary = match report.reason {
        StopReason::Interrupted => None,
        _ => summary(&report, prepared.device_name, model.as_ref()),
    };
    if let Some(summary) = summary {
        let latent = latent_statistics(model.as_ref(), rows, seed);
        let active = experiment
            .model
            .architecture()
            .may_ignore_latents()
            .then(|| ActiveLatent::of(&latent, model.decoder_sd().is_some()));
        let record = ModelRecord {
            format: 0,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            model: experiment.model.clone(),
            preprocessing: preprocessing.clone(),
            molecule: experiment.molecule.clone(),
            simulation: origin.simulation.clone(),
            detector: origin.detector.clone(),
            latent,
            support: Some(prepared.support.bounds().clone()),
            training: TrainingSummary { active_latent: active, ..summary },
            data_fingerprint: prepared.fingerprint.clone(),
            data_rows: prepared.data_rows,
            copies: Some(prepared.copies),
            ensemble: None,
            weights_sha256: String::new(),
            files: Default::default(),
            sealed: false,
        };
        prepared.support.save(path)?;
        save_rows(&prepared.digests, path)?;
        outcome.record = Some(folder::save(path, record, model.parameters())?);
    }
    match report.reason {
        StopReason::Diverged(divergence) if prepared.extremes.is_empty() => Err(divergence.into()),
        StopReason::Diverged(divergence) => {
            let extremes = prepared.extremes.join("; ");
            Err(RunError::DivergedOnExtremes { divergence, extremes })
        }
        _ => Ok(outcome),
    }
}

/// Refuses seeds of members that TOML, in which they are kept, cannot hold.
fn check_seeds(training: &TrainingConfig) -> Result<(), RunError> {
    let last = training.seed.checked_add(training.ensemble as u64 - 1);
    if last.is_none_or(|last| i64::try_from(last).is_err()) {
        let allowed = "at most 2^63 - 1 for the last member of the ensemble";
        return Err(ConfigError::new("training.seed", training.seed, allowed).into());
    }
    Ok(())
}

/// Refuses to overwrite a run, to join another training in its folder, or to resume a run with another
/// configuration; gives what a run to be resumed began with.
fn check_folder(
    experiment: &Experiment,
    path: &Path,
    resume: bool,
) -> Result<Option<Begun>, RunError> {
    match holder(path) {
        Some(holder) => Err(RunError::InTraining { path: path.to_owned(), holder }),
        None => check_content(experiment, path, resume),
    }
}

fn check_content(
    experiment: &Experiment,
    path: &Path,
    resume: bool,
) -> Result<Option<Begun>, RunError> {
    let either =
        |file: &str| path.join(file).exists() || folder::member_path(path, 1).join(file).exists();
    let (begun, trained) = (either(CHECKPOINT), either("model.json"));
    match (resume, begun) {
        (false, true) => Err(RunError::RunExists { path: path.to_owned() }),
        (_, false) if trained => Err(RunError::RunWithoutCheckpoint { path: path.to_owned() }),
        (true, false) => Err(RunError::NoCheckpoint { path: path.to_owned() }),
        (false, _) => Ok(None),
        (true, true) => {
            let begun = Begun::read(path)?;
            let differs = differences(experiment, &begun.experiment)
                .into_iter()
                .find(|difference| !may_change_on_resume(&difference.key));
            match differs {
                Some(Difference { key, given, begun }) => {
                    Err(RunError::ResumeDiffers { key, given, begun })
                }
                None => Ok(Some(begun)),
            }
        }
    }
}

/// What is known of the events, and what has to be said about it. A run that is resumed goes on with what it began
/// with, wherever its table lies now; a simulator must be the same as then.
fn origin_and_remarks(
    experiment: &Experiment,
    begun: Option<Begun>,
    path: &Path,
) -> Result<(Origin, Vec<String>), RunError> {
    let simulator = experiment.source.simulator.is_some();
    let Some(begun) = begun else {
        let tables = if simulator { Vec::new() } else { experiment.source.resolve()? };
        return Ok((Origin::of(experiment)?, sidecar_remarks(&tables)));
    };
    let (_, remarks) = begun.configuration(path)?;
    if begun.sealed && !simulator {
        return Ok((begun.origin, remarks));
    }
    let origin = Origin::of(experiment)?;
    if let (true, Some(now), Some(then)) = (simulator, &origin.simulation, &begun.origin.simulation)
        && let Some(Difference { key, given, begun }) = differences(now, then).into_iter().next()
    {
        let key = format!("{key}` of the simulation in `source.simulator");
        return Err(RunError::ResumeDiffers { key, given, begun });
    }
    Ok((origin, remarks))
}

fn plan(
    experiment: &Experiment,
    origin: &Origin,
    dataset: &Dataset,
    copies: &PartCopies,
    preprocessing: &Preprocessing,
    model: &dyn ConditionalModel,
    remarks: Vec<String>,
) -> TrainingPlan {
    let split = &dataset.split;
    let names: Vec<&str> = preprocessing
        .dead_x()
        .iter()
        .chain(preprocessing.dead_y())
        .map(|column| column.name.as_str())
        .collect();
    let mut warnings = dataset.extremes.clone();
    let of_validation = copies.test_of_validation.unwrap_or_default();
    for (part, of, copies) in [
        ("validation", "training", copies.validation),
        ("test", "training", copies.test),
        ("test", "validation", of_validation),
    ] {
        let which = format!("rows of the {part} part");
        let said = in_words(&copies, &which, &format!("rows of the {of} part"));
        warnings.extend(copies.any().then_some(said));
    }
    warnings.extend(rounding::warning(experiment, dataset, preprocessing));
    let width = preprocessing.x_names().len();
    let molecule = experiment.molecule.as_ref().filter(|m| 3 * m.atom_count() == width);
    let noise = origin.detector.as_ref().zip(molecule);
    let ingredients = Ingredients {
        molecule,
        simulation: origin.simulation.as_ref(),
        preprocessing,
        noise: noise.and_then(|(detector, molecule)| detector.standard_deviations(molecule).ok()),
    };
    TrainingPlan {
        no_refinement: ingredients.obstacle(),
        warnings,
        rows: [split.train.rows(), split.validation.rows(), split.test.rows()].map(<[usize]>::len),
        readings: dataset.table.readings.clone(),
        columns: columns_in_words(experiment),
        dropped: dataset.table.dropped.clone(),
        model: experiment.model.architecture().name(),
        parameters: model.parameters().values.len(),
        dimensions: [preprocessing.x_dim(), preprocessing.y_dim()],
        dead_columns: (!names.is_empty()).then(|| names.join(", ")),
        d_eff: preprocessing.d_eff(),
        frame: preprocessing.frame_description(),
        remarks,
    }
}

/// The columns that the run reads: where atoms were numbered or columns renamed they are not obvious. Where events are
/// simulated, whether files for the run must have other names than a simulated table.
fn columns_in_words(experiment: &Experiment) -> String {
    let list = |columns: &[ColumnRef]| {
        let shown = columns.iter().take(MOST_NAMED).map(ToString::to_string);
        let more = columns.len().saturating_sub(MOST_NAMED);
        let more = (more > 0).then(|| format!("and {more} more"));
        shown.chain(more).collect::<Vec<_>>().join(", ")
    };
    let Selection { x, y, .. } = &experiment.columns;
    let mut text = format!("columns: positions {}; momenta {}", list(x), list(y));
    let molecule = experiment.molecule.as_ref().filter(|_| experiment.source.simulator.is_some());
    let Some(molecule) = molecule else { return text };
    let of_simulation =
        |names: Vec<String>| names.into_iter().map(ColumnRef::from).collect::<Vec<_>>();
    let own = of_simulation(molecule.momentum_columns());
    if own != *y {
        text.push_str(&format!(
            "\nno simulated table has these momenta (there they are {}): files for `cei predict` must, or are given with `--columns`",
            list(&own)
        ));
    }
    if x.iter().any(|column| y.contains(column)) {
        text.push_str(
            "\npositions and momenta share columns: they are those of files of momenta alone; a file of both needs `--set columns.x=[...]`",
        );
    }
    text
}

/// Statistics of the latents of the training rows, with the noise on empty directions that the model
/// was trained with.
fn latent_statistics(
    model: &dyn ConditionalModel,
    rows: &TrainingRows,
    seed: u64,
) -> LatentStatistics {
    let mut rng = stream(seed, Purpose::Draws, 0);
    let chunks = rows.training.chunks(LATENT_CHUNK).map(|batch| {
        let posterior = match &rows.degenerate {
            None => model.latent_moments(batch),
            Some(noise) => {
                let mut x = batch.x.to_owned();
                noise.add(&mut x, &mut rng);
                model.latent_moments(Batch { x: x.view(), y: batch.y })
            }
        };
        (posterior, model.latent_prior(batch.y))
    });
    LatentStatistics::collect(model.dimensions().z, chunks)
}

fn write_history(
    path: &Path,
    experiment: &Experiment,
    report: &TrainingReport,
) -> Result<(), RunError> {
    cei_files::write(&path.join(folder::HISTORY), report.history.to_csv().as_bytes())?;
    if report.history.epochs.is_empty() {
        return Ok(());
    }
    figures::learning_curve(path, experiment, report)
}

/// How the training went; none if no epoch was finished.
fn summary(
    report: &TrainingReport,
    device: &str,
    model: &dyn ConditionalModel,
) -> Option<TrainingSummary> {
    let (best_epoch, best_validation_loss) = report.best?;
    let stopped = match report.reason {
        StopReason::Patience => "the validation loss did not improve any more".to_owned(),
        StopReason::MaxEpochs => "the last epoch was reached".to_owned(),
        StopReason::Interrupted => "interrupted".to_owned(),
        StopReason::Diverged(divergence) => divergence.to_string(),
    };
    Some(TrainingSummary {
        epochs: report.history.epochs.len(),
        best_epoch,
        best_validation_loss,
        stopped,
        seconds: report.history.epochs.iter().map(|epoch| epoch.seconds).sum(),
        device: device.to_owned(),
        parameters: model.parameters().values.len(),
        active_latent: None,
    })
}
