//! The draws of the events on disk, in parts of equally many events: what is there is not refined again.
//!
//! A part has a row for each draw, and one with nothing but its number for an event that has none because the model does not
//! describe it. A file beside the parts says what they are draws of.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use cei_data::{ColumnData, ColumnRef, LoadError, Source, load_sample, write_table};
use ndarray::{Array2, Array3, ArrayView2, s};
use rayon::prelude::*;

use super::groups::Groups;
use super::options::PopulationOptions;
use super::quantities::Quantities;
use crate::RunError;
use crate::error::SampleError;
use crate::folder::layout::{POPULATION_DRAWS, POPULATION_ORIGIN};
use crate::predict::{Origin, PredictStep, Prediction};
use crate::refine::{OutsideModel, RefinedEvent};
use crate::trained::draws::draw_positions;

/// Columns of a part before the quantities.
const OWN: [&str; 4] = ["event", "pinned", "log_evidence", "log_law"];
/// Numbers in a part, about.
const PART_NUMBERS: usize = 1_000_000;
/// Events in a part at most.
const PART_EVENTS: usize = 256;
/// Events that are refined at once: progress is told in between.
const AT_ONCE: usize = 32;
/// Numbers that the inference holds at most (160 MB).
const MOST_NUMBERS: usize = 20_000_000;
/// Draws of an event that it holds at least, before events are left out.
const LEAST_DRAWS: usize = 100;

/// The draws of the events of a group.
#[derive(Default)]
pub(super) struct GroupDraws {
    /// Numbers of its events.
    pub(super) events: Vec<usize>,
    /// Their draws (events, draws, m).
    pub(super) draws: Array3<f64>,
    /// Log density of the training law at each (events, draws).
    pub(super) log_law: Array2<f64>,
}

/// The parts of a sample.
pub(super) struct Parts {
    folder: PathBuf,
    /// Events of a part.
    size: usize,
    events: usize,
    names: Vec<String>,
}

/// The draws of the events, by group.
pub(super) struct SampleDraws {
    /// Those of each group.
    pub(super) groups: Vec<GroupDraws>,
    /// Log-evidence of each event with draws, nats.
    pub(super) log_evidence: BTreeMap<usize, f64>,
    /// Events pinned to a limit of the geometry law.
    pub(super) pinned: usize,
    /// Events with draws, whether they are used or not.
    pub(super) with_draws: usize,
    /// Events and draws of each that are used where there is no room for all.
    pub(super) thinned: Option<[usize; 2]>,
}

impl Parts {
    /// The parts in the folder of the options, which are none or of this sample.
    ///
    /// # Errors
    /// They are of another one; the folder cannot be read or written.
    pub(super) fn open(
        options: &PopulationOptions,
        prediction: &Prediction<'_>,
        quantities: &Quantities,
    ) -> Result<Self, RunError> {
        let events = prediction.y.nrows();
        let folder = options.folder.join(POPULATION_DRAWS);
        let names = quantities.names.join(", ");
        let origin = Origin::of(prediction, [("quantities", names)])?;
        let path = folder.join(POPULATION_ORIGIN);
        let is_begun = origin.is_at(&path);
        let of_another = |what| SampleError::Other { path: options.folder.clone(), what };
        if !is_begun.map_err(of_another)? {
            origin.write(&path)?;
        }
        let columns = quantities.names.len() + OWN.len();
        let size = (PART_NUMBERS / (options.draws * columns)).clamp(1, PART_EVENTS);
        Ok(Self { folder, size, events, names: quantities.names.clone() })
    }

    fn file(&self, part: usize) -> PathBuf {
        self.folder.join(format!("part-{part:06}.parquet"))
    }

    /// How many there are to be.
    pub(super) fn count(&self) -> usize {
        self.events.div_ceil(self.size)
    }

    /// How many are there.
    pub(super) fn there(&self) -> usize {
        (0..self.count()).filter(|part| self.file(*part).exists()).count()
    }

    /// The events of some parts.
    pub(super) fn events_of(&self, parts: &Range<usize>) -> Range<usize> {
        let first = |part: usize| self.events.min(part * self.size);
        first(parts.start)..first(parts.end)
    }

    /// Refines the events of those of these `parts` that are not there.
    pub(super) fn fill(
        &self,
        prediction: &Prediction<'_>,
        quantities: &Quantities,
        parts: Range<usize>,
        watch: &mut impl FnMut(PredictStep<'_>),
    ) -> Result<(), RunError> {
        let all = self.events_of(&parts);
        for part in parts {
            let events = self.events_of(&(part..part + 1));
            if !self.file(part).exists() {
                let mut rows = Rows::new(self.names.len());
                for start in events.clone().step_by(AT_ONCE) {
                    let end = events.end.min(start + AT_ONCE);
                    let y = prediction.y.slice(s![start..end, ..]);
                    let (count, seed) = (prediction.network_draws(), prediction.options.seed);
                    let draws = draw_positions(prediction.run, y, count, seed, start);
                    let refined = prediction.refined(start, y, draws.view())?.unwrap_or_default();
                    let reduced: Vec<Reduced> =
                        refined.par_iter().map(|event| reduce(event, quantities)).collect();
                    for (event, (reduced, refined)) in
                        (start..end).zip(reduced.into_iter().zip(&refined))
                    {
                        let pinned = prediction
                            .edges
                            .is_some_and(|edges| edges.in_words(&refined.contacts).is_some());
                        let log_evidence = refined.log_evidence.unwrap_or(f64::NAN);
                        rows.push(event, pinned, log_evidence, reduced);
                    }
                    watch(PredictStep::Done { events: end - all.start, of: all.len() });
                }
                write_table(&self.file(part), rows.columns(&self.names))?;
            }
            watch(PredictStep::Done { events: events.end - all.start, of: all.len() });
        }
        Ok(())
    }

    /// The draws of all events, as many as there is room for, by group.
    pub(super) fn read(
        &self,
        groups: &Groups,
        options: &PopulationOptions,
    ) -> Result<SampleDraws, RunError> {
        let m = self.names.len();
        let room = MOST_NUMBERS / (m + 1);
        let draws = (room / self.events.max(1)).max(LEAST_DRAWS).min(options.draws);
        let step = (self.events * draws).div_ceil(room).max(1);
        let mut filling: Vec<Filling> = groups.labels.iter().map(|_| Filling::default()).collect();
        let (mut pinned, mut with_draws) = (0, 0);
        let mut log_evidence = BTreeMap::new();
        for part in 0..self.count() {
            let rows = self.rows_of(part)?;
            let numbers: Vec<usize> = rows.column(0).iter().map(|event| *event as usize).collect();
            let mut start = 0;
            for of_event in numbers.chunk_by(|a, b| a == b) {
                let event = of_event[0];
                let own = rows.slice(s![start..start + of_event.len(), ..]);
                start += of_event.len();
                with_draws += 1;
                pinned += usize::from(own[[0, 1]] > 0.0);
                log_evidence.insert(event, own[[0, 2]]);
                if let Some(group) = groups.of_event(event).filter(|_| event.is_multiple_of(step)) {
                    filling[group].push(event, own, draws);
                }
            }
        }
        let groups = filling.into_iter().map(|group| group.done(draws, m)).collect::<Vec<_>>();
        let used = groups.iter().map(|group| group.events.len()).sum();
        let thinned = (step > 1 || draws < options.draws).then_some([used, draws]);
        Ok(SampleDraws { groups, log_evidence, pinned, with_draws, thinned })
    }

    /// Rows of a part: the columns of [`OWN`], then numbers.
    fn rows_of(&self, part: usize) -> Result<Array2<f64>, RunError> {
        let path = self.file(part);
        let source = Source { files: vec![path.display().to_string()], ..Source::default() };
        let names = OWN.map(str::to_owned);
        let columns: Vec<ColumnRef> =
            names.into_iter().chain(self.names.iter().cloned()).map(ColumnRef::Name).collect();
        match load_sample(&source, &columns, 1.0, &[]) {
            Ok(rows) => Ok(rows),
            Err(LoadError::AllDropped { .. }) => Ok(Array2::zeros((0, columns.len()))),
            Err(error) => Err(error.into()),
        }
    }
}

/// The draws of a group, as far as they are read: one behind another.
#[derive(Default)]
struct Filling {
    events: Vec<usize>,
    values: Vec<f64>,
    log_law: Vec<f64>,
}

impl Filling {
    /// Adds `draws` of the rows of an event: as many as were asked for, but for events of fewer modes, of which some count again.
    fn push(&mut self, event: usize, rows: ArrayView2<'_, f64>, draws: usize) {
        self.events.push(event);
        for draw in 0..draws {
            let row = rows.row(draw % rows.nrows());
            self.log_law.push(row[OWN.len() - 1]);
            self.values.extend(row.iter().skip(OWN.len()));
        }
    }

    fn done(self, draws: usize, m: usize) -> GroupDraws {
        let Self { events, values, log_law } = self;
        let n = events.len();
        GroupDraws {
            draws: Array3::from_shape_vec((n, draws, m), values).unwrap_or_default(),
            log_law: Array2::from_shape_vec((n, draws), log_law).unwrap_or_default(),
            events,
        }
    }
}

/// Numbers of the draws of an event, and log densities of the law; nothing of one that the model does not describe.
pub(crate) type Reduced = Option<(Vec<Vec<f64>>, Vec<f64>)>;

pub(crate) fn reduce(event: &RefinedEvent, quantities: &Quantities) -> Reduced {
    let outside = OutsideModel { law_edge: false, ..event.outside };
    if outside.any() || event.draws.nrows() == 0 {
        return None;
    }
    let draws = event.draws.rows().into_iter();
    let (values, logs): (Vec<Vec<f64>>, Vec<f64>) =
        draws.map(|draw| quantities.of_draw(&draw.to_vec())).unzip();
    logs.iter().all(|log| log.is_finite()).then_some((values, logs))
}

/// Rows that are about to be written.
struct Rows {
    events: Vec<u64>,
    pinned: Vec<u32>,
    log_evidence: Vec<f64>,
    logs: Vec<f64>,
    values: Vec<Vec<f64>>,
}

impl Rows {
    fn new(quantities: usize) -> Self {
        let values = vec![Vec::new(); quantities];
        let log_evidence = Vec::new();
        Self { events: Vec::new(), pinned: Vec::new(), log_evidence, logs: Vec::new(), values }
    }

    fn push(&mut self, event: usize, pinned: bool, log_evidence: f64, reduced: Reduced) {
        let nothing = || (vec![vec![f64::NAN; self.values.len()]], vec![f64::NAN]);
        let (values, logs) = reduced.unwrap_or_else(nothing);
        for (values, log) in values.into_iter().zip(logs) {
            self.events.push(event as u64);
            self.pinned.push(u32::from(pinned));
            self.log_evidence.push(log_evidence);
            self.logs.push(log);
            self.values.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
        }
    }

    fn columns(self, names: &[String]) -> Vec<(String, ColumnData)> {
        let [event, pinned, log_evidence, log_law] = OWN.map(str::to_owned);
        let mut columns = vec![
            (event, ColumnData::U64(self.events)),
            (pinned, ColumnData::U32(self.pinned)),
            (log_evidence, ColumnData::F64(self.log_evidence)),
            (log_law, ColumnData::F64(self.logs)),
        ];
        let values = self.values.into_iter().map(ColumnData::F64);
        columns.extend(names.iter().cloned().zip(values));
        columns
    }
}
