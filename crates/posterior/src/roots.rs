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

use crate::damping::{Damping, Step};
use crate::event::Whitened;
use crate::levenberg_marquardt::End;

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
                Some((proposed, there)) => {
                    owners.push((index, proposed));
                    trials.push(there);
                }
                None => search.done = true,
            }
        }
        if trials.is_empty() {
            break;
        }
        let residuals = residuals(problem, &trials);
        let mut stale = Vec::new();
        for (((owner, proposed), there), residual) in owners.into_iter().zip(trials).zip(residuals)
        {
            let search = &mut searches[owner];
            let part = search.decide(proposed, there, residual);
            search.done |= problem.is_precise(search.cost);
            if step % PATIENCE == PATIENCE - 1 {
                search.done |= search.cost > near.max(LEAST_FALL * search.before);
                search.before = search.cost;
            }
            let is_old = part < POOR || search.age >= OLDEST || search.cost < near;
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
fn residuals(problem: &Whitened<'_>, places: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let flat = places.concat();
    let values = problem.event.forward.values(rows_of(problem, &flat));
    values.rows().into_iter().map(|row| residual(problem, row)).collect()
}

/// Places, one behind another, as rows.
fn rows_of<'p>(problem: &Whitened<'_>, flat: &'p [f64]) -> ArrayView2<'p, f64> {
    let d = problem.event.forward.inputs();
    match ArrayView2::from_shape((flat.len() / d, d), flat) {
        Ok(rows) => rows,
        Err(_) => unreachable!("every place has all coordinates"),
    }
}

fn residual(problem: &Whitened<'_>, values: ArrayView1<'_, f64>) -> Vec<f64> {
    values.iter().zip(problem.event.measured).map(|(v, y)| v - y).collect()
}

/// Residual (m) and Jacobian (m x d) at each place; `None` where there are none.
fn locals(problem: &Whitened<'_>, places: &[Vec<f64>]) -> Vec<Option<(Vec<f64>, Array2<f64>)>> {
    let flat = places.concat();
    let (values, jacobians) = problem.event.forward.linearised(rows_of(problem, &flat));
    let each = values.rows().into_iter().zip(jacobians.axis_iter(Axis(0)));
    each.map(|(values, jacobian)| {
        let sound = values.iter().chain(jacobian).all(|v| v.is_finite());
        sound.then(|| (residual(problem, values), jacobian.to_owned()))
    })
    .collect()
}

/// `B^T r` and `B^T B` (d x d, row by row).
fn products(jacobian: &Array2<f64>, residual: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let d = jacobian.ncols();
    let (mut gradient, mut normal) = (vec![0.0; d], vec![0.0; d * d]);
    for (line, r) in jacobian.rows().into_iter().zip(residual) {
        for ((gradient, row), b) in gradient.iter_mut().zip(normal.chunks_exact_mut(d)).zip(line) {
            *gradient += b * r;
            row.iter_mut().zip(line).for_each(|(entry, other)| *entry += b * other);
        }
    }
    (gradient, normal)
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
    damping: Damping,
    done: bool,
}

impl Search {
    fn new(number: usize, here: Vec<f64>, (residual, jacobian): (Vec<f64>, Array2<f64>)) -> Self {
        let cost = square(&residual);
        let (gradient, normal) = products(&jacobian, &residual);
        let damping = Damping::new(&normal, here.len());
        Self {
            number,
            here,
            residual,
            cost,
            before: cost,
            jacobian,
            age: 0,
            gradient,
            normal,
            damping,
            done: false,
        }
    }

    fn renew(&mut self, jacobian: Array2<f64>) {
        (self.gradient, self.normal) = products(&jacobian, &self.residual);
        self.jacobian = jacobian;
        self.age = 0;
    }

    fn propose(&self) -> Option<(Step, Vec<f64>)> {
        let proposed = self.damping.step(&self.gradient, self.normal.clone())?;
        let there = self.here.iter().zip(&proposed.step).map(|(u, s)| u + s).collect();
        Some((proposed, there))
    }

    /// Gives what was gained as a part of what was promised.
    fn decide(&mut self, proposed: Step, there: Vec<f64>, residual: Vec<f64>) -> f64 {
        let Step { step, promise } = proposed;
        let cost = square(&residual);
        let gain = self.cost - cost;
        if gain.is_nan() || gain <= 0.0 {
            // At the bottom, round-off decides.
            self.done = self.age == 0 && promise.abs() < 1e-12 * self.cost.abs();
            // An old Jacobian may be to blame.
            if self.age == 0 || !cost.is_finite() {
                self.done |= self.damping.refuse();
            }
            return f64::NEG_INFINITY;
        }
        let part = gain / promise.max(f64::MIN_POSITIVE);
        self.damping.accept(part);
        let length = square(&step);
        for ((mut line, r), before) in
            self.jacobian.rows_mut().into_iter().zip(&residual).zip(&self.residual)
        {
            let predicted: f64 = line.iter().zip(&step).map(|(b, s)| b * s).sum();
            let missing = (r - before - predicted) / length;
            line.iter_mut().zip(&step).for_each(|(b, s)| *b += missing * s);
        }
        self.age += 1;
        self.here = there;
        self.residual = residual;
        self.cost = cost;
        (self.gradient, self.normal) = products(&self.jacobian, &self.residual);
        part
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
        let found = ends(&model, [3.0, 2.0], &starts);
        assert_eq!(found.len(), 3);
        for (end, sign) in found.iter().zip([1.0, -1.0, 1.0]) {
            assert!((end.coordinates[0] - sign * u).abs() < 1e-9, "{end:?}");
            assert!((end.coordinates[1] - v).abs() < 1e-9, "{end:?}");
            // J^T J at the root.
            let normal = [4.0 * u * u, 2.0 * sign * u, 2.0 * sign * u, 1.0 + 4.0];
            let pairs = end.normal.iter().zip(normal);
            assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-6), "{end:?}");
        }
        let jacobians = model.0.load(Ordering::Relaxed);
        assert!(jacobians < 18, "{jacobians}");
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
