//! From the momenta of many events to the distribution of geometries in the sample: `cei population`.
//!
//! The draws of each event, corrected by the simulator, are reduced to bond lengths, angles, dihedrals and nuisances, and kept in the folder
//! of the results, part by part: memory does not grow with the events, and a second call goes on where the first one ended.
//! The mathematics is that of [`cei_population`].
//!
//! | in | is |
//! | --- | --- |
//! | `options` | what is asked for |
//! | `quantities` | the numbers of a geometry, and the density of the training law in them |
//! | `parts` | draws on disk |
//! | `groups` | events of the same value of a column |
//! | `curves` | the distribution of each group |
//! | `report` | what is told in the end |

mod curves;
mod groups;
mod options;
mod parts;
mod quantities;
mod report;

use std::path::{Path, PathBuf};

use cei_files::Lock;
use cei_model::Device;
use serde::Serialize;

pub use self::options::PopulationOptions;
pub use self::report::{
    Estimate, FalseShare, GroupPopulation, HiddenPeak, Law, PopulationReport, QuantityPopulation,
};
use crate::RunError;
use crate::folder::layout::{POPULATION, POPULATION_DRAWS, POPULATION_SUMMARY, POPULATION_TABLE};
use crate::folder::sealed::write_json;
use crate::predict::{Context, PredictStep, Prediction, with_prediction};
use crate::shard::Shard;
use groups::Groups;
use parts::{Parts, SampleDraws};
pub(crate) use parts::{Reduced, reduce};
pub(crate) use quantities::Quantities;

/// What a shard of a sample has refined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PopulationShard {
    /// Which part of the sample.
    pub shard: Shard,
    /// Events of this part.
    pub events: usize,
    /// Events of the sample.
    pub of: usize,
    /// Parts of the sample whose draws are there, of how many: those of other shards count.
    pub parts: [usize; 2],
    /// The folder of the draws.
    pub draws: PathBuf,
}

/// Refines the events of a part of a sample and keeps their draws in the folder of the results, where [`population_to_folder`] finds them.
/// Several processes may do so at once.
///
/// # Errors
/// As [`population_to_folder`]; another process that refines the same part.
pub fn refine_population_shard(
    path: &Path,
    options: &PopulationOptions,
    shard: Shard,
    device: Device,
    mut watch: impl FnMut(PredictStep<'_>),
) -> Result<PopulationShard, RunError> {
    with_parts(path, options, Some(shard), device, &mut watch, |found, watch| {
        let Found { prediction, quantities, parts, .. } = found;
        parts.fill(prediction, quantities, shard.rows(parts.count()), watch)?;
        Ok(PopulationShard {
            shard,
            events: parts.events_of(&shard.rows(parts.count())).len(),
            of: prediction.y.nrows(),
            parts: [parts.there(), parts.count()],
            draws: options.folder.join(POPULATION_DRAWS),
        })
    })
}

/// Infers the distribution of geometries in a sample and writes it into a folder: curves, summary, figure, and the draws
/// that they come from.
///
/// # Errors
/// No trained model, momenta that cannot be loaded, a run whose draws cannot be refined or whose momenta have no noise, a law whose shapes have no
/// density, a folder with the draws of another sample, a column that is not there, too few events.
pub fn population_to_folder(
    path: &Path,
    options: &PopulationOptions,
    device: Device,
    mut watch: impl FnMut(PredictStep<'_>),
) -> Result<PopulationReport, RunError> {
    with_parts(path, options, None, device, &mut watch, |found, watch| {
        let folder = &options.folder;
        let Found { prediction, context, quantities, groups, parts } = found;
        let Context { table, gate, plausibility, .. } = context;
        parts.fill(prediction, quantities, 0..parts.count(), watch)?;
        let SampleDraws { groups: draws, log_evidence, pinned, with_draws, thinned } =
            parts.read(groups, options)?;
        let against: Option<Vec<f64>> = prediction.coincidences.map(|coincidences| {
            let rows = prediction.y.rows().into_iter().enumerate();
            rows.map(|(event, y)| coincidences.against(&y.to_vec(), event)).collect()
        });
        watch(PredictStep::Inferring { samples: options.bootstraps });
        let against = against.as_deref();
        let groups = curves::infer(draws, &log_evidence, groups, quantities, options, against)?;
        let report = PopulationReport {
            events: table.rows(),
            draws: options.draws,
            left_out: table.rows() - with_draws,
            pinned,
            dropped: table.dropped.clone(),
            gate,
            plausibility: plausibility.cloned(),
            by: options.by.clone(),
            level: options.level,
            efficiency: options.efficiency.clone(),
            thinned,
            groups,
        };
        report::write_table(&folder.join(POPULATION_TABLE), &report)?;
        report::write_summary(&folder.join(POPULATION_SUMMARY), &report)?;
        report::draw(folder, &report)?;
        write_json(&folder.join(format!("{POPULATION}.json")), &report)?;
        Ok(report)
    })
}

/// What is known when the first event is refined.
struct Found<'a, 'p, 'c> {
    prediction: &'a Prediction<'p>,
    context: Context<'c>,
    quantities: &'a Quantities,
    groups: &'a Groups,
    parts: &'a Parts,
}

/// Does `work` with the parts of a sample, which nobody else writes: of a `shard` those of this alone.
fn with_parts<T, W: FnMut(PredictStep<'_>)>(
    path: &Path,
    options: &PopulationOptions,
    shard: Option<Shard>,
    device: Device,
    watch: &mut W,
    work: impl FnOnce(Found<'_, '_, '_>, &mut W) -> Result<T, RunError>,
) -> Result<T, RunError> {
    options.check()?;
    let folder = &options.folder;
    let predicted = options.predicted();
    predicted.check()?;
    if folder.exists() {
        predicted.check_files(path)?;
    }
    with_prediction(path, &predicted, device, watch, |prediction, context, watch| {
        let refiner = prediction.refiner.filter(|refiner| refiner.has_noise());
        let quantities = Quantities::of(prediction.run, refiner.is_some())?;
        let groups = Groups::of(&prediction.tables.further, options, context.table.rows())?;
        curves::check_enough(&groups)?;
        let draws = folder.join(POPULATION_DRAWS);
        std::fs::create_dir_all(&draws).map_err(RunError::io("create", &draws))?;
        let _lock = match shard {
            None => Lock::acquire(folder)?,
            Some(shard) => {
                let (number, of) = (shard.number(), shard.of());
                Lock::acquire(&draws.join(format!("shard-{number}-of-{of}")))?
            }
        };
        let parts = Parts::open(options, prediction, &quantities)?;
        let found =
            Found { prediction, context, quantities: &quantities, groups: &groups, parts: &parts };
        work(found, watch)
    })
}
