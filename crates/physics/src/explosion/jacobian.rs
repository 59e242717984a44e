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

use ndarray::{Array2, Array3, ArrayView2};
use rayon::prelude::*;

use super::accuracy::Accuracy;
use super::convoy::variation::{Variations, explode_varied};
use super::convoy::{Goal, charging};
use super::error::ExplosionError;
use super::exploder::{CHUNK, Exploder};
use crate::charging::Charging;
use crate::molecule::{MAX_ATOMS, Molecule};
use crate::vector::cross;

/// The least part of the molecule's size that a unit rotation must move it by for the rotation to be used.
const LEAST_TURN: f64 = 0.02;

/// The step of finite differences in bohr for events that the lanes do not take.
const DIFFERENCE_BOHR: f64 = 2e-3;

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
#[allow(clippy::needless_pass_by_value, reason = "a view is a reference already")]
pub fn explode_linearised(
    molecule: &Molecule,
    positions: ArrayView2<'_, f64>,
    accuracy: &Accuracy,
) -> Result<(Array2<f64>, Array3<f64>), ExplosionError> {
    Exploder::new(molecule, &Charging::default(), accuracy)?.explode_linearised(positions)
}

/// Orthonormal directions of one row; the first ones have changes of momenta that symmetry gives.
struct Directions {
    /// Directions one after the other, each of 3N numbers, and as many changes.
    known: Vec<f64>,
    changes: Vec<f64>,
    /// Directions whose changes must be integrated.
    unknown: Vec<f64>,
    /// Numbers of the symmetries behind the known ones, see [`symmetry`].
    symmetries: Vec<usize>,
    uses_rotations: bool,
}

/// Numbers of the symmetries that are used.
fn symmetries(stretch: bool, rotations: bool) -> impl Iterator<Item = usize> {
    (0..7).filter(move |number| match number {
        0..3 => true,
        3 => stretch,
        _ => rotations,
    })
}

impl Directions {
    /// The directions at `positions`; the changes are filled in by [`Self::change`].
    fn new(positions: &[f64], stretch: bool) -> Self {
        let with = Self::orthonormal(positions, stretch, true);
        with.unwrap_or_else(|| {
            // Without rotations nothing is small.
            Self::orthonormal(positions, stretch, false).unwrap_or_else(|| Self {
                known: Vec::new(),
                changes: Vec::new(),
                unknown: Vec::new(),
                symmetries: Vec::new(),
                uses_rotations: false,
            })
        })
    }

    /// `None` if a rotation hardly moves the molecule.
    fn orthonormal(positions: &[f64], stretch: bool, rotations: bool) -> Option<Self> {
        let columns = positions.len();
        let size = {
            let shape = symmetry(positions, 3);
            shape.iter().map(|x| x * x).sum::<f64>().sqrt()
        };
        let mut basis: Vec<f64> = Vec::with_capacity(columns * columns);
        let symmetries: Vec<usize> = symmetries(stretch, rotations).collect();
        for &number in &symmetries {
            let mut vector = symmetry(positions, number);
            let length = orthogonalise(&mut vector, &basis);
            if number > 3 && length < LEAST_TURN * size {
                return None;
            }
            basis.extend(vector.iter().map(|v| v / length));
        }
        let known = basis.len();
        let mut room: Vec<f64> = (0..columns)
            .map(|c| 1.0 - basis[c..].iter().step_by(columns).map(|q| q * q).sum::<f64>())
            .collect();
        while basis.len() < columns * columns {
            let most = (0..columns).fold(0, |best, c| if room[c] > room[best] { c } else { best });
            let mut vector = vec![0.0; columns];
            vector[most] = 1.0;
            let length = orthogonalise(&mut vector, &basis);
            for (room, v) in room.iter_mut().zip(&vector) {
                *room -= (v / length).powi(2);
            }
            basis.extend(vector.iter().map(|v| v / length));
        }
        let unknown = basis.split_off(known);
        let changes = Vec::new();
        Some(Self { known: basis, changes, unknown, symmetries, uses_rotations: rotations })
    }

    /// Fills in the changes of the known directions by the same elimination that made them orthonormal.
    fn change(&mut self, positions: &[f64], momenta: &[f64]) {
        let columns = positions.len();
        for (place, &number) in self.symmetries.iter().enumerate() {
            let vector = symmetry(positions, number);
            let mut change = change_by_symmetry(momenta, number);
            let along = |k: usize| {
                let q = &self.known[k * columns..(k + 1) * columns];
                q.iter().zip(&vector).map(|(q, v)| q * v).sum::<f64>()
            };
            for k in 0..place {
                let part = along(k);
                let before = &self.changes[k * columns..(k + 1) * columns];
                for (c, b) in change.iter_mut().zip(before) {
                    *c -= part * b;
                }
            }
            let length = along(place);
            self.changes.extend(change.iter().map(|c| c / length));
        }
    }
}

/// Subtracts the parts of `vector` along the orthonormal `basis`, twice because once leaves round-off, and
/// returns the length of what is left.
fn orthogonalise(vector: &mut [f64], basis: &[f64]) -> f64 {
    for _ in 0..2 {
        for q in basis.chunks_exact(vector.len()) {
            let part: f64 = q.iter().zip(&*vector).map(|(q, v)| q * v).sum();
            for (v, q) in vector.iter_mut().zip(q) {
                *v -= part * q;
            }
        }
    }
    vector.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// Change of positions under a translation along axis 0 to 2, a stretch (3), a rotation about axis 0 to 2 (4 to
/// 6), the latter about the centroid.
fn symmetry(positions: &[f64], number: usize) -> Vec<f64> {
    let atoms = (positions.len() / 3) as f64;
    if number < 3 {
        return (0..positions.len()).map(|c| if c % 3 == number { 1.0 } else { 0.0 }).collect();
    }
    let centroid: [f64; 3] =
        std::array::from_fn(|axis| positions[axis..].iter().step_by(3).sum::<f64>() / atoms);
    let centred = positions.iter().enumerate().map(|(c, x)| x - centroid[c % 3]);
    if number == 3 { centred.collect() } else { turned(&centred.collect::<Vec<_>>(), number - 4) }
}

/// What the same does to the momenta.
fn change_by_symmetry(momenta: &[f64], number: usize) -> Vec<f64> {
    match number {
        0..3 => vec![0.0; momenta.len()],
        3 => momenta.iter().map(|p| -0.5 * p).collect(),
        _ => turned(momenta, number - 4),
    }
}

/// `e_axis x v` for every vector of a row.
fn turned(row: &[f64], axis: usize) -> Vec<f64> {
    let mut omega = [0.0; 3];
    omega[axis] = 1.0;
    row.chunks_exact(3).flat_map(|v| cross(omega, [v[0], v[1], v[2]])).collect()
}

impl Exploder<'_> {
    /// Momenta and Jacobians of every row, as the function [`explode_linearised`].
    ///
    /// # Errors
    /// [`ExplosionError::Components`] if the number of columns is not 3N.
    #[allow(clippy::needless_pass_by_value, reason = "a view is a reference already")]
    pub fn explode_linearised(
        &self,
        positions: ArrayView2<'_, f64>,
    ) -> Result<(Array2<f64>, Array3<f64>), ExplosionError> {
        let columns = self.check_columns(positions.ncols())?;
        let rows = positions.nrows();
        let positions = positions.as_standard_layout();
        let mut momenta = Array2::from_elem((rows, columns), f64::NAN);
        let mut jacobians = Array3::from_elem((rows, columns, columns), f64::NAN);
        if let (Some(positions), Some(momenta), Some(jacobians)) =
            (positions.as_slice(), momenta.as_slice_mut(), jacobians.as_slice_mut())
        {
            let chunk = CHUNK * columns;
            momenta
                .par_chunks_mut(chunk)
                .zip(jacobians.par_chunks_mut(chunk * columns))
                .zip(positions.par_chunks(chunk))
                .for_each(|((momenta, jacobians), rows)| self.linearise(rows, momenta, jacobians));
        }
        Ok((momenta, jacobians))
    }

    /// Explodes rows from rest into momenta and Jacobians, which must come as NaN.
    fn linearise(&self, positions: &[f64], momenta: &mut [f64], jacobians: &mut [f64]) {
        let columns = 3 * self.ions.molecule.atom_count();
        let at_rest = [0.0; 3 * MAX_ATOMS];
        let row = |index: usize| &positions[index * columns..(index + 1) * columns];
        let stretch = self.ions.law.is_none();
        let known = |rotations| symmetries(stretch, rotations).count();
        let stride = columns - known(false);
        let rows = positions.len() / columns;
        let mut directions: Vec<Option<Directions>> = Vec::with_capacity(rows);
        let mut flat = vec![0.0; rows * stride * columns];
        for index in 0..rows {
            let sound = self.ions.check_row(row(index), &at_rest[..columns]).is_ok();
            let found = sound.then(|| Directions::new(row(index), stretch));
            if let Some(found) = &found {
                let start = index * stride * columns;
                flat[start..start + found.unknown.len()].copy_from_slice(&found.unknown);
            }
            directions.push(found);
        }
        let mut changes = vec![0.0; flat.len()];
        let mut left = Vec::new();
        for uses_rotations in [true, false] {
            let is_one = |index: &usize| {
                directions[*index].as_ref().is_some_and(|d| d.uses_rotations == uses_rotations)
            };
            let queue: Vec<usize> = (0..rows).filter(is_one).collect();
            let Some(arch) = self.arch.filter(|_| !queue.is_empty()) else {
                left.extend(queue);
                continue;
            };
            let tangents = columns - known(uses_rotations);
            let rows = Variations { positions, directions: &flat, stride, tangents };
            let Accuracy { tolerance, tail, max_steps, .. } = self.accuracy;
            let goal = Goal { tolerance, tail, max_steps };
            let molecule = self.ions.molecule;
            left.extend(match &self.ions.law {
                None => explode_varied(arch, molecule, &rows, &queue, goal, momenta, &mut changes),
                Some(law) => charging::variation::explode_varied(
                    arch,
                    molecule,
                    law,
                    &rows,
                    &queue,
                    goal,
                    momenta,
                    &mut changes,
                ),
            });
        }
        for index in left {
            let span = index * stride * columns..(index + 1) * stride * columns;
            let (flat, changes) = (&flat[span.clone()], &mut changes[span]);
            let momenta = &mut momenta[index * columns..(index + 1) * columns];
            if self.differences(row(index), flat, momenta, changes).is_err() {
                momenta.fill(f64::NAN);
                directions[index] = None;
            }
        }
        for (index, found) in directions.iter_mut().enumerate() {
            let Some(found) = found else { continue };
            found.change(row(index), &momenta[index * columns..(index + 1) * columns]);
            let jacobian =
                &mut jacobians[index * columns * columns..(index + 1) * columns * columns];
            jacobian.fill(0.0);
            let changes = &changes[index * stride * columns..];
            let known = found.known.chunks_exact(columns).zip(found.changes.chunks_exact(columns));
            let unknown = found.unknown.chunks_exact(columns).zip(changes.chunks_exact(columns));
            for (q, change) in known.chain(unknown) {
                for (line, dp) in jacobian.chunks_exact_mut(columns).zip(change) {
                    for (entry, q) in line.iter_mut().zip(q) {
                        *entry += dp * q;
                    }
                }
            }
        }
    }

    /// Central differences of order 4, one event at a time.
    fn differences(
        &self,
        positions: &[f64],
        directions: &[f64],
        momenta: &mut [f64],
        changes: &mut [f64],
    ) -> Result<(), ExplosionError> {
        let columns = positions.len();
        let accuracy =
            Accuracy { tolerance: self.accuracy.tolerance.min(1e-12), ..self.accuracy.clone() };
        let at_rest = [0.0; 3 * MAX_ATOMS];
        let fly = |positions: &[f64]| {
            self.ions
                .fly_apart(positions, &at_rest[..columns], &accuracy)
                .map(|flight| flight.momenta)
        };
        momenta.copy_from_slice(&fly(positions)?[..columns]);
        let lines = directions.chunks_exact(columns).zip(changes.chunks_exact_mut(columns));
        for (direction, change) in lines {
            change.fill(0.0);
            for (step, weight) in [(1.0, 8.0), (-1.0, -8.0), (2.0, -1.0), (-2.0, 1.0)] {
                let moved = positions.iter().zip(direction);
                let moved: Vec<f64> = moved.map(|(x, v)| x + step * DIFFERENCE_BOHR * v).collect();
                let momenta = fly(&moved)?;
                for (c, p) in change.iter_mut().zip(&momenta) {
                    *c += weight * p / (12.0 * DIFFERENCE_BOHR);
                }
            }
        }
        Ok(())
    }
}
