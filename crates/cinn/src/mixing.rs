//! Layers that mix or scale features without looking at `y`: permutation, ActNorm, LU-linear map.
//!
//! ```text
//! act-norm    z = x exp(s) + t                    log|det| = sum s
//! lu-linear   z = P x, then U, then L:  z = L (U (P x))   log|det| = sum log diag U
//! ```

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use cei_model::random::{Purpose, stream};
use ndarray::{ArrayView2, Axis};
use rand::seq::SliceRandom;

/// Least standard deviation that ActNorm divides by.
const LEAST_DEVIATION: f64 = 1e-6;

/// The order in which layer number `layer` takes `d` features: a function of the configuration alone,
/// so that no saved model has to hold it.
pub(crate) fn permutation(d: usize, seed: u64, layer: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..d).collect();
    order.shuffle(&mut stream(seed, Purpose::Weights, 1 + layer as u64));
    order
}

/// The columns of `x` in another order.
pub(crate) fn take(x: Tensor<2>, order: &[usize]) -> Tensor<2> {
    let order: Vec<i32> = order.iter().map(|index| *index as i32).collect();
    let count = order.len();
    let device = x.device();
    x.select(1, Tensor::<1, Int>::from_data(TensorData::new(order, [count]), &device))
}

/// The order that undoes `order`.
pub(crate) fn inverted(order: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; order.len()];
    for (place, index) in order.iter().enumerate() {
        inverse[*index] = place;
    }
    inverse
}

/// Log-scale and shift that bring every column of `x` to mean 0 and standard deviation 1.
pub(crate) fn standardising(x: ArrayView2<'_, f32>) -> [Vec<f32>; 2] {
    let columns = x.axis_iter(Axis(1)).map(|column| {
        let n = column.len() as f64;
        let mean = column.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
        let variance = column.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n;
        let deviation = variance.sqrt().max(LEAST_DEVIATION);
        (-deviation.ln() as f32, (-mean / deviation) as f32)
    });
    let (scales, shifts) = columns.unzip();
    [scales, shifts]
}

/// `z = x exp(s) + t`.
#[derive(Module, Debug)]
pub struct ActNorm {
    log_scale: Param<Tensor<2>>,
    shift: Param<Tensor<2>>,
}

impl ActNorm {
    /// The identity on `d` features.
    pub fn new(d: usize, device: &Device) -> Self {
        let zeros = || Param::from_tensor(Tensor::zeros([1, d], device));
        Self { log_scale: zeros(), shift: zeros() }
    }

    /// Gives the value (`n` x `d`) and `log|det J|` (1 x 1).
    pub fn forward(&self, x: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let s = self.log_scale.val();
        (x * s.clone().exp() + self.shift.val(), s.sum_dim(1))
    }

    /// Undoes [`Self::forward`].
    pub fn inverse(&self, z: Tensor<2>) -> Tensor<2> {
        (z - self.shift.val()) * self.log_scale.val().neg().exp()
    }

    /// Takes the values that standardise the rows `x`.
    pub(crate) fn initialise(&mut self, x: ArrayView2<'_, f32>, device: &Device) {
        let [scales, shifts] = standardising(x).map(|values| {
            let shape = [1, values.len()];
            Tensor::<2>::from_data(TensorData::new(values, shape), device)
        });
        self.log_scale = Param::from_tensor(scales);
        self.shift = Param::from_tensor(shifts);
    }
}

/// `z = L U P x` with unit lower triangular `L`, and `U` with the diagonal `exp(log_diagonal)`. Starts
/// as the permutation `P`.
#[derive(Module, Debug)]
pub struct LuLinear {
    /// What lies below the diagonal counts.
    lower: Param<Tensor<2>>,
    /// What lies above the diagonal counts.
    upper: Param<Tensor<2>>,
    log_diagonal: Param<Tensor<2>>,
    #[module(skip)]
    order: Vec<usize>,
}

impl LuLinear {
    /// The map that takes the features in this `order`.
    pub fn new(order: Vec<usize>, device: &Device) -> Self {
        let d = order.len();
        let zeros = |rows| Param::from_tensor(Tensor::zeros([rows, d], device));
        Self { lower: zeros(d), upper: zeros(d), log_diagonal: zeros(1), order }
    }

    /// Gives the value (`n` x `d`) and `log|det J|` (1 x 1).
    pub fn forward(&self, x: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let x = take(x, &self.order);
        let log_diagonal = self.log_diagonal.val();
        let d = self.order.len();
        let device = x.device();
        let mask = |above: bool| {
            let values: Vec<f32> =
                (0..d * d)
                    .map(|i| {
                        if (above && i % d > i / d) || (!above && i % d < i / d) {
                            1.0
                        } else {
                            0.0
                        }
                    })
                    .collect();
            Tensor::<2>::from_data(TensorData::new(values, [d, d]), &device)
        };
        let upper = self.upper.val() * mask(true);
        let u = x.clone() * log_diagonal.clone().exp() + x.matmul(upper.transpose());
        let lower = self.lower.val() * mask(false);
        let z = u.clone() + u.matmul(lower.transpose());
        (z, log_diagonal.sum_dim(1))
    }

    /// Undoes [`Self::forward`] by substitution.
    pub fn inverse(&self, z: Tensor<2>) -> Tensor<2> {
        let d = self.order.len();
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
        take(Tensor::cat(u, 1), &inverted(&self.order))
    }
}
