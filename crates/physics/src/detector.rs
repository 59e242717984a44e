//! The detector: Gaussian noise on measured momenta, per ion and laboratory axis, and ions that it does not see.

use std::collections::BTreeMap;

use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{SimulationConfigError, require};
use crate::molecule::Molecule;

/// What a detector makes of true momenta, in the laboratory and before any frame is fixed.
///
/// ```toml
/// [detector]
/// momentum_noise_au = { C = 1.0, O = 1.0, S = [0.5, 0.5, 2.0] }
/// efficiency = 0.6
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Detector {
    /// Standard deviation of the momentum noise: one number, or a table with an entry for every
    /// atom (`O = 0.5` or `O = [0.2, 0.2, 1.0]` for the laboratory's x, y and z).
    #[schemars(extend("allowed" = "at least 0"))]
    pub momentum_noise_au: Noise,
    /// Probability that an ion is detected, whatever its momentum: one number, or a table with an entry for every atom.
    /// Without it every ion is. Events of which at least two ions are detected are kept; the three momentum cells of the others
    /// are empty.
    #[serde(skip_serializing_if = "Efficiency::is_full")]
    #[schemars(extend("allowed" = "above 0, at most 1"))]
    pub efficiency: Efficiency,
}

/// Probabilities that the ions of a molecule are detected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number, or a table of numbers by atom")]
pub enum Efficiency {
    /// The same for every ion.
    Same(f64),
    /// By atom label.
    PerAtom(BTreeMap<String, f64>),
}

impl Default for Efficiency {
    fn default() -> Self {
        Self::Same(1.0)
    }
}

impl Efficiency {
    /// Whether every ion is detected.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Same(efficiency) => *efficiency == 1.0,
            Self::PerAtom(table) => table.values().all(|efficiency| *efficiency == 1.0),
        }
    }
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
    /// let detector = Detector { momentum_noise_au: Noise::Same(0.5), ..Detector::default() };
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

    /// Which ions are detected is drawn by this; none where every ion always is.
    ///
    /// # Errors
    /// [`SimulationConfigError`] for a number outside of (0, 1], an unknown atom, and an atom left out.
    pub fn detection(
        &self,
        molecule: &Molecule,
    ) -> Result<Option<Detection>, SimulationConfigError> {
        let key = "detector.efficiency";
        let efficiencies = match &self.efficiency {
            Efficiency::Same(efficiency) => vec![*efficiency; molecule.atom_count()],
            Efficiency::PerAtom(table) => by_atom(molecule, key, table)?,
        };
        for efficiency in &efficiencies {
            require(key, *efficiency, "above 0 and at most 1", |e| e > 0.0 && e <= 1.0)?;
        }
        Ok((!self.efficiency.is_full()).then(|| Detection::new(efficiencies)))
    }
}

/// Ions of an event of which at least so many must be detected.
pub const LEAST_DETECTED: usize = 2;

/// Which ions of an event are detected, given that at least [`LEAST_DETECTED`] are.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    efficiencies: Vec<f64>,
    /// Probability that at least `k` of the ions from `i` on are detected.
    tails: Vec<[f64; LEAST_DETECTED + 1]>,
}

impl Detection {
    fn new(efficiencies: Vec<f64>) -> Self {
        let mut tails = vec![[1.0, 0.0, 0.0]];
        for efficiency in efficiencies.iter().rev() {
            let after = tails[tails.len() - 1];
            let tail =
                |k: usize| efficiency * after[k.saturating_sub(1)] + (1.0 - efficiency) * after[k];
            tails.push([1.0, tail(1), tail(2)]);
        }
        tails.reverse();
        Self { efficiencies, tails }
    }

    /// Probability of each ion.
    #[must_use]
    pub fn efficiencies(&self) -> &[f64] {
        &self.efficiencies
    }

    /// Of each ion, whether it may be missing.
    #[must_use]
    pub fn may_miss(&self) -> Vec<bool> {
        self.efficiencies.iter().map(|efficiency| *efficiency < 1.0).collect()
    }

    /// Makes the momenta (3N) of ions that are not detected NaN: one random number an ion.
    pub(crate) fn apply(&self, rng: &mut impl Rng, momenta: &mut [f64]) {
        let mut needed = LEAST_DETECTED;
        for (ion, efficiency) in self.efficiencies.iter().enumerate() {
            let after = self.tails[ion + 1][needed.saturating_sub(1)];
            // The probability of this ion, given that as many as are needed are detected from here on.
            let probability = efficiency * after / self.tails[ion][needed];
            if rng.random::<f64>() < probability {
                needed = needed.saturating_sub(1);
            } else {
                momenta[3 * ion..3 * ion + 3].fill(f64::NAN);
            }
        }
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

    /// Every subset of at least two of three ions as often as the product law, given two, says: chi-square of 3 degrees
    /// of freedom below 16.3, which chance exceeds in 1 of 1000 cases; the seed is fixed.
    #[test]
    fn subsets_are_drawn_as_the_efficiencies_say() {
        use rand::SeedableRng as _;
        let atoms = ["C", "O", "S"].map(|element| AtomSpec::new(element, 1.0));
        let molecule = Molecule::new(atoms.to_vec()).unwrap();
        let text = "efficiency = { C = 0.5, O = 0.9, S = 0.3 }";
        let detector: Detector = toml::from_str(text).unwrap();
        let detection = detector.detection(&molecule).unwrap().unwrap();
        assert_eq!(detection.may_miss(), [true; 3]);
        let [c, o, s] = [0.5, 0.9, 0.3];
        let kept = [c * o * s, (1.0 - c) * o * s, c * (1.0 - o) * s, c * o * (1.0 - s)];
        let total: f64 = kept.iter().sum();
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        let mut counts = [0.0; 4];
        let draws = 20_000;
        for _ in 0..draws {
            let mut momenta = [1.0; 9];
            detection.apply(&mut rng, &mut momenta);
            let missing: Vec<usize> = (0..3).filter(|ion| momenta[3 * ion].is_nan()).collect();
            let whole = |p: &[f64]| p.iter().all(|p| p.is_nan()) || p.iter().all(|p| *p == 1.0);
            assert!(momenta.chunks(3).all(whole));
            match missing[..] {
                [] => counts[0] += 1.0,
                [ion] => counts[ion + 1] += 1.0,
                _ => panic!("fewer than two ions"),
            }
        }
        let expected = kept.map(|p| p / total * f64::from(draws));
        let square = |(count, expected): (&f64, f64)| (count - expected).powi(2) / expected;
        let chi_square: f64 = counts.iter().zip(expected).map(square).sum();
        assert!(chi_square < 16.3, "{counts:?}");
        // Ions that are always there, and pairs, of which both are needed.
        let sure: Detector = toml::from_str("efficiency = { C = 1, O = 0.5, S = 1 }").unwrap();
        let sure = sure.detection(&molecule).unwrap().unwrap();
        assert_eq!(sure.may_miss(), [false, true, false]);
        let pair = Detection::new(vec![0.01, 0.02]);
        let mut momenta = [1.0; 6];
        pair.apply(&mut rng, &mut momenta);
        assert_eq!(momenta, [1.0; 6]);
    }

    #[test]
    fn full_efficiency_is_none_and_is_not_written() {
        let atoms = ["C", "S"].map(|element| AtomSpec::new(element, 1.0));
        let molecule = Molecule::new(atoms.to_vec()).unwrap();
        for text in ["", "efficiency = 1.0", "efficiency = { C = 1, S = 1 }"] {
            let detector: Detector = toml::from_str(text).unwrap();
            assert_eq!(detector.detection(&molecule).unwrap(), None);
            assert!(!toml::to_string(&detector).unwrap().contains("efficiency"));
        }
        for (text, said) in [
            ("efficiency = 0", "`0` is out of range, expected above 0 and at most 1"),
            ("efficiency = 1.5", "`1.5` is out of range"),
            ("efficiency = { O = 0.5 }", "has no atom `O`"),
        ] {
            let detector: Detector = toml::from_str(text).unwrap();
            let error = detector.detection(&molecule).unwrap_err().to_string();
            assert!(error.starts_with("`detector.efficiency`") && error.contains(said), "{error}");
        }
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
