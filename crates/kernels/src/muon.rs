//! Muon (Jordan et al. 2024): a weight moves along its momentum with all singular values brought near one, so that no
//! direction of it waits for the others.
//!
//! ```text
//! M = mu M + G,  U = G + mu M                           G: gradient of the weight
//! U = U / |U|, then for each quintic U = a U + (b (U U^T) + c (U U^T)^2) U
//! W = keep W - rate U
//! ```

use crate::activation::Activation;
use crate::level::Level;
use crate::matrix::Matrix;
use crate::norm::Squares;
use crate::parallel::Pool;
use crate::product::{Epilogue, Panels, Product, WeightGradient};

/// What a step of Muon has beside the factors of the step of Adam that it stands in for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MuonFactors {
    /// Decay `mu` of the momentum.
    pub momentum: f32,
    /// About the root mean square of the numbers of a step, whatever the shape of the weight.
    pub rate: f32,
}

impl MuonFactors {
    /// `a`, `b` and `c` of the polynomials, one applied after the other: of singular values from 0.03 to 1 they make some between
    /// 0.61 and 1.39. Each has the least error for what the one before leaves (Amsel et al. 2025), so that two do nearly what
    /// three of one kind do, in two thirds of the time (`docs/performance.md#time-to-a-quality`).
    pub const QUINTICS: [[f32; 3]; 2] = [[7.3625, -20.7434, 15.1606], [2.9175, -2.1824, 0.4755]];
}

/// What steps of Muon work in, kept from one to the next.
#[derive(Debug, Default)]
pub struct MuonMemory {
    pub(crate) pool: Pool<Orthogonal>,
    /// The directions of all weights at the places of these among the parameters, where processes share the work.
    pub(crate) directions: Vec<f32>,
}

/// Working memory of [`Orthogonal::orthogonalise`].
#[derive(Debug, Default)]
pub struct Orthogonal {
    /// Room for what is brought near one, and for the momentum.
    pub(crate) values: Vec<f32>,
    pub(crate) momentum: Vec<f32>,
    tall: Matrix,
    next: Matrix,
    gram: Vec<f32>,
    square: Vec<f32>,
    column_sums: Vec<f32>,
    gram_rows: Matrix,
}

impl Orthogonal {
    /// Brings the singular values of `values` (`rows` x `columns`, row-major) near one; zeros stay zeros.
    ///
    /// # Panics
    /// If there are not as many values, or none.
    pub fn orthogonalise(&mut self, level: Level, values: &mut [f32], [rows, columns]: [usize; 2]) {
        assert!(values.len() == rows * columns && !values.is_empty(), "the shape of the weight");
        let mut sums = [0.0; _];
        level.run(Squares { values, sums: &mut sums });
        let squares: f64 = sums.iter().sum();
        if squares == 0.0 {
            return;
        }
        // The polynomial is one of the Gram matrix, which is the smaller of the two where the matrix is tall.
        let (long, short, flat) = (rows.max(columns), rows.min(columns), rows < columns);
        let at = |row: usize, column: usize| {
            if flat { column * columns + row } else { row * columns + column }
        };
        let scale = (1.0 / squares.sqrt()) as f32;
        self.tall.reshape(long, short);
        for row in 0..long {
            for (column, cell) in self.tall.row_mut(row).iter_mut().enumerate() {
                *cell = values[at(row, column)] * scale;
            }
        }
        for quintic in MuonFactors::QUINTICS {
            self.iterate(level, quintic, short);
        }
        for row in 0..long {
            for (column, cell) in self.tall.row(row).iter().enumerate() {
                values[at(row, column)] = *cell;
            }
        }
    }

    /// `tall = tall (a + b S + c S^2)` with `S = tall^T tall`.
    fn iterate(&mut self, level: Level, [a, b, c]: [f32; 3], width: usize) {
        let Self { tall, next, gram, square, column_sums, gram_rows, .. } = self;
        gram_of(level, tall, gram, column_sums);
        gram_rows.reshape(width, width);
        for (row, values) in gram.chunks_exact(width).enumerate() {
            gram_rows.row_mut(row).copy_from_slice(values);
        }
        gram_of(level, gram_rows, square, column_sums);
        for (value, squared) in gram.iter_mut().zip(&*square) {
            *value = b * *value + c * squared;
        }
        for diagonal in gram.iter_mut().step_by(width + 1) {
            *diagonal += a;
        }
        let mut panels = Panels::new(width, width, level.lanes());
        panels.set_rows(0, gram);
        let epilogue = Epilogue::Activate(None::<Activation>, None);
        level.run(Product { input: tall, panels: &panels, epilogue, output: next });
        std::mem::swap(tall, next);
    }
}

/// `gram = matrix^T matrix`, row-major.
fn gram_of(level: Level, matrix: &Matrix, gram: &mut Vec<f32>, column_sums: &mut Vec<f32>) {
    let width = matrix.columns();
    gram.resize(width * width, 0.0);
    column_sums.resize(width, 0.0);
    level.run(WeightGradient {
        input: matrix,
        delta: matrix,
        weight: gram,
        bias: column_sums,
        add: false,
        symmetric: true,
    });
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn random(rows: usize, columns: usize) -> Array2<f32> {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        Array2::from_shape_simple_fn((rows, columns), || rng.random_range(-1.0..1.0))
    }

    /// The polynomials in f64, without the kernels.
    fn reference(matrix: &Array2<f32>) -> Array2<f64> {
        let mut matrix = matrix.mapv(f64::from);
        matrix /= matrix.mapv(|value| value * value).sum().sqrt();
        for [a, b, c] in [[7.3625, -20.7434, 15.1606], [2.9175, -2.1824, 0.4755]] {
            let gram = matrix.dot(&matrix.t());
            let polynomial = &gram * b + gram.dot(&gram) * c;
            matrix = &matrix * a + polynomial.dot(&matrix);
        }
        matrix
    }

    #[test]
    fn every_shape_on_every_level_is_that_of_the_formula() {
        for level in Level::all() {
            let mut memory = Orthogonal::default();
            for shape in [[1, 1], [1, 9], [9, 128], [128, 128], [128, 6], [37, 50], [64, 17]] {
                let matrix = random(shape[0], shape[1]);
                let mut found = matrix.clone().into_raw_vec_and_offset().0;
                memory.orthogonalise(level, &mut found, shape);
                for (found, expected) in found.iter().zip(&reference(&matrix)) {
                    assert!(
                        (f64::from(*found) - expected).abs() < 2e-5,
                        "{shape:?}: {found}, {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn singular_values_come_near_one_and_zeros_stay() {
        // Singular values 3, 1 and 0.1, along the axes.
        let mut values = [3.0, 0.0, 0.0, 0.0, 0.0, 0.1, 0.0, 1.0, 0.0];
        let mut memory = Orthogonal::default();
        memory.orthogonalise(Level::best(), &mut values, [3, 3]);
        for (index, value) in values.iter().enumerate() {
            let long = [0, 5, 7].contains(&index);
            assert!(
                if long { (0.61..1.39).contains(value) } else { value.abs() < 1e-6 },
                "{values:?}"
            );
        }
        let mut zeros = [0.0; 6];
        memory.orthogonalise(Level::best(), &mut zeros, [2, 3]);
        assert_eq!(zeros, [0.0; 6]);
    }
}
