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

use std::path::Path;

use cei_model::Device;

pub use self::options::PopulationOptions;
pub use self::report::{
    Estimate, FalseShare, GroupPopulation, HiddenPeak, Law, PopulationReport, QuantityPopulation,
};
use crate::RunError;
use crate::folder::layout::{POPULATION, POPULATION_SUMMARY, POPULATION_TABLE};
use crate::folder::sealed::write_json;
use crate::predict::{Context, PredictStep, with_prediction};
use groups::Groups;
use parts::{Parts, SampleDraws};
pub(crate) use parts::{Reduced, reduce};
pub(crate) use quantities::Quantities;

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
    options.check()?;
    let folder = &options.folder;
    let predicted = options.predicted();
    predicted.check()?;
    if folder.exists() {
        predicted.check_files(path)?;
    }
    with_prediction(path, &predicted, device, &mut watch, |prediction, context, watch| {
        let Context { table, gate, plausibility, .. } = context;
        let refiner = prediction.refiner.filter(|refiner| refiner.has_noise());
        let quantities = Quantities::of(prediction.run, refiner.is_some())?;
        let groups = Groups::of(&prediction.tables.further, options, table.rows())?;
        curves::check_enough(&groups)?;
        std::fs::create_dir_all(folder).map_err(RunError::io("create", folder))?;
        let _lock = cei_files::Lock::acquire(folder)?;
        let parts = Parts::open(options, prediction, &quantities)?;
        parts.fill(prediction, &quantities, watch)?;
        let SampleDraws { groups: draws, log_evidence, pinned, with_draws, thinned } =
            parts.read(&groups, options)?;
        let against: Option<Vec<f64>> = prediction.coincidences.map(|coincidences| {
            let rows = prediction.y.rows().into_iter().enumerate();
            rows.map(|(event, y)| coincidences.against(&y.to_vec(), event)).collect()
        });
        watch(PredictStep::Inferring { samples: options.bootstraps });
        let against = against.as_deref();
        let groups = curves::infer(draws, &log_evidence, &groups, &quantities, options, against)?;
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
