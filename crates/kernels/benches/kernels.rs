//! Arithmetic rates of the products on one core, and the most that it can do: `items` are floating-point operations.

use std::hint::black_box;

use cei_kernels::{Activation, Deltas, Hidden, Level, Matrix, Mlp};
use divan::Bencher;
use divan::counter::ItemsCount;
use ndarray::Array2;
use pulp::{Arch, Simd, WithSimd};

/// Rows that go through a model at once in training.
const ROWS: usize = 128;

/// Inputs and outputs of a layer.
const SHAPES: [(usize, usize); 5] = [(13, 128), (128, 128), (128, 10), (256, 256), (512, 512)];

fn main() {
    divan::main();
}

/// Multiply-adds of registers with each other, in sums that do not wait for one another.
#[divan::bench]
fn peak(bencher: Bencher<'_, '_>) {
    bencher
        .counter(ItemsCount::new(2 * Peak::TERMS * Peak::SUMS * Arch::new().dispatch(Lanes)))
        .bench_local(|| Arch::new().dispatch(Peak));
}

struct Peak;

impl Peak {
    /// As many as in a tile of the narrower vectors.
    const SUMS: usize = 12;
    const TERMS: usize = 4096;
}

impl WithSimd for Peak {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let factor = simd.splat_f32s(black_box(0.5));
        let mut sums = [factor; Self::SUMS];
        for _ in 0..Self::TERMS {
            for sum in &mut sums {
                *sum = simd.mul_add_e_f32s(*sum, factor, factor);
            }
        }
        sums.into_iter().map(|sum| simd.reduce_sum_f32s(sum)).sum()
    }
}

struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    fn with_simd<S: Simd>(self, _simd: S) -> usize {
        S::F32_LANES
    }
}

fn layer((inputs, outputs): (usize, usize)) -> (Mlp, Matrix) {
    let mut layer = Mlp::new(Level::best(), &[inputs, outputs], Activation::Relu, 0);
    layer.set_parameters(&vec![0.01; layer.parameters()]);
    (layer, filled(inputs))
}

fn filled(columns: usize) -> Matrix {
    let mut matrix = Matrix::default();
    matrix.reshape(ROWS, columns);
    matrix.set_columns(0, Array2::from_elem((ROWS, columns), 0.5).view());
    matrix
}

#[divan::bench(args = SHAPES)]
fn forward(bencher: Bencher<'_, '_>, shape: (usize, usize)) {
    let (layer, input) = layer(shape);
    let (mut hidden, mut output) = <(Hidden, Matrix)>::default();
    bencher
        .counter(ItemsCount::new(2 * ROWS * shape.0 * shape.1))
        .bench_local(|| layer.infer(&input, &mut hidden, &mut output));
}

/// Gradients of the weights alone: the operations of the forward pass.
#[divan::bench(args = SHAPES)]
fn weight_gradient(bencher: Bencher<'_, '_>, shape: (usize, usize)) {
    backward(bencher, shape, 2, None);
}

/// Gradients of the weights and of the input: twice the operations of the forward pass.
#[divan::bench(args = SHAPES)]
fn both_gradients(bencher: Bencher<'_, '_>, shape: (usize, usize)) {
    backward(bencher, shape, 4, Some(Matrix::default()));
}

fn backward(
    bencher: Bencher<'_, '_>,
    shape: (usize, usize),
    operations: usize,
    mut input_gradient: Option<Matrix>,
) {
    let (layer, input) = layer(shape);
    let mut gradient = vec![0.0; layer.parameters()];
    let mut deltas = Deltas::default();
    deltas.output = filled(shape.1);
    let hidden = Hidden::default();
    bencher.counter(ItemsCount::new(operations * ROWS * shape.0 * shape.1)).bench_local(|| {
        let input_gradient = input_gradient.as_mut();
        layer.backward(&input, &hidden, &mut deltas, &mut gradient, false, input_gradient);
    });
}
