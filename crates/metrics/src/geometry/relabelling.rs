//! What atoms alike are called: as in the geometry to which that comes closest.
//!
//! Of all arrangements of a geometry's atoms the one with the least `sum over pairs (d_ij - r_ij)^2`, with `r` the distances of
//! a reference. It depends on nothing that the atoms were called before, and not on how the geometry lies in space.

use ndarray::ArrayView2;

/// Passes over the geometries by which a reference is found.
const PASSES: usize = 5;

/// The arrangements of atoms that may be exchanged, and the reference by which one of them is chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Relabelling {
    arrangements: Vec<Vec<usize>>,
    /// 0-1, 0-2, ..., 1-2, ...
    distances: Vec<f64>,
}

impl Relabelling {
    /// By these distances of the pairs of atoms (0-1, 0-2, ..., 1-2, ...). In the place of atom `i` of an arrangement `a` stands
    /// atom `a[i]`; of equally close ones the first is taken.
    ///
    /// ```
    /// use cei_metrics::Relabelling;
    ///
    /// // O-C-O, of which the first O is farther away.
    /// let relabelling = Relabelling::new(vec![vec![0, 1, 2], vec![2, 1, 0]], vec![3.0, 5.0, 2.0]);
    /// let mut row = [2.0, 0.0, 0.0, 0.0, 0.0, 0.0, -3.0, 0.0, 0.0];
    /// relabelling.relabel(&mut row);
    /// assert_eq!(row, [-3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0]);
    /// ```
    #[must_use]
    pub fn new(arrangements: Vec<Vec<usize>>, distances: Vec<f64>) -> Self {
        Self { arrangements, distances }
    }

    /// With the mean distances of these geometries (rows x 3N), each called as is closest to the mean: it begins with the first
    /// row, whose names stay. None for no rows.
    #[must_use]
    pub fn fit(arrangements: Vec<Vec<usize>>, positions: ArrayView2<'_, f64>) -> Option<Self> {
        let rows: Vec<Vec<f64>> = positions.rows().into_iter().map(|row| row.to_vec()).collect();
        let mut found = Self { arrangements, distances: distances(rows.first()?) };
        for _ in 0..PASSES {
            let mut sums = vec![0.0; found.distances.len()];
            for row in &rows {
                let mut row = row.clone();
                found.relabel(&mut row);
                sums.iter_mut().zip(distances(&row)).for_each(|(sum, d)| *sum += d);
            }
            found.distances = sums.iter().map(|sum| sum / rows.len() as f64).collect();
        }
        Some(found)
    }

    /// The distances of the reference.
    #[must_use]
    pub fn distances(&self) -> &[f64] {
        &self.distances
    }

    /// Puts the atoms of a geometry (3N; what stands behind stays) into the order of the reference.
    pub fn relabel(&self, positions: &mut [f64]) {
        let atoms = self.arrangements.first().map_or(0, Vec::len);
        let own = distances(&positions[..3 * atoms]);
        let place = |i: usize, j: usize| {
            let (i, j) = (i.min(j), i.max(j));
            i * atoms - i * (i + 1) / 2 + j - i - 1
        };
        let misfit = |arrangement: &[usize]| -> f64 {
            let pairs = (0..atoms).flat_map(|i| (i + 1..atoms).map(move |j| (i, j)));
            let squares = pairs.zip(&self.distances).map(|((i, j), reference)| {
                (own[place(arrangement[i], arrangement[j])] - reference).powi(2)
            });
            squares.sum()
        };
        let mut best: Option<(f64, &Vec<usize>)> = None;
        for arrangement in &self.arrangements {
            let misfit = misfit(arrangement);
            if best.is_none_or(|(least, _)| misfit < least * (1.0 - 1e-9)) {
                best = Some((misfit, arrangement));
            }
        }
        let Some((_, best)) = best else { return };
        let old = positions.to_vec();
        for (place, atom) in best.iter().enumerate() {
            positions[3 * place..3 * place + 3].copy_from_slice(&old[3 * atom..3 * atom + 3]);
        }
    }
}

/// The distances of the pairs of atoms: 0-1, 0-2, ..., 1-2, ...
fn distances(positions: &[f64]) -> Vec<f64> {
    let atoms = positions.len() / 3;
    let distance = |i: usize, j: usize| {
        let square = |axis: usize| (positions[3 * i + axis] - positions[3 * j + axis]).powi(2);
        (0..3).map(square).sum::<f64>().sqrt()
    };
    (0..atoms)
        .flat_map(|i| (i + 1..atoms).map(move |j| (i, j)))
        .map(|(i, j)| distance(i, j))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use rand::seq::SliceRandom as _;
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    fn arrangements() -> Vec<Vec<usize>> {
        vec![vec![0, 1, 2, 3], vec![1, 0, 2, 3], vec![0, 1, 3, 2], vec![1, 0, 3, 2]]
    }

    /// A bent H-C-C-H, C first, with noise; turned, and its atoms in any of the arrangements.
    fn geometries(count: usize, shuffled: bool) -> Array2<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let base = [0.0, 0.0, 0.0, 2.4, 0.3, 0.0, -2.0, 0.5, 0.0, 4.2, 1.1, 0.4];
        let rows = (0..count).flat_map(|_| {
            let mut row: Vec<f64> = base.iter().map(|x| x + 0.2 * rng.random::<f64>()).collect();
            let order = arrangements();
            let order = &order[if shuffled { rng.random_range(0..4) } else { 0 }];
            row = order.iter().flat_map(|a| row[3 * a..3 * a + 3].to_vec()).collect();
            row
        });
        Array2::from_shape_vec((count, 12), rows.collect()).unwrap()
    }

    /// Whatever the atoms were called, they are called the same; and the reference of shuffled geometries is that of others but
    /// for what its first row calls them.
    #[test]
    fn what_atoms_were_called_does_not_matter() {
        let plain = geometries(200, false);
        let relabelling = Relabelling::fit(arrangements(), plain.view()).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for row in plain.rows() {
            let mut expected = row.to_vec();
            relabelling.relabel(&mut expected);
            let mut others = arrangements();
            others.shuffle(&mut rng);
            let mut other: Vec<f64> =
                others[0].iter().flat_map(|a| expected[3 * a..3 * a + 3].to_vec()).collect();
            relabelling.relabel(&mut other);
            assert_eq!(other, expected);
        }
        let shuffled = Relabelling::fit(arrangements(), geometries(200, true).view()).unwrap();
        let sorted = |relabelling: &Relabelling| {
            let mut all = relabelling.distances().to_vec();
            all.sort_by(f64::total_cmp);
            all
        };
        for (a, b) in sorted(&relabelling).iter().zip(sorted(&shuffled)) {
            assert!((a - b).abs() < 0.05, "{a} {b}");
        }
    }
}
