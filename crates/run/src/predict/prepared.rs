//! What a prediction begins with: the run, the events of the file, how they compare with training, what refines them.

use std::path::Path;

use cei_data::{FarCell, Gated, Table};
use cei_model::Device;

use super::coincidences::Coincidences;
use super::columns::pass_on;
use super::options::{PredictOptions, PredictStep};
use super::prediction::Prediction;
use super::sums;
use super::tables::Tables;
use crate::dataset::{GivenCharges, Loaded};
use crate::plausibility::{
    Judged, LawEdges, Outside, Plausibility, Support, choose_charges, set_aside,
};
use crate::refine::Refiner;
use crate::{RunError, TrainedRun};

/// What is known of a file before its events are drawn.
pub(crate) struct Context<'a> {
    pub(crate) table: &'a Table,
    pub(crate) gate: Option<Gated>,
    pub(crate) remarks: Vec<String>,
    pub(crate) far_out: &'a [FarCell],
    pub(crate) outside: Option<&'a [Outside]>,
    pub(crate) plausibility: Option<&'a Plausibility>,
}

/// Does `work` with all that is ready before the first event is drawn. The options are checked.
pub(crate) fn with_prediction<T, W: FnMut(PredictStep<'_>)>(
    path: &Path,
    options: &PredictOptions,
    device: Device,
    watch: &mut W,
    work: impl FnOnce(&Prediction<'_>, Context<'_>, &mut W) -> Result<T, RunError>,
) -> Result<T, RunError> {
    let mut run = TrainedRun::load(path, device)?;
    if options.refine {
        run.draw_from_prior();
    }
    let Loaded { mut table, source, selection } = options.momenta.load(&run, false)?;
    watch(PredictStep::Read(&table.readings));
    let (gate, said) = sums::apply(&options.sums, &run, &mut table, &selection)?;
    let far_out = set_aside(&run, &mut table, &selection, source.drop_invalid)?;
    let support = Support::load(&run)?;
    if options.momenta.columns.charges == GivenCharges::Unknown {
        choose_charges(&run, support.as_ref(), &mut table.y)?;
    }
    let Judged { outside, plausibility } =
        Judged::of(&run, support.as_ref(), table.y.view(), &selection.y_unit, &far_out)?;
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
    let coincidences = Coincidences::of(
        &run,
        refiner.as_ref(),
        options.false_coincidences.as_ref(),
        &options.sums,
        table.y.view(),
    )?;
    tables.has_coincidences = coincidences.is_some();
    let remarks = said.into_iter().chain(pass_on(further, &mut tables)).collect();
    let prediction = Prediction {
        run: &run,
        options,
        tables: &tables,
        refiner: refiner.as_ref(),
        edges: edges.as_ref(),
        coincidences: coincidences.as_ref(),
        fraction: None,
        y: table.y.view(),
        shard: options.shard,
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
