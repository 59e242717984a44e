//! Mixtures of multivariate Student t laws, and their refit to weighted draws.
//!
//! ```text
//! t(x) = G((n + d) / 2) / (G(n / 2) (n pi)^(d/2) |S|^(1/2)) (1 + m / n)^(-(n + d) / 2),   m = (x - c)^T S^-1 (x - c)
//! ```
//! with n degrees of freedom. The refit is one step of expectation and maximisation on importance weights `w`
//! (Cappe, Douc, Guillin, Marin, Robert, Stat. Comput. 18, 447 (2008)): responsibilities `rho_k = a_k t_k / sum`,
//! `a_k = sum w rho_k`, centre and scale matrix with the factors `(n + d) / (n + m)` of the t law. Where coordinates are
//! angles ([`Circle`]) draws are folded back, and each row counts with all of its images.

use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate};
use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use rand_distr::{ChiSquared, Distribution, StandardNormal};

use crate::circle::{self, Circle};
use crate::linear::Cholesky;

/// A component with less weight than this is given up.
const LEAST_WEIGHT: f64 = 1e-3;

/// One law of a mixture.
#[derive(Debug, Clone)]
pub(crate) struct Component {
    pub(crate) weight: f64,
    centre: Vec<f64>,
    /// S, row by row.
    scale: Vec<f64>,
    factor: Cholesky,
}

impl Component {
    /// `None` if the scale matrix is not positive definite.
    pub(crate) fn new(weight: f64, centre: Vec<f64>, scale: Vec<f64>) -> Option<Self> {
        let factor = Cholesky::new(&scale, centre.len())?;
        Some(Self { weight, centre, scale, factor })
    }

    /// m.
    pub(crate) fn distance_2(&self, x: &[f64], buffer: &mut [f64]) -> f64 {
        for ((b, x), c) in buffer.iter_mut().zip(x).zip(&self.centre) {
            *b = x - c;
        }
        self.factor.solve_lower(buffer);
        buffer.iter().map(|z| z * z).sum()
    }

    pub(crate) fn weighted(self, weight: f64) -> Self {
        Self { weight, ..self }
    }

    pub(crate) fn log_determinant(&self) -> f64 {
        self.factor.log_determinant()
    }
}

/// Laws of one number of degrees of freedom, with weights that sum to 1.
#[derive(Debug, Clone)]
pub(crate) struct Mixture {
    components: Vec<Component>,
    degrees_of_freedom: f64,
    circles: Vec<Circle>,
}

impl Mixture {
    /// Normalises the weights; `None` without components.
    pub(crate) fn new(
        mut components: Vec<Component>,
        degrees_of_freedom: f64,
        circles: &[Circle],
    ) -> Option<Self> {
        let total: f64 = components.iter().map(|component| component.weight).sum();
        if !(total > 0.0 && total.is_finite()) {
            return None;
        }
        components.iter_mut().for_each(|component| component.weight /= total);
        Some(Self { components, degrees_of_freedom, circles: circles.to_vec() })
    }

    /// Number of laws.
    pub(crate) fn count(&self) -> usize {
        self.components.len()
    }

    /// Both mixtures, with half of the weight each.
    pub(crate) fn joined(&self, other: Self) -> Self {
        let components: Vec<Component> =
            self.components.iter().cloned().chain(other.components).collect();
        Self::new(components, self.degrees_of_freedom, &self.circles)
            .unwrap_or_else(|| self.clone())
    }

    /// Draws `count` rows; each law gives its share of them, up to one.
    pub(crate) fn draw(&self, count: usize, rng: &mut impl Rng) -> Array2<f64> {
        let d = self.components[0].centre.len();
        let n = self.degrees_of_freedom;
        let Ok(chi_squared) = ChiSquared::new(n) else { unreachable!("checked by the caller") };
        let mut owners = systematic(self.components.iter().map(|c| c.weight), count, rng);
        owners.shuffle(rng);
        let mut rows = Array2::zeros((count, d));
        let mut z = vec![0.0; d];
        for (mut row, owner) in rows.rows_mut().into_iter().zip(owners) {
            z.fill_with(|| rng.sample::<f64, _>(StandardNormal));
            let component = &self.components[owner];
            let stretch = (n / chi_squared.sample(rng)).sqrt();
            let step = component.factor.multiply(&z);
            for ((x, c), s) in row.iter_mut().zip(&component.centre).zip(step) {
                *x = c + stretch * s;
            }
            if let Some(row) = row.as_slice_mut() {
                circle::fold(&self.circles, row);
            }
        }
        rows
    }

    /// Log density of each row.
    pub(crate) fn log_density(&self, rows: ArrayView2<'_, f64>) -> Vec<f64> {
        totals(&self.by_component(&self.distances_2(self.images(rows).view())), rows.nrows())
    }

    /// Rows and behind them, where coordinates are angles, their images: all rows shifted once, then all shifted further.
    fn images(&self, rows: ArrayView2<'_, f64>) -> Array2<f64> {
        let shifts = circle::shifts(&self.circles, rows.ncols());
        let images: Vec<_> = shifts.into_iter().map(|shift| &rows + &Array1::from(shift)).collect();
        let views: Vec<_> = images.iter().map(|image| image.view()).collect();
        match concatenate(Axis(0), &views) {
            Ok(images) => images,
            Err(_) => unreachable!("images have the same columns"),
        }
    }

    /// `log a_k t_k` (components x rows) at these m.
    fn by_component(&self, distances_2: &Array2<f64>) -> Array2<f64> {
        let d = self.components[0].centre.len();
        let (n, dimension) = (self.degrees_of_freedom, d as f64);
        let half = 0.5 * (n + dimension);
        let constant = libm::lgamma(half)
            - libm::lgamma(0.5 * n)
            - 0.5 * dimension * (n * std::f64::consts::PI).ln();
        let of_component: Vec<f64> = self
            .components
            .iter()
            .map(|c| constant + c.weight.ln() - 0.5 * c.factor.log_determinant())
            .collect();
        let mut logs = distances_2.clone();
        for (mut logs, log) in logs.rows_mut().into_iter().zip(of_component) {
            logs.mapv_inplace(|m| log - half * (m / n).ln_1p());
        }
        logs
    }

    /// m of each row by each component (components x rows).
    fn distances_2(&self, rows: ArrayView2<'_, f64>) -> Array2<f64> {
        let (count, d) = rows.dim();
        // Coordinate by coordinate, so that all rows advance together.
        let x = rows.t().as_standard_layout().into_owned();
        let mut z = Array2::<f64>::zeros((d, count));
        let mut distances = Array2::zeros((self.components.len(), count));
        for (component, mut distances) in self.components.iter().zip(distances.rows_mut()) {
            for i in 0..d {
                let (known, mut rest) = z.view_mut().split_at(Axis(0), i);
                let mut own = rest.row_mut(0);
                own.assign(&x.row(i));
                own -= component.centre[i];
                let (before, diagonal) = component.factor.row(i);
                for (l, z) in before.iter().zip(known.rows()) {
                    own.scaled_add(-l, &z);
                }
                own /= diagonal;
                distances.zip_mut_with(&own, |sum, z| *sum += z * z);
            }
        }
        distances
    }

    /// The mixture nearest to the weighted rows (weights sum to 1). Scale matrices of laws that own few draws
    /// are held near what they were.
    pub(crate) fn refitted(&self, rows: ArrayView2<'_, f64>, weights: &[f64]) -> Self {
        let d = rows.ncols();
        let n = self.degrees_of_freedom;
        let images = self.images(rows);
        let distances_2 = self.distances_2(images.view());
        let logs = self.by_component(&distances_2);
        let totals = totals(&logs, rows.nrows());
        let of_rows = || totals.iter().zip(weights).cycle();
        let mut components = Vec::with_capacity(self.components.len());
        for (k, old) in self.components.iter().enumerate() {
            let (mut share, mut squares, mut sum) = (0.0, 0.0, 0.0);
            let mut centre = vec![0.0; d];
            let mut factors = Vec::with_capacity(rows.nrows());
            let of_law = logs.row(k).into_iter().zip(distances_2.row(k));
            for ((row, (log, m)), (total, weight)) in
                images.rows().into_iter().zip(of_law).zip(of_rows())
            {
                let mass = if *weight > 0.0 { weight * (log - total).exp() } else { 0.0 };
                let factor = mass * (n + d as f64) / (n + m);
                share += mass;
                squares += mass * mass;
                sum += factor;
                centre.iter_mut().zip(row).for_each(|(c, x)| *c += factor * x);
                factors.push(factor);
            }
            if share < LEAST_WEIGHT {
                continue;
            }
            let effective = share * share / squares;
            // The part of the new draws against the old law, which counts for as many of them.
            let part = |trusted: f64| effective / (effective + trusted);
            let (of_centre, of_scale) = (part(2.0 * d as f64), part(trusted(d)));
            let mut centre: Vec<f64> = centre
                .iter()
                .zip(&old.centre)
                .map(|(c, o)| of_centre * c / sum + (1.0 - of_centre) * o)
                .collect();
            let mut scale: Vec<f64> = old.scale.iter().map(|s| (1.0 - of_scale) * s).collect();
            let mut step = vec![0.0; d];
            for (row, factor) in images.rows().into_iter().zip(&factors) {
                if *factor == 0.0 {
                    continue;
                }
                step.iter_mut().zip(row).zip(&centre).for_each(|((s, x), c)| *s = x - c);
                let factor = of_scale * factor / share;
                for (scale, own) in scale.chunks_exact_mut(d).zip(&step) {
                    let part = factor * own;
                    scale.iter_mut().zip(&step).for_each(|(scale, other)| *scale += part * other);
                }
            }
            circle::fold(&self.circles, &mut centre);
            let refitted = Component::new(share, centre, scale);
            components.push(refitted.unwrap_or_else(|| Component { weight: share, ..old.clone() }));
        }
        Self::new(components, n, &self.circles).unwrap_or_else(|| self.clone())
    }
}

/// Draws that a scale matrix counts for against the effective number of new ones: a matrix from `n` draws makes log
/// densities uncertain by `d^2 / 2n` (their variance), so it takes some squares of `d` to be of use.
fn trusted(d: usize) -> f64 {
    let d = d as f64;
    (2.0 * d).max(d * d / 3.0)
}

/// Log of the sum over components (rows), and over the images of each of `count` rows (columns).
fn totals(logs: &Array2<f64>, count: usize) -> Vec<f64> {
    let Ok(logs) = logs.to_shape((logs.len() / count.max(1), count)) else {
        unreachable!("every row has as many images")
    };
    let most = logs.fold_axis(Axis(0), f64::NEG_INFINITY, |most, log| most.max(*log));
    let mut sums = vec![0.0; count];
    for row in logs.rows() {
        for ((sum, log), most) in sums.iter_mut().zip(row).zip(&most) {
            *sum += (log - most).exp();
        }
    }
    let total = |(sum, most): (&f64, f64)| if most.is_finite() { most + sum.ln() } else { most };
    sums.iter().zip(most).map(total).collect()
}

/// Systematic resampling: `count` indices, each as often as its share of the weights says, up to one; ascending.
pub(crate) fn systematic(
    weights: impl Iterator<Item = f64>,
    count: usize,
    rng: &mut impl Rng,
) -> Vec<usize> {
    let weights: Vec<f64> = weights.collect();
    let total: f64 = weights.iter().sum();
    let mut place = rng.random::<f64>();
    let mut indices = Vec::with_capacity(count);
    let mut sum = 0.0;
    for (index, weight) in weights.iter().enumerate() {
        sum += weight / total * count as f64;
        while indices.len() < count && place < sum {
            indices.push(index);
            place += 1.0;
        }
    }
    // Round-off can leave the last place open.
    let last = weights.iter().rposition(|weight| *weight > 0.0).unwrap_or(0);
    indices.resize(count, last);
    indices
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn mixture() -> Mixture {
        let one = Component::new(1.0, vec![0.0, 0.0], vec![1.0, 0.5, 0.5, 1.0]).unwrap();
        let two = Component::new(3.0, vec![6.0, 1.0], vec![0.5, 0.0, 0.0, 2.0]).unwrap();
        Mixture::new(vec![one, two], 6.0, &[]).unwrap()
    }

    /// The density integrates to 1 on a grid wide enough for the tails (t of 6 degrees of freedom: 1e-4 outside).
    #[test]
    fn the_density_is_normalised_and_that_of_the_draws() {
        let mixture = mixture();
        let step = 0.25;
        let cells = Array2::from_shape_fn((240 * 240, 2), |(cell, axis)| {
            let place = if axis == 0 { cell / 240 } else { cell % 240 };
            step * (place as f64 - 120.0 + 0.5)
        });
        let mass: f64 = mixture.log_density(cells.view()).iter().map(|l| l.exp()).sum();
        assert!((mass * step * step - 1.0).abs() < 1e-3, "{}", mass * step * step);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let draws = mixture.draw(40_000, &mut rng);
        // Mean 0.75 * (6, 1); variance along x: 0.25 * 1.5 + 0.75 * 0.75 + 0.1875 * 36 (a t law has n / (n - 2) S).
        let x = draws.column(0);
        assert!((x.sum() / 4e4 - 4.5).abs() < 0.05);
        assert!((x.var(0.0) - (0.375 + 0.5625 + 6.75)).abs() < 0.1, "{}", x.var(0.0));
    }

    /// From equal weights on draws of a known mixture, a wrong start moves to it.
    #[test]
    fn a_refit_finds_the_law_of_the_draws() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let draws = mixture().draw(4000, &mut rng);
        let identity = vec![2.0, 0.0, 0.0, 2.0];
        let start = [[1.0, 1.0], [5.0, 0.0]];
        let components =
            start.map(|c| Component::new(1.0, c.to_vec(), identity.clone()).unwrap()).to_vec();
        let mut found = Mixture::new(components, 6.0, &[]).unwrap();
        let weights = vec![1.0 / 4000.0; 4000];
        for _ in 0..30 {
            found = found.refitted(draws.view(), &weights);
        }
        let heavy = &found.components[1];
        assert!((heavy.weight - 0.75).abs() < 0.02, "{}", heavy.weight);
        assert!((heavy.centre[0] - 6.0).abs() < 0.05 && (heavy.centre[1] - 1.0).abs() < 0.1);
        assert!((heavy.scale[0] - 0.5).abs() < 0.05 && (heavy.scale[3] - 2.0).abs() < 0.2);
    }

    #[test]
    fn systematic_resampling_gives_every_one_its_share() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let indices = systematic([0.1, 0.0, 0.6, 0.3].into_iter(), 1000, &mut rng);
        let count = |index| indices.iter().filter(|i| **i == index).count();
        assert_eq!((count(0), count(1), count(2), count(3)), (100, 0, 600, 300));
    }
}
