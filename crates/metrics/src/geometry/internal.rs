//! Bond lengths and angles of molecules of any number of atoms.
//!
//! With the positions r_a in a row (x, y, z of each atom in turn): the length of a pair is
//! |r_i - r_j|, the angle of a triple is atan2(|u x v|, u . v) with u = r_i - r_j and v = r_k - r_j
//! (j is the vertex), which keeps its accuracy at 180 degrees where an arc cosine loses it.

use std::fmt;
use std::sync::Arc;

use ndarray::{Array2, Array3, ArrayView2, ArrayView3};

use crate::matrix::{check_finite_draws, check_matrix, rows_in_parallel};
use crate::{Error, Result};

/// Puts the atoms of a geometry (3N) into the order in which pairs and triples name them.
pub type Relabel = dyn Fn(&mut [f64]) + Send + Sync;

/// The bond lengths and angles by which a molecule is scored, and their labels.
#[derive(Clone)]
pub struct InternalCoordinates {
    atoms: usize,
    /// What is done to positions first.
    relabel: Option<Arc<Relabel>>,
    pairs: Vec<[usize; 2]>,
    triples: Vec<[usize; 3]>,
    pair_labels: Vec<String>,
    triple_labels: Vec<String>,
}

impl InternalCoordinates {
    /// Chosen pairs, and chosen triples with the vertex in the middle, of atoms counted from 0.
    /// Labels are made of the symbols (`C-O`, `O-C-S`); a symbol that occurs more than once is
    /// numbered in the order of atoms (`H1`, `H2`).
    ///
    /// # Errors
    /// A pair or triple names an atom that does not exist or one atom twice.
    pub fn new(
        symbols: &[impl AsRef<str>],
        pairs: &[[usize; 2]],
        triples: &[[usize; 3]],
    ) -> Result<Self> {
        let atoms = symbols.len();
        for &[i, j] in pairs {
            if i == j || i.max(j) >= atoms {
                return Err(Error::Atoms { atoms: vec![i, j], count: atoms });
            }
        }
        for &[i, j, k] in triples {
            if i == j || j == k || i == k || i.max(j).max(k) >= atoms {
                return Err(Error::Atoms { atoms: vec![i, j, k], count: atoms });
            }
        }
        let names = atom_labels(symbols);
        let join = |atoms: &[usize]| -> String {
            let parts: Vec<&str> = atoms.iter().map(|&atom| names[atom].as_str()).collect();
            parts.join("-")
        };
        Ok(Self {
            atoms,
            relabel: None,
            pairs: pairs.to_vec(),
            triples: triples.to_vec(),
            pair_labels: pairs.iter().map(|pair| join(pair)).collect(),
            triple_labels: triples.iter().map(|triple| join(triple)).collect(),
        })
    }

    /// All pairs i < j, and the angles between all pairs of the other atoms at the vertex atom:
    /// for OCS in the order C, O, S and vertex 0 these are `C-O`, `C-S`, `O-S` and `O-C-S`.
    ///
    /// # Errors
    /// The vertex does not exist.
    pub fn about(symbols: &[impl AsRef<str>], vertex: usize) -> Result<Self> {
        let atoms = symbols.len();
        if vertex >= atoms {
            return Err(Error::Atoms { atoms: vec![vertex], count: atoms });
        }
        let pairs: Vec<[usize; 2]> =
            (0..atoms).flat_map(|i| (i + 1..atoms).map(move |j| [i, j])).collect();
        let triples: Vec<[usize; 3]> = pairs
            .iter()
            .filter(|pair| !pair.contains(&vertex))
            .map(|&[i, k]| [i, vertex, k])
            .collect();
        Self::new(symbols, &pairs, &triples)
    }

    /// The same of geometries that are first given to `relabel`.
    #[must_use]
    pub fn relabelled(self, relabel: Arc<Relabel>) -> Self {
        Self { relabel: Some(relabel), ..self }
    }

    /// Number of atoms.
    pub fn atoms(&self) -> usize {
        self.atoms
    }

    /// Labels of the pairs, in order.
    pub fn pair_labels(&self) -> &[String] {
        &self.pair_labels
    }

    /// Labels of the triples, in order.
    pub fn triple_labels(&self) -> &[String] {
        &self.triple_labels
    }

    /// Lengths of the pairs (`n x pairs`), in the unit of the positions (`n x 3 atoms`).
    ///
    /// # Errors
    /// Columns other than three for each atom, values that are not finite.
    pub fn lengths(&self, positions: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        self.each(positions, self.pairs.len(), |positions, lengths| {
            for (length, &[i, j]) in lengths.iter_mut().zip(&self.pairs) {
                *length = norm(difference(positions, i, j));
            }
        })
    }

    /// Angles of the triples (`n x triples`) in degrees, in [0, 180]. The angle is 0 where an atom
    /// lies exactly on the vertex.
    ///
    /// # Errors
    /// As [`Self::lengths`].
    pub fn angles_deg(&self, positions: ArrayView2<'_, f64>) -> Result<Array2<f64>> {
        self.each(positions, self.triples.len(), |positions, angles| {
            for (angle, &[i, j, k]) in angles.iter_mut().zip(&self.triples) {
                let (u, v) = (difference(positions, i, j), difference(positions, k, j));
                let cross = [
                    u[1] * v[2] - u[2] * v[1],
                    u[2] * v[0] - u[0] * v[2],
                    u[0] * v[1] - u[1] * v[0],
                ];
                let dot = u[0] * v[0] + u[1] * v[1] + u[2] * v[2];
                *angle = norm(cross).atan2(dot).to_degrees();
            }
        })
    }

    /// Lengths of the pairs in every draw (`n x K x pairs`) of draws (`n x K x 3 atoms`).
    ///
    /// # Errors
    /// As [`Self::lengths`].
    pub fn lengths_of_draws(&self, draws: ArrayView3<'_, f64>) -> Result<Array3<f64>> {
        each_draw(draws, |positions| self.lengths(positions))
    }

    /// Angles of the triples in every draw (`n x K x triples`) in degrees.
    ///
    /// # Errors
    /// As [`Self::lengths`].
    pub fn angles_deg_of_draws(&self, draws: ArrayView3<'_, f64>) -> Result<Array3<f64>> {
        each_draw(draws, |positions| self.angles_deg(positions))
    }

    fn each(
        &self,
        positions: ArrayView2<'_, f64>,
        width: usize,
        quantities: impl Fn(&[f64], &mut [f64]) + Sync,
    ) -> Result<Array2<f64>> {
        check_matrix("the positions", positions)?;
        if positions.ncols() != 3 * self.atoms {
            return Err(Error::Columns {
                what: "the positions",
                expected: 3 * self.atoms,
                found: positions.ncols(),
            });
        }
        let positions = positions.as_standard_layout();
        let rows = positions.nrows();
        Ok(rows_in_parallel(rows, width, |row, values| {
            if let Some(positions) = positions.row(row).as_slice() {
                match &self.relabel {
                    None => quantities(positions, values),
                    Some(relabel) => {
                        let mut positions = positions.to_vec();
                        relabel(&mut positions);
                        quantities(&positions, values);
                    }
                }
            }
        }))
    }
}

impl PartialEq for InternalCoordinates {
    fn eq(&self, other: &Self) -> bool {
        let same_relabel = match (&self.relabel, &other.relabel) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            (own, other) => own.is_none() && other.is_none(),
        };
        let of = |c: &Self| (c.atoms, c.pairs.clone(), c.triples.clone(), c.pair_labels.clone());
        same_relabel && of(self) == of(other)
    }
}

impl fmt::Debug for InternalCoordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels: Vec<&String> = self.pair_labels.iter().chain(&self.triple_labels).collect();
        f.debug_tuple("InternalCoordinates").field(&labels).finish()
    }
}

/// Applies a function of rows (events) to all draws at once.
fn each_draw(
    draws: ArrayView3<'_, f64>,
    quantities: impl Fn(ArrayView2<'_, f64>) -> Result<Array2<f64>>,
) -> Result<Array3<f64>> {
    check_finite_draws(draws)?;
    let (n, count, d) = draws.dim();
    let wrong_shape = |_| Error::NotPositions { columns: d };
    let rows = draws.to_shape((n * count, d)).map_err(wrong_shape)?;
    let values = quantities(rows.view())?;
    let width = values.ncols();
    values.into_shape_with_order((n, count, width)).map_err(wrong_shape)
}

fn difference(positions: &[f64], i: usize, j: usize) -> [f64; 3] {
    [0, 1, 2].map(|axis| positions[3 * i + axis] - positions[3 * j + axis])
}

fn norm([x, y, z]: [f64; 3]) -> f64 {
    (x * x + y * y + z * z).sqrt()
}

fn atom_labels(symbols: &[impl AsRef<str>]) -> Vec<String> {
    let same = |symbol: &str, upto: usize| {
        let atoms = symbols[..upto].iter();
        atoms.filter(|other| other.as_ref() == symbol).count()
    };
    symbols
        .iter()
        .enumerate()
        .map(|(atom, symbol)| {
            let symbol = symbol.as_ref();
            if same(symbol, symbols.len()) > 1 {
                format!("{symbol}{}", same(symbol, atom + 1))
            } else {
                symbol.to_owned()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;
    use ndarray::array;

    fn ocs() -> InternalCoordinates {
        InternalCoordinates::about(&["C", "O", "S"], 0).unwrap()
    }

    #[test]
    fn labels_of_ocs_and_of_repeated_atoms() {
        assert_eq!(ocs().pair_labels(), ["C-O", "C-S", "O-S"]);
        assert_eq!(ocs().triple_labels(), ["O-C-S"]);
        let water = InternalCoordinates::about(&["O", "H", "H"], 0).unwrap();
        assert_eq!(water.pair_labels(), ["O-H1", "O-H2", "H1-H2"]);
        assert_eq!(water.triple_labels(), ["H1-O-H2"]);
        let diatomic = InternalCoordinates::about(&["H", "H"], 0).unwrap();
        assert_eq!(diatomic.pair_labels(), ["H1-H2"]);
        assert!(diatomic.triple_labels().is_empty());
    }

    #[test]
    fn lengths_and_angle_of_a_right_triangle() {
        // C at (1, 1, 1), O 3 along x, S 4 along y: lengths 3, 4, 5; angle at C 90 degrees
        let positions = array![[1.0, 1.0, 1.0, 4.0, 1.0, 1.0, 1.0, 5.0, 1.0]];
        assert_eq!(ocs().lengths(positions.view()).unwrap(), array![[3.0, 4.0, 5.0]]);
        let angle = ocs().angles_deg(positions.view()).unwrap();
        assert_relative_eq!(angle[[0, 0]], 90.0, epsilon = 1e-12);
    }

    #[test]
    fn angles_keep_their_accuracy_near_180_degrees() {
        // O at 180 - 1e-6 degrees: 1 - cos is 1.5e-16, below what an arc cosine resolves
        let bend = 1e-6_f64.to_radians();
        let positions = array![[0.0, 0.0, 0.0, -bend.cos(), bend.sin(), 0.0, 2.0, 0.0, 0.0]];
        let angle = ocs().angles_deg(positions.view()).unwrap()[[0, 0]];
        assert_relative_eq!(180.0 - angle, 1e-6, max_relative = 1e-6);
    }

    #[test]
    fn draws_are_measured_one_by_one() {
        // two draws mirrored in C: each has r_CO = 1, though their mean position has r_CO = 0
        let draws = array![[
            [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 2.0, 0.0],
            [0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, -2.0, 0.0],
        ]];
        let lengths = ocs().lengths_of_draws(draws.view()).unwrap();
        let root5 = 5.0_f64.sqrt();
        assert_eq!(lengths, array![[[1.0, 2.0, root5], [1.0, 2.0, root5]]]);
        let angles = ocs().angles_deg_of_draws(draws.view()).unwrap();
        assert_eq!(angles.dim(), (1, 2, 1));
        assert_relative_eq!(angles[[0, 1, 0]], 90.0, epsilon = 1e-12);
    }

    #[test]
    fn draws_of_any_memory_order_are_read_alike() {
        let draws =
            Array3::from_shape_fn((3, 4, 9), |(i, j, k)| ((i * 7 + j * 5 + k * k) as f64).sin());
        let mut fortran = Array3::zeros(ndarray::ShapeBuilder::f((3, 4, 9)));
        fortran.assign(&draws);
        assert_eq!(
            ocs().lengths_of_draws(draws.view()).unwrap(),
            ocs().lengths_of_draws(fortran.view()).unwrap()
        );
    }

    #[test]
    fn unfit_inputs_are_named() {
        let short = Array2::zeros((2, 6));
        assert_eq!(
            ocs().lengths(short.view()),
            Err(Error::Columns { what: "the positions", expected: 9, found: 6 })
        );
        assert_eq!(
            InternalCoordinates::new(&["C", "O"], &[[0, 2]], &[]),
            Err(Error::Atoms { atoms: vec![0, 2], count: 2 })
        );
        assert!(InternalCoordinates::new(&["C", "O", "S"], &[], &[[1, 1, 2]]).is_err());
        assert!(InternalCoordinates::about(&["C"], 1).is_err());
    }
}
