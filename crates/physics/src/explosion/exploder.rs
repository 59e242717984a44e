//! Explosions of one molecule: rows to the lanes where all ions repel each other, the others one by one.

use ndarray::{Array2, ArrayView2, Axis, CowArray, Ix2};
use pulp::Arch;
use rayon::prelude::*;

use super::accuracy::{Accuracy, Mode};
use super::convoy::{self, Goal, Rows};
use super::error::ExplosionError;
use super::ions::Ions;
use super::own::{Own, Scaling, is_positive};
use super::sequential::Sequential;
use super::simd::widest;
use crate::break_up::Dynamics;
use crate::charging::Charging;
use crate::error::SimulationConfigError;
use crate::molecule::{MAX_ATOMS, Molecule};

/// What a sequential break-up needs.
pub(super) const FROM_REST: &str = "ions that start at rest";

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
///
/// ```
/// use cei_physics::{Accuracy, AtomSpec, Molecule, energy, explode};
///
/// let pair = Molecule::new(vec![AtomSpec::new("C", 1.0), AtomSpec::new("O", 1.0)])?;
/// let positions = [0.0, 0.0, 0.0, 2.0, 0.0, 0.0];
/// let mut momenta = [0.0; 6];
/// explode(&pair, &positions, None, &Accuracy::default(), &mut momenta)?;
/// // 1 / r hartree, shared by two momenta that are opposite.
/// assert!((energy::kinetic_energy(&pair, &momenta) - 0.5).abs() < 1e-8);
/// assert!((momenta[0] + momenta[3]).abs() < 1e-8 * momenta[3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
///
/// ```
/// use cei_physics::{Accuracy, AtomSpec, Molecule, explode_all};
/// use ndarray::array;
///
/// let pair = Molecule::new(vec![AtomSpec::new("C", 1.0), AtomSpec::new("O", 1.0)])?;
/// // The second row is no geometry: both atoms are at one point.
/// let rows = array![[0.0, 0.0, 0.0, 2.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]];
/// let momenta = explode_all(&pair, rows.view(), &Accuracy::default())?;
/// assert!(momenta[[0, 3]] > 0.0 && momenta[[1, 3]].is_nan());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[allow(clippy::needless_pass_by_value, reason = "a view is a reference already")]
pub fn explode_all(
    molecule: &Molecule,
    positions: ArrayView2<'_, f64>,
    accuracy: &Accuracy,
) -> Result<Array2<f64>, ExplosionError> {
    Exploder::new(molecule, &Charging::default(), accuracy)?.explode_all(positions)
}

/// A molecule, the way to its charges and an accuracy, ready to explode rows.
///
/// ```
/// use cei_physics::{Accuracy, AtomSpec, Charging, Exploder, Molecule, energy};
///
/// // Charges that take 10 fs give less energy than those that are there at once.
/// let oc = Molecule::new(vec![AtomSpec::new("O", 1.0), AtomSpec::new("C", 1.0)])?;
/// let positions = [0.0, 0.0, 0.0, 2.2, 0.0, 0.0];
/// let slow: Charging = toml::from_str("kind = 'exponential'\ntau_fs = 10.0")?;
/// let mut energies = Vec::new();
/// for charging in [Charging::default(), slow] {
///     let mut momenta = [0.0; 6];
///     Exploder::new(&oc, &charging, &Accuracy::default())?.explode(&positions, None, &mut momenta)?;
///     energies.push(energy::kinetic_energy(&oc, &momenta));
/// }
/// assert!((energies[0] - 1.0 / 2.2).abs() < 1e-6 && energies[1] < energies[0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Exploder<'a> {
    pub(super) ions: Ions<'a>,
    pub(super) accuracy: Accuracy,
    /// The instruction set of the lanes, if the molecule and the machine have any use for them.
    pub(super) arch: Option<Arch>,
    /// What each event has of its own beside its positions.
    pub(super) own: Own,
    pub(super) dynamics: Dynamics,
    /// A break-up in two steps.
    pub(super) sequential: Option<Sequential>,
}

impl<'a> Exploder<'a> {
    /// Prepares explosions of `molecule` by `dynamics`, a [`Charging`] or [`Dynamics`].
    ///
    /// # Errors
    /// [`SimulationConfigError`] that names the key of an accuracy out of range or of a charging or break-up that does not fit.
    ///
    /// ```
    /// use cei_physics::{Accuracy, AtomSpec, Charging, Exploder, Molecule};
    ///
    /// let ions = Molecule::new(vec![AtomSpec::new("I", 1.0), AtomSpec::new("I", -1.0)])?;
    /// let exploder = Exploder::new(&ions, &Charging::default(), &Accuracy::default())?;
    /// assert!(!exploder.all_repel());
    /// assert_eq!(exploder.inputs(), 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(
        molecule: &'a Molecule,
        dynamics: impl Into<Dynamics>,
        accuracy: &Accuracy,
    ) -> Result<Self, SimulationConfigError> {
        accuracy.check()?;
        let dynamics = dynamics.into();
        let ions = Ions::new(molecule, dynamics.charging.resolve(molecule)?);
        let lanes_serve = accuracy.mode != Mode::Reference && ions.all_repel();
        let arch = Some(widest()).filter(|arch| lanes_serve && convoy::pay_on(*arch));
        let names = dynamics.nuisances().into_iter().map(|nuisance| nuisance.name).collect();
        let own = Own::new(names, ions.law.as_ref());
        let sequential = match dynamics.break_up.resolve(molecule)? {
            None => None,
            Some(_) if !dynamics.charging.is_instantaneous() => {
                let what = "charges that are there at once";
                return Err(SimulationConfigError::Sequential { what });
            }
            Some((first, turn)) => Some(Sequential::new(molecule, first, turn)),
        };
        // The errors of the rough mode are known for ions that all repel each other, at once.
        let may_be_rough = ions.all_repel() && sequential.is_none();
        let mode = match accuracy.mode {
            Mode::Rough if !may_be_rough => Mode::Fast,
            mode => mode,
        };
        let accuracy = Accuracy { mode, ..accuracy.clone() }.resolved();
        Ok(Self { ions, accuracy, arch, own, dynamics, sequential })
    }

    /// Whether every ion repels every other, from the start (where they may be neutral) to the end.
    pub fn all_repel(&self) -> bool {
        self.ions.all_repel()
    }

    /// Numbers of a row: the 3N positions (bohr), and those that the charging draws for each event, in the order of
    /// [`Charging::nuisances`].
    pub fn inputs(&self) -> usize {
        3 * self.ions.molecule.atom_count() + self.own.names.len()
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
        let (positions, numbers) = row.split_at(expected);
        let at_rest = [0.0; 3 * MAX_ATOMS];
        self.ions.check_row(positions, initial_momenta.unwrap_or(&at_rest[..expected]))?;
        let mut result = [0.0; 3 * MAX_ATOMS];
        let rows = Given { positions, numbers, initial_momenta };
        match self.explode_rows(rows, &mut result[..expected]).pop() {
            Some((_, error)) => Err(error),
            None => {
                momenta.copy_from_slice(&result[..expected]);
                Ok(())
            }
        }
    }

    /// Explodes every row (rows, [`Self::inputs`]) from rest, as the function [`explode_all`], into momenta
    /// (rows, 3N; a.u.). Rows of times or rates that are not positive are NaN too.
    ///
    /// # Errors
    /// [`ExplosionError::Components`] for another number of columns.
    ///
    /// ```
    /// use cei_physics::{Accuracy, AtomSpec, Charging, Exploder, Molecule, energy};
    ///
    /// let pair = Molecule::new(vec![AtomSpec::new("C", 1.0), AtomSpec::new("O", 1.0)])?;
    /// let exploder = Exploder::new(&pair, &Charging::default(), &Accuracy::default())?;
    /// let momenta = exploder.explode_all(ndarray::array![
    ///     [0.0, 0.0, 0.0, 2.0, 0.0, 0.0],
    ///     [0.0, 0.0, 0.0, 4.0, 0.0, 0.0],
    /// ].view())?;
    /// // All of the energy 1 / R is kinetic in the end.
    /// for (row, bond) in momenta.rows().into_iter().zip([2.0, 4.0]) {
    ///     let kinetic = energy::kinetic_energy(&pair, &row.to_vec());
    ///     assert!((kinetic * bond - 1.0).abs() < 1e-6);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
        let (positions, numbers) = self.divided(rows);
        let mut momenta = Array2::from_elem(positions.raw_dim(), f64::NAN);
        if let (Some(positions), Some(momenta)) = (positions.as_slice(), momenta.as_slice_mut()) {
            let chunk = CHUNK * columns;
            momenta.par_chunks_mut(chunk).zip(positions.par_chunks(chunk)).enumerate().for_each(
                |(part, (momenta, positions))| {
                    let of_part = |width: usize, values: &[f64]| {
                        let first = (part * CHUNK * width).min(values.len());
                        first..(first + CHUNK * width).min(values.len())
                    };
                    let numbers = &numbers[of_part(self.own.names.len(), &numbers)];
                    let initial_momenta = initial.map(|all| &all[of_part(columns, all)]);
                    self.explode_rows(Given { positions, numbers, initial_momenta }, momenta);
                },
            );
        }
        Ok(momenta)
    }

    /// [`Self::explode_all`] of ions that move at the start with `initial_momenta` (rows, 3N; a.u.).
    ///
    /// # Errors
    /// [`ExplosionError::Components`] for another number of columns, or another number of rows.
    ///
    /// ```
    /// use cei_physics::{Accuracy, AtomSpec, Charging, Exploder, Molecule};
    /// use ndarray::array;
    ///
    /// let pair = Molecule::new(vec![AtomSpec::new("C", 1.0), AtomSpec::new("O", 1.0)])?;
    /// let exploder = Exploder::new(&pair, &Charging::default(), &Accuracy::default())?;
    /// let rows = array![[0.0, 0.0, 0.0, 2.0, 0.0, 0.0]];
    /// // What moves along together goes on to do so: a momentum of all is kept.
    /// let initial = array![[0.0, 0.0, 1.0, 0.0, 0.0, 2.0]];
    /// let momenta = exploder.explode_moving(rows.view(), initial.view())?;
    /// assert!((momenta[[0, 2]] + momenta[[0, 5]] - 3.0).abs() < 1e-9);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
        let own = self.own.names.len();
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

    /// Rows as positions (contiguous) and their own numbers.
    pub(super) fn divided<'r>(
        &self,
        rows: ArrayView2<'r, f64>,
    ) -> (CowArray<'r, f64, Ix2>, Vec<f64>) {
        let columns = 3 * self.ions.molecule.atom_count();
        let (positions, numbers) = rows.split_at(Axis(1), columns);
        let positions = if positions.is_standard_layout() {
            positions.into()
        } else {
            positions.as_standard_layout().into_owned().into()
        };
        (positions, numbers.iter().copied().collect())
    }

    /// Explodes rows, from rest without initial momenta. The momenta of rows that have no result are NaN; returns
    /// their numbers, ascending, and the reasons.
    pub(crate) fn explode_rows(
        &self,
        rows: Given<'_>,
        momenta: &mut [f64],
    ) -> Vec<(usize, ExplosionError)> {
        if let Some(law) = &self.sequential {
            return self.explode_in_steps(law, rows, momenta);
        }
        if self.own.names.is_empty() {
            return self.fly(rows.positions, rows.initial_momenta, None, momenta);
        }
        let columns = 3 * self.ions.molecule.atom_count();
        let (mut positions, mut initial) =
            (rows.positions.to_vec(), rows.initial_momenta.map(<[f64]>::to_vec));
        let each: Vec<Scaling> = rows
            .numbers
            .chunks_exact(self.own.names.len())
            .map(|row| self.own.scaling(row))
            .collect();
        for (row, Scaling { stretch, .. }) in each.iter().enumerate() {
            let span = row * columns..(row + 1) * columns;
            positions[span.clone()].iter_mut().for_each(|x| *x *= stretch);
            if let Some(initial) = &mut initial {
                initial[span].iter_mut().for_each(|p| *p /= stretch.sqrt());
            }
        }
        let transfers = self.own.transfers(&each);
        let mut failed = self.fly(&positions, initial.as_deref(), transfers.as_deref(), momenta);
        for (momenta, Scaling { stretch, .. }) in momenta.chunks_exact_mut(columns).zip(&each) {
            momenta.iter_mut().for_each(|p| *p *= stretch.sqrt());
        }
        for (row, error) in &mut failed {
            let numbers = rows.numbers.chunks_exact(self.own.names.len()).nth(*row);
            let mut named = self.own.names.iter().zip(numbers.unwrap_or_default());
            if let Some((name, value)) = named.find(|(_, value)| !is_positive(**value)) {
                *error = ExplosionError::NotPositive { name: name.clone(), value: *value };
            }
        }
        failed
    }

    /// Explodes rows in two steps ([`crate::break_up`]).
    fn explode_in_steps(
        &self,
        law: &Sequential,
        rows: Given<'_>,
        momenta: &mut [f64],
    ) -> Vec<(usize, ExplosionError)> {
        let columns = 3 * self.ions.molecule.atom_count();
        let width = self.own.names.len();
        let all_failed = |error: SimulationConfigError| {
            let error = ExplosionError::from(error);
            (0..rows.positions.len() / columns).map(|row| (row, error.clone())).collect()
        };
        if rows.initial_momenta.is_some() {
            momenta.fill(f64::NAN);
            return all_failed(SimulationConfigError::Sequential { what: FROM_REST });
        }
        let rest = match Exploder::new(law.rest(), &Charging::default(), &self.accuracy) {
            Ok(rest) => rest,
            Err(error) => return all_failed(error),
        };
        let mut failed = Vec::new();
        let mut sound = Vec::with_capacity(rows.positions.len() / columns);
        let (mut positions, mut initial) = (Vec::new(), Vec::new());
        let at_rest = [0.0; 3 * MAX_ATOMS];
        for (row, of_row) in rows.positions.chunks_exact(columns).enumerate() {
            let numbers = &rows.numbers[row * width..(row + 1) * width];
            let mut named = self.own.names.iter().zip(numbers);
            let wrong = named.find(|(_, value)| !is_positive(**value)).map(|(name, value)| {
                ExplosionError::NotPositive { name: name.clone(), value: *value }
            });
            let checked =
                wrong.map_or_else(|| self.ions.check_row(of_row, &at_rest[..columns]), Err);
            let step =
                checked.and_then(|()| law.first_step(self.ions.molecule, of_row, &self.accuracy));
            match step {
                Ok(step) => {
                    law.turn(of_row, numbers, &step, &mut positions, &mut initial);
                    sound.push((row, step));
                }
                Err(error) => failed.push((row, error)),
            }
        }
        let mut ends = vec![f64::NAN; positions.len()];
        let given = Given { positions: &positions, numbers: &[], initial_momenta: Some(&initial) };
        for (place, error) in rest.explode_rows(given, &mut ends) {
            failed.push((sound[place].0, error));
        }
        for ((row, step), end) in sound.iter().zip(ends.chunks_exact(columns - 3)) {
            law.put_together(step, end, &mut momenta[row * columns..(row + 1) * columns]);
        }
        failed.sort_by_key(|(row, _)| *row);
        for (row, _) in &failed {
            momenta[row * columns..(row + 1) * columns].fill(f64::NAN);
        }
        failed
    }

    /// Explodes rows by the one law of all.
    fn fly(
        &self,
        positions: &[f64],
        initial_momenta: Option<&[f64]>,
        transfers: Option<&[f64]>,
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
                let rows = Rows { positions, initial_momenta, transfers };
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
            let transfer = transfers.map(|transfers| transfers[index]);
            match self.ions.fly_apart(positions, initial, transfer, &self.accuracy) {
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
    /// What each row has of its own ([`Charging::nuisances`]), in the units of the columns.
    pub(crate) numbers: &'r [f64],
    /// 3N numbers a row, a.u.; at rest if none.
    pub(crate) initial_momenta: Option<&'r [f64]>,
}
