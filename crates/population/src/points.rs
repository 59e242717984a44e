//! Draws made ready for the likelihood: in units of their own spread, each once, with a kernel about it, and mirrored at
//! the limits of their quantities.
//!
//! A posterior is known by its draws, of which few may be where the population is. So it is smoothed, by normal laws of the
//! part `b^2 = K^(-2 / (m + 4))` of the covariance of its draws (Scott's rule), which are pulled to their mean by
//! `sqrt(1 - b^2)`: mean and covariance stay what they are (M. West, J. R. Stat. Soc. B 55, 409 (1993)). Where a posterior
//! has clouds apart from each other, each has its own.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView2, ArrayView3, Axis};
use rayon::prelude::*;

use crate::block::{Block, LANES};
use crate::error::PopulationError;
use crate::laws::longest;

/// Fewest events, and draws of each.
const LEAST_EVENTS: usize = 20;
const LEAST_DRAWS: usize = 20;
/// Draws are in two clouds if those leave less than this part of the variance along their longest axis; halves of a normal law
/// leave 0.36 of it, those of a uniform one 0.25.
const APART: f64 = 0.2;
/// A draw this near to a limit, in standard deviations of all draws, has a mirror image beyond it.
const REACH: f64 = 2.0;
/// Events that are made ready at once.
const AT_ONCE: usize = 4096;

/// What a population is inferred from.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// Quantities of equally weighted posterior draws (events, draws, m).
    pub draws: ArrayView3<'a, f64>,
    /// Log density of the training law at these quantities, per unit volume of them (events, draws).
    pub log_law: ArrayView2<'a, f64>,
    /// How often each event counts (events): 1, or one over the probability that such an event is recorded.
    pub counts: &'a [f64],
    /// Limits of each quantity (m), at which its density may end: laws that reach beyond are folded back.
    pub limits: &'a [Option<[f64; 2]>],
}

/// Draws of an event in units of the spread of all, each a kernel: a normal law about it. They stand in blocks, of which the last of
/// a cloud is filled up with draws that count for nothing.
#[derive(Debug, Clone)]
pub(crate) struct Points {
    /// Quantities.
    pub(crate) m: usize,
    /// `m` for each block, those of a cloud one behind another.
    rows: Vec<Block>,
    /// Of each draw, log of its multiplicity over the density of the training law, per unit volume of the rows.
    logs: Vec<Block>,
    /// Where the blocks of each cloud begin, and the end; those of an event stand one behind another.
    clouds: Vec<usize>,
    /// Of each cloud the covariance of its kernels (m, m).
    kernels: Vec<f64>,
    /// Where the clouds of each event begin, and the end.
    starts: Vec<usize>,
    /// Number of draws of an event.
    pub(crate) draws: f64,
}

/// Centre and standard deviation of all draws of each quantity.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Units {
    pub(crate) centres: Vec<f64>,
    pub(crate) scales: Vec<f64>,
    /// Median over the events of the standard deviation of their draws, in the units of the quantities.
    pub(crate) of_events: Vec<f64>,
}

impl Sample<'_> {
    /// Sizes, numbers and units of a sample.
    pub(crate) fn check(&self) -> Result<Units, PopulationError> {
        let (n, k, m) = self.draws.dim();
        let (events, draws) = self.log_law.dim();
        for (what, found, expected) in [
            ("events of log_law", events, n),
            ("draws of log_law", draws, k),
            ("counts", self.counts.len(), n),
            ("limits", self.limits.len(), m),
        ] {
            if found != expected {
                return Err(PopulationError::Size { what, found, expected });
            }
        }
        for (what, found, least) in [
            ("number of events", n, LEAST_EVENTS),
            ("number of draws of an event", k, LEAST_DRAWS),
            ("number of quantities", m, 1),
        ] {
            if found < least {
                return Err(PopulationError::TooFew { what, found, least });
            }
        }
        for (event, draws) in self.draws.axis_iter(Axis(0)).enumerate() {
            if let Some(((_, quantity), _)) = draws.indexed_iter().find(|(_, q)| !q.is_finite()) {
                return Err(PopulationError::NotFinite { event, quantity });
            }
            if self.log_law.row(event).iter().any(|log| !log.is_finite()) {
                return Err(PopulationError::OutsideLaw { event });
            }
            if !(self.counts[event] > 0.0 && self.counts[event].is_finite()) {
                return Err(PopulationError::Count { event, count: self.counts[event] });
            }
        }
        self.units()
    }

    fn units(&self) -> Result<Units, PopulationError> {
        let (n, _, m) = self.draws.dim();
        let mut units = Units { centres: Vec::new(), scales: Vec::new(), of_events: Vec::new() };
        for quantity in 0..m {
            let own = self.draws.index_axis(Axis(2), quantity);
            let scale = own.std(0.0);
            if scale <= 0.0 {
                return Err(PopulationError::Constant { quantity });
            }
            let mut of_events: Vec<f64> = own.rows().into_iter().map(|row| row.std(0.0)).collect();
            of_events.sort_by(f64::total_cmp);
            units.centres.push(own.mean().unwrap_or(0.0));
            units.scales.push(scale);
            units.of_events.push(of_events[n / 2]);
        }
        Ok(units)
    }

    /// The draws in these units.
    pub(crate) fn points(&self, units: &Units) -> Points {
        let (n, k, m) = self.draws.dim();
        let mut points = Points::of_nothing(m, k as f64);
        for start in (0..n).step_by(AT_ONCE) {
            let some: Vec<Vec<Kernels>> = (start..n.min(start + AT_ONCE))
                .into_par_iter()
                .map(|event| self.event(event, units))
                .collect();
            for kernels in some {
                for Kernels { rows, logs, kernel } in kernels {
                    points.push(&rows, &logs, kernel.iter());
                }
                points.end_event();
            }
        }
        points
    }

    /// The clouds of one event, and their mirror images.
    fn event(&self, event: usize, units: &Units) -> Vec<Kernels> {
        let draws = self.draws.index_axis(Axis(0), event);
        let log_volume: f64 = units.scales.iter().map(|scale| scale.ln()).sum();
        let m = draws.ncols();
        let (mut rows, mut logs, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        for (place, count) in once_each(draws) {
            let row = draws.row(place);
            rows.push((0..m).map(|i| (row[i] - units.centres[i]) / units.scales[i]).collect());
            logs.push(-self.log_law[[event, place]] - log_volume);
            counts.push(count);
        }
        let mut clouds: Vec<Kernels> = clouds(&rows, &counts)
            .into_iter()
            .map(|places| kernels(&places, &rows, &logs, &counts))
            .collect();
        for (quantity, limits) in self.limits.iter().enumerate() {
            for limit in limits.iter().flatten() {
                let limit = (limit - units.centres[quantity]) / units.scales[quantity];
                let images: Vec<Kernels> =
                    clouds.iter().filter_map(|cloud| cloud.mirrored(quantity, limit)).collect();
                clouds.extend(images);
            }
        }
        clouds
    }
}

/// The place of each draw that differs from those before it, and how often it occurs.
fn once_each(draws: ArrayView2<'_, f64>) -> Vec<(usize, f64)> {
    let mut order: Vec<usize> = (0..draws.nrows()).collect();
    let compare = |a: &usize, b: &usize| {
        let mut pairs = draws.row(*a).into_iter().zip(draws.row(*b));
        let differs = pairs.find_map(|(a, b)| Some(a.total_cmp(b)).filter(|order| order.is_ne()));
        differs.unwrap_or(std::cmp::Ordering::Equal)
    };
    order.sort_by(compare);
    let same = order.chunk_by(|a, b| compare(a, b).is_eq());
    same.map(|same| (same[0], same.len() as f64)).collect()
}

/// Rows with the covariance of the normal laws about them.
struct Kernels {
    rows: Vec<f64>,
    logs: Vec<f64>,
    kernel: Array2<f64>,
}

impl Kernels {
    /// Mirrored at the limit of a quantity; nothing of a cloud far from it.
    fn mirrored(&self, quantity: usize, limit: f64) -> Option<Self> {
        let m = self.kernel.nrows();
        let mut image = Self { rows: Vec::new(), logs: Vec::new(), kernel: self.kernel.clone() };
        for (row, log) in self.rows.chunks_exact(m).zip(&self.logs) {
            if (row[quantity] - limit).abs() < REACH {
                let start = image.rows.len();
                image.rows.extend_from_slice(row);
                image.rows[start + quantity] = 2.0 * limit - row[quantity];
                image.logs.push(*log);
            }
        }
        for other in (0..m).filter(|other| *other != quantity) {
            image.kernel[[quantity, other]] *= -1.0;
            image.kernel[[other, quantity]] *= -1.0;
        }
        (!image.logs.is_empty()).then_some(image)
    }
}

/// Mean and covariance of some rows.
fn moments(places: &[usize], rows: &[Vec<f64>], counts: &[f64]) -> (Array1<f64>, Array2<f64>) {
    let m = rows[places[0]].len();
    let total: f64 = places.iter().map(|place| counts[*place]).sum();
    let mut mean = Array1::zeros(m);
    for &place in places {
        (0..m).for_each(|i| mean[i] += counts[place] * rows[place][i] / total);
    }
    let mut covariance = Array2::zeros((m, m));
    for &place in places {
        for i in 0..m {
            for j in 0..m {
                covariance[[i, j]] +=
                    counts[place] / total * (rows[place][i] - mean[i]) * (rows[place][j] - mean[j]);
            }
        }
    }
    (mean, covariance)
}

/// Rows that lie together: all, or, where they are in two clouds far apart along their longest axis, those of each.
fn clouds(rows: &[Vec<f64>], counts: &[f64]) -> Vec<Vec<usize>> {
    let (mut left, mut clouds) = (vec![(0..rows.len()).collect::<Vec<usize>>()], Vec::new());
    while let Some(places) = left.pop() {
        match halves(&places, rows, counts) {
            Some(halves) => left.extend(halves),
            None => clouds.push(places),
        }
    }
    clouds
}

/// Two clouds, by their means along the longest axis.
fn halves(places: &[usize], rows: &[Vec<f64>], counts: &[f64]) -> Option<[Vec<usize>; 2]> {
    if places.len() < 2 * LEAST_DRAWS {
        return None;
    }
    let (mean, covariance) = moments(places, rows, counts);
    let axis = longest(&covariance);
    let length = axis.dot(&axis).sqrt();
    let along: Vec<f64> = places
        .iter()
        .map(|place| (0..mean.len()).map(|i| axis[i] * (rows[*place][i] - mean[i])).sum::<f64>())
        .map(|product| product / (length * length))
        .collect();
    let mut border = 0.0;
    let mut within = 1.0;
    for _ in 0..10 {
        let mut sums = [[0.0; 3]; 2];
        for (place, x) in places.iter().zip(&along) {
            let side = &mut sums[usize::from(*x > border)];
            let count = counts[*place];
            *side = [side[0] + count, side[1] + count * x, side[2] + count * x * x];
        }
        let [below, above] = sums;
        if below[0] == 0.0 || above[0] == 0.0 {
            return None;
        }
        border = 0.5 * (below[1] / below[0] + above[1] / above[0]);
        let rest = |side: [f64; 3]| side[2] - side[1] * side[1] / side[0];
        within = (rest(below) + rest(above)) / (below[0] + above[0]);
    }
    if within > APART {
        return None;
    }
    let side = |is_above: bool| -> Vec<usize> {
        let own = places.iter().zip(&along).filter(|(_, x)| (**x > border) == is_above);
        own.map(|(place, _)| *place).collect()
    };
    let halves = [side(false), side(true)];
    halves.iter().all(|half| half.len() >= LEAST_DRAWS).then_some(halves)
}

/// The rows of a cloud, pulled to their mean, with kernels that give it back the covariance that it had.
fn kernels(places: &[usize], rows: &[Vec<f64>], logs: &[f64], counts: &[f64]) -> Kernels {
    let (mean, covariance) = moments(places, rows, counts);
    let m = mean.len();
    let sum: f64 = places.iter().map(|place| counts[*place]).sum();
    let squares: f64 = places.iter().map(|place| counts[*place].powi(2)).sum();
    let part = (sum * sum / squares).powf(-2.0 / (m + 4) as f64);
    let pull = (1.0 - part).max(0.0).sqrt();
    let pulled = places
        .iter()
        .flat_map(|place| (0..m).map(|i| mean[i] + pull * (rows[*place][i] - mean[i])));
    Kernels {
        rows: pulled.collect(),
        logs: places.iter().map(|place| logs[*place] + counts[*place].ln()).collect(),
        kernel: covariance * part,
    }
}

impl Points {
    pub(crate) fn of_nothing(m: usize, draws: f64) -> Self {
        let (rows, logs, kernels) = (Vec::new(), Vec::new(), Vec::new());
        Self { m, rows, logs, clouds: vec![0], kernels, starts: vec![0], draws }
    }

    /// Adds a cloud to the event that is not ended yet: rows, their logs, and the covariance of its kernels. Nothing of one without rows.
    pub(crate) fn push<'a>(
        &mut self,
        rows: &[f64],
        logs: &[f64],
        kernel: impl Iterator<Item = &'a f64>,
    ) {
        let m = self.m;
        for (rows, logs) in rows.chunks(LANES * m).zip(logs.chunks(LANES)) {
            let mut block = [f64::NEG_INFINITY; LANES];
            block[..logs.len()].copy_from_slice(logs);
            self.logs.push(block);
            let of_quantity =
                |i| std::array::from_fn(|lane| rows.get(lane * m + i).copied().unwrap_or(0.0));
            self.rows.extend((0..m).map(of_quantity));
        }
        if !logs.is_empty() {
            self.clouds.push(self.logs.len());
            self.kernels.extend(kernel);
        }
    }

    /// What is pushed from now on belongs to the next event.
    pub(crate) fn end_event(&mut self) {
        self.starts.push(self.clouds.len() - 1);
    }

    pub(crate) fn events(&self) -> usize {
        self.starts.len() - 1
    }

    /// The clouds of an event.
    pub(crate) fn clouds(&self, event: usize) -> Range<usize> {
        self.starts[event]..self.starts[event + 1]
    }

    /// The blocks of a cloud: `m` for the rows of each, one for their logs, and the covariance of the kernels.
    pub(crate) fn of(&self, cloud: usize) -> (&[Block], &[Block], &[f64]) {
        let (start, end) = (self.clouds[cloud], self.clouds[cloud + 1]);
        let m = self.m;
        let kernel = &self.kernels[cloud * m * m..(cloud + 1) * m * m];
        (&self.rows[start * m..end * m], &self.logs[start..end], kernel)
    }

    /// Some events, with the draws alone for which `keep` is true; it gets an event and gives one answer for each draw of its blocks.
    pub(crate) fn kept(
        &self,
        events: impl Iterator<Item = usize>,
        keep: impl Fn(usize) -> Vec<bool>,
    ) -> Self {
        let mut kept = Self::of_nothing(self.m, self.draws);
        let (mut rows, mut logs) = (Vec::new(), Vec::new());
        for event in events {
            let mut answers = keep(event).into_iter();
            for cloud in self.clouds(event) {
                rows.clear();
                logs.clear();
                let (of_cloud, own_logs, kernel) = self.of(cloud);
                for (block, own_logs) in of_cloud.chunks_exact(self.m).zip(own_logs) {
                    for (lane, (log, keep)) in own_logs.iter().zip(answers.by_ref()).enumerate() {
                        if keep && log.is_finite() {
                            rows.extend(block.iter().map(|quantity| quantity[lane]));
                            logs.push(*log);
                        }
                    }
                }
                kept.push(&rows, &logs, kernel.iter());
            }
            kept.end_event();
        }
        kept
    }

    /// Some events with all their draws.
    pub(crate) fn of_events(&self, events: &[usize]) -> Self {
        self.kept(events.iter().copied(), |event| {
            let blocks: usize = self.clouds(event).map(|cloud| self.of(cloud).1.len()).sum();
            vec![true; blocks * LANES]
        })
    }
}
