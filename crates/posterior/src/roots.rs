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
/// Steps in which the sum of squared residuals has to fall to [`LEAST_FALL`] of what it was; near a root, where the way may be bent, to
/// [`STUCK`] of it, in any such number of steps.
const PATIENCE: usize = 6;
const LEAST_FALL: f64 = 0.7;
const STUCK: f64 = 0.96;
/// A search that ends with a residual above this part of the measured components ends at no root.
const NO_ROOT: f64 = 1e-4;

/// Searches near a root that are closer than this may lead to the same, bohr.
const CLOSE: f64 = 0.3;
/// A search leads to a root if its residual is the linear one but for this part.
const LINEAR: f64 = 0.2;

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

    /// Ends of searches from each start, in their order and with their numbers, by the rough model until a search is near a root. One that
    /// leads to a `known` root ends there; new roots become known.
    pub(crate) fn search(
        &self,
        starts: &[Vec<f64>],
        steps: usize,
        known: &mut Known,
    ) -> Vec<(usize, End)> {
        let searches = advanced(&self.rough, begun(&self.rough, starts), steps);
        let is_near = |search: &Search| self.rough.is_precise(search.cost);
        let (mut near, mut ended): (Vec<Search>, Vec<Search>) =
            searches.into_iter().partition(is_near);
        let mut ends = Vec::new();
        // At first one of those that may lead to the same new root goes on, and the others wait for it.
        for others_wait in [true, false] {
            let (mut first, mut others): (Vec<Search>, Vec<Search>) = (Vec::new(), Vec::new());
            for search in near {
                if let Some(end) = known.ahead_of(&search) {
                    ends.push((search.number, end.clone()));
                } else if others_wait && first.iter().any(|other| other.is_close_to(&search)) {
                    others.push(search);
                } else {
                    first.push(search);
                }
            }
            let first = advanced(&self.fine, handed_over(&self.fine, first), steps);
            let first = settled(&self.fine, first);
            known.add(self, &first);
            ended.extend(first);
            near = others;
        }
        ends.extend(ended.into_iter().map(|search| (search.number, search.into_end())));
        ends.sort_by_key(|(number, _)| *number);
        ends
    }
}

/// Roots of the fine model.
#[derive(Default)]
pub(crate) struct Known(Vec<Root>);

struct Root {
    end: End,
    /// Of the fine model.
    jacobian: Array2<f64>,
    /// Of the rough model.
    residual: Vec<f64>,
}

impl Known {
    /// The root from which to this search the residual of the rough model changes linearly: Newton's steps lead there, since another root
    /// close by would bend it.
    fn ahead_of(&self, search: &Search) -> Option<&End> {
        let is_ahead = |root: &&Root| {
            let step = difference(&search.here, &root.end.coordinates);
            let change = difference(&search.residual, &root.residual);
            let linear = root.jacobian.rows().into_iter().zip(&change);
            let bent = linear.map(|(line, c)| {
                (c - line.iter().zip(&step).map(|(b, s)| b * s).sum::<f64>()).powi(2)
            });
            bent.sum::<f64>() < LINEAR * LINEAR * square(&change)
        };
        self.0.iter().find(is_ahead).map(|root| &root.end)
    }

    /// Takes the roots among these ends of searches of the fine model.
    fn add(&mut self, models: &Models<'_>, searches: &[Search]) {
        let mut new: Vec<&Search> = Vec::new();
        for search in searches.iter().filter(|search| models.fine.is_precise(search.cost)) {
            let here = &search.here;
            let is_known = self.0.iter().any(|root| is_same_root(&root.end.coordinates, here))
                || new.iter().any(|other| is_same_root(&other.here, here));
            if !is_known {
                new.push(search);
            }
        }
        let places: Vec<Vec<f64>> = new.iter().map(|search| search.here.clone()).collect();
        let residuals = residuals(&models.rough, &places);
        self.0.extend(new.into_iter().zip(residuals).map(|(search, residual)| {
            let (end, jacobian) = (search.clone().into_end(), search.jacobian.clone());
            Root { end, jacobian, residual }
        }));
    }
}

/// Searches from each start, of so many steps at most. Starts without a value are left out.
pub(crate) fn search(problem: &Whitened<'_>, starts: &[Vec<f64>], steps: usize) -> Vec<End> {
    let searches = settled(problem, advanced(problem, begun(problem, starts), steps));
    searches.into_iter().map(Search::into_end).collect()
}

/// Searches that end at a root have the Jacobian there, one for all that end at the same.
fn settled(problem: &Whitened<'_>, mut searches: Vec<Search>) -> Vec<Search> {
    let allowed = problem.misfit_of(NO_ROOT);
    let mut roots: Vec<usize> = Vec::new();
    let mut others: Vec<(usize, usize)> = Vec::new();
    for (index, search) in searches.iter().enumerate() {
        if search.age == 0 || search.cost >= allowed {
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
        let jacobian = searches[root].jacobian.clone();
        searches[index].renew(jacobian);
    }
    searches
}

/// Searches that begin, with a Jacobian each.
fn begun(problem: &Whitened<'_>, starts: &[Vec<f64>]) -> Vec<Search> {
    let locals = locals(problem, starts).into_iter().enumerate();
    locals
        .filter_map(|(number, local)| Some(Search::new(number, starts[number].clone(), local?)))
        .collect()
}

/// Searches of another model, which go on with the Jacobians that they have.
fn handed_over(problem: &Whitened<'_>, searches: Vec<Search>) -> Vec<Search> {
    let places: Vec<Vec<f64>> = searches.iter().map(|search| search.here.clone()).collect();
    let each = searches.into_iter().zip(residuals(problem, &places));
    each.map(|(search, residual)| search.with(residual)).collect()
}

/// Searches, as far as they lead in so many steps.
fn advanced(problem: &Whitened<'_>, mut searches: Vec<Search>, steps: usize) -> Vec<Search> {
    let near = problem.misfit_of(NEAR);
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
            search.done |= search.is_hopeless(near);
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

/// a - b
fn difference(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

/// A search on its way.
#[derive(Clone)]
struct Search {
    number: usize,
    here: Vec<f64>,
    residual: Vec<f64>,
    /// Sum of the squared residuals.
    cost: f64,
    /// That at the start and after each step.
    costs: Vec<f64>,
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
            costs: vec![cost],
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

    /// Goes on with this residual of another model.
    fn with(mut self, residual: Vec<f64>) -> Self {
        self.cost = square(&residual);
        self.costs = vec![self.cost];
        self.residual = residual;
        (self.gradient, self.normal) = products(&self.jacobian, &self.residual);
        // The Jacobian is not that of the other model.
        self.age = 1;
        self.steps = 0;
        self.done = false;
        self.waits = false;
        self
    }

    fn is_close_to(&self, other: &Self) -> bool {
        square(&difference(&self.here, &other.here)) < CLOSE * CLOSE
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

    /// Whether the last steps gained too little. To be asked after each step.
    fn is_hopeless(&mut self, near: f64) -> bool {
        self.costs.push(self.cost);
        let Some(place) = self.costs.len().checked_sub(PATIENCE + 1) else { return false };
        let before = self.costs[place];
        if self.cost < near {
            self.cost > STUCK * before
        } else {
            self.steps.is_multiple_of(PATIENCE) && self.cost > LEAST_FALL * before
        }
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
        let found = models.search(&starts, 40, &mut Known::default());
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
    fn what_leads_to_a_known_root_ends_there_and_what_leads_next_to_it_does_not() {
        let (rough, fine) = (Curved(AtomicUsize::new(0), 1e-6), Curved::default());
        // Roots at u_1 = +-0.01.
        let (v, measured) = (2.0_f64.ln(), [2.0_f64.ln() + 1e-4, 2.0]);
        let of = |forward| Event { forward, log_prior: &|_| 0.0, measured: &measured, noise: &[] };
        let (of_rough, of_fine) = (of(&rough), of(&fine));
        let whitened = |event| Whitened::new(event, array![[0.0, 0.0]].view()).unwrap();
        let models = Models::new(whitened(&of_rough), whitened(&of_fine));
        let mut known = Known::default();
        let mut ends = |start: [f64; 2]| {
            let before = fine.0.load(Ordering::Relaxed);
            let end = models.search(&[start.to_vec()], 40, &mut known).remove(0).1;
            (end, fine.0.load(Ordering::Relaxed) - before)
        };
        let first = ends([0.05, v]);
        assert!((first.0.coordinates[0] - 0.01).abs() < 1e-7 && first.1 > 0, "{first:?}");
        // Nothing of the fine model is asked, and the end is the same to the bit.
        let again = ends([0.0101, v + 1e-4]);
        assert_eq!((again.0.coordinates, again.1), (first.0.coordinates, 0));
        let other = ends([-0.05, v]);
        assert!((other.0.coordinates[0] + 0.01).abs() < 1e-7 && other.1 > 0, "{other:?}");
    }

    #[test]
    fn a_search_is_given_up_where_the_residual_is_small_but_no_root() {
        let model = Curved::default();
        // At u_1 = 0 the residual is least, 4e-3 of what is measured.
        let end = &ends(&model, [2.0_f64.ln() - 0.01, 2.0], &[vec![0.4, 0.7]])[0];
        assert!((end.misfit - 8e-5).abs() < 1e-6, "{end:?}");
        let jacobians = model.0.load(Ordering::Relaxed);
        assert!(jacobians < 11, "{jacobians}");
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
