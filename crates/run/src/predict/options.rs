//! What a prediction is asked for, and what it tells while it is made.

use std::path::{Path, PathBuf};

use cei_data::{Reading, SumOptions};
use cei_files::check_outputs;

use super::coincidences::Mixed;
use super::tables::Kind;
use crate::RunError;
use crate::dataset::LaterTable;
use crate::folder::layout::HISTORY;
use crate::plausibility::Plausibility;
use crate::shard::Shard;
use crate::trained::draws::{MOST_WRITTEN, check_draws, check_refined};

/// What to infer, and where to write it.
#[derive(Debug, Clone)]
pub struct PredictOptions {
    /// The momenta; no positions needed.
    pub momenta: LaterTable,
    /// Which momentum sums are accepted, and whether the motion of the centre of mass stays in the momenta.
    pub sums: SumOptions,
    /// Draws of each event.
    pub draws: usize,
    /// Seed of the draws.
    pub seed: u64,
    /// What false coincidences are made of, where it is asked how probable it is that an event is none. Needs `refine`.
    pub false_coincidences: Option<Mixed>,
    /// Where draws are written (CSV or Parquet).
    pub draws_file: PathBuf,
    /// Where a summary of each event is written (CSV or Parquet), if wanted.
    pub summary_file: Option<PathBuf>,
    /// Whether the simulator corrects the draws.
    pub refine: bool,
    /// Whether refined draws have the momenta with which the ions start.
    pub initial_momenta: bool,
    /// Where the draws of a Markov chain for each refined event are written (CSV or Parquet), if wanted.
    pub chain_file: Option<PathBuf>,
    /// Where the modes of each refined event are written (CSV or Parquet), if wanted.
    pub modes_file: Option<PathBuf>,
    /// Where a page about the file is written (HTML), if wanted.
    pub report_file: Option<PathBuf>,
    /// Events (rows of the file) that this page shows alone; chosen by what is special about them if there are none.
    pub report_events: Vec<u64>,
    /// Which part of the events is inferred; all if none. A part has no page.
    pub shard: Option<Shard>,
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
        /// Whether the same call goes on with it after an interruption.
        is_kept: bool,
    },
    /// So many events were refined by an earlier call, which was interrupted.
    Resumed {
        /// Events that are there.
        events: usize,
        /// All events.
        of: usize,
        /// Where.
        folder: &'a Path,
    },
    /// A file of refined events is not as it was written: these are refined again.
    Damaged(&'a Path),
    /// So many of all events are done.
    Done {
        /// Events done.
        events: usize,
        /// All events.
        of: usize,
    },
    /// All events are refined; what follows is the distribution in the sample.
    Inferring {
        /// Samples of the events drawn anew.
        samples: usize,
    },
}

impl PredictOptions {
    /// The tables that are wanted, and where they are written.
    pub(super) fn files(&self) -> Vec<(Kind, &Path)> {
        let Self { draws_file, summary_file, modes_file, chain_file, .. } = self;
        let more =
            [(Kind::Summary, summary_file), (Kind::Modes, modes_file), (Kind::Chain, chain_file)];
        let more = more.into_iter().filter_map(|(kind, path)| Some((kind, path.as_deref()?)));
        std::iter::once((Kind::Draws, draws_file.as_path())).chain(more).collect()
    }

    /// Checks what needs neither run nor momenta.
    pub(crate) fn check(&self) -> Result<(), RunError> {
        if let (Some(shard), Some(_)) = (self.shard, &self.report_file) {
            return Err(RunError::PageOfShard { shard: shard.to_string() });
        }
        if self.refine {
            return check_refined(self.draws);
        }
        check_draws(self.draws, 1, MOST_WRITTEN)?;
        self.momenta.columns.charges.check_known()
    }

    /// Checks that no file that is read would be replaced.
    pub(crate) fn check_files(&self, run: &Path) -> Result<(), RunError> {
        let mut inputs = self.momenta.resolve()?;
        if let Some(Mixed::Others(table)) = &self.false_coincidences {
            inputs.extend(table.resolve()?);
        }
        inputs.push(run.join(HISTORY));
        let inputs: Vec<&Path> = inputs.iter().map(PathBuf::as_path).collect();
        let tables = self.files().into_iter().map(|(_, path)| path);
        let outputs: Vec<&Path> = tables.chain(self.report_file.as_deref()).collect();
        Ok(check_outputs(&inputs, &outputs)?)
    }
}
