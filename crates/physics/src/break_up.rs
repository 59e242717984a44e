//! In which order bonds break: all at once, or one ion first and the others after a rotation.
//!
//! # Sequential break-up
//! One ion, a, leaves; the others stay together and turn, and break up when it is far away.
//! ```text
//! first step    a flies off against the rest, which keeps its shape and its orientation in the time that this takes:
//!               the momentum P of a, that of the rest -P, and L = -(b x P), the angular momentum of the rest, where b is the
//!               line on which a flies, seen from the rest's centre of mass
//! energy        P^2 / 2 mu + L^2 / 2 I = sum q_a q_j / r_aj; P and L are made smaller by the same factor for it
//! rotation      by an angle about L, drawn or from a lifetime: |w| t with the angular velocity w = I^-1 L
//! second step   the ions of the rest explode from there, with the velocities w x d, in the frame that moves with -P / M
//! ```
//! Momentum, energy and angular momentum are conserved. That the rest keeps its orientation while a leaves is an
//! approximation: the first step takes some ten fs, a rotation some hundred and more. A rest without angular momentum, as that of a
//! molecule on a line, does not turn.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::charging::Charging;
use crate::error::SimulationConfigError;
use crate::molecule::Molecule;
use crate::nuisance::{Nuisance, Quantity};

/// A full turn.
const TURN_DEG: f64 = 360.0;

/// In which order bonds break.
///
/// ```toml
/// [break_up]
/// kind = "sequential"
/// first = "O"
/// rotation_deg = { distribution = "uniform", low = 0.0, high = 360.0 }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum BreakUp {
    /// All at once, the default.
    // The braces make unknown keys an error here too.
    Concerted {},
    /// One ion leaves first; the others turn together, and break up when it is far away. Exactly one of
    /// `rotation_deg` and `lifetime_ps` is given.
    Sequential {
        /// Label of the atom that leaves first.
        first: String,
        /// Angle by which the others have turned about their angular momentum when they break up.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(extend("exclusiveMinimum" = 0))]
        rotation_deg: Option<Quantity>,
        /// Time after which the others break up; they turn with their own angular velocity.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(extend("exclusiveMinimum" = 0))]
        lifetime_ps: Option<Quantity>,
    },
}

impl Default for BreakUp {
    fn default() -> Self {
        Self::Concerted {}
    }
}

impl BreakUp {
    /// Whether all bonds break at once.
    pub fn is_concerted(&self) -> bool {
        *self == Self::default()
    }

    /// Label of the atom that leaves first; none where all bonds break at once.
    pub fn first(&self) -> Option<&str> {
        match self {
            Self::Concerted {} => None,
            Self::Sequential { first, .. } => Some(first),
        }
    }

    /// What is drawn for each event.
    pub fn nuisances(&self) -> Vec<Nuisance> {
        let drawn = |(key, quantity): (&str, &Quantity)| match quantity {
            Quantity::Fixed(_) => None,
            Quantity::Drawn(law) => {
                let nuisance = Nuisance::new(format!("break_up_{key}"), law);
                let is_angle = matches!(self, Self::Sequential { rotation_deg: Some(_), .. });
                Some(if is_angle { nuisance.repeating(TURN_DEG) } else { nuisance })
            }
        };
        self.quantities().into_iter().filter_map(drawn).collect()
    }

    fn quantities(&self) -> Vec<(&'static str, &Quantity)> {
        match self {
            Self::Concerted {} => Vec::new(),
            Self::Sequential { rotation_deg, lifetime_ps, .. } => {
                let angle = rotation_deg.iter().map(|angle| ("rotation_deg", angle));
                angle.chain(lifetime_ps.iter().map(|time| ("lifetime_ps", time))).collect()
            }
        }
    }

    /// The place of the atom that leaves first, and how far the others turn; none where all bonds break at once.
    pub(crate) fn resolve(
        &self,
        molecule: &Molecule,
    ) -> Result<Option<(usize, Turn)>, SimulationConfigError> {
        let Self::Sequential { first, rotation_deg, .. } = self else { return Ok(None) };
        let [(key, quantity)] = self.quantities()[..] else {
            let found = self.quantities().len();
            let (first, second) = ("break_up.rotation_deg", "break_up.lifetime_ps");
            return Err(SimulationConfigError::ExactlyOne { first, second, found });
        };
        quantity.check(&format!("break_up.{key}"))?;
        let first = molecule.require_index("break_up.first", first)?;
        let needs = |what| Err(SimulationConfigError::Sequential { what });
        if molecule.atom_count() < 3 {
            return needs("three atoms at least");
        }
        if molecule.charges().iter().any(|charge| *charge <= 0.0) {
            return needs("positive charges of all ions, also in all channels");
        }
        let amount = match quantity {
            Quantity::Fixed(value) => Some(*value),
            Quantity::Drawn(_) => None,
        };
        let turn = match rotation_deg {
            Some(_) => Turn::Degrees(amount),
            None => Turn::Picoseconds(amount),
        };
        Ok(Some((first, turn)))
    }
}

/// How far the rest turns: the same for all events, or by the number of each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Turn {
    Degrees(Option<f64>),
    Picoseconds(Option<f64>),
}

/// What is said about an explosion beside its molecule: how its charges come, and in which order bonds break.
///
/// ```
/// use cei_physics::{Accuracy, AtomSpec, Charging, Dynamics, Exploder, Molecule, energy};
///
/// let ocs = ["O", "C", "S"].map(|element| AtomSpec::new(element, 1.0)).to_vec();
/// let ocs = Molecule::new(ocs)?;
/// let break_up = toml::from_str("kind = 'sequential'\nfirst = 'O'\nrotation_deg = 90.0")?;
/// let dynamics = Dynamics { break_up, ..Dynamics::from(&Charging::default()) };
/// let positions = [0.0, 2.2, 0.3, 0.0, 0.0, 0.0, 0.0, -2.9, 0.0];
/// let mut momenta = [0.0; 9];
/// Exploder::new(&ocs, &dynamics, &Accuracy::default())?.explode(&positions, None, &mut momenta)?;
/// // In whatever order, all of the potential energy is kinetic in the end.
/// let potential = energy::potential_energy(&ocs, &positions);
/// assert!((energy::kinetic_energy(&ocs, &momenta) / potential - 1.0).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dynamics {
    /// How the ions come to their charges.
    pub charging: Charging,
    /// In which order bonds break.
    pub break_up: BreakUp,
}

impl Dynamics {
    /// What is drawn for each event, in the order of the numbers that follow the positions of a row.
    pub fn nuisances(&self) -> Vec<Nuisance> {
        let mut nuisances = self.charging.nuisances();
        nuisances.extend(self.break_up.nuisances());
        nuisances
    }
}

impl From<&Charging> for Dynamics {
    /// All bonds break at once.
    fn from(charging: &Charging) -> Self {
        Self { charging: charging.clone(), break_up: BreakUp::default() }
    }
}

impl From<&Self> for Dynamics {
    fn from(dynamics: &Self) -> Self {
        dynamics.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_with_its_key() {
        let molecule: Molecule = toml::from_str(
            "atoms = [{ element = \"O\", charge = 1 }, { element = \"C\", charge = 1 }, \
             { element = \"S\", charge = 1 }]",
        )
        .unwrap();
        let error = |text: &str| {
            let break_up: BreakUp = toml::from_str(text).unwrap();
            break_up.resolve(&molecule).unwrap_err().to_string()
        };
        for (text, part) in [
            ("first = 'O'", "exactly one of `break_up.rotation_deg` and `break_up.lifetime_ps`"),
            ("first = 'O'\nrotation_deg = 1\nlifetime_ps = 1", "found 2"),
            ("first = 'N'\nrotation_deg = 1", "`break_up.first`"),
            ("first = 'O'\nrotation_deg = -1", "`break_up.rotation_deg`"),
            ("first = 'O'\nlifetime_ps = 0", "`break_up.lifetime_ps`"),
        ] {
            let message = error(&format!("kind = 'sequential'\n{text}"));
            assert!(message.contains(part), "{text}: {message}");
        }
        let neutral = molecule.with_charges(&[1.0, 0.0, 1.0]);
        let law: BreakUp =
            toml::from_str("kind = 'sequential'\nfirst = 'O'\nrotation_deg = 1").unwrap();
        assert!(law.resolve(&neutral).unwrap_err().to_string().contains("positive charges"));
        assert!(toml::from_str::<BreakUp>("kind = 'concerted'\nfirst = 'O'").is_err());
    }

    #[test]
    fn what_is_drawn_has_a_name_with_its_unit() {
        let names = |text: &str| -> Vec<String> {
            let law: BreakUp = toml::from_str(text).unwrap();
            law.nuisances().into_iter().map(|nuisance| nuisance.name).collect()
        };
        let law = "kind = 'sequential'\nfirst = 'O'\n";
        let drawn = "{ distribution = 'uniform', low = 0, high = 360 }";
        assert_eq!(names(&format!("{law}rotation_deg = {drawn}")), ["break_up_rotation_deg"]);
        assert_eq!(names(&format!("{law}lifetime_ps = {drawn}")), ["break_up_lifetime_ps"]);
        assert!(names(&format!("{law}rotation_deg = 20")).is_empty());
    }
}
