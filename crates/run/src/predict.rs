//! From measured momenta to posterior draws and a summary of each event.

mod tables;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};

use cei_data::{ColumnData, DroppedRows, Selection, Source, TableWriter, WriteError, load};
use cei_files::check_outputs;
use cei_metrics::quantile;
use cei_model::Device;
use ndarray::s;
use serde::Serialize;

use crate::draws::{check_draws, draw_positions};
use crate::folder::HISTORY;
use crate::refine::{RefinedEvent, Refiner};
use crate::support::{Outside, Support};
use crate::{RunError, TrainedRun};
use tables::{Events, Tables};

/// Rows of draws that are in memory at once.
const CHUNK_DRAWS: usize = 100_000;

/// What to infer, and where to write it.
#[derive(Debug, Clone)]
pub struct PredictOptions {
    /// The momenta; columns as in training, no positions needed.
    pub momenta: Source,
    /// Draws of each event.
    pub draws: usize,
    /// Seed of the draws.
    pub seed: u64,
    /// Where draws are written (CSV or Parquet).
    pub draws_file: PathBuf,
    /// Where a summary of each event is written (CSV or Parquet), if wanted.
    pub summary_file: Option<PathBuf>,
    /// Whether the simulator corrects the draws.
    pub refine: bool,
    /// Where the draws of a Markov chain for each refined event are written (CSV or Parquet), if wanted.
    pub chain_file: Option<PathBuf>,
    /// Where the modes of each refined event are written (CSV or Parquet), if wanted.
    pub modes_file: Option<PathBuf>,
}

/// What was predicted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PredictionReport {
    /// Events.
    pub events: usize,
    /// Draws of each.
    pub draws: usize,
    /// The frame of the positions, in words.
    pub frame: String,
    /// Unit of the positions; none where the training table has none.
    pub unit: Option<&'static str>,
    /// Whether columns in the orientation of the file were written too.
    pub rotated_back: bool,
    /// Rows of the momenta file that `drop_invalid` left out.
    pub dropped: DroppedRows,
    /// Events in which a momentum that never varied in training has another value.
    pub off_constant_events: usize,
    /// Events outside the training support, by reason; absent for a run without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outside: Option<OutsideCounts>,
    /// What the refinement by the simulator found, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refinement: Option<RefinementReport>,
}

/// What the refinement by the simulator found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct RefinementReport {
    /// Whether the momenta have noise; without it the draws are the modes.
    pub noise: bool,
    /// Events outside the model, for any reason.
    pub outside_model: usize,
    /// Events whose weights have too heavy a tail.
    pub k_hat: usize,
    /// Events whose momenta are far less probable than those of training.
    pub evidence: usize,
    /// Events without a geometry that gives their momenta.
    pub no_mode: usize,
    /// Without noise: those of which independent searches for geometries do not agree, or did not end.
    pub search: usize,
    /// Events with more than one mode.
    pub several_modes: usize,
    /// Largest split R-hat of the Markov chains; absent without them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst_r_hat: Option<f64>,
    /// Median over the events of the effective number of draws; absent without noise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub median_effective_sample_size: Option<f64>,
}

/// How many events are outside the training support, and why; an event may have several reasons.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct OutsideCounts {
    /// Events with any reason.
    pub events: usize,
    /// The momenta add up to more than in training.
    pub momentum_sum: usize,
    /// The kinetic energy release is above or below that of the training events.
    pub kinetic_energy: usize,
    /// No training momenta are near.
    pub distance: usize,
}

impl OutsideCounts {
    fn of(events: &[Outside]) -> Self {
        let count = |is: fn(&Outside) -> bool| events.iter().filter(|event| is(event)).count();
        Self {
            events: count(|event| event.any()),
            momentum_sum: count(|event| event.momentum_sum),
            kinetic_energy: count(|event| event.kinetic_energy),
            distance: count(|event| event.distance),
        }
    }
}

/// Draws positions for every event of a momenta file and writes them, chunk by chunk.
///
/// # Errors
/// No trained model, a momenta file that cannot be loaded, no draws, a run whose draws cannot be refined,
/// a file that cannot be written; then no output appears.
pub fn predict_to_files(
    path: &Path,
    options: &PredictOptions,
    device: Device,
    mut progress: impl FnMut(usize, usize),
) -> Result<PredictionReport, RunError> {
    check_draws(options.draws, 1)?;
    let mut run = TrainedRun::load(path, device)?;
    let more = [&options.summary_file, &options.modes_file, &options.chain_file];
    let outputs: Vec<&Path> = std::iter::once(&options.draws_file)
        .chain(more.into_iter().flatten())
        .map(PathBuf::as_path)
        .collect();
    let mut inputs = options.momenta.resolve()?;
    inputs.push(path.join(HISTORY));
    check_outputs(&inputs.iter().map(PathBuf::as_path).collect::<Vec<_>>(), &outputs)?;
    if options.refine {
        run.draw_from_prior();
    }
    let selection = Selection { x: Vec::new(), ..run.experiment.columns.clone() };
    let table = load(&options.momenta, &selection)?;
    let preprocessing = &run.record.preprocessing;
    let outside = Support::load(&run)?
        .map(|support| support.judge(preprocessing, table.y.view()))
        .transpose()?;
    let refiner = options
        .refine
        .then(|| Refiner::new(&run, options.draws, options.draws, options.seed))
        .transpose()?;
    let refiner = match refiner {
        Some(refiner) if options.chain_file.is_some() => Some(refiner.with_chain()?),
        refiner => refiner,
    };
    let numbers = table.dropped.kept(table.rows());
    let tables = Tables::new(&run, numbers, outside.as_deref(), refiner.as_ref())?;
    let mut files = vec![TableWriter::create(&options.draws_file, &tables.draw_columns())?];
    if let Some(path) = &options.summary_file {
        files.push(TableWriter::create(path, &tables.summary_columns())?);
    }
    if let Some(path) = &options.modes_file {
        files.push(TableWriter::create(path, &tables.mode_columns())?);
    }
    if let Some(path) = &options.chain_file {
        files.push(TableWriter::create(path, &tables.chain_columns())?);
    }
    let events = table.rows();
    let network_draws = refiner.as_ref().map_or(options.draws, Refiner::network_draws);
    let chunk = (CHUNK_DRAWS / network_draws).max(1);
    let mut refinement = RefinementSums::default();
    std::thread::scope(|scope| -> Result<(), RunError> {
        // One chunk is written while the next one is drawn.
        let (sender, receiver) = sync_channel(1);
        let writing = scope.spawn(move || write_all(files, receiver));
        for start in (0..events).step_by(chunk) {
            let y = table.y.slice(s![start..(start + chunk).min(events), ..]);
            let draws = draw_positions(&run, y, network_draws, options.seed, start);
            let refined = refiner
                .as_ref()
                .map(|refiner| refiner.refine(y, &draws, options.seed, start))
                .transpose()?;
            if let Some(refined) = &refined {
                refinement.add(refined);
            }
            let events = Events { first: start, y, draws: &draws, refined: refined.as_deref() };
            let mut batches = vec![tables.draws(&events)];
            if options.summary_file.is_some() {
                batches.push(tables.summary(&events)?);
            }
            if options.modes_file.is_some() {
                batches.push(tables.modes(&events)?);
            }
            if options.chain_file.is_some() {
                batches.push(tables.chain(&events));
            }
            if sender.send(batches).is_err() {
                // The writer has failed; its error is told below.
                break;
            }
            progress((start + chunk).min(table.rows()), table.rows());
        }
        drop(sender);
        match writing.join() {
            Ok(written) => Ok(written?),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })?;
    Ok(PredictionReport {
        events,
        draws: options.draws,
        frame: preprocessing.frame_description(),
        unit: run.experiment.columns.x_unit.internal(),
        rotated_back: tables.rotates_back,
        off_constant_events: preprocessing.off_constant_momenta(table.y.view()),
        outside: outside.as_deref().map(OutsideCounts::of),
        refinement: refiner.as_ref().map(|refiner| refinement.report(refiner.has_noise())),
        dropped: table.dropped,
    })
}

/// Appends to every file its batch of each chunk; the files appear when the last chunk is written.
fn write_all(
    mut files: Vec<TableWriter>,
    chunks: Receiver<Vec<Vec<ColumnData>>>,
) -> Result<(), WriteError> {
    for batches in chunks {
        for (file, batch) in files.iter_mut().zip(batches) {
            file.write(batch)?;
        }
    }
    files.into_iter().try_for_each(TableWriter::finish)
}

#[derive(Default)]
struct RefinementSums {
    counts: RefinementReport,
    sizes: Vec<f64>,
}

impl RefinementSums {
    fn add(&mut self, events: &[RefinedEvent]) {
        for event in events {
            self.counts.outside_model += usize::from(event.outside.any());
            self.counts.k_hat += usize::from(event.outside.k_hat);
            self.counts.evidence += usize::from(event.outside.evidence);
            self.counts.no_mode += usize::from(event.outside.no_mode);
            self.counts.search += usize::from(event.outside.search);
            self.counts.several_modes += usize::from(event.modes.len() > 1);
            self.sizes.extend(event.effective_sample_size);
            if let Some(chain) = &event.chain {
                let worst = self.counts.worst_r_hat.unwrap_or(1.0);
                self.counts.worst_r_hat = Some(worst.max(chain.r_hat));
            }
        }
    }

    fn report(mut self, noise: bool) -> RefinementReport {
        self.sizes.sort_by(f64::total_cmp);
        let median = quantile(&self.sizes, 0.5);
        RefinementReport { noise, median_effective_sample_size: median, ..self.counts }
    }
}
