//! From measured momenta to posterior draws and a summary of each event.

mod tables;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

use cei_data::extremes::leave_out;
use cei_data::{
    ColumnData, DroppedRows, FarCell, Reading, Selection, Table, TableWriter, WriteError,
};
use cei_files::check_outputs;
use cei_metrics::{number, quantile};
use cei_model::Device;
use ndarray::{Array3, ArrayView2, Axis, s};
use rayon::prelude::*;
use serde::Serialize;

use crate::dataset::{LaterTable, Loaded};
use crate::folder::layout::HISTORY;
use crate::plausibility::{
    Contact, LawEdgeCounts, LawEdgeReport, LawEdges, Outside, Plausibility, Support, Training,
    all_far_out, far_out,
};
use crate::refine::{RefinedEvent, Refiner};
use crate::trained::draws::{DrawStreams, MOST_WRITTEN, check_draws, draw_more, draw_positions};
use crate::{RunError, TrainedRun};
use tables::{Events, Tables};

/// Rows of draws that are in memory at once.
const CHUNK_DRAWS: usize = 100_000;
/// Draws of an event that its summary is made of at most: they are in memory together.
const SUMMARISED_DRAWS: usize = 1_000_000;
/// Refined draws of an event at most: they are weighted together.
const MOST_REFINED: usize = 100_000;
/// Events that are refined at once: they take long, and their progress is shown.
const REFINED_EVENTS: usize = 64;
/// Events that are refined first, to tell how long the rest will take.
const TIMED_EVENTS: usize = 8;

/// What to infer, and where to write it.
#[derive(Debug, Clone)]
pub struct PredictOptions {
    /// The momenta; no positions needed.
    pub momenta: LaterTable,
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

/// What a prediction tells while it is made.
#[derive(Debug, Clone, PartialEq)]
pub enum PredictStep<'a> {
    /// How the files were read.
    Read(&'a [Reading]),
    /// How the file compares with training as a set, before anything is answered.
    Judged(&'a Plausibility),
    /// So many events are about to be refined, which will take about so many seconds.
    Refining {
        /// Events that are left.
        events: usize,
        /// Seconds.
        seconds: f64,
    },
    /// So many of all events are done.
    Done {
        /// Events done.
        events: usize,
        /// All events.
        of: usize,
    },
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
    /// How the file compares with training as a set; absent for a run that has not kept any training momenta.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plausibility: Option<Plausibility>,
    /// Events pinned to a limit of the geometry law; absent where that is not known, or has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub law_edge: Option<LawEdgeReport>,
    /// Draws of each event that the summary is made of, where these are not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summarised_draws: Option<usize>,
    /// What has to be said about further columns of the file, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// Momenta that are no measurements, in words; their events have no draws.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub far_out: Vec<String>,
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
    /// Events whose posterior is pinned to a limit of the geometry law.
    pub law_edge: usize,
    /// Events with more than one mode.
    pub several_modes: usize,
    /// Largest split R-hat of the Markov chains; absent without them.
    #[serde(skip_serializing_if = "Option::is_none", with = "number")]
    pub worst_r_hat: Option<f64>,
    /// Median over the events of the effective number of draws; absent without noise.
    #[serde(skip_serializing_if = "Option::is_none", with = "number")]
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
    /// A momentum is no measurement: these events have no draws.
    pub far_out: usize,
}

impl OutsideCounts {
    fn of(events: &[Outside]) -> Self {
        let count = |is: fn(&Outside) -> bool| events.iter().filter(|event| is(event)).count();
        Self {
            events: count(|event| event.any()),
            momentum_sum: count(|event| event.momentum_sum),
            kinetic_energy: count(|event| event.kinetic_energy),
            distance: count(|event| event.distance),
            far_out: count(|event| event.far_out),
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
    mut watch: impl FnMut(PredictStep<'_>),
) -> Result<PredictionReport, RunError> {
    check_draws(options.draws, 1, MOST_WRITTEN)?;
    if options.refine && options.draws > MOST_REFINED {
        let (key, value) = ("--draws` with `--refine", options.draws);
        return Err(RunError::TooLarge { key, value, most: MOST_REFINED });
    }
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
    let Loaded { mut table, source, selection } = options.momenta.load(&run, false)?;
    watch(PredictStep::Read(&table.readings));
    let far_out = set_aside(&run, &mut table, &selection, source.drop_invalid)?;
    let preprocessing = &run.record.preprocessing;
    let support = Support::load(&run)?;
    let mut outside =
        support.as_ref().map(|support| support.judge(preprocessing, table.y.view())).transpose()?;
    if let Some(outside) = &mut outside {
        for cell in &far_out {
            outside[cell.row] = Outside { far_out: true, ..Outside::default() };
        }
    }
    let plausibility = support
        .as_ref()
        .map(|support| Training::of_run(&run, support).judge(table.y.view(), outside.as_deref()));
    if let Some(plausibility) = &plausibility {
        watch(PredictStep::Judged(plausibility));
    }
    let refiner = options
        .refine
        .then(|| Refiner::new(&run, options.draws, options.draws, options.seed))
        .transpose()?;
    let refiner = match refiner {
        Some(refiner) if options.chain_file.is_some() => Some(refiner.with_chain()?),
        refiner => refiner,
    };
    let edges = LawEdges::of_run(&run);
    let numbers = table.dropped.kept(table.rows());
    let further = options.momenta.further(&run, &source, &selection.y, &numbers)?;
    let mut tables = Tables::new(
        &run,
        numbers,
        outside.as_deref(),
        plausibility.as_ref(),
        edges.is_some(),
        refiner.as_ref(),
    )?;
    let remarks = tables.pass_on(further);
    let tables = tables;
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
    let most = if refiner.is_some() { REFINED_EVENTS } else { usize::MAX };
    let chunk = (CHUNK_DRAWS / network_draws).clamp(1, most);
    let timed = chunk.min(TIMED_EVENTS.max(2 * rayon::current_num_threads()));
    let mut refinement = RefinementSums::default();
    let mut law_edges = LawEdgeCounts::default();
    std::thread::scope(|scope| -> Result<(), RunError> {
        // One chunk is written while the next one is drawn.
        let (sender, receiver) = sync_channel(1);
        let writing = scope.spawn(move || write_all(files, receiver));
        let begun = Instant::now();
        let mut start = 0;
        while start < events {
            let end =
                events.min(start + if start == 0 && refiner.is_some() { timed } else { chunk });
            let y = table.y.slice(s![start..end, ..]);
            let part = Part { run: &run, tables: &tables, options, first: start, y };
            let is_written = if network_draws > CHUNK_DRAWS && refiner.is_none() {
                part.write_long(edges.as_ref(), &mut law_edges, &sender)?
            } else {
                let draws = draw_positions(&run, y, network_draws, options.seed, start);
                let mut refined = refiner
                    .as_ref()
                    .map(|refiner| refiner.refine(y, &draws, options.seed, start))
                    .transpose()?;
                for (event, refined) in refined.iter_mut().flatten().enumerate() {
                    if is_far_out(outside.as_deref(), start + event) {
                        *refined = RefinedEvent::of_nothing(preprocessing.x_names().len());
                    }
                }
                let contacts = contacts_of(edges.as_ref(), &draws, refined.as_deref());
                let law_edge = law_edges_of(edges.as_ref(), &contacts, &mut law_edges);
                if let Some(refined) = &mut refined {
                    for (event, edge) in refined.iter_mut().zip(&law_edge) {
                        event.outside.law_edge |= edge.is_some();
                    }
                    refinement.add(refined);
                }
                let refined = refined.as_deref();
                part.write(&draws, refined, &law_edge, &sender)?
            };
            if !is_written {
                // The writer has failed; its error is told below.
                break;
            }
            if start == 0 && refiner.is_some() && end < events {
                let left = events - end;
                let seconds = begun.elapsed().as_secs_f64() / end as f64 * left as f64;
                watch(PredictStep::Refining { events: left, seconds });
            }
            start = end;
            watch(PredictStep::Done { events: end, of: events });
        }
        drop(sender);
        match writing.join() {
            Ok(written) => Ok(written?),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })?;
    Ok(PredictionReport {
        remarks,
        events,
        draws: options.draws,
        frame: preprocessing.frame_description(),
        unit: run.experiment.columns.x_unit.internal(),
        rotated_back: tables.rotates_back,
        off_constant_events: preprocessing.off_constant_momenta(table.y.view()),
        law_edge: edges.as_ref().map(|edges| law_edges.report(edges)),
        plausibility,
        summarised_draws: (options.summary_file.is_some() && options.draws > SUMMARISED_DRAWS)
            .then_some(SUMMARISED_DRAWS),
        far_out: far_out.iter().map(ToString::to_string).collect(),
        outside: outside.as_deref().map(OutsideCounts::of),
        refinement: refiner.as_ref().map(|refiner| refinement.report(refiner.has_noise())),
        dropped: table.dropped,
    })
}

/// Sets events with momenta that are no measurements aside, so that they do not stop the others: with `drop_invalid`
/// they are left out, otherwise they get the momenta of another event, for the arithmetic alone.
fn set_aside(
    run: &TrainedRun,
    table: &mut Table,
    selection: &Selection,
    drop_invalid: bool,
) -> Result<Vec<FarCell>, RunError> {
    let cells = far_out(run, table, selection);
    let Some(first) = cells.first() else { return Ok(cells) };
    if 2 * cells.len() > table.rows() {
        // All are far together: the file is judged as a set, if single precision can hold it at all.
        if cells.iter().all(|cell| cell.deviations < 1e15) {
            return Ok(Vec::new());
        }
        return Err(all_far_out(run, table, first, cells.len()));
    }
    if drop_invalid {
        leave_out(table, &cells);
        return Ok(Vec::new());
    }
    let is_sound = |row: &usize| cells.iter().all(|cell| cell.row != *row);
    if let Some(sound) = (0..table.rows()).find(is_sound) {
        let momenta = table.y.row(sound).to_owned();
        cells.iter().for_each(|cell| table.y.row_mut(cell.row).assign(&momenta));
    }
    Ok(cells)
}

/// Whether nothing was inferred for an event because its momenta are no measurements.
pub(crate) fn is_far_out(outside: Option<&[Outside]>, event: usize) -> bool {
    outside.and_then(|outside| outside.get(event)).is_some_and(|event| event.far_out)
}

/// The batches that some of the files get next, with the number of the file.
type Batches = Vec<(usize, Vec<ColumnData>)>;

/// A few events that are predicted together.
struct Part<'a> {
    run: &'a TrainedRun,
    tables: &'a Tables<'a>,
    options: &'a PredictOptions,
    first: usize,
    y: ArrayView2<'a, f64>,
}

impl Part<'_> {
    /// Sends the rows of all files; false if nobody writes them any more.
    fn write(
        &self,
        draws: &Array3<f64>,
        refined: Option<&[RefinedEvent]>,
        law_edge: &[Option<String>],
        sender: &SyncSender<Batches>,
    ) -> Result<bool, RunError> {
        let Self { tables, options, first, y, .. } = *self;
        let events = Events { first, first_draw: 0, y, draws, refined, law_edge };
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
        Ok(sender.send(batches.into_iter().enumerate().collect()).is_ok())
    }

    /// The same for one event with more draws than are held at once, without a refinement: the draws that are
    /// summarised are kept, up to [`SUMMARISED_DRAWS`].
    fn write_long(
        &self,
        edges: Option<&LawEdges>,
        counts: &mut LawEdgeCounts,
        sender: &SyncSender<Batches>,
    ) -> Result<bool, RunError> {
        let Self { run, tables, options, first, y } = *self;
        let count = options.draws;
        let kept = if options.summary_file.is_some() { count.min(SUMMARISED_DRAWS) } else { 0 };
        let mut summarised = Array3::zeros((1, kept, run.record.preprocessing.x_names().len()));
        let mut streams = [DrawStreams::of(run, options.seed, first)];
        let mut law_edge = Vec::new();
        for first_draw in (0..count).step_by(CHUNK_DRAWS) {
            let end = count.min(first_draw + CHUNK_DRAWS);
            let draws = draw_more(run, y, end - first_draw, &mut streams);
            if first_draw == 0 {
                law_edge = law_edges_of(edges, &contacts_of(edges, &draws, None), counts);
            }
            let events =
                Events { first, first_draw, y, draws: &draws, refined: None, law_edge: &law_edge };
            if sender.send(vec![(0, tables.draws(&events))]).is_err() {
                return Ok(false);
            }
            let taken = kept.min(end).saturating_sub(first_draw);
            let mut place = summarised.slice_mut(s![
                ..,
                first_draw.min(kept)..(first_draw + taken).min(kept),
                ..
            ]);
            place.assign(&draws.slice(s![.., ..taken, ..]));
        }
        if kept == 0 {
            return Ok(true);
        }
        let (draws, law_edge) = (&summarised, &law_edge[..]);
        let events = Events { first, first_draw: 0, y, draws, refined: None, law_edge };
        Ok(sender.send(vec![(1, tables.summary(&events)?)]).is_ok())
    }
}

/// The draws of each event that are written.
fn rows_of<'a>(
    draws: &'a Array3<f64>,
    refined: Option<&'a [RefinedEvent]>,
) -> Vec<ArrayView2<'a, f64>> {
    match refined {
        Some(events) => events.iter().map(|event| event.draws.view()).collect(),
        None => draws.axis_iter(Axis(0)).collect(),
    }
}

/// The limits of the geometry law that the posterior of each event is in contact with.
fn contacts_of(
    edges: Option<&LawEdges>,
    draws: &Array3<f64>,
    refined: Option<&[RefinedEvent]>,
) -> Vec<Vec<Contact>> {
    match (refined, edges) {
        (Some(events), _) => events.iter().map(|event| event.contacts.clone()).collect(),
        (None, Some(edges)) => {
            draws.axis_iter(Axis(0)).into_par_iter().map(|rows| edges.contacts(rows)).collect()
        }
        (None, None) => vec![Vec::new(); draws.len_of(Axis(0))],
    }
}

/// The limits of the geometry law that each event is flagged for, in words, and counted.
fn law_edges_of(
    edges: Option<&LawEdges>,
    contacts: &[Vec<Contact>],
    counts: &mut LawEdgeCounts,
) -> Vec<Option<String>> {
    let Some(edges) = edges else { return vec![None; contacts.len()] };
    contacts.iter().for_each(|contacts| counts.add(edges, contacts));
    contacts.iter().map(|contacts| edges.in_words(contacts)).collect()
}

/// Appends to every file its batches; the files appear when the last chunk is written.
fn write_all(mut files: Vec<TableWriter>, chunks: Receiver<Batches>) -> Result<(), WriteError> {
    for batches in chunks {
        for (file, batch) in batches {
            files[file].write(batch)?;
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
            self.counts.law_edge += usize::from(event.outside.law_edge);
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
