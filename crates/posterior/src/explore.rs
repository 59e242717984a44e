//! All solutions of noise-free data, those too that a network gives too little probability.
//!
//! A network's draws begin the search. Then rounds of further searches begin at the solutions found so far with
//! one atom moved to where the geometry law may place it, and at draws of the geometry law itself: solutions
//! differ in few atoms, and one leads to another that no draw of the network is near. The search is complete
//! when several rounds in a row find no new solution within the law, and every solution was found more than once.

use ndarray::{ArrayView2, Axis};
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::chart::Chart;
use crate::error::PosteriorError;
use crate::modes::{Mode, ModeOptions, Whitened, descend, modes_of};
use crate::refine::Event;

/// Searches of a round for each coordinate.
const SEARCHES: usize = 8;
/// Every so many of these begin at a draw of the geometry law.
const OF_THE_LAW: usize = 5;
/// Steps of a search from a solution with an atom moved; what is near converges in fewer.
const STEPS: usize = 15;
/// Most rounds.
const ROUNDS: usize = 15;
/// Rounds in a row without a new solution that end the search.
const QUIET: usize = 3;

/// Where searches beyond a network's draws begin.
#[derive(Clone, Copy)]
pub struct Explorer<'a> {
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
    /// Whether the search ended because nothing new was found.
    pub complete: bool,
}

/// Finds the solutions of a noise-free `event` from a network's `draws` (rows, d) and beyond. The same result
/// for the same seed.
///
/// # Errors
/// [`PosteriorError`] for sizes that do not fit and numbers that are not finite.
///
/// # Panics
/// If the event has noise.
pub fn find_solutions(
    event: &Event<'_>,
    draws: ArrayView2<'_, f64>,
    explorer: &Explorer<'_>,
    options: &ModeOptions,
    seed: u64,
) -> Result<Solutions, PosteriorError> {
    let problem = Whitened::new(event, draws)?;
    assert!(!problem.is_noisy, "with noise there is no solution, but a posterior");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let rows = draws.rows().into_iter().take(options.starts);
    let starts: Vec<Vec<f64>> = rows.map(|row| row.to_vec()).collect();
    let mut ends = descend(&problem, &starts, None, options.iterations);
    let mut modes = solved(&problem, modes_of(&problem, &ends, options), options);
    let is_inside = |mode: &&Mode| (explorer.inside)(&mode.coordinates);
    let (mut quiet, mut complete) = (0, false);
    for _ in 0..ROUNDS {
        let known = modes.iter().filter(is_inside).count();
        let searches = SEARCHES * problem.event.forward.inputs();
        let of_law = if modes.is_empty() { searches } else { searches / OF_THE_LAW };
        let moved: Vec<_> =
            (of_law..searches).map(|_| explorer.with_an_atom_moved(&modes, &mut rng)).collect();
        let drawn: Vec<_> = (0..of_law).map(|_| explorer.draw(&mut rng)).collect();
        ends.extend(descend(&problem, &moved, None, STEPS));
        ends.extend(descend(&problem, &drawn, None, options.iterations));
        modes = solved(&problem, modes_of(&problem, &ends, options), options);
        quiet = if modes.iter().filter(is_inside).count() > known { 0 } else { quiet + 1 };
        let all_twice = modes.iter().filter(is_inside).all(|mode| mode.starts > 1);
        complete = quiet >= QUIET && all_twice;
        if complete {
            break;
        }
    }
    modes.retain(|mode| (explorer.inside)(&mode.coordinates));
    Ok(Solutions { modes, complete })
}

/// The modes that solve the equations.
fn solved(problem: &Whitened<'_>, mut modes: Vec<Mode>, options: &ModeOptions) -> Vec<Mode> {
    let allowed = problem.allowed(options);
    modes.retain(|mode| mode.misfit <= allowed);
    modes
}

impl Explorer<'_> {
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
