//! Explosions of one molecule: rows to the lanes where all ions repel each other, the others one by one.

use ndarray::{Array2, ArrayView2};
use pulp::Arch;
use rayon::prelude::*;

use super::accuracy::{Accuracy, Mode};
use super::convoy::{self, Goal, Rows};
use super::error::ExplosionError;
use super::ions::Ions;
use crate::charging::Charging;
use crate::error::SimulationConfigError;
use crate::molecule::{MAX_ATOMS, Molecule};

/// Rows that one thread explodes at a time. Lanes run empty only at the end of a chunk.
pub(crate) const CHUNK: usize = 256;

/// Integrates one explosion to infinite time. The charges are there at once; for others see [`Exploder`].
///
/// `positions` (bohr), `initial_momenta` (a.u.; at rest if `None`) and `momenta` (a.u., the result) hold
/// `(x, y, z)` for each of the N atoms. Charges may be zero. On an error `momenta` is left as it was.
/// For many explosions [`explode_all`] is much faster, and gives the same numbers.
///
/// # Errors
/// [`ExplosionError`]: wrong lengths, values that are not finite, atoms at one point, and opposite charges
/// that never fly apart.
pub fn explode(
    molecule: &Molecule,
    positions: &[f64],
    initial_momenta: Option<&[f64]>,
    accuracy: &Accuracy,
    momenta: &mut [f64],
) -> Result<(), ExplosionError> {
    let exploder = Exploder::new(molecule, &Charging::default(), accuracy)?;
    exploder.explode(positions, initial_momenta, momenta)
}

/// Explodes every row of `positions` (rows, 3N; bohr) from rest, in parallel, into momenta (rows, 3N; a.u.). The
/// charges are there at once; for others see [`Exploder`].
///
/// A row that cannot be exploded (atoms at one point, values that are not finite, bound ions) does not stop
/// the others: its momenta are NaN. [`explode`] tells the reason. The result of a row does not depend on the
/// number of threads nor on the other rows.
///
/// # Errors
/// [`ExplosionError::Components`] if the number of columns is not 3N, [`ExplosionError::Accuracy`].
#[allow(clippy::needless_pass_by_value, reason = "a view is a reference already")]
pub fn explode_all(
    molecule: &Molecule,
    positions: ArrayView2<'_, f64>,
    accuracy: &Accuracy,
) -> Result<Array2<f64>, ExplosionError> {
    Exploder::new(molecule, &Charging::default(), accuracy)?.explode_all(positions)
}

/// A molecule, the way to its charges and an accuracy, ready to explode rows.
pub struct Exploder<'a> {
    pub(super) ions: Ions<'a>,
    pub(super) accuracy: Accuracy,
    /// The instruction set of the lanes, if the molecule and the machine have any use for them.
    pub(super) arch: Option<Arch>,
}

impl<'a> Exploder<'a> {
    /// Prepares explosions of `molecule`.
    ///
    /// # Errors
    /// [`SimulationConfigError`] that names the key of an accuracy out of range or of a charging that does not fit.
    pub fn new(
        molecule: &'a Molecule,
        charging: &Charging,
        accuracy: &Accuracy,
    ) -> Result<Self, SimulationConfigError> {
        accuracy.check()?;
        let ions = Ions::new(molecule, charging.resolve(molecule)?);
        let lanes_serve = accuracy.mode != Mode::Reference && ions.all_repel();
        let arch = Some(Arch::new()).filter(|arch| lanes_serve && convoy::pay_on(*arch));
        Ok(Self { ions, accuracy: accuracy.resolved(), arch })
    }

    /// Whether every ion repels every other, from the start (where they may be neutral) to the end.
    pub fn all_repel(&self) -> bool {
        self.ions.all_repel()
    }

    /// One explosion, as the function [`explode`].
    ///
    /// # Errors
    /// As [`explode`].
    pub fn explode(
        &self,
        positions: &[f64],
        initial_momenta: Option<&[f64]>,
        momenta: &mut [f64],
    ) -> Result<(), ExplosionError> {
        let atoms = self.ions.molecule.atom_count();
        let expected = 3 * atoms;
        if momenta.len() != expected {
            let found = momenta.len();
            return Err(ExplosionError::Components { what: "final momenta", found, atoms });
        }
        let at_rest = [0.0; 3 * MAX_ATOMS];
        self.ions.check_row(positions, initial_momenta.unwrap_or(&at_rest[..expected]))?;
        let mut result = [0.0; 3 * MAX_ATOMS];
        match self.explode_rows(positions, initial_momenta, &mut result[..expected]).pop() {
            Some((_, error)) => Err(error),
            None => {
                momenta.copy_from_slice(&result[..expected]);
                Ok(())
            }
        }
    }

    /// Explodes every row from rest, as the function [`explode_all`].
    ///
    /// # Errors
    /// [`ExplosionError::Components`] if the number of columns is not 3N.
    #[allow(clippy::needless_pass_by_value, reason = "a view is a reference already")]
    pub fn explode_all(
        &self,
        positions: ArrayView2<'_, f64>,
    ) -> Result<Array2<f64>, ExplosionError> {
        let columns = self.check_columns(positions.ncols())?;
        let positions = positions.as_standard_layout();
        let mut momenta = Array2::from_elem(positions.raw_dim(), f64::NAN);
        if let (Some(positions), Some(momenta)) = (positions.as_slice(), momenta.as_slice_mut()) {
            let chunk = CHUNK * columns;
            momenta.par_chunks_mut(chunk).zip(positions.par_chunks(chunk)).for_each(
                |(out, rows)| {
                    self.explode_rows(rows, None, out);
                },
            );
        }
        Ok(momenta)
    }

    /// The number of columns, which must be 3N.
    pub(super) fn check_columns(&self, found: usize) -> Result<usize, ExplosionError> {
        let atoms = self.ions.molecule.atom_count();
        if found == 3 * atoms {
            Ok(found)
        } else {
            Err(ExplosionError::Components { what: "positions", found, atoms })
        }
    }

    /// Explodes rows of 3N numbers, from rest if `initial_momenta` is `None`. The momenta of rows that
    /// have no result are NaN; returns their numbers, ascending, and the reasons.
    pub(crate) fn explode_rows(
        &self,
        positions: &[f64],
        initial_momenta: Option<&[f64]>,
        momenta: &mut [f64],
    ) -> Vec<(usize, ExplosionError)> {
        let columns = 3 * self.ions.molecule.atom_count();
        let at_rest = [0.0; 3 * MAX_ATOMS];
        let row = |index: usize| {
            let span = index * columns..(index + 1) * columns;
            let initial = initial_momenta.map_or(&at_rest[..columns], |rows| &rows[span.clone()]);
            (&positions[span], initial)
        };
        let mut failed = Vec::new();
        let mut sound = Vec::with_capacity(positions.len() / columns);
        for index in 0..positions.len() / columns {
            let (positions, initial) = row(index);
            match self.ions.check_row(positions, initial) {
                Ok(()) => sound.push(index),
                Err(error) => failed.push((index, error)),
            }
        }
        let left = match self.arch {
            Some(arch) => {
                let rows = Rows { positions, initial_momenta };
                let Accuracy { tolerance, tail, max_steps, .. } = self.accuracy;
                let goal = Goal { tolerance, tail, max_steps };
                let molecule = self.ions.molecule;
                match &self.ions.law {
                    None => convoy::explode(arch, molecule, rows, &sound, goal, momenta),
                    Some(law) => {
                        convoy::charging::explode(arch, molecule, law, rows, &sound, goal, momenta)
                    }
                }
            }
            None => sound,
        };
        for index in left {
            let (positions, initial) = row(index);
            match self.ions.fly_apart(positions, initial, &self.accuracy) {
                Ok(flight) => momenta[index * columns..(index + 1) * columns]
                    .copy_from_slice(&flight.momenta[..columns]),
                Err(error) => failed.push((index, error)),
            }
        }
        failed.sort_by_key(|(index, _)| *index);
        for (index, _) in &failed {
            momenta[index * columns..(index + 1) * columns].fill(f64::NAN);
        }
        failed
    }
}
