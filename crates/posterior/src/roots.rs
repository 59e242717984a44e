//! Searches for roots of noise-free data, many at once: Levenberg and Marquardt's method with few Jacobians.
//!
//! # Notation
//! ```text
//! (B^T B + lambda I) s = -B^T r        a step; B the Jacobian, or what has become of it
//! B + (r(u + s) - r - B s) s^T / s^T s  after the step (Broyden 1965)
//! ```
//! A Jacobian costs several times what values do. So a step is judged by values alone, and the Jacobian follows by Broyden's
//! formula while it predicts well what a step gains. Next to a root it is exact, so that the search ends as Newton's method does.
//! Most searches of an exploration end at no root: one that gains too little is given up.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};

use crate::event::Whitened;
use crate::levenberg_marquardt::{End, LONGEST_STEP};
use crate::linear::Cholesky;

/// Residuals below this part of the measured components are near a root.
const NEAR: f64 = 1e-2;
/// A Jacobian is made anew after so many steps.
const OLDEST: usize = 6;
/// A step that gains less than this part of what was promised asks for a new Jacobian.
const POOR: f64 = 0.25;
/// Steps in which the sum of squared residuals has to fall to [`LEAST_FALL`] of what it was.
const PATIENCE: usize = 6;
const LEAST_FALL: f64 = 0.7;

/// Searches from each start, of so many steps at most. Starts without a value are left out.
pub(crate) fn search(problem: &Whitened<'_>, starts: &[Vec<f64>], steps: usize) -> Vec<End> {
    search_numbered(problem, starts, steps).into_iter().map(|(_, end)| end).collect()
}

/// [`search`], each end with the number of its start.
pub(crate) fn search_numbered(
    problem: &Whitened<'_>,
    starts: &[Vec<f64>],
    steps: usize,
) -> Vec<(usize, End)> {
    let near = problem.misfit_of(NEAR);
    let mut searches: Vec<Search> = locals(problem, starts)
        .into_iter()
        .enumerate()
        .filter_map(|(number, local)| Some(Search::new(number, starts[number].clone(), local?)))
        .collect();
    for step in 0..steps {
        let mut owners = Vec::new();
        let mut trials = Vec::new();
        for (index, search) in searches.iter_mut().enumerate() {
            if search.done {
                continue;
            }
            match search.propose() {
                Some(trial) => {
                    owners.push(index);
                    trials.push(trial);
                }
                None => search.done = true,
            }
        }
        if trials.is_empty() {
            break;
        }
        let coordinates: Vec<&[f64]> = trials.iter().map(|trial| &trial.there[..]).collect();
        let residuals = residuals(problem, &coordinates);
        let mut stale = Vec::new();
        for ((owner, trial), residual) in owners.into_iter().zip(trials).zip(residuals) {
            let search = &mut searches[owner];
            let ratio = search.decide(trial, residual);
            search.done |= problem.is_precise(search.cost);
            if step % PATIENCE == PATIENCE - 1 {
                search.done |= search.cost > near.max(LEAST_FALL * search.before);
                search.before = search.cost;
            }
            let is_old = ratio < POOR || search.age >= OLDEST || search.cost < near;
            if !search.done && search.age > 0 && is_old {
                stale.push(owner);
            }
        }
        renew(problem, &mut searches, stale);
    }
    // Volumes are those of the Jacobian at the root.
    let is_old = |search: &Search| search.age > 0 && search.cost < near;
    let roots = (0..searches.len()).filter(|index| is_old(&searches[*index])).collect();
    renew(problem, &mut searches, roots);
    searches.into_iter().map(|search| (search.number, search.into_end())).collect()
}

/// Makes the Jacobians of these searches anew.
fn renew(problem: &Whitened<'_>, searches: &mut [Search], owners: Vec<usize>) {
    let places: Vec<Vec<f64>> = owners.iter().map(|owner| searches[*owner].here.clone()).collect();
    for (owner, local) in owners.into_iter().zip(locals(problem, &places)) {
        match local {
            Some((_, jacobian)) => searches[owner].renew(jacobian),
            None => searches[owner].done = true,
        }
    }
}

/// Residuals (m) at each place; NaN where there is no value.
fn residuals(problem: &Whitened<'_>, places: &[&[f64]]) -> Vec<Vec<f64>> {
    let flat = places.concat();
    let d = problem.event.forward.inputs();
    let Ok(rows) = ArrayView2::from_shape((places.len(), d), &flat) else { return Vec::new() };
    let values = problem.event.forward.values(rows);
    values.rows().into_iter().map(|row| residual(problem, row)).collect()
}

fn residual(problem: &Whitened<'_>, values: ArrayView1<'_, f64>) -> Vec<f64> {
    values.iter().zip(problem.event.measured).map(|(v, y)| v - y).collect()
}

/// Residual (m) and Jacobian (m x d) at each place; `None` where there are none.
fn locals(problem: &Whitened<'_>, places: &[Vec<f64>]) -> Vec<Option<(Vec<f64>, Array2<f64>)>> {
    if places.is_empty() {
        return Vec::new();
    }
    let d = problem.event.forward.inputs();
    let flat = places.concat();
    let Ok(rows) = ArrayView2::from_shape((places.len(), d), &flat) else { return Vec::new() };
    let (values, jacobians) = problem.event.forward.linearised(rows);
    let each = values.rows().into_iter().zip(jacobians.axis_iter(Axis(0)));
    each.map(|(values, jacobian)| {
        let sound = values.iter().chain(jacobian).all(|v| v.is_finite());
        sound.then(|| (residual(problem, values), jacobian.to_owned()))
    })
    .collect()
}

fn square(values: &[f64]) -> f64 {
    values.iter().map(|v| v * v).sum()
}

/// A search on its way.
struct Search {
    number: usize,
    here: Vec<f64>,
    residual: Vec<f64>,
    /// Sum of the squared residuals.
    cost: f64,
    /// That some steps ago.
    before: f64,
    jacobian: Array2<f64>,
    /// Steps since the Jacobian was exact.
    age: usize,
    gradient: Vec<f64>,
    normal: Vec<f64>,
    lambda: f64,
    growth: f64,
    done: bool,
}

/// A step that is tried.
struct Trial {
    step: Vec<f64>,
    there: Vec<f64>,
    /// The decrease of the cost that the linear model promises.
    promise: f64,
}

impl Search {
    fn new(number: usize, here: Vec<f64>, (residual, jacobian): (Vec<f64>, Array2<f64>)) -> Self {
        let cost = square(&residual);
        let mut search = Self {
            number,
            here,
            residual,
            cost,
            before: cost,
            jacobian,
            age: 0,
            gradient: Vec::new(),
            normal: Vec::new(),
            lambda: 0.0,
            growth: 2.0,
            done: false,
        };
        search.multiply();
        let d = search.here.len();
        let largest = (0..d).map(|i| search.normal[i * d + i]).fold(0.0, f64::max);
        search.lambda = 1e-3 * largest;
        search.done = largest == 0.0;
        search
    }

    /// `B^T r` and `B^T B`.
    fn multiply(&mut self) {
        let d = self.here.len();
        self.gradient = vec![0.0; d];
        self.normal = vec![0.0; d * d];
        for (line, r) in self.jacobian.rows().into_iter().zip(&self.residual) {
            let Some(line) = line.as_slice() else { continue };
            for i in 0..d {
                self.gradient[i] += line[i] * r;
                let row = &mut self.normal[i * d..i * d + d];
                row.iter_mut().zip(line).for_each(|(entry, b)| *entry += line[i] * b);
            }
        }
    }

    fn renew(&mut self, jacobian: Array2<f64>) {
        self.jacobian = jacobian;
        self.age = 0;
        self.multiply();
    }

    fn propose(&self) -> Option<Trial> {
        let d = self.here.len();
        let mut normal = self.normal.clone();
        (0..d).for_each(|i| normal[i * d + i] += self.lambda);
        let mut step: Vec<f64> = self.gradient.iter().map(|g| -g).collect();
        Cholesky::new(&normal, d)?.solve(&mut step);
        let longest = step.iter().fold(0.0, |most: f64, s| most.max(s.abs()));
        if longest > LONGEST_STEP {
            step.iter_mut().for_each(|s| *s *= LONGEST_STEP / longest);
        }
        if longest < 1e-12 {
            return None;
        }
        // Decrease of |r|^2 in the model: -2 g.s - s^T N s.
        let mut promise = 0.0;
        for (i, row) in self.normal.chunks_exact(d).enumerate() {
            let curved: f64 = row.iter().zip(&step).map(|(n, s)| n * s).sum();
            promise -= step[i] * (2.0 * self.gradient[i] + curved);
        }
        let there = self.here.iter().zip(&step).map(|(u, s)| u + s).collect();
        Some(Trial { step, there, promise })
    }

    /// Gives what was gained as a part of what was promised.
    fn decide(&mut self, trial: Trial, residual: Vec<f64>) -> f64 {
        let cost = square(&residual);
        let gain = self.cost - cost;
        if gain.is_nan() || gain <= 0.0 {
            // At the bottom, round-off decides.
            self.done = self.age == 0 && trial.promise.abs() < 1e-12 * self.cost.abs();
            // An old Jacobian may be to blame.
            if self.age == 0 || !cost.is_finite() {
                self.lambda = (self.lambda * self.growth).max(1e-300);
                self.growth *= 2.0;
                self.done |= self.growth > 1e12;
            }
            return f64::NEG_INFINITY;
        }
        let ratio = gain / trial.promise.max(f64::MIN_POSITIVE);
        let clamped = (2.0 * ratio - 1.0).clamp(-1.0, 1.0);
        self.lambda *= (1.0 - clamped.powi(3)).max(1.0 / 10.0);
        self.growth = 2.0;
        let length = square(&trial.step);
        for ((mut line, r), before) in
            self.jacobian.rows_mut().into_iter().zip(&residual).zip(&self.residual)
        {
            let predicted: f64 = line.iter().zip(&trial.step).map(|(b, s)| b * s).sum();
            let missing = (r - before - predicted) / length;
            line.iter_mut().zip(&trial.step).for_each(|(b, s)| *b += missing * s);
        }
        self.age += 1;
        self.here = trial.there;
        self.residual = residual;
        self.cost = cost;
        self.multiply();
        ratio
    }

    fn into_end(self) -> End {
        End { coordinates: self.here, misfit: self.cost, normal: self.normal }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use ndarray::{Array3, array};

    use super::*;
    use crate::event::Event;
    use crate::forward::Forward;

    /// `y = (u_1^2 + u_2, exp(u_2))`, and how many rows its Jacobians were asked for.
    #[derive(Default)]
    struct Curved(AtomicUsize);

    impl Forward for Curved {
        fn inputs(&self) -> usize {
            2
        }

        fn outputs(&self) -> usize {
            2
        }

        fn values(&self, u: ArrayView2<'_, f64>) -> Array2<f64> {
            Array2::from_shape_fn((u.nrows(), 2), |(row, i)| match i {
                0 => u[[row, 0]].powi(2) + u[[row, 1]],
                _ => u[[row, 1]].exp(),
            })
        }

        fn linearised(&self, u: ArrayView2<'_, f64>) -> (Array2<f64>, Array3<f64>) {
            self.0.fetch_add(u.nrows(), Ordering::Relaxed);
            let jacobian = Array3::from_shape_fn((u.nrows(), 2, 2), |(row, i, k)| match (i, k) {
                (0, 0) => 2.0 * u[[row, 0]],
                (0, _) => 1.0,
                (_, 0) => 0.0,
                (..) => u[[row, 1]].exp(),
            });
            (self.values(u), jacobian)
        }
    }

    fn ends(model: &Curved, measured: [f64; 2], starts: &[Vec<f64>]) -> Vec<End> {
        let event = Event { forward: model, log_prior: &|_| 0.0, measured: &measured, noise: &[] };
        let problem = Whitened::new(&event, array![[0.0, 0.0]].view()).unwrap();
        search(&problem, starts, 40)
    }

    #[test]
    fn roots_are_found_with_few_jacobians_and_end_with_their_own() {
        let model = Curved::default();
        // u_2 = ln 2, u_1 = +-sqrt(3 - ln 2).
        let starts = [vec![3.0, -2.0], vec![-0.5, 2.0], vec![1.0, 1.5]];
        let (u, v) = ((3.0 - 2.0_f64.ln()).sqrt(), 2.0_f64.ln());
        let mut steps = 0;
        for (end, sign) in ends(&model, [3.0, 2.0], &starts).iter().zip([1.0, -1.0, 1.0]) {
            assert!((end.coordinates[0] - sign * u).abs() < 1e-9, "{end:?}");
            assert!((end.coordinates[1] - v).abs() < 1e-9, "{end:?}");
            // J^T J at the root.
            let normal = [4.0 * u * u, 2.0 * sign * u, 2.0 * sign * u, 1.0 + 4.0];
            let pairs = end.normal.iter().zip(normal);
            assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-6), "{end:?}");
            steps += 1;
        }
        assert_eq!(steps, 3);
        let jacobians = model.0.load(Ordering::Relaxed);
        assert!(jacobians < 30, "{jacobians}");
    }

    #[test]
    fn a_search_without_a_root_is_given_up() {
        let model = Curved::default();
        // exp(u_2) = -1 has none: the search creeps towards u_2 = -infinity.
        let end = &ends(&model, [3.0, -1.0], &[vec![1.0, 0.0]])[0];
        assert!(end.misfit > 0.9, "{end:?}");
        assert!(model.0.load(Ordering::Relaxed) < 20);
        // A start without a value is left out.
        assert!(ends(&model, [3.0, 2.0], &[vec![f64::NAN, 0.0]]).is_empty());
    }
}
