//! Pareto-smoothed importance weights.
//!
//! The largest weights follow a generalised Pareto law, `p(w) = (1 + k (w - m) / s)^(-1/k - 1) / s`; they are
//! replaced by its quantiles, and its shape `k` says how far `n` weights can be trusted: at most [`worst_k_hat`],
//! `min(1 - 1 / log10 n, 0.7)`, estimates converge at a useful rate (Vehtari, Simpson, Gelman, Yao, Gabry, J. Mach.
//! Learn. Res. 25, 72 (2024), section 3.2.4). The law is fitted as by Zhang and Stephens, Technometrics 51, 316 (2009), with the weak prior of the former
//! (k drawn towards 0.5 with the weight of ten weights).

/// A tail is a law from this many weights on; fewer effective draws are no sample.
const LEAST_TAIL: usize = 5;

/// The largest k-hat of this many weights that can be trusted, `min(1 - 1 / log10 n, 0.7)` (Vehtari et al. 2024):
/// 0.630 of 500, 0.667 of 1,000, 0.7 from 2,155 on.
///
/// ```
/// assert!((cei_posterior::worst_k_hat(1000) - 0.667).abs() < 1e-3);
/// ```
pub fn worst_k_hat(weights: usize) -> f64 {
    (1.0 - 1.0 / (weights as f64).log10()).min(0.7)
}

/// Smooths unnormalised log weights in place and normalises them so that the weights sum to 1. Returns k-hat:
/// infinite, the worst, if fewer than five weights hold everything, or fewer than five stand out and hold more than
/// chance; minus infinity, the best, if the largest ones are all equal.
pub(crate) fn smooth(log_weights: &mut [f64]) -> f64 {
    let most = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !most.is_finite() {
        return f64::INFINITY;
    }
    for weight in log_weights.iter_mut() {
        *weight -= most;
    }
    let squares: f64 = log_weights.iter().map(|w| (2.0 * w).exp()).sum();
    // A margin for round-off: five equal weights are five draws.
    let is_few = (2.0 * log_sum_exp(log_weights)).exp() <= (LEAST_TAIL as f64 + 0.01) * squares;
    let k_hat = smooth_tail(log_weights);
    let total = log_sum_exp(log_weights);
    for weight in log_weights.iter_mut() {
        *weight -= total;
    }
    if is_few { f64::INFINITY } else { k_hat }
}

fn smooth_tail(log_weights: &mut [f64]) -> f64 {
    let count = log_weights.len() as f64;
    let tail = (0.2 * count).min(3.0 * count.sqrt()).ceil() as usize;
    if tail < LEAST_TAIL || log_weights.len() <= tail {
        return f64::INFINITY;
    }
    let mut order: Vec<usize> = (0..log_weights.len()).collect();
    order.sort_by(|a, b| log_weights[*a].total_cmp(&log_weights[*b]));
    let first = order.len() - tail;
    let cutoff = log_weights[order[first - 1]].max(f64::MIN_POSITIVE.ln());
    let threshold = cutoff.exp();
    let above: Vec<usize> =
        order[first..].iter().copied().filter(|index| log_weights[*index] > cutoff).collect();
    let excess: Vec<f64> =
        above.iter().map(|index| log_weights[*index].exp() - threshold).collect();
    if excess.len() < LEAST_TAIL {
        // The others are equal. What a few exceed them by does no harm where it is less than the error of as many
        // equal weights.
        let part = excess.iter().sum::<f64>() / log_sum_exp(log_weights).exp();
        return if part * count.sqrt() > 1.0 { f64::INFINITY } else { f64::NEG_INFINITY };
    }
    let (k, scale) = fit(&excess);
    if k.is_finite() {
        let n = excess.len() as f64;
        for (place, index) in above.iter().enumerate() {
            let p = (place as f64 + 0.5) / n;
            let quantile =
                if k.abs() < 1e-12 { -(-p).ln_1p() } else { ((-k * (-p).ln_1p()).exp_m1()) / k };
            // No weight may exceed the largest one there was, which is 1.
            log_weights[*index] = (threshold + scale * quantile).ln().min(0.0);
        }
    }
    k
}

/// Shape and scale of the generalised Pareto law of ascending positive numbers.
fn fit(ascending: &[f64]) -> (f64, f64) {
    let n = ascending.len() as f64;
    let candidates = 30 + n.sqrt().floor() as usize;
    let quarter = ascending[((n / 4.0 + 0.5).floor() as usize).clamp(1, ascending.len()) - 1];
    let largest = ascending[ascending.len() - 1];
    let shape = |b: f64| ascending.iter().map(|x| (-b * x).ln_1p()).sum::<f64>() / n;
    let b: Vec<f64> = (1..=candidates)
        .map(|j| {
            let root = (candidates as f64 / (j as f64 - 0.5)).sqrt();
            1.0 / largest + (1.0 - root) / (3.0 * quarter)
        })
        .collect();
    let likelihood: Vec<f64> = b
        .iter()
        .map(|b| {
            let k = shape(*b);
            n * ((-b / k).ln() - k - 1.0)
        })
        .collect();
    let total = log_sum_exp(&likelihood);
    let mean: f64 = b.iter().zip(&likelihood).map(|(b, l)| b * (l - total).exp()).sum();
    let k = shape(mean);
    let scale = -k / mean;
    ((k * n + 0.5 * 10.0) / (n + 10.0), scale)
}

/// `1 / sum w^2` of log weights that are normalised.
pub(crate) fn effective_sample_size(log_weights: &[f64]) -> f64 {
    1.0 / log_weights.iter().map(|w| (2.0 * w).exp()).sum::<f64>()
}

/// `log sum exp`; minus infinity for nothing.
#[must_use]
pub fn log_sum_exp(values: &[f64]) -> f64 {
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY {
        return most;
    }
    most + values.iter().map(|v| (v - most).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Weights `U^{-k}` have a Pareto tail of shape k: k-hat must find it. Its standard error is about
    /// (1 + k) / sqrt(n) of the n = 3 sqrt(20000) tail weights, 0.06 to 0.09.
    #[test]
    fn the_shape_of_a_known_tail_is_found() {
        for k in [0.2, 0.5, 0.9] {
            let mut rng = ChaCha8Rng::seed_from_u64(4);
            let mut weights: Vec<f64> =
                (0..20_000).map(|_| -k * (1.0 - rng.random::<f64>()).ln()).collect();
            let found = smooth(&mut weights);
            assert!((found - k).abs() < 0.15, "{k}: {found}");
            assert!((log_sum_exp(&weights)).abs() < 1e-12);
        }
    }

    #[test]
    fn smoothing_keeps_the_order_and_the_mean_of_light_tails() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let raw: Vec<f64> = (0..4000).map(|_| rng.random::<f64>().ln()).collect();
        let mut smoothed = raw.clone();
        assert!(smooth(&mut smoothed) < 0.0, "uniform weights are bounded");
        let total = log_sum_exp(&raw);
        for (a, b) in raw.iter().zip(&smoothed) {
            assert!((b - (a - total)).abs() < 0.02 + 0.01 * a.abs());
        }
    }

    #[test]
    fn equal_and_missing_weights() {
        let mut equal = vec![3.0; 100];
        assert_eq!(smooth(&mut equal), f64::NEG_INFINITY);
        assert!((effective_sample_size(&equal) - 100.0).abs() < 1e-9);
        let mut one = vec![f64::NEG_INFINITY; 100];
        one[7] = 2.0;
        assert_eq!(smooth(&mut one), f64::INFINITY);
        assert_eq!(one[7], 0.0);
        assert!((effective_sample_size(&one) - 1.0).abs() < 1e-12);
        assert_eq!(smooth(&mut [f64::NEG_INFINITY; 9]), f64::INFINITY);
    }

    /// A few weights that hold everything are no sample, whatever the others are: all equal, or different.
    #[test]
    fn a_few_weights_that_hold_everything_are_the_worst() {
        for heavy in 1..=5 {
            for step in [0.0, 1e-6, 0.01] {
                let mut weights: Vec<f64> =
                    (0..1000).map(|i| -60.0 - step * f64::from(i)).collect();
                weights[17..17 + heavy].fill(0.0);
                assert_eq!(smooth(&mut weights), f64::INFINITY, "{heavy} {step}");
            }
        }
        // One weight is a third of all, the others are equal: so is the third of every estimate.
        let mut third = vec![0.0; 1000];
        third[3] = 500.0_f64.ln();
        assert_eq!(smooth(&mut third), f64::INFINITY);
        // One that is twice the others changes nothing.
        let mut twice = vec![0.0; 1000];
        twice[3] = 2.0_f64.ln();
        assert_eq!(smooth(&mut twice), f64::NEG_INFINITY);
    }

    /// The figures of Vehtari et al. (2024).
    #[test]
    fn the_threshold_follows_the_number_of_weights() {
        for (count, expected) in
            [(100, 0.5), (500, 0.6295), (1000, 0.6667), (2200, 0.7), (100_000, 0.7)]
        {
            assert!((worst_k_hat(count) - expected).abs() < 1e-4, "{count}");
        }
    }
}
