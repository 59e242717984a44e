//! Modes of the likelihood by the method of Levenberg and Marquardt, from a network's draws.
//!
//! # Notation
//! ```text
//! r(u) = (f(u) - y) / sd       whitened residual (sd = 1 without noise); J its Jacobian
//! (J^T J + A + lambda I) s = -(J^T r + A (u - u_0))      a step; A = 0 unless the search is anchored at u_0
//! ```
//! lambda follows the ratio of the gained to the promised decrease (Nielsen 1999; Madsen, Nielsen, Tingleff,
//! Methods for non-linear least squares problems, 2004). All searches advance together, so that the forward
//! model sees many rows at once.
//!
//! A mode of noise-free data is a root of `f(u) = y`. As the noise vanishes, the posterior becomes a sum of
//! points there with weights `p(u) / sqrt(det J^T J)`.

use ndarray::{Array2, ArrayView2, Axis};

use crate::error::PosteriorError;
use crate::linear::Cholesky;
use crate::pareto::log_sum_exp;
use crate::refine::Event;

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
        let ends = descend(&problem, &starts, None, options.iterations);
        return Ok(modes_of(&problem, &ends, options));
    }
    let (mut ends, mut modes) = (Vec::new(), Vec::new());
    for rows in draws.axis_chunks_iter(Axis(0), options.starts.max(1)) {
        let starts: Vec<Vec<f64>> = rows.rows().into_iter().map(|row| row.to_vec()).collect();
        ends.extend(descend(&problem, &starts, None, options.iterations));
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

/// An event with its residuals in units of the noise.
pub(crate) struct Whitened<'a> {
    pub(crate) event: &'a Event<'a>,
    /// One over the noise of each component; 1 without noise.
    inverse_noise: Vec<f64>,
    pub(crate) is_noisy: bool,
    /// Sum of the squared measured components.
    square: f64,
    /// Residual, as a part of the measured components, at which a search without noise ends.
    precision: f64,
}

/// As precise as the integration of an explosion.
const FINEST: f64 = 1e-10;

impl<'a> Whitened<'a> {
    pub(crate) fn new(
        event: &'a Event<'a>,
        draws: ArrayView2<'_, f64>,
    ) -> Result<Self, PosteriorError> {
        let size = |what, found, expected| {
            if found == expected {
                Ok(())
            } else {
                Err(PosteriorError::Size { what, found, expected })
            }
        };
        let (inputs, outputs) = (event.forward.inputs(), event.forward.outputs());
        size("columns of the draws", draws.ncols(), inputs)?;
        size("measured components", event.measured.len(), outputs)?;
        for (index, value) in event.measured.iter().enumerate() {
            if !value.is_finite() {
                let what = "measured component";
                return Err(PosteriorError::Value {
                    what,
                    index,
                    value: *value,
                    expected: "finite",
                });
            }
        }
        let square = event.measured.iter().map(|y| y * y).sum();
        let is_noisy = event.noise.iter().any(|sd| *sd != 0.0);
        if !is_noisy {
            let (inverse_noise, precision) = (vec![1.0; outputs], FINEST);
            return Ok(Self { event, inverse_noise, is_noisy, square, precision });
        }
        size("noise components", event.noise.len(), outputs)?;
        for (index, value) in event.noise.iter().enumerate() {
            if *value == 0.0 {
                return Err(PosteriorError::PartlyNoiseFree { index });
            }
            if !(value.is_finite() && *value > 0.0) {
                let (what, expected) = ("noise of component", "finite and at least 0");
                return Err(PosteriorError::Value { what, index, value: *value, expected });
            }
        }
        let inverse_noise = event.noise.iter().map(|sd| 1.0 / sd).collect();
        Ok(Self { event, inverse_noise, is_noisy, square, precision: FINEST })
    }

    /// The same, without noise, for searches that end at a residual of `precision` of the measured components.
    pub(crate) fn to(self, precision: f64) -> Self {
        Self { precision, ..self }
    }

    /// Sum of squared whitened residuals of each row; infinite where there is no value.
    pub(crate) fn misfits(&self, coordinates: ArrayView2<'_, f64>) -> Vec<f64> {
        let values = self.event.forward.values(coordinates);
        values
            .rows()
            .into_iter()
            .map(|row| {
                let residuals = row.iter().zip(self.event.measured).zip(&self.inverse_noise);
                let sum: f64 = residuals.map(|((v, y), w)| ((v - y) * w).powi(2)).sum();
                if sum.is_nan() { f64::INFINITY } else { sum }
            })
            .collect()
    }

    /// Largest misfit of a root of noise-free data.
    pub(crate) fn allowed(&self, options: &ModeOptions) -> f64 {
        self.square * options.root_tolerance * options.root_tolerance
    }

    /// Log density of noise at zero residual: `-sum log(sd sqrt(2 pi))`.
    pub(crate) fn log_normalisation(&self) -> f64 {
        let half_log = 0.5 * (2.0 * std::f64::consts::PI).ln();
        self.inverse_noise.iter().map(|w| w.ln() - half_log).sum()
    }

    pub(crate) fn log_prior(&self, coordinates: &[f64]) -> f64 {
        (self.event.log_prior)(coordinates)
    }

    /// Log of likelihood times prior of each row, up to [`Self::log_normalisation`].
    pub(crate) fn log_targets(&self, coordinates: ArrayView2<'_, f64>) -> Vec<f64> {
        let misfits = self.misfits(coordinates);
        misfits
            .into_iter()
            .zip(coordinates.rows())
            .map(|(misfit, row)| {
                if misfit.is_finite() {
                    self.log_prior(&row.to_vec()) - 0.5 * misfit
                } else {
                    f64::NEG_INFINITY
                }
            })
            .collect()
    }

    /// Residual and Jacobian of each row; `None` where there are none.
    fn linearise(&self, coordinates: &[Vec<f64>]) -> Vec<Option<Local>> {
        let d = self.event.forward.inputs();
        let flat = coordinates.concat();
        let Ok(rows) = ArrayView2::from_shape((coordinates.len(), d), &flat) else {
            return coordinates.iter().map(|_| None).collect();
        };
        let (values, jacobians) = self.event.forward.linearised(rows);
        values
            .rows()
            .into_iter()
            .zip(jacobians.axis_iter(Axis(0)))
            .map(|(value, jacobian)| {
                let mut local =
                    Local { misfit: 0.0, gradient: vec![0.0; d], normal: vec![0.0; d * d] };
                let components = value.iter().zip(self.event.measured).zip(&self.inverse_noise);
                for (((v, y), w), line) in components.zip(jacobian.rows()) {
                    let r = (v - y) * w;
                    local.misfit += r * r;
                    for i in 0..d {
                        let j_i = w * line[i];
                        local.gradient[i] += j_i * r;
                        for k in 0..=i {
                            local.normal[i * d + k] += j_i * w * line[k];
                        }
                    }
                }
                for i in 0..d {
                    for k in 0..i {
                        local.normal[k * d + i] = local.normal[i * d + k];
                    }
                }
                let sound = local.misfit.is_finite() && local.normal.iter().all(|v| v.is_finite());
                sound.then_some(local)
            })
            .collect()
    }
}

/// The model about one point: `|r|^2`, `J^T r`, `J^T J`.
#[derive(Debug, Clone)]
struct Local {
    misfit: f64,
    gradient: Vec<f64>,
    normal: Vec<f64>,
}

/// Where a search ended.
#[derive(Debug, Clone)]
pub(crate) struct End {
    pub(crate) coordinates: Vec<f64>,
    pub(crate) misfit: f64,
    /// `J^T J`, row by row.
    pub(crate) normal: Vec<f64>,
}

/// A search on its way.
struct Search {
    number: usize,
    start: Vec<f64>,
    here: Vec<f64>,
    local: Local,
    cost: f64,
    lambda: f64,
    growth: f64,
    inside: bool,
    done: bool,
}

/// Roots of noise-free data closer than this count as one (bohr, as [`ModeOptions::merge_bohr`]): searches end there as
/// precisely as numbers go, and next to a fold two roots come close.
const SAME_ROOT: f64 = 1e-3;

/// Whether two roots of noise-free data are one.
pub(crate) fn is_same_root(a: &[f64], b: &[f64]) -> bool {
    let square: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
    square < SAME_ROOT * SAME_ROOT * a.len() as f64 / 3.0
}

/// Longest step in any coordinate, bohr.
const LONGEST_STEP: f64 = 1.0;

/// Searches from each start; `anchor` (d x d) ties every search to its start. Starts without a value are left out.
pub(crate) fn descend(
    problem: &Whitened<'_>,
    starts: &[Vec<f64>],
    anchor: Option<&[f64]>,
    iterations: usize,
) -> Vec<End> {
    let ends = descend_numbered(problem, starts, anchor, iterations);
    ends.into_iter().map(|(_, end)| end).collect()
}

/// [`descend`], each end with the number of its start.
pub(crate) fn descend_numbered(
    problem: &Whitened<'_>,
    starts: &[Vec<f64>],
    anchor: Option<&[f64]>,
    iterations: usize,
) -> Vec<(usize, End)> {
    let d = problem.event.forward.inputs();
    let locals = problem.linearise(starts);
    let mut searches: Vec<Search> = Vec::new();
    for (number, (start, local)) in starts.iter().zip(locals).enumerate() {
        let Some(local) = local else { continue };
        let largest = (0..d).map(|i| local.normal[i * d + i]).fold(0.0, f64::max);
        searches.push(Search {
            number,
            start: start.clone(),
            here: start.clone(),
            cost: local.misfit,
            lambda: 1e-3 * largest,
            growth: 2.0,
            inside: problem.log_prior(start) > f64::NEG_INFINITY,
            done: largest == 0.0,
            local,
        });
    }
    for _ in 0..iterations {
        let mut trials = Vec::new();
        let mut owners = Vec::new();
        let mut promises = Vec::new();
        for (index, search) in searches.iter_mut().enumerate() {
            if search.done {
                continue;
            }
            match search.propose(anchor, d) {
                Some((trial, promise)) => {
                    trials.push(trial);
                    owners.push(index);
                    promises.push(promise);
                }
                None => search.done = true,
            }
        }
        if trials.is_empty() {
            break;
        }
        let locals = problem.linearise(&trials);
        for (((owner, trial), local), promise) in
            owners.into_iter().zip(trials).zip(locals).zip(promises)
        {
            searches[owner].decide(problem, anchor, trial, local, promise);
        }
    }
    searches
        .into_iter()
        .map(|search| {
            let Search { number, here, local, .. } = search;
            (number, End { coordinates: here, misfit: local.misfit, normal: local.normal })
        })
        .collect()
}

impl Search {
    /// The next point and the decrease of the cost that the linear model promises there.
    fn propose(&self, anchor: Option<&[f64]>, d: usize) -> Option<(Vec<f64>, f64)> {
        let mut normal = self.local.normal.clone();
        let mut gradient = self.local.gradient.clone();
        if let Some(anchor) = anchor {
            for i in 0..d {
                for k in 0..d {
                    normal[i * d + k] += anchor[i * d + k];
                    gradient[i] += anchor[i * d + k] * (self.here[k] - self.start[k]);
                }
            }
        }
        for i in 0..d {
            normal[i * d + i] += self.lambda;
        }
        let mut step: Vec<f64> = gradient.iter().map(|g| -g).collect();
        Cholesky::new(&normal, d)?.solve(&mut step);
        let longest = step.iter().fold(0.0, |most: f64, s| most.max(s.abs()));
        if longest > LONGEST_STEP {
            step.iter_mut().for_each(|s| *s *= LONGEST_STEP / longest);
        }
        if longest < 1e-12 {
            return None;
        }
        // Decrease of |r|^2 in the model: -2 g.s - s^T N s with the undamped N.
        let mut promise = 0.0;
        for i in 0..d {
            let curved: f64 = (0..d).map(|k| normal[i * d + k] * step[k]).sum();
            promise -= step[i] * (2.0 * gradient[i] + curved - self.lambda * step[i]);
        }
        let there = self.here.iter().zip(&step).map(|(u, s)| u + s).collect();
        Some((there, promise))
    }

    fn decide(
        &mut self,
        problem: &Whitened<'_>,
        anchor: Option<&[f64]>,
        trial: Vec<f64>,
        local: Option<Local>,
        promise: f64,
    ) {
        let refused = |search: &mut Self| {
            search.lambda = (search.lambda * search.growth).max(1e-300);
            search.growth *= 2.0;
            search.done |= search.growth > 1e12;
        };
        let Some(local) = local else { return refused(self) };
        let d = trial.len();
        let mut cost = local.misfit;
        if let Some(anchor) = anchor {
            for i in 0..d {
                for k in 0..d {
                    cost +=
                        (trial[i] - self.start[i]) * anchor[i * d + k] * (trial[k] - self.start[k]);
                }
            }
        }
        let gain = self.cost - cost;
        if gain.is_nan() || gain <= 0.0 {
            // At the bottom, round-off decides.
            self.done = promise.abs() < 1e-12 * self.cost.abs();
            return refused(self);
        }
        // With noise, a search does not leave the prior's support once it is inside.
        let inside = !problem.is_noisy || problem.log_prior(&trial) > f64::NEG_INFINITY;
        if self.inside && !inside {
            return refused(self);
        }
        let ratio = (2.0 * gain / promise.max(f64::MIN_POSITIVE) - 1.0).clamp(-1.0, 1.0);
        self.lambda *= (1.0 - ratio.powi(3)).max(1.0 / 10.0);
        self.growth = 2.0;
        // In units of the noise a millionth is nothing; without noise only the precision of numbers ends.
        self.done = if problem.is_noisy {
            gain < 1e-6 + 1e-9 * cost
        } else {
            cost < problem.precision.powi(2) * problem.square
        };
        self.inside |= inside;
        self.here = trial;
        self.local = local;
        self.cost = cost;
    }
}

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
        let allowed = problem.allowed(options);
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
            let step: Vec<f64> =
                end.coordinates.iter().zip(&mode.0.coordinates).map(|(a, b)| a - b).collect();
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
