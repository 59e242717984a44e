//! How ions move before they fly apart: whether they do, and the distribution of their momenta.

use ndarray::Array2;

use crate::density::HarmonicDensity;
use crate::error::SimulationConfigError;
use crate::geometry::ResolvedLaw;
use crate::simulation::Simulation;
use crate::units::BOLTZMANN_HARTREE_PER_K;

/// The distribution of the initial momenta at given positions: a normal one with mean zero.
#[derive(Debug, Clone)]
pub struct InitialMomentumLaw(Kind);

#[derive(Debug, Clone)]
enum Kind {
    /// The same factor of the covariance wherever the atoms are.
    Thermal(Array2<f64>),
    /// The momenta of the vibrations turn with the molecule.
    Harmonic(Box<HarmonicDensity>),
}

impl InitialMomentumLaw {
    /// Covariance (3N x 3N, a.u. squared) of the initial momenta of a molecule at `positions` (3N, bohr). Its rank is 3N - 3 at
    /// most: the centre of mass is at rest.
    ///
    /// For the law `harmonic` it is that of the modes, turned into the molecule's most likely orientation (its Eckart
    /// frame, whichever of several explains the positions best).
    ///
    /// # Panics
    /// If `positions` has not three numbers an atom.
    pub fn covariance(&self, positions: &[f64]) -> Array2<f64> {
        let factor = self.factor(positions);
        factor.dot(&factor.t())
    }

    /// A factor `F` (3N, [`Self::dimension`]) of that covariance `F F^T`: the momenta are `F z` with independent normal
    /// numbers `z`. The columns have a sum of zero.
    ///
    /// # Panics
    /// As [`Self::covariance`].
    pub fn factor(&self, positions: &[f64]) -> Array2<f64> {
        match &self.0 {
            Kind::Thermal(factor) => factor.clone(),
            Kind::Harmonic(density) => density.momentum_factor(positions),
        }
    }

    /// Number of independent normal numbers: 3N - 3, or that of the modes.
    pub fn dimension(&self) -> usize {
        match &self.0 {
            Kind::Thermal(factor) => factor.ncols(),
            Kind::Harmonic(density) => density.modes(),
        }
    }

    /// Whether the momenta turn with the molecule.
    pub fn turns(&self) -> bool {
        matches!(self.0, Kind::Harmonic(_))
    }

    /// Whether the momenta at given positions are not normal after all: a linear molecule whose bends are no degenerate
    /// pairs, as its turn about its axis is not known.
    pub fn is_averaged(&self) -> bool {
        matches!(&self.0, Kind::Harmonic(density) if density.averages_turns())
    }
}

/// The factor of thermal momenta, minus each atom's share of the centre of mass's motion: for all atoms but the last that
/// of Cholesky, axis by axis; the last atom balances them.
fn thermal_factor(masses: &[f64], energy: f64) -> Array2<f64> {
    let total: f64 = masses.iter().sum();
    let others = masses.len() - 1;
    let mut lower = Array2::<f64>::zeros((others, others));
    for j in 0..others {
        for i in j..others {
            let own = if i == j { masses[i] } else { 0.0 };
            let before: f64 = (0..j).map(|k| lower[[i, k]] * lower[[j, k]]).sum();
            let rest = energy * (own - masses[i] * masses[j] / total) - before;
            lower[[i, j]] = if i == j { rest.sqrt() } else { rest / lower[[j, j]] };
        }
    }
    Array2::from_shape_fn((3 * masses.len(), 3 * others), |(row, column)| {
        if row % 3 != column % 3 {
            return 0.0;
        }
        let (atom, number) = (row / 3, column / 3);
        if atom < others { lower[[atom, number]] } else { -lower.column(number).sum() }
    })
}

impl Simulation {
    /// Whether all ions of all events start at rest.
    pub fn starts_at_rest(&self) -> bool {
        let vibrates = self.geometry.as_ref().is_some_and(|law| law.has_momenta());
        self.temperature_k == 0.0 && self.initial_momenta.is_law() && !vibrates
    }

    /// What the geometry law left out, changed or made of what it was given, in words: for stderr.
    ///
    /// # Errors
    /// A geometry law that is wrong.
    pub fn remarks(&self) -> Result<Vec<String>, SimulationConfigError> {
        let law = self.geometry.as_ref().map(|law| law.resolve(&self.molecule)).transpose()?;
        Ok(match law {
            Some(ResolvedLaw::Harmonic(law)) => law.modes.remarks,
            Some(ResolvedLaw::Internal(law)) => law.remarks,
            _ => Vec::new(),
        })
    }

    /// The distribution of the initial momenta at given positions; none if the ions start at rest, or with momenta of a
    /// file.
    ///
    /// # Errors
    /// A configuration that is wrong.
    ///
    /// ```
    /// use cei_physics::presets::OCS_WIDE;
    /// use cei_physics::{Simulation};
    ///
    /// let mut ocs: Simulation = toml::from_str(OCS_WIDE.text)?;
    /// assert!(ocs.initial_momentum_law()?.is_none());
    /// ocs.temperature_k = 300.0;
    /// let law = ocs.initial_momentum_law()?.ok_or("warm molecules move")?;
    /// // m k T, less the share of the centre of mass: carbon at 300 K has 4 a.u. along each axis.
    /// let variance = law.covariance(&[0.0; 9])[[0, 0]];
    /// assert!((variance.sqrt() - 4.1).abs() < 0.3, "{variance}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn initial_momentum_law(
        &self,
    ) -> Result<Option<InitialMomentumLaw>, SimulationConfigError> {
        self.check()?;
        if self.starts_at_rest() || !self.initial_momenta.is_law() {
            return Ok(None);
        }
        if let Some(law) = &self.geometry
            && let ResolvedLaw::Harmonic(cloud) = law.resolve(&self.molecule)?
        {
            let density = HarmonicDensity::new(&cloud);
            return Ok(Some(InitialMomentumLaw(Kind::Harmonic(Box::new(density)))));
        }
        let energy = BOLTZMANN_HARTREE_PER_K * self.temperature_k;
        Ok(Some(InitialMomentumLaw(Kind::Thermal(thermal_factor(self.molecule.masses(), energy)))))
    }
}
