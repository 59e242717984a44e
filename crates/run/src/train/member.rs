//! Training one model, or the members of an ensemble one after another.

use std::io;
use std::path::Path;
use std::sync::Arc;

use cei_data::{Preprocessing, RowDigests};
use cei_model::random::{Purpose, stream};
use cei_model::{Batch, ConditionalModel, Device, LatentStatistics};
use cei_train::{
    EpochRows, Observer, StopReason, TrainError, TrainingReport, TrainingRows, train_on_new_rows,
};

use super::figures;
use super::options::TrainOptions;
use crate::dataset::{FreshRows, Recipe};
use crate::folder::begun::Begun;
use crate::folder::layout::{self, CHECKPOINT, CONFIG, HISTORY};
use crate::folder::{
    ActiveLatent, ModelRecord, Origin, PartCopies, TrainingSummary, companions, load_record, rows,
    weights,
};
use crate::plausibility::Support;
use crate::trained::build;
use crate::{Experiment, RunError};

/// Rows whose latents are computed at once.
const LATENT_CHUNK: usize = 8192;

/// What a training gave.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingOutcome {
    /// Why it ended.
    pub reason: StopReason,
    /// The saved model; none if it was interrupted.
    pub record: Option<ModelRecord>,
}

/// What all members of an ensemble share.
pub(super) struct Prepared<'a> {
    pub(super) device: Device,
    pub(super) device_name: &'a str,
    pub(super) origin: Origin,
    pub(super) preprocessing: Preprocessing,
    pub(super) rows: TrainingRows,
    pub(super) recipe: Option<Arc<Recipe>>,
    pub(super) support: Support,
    pub(super) fingerprint: String,
    pub(super) data_rows: usize,
    /// None where rows stay on the disk.
    pub(super) copies: Option<(RowDigests, PartCopies)>,
    pub(super) extremes: Vec<String>,
}

impl Prepared<'_> {
    /// Writes what a training begins with into its folder, which is made if it is not there.
    pub(super) fn keep(&self, experiment: &Experiment, path: &Path) -> Result<(), RunError> {
        std::fs::create_dir_all(path).map_err(RunError::io("create", path))?;
        cei_files::write(&path.join(CONFIG), experiment.to_toml().as_bytes())?;
        Begun::write(path, experiment, &self.fingerprint, &self.origin)
    }

    /// Writes what belongs to a model beside its weights.
    fn keep_companions(&self, path: &Path) -> Result<(), RunError> {
        self.support.save(path)?;
        match &self.copies {
            Some((digests, _)) => rows::write(digests, path),
            None => Ok(()),
        }
    }
}

/// Trains members with consecutive seeds one after another, each into a folder of its own, and then makes
/// `path` their ensemble. A resumed ensemble goes on with the first member that is not finished.
///
/// The processes of a team form groups, as many as there are members if there are enough, to which the members are dealt in turn.
pub(super) fn train_ensemble(
    prepared: &Prepared<'_>,
    experiment: &Experiment,
    path: &Path,
    options: TrainOptions<'_>,
    observer: &mut dyn Observer,
) -> Result<TrainingOutcome, RunError> {
    let (team, members) = (options.team, experiment.training.ensemble);
    if team.leads() {
        prepared.keep(experiment, path)?;
    }
    let groups = members.min(team.size());
    let group = &team.split(groups);
    let mut reason = StopReason::MaxEpochs;
    for number in (1..=members).skip(team.rank() % groups).step_by(groups) {
        observer.member(number, members);
        let mut member = experiment.clone();
        member.training.ensemble = 1;
        member.training.seed = experiment.training.seed + (number as u64 - 1);
        let path = layout::member(path, number);
        let resume = options.resume && path.join(CHECKPOINT).exists();
        group.meet();
        let options = TrainOptions { resume, team: group, ..options };
        let outcome = train_member(prepared, &member, &path, options, observer)
            .map_err(|source| RunError::Member { member: number, source: Box::new(source) })?;
        reason = outcome.reason;
        if reason == StopReason::Interrupted {
            break;
        }
    }
    if team.any(reason == StopReason::Interrupted) {
        return Ok(TrainingOutcome { reason: StopReason::Interrupted, record: None });
    }
    let record = if team.leads() { Some(keep_ensemble(prepared, members, path)?) } else { None };
    team.meet();
    Ok(TrainingOutcome { reason, record })
}

/// Makes the folder `path` an ensemble of its members, which are all there.
fn keep_ensemble(
    prepared: &Prepared<'_>,
    members: usize,
    path: &Path,
) -> Result<ModelRecord, RunError> {
    let records = (1..=members).map(|number| load_record(&layout::member(path, number)));
    let records = records.collect::<Result<Vec<ModelRecord>, RunError>>()?;
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
    prepared.keep_companions(path)?;
    let record = ModelRecord {
        training,
        ensemble: Some(members),
        weights_sha256: weights::sha256_of_members(&records),
        files: companions::digests(path)?,
        ..first.clone()
    };
    record.write(path)?;
    Ok(record)
}

/// Trains one model into the folder `path`.
pub(super) fn train_member(
    prepared: &Prepared<'_>,
    experiment: &Experiment,
    path: &Path,
    options: TrainOptions<'_>,
    observer: &mut dyn Observer,
) -> Result<TrainingOutcome, RunError> {
    let Prepared { rows, preprocessing, .. } = prepared;
    let TrainOptions { resume, stop, team, .. } = options;
    let seed = experiment.training.seed;
    let device = prepared.device.clone();
    let mut model = build(&experiment.model, preprocessing, seed, device)?;
    if team.leads() {
        prepared.keep(experiment, path)?;
    }
    let recipe = prepared.recipe.clone();
    let mut fresh =
        recipe.map(|recipe| FreshRows::new(recipe, preprocessing.clone(), seed, team.clone()));
    let report = train_on_new_rows(
        model.as_mut(),
        rows,
        fresh.as_mut().map(|fresh| fresh as &mut dyn EpochRows),
        &experiment.training,
        Some(&path.join(CHECKPOINT)),
        resume,
        stop,
        observer,
        team,
    )?;
    drop(fresh);
    let mut record = None;
    if team.leads() {
        write_history(path, experiment, &report)?;
        if report.reason != StopReason::Interrupted {
            record = keep_model(prepared, experiment, path, model.as_ref(), &report)?;
        }
    }
    // Nobody goes on, or ends, before all is written.
    team.meet();
    match report.reason {
        StopReason::Diverged(divergence) if prepared.extremes.is_empty() => Err(divergence.into()),
        StopReason::Diverged(divergence) => {
            let extremes = prepared.extremes.join("; ");
            Err(RunError::DivergedOnExtremes { divergence, extremes })
        }
        reason => Ok(TrainingOutcome { reason, record }),
    }
}

/// Writes what was trained, and what belongs to it, into its folder, which then is a run; nothing if no epoch was
/// finished.
fn keep_model(
    prepared: &Prepared<'_>,
    experiment: &Experiment,
    path: &Path,
    model: &dyn ConditionalModel,
    report: &TrainingReport,
) -> Result<Option<ModelRecord>, RunError> {
    let Prepared { preprocessing, origin, .. } = prepared;
    let Some((best_epoch, best_validation_loss)) = report.best else { return Ok(None) };
    let epochs = &report.history.epochs;
    let latent = latent_statistics(model, &prepared.rows, experiment.training.seed)
        .map_err(TrainError::Read)?;
    let may_ignore = experiment.model.architecture().may_ignore_latents();
    let training = TrainingSummary {
        epochs: epochs.len(),
        best_epoch,
        best_validation_loss,
        stopped: in_words(report.reason),
        seconds: epochs.iter().map(|epoch| epoch.seconds).sum(),
        device: prepared.device_name.to_owned(),
        parameters: model.parameters().values.len(),
        active_latent: may_ignore.then(|| ActiveLatent::of(&latent, model.decoder_sd().is_some())),
    };
    prepared.keep_companions(path)?;
    let record = ModelRecord {
        format: ModelRecord::FORMAT,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        model: experiment.model.clone(),
        preprocessing: preprocessing.clone(),
        molecule: experiment.molecule.clone(),
        simulation: origin.simulation.clone(),
        detector: origin.detector.clone(),
        latent,
        support: Some(prepared.support.bounds().clone()),
        training,
        data_fingerprint: prepared.fingerprint.clone(),
        data_rows: prepared.data_rows,
        copies: prepared.copies.as_ref().map(|(_, copies)| *copies),
        ensemble: None,
        weights_sha256: weights::write(path, model.parameters())?,
        files: companions::digests(path)?,
    };
    record.write(path)?;
    Ok(Some(record))
}

/// Statistics of the latents of the training rows, with the noise on empty directions that the model
/// was trained with.
fn latent_statistics(
    model: &dyn ConditionalModel,
    rows: &TrainingRows,
    seed: u64,
) -> io::Result<LatentStatistics> {
    let mut rng = stream(seed, Purpose::Draws, 0);
    let mut failed = Ok(());
    let moments = rows.training.chunks(LATENT_CHUNK).map_while(|chunk| {
        let chunk = chunk.map_err(|error| failed = Err(error)).ok()?;
        let batch = chunk.batch();
        let posterior = match &rows.degenerate {
            None => model.latent_moments(batch),
            Some(noise) => {
                let mut x = batch.x.to_owned();
                noise.add(&mut x, &mut rng);
                model.latent_moments(Batch { x: x.view(), y: batch.y })
            }
        };
        Some((posterior, model.latent_prior(batch.y)))
    });
    let statistics = LatentStatistics::collect(model.dimensions().z, moments);
    failed.map(|()| statistics)
}

fn write_history(
    path: &Path,
    experiment: &Experiment,
    report: &TrainingReport,
) -> Result<(), RunError> {
    cei_files::write(&path.join(HISTORY), report.history.to_csv().as_bytes())?;
    if report.history.epochs.is_empty() {
        return Ok(());
    }
    figures::learning_curve(path, experiment, report)
}

/// Why a training ended.
fn in_words(reason: StopReason) -> String {
    match reason {
        StopReason::Patience => "the validation loss did not improve any more".to_owned(),
        StopReason::MaxEpochs => "the last epoch was reached".to_owned(),
        StopReason::Interrupted => "interrupted".to_owned(),
        StopReason::Diverged(divergence) => divergence.to_string(),
    }
}
