//! Charge states that differ between events: a weighted list of channels (`docs/spec.md#charge-states`).

use rand::{Rng, RngExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{SimulationConfigError, require};
use crate::molecule::Molecule;
use crate::simulation::Simulation;

/// The greatest number of channels: each is a posterior of its own where charges are not known.
pub const MAX_CHANNELS: usize = 64;

/// The charges of all ions of an event, and how often they are these.
///
/// ```toml
/// [[channels]]
/// charges = [2, 2, 2]
/// weight = 0.7
///
/// [[channels]]
/// charges = [1, 1, 2]
/// weight = 0.3
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// Charges of the ions, in the order of `molecule.atoms`.
    #[schemars(extend("unit" = "e"))]
    pub charges: Vec<f64>,
    /// How often, in parts of the sum of the weights of all channels.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub weight: f64,
}

/// A molecule in one of its charge states.
#[derive(Debug, Clone, PartialEq)]
pub struct ChargeState {
    /// The molecule with these charges.
    pub molecule: Molecule,
    /// The probability of the state; those of all states add up to 1.
    pub probability: f64,
}

impl Simulation {
    /// The molecule in each of its charge states; the molecule as it is where no channels are listed.
    ///
    /// # Errors
    /// Channels of another number of charges, listed twice, without weight, too many of them, and a molecule whose own
    /// charges are those of none.
    ///
    /// ```
    /// use cei_physics::presets::OCS_WIDE;
    /// use cei_physics::{Simulation, Channel};
    ///
    /// let mut ocs: Simulation = toml::from_str(OCS_WIDE.text)?;
    /// ocs.channels = vec![
    ///     Channel { charges: vec![2.0, 2.0, 2.0], weight: 3.0 },
    ///     Channel { charges: vec![1.0, 2.0, 2.0], weight: 1.0 },
    /// ];
    /// let states = ocs.charge_states()?;
    /// assert_eq!(states[1].probability, 0.25);
    /// assert_eq!(states[1].molecule.charges(), [1.0, 2.0, 2.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn charge_states(&self) -> Result<Vec<ChargeState>, SimulationConfigError> {
        let Self { molecule, channels, .. } = self;
        if channels.is_empty() {
            return Ok(vec![ChargeState { molecule: molecule.clone(), probability: 1.0 }]);
        }
        let found = channels.len();
        if found > MAX_CHANNELS {
            return Err(SimulationConfigError::ChannelCount { found, most: MAX_CHANNELS });
        }
        let total: f64 = channels.iter().map(|channel| channel.weight).sum();
        let mut states: Vec<ChargeState> = Vec::with_capacity(found);
        for (place, Channel { charges, weight }) in channels.iter().enumerate() {
            require(format!("channels[{place}].weight"), *weight, "above 0", |weight| {
                weight > 0.0
            })?;
            for (ion, charge) in charges.iter().enumerate() {
                let key = || format!("channels[{place}].charges[{ion}]");
                require(key(), *charge, "a finite number", |_| true)?;
            }
            let known = molecule.labels();
            if charges.len() != known.len() {
                let (found, known) = (charges.len(), known.to_vec());
                return Err(SimulationConfigError::ChannelCharges { place, found, known });
            }
            if let Some(first) =
                channels[..place].iter().position(|other| other.charges == *charges)
            {
                return Err(SimulationConfigError::RepeatedChannel { first, second: place });
            }
            let molecule = molecule.with_charges(charges);
            states.push(ChargeState { molecule, probability: weight / total });
        }
        if channels.iter().all(|channel| channel.charges != molecule.charges()) {
            let charges = molecule.charges().to_vec();
            return Err(SimulationConfigError::ChargesOfNoChannel { charges });
        }
        Ok(states)
    }

    /// Whether the charges of the ions differ between events.
    pub fn has_channels(&self) -> bool {
        self.channels.len() > 1
    }
}

/// The place of a state drawn by their probabilities. One state takes no random number.
pub(crate) fn draw(states: &[ChargeState], rng: &mut impl Rng) -> usize {
    if states.len() == 1 {
        return 0;
    }
    let drawn: f64 = rng.random();
    let mut below = 0.0;
    let is_it = |state: &ChargeState| {
        below += state.probability;
        drawn < below
    };
    states.iter().position(is_it).unwrap_or(states.len() - 1)
}

fn one() -> f64 {
    1.0
}
