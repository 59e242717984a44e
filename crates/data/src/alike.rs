//! Ions alike, which a detector cannot tell from one another: the same event whichever is called first
//! (`docs/spec.md#ions-alike`).

use ndarray::{ArrayViewMut1, ArrayViewMut2, s};
use serde::{Deserialize, Serialize};

/// Which ions of a molecule are alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alike {
    /// Places of the ions of each group, rising.
    pub groups: Vec<Vec<usize>>,
    /// The distance of each pair of atoms (bohr; 0-1, 0-2, ..., 1-2, ...) in the geometry by which atoms alike are called where
    /// bond lengths and angles are told.
    pub distances: Vec<f64>,
}

impl Alike {
    /// Calls the ions of each group in the order of falling momentum: of each row of `y` (three momenta an ion, a.u., charges may
    /// stand behind them), and with it of `x` (three positions an atom, nuisances may stand behind them; or no columns).
    /// Those that are missing, NaN, come last; equals keep their order.
    ///
    /// # Panics
    /// If the sides have different numbers of rows.
    pub fn order(&self, mut x: ArrayViewMut2<'_, f64>, mut y: ArrayViewMut2<'_, f64>) {
        assert!(x.ncols() == 0 || x.nrows() == y.nrows(), "one row of positions an event");
        for row in 0..y.nrows() {
            for group in &self.groups {
                let square =
                    |ion: &usize| (0..3).map(|axis| y[[row, 3 * ion + axis]].powi(2)).sum::<f64>();
                let mut order: Vec<(usize, f64)> =
                    group.iter().map(|ion| (*ion, square(ion))).collect();
                // NaN is above all numbers.
                order.sort_by(|a, b| match (a.1.is_nan(), b.1.is_nan()) {
                    (false, false) => b.1.total_cmp(&a.1),
                    (a, b) => a.cmp(&b),
                });
                if order.iter().zip(group).all(|((from, _), to)| from == to) {
                    continue;
                }
                let moves: Vec<(usize, usize)> =
                    order.iter().zip(group).map(|((from, _), to)| (*from, *to)).collect();
                move_vectors(y.row_mut(row), &moves);
                if x.ncols() > 0 {
                    move_vectors(x.row_mut(row), &moves);
                }
            }
        }
    }

    /// Calls the ions of each group of momenta (rows x 3N) in another order in each row, as if at random.
    pub fn mix(&self, mut momenta: ArrayViewMut2<'_, f64>) {
        for (row, mut momenta) in momenta.rows_mut().into_iter().enumerate() {
            for group in &self.groups {
                // Digits of a number that jumps about, one for each place: any order, all alike often.
                let mut number = (row as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
                let mut left = group.clone();
                let moves: Vec<(usize, usize)> = group
                    .iter()
                    .map(|to| {
                        let count = left.len() as u64;
                        let from = left.remove((number % count) as usize);
                        number /= count;
                        (from, *to)
                    })
                    .collect();
                move_vectors(momenta.view_mut(), &moves);
            }
        }
    }

    /// A geometry (3N) whose atoms alike are called as those of another one that they are nearest to, one after another.
    #[must_use]
    pub fn called_as(&self, positions: &[f64], other: &[f64]) -> Vec<f64> {
        let mut called = positions.to_vec();
        for group in &self.groups {
            let mut left = group.clone();
            for place in group {
                let square = |atom: &usize| -> f64 {
                    (0..3).map(|k| (positions[3 * atom + k] - other[3 * place + k]).powi(2)).sum()
                };
                let nearest = (0..left.len())
                    .min_by(|a, b| square(&left[*a]).total_cmp(&square(&left[*b])))
                    .map_or(*place, |nearest| left.swap_remove(nearest));
                called[3 * place..3 * place + 3]
                    .copy_from_slice(&positions[3 * nearest..3 * nearest + 3]);
            }
        }
        called
    }

    /// In words, with the names of the ions.
    #[must_use]
    pub(crate) fn describe(&self, labels: &[String]) -> String {
        let name = |ion: &usize| labels.get(*ion).cloned().unwrap_or_else(|| ion.to_string());
        let groups: Vec<String> = self
            .groups
            .iter()
            .map(|group| group.iter().map(name).collect::<Vec<_>>().join(", "))
            .collect();
        format!(
            "ions alike are called in the order of falling momentum, whichever the table calls first: {}",
            groups.join("; ")
        )
    }
}

/// Moves vectors of three numbers from places to places, all at once.
fn move_vectors(mut row: ArrayViewMut1<'_, f64>, moves: &[(usize, usize)]) {
    let old = row.to_owned();
    for (from, to) in moves {
        row.slice_mut(s![3 * to..3 * to + 3]).assign(&old.slice(s![3 * from..3 * from + 3]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// Atoms 0 and 2 are alike; a charge stands behind the momenta of each, and a nuisance behind the positions.
    #[test]
    fn the_faster_ion_is_called_first_and_takes_its_position_along() {
        const N: f64 = f64::NAN;
        let alike = Alike { groups: vec![vec![0, 2]], distances: Vec::new() };
        let mut y = array![
            [1.0, 0.0, 0.0, 9.0, 9.0, 9.0, 0.0, 2.0, 0.0, 5.0],
            [3.0, 0.0, 0.0, 9.0, 9.0, 9.0, 0.0, 2.0, 0.0, 5.0],
            [N, N, N, 9.0, 9.0, 9.0, 0.0, 2.0, 0.0, 5.0],
            [2.0, 0.0, 0.0, 9.0, 9.0, 9.0, 0.0, 2.0, 0.0, 5.0],
        ];
        let rows = array![[1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 7.0]];
        let mut x = rows.broadcast((4, 10)).unwrap().to_owned();
        let before = y.clone();
        alike.order(x.view_mut(), y.view_mut());
        let exchanged = array![3.0, 3.0, 3.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 7.0];
        assert_eq!(y.row(0), array![0.0, 2.0, 0.0, 9.0, 9.0, 9.0, 1.0, 0.0, 0.0, 5.0]);
        assert_eq!((x.row(0), x.row(2)), (exchanged.view(), exchanged.view()));
        assert!(y[[2, 8]].is_nan() && y[[2, 1]] == 2.0);
        // The faster is first already; equals stay.
        for row in [1, 3] {
            assert_eq!((x.row(row), y.row(row)), (rows.row(0), before.row(row)));
        }
        // Momenta alone.
        let mut again = before;
        alike.order(ndarray::Array2::zeros((4, 0)).view_mut(), again.view_mut());
        assert_eq!(again.row(0), y.row(0));
    }

    /// Every order of three ions about as often: chi-square of 5 degrees of freedom below 20.5, which chance exceeds in 1 of 1000.
    #[test]
    fn mixed_ions_are_called_in_any_order() {
        let alike = Alike { groups: vec![vec![0, 1, 2]], distances: Vec::new() };
        let mut momenta =
            ndarray::Array2::from_shape_fn((6000, 9), |(_, column)| (column / 3) as f64);
        alike.mix(momenta.view_mut());
        let mut counts = std::collections::BTreeMap::new();
        for row in momenta.rows() {
            *counts.entry([0, 3, 6].map(|at| row[at] as usize)).or_insert(0.0) += 1.0;
        }
        let square: f64 = counts.values().map(|n: &f64| (n - 1000.0).powi(2) / 1000.0).sum();
        assert!(counts.len() == 6 && square < 20.5, "{counts:?}");
    }

    #[test]
    fn a_geometry_is_called_as_another_one() {
        let alike = Alike { groups: vec![vec![0, 2]], distances: Vec::new() };
        let other = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 2.0, 0.0, 0.0];
        let exchanged = [2.1, 0.0, 0.0, 1.0, 0.0, 0.0, 0.1, 0.0, 0.0];
        let called = alike.called_as(&exchanged, &other);
        assert_eq!(called, [0.1, 0.0, 0.0, 1.0, 0.0, 0.0, 2.1, 0.0, 0.0]);
    }
}
