//! Momenta of a file are changed and compared with training again: in another unit, in another order of the ions.

use cei_physics::Molecule;
use ndarray::Array2;

use super::quantities::{Quantities, quantities};
use super::report::Cause;

/// Distributions that differ by less are alike, however surely they differ.
pub(super) const ALIKE: f64 = 0.05;

/// Ions of which all orders are tried.
const MOST_PERMUTED: usize = 6;

/// Events with which causes are tried.
pub(super) const TRIED_EVENTS: usize = 500;

/// Distributions explain momenta alike if these are not further apart from the one than from the other by more than this
/// (a sum over energy and ions; samples of [`TRIED_EVENTS`] have half of it by chance).
const AS_GOOD: f64 = 0.3;

/// How well a set of explosions explains momenta.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fit {
    /// Share of the events that energy and ions of all but 1 % of the explosions leave out.
    pub(super) misfit: f64,
    /// How far apart the distributions are.
    pub(super) apart: f64,
}

impl Fit {
    /// That of no explosions.
    pub(super) const NONE: Self = Self { misfit: 1.0, apart: f64::INFINITY };

    /// Whether it is better than another by more than chance.
    pub(super) fn is_better_than(self, other: Self) -> bool {
        self.apart + AS_GOOD <= other.apart
    }
}

/// A few momenta of the file, to be changed and compared with training again.
pub(super) struct Trial<'a> {
    pub(super) molecule: &'a Molecule,
    pub(super) training: &'a Quantities,
    pub(super) file: Array2<f64>,
}

impl<'a> Trial<'a> {
    pub(super) fn scaled(&self, factor: f64) -> Self {
        Self { file: &self.file * factor, ..*self }
    }

    /// The momenta with those of the ion `order[i]` of the molecule in the place of ion `order[i]`: the columns of
    /// the file hold the ions in that order.
    fn reordered(&self, order: &[usize]) -> Self {
        let mut file = self.file.clone();
        for (place, ion) in order.iter().enumerate() {
            for axis in 0..3 {
                file.column_mut(3 * ion + axis).assign(&self.file.column(3 * place + axis));
            }
        }
        Self { file, ..*self }
    }

    /// How well `training` explains them.
    pub(super) fn fit(&self, training: &Quantities) -> Fit {
        let file = Quantities::of(self.molecule, self.file.view());
        Fit { misfit: self.misfit(training), apart: training.apart(&file) }
    }

    /// Share of the events that energy and ions of all but 1 % of `training` leave out.
    pub(super) fn misfit(&self, training: &Quantities) -> f64 {
        let mut limits = training.limits(0.01);
        limits.0[1] = [0.0, f64::INFINITY];
        let rows = self.file.rows().into_iter();
        let left_out = rows.filter(|y| limits.leaves_out(&quantities(self.molecule, *y)));
        share(left_out.count(), self.file.nrows())
    }

    /// The order of the ions that brings the momenta nearest to training, with that distance; not the declared one.
    fn best_order(&self) -> Option<(Vec<usize>, f64)> {
        let ions = self.molecule.atom_count();
        if ions > MOST_PERMUTED {
            return None;
        }
        let apart = |order: &Vec<usize>| {
            let file = self.reordered(order).file;
            self.training.apart(&Quantities::of(self.molecule, file.view()))
        };
        let orders = permutations(ions).into_iter().skip(1);
        orders
            .map(|order| (apart(&order), order))
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(apart, order)| (order, apart))
    }

    /// The order of the ions in the file, if another than the declared one leaves far fewer events out.
    pub(super) fn swapped(&self) -> Option<Vec<String>> {
        let (order, apart) = self.best_order()?;
        let reordered = self.reordered(&order);
        let as_it_is = self.misfit(self.training);
        let better = reordered.misfit(self.training) <= as_it_is / 3.0
            && apart < 0.8 * self.training.apart(&Quantities::of(self.molecule, self.file.view()));
        (better && as_it_is > 0.0).then(|| self.names(&order))
    }

    /// The order of the ions in the file, if momenta that are told from those of training are not told from them any
    /// more in another one.
    pub(super) fn exchanged(&self, file: &Quantities) -> Option<Cause> {
        let (is_told, differ) = file.told_apart(self.training);
        if !is_told || differ <= ALIKE {
            return None;
        }
        let (order, _) = self.best_order()?;
        let reordered = Quantities::of(self.molecule, self.reordered(&order).file.view());
        let (still_told, still_differ) = reordered.told_apart(self.training);
        let in_line = !still_told && still_differ <= (differ / 2.0).max(ALIKE);
        in_line.then(|| Cause::SwappedIons { order: self.names(&order) })
    }

    fn names(&self, order: &[usize]) -> Vec<String> {
        order.iter().map(|ion| self.molecule.labels()[*ion].clone()).collect()
    }
}

pub(super) fn share(count: usize, events: usize) -> f64 {
    if events == 0 { 0.0 } else { count as f64 / events as f64 }
}

/// All orders of `count` things, the given one first.
fn permutations(count: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for _ in 0..count {
        all = all
            .into_iter()
            .flat_map(|begun| {
                let rest: Vec<usize> = (0..count).filter(|i| !begun.contains(i)).collect();
                rest.into_iter().map(move |next| [begun.clone(), vec![next]].concat())
            })
            .collect();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::permutations;

    #[test]
    fn the_first_order_is_the_given_one() {
        let orders = permutations(3);
        assert_eq!((orders.len(), &orders[0][..]), (6, &[0, 1, 2][..]));
    }
}
