//! Mixtures of multivariate Student t laws, and their refit to weighted draws.
//!
//! ```text
//! t(x) = G((n + d) / 2) / (G(n / 2) (n pi)^(d/2) |S|^(1/2)) (1 + m / n)^(-(n + d) / 2),   m = (x - c)^T S^-1 (x - c)
//! ```
//! with n degrees of freedom. The refit is one step of expectation and maximisation on importance weights `w`
//! (Cappe, Douc, Guillin, Marin, Robert, Stat. Comput. 18, 447 (2008)): responsibilities `rho_k = a_k t_k / sum`,
//! `a_k = sum w rho_k`, centre and scale matrix with the factors `(n + d) / (n + m)` of the t law. Where coordinates are
//! angles ([`Circle`]) draws are folded back, and each row counts with all of its images.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, concatenate};
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
        let (densities, unit) = self.by_component(&self.distances_2(self.images(rows).view()));
        totals(&densities, rows.nrows()).into_iter().map(|total| unit + total.ln()).collect()
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

    /// `a_k t_k` (components x rows) at these m, in a unit whose log comes with them: the largest value of any of them.
    fn by_component(&self, distances_2: &Array2<f64>) -> (Array2<f64>, f64) {
        let d = self.components[0].centre.len();
        let (n, dimension) = (self.degrees_of_freedom, d as f64);
        let half = 0.5 * (n + dimension);
        let constant = libm::lgamma(half)
            - libm::lgamma(0.5 * n)
            - 0.5 * dimension * (n * std::f64::consts::PI).ln();
        let log_peak = |c: &Component| c.weight.ln() - 0.5 * c.factor.log_determinant();
        let log_peaks: Vec<f64> = self.components.iter().map(log_peak).collect();
        let highest = log_peaks.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut densities = distances_2 / n + 1.0;
        to_minus_power(&mut densities, half);
        for (mut densities, log_peak) in densities.rows_mut().into_iter().zip(log_peaks) {
            densities *= (log_peak - highest).exp();
        }
        (densities, constant + highest)
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
        let (densities, _) = self.by_component(&distances_2);
        // Of each row its weight by the density there, so that each law has its part of it.
        let shares = &ArrayView1::from(weights) / &totals(&densities, rows.nrows());
        let shares: Array1<f64> = shares.iter().copied().cycle().take(images.nrows()).collect();
        // Coordinate by coordinate, so that all rows advance together.
        let x = images.t().as_standard_layout().into_owned();
        let mut components = Vec::with_capacity(self.components.len());
        for (k, old) in self.components.iter().enumerate() {
            let masses = &densities.row(k) * &shares;
            let share = masses.sum();
            if share < LEAST_WEIGHT {
                continue;
            }
            let effective = share * share / masses.dot(&masses);
            let factors = masses * distances_2.row(k).mapv(|m| (n + d as f64) / (n + m));
            let sum = factors.sum();
            // The part of the new draws against the old law, which counts for as many of them.
            let part = |trusted: f64| effective / (effective + trusted);
            let (of_centre, of_scale) = (part(2.0 * d as f64), part(trusted(d)));
            let mut centre: Vec<f64> = x
                .dot(&factors)
                .iter()
                .zip(&old.centre)
                .map(|(c, o)| of_centre * c / sum + (1.0 - of_centre) * o)
                .collect();
            let steps = &x - &ArrayView1::from(&centre).insert_axis(Axis(1));
            let new = (&steps * &factors).dot(&steps.t()) / share;
            let both = new.iter().zip(&old.scale);
            let scale = both.map(|(new, old)| of_scale * new + (1.0 - of_scale) * old).collect();
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

/// The sum over components (rows), and over the images of each of `count` rows (columns); never quite nothing.
fn totals(densities: &Array2<f64>, count: usize) -> Array1<f64> {
    let Ok(densities) = densities.to_shape((densities.len() / count.max(1), count)) else {
        unreachable!("every row has as many images")
    };
    densities.sum_axis(Axis(0)).mapv(|total| total.max(f64::MIN_POSITIVE))
}

/// Raises numbers of at least 1 to minus this power: without logarithms where it is a multiple of one half.
fn to_minus_power(values: &mut Array2<f64>, power: f64) {
    let whole = power.floor();
    match power - whole {
        0.0 => values.mapv_inplace(|value| 1.0 / value.powi(whole as i32)),
        0.5 => values.mapv_inplace(|value| 1.0 / (value.powi(whole as i32) * value.sqrt())),
        _ => values.mapv_inplace(|value| value.powf(-power)),
    }
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

    /// Log densities of one law by the formula, for every way to raise to a power; where the density is below the smallest
    /// number its log stays finite.
    #[test]
    fn the_density_is_that_of_the_formula() {
        for (n, d) in [(8.0, 2), (8.0, 3), (7.3, 2)] {
            let law = Component::new(1.0, vec![0.0; d], Array2::eye(d).into_raw_vec_and_offset().0);
            let mixture = Mixture::new(vec![law.unwrap()], n, &[]).unwrap();
            let half = 0.5 * (n + d as f64);
            for x in [0.0, 0.3, 4.0, 1e9] {
                let row = Array2::from_elem((1, d), x);
                let m = d as f64 * x * x;
                let expected = libm::lgamma(half)
                    - libm::lgamma(0.5 * n)
                    - 0.5 * d as f64 * (n * std::f64::consts::PI).ln()
                    - half * (m / n).ln_1p();
                let found = mixture.log_density(row.view())[0];
                assert!((found - expected).abs() < 1e-9 * expected.abs().max(1.0), "{n} {d} {x}");
            }
            let nowhere = mixture.log_density(Array2::from_elem((1, d), 1e99).view())[0];
            assert!(nowhere.is_finite() && nowhere < -700.0, "{nowhere}");
        }
    }

    #[test]
    fn systematic_resampling_gives_every_one_its_share() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let indices = systematic([0.1, 0.0, 0.6, 0.3].into_iter(), 1000, &mut rng);
        let count = |index| indices.iter().filter(|i| **i == index).count();
        assert_eq!((count(0), count(1), count(2), count(3)), (100, 0, 600, 300));
    }
}
