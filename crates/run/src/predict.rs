//! From measured momenta to posterior draws and a summary of each event.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};

use cei_data::{
    ColumnData, ColumnType, DroppedRows, Selection, SharedFrame, Source, TableWriter, WriteError,
    load,
};
use cei_metrics::{InternalCoordinates, PM_PER_BOHR, quantile};
use cei_model::Device;
use ndarray::{Array3, ArrayView1, ArrayView2, Axis, s};
use rayon::prelude::*;
use serde::Serialize;

use crate::draws::draw_positions;
use crate::evaluate::internal_coordinates;
use crate::support::{Outside, Support};
use crate::{RunError, TrainedRun};

/// Rows of draws that are in memory at once.
const CHUNK_DRAWS: usize = 100_000;

/// The quantiles of a summary, and how their columns are named.
const QUANTILES: [(f64, &str); 5] =
    [(0.05, "q05"), (0.16, "q16"), (0.5, "q50"), (0.84, "q84"), (0.95, "q95")];

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
/// No trained model, a momenta file that cannot be loaded, no draws, a file that cannot be written;
/// then no output appears.
pub fn predict_to_files(
    path: &Path,
    options: &PredictOptions,
    device: Device,
    mut progress: impl FnMut(usize, usize),
) -> Result<PredictionReport, RunError> {
    if options.draws == 0 {
        return Err(RunError::TooSmall { key: "--draws", value: 0, least: 1 });
    }
    let run = TrainedRun::load(path, device)?;
    let selection = Selection { x: Vec::new(), ..run.experiment.columns.clone() };
    let table = load(&options.momenta, &selection)?;
    let preprocessing = &run.record.preprocessing;
    let outside = Support::load(&run)?
        .map(|support| support.judge(preprocessing, table.y.view()))
        .transpose()?;
    let rotates_back = preprocessing.config().gauge.frame == SharedFrame::Momentum;
    let draws_table = DrawsTable { run: &run, rotates_back };
    let mut files = vec![TableWriter::create(&options.draws_file, &draws_table.columns())?];
    let summary_table = match &options.summary_file {
        Some(path) => {
            let table = SummaryTable::new(&run, options.draws, outside.as_deref())?;
            files.push(TableWriter::create(path, &table.columns(&run))?);
            Some(table)
        }
        None => None,
    };
    let events = table.rows();
    let chunk = (CHUNK_DRAWS / options.draws).max(1);
    std::thread::scope(|scope| -> Result<(), RunError> {
        // One chunk is written while the next one is drawn.
        let (sender, receiver) = sync_channel(1);
        let writing = scope.spawn(move || write_all(files, receiver));
        for start in (0..events).step_by(chunk) {
            let y = table.y.slice(s![start..(start + chunk).min(events), ..]);
            let draws = draw_positions(&run, y, options.draws, options.seed, start);
            let mut batches = vec![draws_table.batch(&draws, y, start)];
            if let Some(table) = &summary_table {
                batches.push(table.batch(&draws, start)?);
            }
            if sender.send(batches).is_err() {
                // The writer has failed; its error is told below.
                break;
            }
            progress((start + chunk).min(events), events);
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
        rotated_back: rotates_back,
        dropped: table.dropped,
        off_constant_events: preprocessing.off_constant_momenta(table.y.view()),
        outside: outside.as_deref().map(OutsideCounts::of),
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

/// `event`, `draw` and one column for each position; for a shared momentum frame also the positions
/// in the orientation of the file, `..._file`.
struct DrawsTable<'a> {
    run: &'a TrainedRun,
    rotates_back: bool,
}

impl DrawsTable<'_> {
    fn columns(&self) -> Vec<(String, ColumnType)> {
        let names = self.run.record.preprocessing.x_names();
        let mut columns =
            vec![("event".to_owned(), ColumnType::U64), ("draw".to_owned(), ColumnType::U32)];
        columns.extend(names.iter().map(|name| (name.clone(), ColumnType::F32)));
        if self.rotates_back {
            columns.extend(names.iter().map(|name| (format!("{name}_file"), ColumnType::F32)));
        }
        columns
    }

    fn batch(
        &self,
        draws: &Array3<f64>,
        raw_y: ArrayView2<'_, f64>,
        first_event: usize,
    ) -> Vec<ColumnData> {
        let (events, count, _) = draws.dim();
        let each = (0..events).flat_map(|event| std::iter::repeat_n(event, count));
        let mut columns = vec![
            ColumnData::U64(each.map(|event| (first_event + event) as u64).collect()),
            ColumnData::U32((0..events).flat_map(|_| 0..count as u32).collect()),
        ];
        columns.extend(columns_of(draws));
        if self.rotates_back {
            let mut turned = draws.clone();
            let gauge = self.run.record.preprocessing.gauge();
            turned.axis_iter_mut(Axis(0)).into_par_iter().zip(raw_y.axis_iter(Axis(0))).for_each(
                |(mut draws, y)| {
                    let y = y.to_vec();
                    for mut row in draws.rows_mut() {
                        if let Some(row) = row.as_slice_mut() {
                            gauge.rotate_back(row, &y);
                        }
                    }
                },
            );
            columns.extend(columns_of(&turned));
        }
        columns
    }
}

fn columns_of(draws: &Array3<f64>) -> impl Iterator<Item = ColumnData> + '_ {
    (0..draws.dim().2).map(|column| {
        let values = draws.index_axis(Axis(2), column);
        ColumnData::F32(values.iter().map(|&value| value as f32).collect())
    })
}

/// `event` and, for every position, bond length (pm) and angle (degrees), mean, standard deviation
/// and quantiles over the draws; `outside` names why an event is outside the training support.
struct SummaryTable<'a> {
    coordinates: Option<InternalCoordinates>,
    draws: usize,
    outside: Option<&'a [Outside]>,
}

impl<'a> SummaryTable<'a> {
    fn new(
        run: &TrainedRun,
        draws: usize,
        outside: Option<&'a [Outside]>,
    ) -> Result<Self, RunError> {
        let coordinates = run
            .molecule()
            .map(|molecule| internal_coordinates(&run.experiment, molecule))
            .transpose()?;
        Ok(Self { coordinates, draws, outside })
    }

    fn columns(&self, run: &TrainedRun) -> Vec<(String, ColumnType)> {
        let mut quantities = run.record.preprocessing.x_names().to_vec();
        if let Some(coordinates) = &self.coordinates {
            quantities.extend(coordinates.pair_labels().iter().map(|l| format!("{l}_pm")));
            quantities.extend(coordinates.triple_labels().iter().map(|l| format!("{l}_deg")));
        }
        let mut columns = vec![("event".to_owned(), ColumnType::U64)];
        if self.outside.is_some() {
            columns.push(("outside".to_owned(), ColumnType::Text));
        }
        for quantity in quantities {
            columns.push((format!("{quantity}_mean"), ColumnType::F64));
            columns.push((format!("{quantity}_sd"), ColumnType::F64));
            let quantiles = QUANTILES.iter().map(|(_, name)| format!("{quantity}_{name}"));
            columns.extend(quantiles.map(|name| (name, ColumnType::F64)));
        }
        columns
    }

    fn batch(&self, draws: &Array3<f64>, first_event: usize) -> Result<Vec<ColumnData>, RunError> {
        let mut quantities = vec![draws.clone()];
        if let Some(coordinates) = &self.coordinates {
            quantities.push(coordinates.lengths_of_draws(draws.view())? * PM_PER_BOHR);
            quantities.push(coordinates.angles_deg_of_draws(draws.view())?);
        }
        let events = draws.len_of(Axis(0)) as u64;
        let event = (0..events).map(|event| first_event as u64 + event).collect();
        let mut columns = vec![ColumnData::U64(event)];
        if let Some(outside) = self.outside {
            let events = &outside[first_event..first_event + events as usize];
            let reason = |event: &Outside| event.any().then(|| event.to_string());
            columns.push(ColumnData::Text(events.iter().map(reason).collect()));
        }
        for quantity in &quantities {
            for column in quantity.axis_iter(Axis(2)) {
                let rows: Vec<Vec<f64>> = column
                    .axis_iter(Axis(0))
                    .into_par_iter()
                    .map(|row| self.summarise(row))
                    .collect();
                let width = 2 + QUANTILES.len();
                columns.extend((0..width).map(|statistic| {
                    ColumnData::F64(rows.iter().map(|row| row[statistic]).collect())
                }));
            }
        }
        Ok(columns)
    }

    /// Mean, standard deviation (zero for a single draw) and quantiles of the draws of one event.
    fn summarise(&self, draws: ArrayView1<'_, f64>) -> Vec<f64> {
        let mut sorted = draws.to_vec();
        sorted.sort_by(f64::total_cmp);
        let mean = draws.mean().unwrap_or(f64::NAN);
        let sd = if self.draws > 1 { draws.std(1.0) } else { 0.0 };
        let quantiles =
            QUANTILES.iter().map(|(level, _)| quantile(&sorted, *level).unwrap_or(f64::NAN));
        [mean, sd].into_iter().chain(quantiles).collect()
    }
}
