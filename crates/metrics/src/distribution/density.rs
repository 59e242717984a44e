//! Expected coverage of whole posteriors, not of single columns: highest-density regions
//! (Hermans et al. 2022) and TARP (Lemos et al. 2023).
//!
//! ```text
//! HDR    rank of -log q(truth | y) among -log q(draws | y): draws denser than the truth
//! TARP   rank of |truth - r(y)| among |draws - r(y)|:       draws nearer to a reference r(y)
//! ```
//!
//! Both ranks are uniform for the exact posterior, so the truth is in the region of level c (which
//! holds the share c of the draws) with probability c. HDR ranks are uniform also for a posterior that
//! ignores y; TARP's with references that depend on y (but not on the truth) are uniform
//! for the exact posterior alone.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayView3, Axis};

use crate::distribution::coverage::{Ranks, check_level, ranks};
use crate::matrix::{check_draws, check_pair};
use crate::{Error, Result};

/// Ranks (`n x 1`) of the truth by density: draws denser than the truth. `truth` (n) and `draws`
/// (n x K) hold log densities up to a constant for each event.
///
/// # Errors
/// No draws, shapes that do not fit, values that are not finite.
pub fn density_ranks(truth: ArrayView1<'_, f64>, draws: ArrayView2<'_, f64>) -> Result<Ranks> {
    let truth = truth.mapv(|value| -value).insert_axis(Axis(1));
    let draws = draws.mapv(|value| -value).insert_axis(Axis(2));
    ranks(truth.view(), draws.view())
}

/// Ranks (`n x 1`) of the truth (`n x d`) by distance: draws (`n x K x d`) nearer than the truth to
/// the references (`n x d`). Each column is divided by its `scale`, which must be positive.
///
/// # Errors
/// No draws, shapes that do not fit, values that are not finite, a scale that is not positive.
pub fn tarp_ranks(
    truth: ArrayView2<'_, f64>,
    draws: ArrayView3<'_, f64>,
    references: ArrayView2<'_, f64>,
    scale: ArrayView1<'_, f64>,
) -> Result<Ranks> {
    check_pair(truth, "the references", references)?;
    check_draws(truth, draws, 1)?;
    if scale.len() != truth.ncols() {
        let (expected, found) = (truth.ncols(), scale.len());
        return Err(Error::Columns { what: "the scale", expected, found });
    }
    if let Some(column) = scale.iter().position(|scale| !(*scale > 0.0 && scale.is_finite())) {
        return Err(Error::NotFinite { what: "the inverse scale", event: 0, column });
    }
    let squared = |a: ArrayView1<'_, f64>, b: ArrayView1<'_, f64>| -> f64 {
        (a.iter().zip(b).zip(scale)).map(|((a, b), scale)| ((a - b) / scale).powi(2)).sum()
    };
    let near = |event: usize| squared(truth.row(event), references.row(event));
    let distance = Array1::from_shape_fn(truth.nrows(), near).insert_axis(Axis(1));
    let of_draws = Array2::from_shape_fn((truth.nrows(), draws.dim().1), |(event, draw)| {
        squared(draws.slice(ndarray::s![event, draw, ..]), references.row(event))
    });
    ranks(distance.view(), of_draws.insert_axis(Axis(2)).view())
}

impl Ranks {
    /// Hits (`n x d`) of the region of the lowest ranks that holds the share `level` of the draws:
    /// the highest-density region for [`density_ranks`], the ball of [`tarp_ranks`]. As with central
    /// hits, the expectation under the exact posterior is the level for any number of draws.
    ///
    /// # Errors
    /// A level outside (0, 1).
    pub fn lowest_hits(&self, level: f64) -> Result<Array2<f64>> {
        check_level(level)?;
        let places = (self.draws + 1) as f64;
        Ok(Array2::from_shape_fn(self.below.dim(), |place| {
            let below = self.below[place] as f64;
            let width = (self.equal[place] + 1) as f64;
            ((level * places - below) / width).clamp(0.0, 1.0)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Uniformity;
    use ndarray::Array3;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    const EVENTS: usize = 1500;
    const DRAWS: usize = 99;

    /// x ~ N(0, I), y = x + N(0, I) in two dimensions: the posterior is N(y / 2, I / 2). Truth, y
    /// and draws of N(weight y, width^2 I / 2).
    fn linear(weight: f64, width: f64, seed: u64) -> (Array2<f64>, Array2<f64>, Array3<f64>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
        let x = Array2::from_shape_simple_fn((EVENTS, 2), &mut normal);
        let y = Array2::from_shape_fn((EVENTS, 2), |place| x[place] + normal());
        let draws = Array3::from_shape_fn((EVENTS, DRAWS, 2), |(event, _, column)| {
            weight * y[[event, column]] + width * 0.5_f64.sqrt() * normal()
        });
        (x, y, draws)
    }

    fn hdr(weight: f64, width: f64) -> (f64, Uniformity) {
        let (x, y, draws) = linear(weight, width, 3);
        let log_prob = |event: usize, x: ArrayView1<'_, f64>| -> f64 {
            let centre = y.row(event).mapv(|y| weight * y);
            -(&x - &centre).mapv(|d| d * d).sum() / (width * width)
        };
        let truth = Array1::from_shape_fn(EVENTS, |event| log_prob(event, x.row(event)));
        let draws = Array2::from_shape_fn((EVENTS, DRAWS), |(event, draw)| {
            log_prob(event, draws.slice(ndarray::s![event, draw, ..]))
        });
        let ranks = density_ranks(truth.view(), draws.view()).unwrap();
        let covered = ranks.lowest_hits(0.9).unwrap().mean().unwrap();
        (covered, Uniformity::of(&ranks, 0, 1).unwrap())
    }

    #[test]
    fn highest_density_regions_of_exact_narrow_and_wide_posteriors() {
        // 1,500 events: standard error 0.0077 at 90 %; in two dimensions, with draws of width w, the
        // 90 % region holds 1 - 0.1^(w^2) of the truth
        for (width, expected) in [(1.0, 0.9), (0.7, 0.676), (1.4, 0.989)] {
            let (covered, test) = hdr(0.5, width);
            assert!((covered - expected).abs() < 0.035, "{width}: {covered}");
            assert_eq!(test.ecdf_p > 0.01, width == 1.0, "{width}: {test:?}");
        }
    }

    fn tarp(weight: f64, width: f64) -> Uniformity {
        let (x, y, draws) = linear(weight, width, 4);
        // a reference that depends on y and not on the truth
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
        let references = y.mapv(|y| 0.5 * y + 0.7 + 0.3 * normal());
        let scale = Array1::ones(2);
        let ranks = tarp_ranks(x.view(), draws.view(), references.view(), scale.view()).unwrap();
        Uniformity::of(&ranks, 0, 1).unwrap()
    }

    #[test]
    fn tarp_passes_the_exact_posterior_and_fails_others() {
        assert!(tarp(0.5, 1.0).ecdf_p > 0.01);
        for (weight, width) in [(0.5, 0.7), (0.5, 1.4), (0.8, 1.0)] {
            let test = tarp(weight, width);
            assert!(test.ecdf_p < 1e-3, "{weight}, {width}: {test:?}");
        }
    }

    #[test]
    fn tarp_sees_a_posterior_that_ignores_the_condition_where_density_ranks_do_not() {
        // draws of the prior N(0, I): calibrated marginally, so density ranks are uniform
        let (_, test) = hdr(0.0, std::f64::consts::SQRT_2);
        assert!(test.ecdf_p > 0.01, "{test:?}");
        let test = tarp(0.0, std::f64::consts::SQRT_2);
        assert!(test.ecdf_p < 1e-3, "{test:?}");
    }

    #[test]
    fn unfit_scales_are_refused() {
        let (x, y, draws) = linear(0.5, 1.0, 1);
        let one = Array1::ones(1);
        assert!(matches!(
            tarp_ranks(x.view(), draws.view(), y.view(), one.view()),
            Err(Error::Columns { .. })
        ));
        let zero = Array1::zeros(2);
        assert!(tarp_ranks(x.view(), draws.view(), y.view(), zero.view()).is_err());
    }
}
