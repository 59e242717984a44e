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
    /// The same covariance wherever the atoms are.
    Thermal(Array2<f64>),
    /// The covariance of the vibrations turns with the molecule.
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
        match &self.0 {
            Kind::Thermal(covariance) => covariance.clone(),
            Kind::Harmonic(density) => density.momentum_covariance(positions),
        }
    }
}

impl Simulation {
    /// Whether all ions of all events start at rest.
    pub fn starts_at_rest(&self) -> bool {
        let vibrates = self.geometry.as_ref().is_some_and(|law| law.has_momenta());
        self.temperature_k == 0.0 && self.initial_momenta.is_law() && !vibrates
    }

    /// What the geometry law left out or changed of what it was given, in words: for stderr.
    ///
    /// # Errors
    /// A geometry law that is wrong.
    pub fn remarks(&self) -> Result<Vec<String>, SimulationConfigError> {
        let law = self.geometry.as_ref().map(|law| law.resolve(&self.molecule)).transpose()?;
        Ok(match law {
            Some(ResolvedLaw::Harmonic(law)) => law.modes.remarks,
            _ => Vec::new(),
        })
    }

    /// The distribution of the initial momenta at given positions; none if the ions start at rest, or with momenta of a
    /// file.
    ///
    /// # Errors
    /// A configuration that is wrong.
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
        let masses = self.molecule.masses();
        let total: f64 = masses.iter().sum();
        let energy = BOLTZMANN_HARTREE_PER_K * self.temperature_k;
        let n = 3 * masses.len();
        let covariance = Array2::from_shape_fn((n, n), |(i, j)| {
            let own = if i == j { masses[i / 3] } else { 0.0 };
            let common = if i % 3 == j % 3 { masses[i / 3] * masses[j / 3] / total } else { 0.0 };
            energy * (own - common)
        });
        Ok(Some(InitialMomentumLaw(Kind::Thermal(covariance))))
    }
}
