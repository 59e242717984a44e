//! Jacobians of explosions in two steps, by central differences of order 4 along the directions that symmetry leaves.

use ndarray::{Array2, Array3, ArrayView2, Axis};
use rayon::prelude::*;

use super::accuracy::{Accuracy, Mode};
use super::directions::Directions;
use super::error::ExplosionError;
use super::exploder::{Exploder, Given};
use super::sequential::Sequential;

/// Steps of a central difference of order 4 and their weights over 12.
const STENCIL: [(f64, f64); 4] = [(1.0, 8.0), (-1.0, -8.0), (2.0, -1.0), (-2.0, 1.0)];
/// The step of a difference of positions, bohr.
const DIFFERENCE_BOHR: f64 = 2e-3;

/// Momenta (rows, 3N) and Jacobians (rows, 3N, inputs) of rows (rows, inputs); NaN where there is no result.
///
/// # Errors
/// None but those of [`Exploder::new`].
pub(super) fn linearised(
    exploder: &Exploder<'_>,
    law: &Sequential,
    rows: ArrayView2<'_, f64>,
) -> Result<(Array2<f64>, Array3<f64>), ExplosionError> {
    let columns = 3 * exploder.ions.molecule.atom_count();
    let mut momenta = Array2::from_elem((rows.nrows(), columns), f64::NAN);
    let mut jacobians = Array3::from_elem((rows.nrows(), columns, exploder.inputs()), f64::NAN);
    // Differences need more digits than momenta.
    let (tolerance, tail) = match exploder.accuracy.mode {
        Mode::Fast | Mode::Rough => (1e-8, 1e-4),
        Mode::Precise | Mode::Reference => (1e-12, 1e-6),
    };
    let tolerance = exploder.accuracy.tolerance.min(tolerance);
    let tail = exploder.accuracy.tail.min(tail);
    let accuracy = Accuracy { mode: Mode::Precise, tolerance, tail, ..exploder.accuracy.clone() };
    let exact = Exploder::new(exploder.ions.molecule, &exploder.dynamics, &accuracy)?;
    let each = momenta.axis_iter_mut(Axis(0)).into_par_iter();
    let each = each.zip(jacobians.axis_iter_mut(Axis(0)).into_par_iter());
    each.zip(rows.axis_iter(Axis(0)).into_par_iter()).for_each(
        |((mut momenta, mut jacobian), row)| {
            let row = row.to_vec();
            if let Some((own, of_row)) = vary(&exact, law, &row) {
                momenta.iter_mut().zip(own).for_each(|(to, from)| *to = from);
                jacobian.iter_mut().zip(of_row).for_each(|(to, from)| *to = from);
            }
        },
    );
    Ok((momenta, jacobians))
}

/// Momenta and Jacobian (3N lines of inputs) of one row; none where there are none.
fn vary(exact: &Exploder<'_>, law: &Sequential, row: &[f64]) -> Option<(Vec<f64>, Vec<f64>)> {
    let (columns, width) = (3 * exact.ions.molecule.atom_count(), row.len());
    let (at, own) = row.split_at(columns);
    exact.ions.check_row(at, &vec![0.0; columns]).ok()?;
    let mut found = Directions::of_rows(&[at], law.scales()).swap_remove(0);
    let steps = law.steps(own);
    // The row itself, and then four rows about it along each direction and for each of its own numbers.
    let (mut positions, mut numbers) = (at.to_vec(), own.to_vec());
    for direction in found.unknown.chunks_exact(columns) {
        for (step, _) in STENCIL {
            let moved = at.iter().zip(direction).map(|(x, v)| x + step * DIFFERENCE_BOHR * v);
            positions.extend(moved);
            numbers.extend(own);
        }
    }
    for (place, size) in steps.iter().enumerate() {
        for (step, _) in STENCIL {
            positions.extend(at);
            let moved = own.iter().enumerate();
            numbers.extend(moved.map(|(k, x)| if k == place { x + step * size } else { *x }));
        }
    }
    let mut ends = vec![f64::NAN; positions.len()];
    let given = Given { positions: &positions, numbers: &numbers, initial_momenta: None };
    exact.explode_rows(given, &mut ends);
    let (momenta, moved) = ends.split_at(columns);
    let directions = found.unknown.len() / columns;
    let sizes = std::iter::repeat_n(&DIFFERENCE_BOHR, directions).chain(&steps);
    let slopes = moved.chunks_exact(4 * columns).zip(sizes).flat_map(|(ends, size)| {
        let sum = move |component: usize| -> f64 {
            let ends = STENCIL.iter().zip(ends.chunks_exact(columns));
            ends.map(|((_, weight), end)| weight * end[component]).sum()
        };
        (0..columns).map(move |component| sum(component) / (12.0 * size))
    });
    let slopes: Vec<f64> = slopes.collect();
    let (along, by_number) = slopes.split_at(directions * columns);
    let mut jacobian = vec![0.0; columns * width];
    found.change((at, &[]), momenta, &[]);
    found.jacobian(along, width, &mut jacobian);
    for (place, by_number) in by_number.chunks_exact(columns).enumerate() {
        for (line, slope) in jacobian.chunks_exact_mut(width).zip(by_number) {
            line[columns + place] = *slope;
        }
    }
    let is_whole = jacobian.iter().all(|slope| slope.is_finite());
    is_whole.then(|| (momenta.to_vec(), jacobian))
}
