//! What a prediction begins with: the run, the events of the file, how they compare with training, what refines them.

use std::path::Path;

use cei_data::extremes::leave_out;
use cei_data::{FarCell, Gated, Selection, Table};
use cei_model::Device;

use super::chunks::Prediction;
use super::columns::pass_on;
use super::options::{PredictOptions, PredictStep};
use super::sums;
use super::tables::Tables;
use crate::dataset::{GivenCharges, Loaded};
use crate::plausibility::{
    LawEdges, Outside, Plausibility, Support, Training, all_far_out, far_out,
};
use crate::refine::Refiner;
use crate::{RunError, TrainedRun};

/// What is known of a file before its events are drawn.
pub(super) struct Context<'a> {
    pub(super) table: &'a Table,
    pub(super) gate: Option<Gated>,
    pub(super) remarks: Vec<String>,
    pub(super) far_out: &'a [FarCell],
    pub(super) outside: Option<&'a [Outside]>,
    pub(super) plausibility: Option<&'a Plausibility>,
}

/// Does `work` with all that is ready before the first event is drawn.
pub(super) fn with_prediction<T, W: FnMut(PredictStep<'_>)>(
    path: &Path,
    options: &PredictOptions,
    device: Device,
    watch: &mut W,
    work: impl FnOnce(&Prediction<'_>, Context<'_>, &mut W) -> Result<T, RunError>,
) -> Result<T, RunError> {
    options.check()?;
    let mut run = TrainedRun::load(path, device)?;
    options.check_files(path)?;
    if options.refine {
        run.draw_from_prior();
    }
    let Loaded { mut table, source, selection } = options.momenta.load(&run, false)?;
    watch(PredictStep::Read(&table.readings));
    let (gate, said) = sums::apply(&options.sums, &run, &mut table, &selection)?;
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
    let remarks = said.into_iter().chain(pass_on(further, &mut tables)).collect();
    let prediction = Prediction {
        run: &run,
        options,
        tables: &tables,
        refiner: refiner.as_ref(),
        edges: edges.as_ref(),
        y: table.y.view(),
    };
    let context = Context {
        table: &table,
        gate,
        remarks,
        far_out: &far_out,
        outside: outside.as_deref(),
        plausibility: plausibility.as_ref(),
    };
    work(&prediction, context, watch)
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
