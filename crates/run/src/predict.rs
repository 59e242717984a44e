//! From measured momenta to posterior draws and a summary of each event.
//!
//! | in | is |
//! | --- | --- |
//! | `options` | what is asked for, and what is told on the way |
//! | `tables` | which rows each table has, and what is worked out for them |
//! | `columns` | the columns of the tables: names, types, units, meanings, cells |
//! | `output` | a file that is written while the next chunk is drawn |
//! | `chunks` | the events, a chunk after another |
//! | `coincidences` | how probable it is that the ions of an event come from one molecule |
//! | `fraction` | how frequent false coincidences are, from some of the events |
//! | `sums` | the gate on the momentum sum, and the motion of the centre of mass |
//! | `report` | what is told in the end |
//! | `shards` | of which whole the tables of a shard are a part |
//! | `parts` | refined events on disk, until the tables are written |
//! | `origin` | what these come from |
//! | `prediction` | what all chunks have in common |
//! | `prepared` | what is known before the first event is drawn |
//! | `page` | the page about a prediction |
//! | `trial` | how long a prediction will take |

mod ahead;
mod chunks;
mod coincidences;
mod columns;
mod fraction;
mod options;
mod origin;
mod output;
mod page;
mod parts;
mod prediction;
mod prepared;
mod report;
mod shards;
mod sums;
mod tables;
mod trial;

use std::path::Path;

use cei_model::{Device, Team};
use ndarray::s;

pub use self::coincidences::{CoincidenceReport, Mixed, SelectedEvents};
pub use self::options::{PredictOptions, PredictStep};
pub use self::report::{FEW_DRAWS, OutsideCounts, PredictionReport, RefinementReport, StateShare};
pub use self::trial::estimate_prediction;
use crate::RunError;
use chunks::{Found, SUMMARISED_DRAWS};
use fraction::with_fraction;
pub(crate) use origin::Origin;
use page::write_page;
use parts::Parts;
pub(crate) use prediction::Prediction;
pub(crate) use prepared::{Context, with_prediction};

/// Draws positions for every event of a momenta file and writes them, chunk by chunk. A refinement that is interrupted leaves the
/// events that it has refined in a folder beside the draws, with which the same call goes on.
///
/// # Errors
/// No trained model, a momenta file that cannot be loaded, no draws, a run whose draws cannot be refined,
/// a file that cannot be written, another process that writes it, refined events of another prediction beside it; then no output appears.
///
/// ```
/// # let (folder, run) = include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/tiny_run.in"));
/// use cei_run::dataset::LaterTable;
/// use cei_run::predict::{PredictOptions, predict_to_files};
///
/// // Momenta of ten events; the positions that stand beside them are not read.
/// # let momenta = folder.path().join("measured.csv");
/// # let simulation = cei_run::config::preset_simulation("ocs-wide")?;
/// # let few = cei_physics::Simulation { events: 10, seed: 8, ..simulation };
/// # let law = cei_run::simulate::Geometries::Law;
/// # cei_run::simulate::simulate_to_file(&few, &law, false, &momenta, |_, _| {})?;
/// let options = PredictOptions {
///     momenta: LaterTable::file(momenta.to_string_lossy()),
///     sums: Default::default(),
///     draws: 20,
///     seed: 0,
///     false_coincidences: None,
///     draws_file: folder.path().join("draws.parquet"),
///     summary_file: Some(folder.path().join("summary.csv")),
///     refine: false,
///     initial_momenta: false,
///     chain_file: None,
///     modes_file: None,
///     report_file: None,
///     report_events: Vec::new(),
///     shard: None,
/// };
/// let told = predict_to_files(&run, &options, cei_model::open_device("cpu")?, |_| {})?;
/// assert_eq!((told.events, told.draws), (10, 20));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn predict_to_files(
    path: &Path,
    options: &PredictOptions,
    device: Device,
    watch: impl FnMut(PredictStep<'_>),
) -> Result<PredictionReport, RunError> {
    let report = predict_in_team(path, options, device, &Team::default(), watch)?;
    Ok(report.unwrap_or_else(|| unreachable!("one process leads itself")))
}

/// The same by the processes of a team, which share the events that are refined. Only the first one writes tables, and knows what
/// was found.
///
/// # Errors
/// As [`predict_to_files`].
pub fn predict_in_team(
    path: &Path,
    options: &PredictOptions,
    device: Device,
    team: &Team,
    mut watch: impl FnMut(PredictStep<'_>),
) -> Result<Option<PredictionReport>, RunError> {
    options.check()?;
    options.check_files(path)?;
    let on = format!("{device:?}");
    with_prediction(path, options, device, &mut watch, |prediction, context, watch| {
        let lock = team.leads().then(|| cei_files::Lock::acquire(&options.draws_file));
        let _lock = lock.transpose()?;
        // Nobody keeps parts before it is known that nobody else does.
        team.meet();
        let parts = Parts::of(prediction, &on)?;
        if !team.leads() {
            return match &parts {
                Some(parts) => prediction.refine_share(parts, team).map(|()| None),
                None => Ok(None),
            };
        }
        let record = shards::records(prediction, &on)?;
        if let Some(parts) = &parts {
            parts.tell(watch);
        }
        let prediction = with_fraction(prediction, parts.as_ref(), watch)?;
        let Prediction { run, tables, refiner, edges, fraction, .. } = prediction;
        let Context { table, gate, remarks, far_out, outside, plausibility } = context;
        let rows = prediction.rows();
        let tell = |found: Found| {
            let preprocessing = &run.record.preprocessing;
            let report = PredictionReport {
                remarks,
                events: rows.len(),
                shard: options.shard,
                draws: options.draws,
                frame: preprocessing.frame_description(),
                unit: run.experiment.columns.x_unit.internal(),
                rotated_back: tables.rotates_back,
                off_constant_events: preprocessing
                    .off_constant_momenta(table.y.slice(s![rows.clone(), ..])),
                law_edge: edges.map(|edges| found.law_edges.report(edges)),
                plausibility: plausibility.cloned(),
                summarised_draws: (options.summary_file.is_some()
                    && options.draws > SUMMARISED_DRAWS)
                    .then_some(SUMMARISED_DRAWS),
                far_out: far_out.iter().map(ToString::to_string).collect(),
                outside: outside.map(|events| OutsideCounts::of(&events[rows.clone()])),
                charge_states: found.refinement.shares(&tables.states),
                refinement: refiner.map(|refiner| found.refinement.report(refiner.has_noise())),
                // The threshold is chosen for all events.
                false_coincidences: match (&fraction, options.shard) {
                    (Some(fraction), None) => Some(found.coincidences.report(fraction)?),
                    _ => None,
                },
                dropped: table.dropped.clone(),
                gate,
            };
            if let Some(kept) = found.kept {
                write_page(run, options, kept, &report, table.y.view())?;
            }
            Ok(report)
        };
        let report = prediction.write(parts.as_ref(), team, watch, tell, record)?;
        parts.map_or(Ok(()), Parts::remove)?;
        Ok(Some(report))
    })
}
