//! Momenta judged before anything is inferred from them: what is no measurement, which events are outside of training,
//! whether the set is.

use cei_data::extremes::leave_out;
use cei_data::{FarCell, MomentumUnit, Selection, Table};
use ndarray::{Array2, ArrayView2};

use super::far_out::{all_far_out, call_as_run, far_out};
use super::report::Plausibility;
use super::support::{Outside, Support};
use super::training::Training;
use crate::{RunError, TrainedRun};

/// How events compare with training, one by one and as a set; none for a run that does not know.
pub(crate) struct Judged {
    pub(crate) outside: Option<Vec<Outside>>,
    pub(crate) plausibility: Option<Plausibility>,
}

impl Judged {
    /// Judges the momenta `y` (rows x columns of the condition, a.u.; in the file in `unit`), some cells of which are no
    /// measurements.
    pub(crate) fn of(
        run: &TrainedRun,
        support: Option<&Support>,
        y: ArrayView2<'_, f64>,
        unit: &MomentumUnit,
        far_out: &[FarCell],
    ) -> Result<Self, RunError> {
        let Some(support) = support else {
            return Ok(Self { outside: None, plausibility: None });
        };
        let momenta = run.record.preprocessing.momenta_of(y);
        let mut outside = support.judge(&run.record.preprocessing, y)?;
        for cell in far_out {
            outside[cell.row] = Outside { far_out: true, ..Outside::default() };
        }
        let plausibility = Training::of_run(run, support, unit).judge(momenta, Some(&outside));
        Ok(Self { outside: Some(outside), plausibility: Some(plausibility) })
    }
}

/// Sets events with momenta that are no measurements aside, so that they do not stop the others: with `drop_invalid`
/// they are left out, otherwise they get the momenta of another event, for the arithmetic alone. Gives their cells. The ions
/// of all events are then called as the run calls them.
pub(crate) fn set_aside(
    run: &TrainedRun,
    table: &mut Table,
    selection: &Selection,
    drop_invalid: bool,
) -> Result<Vec<FarCell>, RunError> {
    let cells = found_and_set_aside(run, table, selection, drop_invalid)?;
    call_as_run(run, table);
    Ok(cells)
}

fn found_and_set_aside(
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
        return Err(all_far_out(run, table, selection, first, cells.len()));
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

/// Gives events whose charges are not known those of the nearest training events, by which they are judged.
pub(crate) fn choose_charges(
    run: &TrainedRun,
    support: Option<&Support>,
    y: &mut Array2<f64>,
) -> Result<(), RunError> {
    let Some(simulation) = &run.record.simulation else { return Ok(()) };
    let states = simulation.charge_states()?;
    let charges: Vec<&[f64]> = states.iter().map(|state| state.molecule.charges()).collect();
    if let Some(support) = support {
        support.choose_charges(&run.record.preprocessing, y, &charges)?;
    }
    Ok(())
}
