//! The distribution in the population of any number that a geometry has, over draws of the training law.
//!
//! ```text
//! w(x) = f(x) / p_0(x) = sum_j a_j k_j(q(x)) / p_0(q(x))          density in a bin = sum of w there / (sum of w x width)
//! ```

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, concatenate, s};

use crate::bumps::of_rows;
use crate::fit::Population;

/// Rows of the law at a time.
const CHUNK: usize = 8192;

/// A distribution in the population, with bands of the bootstrap at each place.
#[derive(Debug, Clone, PartialEq)]
pub struct Marginal {
    /// Edges of the bins (b + 1), rising.
    pub edges: Vec<f64>,
    /// Density in each bin (b), one over the unit of the quantity.
    pub density: Vec<f64>,
    /// Lower ends of the bands (b).
    pub lower: Vec<f64>,
    /// Upper ends of the bands (b).
    pub upper: Vec<f64>,
    /// Mean.
    pub mean: Moments,
    /// Standard deviation.
    pub sd: Moments,
}

/// A number about the population with its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    /// Of the sample.
    pub value: f64,
    /// Lower end of the interval.
    pub lower: f64,
    /// Upper end of the interval.
    pub upper: f64,
}

impl Population {
    /// The distributions of further numbers of the geometries: `law` are the quantities of draws of the training law
    /// (rows, m), `log_law` its log density there, `values` the numbers of the same draws (rows, any number), `edges` the bins of each number. Bands and
    /// intervals hold the part `level` of the bootstrap. The one for a number of which the population has no draw is NaN.
    pub fn marginals(
        &self,
        law: ArrayView2<'_, f64>,
        log_law: &[f64],
        values: ArrayView2<'_, f64>,
        edges: &[Vec<f64>],
        level: f64,
    ) -> Vec<Marginal> {
        let weights =
            concatenate![Axis(0), self.weights.view().insert_axis(Axis(0)), self.bootstraps];
        let samples = weights.nrows();
        let mut sums: Vec<Sums> = edges.iter().map(|edges| Sums::new(edges, samples)).collect();
        for first in (0..law.nrows()).step_by(CHUNK) {
            let rows = s![first..(first + CHUNK).min(law.nrows()), ..];
            let bumps = of_rows(law.slice(rows), self.supports.view(), &self.scales, self.width);
            let near: Vec<usize> =
                (0..bumps.nrows()).filter(|row| bumps.row(*row).iter().any(|b| *b > 0.0)).collect();
            let mut ratios = bumps.select(Axis(0), &near).dot(&weights.t());
            for (mut row, near) in ratios.rows_mut().into_iter().zip(&near) {
                row *= (-log_law[first + near]).exp();
            }
            let values = values.slice(rows).select(Axis(0), &near);
            for (sums, values) in sums.iter_mut().zip(values.columns()) {
                values.iter().zip(ratios.rows()).for_each(|(value, row)| sums.add(*value, row));
            }
        }
        sums.into_iter().map(|sums| sums.finish(level)).collect()
    }
}

/// Sums of one number, of the sample and of each one drawn anew.
struct Sums<'a> {
    edges: &'a [f64],
    bins: Array2<f64>,
    /// `sum w`, `sum w q`, `sum w q^2`.
    moments: [Array1<f64>; 3],
}

impl<'a> Sums<'a> {
    fn new(edges: &'a [f64], samples: usize) -> Self {
        let bins = edges.len().saturating_sub(1);
        let moments = std::array::from_fn(|_| Array1::zeros(samples));
        Self { edges, bins: Array2::zeros((bins, samples)), moments }
    }

    fn add(&mut self, value: f64, weights: ArrayView1<'_, f64>) {
        for (power, sum) in self.moments.iter_mut().enumerate() {
            sum.scaled_add(value.powi(power as i32), &weights);
        }
        if let Some(bin) = bin_of(self.edges, value) {
            let mut row = self.bins.row_mut(bin);
            row += &weights;
        }
    }

    fn finish(self, level: f64) -> Marginal {
        let [sum, first, second] = self.moments;
        let means = &first / &sum;
        let sds = (&second / &sum - &means * &means).mapv(|variance| variance.max(0.0).sqrt());
        let mut densities = self.bins / &sum;
        let widths = self.edges.windows(2).map(|edges| edges[1] - edges[0]);
        densities.rows_mut().into_iter().zip(widths).for_each(|(mut row, width)| row /= width);
        let moments = |values: &[f64]| {
            let (lower, upper) = interval(&values[1..], level);
            Moments { value: values[0], lower, upper }
        };
        let bands: Vec<Moments> =
            densities.rows().into_iter().map(|row| moments(&row.to_vec())).collect();
        Marginal {
            edges: self.edges.to_vec(),
            density: bands.iter().map(|band| band.value).collect(),
            lower: bands.iter().map(|band| band.lower).collect(),
            upper: bands.iter().map(|band| band.upper).collect(),
            mean: moments(&means.to_vec()),
            sd: moments(&sds.to_vec()),
        }
    }
}

/// The density of all draws of all events, one upon another, in bins: broader than the population.
pub fn stacked(values: impl Iterator<Item = f64>, edges: &[f64]) -> Vec<f64> {
    let mut counts = vec![0.0; edges.len().saturating_sub(1)];
    let mut all = 0.0;
    for value in values {
        all += 1.0;
        if let Some(bin) = bin_of(edges, value) {
            counts[bin] += 1.0;
        }
    }
    let widths = edges.windows(2).map(|edges| edges[1] - edges[0]);
    counts.iter().zip(widths).map(|(count, width)| count / (all * width)).collect()
}

/// The bin of a value; the last one includes its end.
fn bin_of(edges: &[f64], value: f64) -> Option<usize> {
    let (first, last) = (*edges.first()?, *edges.last()?);
    if !(first..=last).contains(&value) {
        return None;
    }
    Some(edges.partition_point(|edge| *edge <= value).saturating_sub(1).min(edges.len() - 2))
}

/// The central interval that holds the part `level` of values; NaN of none.
fn interval(values: &[f64], level: f64) -> (f64, f64) {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    if sorted.is_empty() {
        return (f64::NAN, f64::NAN);
    }
    sorted.sort_by(f64::total_cmp);
    let at = |part: f64| {
        let place = part * (sorted.len() - 1) as f64;
        let (low, rest) = (place.floor() as usize, place.fract());
        let high = (low + 1).min(sorted.len() - 1);
        sorted[low] + rest * (sorted[high] - sorted[low])
    };
    (at(0.5 - 0.5 * level), at(0.5 + 0.5 * level))
}
