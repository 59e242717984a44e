//! What a population is asked for.

use std::path::PathBuf;

use cei_data::SumOptions;

use crate::RunError;
use crate::c2st::check_level;
use crate::dataset::LaterTable;
use crate::folder::layout::POPULATION_TABLE;
use crate::predict::{Mixed, PredictOptions};

/// Fewest samples of the events drawn anew that bands are made of.
const LEAST_BOOTSTRAPS: usize = 20;

/// What to infer, and where to write it.
#[derive(Debug, Clone)]
pub struct PopulationOptions {
    /// The momenta.
    pub momenta: LaterTable,
    /// Which momentum sums are accepted, and whether the motion of the centre of mass stays in the momenta.
    pub sums: SumOptions,
    /// The column by whose value events are parted, if they are.
    pub by: Option<String>,
    /// The column with the probability that such an event is recorded, if events are not all as likely to be.
    pub efficiency: Option<String>,
    /// Refined draws of each event.
    pub draws: usize,
    /// Seed of the draws and of the bootstrap.
    pub seed: u64,
    /// Samples of the events drawn anew.
    pub bootstraps: usize,
    /// The part of these that bands hold; 0 to 1.
    pub level: f64,
    /// What false coincidences are made of, if the sample may hold some.
    pub false_coincidences: Option<Mixed>,
    /// The folder of the results.
    pub folder: PathBuf,
}

impl PopulationOptions {
    pub(super) fn check(&self) -> Result<(), RunError> {
        check_level(self.level)?;
        if self.bootstraps < LEAST_BOOTSTRAPS {
            let (key, value, least) = ("--bootstraps", self.bootstraps, LEAST_BOOTSTRAPS);
            return Err(RunError::TooSmall { key, value, least });
        }
        Ok(())
    }

    /// The refinement that this asks for.
    pub(super) fn predicted(&self) -> PredictOptions {
        PredictOptions {
            momenta: self.momenta.clone(),
            sums: self.sums,
            draws: self.draws,
            seed: self.seed,
            false_coincidences: self.false_coincidences.clone(),
            // Not written: the parts have the draws.
            draws_file: self.folder.join(POPULATION_TABLE),
            summary_file: None,
            refine: true,
            initial_momenta: false,
            chain_file: None,
            modes_file: None,
            report_file: None,
            report_events: Vec::new(),
            // All events are read; the parts know which of them are refined.
            shard: None,
        }
    }
}
