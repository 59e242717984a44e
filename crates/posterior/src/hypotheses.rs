//! The posterior of one event over hypotheses that differ in more than coordinates, such as charge states.
//!
//! ```text
//! p(h | y)    = p(h) p(y | h) / sum_k p(k) p(y | k)        evidences of the refinements
//! p(x, h | y) = p(h | y) p(x | y, h)                        their importance draws, weighted once more
//! ```

use ndarray::{Array2, Axis, concatenate};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::error::PosteriorError;
use crate::modes::Mode;
use crate::pareto::{effective_sample_size, log_sum_exp};
use crate::refine::Refined;
use crate::student::systematic;

/// A hypothesis of less probability than this does not make the draws of all untrustworthy if its own are.
const NEGLIGIBLE: f64 = 0.01;

/// The refined posterior over several hypotheses.
#[derive(Debug, Clone, PartialEq)]
pub struct Combined {
    /// Modes, draws and weights of all hypotheses together, with the evidence averaged over them. Its
    /// [`Refined::k_hat`] is the worst of those of the hypotheses with a probability of at least 1 %.
    pub refined: Refined,
    /// Posterior probability of each hypothesis; the prior ones where none explains the event at all.
    pub probabilities: Vec<f64>,
    /// Of each draw, the place of its hypothesis.
    pub of_draws: Vec<usize>,
    /// Of each mode, the place of its hypothesis.
    pub of_modes: Vec<usize>,
}

/// Combines the posteriors of one event under several hypotheses, each with its prior probability, into
/// `resampled` equally weighted draws (0 for as many as one hypothesis has importance draws). Measurements must have
/// noise: without it there is no evidence.
///
/// # Errors
/// [`PosteriorError::Size`] for no hypothesis, and for coordinates of different dimensions.
///
/// ```
/// # use cei_posterior::Forward;
/// # use ndarray::{Array2, Array3, ArrayView2, Axis};
/// # struct Square;
/// # impl Forward for Square {
/// #     fn inputs(&self) -> usize {
/// #         1
/// #     }
/// #     fn outputs(&self) -> usize {
/// #         1
/// #     }
/// #     fn values(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
/// #         &x * &x
/// #     }
/// #     fn linearised(&self, x: ArrayView2<'_, f64>) -> (Array2<f64>, Array3<f64>) {
/// #         (self.values(x), (2.0 * &x).insert_axis(Axis(2)))
/// #     }
/// # }
/// use cei_posterior::{Event, RefineOptions, combine, refine};
///
/// // `y = x^2` (the model of the example of `find_modes`) under two hypotheses: x is N(2, 1), or N(9, 1).
/// let draws = Array2::from_shape_fn((100, 1), |(row, _)| 1.5 + f64::from(row as u32) / 100.0);
/// let mut parts = Vec::new();
/// for centre in [2.0, 9.0] {
///     let log_prior = move |x: &[f64]| -0.5 * (x[0] - centre).powi(2) - 0.5 * std::f64::consts::TAU.ln();
///     let event = Event { forward: &Square, log_prior: &log_prior, measured: &[4.0], noise: &[0.4] };
///     parts.push((0.5, refine(&event, draws.view(), None, &RefineOptions::default(), 0)?));
/// }
/// let combined = combine(parts, 0, 0)?;
/// assert!(combined.probabilities[0] > 0.999);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn combine(
    parts: Vec<(f64, Refined)>,
    resampled: usize,
    seed: u64,
) -> Result<Combined, PosteriorError> {
    let size = |what, found, expected| Err(PosteriorError::Size { what, found, expected });
    let Some((_, first)) = parts.first() else { return size("number of hypotheses", 0, 1) };
    let (dimension, each) = (first.samples.ncols(), first.samples.nrows());
    if let Some((_, other)) = parts.iter().find(|(_, other)| other.samples.ncols() != dimension) {
        return size("coordinates of a hypothesis", other.samples.ncols(), dimension);
    }
    let log_joint: Vec<f64> = parts.iter().map(|(prior, part)| log_joint(*prior, part)).collect();
    let log_evidence = log_sum_exp(&log_joint);
    let is_lost = log_evidence == f64::NEG_INFINITY;
    let probabilities: Vec<f64> = if is_lost {
        parts.iter().map(|(prior, _)| *prior).collect()
    } else {
        log_joint.iter().map(|log| (log - log_evidence).exp()).collect()
    };
    let mut k_hat = f64::NEG_INFINITY;
    let mut modes: Vec<(usize, Mode)> = Vec::new();
    let (mut samples, mut log_weights, mut of_samples) = (Vec::new(), Vec::new(), Vec::new());
    for (place, ((_, part), probability)) in parts.into_iter().zip(&probabilities).enumerate() {
        if part.k_hat.is_nan() || (*probability >= NEGLIGIBLE && part.k_hat > k_hat) {
            k_hat = part.k_hat;
        }
        modes.extend(part.modes.into_iter().map(|mode| {
            let weight = mode.weight * probability;
            (place, Mode { weight, ..mode })
        }));
        of_samples.resize(of_samples.len() + part.samples.nrows(), place);
        let log_probability = if is_lost { f64::NEG_INFINITY } else { probability.ln() };
        log_weights.extend(part.log_weights.iter().map(|weight| weight + log_probability));
        samples.push(part.samples);
    }
    modes.sort_by(|(_, a), (_, b)| b.weight.total_cmp(&a.weight));
    let (of_modes, modes) = modes.into_iter().unzip();
    let views: Vec<_> = samples.iter().map(|samples| samples.view()).collect();
    let samples = match concatenate(Axis(0), &views) {
        Ok(samples) => samples,
        Err(_) => Array2::zeros((0, dimension)),
    };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let count = if resampled == 0 { each } else { resampled };
    let weights = log_weights.iter().map(|weight| weight.exp());
    let mut chosen = if is_lost { Vec::new() } else { systematic(weights, count, &mut rng) };
    chosen.shuffle(&mut rng);
    let refined = Refined {
        modes,
        draws: samples.select(Axis(0), &chosen),
        effective_sample_size: if is_lost { 0.0 } else { effective_sample_size(&log_weights) },
        samples,
        log_weights,
        k_hat,
        log_evidence,
        complete: true,
    };
    let of_draws = chosen.into_iter().map(|draw| of_samples[draw]).collect();
    Ok(Combined { refined, probabilities, of_draws, of_modes })
}

/// `log p(h) p(y | h)`; minus infinity where nothing was found.
fn log_joint(prior: f64, part: &Refined) -> f64 {
    let log = prior.ln() + part.log_evidence;
    if log.is_nan() { f64::NEG_INFINITY } else { log }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Equally weighted samples at `centre` and `centre + 1`, with a mode at `centre`.
    fn part(centre: f64, log_evidence: f64, k_hat: f64) -> Refined {
        let samples = Array2::from_shape_fn((100, 1), |(row, _)| centre + (row % 2) as f64);
        let mode = Mode {
            coordinates: vec![centre],
            misfit: 0.0,
            log_prior: 0.0,
            weight: 1.0,
            starts: 1,
            covariance: None,
        };
        Refined {
            modes: vec![mode],
            draws: samples.clone(),
            log_weights: vec![-(100f64.ln()); 100],
            samples,
            effective_sample_size: 100.0,
            k_hat,
            log_evidence,
            complete: true,
        }
    }

    #[test]
    fn probabilities_follow_from_prior_and_evidence() {
        // .25 e^2 against .75 e^1: 1 to 3 / e.
        let parts = vec![(0.25, part(0.0, 2.0, 0.1)), (0.75, part(10.0, 1.0, 0.2))];
        let combined = combine(parts, 1000, 7).unwrap();
        let expected = 1.0 / (1.0 + 3.0 / std::f64::consts::E);
        approx::assert_abs_diff_eq!(combined.probabilities[0], expected, epsilon = 1e-12);
        approx::assert_abs_diff_eq!(
            combined.probabilities.iter().sum::<f64>(),
            1.0,
            epsilon = 1e-12
        );
        let evidence = (0.25 * 2f64.exp() + 0.75 * 1f64.exp()).ln();
        approx::assert_abs_diff_eq!(combined.refined.log_evidence, evidence, epsilon = 1e-12);
        // Draws have their hypothesis, each as often as it is probable (systematic: to one draw).
        let first = combined.of_draws.iter().filter(|place| **place == 0).count() as f64;
        assert!((first - 1000.0 * expected).abs() <= 1.0, "{first}");
        for (draw, place) in combined.refined.draws.rows().into_iter().zip(&combined.of_draws) {
            assert_eq!(draw[0] >= 10.0, *place == 1);
        }
        // sum w^2 of 100 weights of p / 100 and as many of (1 - p) / 100.
        let square = expected.powi(2) + (1.0 - expected).powi(2);
        approx::assert_abs_diff_eq!(
            combined.refined.effective_sample_size,
            100.0 / square,
            epsilon = 1e-9
        );
        assert_eq!(combined.refined.k_hat, 0.2);
        assert_eq!(combined.of_modes, [1, 0]);
        approx::assert_abs_diff_eq!(combined.refined.modes[1].weight, expected, epsilon = 1e-12);
    }

    #[test]
    fn a_hypothesis_that_explains_nothing_counts_for_nothing() {
        let lost = Refined {
            log_weights: vec![f64::NEG_INFINITY; 100],
            ..part(5.0, f64::NEG_INFINITY, f64::INFINITY)
        };
        let combined = combine(vec![(0.5, part(0.0, -3.0, 0.3)), (0.5, lost.clone())], 50, 1);
        let combined = combined.unwrap();
        assert_eq!(combined.probabilities, [1.0, 0.0]);
        assert_eq!((combined.refined.k_hat, combined.refined.draws.nrows()), (0.3, 50));
        assert!(combined.of_draws.iter().all(|place| *place == 0));
        let none = combine(vec![(0.5, lost.clone()), (0.5, lost)], 50, 1).unwrap();
        assert_eq!(none.refined.draws.nrows(), 0);
        assert_eq!(none.refined.log_evidence, f64::NEG_INFINITY);
        assert_eq!(none.probabilities, [0.5, 0.5]);
        assert_eq!(none.refined.k_hat, f64::INFINITY);
    }
}
