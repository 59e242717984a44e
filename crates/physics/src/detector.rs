//! The detector: Gaussian noise on measured momenta, per ion and laboratory axis.

use std::collections::BTreeMap;

use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{SimulationConfigError, require};
use crate::molecule::Molecule;

/// What a detector adds to true momenta, in the laboratory and before any frame is fixed.
///
/// ```toml
/// [detector]
/// momentum_noise_au = { C = 1.0, O = 1.0, S = [0.5, 0.5, 2.0] }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Detector {
    /// Standard deviation of the momentum noise: one number, or a table with an entry for every
    /// atom (`O = 0.5` or `O = [0.2, 0.2, 1.0]` for the laboratory's x, y and z).
    #[schemars(extend("allowed" = "at least 0"))]
    pub momentum_noise_au: Noise,
}

/// Standard deviations of the noise for the whole molecule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number, or a table of numbers by atom")]
pub enum Noise {
    /// The same for every component.
    Same(f64),
    /// By atom label.
    PerAtom(BTreeMap<String, AxisNoise>),
}

impl Default for Noise {
    fn default() -> Self {
        Self::Same(0.0)
    }
}

/// Standard deviations of the noise of one ion.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number or three numbers `[x, y, z]`")]
pub enum AxisNoise {
    /// The same for the three axes.
    Same(f64),
    /// For the laboratory's x, y and z.
    PerAxis([f64; 3]),
}

impl Detector {
    /// Standard deviation for each of the 3N momentum components in a.u.
    ///
    /// # Errors
    /// [`SimulationConfigError`] for a negative or infinite number, an unknown atom, and an atom left out.
    ///
    /// ```
    /// use cei_physics::{AtomSpec, Detector, Molecule, detector::Noise};
    ///
    /// let pair = Molecule::new(vec![AtomSpec::new("C", 1.0), AtomSpec::new("O", 1.0)])?;
    /// let detector = Detector { momentum_noise_au: Noise::Same(0.5) };
    /// assert_eq!(detector.standard_deviations(&pair)?, [0.5; 6]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn standard_deviations(
        &self,
        molecule: &Molecule,
    ) -> Result<Vec<f64>, SimulationConfigError> {
        let key = "detector.momentum_noise_au";
        let deviations = match &self.momentum_noise_au {
            Noise::Same(sd) => vec![*sd; 3 * molecule.atom_count()],
            Noise::PerAtom(table) => by_atom(molecule, key, table)?
                .into_iter()
                .flat_map(|noise| match noise {
                    AxisNoise::Same(sd) => [sd; 3],
                    AxisNoise::PerAxis(axes) => axes,
                })
                .collect(),
        };
        for sd in &deviations {
            require(key, *sd, "at least 0", |sd| sd >= 0.0)?;
        }
        Ok(deviations)
    }
}

/// Whether the noise of an ion, three standard deviations each, differs between the laboratory's axes.
pub fn is_uneven(deviations: &[f64]) -> bool {
    deviations.chunks_exact(3).any(|ion| ion.iter().any(|sd| *sd != ion[0]))
}

/// The entries of a table by atom label in the order of the molecule's atoms.
pub(crate) fn by_atom<T: Copy>(
    molecule: &Molecule,
    key: &str,
    table: &BTreeMap<String, T>,
) -> Result<Vec<T>, SimulationConfigError> {
    let mut found = vec![None; molecule.atom_count()];
    for (label, entry) in table {
        let place = &mut found[molecule.require_index(key, label)?];
        if place.replace(*entry).is_some() {
            return Err(SimulationConfigError::RepeatedAtom {
                key: key.to_owned(),
                label: label.clone(),
            });
        }
    }
    let missing = |label: &String| SimulationConfigError::MissingAtom {
        key: key.to_owned(),
        label: label.clone(),
    };
    found
        .into_iter()
        .zip(molecule.labels())
        .map(|(entry, label)| entry.ok_or_else(|| missing(label)))
        .collect()
}

/// Adds independent normal noise of these standard deviations to a row.
pub(crate) fn add_noise(rng: &mut impl Rng, deviations: &[f64], row: &mut [f64]) {
    for (value, sd) in row.iter_mut().zip(deviations) {
        *value += sd * rng.sample::<f64, _>(StandardNormal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::molecule::AtomSpec;

    fn deviations(text: &str) -> Result<Vec<f64>, SimulationConfigError> {
        let molecule =
            Molecule::new(vec![AtomSpec::new("C", 1.0), AtomSpec::new("O", 1.0)]).unwrap();
        toml::from_str::<Detector>(text).unwrap().standard_deviations(&molecule)
    }

    #[test]
    fn noise_is_a_number_or_a_table_by_atom() {
        assert_eq!(deviations("").unwrap(), [0.0; 6]);
        assert_eq!(deviations("momentum_noise_au = 1").unwrap(), [1.0; 6]);
        assert_eq!(
            deviations("momentum_noise_au = { O = [1, 2.0, 3], C = 0.5 }").unwrap(),
            [0.5, 0.5, 0.5, 1.0, 2.0, 3.0]
        );
    }

    #[test]
    fn errors_name_the_key_and_the_atom() {
        let message = |text| deviations(text).unwrap_err().to_string();
        assert!(
            message("momentum_noise_au = -1").starts_with("`detector.momentum_noise_au`: `-1`")
        );
        assert!(message("momentum_noise_au = { C = 1 }").contains("no entry for atom `O`"));
        assert!(message("momentum_noise_au = { C = 1, H = 1 }").contains("has no atom `H`"));
        assert!(message("momentum_noise_au = { C = 1, c = 1 }").contains("named twice"));
    }
}
