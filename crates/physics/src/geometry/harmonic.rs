//! The law `harmonic`: a molecule that vibrates in its normal modes. It draws positions AND momenta.
//!
//! With mass-weighted unit vectors `u_k` of the modes, orthogonal to one another and to translations and rotations of the
//! reference `x_0`, and independent normal coordinates `Q_k` and momenta `P_k`,
//! ```text
//! x = x_0 + M^(-1/2) sum_k Q_k u_k        p = M^(1/2) sum_k P_k u_k
//! Var Q_k = c / (2 w_k)    Var P_k = c w_k / 2    c = coth(w_k / (2 k T))  Wigner, or  2 k T / w_k  classical
//! ```
//! in atomic units: the Wigner function of a thermal harmonic oscillator is this Gaussian, at 0 K that of the ground
//! state (Hillery, O'Connell, Scully and Wigner, Phys. Rep. 106, 121 (1984)).

use std::collections::BTreeMap;

use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::positions::bohr_by_atom;
use crate::error::{SimulationConfigError, require};
use crate::modes::{Imaginary, ModesError, ModesSpec, NormalMode, NormalModes};
use crate::molecule::Molecule;
use crate::units::BOLTZMANN_HARTREE_PER_K;
use crate::vector::bring_to_rest;

/// A molecule that vibrates in its normal modes, as a configuration gives it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vibrations {
    /// A file in Molden format that holds positions and modes (`[FREQ]`, `[FR-COORD]`, `[FR-NORM-COORD]`), in the place of
    /// `positions_angstrom` and `modes`. It is read once: what is written beside tables and into runs holds its numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub molden: Option<String>,
    /// Temperature of the vibrations.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub temperature_k: f64,
    /// How the vibrations are excited.
    #[serde(default)]
    pub statistics: Statistics,
    /// Whether the displacements of `modes` are multiplied by the roots of the masses. Most programs give displacements
    /// as they are, whatever their length.
    #[serde(default)]
    pub mass_weighted: bool,
    /// What becomes of modes with imaginary frequencies.
    #[serde(default)]
    pub imaginary: Imaginary,
    /// Reference position `[x, y, z]` of every atom, in the orientation of the modes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub positions_angstrom: BTreeMap<String, [f64; 3]>,
    /// The normal modes; translations and rotations among them are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modes: Vec<NormalMode>,
}

/// How vibrations are excited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Statistics {
    /// The Wigner function at the temperature; at 0 K that of the ground state.
    #[default]
    Wigner,
    /// Classical mechanics at the temperature: without zero-point motion.
    Classical,
}

/// The law, checked: independent Gaussian normal coordinates and momenta.
#[derive(Debug, Clone)]
pub(crate) struct Harmonic {
    pub(crate) modes: NormalModes,
    /// Standard deviation of each normal coordinate, bohr times the root of an electron mass.
    pub(crate) coordinate_deviations: Vec<f64>,
    /// Standard deviation of each normal momentum, a.u. over the root of an electron mass.
    pub(crate) momentum_deviations: Vec<f64>,
    masses: Vec<f64>,
}

impl Harmonic {
    pub(super) fn resolve(
        molecule: &Molecule,
        vibrations: &Vibrations,
    ) -> Result<Self, SimulationConfigError> {
        let Vibrations { molden, positions_angstrom, modes, temperature_k, statistics, .. } =
            vibrations;
        if let Some(path) = molden {
            return Err(ModesError::NotRead { path: path.clone() }.into());
        }
        if modes.is_empty() {
            return Err(ModesError::Missing.into());
        }
        let key = "geometry.temperature_k";
        match statistics {
            Statistics::Wigner => require(key, *temperature_k, "at least 0", |t| t >= 0.0)?,
            Statistics::Classical => require(
                key,
                *temperature_k,
                "above 0 for `statistics = \"classical\"`, which stands still at 0 K",
                |t| t > 0.0,
            )?,
        }
        let spec = ModesSpec {
            positions_bohr: &bohr_by_atom(molecule, positions_angstrom)?,
            modes,
            mass_weighted: vibrations.mass_weighted,
            imaginary: vibrations.imaginary,
        };
        Ok(Self::new(NormalModes::new(molecule, &spec)?, *statistics, *temperature_k))
    }

    fn new(modes: NormalModes, statistics: Statistics, temperature_k: f64) -> Self {
        let energy = BOLTZMANN_HARTREE_PER_K * temperature_k;
        // Twice the mean energy of an oscillator over its frequency.
        let factor = |frequency: &f64| match statistics {
            Statistics::Classical => 2.0 * energy / frequency,
            Statistics::Wigner => 1.0 / (0.5 * frequency / energy).tanh(),
        };
        let deviations = |of: fn(f64, f64) -> f64| -> Vec<f64> {
            modes.frequencies.iter().map(|frequency| of(factor(frequency), *frequency)).collect()
        };
        let coordinate_deviations = deviations(|factor, w| (0.5 * factor / w).sqrt());
        let momentum_deviations = deviations(|factor, w| (0.5 * factor * w).sqrt());
        let masses = modes.roots.iter().step_by(3).map(|root| root * root).collect();
        Self { modes, coordinate_deviations, momentum_deviations, masses }
    }

    /// Draws positions (3N, bohr; the centre of mass at the origin) and momenta (3N, a.u.; their sum zero): coordinate
    /// and momentum of one mode after another. `momenta` may be empty where they are not wanted; the random numbers
    /// are the same.
    pub(crate) fn draw(&self, rng: &mut impl Rng, positions: &mut [f64], momenta: &mut [f64]) {
        positions.copy_from_slice(&self.modes.reference);
        momenta.fill(0.0);
        let deviations = self.coordinate_deviations.iter().zip(&self.momentum_deviations);
        for (vector, (of_coordinate, of_momentum)) in self.modes.vectors.iter().zip(deviations) {
            let coordinate = of_coordinate * rng.sample::<f64, _>(StandardNormal);
            let momentum = of_momentum * rng.sample::<f64, _>(StandardNormal);
            let weights = vector.iter().zip(&self.modes.roots);
            for (x, (u, root)) in positions.iter_mut().zip(weights.clone()) {
                *x += coordinate * u / root;
            }
            for (p, (u, root)) in momenta.iter_mut().zip(weights) {
                *p += momentum * u * root;
            }
        }
        if !momenta.is_empty() {
            bring_to_rest(momenta, &self.masses);
        }
    }
}
