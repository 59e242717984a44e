//! All solutions of noise-free data, those too that a network gives too little probability.
//!
//! An exploration begins with searches from a network's draws, or from what the geometry law draws with momenta like
//! the measured ones. Then rounds of further searches begin at the solutions found so far with one atom moved to
//! where the law may place it, and at draws of the law itself: solutions differ in few atoms, and one leads to
//! another that no draw of the network is near. When a round finds nothing new within the law, the
//! curves through the solutions are followed (`curve`). They lead to solutions that hardly any start leads to: next to
//! folds, and where momenta change much. What they find begins new rounds of searches. The exploration ends when the
//! curves find no new solution within the law either.
//!
//! A list that stops growing is no proof that it is complete, but independent lists with the same entries say much (as
//! catching animals twice does of how many there are). So explorations go on, with other random numbers, until what
//! only one of them found has little posterior probability.

use ndarray::{ArrayView2, Axis};
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::chart::Chart;
use crate::curve::follow;
use crate::error::PosteriorError;
use crate::event::{Event, Whitened};
use crate::forward::Forward;
use crate::levenberg_marquardt::End;
use crate::modes::{Mode, ModeOptions, modes_of};
use crate::pareto::log_sum_exp;
use crate::roots::{Known, Models, is_same_root, search};

/// Searches of a round for each coordinate.
const SEARCHES: usize = 8;
/// Every so many of these begin at a draw of the geometry law.
const OF_THE_LAW: usize = 5;
/// Starts, for each coordinate, that begin an exploration at a time, until they lead to nothing new.
const BEGINNING: usize = 8;
/// Steps of a search from a solution with an atom moved; what is near converges in fewer.
const STEPS: usize = 15;
/// Searches with the fast model end at a residual of this part of the measured components.
const FAST_PRECISION: f64 = 1e-9;
/// Rounds of searches in a row without a new solution after which curves are followed.
const QUIET: usize = 1;
/// Lines of curves that a round follows.
const LINES: usize = 1;
/// Curves end at this multiple of the largest coordinate of the law's draws.
const BOUND: f64 = 1.2;
/// Most rounds of an exploration, of searches and of curves.
const ROUNDS: usize = 60;
/// Fewest and most explorations.
const FEWEST: usize = 2;
const MOST: usize = 6;
/// The list is complete if the solutions that only one exploration found have no more posterior probability.
const LITTLE: f64 = 0.01;

/// Where searches beyond a network's draws begin.
#[derive(Clone, Copy)]
pub struct Explorer<'a> {
    /// A faster forward model, right to about 2e-6 of the momenta: searches near a solution use it, and the model of the
    /// event itself takes the last steps from what they find.
    pub fast: &'a dyn Forward,
    /// A faster one still, right to about 1e-3 of the momenta: searches use it until they are near a solution, and
    /// curves are its own.
    pub rough: &'a dyn Forward,
    /// The chart of the coordinates.
    pub chart: &'a Chart,
    /// Positions (rows, 3N; bohr) that the geometry law draws, in the frame of the chart.
    pub law: ArrayView2<'a, f64>,
    /// Such positions whose momenta are most like the measured ones, the most alike first: the other explorations
    /// begin at the next of these.
    pub near: ArrayView2<'a, f64>,
    /// Log density of the law at coordinates (d), up to a constant; minus infinity outside its support.
    pub log_density: &'a (dyn Fn(&[f64]) -> f64 + Sync),
}

/// The solutions of noise-free data.
#[derive(Debug, Clone, PartialEq)]
pub struct Solutions {
    /// Those within the support of the geometry law, the most probable first. Weights are those of the limit of
    /// vanishing noise, `p(u) / sqrt(det J^T J)` up to a factor.
    pub modes: Vec<Mode>,
    /// Whether independent explorations agree on the list, and the exact model has all that the fast one has.
    pub complete: bool,
}

/// Finds the solutions of a noise-free `event` from a network's `draws` (rows, d) and beyond: every other exploration
/// begins at the next `options.starts` of them. The same result for the same seed.
///
/// # Errors
/// [`PosteriorError`] for sizes that do not fit and numbers that are not finite.
///
/// # Panics
/// If the event has noise, or the explorer no draws of the law.
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
/// use cei_posterior::{Chart, Event, Explorer, ModeOptions, find_solutions};
/// use ndarray::{Array1, array};
///
/// // `y = x^2` (the model of the example of `find_modes`) without noise, for a law that is uniform from -5 to 5.
/// let log_law = |x: &[f64]| if x[0].abs() < 5.0 { -10.0f64.ln() } else { f64::NEG_INFINITY };
/// let event = Event { forward: &Square, log_prior: &log_law, measured: &[4.0], noise: &[] };
/// let chart = Chart::new(Array1::zeros(1), Array2::eye(1))?;
/// let law = Array2::from_shape_fn((200, 1), |(row, _)| f64::from(row as u32) / 20.0 - 5.0);
/// let explorer = Explorer {
///     fast: &Square,
///     rough: &Square,
///     chart: &chart,
///     law: law.view(),
///     near: law.view(),
///     log_density: &log_law,
/// };
/// // The network believes in one of the two.
/// let draws = array![[1.9], [2.1]];
/// let found = find_solutions(&event, draws.view(), &explorer, &ModeOptions::default(), 0)?;
/// assert_eq!(found.modes.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    let rough = Event { forward: explorer.rough, ..*event };
    let models =
        Models::new(Whitened::new(&rough, draws)?, Whitened::new(&fast, draws)?.to(FAST_PRECISION));
    let near = explorer.chart.coordinates(explorer.near);
    let law = explorer.log_density;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut ends, mut explorations) = (Vec::new(), Vec::<Exploration>::new());
    let mut known = Known::default();
    let (mut modes, mut complete) = (Vec::new(), false);
    for number in 0..MOST {
        let rows = if number % 2 == 0 { draws } else { near.view() };
        let rows = rows.outer_iter().skip(number / 2 * options.starts).take(options.starts);
        let starts: Vec<Vec<f64>> = rows.map(|row| row.to_vec()).collect();
        let mut exploration = explorer.explore(&models, &starts, options, &mut known, &mut rng);
        ends.append(&mut exploration.ends);
        modes = within(solved(&models.fine, modes_of(&models.fine, &ends, options), options), law);
        let ended = exploration.ended;
        explorations.push(exploration);
        complete = ended && agree(&modes, &explorations);
        if complete || !ended {
            break;
        }
    }
    let found = modes.len();
    let modes = within(polished(&exact, &modes, options), law);
    complete &= modes.len() >= found;
    Ok(Solutions { modes, complete })
}

/// What one exploration found.
struct Exploration {
    /// Ends of its searches.
    ends: Vec<End>,
    /// The solutions within the law.
    modes: Vec<Mode>,
    /// Whether it ended because it found nothing new.
    ended: bool,
}

/// Whether the `modes` that only one of the explorations found have little probability.
fn agree(modes: &[Mode], explorations: &[Exploration]) -> bool {
    let by_one = |mode: &&Mode| {
        let has = |exploration: &&Exploration| {
            let mut others = exploration.modes.iter();
            others.any(|other| is_same_root(&mode.coordinates, &other.coordinates))
        };
        explorations.iter().filter(has).count() <= 1
    };
    let little = modes.iter().filter(by_one).map(|mode| mode.weight).sum::<f64>() <= LITTLE;
    explorations.len() >= FEWEST && little
}

/// The solutions of the exact model that the `found` ones of a fast model lead to.
fn polished(exact: &Whitened<'_>, found: &[Mode], options: &ModeOptions) -> Vec<Mode> {
    let starts: Vec<Vec<f64>> = found.iter().map(|mode| mode.coordinates.clone()).collect();
    let ends = search(exact, &starts, options.iterations);
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
    let allowed = problem.misfit_of(options.root_tolerance);
    modes.retain(|mode| mode.misfit <= allowed);
    modes
}

/// The modes within the support of the law, weighted by its density too, the heaviest first.
fn within(mut modes: Vec<Mode>, log_density: &dyn Fn(&[f64]) -> f64) -> Vec<Mode> {
    let mut logs = Vec::new();
    modes.retain(|mode| {
        let log = log_density(&mode.coordinates);
        logs.extend((log > f64::NEG_INFINITY).then_some(mode.weight.ln() + log));
        log > f64::NEG_INFINITY
    });
    let total = log_sum_exp(&logs);
    modes.iter_mut().zip(logs).for_each(|(mode, log)| mode.weight = (log - total).exp());
    modes.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    modes
}

/// What an exploration has found so far.
struct Found {
    ends: Vec<End>,
    /// All solutions.
    modes: Vec<Mode>,
    /// Coordinates of those within the law.
    inside: Vec<Vec<f64>>,
}

impl Found {
    /// Takes further ends of searches. Whether there is a new solution within the law among them.
    fn add(
        &mut self,
        explorer: &Explorer<'_>,
        problem: &Whitened<'_>,
        ends: Vec<End>,
        options: &ModeOptions,
    ) -> bool {
        let known = self.inside.len();
        self.ends.extend(ends);
        self.modes = solved(problem, modes_of(problem, &self.ends, options), options);
        let inside = self.modes.iter().filter(|mode| explorer.is_inside(mode));
        self.inside = inside.map(|mode| mode.coordinates.clone()).collect();
        self.inside.len() > known
    }
}

impl Explorer<'_> {
    /// Looks for solutions anew, first from these starts.
    fn explore(
        &self,
        models: &Models<'_>,
        starts: &[Vec<f64>],
        options: &ModeOptions,
        known: &mut Known,
        rng: &mut ChaCha8Rng,
    ) -> Exploration {
        let problem = &models.fine;
        let bound = BOUND * self.size();
        let d = problem.event.forward.inputs();
        let searches = SEARCHES * d;
        let mut found = Found { ends: Vec::new(), modes: Vec::new(), inside: Vec::new() };
        for starts in starts.chunks(BEGINNING * d) {
            let ends = models.search(starts, options.iterations, known);
            let ends = ends.into_iter().map(|(_, end)| end).collect();
            if !found.add(self, problem, ends, options) {
                break;
            }
        }
        // Rounds in a row without a new solution; the last of them is one of curves.
        let mut quiet = 0;
        for _ in 0..ROUNDS {
            let ends = if quiet == QUIET {
                let origins: Vec<_> = (0..LINES).map(|_| self.draw(rng)).collect();
                follow(models, &found.inside, &origins, bound, known)
            } else {
                let of_law = if found.modes.is_empty() { searches } else { searches / OF_THE_LAW };
                let moved: Vec<_> = (of_law..searches)
                    .map(|_| self.with_an_atom_moved(&found.modes, rng))
                    .collect();
                let drawn: Vec<_> = (0..of_law).map(|_| self.draw(rng)).collect();
                let mut ends = models.search(&moved, STEPS, known);
                ends.extend(models.search(&drawn, options.iterations, known));
                ends.into_iter().map(|(_, end)| end).collect()
            };
            quiet = if found.add(self, problem, ends, options) { 0 } else { quiet + 1 };
            if quiet > QUIET {
                break;
            }
        }
        let Found { ends, mut modes, .. } = found;
        modes.retain(|mode| self.is_inside(mode));
        Exploration { ends, modes, ended: quiet > QUIET }
    }

    fn is_inside(&self, mode: &Mode) -> bool {
        (self.log_density)(&mode.coordinates) > f64::NEG_INFINITY
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(u: f64, weight: f64) -> Mode {
        let coordinates = vec![u, 0.0, 0.0];
        Mode { coordinates, misfit: 0.0, log_prior: 0.0, covariance: None, weight, starts: 1 }
    }

    fn exploration(places: &[f64]) -> Exploration {
        let modes = places.iter().map(|u| mode(*u, 1.0)).collect();
        Exploration { ends: Vec::new(), modes, ended: true }
    }

    #[test]
    fn what_one_exploration_found_alone_must_be_improbable() {
        let modes = [mode(1.0, 0.6), mode(2.0, 0.392), mode(3.0, 0.008)];
        let all = || exploration(&[1.0, 2.0, 3.0]);
        assert!(!agree(&modes, &[all()]));
        assert!(agree(&modes, &[all(), all()]));
        assert!(agree(&modes, &[all(), exploration(&[2.0, 1.0])]));
        assert!(!agree(&modes, &[all(), exploration(&[1.0, 3.0])]));
        // A third one finds what the second had missed.
        assert!(agree(&modes, &[all(), exploration(&[1.0, 3.0]), exploration(&[2.0])]));
        // Two that find nothing at all agree that there is nothing.
        assert!(agree(&[], &[exploration(&[]), exploration(&[])]));
    }

    #[test]
    fn the_law_weighs_and_excludes() {
        let modes = vec![mode(1.0, 0.25), mode(2.0, 0.25), mode(3.0, 0.5)];
        let density = |u: &[f64]| match u[0] {
            1.0 => 0.1_f64,
            2.0 => 0.3,
            _ => 0.0,
        };
        let modes = within(modes, &|u| density(u).ln());
        assert_eq!([modes[0].coordinates[0], modes[1].coordinates[0]], [2.0, 1.0]);
        assert!((modes[0].weight - 0.75).abs() < 1e-12 && (modes[1].weight - 0.25).abs() < 1e-12);
        assert_eq!(modes.len(), 2);
    }
}
