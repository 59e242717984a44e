//! The refined posterior of one event.

use std::fmt;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::matrix;
use crate::plausibility::Contact;

/// The refined posterior of one event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RefinedEvent {
    /// Draws (any number x columns): positions (bohr) in the frame of the run, and nuisances. Without noise, the modes.
    /// Those of the network for an event that is outside the model.
    #[serde(with = "matrix")]
    pub draws: Array2<f64>,
    /// The momenta (draws x 3N, a.u.) with which the ions of each draw start, in the orientation of the file; no columns
    /// where they are not asked for, NaN of draws of the network.
    #[serde(with = "matrix")]
    pub initial_momenta: Array2<f64>,
    /// Where several charge states are possible.
    pub states: Option<EventStates>,
    /// Geometries that explain the momenta, the most probable first; without noise in the limit of vanishing noise.
    pub modes: Vec<PositionMode>,
    /// Shape of the tail of the weights: infinite, the worst, where a few draws hold everything; minus infinity, the
    /// best, where the largest weights are equal; none without noise.
    pub k_hat: Option<f64>,
    /// Effective number of independent draws; none without noise.
    pub effective_sample_size: Option<f64>,
    /// `log p(y)` per unit volume of the momenta (a.u.); none without noise, and where no draw lies within the law.
    pub log_evidence: Option<f64>,
    /// Why it is not what the model describes.
    pub outside: OutsideModel,
    /// Limits of the geometry law that the posterior is in contact with.
    pub contacts: Vec<Contact>,
    /// Draws of a Markov chain for the same posterior, where they were asked for; none of an event all of whose
    /// network draws the geometry law excludes.
    pub chain: Option<ChainDraws>,
}

/// How probable the charge states of an event are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct EventStates {
    /// The posterior probability of each.
    pub probabilities: Vec<f64>,
    /// Of each draw, the place of its state.
    pub of_draws: Vec<usize>,
}

/// A geometry that explains the measured momenta.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PositionMode {
    /// The place of its charge state, where several are possible.
    pub state: usize,
    /// Positions (3N, bohr) in the frame of the run, and nuisances.
    pub inferred: Vec<f64>,
    /// The momenta (a.u.) with which the ions start, in the orientation of the file; empty where they are not asked for.
    pub initial_momenta: Vec<f64>,
    /// Posterior probability of what is nearest to it; none without noise.
    pub weight: Option<f64>,
    /// Root mean square difference between its momenta and the measured ones: in units of the noise, or
    /// in a.u. without noise.
    pub misfit: f64,
    /// Searches that ended there.
    pub searches: usize,
    /// Whether the geometry law excludes it; it is listed only where no geometry of the law gives the momenta.
    pub outside_law: bool,
}

/// Draws of a Markov chain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ChainDraws {
    /// Draws (any number x 3N, bohr) in the frame of the run.
    #[serde(with = "matrix")]
    pub draws: Array2<f64>,
    /// Largest split R-hat of a coordinate; to be trusted below 1.05.
    pub r_hat: f64,
}

/// Why an event is not what the model describes; empty if it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OutsideModel {
    /// The weights of the draws have too heavy a tail.
    pub k_hat: bool,
    /// The momenta are far less probable than those of training.
    pub evidence: bool,
    /// With noise: no draw lies within the geometry law, so that nothing has a weight, and there is no evidence.
    pub outside_law: bool,
    /// No geometry was found that gives the momenta.
    pub no_mode: bool,
    /// Without noise: independent searches for geometries that give the momenta do not agree, or did not end.
    pub search: bool,
    /// The posterior is pinned to a limit of the geometry law ([`LawEdges`](crate::plausibility::LawEdges)); without noise, only geometries
    /// outside of the law give the momenta.
    pub law_edge: bool,
}

impl RefinedEvent {
    /// An event about which nothing was inferred, of so many position columns.
    pub(crate) fn of_nothing(columns: usize) -> Self {
        Self {
            draws: Array2::zeros((0, columns)),
            initial_momenta: Array2::zeros((0, 0)),
            states: None,
            modes: Vec::new(),
            k_hat: None,
            effective_sample_size: None,
            log_evidence: None,
            outside: OutsideModel { no_mode: true, ..OutsideModel::default() },
            chain: None,
            contacts: Vec::new(),
        }
    }
}

impl OutsideModel {
    /// Whether there is any reason.
    pub(crate) fn any(self) -> bool {
        self.k_hat
            || self.evidence
            || self.outside_law
            || self.no_mode
            || self.search
            || self.law_edge
    }
}

impl fmt::Display for OutsideModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons = [
            (self.k_hat, "k-hat"),
            (self.evidence, "evidence"),
            (self.outside_law, "outside-law"),
            (self.no_mode, "no-mode"),
            (self.search, "search"),
            (self.law_edge, "law-edge"),
        ];
        let names: Vec<_> = reasons.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
        f.write_str(&names.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reasons_are_named() {
        let outside = OutsideModel { k_hat: true, law_edge: true, ..OutsideModel::default() };
        assert_eq!(outside.to_string(), "k-hat law-edge");
        assert!(OutsideModel { outside_law: true, ..OutsideModel::default() }.any());
        assert!(outside.any() && !OutsideModel::default().any());
    }

    /// What is read is what was written, to the bit: signs of zero, infinities, NaN and the smallest numbers too.
    #[test]
    fn every_bit_of_an_event_is_kept() -> Result<(), Box<dyn std::error::Error>> {
        let odd = [0.1, -0.0, f64::NAN, -f64::NAN, f64::INFINITY, f64::MIN_POSITIVE / 8.0];
        let mode = PositionMode {
            state: 1,
            inferred: odd.to_vec(),
            initial_momenta: Vec::new(),
            weight: None,
            misfit: 1.0 / 3.0,
            searches: 7,
            outside_law: true,
        };
        let event = RefinedEvent {
            draws: Array2::from_shape_vec((2, 3), odd.to_vec())?,
            initial_momenta: Array2::zeros((2, 0)),
            states: Some(EventStates { probabilities: odd.to_vec(), of_draws: vec![0, 1] }),
            modes: vec![mode],
            k_hat: Some(f64::NEG_INFINITY),
            effective_sample_size: None,
            log_evidence: Some(1e-300),
            chain: Some(ChainDraws { draws: Array2::from_elem((1, 6), 0.3), r_hat: 1.01 }),
            ..RefinedEvent::of_nothing(3)
        };
        let mut bytes = Vec::new();
        ciborium::into_writer(&event, &mut bytes)?;
        let read: RefinedEvent = ciborium::from_reader(&bytes[..])?;
        let bits = |event: &RefinedEvent| {
            let of_modes = event.modes.iter().flat_map(|mode| mode.inferred.clone());
            let of_states = event.states.iter().flat_map(|states| states.probabilities.clone());
            let all = event.draws.iter().copied().chain(of_modes).chain(of_states);
            all.map(f64::to_bits).collect::<Vec<_>>()
        };
        assert_eq!(bits(&read), bits(&event));
        assert_eq!(format!("{read:?}"), format!("{event:?}"));
        Ok(())
    }
}
