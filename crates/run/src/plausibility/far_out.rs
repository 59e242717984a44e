//! Momenta that no training row is anywhere near: no measurements, or a file of another kind than that of the training.

use cei_data::{FarCell, Selection, Table, extremes};

use super::report::Cause;
use super::support::Support;
use super::training::Training;
use crate::{RunError, TrainedRun};

/// Cells of a table that no training row is anywhere near: named as an error, or left out with `drop_invalid`. The ions of the
/// others are then called as the run calls them.
///
/// # Errors
/// The first such cell.
pub(crate) fn refuse_far_out(
    run: &TrainedRun,
    table: &mut Table,
    selection: &Selection,
    drop_invalid: bool,
) -> Result<(), RunError> {
    let cells = far_out(run, table, selection);
    if !drop_invalid
        && 2 * cells.len() <= table.rows()
        && let Some(first) = cells.first()
    {
        let more = cells.len() - 1;
        return Err(cei_data::LoadError::FarOut { cell: Box::new(first.clone()), more }.into());
    }
    if (!drop_invalid || cells.len() == table.rows())
        && let Some(first) = cells.first()
    {
        return Err(all_far_out(run, table, selection, first, cells.len()));
    }
    extremes::leave_out(table, &cells);
    call_as_run(run, table);
    Ok(())
}

/// Where the run exchanges ions alike at will, calls them by their momenta.
pub(super) fn call_as_run(run: &TrainedRun, table: &mut Table) {
    if let Some(alike) = run.record.preprocessing.alike() {
        table.order_alike(alike.clone());
    }
}

/// The error of a table whose momenta are far from those of all training rows, `count` of them, with the likely cause.
pub(crate) fn all_far_out(
    run: &TrainedRun,
    table: &Table,
    selection: &Selection,
    first: &FarCell,
    count: usize,
) -> RunError {
    let support = match Support::load(run) {
        Ok(support) => support,
        Err(error) => return error,
    };
    let momenta = run.record.preprocessing.momenta_of(table.y.view());
    let judged = support
        .map(|support| Training::of_run(run, &support, &selection.y_unit).judge(momenta, None));
    let cause = match judged.and_then(|judged| judged.cause) {
        None | Some(Cause::Unknown { .. }) => {
            "unknown\nhint: are they in the unit of the training table, and its columns in the same order?"
                .to_owned()
        }
        Some(cause) => cause.in_words(),
    };
    RunError::AllFarOut { cell: Box::new(first.clone()), count, cause }
}

/// Cells, one of each row, that no training row is anywhere near.
pub(crate) fn far_out(run: &TrainedRun, table: &Table, selection: &Selection) -> Vec<FarCell> {
    let spreads = run.record.support.as_ref().and_then(|support| support.spreads.as_ref());
    spreads.map_or_else(Vec::new, |spreads| spreads.absurd(table, selection))
}
