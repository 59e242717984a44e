//! The exact Jacobian of final momenta by initial positions, for explosions from rest.
//!
//! What symmetry says is not integrated: moving all ions changes nothing, turning them by `w` turns the
//! momenta (`w x p`), and stretching the geometry by `1 + e` changes them by `-e p / 2` (energies go with the
//! inverse of length). These directions are made orthonormal, `q_k`, their changes with them, and completed by
//! `3N - 7` directions that are (`convoy::variation`). Then `J = sum_k (dp / dq_k) q_k^T`.
//!
//! Turning a nearly linear molecule about its axis moves it little, and dividing by that would lose digits:
//! there rotations are not used and `3N - 4` directions are integrated. Charges that take time have a scale of
//! their own: the stretch is no symmetry then, and is one of the directions that are integrated.

use ndarray::{Array2, Array3, ArrayView2, Axis, s};
use rayon::prelude::*;

use super::accuracy::Accuracy;
use super::convoy::variation::{Variations, explode_varied};
use super::convoy::{Goal, charging};
use super::directions::{Directions, symmetries};
use super::error::ExplosionError;
use super::exploder::{CHUNK, Exploder, FROM_REST};
use super::in_steps::linearised;
use super::own::Scaling;
use crate::charging::Charging;
use crate::error::SimulationConfigError;
use crate::molecule::{MAX_ATOMS, Molecule};
use crate::units::TIME_AU_FS;

/// The step of finite differences in bohr for events that the lanes do not take.
const DIFFERENCE_BOHR: f64 = 2e-3;
/// The same for momenta at the start, as a part of the largest momentum at the end.
const DIFFERENCE_OF_MOMENTUM: f64 = 5e-5;
/// The same for a rate of transfer, as a part of it.
const DIFFERENCE_OF_RATE: f64 = 1e-3;

/// Explodes every row of `positions` (rows, 3N; bohr) from rest, in parallel, into momenta (rows, 3N; a.u.) and
/// their Jacobians (rows, 3N, 3N; a.u. per bohr; entry `[row, i, k]` is `dp_i / dx_k`). The charges are there at
/// once; for others see [`Exploder`].
///
/// Rows that cannot be exploded are NaN in both. Jacobians are as precise as the momenta, relative to the
/// event's largest entry, where all ions repel each other. With attraction, neutral atoms or
/// [`super::Mode::Reference`] they are central differences of order 4, right to about 1e-7. The
/// momenta are those of [`super::explode_all`] up to the integration's own error.
///
/// # Errors
/// As [`super::explode_all`].
///
/// ```
/// use cei_physics::{Accuracy, AtomSpec, Molecule, explode_linearised};
/// use ndarray::array;
///
/// let pair = Molecule::new(vec![AtomSpec::new("C", 1.0), AtomSpec::new("O", 1.0)])?;
/// let rows = array![[0.0, 0.0, 0.0, 2.0, 0.0, 0.0]];
/// let (momenta, jacobian) = explode_linearised(&pair, rows.view(), &Accuracy::default())?;
/// // p is proportional to r^(-1/2), so that dp/dr = -p / 2r.
/// let (p, slope) = (momenta[[0, 3]], jacobian[[0, 3, 3]]);
/// assert!((slope + p / 4.0).abs() < 1e-6 * p);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[allow(clippy::needless_pass_by_value, reason = "a view is a reference already")]
pub fn explode_linearised(
    molecule: &Molecule,
    positions: ArrayView2<'_, f64>,
    accuracy: &Accuracy,
) -> Result<(Array2<f64>, Array3<f64>), ExplosionError> {
    Exploder::new(molecule, &Charging::default(), accuracy)?.explode_linearised(positions)
}

impl Exploder<'_> {
    /// Momenta (rows, 3N) and Jacobians (rows, 3N, [`Self::inputs`]) of every row (rows, [`Self::inputs`]), as the
    /// function [`explode_linearised`].
    ///
    /// # Errors
    /// [`ExplosionError::Components`] for another number of columns.
    #[allow(clippy::needless_pass_by_value, reason = "a view is a reference already")]
    pub fn explode_linearised(
        &self,
        rows: ArrayView2<'_, f64>,
    ) -> Result<(Array2<f64>, Array3<f64>), ExplosionError> {
        let Varied { momenta, by_input, .. } = self.varied(rows, None)?;
        Ok((momenta, by_input))
    }

    /// The same for ions that move at the start with `initial_momenta` (rows, 3N; a.u.) whose sum is zero in each row, and
    /// how the final momenta change with these.
    ///
    /// # Errors
    /// [`ExplosionError::Components`] for another number of columns, or another number of rows.
    #[allow(clippy::needless_pass_by_value, reason = "a view is a reference already")]
    pub fn explode_varied(
        &self,
        rows: ArrayView2<'_, f64>,
        initial_momenta: ArrayView2<'_, f64>,
    ) -> Result<Varied, ExplosionError> {
        self.check_initial(rows.nrows(), initial_momenta.dim())?;
        self.varied(rows, Some(initial_momenta))
    }

    /// From rest without `initial`, and then without derivatives by momenta at the start.
    fn varied(
        &self,
        rows: ArrayView2<'_, f64>,
        initial: Option<ArrayView2<'_, f64>>,
    ) -> Result<Varied, ExplosionError> {
        self.check_inputs(rows.ncols())?;
        if let Some(law) = &self.sequential {
            if initial.is_some() {
                return Err(SimulationConfigError::Sequential { what: FROM_REST }.into());
            }
            let (momenta, by_input) = linearised(self, law, rows)?;
            let by_kick = Array3::zeros((rows.nrows(), momenta.ncols(), 0));
            return Ok(Varied { momenta, by_input, by_kick });
        }
        let initial = initial.map(|initial| initial.as_standard_layout().into_owned());
        if self.own.names.is_empty() {
            return Ok(self.vary_all(rows, initial.as_ref(), None));
        }
        // By the one law of all; `x' = l x`, `p = sqrt(l) p'` at the start and at the end, `R' = R / l^(3/2)`.
        let columns = 3 * self.ions.molecule.atom_count();
        let (positions, numbers) = self.divided(rows);
        let each: Vec<Scaling> =
            numbers.chunks_exact(self.own.names.len()).map(|row| self.own.scaling(row)).collect();
        let mut stretched = positions.into_owned();
        for (mut row, Scaling { stretch, .. }) in stretched.rows_mut().into_iter().zip(&each) {
            row *= *stretch;
        }
        let mut slowed = initial.clone();
        let slowed_rows = slowed.iter_mut().flat_map(|initial| initial.rows_mut());
        for (mut row, Scaling { stretch, .. }) in slowed_rows.zip(&each) {
            row /= stretch.sqrt();
        }
        let transfers = self.own.transfers(&each);
        let mut varied = self.vary_all(stretched.view(), slowed.as_ref(), transfers.as_deref());
        let mut by_input = Array3::zeros((rows.nrows(), columns, self.inputs()));
        let (has_time, rate_place) = self.own.places();
        for (index, (numbers, Scaling { stretch, .. })) in
            numbers.chunks_exact(self.own.names.len()).zip(&each).enumerate()
        {
            let mut momenta = varied.momenta.row_mut(index);
            momenta *= stretch.sqrt();
            let mut of_row = by_input.index_axis_mut(Axis(0), index);
            let (mut by_position, mut by_number) = of_row.view_mut().split_at(Axis(1), columns);
            let found = varied.by_input.index_axis(Axis(0), index);
            by_position.assign(&found.slice(s![.., ..columns]));
            by_position *= stretch.powf(1.5);
            // By the rate, 1/fs.
            let by_rate =
                transfers.is_some().then(|| &found.column(columns) * (TIME_AU_FS / stretch));
            if let (Some(place), Some(by_rate)) = (rate_place, &by_rate) {
                by_number.column_mut(place).assign(by_rate);
            }
            if has_time {
                let mut slope = by_position.dot(&rows.slice(s![index, ..columns])) + &momenta * 0.5;
                if let Some(initial) = &initial {
                    let by_kick = varied.by_kick.index_axis(Axis(0), index);
                    slope -= &(by_kick.dot(&initial.slice(s![index, ..columns - 3])) * 0.5);
                }
                if let (Some(rate), Some(by_rate)) = (self.own.rate(numbers), &by_rate) {
                    slope -= &(by_rate * (1.5 * rate));
                }
                by_number.column_mut(0).assign(&(slope * (-2.0 / (3.0 * numbers[0]))));
            }
        }
        varied.by_input = by_input;
        Ok(varied)
    }

    /// The same of positions alone, by the one law of all; with rates of transfer (1/a.u. of time) `by_input` has the
    /// derivatives by these behind those by the positions.
    fn vary_all(
        &self,
        positions: ArrayView2<'_, f64>,
        initial: Option<&Array2<f64>>,
        transfers: Option<&[f64]>,
    ) -> Varied {
        let (rows, columns) = positions.dim();
        let positions = positions.as_standard_layout();
        let kicks = if initial.is_some() { columns - 3 } else { 0 };
        let inputs = columns + usize::from(transfers.is_some());
        let mut varied = Varied {
            momenta: Array2::from_elem((rows, columns), f64::NAN),
            by_input: Array3::from_elem((rows, columns, inputs), f64::NAN),
            by_kick: Array3::from_elem((rows, columns, kicks), f64::NAN),
        };
        let none = Array2::zeros((rows, 0));
        let mut parts: Vec<Parts<'_>> = Vec::with_capacity(rows.div_ceil(CHUNK));
        let Varied { momenta, by_input, by_kick } = &mut varied;
        let chunks = momenta
            .axis_chunks_iter_mut(Axis(0), CHUNK)
            .zip(by_input.axis_chunks_iter_mut(Axis(0), CHUNK))
            .zip(by_kick.axis_chunks_iter_mut(Axis(0), CHUNK))
            .zip(positions.axis_chunks_iter(Axis(0), CHUNK))
            .zip(initial.unwrap_or(&none).axis_chunks_iter(Axis(0), CHUNK));
        for (part, ((((momenta, by_input), by_kick), positions), initial)) in chunks.enumerate() {
            let transfers =
                transfers.map(|all| &all[part * CHUNK..all.len().min((part + 1) * CHUNK)]);
            if let (Some(momenta), Some(by_input), Some(by_kick), Some(positions), Some(initial)) = (
                momenta.into_slice(),
                by_input.into_slice(),
                by_kick.into_slice(),
                positions.to_slice(),
                initial.to_slice(),
            ) {
                parts.push(Parts { positions, initial, transfers, momenta, by_input, by_kick });
            }
        }
        parts.into_par_iter().for_each(|part| self.vary(part));
        varied
    }

    /// Explodes rows into momenta and derivatives, which must come as NaN.
    fn vary(&self, part: Parts<'_>) {
        let Parts { positions, initial, transfers, momenta, by_input, by_kick } = part;
        let columns = 3 * self.ions.molecule.atom_count();
        let at_rest = [0.0; 3 * MAX_ATOMS];
        let moves = !initial.is_empty();
        let row = |index: usize| {
            let span = index * columns..(index + 1) * columns;
            let initial = if moves { &initial[span.clone()] } else { &at_rest[..columns] };
            (&positions[span], initial)
        };
        let stretch = self.ions.law.is_none();
        let unknown = |rotations| columns - symmetries(stretch, rotations).count();
        let kicks = if moves { balanced_kicks(columns) } else { Vec::new() };
        let kick_count = kicks.len() / columns;
        let rate_count = usize::from(transfers.is_some());
        let stride = unknown(false) + rate_count + kick_count;
        let rows = positions.len() / columns;
        let mut flat = vec![0.0; rows * stride * columns];
        let is_sound = |index: &usize| {
            let (positions, initial) = row(*index);
            self.ions.check_row(positions, initial).is_ok()
        };
        let sound: Vec<usize> = (0..rows).filter(is_sound).collect();
        let positions_of: Vec<&[f64]> = sound.iter().map(|index| row(*index).0).collect();
        let mut directions: Vec<Option<Directions>> = (0..rows).map(|_| None).collect();
        for (index, found) in sound.into_iter().zip(Directions::of_rows(&positions_of, stretch)) {
            let start = index * stride * columns;
            flat[start..start + found.unknown.len()].copy_from_slice(&found.unknown);
            // That of the rate moves nothing.
            let split = start + found.unknown.len() + rate_count * columns;
            flat[split..split + kicks.len()].copy_from_slice(&kicks);
            directions[index] = Some(found);
        }
        let mut changes = vec![0.0; flat.len()];
        let mut left = Vec::new();
        for uses_rotations in [true, false] {
            let is_one = |index: &usize| {
                directions[*index].as_ref().is_some_and(|d| d.uses_rotations == uses_rotations)
            };
            let queue: Vec<usize> = (0..rows).filter(is_one).collect();
            let rows = Variations {
                positions,
                initial_momenta: moves.then_some(initial),
                directions: &flat,
                stride,
                tangents: unknown(uses_rotations) + rate_count + kick_count,
                kicks: kick_count,
                transfers,
                by_transfer: transfers.is_some(),
            };
            left.extend(self.vary_in_lanes(&rows, queue, momenta, &mut changes));
        }
        for index in left {
            let Some(found) = &directions[index] else { continue };
            let span = index * stride * columns..(index + 1) * stride * columns;
            let tangents = found.unknown.len() / columns + rate_count + kick_count;
            let flat = &flat[span.clone()][..tangents * columns];
            let changes = &mut changes[span][..tangents * columns];
            let momenta = &mut momenta[index * columns..(index + 1) * columns];
            let transfer = transfers.map(|transfers| transfers[index]);
            let row = row(index);
            if self.differences(row, transfer, flat, kick_count, momenta, changes).is_err() {
                momenta.fill(f64::NAN);
                directions[index] = None;
            }
        }
        for (index, found) in directions.iter_mut().enumerate() {
            let Some(found) = found else { continue };
            let changes = &changes[index * stride * columns..(index + 1) * stride * columns];
            let momenta = &momenta[index * columns..(index + 1) * columns];
            let lines = |width: usize| index * columns * width..(index + 1) * columns * width;
            let of_row = Derivatives {
                by_input: &mut by_input[lines(columns + rate_count)],
                by_kick: &mut by_kick[lines(kick_count)],
            };
            of_row.gather(found, row(index), momenta, changes);
        }
    }

    /// Varies the rows of a queue in the lanes; returns those that did not end, all of them without lanes.
    fn vary_in_lanes(
        &self,
        rows: &Variations<'_>,
        queue: Vec<usize>,
        momenta: &mut [f64],
        changes: &mut [f64],
    ) -> Vec<usize> {
        let Some(arch) = self.arch.filter(|_| !queue.is_empty()) else { return queue };
        let Accuracy { tolerance, tail, max_steps, .. } = self.accuracy;
        let goal = Goal { tolerance, tail, max_steps };
        let molecule = self.ions.molecule;
        match &self.ions.law {
            None => explode_varied(arch, molecule, rows, &queue, goal, momenta, changes),
            Some(law) => charging::variation::explode_varied(
                arch, molecule, law, rows, &queue, goal, momenta, changes,
            ),
        }
    }

    /// Central differences of order 4, one event at a time; the last `kicks` directions are of the momenta at the start.
    fn differences(
        &self,
        (positions, initial): (&[f64], &[f64]),
        transfer: Option<f64>,
        directions: &[f64],
        kicks: usize,
        momenta: &mut [f64],
        changes: &mut [f64],
    ) -> Result<(), ExplosionError> {
        let columns = positions.len();
        let accuracy =
            Accuracy { tolerance: self.accuracy.tolerance.min(1e-12), ..self.accuracy.clone() };
        let fly = |positions: &[f64], initial: &[f64], transfer: Option<f64>| {
            let flight = self.ions.fly_apart(positions, initial, transfer, &accuracy);
            flight.map(|flight| flight.momenta)
        };
        momenta.copy_from_slice(&fly(positions, initial, transfer)?[..columns]);
        let largest = momenta.iter().fold(0.0, |most: f64, p| most.max(p.abs()));
        let tangents = directions.len() / columns;
        let lines = directions.chunks_exact(columns).zip(changes.chunks_exact_mut(columns));
        for (number, (direction, change)) in lines.enumerate() {
            change.fill(0.0);
            let is_kick = number >= tangents - kicks;
            let own = transfer.filter(|_| number + kicks + 1 == tangents);
            let size = match own {
                Some(rate) => DIFFERENCE_OF_RATE * rate,
                None if is_kick => DIFFERENCE_OF_MOMENTUM * largest,
                None => DIFFERENCE_BOHR,
            };
            for (step, weight) in [(1.0, 8.0), (-1.0, -8.0), (2.0, -1.0), (-2.0, 1.0)] {
                let moved = |from: &[f64]| -> Vec<f64> {
                    from.iter().zip(direction).map(|(x, v)| x + step * size * v).collect()
                };
                let end = if let Some(rate) = own {
                    fly(positions, initial, Some(rate + step * size))?
                } else if is_kick {
                    fly(positions, &moved(initial), transfer)?
                } else {
                    fly(&moved(positions), initial, transfer)?
                };
                for (c, p) in change.iter_mut().zip(&end) {
                    *c += weight * p / (12.0 * size);
                }
            }
        }
        Ok(())
    }
}

/// Final momenta of rows, and their derivatives.
#[derive(Debug, Clone)]
pub struct Varied {
    /// Final momenta (rows, 3N) in a.u.
    pub momenta: Array2<f64>,
    /// Entry `[row, i, k]` is `dp_i / dx_k` (rows, 3N, [`Exploder::inputs`]), a.u. per unit of the input.
    pub by_input: Array3<f64>,
    /// Derivatives by momenta at the start whose sum is zero (rows, 3N, 3N - 3), dimensionless: by component k of all atoms
    /// but the last, which balances them. No columns from rest.
    pub by_kick: Array3<f64>,
}

/// Where the derivatives of one row belong: lines of 3N numbers and a rate of transfer, if it is varied, and lines of the
/// kicks.
struct Derivatives<'a> {
    by_input: &'a mut [f64],
    by_kick: &'a mut [f64],
}

impl Derivatives<'_> {
    /// Takes the changes of the final momenta along the unknown directions, by the rate of transfer and by the kicks,
    /// one after another.
    fn gather(
        self,
        found: &mut Directions,
        row: (&[f64], &[f64]),
        momenta: &[f64],
        changes: &[f64],
    ) {
        let columns = momenta.len();
        let (width, kicks) = (self.by_input.len() / columns, self.by_kick.len() / columns);
        let (of_inputs, others) = changes.split_at(found.unknown.len());
        let (of_rate, of_kicks) = others.split_at((width - columns) * columns);
        let of_kicks = &of_kicks[..kicks * columns];
        found.change(row, momenta, of_kicks);
        found.jacobian(of_inputs, width, self.by_input);
        for (line, value) in self.by_input.chunks_exact_mut(width).zip(of_rate) {
            line[columns] = *value;
        }
        for (kick, change) in of_kicks.chunks_exact(columns).enumerate() {
            for (component, value) in change.iter().enumerate() {
                self.by_kick[component * kicks + kick] = *value;
            }
        }
    }
}

/// What one thread works on.
struct Parts<'a> {
    positions: &'a [f64],
    /// Empty at rest.
    initial: &'a [f64],
    transfers: Option<&'a [f64]>,
    momenta: &'a mut [f64],
    by_input: &'a mut [f64],
    by_kick: &'a mut [f64],
}

/// Momenta of one component each, balanced by the last atom: 3N - 3 rows of 3N numbers.
fn balanced_kicks(columns: usize) -> Vec<f64> {
    let mut kicks = vec![0.0; (columns - 3) * columns];
    for (component, kick) in kicks.chunks_exact_mut(columns).enumerate() {
        kick[component] = 1.0;
        kick[columns - 3 + component % 3] = -1.0;
    }
    kicks
}
