//! What an event has of its own beside its positions: a time and a rate of its charging, or how far it turns.

use crate::charging::{ChargeLaw, OwnRate};
use crate::units::TIME_AU_FS;

/// What each event has of its own beside its positions.
pub(super) struct Own {
    /// Names of the columns.
    pub(super) names: Vec<String>,
    /// The time of the law by which all fly, where each has its own: the first number.
    reference: Option<f64>,
    transfer: Option<OwnRate>,
}

/// What an event becomes to fly by the law of all (`charging`, "Times that differ between events").
#[derive(Debug, Clone, Copy)]
pub(super) struct Scaling {
    /// What its positions are stretched by; NaN for a number that is not positive and finite.
    pub(super) stretch: f64,
    /// Its rate of transfer there (1/a.u. of time), where that is not the law's.
    pub(super) transfer: f64,
}

impl Own {
    /// Numbers of these names, of which a law of charges takes some.
    pub(super) fn new(names: Vec<String>, law: Option<&ChargeLaw>) -> Self {
        Self {
            names,
            reference: law.and_then(|law| law.reference),
            transfer: law.and_then(|law| law.transfer),
        }
    }

    /// The scaling of an event with these numbers.
    pub(super) fn scaling(&self, numbers: &[f64]) -> Scaling {
        if !numbers.iter().all(|value| is_positive(*value)) {
            return Scaling { stretch: f64::NAN, transfer: f64::NAN };
        }
        let stretch = self.reference.map_or(1.0, |reference| {
            let ratio = reference / numbers[0];
            libm::cbrt(ratio * ratio)
        });
        let rate = match self.transfer {
            None => 0.0,
            Some(OwnRate::Fixed(rate)) => rate,
            Some(OwnRate::Number(place)) => numbers[place],
        };
        Scaling { stretch, transfer: rate * TIME_AU_FS / (stretch * stretch.sqrt()) }
    }

    /// The rates of transfer of all events, where they are not the law's.
    pub(super) fn transfers(&self, each: &[Scaling]) -> Option<Vec<f64>> {
        self.transfer.map(|_| each.iter().map(|scaling| scaling.transfer).collect())
    }

    /// Whether the first number is a time, and the place of a rate among the numbers.
    pub(super) fn places(&self) -> (bool, Option<usize>) {
        let rate = match self.transfer {
            Some(OwnRate::Number(place)) => Some(place),
            _ => None,
        };
        (self.reference.is_some(), rate)
    }

    /// The rate of transfer of an event in the unit of its key, and whether each event has its own at all.
    pub(super) fn rate(&self, numbers: &[f64]) -> Option<f64> {
        self.transfer.map(|rate| match rate {
            OwnRate::Fixed(rate) => rate,
            OwnRate::Number(place) => numbers[place],
        })
    }
}

pub(super) fn is_positive(value: f64) -> bool {
    value.is_finite() && value > 0.0
}
