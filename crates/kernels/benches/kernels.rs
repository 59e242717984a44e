//! Arithmetic rates of the products on one core: `items` are floating-point operations.

use cei_kernels::{Activation, Deltas, Hidden, Level, Matrix, Mlp};
use divan::Bencher;
use divan::counter::ItemsCount;
use ndarray::Array2;

/// Rows of a block.
const ROWS: usize = 96;

/// Inputs and outputs of a layer.
const SHAPES: [(usize, usize); 5] = [(13, 128), (128, 128), (128, 10), (256, 256), (512, 512)];

fn main() {
    divan::main();
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

/// Gradients of the weights and of the input: twice the operations of the forward pass.
#[divan::bench(args = SHAPES)]
fn backward(bencher: Bencher<'_, '_>, shape: (usize, usize)) {
    let (layer, input) = layer(shape);
    let mut gradient = vec![0.0; layer.parameters()];
    let mut deltas = Deltas::default();
    deltas.output = filled(shape.1);
    let (hidden, mut input_gradient) = <(Hidden, Matrix)>::default();
    bencher.counter(ItemsCount::new(4 * ROWS * shape.0 * shape.1)).bench_local(|| {
        layer.backward(
            &input,
            &hidden,
            &mut deltas,
            &mut gradient,
            false,
            Some(&mut input_gradient),
        );
    });
}
