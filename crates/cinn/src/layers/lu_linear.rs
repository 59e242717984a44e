//! A full matrix, kept as its LU factors behind a fixed permutation (Oliva et al. 2018).
//!
//! ```text
//! z = P x, then U, then L:  z = L (U (P x)),   log|det| = sum log diag U
//! ```

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use cei_kernels::{Columns, Level, Lu, permute, permute_back};
use cei_model::tensor::from_values;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::permutation::{Places, order};
use crate::layer::{ErasedLayer, FusedLayer, Given, LayerKind, Rows, Slot, TensorLayer};

/// A full matrix, kept as its LU factors behind a fixed permutation (Oliva et al. 2018).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LuLinear {
    /// Seed of the permutation.
    pub seed: u64,
}

impl LayerKind for LuLinear {
    fn group(&self) -> &'static str {
        "linears"
    }

    fn in_tensors(&self, slot: Slot, _: &mut ChaCha8Rng, device: &Device) -> Box<dyn TensorLayer> {
        let d = slot.x;
        let zeros = |rows| Param::from_tensor(Tensor::zeros([rows, d], device));
        let [below, above] = [below, above].map(|counts| mask(d, counts, device));
        let places = Places::new(&order(slot, self.seed), device);
        let (lower, upper, log_diagonal) = (zeros(d), zeros(d), zeros(1));
        Box::new(Factors { lower, upper, log_diagonal, below, above, places })
    }

    fn in_kernels(&self, slot: Slot) -> Option<Box<dyn ErasedLayer>> {
        Some(Box::new(FusedFactors { level: Level::best(), order: order(slot, self.seed) }))
    }
}

/// `z = L U P x` with unit lower triangular `L`, and `U` with the diagonal `exp(log_diagonal)`. Starts
/// as the permutation `P`.
#[derive(Module, Debug)]
struct Factors {
    /// What lies below the diagonal counts.
    lower: Param<Tensor<2>>,
    /// What lies above the diagonal counts.
    upper: Param<Tensor<2>>,
    log_diagonal: Param<Tensor<2>>,
    /// One where `lower` counts, zero elsewhere.
    #[module(skip)]
    below: Tensor<2>,
    /// The same of `upper`.
    #[module(skip)]
    above: Tensor<2>,
    #[module(skip)]
    places: Places,
}

fn below(row: usize, column: usize) -> bool {
    column < row
}

fn above(row: usize, column: usize) -> bool {
    column > row
}

/// A matrix (d x d) of ones where numbers count and zeros elsewhere.
fn mask(d: usize, counts: fn(usize, usize) -> bool, device: &Device) -> Tensor<2> {
    let ones = (0..d * d).map(|i| f32::from(u8::from(counts(i / d, i % d))));
    from_values(ones.collect(), [d, d], device)
}

impl TensorLayer for Factors {
    fn forward(
        &self,
        x: Tensor<2>,
        _y: &Tensor<2>,
        _key: Option<u64>,
    ) -> (Tensor<2>, Option<Tensor<2>>) {
        let x = self.places.permute(x);
        let log_diagonal = self.log_diagonal.val();
        let upper = self.upper.val() * self.above.clone();
        let u = x.clone() * log_diagonal.clone().exp() + x.matmul(upper.transpose());
        let lower = self.lower.val() * self.below.clone();
        let z = u.clone() + u.matmul(lower.transpose());
        (z, Some(log_diagonal.sum_dim(1)))
    }

    /// By substitution.
    fn inverse(&self, z: Tensor<2>, _y: &Tensor<2>) -> Tensor<2> {
        let d = z.dims()[1];
        let cell = |matrix: &Param<Tensor<2>>, row: usize, column: usize| {
            matrix.val().narrow(0, row, 1).narrow(1, column, 1)
        };
        let mut u: Vec<Tensor<2>> = Vec::with_capacity(d);
        for row in 0..d {
            let mut value = z.clone().narrow(1, row, 1);
            for (column, below) in u.iter().enumerate() {
                value = value - below.clone() * cell(&self.lower, row, column);
            }
            u.push(value);
        }
        for row in (0..d).rev() {
            for column in row + 1..d {
                u[row] = u[row].clone() - u[column].clone() * cell(&self.upper, row, column);
            }
            u[row] = u[row].clone() * cell(&self.log_diagonal, 0, row).neg().exp();
        }
        self.places.permute_back(Tensor::cat(u, 1))
    }
}

#[derive(Debug)]
struct FusedFactors {
    level: Level,
    order: Vec<usize>,
}

/// The features before the factors, permuted, and between them.
#[derive(Debug, Default)]
struct FactorTrace {
    before: Columns,
    between: Columns,
}

impl FusedLayer for FusedFactors {
    type Trace = FactorTrace;

    fn forward(&self, given: Given<'_>, rows: &mut Rows, trace: &mut FactorTrace) {
        let Rows { x, log_det, spare, .. } = rows;
        permute(x, &self.order, spare);
        trace.before.copy(x);
        let lu = Lu::new(given.parameters, self.order.len());
        lu.forward(self.level, x, &mut trace.between);
        log_det.shift(lu.log_det());
    }

    fn inverse(&self, given: Given<'_>, rows: &mut Rows, trace: &mut FactorTrace) {
        let lu = Lu::new(given.parameters, self.order.len());
        lu.inverse(self.level, &mut rows.x, &mut trace.between);
        permute_back(&mut rows.x, &self.order, &mut rows.spare);
    }

    fn backward(
        &self,
        given: Given<'_>,
        d_log_det: f32,
        rows: &mut Rows,
        trace: &mut FactorTrace,
        (gradient, add): (&mut [f32], bool),
    ) {
        let Rows { x: d_x, spare, .. } = rows;
        let lu = Lu::new(given.parameters, self.order.len());
        let FactorTrace { before, between } = trace;
        lu.backward(self.level, before, between, d_x, d_log_det, gradient, add);
        permute_back(d_x, &self.order, spare);
    }
}
