//! Explosions of one molecule: rows to the lanes where all ions repel each other, the others one by one.

use ndarray::{Array2, ArrayView2, Axis, CowArray, Ix2};
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
    /// The time that each event has of its own.
    pub(super) time: Option<OwnTime>,
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
        let reference = ions.law.as_ref().and_then(|law| law.reference);
        let time = reference.zip(charging.nuisances().pop());
        let time = time.map(|(reference, nuisance)| OwnTime { name: nuisance.name, reference });
        Ok(Self { ions, accuracy: accuracy.resolved(), arch, time })
    }

    /// Whether every ion repels every other, from the start (where they may be neutral) to the end.
    pub fn all_repel(&self) -> bool {
        self.ions.all_repel()
    }

    /// Numbers of a row: the 3N positions (bohr), and those that the charging draws for each event, in the order of
    /// [`Charging::nuisances`].
    pub fn inputs(&self) -> usize {
        3 * self.ions.molecule.atom_count() + usize::from(self.time.is_some())
    }

    /// One explosion, as the function [`explode`], of a row of [`Self::inputs`] numbers.
    ///
    /// # Errors
    /// As [`explode`]; [`ExplosionError::NotPositive`].
    pub fn explode(
        &self,
        row: &[f64],
        initial_momenta: Option<&[f64]>,
        momenta: &mut [f64],
    ) -> Result<(), ExplosionError> {
        let atoms = self.ions.molecule.atom_count();
        let expected = 3 * atoms;
        if momenta.len() != expected {
            let found = momenta.len();
            return Err(ExplosionError::Components { what: "final momenta", found, atoms });
        }
        self.check_inputs(row.len())?;
        let (positions, times) = row.split_at(expected);
        let at_rest = [0.0; 3 * MAX_ATOMS];
        self.ions.check_row(positions, initial_momenta.unwrap_or(&at_rest[..expected]))?;
        let mut result = [0.0; 3 * MAX_ATOMS];
        let rows = Given { positions, times, initial_momenta };
        match self.explode_rows(rows, &mut result[..expected]).pop() {
            Some((_, error)) => Err(error),
            None => {
                momenta.copy_from_slice(&result[..expected]);
                Ok(())
            }
        }
    }

    /// Explodes every row (rows, [`Self::inputs`]) from rest, as the function [`explode_all`], into momenta
    /// (rows, 3N; a.u.). Rows of times that are not positive are NaN too.
    ///
    /// # Errors
    /// [`ExplosionError::Components`] for another number of columns.
    #[allow(clippy::needless_pass_by_value, reason = "a view is a reference already")]
    pub fn explode_all(&self, rows: ArrayView2<'_, f64>) -> Result<Array2<f64>, ExplosionError> {
        self.explode_from(rows, None)
    }

    fn explode_from(
        &self,
        rows: ArrayView2<'_, f64>,
        initial: Option<ArrayView2<'_, f64>>,
    ) -> Result<Array2<f64>, ExplosionError> {
        self.check_inputs(rows.ncols())?;
        let initial = initial.map(|initial| initial.as_standard_layout().into_owned());
        let initial = initial.as_ref().and_then(|initial| initial.as_slice());
        let columns = 3 * self.ions.molecule.atom_count();
        let (positions, times) = self.divided(rows);
        let mut momenta = Array2::from_elem(positions.raw_dim(), f64::NAN);
        if let (Some(positions), Some(momenta)) = (positions.as_slice(), momenta.as_slice_mut()) {
            let chunk = CHUNK * columns;
            momenta.par_chunks_mut(chunk).zip(positions.par_chunks(chunk)).enumerate().for_each(
                |(part, (momenta, positions))| {
                    let of_part = |width: usize, values: &[f64]| {
                        let first = (part * CHUNK * width).min(values.len());
                        first..(first + CHUNK * width).min(values.len())
                    };
                    let times = &times[of_part(1, &times)];
                    let initial_momenta = initial.map(|all| &all[of_part(columns, all)]);
                    self.explode_rows(Given { positions, times, initial_momenta }, momenta);
                },
            );
        }
        Ok(momenta)
    }

    /// [`Self::explode_all`] of ions that move at the start with `initial_momenta` (rows, 3N; a.u.).
    ///
    /// # Errors
    /// [`ExplosionError::Components`] for another number of columns, or another number of rows.
    #[allow(clippy::needless_pass_by_value, reason = "a view is a reference already")]
    pub fn explode_moving(
        &self,
        rows: ArrayView2<'_, f64>,
        initial_momenta: ArrayView2<'_, f64>,
    ) -> Result<Array2<f64>, ExplosionError> {
        self.check_initial(rows.nrows(), initial_momenta.dim())?;
        self.explode_from(rows, Some(initial_momenta))
    }

    /// Momenta at the start are of as many rows as positions, with three numbers an atom.
    pub(super) fn check_initial(
        &self,
        rows: usize,
        found: (usize, usize),
    ) -> Result<(), ExplosionError> {
        let atoms = self.ions.molecule.atom_count();
        if found == (rows, 3 * atoms) {
            return Ok(());
        }
        let found = if found.0 == rows { found.1 } else { 0 };
        Err(ExplosionError::Components { what: "initial momenta", found, atoms })
    }

    /// Rows are of [`Self::inputs`] numbers.
    pub(super) fn check_inputs(&self, found: usize) -> Result<(), ExplosionError> {
        let own = usize::from(self.time.is_some());
        if found == self.inputs() {
            Ok(())
        } else {
            let atoms = self.ions.molecule.atom_count();
            Err(ExplosionError::Components {
                what: "positions",
                found: found.saturating_sub(own),
                atoms,
            })
        }
    }

    /// Rows as positions (contiguous) and their own times, none where they have none.
    pub(super) fn divided<'r>(
        &self,
        rows: ArrayView2<'r, f64>,
    ) -> (CowArray<'r, f64, Ix2>, Vec<f64>) {
        let columns = 3 * self.ions.molecule.atom_count();
        let (positions, times) = rows.split_at(Axis(1), columns);
        let positions = if positions.is_standard_layout() {
            positions.into()
        } else {
            positions.as_standard_layout().into_owned().into()
        };
        (positions, times.iter().copied().collect())
    }

    /// Explodes rows, from rest without initial momenta. The momenta of rows that have no result are NaN; returns
    /// their numbers, ascending, and the reasons.
    pub(crate) fn explode_rows(
        &self,
        rows: Given<'_>,
        momenta: &mut [f64],
    ) -> Vec<(usize, ExplosionError)> {
        let Some(time) = &self.time else {
            return self.fly(rows.positions, rows.initial_momenta, momenta);
        };
        let columns = 3 * self.ions.molecule.atom_count();
        let (mut positions, mut initial) =
            (rows.positions.to_vec(), rows.initial_momenta.map(<[f64]>::to_vec));
        for (row, own) in rows.times.iter().enumerate() {
            let span = row * columns..(row + 1) * columns;
            let stretch = time.stretch(*own);
            positions[span.clone()].iter_mut().for_each(|x| *x *= stretch);
            if let Some(initial) = &mut initial {
                initial[span].iter_mut().for_each(|p| *p /= stretch.sqrt());
            }
        }
        let mut failed = self.fly(&positions, initial.as_deref(), momenta);
        for (row, own) in rows.times.iter().enumerate() {
            let stretch = time.stretch(*own);
            let momenta = &mut momenta[row * columns..(row + 1) * columns];
            momenta.iter_mut().for_each(|p| *p *= stretch.sqrt());
        }
        for (row, error) in &mut failed {
            let value = rows.times[*row];
            if !time.stretch(value).is_finite() {
                *error = ExplosionError::NotPositive { name: time.name.clone(), value };
            }
        }
        failed
    }

    /// Explodes rows by the one law of all.
    fn fly(
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

/// Rows to be exploded, one after the other.
#[derive(Clone, Copy)]
pub(crate) struct Given<'r> {
    /// 3N numbers a row, bohr.
    pub(crate) positions: &'r [f64],
    /// One number a row, in the unit of its column; empty where events have no time of their own.
    pub(crate) times: &'r [f64],
    /// 3N numbers a row, a.u.; at rest if none.
    pub(crate) initial_momenta: Option<&'r [f64]>,
}

/// A time that each event has of its own.
pub(super) struct OwnTime {
    /// The name of its column.
    pub(super) name: String,
    /// The time of the law by which all of them fly.
    reference: f64,
}

impl OwnTime {
    /// What an event is stretched by to have the time of the law (`charging`, "Times that differ between events");
    /// NaN for a time that is not positive and finite.
    pub(super) fn stretch(&self, own: f64) -> f64 {
        let ratio = self.reference / own;
        if ratio.is_finite() && ratio > 0.0 { libm::cbrt(ratio * ratio) } else { f64::NAN }
    }
}
