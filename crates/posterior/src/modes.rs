//! Modes of the likelihood, from a network's draws.
//!
//! A mode of noise-free data is a root of `f(u) = y`. As the noise vanishes, the posterior becomes a sum of
//! points there with weights `p(u) / sqrt(det J^T J)`.

use ndarray::{Array2, ArrayView2, Axis};

use crate::error::PosteriorError;
use crate::event::{Event, Whitened};
use crate::levenberg_marquardt::{End, Tie, descend};
use crate::linear::Cholesky;
use crate::pareto::log_sum_exp;
use crate::roots::{SAME_ROOT, search};

/// How modes are searched for.
#[derive(Debug, Clone, PartialEq)]
pub struct ModeOptions {
    /// Draws from which the search starts, spread over all of them.
    pub starts: usize,
    /// Most steps of each search.
    pub iterations: usize,
    /// Modes closer than this count as one: root mean square displacement per three coordinates (bohr).
    pub merge_bohr: f64,
    /// Searches without noise that end with a root mean square residual above this part of the root mean
    /// square of the measured components have found no root.
    pub root_tolerance: f64,
}

impl Default for ModeOptions {
    fn default() -> Self {
        Self { starts: 24, iterations: 40, merge_bohr: 0.02, root_tolerance: 1e-6 }
    }
}

/// A maximum of the likelihood.
#[derive(Debug, Clone, PartialEq)]
pub struct Mode {
    /// Coordinates in the chart (d).
    pub coordinates: Vec<f64>,
    /// Sum of squared residuals: in units of the noise, or in a.u.^2 without noise.
    pub misfit: f64,
    /// Log prior density per unit volume of the chart.
    pub log_prior: f64,
    /// `(J^T W J)^-1` (d, d) in bohr^2, W the inverse variances of the noise; `None` without noise, and where
    /// the measurement leaves a direction open.
    pub covariance: Option<Array2<f64>>,
    /// Probability of what is nearest to this mode; the weights of all that were found sum to 1. Without noise it
    /// is that of the limit of vanishing noise.
    pub weight: f64,
    /// Number of searches that ended here.
    pub starts: usize,
}

/// Finds the modes of the likelihood from `draws` (rows, d). For noise-free data as many draws as
/// `options.starts` at a time begin searches until [`unseen`] is at most [`LITTLE_UNSEEN`]; where the geometry law
/// is known, [`crate::find_solutions`] searches on.
/// The heaviest mode comes first; the weights of [`Mode`] are here those of Laplace's approximation.
///
/// Roots outside the prior's support are dropped, unless there is no other.
///
/// # Errors
/// [`PosteriorError`] for sizes that do not fit and numbers that are not finite.
///
/// ```
/// use cei_posterior::{Event, Forward, ModeOptions, find_modes};
/// use ndarray::{Array2, Array3, ArrayView2, array};
///
/// /// `y = x^2`: two geometries, one measurement.
/// struct Square;
///
/// impl Forward for Square {
///     fn inputs(&self) -> usize {
///         1
///     }
///     fn outputs(&self) -> usize {
///         1
///     }
///     fn values(&self, x: ArrayView2<'_, f64>) -> Array2<f64> {
///         &x * &x
///     }
///     fn linearised(&self, x: ArrayView2<'_, f64>) -> (Array2<f64>, Array3<f64>) {
///         (self.values(x), (2.0 * &x).insert_axis(ndarray::Axis(2)))
///     }
/// }
///
/// let event =
///     Event { forward: &Square, log_prior: &|_| 0.0, measured: &[4.0], noise: &[0.1] };
/// let draws = array![[-1.0], [1.5], [3.0]];
/// let modes = find_modes(&event, draws.view(), &ModeOptions::default())?;
/// let mut found: Vec<f64> = modes.iter().map(|mode| mode.coordinates[0].round()).collect();
/// found.sort_by(f64::total_cmp);
/// assert_eq!(found, [-2.0, 2.0]);
/// # Ok::<(), cei_posterior::PosteriorError>(())
/// ```
pub fn find_modes(
    event: &Event<'_>,
    draws: ArrayView2<'_, f64>,
    options: &ModeOptions,
) -> Result<Vec<Mode>, PosteriorError> {
    let problem = Whitened::new(event, draws)?;
    if draws.nrows() == 0 {
        return Ok(Vec::new());
    }
    if problem.is_noisy {
        let misfits = problem.misfits(draws);
        let starts = choose_starts(draws, &misfits, options.starts);
        let ends = descend(&problem, &starts, Tie::Free, options.iterations);
        return Ok(modes_of(&problem, &ends, options));
    }
    let (mut ends, mut modes) = (Vec::new(), Vec::new());
    for rows in draws.axis_chunks_iter(Axis(0), options.starts.max(1)) {
        let starts: Vec<Vec<f64>> = rows.rows().into_iter().map(|row| row.to_vec()).collect();
        ends.extend(search(&problem, &starts, options.iterations));
        modes = modes_of(&problem, &ends, options);
        if unseen(modes.iter().map(|mode| mode.starts)) <= LITTLE_UNSEEN {
            break;
        }
    }
    Ok(modes)
}

/// How probable it is that one more search would end at a solution not yet found: the share of the searches whose
/// solution no other one found (I. J. Good, Biometrika 40, 237 (1953)), given how many `searches` ended at
/// each. 1 without any.
///
/// ```
/// use cei_posterior::unseen;
///
/// // Of ten searches one found a solution that no other found.
/// assert_eq!(unseen([6, 3, 1].into_iter()), 0.1);
/// ```
pub fn unseen(searches: impl Iterator<Item = usize>) -> f64 {
    let (mut all, mut single) = (0, 0);
    for count in searches {
        all += count;
        single += usize::from(count == 1);
    }
    if all == 0 { 1.0 } else { single as f64 / all as f64 }
}

/// A search for all solutions that leaves no more [`unseen`] is complete.
pub const LITTLE_UNSEEN: f64 = 0.02;

/// Half of the starts are the draws of least misfit, no two of them close; a quarter are draws as far as possible from
/// those chosen before, so that what few draws believe is not left out; the others are spread over the draws as
/// they come, and so over all that the network believes.
pub(crate) fn choose_starts(
    draws: ArrayView2<'_, f64>,
    misfits: &[f64],
    count: usize,
) -> Vec<Vec<f64>> {
    let finite: Vec<usize> = (0..draws.nrows()).filter(|row| misfits[*row].is_finite()).collect();
    let count = count.max(1);
    if finite.len() <= count {
        return finite.iter().map(|row| draws.row(*row).to_vec()).collect();
    }
    let spread = draws.var_axis(Axis(0), 0.0).mapv(|v| v.max(f64::MIN_POSITIVE));
    let apart_2 = |a: usize, b: usize| -> f64 {
        let pairs = draws.row(a).into_iter().zip(draws.row(b)).zip(&spread);
        pairs.map(|((a, b), v)| (a - b) * (a - b) / v).sum()
    };
    let close_2 = 0.05 * draws.ncols() as f64;
    let mut best = finite.clone();
    best.sort_by(|a, b| misfits[*a].total_cmp(&misfits[*b]));
    let mut chosen: Vec<usize> = Vec::with_capacity(count);
    for row in best {
        if chosen.len() >= count.div_ceil(2) {
            break;
        }
        if chosen.iter().all(|other| apart_2(row, *other) > close_2) {
            chosen.push(row);
        }
    }
    let to_chosen = |row: &usize| {
        chosen.iter().fold(f64::INFINITY, |least: f64, other| least.min(apart_2(*row, *other)))
    };
    let mut nearest: Vec<f64> = finite.iter().map(to_chosen).collect();
    for _ in 0..count / 4 {
        let places = nearest.iter().enumerate();
        let Some((place, _)) = places.max_by(|a, b| a.1.total_cmp(b.1)) else { break };
        let row = finite[place];
        chosen.push(row);
        for (nearest, other) in nearest.iter_mut().zip(&finite) {
            *nearest = nearest.min(apart_2(row, *other));
        }
    }
    let rest = count.saturating_sub(chosen.len());
    for place in 0..rest {
        let row = finite[place * finite.len() / rest];
        if !chosen.contains(&row) {
            chosen.push(row);
        }
    }
    chosen.into_iter().map(|row| draws.row(row).to_vec()).collect()
}

/// Clusters the ends of searches into modes with the weights of Laplace's approximation.
pub(crate) fn modes_of(problem: &Whitened<'_>, ends: &[End], options: &ModeOptions) -> Vec<Mode> {
    let d = problem.event.forward.inputs();
    let mut ends: Vec<&End> = ends.iter().collect();
    ends.sort_by(|a, b| a.misfit.total_cmp(&b.misfit));
    if !problem.is_noisy {
        let allowed = problem.misfit_of(options.root_tolerance);
        let roots = ends.iter().filter(|end| end.misfit <= allowed).count();
        // Without a root the best attempt is all there is to say; its misfit tells.
        ends.truncate(roots.max(1));
    } else if let Some(best) = ends.first().map(|end| end.misfit) {
        // What is 40 likelihood units below the best has no weight.
        ends.retain(|end| end.misfit < best + 80.0);
    }
    let merge =
        if problem.is_noisy { options.merge_bohr } else { options.merge_bohr.min(SAME_ROOT) };
    let merge_2 = merge * merge * d as f64 / 3.0;
    let mut modes: Vec<(Mode, &End, f64)> = Vec::new();
    for end in ends {
        let is_same = |mode: &&mut (Mode, &End, f64)| {
            let step = problem.difference(&end.coordinates, &mode.0.coordinates);
            let square: f64 = step.iter().map(|s| s * s).sum();
            // Within one standard deviation of either, where there is noise.
            let near = |normal: &[f64]| {
                let rows = normal.chunks_exact(d).zip(&step);
                rows.map(|(row, s)| s * row.iter().zip(&step).map(|(n, t)| n * t).sum::<f64>())
                    .sum::<f64>()
                    < 1.0
            };
            square < merge_2 || problem.is_noisy && (near(&mode.1.normal) || near(&end.normal))
        };
        if let Some((mode, ..)) = modes.iter_mut().find(is_same) {
            mode.starts += 1;
            continue;
        }
        let factor = Cholesky::new(&end.normal, d);
        let covariance = factor
            .as_ref()
            .filter(|_| problem.is_noisy)
            .and_then(|factor| Array2::from_shape_vec((d, d), factor.inverse()).ok());
        let log_prior = problem.log_prior(&end.coordinates);
        let log_volume = factor.map_or(f64::NAN, |factor| -0.5 * factor.log_determinant());
        let misfit_weight = if problem.is_noisy { -0.5 * end.misfit } else { 0.0 };
        let mode = Mode {
            coordinates: end.coordinates.clone(),
            misfit: end.misfit,
            log_prior,
            covariance,
            weight: 0.0,
            starts: 1,
        };
        modes.push((mode, end, log_prior + log_volume + misfit_weight));
    }
    if modes.iter().any(|(mode, ..)| mode.log_prior > f64::NEG_INFINITY) {
        modes.retain(|(mode, ..)| mode.log_prior > f64::NEG_INFINITY);
    }
    let logs: Vec<f64> = modes.iter().map(|(_, _, log)| *log).collect();
    let total = log_sum_exp(&logs);
    let even = 1.0 / modes.len() as f64;
    let mut modes: Vec<Mode> = modes
        .into_iter()
        .map(|(mode, _, log)| {
            // Where a measurement leaves a direction open there is no volume: no mode is preferred.
            let weight = if total.is_finite() { (log - total).exp() } else { even };
            Mode { weight, ..mode }
        })
        .collect();
    modes.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    modes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_few_draws_believe_begins_a_search_too() {
        // Two of 401 draws, of large misfit, are far from all others; the last has no value.
        let draws = Array2::from_shape_fn((402, 2), |(row, column)| match row {
            123 | 124 => 20.0,
            _ => ((row * (7 + 4 * column)) % 101) as f64 / 101.0,
        });
        let mut misfits = vec![1.0; 402];
        misfits[123..125].fill(1e6);
        misfits[401] = f64::INFINITY;
        let starts = choose_starts(draws.view(), &misfits, 8);
        assert!(starts.len() <= 8);
        assert!(starts.iter().any(|start| start == &[20.0, 20.0]));
    }
}
