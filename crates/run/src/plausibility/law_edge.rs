//! Posteriors that are pinned to a limit of the geometry law: the momenta ask for a geometry beyond it.
//!
//! For a limit `a` of a bond length or angle `r`, with `d` the distance of a draw from it, inwards, and `d_05`, `d_50`
//! its quantiles over the posterior:
//! ```text
//! pinned at a:  d_05 <= (d_50 - d_05) / 8     the density does not fall towards the limit
//!          and  P_law(d <= d_50) <= t         half of the posterior lies where the law has only a part t
//! ```
//! A posterior that is calibrated, of an event of the law, is pinned with a probability of at most `2 t`: it puts half
//! of its probability where the truth is with a probability of `t`. An event is flagged with `t` = 5 % shared among
//! the limits, so at most one in ten such events is (in simulations fewer than one in thirty). A file is pinned to a
//! limit where, with `t` = 5 % for each, more of its events are than chance allows in 1 of 100 files.

use cei_metrics::special::binomial_upper_tail;
use cei_metrics::{number, quantile};
use cei_physics::alike::Relabelling;
use cei_physics::{LimitedQuantity, Simulation};
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use crate::TrainedRun;

/// The part of the law in which flagged posteriors lie to half, shared among its limits.
const OUTER: f64 = 0.05;
/// The same for each limit, where a file is judged.
const OUTER_OF_FILE: f64 = 0.05;
/// How often a file of the law may be called pinned.
const LEVEL: f64 = 0.01;
/// How much nearer to the limit the nearest 5 % of the draws are than the median is to these.
const CONTACT: f64 = 1.0 / 8.0;
/// Fewer draws say nothing about 5 % of a posterior.
const LEAST_DRAWS: usize = 20;
/// Draws of an event that are looked at.
const MOST_DRAWS: usize = 10_000;
/// Geometries that stand for the law, with a fixed seed.
const LAW_DRAWS: usize = 20_000;
/// Those by whose distances atoms that are exchanged at will are called.
const REFERENCE_DRAWS: usize = 2_000;

/// The limits of the geometry law of a run.
pub(crate) struct LawEdges {
    /// What atoms that are exchanged at will are called.
    relabelling: Option<Relabelling>,
    quantities: Vec<Quantity>,
    limits: Vec<Limit>,
}

struct Quantity {
    limited: LimitedQuantity,
    /// Values that the law draws, sorted.
    law: Vec<f64>,
}

#[derive(Debug, Clone, Copy)]
struct Limit {
    quantity: usize,
    value: f64,
    is_upper: bool,
}

/// A limit that an event's posterior is in contact with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Contact {
    /// Which of the limits.
    limit: usize,
    /// Probability that the law gives to the half of the posterior next to the limit.
    law_share: f64,
}

/// Events that are pinned to limits of the geometry law.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LawEdgeReport {
    /// Events flagged in `law_edge`.
    pub events: usize,
    /// The limits at which any are, or at which the file as a whole is pinned.
    pub limits: Vec<PinnedLimit>,
}

/// A limit of the geometry law, and the events at it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PinnedLimit {
    /// For example `C-O at its lower limit 95 pm`.
    pub limit: String,
    /// Events flagged at it.
    pub events: usize,
    /// Events at it where the file is judged.
    pub at_limit: usize,
    /// So many of them there would be at most, on average, were the file of the law.
    #[serde(with = "number")]
    pub expected_at_most: f64,
    /// Whether the file as a whole is pinned to it.
    pub file: bool,
}

impl LawEdges {
    /// The limits of the law behind a run; none where the law is not known, or has no limits.
    pub(crate) fn of_run(run: &TrainedRun) -> Option<Self> {
        let simulation = run.record.simulation.as_ref()?;
        run.molecule().filter(|m| m.labels() == simulation.molecule.labels())?;
        let edges = Self::of_law(simulation)?;
        let Some(alike) = run.record.preprocessing.alike() else { return Some(edges) };
        // Atoms are called as the law calls them, whatever the table did.
        let drawn = simulation.draw_geometries(REFERENCE_DRAWS, 0).ok()?;
        let relabelling = Relabelling::fit(&alike.groups, drawn.view());
        Some(Self { relabelling, ..edges })
    }

    /// The limits of the geometry law of a simulation; none where it has none.
    pub(crate) fn of_law(simulation: &Simulation) -> Option<Self> {
        // A law that cannot be resolved has not been trained on.
        let limited = simulation.limited_quantities().ok().filter(|all| !all.is_empty())?;
        let drawn = simulation.draw_geometries(LAW_DRAWS, 0).ok()?;
        let of_law = |limited: LimitedQuantity| {
            let rows = drawn.rows().into_iter();
            let mut law: Vec<f64> = rows.map(|row| limited.value(&row.to_vec())).collect();
            law.sort_by(f64::total_cmp);
            Quantity { limited, law }
        };
        let quantities: Vec<Quantity> = limited.into_iter().map(of_law).collect();
        let limits = quantities.iter().enumerate().flat_map(|(quantity, q)| {
            let limit = |value: Option<f64>, is_upper| {
                value.map(|value| Limit { quantity, value, is_upper })
            };
            [limit(q.limited.lower, false), limit(q.limited.upper, true)].into_iter().flatten()
        });
        Some(Self { relabelling: None, limits: limits.collect(), quantities })
    }

    /// The limits that the posterior of one event is in contact with, from its draws (any number x 3N, bohr).
    pub(crate) fn contacts(&self, draws: ArrayView2<'_, f64>) -> Vec<Contact> {
        let used = draws.nrows().min(MOST_DRAWS);
        if used < LEAST_DRAWS {
            return Vec::new();
        }
        let rows: Vec<Vec<f64>> =
            (0..used).map(|i| self.called(&draws.row(i * draws.nrows() / used).to_vec())).collect();
        let sorted = |quantity: &Quantity| {
            let mut values: Vec<f64> = rows.iter().map(|row| quantity.limited.value(row)).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let values: Vec<Vec<f64>> = self.quantities.iter().map(sorted).collect();
        let contact = |(index, limit): (usize, &Limit)| {
            let law_share = self.law_share(limit, &values[limit.quantity])?;
            Some(Contact { limit: index, law_share })
        };
        self.limits.iter().enumerate().filter_map(contact).collect()
    }

    /// The limits that a geometry (3N, bohr) lies beyond: where only such geometries explain an event that has no sound
    /// posterior, it is pinned to them.
    pub(crate) fn beyond(&self, positions: &[f64]) -> Vec<Contact> {
        let positions = self.called(positions);
        let is_beyond = |(_, limit): &(usize, &Limit)| {
            let value = self.quantities[limit.quantity].limited.value(&positions);
            if limit.is_upper { value > limit.value } else { value < limit.value }
        };
        let limits = self.limits.iter().enumerate().filter(is_beyond);
        limits.map(|(limit, _)| Contact { limit, law_share: 0.0 }).collect()
    }

    /// A geometry whose atoms are called as those of the law; nuisances may stand behind it.
    fn called(&self, positions: &[f64]) -> Vec<f64> {
        let mut called = positions.to_vec();
        if let Some(relabelling) = &self.relabelling {
            relabelling.relabel(&mut called);
        }
        called
    }

    /// What the law gives to the half of the posterior next to a limit; none without contact.
    fn law_share(&self, limit: &Limit, sorted: &[f64]) -> Option<f64> {
        let inwards =
            |value: f64| if limit.is_upper { limit.value - value } else { value - limit.value };
        let at = |level: f64| {
            quantile(sorted, if limit.is_upper { 1.0 - level } else { level }).map(inwards)
        };
        let (near, median) = (at(0.05)?, at(0.5)?);
        if near.is_nan() || median.is_nan() || near > CONTACT * (median - near) {
            return None;
        }
        let law = &self.quantities[limit.quantity].law;
        let inside = if limit.is_upper {
            law.len() - law.partition_point(|value| inwards(*value) > median)
        } else {
            law.partition_point(|value| inwards(*value) <= median)
        };
        Some(inside as f64 / law.len() as f64)
    }

    fn is_flagged(&self, contact: &Contact) -> bool {
        contact.law_share <= OUTER / self.limits.len() as f64
    }

    /// The limits that an event is flagged for, in words; none if it is not.
    pub(crate) fn in_words(&self, contacts: &[Contact]) -> Option<String> {
        let flagged = contacts.iter().filter(|contact| self.is_flagged(contact));
        let names: Vec<String> = flagged.map(|contact| self.name(contact.limit)).collect();
        (!names.is_empty()).then(|| names.join("; "))
    }

    fn name(&self, limit: usize) -> String {
        let Limit { quantity, value, is_upper } = self.limits[limit];
        let LimitedQuantity { name, unit, .. } = &self.quantities[quantity].limited;
        let side = if is_upper { "upper" } else { "lower" };
        let value = (value * 100.0).round() / 100.0;
        format!("{name} at its {side} limit {value} {unit}")
    }
}

/// Counts the contacts of the events of a file.
#[derive(Debug, Default)]
pub(crate) struct LawEdgeCounts {
    events: usize,
    flagged: usize,
    /// By limit: events flagged, and events at it where the file is judged.
    limits: Vec<[usize; 2]>,
}

impl LawEdgeCounts {
    /// Takes the contacts of one event.
    pub(crate) fn add(&mut self, edges: &LawEdges, contacts: &[Contact]) {
        self.limits.resize(edges.limits.len(), [0, 0]);
        self.events += 1;
        self.flagged += usize::from(contacts.iter().any(|contact| edges.is_flagged(contact)));
        for contact in contacts {
            let [flagged, near] = &mut self.limits[contact.limit];
            *flagged += usize::from(edges.is_flagged(contact));
            *near += usize::from(contact.law_share <= OUTER_OF_FILE);
        }
    }

    /// What they are of the whole file.
    pub(crate) fn report(&self, edges: &LawEdges) -> LawEdgeReport {
        let rate = 2.0 * OUTER_OF_FILE;
        let level = LEVEL / edges.limits.len() as f64;
        let limit = |(index, [flagged, near]): (usize, &[usize; 2])| {
            let share = *near as f64 / self.events as f64;
            // Of very many events, a part says as much.
            let trials = self.events.min(100_000);
            let successes = (share * trials as f64).round() as usize;
            let file = binomial_upper_tail(trials, rate, successes) <= level;
            let pinned = PinnedLimit {
                limit: edges.name(index),
                events: *flagged,
                at_limit: *near,
                expected_at_most: rate * self.events as f64,
                file,
            };
            (file || *flagged > 0).then_some(pinned)
        };
        let mut limits: Vec<_> = self.limits.iter().enumerate().filter_map(limit).collect();
        limits.sort_by_key(|limit| std::cmp::Reverse((limit.file, limit.at_limit)));
        LawEdgeReport { events: self.flagged, limits }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cei_model::random::standard_normal;
    use cei_physics::presets::OCS_WIDE;
    use cei_physics::units::BOHR_PM;
    use ndarray::Array2;
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    fn wide() -> LawEdges {
        LawEdges::of_law(&toml::from_str(OCS_WIDE.text).unwrap()).unwrap()
    }

    /// Draws of the exact posterior of the length C-O (pm), uniform from 100 to 500, that was measured with noise `sd`;
    /// the rest of the molecule is far from all limits.
    fn posterior(measured: f64, sd: f64, rng: &mut ChaCha8Rng) -> Array2<f64> {
        let mut rows = Vec::new();
        // By inverting a table of the density: noise far beyond the law is no trouble then.
        let cells = 8000;
        let centre = |cell: usize| 100.0 + 400.0 * (cell as f64 + 0.5) / cells as f64;
        let log = |cell: usize| -0.5 * ((centre(cell) - measured) / sd).powi(2);
        let most = (0..cells).map(log).fold(f64::NEG_INFINITY, f64::max);
        let mut sum = 0.0;
        let cumulative: Vec<f64> = (0..cells)
            .map(|cell| {
                sum += (log(cell) - most).exp();
                sum
            })
            .collect();
        for _ in 0..400 {
            let u: f64 = rng.random::<f64>() * sum;
            let cell = cumulative.partition_point(|c| *c < u).min(cells - 1);
            let length =
                (centre(cell) + (rng.random::<f64>() - 0.5) * 400.0 / cells as f64) / BOHR_PM;
            rows.extend([0.0, 0.0, 0.0, length, 0.0, 0.0, -4.0, 2.3, 0.0]);
        }
        Array2::from_shape_vec((400, 9), rows).unwrap()
    }

    /// 600 events of the law at each of six widths from 0.5 to 100 pm, posteriors exact: the stated 10 % (of all limits
    /// together, so 4 % for the two of C-O) are never reached, and no file of 600 is called pinned. The seed is fixed.
    #[test]
    fn calibrated_posteriors_of_the_law_are_seldom_flagged() {
        let edges = wide();
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for sd in [0.5, 2.0, 4.0, 8.0, 30.0, 100.0] {
            let mut counts = LawEdgeCounts::default();
            for _ in 0..600 {
                let truth = 100.0 + 400.0 * rng.random::<f64>();
                let z = f64::from(standard_normal(1, 1, &mut rng)[[0, 0]]);
                let draws = posterior(truth + sd * z, sd, &mut rng);
                counts.add(&edges, &edges.contacts(draws.view()));
            }
            let report = counts.report(&edges);
            assert!(report.events <= 24, "{sd}: {report:?}");
            assert!(report.limits.iter().all(|limit| !limit.file), "{sd}: {report:?}");
        }
    }

    /// Lengths 20 to 60 pm beyond the law.
    #[test]
    fn events_beyond_the_law_are_flagged_with_the_limit() {
        let edges = wide();
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        for (nearest, limit) in
            [(40.0, "C-O at its lower limit 100 pm"), (520.0, "C-O at its upper limit 500 pm")]
        {
            let mut counts = LawEdgeCounts::default();
            for _ in 0..100 {
                let truth = nearest + 40.0 * rng.random::<f64>();
                let draws = posterior(truth, 5.0, &mut rng);
                let contacts = edges.contacts(draws.view());
                assert!(edges.in_words(&contacts).is_none_or(|named| named == limit));
                counts.add(&edges, &contacts);
            }
            let report = counts.report(&edges);
            // 5 % quantiles of 400 draws are not exact.
            assert!(report.events >= 85 && report.limits.len() == 1, "{report:?}");
            assert!(report.limits[0].file && report.limits[0].limit == limit);
        }
    }
}
