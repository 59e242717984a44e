//! Momentum sums of a table: events outside a gate are left out, the motion of the centre of mass is taken out.

use ndarray::ArrayView1;

use crate::error::{LoadError, Reason};
use crate::load::{DropCause, Table};
use crate::missing::is_incomplete;
use crate::sum_gate::{CentreOfMass, Gated, SumOptions, remove_motion, sum_of};

/// Leaves out the rows of a table whose momentum sums are not accepted, which keep their numbers as other dropped rows do,
/// and takes the motion of the centre of mass out of the others. The first columns of `y` are momenta in a.u., three
/// for each of `masses` (any unit). Events with missing ions have no sum: they pass every gate.
///
/// # Errors
/// A gate that accepts no event; motion to be taken out of events with missing ions.
pub fn apply_sums(
    options: &SumOptions,
    table: &mut Table,
    masses: &[f64],
) -> Result<Option<Gated>, LoadError> {
    let components = 3 * masses.len();
    let sum = |row: ArrayView1<'_, f64>| sum_of(row.iter().copied().take(components));
    let gated = options.gate.map(|gate| {
        let sums: Vec<[f64; 3]> = table.y.rows().into_iter().map(sum).collect();
        let is_outside = |&row: &usize| !gate.accepts(sums[row]) && !sums[row][0].is_nan();
        let outside: Vec<usize> = (0..sums.len()).filter(is_outside).collect();
        let (events, dropped) = (sums.len() as u64, outside.len() as u64);
        if events == dropped {
            let length = |sum: &[f64; 3]| sum.iter().map(|p| p * p).sum::<f64>().sqrt();
            let least = sums.iter().map(length).fold(f64::INFINITY, f64::min);
            return Err(LoadError::Gate { files: table.files.clone(), gate, events, least });
        }
        if dropped > 0 {
            table.leave_out(&outside);
            let (reason, column) = (Reason::MomentumSum, None);
            table.dropped.causes.push(DropCause { reason, column, count: dropped });
        }
        Ok(Gated { gate_au: gate, events, dropped })
    });
    let gated = gated.transpose()?;
    if options.centre_of_mass == CentreOfMass::Removed {
        if table.momenta().rows().into_iter().any(is_incomplete) {
            return Err(LoadError::NoSums {
                file: table.files.first().cloned().unwrap_or_default(),
                missing: "ions are missing in some of its events",
                hint: "keep the motion, `--centre-of-mass kept`, or leave these events out",
            });
        }
        for mut row in table.y.rows_mut() {
            let sum = sum(row.view());
            remove_motion(row.iter_mut(), masses, sum);
        }
    }
    Ok(gated)
}
