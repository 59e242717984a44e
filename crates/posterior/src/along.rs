//! Laws along curves: where the data leave a direction open the posterior is a curve, and laws are laid along it to its ends.
//!
//! ```text
//! A = J^T J + C^-1                 C the covariance of the network's draws
//! v                                the direction that the data determine least against C, with v^T A v = 1
//! h = 1, 1/2, 1/4, ...             the first with a misfit at u + h v and u - h v that is no more than BENT above that at u
//! A + (1 / h^2 - 1) A v v^T A      the inverse scale matrix of the law at u: as A, but for a variance of h^2 along v
//! ```
//! From each law steps of PACE h lead along v to both sides, and a few anchored steps pull their ends back to the curve. What is within one
//! standard deviation of a law has one already: a curve ends where it closes, where the prior ends, or where the data exclude it.

use ndarray::Array2;

use crate::event::Whitened;
use crate::levenberg_marquardt::{End, Tie, descend};
use crate::linear::Cholesky;

/// By how much the misfit may rise within one standard deviation of a law along the curve.
const BENT: f64 = 1.0;
/// Steps from law to law, in standard deviations.
const PACE: f64 = 1.5;
/// How often laws are halved at most.
const HALVINGS: usize = 12;
/// Steps that pull a point back to the curve.
const PULLS: usize = 3;
/// A misfit this far above the least one has no weight.
const FAR: f64 = 20.0;
/// Iterations for the direction that is determined least: errors fall with the squared ratio of the lengths of axes.
const TURNS: usize = 30;

/// A law along a curve.
struct Laid {
    /// Its `normal` is the inverse scale matrix less `C^-1`.
    end: End,
    /// The inverse scale matrix.
    precision: Vec<f64>,
    /// `h v`: one standard deviation along the curve.
    reach: Vec<f64>,
}

/// Most laws along the curves of a posterior, where a number that is drawn for each event leaves a direction open, as the angle of a
/// break-up in steps does.
pub const LAWS_ALONG_CURVES: usize = 200;

/// Ends along the curves of the `seeds`, `most` at most, with normal matrices as narrow as the curve is straight. `cap` is `C^-1`.
pub(crate) fn along(problem: &Whitened<'_>, seeds: &[End], cap: &[f64], most: usize) -> Vec<End> {
    let is_inside = |end: &End| problem.log_prior(&end.coordinates) > f64::NEG_INFINITY;
    let mut found: Vec<End> = seeds.iter().filter(|end| is_inside(end)).cloned().collect();
    found.sort_by(|a, b| a.misfit.total_cmp(&b.misfit));
    let best = found.first().map_or(f64::INFINITY, |end| end.misfit);
    let mut laid: Vec<Laid> = Vec::new();
    while !found.is_empty() {
        found.retain(|end| end.misfit < best + FAR && is_inside(end));
        let mut steps = Vec::new();
        for law in lay(problem, found, cap) {
            if laid.len() == most {
                break;
            }
            let here = &law.end.coordinates;
            if laid.iter().any(|other| other.holds(problem, here)) {
                continue;
            }
            for sign in [PACE, -PACE] {
                let mut there: Vec<f64> =
                    here.iter().zip(&law.reach).map(|(u, v)| u + sign * v).collect();
                problem.fold(&mut there);
                if laid.iter().all(|other| !other.holds(problem, &there)) {
                    steps.push(there);
                }
            }
            laid.push(law);
        }
        found = if laid.len() < most {
            descend(problem, &steps, Tie::Start(cap), PULLS)
        } else {
            Vec::new()
        };
    }
    laid.into_iter().map(|law| law.end).collect()
}

impl Laid {
    /// Whether a point is within one standard deviation.
    fn holds(&self, problem: &Whitened<'_>, there: &[f64]) -> bool {
        let step = problem.difference(there, &self.end.coordinates);
        dot(&step, &times(&self.precision, &step)) < 1.0
    }
}

/// Laws at these points.
fn lay(problem: &Whitened<'_>, ends: Vec<End>, cap: &[f64]) -> Vec<Laid> {
    let open: Vec<(End, Vec<f64>, Vec<f64>)> = ends
        .into_iter()
        .filter_map(|end| {
            let whole: Vec<f64> = end.normal.iter().zip(cap).map(|(n, c)| n + c).collect();
            let direction = least_determined(&whole, cap)?;
            Some((end, whole, direction))
        })
        .collect();
    let d = problem.event.forward.inputs();
    let mut points = Vec::with_capacity(open.len() * HALVINGS * 2 * d);
    for (end, _, direction) in &open {
        for halvings in 0..HALVINGS {
            for sign in [1.0, -1.0] {
                let h = sign * 0.5_f64.powi(halvings as i32);
                points.extend(end.coordinates.iter().zip(direction).map(|(u, v)| u + h * v));
            }
        }
    }
    let Ok(points) = Array2::from_shape_vec((open.len() * HALVINGS * 2, d), points) else {
        unreachable!("every point has all coordinates")
    };
    let misfits = problem.misfits(points.view());
    open.into_iter()
        .zip(misfits.chunks_exact(HALVINGS * 2))
        .map(|((mut end, mut precision, direction), misfits)| {
            let fits = |pair: &[f64]| pair.iter().all(|misfit| *misfit <= end.misfit + BENT);
            let halvings = misfits.chunks_exact(2).position(fits).unwrap_or(HALVINGS);
            let h = 0.5_f64.powi(halvings as i32);
            let across = times(&precision, &direction);
            let factor = 1.0 / (h * h) - 1.0;
            for i in 0..d {
                for k in 0..d {
                    let more = factor * across[i] * across[k];
                    precision[i * d + k] += more;
                    end.normal[i * d + k] += more;
                }
            }
            let reach = direction.iter().map(|v| h * v).collect();
            Laid { end, precision, reach }
        })
        .collect()
}

/// v, by iteration; `None` if the matrix is not positive definite.
fn least_determined(whole: &[f64], cap: &[f64]) -> Option<Vec<f64>> {
    let d = whole.len().isqrt();
    let factor = Cholesky::new(whole, d)?;
    // Not at right angles to any axis.
    let mut v: Vec<f64> = (0..d).map(|i| 1.0 / (1.0 + i as f64) / cap[i * d + i].sqrt()).collect();
    for _ in 0..TURNS {
        v = times(cap, &v);
        factor.solve(&mut v);
        let length = dot(&v, &times(whole, &v)).sqrt();
        v.iter_mut().for_each(|v| *v /= length);
    }
    v.iter().all(|v| v.is_finite()).then_some(v)
}

fn times(matrix: &[f64], v: &[f64]) -> Vec<f64> {
    matrix.chunks_exact(v.len()).map(|row| dot(row, v)).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
