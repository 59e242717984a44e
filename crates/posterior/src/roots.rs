//! Searches for roots of noise-free data, many at once: Levenberg and Marquardt's method with few Jacobians.
//!
//! # Notation
//! ```text
//! (B^T B + lambda I) s = -B^T r        a step; B the Jacobian, or what has become of it
//! B + (r(u + s) - r - B s) s^T / s^T s  after the step (Broyden 1965)
//! ```
//! A Jacobian costs several times what values do. So a step is judged by values alone, and the Jacobian follows by Broyden's
//! formula while it predicts well what a step gains. Most searches of an exploration end at no root: one that gains too little
//! is given up. What a model leaves out that is rough but fast does not matter before a search is near a root.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};

use crate::damping::{Damping, Step};
use crate::event::Whitened;
use crate::levenberg_marquardt::End;

/// Residuals below this part of the measured components are near a root.
const NEAR: f64 = 1e-2;
/// A Jacobian is made anew after so many steps,
const OLDEST: usize = 10;
/// after a step that gains less than this part of what was promised,
const POOR: f64 = 0.1;
/// and near a root after one that leaves more than this part of the sum of squared residuals.
const SLOW: f64 = 0.1;
/// Jacobians are made so many at a time, or when no search can go on without.
const TOGETHER: usize = 16;
/// Steps in which the sum of squared residuals has to fall to [`LEAST_FALL`] of what it was.
const PATIENCE: usize = 6;
const LEAST_FALL: f64 = 0.7;

/// Roots of noise-free data closer than this count as one (bohr, as `ModeOptions::merge_bohr`): searches end there as
/// precisely as numbers go, and next to a fold two roots come close.
pub(crate) const SAME_ROOT: f64 = 1e-3;

/// Whether two roots of noise-free data are one.
pub(crate) fn is_same_root(a: &[f64], b: &[f64]) -> bool {
    let square: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
    square < SAME_ROOT * SAME_ROOT * a.len() as f64 / 3.0
}

/// The models of a search: a rough one as far as it leads, and the one whose roots are looked for.
pub(crate) struct Models<'a> {
    rough: Whitened<'a>,
    pub(crate) fine: Whitened<'a>,
}

impl<'a> Models<'a> {
    /// The errors of `rough` are well below [`NEAR`].
    pub(crate) fn new(rough: Whitened<'a>, fine: Whitened<'a>) -> Self {
        Self { rough: rough.to(NEAR), fine }
    }

    /// For what need not be exact.
    pub(crate) fn rough(&self) -> &Whitened<'a> {
        &self.rough
    }

    /// [`search`], by the rough model until a search is near a root.
    pub(crate) fn search(&self, starts: &[Vec<f64>], steps: usize) -> Vec<End> {
        self.search_numbered(starts, steps).into_iter().map(|(_, end)| end).collect()
    }

    /// [`Self::search`], each end with the number of its start.
    pub(crate) fn search_numbered(&self, starts: &[Vec<f64>], steps: usize) -> Vec<(usize, End)> {
        let is_near = |search: &Search| self.rough.is_precise(search.cost);
        let (near, far): (Vec<Search>, Vec<Search>) =
            advanced(&self.rough, starts, steps).into_iter().partition(is_near);
        let (numbers, places): (Vec<usize>, Vec<Vec<f64>>) =
            near.into_iter().map(|search| (search.number, search.here)).unzip();
        let ends = ends(&self.fine, advanced(&self.fine, &places, steps));
        let far = far.into_iter().map(|search| (search.number, search.into_end()));
        ends.into_iter().map(|(place, end)| (numbers[place], end)).chain(far).collect()
    }
}

/// Searches from each start, of so many steps at most. Starts without a value are left out.
pub(crate) fn search(problem: &Whitened<'_>, starts: &[Vec<f64>], steps: usize) -> Vec<End> {
    let searches = advanced(problem, starts, steps);
    ends(problem, searches).into_iter().map(|(_, end)| end).collect()
}

/// The ends of searches, with the numbers of their starts. Volumes at roots are those of the Jacobian there, one for all searches that
/// end at the same.
fn ends(problem: &Whitened<'_>, mut searches: Vec<Search>) -> Vec<(usize, End)> {
    let near = problem.misfit_of(NEAR);
    let mut roots: Vec<usize> = Vec::new();
    let mut others: Vec<(usize, usize)> = Vec::new();
    for (index, search) in searches.iter().enumerate() {
        if search.age == 0 || search.cost >= near {
            continue;
        }
        let is_same = |root: &&usize| is_same_root(&searches[**root].here, &search.here);
        match roots.iter().find(is_same) {
            Some(root) => others.push((index, *root)),
            None => roots.push(index),
        }
    }
    renew(problem, &mut searches, roots);
    for (index, root) in others {
        searches[index].normal = searches[root].normal.clone();
    }
    searches.into_iter().map(|search| (search.number, search.into_end())).collect()
}

/// Searches from each start, as far as they lead in so many steps.
fn advanced(problem: &Whitened<'_>, starts: &[Vec<f64>], steps: usize) -> Vec<Search> {
    let near = problem.misfit_of(NEAR);
    let mut searches: Vec<Search> = locals(problem, starts)
        .into_iter()
        .enumerate()
        .filter_map(|(number, local)| Some(Search::new(number, starts[number].clone(), local?)))
        .collect();
    let mut waiting: Vec<usize> = Vec::new();
    loop {
        let mut owners = Vec::new();
        let mut trials = Vec::new();
        for (index, search) in searches.iter_mut().enumerate() {
            if search.done || search.waits {
                continue;
            }
            match search.propose() {
                Some((proposed, there)) if search.steps < steps => {
                    owners.push((index, proposed));
                    trials.push(there);
                }
                _ => search.done = true,
            }
        }
        if waiting.len() >= TOGETHER || trials.is_empty() {
            // Then none goes on, and none waits.
            if waiting.is_empty() {
                break;
            }
            renew(problem, &mut searches, std::mem::take(&mut waiting));
        }
        let residuals = residuals(problem, &trials);
        for (((owner, proposed), there), residual) in owners.into_iter().zip(trials).zip(residuals)
        {
            let search = &mut searches[owner];
            let before = search.cost;
            let part = search.decide(proposed, there, residual);
            search.done |= problem.is_precise(search.cost);
            search.steps += 1;
            if search.steps.is_multiple_of(PATIENCE) {
                search.done |= search.cost > near.max(LEAST_FALL * search.before);
                search.before = search.cost;
            }
            let is_slow = search.cost < near && search.cost > SLOW * before;
            let is_old = part < POOR || search.age >= OLDEST || is_slow;
            if !search.done && search.age > 0 && is_old {
                search.waits = true;
                waiting.push(owner);
            }
        }
    }
    searches
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
    for (line, r) in jacobian.outer_iter().zip(residual) {
        let Some(line) = line.to_slice() else { unreachable!("rows are contiguous") };
        for (i, b) in line.iter().enumerate() {
            gradient[i] += b * r;
            let row = &mut normal[i * d..=i * d + i];
            row.iter_mut().zip(line).for_each(|(entry, other)| *entry += b * other);
        }
    }
    for i in 0..d {
        for k in 0..i {
            normal[k * d + i] = normal[i * d + k];
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
    steps: usize,
    /// For a new Jacobian.
    waits: bool,
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
            steps: 0,
            waits: false,
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
        self.waits = false;
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

    /// `y = (u_1^2 + u_2 + e, exp(u_2))` with an error `e`, and how many rows its Jacobians were asked for.
    #[derive(Default)]
    struct Curved(AtomicUsize, f64);

    impl Forward for Curved {
        fn inputs(&self) -> usize {
            2
        }

        fn outputs(&self) -> usize {
            2
        }

        fn values(&self, u: ArrayView2<'_, f64>) -> Array2<f64> {
            Array2::from_shape_fn((u.nrows(), 2), |(row, i)| match i {
                0 => u[[row, 0]].powi(2) + u[[row, 1]] + self.1,
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
    fn a_rough_model_leads_near_a_root_and_the_fine_one_to_it() {
        let (rough, fine) = (Curved(AtomicUsize::new(0), 3e-3), Curved::default());
        let measured = [3.0, 2.0];
        let of = |forward| Event { forward, log_prior: &|_| 0.0, measured: &measured, noise: &[] };
        let (of_rough, of_fine) = (of(&rough), of(&fine));
        let whitened = |event| Whitened::new(event, array![[0.0, 0.0]].view()).unwrap();
        let models = Models::new(whitened(&of_rough), whitened(&of_fine));
        // The second start leads nowhere.
        let starts = [vec![3.0, -2.0], vec![f64::NAN, 0.0], vec![2.5, -2.0], vec![-0.5, 2.0]];
        let found = models.search_numbered(&starts, 40);
        let numbers: Vec<usize> = found.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [0, 2, 3]);
        let (u, v) = ((3.0 - 2.0_f64.ln()).sqrt(), 2.0_f64.ln());
        for ((_, end), sign) in found.iter().zip([1.0, 1.0, -1.0]) {
            assert!((end.coordinates[0] - sign * u).abs() < 1e-9, "{end:?}");
            assert!((end.coordinates[1] - v).abs() < 1e-9, "{end:?}");
            assert!((end.normal[0] - 4.0 * u * u).abs() < 1e-6, "{end:?}");
        }
        // Each of three searches begins with one, and two roots have one.
        let [rough, fine] = [&rough, &fine].map(|model| model.0.load(Ordering::Relaxed));
        assert!(fine <= 5 && rough > 3, "{rough} {fine}");
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
