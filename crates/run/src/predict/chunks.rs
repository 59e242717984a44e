//! The events of a prediction, a chunk after another, and what is written and counted of them.

use std::ops::Range;

use cei_model::Team;
use ndarray::{Array3, ArrayView2, ArrayView3, Axis, s};
use rayon::prelude::*;

use super::ahead::{InTurn, Inferred};
use super::coincidences::CoincidenceSums;
use super::options::PredictStep;
use super::output::Output;
use super::page::Kept;
use super::parts::Parts;
use super::prediction::{CHUNK_DRAWS, Prediction};
use super::report::RefinementSums;
use super::tables::{Events, Kind, Tables};
use crate::RunError;
use crate::plausibility::{Contact, LawEdgeCounts};
use crate::refine::RefinedEvent;
use crate::shard::ShardRecord;
use crate::trained::draws::{DrawStreams, draw_more};

/// Draws of an event that its summary is made of at most: they are in memory together.
pub(super) const SUMMARISED_DRAWS: usize = 1_000_000;

/// What has been found so far.
#[derive(Default)]
pub(super) struct Found {
    pub(super) refinement: RefinementSums,
    pub(super) law_edges: LawEdgeCounts,
    pub(super) coincidences: CoincidenceSums,
    /// Events that the page shows.
    pub(super) kept: Option<Kept>,
}

impl Found {
    fn keep(&mut self, tables: &Tables<'_>, events: &Events<'_>) {
        if let Some(kept) = &mut self.kept {
            kept.add(tables, events);
        }
    }
}

impl Prediction<'_> {
    /// Draws all events and writes the tables, which appear when the last chunk is written and `tell` has told what was
    /// found. Events that are among the `parts` are not refined again. Of a shard `record` says what each table is a part of.
    /// Where there are several processes, the others have their share of the parts.
    pub(super) fn write<T>(
        &self,
        parts: Option<&Parts>,
        team: &Team,
        watch: &mut impl FnMut(PredictStep<'_>),
        tell: impl FnOnce(Found) -> Result<T, RunError>,
        record: impl Fn(Kind) -> Option<ShardRecord>,
    ) -> Result<T, RunError> {
        let (rows, size) = (self.rows(), team.size() as f64);
        // The others refine at the same time.
        let watch = &mut |step: PredictStep<'_>| match step {
            PredictStep::Refining { events, seconds, is_kept } => {
                watch(PredictStep::Refining { events, seconds: seconds / size, is_kept });
            }
            step => watch(step),
        };
        let columns = self.tables.inferred().len();
        let kept = Kept::new(self.options, &self.tables.numbers, columns)?;
        let mut found = Found { kept, ..Found::default() };
        std::thread::scope(|scope| {
            let files = self.options.files().into_iter();
            let outputs = files
                .map(|(kind, path)| Output::create(scope, kind, path, self.tables))
                .collect::<Result<Vec<_>, _>>()?;
            let done = |end: usize| PredictStep::Done { events: end - rows.start, of: rows.len() };
            if self.is_long() {
                for event in rows.clone() {
                    if !self.write_long(event, &outputs, &mut found)? {
                        // A writer has failed; its error is told below.
                        break;
                    }
                    watch(done(event + 1));
                }
                return Output::finish(outputs, || tell(found), record);
            }
            let there = parts.map_or(0, Parts::there);
            let untold = self.refiner.map(|_| rows.len() - there);
            let mut keeper = parts.map(|parts| parts.keeper(scope));
            let owner = |chunk: &Range<usize>| {
                let rank = (chunk.start - rows.start) / self.chunk() % team.size();
                (parts.is_some() && rank > 0).then_some(rank)
            };
            InTurn { prediction: self, parts, team, untold }.each(
                self.chunks(),
                owner,
                watch,
                |inferred, watch| {
                    if let (Some(keeper), Some(events)) = (&mut keeper, inferred.new_events()) {
                        keeper.keep(&inferred.chunk, events)?;
                    }
                    let end = inferred.chunk.end;
                    let is_written = self.write_chunk(inferred, &outputs, &mut found)?;
                    watch(done(end));
                    Ok(is_written)
                },
            )?;
            keeper.map_or(Ok(()), |mut keeper| keeper.wait())?;
            Output::finish(outputs, || tell(found), record)
        })
    }

    /// Refines the chunks that are this process's among those of the team, in turn, and tells the first one of each that is among the
    /// parts.
    pub(super) fn refine_share(&self, parts: &Parts, team: &Team) -> Result<(), RunError> {
        let own = self.chunks().skip(team.rank()).step_by(team.size());
        std::thread::scope(|scope| {
            let mut keeper = parts.keeper(scope);
            InTurn { prediction: self, parts: Some(parts), team, untold: None }.each(
                own,
                |_| None,
                &mut |_: PredictStep<'_>| {},
                |inferred, _| {
                    if let Some(events) = inferred.new_events() {
                        keeper.keep(&inferred.chunk, events)?;
                        keeper.wait()?;
                    }
                    team.send(0, &[0_u8]);
                    Ok(true)
                },
            )
        })
    }

    /// Whether the draws of an event are too many to be held at once.
    fn is_long(&self) -> bool {
        self.refiner.is_none() && self.options.draws > CHUNK_DRAWS
    }

    /// Sends the rows of a chunk; false if nobody writes them any more.
    fn write_chunk(
        &self,
        Inferred { chunk, draws, mut refined, .. }: Inferred,
        outputs: &[Output<'_>],
        found: &mut Found,
    ) -> Result<bool, RunError> {
        let first = chunk.start;
        let y = self.y.slice(s![chunk, ..]);
        let contacts = self.contacts(&draws, refined.as_deref());
        let law_edge = self.law_edges(&contacts, found);
        if let Some(refined) = &mut refined {
            for (event, edge) in refined.iter_mut().zip(&law_edge) {
                event.outside.law_edge |= edge.is_some();
            }
            found.refinement.add(refined);
        }
        let coincidences = match (self.coincidences, &self.fraction, refined.as_deref()) {
            (Some(of_file), Some(fraction), Some(refined)) => {
                let evidence: Vec<_> = refined.iter().map(|event| event.log_evidence).collect();
                let is_measured = |event| !self.tables.is_far_out(event);
                found.coincidences.add(of_file, fraction, first, y, &evidence, is_measured)
            }
            _ => Vec::new(),
        };
        let events = Events {
            first,
            first_draw: 0,
            y,
            draws: &draws,
            refined: refined.as_deref(),
            law_edge: &law_edge,
            coincidences: &coincidences,
        };
        found.keep(self.tables, &events);
        self.send(outputs.iter(), &events)
    }

    /// The same for one event with more draws than are held at once, without a refinement: the draws that are
    /// summarised are kept, up to [`SUMMARISED_DRAWS`].
    fn write_long(
        &self,
        first: usize,
        outputs: &[Output<'_>],
        found: &mut Found,
    ) -> Result<bool, RunError> {
        let y = self.y.slice(s![first..=first, ..]);
        let of_kind = |kind| outputs.iter().filter(move |output| output.kind == kind);
        let count = self.options.draws;
        let kept = of_kind(Kind::Summary).map(|_| count.min(SUMMARISED_DRAWS)).sum();
        let mut summarised = Array3::zeros((1, kept, self.tables.positions().len()));
        let mut streams = [DrawStreams::of(self.run, self.options.seed, first)];
        let mut law_edge = Vec::new();
        for first_draw in (0..count).step_by(CHUNK_DRAWS) {
            let end = count.min(first_draw + CHUNK_DRAWS);
            let draws = draw_more(self.run, y, end - first_draw, &mut streams);
            if first_draw == 0 {
                law_edge = self.law_edges(&self.contacts(&draws, None), found);
            }
            let (draws, law_edge) = (&draws, &law_edge[..]);
            let events =
                Events { first, first_draw, y, draws, refined: None, law_edge, coincidences: &[] };
            if first_draw == 0 {
                found.keep(self.tables, &events);
            }
            if !self.send(of_kind(Kind::Draws), &events)? {
                return Ok(false);
            }
            let taken = kept.min(end).saturating_sub(first_draw);
            let places = first_draw.min(kept)..(first_draw + taken).min(kept);
            summarised.slice_mut(s![.., places, ..]).assign(&draws.slice(s![.., ..taken, ..]));
        }
        let (draws, law_edge) = (&summarised, &law_edge[..]);
        let events =
            Events { first, first_draw: 0, y, draws, refined: None, law_edge, coincidences: &[] };
        self.send(of_kind(Kind::Summary), &events)
    }

    /// Sends the rows of some events to these files; false if nobody writes them any more.
    fn send<'o>(
        &self,
        outputs: impl Iterator<Item = &'o Output<'o>>,
        events: &Events<'_>,
    ) -> Result<bool, RunError> {
        for output in outputs {
            if !output.write(self.tables, events)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What the simulator makes of the draws, where it is asked.
    pub(crate) fn refined(
        &self,
        first: usize,
        y: ArrayView2<'_, f64>,
        draws: ArrayView3<'_, f64>,
    ) -> Result<Option<Vec<RefinedEvent>>, RunError> {
        let Some(refiner) = self.refiner else { return Ok(None) };
        let mut refined = refiner.refine(y, draws, self.options.seed, first)?;
        for (event, refined) in refined.iter_mut().enumerate() {
            if self.tables.is_far_out(first + event) {
                *refined = RefinedEvent::of_nothing(self.tables.positions().len());
            }
        }
        Ok(Some(refined))
    }

    /// The limits of the geometry law that the posterior of each event is in contact with.
    fn contacts(&self, draws: &Array3<f64>, refined: Option<&[RefinedEvent]>) -> Vec<Vec<Contact>> {
        match (refined, self.edges) {
            (Some(events), _) => events.iter().map(|event| event.contacts.clone()).collect(),
            (None, Some(edges)) => {
                draws.axis_iter(Axis(0)).into_par_iter().map(|rows| edges.contacts(rows)).collect()
            }
            (None, None) => vec![Vec::new(); draws.len_of(Axis(0))],
        }
    }

    /// The limits of the geometry law that each event is flagged for, in words, and counted.
    fn law_edges(&self, contacts: &[Vec<Contact>], found: &mut Found) -> Vec<Option<String>> {
        let Some(edges) = self.edges else { return vec![None; contacts.len()] };
        contacts.iter().for_each(|contacts| found.law_edges.add(edges, contacts));
        contacts.iter().map(|contacts| edges.in_words(contacts)).collect()
    }
}
