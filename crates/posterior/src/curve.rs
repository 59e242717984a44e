//! From solution to solution along curves.
//!
//! # Notation
//! ```text
//! f(u) = y + s w,  w = f(u_0) - y       curves in the d + 1 coordinates z = (u, s), for any other point u_0
//! M = (J, -w)                           its d + 1 columns are dependent along the curve
//! ```
//! This Newton homotopy has the solutions at s = 0 and `u_0` at s = 1. Curves through them are followed by their
//! length, over the folds where solutions of neighbouring momenta meet in pairs, and cross s = 0 at further
//! solutions, however few starts of a search would lead to these (Allgower and Georg, Introduction to Numerical
//! Continuation Methods, 2003).
//!
//! With the direction `t` of the step before, `N = M^T M + t t^T` is regular at folds too. `N n = t` gives the
//! direction `n` of the curve, and `N c = -M^T (f(u) - y - s w)` the way `c` to it across `t`. All curves advance
//! together, so that the forward model sees many rows at once, and end where two meet. A rough model serves: what it leaves out moves
//! a curve less than the search from where it crosses s = 0 makes good.

use ndarray::{Array2, ArrayView1, Axis};

use crate::event::Whitened;
use crate::levenberg_marquardt::End;
use crate::linear::Cholesky;
use crate::roots::{Known, Models, is_same_root};

/// First and longest step along a curve, bohr.
const FIRST_STEP: f64 = 0.1;
const LONGEST_STEP: f64 = 1.0;
/// A step is so long that the curve would turn by this angle (rad), or that it would end at this residual, by the length of the
/// measured components;
const ANGLE: f64 = 0.4;
const OFF: f64 = 0.02;
/// but this much longer than the last one at most, and half as long as one that failed.
const GROWTH: f64 = 1.6;
/// A curve that needs a shorter step is given up, bohr.
const SHORTEST_STEP: f64 = 1e-4;
/// Most steps along a curve.
const MOST_STEPS: usize = 100;
/// Corrections of a step; each must halve the residual at least.
const CORRECTIONS: usize = 3;
/// A step this far from the curve, in residual by the length of the measured components, has failed.
const FAR: f64 = 0.3;
/// A point is on the curve if its residual is below this part of the measured components.
const ON_CURVE: f64 = 3e-3;
/// Least cosine between the directions before and after a step.
const LEAST_COSINE: f64 = 0.8;
/// Least cosine between the directions of two curves that meet and the way from one to the other.
const MEETING_COSINE: f64 = 0.9;
/// A curve ends where `|s|` is larger.
const LARGEST_S: f64 = 3.0;
/// Parts of a step in which crossings of s = 0 are told apart.
const PARTS: usize = 8;
/// Steps of the search from a crossing.
const ITERATIONS: usize = 12;

/// Follows the curves through the `solutions` and, one line each, through the `origins`, for coordinates up to
/// `bound` (bohr). Gives the ends of searches from all crossings of s = 0, and adds new ones to the known `roots`.
pub(crate) fn follow(
    models: &Models<'_>,
    solutions: &[Vec<f64>],
    origins: &[Vec<f64>],
    bound: f64,
    roots: &mut Known,
) -> Vec<End> {
    let lines = Lines::new(models.rough(), origins, bound);
    let mut known = vec![solutions.to_vec(); origins.len()];
    let mut curves = lines.begin(solutions, origins);
    let mut ends = Vec::new();
    while curves.iter().any(|curve| !curve.done) {
        let (owners, starts): (Vec<usize>, Vec<Vec<f64>>) =
            lines.advance(&mut curves).into_iter().unzip();
        for (crossing, end) in models.search(&starts, ITERATIONS, roots) {
            let curve = &mut curves[owners[crossing]];
            let known = &mut known[curve.line];
            if known.iter().any(|solution| is_same_root(solution, &end.coordinates)) {
                // What lies ahead is another curve's.
                curve.done = true;
            } else {
                known.push(end.coordinates.clone());
            }
            ends.push(end);
        }
    }
    ends
}

/// Lines `y + s w` through the measured components.
struct Lines<'a> {
    problem: &'a Whitened<'a>,
    /// `w` of each line (m).
    w: Vec<Vec<f64>>,
    /// Length of the measured components, the unit of residuals.
    unit: f64,
    /// Curves end where a coordinate is larger.
    bound: f64,
}

/// A curve on its way.
struct Curve {
    line: usize,
    here: Point,
    /// Change of the direction by the length.
    bend: Vec<f64>,
    step: f64,
    steps: usize,
    done: bool,
}

impl Curve {
    /// On to the point that a step reached. The next one is as long as turns and residuals allow.
    fn go_to(&mut self, Reached { point, angle, off }: Reached) {
        let growth = (ANGLE / angle).min((OFF / off).sqrt()).clamp(0.5, GROWTH);
        self.step = (growth * self.step).min(LONGEST_STEP);
        let way = difference(&point.place, &self.here.place);
        let length = dot(&way, &way).sqrt();
        self.bend = difference(&point.direction, &self.here.direction);
        self.bend.iter_mut().for_each(|bend| *bend /= length);
        self.here = point;
    }

    /// Whether one goes where the other comes from, within a step of each.
    fn meets(&self, other: &Self) -> bool {
        if self.line != other.line || self.done || other.done {
            return false;
        }
        let gap = difference(&other.here.place, &self.here.place);
        let length = dot(&gap, &gap).sqrt();
        length < self.step + other.step
            && dot(&self.here.direction, &gap) > MEETING_COSINE * length
            && dot(&other.here.direction, &gap) < -MEETING_COSINE * length
    }
}

/// What a step reached.
struct Reached {
    point: Point,
    /// How much the curve turned, rad.
    angle: f64,
    /// Residual where the step ended first, by the length of the measured components.
    off: f64,
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// a - b
fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

/// A point of a curve.
struct Point {
    /// `(u, s)`.
    place: Vec<f64>,
    /// Unit vector along the curve.
    direction: Vec<f64>,
}

/// A step that is tried.
struct Trial<'a> {
    line: usize,
    place: Vec<f64>,
    /// Direction of the curve where the step begins.
    before: &'a [f64],
}

impl<'a> Lines<'a> {
    fn new(problem: &'a Whitened<'a>, origins: &[Vec<f64>], bound: f64) -> Self {
        let measured = problem.event.measured;
        let unit = measured.iter().map(|y| y * y).sum::<f64>().sqrt();
        let there =
            problem.event.forward.values(rows_of(origins, problem.event.forward.inputs()).view());
        let differences = there
            .rows()
            .into_iter()
            .map(|row| row.iter().zip(measured).map(|(v, y)| v - y).collect());
        Self { problem, w: differences.collect(), unit, bound }
    }

    /// Both ways along every curve.
    fn begin(&self, solutions: &[Vec<f64>], origins: &[Vec<f64>]) -> Vec<Curve> {
        let d = self.problem.event.forward.inputs();
        // Directions begin towards larger s.
        let mut upwards = vec![0.0; d + 1];
        upwards[d] = 1.0;
        let mut trials = Vec::new();
        for (line, origin) in origins.iter().enumerate() {
            let points = solutions.iter().map(|u| (u, 0.0)).chain([(origin, 1.0)]);
            trials.extend(points.map(|(u, s)| Trial {
                line,
                place: u.iter().copied().chain([s]).collect(),
                before: &upwards,
            }));
        }
        let mut curves = Vec::new();
        for (trial, local) in trials.iter().zip(self.linearise(&trials)) {
            let Some((_, tangent)) = local else { continue };
            for sign in [1.0, -1.0] {
                let direction = tangent.direction.iter().map(|t| sign * t).collect();
                let here = Point { place: trial.place.clone(), direction };
                let line = trial.line;
                let bend = vec![0.0; d + 1];
                curves.push(Curve { line, here, bend, step: FIRST_STEP, steps: 0, done: false });
            }
        }
        curves
    }

    /// One step along each curve that is not done. Gives the crossings of s = 0 on the way: the number of the curve
    /// and coordinates nearby.
    fn advance(&self, curves: &mut [Curve]) -> Vec<(usize, Vec<f64>)> {
        let owners: Vec<usize> = (0..curves.len()).filter(|index| !curves[*index].done).collect();
        let trials = owners.iter().map(|owner| {
            let Curve { line, here, step, bend, .. } = &curves[*owner];
            let place = here.place.iter().zip(&here.direction).zip(bend);
            let place = place.map(|((z, t), b)| z + step * (t + 0.5 * step * b));
            Trial { line: *line, place: place.collect(), before: &here.direction }
        });
        let all_reached = self.corrected(trials.collect());
        let mut crossings = Vec::new();
        for (owner, reached) in owners.into_iter().zip(all_reached) {
            let curve = &mut curves[owner];
            curve.steps += 1;
            curve.done = curve.steps >= MOST_STEPS;
            let Some(reached) = reached else {
                curve.step *= 0.5;
                curve.done |= curve.step < SHORTEST_STEP;
                continue;
            };
            crossings.extend(curve.here.crossings(&reached.point).into_iter().map(|u| (owner, u)));
            let (u, s) = reached.point.place.split_at(reached.point.place.len() - 1);
            curve.done |= s[0].abs() > LARGEST_S || u.iter().any(|u| u.abs() > self.bound);
            curve.go_to(reached);
        }
        // What lies between two curves that meet is known to both.
        for second in 1..curves.len() {
            let (before, rest) = curves.split_at_mut(second);
            let second = &mut rest[0];
            let first = before.iter_mut().enumerate().find(|(_, first)| first.meets(second));
            let Some((number, first)) = first else { continue };
            let between = first.here.crossings(&second.here.reversed());
            crossings.extend(between.into_iter().map(|u| (number, u)));
            first.done = true;
            second.done = true;
        }
        crossings
    }

    /// The points of the curves across the directions at the trials; `None` where a step went too far.
    fn corrected(&self, mut trials: Vec<Trial<'_>>) -> Vec<Option<Reached>> {
        let locals = self.linearise(&trials);
        let mut all_reached: Vec<Option<Reached>> = trials.iter().map(|_| None).collect();
        // With the linear model of the trial alone: its Jacobian costs ten times the values.
        let mut active = Vec::new();
        for (index, local) in locals.into_iter().enumerate() {
            let Some((residual, tangent)) = local else { continue };
            if dot(&tangent.direction, trials[index].before) > LEAST_COSINE {
                active.push((index, tangent, residual));
            }
        }
        let mut first = vec![0.0; trials.len()];
        for (index, _, residual) in &active {
            first[*index] = dot(residual, residual).sqrt();
        }
        let mut nearest = vec![2.0 * FAR; trials.len()];
        for correction in 0..=CORRECTIONS {
            let mut left = Vec::new();
            for (index, tangent, residual) in active {
                let distance = dot(&residual, &residual).sqrt();
                if distance < ON_CURVE {
                    let place = std::mem::take(&mut trials[index].place);
                    let angle = dot(&tangent.direction, trials[index].before).min(1.0).acos();
                    let point = Point { place, direction: tangent.direction };
                    all_reached[index] = Some(Reached { point, angle, off: first[index] });
                } else if correction < CORRECTIONS && distance < 0.5 * nearest[index] {
                    nearest[index] = distance;
                    let way = tangent.way_back(&residual);
                    trials[index].place.iter_mut().zip(way).for_each(|(z, c)| *z += c);
                    left.push((index, tangent));
                }
            }
            if left.is_empty() {
                break;
            }
            let again: Vec<&Trial<'_>> = left.iter().map(|(index, _)| &trials[*index]).collect();
            let residuals = self.residuals(&again);
            active = left.into_iter().zip(residuals).map(|((i, t), r)| (i, t, r)).collect();
        }
        all_reached
    }

    /// Residual (m) of each trial, in units of the measured components.
    fn residuals(&self, trials: &[&Trial<'_>]) -> Vec<Vec<f64>> {
        let forward = self.problem.event.forward;
        let values =
            forward.values(rows_of(trials.iter().map(|t| &t.place), forward.inputs()).view());
        let rows = values.rows().into_iter().zip(trials);
        rows.map(|(value, trial)| self.residual(value, trial)).collect()
    }

    fn residual(&self, value: ArrayView1<'_, f64>, trial: &Trial<'_>) -> Vec<f64> {
        let s = trial.place[self.problem.event.forward.inputs()];
        let components =
            value.into_iter().zip(self.problem.event.measured).zip(&self.w[trial.line]);
        components.map(|((v, y), w)| (v - y - s * w) / self.unit).collect()
    }

    /// Residual (m) and tangent at each trial; `None` where there are none.
    fn linearise(&self, trials: &[Trial<'_>]) -> Vec<Option<(Vec<f64>, Tangent)>> {
        let forward = self.problem.event.forward;
        let rows = rows_of(trials.iter().map(|trial| &trial.place), forward.inputs());
        let (values, jacobians) = forward.linearised(rows.view());
        let locals = values.rows().into_iter().zip(jacobians.axis_iter(Axis(0))).zip(trials);
        locals
            .map(|((value, jacobian), trial)| {
                let mut matrix = Vec::with_capacity(jacobian.len() + value.len());
                for (line, w) in jacobian.rows().into_iter().zip(&self.w[trial.line]) {
                    matrix.extend(line.iter().chain([&-w]).map(|entry| entry / self.unit));
                }
                Some((self.residual(value, trial), Tangent::new(matrix, trial.before)?))
            })
            .collect()
    }
}

/// The first `columns` numbers of each place as rows.
fn rows_of<'p>(places: impl IntoIterator<Item = &'p Vec<f64>>, columns: usize) -> Array2<f64> {
    let mut rows = Array2::zeros((0, columns));
    for place in places {
        let pushed = rows.push_row(ArrayView1::from(&place[..columns]));
        debug_assert!(pushed.is_ok(), "a row has as many columns as the others");
    }
    rows
}

/// The linear model of a line's curves at a point.
struct Tangent {
    /// Unit vector along the curve.
    direction: Vec<f64>,
    /// `M` (m x (d + 1)), row by row.
    matrix: Vec<f64>,
    /// Of `N`.
    factor: Cholesky,
}

impl Tangent {
    /// `None` if the numbers are not finite, or directions are open.
    fn new(matrix: Vec<f64>, along: &[f64]) -> Option<Self> {
        let n = along.len();
        let mut normal: Vec<f64> =
            along.iter().flat_map(|a| along.iter().map(move |b| a * b)).collect();
        for line in matrix.chunks_exact(n) {
            for (entries, a) in normal.chunks_exact_mut(n).zip(line) {
                entries.iter_mut().zip(line).for_each(|(entry, b)| *entry += a * b);
            }
        }
        let factor = Cholesky::new(&normal, n)?;
        let mut direction = along.to_vec();
        factor.solve(&mut direction);
        let length = direction.iter().map(|t| t * t).sum::<f64>().sqrt();
        direction.iter_mut().for_each(|t| *t /= length);
        length.is_finite().then_some(Self { direction, matrix, factor })
    }

    /// The step to the curve from a point with this residual.
    fn way_back(&self, residual: &[f64]) -> Vec<f64> {
        let mut way = vec![0.0; self.direction.len()];
        for (line, r) in self.matrix.chunks_exact(way.len()).zip(residual) {
            way.iter_mut().zip(line).for_each(|(c, entry)| *c -= entry * r);
        }
        self.factor.solve(&mut way);
        way
    }
}

impl Point {
    /// The same, the other way.
    fn reversed(&self) -> Self {
        let direction = self.direction.iter().map(|t| -t).collect();
        Self { place: self.place.clone(), direction }
    }

    /// Coordinates (d) near crossings of s = 0 between this point and the `next`, on Hermite's cubic. Where this
    /// point is one itself, it is none of them.
    fn crossings(&self, next: &Self) -> Vec<Vec<f64>> {
        let chord = difference(&next.place, &self.place);
        let length = dot(&chord, &chord).sqrt();
        let at = |part: f64, index: usize| {
            let (p, q) = (part, 1.0 - part);
            let bend_here = length * self.direction[index] - chord[index];
            let bend_next = chord[index] - length * next.direction[index];
            q * self.place[index] + p * next.place[index] + p * q * (q * bend_here + p * bend_next)
        };
        let d = chord.len() - 1;
        let begin = if self.place[d] == 0.0 { self.direction[d] } else { self.place[d] };
        let mut is_above = begin > 0.0;
        let mut found = Vec::new();
        for part in 1..=PARTS {
            let end = part as f64 / PARTS as f64;
            let was_above = std::mem::replace(&mut is_above, at(end, d) > 0.0);
            if was_above != is_above {
                let middle = end - 0.5 / PARTS as f64;
                found.push((0..d).map(|index| at(middle, index)).collect());
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, ArrayView2, array};

    use super::*;
    use crate::event::Event;
    use crate::forward::Forward;

    /// `y = (u_1^2, u_2)`: solutions at `u_1 = +-sqrt(y_1)`, and a fold at `u_1 = 0` between them.
    struct Fold;

    impl Forward for Fold {
        fn inputs(&self) -> usize {
            2
        }

        fn outputs(&self) -> usize {
            2
        }

        fn values(&self, u: ArrayView2<'_, f64>) -> Array2<f64> {
            let mut y = u.to_owned();
            y.column_mut(0).mapv_inplace(|u| u * u);
            y
        }

        fn linearised(&self, u: ArrayView2<'_, f64>) -> (Array2<f64>, Array3<f64>) {
            let jacobian = Array3::from_shape_fn((u.nrows(), 2, 2), |(row, i, k)| match (i, k) {
                (0, 0) => 2.0 * u[[row, 0]],
                (1, 1) => 1.0,
                _ => 0.0,
            });
            (self.values(u), jacobian)
        }
    }

    fn ends(measured: [f64; 2], solution: Vec<f64>, origin: Vec<f64>, bound: f64) -> Vec<End> {
        ends_beyond(measured, &[solution], origin, bound)
    }

    fn ends_beyond(
        measured: [f64; 2],
        solutions: &[Vec<f64>],
        origin: Vec<f64>,
        bound: f64,
    ) -> Vec<End> {
        let log_prior = |_: &[f64]| 0.0;
        let event =
            Event { forward: &Fold, log_prior: &log_prior, measured: &measured, noise: &[] };
        let problem = || Whitened::new(&event, array![[0.0, 0.0]].view()).unwrap();
        follow(
            &Models::new(problem(), problem()),
            solutions,
            &[origin],
            bound,
            &mut Known::default(),
        )
    }

    #[test]
    fn a_curve_leads_over_the_fold_to_the_other_solution() {
        // Far from each other, and closer than a step.
        for u in [1.0, 0.02] {
            let ends = ends([u * u, 0.5], vec![u, 0.5], vec![0.5, 0.4], 10.0);
            let other = |end: &End| is_same_root(&end.coordinates, &[-u, 0.5]);
            assert!(ends.iter().any(other), "{u}: {ends:?}");
            assert!(ends.iter().all(|end| end.misfit < 1e-12), "{ends:?}");
        }
    }

    #[test]
    fn a_curve_ends_where_it_is_bound_to() {
        // From u_1 = 1 to -1 the curve passes u_2 = 0.5 + 4 at the fold.
        let far = ends([1.0, 0.5], vec![1.0, 0.5], vec![0.5, 3.5], 10.0);
        assert!(far.iter().any(|end| is_same_root(&end.coordinates, &[-1.0, 0.5])), "{far:?}");
        let near = ends([1.0, 0.5], vec![1.0, 0.5], vec![0.5, 3.5], 4.0);
        let other = |end: &&End| is_same_root(&end.coordinates, &[-1.0, 0.5]);
        assert_eq!(near.iter().filter(other).count(), 0, "{near:?}");
    }

    #[test]
    fn curves_end_where_they_meet_and_what_lies_between_is_searched() {
        // Both solutions are known: their curves meet at the fold, and nothing is left to search.
        let solutions = [vec![1.0, 0.5], vec![-1.0, 0.5]];
        assert!(ends_beyond([1.0, 0.5], &solutions, vec![0.5, 0.4], 10.0).is_empty());
        let curve = |place: [f64; 3], direction: [f64; 3], line: usize| Curve {
            line,
            here: Point { place: place.to_vec(), direction: direction.to_vec() },
            bend: vec![0.0; 3],
            step: 0.2,
            steps: 0,
            done: false,
        };
        let (right, left) = ([1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]);
        let here = curve([0.0, 0.0, 0.1], right, 0);
        assert!(here.meets(&curve([0.3, 0.0, 0.1], left, 0)));
        // Too far, on another line, side by side, and from behind.
        assert!(!here.meets(&curve([0.5, 0.0, 0.1], left, 0)));
        assert!(!here.meets(&curve([0.3, 0.0, 0.1], left, 1)));
        assert!(!here.meets(&curve([0.0, 0.1, 0.1], left, 0)));
        assert!(!here.meets(&curve([0.3, 0.0, 0.1], right, 0)));
    }
}
