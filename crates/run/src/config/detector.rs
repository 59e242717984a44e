//! What an experiment says about the detector.

use cei_physics::Detector;
use cei_physics::detector::{Efficiency, Noise};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an experiment says about the detector; what it leaves out is that of the simulation, where there is one.
///
/// ```toml
/// [detector]
/// momentum_noise_au = { C = 1.0, O = 1.0, S = [0.5, 0.5, 2.0] }
/// efficiency = 0.6
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeclaredDetector {
    /// Standard deviation of the momentum noise: one number, or a table with an entry for every
    /// atom (`O = 0.5` or `O = [0.2, 0.2, 1.0]` for the laboratory's x, y and z).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("allowed" = "at least 0"))]
    pub momentum_noise_au: Option<Noise>,
    /// Probability that an ion is detected, whatever its momentum: one number, or a table with an entry for every atom.
    /// Below 1, the three momentum cells of an ion may be empty: it was not detected. Where the table has all ions, those
    /// that are missing are drawn, anew in every epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("allowed" = "above 0, at most 1"))]
    pub efficiency: Option<Efficiency>,
}

impl DeclaredDetector {
    /// The detector, with what is not said here of that of a simulation.
    #[must_use]
    pub fn over(&self, simulated: Option<&Detector>) -> Detector {
        let mut detector = simulated.cloned().unwrap_or_default();
        if let Some(noise) = &self.momentum_noise_au {
            detector.momentum_noise_au = noise.clone();
        }
        if let Some(efficiency) = &self.efficiency {
            detector.efficiency = efficiency.clone();
        }
        detector
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_that_of_the_simulation() {
        let simulated = Detector { momentum_noise_au: Noise::Same(1.0), ..Detector::default() };
        let declared: DeclaredDetector = toml::from_str("efficiency = 0.6").unwrap();
        let both = declared.over(Some(&simulated));
        assert_eq!(both.momentum_noise_au, Noise::Same(1.0));
        assert_eq!(both.efficiency, Efficiency::Same(0.6));
        let declared: DeclaredDetector = toml::from_str("momentum_noise_au = 0").unwrap();
        assert_eq!(declared.over(Some(&simulated)), Detector::default());
        assert_eq!(declared.over(None), Detector::default());
        assert_eq!(toml::to_string(&declared).unwrap(), "momentum_noise_au = 0.0\n");
    }
}
