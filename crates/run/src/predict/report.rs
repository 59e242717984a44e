//! What a prediction tells when it is done: how many events, and which are flagged for what.

use cei_data::{DroppedRows, Gated};
use cei_metrics::{number, quantile};
use serde::Serialize;

use super::coincidences::CoincidenceReport;
use crate::plausibility::{LawEdgeReport, Outside, Plausibility};
use crate::refine::{EventStates, OutsideModel, RefinedEvent};
use crate::shard::Shard;

/// What was predicted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PredictionReport {
    /// Events.
    pub events: usize,
    /// Which part of the file these are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// Draws of each.
    pub draws: usize,
    /// The frame of the positions, in words.
    pub frame: String,
    /// Unit of the positions; none where the training table has none.
    pub unit: Option<&'static str>,
    /// Whether columns in the orientation of the file were written too.
    pub rotated_back: bool,
    /// Rows of the momenta file that `drop_invalid` and the gate left out.
    pub dropped: DroppedRows,
    /// What the gate on the momentum sum left out, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gated>,
    /// Events in which a momentum that never varied in training has another value.
    pub off_constant_events: usize,
    /// How the file compares with training as a set; absent for a run that has not kept any training momenta.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plausibility: Option<Plausibility>,
    /// Events pinned to a limit of the geometry law; absent where that is not known, or has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub law_edge: Option<LawEdgeReport>,
    /// Draws of each event that the summary is made of, where these are not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summarised_draws: Option<usize>,
    /// What has to be said about further columns of the file, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// Momenta that are no measurements, in words; their events have no draws.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub far_out: Vec<String>,
    /// Events outside the training support, by reason; absent for a run without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outside: Option<OutsideCounts>,
    /// What the refinement by the simulator found, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refinement: Option<RefinementReport>,
    /// The false coincidences of the file, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub false_coincidences: Option<CoincidenceReport>,
    /// How frequent the charge states are, where they were inferred.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub charge_states: Vec<StateShare>,
}

/// A charge state and how frequent it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StateShare {
    /// The charges of the ions.
    pub charges: Vec<f64>,
    /// The mean of its probability over the events.
    pub share: f64,
}

/// Effective draws below which quantiles of an event are rough.
pub const FEW_DRAWS: f64 = 100.0;

/// What the refinement by the simulator found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct RefinementReport {
    /// Whether the momenta have noise; without it the draws are the modes.
    pub noise: bool,
    /// Events outside the model, for any reason.
    pub outside_model: usize,
    /// Events whose weights have too heavy a tail.
    pub k_hat: usize,
    /// Events whose momenta are far less probable than those of training.
    pub evidence: usize,
    /// Events of which no draw lies within the geometry law: they have no evidence.
    pub outside_law: usize,
    /// Events without a geometry that gives their momenta.
    pub no_mode: usize,
    /// Without noise: those of which independent searches for geometries do not agree, or did not end.
    pub search: usize,
    /// Events whose posterior is pinned to a limit of the geometry law.
    pub law_edge: usize,
    /// Events with more than one mode.
    pub several_modes: usize,
    /// Largest split R-hat of the Markov chains; absent without them.
    #[serde(skip_serializing_if = "Option::is_none", with = "number")]
    pub worst_r_hat: Option<f64>,
    /// Events of the model whose draws are worth fewer than [`FEW_DRAWS`] independent ones.
    pub few_draws: usize,
    /// Median over the events of the effective number of draws; absent without noise.
    #[serde(skip_serializing_if = "Option::is_none", with = "number")]
    pub median_effective_sample_size: Option<f64>,
}

/// How many events are outside the training support, and why; an event may have several reasons.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct OutsideCounts {
    /// Events with any reason.
    pub events: usize,
    /// The momenta add up to more than in training.
    pub momentum_sum: usize,
    /// The kinetic energy release is above or below that of the training events.
    pub kinetic_energy: usize,
    /// No training momenta are near.
    pub distance: usize,
    /// A momentum is no measurement: these events have no draws.
    pub far_out: usize,
}

impl OutsideCounts {
    pub(super) fn of(events: &[Outside]) -> Self {
        let count = |is: fn(&Outside) -> bool| events.iter().filter(|event| is(event)).count();
        Self {
            events: count(|event| event.any()),
            momentum_sum: count(|event| event.momentum_sum),
            kinetic_energy: count(|event| event.kinetic_energy),
            distance: count(|event| event.distance),
            far_out: count(|event| event.far_out),
        }
    }
}

/// What the refinement has found so far.
#[derive(Default)]
pub(super) struct RefinementSums {
    counts: RefinementReport,
    sizes: Vec<f64>,
    /// Sums of the probabilities of the charge states, and of how many events.
    states: (Vec<f64>, usize),
}

impl RefinementSums {
    pub(super) fn add(&mut self, events: &[RefinedEvent]) {
        for event in events {
            self.counts.outside_model += usize::from(event.outside.any());
            self.counts.k_hat += usize::from(event.outside.k_hat);
            self.counts.evidence += usize::from(event.outside.evidence);
            self.counts.outside_law += usize::from(event.outside.outside_law);
            self.counts.no_mode += usize::from(event.outside.no_mode);
            self.counts.search += usize::from(event.outside.search);
            self.counts.law_edge += usize::from(event.outside.law_edge);
            self.counts.several_modes += usize::from(event.modes.len() > 1);
            let is_of_model = !OutsideModel { law_edge: false, ..event.outside }.any();
            let has_few = event.effective_sample_size.is_some_and(|size| size < FEW_DRAWS);
            self.counts.few_draws += usize::from(is_of_model && has_few);
            self.sizes.extend(event.effective_sample_size);
            if let Some(EventStates { probabilities, .. }) = &event.states {
                let (sums, events) = &mut self.states;
                sums.resize(probabilities.len(), 0.0);
                sums.iter_mut().zip(probabilities).for_each(|(sum, p)| *sum += p);
                *events += 1;
            }
            if let Some(chain) = &event.chain {
                let worst = self.counts.worst_r_hat.unwrap_or(1.0);
                self.counts.worst_r_hat = Some(worst.max(chain.r_hat));
            }
        }
    }

    /// How frequent these charge states are.
    pub(super) fn shares(&self, states: &[Vec<f64>]) -> Vec<StateShare> {
        let (sums, events) = &self.states;
        let share = |(charges, sum): (&Vec<f64>, &f64)| StateShare {
            charges: charges.clone(),
            share: sum / *events as f64,
        };
        states.iter().zip(sums).map(share).collect()
    }

    pub(super) fn report(mut self, noise: bool) -> RefinementReport {
        self.sizes.sort_by(f64::total_cmp);
        let median = quantile(&self.sizes, 0.5);
        RefinementReport { noise, median_effective_sample_size: median, ..self.counts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_effective_draws_count_where_draws_are_those_of_the_refinement() {
        let event = |effective_sample_size, outside| RefinedEvent {
            effective_sample_size,
            outside,
            ..RefinedEvent::of_nothing(3)
        };
        let inside = OutsideModel::default();
        let pinned = OutsideModel { law_edge: true, ..inside };
        let of_network = OutsideModel { k_hat: true, ..inside };
        let mut sums = RefinementSums::default();
        sums.add(&[
            event(Some(99.0), inside),
            event(Some(101.0), inside),
            event(Some(20.0), pinned),
            event(Some(20.0), of_network),
            event(None, inside),
        ]);
        assert_eq!(sums.report(true).few_draws, 2);
    }
}
