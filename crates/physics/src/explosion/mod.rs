//! The forward model: positions of point charges to their momenta at infinite time.
//!
//! `dx_i/dt = p_i / m_i`, `dp_i/dt = sum_j q_i q_j (x_i - x_j) / r_ij^3`, integrated in f64 by
//! DOP853 (`tableau`).
//!
//! Events whose ions all repel each other are integrated many at once, one in each lane of a SIMD register,
//! in a regularised time (`lanes`); all others, and those that take too many steps there, one by one
//! in physical time (`scalar`). Both measure the error of a step by [`Accuracy::tolerance`] and end
//! where, for every interacting pair, the ions recede and the pair's potential energy is below
//! [`Accuracy::tail`] times the kinetic energy of its relative motion.
//!
//! The impulse from there to infinity is added in closed form along straight lines,
//! `q_i q_j (r + w) / (R W (1 + r.w))` with unit vectors `r`, `w` of the relative position and velocity
//! and their lengths `R`, `W`. What that leaves out is of order `tail^2` of the momentum.
//!
//! Nothing is rescaled to the energy (`docs/spec.md#forward-model`).

mod dop853;
mod ions;
mod jacobian;
mod lane;
mod lanes;
mod scalar;
mod tableau;

use ndarray::{Array2, ArrayView2};
use pulp::Arch;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{SimulationConfigError, require};
use crate::molecule::{MAX_ATOMS, Molecule};
pub use jacobian::explode_linearised;

use ions::Ions;
use lanes::{Goal, Rows};

/// Rows that one thread explodes at a time. Lanes run empty only at the end of a chunk.
pub(crate) const CHUNK: usize = 256;

/// How exactly an explosion is integrated. With the defaults, momenta of the presets' events are right to
/// 3e-11 of each ion's momentum on average, and to 6e-10 at worst, where `docs/spec.md#forward-model` promises 1e-8.
///
/// ```toml
/// [accuracy]
/// mode = "fast"
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Accuracy {
    /// Whether `tolerance` and `tail` hold as they are, or speed matters more.
    pub mode: Mode,
    /// Allowed relative error of one step.
    #[schemars(range(min = 1e-14, max = 1e-3))]
    pub tolerance: f64,
    /// The integration ends where each pair's potential energy is below this part of its kinetic
    /// energy.
    #[schemars(range(max = 1e-2), extend("exclusiveMinimum" = 0))]
    pub tail: f64,
    /// Steps, tried ones included, after which ions count as bound to each other.
    #[schemars(range(min = 1))]
    pub max_steps: usize,
}

/// What an explosion is integrated for; `accuracy.mode = "fast"` in a configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// `tolerance` and `tail` as they are given.
    #[default]
    Precise,
    /// A tolerance of at least 1e-4 and a tail of at least 2e-3: four to six times as fast. Measured on
    /// the presets `ocs-reference`, `ocs-wide` and `chbrclf` (32,768 events each), the mean error is
    /// 1.3e-6, 1.8e-6 and 1.0e-6 of the ion's own momentum; the largest is 2.2e-6, 7.6e-6 and 4.5e-5 of
    /// the event's largest momentum. For molecules with attraction or neutral atoms it is not measured.
    Fast,
    /// As precise, but one event at a time in physical time: 7 to 14 times slower, and independent of
    /// what the other modes do. They are tested against it.
    Reference,
}

impl Default for Accuracy {
    fn default() -> Self {
        Self { mode: Mode::default(), tolerance: 1e-10, tail: 1e-6, max_steps: 20_000 }
    }
}

impl Accuracy {
    /// The default, in [`Mode::Fast`].
    pub fn fast() -> Self {
        Self { mode: Mode::Fast, ..Self::default() }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`SimulationConfigError::OutOfRange`] that names the key.
    pub fn check(&self) -> Result<(), SimulationConfigError> {
        require("accuracy.tolerance", self.tolerance, "1e-14 to 1e-3", |value| {
            (1e-14..=1e-3).contains(&value)
        })?;
        require("accuracy.tail", self.tail, "above 0, at most 1e-2", |value| {
            value > 0.0 && value <= 1e-2
        })?;
        require("accuracy.max_steps", self.max_steps as f64, "at least 1", |value| value >= 1.0)
    }

    /// The numbers that the mode leaves.
    fn resolved(&self) -> Self {
        match self.mode {
            Mode::Precise | Mode::Reference => self.clone(),
            Mode::Fast => Self {
                tolerance: self.tolerance.max(FAST_TOLERANCE),
                tail: self.tail.max(FAST_TAIL),
                ..self.clone()
            },
        }
    }
}

/// Least tolerance of [`Mode::Fast`].
const FAST_TOLERANCE: f64 = 1e-4;
/// Least tail of [`Mode::Fast`].
const FAST_TAIL: f64 = 2e-3;

/// A row of positions that has no momenta at infinite time, or cannot be a row of this molecule.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ExplosionError {
    /// The accuracy asked for is out of range.
    #[error(transparent)]
    Accuracy(#[from] SimulationConfigError),
    /// A row has the wrong length.
    #[error("{what} have {found} components, the molecule's {atoms} atoms need {}", 3 * .atoms)]
    Components {
        /// Which of the rows: `positions`, `initial momenta` or `final momenta`.
        what: &'static str,
        /// Its number of components.
        found: usize,
        /// The number of atoms.
        atoms: usize,
    },
    /// A position or initial momentum is NaN or infinite.
    #[error("{what} of atom `{atom}` are not finite")]
    NotFinite {
        /// `positions` or `initial momenta`.
        what: &'static str,
        /// The atom's label.
        atom: String,
    },
    /// Two charged atoms are at the same point.
    #[error("atoms `{first}` and `{second}` coincide: they are {distance_bohr:e} bohr apart")]
    Coincident {
        /// The one atom's label.
        first: String,
        /// The other atom's label.
        second: String,
        /// Their distance in bohr.
        distance_bohr: f64,
    },
    /// Attraction keeps the ions together: the total energy is not above zero.
    #[error(
        "the ions are bound and never fly apart: the energy is {energy_ev} eV, and the charges attract"
    )]
    Bound {
        /// Potential energy plus kinetic energy about the centre of mass, in eV.
        energy_ev: f64,
    },
    /// The ions have not flown apart within the allowed number of steps.
    #[error(
        "ions `{first}` and `{second}` have not flown apart after {steps} steps ({time_fs} fs): they are \
         {distance_bohr} bohr apart\nhint: opposite charges can stay bound or collide"
    )]
    NotApart {
        /// The one ion of the closest interacting pair.
        first: String,
        /// The other ion.
        second: String,
        /// Their distance in bohr.
        distance_bohr: f64,
        /// The number of steps tried.
        steps: usize,
        /// The time reached in femtoseconds.
        time_fs: f64,
    },
}

/// Integrates one explosion to infinite time.
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
    let exploder = Exploder::new(molecule, accuracy)?;
    let expected = 3 * molecule.atom_count();
    if momenta.len() != expected {
        let (found, atoms) = (momenta.len(), molecule.atom_count());
        return Err(ExplosionError::Components { what: "final momenta", found, atoms });
    }
    let at_rest = [0.0; 3 * MAX_ATOMS];
    exploder.ions.check_row(positions, initial_momenta.unwrap_or(&at_rest[..expected]))?;
    let mut result = [0.0; 3 * MAX_ATOMS];
    match exploder.explode_rows(positions, initial_momenta, &mut result[..expected]).pop() {
        Some((_, error)) => Err(error),
        None => {
            momenta.copy_from_slice(&result[..expected]);
            Ok(())
        }
    }
}

/// Explodes every row of `positions` (rows, 3N; bohr) from rest, in parallel, into momenta (rows, 3N; a.u.).
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
    let exploder = Exploder::new(molecule, accuracy)?;
    let columns = positions.ncols();
    if columns != 3 * molecule.atom_count() {
        let atoms = molecule.atom_count();
        return Err(ExplosionError::Components { what: "positions", found: columns, atoms });
    }
    let positions = positions.as_standard_layout();
    let mut momenta = Array2::from_elem(positions.raw_dim(), f64::NAN);
    if let (Some(positions), Some(momenta)) = (positions.as_slice(), momenta.as_slice_mut()) {
        let chunk = CHUNK * columns;
        momenta.par_chunks_mut(chunk).zip(positions.par_chunks(chunk)).for_each(|(out, rows)| {
            exploder.explode_rows(rows, None, out);
        });
    }
    Ok(momenta)
}

/// A molecule and an accuracy, ready to explode rows.
pub(crate) struct Exploder<'a> {
    ions: Ions<'a>,
    accuracy: Accuracy,
    /// The instruction set of the lanes, if the molecule and the machine have any use for them.
    arch: Option<Arch>,
}

impl<'a> Exploder<'a> {
    pub(crate) fn new(
        molecule: &'a Molecule,
        accuracy: &Accuracy,
    ) -> Result<Self, SimulationConfigError> {
        accuracy.check()?;
        let ions = Ions::new(molecule);
        let lanes_serve = accuracy.mode != Mode::Reference && ions.all_repel();
        let arch = Some(Arch::new()).filter(|arch| lanes_serve && lanes::pay_on(*arch));
        Ok(Self { ions, accuracy: accuracy.resolved(), arch })
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
                lanes::explode(arch, self.ions.molecule, rows, &sound, goal, momenta)
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
