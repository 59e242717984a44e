//! Chunks of events that are drawn and refined while those before are written.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use cei_model::Team;
use ndarray::{Array3, Axis, s};
use rayon::Scope;

use super::options::PredictStep;
use super::parts::{Part, Parts};
use super::prediction::Prediction;
use crate::RunError;
use crate::refine::RefinedEvent;
use crate::trained::draws::draw_positions;

/// Events that are refined first, to tell how long the rest will take.
const TIMED_EVENTS: usize = 8;
/// Chunks that are under way, that which is written among them: no thread waits for the last events of a chunk.
const AHEAD: usize = 3;

/// The network's draws of a chunk, and what the simulator makes of its events, where it is asked.
pub(super) struct Inferred {
    pub(super) chunk: Range<usize>,
    /// None where the events were among the parts.
    pub(super) draws: Array3<f64>,
    pub(super) refined: Option<Vec<RefinedEvent>>,
    /// Whether the events were not among the parts.
    is_new: bool,
}

impl Inferred {
    /// The refined events, where they were not among the parts.
    pub(super) fn new_events(&self) -> Option<&[RefinedEvent]> {
        self.refined.as_deref().filter(|_| self.is_new)
    }
}

/// Where what is inferred of a chunk comes from.
enum Source {
    Pool(Receiver<Result<Inferred, RunError>>),
    Parts(Inferred),
    /// Another process puts it among the parts.
    Process(usize),
}

/// What the chunks of a prediction in turn have in common.
pub(super) struct InTurn<'p, 'd> {
    pub(super) prediction: &'p Prediction<'d>,
    /// Events that are among these are not refined again.
    pub(super) parts: Option<&'p Parts>,
    pub(super) team: &'p Team,
    /// Events of which is to be told how long they will take, once the first of them are refined.
    pub(super) untold: Option<usize>,
}

impl<'p, 'd> InTurn<'p, 'd> {
    /// Infers the chunks, a few beside another, and gives them to `take` in turn, until it wants no more. Where `owner` says that
    /// another process refines a chunk, it is waited for. Not on a thread of the pool, which would wait for itself.
    ///
    /// # Errors
    /// Those of inference and of `take`.
    pub(super) fn each<W: FnMut(PredictStep<'_>)>(
        mut self,
        chunks: impl IntoIterator<Item = Range<usize>>,
        owner: impl Fn(&Range<usize>) -> Option<usize>,
        watch: &mut W,
        mut take: impl FnMut(Inferred, &mut W) -> Result<bool, RunError>,
    ) -> Result<(), RunError> {
        let is_over = AtomicBool::new(false);
        rayon::in_place_scope(|scope| {
            let mut chunks = chunks.into_iter();
            let mut ahead = VecDeque::new();
            let mut next = || {
                while ahead.len() < AHEAD
                    && let Some(chunk) = chunks.next()
                {
                    let source = match owner(&chunk) {
                        Some(rank) => Source::Process(rank),
                        None => self.begin(&chunk, scope, &is_over, watch)?,
                    };
                    ahead.push_back((chunk, source));
                }
                let Some((chunk, mut source)) = ahead.pop_front() else { return Ok(false) };
                if let Source::Process(rank) = source {
                    self.team.receive(rank, &mut [0_u8]);
                    source = self.begin(&chunk, scope, &is_over, watch)?;
                }
                let inferred = match source {
                    Source::Parts(inferred) => inferred,
                    Source::Pool(inferred) => match inferred.recv() {
                        Ok(inferred) => inferred?,
                        // It has panicked, and so will the scope.
                        Err(_) => return Ok(false),
                    },
                    Source::Process(_) => unreachable!("it has been waited for"),
                };
                take(inferred, watch)
            };
            let outcome = loop {
                match next() {
                    Ok(true) => {}
                    Ok(false) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            is_over.store(true, Ordering::Relaxed);
            outcome
        })
    }

    /// Reads a chunk that is among the parts, and begins to infer any other.
    fn begin<'s>(
        &mut self,
        chunk: &Range<usize>,
        scope: &Scope<'s>,
        is_over: &'s AtomicBool,
        watch: &mut impl FnMut(PredictStep<'_>),
    ) -> Result<Source, RunError>
    where
        'p: 's,
        'd: 's,
    {
        let prediction = self.prediction;
        match self.parts.map(|parts| parts.read(chunk)).transpose()? {
            Some(Part::There(refined)) => {
                let (draws, refined) = (Array3::zeros((0, 0, 0)), Some(refined));
                let chunk = chunk.clone();
                return Ok(Source::Parts(Inferred { chunk, draws, refined, is_new: false }));
            }
            Some(Part::Damaged(path)) => watch(PredictStep::Damaged(&path)),
            Some(Part::Absent) | None => {}
        }
        let first = match self.untold.take() {
            None => None,
            Some(left) => {
                let begun = Instant::now();
                let timed = TIMED_EVENTS.max(2 * rayon::current_num_threads()).min(chunk.len());
                let first = prediction.begun(chunk, timed)?;
                let events = left.saturating_sub(timed);
                let seconds = begun.elapsed().as_secs_f64() / timed as f64 * events as f64;
                let is_kept = self.parts.is_some();
                if events > 0 {
                    watch(PredictStep::Refining { events, seconds, is_kept });
                }
                Some(first)
            }
        };
        let (sender, receiver) = channel();
        let chunk = chunk.clone();
        scope.spawn(move |_| {
            if !is_over.load(Ordering::Relaxed) {
                let first = first.map_or_else(|| prediction.begun(&chunk, 0), Ok);
                let inferred = first.and_then(|first| prediction.completed(first));
                // Nobody waits for it where one before has failed.
                let _ = sender.send(inferred);
            }
        });
        Ok(Source::Pool(receiver))
    }
}

impl Prediction<'_> {
    /// Draws a chunk, and refines so many of its events.
    fn begun(&self, chunk: &Range<usize>, events: usize) -> Result<Inferred, RunError> {
        let y = self.y.slice(s![chunk.clone(), ..]);
        let (count, seed) = (self.network_draws(), self.options.seed);
        let draws = draw_positions(self.run, y, count, seed, chunk.start);
        let first = s![..events, ..];
        let refined =
            self.refined(chunk.start, y.slice(first), draws.slice(s![..events, .., ..]))?;
        Ok(Inferred { chunk: chunk.clone(), draws, refined, is_new: true })
    }

    /// Refines the events of a chunk that are not refined.
    fn completed(&self, mut inferred: Inferred) -> Result<Inferred, RunError> {
        if let Some(refined) = &mut inferred.refined {
            let (chunk, done) = (inferred.chunk.clone(), refined.len());
            let y = self.y.slice(s![chunk.start + done..chunk.end, ..]);
            let (_, draws) = inferred.draws.view().split_at(Axis(0), done);
            refined.extend(self.refined(chunk.start + done, y, draws)?.unwrap_or_default());
        }
        Ok(inferred)
    }
}
