//! Muon (Jordan et al. 2024): a weight moves along its momentum with all singular values brought near one, so that no
//! direction of it waits for the others.
//!
//! ```text
//! M = mu M + G,  U = G + mu M                           G: gradient of the weight
//! U = U / |U|, then three times U = a U + (b (U U^T) + c (U U^T)^2) U
//! W = keep W - rate U
//! ```

use crate::activation::Activation;
use crate::adam::AdamStep;
use crate::level::Level;
use crate::matrix::Matrix;
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
    /// `a`, `b` and `c`: of singular values from 0.02 to 1 it makes some between 0.68 and 1.21.
    pub const QUINTIC: [f32; 3] = [3.4445, -4.7750, 2.0315];
    /// How often the polynomial is applied. Five times, as is usual, smaller singular values come near one too, but a step takes
    /// longer (`docs/performance.md#time-to-a-quality`).
    pub const ITERATIONS: usize = 3;
}

/// Working memory of [`AdamStep::apply_muon`] and [`Orthogonal::orthogonalise`].
#[derive(Debug, Default)]
pub struct Orthogonal {
    values: Vec<f32>,
    tall: Matrix,
    next: Matrix,
    gram: Vec<f32>,
    column_sums: Vec<f32>,
    gram_rows: Matrix,
    square: Matrix,
}

impl Orthogonal {
    /// Brings the singular values of `values` (`rows` x `columns`, row-major) near one; zeros stay zeros.
    ///
    /// # Panics
    /// If there are not as many values, or none.
    pub fn orthogonalise(&mut self, level: Level, values: &mut [f32], [rows, columns]: [usize; 2]) {
        assert!(values.len() == rows * columns && !values.is_empty(), "the shape of the weight");
        let squares = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>();
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
        for _ in 0..MuonFactors::ITERATIONS {
            self.iterate(level, short);
        }
        for row in 0..long {
            for (column, cell) in self.tall.row(row).iter().enumerate() {
                values[at(row, column)] = *cell;
            }
        }
    }

    /// `tall = tall (a + b S + c S^2)` with `S = tall^T tall`.
    fn iterate(&mut self, level: Level, width: usize) {
        let [a, b, c] = MuonFactors::QUINTIC;
        let Self { tall, next, gram, column_sums, gram_rows, square, .. } = self;
        gram.resize(width * width, 0.0);
        column_sums.resize(width, 0.0);
        let (weight, bias) = (&mut gram[..], &mut column_sums[..]);
        level.run(WeightGradient { input: tall, delta: tall, weight, bias, add: false });
        gram_rows.reshape(width, width);
        for (row, values) in gram.chunks_exact(width).enumerate() {
            gram_rows.row_mut(row).copy_from_slice(values);
        }
        let mut panels = Panels::new(width, width, level.lanes());
        panels.set_rows(0, gram);
        product(level, gram_rows, &panels, square);
        for (row, values) in gram.chunks_exact_mut(width).enumerate() {
            for (value, squared) in values.iter_mut().zip(square.row(row)) {
                *value = b * *value + c * squared;
            }
            values[row] += a;
        }
        panels.set_rows(0, gram);
        product(level, tall, &panels, next);
        std::mem::swap(tall, next);
    }
}

fn product(level: Level, input: &Matrix, panels: &Panels, output: &mut Matrix) {
    let epilogue = Epilogue::Activate(None::<Activation>, None);
    level.run(Product { input, panels, epilogue, output });
}

impl AdamStep<'_> {
    /// Takes a step of Muon in the place of Adam's: the stretch is a weight (`shape`: inputs x outputs), its first moment is
    /// the momentum, the second one stays as it is.
    ///
    /// # Panics
    /// If the stretch has another length.
    pub fn apply_muon(
        self,
        level: Level,
        factors: MuonFactors,
        shape: [usize; 2],
        memory: &mut Orthogonal,
        parameters: &mut [f32],
    ) {
        let mut direction = std::mem::take(&mut memory.values);
        direction.resize(parameters.len(), 0.0);
        let keep = self.momentum(level, factors.momentum, &mut direction);
        memory.orthogonalise(level, &mut direction, shape);
        // The numbers of a matrix with orthonormal rows or columns have the root mean square `1 / sqrt(longer side)`.
        let rate = factors.rate * (shape[0].max(shape[1]) as f32).sqrt();
        for (parameter, direction) in parameters.iter_mut().zip(&direction) {
            *parameter = keep * *parameter - rate * direction;
        }
        memory.values = direction;
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::adam::AdamFactors;
    use crate::parallel::Gradient;

    fn random(rows: usize, columns: usize) -> Array2<f32> {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        Array2::from_shape_simple_fn((rows, columns), || rng.random_range(-1.0..1.0))
    }

    /// The polynomial in f64, without the kernels.
    fn reference(matrix: &Array2<f32>) -> Array2<f64> {
        let mut matrix = matrix.mapv(f64::from);
        matrix /= matrix.mapv(|value| value * value).sum().sqrt();
        for _ in 0..3 {
            let gram = matrix.dot(&matrix.t());
            let polynomial = &gram * -4.7750 + gram.dot(&gram) * 2.0315;
            matrix = &matrix * 3.4445 + polynomial.dot(&matrix);
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
                if long { (0.68..1.21).contains(value) } else { value.abs() < 1e-6 },
                "{values:?}"
            );
        }
        let mut zeros = [0.0; 6];
        memory.orthogonalise(Level::best(), &mut zeros, [2, 3]);
        assert_eq!(zeros, [0.0; 6]);
    }

    /// Two steps by hand of a weight of one number: only the sign of its direction is of the gradient.
    #[test]
    fn the_momentum_decides_the_direction() {
        let orthogonal = |sign: f32| {
            let mut value = [sign];
            Orthogonal::default().orthogonalise(Level::best(), &mut value, [1, 1]);
            value[0]
        };
        let (mut first, mut second, mut theta) = ([0.0], [0.25], [2.0]);
        let factors = AdamFactors {
            first: 0.9,
            second: 0.999,
            epsilon: 1e-8,
            rate: 0.0,
            root: 1.0,
            keep: 0.5,
            clip: 0.5,
        };
        let mut step = |value: f32, theta: &mut [f32; 1]| {
            let mut gradient = Gradient::default();
            gradient.whole(1)[0] = value;
            let step = AdamStep::new(factors, &gradient, &mut first, &mut second);
            let muon = MuonFactors { momentum: 0.5, rate: 0.1 };
            step.apply_muon(Level::best(), muon, [1, 1], &mut Orthogonal::default(), theta);
            (first[0], second[0])
        };
        // M = 2 (the clip halves 4), and the weight is halved before the step.
        assert_eq!(step(4.0, &mut theta), (2.0, 0.25));
        assert_eq!(theta[0], 0.5 * 2.0 - 0.1 * orthogonal(1.0));
        // M = 0.5 * 2 - 1.5 = -0.5 and U = -1.5 - 0.25.
        let before = theta[0];
        assert_eq!(step(-3.0, &mut theta), (-0.5, 0.25));
        assert_eq!(theta[0], 0.5 * before - 0.1 * orthogonal(-1.0));
    }
}
