//! The method of Levenberg and Marquardt for many searches at once, with noise; without it see `roots`.
//!
//! # Notation
//! ```text
//! (J^T J + A + lambda I) s = -(J^T r + a)      a step
//! ```
//! with the whitened residual r and its Jacobian J (`event`). What ties a search beside the data gives `a` and `A`: nothing; its
//! start u_0, by `a = A (u - u_0)`; or the prior, by its slope and curvature, so that the search ends at the most probable point.
//! All searches advance together, so that the forward model sees many rows at once.

use crate::damping::{Damping, Step};
use crate::event::{Local, Whitened};
use crate::prior::LocalPrior;

/// Where a search ended.
#[derive(Debug, Clone)]
pub(crate) struct End {
    pub(crate) coordinates: Vec<f64>,
    pub(crate) misfit: f64,
    /// `J^T J`, row by row.
    pub(crate) normal: Vec<f64>,
}

/// What ties a search beside the data.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tie<'a> {
    /// Nothing.
    Free,
    /// Its start, as strongly as this inverse covariance (d x d) says.
    Start(&'a [f64]),
    /// The prior.
    Prior,
}

/// Searches from each start. Starts without a value are left out.
pub(crate) fn descend(
    problem: &Whitened<'_>,
    starts: &[Vec<f64>],
    tie: Tie<'_>,
    iterations: usize,
) -> Vec<End> {
    let locals = problem.linearise(starts);
    let mut searches: Vec<Search<'_>> = Vec::new();
    for (start, local) in starts.iter().zip(locals) {
        let Some(local) = local else { continue };
        let hold = Hold::new(problem, tie, start);
        searches.push(Search {
            start: start.clone(),
            here: start.clone(),
            cost: hold.cost_from(local.misfit, problem, start, start),
            hold,
            damping: Damping::new(&local.normal, start.len()),
            inside: problem.log_prior(start) > f64::NEG_INFINITY,
            done: false,
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
            match search.propose(problem) {
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
            searches[owner].decide(problem, trial, local, promise);
        }
    }
    searches
        .into_iter()
        .map(|search| {
            let Search { here, local, .. } = search;
            End { coordinates: here, misfit: local.misfit, normal: local.normal }
        })
        .collect()
}

/// A search on its way.
struct Search<'a> {
    hold: Hold<'a>,
    start: Vec<f64>,
    here: Vec<f64>,
    local: Local,
    cost: f64,
    damping: Damping,
    inside: bool,
    done: bool,
}

impl Search<'_> {
    /// The next point and the decrease of the cost that the linear model promises there.
    fn propose(&self, problem: &Whitened<'_>) -> Option<(Vec<f64>, f64)> {
        let mut normal = self.local.normal.clone();
        let mut gradient = self.local.gradient.clone();
        let moved = problem.difference(&self.here, &self.start);
        self.hold.add_to(&mut gradient, &mut normal, &moved);
        let moved = |step: &[f64]| {
            let mut there: Vec<f64> = self.here.iter().zip(step).map(|(u, s)| u + s).collect();
            problem.fold(&mut there);
            there
        };
        // A search does not leave the prior's support once it is inside.
        let is_inside =
            |step: &[f64]| !self.inside || problem.log_prior(&moved(step)) > f64::NEG_INFINITY;
        let Step { step, promise } = self.damping.step_within(&gradient, normal, &is_inside)?;
        Some((moved(&step), promise))
    }

    fn decide(
        &mut self,
        problem: &Whitened<'_>,
        trial: Vec<f64>,
        local: Option<Local>,
        promise: f64,
    ) {
        let refused = |search: &mut Self| search.done |= search.damping.refuse();
        let Some(local) = local else { return refused(self) };
        let cost = self.hold.cost_from(local.misfit, problem, &self.start, &trial);
        let gain = self.cost - cost;
        if gain.is_nan() || gain <= 0.0 {
            // At the bottom, round-off decides.
            self.done = promise.abs() < 1e-12 * self.cost.abs();
            return refused(self);
        }
        self.damping.accept(gain / promise.max(f64::MIN_POSITIVE));
        // In units of the noise a thousandth is nothing.
        self.done = gain < 1e-3 + 1e-9 * cost;
        self.inside |= problem.log_prior(&trial) > f64::NEG_INFINITY;
        self.hold.move_to(problem, &trial);
        self.here = trial;
        self.local = local;
        self.cost = cost;
    }
}

/// The tie of one search, where it is.
enum Hold<'a> {
    Free,
    Start(&'a [f64]),
    Prior { prior: LocalPrior, slope: Vec<f64> },
}

impl<'a> Hold<'a> {
    fn new(problem: &Whitened<'_>, tie: Tie<'a>, start: &[f64]) -> Self {
        match tie {
            Tie::Free => Self::Free,
            Tie::Start(anchor) => Self::Start(anchor),
            Tie::Prior => LocalPrior::new(problem, start).map_or(Self::Free, |prior| {
                let slope = prior.slope(problem, start);
                Self::Prior { prior, slope }
            }),
        }
    }

    /// The misfit, and what the tie costs beside it.
    fn cost_from(&self, misfit: f64, problem: &Whitened<'_>, start: &[f64], here: &[f64]) -> f64 {
        let d = here.len();
        let mut cost = misfit;
        match self {
            Self::Free => {}
            Self::Start(anchor) => {
                let moved = problem.difference(here, start);
                for i in 0..d {
                    for k in 0..d {
                        cost += moved[i] * anchor[i * d + k] * moved[k];
                    }
                }
            }
            Self::Prior { .. } => cost -= 2.0 * problem.log_prior(here),
        }
        cost
    }

    /// `moved` is the way from the start.
    fn add_to(&self, gradient: &mut [f64], normal: &mut [f64], moved: &[f64]) {
        let d = moved.len();
        match self {
            Self::Free => {}
            Self::Start(anchor) => {
                for i in 0..d {
                    for k in 0..d {
                        normal[i * d + k] += anchor[i * d + k];
                        gradient[i] += anchor[i * d + k] * moved[k];
                    }
                }
            }
            Self::Prior { prior, slope } => {
                gradient.iter_mut().zip(slope).for_each(|(g, s)| *g += s);
                normal.iter_mut().zip(&prior.curvature).for_each(|(n, c)| *n += c);
            }
        }
    }

    fn move_to(&mut self, problem: &Whitened<'_>, here: &[f64]) {
        if let Self::Prior { prior, slope } = self {
            *slope = prior.slope(problem, here);
        }
    }
}
