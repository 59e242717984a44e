//! The refined posterior of one event: importance draws from a mixture of Student t laws and the network,
//! weighted by the exact likelihood and the prior.
//!
//! ```text
//! p(x | y) = p(y | x) p(x) / p(y),   p(y | x) = prod_i N(y_i; f_i(x), sd_i)       all 3N components
//! t(x)     = sum_k a_k t_k(x)
//! q(x)     = (1 - e) t(x) where p(y | x) p(x) / t(x) is small,   e network(x | y) + (1 - e) t(x) elsewhere
//! w(x)     = p(y | x) p(x) / q(x), but 0 for the network's draws where that is small,   p(y) = mean of w
//! ```
//! The t laws start at the modes and at draws of the network that were pulled towards the data but not along
//! what the data leave open, with the covariances of Laplace's approximation, capped by the spread of the
//! network's draws, or along the curves that an open direction leaves ([`RefineOptions::along_curves`]); then they are refitted to
//! weighted draws of their own. Where these laws do not hold the weights, as in
//! many dimensions, laws at the most probable points are added, with the covariance that data and prior have there, and
//! narrower laws where the weights are largest. All draws are weighted by the
//! mixture of all laws (Veach and Guibas's balance heuristic), so the network is a defence, not a hazard.

use ndarray::{Array2, ArrayView2, Axis, concatenate, s};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::along::along;
use crate::error::PosteriorError;
use crate::event::{Event, Whitened};
use crate::explore::Solutions;
use crate::levenberg_marquardt::{End, Tie, descend};
use crate::linear::Cholesky;
use crate::modes::{LITTLE_UNSEEN, Mode, ModeOptions, choose_starts, find_modes, modes_of, unseen};
use crate::pareto::{effective_sample_size, log_sum_exp, smooth, worst_k_hat};
use crate::prior::LocalPrior;
use crate::student::{Component, Mixture, systematic};

/// Log density of a network's posterior for this event at coordinates (rows, d): one number a row.
pub type LogProb<'a> = dyn Fn(&Array2<f64>) -> Vec<f64> + 'a;

/// Steps that pull the network's draws towards the data.
const PULLS: usize = 6;
/// A pulled draw closer than this many standard deviations (squared) to another begins no search of its own.
const OWN_SEARCH: f64 = 1.0;
/// One closer than this to a law adds no law of its own.
const OWN_LAW: f64 = 2.5;

/// Draws of largest weight from which the most probable points are searched.
const CLIMBERS: usize = 4;
/// Draws of largest weight that an extension of the mixture stands at.
const HEAVIEST: usize = 20;
/// Draws of a round that refits an extended mixture: what needs an extension needs care.
const EXTENDED: usize = 1000;
/// Draws of a round for each law, so that none is given up because chance gave it no draw.
const OF_A_LAW: usize = 30;
/// Log of how far above their mean the target over the mixture may be where the mixture covers the target.
const COVERED: f64 = 1.0;
/// Part of the draws of a round that hold their weight, from which on no further round is needed.
const ENOUGH: f64 = 0.65;
/// Laws of an extension are this many times narrower along what the data leave open.
const NARROWER: f64 = 4.0;

/// How a posterior is refined.
#[derive(Debug, Clone, PartialEq)]
pub struct RefineOptions {
    /// The search for modes.
    pub modes: ModeOptions,
    /// Importance draws that are weighted.
    pub samples: usize,
    /// Draws that are resampled from them; 0 for as many as `samples`.
    pub resampled: usize,
    /// Part of the importance draws that the network gives; 0 to 1. They count where the mixture does not cover the target.
    pub network_fraction: f64,
    /// Rounds in which the mixture is refitted to weighted draws of its own.
    pub rounds: usize,
    /// Draws of each such round at least; 30 for each law where that is more, up to 1,000, and 1,000 for a mixture that was
    /// extended.
    pub round_samples: usize,
    /// How often the mixture is extended while the tail of its weights is too heavy: first at the most probable points, if
    /// the prior is not flat, then where the weights are largest.
    pub extensions: usize,
    /// Most laws that are laid along what the data leave open, from where searches end to where curves end; 0 for laws where
    /// searches and pulled draws end alone.
    pub along_curves: usize,
    /// Degrees of freedom of the Student t laws; above 0.
    pub degrees_of_freedom: f64,
}

impl Default for RefineOptions {
    fn default() -> Self {
        Self {
            modes: ModeOptions::default(),
            samples: 1000,
            resampled: 0,
            network_fraction: 0.1,
            rounds: 3,
            round_samples: 300,
            extensions: 4,
            along_curves: 0,
            degrees_of_freedom: 8.0,
        }
    }
}

/// The refined posterior of one event.
#[derive(Debug, Clone, PartialEq)]
pub struct Refined {
    /// Modes, the heaviest first.
    pub modes: Vec<Mode>,
    /// Equally weighted draws (resampled, d); empty without noise.
    pub draws: Array2<f64>,
    /// Importance draws (samples, d); empty without noise.
    pub samples: Array2<f64>,
    /// Their normalised, Pareto-smoothed log weights.
    pub log_weights: Vec<f64>,
    /// `1 / sum w^2` of the normalised weights; NaN without noise.
    pub effective_sample_size: f64,
    /// Shape of the tail of the weights; above [`worst_k_hat`] of their number they cannot be trusted: infinite where
    /// a few hold everything, minus infinity where the largest are equal. NaN without noise.
    pub k_hat: f64,
    /// `log p(y)` per unit volume of the measured components; NaN without noise.
    pub log_evidence: f64,
    /// Without noise: whether further modes are unlikely.
    pub complete: bool,
}

impl Refined {
    /// Modes alone.
    fn of_modes(modes: Vec<Mode>, complete: bool) -> Self {
        Self {
            modes,
            draws: Array2::zeros((0, 0)),
            samples: Array2::zeros((0, 0)),
            log_weights: Vec::new(),
            effective_sample_size: f64::NAN,
            k_hat: f64::NAN,
            log_evidence: f64::NAN,
            complete,
        }
    }
}

impl From<Solutions> for Refined {
    fn from(solutions: Solutions) -> Self {
        Self::of_modes(solutions.modes, solutions.complete)
    }
}

/// Refines the posterior of one event from a network's `draws` (rows, d) for it. `network` gives the log density
/// of the law of these draws per unit volume of the coordinates; without it the draws only say where to begin.
/// For noise-free data the modes are all there is ([`find_modes`]). The same result for the same seed.
///
/// # Errors
/// [`PosteriorError`] for sizes that do not fit, and numbers that are not finite or out of range.
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
/// use cei_posterior::{Event, RefineOptions, refine, worst_k_hat};
///
/// // `y = x^2` (the model of the example of `find_modes`), with noise, and a prior that knows the sign: x is N(1, 1).
/// let log_prior = |x: &[f64]| -0.5 * (x[0] - 1.0).powi(2) - 0.5 * std::f64::consts::TAU.ln();
/// let event = Event { forward: &Square, log_prior: &log_prior, measured: &[4.0], noise: &[0.4] };
/// let draws = Array2::from_shape_fn((200, 1), |(row, _)| f64::from(row as u32) / 50.0 - 2.0);
/// let refined = refine(&event, draws.view(), None, &RefineOptions::default(), 0)?;
/// assert!(refined.k_hat < worst_k_hat(refined.log_weights.len()));
/// // At -2 the prior has exp(-4) of what it has at 2.
/// let negative = refined.draws.iter().filter(|x| **x < 0.0).count();
/// assert!(negative < refined.draws.nrows() / 20);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn refine(
    event: &Event<'_>,
    draws: ArrayView2<'_, f64>,
    network: Option<&LogProb<'_>>,
    options: &RefineOptions,
    seed: u64,
) -> Result<Refined, PosteriorError> {
    let problem = Whitened::new(event, draws)?;
    check(options)?;
    if !problem.is_noisy || draws.nrows() == 0 {
        let modes = find_modes(event, draws, &options.modes)?;
        let complete = unseen(modes.iter().map(|mode| mode.starts)) <= LITTLE_UNSEEN;
        return Ok(Refined::of_modes(modes, complete));
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut misfits = problem.misfits(draws);
    let cap = inverse_spread(draws);
    let searched = |misfits: &[f64]| {
        let starts = choose_starts(draws, misfits, options.modes.starts);
        let pulled = descend(&problem, &starts, Tie::Start(&cap), PULLS);
        let from = apart(&problem, &pulled, &cap);
        [descend(&problem, &from, Tie::Free, options.modes.iterations), pulled]
    };
    let is_inside = |u: &[f64]| problem.log_prior(u) > f64::NEG_INFINITY;
    let [mut ends, mut pulled] = searched(&misfits);
    if !ends.iter().chain(&pulled).any(|end| is_inside(&end.coordinates)) {
        // The data fit best outside the prior, and few draws are inside: those that are begin searches that stay there.
        let rows = draws.rows().into_iter().zip(&mut misfits);
        rows.filter(|(row, _)| !is_inside(&row.to_vec()))
            .for_each(|(_, misfit)| *misfit = f64::INFINITY);
        let [more_ends, more_pulled] = searched(&misfits);
        ends.extend(more_ends);
        pulled.extend(more_pulled);
    }
    let mut modes = modes_of(&problem, &ends, &options.modes);

    let (at_modes, others) = if options.along_curves == 0 {
        (&modes[..], pulled)
    } else {
        (&[][..], along(&problem, &[ends, pulled].concat(), &cap, options.along_curves))
    };
    let mut mixture = first_laws(&problem, at_modes, &others, &cap, options.degrees_of_freedom)
        .map(|laws| refit(&problem, laws, (options.rounds, options.round_samples), &mut rng));
    let mut weighted = weigh_draws(&problem, draws, network, mixture.as_ref(), options, &mut rng);
    let mut best: Option<Fitted> = None;
    for extension in 0..options.extensions {
        if weighted.k_hat <= worst_k_hat(weighted.log_weights.len()) {
            break;
        }
        let Some(laws) = &mixture else { break };
        let extended = if extension == 0 {
            let Some(peaks) = peaks(&problem, &weighted, options) else { continue };
            laws.laws.joined(peaks)
        } else {
            let more = narrower(&problem, &weighted, &cap, options.degrees_of_freedom);
            more.map_or_else(|| laws.laws.clone(), |more| laws.laws.joined(more))
        };
        let extended = refit(&problem, extended, (options.rounds, EXTENDED), &mut rng);
        let again = weigh_draws(&problem, draws, network, Some(&extended), options, &mut rng);
        let is_better = again.k_hat < weighted.k_hat;
        mixture = Some(extended);
        if is_better {
            weighted = again;
            best = mixture.clone();
        }
    }
    if best.is_some() {
        // Draws that were chosen for their weights lack the largest: what is told comes from new ones.
        weighted = weigh_draws(&problem, draws, network, best.as_ref(), options, &mut rng);
    }
    let Weighted { samples, log_weights, k_hat, log_evidence } = weighted;
    let is_lost = log_evidence == f64::NEG_INFINITY;
    let weights: Vec<f64> = log_weights.iter().map(|weight| weight.exp()).collect();
    if !is_lost {
        weigh(&problem, &mut modes, samples.view(), &weights);
    }
    let count = if options.resampled == 0 { options.samples } else { options.resampled };
    let mut chosen =
        if is_lost { Vec::new() } else { systematic(weights.into_iter(), count, &mut rng) };
    chosen.shuffle(&mut rng);
    Ok(Refined {
        modes,
        draws: samples.select(Axis(0), &chosen),
        effective_sample_size: if is_lost { 0.0 } else { effective_sample_size(&log_weights) },
        samples,
        log_weights,
        k_hat,
        log_evidence,
        complete: true,
    })
}

/// Of pulled draws those that are not close to an earlier one, with the inverse covariance `J^T J + cap` there.
fn apart(problem: &Whitened<'_>, pulled: &[End], cap: &[f64]) -> Vec<Vec<f64>> {
    let is_close = |a: &&End, b: &End| {
        let way = problem.difference(&b.coordinates, &a.coordinates);
        let rows = a.normal.chunks_exact(way.len()).zip(cap.chunks_exact(way.len()));
        let square = rows.zip(&way).map(|((normal, cap), w)| {
            let along = normal.iter().zip(cap).zip(&way);
            w * along.map(|((n, c), v)| (n + c) * v).sum::<f64>()
        });
        square.sum::<f64>() < OWN_SEARCH
    };
    let mut kept: Vec<&End> = Vec::new();
    for end in pulled {
        if !kept.iter().any(|other| is_close(other, end)) {
            kept.push(end);
        }
    }
    kept.into_iter().map(|end| end.coordinates.clone()).collect()
}

/// Importance draws with their weights.
struct Weighted {
    samples: Array2<f64>,
    log_weights: Vec<f64>,
    k_hat: f64,
    log_evidence: f64,
}

fn weigh_draws(
    problem: &Whitened<'_>,
    draws: ArrayView2<'_, f64>,
    network: Option<&LogProb<'_>>,
    mixture: Option<&Fitted>,
    options: &RefineOptions,
    rng: &mut ChaCha8Rng,
) -> Weighted {
    let (samples, of_network) = propose(draws, network.is_some(), mixture, options, rng);
    let mut log_weights = problem.log_targets(samples.view());
    match (mixture, network) {
        (Some(mixture), Some(network)) => {
            over_both(&mut log_weights, &samples, of_network, mixture, network);
        }
        (Some(mixture), None) => {
            subtract(&mut log_weights, mixture.laws.log_density(samples.view()));
        }
        // Nothing was found near the data: all draws are the network's.
        (None, Some(network)) => subtract(&mut log_weights, network(&samples)),
        (None, None) => {}
    }
    // A network's density may be NaN far from what it was trained on: such a draw counts for nothing.
    log_weights.iter_mut().filter(|w| w.is_nan()).for_each(|w| *w = f64::NEG_INFINITY);
    let log_evidence =
        log_sum_exp(&log_weights) - (samples.nrows() as f64).ln() + problem.log_normalisation();
    let k_hat = smooth(&mut log_weights);
    Weighted { samples, log_weights, k_hat, log_evidence }
}

/// Divides the targets of samples, the first `of_network` of which are the network's, by the densities that they are drawn
/// with: that of the mixture alone where it covers the target, that of both elsewhere. The network's draws where the mixture
/// covers count for nothing, so that each point is counted once.
fn over_both(
    log_targets: &mut [f64],
    samples: &Array2<f64>,
    of_network: usize,
    mixture: &Fitted,
    network: &LogProb<'_>,
) {
    let part = of_network as f64 / samples.nrows() as f64;
    let (log_part, log_rest) = (part.ln(), (1.0 - part).ln());
    let of_mixture = mixture.laws.log_density(samples.view());
    let mut bare = Vec::new();
    for (row, (target, mixture_there)) in log_targets.iter_mut().zip(&of_mixture).enumerate() {
        if of_network > 0 && *target - mixture_there > mixture.covered {
            bare.push(row);
        } else if row < of_network {
            *target = f64::NEG_INFINITY;
        } else {
            *target -= log_rest + mixture_there;
        }
    }
    if bare.is_empty() {
        return;
    }
    for (row, there) in bare.iter().zip(network(&samples.select(Axis(0), &bare))) {
        log_targets[*row] -= log_sum_exp(&[log_rest + of_mixture[*row], log_part + there]);
    }
}

fn subtract(log_weights: &mut [f64], log_densities: Vec<f64>) {
    log_weights.iter_mut().zip(log_densities).for_each(|(weight, q)| *weight -= q);
}

/// A mixture, refitted.
#[derive(Clone)]
struct Fitted {
    laws: Mixture,
    /// Log of the target over the mixture up to which the mixture covers the target: [`COVERED`] above their mean.
    covered: f64,
}

/// Refits the mixture to weighted draws of its own, a few times, or until enough of them hold their weight.
fn refit(
    problem: &Whitened<'_>,
    mut laws: Mixture,
    (rounds, draws): (usize, usize),
    rng: &mut ChaCha8Rng,
) -> Fitted {
    let mut covered = f64::NEG_INFINITY;
    for _ in 0..rounds {
        let rows = laws.draw(draws.max(OF_A_LAW * laws.count()).min(EXTENDED), rng);
        let mut log_weights = problem.log_targets(rows.view());
        subtract(&mut log_weights, laws.log_density(rows.view()));
        if log_weights.iter().all(|weight| *weight == f64::NEG_INFINITY) {
            break;
        }
        let log_mean = log_sum_exp(&log_weights) - (rows.nrows() as f64).ln();
        covered = log_mean + COVERED;
        smooth(&mut log_weights);
        let effective = effective_sample_size(&log_weights);
        let weights: Vec<f64> = log_weights.iter().map(|weight| weight.exp()).collect();
        laws = laws.refitted(rows.view(), &weights);
        if effective > ENOUGH * rows.nrows() as f64 {
            break;
        }
    }
    Fitted { laws, covered }
}

/// Coordinates of the draws of largest weight.
fn heaviest(weighted: &Weighted, count: usize) -> Vec<Vec<f64>> {
    let mut order: Vec<usize> = (0..weighted.log_weights.len()).collect();
    order.sort_by(|a, b| weighted.log_weights[*b].total_cmp(&weighted.log_weights[*a]));
    order.iter().take(count).map(|index| weighted.samples.row(*index).to_vec()).collect()
}

/// Laws at the most probable points, with the covariances of Laplace's approximation there: that of data and prior.
/// `None` where the prior is flat, whose most probable points have a law already.
fn peaks(problem: &Whitened<'_>, weighted: &Weighted, options: &RefineOptions) -> Option<Mixture> {
    let starts = heaviest(weighted, CLIMBERS);
    let mut laws: Vec<(Component, f64)> = Vec::new();
    let mut buffer = vec![0.0; problem.event.forward.inputs()];
    for End { coordinates, misfit, normal } in
        descend(problem, &starts, Tie::Prior, options.modes.iterations)
    {
        let Some(prior) = LocalPrior::new(problem, &coordinates) else { continue };
        let d = coordinates.len();
        let normal: Vec<f64> = normal.iter().zip(&prior.curvature).map(|(n, c)| n + c).collect();
        let Some(factor) = Cholesky::new(&normal, d) else { continue };
        if laws.iter().any(|(law, _)| law.distance_2(&coordinates, &mut buffer) < OWN_LAW) {
            continue;
        }
        let log_prior = problem.log_prior(&coordinates);
        let Some(law) = Component::new(1.0, coordinates, factor.inverse()) else { continue };
        let log_mass = log_prior - 0.5 * misfit + 0.5 * law.log_determinant();
        laws.push((law, log_mass));
    }
    mixture_of(problem, laws, options.degrees_of_freedom)
}

/// Narrower laws at the draws of largest weight: that is where the mixture has too little.
fn narrower(
    problem: &Whitened<'_>,
    weighted: &Weighted,
    cap: &[f64],
    degrees_of_freedom: f64,
) -> Option<Mixture> {
    let ends = descend(problem, &heaviest(weighted, HEAVIEST), Tie::Free, 0);
    let cap: Vec<f64> = cap.iter().map(|c| NARROWER * NARROWER * c).collect();
    first_laws(problem, &[], &ends, &cap, degrees_of_freedom)
}

fn check(options: &RefineOptions) -> Result<(), PosteriorError> {
    let is = |what, value: f64, expected, valid: bool| {
        if valid { Ok(()) } else { Err(PosteriorError::Value { what, index: 0, value, expected }) }
    };
    let nu = options.degrees_of_freedom;
    is("degrees of freedom", nu, "above 0", nu > 0.0 && nu.is_finite())?;
    let part = options.network_fraction;
    is("network fraction", part, "0 to 1", (0.0..=1.0).contains(&part))?;
    is("number of samples", options.samples as f64, "at least 25", options.samples >= 25)?;
    is("number of starts", options.modes.starts as f64, "at least 1", options.modes.starts >= 1)
}

/// Inverse covariance (d x d) of the draws, which caps what the data leave open. Draws without a covariance (fewer
/// than dimensions, or all equal) are given their standard deviations, at least 1e-3 bohr.
fn inverse_spread(draws: ArrayView2<'_, f64>) -> Vec<f64> {
    let d = draws.ncols();
    let n = draws.nrows() as f64;
    let mean = draws.sum_axis(Axis(0)) / n;
    let centred = &draws - &mean;
    let covariance = centred.t().dot(&centred) / n;
    let flat: Vec<f64> = covariance.iter().copied().collect();
    if let Some(factor) = Cholesky::new(&flat, d) {
        return factor.inverse();
    }
    let mut diagonal = vec![0.0; d * d];
    for i in 0..d {
        let variance = covariance[[i, i]];
        diagonal[i * d + i] = 1.0 / if variance > 1e-6 { variance } else { 1e-6 };
    }
    diagonal
}

/// A law at every mode and at every pulled draw that is not near one already, with the scale matrices
/// `(J^T J + cap)^-1`. Weights follow the mass of Laplace's approximation, flattened by a square root: laws on
/// a ridge overlap, and the refit finds the rest.
fn first_laws(
    problem: &Whitened<'_>,
    modes: &[Mode],
    pulled: &[End],
    cap: &[f64],
    degrees_of_freedom: f64,
) -> Option<Mixture> {
    // What fits better outside the prior is nothing to compare with.
    let inside = modes.iter().filter(|mode| mode.log_prior > f64::NEG_INFINITY);
    let best = inside.map(|mode| mode.misfit).fold(f64::INFINITY, f64::min);
    let mut laws: Vec<(Component, f64)> = Vec::new();
    let mut buffer = vec![0.0; problem.event.forward.inputs()];
    let at_modes = modes.iter().filter_map(|mode| {
        let covariance: Vec<f64> = mode.covariance.as_ref()?.iter().copied().collect();
        let normal = Cholesky::new(&covariance, mode.coordinates.len())?.inverse();
        Some(End { coordinates: mode.coordinates.clone(), misfit: mode.misfit, normal })
    });
    for end in at_modes.chain(pulled.iter().cloned()) {
        let d = end.coordinates.len();
        let log_prior = problem.log_prior(&end.coordinates);
        if end.misfit > best + 100.0 || log_prior == f64::NEG_INFINITY {
            continue;
        }
        let normal: Vec<f64> = end.normal.iter().zip(cap).map(|(n, c)| n + c).collect();
        let Some(factor) = Cholesky::new(&normal, d) else { continue };
        let is_near = |(law, _): &(Component, f64), buffer: &mut Vec<f64>| {
            law.distance_2(&end.coordinates, buffer) < OWN_LAW
        };
        if laws.iter().any(|law| is_near(law, &mut buffer)) {
            continue;
        }
        let Some(law) = Component::new(1.0, end.coordinates, factor.inverse()) else { continue };
        let log_mass = log_prior - 0.5 * end.misfit + 0.5 * law.log_determinant();
        laws.push((law, 0.5 * log_mass));
    }
    mixture_of(problem, laws, degrees_of_freedom)
}

/// Laws with the logs of their weights, up to a common factor.
fn mixture_of(
    problem: &Whitened<'_>,
    laws: Vec<(Component, f64)>,
    degrees_of_freedom: f64,
) -> Option<Mixture> {
    let most = laws.iter().map(|(_, log)| *log).fold(f64::NEG_INFINITY, f64::max);
    let laws = laws.into_iter().map(|(law, log)| law.weighted((log - most).exp()));
    Mixture::new(laws.collect(), degrees_of_freedom, problem.circles())
}

/// Importance draws: so many of the network, then those of the mixture. Without a mixture all are the network's.
fn propose(
    draws: ArrayView2<'_, f64>,
    has_network: bool,
    mixture: Option<&Fitted>,
    options: &RefineOptions,
    rng: &mut ChaCha8Rng,
) -> (Array2<f64>, usize) {
    let total = options.samples;
    let Some(Fitted { laws, .. }) = mixture else {
        let rows = draws.nrows().min(total);
        return (draws.slice(s![..rows, ..]).to_owned(), rows);
    };
    if !has_network {
        return (laws.draw(total, rng), 0);
    }
    let wanted = (options.network_fraction * total as f64).round() as usize;
    let of_network = wanted.min(draws.nrows());
    let spread: Vec<usize> =
        (0..of_network).map(|place| place * draws.nrows() / of_network).collect();
    let own = laws.draw(total - of_network, rng);
    (concatenate![Axis(0), draws.select(Axis(0), &spread), own], of_network)
}

/// Gives every mode the weight of the samples nearest to it, and puts the heaviest first.
fn weigh(
    problem: &Whitened<'_>,
    modes: &mut [Mode],
    samples: ArrayView2<'_, f64>,
    weights: &[f64],
) {
    if modes.is_empty() {
        return;
    }
    modes.iter_mut().for_each(|mode| mode.weight = 0.0);
    for (row, weight) in samples.rows().into_iter().zip(weights) {
        let row = row.to_vec();
        let square = |mode: &Mode| {
            problem.difference(&row, &mode.coordinates).iter().map(|s| s * s).sum::<f64>()
        };
        let (mut nearest, mut least) = (0, f64::INFINITY);
        for (index, mode) in modes.iter().enumerate() {
            let distance = square(mode);
            if distance < least {
                (nearest, least) = (index, distance);
            }
        }
        modes[nearest].weight += weight;
    }
    modes.sort_by(|a, b| b.weight.total_cmp(&a.weight));
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, array};

    use super::*;
    use crate::forward::Forward;

    struct Plane;

    impl Forward for Plane {
        fn inputs(&self) -> usize {
            2
        }

        fn outputs(&self) -> usize {
            2
        }

        fn values(&self, u: ArrayView2<'_, f64>) -> Array2<f64> {
            u.to_owned()
        }

        fn linearised(&self, u: ArrayView2<'_, f64>) -> (Array2<f64>, Array3<f64>) {
            let unit = |(_, i, k)| if i == k { 1.0 } else { 0.0 };
            (u.to_owned(), Array3::from_shape_fn((u.nrows(), 2, 2), unit))
        }
    }

    /// One standard deviation is 0.1 along the first coordinate and, by the cap, 1 along the second, which is open.
    #[test]
    fn searches_go_on_from_draws_that_ended_apart() {
        let event =
            Event { forward: &Plane, log_prior: &|_| 0.0, measured: &[0.0; 2], noise: &[1.0; 2] };
        let problem = Whitened::new(&event, array![[0.0, 0.0]].view()).unwrap();
        let ends = [[0.0, 0.0], [0.09, 0.0], [0.0, 0.9], [0.09, 0.9], [0.11, 0.0], [0.0, -1.1]];
        let ends = ends.map(|place| End {
            coordinates: place.to_vec(),
            misfit: 0.0,
            normal: vec![99.0, 0.0, 0.0, 0.0],
        });
        let cap = [1.0, 0.0, 0.0, 1.0];
        let kept = apart(&problem, &ends, &cap);
        assert_eq!(kept, [[0.0, 0.0], [0.09, 0.9], [0.0, -1.1]]);
    }
}
