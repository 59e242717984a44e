//! Weights of largest likelihood of a mixture whose components are known.
//!
//! ```text
//! l(a) = sum_i n_i log L_i,   L_i = sum_j a_j C_ij
//! a_j <- a_j D_j,             D_j = sum_i n_i C_ij / L_i / sum_i n_i          one step of expectation and maximisation
//! ```
//! At the maximum `D_j = 1` where `a_j > 0` and `D_j <= 1` elsewhere, and `l` lacks at most `sum n (max D_j - 1)` of it.
//! Steps are extrapolated (SQUAREM, Varadhan and Roland, Scand. J. Stat. 35, 335 (2008), scheme S3) where that is no loss.

use ndarray::{Array1, ArrayView2};

/// Double steps at most.
const MOST_STEPS: usize = 400;
/// Least weight on the way: what is zero stays zero.
const LEAST: f64 = 1e-9;

/// The weights of components `c` (n, J) whose likelihood lacks at most `lack` nats of the largest one, with events counted
/// `counts` times, from `start` on.
pub(crate) fn maximise(
    c: ArrayView2<'_, f64>,
    counts: &[f64],
    start: &Array1<f64>,
    lack: f64,
) -> Array1<f64> {
    let mut here = start.clone();
    let mut value = log_likelihood(c, counts, &here);
    for _ in 0..MOST_STEPS {
        let (first, lacking) = step(c, counts, &here);
        if lacking < lack {
            break;
        }
        let (second, _) = step(c, counts, &first);
        let r = &first - &here;
        let v = &second - &first - &r;
        let length = v.dot(&v).sqrt();
        let mut next = second.clone();
        if length > 0.0 {
            let alpha = (-(r.dot(&r).sqrt()) / length).min(-1.0);
            next = &here - &(2.0 * alpha * &r) + &(alpha * alpha * &v);
            next.mapv_inplace(|a| a.max(LEAST));
            let sum = next.sum();
            next /= sum;
            // A step behind it makes it a point that the method could have come to.
            next = step(c, counts, &next).0;
        }
        let of_next = log_likelihood(c, counts, &next);
        if of_next.is_finite() && of_next >= value {
            (here, value) = (next, of_next);
        } else {
            value = log_likelihood(c, counts, &second);
            here = second;
        }
    }
    here
}

/// `l(a)`.
pub(crate) fn log_likelihood(c: ArrayView2<'_, f64>, counts: &[f64], a: &Array1<f64>) -> f64 {
    let likelihoods = c.dot(a);
    likelihoods.iter().zip(counts).filter(|(_, n)| **n > 0.0).map(|(l, n)| n * l.ln()).sum()
}

/// The next weights, and what the likelihood lacks at these at most.
fn step(c: ArrayView2<'_, f64>, counts: &[f64], a: &Array1<f64>) -> (Array1<f64>, f64) {
    let mut ratios = c.dot(a);
    let each = ratios.iter_mut().zip(counts);
    each.for_each(|(l, n)| *l = if *n > 0.0 && *l > 0.0 { n / *l } else { 0.0 });
    let total: f64 = counts.iter().sum();
    let slopes = c.t().dot(&ratios) / total;
    let most = slopes.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut next = a * &slopes;
    let sum = next.sum();
    next /= sum;
    (next, total * (most - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    /// Two components of three kinds of events: `l = 3 log(a) + 1 log(1 - a) + 6 log(1)`, with the maximum at 3/4.
    #[test]
    fn the_maximum_by_hand() {
        let c = array![[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]];
        let a = maximise(c.view(), &[3.0, 1.0, 6.0], &array![0.5, 0.5], 1e-6);
        assert!((a[0] - 0.75).abs() < 1e-3, "{a}");
        assert!(
            (log_likelihood(c.view(), &[3.0, 1.0, 6.0], &a)
                - (3.0 * 0.75_f64.ln() + 0.25_f64.ln()))
            .abs()
                < 1e-3
        );
    }

    /// At the end no component would raise the likelihood by more than what it may lack.
    #[test]
    fn nothing_is_left_to_gain() {
        let c = Array2::from_shape_fn((200, 30), |(i, j)| {
            let (y, centre) = ((i as f64 * 0.37).sin() * 2.0, -3.0 + 0.2 * j as f64);
            (-0.5 * (y - centre).powi(2)).exp()
        });
        let counts = vec![1.0; 200];
        let a = maximise(c.view(), &counts, &Array1::from_elem(30, 1.0 / 30.0), 0.01);
        assert!((a.sum() - 1.0).abs() < 1e-12 && a.iter().all(|a| *a >= 0.0));
        assert!(step(c.view(), &counts, &a).1 < 0.01);
    }
}
