//! A Markov chain for the posterior of one event: the independent reference of the refinement.
//!
//! Walkers at a ladder of temperatures T sample `p(x) p(y | x)^(1/T)`. At each temperature half of the walkers move
//! by the differences of pairs from the other half (`x + g (a - b)`, ter Braak, Stat. Comput. 16, 239 (2006); halves
//! as in Foreman-Mackey et al., PASP 125, 306 (2013)); walkers at neighbouring temperatures are exchanged with
//! probability `min(1, (L_i / L_j)^(1/T_j - 1/T_i))`. Hot walkers cross between modes, cold ones are the sample.
//!
//! Modes that are known help: every fifth step each walker is carried from the neighbourhood of its nearest mode i
//! to that of another, j, by `x' = m_j + L_j L_i^-1 (x - m_i)` with the Cholesky factors of their covariances, a
//! move whose ratio has the factor `|L_j| / |L_i|`, and which is refused where the way back would not be the same.
//! It only helps: the chain's law does not depend on what the modes or covariances are.

use ndarray::{Array2, ArrayView2};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::error::PosteriorError;
use crate::event::{Event, Whitened};
use crate::linear::Cholesky;
use crate::modes::Mode;

/// Pairs of which the closest gives a move.
const PAIRS: usize = 4;
/// Every so many steps walkers jump between modes that are known.
const JUMP: usize = 5;

/// The length of a chain.
#[derive(Debug, Clone, PartialEq)]
pub struct ChainOptions {
    /// Walkers at each temperature; at least twice the dimensions, and even.
    pub walkers: usize,
    /// Temperatures, from 1 in geometric steps.
    pub temperatures: usize,
    /// The highest temperature.
    pub hottest: f64,
    /// Steps that are dropped.
    pub burn_in: usize,
    /// Steps that are kept.
    pub steps: usize,
    /// Every how many steps a draw of each cold walker is kept.
    pub thinning: usize,
}

impl Default for ChainOptions {
    fn default() -> Self {
        Self {
            walkers: 48,
            temperatures: 4,
            hottest: 100.0,
            burn_in: 1000,
            steps: 4000,
            thinning: 10,
        }
    }
}

/// Draws of the coldest walkers, and whether they have converged.
#[derive(Debug, Clone, PartialEq)]
pub struct Chain {
    /// Draws (kept steps x walkers, d): all walkers of a step, then the next step.
    pub draws: Array2<f64>,
    /// Split R-hat of each coordinate over the walkers; 1 where they agree, to be trusted below 1.05.
    pub r_hat: Vec<f64>,
    /// Effective number of independent draws of each coordinate.
    pub effective_sample_size: Vec<f64>,
    /// Part of the moves of cold walkers that were accepted.
    pub acceptance: f64,
}

/// Runs the chain from `starts` (rows, d), which its walkers repeat. Starts should cover what is known of the
/// posterior; those outside the support are left out, and without any other there is no chain. `modes` (of
/// [`crate::find_modes`], or none) are jumped between.
///
/// # Errors
/// [`PosteriorError`] for sizes that do not fit and for noise-free data.
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
/// use cei_posterior::{ChainOptions, Event, sample_chain};
///
/// // `y = x^2` (the model of the example of `find_modes`), with noise; x is N(1, 1).
/// let log_prior = |x: &[f64]| -0.5 * (x[0] - 1.0).powi(2);
/// let event = Event { forward: &Square, log_prior: &log_prior, measured: &[4.0], noise: &[0.4] };
/// let starts = Array2::from_shape_fn((20, 1), |(row, _)| 1.5 + f64::from(row as u32) / 20.0);
/// let options = ChainOptions { burn_in: 200, steps: 500, ..ChainOptions::default() };
/// let chain = sample_chain(&event, starts.view(), &[], &options, 0)?.ok_or("starts in the support")?;
/// let mean = chain.draws.mean().unwrap_or_default();
/// assert!((mean - 2.0).abs() < 0.2, "{mean}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sample_chain(
    event: &Event<'_>,
    starts: ArrayView2<'_, f64>,
    modes: &[Mode],
    options: &ChainOptions,
    seed: u64,
) -> Result<Option<Chain>, PosteriorError> {
    let problem = Whitened::new(event, starts)?;
    let d = starts.ncols();
    let value = |what, value, expected| PosteriorError::Value { what, index: 0, value, expected };
    if !problem.is_noisy {
        return Err(value("noise", 0.0, "above 0: a chain needs a likelihood"));
    }
    let states = Walker::all(&problem, starts);
    let sound: Vec<&Walker> = states.iter().filter(|w| w.log_prior.is_finite()).collect();
    if sound.is_empty() {
        return Ok(None);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut crowd = Crowd::new(&sound, options);
    let bridges = Bridges::new(modes);
    let mut kept: Vec<Vec<f64>> = Vec::new();
    let (mut tried, mut accepted) = (0_usize, 0_usize);
    for step in 0..options.burn_in + options.steps {
        let jump = (step % JUMP == 0 && bridges.0.len() > 1).then_some(&bridges);
        for first in [0, crowd.half()] {
            tried += crowd.half();
            accepted += crowd.advance(&problem, first, jump, &mut rng);
        }
        crowd.exchange(&mut rng);
        let kept_step = step.checked_sub(options.burn_in);
        if kept_step.is_some_and(|step| step.is_multiple_of(options.thinning.max(1))) {
            kept.extend(crowd.coldest().iter().map(|walker| walker.place.clone()));
        }
    }
    let draws = Array2::from_shape_fn((kept.len(), d), |(row, c)| kept[row][c]);
    let diagnostics = (0..d).map(|c| diagnose(&draws, crowd.walkers, c));
    let (r_hat, effective_sample_size) = diagnostics.unzip();
    let acceptance = accepted as f64 / tried.max(1) as f64;
    Ok(Some(Chain { draws, r_hat, effective_sample_size, acceptance }))
}

/// The walkers at all temperatures.
struct Crowd {
    /// Place `t * walkers + w` is walker w at temperature t.
    all: Vec<Walker>,
    /// Walkers at each temperature.
    walkers: usize,
    /// Temperatures, from 1 up.
    ladder: Vec<f64>,
}

impl Crowd {
    /// Walkers that repeat these.
    fn new(sound: &[&Walker], options: &ChainOptions) -> Self {
        let d = sound[0].place.len();
        let walkers = 2 * options.walkers.max(2 * d).div_ceil(2);
        let temperatures = options.temperatures.max(1);
        let ladder: Vec<f64> = (0..temperatures)
            .map(|t| options.hottest.max(1.0).powf(t as f64 / (temperatures - 1).max(1) as f64))
            .collect();
        let all = (0..temperatures * walkers)
            .map(|place| sound[(place % walkers) % sound.len()].clone())
            .collect();
        Self { all, walkers, ladder }
    }

    fn half(&self) -> usize {
        self.walkers / 2
    }

    fn coldest(&self) -> &[Walker] {
        &self.all[..self.walkers]
    }

    /// Moves the half of the walkers at each temperature that begins at `first`, or lets them `jump`. Gives the number
    /// of moves at the lowest temperature that were accepted.
    fn advance(
        &mut self,
        problem: &Whitened<'_>,
        first: usize,
        jump: Option<&Bridges<'_>>,
        rng: &mut ChaCha8Rng,
    ) -> usize {
        let half = self.half();
        let d = self.all[0].place.len();
        let (proposals, log_volumes) = self.propose(first, jump, rng);
        let Ok(rows) = ArrayView2::from_shape((log_volumes.len(), d), &proposals) else {
            unreachable!("as many numbers as rows and columns")
        };
        let mut accepted = 0;
        for (row, new) in Walker::all(problem, rows).into_iter().enumerate() {
            let t = row / half;
            let old = &mut self.all[t * self.walkers + first + row % half];
            let log_ratio = new.log_prior - old.log_prior
                + log_volumes[row]
                + 0.5 * (old.misfit - new.misfit) / self.ladder[t];
            if rng.random::<f64>().ln() < log_ratio {
                accepted += usize::from(t == 0);
                *old = new;
            }
        }
        accepted
    }

    /// Where the walkers of the half that begins at `first` would go, temperature by temperature, and the log of the
    /// change of volume of each move.
    fn propose(
        &self,
        first: usize,
        jump: Option<&Bridges<'_>>,
        rng: &mut ChaCha8Rng,
    ) -> (Vec<f64>, Vec<f64>) {
        let others = self.half() - first;
        let (mut proposals, mut log_volumes) = (Vec::new(), Vec::new());
        for t in 0..self.ladder.len() {
            for w in first..first + self.half() {
                let here = &self.all[t * self.walkers + w].place;
                if let Some(bridges) = jump {
                    let other = rng.random_range(1..bridges.0.len());
                    let (there, log_volume) = bridges.cross(here, other);
                    proposals.extend(there);
                    log_volumes.push(log_volume);
                } else {
                    proposals.extend(self.moved(here, t, t * self.walkers + others, rng));
                    log_volumes.push(0.0);
                }
            }
        }
        (proposals, log_volumes)
    }

    /// Where a walker at temperature t that is `here` would go by a part of the difference of the closest of a few
    /// pairs, which lie in one mode. Pairs are of the half of the walkers that begins at place `others`; one and its
    /// mirror image are equally likely, so the move is symmetric.
    fn moved(&self, here: &[f64], t: usize, others: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let square = |(a, b): (usize, usize)| -> f64 {
            let places = self.all[a].place.iter().zip(&self.all[b].place);
            places.map(|(x, y)| (x - y) * (x - y)).sum()
        };
        let pair = |rng: &mut ChaCha8Rng| {
            let mut one = || others + rng.random_range(0..self.half());
            (one(), one())
        };
        let (mut a, mut b) = pair(rng);
        for _ in 1..PAIRS {
            let (c, d) = pair(rng);
            if c != d && (a == b || square((c, d)) < square((a, b))) {
                (a, b) = (c, d);
            }
        }
        let gain = (0.3 + 1.2 * rng.random::<f64>()) * 2.38 / (2.0 * here.len() as f64).sqrt();
        let others = self.all[a].place.iter().zip(&self.all[b].place);
        here.iter()
            .zip(others)
            .map(|(x, (a, b))| {
                let jitter: f64 = rng.sample::<f64, _>(StandardNormal) * 1e-4;
                x + gain * (a - b) + jitter * self.ladder[t].sqrt()
            })
            .collect()
    }

    /// Exchanges walkers of neighbouring temperatures, from the hottest down.
    fn exchange(&mut self, rng: &mut ChaCha8Rng) {
        for t in (1..self.ladder.len()).rev() {
            for w in 0..self.walkers {
                let (hot, cold) = (t * self.walkers + w, (t - 1) * self.walkers + w);
                let log_ratio = 0.5
                    * (self.all[cold].misfit - self.all[hot].misfit)
                    * (1.0 / self.ladder[t - 1] - 1.0 / self.ladder[t]);
                if rng.random::<f64>().ln() < log_ratio {
                    self.all.swap(hot, cold);
                }
            }
        }
    }
}

/// Modes with the Cholesky factors of their covariances.
struct Bridges<'a>(Vec<(&'a [f64], Cholesky)>);

impl<'a> Bridges<'a> {
    fn new(modes: &'a [Mode]) -> Self {
        let with_factor = modes.iter().filter_map(|mode| {
            let covariance: Vec<f64> = mode.covariance.as_ref()?.iter().copied().collect();
            let factor = Cholesky::new(&covariance, mode.coordinates.len())?;
            Some((&mode.coordinates[..], factor))
        });
        Self(with_factor.collect())
    }

    fn nearest(&self, place: &[f64]) -> usize {
        let square =
            |mode: &[f64]| -> f64 { place.iter().zip(mode).map(|(x, m)| (x - m) * (x - m)).sum() };
        let squares = self.0.iter().map(|(mode, _)| square(mode)).enumerate();
        squares.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(index, _)| index)
    }

    /// Where `place` comes to at the `other`-th mode from its own, and the log of the change of volume; minus
    /// infinity if it would not come back.
    fn cross(&self, place: &[f64], other: usize) -> (Vec<f64>, f64) {
        let from = self.nearest(place);
        let to = (from + other) % self.0.len();
        let ((start, start_factor), (end, end_factor)) = (&self.0[from], &self.0[to]);
        let mut z: Vec<f64> = place.iter().zip(*start).map(|(x, m)| x - m).collect();
        start_factor.solve_lower(&mut z);
        let there: Vec<f64> =
            end_factor.multiply(&z).iter().zip(*end).map(|(s, m)| s + m).collect();
        if self.nearest(&there) != to {
            return (there, f64::NEG_INFINITY);
        }
        let log_volume = 0.5 * (end_factor.log_determinant() - start_factor.log_determinant());
        (there, log_volume)
    }
}

#[derive(Clone)]
struct Walker {
    place: Vec<f64>,
    log_prior: f64,
    misfit: f64,
}

impl Walker {
    fn all(problem: &Whitened<'_>, places: ArrayView2<'_, f64>) -> Vec<Self> {
        let misfits = problem.misfits(places);
        misfits
            .into_iter()
            .zip(places.rows())
            .map(|(misfit, row)| {
                let place = row.to_vec();
                let log_prior =
                    if misfit.is_finite() { problem.log_prior(&place) } else { f64::NEG_INFINITY };
                // An infinite misfit must not turn ratios into NaN.
                Self { log_prior, misfit: misfit.min(1e300), place }
            })
            .collect()
    }
}

/// Split R-hat of one coordinate, and the effective sample size by Geyer's initial positive sequence on the
/// autocorrelation averaged over walkers (Gelman et al., Bayesian Data Analysis, 3rd edition, 11.4 and 11.5).
fn diagnose(draws: &Array2<f64>, walkers: usize, column: usize) -> (f64, f64) {
    let steps = draws.nrows() / walkers;
    let half = steps / 2;
    if half < 2 {
        return (f64::NAN, f64::NAN);
    }
    let chains: Vec<Vec<f64>> = (0..2 * walkers)
        .map(|chain| {
            let (walker, begin) = (chain % walkers, if chain < walkers { 0 } else { half });
            (begin..begin + half).map(|step| draws[[step * walkers + walker, column]]).collect()
        })
        .collect();
    let n = half as f64;
    let m = chains.len() as f64;
    let means: Vec<f64> = chains.iter().map(|chain| chain.iter().sum::<f64>() / n).collect();
    let mean = means.iter().sum::<f64>() / m;
    let between = n / (m - 1.0) * means.iter().map(|own| (own - mean).powi(2)).sum::<f64>();
    let within = chains
        .iter()
        .zip(&means)
        .map(|(chain, own)| chain.iter().map(|x| (x - own).powi(2)).sum::<f64>() / (n - 1.0))
        .sum::<f64>()
        / m;
    let total = (n - 1.0) / n * within + between / n;
    let variogram = |lag: usize| {
        let squares = chains
            .iter()
            .map(|chain| (lag..half).map(|i| (chain[i] - chain[i - lag]).powi(2)).sum::<f64>());
        squares.sum::<f64>() / (m * (half - lag) as f64)
    };
    let correlation = |lag: usize| 1.0 - variogram(lag) / (2.0 * total);
    let mut sum = 0.0;
    let mut lag = 1;
    while lag + 1 < half {
        let pair = correlation(lag) + correlation(lag + 1);
        if pair.is_nan() || pair <= 0.0 {
            break;
        }
        sum += pair;
        lag += 2;
    }
    ((total / within).sqrt(), m * n / (1.0 + 2.0 * sum))
}
