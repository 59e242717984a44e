//! All solutions of noise-free data, those too that a network gives too little probability.
//!
//! A network's draws begin the search. Then rounds of further searches begin at the solutions found so far with
//! one atom moved to where the geometry law may place it, and at draws of the geometry law itself: solutions
//! differ in few atoms, and one leads to another that no draw of the network is near. When two rounds in a row
//! find nothing new within the law, the curves through the solutions are followed (`curve`). They lead to
//! solutions that hardly any start leads to: next to folds, and where momenta change much. What they find begins
//! new rounds of searches. The search is complete when three rounds of curves in a row find no new solution
//! within the law.

use ndarray::{ArrayView2, Axis};
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::chart::Chart;
use crate::curve::follow;
use crate::error::PosteriorError;
use crate::forward::Forward;
use crate::modes::{Mode, ModeOptions, Whitened, descend, modes_of};
use crate::refine::Event;

/// Searches of a round for each coordinate.
const SEARCHES: usize = 8;
/// Every so many of these begin at a draw of the geometry law.
const OF_THE_LAW: usize = 5;
/// Steps of a search from a solution with an atom moved; what is near converges in fewer.
const STEPS: usize = 15;
/// Searches with the fast model end at a residual of this part of the measured components.
const FAST_PRECISION: f64 = 1e-9;
/// Rounds of searches in a row without a new solution after which curves are followed.
const QUIET: usize = 2;
/// Rounds of curves in a row without a new solution after which the search is complete.
const QUIET_CURVES: usize = 3;
/// Lines of curves that a round follows.
const LINES: usize = 2;
/// Curves end at this multiple of the largest coordinate of the law's draws.
const BOUND: f64 = 2.0;
/// Most rounds, of searches and of curves.
const ROUNDS: usize = 60;

/// Where searches beyond a network's draws begin.
#[derive(Clone, Copy)]
pub struct Explorer<'a> {
    /// A faster forward model, right to about 2e-6 of the momenta: the searches use it, and the model of the
    /// event itself takes the last steps from what they find.
    pub fast: &'a dyn Forward,
    /// The chart of the coordinates.
    pub chart: &'a Chart,
    /// Positions (rows, 3N; bohr) that the geometry law draws, in the frame of the chart.
    pub law: ArrayView2<'a, f64>,
    /// Whether coordinates (d) are within the support of the law.
    pub inside: &'a (dyn Fn(&[f64]) -> bool + Sync),
}

/// The solutions of noise-free data.
#[derive(Debug, Clone, PartialEq)]
pub struct Solutions {
    /// Those within the support of the geometry law, as [`crate::find_modes`] gives them.
    pub modes: Vec<Mode>,
    /// Whether the search ended because nothing new was found, and the exact model has all that the fast one has.
    pub complete: bool,
}

/// Finds the solutions of a noise-free `event` from a network's `draws` (rows, d) and beyond. The same result
/// for the same seed.
///
/// # Errors
/// [`PosteriorError`] for sizes that do not fit and numbers that are not finite.
///
/// # Panics
/// If the event has noise, or the explorer no draws of the law.
pub fn find_solutions(
    event: &Event<'_>,
    draws: ArrayView2<'_, f64>,
    explorer: &Explorer<'_>,
    options: &ModeOptions,
    seed: u64,
) -> Result<Solutions, PosteriorError> {
    let exact = Whitened::new(event, draws)?;
    assert!(!exact.is_noisy, "with noise there is no solution, but a posterior");
    let fast = Event { forward: explorer.fast, ..*event };
    let problem = Whitened::new(&fast, draws)?.to(FAST_PRECISION);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let rows = draws.rows().into_iter().take(options.starts);
    let starts: Vec<Vec<f64>> = rows.map(|row| row.to_vec()).collect();
    let mut ends = descend(&problem, &starts, None, options.iterations);
    let mut modes = solved(&problem, modes_of(&problem, &ends, options), options);
    let is_inside = |mode: &&Mode| (explorer.inside)(&mode.coordinates);
    // Rounds in a row without a new solution: first of searches, then of curves.
    let (mut quiet, mut complete) = (0, false);
    let bound = BOUND * explorer.size();
    for _ in 0..ROUNDS {
        let known = modes.iter().filter(is_inside).count();
        let follows = quiet >= QUIET;
        if follows {
            let solutions: Vec<Vec<f64>> =
                modes.iter().filter(is_inside).map(|mode| mode.coordinates.clone()).collect();
            let origins: Vec<_> = (0..LINES).map(|_| explorer.draw(&mut rng)).collect();
            ends.extend(follow(&problem, &solutions, &origins, bound));
        } else {
            let searches = SEARCHES * problem.event.forward.inputs();
            let of_law = if modes.is_empty() { searches } else { searches / OF_THE_LAW };
            let moved: Vec<_> =
                (of_law..searches).map(|_| explorer.with_an_atom_moved(&modes, &mut rng)).collect();
            let drawn: Vec<_> = (0..of_law).map(|_| explorer.draw(&mut rng)).collect();
            ends.extend(descend(&problem, &moved, None, STEPS));
            ends.extend(descend(&problem, &drawn, None, options.iterations));
        }
        modes = solved(&problem, modes_of(&problem, &ends, options), options);
        let is_quiet = modes.iter().filter(is_inside).count() <= known;
        quiet = if is_quiet { quiet + 1 } else { 0 };
        complete = quiet == QUIET + QUIET_CURVES;
        if complete {
            break;
        }
    }
    let found = modes.iter().filter(is_inside).count();
    let mut modes = polished(&exact, &modes, options);
    modes.retain(|mode| (explorer.inside)(&mode.coordinates));
    complete &= modes.len() >= found;
    Ok(Solutions { modes, complete })
}

/// The solutions of the exact model that the `found` ones of a fast model lead to.
fn polished(exact: &Whitened<'_>, found: &[Mode], options: &ModeOptions) -> Vec<Mode> {
    let starts: Vec<Vec<f64>> = found.iter().map(|mode| mode.coordinates.clone()).collect();
    let ends = descend(exact, &starts, None, options.iterations);
    let mut modes = solved(exact, modes_of(exact, &ends, options), options);
    modes.iter_mut().for_each(|mode| mode.starts = 0);
    for before in found {
        let square = |mode: &&mut Mode| -> f64 {
            let pairs = mode.coordinates.iter().zip(&before.coordinates);
            pairs.map(|(a, b)| (a - b).powi(2)).sum()
        };
        let nearest = modes.iter_mut().min_by(|a, b| square(a).total_cmp(&square(b)));
        if let Some(mode) = nearest {
            mode.starts += before.starts;
        }
    }
    modes
}

/// The modes that solve the equations.
fn solved(problem: &Whitened<'_>, mut modes: Vec<Mode>, options: &ModeOptions) -> Vec<Mode> {
    let allowed = problem.allowed(options);
    modes.retain(|mode| mode.misfit <= allowed);
    modes
}

impl Explorer<'_> {
    /// The largest coordinate of the law's draws.
    fn size(&self) -> f64 {
        self.chart.coordinates(self.law).iter().fold(0.0, |most, u| most.max(u.abs()))
    }

    /// Coordinates of a draw of the geometry law.
    fn draw(&self, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let row = rng.random_range(0..self.law.nrows());
        self.chart
            .coordinates(self.law.slice_axis(Axis(0), (row..=row).into()))
            .into_iter()
            .collect()
    }

    /// Coordinates of one of the `modes` with one atom where a draw of the law has it.
    fn with_an_atom_moved(&self, modes: &[Mode], rng: &mut ChaCha8Rng) -> Vec<f64> {
        let mode = &modes[rng.random_range(0..modes.len())];
        let mut positions = self.chart.positions_of(&mode.coordinates);
        let law = self.law.row(rng.random_range(0..self.law.nrows()));
        // An atom that the chart holds fixed is left out.
        let movable: Vec<usize> = (0..positions.len() / 3)
            .filter(|atom| {
                let columns = self.chart.basis();
                (3 * atom..3 * atom + 3)
                    .any(|column| columns.column(column).iter().any(|b| *b != 0.0))
            })
            .collect();
        let Some(&atom) = movable.get(rng.random_range(0..movable.len().max(1))) else {
            return mode.coordinates.clone();
        };
        for axis in 0..3 {
            positions[3 * atom + axis] = law[3 * atom + axis];
        }
        match ArrayView2::from_shape((1, positions.len()), &positions) {
            Ok(positions) => self.chart.coordinates(positions).into_iter().collect(),
            Err(_) => unreachable!("a slice is one row"),
        }
    }
}
