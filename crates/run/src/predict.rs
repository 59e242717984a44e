//! From measured momenta to posterior draws and a summary of each event.
//!
//! | in | is |
//! | --- | --- |
//! | `options` | what is asked for, and what is told on the way |
//! | `tables` | which rows each table has, and what is worked out for them |
//! | `columns` | the columns of the tables: names, types, units, meanings, cells |
//! | `output` | a file that is written while the next chunk is drawn |
//! | `chunks` | the events, a chunk after another |
//! | `report` | what is told in the end |
//! | `page` | the page about a prediction |

mod chunks;
mod columns;
mod options;
mod output;
mod page;
mod report;
mod tables;

use std::path::Path;

use cei_data::extremes::leave_out;
use cei_data::{FarCell, Selection, Table};
use cei_model::Device;

pub use self::options::{PredictOptions, PredictStep};
pub use self::report::{OutsideCounts, PredictionReport, RefinementReport, StateShare};
use crate::dataset::{GivenCharges, Loaded};
use crate::plausibility::{
    LawEdges, Outside, Plausibility, Support, Training, all_far_out, far_out,
};
use crate::refine::Refiner;
use crate::{RunError, TrainedRun};
use chunks::{Prediction, SUMMARISED_DRAWS};
use columns::pass_on;
use page::write_page;
use tables::Tables;

/// Draws positions for every event of a momenta file and writes them, chunk by chunk.
///
/// # Errors
/// No trained model, a momenta file that cannot be loaded, no draws, a run whose draws cannot be refined,
/// a file that cannot be written; then no output appears.
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
///     draws: 20,
///     seed: 0,
///     draws_file: folder.path().join("draws.parquet"),
///     summary_file: Some(folder.path().join("summary.csv")),
///     refine: false,
///     initial_momenta: false,
///     chain_file: None,
///     modes_file: None,
///     report_file: None,
///     report_events: Vec::new(),
/// };
/// let told = predict_to_files(&run, &options, cei_model::open_device("cpu")?, |_| {})?;
/// assert_eq!((told.events, told.draws), (10, 20));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn predict_to_files(
    path: &Path,
    options: &PredictOptions,
    device: Device,
    mut watch: impl FnMut(PredictStep<'_>),
) -> Result<PredictionReport, RunError> {
    options.check()?;
    let mut run = TrainedRun::load(path, device)?;
    options.check_files(path)?;
    if options.refine {
        run.draw_from_prior();
    }
    let Loaded { mut table, source, selection } = options.momenta.load(&run, false)?;
    watch(PredictStep::Read(&table.readings));
    let far_out = set_aside(&run, &mut table, &selection, source.drop_invalid)?;
    if options.momenta.columns.charges == GivenCharges::Unknown {
        choose_states(&run, &mut table)?;
    }
    let Judged { outside, plausibility } = Judged::of(&run, &table, &far_out)?;
    if let Some(plausibility) = &plausibility {
        watch(PredictStep::Judged(plausibility));
    }
    let refiner = refiner(&run, options)?;
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
    let remarks = pass_on(further, &mut tables);
    let prediction = Prediction {
        run: &run,
        options,
        tables: &tables,
        refiner: refiner.as_ref(),
        edges: edges.as_ref(),
        y: table.y.view(),
    };
    prediction.write(&mut watch, |found| {
        let preprocessing = &run.record.preprocessing;
        let report = PredictionReport {
            remarks,
            events: table.rows(),
            draws: options.draws,
            frame: preprocessing.frame_description(),
            unit: run.experiment.columns.x_unit.internal(),
            rotated_back: tables.rotates_back,
            off_constant_events: preprocessing.off_constant_momenta(table.y.view()),
            law_edge: edges.as_ref().map(|edges| found.law_edges.report(edges)),
            plausibility,
            summarised_draws: (options.summary_file.is_some() && options.draws > SUMMARISED_DRAWS)
                .then_some(SUMMARISED_DRAWS),
            far_out: far_out.iter().map(ToString::to_string).collect(),
            outside: outside.as_deref().map(OutsideCounts::of),
            charge_states: found.refinement.shares(&tables.states),
            refinement: refiner
                .as_ref()
                .map(|refiner| found.refinement.report(refiner.has_noise())),
            dropped: table.dropped.clone(),
        };
        if let Some(kept) = found.kept {
            write_page(&run, options, kept, &report, table.y.view())?;
        }
        Ok(report)
    })
}

/// What corrects the draws, if that is asked for.
fn refiner<'a>(
    run: &'a TrainedRun,
    options: &PredictOptions,
) -> Result<Option<Refiner<'a>>, RunError> {
    if !options.refine {
        return Ok(None);
    }
    let known = options.momenta.columns.charges != GivenCharges::Unknown;
    let refiner = Refiner::new(run, options.draws, options.draws, options.seed, known)?;
    let refiner = if options.chain_file.is_some() { refiner.with_chain()? } else { refiner };
    Ok(Some(if options.initial_momenta { refiner.with_initial_momenta()? } else { refiner }))
}

/// Gives events whose charges are not known those of the nearest training events, by which they are judged.
fn choose_states(run: &TrainedRun, table: &mut Table) -> Result<(), RunError> {
    let Some(simulation) = &run.record.simulation else { return Ok(()) };
    let states = simulation.charge_states()?;
    let charges: Vec<&[f64]> = states.iter().map(|state| state.molecule.charges()).collect();
    if let Some(support) = Support::load(run)? {
        support.choose_charges(&run.record.preprocessing, &mut table.y, &charges)?;
    }
    Ok(())
}

/// How events compare with training, one by one and as a set; none for a run that does not know.
struct Judged {
    outside: Option<Vec<Outside>>,
    plausibility: Option<Plausibility>,
}

impl Judged {
    fn of(run: &TrainedRun, table: &Table, far_out: &[FarCell]) -> Result<Self, RunError> {
        let Some(support) = Support::load(run)? else {
            return Ok(Self { outside: None, plausibility: None });
        };
        let y = table.y.view();
        let momenta = run.record.preprocessing.momenta_of(y);
        let mut outside = support.judge(&run.record.preprocessing, y)?;
        for cell in far_out {
            outside[cell.row] = Outside { far_out: true, ..Outside::default() };
        }
        let plausibility = Training::of_run(run, &support).judge(momenta, Some(&outside));
        Ok(Self { outside: Some(outside), plausibility: Some(plausibility) })
    }
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
